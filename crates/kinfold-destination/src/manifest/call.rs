//! Calls and the meaning of their answers, in a manifest.

use kinfold_project::Span;

use super::Verdict;
use crate::expression::Expression;
use crate::template::{Template, Text};

/// What an answer, or an item of it, means.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The statuses that it is for; none for all.
    pub statuses: Vec<StatusRange>,
    /// What must hold.
    pub condition: Option<Expression>,
    /// The verdict.
    pub is: Verdict,
    /// The verdict of rows that this answer does not name, in the place of the call's.
    pub unnamed: Option<Verdict>,
    /// For how long to wait.
    pub wait: Option<Expression>,
    /// The reason.
    pub message: Option<Expression>,
    /// Where it stands.
    pub span: Span,
}

/// Statuses from one to another, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusRange {
    /// The first.
    pub from: u16,
    /// The last.
    pub to: u16,
}

/// A request and how its answer is read.
#[derive(Clone, Debug)]
pub struct Call {
    /// `GET`, `POST`, …
    pub method: &'static str,
    /// The path or address.
    pub url: Text,
    /// Parameters of the query.
    pub query: Vec<(String, Template)>,
    /// Headers.
    pub headers: Vec<(String, Text)>,
    /// The body.
    pub body: Body,
    /// Its type, if it is not the usual one.
    pub content_type: Option<String>,
    /// For which rows.
    pub when: Option<Expression>,
    /// Whether it changes nothing.
    pub reads: bool,
    /// The group of limits.
    pub group: Option<String>,
    /// As how many points it counts.
    pub points: u32,
    /// What its answers mean.
    pub rules: Vec<Rule>,
    /// The form of a successful answer.
    pub answer: AnswerForm,
    /// How the answer speaks of rows.
    pub readings: Vec<Reading>,
    /// The verdict of rows that it does not name.
    pub unnamed: Verdict,
    /// Where the next page is.
    pub pages: Option<Pages>,
    /// The list and the item that values are kept of.
    pub pick: Option<(Expression, Expression)>,
    /// Values for later calls.
    pub keep: Vec<(String, Expression)>,
    /// Where it stands.
    pub span: Span,
}

/// The body of a request.
#[derive(Clone, Debug)]
pub enum Body {
    /// None.
    Empty,
    /// JSON.
    Json(Template),
    /// A form, and how its lists are written.
    Form(Template, Lists),
    /// CSV, one line for each row.
    Csv(Csv),
    /// JSON in lines.
    Ndjson(Template),
    /// Several parts.
    Multipart(Vec<(String, Part)>),
    /// Text.
    Text(Text),
}

/// How a list is written in a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lists {
    /// `a[0]=x&a[1]=y`.
    Indexed,
    /// `a[]=x&a[]=y`.
    Brackets,
    /// `a=x&a=y`.
    Repeated,
}

/// A part of a multipart body.
#[derive(Clone, Debug)]
pub enum Part {
    /// A text.
    Field(Template),
    /// A file.
    File {
        /// Its name.
        name: Text,
        /// Its type.
        content_type: String,
        /// What is in it.
        content: Content,
    },
}

/// The content of a file.
#[derive(Clone, Debug)]
pub enum Content {
    /// CSV.
    Csv(Csv),
    /// JSON in lines.
    Ndjson(Template),
    /// Text.
    Text(Template),
}

/// A body as CSV.
#[derive(Clone, Debug)]
pub struct Csv {
    /// What a row becomes.
    pub row: Template,
    /// What stands for null.
    pub null: String,
    /// What ends a line.
    pub line_end: &'static str,
    /// Whether the first line has the names of the columns.
    pub header: bool,
}

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerForm {
    /// JSON.
    Json,
    /// CSV with a header.
    Csv,
    /// JSON in lines.
    Ndjson,
    /// Text.
    Text,
}

/// How an answer speaks of rows.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The list.
    pub items: Expression,
    /// How an item finds its row.
    pub by: Match,
    /// What items mean.
    pub rules: Vec<Rule>,
}

/// How an item finds its row.
#[derive(Clone, Debug)]
pub enum Match {
    /// By the row's position in the request.
    Index(Expression),
    /// By a value that both have.
    Equal {
        /// Of the item.
        item: Expression,
        /// Of the row.
        row: Expression,
    },
}

/// Where the next page of an answer is.
#[derive(Clone, Debug)]
pub enum Pages {
    /// At an address.
    Next(Expression),
    /// At the same address with these parameters.
    Query(Vec<(String, Expression)>),
}

impl StatusRange {
    /// Whether a status is one of them.
    #[must_use]
    pub fn contains(self, status: u16) -> bool {
        (self.from..=self.to).contains(&status)
    }
}
