//! `kinfold source`.

use clap::Args;
use kinfold_engine::freshness::{FreshnessStatus, SourceFreshness};
use kinfold_project::ResourceType;
use serde_json::json;

use super::build::prepare;
use super::check::facts;
use super::selection::selected;
use super::{CommandError, Done};
use crate::artifacts::{freshness_word, write_sources};
use crate::cli::{Global, RunOptions, Selection};
use crate::report::Output;
use crate::workspace::Workspace;

/// What `source freshness` looks at.
#[derive(Debug, Args)]
pub struct FreshnessArguments {
    /// Which sources.
    #[command(flatten)]
    pub selection: Selection,
    /// The time at which the age is taken (RFC 3339); now if not given.
    #[arg(long, value_name = "TIME")]
    pub as_of: Option<chrono::DateTime<chrono::Utc>>,
}

/// Says how old the rows of sources are, and writes `sources.json`.
pub async fn freshness(
    global: &Global,
    arguments: &FreshnessArguments,
    output: &Output,
) -> Result<Done, CommandError> {
    let mut workspace = Workspace::load(global, arguments.as_of)?;
    workspace.require_sound()?;
    let (engine, bound) = prepare(&mut workspace, &RunOptions::default()).await?;
    if !output.is_json() {
        output.diagnostics(workspace.files(), &workspace.found);
    }
    let types = [ResourceType::Source];
    let chosen = selected(&workspace, &bound, &arguments.selection, Some(&types))?;
    let found = engine
        .freshness(&workspace.project, &bound.compiled, &chosen)
        .await;
    let target = workspace.root.join("target");
    write_sources(&target, &workspace.project, &found, &facts(&workspace))?;
    let fails = |status: FreshnessStatus| {
        matches!(status, FreshnessStatus::Error | FreshnessStatus::Unknown)
    };
    let success = !found.iter().any(|source| fails(source.status));
    if output.is_json() {
        let sources: Vec<_> = found
            .iter()
            .map(|source| {
                json!({
                    "id": source.source,
                    "status": freshness_word(source.status),
                    "loaded_at": source.loaded_at.map(|time| time.to_rfc3339()),
                    "error": source.error.as_ref().map(ToString::to_string),
                })
            })
            .collect();
        output.json(&json!({ "success": success, "sources": sources }));
        return Ok(Done { success });
    }
    for source in &found {
        let line = line(source, workspace.clock.as_of);
        match source.status {
            FreshnessStatus::Pass | FreshnessStatus::Warn => output.say(&line),
            FreshnessStatus::Error | FreshnessStatus::Unknown => output.error(&line),
        }
    }
    let count = |status| {
        found
            .iter()
            .filter(|source| source.status == status)
            .count()
    };
    output.say(&format!(
        "{} sources: {} fresh, {} warned, {} stale, {} not known",
        found.len(),
        count(FreshnessStatus::Pass),
        count(FreshnessStatus::Warn),
        count(FreshnessStatus::Error),
        count(FreshnessStatus::Unknown),
    ));
    Ok(Done { success })
}

fn line(found: &SourceFreshness, now: chrono::DateTime<chrono::Utc>) -> String {
    let word = freshness_word(found.status);
    match (&found.error, found.loaded_at) {
        (Some(error), _) => format!("{word} {}: {error}", found.source),
        (None, None) => format!("{word} {}: it has no rows", found.source),
        (None, Some(time)) => format!("{word} {}: {} old", found.source, age(now - time)),
    }
}

/// The two largest units of an age.
fn age(age: chrono::TimeDelta) -> String {
    if age < chrono::TimeDelta::zero() {
        return "less than a minute".to_owned();
    }
    let (days, hours, minutes) = (age.num_days(), age.num_hours() % 24, age.num_minutes() % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => "less than a minute".to_owned(),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::age;
    use chrono::TimeDelta;

    #[test]
    fn ages_have_two_units() {
        let words = [-5, 30, 120, 3_720, 90_000].map(|seconds| age(TimeDelta::seconds(seconds)));
        assert_eq!(
            words,
            [
                "less than a minute",
                "less than a minute",
                "2 min",
                "1 h 2 min",
                "1 d 1 h"
            ]
        );
    }
}
