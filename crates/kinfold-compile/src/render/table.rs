//! The rows of a query as values of a template, with what dbt's tables (agate's) have.

use std::fmt;
use std::sync::Arc;

use minijinja::value::{Enumerator, Object, ObjectRepr, Value};
use minijinja::{Error, ErrorKind, State};

use super::answers::AskedRows;
use super::value::from_json;

/// Names and the values that belong to them: a row, a column, or all rows or columns.
#[derive(Debug)]
struct Named {
    names: Vec<Value>,
    values: Vec<Value>,
}

impl Named {
    fn value(names: Vec<Value>, values: Vec<Value>) -> Value {
        Value::from_object(Self { names, values })
    }

    fn pairs(&self) -> Vec<(Value, Value)> {
        let pairs = self.names.iter().zip(&self.values);
        pairs.map(|(k, v)| (k.clone(), v.clone())).collect()
    }
}

impl Object for Named {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let at = match key.as_usize() {
            Some(at) => at,
            None => self.names.iter().position(|name| name == key)?,
        };
        self.values.get(at).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.values.len())
    }

    fn call_method(
        self: &Arc<Self>,
        _state: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        Ok(match (method, args) {
            ("values", []) => Value::from(self.values.clone()),
            ("keys", []) => Value::from(self.names.clone()),
            ("items", []) => self
                .pairs()
                .into_iter()
                .map(|(name, value)| Value::from(vec![name, value]))
                .collect(),
            ("dict", []) => Value::from_pairs(self.pairs()),
            ("get", [key, rest @ ..]) => self
                .get_value(key)
                .or_else(|| rest.first().cloned())
                .unwrap_or_else(|| Value::from(())),
            _ => return Err(Error::from(ErrorKind::UnknownMethod)),
        })
    }
}

/// A column of a result: its values in order, and its name.
#[derive(Debug)]
struct ResultColumn {
    name: Value,
    values: Vec<Value>,
}

impl Object for ResultColumn {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        if key.as_str() == Some("name") {
            return Some(self.name.clone());
        }
        self.values.get(key.as_usize()?).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.values.len())
    }

    fn call_method(
        self: &Arc<Self>,
        _state: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        match (method, args) {
            ("values", []) => Ok(Value::from(self.values.clone())),
            ("values_distinct", []) => {
                let mut values = self.values.clone();
                let mut seen = std::collections::HashSet::new();
                values.retain(|value| seen.insert(value.clone()));
                Ok(Value::from(values))
            }
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }
}

/// All rows of a query. Iterating over it gives its rows.
#[derive(Debug)]
struct Table {
    names: Vec<Value>,
    rows: Vec<Value>,
    columns: Value,
}

/// The table of rows.
pub(super) fn table(asked: &AskedRows) -> Value {
    let names: Vec<Value> = asked
        .columns
        .iter()
        .map(|name| Value::from(name.as_str()))
        .collect();
    let cells: Vec<Vec<Value>> = asked
        .rows
        .iter()
        .map(|row| row.iter().map(from_json).collect())
        .collect();
    let columns = names.iter().enumerate().map(|(at, name)| {
        let values = cells.iter().filter_map(|row| row.get(at).cloned());
        Value::from_object(ResultColumn {
            name: name.clone(),
            values: values.collect(),
        })
    });
    let columns = Named::value(names.clone(), columns.collect());
    let rows = cells
        .into_iter()
        .map(|row| Named::value(names.clone(), row))
        .collect();
    Value::from_object(Table {
        names,
        rows,
        columns,
    })
}

/// What `load_result` gives: the response, the rows as lists, and the table.
pub(super) fn result(asked: &AskedRows) -> Value {
    let data: Value = asked
        .rows
        .iter()
        .map(|row| row.iter().map(from_json).collect::<Value>())
        .collect();
    Value::from_pairs([
        ("response", Value::from("OK")),
        ("data", data),
        ("table", table(asked)),
    ])
}

impl Object for Table {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match key.as_str() {
            Some("columns") => Some(self.columns.clone()),
            Some("rows") => Some(Value::from(self.rows.clone())),
            Some("column_names") => Some(Value::from(self.names.clone())),
            Some(_) => None,
            None => self.rows.get(key.as_usize()?).cloned(),
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.rows.len())
    }

    fn call_method(
        self: &Arc<Self>,
        _state: &mut State<'_, '_>,
        method: &str,
        _args: &[Value],
    ) -> Result<Value, Error> {
        match method {
            // Rows of customers are not for logs.
            "print_table" | "print_csv" | "print_json" => Ok(Value::from("")),
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<table of {} rows>", self.rows.len())
    }
}
