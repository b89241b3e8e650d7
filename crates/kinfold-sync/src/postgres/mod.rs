//! The PostgreSQL destination: one transaction per batch, one statement per set of columns in it.

mod catalogue;
mod copy;
mod dsn;
mod failure;
mod prepare;
mod read;
mod statement;

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::SinkExt;
use kinfold_project::SyncMode;
use serde_json::{Map, Value};
use tokio::sync::OnceCell;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, NoTls, Row};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::{
    Batch, BatchOperation, Capabilities, Destination, DestinationError, FailureClass, ObjectText,
    Operation, Outcome, Secret, SendResult, Target,
};
use catalogue::Table;
use dsn::Dsn;
use statement::{Rows, Statement};

/// What is acknowledged must outlive a crash of the server; a stronger setting is left alone.
const DURABLE_COMMIT: &str = include_str!("../../../../sql/postgres/durable_commit.sql");
/// One way of writing values.
const READ_SETTINGS: &str = include_str!("../../../../sql/postgres/read_settings.sql");

/// Options of a PostgreSQL connection.
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    /// `postgres://user:password@host/database?sslmode=…` or `host=… user=…`. `sslmode` is `disable`,
    /// `require`, `verify-ca` or `verify-full`; the last three all verify certificate and host name,
    /// against `sslrootcert` if given. Without it: `disable` for this machine, else `verify-full`.
    pub dsn: Secret,
    /// Longest time for connecting, and for one batch.
    pub timeout: Duration,
    /// Most rows of a batch.
    pub max_rows: usize,
    /// Most bytes of a batch's rows.
    pub max_bytes: usize,
    /// Most connections.
    pub max_in_flight: usize,
    /// Batches of so many rows and more are copied into a temporary table first, if the account may make one;
    /// smaller ones are sent as JSON, which takes fewer steps.
    pub copied_rows: usize,
}

impl PostgresOptions {
    /// The defaults for a DSN.
    pub fn new(dsn: impl Into<String>) -> Self {
        Self {
            dsn: Secret::new(dsn),
            timeout: Duration::from_secs(60),
            max_rows: 5_000,
            max_bytes: 8 << 20,
            max_in_flight: 4,
            // With 1,000 rows a copy was no faster, with 10,000 by up to a half.
            copied_rows: 5_000,
        }
    }
}

/// Delivers rows into a table of a PostgreSQL database. The table must exist; nothing is created.
pub struct PostgresDestination {
    dsn: Dsn,
    target: Target,
    schema: String,
    table: String,
    capabilities: Capabilities,
    timeout: Duration,
    copied_rows: usize,
    catalogue: OnceCell<Table>,
    idle: Mutex<Vec<Client>>,
}

impl std::fmt::Debug for PostgresDestination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresDestination")
            .field("address", &self.dsn.address)
            .field("schema", &self.schema)
            .field("table", &self.table)
            .finish_non_exhaustive()
    }
}

