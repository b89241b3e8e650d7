//! Row indices: they find what the rows hold, and nothing depends on whether they are there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, ArrayRef, AsArray as _, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use futures::StreamExt as _;
use kinfold_lake::{
    IndexColumn, IndexColumns, IndexedFile, Lake, LakeError, Needles, Snapshot, Vacuum, Width,
};
use uuid::Uuid;

use crate::support::{local_lake, note, stream, table};

const TABLE: &str = "main/t";
const INDEX: IndexColumns = &[
    IndexColumn::Hash {
        of: &["kind", "value"],
        width: Width::Twelve,
    },
    IndexColumn::Uuid {
        of: "id",
        width: Width::Sixteen,
    },
];

fn schema() -> SchemaRef {
    let text = |name| Field::new(name, DataType::Utf8, true);
    Arc::new(Schema::new(vec![text("kind"), text("value"), text("id")]))
}

fn id(n: usize) -> Uuid {
    Uuid::from_u128((n as u128 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835))
}

fn kind(n: usize) -> &'static str {
    ["email", "phone"][n % 2]
}

fn rows(range: std::ops::Range<usize>) -> RecordBatch {
    let text = |of: &dyn Fn(usize) -> Option<String>| -> ArrayRef {
        Arc::new(range.clone().map(of).collect::<StringArray>())
    };
    let columns = vec![
        text(&|n| Some(kind(n).to_owned())),
        text(&|n| (n % 10 != 9).then(|| format!("value {n}"))),
        text(&|n| Some(id(n / 3).to_string())),
    ];
    RecordBatch::try_new(schema(), columns).unwrap()
}

/// Rows in two files, of more than one block each.
const FILES: [std::ops::Range<usize>; 2] = [0..150_000, 150_000..290_000];

async fn lake_of(folder: &Path, index: IndexColumns) -> (Lake, Snapshot) {
    let lake = local_lake(folder).await;
    let input = FILES.map(|range| stream(vec![rows(range)]));
    lake.overwrite_indexed(&table(TABLE), schema(), input.into(), index, note("t", 1))
        .await
        .unwrap();
    let snapshot = newest(&lake).await;
    (lake, snapshot)
}

async fn newest(lake: &Lake) -> Snapshot {
    lake.snapshot(&table(TABLE), None).await.unwrap().unwrap()
}

async fn files_of(lake: &Lake, snapshot: &Snapshot) -> Vec<Arc<IndexedFile>> {
    let files = lake.indexed_files(&table(TABLE), snapshot, INDEX).await;
    let mut files = files.unwrap();
    files.sort_by_key(|file| file.file().to_owned());
    files
}

/// The values that are found for these row numbers, by texts and then by ids.
async fn found(files: &[Arc<IndexedFile>], wanted: &[usize]) -> [Vec<String>; 2] {
    let mut by_text = Vec::new();
    let mut by_id = Vec::new();
    for file in files {
        let texts: Vec<String> = wanted.iter().map(|n| format!("value {n}")).collect();
        let texts = wanted.iter().zip(&texts);
        let texts: Vec<[&str; 2]> = texts.map(|(n, value)| [kind(*n), value.as_str()]).collect();
        let needles = Arc::new(Needles::hashes(file.key(), Width::Twelve, &texts));
        by_text.extend(values(file, 0, &needles, wanted).await);
        let ids = wanted.iter().map(|n| id(n / 3).as_u128());
        let needles = Arc::new(Needles::uuids(Width::Sixteen, ids));
        by_id.extend(values(file, 1, &needles, wanted).await);
    }
    by_text.sort();
    by_id.sort();
    [by_text, by_id]
}

async fn values(
    file: &IndexedFile,
    column: usize,
    needles: &Arc<Needles>,
    wanted: &[usize],
) -> Vec<String> {
    let found = file.find(column, needles).await.unwrap();
    if found.is_empty() {
        return Vec::new();
    }
    let places: Vec<u64> = found.iter().map(|found| found.place).collect();
    let ids = file.kept(1, &places).await.unwrap();
    let mut stream = file.rows_at(places, &["value", "id"]).await.unwrap();
    let (mut values, mut at) = (Vec::new(), 0);
    while let Some(batch) = stream.next().await {
        let batch = batch.unwrap();
        let (texts, stored) = (batch.column(0).as_string::<i32>(), batch.column(1));
        for row in 0..batch.num_rows() {
            let value = texts.is_valid(row).then(|| texts.value(row));
            let needle = found[at].needle;
            if column == 0 {
                assert_eq!(value, Some(format!("value {}", wanted[needle]).as_str()));
            }
            let of_row = stored.as_string::<i32>().value(row);
            assert_eq!(Uuid::from_bytes(ids[at]).to_string(), of_row);
            values.push(value.unwrap_or("none").to_owned());
            at += 1;
        }
    }
    assert_eq!(at, found.len());
    values
}

fn expected(wanted: &[usize], gone: &[usize]) -> [Vec<String>; 2] {
    let all = FILES[1].end;
    let there = |n: &usize| *n < all && !gone.contains(n);
    let value = |n: usize| match n % 10 {
        9 => "none".to_owned(),
        _ => format!("value {n}"),
    };
    let texts = wanted.iter().copied().filter(|n| there(n) && n % 10 != 9);
    let mut by_text: Vec<String> = texts.map(value).collect();
    let groups: std::collections::BTreeSet<usize> = wanted.iter().map(|n| n / 3).collect();
    let of_ids = groups.iter().flat_map(|group| group * 3..group * 3 + 3);
    let mut by_id: Vec<String> = of_ids.filter(there).map(value).collect();
    by_text.sort();
    by_id.sort();
    [by_text, by_id]
}

