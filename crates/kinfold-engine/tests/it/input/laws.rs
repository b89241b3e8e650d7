//! `records = landed + quarantined`, and what is good is never lost, for any text.

use super::{CSV, Read, drain, folder, session, source};
use kinfold_engine::input;
use kinfold_project::SourceFormat;
use kinfold_project::model::StorageOptions;
use proptest::prelude::*;

fn run(location: &str, format: SourceFormat, columns: &[(&str, &str)], text: &[u8]) -> Read {
    let root = folder(&[(location, text)]);
    let source = source(location, format, columns);
    let storage = StorageOptions::default();
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(async {
            let files = input::list(root.path(), &source, &storage).await.unwrap();
            let schema = input::columns(root.path(), &source, &files, &storage, &session())
                .await
                .unwrap();
            // `drain` compares the counters with what came out of the streams.
            drain(root.path(), &source, &files, schema, &storage)
                .await
                .unwrap()
        })
}

fn fragments(from: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(from), 0..60)
        .prop_map(|parts| parts.concat().into_bytes())
}

fn good_or_bad() -> impl Strategy<Value = Vec<(bool, String)>> {
    let bad = prop::sample::select(vec![
        "x,1",
        "1",
        "1,2,3",
        "\"a\"b,1",
        "9999999999999999999,\"\"",
    ]);
    let good = any::<i64>().prop_map(|id| format!("{id},\"na\"\"me,\n{id}\""));
    let record = prop_oneof![
        good.prop_map(|text| (true, text)),
        bad.prop_map(|text| (false, text.to_owned()))
    ];
    prop::collection::vec(record, 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn csv_of_any_fragments_adds_up(text in fragments(&[
        "1", "x", ",", "\"", "\"\"", "\n", "\r\n", "\r", " ", "é", ",2\n", "\"a\nb\",3\n", "\u{feff}", "2024-01-01",
    ])) {
        let mut file = b"id,name\n".to_vec();
        file.extend(&text);
        let read = run("a.csv", CSV, &[("id", "bigint"), ("name", "varchar")], &file);
        let lines = text.split(|byte| *byte == b'\n').count() as u64;
        prop_assert!(read.counts.records() <= lines);
        if text.iter().any(u8::is_ascii_digit) {
            prop_assert!(read.counts.records() > 0);
        }
    }

    #[test]
    fn ndjson_of_any_fragments_adds_up(text in fragments(&[
        "{", "}", "[", "]", "\"id\"", ":", ",", "1", "\"a\\\"", "null", "\n", "{\"id\": 1}\n", "{\"id\": {}}\n", "\\u12", "é", " ",
    ])) {
        let read = run("a.ndjson", SourceFormat::Ndjson, &[("id", "bigint"), ("more", "varchar")], &text);
        let records = text.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).count();
        prop_assert_eq!(read.counts.records(), records as u64);
        for line in text.split(|byte| *byte == b'\n') {
            if line == b"{\"id\": 1}" {
                prop_assert!(read.counts.landed() > 0);
            }
        }
    }

    #[test]
    fn any_bytes_add_up(text in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut file = b"id,name\n".to_vec();
        file.extend(&text);
        run("a.csv", CSV, &[("id", "bigint"), ("name", "varchar")], &file);
        if !matches!(text.get(..2), Some([0xff, 0xfe] | [0xfe, 0xff])) {
            run("a.ndjson", SourceFormat::Ndjson, &[("id", "bigint")], &text);
        }
    }

    #[test]
    fn good_records_land_among_bad_ones_and_lines_are_true(records in good_or_bad()) {
        let mut file = String::from("id,name\n");
        let (mut line, mut bad, mut good) = (2_i64, vec![], vec![]);
        for (is_good, text) in &records {
            file.push_str(text);
            file.push('\n');
            if *is_good {
                let id = text.split(',').next().unwrap();
                good.push(format!("{id}|na\"me,\n{id}"));
            } else {
                bad.push(line);
            }
            line += 1 + text.matches('\n').count() as i64;
        }
        let read = run("a.csv", CSV, &[("id", "bigint"), ("name", "varchar")], file.as_bytes());
        prop_assert_eq!(read.lines(), good);
        let lines: Vec<i64> = read.reasons().into_iter().map(|(_, line, _)| line).collect();
        prop_assert_eq!(lines, bad);
    }
}
