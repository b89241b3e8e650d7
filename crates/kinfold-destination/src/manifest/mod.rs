//! The manifest: the data file that says how a destination works.

pub mod blocks;
mod call;
pub(crate) mod check;
pub mod describe;
pub(crate) mod fields;
mod reach;
mod read;
mod removal;
mod units;
pub(crate) mod verdict;
pub(crate) mod walk;

use std::time::Duration;

use chrono_tz::Tz;
use kinfold_project::{Span, SyncMode};
use kinfold_sync::BatchOperation;

use crate::expression::{Expression, Root};
use crate::identifiers::{Clean, Hash};
use crate::template::Text;

pub use call::{
    AnswerForm, Body, Call, Content, Csv, Lists, Match, Pages, Part, Reading, Rule, StatusRange,
};
pub use reach::Reach;
pub use read::read;
pub use removal::{Reaches, Removal};
pub use verdict::Verdict;

/// A manifest that was read and whose parts fit together.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// The name by which connections call the destination.
    pub name: String,
    /// The name as the vendor writes it.
    pub title: String,
    /// What is written there.
    pub about: String,
    /// From what it was written.
    pub sources: Vec<String>,
    /// When and against what it was run.
    pub verified: Option<String>,
    /// What a connection gives.
    pub parameters: Vec<Parameter>,
    /// What paths are appended to.
    pub base_url: Text,
    /// Where it stands.
    pub base_url_at: Span,
    /// Headers of every request.
    pub headers: Vec<(String, Text)>,
    /// Credentials.
    pub auth: Auth,
    /// Limits of an account.
    pub limits: Vec<Limit>,
    /// What answers mean.
    pub rules: Vec<Rule>,
    /// Whether the credentials are right.
    pub check: Option<Call>,
    /// Why nothing, or not everything, can be asked.
    pub no_check: Option<String>,
    /// What empties a field.
    pub clear_with: serde_json::Value,
    /// What can be written to.
    pub objects: Vec<Object>,
}

/// A parameter of a connection.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// Where a person finds it.
    pub about: String,
    /// Whether it is a credential.
    pub secret: bool,
    /// Whether it may be left out.
    pub optional: bool,
    /// Its value if it is left out.
    pub default: Option<String>,
    /// The words for it and their values.
    pub choices: Vec<(String, String)>,
    /// What it looks like.
    pub example: Option<String>,
}

/// Where credentials go, and where a token comes from.
#[derive(Clone, Debug, Default)]
pub struct Auth {
    /// The call for a token.
    pub token: Option<Call>,
    /// For how many seconds it is good.
    pub expires_in: Option<Expression>,
    /// How long before its end it is renewed.
    pub renew_before: Duration,
    /// The kept value that takes the place of the parameter of its name.
    pub rotates: Option<String>,
    /// Headers.
    pub headers: Vec<(String, Text)>,
    /// Parameters of the query.
    pub query: Vec<(String, Text)>,
    /// AWS Signature Version 4.
    pub aws: Option<Aws>,
}

/// AWS Signature Version 4.
#[derive(Clone, Debug)]
pub struct Aws {
    /// The region.
    pub region: Text,
    /// The service.
    pub service: Text,
    /// The id of the key.
    pub access_key: Text,
    /// The key.
    pub secret_key: Text,
    /// The token of a session.
    pub session_token: Option<Text>,
}

/// A limit of an account.
#[derive(Clone, Debug)]
pub struct Limit {
    /// What is counted, and how many of it.
    pub most: Counted,
    /// The period; none for calls at a time.
    pub per: Duration,
    /// How the period moves.
    pub window: Window,
    /// The calls that it is for.
    pub group: Option<String>,
    /// How many are left, from an answer.
    pub remaining: Option<Expression>,
    /// When there are more again, from an answer.
    pub reset: Option<Expression>,
    /// Where it stands.
    pub span: Span,
}

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Calls in a period.
    Calls(u32),
    /// Rows in a period.
    Rows(u32),
    /// Points in a period, of which calls have different numbers.
    Points(u32),
    /// Calls at a time.
    AtOnce(u32),
}

