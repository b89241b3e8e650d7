//! A column as a value of a template, with what dbt's columns have.

use std::fmt;
use std::sync::Arc;

use minijinja::value::{Enumerator, Object, Value};
use minijinja::{Error, ErrorKind, State};

use super::answers::AskedColumn;
use super::relation::quoted;

/// The size that dbt takes for text without one.
const TEXT_SIZE: i64 = 256;

/// A column of a relation.
#[derive(Debug)]
pub(super) struct ColumnValue(AskedColumn);

impl ColumnValue {
    /// The value for a column.
    pub fn value(column: AskedColumn) -> Value {
        Value::from_object(Self(column))
    }

    /// The type without its sizes, in lower case.
    fn base(&self) -> String {
        let base = self.0.data_type.split('(').next().unwrap_or("");
        base.trim().to_lowercase()
    }

    fn sizes(&self) -> Option<(i64, i64)> {
        let inner = self.0.data_type.split('(').nth(1)?.split(')').next()?;
        let (precision, scale) = inner.split_once(',').unwrap_or((inner, "0"));
        Some((precision.trim().parse().ok()?, scale.trim().parse().ok()?))
    }

    fn is(&self, kind: Kind) -> bool {
        let base = self.base();
        let words: &[&str] = match kind {
            Kind::Text => &["varchar", "text", "string", "char", "character varying"],
            Kind::Integer => &[
                "bigint",
                "int",
                "integer",
                "smallint",
                "tinyint",
                "bigint unsigned",
                "int unsigned",
                "smallint unsigned",
                "tinyint unsigned",
            ],
            Kind::Numeric => &["decimal", "numeric"],
            Kind::Float => &["double", "float", "real", "double precision"],
        };
        words.contains(&base.as_str())
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Text,
    Integer,
    Numeric,
    Float,
}

impl Object for ColumnValue {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let size = |of: Option<i64>| Some(of.map_or_else(|| Value::from(()), Value::from));
        let decimal = self.sizes().filter(|_| self.is(Kind::Numeric));
        match key.as_str()? {
            "name" | "column" => Some(Value::from(self.0.name.as_str())),
            "quoted" => Some(Value::from(quoted(&self.0.name))),
            "data_type" => Some(Value::from(self.0.data_type.as_str())),
            "dtype" => Some(Value::from(self.base())),
            "char_size" => size(self.sizes().map(|s| s.0).filter(|_| self.is(Kind::Text))),
            "numeric_precision" => size(decimal.map(|sizes| sizes.0)),
            "numeric_scale" => size(decimal.map(|sizes| sizes.1)),
            _ => None,
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Str(&["name", "column", "quoted", "data_type", "dtype"])
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
        let all = [Kind::Integer, Kind::Numeric, Kind::Float];
        Ok(match method {
            "is_string" => Value::from(self.is(Kind::Text)),
            "is_integer" => Value::from(self.is(Kind::Integer)),
            "is_numeric" => Value::from(self.is(Kind::Numeric)),
            "is_float" => Value::from(self.is(Kind::Float)),
            "is_number" => Value::from(all.into_iter().any(|kind| self.is(kind))),
            "string_size" if self.is(Kind::Text) => {
                Value::from(self.sizes().map_or(TEXT_SIZE, |sizes| sizes.0))
            }
            "string_size" => {
                return Err(Error::new(
                    ErrorKind::InvalidOperation,
                    format!("the column `{}` is not text", self.0.name),
                ));
            }
            "literal" => {
                let value = args.last().map_or_else(String::new, Value::to_string);
                Value::from(format!("'{value}'::{}", self.0.data_type))
            }
            _ => return Err(Error::from(ErrorKind::UnknownMethod)),
        })
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<Column {} ({})>", self.0.name, self.0.data_type)
    }
}
