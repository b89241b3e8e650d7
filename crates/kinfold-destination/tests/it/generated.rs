//! Generated files are fresh. `KINFOLD_WRITE_GENERATED=1` writes them.

use std::path::Path;

use kinfold_destination::{SHIPPED, reference, shipped};

fn is_fresh(path: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path);
    if std::env::var_os("KINFOLD_WRITE_GENERATED").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == text,
        "{} is not fresh: run this test with KINFOLD_WRITE_GENERATED=1",
        path.display()
    );
}

#[test]
fn the_reference_is_fresh() {
    is_fresh("docs/reference/manifest.md", &reference::page());
}

#[test]
fn the_schema_is_fresh() {
    let schema = serde_json::to_string_pretty(&reference::schema()).unwrap();
    is_fresh(
        "docs/reference/manifest.schema.json",
        &format!("{schema}\n"),
    );
}

#[test]
fn the_pages_of_destinations_are_fresh() {
    for destination in SHIPPED {
        let manifest = shipped(destination.name)
            .and_then(|folder| folder.manifest)
            .unwrap();
        let path = format!("docs/destinations/{}.md", destination.name);
        is_fresh(&path, &reference::destination_page(&manifest));
    }
}
