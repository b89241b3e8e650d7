//! Recorded requests and answers against what vendors publish about their interfaces.
//!
//! The vendors' files are not part of this repository; most of them may not be. The folder that has them is named by
//! `KINFOLD_SPECS`. Without it these tests say so and look only at what can be seen without it.

mod breakage;
mod check;
mod document;
mod finding;
mod form;
mod graph;
mod keys;
mod own;
mod record;
mod request;
mod scalars;
mod schema;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use kinfold_destination::SHIPPED;
use regex::Regex;

use check::{Sent, Specifications, Verdict};
use record::Tally;
use table::Entry;

/// The folder of specifications.
fn folder() -> Option<PathBuf> {
    let named = std::env::var_os("KINFOLD_SPECS").filter(|named| !named.is_empty());
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/specs");
    folder_of(named.map(PathBuf::from), &beside)
}

/// One that was named must be there; the other one may be.
fn folder_of(named: Option<PathBuf>, beside: &Path) -> Option<PathBuf> {
    let is_there = |folder: &Path| folder.join("manifest.json").is_file();
    if let Some(named) = named {
        assert!(is_there(&named), "no specifications in {}", named.display());
        return Some(named);
    }
    is_there(beside).then(|| beside.to_owned())
}

/// What was found for a destination, and how it counts.
struct Result {
    tally: Tally,
    wrong: Vec<String>,
    /// What differs from files that are no evidence.
    differences: BTreeSet<String>,
}

async fn check(folder: &Path, entry: &Entry) -> Result {
    let name = &entry.destination;
    let specifications = Specifications::load(folder, entry);
    let mut result = Result {
        tally: Tally::new(folder, entry),
        wrong: Vec::new(),
        differences: BTreeSet::new(),
    };
    let mut used = vec![0_usize; entry.exceptions.len()];
    let mut uncovered = vec![0_usize; entry.uncovered.len()];
    for sent in check::sent(name).await {
        let verdict = specifications.check(&sent.request.method, &sent.request, &sent.answer);
        let url = sent.request.url.split('?').next().unwrap_or_default();
        let listed = entry
            .uncovered
            .iter()
            .position(|one| one.covers(&sent.request.method, url));
        if let Some(listed) = listed {
            uncovered[listed] += 1;
        }
        take(
            &mut result,
            entry,
            &sent,
            verdict,
            listed.is_some(),
            &mut used,
        );
        if listed.is_none() {
            breakage::try_all(&specifications, entry, &sent, &mut result.tally);
        }
    }
    for (exception, times) in entry.exceptions.iter().zip(used) {
        if times == 0 {
            let text = &exception.text;
            result
                .wrong
                .push(format!("{name}: nothing needs the exception {text}"));
        }
    }
    for (one, times) in entry.uncovered.iter().zip(uncovered) {
        if times == 0 {
            result
                .wrong
                .push(format!("{name}: nothing is sent to {}", one.text));
        }
    }
    result
}

