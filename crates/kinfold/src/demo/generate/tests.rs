#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io::Read as _;

use arrow::array::{Array as _, StringArray};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::*;

fn options(persons: u64) -> ShopOptions {
    ShopOptions {
        persons,
        seed: 11,
        days: 60,
        dirty: false,
    }
}

/// Path → bytes of every file below a folder.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![dir.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path
                    .strip_prefix(dir)
                    .unwrap()
                    .to_string_lossy()
                    .into_owned();
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    found
}

fn lines(dir: &Path, folder: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, bytes) in files(&dir.join(folder)) {
        let text = if name.ends_with(".gz") {
            let mut text = String::new();
            flate2::read::GzDecoder::new(bytes.as_slice())
                .read_to_string(&mut text)
                .unwrap();
            text
        } else {
            String::from_utf8(bytes).unwrap()
        };
        let header = usize::from(name.ends_with(".csv"));
        lines.extend(text.lines().skip(header).map(str::to_owned));
    }
    lines
}

fn order_ids(dir: &Path) -> Vec<String> {
    let mut ids = Vec::new();
    for name in files(&dir.join("data/orders")).keys() {
        let file = fs::File::open(dir.join("data/orders").join(name)).unwrap();
        for batch in ParquetRecordBatchReaderBuilder::try_new(file)
            .unwrap()
            .build()
            .unwrap()
        {
            let batch = batch.unwrap();
            let column = batch.column_by_name("order_id").unwrap();
            let column = column.as_any().downcast_ref::<StringArray>().unwrap();
            ids.extend((0..column.len()).map(|row| column.value(row).to_owned()));
        }
    }
    ids
}

