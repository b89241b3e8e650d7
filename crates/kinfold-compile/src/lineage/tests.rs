#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use datafusion::arrow::datatypes::{DataType, Field, Fields, Schema, TimeUnit};
use datafusion::execution::runtime_env::RuntimeEnv;
use kinfold_project::{NodeId, ResourceType};

use super::{PlanLineage, Point};
use crate::bind::Binder;
use crate::relation::{RelationKey, relations_read};
use crate::session::{SessionOptions, session_state};

fn key(name: &str) -> RelationKey {
    RelationKey::own(NodeId::new(ResourceType::Model, &["shop", name]))
}

/// The relations that the marked queries read.
fn relations() -> BTreeMap<&'static str, Schema> {
    let time = || DataType::Timestamp(TimeUnit::Microsecond, None);
    let texts = DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true)));
    let address = DataType::Struct(Fields::from(vec![
        Field::new("city", DataType::Utf8, true),
        Field::new("zip", DataType::Utf8, true),
    ]));
    let schema = |fields: Vec<(&str, DataType)>| {
        let fields = fields.into_iter();
        Schema::new(
            fields
                .map(|(n, t)| Field::new(n, t, true))
                .collect::<Vec<_>>(),
        )
    };
    BTreeMap::from([
        (
            "o",
            schema(vec![
                ("id", DataType::Int64),
                ("cust", DataType::Int64),
                ("amt", DataType::Float64),
                ("placed", time()),
                ("status", DataType::Utf8),
                ("tags", texts),
                ("addr", address),
            ]),
        ),
        (
            "c",
            schema(vec![
                ("id", DataType::Int64),
                ("email", DataType::Utf8),
                ("country", DataType::Utf8),
                ("born", DataType::Date32),
                ("parent", DataType::Int64),
            ]),
        ),
        (
            "e",
            schema(vec![
                ("cust", DataType::Int64),
                ("kind", DataType::Utf8),
                ("seen", time()),
                ("url", DataType::Utf8),
                ("n", DataType::Int64),
            ]),
        ),
    ])
}

pub(crate) fn binder() -> Binder {
    let options = SessionOptions {
        as_of: DateTime::<Utc>::UNIX_EPOCH,
        target_partitions: 2,
        spilling_joins: false,
    };
    let state = session_state(&options, Arc::new(RuntimeEnv::default()));
    let mut binder = Binder::new(state);
    for (name, schema) in relations() {
        binder
            .add_table(key(name), "main", name, Arc::new(schema))
            .unwrap();
    }
    binder
}

/// The names of the three relations, written `@o`, as a model has them.
pub(crate) fn in_full(sql: &str) -> String {
    relations().keys().fold(sql.to_owned(), |sql, name| {
        sql.replace(
            &format!("@{name}"),
            &format!("\"kinfold\".\"main\".\"{name}\""),
        )
    })
}

fn short(point: &Point) -> String {
    point.to_string().replace("model.shop.", "")
}

/// The columns among points; that rows of a relation count is not marked in the queries.
fn columns<'a>(points: impl IntoIterator<Item = &'a Point>) -> BTreeSet<String> {
    let points = points.into_iter().filter(|point| point.column.is_some());
    points.map(short).collect()
}

/// A query with what was marked by hand: `column = value`, `column ~ control`, `* ~ control of the rows`.
struct Marked {
    sql: String,
    columns: Vec<(String, BTreeSet<String>)>,
    control: BTreeMap<String, BTreeSet<String>>,
}

fn marked(text: &str) -> Vec<Marked> {
    let mut found = vec![];
    for block in text.split("\n\n").filter(|block| !block.trim().is_empty()) {
        let mut query = Marked {
            sql: String::new(),
            columns: vec![],
            control: BTreeMap::new(),
        };
        for line in block.lines() {
            let names = |text: &str| text.split_whitespace().map(str::to_owned).collect();
            match line.strip_prefix("> ") {
                None => query.sql.push_str(&format!("{line}\n")),
                Some(mark) => match mark.split_once(" ~") {
                    Some((column, of)) => {
                        let before = query.control.insert(column.to_owned(), names(of));
                        assert!(before.is_none(), "marked twice: {line}");
                    }
                    None => {
                        let (column, of) = mark.split_once(" =").unwrap();
                        query.columns.push((column.to_owned(), names(of)));
                    }
                },
            }
        }
        found.push(query);
    }
    found
}

