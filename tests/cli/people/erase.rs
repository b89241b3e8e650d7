//! Somebody is erased, and no file of the tables with canonical ids has a trace.

use std::fs;
use std::path::{Path, PathBuf};

use arrow::util::display::{ArrayFormatter, FormatOptions};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};

use super::{PEOPLE, files, id_of, one, replace, rows, run};
use crate::program::{folder, repository, write};

/// The files in which a text is, as bytes or, of a Parquet file, in any cell of any column.
pub(crate) fn with_text(folder: &Path, text: &str) -> Vec<PathBuf> {
    let found = files(folder).into_iter().filter(|path| {
        let bytes = fs::read(path).unwrap();
        let as_bytes = bytes
            .windows(text.len())
            .any(|part| part == text.as_bytes());
        as_bytes || (path.extension().is_some_and(|e| e == "parquet") && has_cell(path, text))
    });
    found.collect()
}

/// Row indices that are left of files which are gone.
pub(crate) fn lonely_indices(folder: &Path) -> Vec<PathBuf> {
    let left = files(folder).into_iter().filter(|path| {
        path.extension().is_some_and(|end| end == "index") && !path.with_extension("").exists()
    });
    left.collect()
}

fn has_cell(path: &Path, text: &str) -> bool {
    let file = fs::File::open(path).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let options = FormatOptions::default();
    reader.build().unwrap().any(|batch| {
        let batch = batch.unwrap();
        batch.columns().iter().any(|column| {
            let cells = ArrayFormatter::try_new(column, &options).unwrap();
            (0..batch.num_rows()).any(|row| cells.value(row).to_string().contains(text))
        })
    })
}

/// A row without the time of the first observation: the tablet was seen on a row of hers first, which counts no more.
fn timeless(mut row: Value) -> Value {
    if let Some(row) = row.as_object_mut() {
        row.remove("first_seen_at");
    }
    row
}

