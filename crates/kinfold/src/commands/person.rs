//! `kinfold profile show`: all that is known of one person.

use kinfold_engine::{Engine, EngineOptions, Published, PublishedNode};
use serde_json::{Value, json};

use super::query::rows_of;
use super::{CommandError, Done};
use crate::cli::Global;
use crate::report::Output;
use crate::workspace::Workspace;

/// Ids that a merged id is followed through at most. A chain is as long as the merges of one person.
const MERGES: usize = 10_000;

/// An identity of the project, published.
#[derive(Clone)]
pub struct Identity {
    /// The name of its model.
    pub name: String,
    /// The relation itself and its companions, as SQL names them.
    relation: String,
    changes: Option<String>,
}

/// Whom the command line means.
pub struct Found {
    /// The identity that knows the id.
    pub identity: Identity,
    /// The id in use.
    pub canonical_id: String,
    /// Ids that were asked for or came between, oldest first: each was merged into the next.
    pub merged: Vec<String>,
}

pub async fn show(
    global: &Global,
    asked: &str,
    identity: Option<&str>,
    output: &Output,
) -> Result<Done, CommandError> {
    let workspace = Workspace::load(global, None)?;
    let engine = workspace.engine(EngineOptions::default()).await?;
    let published = engine.published().await?.document;
    let found = find(&engine, &published, asked, identity).await?;
    let id = literal(&found.canonical_id);
    let identifiers = rows_of(
        &engine,
        &format!(
            "SELECT id_type, id_value, first_seen_at, last_seen_at FROM {} WHERE canonical_id = {id} ORDER BY id_type, id_value",
            found.identity.relation
        ),
    )
    .await?;
    let mut profiles = vec![];
    let mut segments = vec![];
    for (name, node) in models(&published) {
        let Some(relation) = relation(node) else {
            continue;
        };
        let sql = format!("SELECT * FROM {relation} WHERE canonical_id = {id}");
        match node.kind.as_str() {
            "profile" => {
                for traits in rows_of(&engine, &sql).await? {
                    profiles.push(json!({"model": name, "as_of": node.as_of, "traits": traits}));
                }
            }
            "segment" => {
                for row in rows_of(&engine, &sql).await? {
                    let entered = row.get("entered_at").cloned().unwrap_or_default();
                    segments.push(json!({"model": name, "entered_at": entered}));
                }
            }
            _ => {}
        }
    }
    let told = json!({
        "success": true,
        "identity": found.identity.name,
        "canonical_id": found.canonical_id,
        "merged_from": found.merged,
        "identifiers": identifiers,
        "profiles": profiles,
        "segments": segments,
    });
    if output.is_json() {
        output.json(&told);
    } else {
        text(&told, output);
    }
    Ok(Done { success: true })
}

fn text(told: &Value, output: &Output) {
    let word = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    };
    let list = |key: &str| told[key].as_array().cloned().unwrap_or_default();
    output.line(&format!(
        "{} {}",
        word(&told["identity"]),
        output.paint(&word(&told["canonical_id"]), "1")
    ));
    for merged in list("merged_from") {
        output.line(&format!("  was {}", word(&merged)));
    }
    output.line("identifiers");
    for row in list("identifiers") {
        let seen = match (&row["first_seen_at"], &row["last_seen_at"]) {
            (Value::Null, _) => String::new(),
            (first, last) => format!("   seen {} to {}", word(first), word(last)),
        };
        output.line(&format!(
            "  {}: {}{seen}",
            word(&row["id_type"]),
            word(&row["id_value"])
        ));
    }
    for profile in list("profiles") {
        output.line(&word(&profile["model"]));
        let traits = profile["traits"].as_object().cloned().unwrap_or_default();
        for (name, value) in traits.iter().filter(|(name, _)| *name != "canonical_id") {
            output.line(&format!("  {name}: {}", word(value)));
        }
    }
    let segments = list("segments");
    if !segments.is_empty() {
        output.line("segments");
    }
    for segment in segments {
        output.line(&format!(
            "  {} since {}",
            word(&segment["model"]),
            word(&segment["entered_at"])
        ));
    }
}

/// The names and nodes of models that are published.
fn models(published: &Published) -> impl Iterator<Item = (&str, &PublishedNode)> {
    published.nodes.iter().filter_map(|(id, node)| {
        let name = id.as_str().strip_prefix("model.")?;
        Some((name.split_once('.').map_or(name, |(_, name)| name), node))
    })
}

fn relation(node: &PublishedNode) -> Option<String> {
    node.table.as_ref().map(|table| sql_name(&table.relation))
}

