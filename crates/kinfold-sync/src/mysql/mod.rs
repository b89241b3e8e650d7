//! The MySQL and MariaDB destination: one transaction per batch, many rows per statement.

mod catalogue;
mod dsn;
mod failure;
mod literal;
mod read;
mod statement;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use kinfold_project::SyncMode;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};
use serde_json::{Map, Value};
use tokio::sync::OnceCell;

use crate::{
    Batch, BatchOperation, Capabilities, Change, Destination, DestinationError, FailureClass,
    ObjectText, Operation, Outcome, Secret, SendResult, Target, template, tls,
};
use catalogue::Table;
use dsn::Dsn;
use statement::{Sentences, Statement, TableName};

const SESSION: &str = include_str!("../../../../sql/mysql/session.sql");

/// Options of a MySQL or MariaDB connection.
#[derive(Clone, Debug)]
pub struct MySqlOptions {
    /// `mysql://user:password@host:port/database?ssl-mode=…`. `ssl-mode` is `disable`, `require`,
    /// `verify-ca` or `verify-full` (or MySQL's own words for them); the last three all verify certificate
    /// and host name, against the authorities in the file `ssl-ca` if given. Without it: `disable` for this
    /// machine, else `verify-full`.
    pub dsn: Secret,
    /// Longest time for connecting, and for one batch.
    pub timeout: Duration,
    /// Most rows of a batch.
    pub max_rows: usize,
    /// Most bytes of a batch's rows.
    pub max_bytes: usize,
    /// Most connections.
    pub max_in_flight: usize,
}

impl MySqlOptions {
    /// The defaults for a DSN.
    pub fn new(dsn: impl Into<String>) -> Self {
        Self {
            dsn: Secret::new(dsn),
            timeout: Duration::from_secs(60),
            max_rows: 5_000,
            max_bytes: 8 << 20,
            max_in_flight: 4,
        }
    }
}

/// Delivers rows into a table of a MySQL or MariaDB database. The table must exist; nothing is created.
pub struct MySqlDestination {
    dsn: Dsn,
    target: Target,
    table: TableName,
    capabilities: Capabilities,
    timeout: Duration,
    catalogue: OnceCell<Table>,
    idle: Mutex<Vec<Conn>>,
}

impl std::fmt::Debug for MySqlDestination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MySqlDestination")
            .field("address", &self.dsn.address)
            .field("database", &self.table.database)
            .field("table", &self.table.table)
            .finish_non_exhaustive()
    }
}

impl MySqlDestination {
    /// A destination for one table, `database.table` (or `table`, in the database of the DSN), letters taken
    /// as they are written; a part with a dot in it is put in backticks. Opens no connection.
    ///
    /// # Errors
    /// The DSN or the name of the table is not valid.
    pub fn new(options: MySqlOptions, target: Target) -> Result<Self, DestinationError> {
        let dsn = Dsn::parse(&options.dsn)?;
        if dsn.encrypted {
            tls::ensure_default_provider();
        }
        Ok(Self {
            table: TableName::parse(&target.object, dsn.database.as_deref())?,
            dsn,
            target,
            capabilities: Capabilities {
                modes: SyncMode::ALL.into(),
                operations: vec![
                    BatchOperation::Insert,
                    BatchOperation::Update,
                    BatchOperation::Upsert,
                    BatchOperation::Delete,
                ],
                // A second insert would meet its own rows and call them conflicts, or add them again.
                idempotent: vec![
                    BatchOperation::Update,
                    BatchOperation::Upsert,
                    BatchOperation::Delete,
                ],
                max_rows: options.max_rows,
                max_bytes: options.max_bytes,
                max_in_flight: options.max_in_flight,
                reads: true,
            },
            timeout: options.timeout,
            catalogue: OnceCell::new(),
            idle: Mutex::default(),
        })
    }

    fn take_idle(&self) -> Option<Conn> {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop()
    }

