//! Explanations for people to read.

use kinfold_engine::judge::PairReport;

use super::Side;
use super::apart::{Compared, Rejected, Why};
use super::path::Hop;
use crate::report::Output;

fn seen(first: Option<&String>, last: Option<&String>) -> String {
    match (first, last) {
        (Some(first), Some(last)) if first == last => format!(", seen {first}"),
        (Some(first), Some(last)) => format!(", seen {first} to {last}"),
        _ => String::new(),
    }
}

fn name(side: &Side) -> String {
    format!("{}:{}", side.identifier.id_type, side.identifier.id_value)
}

pub(super) fn joined(identity: &str, sides: &[Side; 2], hops: &[Hop], output: &Output) {
    let [one, other] = sides;
    output.line(&format!(
        "one person: {identity} {}",
        output.paint(&one.canonical_id, "1")
    ));
    if hops.is_empty() {
        output.line(&format!("  {} is {}", name(one), name(other)));
    }
    for hop in hops {
        output.line(&format!(
            "  {}:{} → {}:{}{}",
            hop.from.id_type,
            hop.from.id_value,
            hop.to.id_type,
            hop.to.id_value,
            if hop.weakest && hops.len() > 1 {
                "   (the weakest step)"
            } else {
                ""
            }
        ));
        let seen = seen(hop.first_seen_at.as_ref(), hop.last_seen_at.as_ref());
        let record = format!("{}/{}", hop.source, hop.record_id);
        let weight = hop.weight.unwrap_or_default();
        let words = match hop.evidence {
            "link" => format!(
                "linked by {} with a weight of {weight:.2}{seen}",
                hop.source
            ),
            "include" => format!("somebody decided it: {record}{seen}"),
            _ => format!("record {record} carries both{seen}"),
        };
        output.line(&format!("    {words}"));
        let Some(linkage) = &hop.linkage else {
            continue;
        };
        if linkage.pairs.is_empty() {
            output.line(
                "    no chain of linked pairs leads from one to the other: their cluster is alike on average",
            );
        }
        for pair in &linkage.pairs {
            output.line(&format!("    {} – {}{}", pair.left, pair.right, rule(pair)));
            waterfall(pair, "      ", output);
        }
    }
}

fn rule(pair: &PairReport) -> String {
    let rule = pair.rule.as_ref();
    rule.map_or_else(String::new, |rule| format!(", compared by {rule}"))
}

/// What makes up the weight of a pair, a line each.
pub(in super::super) fn waterfall(pair: &PairReport, indent: &str, output: &Output) {
    let mut lines = vec![("prior".to_owned(), pair.prior_weight)];
    for part in &pair.parts {
        let level = part.level.as_ref();
        let level = level.map_or_else(String::new, |level| format!(" ({level})"));
        lines.push((format!("{}{level}", part.comparison), part.weight));
        if part.term_frequency != 0.0 {
            let words = format!("{}, how rare the value is", part.comparison);
            lines.push((words, part.term_frequency));
        }
    }
    let width = lines.iter().map(|line| line.0.chars().count()).max();
    let width = width.unwrap_or_default().max(12);
    for (word, weight) in lines {
        output.line(&format!("{indent}{word:<width$} {weight:>+8.2}"));
    }
    output.line(&format!(
        "{indent}{:<width$} {:>+8.2}   probability {:.4}",
        "match weight", pair.match_weight, pair.match_probability
    ));
}

pub(super) fn apart(identity: &str, sides: &[Side; 2], why: &Why, output: &Output) {
    let [one, other] = sides;
    output.line(&format!("two people: {identity}"));
    for side in [one, other] {
        let id = output.paint(&side.canonical_id, "1");
        output.line(&format!("  {} is {id}", name(side)));
    }
    if !why.rejected.is_empty() {
        output.line("what speaks for one person was refused:");
    }
    for rejected in &why.rejected {
        refused(rejected, output);
    }
    for compared in &why.linkages {
        linkage(compared, output);
    }
    let silent = |compared: &Compared| compared.verdict == "no_records";
    if why.rejected.is_empty() && why.linkages.iter().all(silent) {
        output.line("nothing speaks for one person: no record carries an identifier of both");
    }
}

fn refused(rejected: &Rejected, output: &Output) {
    let seen = seen(
        rejected.first_seen_at.as_ref(),
        rejected.last_seen_at.as_ref(),
    );
    let identifier = format!(
        "{}:{}",
        rejected.identifier.id_type, rejected.identifier.id_value
    );
    let records: Vec<String> = rejected.records.iter().map(ToString::to_string).collect();
    let words = match records.as_slice() {
        [record] => format!("{identifier} on record {record}"),
        _ => format!(
            "{identifier}, which joins nobody, on {}",
            records.join(" and ")
        ),
    };
    let limit = rejected.limit.as_ref();
    let limit = limit.map_or_else(String::new, |limit| format!(" ({limit})"));
    let weight = rejected.weight;
    let weight = weight.map_or_else(String::new, |weight| format!(", weight {weight:.2}"));
    output.line(&format!(
        "  {words}: {}{limit}{weight}{seen}",
        rejected.rule
    ));
}

fn linkage(compared: &Compared, output: &Output) {
    let model = &compared.model;
    let words = match compared.verdict {
        "link" => {
            format!("{model} links two of their records, but the rules keep the people apart:")
        }
        "clustering" => format!(
            "{model} has a pair above its threshold of {}, but their clusters are not alike on the whole:",
            compared.threshold
        ),
        "below_threshold" => {
            format!(
                "the best pair of {model} is below its threshold of {}:",
                compared.threshold
            )
        }
        "never_compared" => format!(
            "no blocking rule of {model} brings two of their records together; if one did, the best pair were:"
        ),
        _ => format!("{model} does not have records of both"),
    };
    output.line(&words);
    if let Some(pair) = &compared.pair {
        output.line(&format!("  {} – {}{}", pair.left, pair.right, rule(pair)));
        waterfall(pair, "    ", output);
    }
}
