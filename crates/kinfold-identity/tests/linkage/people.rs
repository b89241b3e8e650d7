//! Models of the labelled data sets of people.

use std::collections::HashMap;

use kinfold_identity::linkage::*;

use crate::model::{Model, Outcome, start};
use crate::table::{
    self, Table, dates, first_part, last_part, plain, sorted, soundex, substr, words,
};

pub fn similar(column: usize, at: f64) -> Level {
    Level::new(format!("similar {at}"), Condition::JaroWinkler(column, at))
}

pub fn exact(column: usize) -> Level {
    Level::new("equal", Condition::Exact(column))
}

pub fn exact_tf(column: usize) -> Level {
    exact(column).with_term_frequency(column, 1.0)
}

pub fn add(records: &mut Records, values: &table::Values) -> usize {
    records.add_text(values.iter().map(Option::as_ref)).unwrap()
}

fn fake_1000(table: &Table) -> Model {
    let (mut records, entities) = start(
        table,
        &table.column("unique_id"),
        vec![0; table.len],
        &table.column("cluster"),
    );
    let first = table.lower("first_name");
    let last = table.lower("surname");
    let dob = table.column("dob");
    let city = table.lower("city");
    let email = table.lower("email");
    let local = first_part(&email, '@');
    let domain = last_part(&email, '@');
    let c_first = add(&mut records, &first);
    let c_last = add(&mut records, &last);
    let c_dob = records.add_date(dates(&dob)).unwrap();
    let c_city = add(&mut records, &city);
    let c_email = add(&mut records, &email);
    let c_local = add(&mut records, &local);
    let _ = c_local;
    let comparisons = vec![
        Comparison::new(
            "first",
            vec![
                exact_tf(c_first),
                Level::new(
                    "swapped",
                    Condition::Or(vec![Condition::Swapped(c_first, c_last)]),
                ),
                similar(c_first, 0.9),
                similar(c_first, 0.75),
            ],
        ),
        Comparison::new(
            "last",
            vec![
                exact_tf(c_last),
                similar(c_last, 0.9),
                similar(c_last, 0.75),
            ],
        ),
        Comparison::new(
            "dob",
            vec![
                exact(c_dob),
                Level::new("one edit", Condition::DamerauLevenshtein(c_dob, 1)),
                Level::new("two edits", Condition::DamerauLevenshtein(c_dob, 2)),
                Level::new("year", Condition::DateWithin(c_dob, 366)),
            ],
        ),
        Comparison::new("city", vec![exact_tf(c_city), similar(c_city, 0.85)]),
        Comparison::new(
            "email",
            vec![
                exact(c_email),
                Level::new("2 edits", Condition::Levenshtein(c_email, 2)),
                similar(c_email, 0.88),
                similar(c_email, 0.75),
            ],
        ),
    ];
    let columns = HashMap::from([
        ("first3", substr(&first, 1, 3)),
        ("last3", substr(&last, 1, 3)),
        ("first", first),
        ("last", last),
        ("city", city.clone()),
        ("email", email),
        ("local4", substr(&local, 1, 4)),
        ("domain", domain),
        ("year", substr(&dob, 1, 4)),
        ("monthday", substr(&dob, 5, 6)),
        ("yearmonth", substr(&dob, 1, 7)),
        ("sorted_local", sorted(&local)),
        ("sorted_city", sorted(&city)),
        ("sorted_dob", sorted(&dob)),
        ("dob", dob),
    ]);
    Model {
        records,
        columns,
        comparisons,
        entities,
        scope: Scope::Dedupe,
        strict: vec![vec!["email"], vec!["first", "last", "dob"]],
        recall: 0.6,
        training: vec![
            (vec!["dob"], vec!["dob"]),
            (vec!["email"], vec!["email"]),
            (vec!["first", "last"], vec!["first", "last"]),
        ],
        blocking: vec![
            vec!["email"],
            vec!["dob"],
            vec!["first", "last"],
            vec!["last", "city"],
            vec!["first", "city"],
            vec!["domain"],
            vec!["last", "year"],
            vec!["first", "year"],
            vec!["last", "monthday"],
            vec!["first", "monthday"],
            vec!["local4"],
            vec!["sorted_dob", "sorted_city"],
            vec!["first3", "last3"],
            vec!["yearmonth"],
            vec!["last"],
            vec!["first"],
        ],
        max_block: 100_000,
        cluster: ClusterOptions {
            connect: 0.0,
            merge: -2.0,
            limit: 20.0,
            max_component: 3000,
        },
    }
}

