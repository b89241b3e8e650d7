//! What the database says about the table.

use std::collections::{BTreeMap, BTreeSet};

use kinfold_project::SyncMode;
use mysql_async::prelude::{FromValue, Queryable};
use mysql_async::{Conn, Row};

use super::literal::{self, Kind, quoted};
use super::{failure, statement::TableName};
use crate::{DestinationError, Target, template};

/// A column.
pub(super) struct Column {
    pub(super) kind: Kind,
    generated: bool,
}

/// A table.
pub(super) struct Table {
    /// Quoted name, with database.
    pub(super) name: String,
    pub(super) columns: BTreeMap<String, Column>,
    /// Longest statement, in bytes.
    pub(super) max_statement: usize,
    /// Names of the schema that messages may show.
    pub(super) names: BTreeSet<String>,
    object: String,
    unique_keys: Vec<BTreeSet<String>>,
    privileges: BTreeSet<String>,
    may_delete: bool,
}

/// A value of a row of the catalogue.
fn value<T: FromValue>(row: &Row, index: usize, address: &str) -> Result<T, DestinationError> {
    row.get_opt(index)
        .and_then(Result::ok)
        .ok_or_else(|| DestinationError::Unexpected {
            address: address.to_owned(),
            reason: "its catalogue cannot be read".to_owned(),
        })
}

/// Reads a table.
pub(super) async fn read(
    conn: &mut Conn,
    address: &str,
    table: &TableName,
) -> Result<Table, DestinationError> {
    let object = format!("{}.{}", table.database, table.table);
    let failed = |error: mysql_async::Error| failure::of_check(&error, address);
    let unexpected = |reason: &str| DestinationError::Unexpected {
        address: address.to_owned(),
        reason: format!("`{object}` {reason}"),
    };
    let in_quotes = |text: &str| {
        let mut out = String::new();
        literal::push_text(&mut out, text);
        out
    };
    let (database, name) = (in_quotes(&table.database), in_quotes(&table.table));
    let of_table = |file| template::filled(file, &[("database", &database), ("table", &name)]);

    let relations: Vec<Row> = conn
        .query(of_table(include_str!("../../../../sql/mysql/relation.sql")))
        .await
        .map_err(failed)?;
    let mut relation = None;
    for row in &relations {
        if value::<String>(row, 0, address)? == table.database
            && value::<String>(row, 1, address)? == table.table
        {
            relation = Some(row);
        }
    }
    let relation = relation.ok_or_else(|| DestinationError::ObjectMissing {
        address: address.to_owned(),
        object: object.clone(),
    })?;
    if value::<String>(relation, 2, address)? == "VIEW" {
        return Err(unexpected("is a view; name the table"));
    }
    // Half a batch would stay after an error.
    if value::<String>(relation, 3, address)? != "YES" {
        return Err(unexpected("has a storage engine without transactions"));
    }
    let is_mariadb = value::<String>(relation, 4, address)?.contains("MariaDB");
    let max_statement = value(relation, 5, address)?;

    let found: Vec<Row> = conn
        .query(of_table(include_str!("../../../../sql/mysql/columns.sql")))
        .await
        .map_err(failed)?;
    let mut columns = BTreeMap::new();
    let mut privileges = BTreeSet::new();
    for row in &found {
        let (data_type, column_type) = (
            value::<String>(row, 1, address)?,
            value::<String>(row, 2, address)?,
        );
        let column = Column {
            kind: Kind::of(&data_type, &column_type),
            generated: value(row, 3, address)?,
        };
        columns.insert(value::<String>(row, 0, address)?, column);
        let granted = value::<String>(row, 4, address)?;
        privileges.extend(granted.split(',').map(str::to_owned));
    }
    if is_mariadb {
        let checks: Vec<Row> = conn
            .query(of_table(include_str!(
                "../../../../sql/mysql/json_columns.sql"
            )))
            .await
            .map_err(failed)?;
        for row in &checks {
            let clause: String = value(row, 0, address)?;
            for (name, column) in &mut columns {
                if clause == format!("json_valid({})", quoted(name)) {
                    column.kind = Kind::Json;
                }
            }
        }
    }

    let parts: Vec<Row> = conn
        .query(of_table(include_str!(
            "../../../../sql/mysql/unique_keys.sql"
        )))
        .await
        .map_err(failed)?;
    let mut indexes: BTreeMap<String, Option<BTreeSet<String>>> = BTreeMap::new();
    for row in &parts {
        let index = indexes
            .entry(value(row, 0, address)?)
            .or_insert_with(|| Some(BTreeSet::new()));
        match value::<Option<String>>(row, 1, address)? {
            Some(column) => index.iter_mut().for_each(|set| {
                set.insert(column.clone());
            }),
            None => *index = None,
        }
    }
    let full_name = format!("{}.{}", quoted(&table.database), quoted(&table.table));
    Ok(Table {
        may_delete: may_delete(conn, &full_name).await.map_err(failed)?,
        name: full_name,
        max_statement,
        names: columns.keys().chain(indexes.keys()).cloned().collect(),
        object,
        unique_keys: indexes.into_values().flatten().collect(),
        columns,
        privileges,
    })
}

/// Whether rows may be deleted. The catalogue says it only in patterns and roles; the explanation of a
/// statement needs the same rights as the statement.
async fn may_delete(conn: &mut Conn, table: &str) -> Result<bool, mysql_async::Error> {
    let explained = format!("EXPLAIN DELETE FROM {table} WHERE 1 = 0");
    match conn.query_drop(explained).await {
        Ok(()) => Ok(true),
        Err(mysql_async::Error::Server(error)) if failure::is_denied(error.code) => Ok(false),
        Err(error) => Err(error),
    }
}

impl Table {
    /// Whether everything that the target needs is there.
    pub(super) fn admits(&self, target: &Target) -> Result<(), DestinationError> {
        let object = || self.object.clone();
        for field in target.key_fields.iter().chain(&target.fields) {
            if self.column(field)?.generated {
                return Err(DestinationError::FieldReadOnly {
                    object: object(),
                    field: field.clone(),
                });
            }
        }
        let inserts = target.mode != SyncMode::Update;
        let updates = matches!(
            target.mode,
            SyncMode::Update | SyncMode::Upsert | SyncMode::Mirror
        );
        let granted = |privilege: &str| self.privileges.contains(privilege);
        for (needed, granted, privilege) in [
            (inserts, granted("insert"), "insert"),
            (updates, granted("update"), "update"),
            (updates || target.deletes, granted("select"), "select"),
            (target.deletes, self.may_delete, "delete"),
        ] {
            if needed && !granted {
                return Err(DestinationError::PrivilegeMissing {
                    object: object(),
                    privilege,
                });
            }
        }
        let key: BTreeSet<String> = target.key_fields.iter().cloned().collect();
        if (updates || target.deletes) && !self.unique_keys.contains(&key) {
            return Err(DestinationError::KeyNotUnique {
                object: object(),
                key: target.key_fields.join(", "),
            });
        }
        Ok(())
    }

    /// Whether its rows can be read.
    pub(super) fn admits_reading(&self) -> Result<(), DestinationError> {
        if self.privileges.contains("select") {
            return Ok(());
        }
        Err(DestinationError::PrivilegeMissing {
            object: self.object.clone(),
            privilege: "select",
        })
    }

    /// A column by name.
    pub(super) fn column(&self, field: &str) -> Result<&Column, DestinationError> {
        self.columns
            .get(field)
            .ok_or_else(|| DestinationError::FieldMissing {
                object: self.object.clone(),
                field: field.to_owned(),
            })
    }
}