fn sql_name((schema, name): &(String, String)) -> String {
    let quoted = |part: &str| format!("\"{}\"", part.replace('"', "\"\""));
    format!("{}.{}", quoted(schema), quoted(name))
}

/// Text as SQL writes it.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The identities that are published; only the one of that name if it is given.
pub fn identities(
    published: &Published,
    wanted: Option<&str>,
) -> Result<Vec<Identity>, CommandError> {
    let all = || models(published).filter(|(_, node)| node.kind == "identity");
    let companion = |node: &PublishedNode, suffix: &str| {
        node.companions
            .get(suffix)
            .map(|table| sql_name(&table.relation))
    };
    let found: Vec<Identity> = all()
        .filter(|(name, _)| wanted.is_none_or(|wanted| wanted == *name))
        .filter_map(|(name, node)| {
            Some(Identity {
                name: name.to_owned(),
                relation: relation(node)?,
                changes: companion(node, "changes"),
            })
        })
        .collect();
    if let (Some(wanted), true) = (wanted, found.is_empty()) {
        let names: Vec<&str> = all().map(|(name, _)| name).collect();
        return Err(CommandError::Unknown {
            kind: "published identity",
            name: wanted.to_owned(),
            close: kinfold_compile::bind::closest(wanted, &names).map(str::to_owned),
        });
    }
    Ok(found)
}

/// Whom `asked` means: a canonical id, one that was in use once, `email:ann@example.com`, or any identifier's value.
pub async fn find(
    engine: &Engine,
    published: &Published,
    asked: &str,
    identity: Option<&str>,
) -> Result<Found, CommandError> {
    let known = identities(published, identity)?;
    let mut hits: Vec<Found> = vec![];
    for identity in known {
        if let Some((canonical_id, merged)) = current(engine, &identity, asked).await? {
            hits.push(Found {
                identity,
                canonical_id,
                merged,
            });
            continue;
        }
        let by_type = asked.split_once(':').map(|(id_type, value)| {
            format!(
                "id_type = {} AND id_value = {}",
                literal(id_type.trim()),
                literal(value.trim())
            )
        });
        let conditions = by_type
            .into_iter()
            .chain([format!("id_value = {}", literal(asked))]);
        for condition in conditions {
            let sql = format!(
                "SELECT DISTINCT canonical_id FROM {} WHERE {condition} ORDER BY canonical_id",
                identity.relation
            );
            let ids = rows_of(engine, &sql).await?;
            let before = hits.len();
            hits.extend(ids.iter().filter_map(|row| {
                Some(Found {
                    identity: identity.clone(),
                    canonical_id: row.get("canonical_id")?.as_str()?.to_owned(),
                    merged: vec![],
                })
            }));
            if hits.len() > before {
                break;
            }
        }
    }
    if hits.len() > 1 {
        let ids = hits.iter().map(|hit| {
            let Found {
                identity,
                canonical_id,
                ..
            } = hit;
            format!("{} {canonical_id}", identity.name)
        });
        return Err(CommandError::Ambiguous {
            name: asked.to_owned(),
            found: ids.collect(),
        });
    }
    hits.pop().ok_or_else(|| CommandError::Unknown {
        kind: "person with the id",
        name: asked.to_owned(),
        close: None,
    })
}

/// The id that is in use for a canonical id, and those on the way to it. `None` if it never was one.
async fn current(
    engine: &Engine,
    identity: &Identity,
    asked: &str,
) -> Result<Option<(String, Vec<String>)>, CommandError> {
    let mut id = asked.to_owned();
    let mut merged = vec![];
    while merged.len() < MERGES {
        let sql = format!(
            "SELECT 1 AS known FROM {} WHERE canonical_id = {} LIMIT 1",
            identity.relation,
            literal(&id)
        );
        if !rows_of(engine, &sql).await?.is_empty() {
            return Ok(Some((id, merged)));
        }
        let Some(changes) = &identity.changes else {
            return Ok(None);
        };
        let sql = format!(
            "SELECT into_canonical_id FROM {changes} WHERE kind = 'merged' AND from_canonical_id = {} \
             ORDER BY changed_at DESC LIMIT 1",
            literal(&id)
        );
        let next = rows_of(engine, &sql).await?;
        let into = next
            .first()
            .and_then(|row| row.get("into_canonical_id")?.as_str().map(str::to_owned));
        let Some(into) = into else {
            return Ok(None);
        };
        merged.push(std::mem::replace(&mut id, into));
    }
    Ok(None)
}
