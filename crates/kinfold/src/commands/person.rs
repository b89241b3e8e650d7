//! `kinfold profile show`: all that is known of one person.

use kinfold_engine::activate::{PersonSync, syncs_of_person};
use kinfold_engine::{Engine, EngineOptions, Published, PublishedNode};
use serde_json::{Value, json};

use super::person_traits::{origins, told_of};
use super::query::rows_of;
use super::{CommandError, Done};
use crate::cli::Global;
use crate::report::Output;
use crate::workspace::Workspace;

/// An identity of the project, published.
#[derive(Clone)]
pub struct Identity {
    /// The name of its model.
    pub name: String,
    /// The relation itself and its companions, as SQL names them.
    relation: String,
    aliases: Option<String>,
}

/// Whom the command line means.
pub struct Found {
    /// The identity that knows the id.
    pub identity: Identity,
    /// The id in use.
    pub canonical_id: String,
    /// All ids that were merged into it, also over others, in order.
    pub merged: Vec<String>,
}

pub async fn show(
    global: &Global,
    asked: &str,
    identity: Option<&str>,
    output: &Output,
) -> Result<Done, CommandError> {
    let mut workspace = Workspace::load(global, None)?;
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
    let origins = origins(&engine, &published, &found.canonical_id).await?;
    let mut profiles = vec![];
    let mut segments = vec![];
    for (name, node) in models(&published) {
        let Some(relation) = relation(node) else {
            continue;
        };
        let sql = format!("SELECT * FROM {relation} WHERE canonical_id = {id}");
        match node.kind.as_str() {
            "profile" => {
                for row in rows_of(&engine, &sql).await? {
                    profiles.push(told_of(name, node, row, &origins));
                }
            }
            "segment" => {
                for mut row in rows_of(&engine, &sql).await? {
                    let entered = row.remove("entered_at").unwrap_or_default();
                    row.remove("canonical_id");
                    segments.push(json!({"model": name, "entered_at": entered, "because": row}));
                }
            }
            _ => {}
        }
    }
    let syncs = syncs(&mut workspace, &engine, &published, &found.canonical_id).await?;
    let told = json!({
        "success": true,
        "identity": found.identity.name,
        "canonical_id": found.canonical_id,
        "merged_from": found.merged,
        "identifiers": identifiers,
        "profiles": profiles,
        "segments": segments,
        "syncs": syncs,
    });
    if output.is_json() {
        output.json(&told);
    } else {
        text(&told, output);
    }
    Ok(Done { success: true })
}

/// What destinations have of the person. A project that does not hold together has no syncs to ask.
async fn syncs(
    workspace: &mut Workspace,
    engine: &Engine,
    published: &Published,
    canonical_id: &str,
) -> Result<Vec<PersonSync>, CommandError> {
    if workspace.project.syncs.is_empty() {
        return Ok(vec![]);
    }
    let bound = workspace.bind(Some(engine), false).await?;
    let compiled = &bound.compiled.syncs;
    let syncs: Vec<_> = workspace
        .project
        .syncs
        .iter()
        .filter_map(|sync| Some((sync, compiled.iter().find(|bound| bound.id == sync.id)?)))
        .collect();
    Ok(syncs_of_person(engine, published, &syncs, canonical_id).await?)
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
            let origin = &profile["provenance"][name];
            let from = [&origin["source"], &origin["observed_at"]];
            let from = from.into_iter().filter(|part| !part.is_null()).map(word);
            let from = from.collect::<Vec<_>>().join(", ");
            let from = match from.as_str() {
                "" => from,
                _ => format!("   ({from})"),
            };
            output.line(&format!("  {name}: {}{from}", word(value)));
        }
    }
    let segments = list("segments");
    if !segments.is_empty() {
        output.line("segments");
    }
    for segment in segments {
        let because = segment["because"].as_object().cloned().unwrap_or_default();
        let because = because
            .iter()
            .map(|(name, value)| format!("{name}: {}", word(value)))
            .collect::<Vec<_>>()
            .join(", ");
        let because = match because.as_str() {
            "" => because,
            _ => format!("   ({because})"),
        };
        output.line(&format!(
            "  {} since {}{because}",
            word(&segment["model"]),
            word(&segment["entered_at"])
        ));
    }
    let syncs = list("syncs");
    if !syncs.is_empty() {
        output.line("syncs");
    }
    for sync in syncs {
        let key = sync["key"].as_object().cloned().unwrap_or_default();
        let key = key
            .iter()
            .map(|(name, value)| format!("{name}={}", word(value)))
            .collect::<Vec<_>>()
            .join(", ");
        let mut line = format!(
            "  {} → {} {} {key}: {}",
            word(&sync["sync"]),
            word(&sync["connection"]),
            word(&sync["object"]),
            word(&sync["status"])
        );
        for part in [&sync["acknowledged_at"], &sync["error_class"]] {
            if !part.is_null() {
                line.push_str(&format!(", {}", word(part)));
            }
        }
        output.line(&line);
    }
}

/// The names and nodes of models that are published.
pub fn models(published: &Published) -> impl Iterator<Item = (&str, &PublishedNode)> {
    published.nodes.iter().filter_map(|(id, node)| {
        let name = id.as_str().strip_prefix("model.")?;
        Some((name.split_once('.').map_or(name, |(_, name)| name), node))
    })
}

fn relation(node: &PublishedNode) -> Option<String> {
    node.table.as_ref().map(|table| sql_name(&table.relation))
}

/// Schema and name as SQL writes them.
pub fn sql_name((schema, name): &(String, String)) -> String {
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
                aliases: companion(node, "aliases"),
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

/// The id that is in use for a canonical id, and all that stand for it. `None` if it never was one, or if nobody
/// has it any more.
async fn current(
    engine: &Engine,
    identity: &Identity,
    asked: &str,
) -> Result<Option<(String, Vec<String>)>, CommandError> {
    let only = async |sql: String| -> Result<Vec<String>, CommandError> {
        let rows = rows_of(engine, &sql).await?;
        let ids = rows.iter().filter_map(|row| row.get("id")?.as_str());
        Ok(ids.map(str::to_owned).collect())
    };
    let mut id = asked.to_owned();
    if let Some(aliases) = &identity.aliases {
        let old = literal(asked);
        let sql =
            format!("SELECT canonical_id AS id FROM {aliases} WHERE old_canonical_id = {old}");
        if let Some(now) = only(sql).await?.pop() {
            id = now;
        }
    }
    let now = literal(&id);
    let sql = format!(
        "SELECT canonical_id AS id FROM {} WHERE canonical_id = {now} LIMIT 1",
        identity.relation
    );
    if only(sql).await?.is_empty() {
        return Ok(None);
    }
    let merged = match &identity.aliases {
        Some(aliases) => {
            let sql = format!(
                "SELECT old_canonical_id AS id FROM {aliases} WHERE canonical_id = {now} ORDER BY id"
            );
            only(sql).await?
        }
        None => vec![],
    };
    Ok(Some((id, merged)))
}
