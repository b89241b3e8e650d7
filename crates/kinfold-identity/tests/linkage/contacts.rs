//! A million contacts, column by column: quality, time and memory.

use std::path::Path;
use std::time::Instant;

use kinfold_identity::linkage::*;

use crate::people::{exact, exact_tf, similar};
use crate::table::{folder, soundex_of};

/// One file for each column and one line for each contact; an empty line is null.
fn read(folder: &Path, column: &str) -> Option<String> {
    std::fs::read_to_string(folder.join(format!("crm/{column}.txt"))).ok()
}

/// The key of some columns.
fn keys(records: &Records, columns: &[&str]) -> Vec<u64> {
    let mut lines: Vec<_> = columns.iter().map(|column| column.lines()).collect();
    let mut keys = Vec::with_capacity(records.len());
    while let Some(first) = lines[0].next() {
        let mut parts = [Some("-"); 4];
        parts[0] = Some(first);
        for (part, others) in parts[1..].iter_mut().zip(&mut lines[1..]) {
            *part = others.next();
        }
        keys.push(hash_key(&parts[..columns.len()]));
    }
    records.arrange(&keys).unwrap()
}

fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok())
        .unwrap_or(0)
        / 1024
}

#[test]
fn a_million_contacts() {
    let names = [
        "id", "first", "last", "email", "phone", "dob", "city", "postcode", "street", "truth",
    ];
    let files = folder().and_then(|folder| {
        names
            .iter()
            .map(|name| read(&folder, name))
            .collect::<Option<Vec<_>>>()
    });
    let Some(files) = files else {
        eprintln!("contacts: skipped, KINFOLD_LINKAGE_DATA has no folder `crm`");
        return;
    };
    let [
        ids,
        first,
        last,
        email,
        phone,
        dob,
        city,
        postcode,
        street,
        truth,
    ] = files.as_slice()
    else {
        unreachable!()
    };
    eprintln!("before: {} MiB", peak());
    let time = Instant::now();
    let lap = |what: &str| {
        eprintln!(
            "{:6.2} s {} MiB {what}",
            time.elapsed().as_secs_f64(),
            peak()
        )
    };
    let record_keys: Vec<u64> = ids.lines().map(|id| hash_key(&[Some(id)])).collect();
    let mut records = Records::new(&record_keys, &vec![0; record_keys.len()]).unwrap();
    let mut add = |text: &str| records.add_text(text.lines().map(Some)).unwrap();
    let (c_first, c_last, c_email, c_phone) = (add(first), add(last), add(email), add(phone));
    let (c_dob, c_postcode, c_street) = (add(dob), add(postcode), add(street));
    lap("columns");
    let edits = |column, count| {
        Level::new(
            format!("{count} edits"),
            Condition::Levenshtein(column, count),
        )
    };
    let comparisons = [
        Comparison::new(
            "first",
            vec![
                exact_tf(c_first),
                similar(c_first, 0.92),
                similar(c_first, 0.8),
            ],
        ),
        Comparison::new(
            "last",
            vec![
                exact_tf(c_last),
                similar(c_last, 0.92),
                similar(c_last, 0.8),
            ],
        ),
        Comparison::new("dob", vec![exact(c_dob)]),
        Comparison::new("email", vec![exact(c_email), edits(c_email, 2)]),
        Comparison::new("phone", vec![exact(c_phone)]),
        Comparison::new("postcode", vec![exact(c_postcode)]),
        Comparison::new("street", vec![exact(c_street), edits(c_street, 2)]),
    ];
    let sound: String = last.lines().map(|name| soundex_of(name) + "\n").collect();
    let rules = [
        keys(&records, &[email]),
        keys(&records, &[phone]),
        keys(&records, &[last, dob]),
        keys(&records, &[first, dob]),
        keys(&records, &[last, postcode]),
        keys(&records, &[first, street, city]),
        keys(&records, &[&sound, dob]),
        keys(&records, &[postcode, dob]),
        keys(&records, &[&sound, street, city]),
    ];
    lap("keys");
    let threads = 2;
    let linkage = Linkage::new(&records, &comparisons, Scope::Dedupe, threads).unwrap();
    let training = [
        TrainingRule {
            keys: rules[2].clone(),
            fixed: vec![1, 2],
        },
        TrainingRule {
            keys: rules[0].clone(),
            fixed: vec![3],
        },
    ];
    let Trained {
        parameters,
        sessions,
        problems,
    } = linkage
        .train(Training {
            strict: &rules[..2],
            recall: 0.7,
            rules: &training,
            sample: USample {
                max_pairs: 2_000_000,
                ..USample::default()
            },
            em: EmOptions::default(),
        })
        .unwrap();
    lap(&format!("trained {problems:?}"));
    if std::env::var_os("VERBOSE").is_some() {
        for session in sessions {
            eprintln!(
                "  session {} pairs {} patterns {} iterations share {:.4}",
                session.pairs, session.patterns, session.iterations, session.share
            );
        }
        for comparison in &parameters.comparisons {
            for level in &comparison.levels {
                eprintln!(
                    "  {:14} {:24} m {:.5} u {:.7} weight {:6.2}",
                    comparison.name,
                    level.label,
                    level.m,
                    level.u,
                    level.weight()
                );
            }
        }
    }
    let blocking = Blocking::new(&records, Scope::Dedupe, &rules, 5000, threads).unwrap();
    lap("blocks");
    if std::env::var_os("VERBOSE").is_some() {
        for count in blocking.counts() {
            eprintln!("  {count:?}");
        }
    }
    let scorer = linkage.scorer(&parameters, None).unwrap();
    let pairs = scorer.score(&blocking, -2.0);
    lap(&format!("{} pairs", pairs.len()));
    let clusters = scorer.cluster(&pairs, ClusterOptions::default());
    lap("clusters");
    let numbers: Vec<u32> = truth
        .lines()
        .map(|number| number.parse().unwrap())
        .collect();
    let entities = records.arrange(&numbers).unwrap();
    let show = |what: &str, q: Quality| {
        eprintln!(
            "contacts: {what} P {:.4} R {:.4} F1 {:.4}",
            q.precision,
            q.recall,
            q.f1()
        )
    };
    for least in [0.0, 3.0, 6.0] {
        show(
            &format!("components {least}"),
            cluster_pairs(&connected_components(&records, &pairs, least), &entities),
        );
    }
    show("b-cubed", b_cubed(&clusters, &entities));
    let quality = cluster_pairs(&clusters, &entities);
    show("clusters", quality);
    assert!(quality.f1() > 0.957);
}
