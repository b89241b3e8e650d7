//! What the database says about the table.

use std::collections::{BTreeMap, BTreeSet};

use kinfold_project::SyncMode;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};

use super::{failure, statement};
use crate::{DestinationError, Target, template};

/// A column.
pub(super) struct Column {
    /// The type as SQL.
    pub(super) type_name: String,
    read_only: bool,
}

impl Column {
    /// Whether it holds bytes, or an array of such.
    pub(super) fn is_binary(&self) -> bool {
        self.type_name.trim_end_matches("[]") == "bytea"
    }

    /// Whether it holds JSON, where text is a JSON string.
    pub(super) fn is_json(&self) -> bool {
        matches!(self.type_name.as_str(), "json" | "jsonb")
    }
}

/// A table, view or foreign table.
pub(super) struct Table {
    /// Quoted name, with schema.
    pub(super) name: String,
    pub(super) columns: BTreeMap<String, Column>,
    /// A column name that the table does not have, to number the rows of an update.
    pub(super) ordinal: String,
    object: String,
    unique_keys: Vec<BTreeSet<String>>,
    may_select: bool,
    may_insert: bool,
    may_update: bool,
    may_delete: bool,
    /// Whether temporary tables may be made.
    pub(super) may_stage: bool,
}

/// Reads a table.
pub(super) async fn read(
    client: &Client,
    address: &str,
    schema: &str,
    table: &str,
) -> Result<Table, DestinationError> {
    let failed = |error: tokio_postgres::Error| failure::of_check(&error, address);
    // With an empty path every type comes with its schema, unless it is built in.
    client
        .batch_execute("BEGIN READ ONLY; SET LOCAL search_path = pg_catalog")
        .await
        .map_err(failed)?;
    let relation = client
        .query_typed(
            template::body(include_str!("../../../../sql/postgres/relation.sql")),
            &[(&schema, Type::TEXT), (&table, Type::TEXT)],
        )
        .await
        .map_err(failed)?;
    let Some(relation) = relation.first() else {
        // The session is not kept: dropping it ends the transaction.
        return Err(DestinationError::ObjectMissing {
            address: address.to_owned(),
            object: format!("{schema}.{table}"),
        });
    };
    let oid: u32 = relation.try_get("oid").map_err(failed)?;
    let columns = client
        .query_typed(
            template::body(include_str!("../../../../sql/postgres/columns.sql")),
            &[(&oid, Type::OID)],
        )
        .await
        .map_err(failed)?;
    let keys = client
        .query_typed(
            template::body(include_str!("../../../../sql/postgres/unique_keys.sql")),
            &[(&oid, Type::OID)],
        )
        .await
        .map_err(failed)?;
    client.batch_execute("COMMIT").await.map_err(failed)?;
    let may = |row: &Row, name: &str| row.try_get::<_, bool>(name).map_err(failed);
    let columns = columns
        .iter()
        .map(|row| {
            let name: String = row.try_get("name")?;
            let column = Column {
                type_name: row.try_get("type_name")?,
                read_only: row.try_get("read_only")?,
            };
            Ok((name, column))
        })
        .collect::<Result<BTreeMap<_, _>, tokio_postgres::Error>>()
        .map_err(failed)?;
    let unique_keys = keys
        .iter()
        .map(|row| {
            row.try_get::<_, Vec<String>>("columns")
                .map(|names| names.into_iter().collect())
        })
        .collect::<Result<Vec<_>, tokio_postgres::Error>>()
        .map_err(failed)?;
    let mut ordinal = "kinfold_row".to_owned();
    while columns.contains_key(&ordinal) {
        ordinal.push('_');
    }
    Ok(Table {
        name: format!("{}.{}", statement::quoted(schema), statement::quoted(table)),
        object: format!("{schema}.{table}"),
        may_select: may(relation, "may_select")?,
        may_insert: may(relation, "may_insert")?,
        may_update: may(relation, "may_update")?,
        may_delete: may(relation, "may_delete")?,
        may_stage: may(relation, "may_stage")?,
        columns,
        ordinal,
        unique_keys,
    })
}

impl Table {
    /// Whether everything that the target needs is there.
    pub(super) fn admits(&self, target: &Target) -> Result<(), DestinationError> {
        let object = || self.object.clone();
        for field in target.key_fields.iter().chain(&target.fields) {
            let column = self.column(field)?;
            if column.read_only {
                return Err(DestinationError::FieldReadOnly {
                    object: object(),
                    field: field.clone(),
                });
            }
        }
        let inserts = matches!(
            target.mode,
            SyncMode::Insert | SyncMode::Append | SyncMode::Upsert | SyncMode::Mirror
        );
        let updates = matches!(
            target.mode,
            SyncMode::Update | SyncMode::Upsert | SyncMode::Mirror
        );
        for (needed, granted, privilege) in [
            (inserts, self.may_insert, "insert"),
            (updates, self.may_update, "update"),
            (updates || target.deletes, self.may_select, "select"),
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
        if self.may_select {
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
