//! From a description of an API to a destination's folder.
//!
//! [`Api::read`] reads OpenAPI 3.0, 3.1 and Swagger 2.0. [`candidates`] finds the operations that look as if they
//! wrote rows and says why. [`scaffold`] writes the folder: a manifest with what the description tells, recorded
//! exchanges, and faults. What it does not tell, and no description tells all, is left to a person as a comment
//! that begins with `TODO`, and says what to look for.
//!
//! Nothing is asked of the vendor. Exchanges are recorded by running the manifest against a server on this
//! machine, with answers made of the schemas: so they replay, and prove no more than that the folder is sound.

mod answers;
mod api;
mod body;
mod call;
mod candidate;
mod connection;
mod credentials;
mod expression;
mod judgement;
mod limits;
mod look_up;
mod objects;
mod operation;
mod outcome;
mod points;
mod prose;
mod record;
mod row;
mod sample;
mod schema;
mod shape;
mod shown;
mod words;
mod write;
mod yaml;

use std::sync::Arc;

use kinfold_project::suggest;

pub use api::{Api, Operation};
pub use candidate::{Candidate, candidates};

use crate::load::{EXCHANGES, FAULTS, MANIFEST, read};
use objects::Object;

/// The files of a new destination.
#[derive(Clone, Debug)]
pub struct Scaffold {
    /// Paths in the folder, and texts.
    pub files: Vec<(String, String)>,
    /// What a person has to decide, in the order of the manifest.
    pub left: Vec<String>,
}

/// Why there is no scaffold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScaffoldError {
    /// The name is none.
    #[error(
        "`{name}` cannot be the name of a destination: it has lower-case letters, digits, `-` and `_`, and begins with a letter"
    )]
    Name {
        /// The name.
        name: String,
    },
    /// No operation looks as if it wrote rows.
    #[error("no operation of `{file}` looks as if it wrote rows")]
    Nothing {
        /// The file.
        file: String,
    },
    /// An operation that was asked for is not there, or cannot write rows.
    #[error("`{id}` is no operation that could write rows; {help}")]
    Unknown {
        /// The operation.
        id: String,
        /// What is there.
        help: String,
    },
    /// The description leads to a manifest with errors. That is a mistake of this program.
    #[error("the manifest that was made has errors, which is a mistake of this program: {reason}")]
    Broken {
        /// The first error.
        reason: String,
    },
}

/// Makes the folder of a destination, of the operations with these ids, or, if there are none, of the likeliest one
/// and what else can be done to the same object.
///
/// Opens a socket on this machine and no other.
///
/// # Errors
/// See [`ScaffoldError`].
pub async fn scaffold(api: &Api, name: &str, chosen: &[&str]) -> Result<Scaffold, ScaffoldError> {
    let sound = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_'));
    if !sound {
        return Err(ScaffoldError::Name {
            name: name.to_owned(),
        });
    }
    let all = candidates(api);
    let taken = taken(api);
    let (first, objects) = if chosen.is_empty() {
        (all.first(), objects::guessed(api, &all, &taken))
    } else {
        let found = by_id(&all, chosen)?;
        (found.first().copied(), objects::of(api, &found, &taken))
    };
    let Some(first) = first.filter(|_| !objects.is_empty()) else {
        return Err(ScaffoldError::Nothing {
            file: api.file.clone(),
        });
    };
    folder(api, name, first, &objects).await
}

fn by_id<'a>(all: &'a [Candidate], chosen: &[&str]) -> Result<Vec<&'a Candidate>, ScaffoldError> {
    let find = |id: &&str| {
        let same = |candidate: &&Candidate| {
            candidate.id == *id || format!("{} {}", candidate.method, candidate.path) == *id
        };
        all.iter().find(same).ok_or_else(|| {
            let ids = || all.iter().map(|candidate| candidate.id.as_str());
            let help = suggest::did_you_mean(id, ids())
                .unwrap_or_else(|| format!("there is {}", suggest::one_of(ids().take(8))));
            ScaffoldError::Unknown {
                id: (*id).to_owned(),
                help,
            }
        })
    };
    chosen.iter().map(find).collect()
}