fn historical_50k(table: &Table) -> Model {
    let (mut records, entities) = start(
        table,
        &table.column("unique_id"),
        vec![0; table.len],
        &table.column("cluster"),
    );
    let first = plain(&table.lower("first_name"));
    let last = plain(&table.lower("surname"));
    let full = plain(&table.lower("full_name"));
    let dob = table.column("dob");
    let place = table.lower("birth_place");
    let postcode = table.lower("postcode_fake");
    let district = first_part(&postcode, ' ');
    let occupation = table.lower("occupation");
    let gender = table.lower("gender");
    let c_first = add(&mut records, &first);
    let c_last = add(&mut records, &last);
    let both: table::Values = first
        .iter()
        .zip(&last)
        .map(|(f, l)| Some(format!("{} {}", f.as_ref()?, l.as_ref()?)))
        .collect();
    let c_both = add(&mut records, &both);
    let c_full = add(&mut records, &full);
    let c_words = records.add_text_array(words(&full, 3)).unwrap();
    let c_dob = records.add_date(dates(&dob)).unwrap();
    let c_place = add(&mut records, &place);
    let c_postcode = add(&mut records, &postcode);
    let c_district = add(&mut records, &district);
    let c_occupation = add(&mut records, &occupation);
    let c_gender = add(&mut records, &gender);
    let _ = (c_full, c_gender);
    let comparisons = vec![
        Comparison::new(
            "name",
            vec![
                Level::new("equal", Condition::Exact(c_both)).with_term_frequency(c_both, 1.0),
                Level::new("3 words", Condition::ArrayIntersect(c_words, 3)),
                Level::new(
                    "last, similar first",
                    Condition::And(vec![
                        Condition::Exact(c_last),
                        Condition::JaroWinkler(c_first, 0.8),
                    ]),
                )
                .with_term_frequency(c_last, 1.0),
                Level::new(
                    "first, similar last",
                    Condition::And(vec![
                        Condition::Exact(c_first),
                        Condition::JaroWinkler(c_last, 0.85),
                    ]),
                )
                .with_term_frequency(c_first, 1.0),
                Level::new(
                    "both similar",
                    Condition::And(vec![
                        Condition::JaroWinkler(c_first, 0.85),
                        Condition::JaroWinkler(c_last, 0.85),
                    ]),
                ),
                Level::new("last", Condition::Exact(c_last)).with_term_frequency(c_last, 1.0),
                Level::new("2 words", Condition::ArrayIntersect(c_words, 2)),
                Level::new("similar last", Condition::JaroWinkler(c_last, 0.85)),
                Level::new("first", Condition::Exact(c_first)).with_term_frequency(c_first, 1.0),
                Level::new("1 word", Condition::ArrayIntersect(c_words, 1)),
                Level::new("similar first", Condition::JaroWinkler(c_first, 0.85)),
            ],
        ),
        Comparison::new(
            "dob",
            vec![
                exact(c_dob),
                Level::new("one edit", Condition::DamerauLevenshtein(c_dob, 1)),
                Level::new("year", Condition::DateWithin(c_dob, 366)),
                Level::new("two edits", Condition::DamerauLevenshtein(c_dob, 2)),
                Level::new("10 years", Condition::DateWithin(c_dob, 3660)),
            ],
        ),
        Comparison::new(
            "postcode",
            vec![
                exact(c_postcode),
                Level::new("district", Condition::Exact(c_district)),
                Level::new("2 edits", Condition::Levenshtein(c_postcode, 2)),
            ],
        ),
        Comparison::new("place", vec![exact_tf(c_place), similar(c_place, 0.85)]),
        Comparison::new("occupation", vec![exact_tf(c_occupation)]),
    ];
    let columns = HashMap::from([
        ("word1", first_part(&full, ' ')),
        ("wordn", last_part(&full, ' ')),
        ("full", full),
        ("first_sx", soundex(&first)),
        ("last_sx", soundex(&last)),
        ("last3", substr(&last, 1, 3)),
        ("first1", substr(&first, 1, 1)),
        ("first", first),
        ("last", last),
        ("postcode", postcode),
        ("district", district),
        ("place", place),
        ("occupation", occupation),
        ("year", substr(&dob, 1, 4)),
        ("decade", substr(&dob, 1, 3)),
        ("monthday", substr(&dob, 5, 6)),
        ("dob", dob),
    ]);
    Model {
        records,
        columns,
        comparisons,
        entities,
        scope: Scope::Dedupe,
        strict: vec![
            vec!["first", "last", "dob"],
            vec!["last_sx", "dob", "district"],
            vec!["full", "postcode"],
        ],
        recall: 0.4,
        training: vec![
            (vec!["first", "last"], vec!["name"]),
            (vec!["dob"], vec!["dob"]),
            (vec!["postcode"], vec!["postcode"]),
        ],
        blocking: vec![
            vec!["first", "last"],
            vec!["dob", "last_sx"],
            vec!["dob", "first_sx"],
            vec!["dob", "district"],
            vec!["dob", "place"],
            vec!["postcode"],
            vec!["district", "last_sx"],
            vec!["district", "first_sx"],
            vec!["place", "last_sx", "first1"],
            vec!["last_sx", "year"],
            vec!["last", "first1"],
            vec!["word1", "wordn"],
            vec!["first", "place", "decade"],
            vec!["place", "year"],
            vec!["last_sx", "first_sx", "occupation"],
            vec!["first", "year"],
        ],
        max_block: 5000,
        cluster: ClusterOptions {
            connect: 0.0,
            merge: -2.0,
            limit: 10.0,
            max_component: 2000,
        },
    }
}

pub fn run(name: &str, files: &[&str], model: impl Fn(&Table) -> Model) -> Option<Outcome> {
    let tables = table::folder().and_then(|folder| {
        files
            .iter()
            .map(|file| Table::read(&folder.join(file), ','))
            .collect::<Option<Vec<_>>>()
    });
    let Some(mut tables) = tables else {
        eprintln!("{name}: skipped, KINFOLD_LINKAGE_DATA has no {files:?}");
        return None;
    };
    let mut table = tables.remove(0);
    for other in &tables {
        table.append(other);
    }
    let model = model(&table);
    let outcome = model.run(2);
    outcome.report(name, &model);
    Some(outcome)
}

#[test]
fn fake_1000_people() {
    if let Some(outcome) = run("fake_1000", &["fake_1000.csv"], fake_1000) {
        assert!(outcome.clusters().f1() >= 0.93);
    }
}

#[test]
fn historical_people() {
    if let Some(outcome) = run("historical_50k", &["historical_50k.csv"], historical_50k) {
        assert!(outcome.clusters().f1() >= 0.86);
    }
}
