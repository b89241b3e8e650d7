//! Templates: YAML whose texts may hold expressions in `{{ }}`.

mod jwt;
mod read;
mod render;

use serde_json::Value;

use crate::expression::{Expression, Root};

pub use jwt::{JwtAlgorithm, JwtError};
pub(crate) use read::{MARKERS, Reading};
pub(crate) use render::scalar_text;

/// A template that was read and whose types fit.
#[derive(Clone, Debug)]
pub enum Template {
    /// A value that is always the same.
    Literal(Value),
    /// A text with expressions in it; null if one of them is null.
    Text(Text),
    /// A value that keeps its type.
    Expression(Expression),
    /// An object.
    Map(Vec<Entry>),
    /// A list; what an `$each` in it makes is spliced in.
    List(Vec<Template>),
    /// One item for each row, or for each item of a list.
    Each(Box<Each>),
    /// A value as the text of its JSON.
    Json(Box<Template>),
    /// The texts of a list as one text.
    Concat(Box<Template>),
    /// A signed token.
    Jwt(Box<Jwt>),
}

/// A text with expressions in it.
#[derive(Clone, Debug)]
pub struct Text {
    /// What stands there, in order.
    pub parts: Vec<Part>,
}

/// A part of a [`Text`].
#[derive(Clone, Debug)]
pub enum Part {
    /// As it is.
    Plain(String),
    /// The text of a value.
    Expression(Expression),
}

/// A part of an object.
#[derive(Clone, Debug)]
pub enum Entry {
    /// A field.
    Field {
        /// Its name; a field whose name is null is left out.
        name: Text,
        /// Whether it is left out when its value is null.
        optional: bool,
        /// Its value.
        value: Template,
    },
    /// The fields of an object.
    Spread(Template),
}

/// A list that is made of rows or of another list.
#[derive(Clone, Debug)]
pub struct Each {
    /// What it goes through.
    pub over: Over,
    /// Which of them count.
    pub filter: Option<Expression>,
    /// What each becomes.
    pub item: Template,
    /// What stands between them if they become one text.
    pub join: Option<String>,
    /// The names of the fields if they become an object.
    pub name: Option<Text>,
}

/// What an [`Each`] goes through.
#[derive(Clone, Debug)]
pub enum Over {
    /// The rows of the request.
    Rows,
    /// The items of a list, or the fields of an object.
    Items(Expression),
}

/// A signed token (RFC 7519).
#[derive(Clone, Debug)]
pub struct Jwt {
    /// How it is signed.
    pub algorithm: JwtAlgorithm,
    /// The key: PEM, or the secret of HS256.
    pub key: Text,
    /// Further fields of the header.
    pub header: Template,
    /// The claims.
    pub claims: Template,
}

impl Text {
    /// A text without expressions.
    #[must_use]
    pub fn plain(text: impl Into<String>) -> Self {
        Self {
            parts: vec![Part::Plain(text.into())],
        }
    }

    /// Whether it looks anything up at `root`.
    #[must_use]
    pub fn uses(&self, root: Root) -> bool {
        self.parts.iter().any(|part| match part {
            Part::Plain(_) => false,
            Part::Expression(expression) => expression.uses(root),
        })
    }

    /// The text, if there are no expressions in it.
    #[must_use]
    pub fn as_plain(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Plain(text)] => Some(text),
            _ => None,
        }
    }
}

impl Template {
    /// Whether it goes through the rows of the request.
    #[must_use]
    pub fn goes_through_rows(&self) -> bool {
        match self {
            Self::Literal(_) | Self::Text(_) | Self::Expression(_) | Self::Jwt(_) => false,
            Self::Map(entries) => entries.iter().any(|entry| match entry {
                Entry::Field { value, .. } | Entry::Spread(value) => value.goes_through_rows(),
            }),
            Self::List(items) => items.iter().any(Self::goes_through_rows),
            Self::Each(each) => matches!(each.over, Over::Rows) || each.item.goes_through_rows(),
            Self::Json(inner) | Self::Concat(inner) => inner.goes_through_rows(),
        }
    }
}
