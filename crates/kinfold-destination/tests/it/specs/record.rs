//! What was found, written down: `tests/specs.yml`.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use kinfold_project::{SourceMap, yaml};
use serde_json::Value;

use super::check::class;
use super::table::Entry;

/// Numbers of a destination.
#[derive(Default)]
pub struct Tally {
    /// Classes of the files: `A` to `D`.
    pub classes: Vec<String>,
    /// Requests that were checked against files of the vendor.
    pub requests: usize,
    /// Requests of those with something wrong.
    pub invalid: usize,
    /// Answers that the vendor's files describe.
    pub answers: usize,
    /// Answers of those with something wrong.
    pub invalid_answers: usize,
    /// Requests that were checked against files that are no evidence.
    pub third_party: usize,
    /// Requests that no file describes.
    pub uncovered: usize,
    /// Entries of the table for mistakes of the files.
    pub exceptions: usize,
    /// Requests that were broken on purpose.
    pub broken: usize,
    /// Those of them that were found out.
    pub caught: usize,
    /// Those of them whose address names nothing, and that were found out.
    pub caught_addresses: usize,
}

impl Tally {
    pub fn new(folder: &Path, entry: &Entry) -> Self {
        let mut classes: Vec<String> = entry
            .files
            .iter()
            .map(|file| class(folder, &file.path))
            .collect();
        classes.sort();
        classes.dedup();
        Self {
            classes,
            exceptions: entry.exceptions.len(),
            ..Self::default()
        }
    }

    /// Why this proves nothing: requests that are broken are not found out.
    pub fn too_weak(&self, destination: &str) -> Option<String> {
        let addresses = self.caught_addresses < 2 * self.requests;
        let others = self.requests > 0 && self.caught <= self.caught_addresses;
        (addresses || others).then(|| {
            let Self { caught, broken, .. } = self;
            format!("{destination}: only {caught} of {broken} broken requests are found out")
        })
    }

    pub fn line(&self, destination: &str) -> String {
        format!(
            "{destination} [{}]: {} requests, {} invalid; {} answers, {} invalid; {} third-party, {} uncovered; \
             {} exceptions; {} of {} broken requests caught",
            self.classes.join(" "),
            self.requests,
            self.invalid,
            self.answers,
            self.invalid_answers,
            self.third_party,
            self.uncovered,
            self.exceptions,
            self.caught,
            self.broken
        )
    }
}

/// All numbers in one line.
pub fn sum<'a>(tallies: impl Iterator<Item = &'a Tally>) -> String {
    let mut all = Tally::default();
    for tally in tallies {
        all.requests += tally.requests;
        all.invalid += tally.invalid;
        all.answers += tally.answers;
        all.invalid_answers += tally.invalid_answers;
        all.third_party += tally.third_party;
        all.uncovered += tally.uncovered;
        all.exceptions += tally.exceptions;
        all.broken += tally.broken;
        all.caught += tally.caught;
    }
    all.line("all")
}

/// The text of the record.
pub fn page(table: &[Entry], tallies: &BTreeMap<String, Tally>) -> String {
    let mut page = "# Generated: recorded requests and answers against the vendors' published specifications.\n\
         # KINFOLD_WRITE_GENERATED=1 KINFOLD_SPECS=<folder> cargo test -p kinfold-destination --test it specs\n\
         #\n\
         # classes: A of the vendor, B the vendor's in somebody else's repository, C made by others of the vendor's\n\
         # collection or pages, D written by others and no evidence. requests and answers: checked against A to C;\n\
         # third_party: checked against D only; uncovered: described by no file; exceptions: mistakes of the files,\n\
         # each with its reason in tests/it/specs/table.yml; caught: broken on purpose and found out, of so many.\n"
        .to_owned();
    for entry in table {
        let tally = &tallies[&entry.destination];
        page.push_str(&format!("{}:\n", entry.destination));
        match (&entry.title, &entry.none) {
            (Some(title), _) => page.push_str(&format!(
                "  specification: {}\n  classes: [{}]\n",
                Value::from(title.as_str()),
                tally.classes.join(", ")
            )),
            (None, reason) => page.push_str(&format!(
                "  none: {}\n",
                Value::from(reason.as_deref().unwrap_or_default().trim())
            )),
        }
        let counts = [
            ("requests", tally.requests),
            ("invalid", tally.invalid),
            ("answers", tally.answers),
            ("invalid_answers", tally.invalid_answers),
            ("third_party", tally.third_party),
            ("uncovered", tally.uncovered),
            ("exceptions", tally.exceptions),
            ("caught", tally.caught),
            ("broken", tally.broken),
        ];
        let counts = counts.map(|(key, count)| format!("{key}: {count}"));
        page.push_str(&format!("  counts: {{{}}}\n", counts.join(", ")));
    }
    page
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/specs.yml")
}

/// Compares the record with what was found; `KINFOLD_WRITE_GENERATED=1` writes it.
pub fn is_fresh(page: &str) {
    if std::env::var_os("KINFOLD_WRITE_GENERATED").is_some() {
        std::fs::write(path(), page).unwrap();
    }
    let found = std::fs::read_to_string(path()).unwrap_or_default();
    assert!(
        found == page,
        "{} is not fresh: run this test with KINFOLD_WRITE_GENERATED=1",
        path().display()
    );
}

/// The record as it is checked in.
pub fn written() -> Value {
    let text = std::fs::read_to_string(path()).unwrap();
    let mut files = SourceMap::default();
    let file = files.add("specs.yml", text.as_str());
    let mut problems = Vec::new();
    let value = yaml::read(&text, file, &mut problems).unwrap();
    assert!(problems.is_empty(), "{problems:?}");
    value.to_json()
}

/// A number of the record.
pub fn count(record: &Value, destination: &str, key: &str) -> usize {
    let count = record[destination]["counts"][key].as_u64();
    let count = count.unwrap_or_else(|| panic!("{destination}: no {key}"));
    usize::try_from(count).unwrap()
}

/// Says something on stderr, past the capture of tests: what was not checked must be seen.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
