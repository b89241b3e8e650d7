//! Unit tests of models as the user writes them.

use crate::diagnostic::Span;
use crate::located::{Located, Value};
use crate::model::ConfigLayer;
use crate::node::NodeId;

/// Rows that a model is given instead of what it reads, and the rows that it shall give for them; in dbt's format.
#[derive(Clone, Debug)]
pub struct UnitTest {
    /// `unit_test.<package>.<model>.<name>`.
    pub id: NodeId,
    /// Its package.
    pub package: String,
    /// Its name.
    pub name: Located<String>,
    /// The model, which is one of the same package.
    pub model: Located<String>,
    /// What it shows.
    pub description: Option<Located<String>>,
    /// Folders of its file, the model and its name.
    pub fqn: Vec<String>,
    /// What stands for each relation that the model reads.
    pub given: Vec<UnitInput>,
    /// What the model shall give.
    pub expect: UnitRows,
    /// The common table expression of the model that is looked at instead of the model's own rows.
    pub cte: Option<Located<String>>,
    /// Where it was asked for the rows of the table after a build instead of the rows that the build adds.
    pub of_table: Option<Span>,
    /// What templates find instead of what the project has.
    pub overrides: UnitOverrides,
    /// Configuration, weakest first.
    pub config: Vec<ConfigLayer>,
}

/// What stands for a relation.
#[derive(Clone, Debug)]
pub struct UnitInput {
    /// `ref('…')`, `source('…', '…')` or `this`.
    pub input: Value,
    /// Its rows.
    pub rows: UnitRows,
}

/// Rows of a unit test.
#[derive(Clone, Debug)]
pub enum UnitRows {
    /// Values of named columns. Columns that a row leaves out are null.
    Values {
        /// The rows; each is a mapping from columns to values, of CSV to texts and nulls.
        rows: Vec<Value>,
        /// Whether they were written as CSV.
        csv: bool,
        /// The whole.
        span: Span,
    },
    /// A query that gives the rows.
    Sql {
        /// The query.
        text: String,
        /// The whole.
        span: Span,
    },
}

impl UnitRows {
    /// Where they were written.
    #[must_use]
    pub fn span(&self) -> Span {
        match self {
            Self::Values { span, .. } | Self::Sql { span, .. } => *span,
        }
    }

    /// dbt's word for their form: `dict`, `csv`, `sql`.
    #[must_use]
    pub fn format(&self) -> &'static str {
        match self {
            Self::Values { csv: false, .. } => "dict",
            Self::Values { csv: true, .. } => "csv",
            Self::Sql { .. } => "sql",
        }
    }
}

/// What templates find in a unit test instead of what the project has.
#[derive(Clone, Debug, Default)]
pub struct UnitOverrides {
    /// Results of macros, by their names as they are called: `is_incremental`, `dbt_utils.star`.
    pub macros: Vec<(Located<String>, Value)>,
    /// Values of `var`.
    pub vars: Vec<(Located<String>, Value)>,
    /// Values of `env_var`.
    pub env_vars: Vec<(Located<String>, Value)>,
}
