//! Recorded requests and answers against what vendors publish about their interfaces.
//!
//! The vendors' files are not part of this repository; most of them may not be. The folder that has them is named by
//! `KINFOLD_SPECS`. Without it these tests say so and look only at what can be seen without it.

mod breakage;
mod check;
mod document;
mod form;
mod graph;
mod own;
mod record;
mod request;
mod schema;
mod table;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use kinfold_destination::SHIPPED;

use check::{Sent, Specifications, Verdict};
use record::Tally;
use table::Entry;

/// The folder of specifications. One that was named must be there.
fn folder() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("KINFOLD_SPECS").filter(|named| !named.is_empty()) {
        let named = PathBuf::from(named);
        assert!(named.join("manifest.json").is_file(), "{}", named.display());
        return Some(named);
    }
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/specs");
    beside.join("manifest.json").is_file().then_some(beside)
}

/// What was found for a destination, and how it counts.
struct Result {
    tally: Tally,
    wrong: Vec<String>,
    /// What differs from files that are no evidence.
    differences: Vec<String>,
}

async fn check(folder: &Path, entry: &Entry) -> Result {
    let name = &entry.destination;
    let specifications = Specifications::load(folder, entry);
    let mut result = Result {
        tally: Tally::new(folder, entry),
        wrong: Vec::new(),
        differences: Vec::new(),
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
    let mut left = |findings: Vec<schema::Finding>| -> Vec<String> {
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
        result.differences.extend(request);
        result.differences.extend(answer);
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
