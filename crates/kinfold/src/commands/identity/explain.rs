//! `kinfold identity explain`.

mod apart;
mod chain;
mod path;
pub(super) mod text;

use kinfold_compile::compile::CompiledNode;
use kinfold_compile::render::Materialization;
use kinfold_identity::{EdgeRow, Explanation, LinkKind, Observation, RejectionRule, explain};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::super::person::{self, Found, literal};
use super::super::query::rows_of;
use super::super::{CommandError, Done};
use super::{JudgeError, Opened};
use crate::cli::{ExplainArguments, Global};
use crate::report::Output;

const EDGES: &str = include_str!("../../../../../sql/identity/person_edges.sql");

/// An identifier: its type and value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Identifier {
    id_type: String,
    id_value: String,
}

/// One of the two that are asked about.
#[derive(Clone, Debug, Serialize)]
struct Side {
    /// As it was asked for.
    asked: String,
    /// Whose it is.
    canonical_id: String,
    /// The identifier itself, or the strongest of a canonical id.
    #[serde(flatten)]
    identifier: Identifier,
}

/// A row of the edges relation.
#[derive(Debug)]
struct Row {
    source: String,
    record_id: String,
    id_type: String,
    id_value: String,
    observed_at: Option<i64>,
    accepted: bool,
    rule: Option<String>,
    link: LinkKind,
}

/// An identity as it is published, with the linkages that it hangs on.
struct Published<'a> {
    node: &'a CompiledNode,
    relation: String,
    records: String,
    edges: String,
    linkages: Vec<&'a CompiledNode>,
}

pub(super) async fn run(
    global: &Global,
    arguments: &ExplainArguments,
    output: &Output,
) -> Result<Done, CommandError> {
    let opened = Opened::new(global).await?;
    let wanted = arguments.identity.as_deref();
    let one = find(&opened, &arguments.one, wanted).await?;
    let other = find(&opened, &arguments.other, wanted).await?;
    if one.identity.name != other.identity.name {
        return Err(JudgeError::Identities {
            one: arguments.one.clone(),
            of_one: one.identity.name,
            other: arguments.other.clone(),
            of_other: other.identity.name,
        }
        .into());
    }
    let identity = published(&opened, &one.identity.name)?;
    let sides = [
        side(&opened, &identity, &arguments.one, &one.canonical_id).await?,
        side(&opened, &identity, &arguments.other, &other.canonical_id).await?,
    ];
    let rows = rows(&opened, &identity, &sides).await?;
    let types = types(identity.node);
    let names: Vec<&str> = types.iter().map(String::as_str).collect();
    let pair = |side: &Side| {
        (
            side.identifier.id_type.clone(),
            side.identifier.id_value.clone(),
        )
    };
    let (from, to) = (pair(&sides[0]), pair(&sides[1]));
    let explained = explain(
        rows.iter().filter_map(edge),
        &names,
        (&from.0, &from.1),
        (&to.0, &to.1),
    );
    let told = match &explained {
        Explanation::Joined { steps, weakest } => {
            let hops = path::hops(&opened, &identity, &rows, steps, *weakest, &sides[0]).await?;
            if !output.is_json() {
                text::joined(&identity.node.name, &sides, &hops, output);
                return Ok(Done { success: true });
            }
            json!({"same": true, "hops": hops})
        }
        Explanation::Apart(_) | Explanation::Unknown => {
            let because = match &explained {
                Explanation::Apart(because) => because.as_slice(),
                _ => &[],
            };
            let why = apart::why(&opened, &identity, because, &sides).await?;
            if !output.is_json() {
                text::apart(&identity.node.name, &sides, &why, output);
                return Ok(Done { success: true });
            }
            json!({"same": false, "why": why})
        }
    };
    let mut object = Map::new();
    object.insert("success".to_owned(), true.into());
    object.insert("identity".to_owned(), identity.node.name.clone().into());
    object.insert("of".to_owned(), json!(sides));
    if let Value::Object(told) = told {
        object.extend(told);
    }
    output.json(&Value::Object(object));
    Ok(Done { success: true })
}

/// Whom `asked` means; if nobody, because every row with it was refused, that.
async fn find(opened: &Opened, asked: &str, identity: Option<&str>) -> Result<Found, CommandError> {
    let found = person::find(&opened.engine, &opened.published, asked, identity).await;
    let Err(CommandError::Unknown { .. }) = &found else {
        return found;
    };
    let known = person::identities(&opened.published, identity)?;
    for identity in known {
        let published = published(opened, &identity.name)?;
        let by_type = asked.split_once(':').map(|(id_type, value)| {
            let (id_type, value) = (literal(id_type.trim()), literal(value.trim()));
            format!("id_type = {id_type} AND id_value = {value} OR ")
        });
        let sql = format!(
            "SELECT rule, count(*) AS rows FROM {} WHERE NOT accepted AND ({}id_value = {}) GROUP BY rule ORDER BY rule",
            published.edges,
            by_type.unwrap_or_default(),
            literal(asked)
        );
        let refused: Vec<(String, u64)> = rows_of(&opened.engine, &sql)
            .await?
            .iter()
            .filter_map(|row| {
                Some((
                    row.get("rule")?.as_str()?.to_owned(),
                    row.get("rows")?.as_u64()?,
                ))
            })
            .collect();
        if !refused.is_empty() {
            return Err(JudgeError::Refused {
                asked: asked.to_owned(),
                identity: identity.name,
                rows: refused,
            }
            .into());
        }
    }
    found
}

