//! How a sync has ended, for people and for machines.

use kinfold_engine::EngineError;
use kinfold_engine::activate::{ActivateError, SyncReport, VerifyReport};
use kinfold_project::{Diagnostic, SourceMap};
use kinfold_sync::Reach;
use serde_json::json;

use super::reach;
use crate::report::{Output, grouped};

/// A sync that ran, or could not.
pub enum Ended {
    /// It ran.
    Ran(Box<SyncReport>),
    /// Its destination was asked what it has.
    Verified(VerifyReport),
    /// Its destination answers as it should.
    Checked {
        /// The sync.
        name: String,
        /// The connection.
        connection: String,
        /// What kind of destination.
        kind: String,
        /// The object there.
        object: String,
        /// Why it could not be asked whether the credentials are right; none if they were taken.
        unasked: Option<String>,
    },
    /// Its destination was asked how many people it has found.
    Reached {
        /// The sync.
        name: String,
        /// What it said; none if it does not tell.
        reach: Option<Reach>,
    },
    /// It could not start, or its outcomes could not be recorded.
    Failed {
        /// The sync.
        name: String,
        /// Why.
        failure: Failure,
    },
}

impl Ended {
    /// Whether all of it was delivered.
    pub fn success(&self) -> bool {
        match self {
            Self::Ran(report) => report.success,
            Self::Verified(report) => report.checked == report.equal,
            Self::Checked { .. } | Self::Reached { .. } => true,
            Self::Failed { .. } => false,
        }
    }

    /// As `--output json` prints it.
    pub fn json(&self, files: &SourceMap) -> serde_json::Value {
        match self {
            Self::Ran(report) => serde_json::to_value(report).unwrap_or_default(),
            Self::Verified(report) => serde_json::to_value(report).unwrap_or_default(),
            Self::Checked {
                name,
                connection,
                kind,
                object,
                unasked,
            } => json!({
                "name": name, "success": true, "connection": connection, "kind": kind, "object": object,
                "credentials": if unasked.is_some() { "cannot_ask" } else { "taken" }, "why": unasked,
            }),
            Self::Reached { name, reach } => reach::json(name, reach.as_ref()),
            Self::Failed { name, failure } => json!({
                "name": name, "success": false, "error": failure.text,
                "diagnostics": crate::report::diagnostics::json(files, failure.problem.as_slice()), "planned": 0, "delivered": 0, "rejected": 0,
                "retryable": 0, "unknown": 0, "held": 0, "suppressed": 0, "invalid": 0,
            }),
        }
    }
}

/// Why a sync could not run.
pub struct Failure {
    /// In words.
    pub text: String,
    /// The same with its place, if it stands in a file of the project.
    problem: Option<Diagnostic>,
}

impl Failure {
    /// One that has no place.
    pub fn text(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            problem: None,
        }
    }

    /// One of the engine.
    pub fn of(error: &EngineError) -> Self {
        let problem = match error {
            EngineError::Activate(ActivateError::Template { problem, .. }) => {
                Some(Diagnostic::clone(problem))
            }
            _ => None,
        };
        Self {
            text: causes(error),
            problem,
        }
    }
}

fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = inner.source();
    }
    text
}

/// Says what a comparison with the destination has found.
pub fn say_verified(report: &VerifyReport, output: &Output) {
    output.say(&format!(
        "sync {}: {} rows checked, {} equal, {} different, {} missing at the destination",
        report.name,
        grouped(report.checked),
        grouped(report.equal),
        grouped(report.different),
        grouped(report.missing)
    ));
}

/// Says how a sync has ended, to people.
pub fn say(ended: &Ended, files: &SourceMap, dry_run: bool, output: &Output) {
    let report = match ended {
        Ended::Failed { name, failure } => return say_failed(name, failure, files, output),
        Ended::Verified(report) => return say_verified(report, output),
        Ended::Reached { name, reach } => return output.say(&reach::text(name, reach.as_ref())),
        Ended::Checked {
            name,
            connection,
            kind,
            object,
            unasked: Some(why),
        } => {
            return output.say(&format!(
                "connection {connection} ({kind}): could not ask whether the credentials are right, for `{object}` of \
                 sync {name}: {why}"
            ));
        }
        Ended::Checked {
            name,
            connection,
            kind,
            object,
            unasked: None,
        } => {
            return output.say(&format!(
                "connection {connection} ({kind}): works, and has `{object}` for sync {name}"
            ));
        }
        Ended::Ran(report) => report,
    };
    if report.queued {
        return output.say(&format!(
            "sync {}: a run is under way and goes round once more when it is done",
            report.name
        ));
    }
    let counts = [
        ("delivered", report.delivered),
        ("rejected", report.rejected),
        ("retryable", report.retryable),
        ("unknown", report.unknown),
        ("held", report.held),
        ("suppressed", report.suppressed),
    ];
    let detail = format!(
        "{} to add, {} to update, {} to remove",
        grouped(report.adds),
        grouped(report.updates),
        grouped(report.removals)
    );
    let invalid = if report.invalid > 0 {
        format!(", {} invalid", grouped(report.invalid))
    } else {
        String::new()
    };
    if dry_run {
        output.say(&format!(
            "sync {} would send {}: {detail}{invalid}",
            report.name,
            grouped(report.planned)
        ));
        for example in &report.examples {
            output.say(&format!(
                "  {} {} {}",
                example.operation,
                serde_json::Value::Object(example.key.clone()),
                serde_json::Value::Object(example.fields.clone())
            ));
        }
    } else if report.planned == 0 {
        output.say(&format!(
            "sync {}: nothing to send, {} unchanged{invalid}",
            report.name,
            grouped(report.unchanged)
        ));
    } else {
        let sum: Vec<String> = counts
            .iter()
            .map(|(word, n)| format!("{word} {}", grouped(*n)))
            .collect();
        output.say(&format!(
            "sync {}: planned {} = {} ({detail}{invalid})",
            report.name,
            grouped(report.planned),
            sum.join(" + ")
        ));
    }
    if report.waiting > 0 {
        output.say(&format!(
            "  {} refused before and not due yet: `kinfold sync rejected {}`",
            grouped(report.waiting),
            report.name
        ));
    }
    if report.adopted > 0 {
        output.say(&format!(
            "  {} taken for delivered without being sent",
            grouped(report.adopted)
        ));
    }
    if report.resumed {
        output.say("  an interrupted run was finished first");
    }
    if let Some(why) = &report.held_because {
        output.error(&format!("sync `{}`: {why}", report.name));
        if let (Some(id), false) = (&report.held_id, dry_run) {
            let name = &report.name;
            output.say(&format!(
                "  to send exactly these: kinfold sync approve {name} {id}"
            ));
        }
    }
    if let Some(why) = &report.stopped {
        output.error(&format!("sync `{}`: {why}", report.name));
    }
}

fn say_failed(name: &str, failure: &Failure, files: &SourceMap, output: &Output) {
    let sync = format!("sync `{name}`");
    if let Some(problem) = &failure.problem {
        output.error(&format!("{sync} could not start"));
        output.diagnostics(files, std::slice::from_ref(problem));
    } else if failure.text.contains(&sync) {
        output.error(&failure.text);
    } else {
        output.error(&format!("{sync}: {}", failure.text));
    }
}