pub fn somebody_is_erased_and_stays_away() {
    let project = folder();
    write(project.path(), PEOPLE);
    let project = project.path();
    let lake = project.join(".kinfold/lake");
    run(project, &["build"]).ok();
    // Ann and Bob were one for a while, so that there is a past, of both.
    let rules = project.join("models/person.yml");
    replace(&rules, "limit: 1 ever", "limit: 2 ever");
    run(project, &["build"]).ok();
    replace(&rules, "limit: 2 ever", "limit: 1 ever");
    run(project, &["build"]).ok();
    run(project, &["sync"]).ok();
    let ann = id_of(project, "ann");
    let sorted = |relation: &str| -> Vec<Value> {
        let mut all = rows(project, &format!("SELECT * FROM {relation}"));
        all.sort_by_key(ToString::to_string);
        all
    };
    let everybody_else = |relation: &str| -> Vec<Value> {
        let all = sorted(relation).into_iter();
        let hers = |row: &Value| {
            let text = row.to_string();
            let words = ["zyzzyva", "\"ann\"", "\"w1\"", &ann];
            words.iter().any(|word| text.contains(word))
        };
        all.filter(|row| !hers(row)).collect()
    };
    let relations = [
        "person",
        "person__records",
        "person__edges",
        "person__alarms",
        "person__history",
        "person_profile",
        "person_profile__history",
        "known",
        "known__history",
    ];
    let others: Vec<_> = relations.iter().map(|r| everybody_else(r)).collect();
    let erased = ["person", "person_profile", "known"];
    let traces = || -> Vec<PathBuf> {
        let tables = fs::read_dir(lake.join("main")).unwrap();
        let tables = tables.map(|entry| entry.unwrap().path()).filter(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            erased
                .iter()
                .any(|model| name == *model || name.starts_with(&format!("{model}__")))
        });
        let texts = ["zyzzyva"];
        tables
            .flat_map(|table| texts.map(|text| with_text(&table, text)))
            .flatten()
            .collect()
    };
    assert!(traces().len() > 8, "{:?}", traces());

    // Who is nobody, and what is no identity, cannot be erased.
    let erase = |arguments: &[&str]| run(project, &[&["identity", "erase"], arguments].concat());
    erase(&["persn", "user_id:ann"])
        .code(2)
        .says("there is no published identity `persn`")
        .says("did you mean `person`?");
    erase(&["person", "user_id:zoe"])
        .code(2)
        .says("there is no person");
    erase(&["person"]).code(2);

    // A dry run counts, and writes nothing.
    let stored = files(&lake);
    let dry = erase(&["person", "user_id:ann", "--dry-run", "--output", "json"]).ok();
    assert_eq!(files(&lake), stored);
    let done = erase(&["person", "user_id:ann", "--output", "json"]).ok();
    let (dry, done) = (dry.json(), done.json());
    for part in ["people", "identifiers", "records", "tables"] {
        assert_eq!(dry[part], done[part], "{part}");
    }
    assert_eq!((&done["people"], &done["records"]), (&json!(1), &json!(3)));
    // Two addresses, a user, a laptop, and the number that is none.
    assert_eq!(done["identifiers"], 5, "{done}");
    assert_eq!(done["not_searched"], json!(["seed.people.observations"]));
    assert_eq!(done["kept"], json!([]));

    assert_eq!(traces(), Vec::<PathBuf>::new());
    let left: Vec<_> = relations.iter().map(|r| everybody_else(r)).collect();
    for ((relation, left), others) in relations.iter().zip(&left).zip(&others) {
        assert_eq!(left, others, "{relation}");
        assert_eq!(&sorted(relation), left, "{relation}");
    }
    // Only her ids are left, as gone.
    let sql = format!("SELECT canonical_id FROM person__aliases WHERE old_canonical_id = '{ann}'");
    assert_eq!(one(project, &sql), "null");
    run(project, &["profile", "show", &ann]).code(2);
    run(project, &["profile", "show", "user_id:ann"]).code(2);
    let names_her = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap_or_default();
        text.contains("zyzzyva") || text.contains("user_id")
    };
    let lists = files(&lake.join("_kinfold/suppressed"));
    assert_eq!(lists.len(), 1);
    assert!(!lists.iter().any(names_her));

    // Her rows are still in the seed: neither the next build, nor one of everything, nor a row more brings
    // her back, and nobody else is touched.
    let built = run(project, &["build", "--output", "json"]).ok().json();
    let person = |built: &Value| -> Value {
        let nodes = built["nodes"].as_array().unwrap();
        let node = nodes.iter().find(|n| n["id"] == "model.people.person");
        node.unwrap()["status"].clone()
    };
    assert_eq!(person(&built), "built");
    let again = run(project, &["build", "--output", "json"]).ok().json();
    assert_eq!(person(&again), "skipped");
    run(project, &["build", "--full-refresh"]).ok();
    replace(
        &project.join("seeds/observations.csv"),
        "crm,2,user_id,bob,2025-01-01T10:00:00\n",
        "crm,2,user_id,bob,2025-01-01T10:00:00\n\
         web,w9,user_id,ann,2026-02-01T10:00:00\n\
         web,w9,email, Zyzzyva.Ann@Example.org ,2026-02-01T10:00:00\n",
    );
    run(project, &["build"]).ok();
    assert_eq!(traces(), Vec::<PathBuf>::new());
    for ((relation, _), others) in relations.iter().zip(&left).zip(&others) {
        // That a limit kept the two apart is no news any more.
        if !relation.ends_with("__history") && *relation != "person__alarms" {
            let left = sorted(relation).into_iter().map(timeless);
            let others = others.iter().cloned().map(timeless);
            assert!(left.eq(others), "{relation}");
        }
    }
    // Syncs go on, and take her out of the destination.
    let sent = run(project, &["sync", "--output", "json"]).ok();
    assert!(
        sent.stdout.contains("\"removals\":1") || sent.stdout.contains("\"removals\": 1"),
        "{sent:?}"
    );
    // Erasing her once more changes nothing.
    erase(&["person", "user_id:ann"]).ok().says("erased before");
    erase(&["person", &ann]).ok();
}

/// Parameters are learned from people, and hold numbers only.
pub fn what_is_trained_names_nobody() {
    let project = repository().join("examples/linkage/fake_1000");
    let trained = fs::read_to_string(project.join("models/matches.linkage.yml")).unwrap();
    let words: Vec<&str> = trained
        .split(|c: char| !c.is_alphanumeric() && !"@.-_".contains(c))
        .collect();
    let seed = fs::read_to_string(project.join("seeds/fake_1000.csv")).unwrap();
    let mut seen = 0;
    for cell in seed
        .lines()
        .skip(1)
        .flat_map(|line| line.split(',').skip(1))
    {
        // A cluster's number may be any number.
        if !cell.is_empty() && cell.parse::<u64>().is_err() {
            seen += 1;
            assert!(!words.contains(&cell), "{cell}");
        }
    }
    assert!(seen > 3000, "{seen}");
}
