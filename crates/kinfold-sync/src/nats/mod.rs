//! The NATS destination: one message for each row, in a stream of JetStream.

mod connection;
mod subject;

use std::path::PathBuf;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::context::{
    GetStreamByNameErrorKind, PublishAckFuture, PublishError, PublishErrorKind,
};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::{self, Context, ErrorCode};
use async_trait::async_trait;
use futures::future::join_all;
use kinfold_project::SyncMode;
use tokio::sync::Mutex;

use crate::{
    Batch, BatchOperation, Capabilities, Change, Destination, DestinationError, FailureClass,
    Outcome, Secret, SendResult, Target,
};
use connection::Server;
use subject::Subject;

/// Options of a connection to NATS.
#[derive(Clone, Debug)]
pub struct NatsOptions {
    /// `nats://host:port` or `tls://host:port`, with `user:password@` before the host if they are not given
    /// below. `tls` is always encrypted; `nats` is too, unless the host is this machine or `?tls=none` is
    /// added. Certificate and host name are verified.
    pub url: Secret,
    /// The user, with a password.
    pub user: Option<String>,
    /// The password of the user.
    pub password: Option<Secret>,
    /// A token instead of user and password.
    pub token: Option<Secret>,
    /// Authorities to trust instead of the machine's, as PEM.
    pub ca_file: Option<PathBuf>,
    /// Longest time for connecting, and for an acknowledgement.
    pub timeout: Duration,
    /// Most messages of a batch: they are on their way at the same time.
    pub max_rows: usize,
    /// Most bytes of a batch's rows.
    pub max_bytes: usize,
    /// Most batches in flight.
    pub max_in_flight: usize,
}

impl NatsOptions {
    /// The defaults for an address.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: Secret::new(url),
            user: None,
            password: None,
            token: None,
            ca_file: None,
            timeout: Duration::from_secs(10),
            max_rows: 500,
            max_bytes: 8 << 20,
            max_in_flight: 4,
        }
    }
}

/// Publishes a message for each row.
pub struct NatsDestination {
    server: Server,
    subject: Subject,
    target: Target,
    capabilities: Capabilities,
    timeout: Duration,
    context: Mutex<Option<Context>>,
}

impl std::fmt::Debug for NatsDestination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NatsDestination")
            .field("address", &self.server.name)
            .field("object", &self.target.object)
            .finish_non_exhaustive()
    }
}

impl NatsDestination {
    /// A destination for the messages of one subject, in which `{field}` stands for a field of the key. Opens
    /// no connection.
    ///
    /// # Errors
    /// The address, the login, the subject or the file with authorities is not valid.
    pub fn new(options: NatsOptions, target: Target) -> Result<Self, DestinationError> {
        Ok(Self {
            server: Server::parse(&options)?,
            subject: Subject::parse(&target.object, &target.key_fields)?,
            target,
            capabilities: Capabilities {
                modes: vec![SyncMode::Append, SyncMode::Upsert, SyncMode::Mirror],
                operations: vec![
                    BatchOperation::Insert,
                    BatchOperation::Upsert,
                    BatchOperation::Delete,
                ],
                // An event that comes again after the stream's window is another event.
                idempotent: vec![BatchOperation::Upsert, BatchOperation::Delete],
                max_rows: options.max_rows,
                max_bytes: options.max_bytes,
                max_in_flight: options.max_in_flight,
                reads: false,
            },
            timeout: options.timeout,
            context: Mutex::default(),
        })
    }

    /// The connection that all batches share.
    async fn connect(&self) -> Result<Context, DestinationError> {
        let mut shared = self.context.lock().await;
        if let Some(context) = shared.as_ref()
            && context.client().connection_state() == State::Connected
        {
            return Ok(context.clone());
        }
        *shared = None;
        let client = self.server.connect().await?;
        let limits = &self.capabilities;
        let context = jetstream::ContextBuilder::new()
            .timeout(self.timeout)
            .ack_timeout(self.timeout)
            .max_ack_inflight(limits.max_rows.saturating_mul(limits.max_in_flight).max(1))
            .build(client);
        *shared = Some(context.clone());
        Ok(context)
    }

    /// The message of a change: its subject, and what is to be published; `None` if its key cannot be part of
    /// the subject or cannot be read.
    fn message(&self, batch: &Batch, change: &Change) -> Option<(String, PublishMessage)> {
        let subject = self.subject.of(&change.key.parse()?)?;
        let body = match batch.operation {
            BatchOperation::Delete => String::new(),
            _ => format!(
                "{{\"key\":{},\"fields\":{}}}",
                change.key.as_str(),
                change.fields.as_str()
            ),
        };
        let message = PublishMessage::build()
            .message_id(batch.change_id(change))
            .header("Kinfold-Sync", batch.run.sync.as_str())
            .header("Kinfold-Operation", batch.operation.as_str())
            .header("Kinfold-Key", change.key.as_str())
            .payload(body.into());
        Some((subject, message))
    }
}

