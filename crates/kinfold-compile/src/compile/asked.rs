//! Columns of compiled relations, as templates ask for them.

use datafusion::arrow::datatypes::{DataType, IntervalUnit, Schema, TimeUnit};

use super::CompiledProject;
use crate::render::{AskedColumn, Relation};

impl CompiledProject {
    /// The columns of a relation that a node of the project publishes; `None` if no bound node does.
    #[must_use]
    pub fn columns_of(&self, relation: &Relation) -> Option<Vec<AskedColumn>> {
        self.nodes.values().find_map(|node| {
            let own = node.relation.as_ref().zip(node.schema.as_ref());
            let companions = node.companions.iter().map(|c| (&c.relation, &c.schema));
            let mut all = own.into_iter().chain(companions);
            let (_, schema) = all.find(|(of, _)| *of == relation)?;
            Some(asked_columns(schema))
        })
    }
}

/// The columns of a schema, with the types that SQL casts to.
#[must_use]
pub fn asked_columns(schema: &Schema) -> Vec<AskedColumn> {
    let fields = schema.fields().iter();
    fields
        .map(|field| AskedColumn {
            name: field.name().clone(),
            data_type: sql_type(field.data_type()),
        })
        .collect()
}

/// The SQL name of a type. One that SQL cannot name is shown as the engine shows it.
fn sql_type(data_type: &DataType) -> String {
    let plain = match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "varchar",
        DataType::Boolean => "boolean",
        DataType::Int8 => "tinyint",
        DataType::Int16 => "smallint",
        DataType::Int32 => "int",
        DataType::Int64 => "bigint",
        DataType::UInt8 => "tinyint unsigned",
        DataType::UInt16 => "smallint unsigned",
        DataType::UInt32 => "int unsigned",
        DataType::UInt64 => "bigint unsigned",
        DataType::Float32 => "float",
        DataType::Float64 => "double",
        DataType::Date32 | DataType::Date64 => "date",
        DataType::Time32(_) | DataType::Time64(_) => "time",
        DataType::Timestamp(TimeUnit::Nanosecond, None) => "timestamp",
        DataType::Timestamp(TimeUnit::Microsecond, None) => "timestamp(6)",
        DataType::Timestamp(TimeUnit::Millisecond, None) => "timestamp(3)",
        DataType::Timestamp(TimeUnit::Second, None) => "timestamp(0)",
        DataType::Timestamp(_, Some(_)) => "timestamptz",
        DataType::Interval(IntervalUnit::MonthDayNano) => "interval",
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "bytea",
        DataType::Decimal128(precision, scale) => {
            return format!("decimal({precision}, {scale})");
        }
        DataType::List(item) | DataType::LargeList(item) => {
            return format!("{}[]", sql_type(item.data_type()));
        }
        other => return other.to_string(),
    };
    plain.to_owned()
}
