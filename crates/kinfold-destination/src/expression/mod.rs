//! The expressions of manifests: small, typed and total.
//!
//! An expression reads values and passes them through functions: `row.key.email | lower | sha256`. It cannot
//! fail: what is not there is null, and null goes through every function but a few. What can be wrong with it
//! is found when the manifest is read.

mod evaluate;
mod functions;
mod names;
mod parse;
mod scope;
mod time;
mod tokens;
mod types;

use serde_json::Value;

pub use functions::{ALL as FUNCTIONS, Argument, Example, Function};
pub(crate) use functions::{digest_hex, hex, seconds, sha256_hex, url_part};
pub use names::Names;
pub use scope::{Root, Row, Scope};
pub(crate) use time::{parse_time, time_text};
pub use types::{Kind, Type};

/// An expression that was read and whose types fit.
#[derive(Clone, Debug)]
pub enum Expression {
    /// A value that was written down.
    Literal(Value),
    /// A value that is looked up.
    Path(Path),
    /// A value that goes through a function.
    Call {
        /// What goes in.
        input: Box<Expression>,
        /// Which function.
        function: &'static Function,
        /// The other arguments.
        arguments: Vec<Expression>,
    },
    /// `left == right` and the like.
    Compare {
        /// Left of the operator.
        left: Box<Expression>,
        /// Which one.
        operator: Operator,
        /// Right of the operator.
        right: Box<Expression>,
    },
    /// `left in [1, 2]`.
    In {
        /// What is looked for.
        left: Box<Expression>,
        /// Where.
        list: Vec<Value>,
    },
    /// All of them.
    And(Vec<Expression>),
    /// At least one of them.
    Or(Vec<Expression>),
    /// The opposite.
    Not(Box<Expression>),
}

/// A value that is looked up: where to begin, and the way from there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// Where to begin.
    pub root: Root,
    /// The way.
    pub steps: Vec<Step>,
}

/// One step of a [`Path`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A field of an object.
    Field(String),
    /// An item of a list, from 0.
    Index(usize),
    /// All items of a list; the rest of the way is gone from each, and what is null is left out.
    Each,
}

/// How two values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// Equal: of one kind and the same.
    Equal,
    /// Not equal.
    NotEqual,
    /// Of two numbers or two texts, the smaller one; false for anything else, as are the three below.
    Less,
    /// Smaller or equal.
    LessOrEqual,
    /// Greater.
    Greater,
    /// Greater or equal.
    GreaterOrEqual,
}

/// What is wrong with an expression, and where: bytes of its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The place.
    pub range: std::ops::Range<usize>,
    /// What is wrong, in one sentence.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

impl Problem {
    pub(crate) fn new(range: std::ops::Range<usize>, message: impl Into<String>) -> Self {
        Self {
            range,
            message: message.into(),
            help: None,
        }
    }

    pub(crate) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl Expression {
    /// Reads an expression and checks its types against the names that exist where it stands.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn parse(text: &str, names: &Names<'_>) -> Result<(Self, Type), Problem> {
        parse::parse(text, names)
    }

    /// Whether it looks anything up at `root`.
    #[must_use]
    pub fn uses(&self, root: Root) -> bool {
        self.any(&|part| matches!(part, Self::Path(path) if path.root == root))
    }

    /// Whether something holds for it or for an expression within it.
    pub fn any(&self, holds: &dyn Fn(&Self) -> bool) -> bool {
        holds(self)
            || match self {
                Self::Literal(_) | Self::Path(_) => false,
                Self::Call {
                    input, arguments, ..
                } => input.any(holds) || arguments.iter().any(|argument| argument.any(holds)),
                Self::Compare { left, right, .. } => left.any(holds) || right.any(holds),
                Self::In { left, .. } | Self::Not(left) => left.any(holds),
                Self::And(parts) | Self::Or(parts) => parts.iter().any(|part| part.any(holds)),
            }
    }
}