fn disagreement(binder: &Binder, query: &Marked) -> Option<String> {
    let plan = match binder.bind(&in_full(&query.sql)) {
        Ok(plan) => plan,
        Err(problems) => return Some(format!("does not bind: {problems:?}")),
    };
    let found = PlanLineage::of(&plan);
    let rows = columns(&found.rows);
    let mut wrong = vec![];
    if !found.complete {
        wrong.push("not all of it is understood".to_owned());
    }
    let values: Vec<(String, BTreeSet<String>)> = found
        .columns
        .iter()
        .map(|(name, origins)| (name.clone(), columns(&origins.value)))
        .collect();
    if values != query.columns {
        wrong.push(format!(
            "values\n  found  {values:?}\n  marked {:?}",
            query.columns
        ));
    }
    // What controls all rows is marked there, and not again at each column.
    let mut control: BTreeMap<String, BTreeSet<String>> = found
        .columns
        .iter()
        .map(|(name, origins)| {
            let own = columns(&origins.control);
            (name.clone(), own.difference(&rows).cloned().collect())
        })
        .filter(|(_, own): &(String, BTreeSet<String>)| !own.is_empty())
        .collect();
    if !rows.is_empty() {
        control.insert("*".to_owned(), rows);
    }
    if control != query.control {
        wrong.push(format!(
            "control\n  found  {control:?}\n  marked {:?}",
            query.control
        ));
    }
    // Whatever is read counts at least by which rows it has.
    let origins = found.columns.iter().flat_map(|(_, origins)| origins.all());
    let counted: BTreeSet<RelationKey> = origins
        .chain(&found.rows)
        .filter(|point| point.column.is_none())
        .map(|point| point.relation.clone())
        .collect();
    let read: BTreeSet<RelationKey> = relations_read(&plan).unwrap().into_iter().collect();
    if counted != read {
        wrong.push(format!("rows of {counted:?} count, {read:?} are read"));
    }
    (!wrong.is_empty()).then(|| wrong.join("\n"))
}

#[test]
fn lineage_is_what_was_marked_by_hand() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lineage");
    let binder = binder();
    let (mut count, mut wrong) = (0, vec![]);
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "txt"))
        .collect();
    files.sort();
    for file in files {
        for query in marked(&std::fs::read_to_string(&file).unwrap()) {
            count += 1;
            if let Some(what) = disagreement(&binder, &query) {
                let name = file.file_name().unwrap().to_string_lossy().into_owned();
                wrong.push(format!("{name}\n{}{what}\n", query.sql));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {count} queries disagree\n\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(count >= 200, "there are only {count} queries");
}

#[test]
fn which_rows_there_are_counts_by_itself() {
    let plan = binder()
        .bind(&in_full("SELECT count(*) AS n FROM @o"))
        .unwrap();
    let found = PlanLineage::of(&plan);
    let rows = BTreeSet::from([Point::rows(&key("o"))]);
    assert_eq!(found.rows, rows);
    assert!(found.columns[0].1.value.is_empty());
}

#[test]
fn what_is_not_understood_comes_from_everything() {
    use datafusion::logical_expr::LogicalPlanBuilder;
    let plan = binder()
        .bind(&in_full("SELECT id FROM @o WHERE amt > 1"))
        .unwrap();
    // A plan of another statement than a query: no column of it is known.
    let plan = LogicalPlanBuilder::from(plan)
        .explain(false, false)
        .unwrap()
        .build()
        .unwrap();
    let found = PlanLineage::of(&plan);
    assert!(!found.complete);
    assert!(!found.columns.is_empty());
    let fields = relations().remove("o").unwrap();
    for (_, origins) in &found.columns {
        assert_eq!(columns(&origins.value).len(), fields.fields().len());
    }
    assert!(found.rows.contains(&Point::rows(&key("o"))));
}