fn message_ids(lines: &[String]) -> Vec<String> {
    let parse = |line: &String| serde_json::from_str::<serde_json::Value>(line).unwrap();
    lines
        .iter()
        .map(|line| parse(line)["message_id"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn equal_options_give_equal_bytes_and_other_seeds_other_ones() {
    let (one, two, three) = (
        tempfile::tempdir().unwrap(),
        tempfile::tempdir().unwrap(),
        tempfile::tempdir().unwrap(),
    );
    for dir in [&one, &two] {
        generate(dir.path(), &options(150)).unwrap();
        generate_day(dir.path(), &options(150), 1).unwrap();
    }
    assert_eq!(files(one.path()), files(two.path()));
    generate(
        three.path(),
        &ShopOptions {
            seed: 12,
            ..options(150)
        },
    )
    .unwrap();
    let (one, three) = (files(one.path()), files(three.path()));
    assert_ne!(
        one["data/events/part-00000.ndjson.gz"],
        three["data/events/part-00000.ndjson.gz"]
    );
}

#[test]
fn a_person_does_the_same_whatever_the_number_of_persons() {
    let (small, large) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    generate(small.path(), &options(40)).unwrap();
    generate(large.path(), &options(60)).unwrap();
    let (small, large) = (
        lines(small.path(), "data/events"),
        lines(large.path(), "data/events"),
    );
    assert_eq!(small, large[..small.len()]);
}

#[test]
fn the_summary_counts_the_rows_and_the_truth_has_each_record_once() {
    let dir = tempfile::tempdir().unwrap();
    let summary = generate(dir.path(), &options(300)).unwrap();
    let events = lines(dir.path(), "data/events");
    let ids = message_ids(&events);
    let distinct: HashSet<&String> = ids.iter().collect();
    assert_eq!(
        events.len() as u64,
        summary.events + summary.repeated_events
    );
    assert_eq!(distinct.len() as u64, summary.events);
    assert!(summary.repeated_events > 0);
    assert_eq!(
        lines(dir.path(), "data/contacts").len() as u64,
        summary.contacts
    );
    assert_eq!(
        lines(dir.path(), "data/email_events").len() as u64,
        summary.email_events
    );
    assert_eq!(
        lines(dir.path(), "data/consents").len() as u64,
        summary.consents
    );
    let orders = order_ids(dir.path());
    assert_eq!(orders.len() as u64, summary.orders);
    assert_eq!((summary.persons, summary.malformed), (300, 0));

    let truth = lines(dir.path(), "truth");
    let keys: BTreeSet<(&str, &str)> = truth
        .iter()
        .map(|line| {
            let mut fields = line.split(',');
            (fields.next().unwrap(), fields.next().unwrap())
        })
        .collect();
    assert_eq!(keys.len(), truth.len());
    let all = summary.events
        + summary.orders
        + summary.contacts
        + summary.email_events
        + summary.consents;
    assert_eq!(truth.len() as u64, all);
    assert!(ids.iter().all(|id| keys.contains(&("web", id.as_str()))));
    assert!(
        orders
            .iter()
            .all(|id| keys.contains(&("orders", id.as_str())))
    );
}

#[test]
fn a_second_call_writes_nothing_and_other_options_replace_the_data() {
    let dir = tempfile::tempdir().unwrap();
    let first = generate(dir.path(), &options(30)).unwrap();
    let kept = dir.path().join("data/orders/part-00000.parquet");
    let written = fs::metadata(&kept).unwrap().modified().unwrap();
    assert_eq!(generate(dir.path(), &options(30)).unwrap(), first);
    assert_eq!(fs::metadata(&kept).unwrap().modified().unwrap(), written);

    generate_day(dir.path(), &options(30), 1).unwrap();
    let other = generate(dir.path(), &options(31)).unwrap();
    assert_eq!(other.persons, 31);
    assert!(!files(dir.path()).keys().any(|name| name.contains("day-")));
    assert!(!files(dir.path()).keys().any(|name| name.ends_with(".tmp")));
}

#[test]
fn an_extra_day_adds_files_of_few_persons_and_leaves_the_history_alone() {
    let dir = tempfile::tempdir().unwrap();
    generate(dir.path(), &options(1_000)).unwrap();
    let before = files(dir.path());
    let day = generate_day(dir.path(), &options(1_000), 1).unwrap();
    let after = files(dir.path());
    assert!(
        before
            .iter()
            .filter(|(name, _)| *name != STAMP)
            .all(|(name, bytes)| after.get(name) == Some(bytes))
    );
    assert_eq!(generate_day(dir.path(), &options(1_000), 1).unwrap(), day);
    assert_eq!(day.persons, 2);
    assert!(day.orders > 0 && day.events > 0);

    let truth = String::from_utf8(after["truth/identities-day-0001.csv"].clone()).unwrap();
    let persons: HashSet<&str> = truth
        .lines()
        .skip(1)
        .filter_map(|line| line.rsplit(',').next())
        .collect();
    assert!((20..110).contains(&persons.len()), "{}", persons.len());
    // All of it happens on that day.
    let text = lines(dir.path(), "data/events");
    let on_the_day = text
        .iter()
        .filter(|line| line.contains("\"sent_at\":\"2026-07-01T"))
        .count() as u64;
    assert_eq!(on_the_day, day.events + day.repeated_events);
    assert!(
        !text
            .iter()
            .any(|line| line.contains("\"sent_at\":\"2026-07-02T"))
    );
}

#[test]
fn a_day_needs_its_history() {
    let dir = tempfile::tempdir().unwrap();
    let error = generate_day(dir.path(), &options(10), 1).unwrap_err();
    assert!(matches!(error, GenerateError::NoHistory { .. }), "{error}");
}

#[test]
fn dirty_data_has_the_broken_lines_that_it_counts() {
    let dir = tempfile::tempdir().unwrap();
    let summary = generate(
        dir.path(),
        &ShopOptions {
            dirty: true,
            ..options(600)
        },
    )
    .unwrap();
    let events = lines(dir.path(), "data/events");
    let broken = events
        .iter()
        .filter(|line| serde_json::from_str::<serde_json::Value>(line).is_err())
        .count();
    let cut = lines(dir.path(), "data/contacts")
        .iter()
        .filter(|line| line.ends_with(",cut"))
        .count();
    assert!(broken > 0);
    assert_eq!((broken + cut) as u64, summary.malformed);
    assert_eq!(
        (events.len() - broken) as u64,
        summary.events + summary.repeated_events
    );
}

#[test]
fn members_can_be_found_by_exact_identifiers() {
    let dir = tempfile::tempdir().unwrap();
    generate(dir.path(), &options(400)).unwrap();
    // A browser that logged in belongs to one account, but for the households'.
    let mut accounts: HashMap<String, BTreeSet<String>> = HashMap::new();
    for line in lines(dir.path(), "data/events") {
        let row: serde_json::Value = serde_json::from_str(&line).unwrap();
        if let Some(user_id) = row["user_id"].as_str() {
            let device = row["anonymous_id"].as_str().unwrap().to_owned();
            accounts
                .entry(device)
                .or_default()
                .insert(user_id.to_owned());
        }
    }
    assert!(accounts.len() > 100);
    let shared: Vec<_> = accounts
        .values()
        .filter(|accounts| accounts.len() > 1)
        .collect();
    assert!(shared.len() <= 400 / 48 + 1);
    assert!(shared.iter().all(|accounts| accounts.len() == 2));
}
