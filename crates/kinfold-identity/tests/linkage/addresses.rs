//! Models of the data sets that FEBRL generated, and of the German names of RLdata.

use std::collections::HashMap;

use kinfold_identity::linkage::*;

use crate::model::{Model, start};
use crate::people::{add, exact, exact_tf, run, similar};
use crate::table::{Table, map, soundex, substr};

fn edits(column: usize, count: u32) -> Level {
    Level::new(
        format!("{count} edits"),
        Condition::DamerauLevenshtein(column, count),
    )
}

/// The column of another comparison has the value.
fn swapped(one: usize, two: usize) -> Level {
    Level::new("swapped", Condition::Swapped(one, two))
}

fn febrl(table: &Table, scope: Scope) -> Model {
    let ids = table.column("rec_id");
    let sources = ids
        .iter()
        .map(|id| u16::from(id.as_ref().unwrap().contains("dup")))
        .collect();
    let (mut records, entities) = start(table, &ids, sources, &table.column("cluster"));
    let first = table.lower("given_name");
    let last = table.lower("surname");
    let number = table.column("street_number");
    let address1 = table.lower("address_1");
    let address2 = table.lower("address_2");
    let suburb = table.lower("suburb");
    let postcode = table.column("postcode");
    let state = table.lower("state");
    let dob = table.column("date_of_birth");
    let ssn = table.column("soc_sec_id");
    let c_first = add(&mut records, &first);
    let c_last = add(&mut records, &last);
    let c_number = add(&mut records, &number);
    let c_address1 = add(&mut records, &address1);
    let c_address2 = add(&mut records, &address2);
    let c_suburb = add(&mut records, &suburb);
    let c_postcode = add(&mut records, &postcode);
    let c_state = add(&mut records, &state);
    let c_dob = add(&mut records, &dob);
    let c_ssn = add(&mut records, &ssn);
    let comparisons = vec![
        Comparison::new(
            "first",
            vec![
                exact_tf(c_first),
                swapped(c_first, c_last),
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
        Comparison::new("dob", vec![exact(c_dob), edits(c_dob, 1), edits(c_dob, 2)]),
        Comparison::new("ssn", vec![exact(c_ssn), edits(c_ssn, 1), edits(c_ssn, 2)]),
        Comparison::new("number", vec![exact_tf(c_number), edits(c_number, 1)]),
        Comparison::new(
            "address",
            vec![
                exact_tf(c_address1),
                swapped(c_address1, c_address2),
                similar(c_address1, 0.88),
            ],
        ),
        Comparison::new(
            "address_2",
            vec![exact_tf(c_address2), similar(c_address2, 0.88)],
        ),
        Comparison::new("suburb", vec![exact_tf(c_suburb), similar(c_suburb, 0.88)]),
        Comparison::new(
            "postcode",
            vec![
                exact_tf(c_postcode),
                edits(c_postcode, 1),
                edits(c_postcode, 2),
            ],
        ),
        Comparison::new("state", vec![exact(c_state)]),
    ];
    let columns = HashMap::from([
        ("first_sx", soundex(&first)),
        ("last_sx", soundex(&last)),
        ("first3", substr(&first, 1, 3)),
        ("last3", substr(&last, 1, 3)),
        ("year", substr(&dob, 1, 4)),
        ("monthday", substr(&dob, 5, 4)),
        ("first", first),
        ("last", last),
        ("number", number),
        ("address", address1),
        ("address_2", address2),
        ("suburb", suburb),
        ("postcode", postcode),
        ("dob", dob),
        ("ssn4", substr(&ssn, 1, 4)),
        ("ssn", ssn),
    ]);
    Model {
        records,
        columns,
        comparisons,
        entities,
        scope,
        strict: vec![
            vec!["ssn"],
            vec!["first", "last", "dob"],
            vec!["address", "number", "first"],
        ],
        recall: 0.9,
        training: vec![
            (vec!["dob"], vec!["dob"]),
            (vec!["ssn"], vec!["ssn"]),
            (vec!["postcode", "last"], vec!["postcode", "last"]),
        ],
        blocking: vec![
            vec!["ssn"],
            vec!["dob"],
            vec!["first", "last"],
            vec!["last_sx", "postcode"],
            vec!["first_sx", "postcode"],
            vec!["address", "number"],
            vec!["last_sx", "suburb"],
            vec!["first_sx", "suburb"],
            vec!["last", "year"],
            vec!["first", "monthday"],
            vec!["first3", "last3"],
            vec!["address", "postcode"],
            vec!["number", "postcode"],
            vec!["address_2", "postcode"],
            vec!["suburb", "number"],
            vec!["ssn4", "first_sx"],
            vec!["last", "first_sx"],
        ],
        max_block: 5000,
        cluster: ClusterOptions {
            connect: 0.0,
            merge: 0.0,
            limit: 20.0,
            max_component: 3000,
        },
    }
}

fn rldata(table: &Table) -> Model {
    let (mut records, entities) = start(
        table,
        &table.column("id"),
        vec![0; table.len],
        &table.column("cluster"),
    );
    let first = table.lower("fname_c1");
    let second = table.lower("fname_c2");
    let last = table.lower("lname_c1");
    let maiden = table.lower("lname_c2");
    let year = table.column("by");
    let month = table.column("bm");
    let day = table.column("bd");
    let c_first = add(&mut records, &first);
    let c_second = add(&mut records, &second);
    let c_last = add(&mut records, &last);
    let c_maiden = add(&mut records, &maiden);
    let c_year = add(&mut records, &year);
    let c_month = add(&mut records, &month);
    let c_day = add(&mut records, &day);
    let comparisons = vec![
        Comparison::new(
            "first",
            vec![
                exact_tf(c_first),
                edits(c_first, 1).with_term_frequency(c_first, 1.0),
                similar(c_first, 0.88),
                similar(c_first, 0.75),
            ],
        ),
        Comparison::new("second", vec![exact(c_second), similar(c_second, 0.8)]),
        Comparison::new(
            "last",
            vec![
                exact_tf(c_last),
                edits(c_last, 1).with_term_frequency(c_last, 1.0),
                similar(c_last, 0.88),
                similar(c_last, 0.75),
            ],
        ),
        Comparison::new("maiden", vec![exact(c_maiden), similar(c_maiden, 0.8)]),
        Comparison::new("year", vec![exact(c_year), edits(c_year, 1)]),
        Comparison::new("month", vec![exact(c_month), edits(c_month, 1)]),
        Comparison::new("day", vec![exact(c_day), edits(c_day, 1)]),
    ];
    let columns = HashMap::from([
        ("first_sx", soundex(&first)),
        ("last_sx", soundex(&last)),
        ("first1", substr(&first, 1, 1)),
        ("last1", substr(&last, 1, 1)),
        ("first", first),
        ("last", last),
        ("decade", map(&year, |text| text.chars().take(3).collect())),
        ("year", year),
        ("month", month),
        ("day", day),
    ]);
    Model {
        records,
        columns,
        comparisons,
        entities,
        scope: Scope::Dedupe,
        strict: vec![
            vec!["first", "last", "year", "month"],
            vec!["first", "last", "month", "day"],
            vec!["first", "year", "month", "day"],
            vec!["last", "year", "month", "day"],
        ],
        recall: 0.9,
        // A copy differs in one field, so a rule of many fields would teach that the others differ.
        training: vec![
            (vec!["last", "day"], vec!["last", "day"]),
            (vec!["last", "month"], vec!["last", "month"]),
            (vec!["first", "year"], vec!["first", "year"]),
            (vec!["first", "day"], vec!["first", "day"]),
            (vec!["year", "month"], vec!["year", "month"]),
            (vec!["year", "day"], vec!["year", "day"]),
        ],
        blocking: vec![
            vec!["year", "month", "day"],
            vec!["first", "last"],
            vec!["first_sx", "year", "month"],
            vec!["first_sx", "year", "day"],
            vec!["first_sx", "month", "day"],
            vec!["last_sx", "year", "month"],
            vec!["last_sx", "year", "day"],
            vec!["last_sx", "month", "day"],
            vec!["first_sx", "last_sx"],
        ],
        max_block: 5000,
        cluster: ClusterOptions {
            connect: 0.0,
            merge: 0.0,
            limit: 20.0,
            max_component: 3000,
        },
    }
}

#[test]
fn febrl_2() {
    if let Some(outcome) = run("febrl2", &["febrl2.csv"], |table| {
        febrl(table, Scope::Dedupe)
    }) {
        assert!(outcome.clusters().f1() >= 0.998);
    }
}

#[test]
fn febrl_3() {
    if let Some(outcome) = run("febrl3", &["febrl3.csv"], |table| {
        febrl(table, Scope::Dedupe)
    }) {
        assert!(outcome.clusters().f1() >= 0.998);
    }
}

#[test]
fn febrl_4() {
    if let Some(outcome) = run("febrl4", &["febrl4a.csv", "febrl4b.csv"], |table| {
        febrl(table, Scope::Link)
    }) {
        assert!(outcome.best_links().f1() >= 0.9996);
    }
}

#[test]
fn rldata_10000() {
    if let Some(outcome) = run("RLdata10000", &["RLdata10000.csv"], rldata) {
        assert!(outcome.pairs_from(0.0).f1() >= 0.97);
    }
}
