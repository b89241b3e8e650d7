//! Columns that kinfold's own materializations need and publish.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use crate::bind::{Problem, closest};
use crate::codes;
use crate::render::{Materialization, NodeConfig};

/// What a column of a contract may be.
#[derive(Clone, Copy)]
enum Need {
    Text,
    Time,
    Number,
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
            Self::Number => found.is_numeric() || *found == DataType::Null,
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
            Self::Number => "a number",
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
/// Columns that an identity may have besides.
const IDENTITY_OPTIONAL: &[(&str, Need)] = &[("link", Need::Text), ("weight", Need::Number)];
const LINKAGE: &[(&str, Need)] = &[("source", Need::Text), ("record_id", Need::Text)];
const KEYED: &[(&str, Need)] = &[("canonical_id", Need::Text)];

/// What is wrong with the columns of a model for its materialization.
pub(super) fn problems(materialized: Materialization, columns: &Schema) -> Vec<Problem> {
    let (needs, word) = match materialized {
        Materialization::Linkage => (LINKAGE, "linkage"),
        Materialization::Identity => (IDENTITY, "identity"),
        Materialization::Profile => (KEYED, "profile"),
        Materialization::Segment => (KEYED, "segment"),
        Materialization::Snapshot => {
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
                let shown: Vec<String> = names.iter().take(12).map(|n| format!("`{n}`")).collect();
                let more = if names.len() > shown.len() {
                    ", …"
                } else {
                    ""
                };
                p.notes.push(format!("it has {}{more}", shown.join(", ")));
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
    if materialized == Materialization::Identity {
        for (name, need) in IDENTITY_OPTIONAL {
            if let Ok(field) = columns.field_with_name(name)
                && !need.accepts(field.data_type())
            {
                found.push(Problem::new(
                    codes::CONTRACT,
                    format!(
                        "column `{name}` of materialization `{word}` is {}, not {}",
                        field.data_type(),
                        need.words()
                    ),
                ));
            }
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

fn number(name: &str) -> Field {
    Field::new(name, DataType::Float64, true)
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
pub(super) fn own_schema(config: &NodeConfig, query: &SchemaRef) -> SchemaRef {
    match config.materialized.value {
        Materialization::Linkage => Arc::new(Schema::new(pair_fields(config))),
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
        Materialization::Profile => Arc::new(Schema::new(profile_fields(query))),
        _ => Arc::clone(query),
    }
}

fn profile_fields(query: &Schema) -> Vec<Field> {
    let fields = query.fields().iter();
    let fields = fields.map(|f| match f.name().as_str() {
        "canonical_id" => text("canonical_id"),
        _ => f.as_ref().clone(),
    });
    fields.collect()
}

/// A pair of records, the smaller first, and what each comparison adds to its weight.
fn pair_fields(config: &NodeConfig) -> Vec<Field> {
    let mut fields = vec![
        text("source_l"),
        text("record_id_l"),
        text("source_r"),
        text("record_id_r"),
        number("match_weight"),
        number("match_probability"),
        text("rule"),
        Field::new("linked", DataType::Boolean, true),
        number("prior_weight"),
    ];
    let comparisons = config.linkage.iter().flat_map(|rules| &rules.comparisons);
    fields
        .extend(comparisons.map(|comparison| number(&format!("{}_weight", comparison.name.value))));
    fields
}

/// Columns of a companion; `None` for a suffix that the materialization does not publish.
#[must_use]
pub fn companion_schema(
    materialized: Materialization,
    suffix: &str,
    query: &SchemaRef,
) -> Option<SchemaRef> {
    let fields = match (materialized, suffix) {
        // Rows for an identity.
        (Materialization::Linkage, "links") => vec![
            text("source"),
            text("record_id"),
            text("id_type"),
            text("id_value"),
            time("observed_at"),
            text("link"),
            number("weight"),
        ],
        (Materialization::Identity, "records") => {
            vec![
                text("source"),
                text("record_id"),
                text("canonical_id"),
                text("first_canonical_id"),
            ]
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
            text("link"),
            number("weight"),
        ],
        (Materialization::Identity, "history") => vec![
            text("id_type"),
            text("id_value"),
            text("canonical_id"),
            time("valid_to"),
            text("run_id"),
        ],
        (Materialization::Identity, "aliases") => {
            vec![text("old_canonical_id"), text("canonical_id")]
        }
        (Materialization::Identity, "alarms") => vec![
            text("reason"),
            text("id_type"),
            text("id_value"),
            text("canonical_id"),
            Field::new("size", DataType::Int64, true),
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
            let mut fields = profile_fields(query);
            fields.push(time("valid_from"));
            fields.push(time("valid_to"));
            fields
        }
        _ => return None,
    };
    Some(Arc::new(Schema::new(fields)))
}