impl PostgresDestination {
    /// A destination for one table, `schema.table` (or `table`, in schema `public`), letters taken as they
    /// are written; a part with a dot in it is put in double quotes. Opens no connection.
    ///
    /// # Errors
    /// The DSN or the name of the table is not valid.
    pub fn new(options: PostgresOptions, target: Target) -> Result<Self, DestinationError> {
        let (schema, table) = statement::table_name(&target.object)?;
        let mut dsn = Dsn::parse(&options.dsn)?;
        dsn.config.connect_timeout(options.timeout);
        dsn.config.application_name("kinfold");
        Ok(Self {
            dsn,
            target,
            schema,
            table,
            capabilities: Capabilities {
                modes: vec![
                    SyncMode::Insert,
                    SyncMode::Update,
                    SyncMode::Upsert,
                    SyncMode::Mirror,
                ],
                operations: vec![
                    BatchOperation::Insert,
                    BatchOperation::Update,
                    BatchOperation::Upsert,
                    BatchOperation::Delete,
                ],
                // A second insert would meet its own rows and call them conflicts.
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
            copied_rows: options.copied_rows,
            catalogue: OnceCell::new(),
            idle: Mutex::default(),
        })
    }

    async fn connect(&self) -> Result<Client, tokio_postgres::Error> {
        let idle = {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.retain(|client| !client.is_closed());
            idle.pop()
        };
        if let Some(client) = idle {
            return Ok(client);
        }
        // The connection task ends when its client is dropped, or when the server goes away, which the
        // client then says at its next use.
        match &self.dsn.tls {
            Some(tls) => {
                let tls = MakeRustlsConnect::new(tls.clone());
                let (client, connection) = self.dsn.config.connect(tls).await?;
                tokio::spawn(connection);
                Ok(client)
            }
            None => {
                let (client, connection) = self.dsn.config.connect(NoTls).await?;
                tokio::spawn(connection);
                Ok(client)
            }
        }
    }

    fn keep(&self, client: Client) {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(client);
    }

    /// Reads and checks the table once.
    async fn table(&self) -> Result<&Table, DestinationError> {
        self.catalogue
            .get_or_try_init(|| async {
                let client = self
                    .connect()
                    .await
                    .map_err(|error| failure::of_check(&error, &self.dsn.address))?;
                let table =
                    catalogue::read(&client, &self.dsn.address, &self.schema, &self.table).await?;
                self.keep(client);
                table.admits(&self.target)?;
                Ok(table)
            })
            .await
    }

    /// One transaction. `committing` is set from the moment from which its fate may be unknown.
    async fn transact(
        &self,
        client: &Client,
        statements: &[Statement],
        committing: &AtomicBool,
    ) -> Result<BTreeSet<i64>, SendResult> {
        let limit = self.timeout.as_millis();
        let begin = format!("BEGIN; SET LOCAL statement_timeout = {limit}; {DURABLE_COMMIT}");
        client
            .batch_execute(&begin)
            .await
            .map_err(|error| failure::of_statement(&error))?;
        let mut seen = BTreeSet::new();
        for statement in statements {
            match run(client, statement).await {
                Ok(rows) => {
                    for row in rows {
                        seen.extend(row.try_get::<_, i64>(0).ok());
                    }
                }
                Err(error) => {
                    // If this fails the session is broken, and its next use says so.
                    let _ = client.batch_execute("ROLLBACK").await;
                    return Err(failure::of_statement(&error));
                }
            }
        }
        committing.store(true, Ordering::Relaxed);
        match client.batch_execute("COMMIT").await {
            Ok(()) => Ok(seen),
            // With a state from the server, a deferred constraint for instance, nothing was committed.
            Err(error) if error.code().is_some() => Err(failure::of_statement(&error)),
            Err(error) => Err(SendResult::Unknown {
                class: FailureClass::ConnectionLost,
                message: failure::reason(&error),
            }),
        }
    }

    /// The rows that the statement finds, by the index of their key. Of several rows with one key, any.
    async fn read_from(
        &self,
        client: &Client,
        statement: &Statement,
        table: &Table,
    ) -> Result<BTreeMap<i64, Map<String, Value>>, DestinationError> {
        let failed = |error: tokio_postgres::Error| failure::of_check(&error, &self.dsn.address);
        let limit = self.timeout.as_millis();
        let begin =
            format!("BEGIN READ ONLY; SET LOCAL statement_timeout = {limit}; {READ_SETTINGS}");
        client.batch_execute(&begin).await.map_err(failed)?;
        let rows = run(client, statement).await.map_err(failed)?;
        client.batch_execute("COMMIT").await.map_err(failed)?;
        let mut found = BTreeMap::new();
        for row in rows {
            let index: i64 = row.try_get(0).map_err(failed)?;
            let text: &str = row.try_get(1).map_err(failed)?;
            let fields = read::fields(table, text).ok_or_else(|| DestinationError::Unexpected {
                address: self.dsn.address.clone(),
                reason: "a row cannot be understood".to_owned(),
            })?;
            found.insert(index, fields);
        }
        Ok(found)
    }

    async fn send_to(&self, client: &Client, batch: &Batch, table: &Table) -> SendResult {
        let key_fields = &self.target.key_fields;
        let prepared = match prepare::prepare(batch, table, key_fields, self.copied_rows) {
            Ok(prepared) => prepared,
            Err(error) => return SendResult::before_sending(error),
        };
        let committing = AtomicBool::new(false);
        let transaction = self.transact(client, &prepared.statements, &committing);
        let seen = match tokio::time::timeout(self.timeout, transaction).await {
            Ok(Ok(seen)) => seen,
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
        let outcome = |(index, change): (usize, &crate::Change)| {
            if let Some(reason) = prepared.refused.get(&index) {
                return Outcome::Rejected {
                    class: FailureClass::InvalidRow,
                    message: (*reason).to_owned(),
                };
            }
            let missing = batch.operation == BatchOperation::Update
                && change.operation != Operation::Clear
                && !i64::try_from(index).is_ok_and(|index| seen.contains(&index));
            if missing {
                Outcome::Rejected {
                    class: FailureClass::MissingRow,
                    message: "no row has this key".to_owned(),
                }
            } else {
                Outcome::Delivered
            }
        };
        SendResult::Rows(batch.changes.iter().enumerate().map(outcome).collect())
    }
}

/// Brings the rows of a statement to the server and runs it.
async fn run(client: &Client, statement: &Statement) -> Result<Vec<Row>, tokio_postgres::Error> {
    match &statement.rows {
        Rows::Json(rows) => {
            let parameters: [(&(dyn ToSql + Sync), Type); 1] = [(rows, Type::TEXT)];
            client.query_typed(&statement.sql, &parameters).await
        }
        Rows::Staged {
            create,
            copy,
            analyse,
            data,
        } => {
            client.batch_execute(create).await?;
            let mut sink = pin!(client.copy_in::<_, Bytes>(copy).await?);
            sink.send(data.clone()).await?;
            sink.finish().await?;
            if let Some(analyse) = analyse {
                client.batch_execute(analyse).await?;
            }
            client.query_typed(&statement.sql, &[]).await
        }
    }
}

#[async_trait]
impl Destination for PostgresDestination {
    fn capabilities(&self) -> Capabilities {
        self.capabilities.clone()
    }

    async fn check(&self) -> Result<(), DestinationError> {
        self.table().await.map(|_| ())
    }

    async fn read(
        &self,
        keys: &[ObjectText],
    ) -> Result<Vec<Option<Map<String, Value>>>, DestinationError> {
        let work = async {
            let table = self.table().await?;
            table.admits_reading()?;
            let (key_fields, fields) = (&self.target.key_fields, &self.target.fields);
            let statement = read::statement(table, key_fields, fields, keys)?;
            let client = self
                .connect()
                .await
                .map_err(|error| failure::of_check(&error, &self.dsn.address))?;
            let found = self.read_from(&client, &statement, table).await?;
            // After a failure the session may be inside a transaction: only now it is kept.
            self.keep(client);
            Ok(found)
        };
        let mut found = tokio::time::timeout(self.timeout, work)
            .await
            .map_err(|_| DestinationError::Unavailable {
                address: self.dsn.address.clone(),
                reason: "no answer in time".to_owned(),
            })??;
        Ok((0..)
            .take(keys.len())
            .map(|index| found.remove(&index))
            .collect())
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
        let client = match tokio::time::timeout(self.timeout, self.connect()).await {
            Ok(Ok(client)) => client,
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
        let result = self.send_to(&client, batch, table).await;
        // After anything but a clear answer the session may be inside a transaction: it is dropped.
        if matches!(
            result,
            SendResult::Rows(_) | SendResult::Rejected { .. } | SendResult::Fatal { .. }
        ) && !client.is_closed()
        {
            self.keep(client);
        }
        result
    }
}