/// The identity of that name, which is published, with the linkages above it.
fn published<'a>(opened: &'a Opened, name: &str) -> Result<Published<'a>, CommandError> {
    let node = opened.model(name, "identity", &[Materialization::Identity])?;
    let nodes = &opened.bound.compiled.nodes;
    let mut linkages: Vec<&CompiledNode> = vec![];
    let mut open: Vec<&kinfold_project::NodeId> = node.depends_on.iter().collect();
    let mut met = std::collections::BTreeSet::new();
    while let Some(id) = open.pop() {
        let Some(above) = nodes.get(id).filter(|_| met.insert(id)) else {
            continue;
        };
        if above.config.materialized.value == Materialization::Linkage {
            linkages.push(above);
        }
        open.extend(&above.depends_on);
    }
    linkages.sort_by(|one, two| one.id.cmp(&two.id));
    Ok(Published {
        relation: opened.relation(node, None)?,
        records: opened.relation(node, Some("records"))?,
        edges: opened.relation(node, Some("edges"))?,
        linkages,
        node,
    })
}

/// The types of identifiers, the strongest first.
fn types(node: &CompiledNode) -> Vec<String> {
    let types = node.config.identity.identifiers.iter();
    types.map(|rules| rules.id_type.value.clone()).collect()
}

/// The identifier that was asked for; for a canonical id its strongest.
async fn side(
    opened: &Opened,
    identity: &Published<'_>,
    asked: &str,
    canonical_id: &str,
) -> Result<Side, CommandError> {
    let sql = format!(
        "SELECT id_type, id_value FROM {} WHERE canonical_id = {} ORDER BY id_type, id_value",
        identity.relation,
        literal(canonical_id)
    );
    let own: Vec<Identifier> = rows_of(&opened.engine, &sql)
        .await?
        .iter()
        .filter_map(|row| {
            Some(Identifier {
                id_type: row.get("id_type")?.as_str()?.to_owned(),
                id_value: row.get("id_value")?.as_str()?.to_owned(),
            })
        })
        .collect();
    let types = types(identity.node);
    let strength = |identifier: &&Identifier| {
        let place = types.iter().position(|known| *known == identifier.id_type);
        place.unwrap_or(types.len())
    };
    let by_type = asked.split_once(':');
    let named = own.iter().find(|identifier| {
        let parts = by_type.map(|(id_type, value)| (id_type.trim(), value.trim()));
        parts == Some((&identifier.id_type, &identifier.id_value))
    });
    let valued = || {
        own.iter()
            .filter(|i| i.id_value == asked)
            .min_by_key(strength)
    };
    let found = named
        .or_else(valued)
        .or_else(|| own.iter().min_by_key(strength));
    let found = found.ok_or_else(|| JudgeError::Companions(identity.node.name.clone()))?;
    Ok(Side {
        asked: asked.to_owned(),
        canonical_id: canonical_id.to_owned(),
        identifier: found.clone(),
    })
}

/// The rows that say anything of the two.
async fn rows(
    opened: &Opened,
    identity: &Published<'_>,
    sides: &[Side; 2],
) -> Result<Vec<Row>, CommandError> {
    let ids = sides.each_ref().map(|side| literal(&side.canonical_id));
    let sql = EDGES
        .replace("{identity}", &identity.relation)
        .replace("{edges}", &identity.edges)
        .replace("{ids}", &ids.join(", "));
    let rows = rows_of(&opened.engine, &sql).await?;
    let rows = rows.iter().filter_map(|row| {
        let text = |key: &str| row.get(key).and_then(Value::as_str).map(str::to_owned);
        let weight = row.get("weight").and_then(Value::as_f64);
        Some(Row {
            source: text("source")?,
            record_id: text("record_id")?,
            id_type: text("id_type")?,
            id_value: text("id_value")?,
            observed_at: row.get("seen_at").and_then(Value::as_i64),
            accepted: row.get("accepted").and_then(Value::as_bool)?,
            rule: text("rule"),
            link: match text("link").as_deref() {
                Some("link") => LinkKind::Link(weight.unwrap_or(0.0)),
                Some("include") => LinkKind::Include,
                Some("exclude") => LinkKind::Exclude,
                _ => LinkKind::None,
            },
        })
    });
    Ok(rows.collect())
}

/// A row as the explanation takes it; none for one that was refused before the graph, which joins nothing.
fn edge(row: &Row) -> Option<EdgeRow<'_>> {
    let rejected = match (row.accepted, row.rule.as_deref()) {
        (true, _) => None,
        (false, rule) => Some(rejection(rule?)?),
    };
    Some(EdgeRow {
        row: Observation {
            source: Some(&row.source),
            record_id: Some(&row.record_id),
            id_type: Some(&row.id_type),
            id_value: Some(&row.id_value),
            observed_at: row.observed_at,
            link: row.link,
        },
        rejected,
    })
}

/// The rule of a word of the edges relation.
fn rejection(word: &str) -> Option<RejectionRule> {
    use RejectionRule as Rule;
    let all = [
        Rule::BlockedValue,
        Rule::BlockedPattern,
        Rule::TooShort,
        Rule::TooLong,
        Rule::Hub,
        Rule::Limit,
        Rule::One,
        Rule::Excluded,
        Rule::TooLarge,
    ];
    all.into_iter().find(|rule| rule.as_str() == word)
}

/// Microseconds since 1970 as RFC 3339.
fn time(micros: Option<i64>) -> Option<String> {
    let time = chrono::DateTime::from_timestamp_micros(micros?)?;
    Some(time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true))
}