/// Counts a request and keeps what is wrong with it.
fn take(
    result: &mut Result,
    entry: &Entry,
    sent: &Sent,
    verdict: Verdict,
    listed: bool,
    used: &mut [usize],
) {
    let name = format!(
        "{}: {}, call {}",
        entry.destination, sent.exchange, sent.call
    );
    let place = format!("{name}: {}", sent.request.method);
    let Verdict::Checked {
        evidence,
        operation,
        request,
        answer,
    } = verdict
    else {
        result.tally.uncovered += 1;
        if !listed && entry.none.is_none() {
            let url = &sent.request.url;
            result.wrong.push(format!(
                "{place} {url}: no specification, and no reason why"
            ));
        }
        return;
    };
    let missing = request.iter().any(|finding| finding.at == "address");
    if listed {
        result.tally.uncovered += 1;
        if !missing {
            result
                .wrong
                .push(format!("{place} {operation}: is described after all"));
        }
        return;
    }
    let described = answer.is_some();
    let mut left = |findings: Vec<finding::Finding>| -> Vec<String> {
        let mut left = Vec::new();
        for finding in findings {
            let exception = entry
                .exceptions
                .iter()
                .position(|exception| exception.covers(&sent.exchange, &operation, &finding));
            match exception {
                Some(exception) => used[exception] += 1,
                None => left.push(format!(
                    "{name}: {operation}: {} [{}]: {}",
                    finding.at, finding.rule, finding.message
                )),
            }
        }
        left
    };
    let request = left(request);
    let answer = left(answer.unwrap_or_default());
    let tally = &mut result.tally;
    if evidence {
        tally.requests += 1;
        tally.invalid += usize::from(!request.is_empty());
        tally.answers += usize::from(described);
        tally.invalid_answers += usize::from(!answer.is_empty());
        result.wrong.extend(request);
        result.wrong.extend(answer);
    } else {
        tally.third_party += 1;
        // The same of every item, and of every call, is one difference.
        let call = Regex::new(r"^.*?, call \d+: ").unwrap();
        let position = Regex::new(r"/\d+").unwrap();
        for text in request.iter().chain(&answer) {
            let text = call.replace(text, "");
            let text = position.replace_all(&text, "/*");
            result.differences.insert(text.into_owned());
        }
    }
}

#[tokio::test]
async fn requests_and_answers_are_as_the_vendors_describe_them() {
    let table = table::read();
    let Some(folder) = folder() else {
        record::say("specifications of vendors: NOT CHECKED, KINFOLD_SPECS does not name a folder");
        return;
    };
    let mut tallies = BTreeMap::new();
    let mut wrong = Vec::new();
    for entry in &table {
        let result = check(&folder, entry).await;
        record::say(&result.tally.line(&entry.destination));
        for difference in &result.differences {
            record::say(&format!("  no evidence: {difference}"));
        }
        wrong.extend(result.wrong);
        wrong.extend(result.tally.too_weak(&entry.destination));
        tallies.insert(entry.destination.clone(), result.tally);
    }
    record::say(&record::sum(tallies.values()));
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
    record::is_fresh(&record::page(&table, &tallies));
}

#[test]
fn every_shipped_destination_has_a_specification_or_a_reason() {
    let table = table::read();
    let named: Vec<&str> = table
        .iter()
        .map(|entry| entry.destination.as_str())
        .collect();
    let shipped: Vec<&str> = SHIPPED.iter().map(|shipped| shipped.name).collect();
    assert_eq!(named, shipped);
}

/// What is written down adds up to what is recorded, with or without the vendors' files.
#[tokio::test]
async fn the_record_counts_every_request() {
    let record = record::written();
    for shipped in SHIPPED {
        let count = |key: &str| record::count(&record, shipped.name, key);
        let sent = check::sent(shipped.name).await.len();
        let counted = count("requests") + count("third_party") + count("uncovered");
        assert_eq!(counted, sent, "{}", shipped.name);
        assert_eq!(count("invalid"), 0, "{}", shipped.name);
        assert_eq!(count("invalid_answers"), 0, "{}", shipped.name);
    }
}

#[test]
fn without_the_folder_nothing_is_checked() {
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(folder_of(None, empty.path()), None);
    std::fs::write(empty.path().join("manifest.json"), "[]").unwrap();
    let named = Some(empty.path().to_owned());
    assert_eq!(folder_of(None, empty.path()), named);
    assert_eq!(folder_of(named.clone(), Path::new("nowhere")), named);
}

#[test]
#[should_panic(expected = "no specifications in")]
fn a_named_folder_must_be_there() {
    let empty = tempfile::tempdir().unwrap();
    let _ = folder_of(Some(empty.path().to_owned()), empty.path());
}

#[test]
#[should_panic(expected = "v3.json")]
fn a_file_of_the_table_must_be_in_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("manifest.json"), "[]").unwrap();
    let _ = Specifications::load(folder.path(), &table::read()[0]);
}