/// How the period of a limit moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// No period, wherever it begins, sees more.
    Rolling,
    /// Periods begin at multiples of their length, in a zone.
    Clock(Tz),
    /// A bucket that is refilled evenly.
    Bucket,
}

/// What a sync writes to.
#[derive(Clone, Debug)]
pub struct Object {
    /// Its name.
    pub name: String,
    /// What it is.
    pub about: String,
    /// What stands after its name.
    pub arguments: Vec<Argument>,
    /// The fields by which rows can be found; none for any.
    pub keys: Vec<Vec<String>>,
    /// The fields that can be written.
    pub fields: Option<FieldList>,
    /// Fields that are cleaned and hashed.
    pub identifiers: Vec<Identifier>,
    /// Calls before the first batch.
    pub prepare: Vec<Call>,
    /// Names that are stored for ever.
    pub remember: Vec<String>,
    /// Calls after the last batch.
    pub finish: Vec<Call>,
    /// How it tells how many people it reaches.
    pub reach: Option<Reach>,
    /// Rows and syncs that it does not take.
    pub refuse: Vec<Refusal>,
    /// What becomes of rows that are deleted.
    pub removal: Option<Removal>,
    /// What can be done.
    pub operations: Vec<(OperationName, Vec<Operation>)>,
    /// Where it stands.
    pub span: Span,
}

/// A part of the name of an object.
#[derive(Clone, Debug)]
pub struct Argument {
    /// Its name.
    pub name: String,
    /// Where a person finds it.
    pub about: String,
    /// What it looks like.
    pub example: Option<String>,
}

/// The fields of an object.
#[derive(Clone, Debug, Default)]
pub struct FieldList {
    /// Fields that are always there.
    pub known: Vec<Field>,
    /// Whether there are others.
    pub open: bool,
    /// How those of the account are found.
    pub discover: Option<Box<Discover>>,
}

/// A field of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub about: Option<String>,
    /// Whether a sync must map it.
    pub required: bool,
    /// Whether it cannot be written.
    pub read_only: bool,
}

/// How the fields of the account are found.
#[derive(Clone, Debug)]
pub struct Discover {
    /// The call.
    pub call: Call,
    /// The list in its answer.
    pub items: Expression,
    /// The name of a field.
    pub name: Expression,
    /// Whether it cannot be written.
    pub read_only: Option<Expression>,
}

/// A field that is cleaned and hashed.
#[derive(Clone, Debug)]
pub struct Identifier {
    /// Its name.
    pub name: String,
    /// The mapped field.
    pub field: String,
    /// How it is cleaned.
    pub clean: Clean,
    /// How it is hashed.
    pub hash: Hash,
    /// The country of telephone numbers without country code.
    pub country: Option<Text>,
}

/// What can be done with an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OperationName {
    /// Sends a row once.
    Append,
    /// Adds a row.
    Insert,
    /// Changes a row.
    Update,
    /// Adds or changes a row.
    Upsert,
    /// Deletes a row.
    Delete,
}

/// What is done with a batch.
#[derive(Clone, Debug)]
pub struct Operation {
    /// Most rows of a request.
    pub rows: usize,
    /// Fewest rows of a batch.
    pub min_rows: usize,
    /// Largest body, in bytes.
    pub bytes: Option<usize>,
    /// Largest row, in bytes.
    pub row_bytes: Option<usize>,
    /// Whether sending twice does what sending once does.
    pub repeatable: bool,
    /// Rows and syncs that it does not take.
    pub refuse: Vec<Refusal>,
    /// Rows with different values go into different requests.
    pub together: Option<Expression>,
    /// The calls.
    pub calls: Vec<Call>,
    /// The job that they make.
    pub job: Option<Job>,
    /// Where it stands.
    pub span: Span,
}

