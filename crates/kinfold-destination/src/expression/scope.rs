//! The values that an expression can look up.

use serde_json::{Map, Value};

/// Where a look-up begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Root {
    /// Parameters of the connection.
    Connection,
    /// What the call for a token has kept.
    Auth,
    /// The object of the sync and its arguments.
    Object,
    /// The sync.
    Sync,
    /// The run.
    Run,
    /// The batch.
    Batch,
    /// The row.
    Row,
    /// What calls have kept.
    Kept,
    /// The item of an `$each`.
    Item,
    /// The body of the answer, or one item of it.
    Answer,
    /// The status of the answer.
    Status,
    /// The headers of the answer.
    Header,
    /// The position of an item in its list, from 0.
    Position,
    /// The time.
    Now,
    /// The request that is being signed.
    Request,
    /// The files of a multipart body.
    Files,
}

impl Root {
    /// Every root, in the order of the reference.
    pub const ALL: [Self; 16] = [
        Self::Connection,
        Self::Auth,
        Self::Object,
        Self::Sync,
        Self::Run,
        Self::Batch,
        Self::Row,
        Self::Kept,
        Self::Item,
        Self::Answer,
        Self::Status,
        Self::Header,
        Self::Position,
        Self::Now,
        Self::Request,
        Self::Files,
    ];

    /// The word in an expression.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Auth => "auth",
            Self::Object => "object",
            Self::Sync => "sync",
            Self::Run => "run",
            Self::Batch => "batch",
            Self::Row => "row",
            Self::Kept => "kept",
            Self::Item => "item",
            Self::Answer => "$",
            Self::Status => "status",
            Self::Header => "header",
            Self::Position => "position",
            Self::Now => "now",
            Self::Request => "request",
            Self::Files => "files",
        }
    }

    /// What is there, for the reference.
    #[must_use]
    pub fn about(self) -> &'static str {
        match self {
            Self::Connection => "a parameter of the connection: `connection.api_key`",
            Self::Auth => "what the call for a token has kept: `auth.token`. Secret",
            Self::Object => "`object.name`, and the arguments that the sync gave: `object.list_id`",
            Self::Sync => {
                "`sync.name`, `sync.mode`, `sync.key` (the first key field), `sync.keys` and `sync.fields` (lists of names)"
            }
            Self::Run => {
                "`run.id`: the same when an interrupted run is resumed; `run.number`: a whole number made of it"
            }
            Self::Batch => {
                "`batch.id` (32 hexadecimal digits, the same whenever the batch is sent again), `batch.count` (rows of the request), `batch.operation`"
            }
            Self::Row => {
                "`row.key`, `row.fields`, `row.key_value` (the value of the first key field), `row.id` (32 hexadecimal digits, the same whenever the row is sent again), `row.index` (its position in the request, from 0), `row.identifiers` (cleaned and hashed)"
            }
            Self::Kept => "what calls before this one have kept, for the row or for the batch",
            Self::Item => {
                "the item of the `$each` around; of an object `item.name` and `item.value`"
            }
            Self::Answer => "the body of the answer; where items are read, the item",
            Self::Status => "the status of the answer, a number",
            Self::Header => {
                "a header of the answer: `header['retry-after']`, in any letter case, null if it is not there"
            }
            Self::Position => "the position of the item in its list, from 0",
            Self::Now => "the time at which the request is made",
            Self::Request => {
                "the request that is being signed: `request.method`, `request.path`, `request.query`, `request.body`"
            }
            Self::Files => {
                "the content of the files of a multipart body, by the names of their parts"
            }
        }
    }

    /// The root of a word.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|root| root.as_str() == word)
    }

    fn slot(self) -> usize {
        self as usize
    }
}

/// A row as expressions see it.
#[derive(Clone, PartialEq)]
pub struct Row {
    /// The object behind `row`.
    pub value: Value,
    /// What calls have kept for the row.
    pub kept: Value,
}

impl Row {
    /// A row for which nothing was kept yet.
    #[must_use]
    pub fn new(value: Value) -> Self {
        Self {
            value,
            kept: Value::Object(Map::new()),
        }
    }
}

/// The values that are there when an expression is evaluated. It holds people's data and credentials, so it
/// has no `Debug`.
#[derive(Clone, Copy, Default)]
pub struct Scope<'a> {
    values: [Option<&'a Value>; Root::ALL.len()],
    row_kept: Option<&'a Value>,
    rows: &'a [Row],
}

impl<'a> Scope<'a> {
    /// The scope with one more value.
    #[must_use]
    pub fn with(mut self, root: Root, value: &'a Value) -> Self {
        if let Some(slot) = self.values.get_mut(root.slot()) {
            *slot = Some(value);
        }
        self
    }

    /// The scope with the rows that `$each: rows` goes through.
    #[must_use]
    pub fn with_rows(mut self, rows: &'a [Row]) -> Self {
        self.rows = rows;
        self
    }

    /// The scope of one row.
    #[must_use]
    pub fn with_row(mut self, row: &'a Row) -> Self {
        self.row_kept = Some(&row.kept);
        self.with(Root::Row, &row.value)
    }

    /// The rows of the request.
    #[must_use]
    pub fn rows(&self) -> &'a [Row] {
        self.rows
    }

    /// The value at a root.
    #[must_use]
    pub fn get(&self, root: Root) -> Option<&'a Value> {
        self.values.get(root.slot()).copied().flatten()
    }

    pub(super) fn row_kept(&self) -> Option<&'a Value> {
        self.row_kept
    }
}
