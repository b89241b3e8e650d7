//! Names of relations as SQL and templates see them.

use std::fmt;
use std::sync::Arc;

use minijinja::value::{Enumerator, Object, Value};
use minijinja::{Error, ErrorKind, State};

use super::run::Args;

/// Catalog part of every relation's name.
pub const CATALOG: &str = "kinfold";

/// A relation of the lake.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Relation {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for Relation {
    /// `"kinfold"."<schema>"."<name>"`, quotes doubled.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [CATALOG, &self.schema, &self.name];
        f.write_str(&parts.map(quoted).join("."))
    }
}

/// An identifier in double quotes.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A relation that a materialization publishes beside its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Companion {
    /// The word after the two underscores: `records`, `edges`, `changes`, `history`, `provenance`.
    pub suffix: &'static str,
    /// The name in `ref`: `<node>__<suffix>`.
    pub ref_name: String,
    /// Where it is stored.
    pub relation: Relation,
}

/// A relation as a value of a template, with what dbt's relations have.
#[derive(Clone, Debug)]
pub(super) struct RelationValue {
    relation: Relation,
    parts: [bool; 3],
    quote: [bool; 3],
}

impl RelationValue {
    /// The value for a relation.
    pub fn value(relation: Relation) -> Value {
        Value::from_object(Self {
            relation,
            parts: [true; 3],
            quote: [true; 3],
        })
    }

    /// The relation.
    pub fn relation(&self) -> &Relation {
        &self.relation
    }

    fn with(&self, args: &mut Args, include: bool) -> Self {
        let mut changed = self.clone();
        let flags = if include {
            &mut changed.parts
        } else {
            &mut changed.quote
        };
        for (flag, name) in flags.iter_mut().zip(["database", "schema", "identifier"]) {
            if let Some(value) = args.keyword(name) {
                *flag = value.is_true();
            }
        }
        changed
    }
}

impl Object for RelationValue {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let text = |s: &str| Some(Value::from(s));
        match key.as_str()? {
            "database" => text(CATALOG),
            "schema" => text(&self.relation.schema),
            "identifier" | "name" | "table" => text(&self.relation.name),
            "type" => text("table"),
            "is_table" => Some(Value::from(true)),
            "is_view" | "is_cte" | "is_dynamic_table" => Some(Value::from(false)),
            "metadata" => Some(Value::from_pairs([("type", "KinfoldRelation")])),
            _ => None,
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Str(&[
            "database",
            "schema",
            "identifier",
            "name",
            "type",
            "metadata",
        ])
    }

    fn is_true(self: &Arc<Self>) -> bool {
        true
    }

    fn call_method(
        self: &Arc<Self>,
        _state: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        let mut args = Args::new(args);
        match method {
            "include" | "quote" => {
                let changed = self.with(&mut args, method == "include");
                args.finish(method)?;
                Ok(Value::from_object(changed))
            }
            "render" => Ok(Value::from(
                Value::from_dyn_object(Arc::clone(self)).to_string(),
            )),
            "without_identifier" => {
                let mut changed = Self::clone(self);
                changed.parts = [true, true, false];
                Ok(Value::from_object(changed))
            }
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [CATALOG, &self.relation.schema, &self.relation.name];
        let parts: Vec<String> = names
            .iter()
            .zip(self.parts)
            .zip(self.quote)
            .filter(|((_, part), _)| *part)
            .map(|((name, _), quote)| {
                if quote {
                    quoted(name)
                } else {
                    (*name).to_owned()
                }
            })
            .collect();
        f.write_str(&parts.join("."))
    }
}