/// Rows, or whole syncs, that are refused before anything is sent.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// Which.
    pub condition: Expression,
    /// Why, for a person.
    pub message: Text,
}

/// A job.
#[derive(Clone, Debug)]
pub struct Job {
    /// Most at a time.
    pub at_once: usize,
    /// Asks whether it is over.
    pub poll: Call,
    /// What became of the rows.
    pub results: Vec<Call>,
    /// The verdict of rows that no result names.
    pub unnamed: Verdict,
}

impl Refusal {
    /// Whether it looks at no row, so that it is about the sync as a whole.
    #[must_use]
    pub fn is_of_sync(&self) -> bool {
        !self.uses(Root::Row)
    }

    /// Whether it looks anything up at `root`.
    #[must_use]
    pub fn uses(&self, root: Root) -> bool {
        self.condition.uses(root) || self.message.uses(root)
    }
}

impl OperationName {
    /// Every operation, in the order of the reference.
    pub const ALL: [Self; 5] = [
        Self::Append,
        Self::Insert,
        Self::Update,
        Self::Upsert,
        Self::Delete,
    ];

    /// The key in a manifest.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Append => "append",
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Upsert => "upsert",
            Self::Delete => "delete",
        }
    }

    /// What an operation of a batch is called here.
    #[must_use]
    pub fn of(operation: BatchOperation, mode: SyncMode) -> Self {
        match operation {
            BatchOperation::Insert if mode == SyncMode::Append => Self::Append,
            BatchOperation::Insert => Self::Insert,
            BatchOperation::Update => Self::Update,
            BatchOperation::Upsert => Self::Upsert,
            BatchOperation::Delete => Self::Delete,
        }
    }

    /// With what a sync of a mode writes.
    #[must_use]
    pub fn of_mode(mode: SyncMode) -> Self {
        match mode {
            SyncMode::Append => Self::Append,
            SyncMode::Insert => Self::Insert,
            SyncMode::Update => Self::Update,
            SyncMode::Upsert | SyncMode::Mirror => Self::Upsert,
        }
    }

    /// The operation of a batch.
    #[must_use]
    pub fn batch_operation(self) -> BatchOperation {
        match self {
            Self::Append | Self::Insert => BatchOperation::Insert,
            Self::Update => BatchOperation::Update,
            Self::Upsert => BatchOperation::Upsert,
            Self::Delete => BatchOperation::Delete,
        }
    }
}

impl Manifest {
    /// The object of a name.
    #[must_use]
    pub fn object(&self, name: &str) -> Option<&Object> {
        self.objects.iter().find(|object| object.name == name)
    }
}

impl Object {
    /// An object that can do nothing.
    pub(crate) fn nothing() -> Self {
        Self {
            name: String::new(),
            about: String::new(),
            arguments: Vec::new(),
            keys: Vec::new(),
            fields: None,
            identifiers: Vec::new(),
            prepare: Vec::new(),
            remember: Vec::new(),
            finish: Vec::new(),
            reach: None,
            refuse: Vec::new(),
            removal: None,
            operations: Vec::new(),
            span: Span::new(kinfold_project::FileId(0), 0, 0),
        }
    }

    /// The forms of an operation, if the object has it.
    #[must_use]
    pub fn operation(&self, name: OperationName) -> Option<&[Operation]> {
        let found = self.operations.iter().find(|(of, _)| *of == name);
        found.map(|(_, forms)| forms.as_slice())
    }

    /// The modes of a sync that the operations allow. Whether rows can leave is another matter: that needs
    /// `delete` or `update`.
    #[must_use]
    pub fn modes(&self) -> Vec<SyncMode> {
        SyncMode::ALL
            .into_iter()
            .filter(|mode| self.operation(OperationName::of_mode(*mode)).is_some())
            .collect()
    }
}