    async fn connect(&self) -> Result<Conn, mysql_async::Error> {
        // The server ends sessions that wait too long, which is seen only when they are used.
        while let Some(mut conn) = self.take_idle() {
            if conn.ping().await.is_ok() {
                return Ok(conn);
            }
        }
        let mut conn = Conn::new(self.dsn.opts.clone()).await?;
        let seconds = self.timeout.as_secs().max(1).to_string();
        conn.query_drop(template::filled(SESSION, &[("seconds", &seconds)]))
            .await?;
        Ok(conn)
    }

    fn keep(&self, conn: Conn) {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(conn);
    }

    /// Reads and checks the table once.
    async fn table(&self) -> Result<&Table, DestinationError> {
        self.catalogue
            .get_or_try_init(|| async {
                let mut conn = self
                    .connect()
                    .await
                    .map_err(|error| failure::of_check(&error, &self.dsn.address))?;
                let table = catalogue::read(&mut conn, &self.dsn.address, &self.table).await?;
                self.keep(conn);
                table.admits(&self.target)?;
                Ok(table)
            })
            .await
    }

    /// One transaction; gives back which rows are not there. `committing` is set from the moment from which
    /// its fate may be unknown.
    async fn transact(
        conn: &mut Conn,
        statements: &[Statement],
        (table, operation): (&Table, BatchOperation),
        committing: &AtomicBool,
    ) -> Result<BTreeSet<usize>, SendResult> {
        let failed =
            |error: mysql_async::Error| failure::of_statement(&error, operation, &table.names);
        conn.query_drop("START TRANSACTION").await.map_err(failed)?;
        let mut missing = BTreeSet::new();
        for statement in statements {
            match counts(conn, &statement.sql).await {
                Ok(found) => missing.extend(statement::missing(statement, &found)),
                Err(error) => {
                    // If this fails the session is broken, and its next use says so.
                    let _ = conn.query_drop("ROLLBACK").await;
                    return Err(failed(error));
                }
            }
        }
        committing.store(true, Ordering::Relaxed);
        match conn.query_drop("COMMIT").await {
            Ok(()) => Ok(missing),
            // With a code from the server nothing was committed.
            Err(error @ mysql_async::Error::Server(_)) => Err(failed(error)),
            Err(error) => Err(SendResult::Unknown {
                class: FailureClass::ConnectionLost,
                message: failure::reason(&error),
            }),
        }
    }

    async fn send_to(&self, conn: &mut Conn, batch: &Batch, table: &Table) -> SendResult {
        let prepared = match statement::prepare(batch, table, &self.target.key_fields) {
            Ok(prepared) => prepared,
            Err(error) => return SendResult::before_sending(error),
        };
        let committing = AtomicBool::new(false);
        let of = (table, batch.operation);
        let transaction = Self::transact(conn, &prepared.statements, of, &committing);
        let missing = match tokio::time::timeout(self.timeout, transaction).await {
            Ok(Ok(missing)) => missing,
            Ok(Err(result)) => return result,
            Err(_) if committing.load(Ordering::Relaxed) => {
                return SendResult::Unknown {
                    class: FailureClass::TimedOut,
                    message: "no answer to the commit in time".to_owned(),
                };
            }
            Err(_) => {
                return SendResult::Transient {
                    class: FailureClass::TimedOut,
                    message: "no answer in time".to_owned(),
                };
            }
        };
        let mut refused = prepared.refused;
        let outcome = |(index, change): (usize, &Change)| match refused.remove(&index) {
            Some(outcome) => outcome,
            None if missing.contains(&index) && change.operation != Operation::Clear => {
                Outcome::Rejected {
                    class: FailureClass::MissingRow,
                    message: "no row has this key".to_owned(),
                }
            }
            None => Outcome::Delivered,
        };
        SendResult::Rows(batch.changes.iter().enumerate().map(outcome).collect())
    }

