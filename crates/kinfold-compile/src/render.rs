//! Stage *render*: the Jinja of every node, turned into SQL that knows where each byte came from.
//!
//! Rendering opens no file and runs no query. It reads a loaded [`Project`], gives each node its
//! configuration and its relation, and renders the SQL of models and tests together with a
//! [`SpanMap`], so that whatever is found later in the SQL can be shown in the file that the user
//! wrote: through loops, macros, captured blocks and included files.

mod adapter;
mod answers;
mod built_in;
pub mod codes;
mod column;
mod condition;
mod config;
mod decode;
mod draft;
mod environment;
mod failure;
mod functions;
mod graph;
mod incremental;
mod instrument;
mod macro_calls;
mod macros;
mod mark;
mod naming;
mod nodes;
mod open_block;
mod python;
mod reference;
mod registry;
mod relation;
mod run;
mod settings;
mod side_by_side;
mod span_map;
mod stage;
mod table;
mod template;
mod unit_test;
mod value;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use kinfold_project::{Diagnostic, Located, NodeId, Project, ResourceType, Span};

pub use answers::{Answers, AskedColumn, AskedRows, Question, Waiting};
pub use config::{Analysis, Materialization, NodeConfig, TestSeverity};
pub use incremental::{IncrementalRules, IncrementalStrategy, OnSchemaChange};
pub use macro_calls::{macro_calls, macro_id};
pub use relation::{Companion, Relation};
pub use span_map::{Origin, SpanMap};
pub use unit_test::{RenderedUnitTest, SCHEMA as UNIT_TEST_SCHEMA};

/// Reads a variable of the process environment.
pub type EnvVar = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Everything outside the project that rendering depends on.
#[derive(Clone)]
pub struct RenderContext<'a> {
    /// What to render.
    pub project: &'a Project,
    /// Name of the environment (`target.name` in Jinja).
    pub environment_name: &'a str,
    /// Schema of nodes that configure none.
    pub schema: &'a str,
    /// Variables of the command line; stronger than those of the project.
    pub vars: serde_json::Map<String, serde_json::Value>,
    /// Reads variables of the process environment.
    pub env: EnvVar,
    /// The clock of the run (`run_started_at` in Jinja).
    pub as_of: DateTime<Utc>,
    /// The id of the run (`invocation_id` in Jinja).
    pub invocation_id: &'a str,
    /// Whether incremental models are built anew.
    pub full_refresh: bool,
    /// What is known of relations and rows that templates may ask about.
    pub answers: &'a Answers,
}

/// All nodes of a project with their configuration, relations and SQL.
#[derive(Clone, Debug, Default)]
pub struct RenderedProject {
    /// Models and tests with SQL, seeds and sources without. Disabled nodes and those whose
    /// rendering failed are not here.
    pub nodes: BTreeMap<NodeId, RenderedNode>,
    /// Nodes that are switched off by `enabled: false`.
    pub disabled: Vec<NodeId>,
    /// Nodes that could not be rendered because a question of theirs has no answer yet.
    pub waiting: BTreeMap<NodeId, Waiting>,
    /// What `log` and `print` wrote, in the order of the nodes.
    pub messages: Vec<String>,
}

impl RenderedProject {
    /// Adds what another part of the project gave.
    fn append(&mut self, mut other: Self) {
        self.nodes.append(&mut other.nodes);
        self.disabled.append(&mut other.disabled);
        self.waiting.append(&mut other.waiting);
        self.messages.append(&mut other.messages);
    }
}

/// A node after rendering.
#[derive(Clone, Debug)]
pub struct RenderedNode {
    /// Its id.
    pub id: NodeId,
    /// What it is.
    pub resource: ResourceType,
    /// Its package.
    pub package: String,
    /// Its name as `ref` finds it (a source: the name of the table).
    pub name: String,
    /// Its configuration.
    pub config: NodeConfig,
    /// Where it is stored. Tests have none.
    pub relation: Option<Relation>,
    /// Companions that other models may `ref`, by the name in `ref`.
    pub companions: Vec<Companion>,
    /// The SQL of a model or a test.
    pub sql: Option<RenderedSql>,
    /// Of an incremental model: the SQL of the rows that are added to what there is, where `is_incremental()`
    /// is true.
    pub increment: Option<Box<RenderedSql>>,
    /// The nodes that it reads, each once, with the place of the first `ref` or `source` call.
    pub depends_on: Vec<Dependency>,
    /// Where to point when a problem has no better place: the start of the file of a model or
    /// singular test, the declaration of a generic test or a source.
    pub place: Option<Span>,
    /// What a data test tests: the node and, if any, the column.
    pub tested: Option<Tested>,
    /// Of a unit test: its model and what stands for the relations that this reads.
    pub unit_test: Option<RenderedUnitTest>,
    /// The macros of the project and its packages that its template calls itself, by their ids in
    /// `manifest.json`; sorted.
    pub macros: Vec<String>,
}

/// What a generic data test is attached to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tested {
    /// The model, seed or source.
    pub node: NodeId,
    /// The column, if it is a column's test.
    pub column: Option<Located<String>>,
    /// The test's own name, e.g. `not_null`.
    pub test: Located<String>,
}

/// A node that another one reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// The node that is read.
    pub id: NodeId,
    /// The first call of `ref` or `source`, or the key in a properties file.
    pub span: Span,
}

/// SQL with the way back to the user's files.
#[derive(Clone, Debug)]
pub struct RenderedSql {
    /// The SQL.
    pub text: String,
    /// Where each byte of it came from.
    pub map: SpanMap,
}

/// Renders every node of the project. Problems are collected from all nodes; a node that has one
/// is missing in the result, the others are there.
#[must_use]
pub fn render(context: &RenderContext<'_>) -> (RenderedProject, Vec<Diagnostic>) {
    stage::render(context)
}
