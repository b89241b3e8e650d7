//! What templates ask about relations while they are rendered, and what is answered.
//!
//! A rendering asks nothing itself: a question that has no answer yet ends the rendering of its node,
//! which then waits. Whoever renders finds the answer and renders again. So a rendering with the same
//! answers always gives the same SQL, and the answers are part of what the SQL means.

use std::collections::BTreeMap;

use kinfold_project::{Diagnostic, NodeId, Span};
use minijinja::{Error, ErrorKind};
use serde_json::Value as Json;

use super::codes;
use super::registry::lock;
use super::relation::Relation;
use super::run::{Run, with_calls};

/// Something that a template wants to know.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Question {
    /// The columns of a relation, or that there is no such relation.
    Columns(Relation),
    /// The rows of a query.
    Rows(String),
}

/// A column of a relation, as templates see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedColumn {
    /// Its name.
    pub name: String,
    /// Its type, as SQL casts to it.
    pub data_type: String,
}

/// The rows of a query.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AskedRows {
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Values, row by row. What JSON does not have is text.
    pub rows: Vec<Vec<Json>>,
}

/// What is known so far.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    /// The columns of relations; `None` if there is no such relation.
    pub columns: BTreeMap<Relation, Option<Vec<AskedColumn>>>,
    /// The rows of queries.
    pub rows: BTreeMap<String, AskedRows>,
}

impl Answers {
    /// Whether the question is answered.
    #[must_use]
    pub fn has(&self, question: &Question) -> bool {
        match question {
            Question::Columns(relation) => self.columns.contains_key(relation),
            Question::Rows(sql) => self.rows.contains_key(sql),
        }
    }
}

/// A node that waits for an answer.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// What it asked.
    pub question: Question,
    /// The nodes that it had named before it asked.
    pub depends_on: Vec<NodeId>,
    /// The relations that it will write.
    pub relations: Vec<Relation>,
    place: Span,
    calls: Vec<(String, Option<Span>)>,
}

impl Waiting {
    /// A problem at the place where the question is asked.
    #[must_use]
    pub fn problem(&self, message: impl Into<String>) -> Diagnostic {
        let found = Diagnostic::warning(codes::NOT_ANSWERED, message, self.place);
        with_calls(found, &self.calls)
    }
}

/// A question on the record of a rendering.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    question: Question,
    place: Span,
    calls: Vec<(String, Option<Span>)>,
}

impl Asked {
    pub fn waiting(self, depends_on: Vec<NodeId>, relations: Vec<Relation>) -> Waiting {
        Waiting {
            question: self.question,
            depends_on,
            relations,
            place: self.place,
            calls: self.calls,
        }
    }
}

impl Run {
    /// The columns of a relation; `None` if there is no such relation.
    pub fn columns_of(
        &self,
        relation: &Relation,
        call: Option<usize>,
    ) -> Result<Option<&[AskedColumn]>, Error> {
        // What stands for a relation has its columns.
        let given = self.given.as_ref();
        let relation = given.map_or(relation, |given| given.original(relation));
        if self.relation.as_ref() == Some(relation) && !self.incremental {
            // What is built in full is not there before.
            return Ok(None);
        }
        match self.registry.answers.columns.get(relation) {
            Some(columns) => Ok(columns.as_deref()),
            None => Err(self.ask(Question::Columns(relation.clone()), call)),
        }
    }

    /// The rows of a query.
    pub fn rows_of(&self, sql: &str, call: Option<usize>) -> Result<&AskedRows, Error> {
        match self.registry.answers.rows.get(sql) {
            Some(rows) => Ok(rows),
            None => Err(self.ask(Question::Rows(sql.to_owned()), call)),
        }
    }

    /// Puts a question on record. The error ends the rendering, and is not told.
    fn ask(&self, question: Question, call: Option<usize>) -> Error {
        let place = self.call_span(call);
        let mut records = lock(&self.records);
        let calls = records.calls.clone();
        records.asked.get_or_insert(Asked {
            question,
            place,
            calls,
        });
        Error::new(
            ErrorKind::InvalidOperation,
            "what the template asks here cannot be answered",
        )
    }

    /// Notes that a relation is named, if it is one of the project's. Whether it is.
    pub fn name_relation(&self, relation: &Relation, call: Option<usize>) -> bool {
        let resolved = self.registry.resolved.get().map_or(&[][..], Vec::as_slice);
        let found = resolved.iter().zip(&self.registry.entries).find(|(r, _)| {
            let companions = r.companions.iter().map(|c| &c.relation);
            r.enabled && companions.chain([&r.relation]).any(|own| own == relation)
        });
        let Some((_, entry)) = found else {
            return false;
        };
        if entry.id != self.id {
            let place = self.call_span(call);
            lock(&self.records)
                .depends_on
                .push((entry.id.clone(), place));
        }
        true
    }
}
