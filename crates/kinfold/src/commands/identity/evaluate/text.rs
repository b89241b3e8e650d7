//! Evaluations for people to read.

use kinfold_engine::judge::{
    EstimateRow, LabelCounts, LinkageEvaluation, PairReport, PeopleEvaluation, Score, Share,
};

use super::super::explain::text::waterfall;
use crate::report::{Output, grouped};

pub(super) fn linkage(name: &str, found: &LinkageEvaluation, output: &Output) {
    counts(name, &found.labels, output);
    output.line("");
    output.line("                     precision   recall       f1");
    let pairs = format!("pairs >= {}", found.threshold);
    score(&pairs, &found.pairs.score, output);
    score("pairs in clusters", &found.clusters, output);
    let of_clusters = [
        ("b-cubed", found.b_cubed),
        ("whole clusters", found.exact_clusters),
    ];
    for (word, own) in of_clusters {
        if let Some(own) = own {
            score(word, &own, output);
        }
    }
    let blocking = &found.blocking;
    output.line("");
    output.line(&format!(
        "blocking: {} of {} true pairs are compared ({:.4})",
        grouped(blocking.compared),
        grouped(blocking.matches),
        blocking.recall
    ));
    for rule in &blocking.rules {
        output.line(&format!(
            "  {:>9} pairs, {:>7} true ones first: {}",
            grouped(rule.pairs),
            grouped(rule.first),
            rule.rule
        ));
    }
    output.line("");
    output.line("threshold   weight   true pos  false pos  false neg     true neg  precision   recall       f1");
    for row in &found.thresholds {
        let mark = if row.threshold == found.threshold {
            "*"
        } else {
            " "
        };
        output.line(&format!(
            "{mark}{:>8} {:>8.2} {:>10} {:>10} {:>10} {:>12}  {:>9.4} {:>8.4} {:>8.4}",
            row.threshold,
            row.match_weight,
            row.true_positives,
            row.false_positives,
            row.false_negatives,
            row.true_negatives,
            row.score.precision,
            row.score.recall,
            row.score.f1
        ));
    }
    if let Some(estimates) = &found.estimates {
        estimated(estimates, output);
    }
    let worst = [
        (
            "worst false positives (two people, found)",
            &found.worst.false_positives,
        ),
        (
            "worst false negatives (one person, not found)",
            &found.worst.false_negatives,
        ),
    ];
    for (words, pairs) in worst {
        if !pairs.is_empty() {
            output.line("");
            output.line(words);
        }
        for pair in pairs {
            one_pair(pair, output);
        }
    }
}

fn counts(name: &str, labels: &LabelCounts, output: &Output) {
    let mut text = format!(
        "{name}, judged by {} labels ({})",
        grouped(labels.used),
        labels.form
    );
    for (count, words) in [
        (labels.unlabelled, "without a label"),
        (labels.unknown, "of records that it does not have"),
    ] {
        if count > 0 {
            text.push_str(&format!("; {} {words} left out", grouped(count)));
        }
    }
    output.line(&text);
}

fn score(word: &str, score: &Score, output: &Output) {
    output.line(&format!(
        "{word:<20} {:>9.4} {:>8.4} {:>8.4}",
        score.precision, score.recall, score.f1
    ));
}

fn estimated(rows: &[EstimateRow], output: &Output) {
    output.line("");
    output.line("estimated for all compared pairs (95 % intervals)");
    output.line("threshold   precision                 recall");
    let share = |share: Option<Share>| match share {
        None => "-".to_owned(),
        Some(Share {
            value,
            interval: (low, high),
        }) => format!("{value:.4} ({low:.4}–{high:.4})"),
    };
    for row in rows {
        output.line(&format!(
            "{:>9.4}   {:<25} {}",
            row.threshold,
            share(row.precision),
            share(row.recall)
        ));
    }
    output.line(
        "Each label stands for its share of a range of weights. Pairs that no blocking rule brings are not among \
         them, so the true recall is lower; rows left empty are taken to be like the others of their range.",
    );
}

fn one_pair(pair: &PairReport, output: &Output) {
    output.line(&format!(
        "  {} – {}: {}",
        pair.left,
        pair.right,
        match &pair.rule {
            Some(rule) => format!("compared by {rule}"),
            None => "no blocking rule brings them together".to_owned(),
        }
    ));
    for value in &pair.values {
        let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
        output.line(&format!(
            "      {}: {} | {}",
            value.column,
            shown(&value.left),
            shown(&value.right)
        ));
    }
    waterfall(pair, "      ", output);
}

pub(super) fn people(name: &str, found: &PeopleEvaluation, output: &Output) {
    counts(name, &found.labels, output);
    output.line("");
    output.line("                     precision   recall       f1");
    score("pairs", &found.pairs, output);
    for (word, own) in [
        ("whole clusters", found.clusters),
        ("b-cubed", found.b_cubed),
    ] {
        if let Some(own) = own {
            score(word, &own, output);
        }
    }
    let heading = |empty: bool, words: &str| {
        if !empty {
            output.line("");
            output.line(words);
        }
    };
    heading(found.mixed.is_empty(), "people that mix most");
    for mixed in &found.mixed {
        let (one, other) = &mixed.example;
        output.line(&format!(
            "  {}: {} clusters, {} false pairs, such as {one} – {other}",
            mixed.canonical_id,
            grouped(mixed.clusters),
            grouped(mixed.false_pairs)
        ));
    }
    heading(found.split.is_empty(), "clusters that are in most pieces");
    for split in &found.split {
        let (one, other) = &split.example;
        output.line(&format!(
            "  {}: {} people, {} missed pairs, such as {one} – {other}",
            split.cluster,
            grouped(split.people),
            grouped(split.missed_pairs)
        ));
    }
    let pairs = [
        ("two people that are one here", &found.wrong_pairs),
        ("one person that is two here", &found.missed_pairs),
    ];
    for (words, pairs) in pairs {
        heading(pairs.is_empty(), words);
        for (one, other) in pairs {
            output.line(&format!("  {one} – {other}"));
        }
    }
}

pub(super) fn files(files: &[String], output: &Output) {
    if let Some(page) = files.last() {
        output.say(&format!("charts are in {page}"));
    }
}