    /// The rows with these keys, by the index of the key.
    async fn read_from(
        &self,
        conn: &mut Conn,
        statements: &[Statement],
        table: &Table,
    ) -> Result<BTreeMap<usize, Map<String, Value>>, DestinationError> {
        let failed = |error: mysql_async::Error| failure::of_check(&error, &self.dsn.address);
        let mut found = BTreeMap::new();
        for statement in statements {
            let mut result = conn.query_iter(&statement.sql).await.map_err(failed)?;
            for index in &statement.rows {
                let rows: Vec<Row> = result.collect().await.map_err(failed)?;
                let Some(row) = rows.into_iter().next() else {
                    continue;
                };
                let values = row.unwrap_raw().into_iter().flatten().collect();
                let fields = read::fields(table, &self.target.fields, values);
                let fields = fields.ok_or_else(|| DestinationError::Unexpected {
                    address: self.dsn.address.clone(),
                    reason: "a row cannot be understood".to_owned(),
                })?;
                found.insert(*index, fields);
            }
            result.drop_result().await.map_err(failed)?;
        }
        Ok(found)
    }
}

/// Sends a text, and gives back how many rows each of its statements has found.
async fn counts(conn: &mut Conn, sql: &str) -> Result<Vec<u64>, mysql_async::Error> {
    let mut result = conn.query_iter(sql).await?;
    let mut counts = vec![result.affected_rows()];
    while !result.is_empty() {
        result.collect::<Row>().await?;
        counts.push(result.affected_rows());
    }
    result.drop_result().await?;
    Ok(counts)
}

#[async_trait]
impl Destination for MySqlDestination {
    fn capabilities(&self) -> Capabilities {
        self.capabilities.clone()
    }

    async fn check(&self) -> Result<(), DestinationError> {
        match tokio::time::timeout(self.timeout, self.table()).await {
            Ok(table) => table.map(|_| ()),
            Err(_) => Err(DestinationError::Unavailable {
                address: self.dsn.address.clone(),
                reason: "no answer in time".to_owned(),
            }),
        }
    }

    async fn read(
        &self,
        keys: &[ObjectText],
    ) -> Result<Vec<Option<Map<String, Value>>>, DestinationError> {
        let work = async {
            let table = self.table().await?;
            table.admits_reading()?;
            let key_fields = &self.target.key_fields;
            let statements = Sentences { table, key_fields }.reads(&self.target.fields, keys)?;
            let mut conn = self
                .connect()
                .await
                .map_err(|error| failure::of_check(&error, &self.dsn.address))?;
            let found = self.read_from(&mut conn, &statements, table).await?;
            // After a failure there may be answers that nobody has read: only now it is kept.
            self.keep(conn);
            Ok(found)
        };
        let mut found = tokio::time::timeout(self.timeout, work)
            .await
            .map_err(|_| DestinationError::Unavailable {
                address: self.dsn.address.clone(),
                reason: "no answer in time".to_owned(),
            })??;
        Ok((0..keys.len()).map(|index| found.remove(&index)).collect())
    }

    async fn send(&self, batch: &Batch) -> SendResult {
        let table = match tokio::time::timeout(self.timeout, self.table()).await {
            Ok(Ok(table)) => table,
            Ok(Err(error)) => return SendResult::before_sending(error),
            Err(_) => {
                return SendResult::Transient {
                    class: FailureClass::TimedOut,
                    message: "the table cannot be read in time".to_owned(),
                };
            }
        };
        let mut conn = match tokio::time::timeout(self.timeout, self.connect()).await {
            Ok(Ok(conn)) => conn,
            Ok(Err(error)) => {
                return SendResult::before_sending(failure::of_check(&error, &self.dsn.address));
            }
            Err(_) => {
                return SendResult::Transient {
                    class: FailureClass::Unreachable,
                    message: "no connection in time".to_owned(),
                };
            }
        };
        let result = self.send_to(&mut conn, batch, table).await;
        // After anything but a clear answer the session may be inside a transaction: it is dropped.
        if matches!(result, SendResult::Rows(_) | SendResult::Rejected { .. }) {
            self.keep(conn);
        }
        result
    }
}
