//! How blocks of YAML are described. The parser, the JSON Schema and the reference page read the same
//! descriptions, so none of them can know a key that the others do not.

/// A mapping whose keys have a meaning.
#[derive(Debug)]
pub struct Block {
    /// Its name in the reference: `call`.
    pub name: &'static str,
    /// The same in a sentence: "a call".
    pub what: &'static str,
    /// What it is for. Several sentences, Markdown.
    pub about: &'static str,
    /// Its keys, in the order of the reference.
    pub keys: &'static [Key],
    /// Groups of keys of which exactly one must be there.
    pub exactly_one: &'static [&'static [&'static str]],
    /// Groups of keys of which at most one may be there.
    pub at_most_one: &'static [&'static [&'static str]],
}

/// A key of a [`Block`].
#[derive(Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What its value is.
    pub kind: Shape,
    /// Whether it must be there.
    pub required: bool,
    /// What it does. Markdown.
    pub about: &'static str,
}

/// What the value of a key is.
#[derive(Debug)]
pub enum Shape {
    /// Text.
    Text,
    /// One of these words: each with what it means.
    Word(&'static [(&'static str, &'static str)]),
    /// `true` or `false`.
    Bool,
    /// A whole number above 0.
    Count,
    /// A number with a unit of time: `10s`.
    Duration,
    /// A number with a unit of size: `4 MiB`.
    Bytes,
    /// An expression.
    Expression,
    /// An expression that is a condition.
    Condition,
    /// A text that may hold expressions.
    Template,
    /// Any YAML, whose texts may hold expressions.
    Body,
    /// A status, `4xx`, or a list of those.
    Statuses,
    /// A text or a list of texts.
    Texts,
    /// A list of texts and of lists of texts.
    TextLists,
    /// A mapping from names to texts.
    TextMap,
    /// A mapping from names to texts that may hold expressions.
    TemplateMap,
    /// A mapping from names to values that may hold expressions.
    BodyMap,
    /// A mapping from names to expressions.
    ExpressionMap,
    /// Any YAML.
    Any,
    /// A block.
    Block(&'static Block),
    /// A list of blocks.
    Blocks(&'static Block),
    /// A block or a list of blocks.
    OneOrMany(&'static Block),
    /// A mapping from names to blocks.
    BlockMap(&'static Block),
}

impl Block {
    /// The description of a key.
    #[must_use]
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

impl Shape {
    /// The block of a shape that has one.
    #[must_use]
    pub fn block(&self) -> Option<&'static Block> {
        match self {
            Self::Block(block)
            | Self::Blocks(block)
            | Self::OneOrMany(block)
            | Self::BlockMap(block) => Some(block),
            _ => None,
        }
    }
}

/// A key that may be there.
pub(crate) const fn key(name: &'static str, kind: Shape, about: &'static str) -> Key {
    Key {
        name,
        kind,
        required: false,
        about,
    }
}

/// A key that must be there.
pub(crate) const fn needed(name: &'static str, kind: Shape, about: &'static str) -> Key {
    Key {
        name,
        kind,
        required: true,
        about,
    }
}
