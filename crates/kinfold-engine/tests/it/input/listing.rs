//! Which files belong to a source, and when they count as changed.

use super::{CSV, folder, source, write};
use kinfold_engine::input::{self, InputError};
use kinfold_project::model::StorageOptions;
use kinfold_project::{SourceFormat, SourceLocation};

async fn list(root: &std::path::Path, location: &str) -> Result<Vec<String>, InputError> {
    let source = source(location, CSV, &[]);
    let files = input::list(root, &source, &StorageOptions::default()).await?;
    Ok(files.files.into_iter().map(|file| file.path).collect())
}

#[tokio::test]
async fn patterns() {
    let names = [
        "a.csv",
        "b.csv",
        "b.txt",
        "_part.csv",
        ".hidden.csv",
        "d/a.csv",
        "d/e/a.csv",
        "d/_tmp/a.csv",
        "d/ab.csv",
        "d/x[1].csv",
        "_raw/a.csv",
        "data é/ü.csv",
    ];
    let files: Vec<(&str, &[u8])> = names
        .iter()
        .map(|name| (*name, b"id\n".as_slice()))
        .collect();
    let root = folder(&files);
    let absolute = root.path().join("d").display().to_string();
    let cases: [(&str, &[&str]); 14] = [
        ("a.csv", &["a.csv"]),
        ("*.csv", &["a.csv", "b.csv"]),
        ("./*.csv", &["./a.csv", "./b.csv"]),
        ("d/*.csv", &["d/a.csv", "d/ab.csv", "d/x[1].csv"]),
        ("d/../*.csv", &["d/../a.csv", "d/../b.csv"]),
        (
            "**/*.csv",
            &[
                "a.csv",
                "b.csv",
                "d/a.csv",
                "d/ab.csv",
                "d/e/a.csv",
                "d/x[1].csv",
                "data é/ü.csv",
            ],
        ),
        ("d/**/a.csv", &["d/a.csv", "d/e/a.csv"]),
        ("d/a?.csv", &["d/ab.csv"]),
        ("{a,b}.{csv,txt}", &["a.csv", "b.csv", "b.txt"]),
        ("{d/e,d}/a.csv", &["d/a.csv", "d/e/a.csv"]),
        ("[a-b].csv", &["a.csv", "b.csv"]),
        ("d/x[1].csv", &["d/x[1].csv"]),
        ("_raw/*.csv", &["_raw/a.csv"]),
        ("data é/*", &["data é/ü.csv"]),
    ];
    for (location, expected) in cases {
        assert_eq!(
            list(root.path(), location).await.unwrap(),
            expected,
            "{location}"
        );
    }
    let found = list(root.path(), &format!("{absolute}/*.csv"))
        .await
        .unwrap();
    assert_eq!(found.first(), Some(&format!("{absolute}/a.csv")));
}

#[tokio::test]
async fn nothing_there_is_an_error_that_names_the_place() {
    let root = folder(&[("d/a.csv", b"id\n")]);
    let cases = [
        ("b.csv", "there is no file `b.csv`"),
        ("d/a.csv/b.csv", "there is no file `d/a.csv/b.csv`"),
        ("*.csv", "no file matches `*.csv`"),
        ("nowhere/**/*.csv", "no file matches `nowhere/**/*.csv`"),
        ("d", "`d` is a folder"),
        ("[", "`[` is not a valid pattern"),
        (
            "gs://b/a.csv",
            "`gs://b/a.csv` is neither a path nor an `s3://bucket/key` address",
        ),
    ];
    for (location, expected) in cases {
        let error = list(root.path(), location).await.unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    let missing = list(root.path(), "b.csv").await.unwrap_err();
    assert_eq!(
        missing.help(),
        Some("paths are relative to the project's root")
    );
    let delta = source("d", SourceFormat::Delta, &[]);
    let error = input::list(root.path(), &delta, &StorageOptions::default())
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "`d` is not made of files");
    let mut lake = source("d", CSV, &[]);
    lake.location = SourceLocation::Lake;
    assert!(
        input::list(root.path(), &lake, &StorageOptions::default())
            .await
            .is_err()
    );
}

#[cfg(unix)]
#[tokio::test]
async fn links_are_followed_and_circles_end() {
    use std::os::unix::fs::symlink;
    let root = folder(&[("d/e/a.csv", b"id\n")]);
    symlink(root.path().join("d"), root.path().join("d/e/up")).unwrap();
    symlink(root.path().join("d/e/a.csv"), root.path().join("d/b.csv")).unwrap();
    assert_eq!(
        list(root.path(), "d/**/*.csv").await.unwrap(),
        ["d/b.csv", "d/e/a.csv"]
    );
    symlink(root.path().join("gone"), root.path().join("d/c.csv")).unwrap();
    let error = list(root.path(), "d/**/*.csv").await.unwrap_err();
    assert_eq!(error.to_string(), "cannot read `d/c.csv`");
}

#[tokio::test]
async fn identity_is_content_and_name() {
    let root = folder(&[("d/a.csv", b"id\n1\n"), ("d/b.csv", b"id\n2\n")]);
    let files = async || {
        let source = source("d/*.csv", CSV, &[]);
        input::list(root.path(), &source, &StorageOptions::default())
            .await
            .unwrap()
    };
    let before = files().await;
    assert_eq!(before.bytes(), 10);
    write(root.path(), "d/a.csv", b"id\n1\n");
    assert_eq!(files().await.identity(), before.identity());
    write(root.path(), "d/a.csv", b"id\n3\n");
    let changed = files().await;
    assert_ne!(changed.identity(), before.identity());
    assert_eq!(changed.files.last(), before.files.last());
    std::fs::rename(root.path().join("d/b.csv"), root.path().join("d/c.csv")).unwrap();
    let renamed = files().await;
    assert_ne!(renamed.identity(), changed.identity());
    let text = serde_json::to_string(&renamed.files).unwrap();
    let back: Vec<input::InputFile> = serde_json::from_str(&text).unwrap();
    assert_eq!(back, renamed.files);
}
