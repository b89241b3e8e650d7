//! Columns that kinfold's own materializations need and publish.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use crate::bind::{Problem, closest};
use crate::codes;
use crate::render::Materialization;

/// What a column of a contract may be.
#[derive(Clone, Copy)]
enum Need {
    Text,
    Time,
}

impl Need {
    fn accepts(self, found: &DataType) -> bool {
        match self {
            // Numbers and UUIDs serve as ids too: they are stored as text.
            Self::Text => {
                matches!(
                    found,
                    DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null
                ) || found.is_integer()
            }
            Self::Time => matches!(
                found,
                DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 | DataType::Null
            ),
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Text => "text or a whole number",
            Self::Time => "a timestamp or a date",
        }
    }
}

const IDENTITY: &[(&str, Need)] = &[
    ("source", Need::Text),
    ("record_id", Need::Text),
    ("id_type", Need::Text),
    ("id_value", Need::Text),
    ("observed_at", Need::Time),
];
const KEYED: &[(&str, Need)] = &[("canonical_id", Need::Text)];

/// What is wrong with the columns of a model for its materialization.
pub(super) fn problems(materialized: Materialization, columns: &Schema) -> Vec<Problem> {
    let (needs, word) = match materialized {
        Materialization::Identity => (IDENTITY, "identity"),
        Materialization::Profile => (KEYED, "profile"),
        Materialization::Segment => (KEYED, "segment"),
        Materialization::Incremental | Materialization::Snapshot => {
            let mut problem = Problem::new(
                codes::MATERIALIZATION_NOT_SUPPORTED,
                format!(
                    "materialization `{}` is not supported yet",
                    materialized.as_str()
                ),
            );
            problem
                .help
                .push("`table` builds all rows again whenever an input changed".to_owned());
            return vec![problem];
        }
        _ => return vec![],
    };
    let names: Vec<&str> = columns.fields().iter().map(|f| f.name().as_str()).collect();
    let mut found = vec![];
    for (name, need) in needs {
        match columns.field_with_name(name) {
            Err(_) => {
                let mut p = Problem::new(
                    codes::CONTRACT,
                    format!(
                        "materialization `{word}` needs a column `{name}` ({})",
                        need.words()
                    ),
                );
                if let Some(close) = closest(name, &names) {
                    p.help.push(format!(
                        "is `{close}` the column that is meant? name it `{name}`"
                    ));
                }
                found.push(p);
            }
            Ok(field) if !need.accepts(field.data_type()) => found.push(Problem::new(
                codes::CONTRACT,
                format!(
                    "column `{name}` of materialization `{word}` is {}, not {}",
                    field.data_type(),
                    need.words()
                ),
            )),
            Ok(_) => {}
        }
    }
    let reserved: &[&str] = match materialized {
        Materialization::Segment => &["entered_at", "exited_at", "run_id"],
        Materialization::Profile => &["valid_from", "valid_to"],
        _ => &[],
    };
    for name in reserved.iter().filter(|n| names.contains(n)) {
        found.push(Problem::new(
            codes::CONTRACT,
            format!("column `{name}` is kept by materialization `{word}` itself; give this one another name"),
        ));
    }
    found
}

fn text(name: &str) -> Field {
    Field::new(name, DataType::Utf8, true)
}

fn time(name: &str) -> Field {
    Field::new(
        name,
        DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        true,
    )
}

/// The same columns, all of which may be null.
pub(super) fn nullable(schema: &Schema) -> SchemaRef {
    Arc::new(Schema::new(
        schema
            .fields()
            .iter()
            .map(|f| f.as_ref().clone().with_nullable(true))
            .collect::<Vec<_>>(),
    ))
}

/// Columns of a segment that its query adds to `canonical_id`.
#[must_use]
pub fn segment_extra_columns(query: &Schema) -> Vec<Field> {
    query
        .fields()
        .iter()
        .filter(|f| f.name() != "canonical_id")
        .map(|f| f.as_ref().clone())
        .collect()
}

/// Columns of the relation itself, given those of the query as they are stored.
pub(super) fn own_schema(materialized: Materialization, query: &SchemaRef) -> SchemaRef {
    match materialized {
        Materialization::Identity => Arc::new(Schema::new(vec![
            text("id_type"),
            text("id_value"),
            text("canonical_id"),
            time("minted_at"),
            time("first_seen_at"),
            time("last_seen_at"),
        ])),
        Materialization::Segment => {
            let mut fields = vec![text("canonical_id"), time("entered_at")];
            fields.extend(segment_extra_columns(query));
            Arc::new(Schema::new(fields))
        }
        Materialization::Profile => Arc::new(Schema::new(
            query
                .fields()
                .iter()
                .map(|f| {
                    if f.name() == "canonical_id" {
                        text("canonical_id")
                    } else {
                        f.as_ref().clone()
                    }
                })
                .collect::<Vec<_>>(),
        )),
        _ => Arc::clone(query),
    }
}

/// Columns of a companion; `None` for a suffix that the materialization does not publish.
#[must_use]
pub fn companion_schema(
    materialized: Materialization,
    suffix: &str,
    query: &SchemaRef,
) -> Option<SchemaRef> {
    let fields = match (materialized, suffix) {
        (Materialization::Identity, "records") => {
            vec![text("source"), text("record_id"), text("canonical_id")]
        }
        (Materialization::Identity, "edges") => vec![
            text("source"),
            text("record_id"),
            text("id_type"),
            text("id_value"),
            time("observed_at"),
            text("canonical_id"),
            Field::new("accepted", DataType::Boolean, true),
            text("rule"),
        ],
        (Materialization::Identity, "changes") => vec![
            text("run_id"),
            time("changed_at"),
            text("kind"),
            text("from_canonical_id"),
            text("into_canonical_id"),
            Field::new("identifiers", DataType::Int64, true),
        ],
        (Materialization::Segment, "history") => {
            vec![
                text("canonical_id"),
                time("entered_at"),
                time("exited_at"),
                text("run_id"),
            ]
        }
        (Materialization::Profile, "history") => {
            let own = own_schema(materialized, query);
            let mut fields: Vec<Field> = own.fields().iter().map(|f| f.as_ref().clone()).collect();
            fields.push(time("valid_from"));
            fields.push(time("valid_to"));
            fields
        }
        _ => return None,
    };
    Some(Arc::new(Schema::new(fields)))
}