const WANTED: [usize; 9] = [0, 5, 19, 65_535, 65_536, 149_999, 150_000, 289_999, 400_000];

fn index_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder.join(TABLE)).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "index"));
    paths.sort();
    paths
}

#[tokio::test]
async fn what_rows_hold_is_found_in_all_files() {
    let folder = tempfile::tempdir().unwrap();
    let (lake, snapshot) = lake_of(folder.path(), INDEX).await;
    assert_eq!(index_files(folder.path()).len(), 2);
    let files = files_of(&lake, &snapshot).await;
    assert_eq!(found(&files, &WANTED).await, expected(&WANTED, &[]));
    assert_eq!(found(&files, &[]).await, expected(&[], &[]));

    // Rows that are deleted are not found.
    let gone: BTreeMap<String, Vec<u64>> =
        BTreeMap::from([(files[0].file().to_owned(), vec![0, 65_536])]);
    let note = note("patch", 1);
    lake.patch(&table(TABLE), &snapshot, &gone, vec![], INDEX, note)
        .await
        .unwrap();
    let files = files_of(&lake, &newest(&lake).await).await;
    assert_eq!(
        found(&files, &WANTED).await,
        expected(&WANTED, &[0, 65_536])
    );

    let needles = Arc::new(Needles::uuids(Width::Four, std::iter::once(1)));
    let wrong = files[0].find(1, &needles).await;
    assert!(matches!(wrong, Err(LakeError::Corrupt { .. })));
}

#[tokio::test]
async fn an_index_that_is_of_no_use_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (lake, snapshot) = lake_of(folder.path(), INDEX).await;
    let [one, other] = <[PathBuf; 2]>::try_from(index_files(folder.path())).unwrap();
    let whole = std::fs::read(&one).unwrap();
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 4;
        bytes
    };
    let damages: Vec<(&str, Option<Vec<u8>>)> = vec![
        ("missing", None),
        ("empty", Some(Vec::new())),
        ("short", Some(whole[..whole.len() / 2].to_vec())),
        ("cut off at the beginning", Some(whole[100..].to_vec())),
        ("of another file", Some(std::fs::read(&other).unwrap())),
        ("with another hash", Some(flipped(3))),
        ("with another id", Some(flipped(65_536 * 12 + 5))),
        ("with another footer", Some(flipped(whole.len() - 60))),
        ("with another end", Some(flipped(whole.len() - 1))),
    ];
    for (damage, bytes) in damages {
        match &bytes {
            Some(bytes) => std::fs::write(&one, bytes).unwrap(),
            None => std::fs::remove_file(&one).unwrap(),
        }
        let files = files_of(&lake, &snapshot).await;
        assert_eq!(
            found(&files, &WANTED).await,
            expected(&WANTED, &[]),
            "{damage}"
        );
        let files = files_of(&lake, &snapshot).await;
        let made = std::fs::read(&one).unwrap();
        assert_ne!(Some(&made), bytes.as_ref(), "{damage}");
        let again = found(&files, &WANTED).await;
        assert_eq!(again, expected(&WANTED, &[]), "{damage}");
        assert!(made == std::fs::read(&one).unwrap(), "{damage}: made twice");
        std::fs::write(&one, &whole).unwrap();
    }

    // An index of other columns, and none at all.
    for index in [&INDEX[1..], &[]] {
        let folder = tempfile::tempdir().unwrap();
        let (lake, snapshot) = lake_of(folder.path(), index).await;
        let files = files_of(&lake, &snapshot).await;
        assert_eq!(found(&files, &WANTED).await, expected(&WANTED, &[]));
        assert_eq!(index_files(folder.path()).len(), 2);
    }
}

#[tokio::test]
async fn an_index_goes_with_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let (lake, _) = lake_of(folder.path(), INDEX).await;
    let before = index_files(folder.path());
    let input = vec![stream(vec![rows(0..10)])];
    lake.overwrite_indexed(&table(TABLE), schema(), input, INDEX, note("t", 2))
        .await
        .unwrap();
    let vacuum = async |retention| {
        let vacuum = Vacuum {
            retention,
            ..Vacuum::default()
        };
        lake.vacuum(&table(TABLE), vacuum).await.unwrap().files
    };
    // Whoever reads the version before may still want them.
    assert_eq!(vacuum(Duration::from_secs(3600)).await, 0);
    assert_eq!(index_files(folder.path()).len(), 3);
    // Two data files and their indices.
    assert_eq!(vacuum(Duration::ZERO).await, 4);
    let left = index_files(folder.path());
    assert!(left.len() == 1 && !before.contains(&left[0]));
    let files = files_of(&lake, &newest(&lake).await).await;
    assert_eq!(found(&files, &[5]).await[0], ["value 5"]);
}

#[tokio::test]
async fn two_writes_of_a_value_have_nothing_in_common() {
    let [one, other] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let mut keys = Vec::new();
    let mut stored = Vec::new();
    for folder in [&one, &other] {
        let (lake, snapshot) = lake_of(folder.path(), &INDEX[..1]).await;
        let files = lake
            .indexed_files(&table(TABLE), &snapshot, &INDEX[..1])
            .await
            .unwrap();
        keys.push(*files[0].key());
        stored.push(std::fs::read(&index_files(folder.path())[0]).unwrap());
    }
    assert_ne!(keys[0], keys[1]);
    let hashes = |bytes: &[u8]| -> std::collections::HashSet<[u8; 12]> {
        let (rows, _) = bytes.as_chunks::<12>();
        rows.iter().take(140_000).copied().collect()
    };
    assert!(hashes(&stored[0]).is_disjoint(&hashes(&stored[1])));
}
