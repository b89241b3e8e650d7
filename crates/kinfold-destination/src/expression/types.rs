//! What an expression can be.

/// The kind of a value, as far as it is known before there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Anything: a value of an answer, or a field of a row.
    Any,
    /// Nothing.
    Null,
    /// Text.
    Text,
    /// A number.
    Number,
    /// `true` or `false`.
    Bool,
    /// A point in time.
    Time,
    /// A list.
    List,
    /// An object.
    Object,
}

/// The kind of a value, and whether it may be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Type {
    /// What it is.
    pub kind: Kind,
    /// Whether it is a credential, or was made from one.
    pub secret: bool,
}

impl Type {
    /// A type that may be shown.
    #[must_use]
    pub fn open(kind: Kind) -> Self {
        Self {
            kind,
            secret: false,
        }
    }

    /// A credential: text.
    #[must_use]
    pub fn secret() -> Self {
        Self {
            kind: Kind::Text,
            secret: true,
        }
    }
}

impl Kind {
    /// The kind as a sentence says it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Any => "anything",
            Self::Null => "null",
            Self::Text => "text",
            Self::Number => "a number",
            Self::Bool => "a condition",
            Self::Time => "a time",
            Self::List => "a list",
            Self::Object => "an object",
        }
    }

    /// Whether a value of this kind may stand where `wanted` is asked for. Numbers and conditions have one
    /// text each, so they may stand for text; a time has many.
    #[must_use]
    pub fn fits(self, wanted: Self) -> bool {
        self == wanted
            || matches!(self, Self::Any | Self::Null)
            || wanted == Self::Any
            || (wanted == Self::Text && matches!(self, Self::Number | Self::Bool))
    }

    /// Whether it can be a part of a text.
    #[must_use]
    pub fn is_scalar(self) -> bool {
        !matches!(self, Self::List | Self::Object | Self::Time)
    }
}
