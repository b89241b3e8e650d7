//! `kinfold lineage`: from the columns of a source to the fields of a destination.

use std::path::Path;

use serde_json::Value;

use crate::program::{folder, kinfold, write};

/// raw.orders (source) → stg_orders (view) → totals (table) → vips (segment) → crm (sync).
const FILES: [(&str, &str); 8] = [
    ("kinfold.yml", "name: shop\n"),
    (
        "data/orders.csv",
        "customer,cents,state,note\nann,500,paid,first\n",
    ),
    (
        "models/sources.yml",
        "sources:
  - name: raw
    tables:
      - name: orders
        external: {location: data/orders.csv}
        columns:
          - {name: customer, data_type: varchar}
          - {name: cents, data_type: bigint}
          - {name: state, data_type: varchar}
          - {name: note, data_type: varchar}
",
    ),
    (
        "models/stg_orders.sql",
        "{{ config(materialized='view') }} SELECT customer, cents / 100 AS amount, note FROM {{ source('raw', 'orders') }} WHERE state = 'paid'",
    ),
    (
        "models/totals.sql",
        "{{ config(materialized='table') }} SELECT customer, sum(amount) AS total, max(note) AS note FROM {{ ref('stg_orders') }} GROUP BY customer",
    ),
    (
        "models/vips.sql",
        "{{ config(materialized='segment', entity='person') }} SELECT customer AS canonical_id, total FROM {{ ref('totals') }} WHERE total > 100",
    ),
    (
        "connections/files.yml",
        "connections:\n  - {name: out, kind: files, location: out, format: ndjson}\n",
    ),
    (
        "syncs/crm.yml",
        "syncs:\n  - {name: crm, from: ref('vips'), connection: out, object: people, mode: upsert, key: {id: canonical_id}, mapping: {spent: round(total)}}\n",
    ),
];

/// What a walk reaches, as `kind distance relation.column`.
fn walk(project: &Path, column: &str, direction: &str) -> Vec<String> {
    let arguments = ["lineage", column, direction, "--output", "json"];
    let told = kinfold(project, arguments).run().ok().json();
    let walk = &told[direction.trim_start_matches('-')];
    assert_eq!(walk["incomplete"], serde_json::json!([]));
    let columns = walk["columns"].as_array().unwrap().iter();
    columns
        .map(|reached| {
            let text = |key: &str| reached[key].as_str().unwrap_or_default().to_owned();
            let node = text("node");
            let name = node.splitn(3, '.').nth(2).unwrap();
            let companion = match &reached["companion"] {
                Value::String(suffix) => format!("__{suffix}"),
                _ => String::new(),
            };
            let column = reached["column"].as_str().unwrap_or("*");
            let distance = &reached["distance"];
            format!("{} {distance} {name}{companion}.{column}", text("kind"))
        })
        .collect()
}

fn sorted(names: &[&str]) -> Vec<String> {
    let mut names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    names.sort();
    names
}

pub fn a_field_of_a_destination_leads_to_columns_of_sources() {
    let project = folder();
    let project = project.path();
    write(project, &FILES);
    let up = walk(project, "crm.spent", "--up");
    let values: Vec<&str> = up
        .iter()
        .filter(|reached| reached.starts_with("value"))
        .map(String::as_str)
        .collect();
    assert_eq!(
        values,
        [
            "value 1 vips.total",
            "value 2 totals.total",
            "value 3 stg_orders.amount",
            "value 4 raw.orders.cents",
        ]
    );
    // Which rows there are hangs on the state, on whose they are and on how much it is, and never on the note.
    let mut control: Vec<String> = up
        .iter()
        .filter(|reached| reached.starts_with("control") && !reached.ends_with(".*"))
        .map(|reached| reached.rsplit(' ').next().unwrap().to_owned())
        .collect();
    control.sort();
    assert_eq!(
        control,
        sorted(&[
            "raw.orders.customer",
            "raw.orders.state",
            "stg_orders.customer",
            "totals.customer",
        ])
    );

    // And back again.
    let down = walk(project, "raw.orders.cents", "--down");
    assert!(down.contains(&"value 4 crm.spent".to_owned()), "{down:#?}");
    // A row of the segment is there because of the amount, so the key of the sync hangs on it too.
    assert!(
        down.iter()
            .any(|r| r.starts_with("control") && r.ends_with(" crm.id")),
        "{down:#?}"
    );
    let unread = walk(project, "raw.orders.note", "--down");
    assert_eq!(unread, ["value 1 stg_orders.note", "value 2 totals.note"]);
    // What the engine makes may come of every column of its query.
    let entered = walk(project, "vips__history.exited_at", "--up");
    for column in ["value 1 totals.customer", "value 1 totals.total"] {
        assert!(entered.contains(&column.to_owned()), "{entered:#?}");
    }

    // The same, one step back, is in `manifest.json`.
    kinfold(project, ["compile"]).run().ok();
    let manifest = std::fs::read(project.join("target/manifest.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let made = &manifest["nodes"]["model.shop.totals"]["meta"]["kinfold"]["lineage"];
    let from = |node: &str, column: Option<&str>| serde_json::json!({"node": node, "companion": null, "column": column});
    let staging = "model.shop.stg_orders";
    assert_eq!(made["complete"], true);
    assert_eq!(
        made["columns"]["total"],
        serde_json::json!({"value": [from(staging, Some("amount"))], "control": []})
    );
    assert_eq!(
        made["rows"],
        serde_json::json!([from(staging, None), from(staging, Some("customer"))])
    );
    let sent = &manifest["exposures"]["exposure.shop.crm"]["meta"]["kinfold"]["lineage"];
    assert_eq!(
        sent["columns"]["spent"]["value"],
        serde_json::json!([from("model.shop.vips", Some("total"))])
    );

    let told = kinfold(project, ["lineage", "totals.total"]).run().ok();
    assert!(
        told.stdout.starts_with(
            "up from model.shop.totals.total\nvalue     1  model.shop.stg_orders.amount\n"
        ),
        "{}",
        told.stdout
    );
}

pub fn names_of_columns_that_are_wrong() {
    let project = folder();
    let project = project.path();
    write(project, &FILES);
    for (asked, message, help) in [
        (
            "totls.total",
            "there is no relation `totls`",
            "did you mean `totals`?",
        ),
        (
            "totals.totl",
            "there is no column `totals.totl`",
            "did you mean `totals.total`?",
        ),
        (
            "totals",
            "there is no column `totals`",
            "did you mean `totals.customer`?",
        ),
        (
            "raw.orders.stat",
            "there is no column `raw.orders.stat`",
            "did you mean `raw.orders.state`?",
        ),
    ] {
        let ran = kinfold(project, ["lineage", asked]).run().code(2);
        ran.says(message).says(help);
    }
}
