//! How a sync makes a row of a destination out of a row of a model.

use crate::diagnostic::Span;
use crate::located::{Located, Value};

/// The fields of a destination that a sync sets, beside the key.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mapping {
    /// Every column of the model gets a field of its name, if asked for.
    pub all: Option<AllColumns>,
    /// The fields that are written down. They replace those of `all` that have the same name.
    pub fields: Vec<MappedField>,
}

/// `'*'` in a mapping.
#[derive(Clone, Debug, PartialEq)]
pub struct AllColumns {
    /// Columns that are left out.
    pub except: Vec<Located<String>>,
    /// What is sent where a column is null; what suits the destination if it is not said.
    pub nulls: Option<Nulls>,
    /// The entry.
    pub span: Span,
}

/// One field of a destination.
#[derive(Clone, Debug, PartialEq)]
pub struct MappedField {
    /// Its name there.
    pub field: Located<String>,
    /// What it gets.
    pub value: MappedValue,
    /// What is sent where that is null.
    pub nulls: Nulls,
}

/// What a field gets.
#[derive(Clone, Debug, PartialEq)]
pub enum MappedValue {
    /// A SQL expression over the columns of the model.
    Expression(Located<String>),
    /// An object: its members and what they get. At least one.
    Object(Vec<(Located<String>, MappedValue)>),
    /// An array of these. At least one.
    Array(Vec<MappedValue>),
}

impl MappedValue {
    /// Hands every expression to `each`, in the order of the file.
    pub fn expressions<'a>(&'a self, each: &mut dyn FnMut(&'a Located<String>)) {
        match self {
            Self::Expression(expression) => each(expression),
            Self::Object(members) => members.iter().for_each(|(_, v)| v.expressions(each)),
            Self::Array(items) => items.iter().for_each(|v| v.expressions(each)),
        }
    }
}

/// What is sent for a null.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Nulls {
    /// A null.
    #[default]
    Null,
    /// Nothing: the field is left out, and the destination keeps what it has.
    Omit,
    /// What empties the field at the destination, if that is something else than a null.
    Clear,
}

impl Nulls {
    /// Every choice.
    pub const ALL: [Self; 3] = [Self::Null, Self::Omit, Self::Clear];

    /// The word in YAML and in output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Omit => "omit",
            Self::Clear => "clear",
        }
    }
}

/// A row of the model, and what is sent for it.
#[derive(Clone, Debug, PartialEq)]
pub struct MappingTest {
    /// Its name.
    pub name: Located<String>,
    /// Column → value; other columns are null.
    pub given: Vec<(Located<String>, Value)>,
    /// What shall become of it.
    pub expect: Expected,
    /// The entry of what is expected.
    pub span: Span,
}

/// What a [`MappingTest`] expects.
#[derive(Clone, Debug, PartialEq)]
pub enum Expected {
    /// The row is sent so.
    Sent {
        /// The fields of the key, if the test says.
        key: Option<Value>,
        /// All other fields, if the test says.
        fields: Option<Value>,
    },
    /// It cannot be sent, for this reason: `invalid_null_key` or `invalid_value`.
    Invalid(String),
}