/// Parameters of the query that are credentials.
fn taken(api: &Api) -> Vec<String> {
    let place = if api.swagger {
        "/securityDefinitions"
    } else {
        "/components/securitySchemes"
    };
    let schemes = api.part(place).and_then(serde_json::Value::as_object);
    let of_query = schemes.into_iter().flatten().filter_map(|(_, scheme)| {
        let scheme = api.resolve(scheme);
        let query = scheme.get("in").and_then(serde_json::Value::as_str) == Some("query");
        scheme
            .get("name")
            .filter(|_| query)?
            .as_str()
            .map(str::to_owned)
    });
    of_query.collect()
}

async fn folder(
    api: &Api,
    name: &str,
    first: &Candidate,
    objects: &[Object],
) -> Result<Scaffold, ScaffoldError> {
    let broken = |reason: String| ScaffoldError::Broken { reason };
    // The document's own order would put the likeliest operation anywhere.
    let operations: Vec<&Operation> = api.operations.get(first.position).into_iter().collect();
    let connection = connection::Connection::of(api, &operations);
    let limits = limits::limits(api, &operations);
    let text = write::manifest(api, name, first, objects, &connection, &limits);
    let left = left(&text);
    let found = read([(MANIFEST, text.as_str())]);
    let error = found.diagnostics.iter().find(|problem| problem.is_error());
    let Some(manifest) = found.manifest.map(Arc::new) else {
        let reason = error.map(|problem| {
            let place = problem
                .primary
                .as_ref()
                .map(|label| found.files.text(label.span));
            format!(
                "{} at `{}`",
                problem.message,
                prose::line(place.unwrap_or_default(), 300)
            )
        });
        return Err(broken(reason.unwrap_or_default()));
    };
    let mut files = vec![(MANIFEST.to_owned(), text)];
    let headers = write::shown_headers(&connection);
    let mut batches = Vec::new();
    for object in objects {
        for planned in &object.operations {
            if !write::can_be_shown(object, planned.name) {
                continue;
            }
            let file = match objects.len() {
                1 => planned.name.as_str().to_owned(),
                _ => format!("{}_{}", object.name, planned.name.as_str()),
            };
            batches.push(record::batch(file, object, planned, &connection));
        }
    }
    for batch in &batches {
        let text = record::exchange(&manifest, batch, &headers).await;
        let text = text.map_err(|mismatch| broken(mismatch.to_string()))?;
        files.push((format!("{EXCHANGES}/{}.yml", batch.name), text));
    }
    if let Some(batch) = batches.first() {
        let answer = operations
            .first()
            .and_then(|first| answers::success(api, first));
        let json = answer.is_none_or(|success| success.json);
        let text = record::faults(&manifest, batch, limits.header.as_ref(), json).await;
        let text = text.map_err(|mismatch| broken(mismatch.to_string()))?;
        files.push((FAULTS.to_owned(), text));
    }
    Ok(Scaffold { files, left })
}

/// What the comments of a manifest leave to a person.
fn left(manifest: &str) -> Vec<String> {
    let mut left: Vec<String> = Vec::new();
    let mut goes_on = false;
    for line in manifest.lines() {
        let comment = line.trim_start().strip_prefix("# ");
        match comment {
            Some(comment) if comment.starts_with("TODO: ") => {
                left.push(comment.trim_start_matches("TODO: ").to_owned());
                goes_on = true;
            }
            // What goes on is further in.
            Some(more) if goes_on && more.starts_with(' ') => {
                if let Some(last) = left.last_mut() {
                    last.push(' ');
                    last.push_str(more.trim());
                }
            }
            _ => goes_on = false,
        }
    }
    left
}
