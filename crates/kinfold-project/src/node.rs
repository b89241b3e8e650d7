//! Identifiers of nodes, in dbt's form.

use std::fmt;
use std::sync::Arc;

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ResourceType {
    /// A declared input.
    Source,
    /// A CSV file of the project.
    Seed,
    /// A SQL file that defines one relation.
    Model,
    /// A query that must return no row.
    Test,
    /// A query over rows that are given, whose result is known.
    UnitTest,
    /// A delivery of a model to a destination.
    Sync,
}

impl ResourceType {
    /// The word in node ids and in output: `source`, `seed`, `model`, `test`, `unit_test`,
    /// `sync`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Seed => "seed",
            Self::Model => "model",
            Self::Test => "test",
            Self::UnitTest => "unit_test",
            Self::Sync => "sync",
        }
    }
}

impl ResourceType {
    /// Whether it is about other nodes and stores nothing: a data test or a unit test.
    #[must_use]
    pub fn is_test(self) -> bool {
        matches!(self, Self::Test | Self::UnitTest)
    }
}

impl fmt::Display for ResourceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The unique id of a node: `model.<package>.<name>`, `source.<package>.<source>.<table>`,
/// `test.<package>.<name>.<10 hex digits>` and so on, as in dbt's `manifest.json`.
#[derive(
    Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct NodeId(Arc<str>);

impl NodeId {
    /// An id made of its parts, joined by dots.
    #[must_use]
    pub fn new(resource: ResourceType, parts: &[&str]) -> Self {
        let mut text = resource.as_str().to_owned();
        for part in parts {
            text.push('.');
            text.push_str(part);
        }
        Self(text.into())
    }

    /// An id as it was stored.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        Self(text.into())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
