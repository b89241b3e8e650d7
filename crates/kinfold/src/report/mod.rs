//! Everything that is printed. Data goes to standard output, messages to standard error.

pub mod diagnostics;
mod progress;
mod sarif;

use std::collections::BTreeSet;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use kinfold_engine::build::{NodeResult, NodeStatus, Progress};
use kinfold_project::{Diagnostic, SourceMap};

use crate::cli::{ColorChoice, Global, OutputFormat};
use crate::commands::CommandError;

pub use progress::Bars;

/// Where and how to print.
pub struct Output {
    format: OutputFormat,
    color: bool,
    quiet: bool,
    terminal: bool,
    /// Folder that the files of the project are below.
    root: PathBuf,
    /// Codes of the diagnostics that were drawn.
    drawn: Mutex<BTreeSet<&'static str>>,
}

impl Output {
    /// As the command line asks.
    pub fn new(global: &Global) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let color = match global.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => {
                terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
            }
        };
        Self {
            format: global.output,
            color,
            quiet: global.quiet,
            terminal,
            root: global.project_dir.clone(),
            drawn: Mutex::default(),
        }
    }

    /// Whether one JSON object is wanted on standard output.
    pub fn is_json(&self) -> bool {
        self.format == OutputFormat::Json
    }

    /// Whether SARIF is wanted on standard output.
    pub fn is_sarif(&self) -> bool {
        self.format == OutputFormat::Sarif
    }

    /// Diagnostics as one SARIF log on standard output: the folders that the files are in, the files, and what was
    /// found.
    pub fn sarif(&self, parts: &[(&Path, &SourceMap, &[Diagnostic])]) {
        self.json(&sarif::log(parts));
    }

    /// The end of the run: how to hear more of what was drawn.
    pub fn finish(&self) {
        let drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        let codes: Vec<&str> = drawn.iter().copied().collect();
        match codes.as_slice() {
            [] => {}
            [code] => self.say(&format!("`kinfold explain {code}` says more")),
            codes => self.say(&format!(
                "`kinfold explain CODE` says more about each: {}",
                codes.join(", ")
            )),
        }
    }

    /// Data for standard output, as it is. A reader that went away is not an error.
    pub fn data(&self, bytes: &[u8]) {
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(bytes).and_then(|()| out.flush());
    }

    /// A line of data.
    pub fn line(&self, text: &str) {
        self.data(format!("{text}\n").as_bytes());
    }

    /// One JSON object on standard output.
    pub fn json(&self, value: &serde_json::Value) {
        self.line(&format!("{value:#}"));
    }

    /// A message for people.
    pub fn say(&self, text: &str) {
        if !self.quiet {
            self.message(text);
        }
    }

    /// An error that no file can be named for.
    pub fn error(&self, text: &str) {
        self.message(&format!("{}: {text}", self.paint("error", "1;31")));
    }

    /// Why the command could not run.
    pub fn failure(&self, error: &CommandError) {
        if let CommandError::Diagnostics { files, found } = error {
            self.diagnostics(files, found);
            return;
        }
        let mut text = error.to_string();
        let mut cause = std::error::Error::source(error);
        while let Some(inner) = cause {
            let more = inner.to_string();
            if !more.is_empty() && !text.contains(&more) {
                text.push_str(&format!("\n  because {more}"));
            }
            cause = inner.source();
        }
        if self.is_json() {
            self.json(&serde_json::json!({ "success": false, "error": text }));
        }
        self.error(&text);
        if let Some(help) = error.help() {
            self.message(&format!("  help: {help}"));
        }
    }

    /// Problems of the user's files.
    pub fn diagnostics(&self, files: &SourceMap, found: &[Diagnostic]) {
        if found.is_empty() {
            return;
        }
        if self.is_sarif() {
            self.sarif(&[(&self.root, files, found)]);
            return;
        }
        if self.is_json() {
            let success = !found.iter().any(Diagnostic::is_error);
            self.json(&serde_json::json!({ "success": success, "diagnostics": diagnostics::json(files, found) }));
            return;
        }
        self.message(diagnostics::draw(files, found, self.color).trim_end());
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        drawn.extend(found.iter().map(|diagnostic| diagnostic.code.id));
    }

    /// Something to hear of the nodes of a run.
    pub fn progress(&self) -> Box<dyn Progress> {
        if self.quiet || self.is_json() {
            Box::new(Silent)
        } else if self.terminal {
            Box::new(Bars::new(self.color))
        } else {
            Box::new(Lines)
        }
    }

    /// The text in a colour, if colours are wanted.
    pub fn paint(&self, text: &str, code: &str) -> String {
        paint(text, code, self.color)
    }

    fn message(&self, text: &str) {
        let mut err = std::io::stderr().lock();
        let _ = writeln!(err, "{text}");
    }
}

pub(crate) fn paint(text: &str, code: &str, color: bool) -> String {
    if color {
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    } else {
        text.to_owned()
    }
}

struct Silent;

impl Progress for Silent {
    fn started(&self, _: &kinfold_project::NodeId, _: usize, _: usize) {}
    fn finished(&self, _: &NodeResult) {}
}

/// A line for each node, for logs.
struct Lines;

impl Progress for Lines {
    fn started(&self, _: &kinfold_project::NodeId, _: usize, _: usize) {}

    fn finished(&self, result: &NodeResult) {
        let _ = writeln!(std::io::stderr().lock(), "{}", node_line(result, false));
    }
}

/// A node's result in one line.
pub(crate) fn node_line(result: &NodeResult, color: bool) -> String {
    let (word, code) = match result.status {
        NodeStatus::Built => ("built", "32"),
        NodeStatus::Reused => ("reused", "32"),
        NodeStatus::Skipped => ("skipped", "2"),
        NodeStatus::Passed => ("passed", "32"),
        NodeStatus::Proven => ("proven", "32"),
        NodeStatus::Warned => ("warned", "33"),
        NodeStatus::Failed => ("FAILED", "1;31"),
        NodeStatus::Blocked => ("blocked", "31"),
    };
    let rows = match (result.kind.as_str(), result.rows) {
        ("test" | "unit_test", _) | (_, None) => String::new(),
        (_, Some(1)) => ", 1 row".to_owned(),
        (_, Some(n)) => format!(", {} rows", grouped(n)),
    };
    let quarantined = match result.quarantined {
        Some(n) if n > 0 => format!(", {} quarantined", grouped(n)),
        _ => String::new(),
    };
    let alarms = match result.alarms {
        Some(1) => ", 1 alarm".to_owned(),
        Some(n) if n > 1 => format!(", {} alarms", grouped(n)),
        _ => String::new(),
    };
    let time = if result.elapsed_ms >= 100 {
        format!(
            " in {:.1} s",
            std::time::Duration::from_millis(result.elapsed_ms).as_secs_f64()
        )
    } else {
        String::new()
    };
    let mut difference = String::new();
    for line in result.difference.iter().flat_map(|table| table.lines()) {
        difference.push_str("\n        ");
        let code = match line.chars().next() {
            Some('-') => "31",
            Some('+') => "32",
            _ => "0",
        };
        difference.push_str(&paint(line, code, color));
    }
    format!(
        "{:>7} {} {} ({}{rows}{quarantined}{alarms}){time}{difference}",
        paint(word, code, color),
        result.kind,
        short_name(result.id.as_str()),
        result.reason
    )
}

/// The part of an id that a person calls the node by.
fn short_name(id: &str) -> &str {
    id.splitn(3, '.').nth(2).unwrap_or(id)
}

/// A number with commas between the thousands.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(c);
    }
    text
}