/// What an acknowledgement, an error or silence means for a row.
fn outcome_of(
    answer: Result<(), PublishError>,
    operation: BatchOperation,
) -> Result<Outcome, Failure> {
    let Err(error) = answer else {
        return Ok(Outcome::Delivered);
    };
    let rejected = |class, message: &str| Outcome::Rejected {
        class,
        message: message.to_owned(),
    };
    match error.kind() {
        PublishErrorKind::StreamNotFound => return Err(Failure::NoStream),
        PublishErrorKind::MaxPayloadExceeded => {
            return Ok(rejected(
                FailureClass::TooLarge,
                "the message is longer than the server takes",
            ));
        }
        _ => {}
    }
    let source = std::error::Error::source(&error);
    let said = source.and_then(|source| source.downcast_ref::<jetstream::Error>());
    match said.map(jetstream::Error::error_code) {
        Some(ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM) => Ok(rejected(
            FailureClass::TooLarge,
            "the message is longer than the stream takes",
        )),
        // The stream has not taken it: it is full, or has no leader now.
        Some(ErrorCode(number)) => Ok(Outcome::Retryable {
            class: FailureClass::Unavailable,
            message: format!("the stream does not take it now (error {number})"),
        }),
        None if operation == BatchOperation::Insert => Ok(Outcome::Unknown {
            class: FailureClass::TimedOut,
            message: NO_ACKNOWLEDGEMENT.to_owned(),
        }),
        // What is so now can be said again.
        None => Ok(Outcome::Retryable {
            class: FailureClass::TimedOut,
            message: NO_ACKNOWLEDGEMENT.to_owned(),
        }),
    }
}

const NO_ACKNOWLEDGEMENT: &str = "the stream has not acknowledged it";
const NO_STREAM: &str = "no stream takes the subject";

/// Why a row has no outcome of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Failure {
    NoStream,
}

/// A message that is on its way, or what became of it at once.
enum Sent {
    Waiting(PublishAckFuture),
    Done(Result<Outcome, Failure>),
}

#[async_trait]
impl Destination for NatsDestination {
    fn capabilities(&self) -> Capabilities {
        self.capabilities.clone()
    }

    async fn check(&self) -> Result<(), DestinationError> {
        if !self.capabilities.modes.contains(&self.target.mode) {
            return Err(DestinationError::ModeUnsupported {
                mode: self.target.mode.as_str(),
            });
        }
        let context = self.connect().await?;
        let found = context.stream_by_subject(self.subject.pattern()).await;
        let address = self.server.name.clone();
        found.map(|_| ()).map_err(|error| match error.kind() {
            GetStreamByNameErrorKind::NotFound => DestinationError::ObjectMissing {
                address,
                object: self.target.object.clone(),
            },
            _ => DestinationError::Unexpected {
                address,
                reason:
                    "it does not tell its streams: JetStream is off, or the account may not ask"
                        .to_owned(),
            },
        })
    }

    async fn send(&self, batch: &Batch) -> SendResult {
        let context = match self.connect().await {
            Ok(context) => context,
            Err(error) => return SendResult::before_sending(error),
        };
        let mut sent = Vec::with_capacity(batch.changes.len());
        for change in &batch.changes {
            let Some((subject, message)) = self.message(batch, change) else {
                sent.push(Sent::Done(Ok(Outcome::Rejected {
                    class: FailureClass::InvalidRow,
                    message: "the row's key cannot be part of a subject".to_owned(),
                })));
                continue;
            };
            sent.push(match context.send_publish(subject, message).await {
                Ok(acknowledgement) => Sent::Waiting(acknowledgement),
                Err(error) => Sent::Done(outcome_of(Err(error), batch.operation)),
            });
        }
        let answers = join_all(sent.into_iter().map(async |sent| match sent {
            Sent::Waiting(acknowledgement) => {
                let answer = acknowledgement.await.map(|_| ());
                outcome_of(answer, batch.operation)
            }
            Sent::Done(outcome) => outcome,
        }))
        .await;
        let silent = |outcome: &Result<Outcome, Failure>| {
            matches!(
                outcome,
                Ok(Outcome::Unknown { .. }
                    | Outcome::Retryable {
                        class: FailureClass::TimedOut,
                        ..
                    })
            )
        };
        if answers.iter().any(silent) {
            // It may be broken, or have lost what it was to send.
            *self.context.lock().await = None;
        }
        if answers
            .iter()
            .all(|answer| *answer == Err(Failure::NoStream))
        {
            return SendResult::Fatal {
                class: FailureClass::Misconfigured,
                message: NO_STREAM.to_owned(),
            };
        }
        if answers.iter().all(silent) {
            return SendResult::Unknown {
                class: FailureClass::TimedOut,
                message: NO_ACKNOWLEDGEMENT.to_owned(),
            };
        }
        // The stream is gone, or has never taken what stands in this row's key.
        let of_key = self.subject.pattern().contains('*');
        let outcome = |answer: Result<Outcome, Failure>| {
            answer.unwrap_or_else(|Failure::NoStream| {
                let (class, message) = (FailureClass::Misconfigured, NO_STREAM.to_owned());
                match of_key {
                    true => Outcome::Rejected { class, message },
                    false => Outcome::Retryable { class, message },
                }
            })
        };
        SendResult::Rows(answers.into_iter().map(outcome).collect())
    }
}
