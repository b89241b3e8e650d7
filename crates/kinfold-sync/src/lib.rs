//! Delivers a stream of changes to a destination and reports one outcome per row.
//!
//! This crate knows no tables, no Arrow and no object store. It defines the ports that it needs and the
//! engine implements: [`ChangeSource`] (the plan of a run, in order), [`AckLog`] (durable outcomes) and
//! [`Clock`]. [`deliver`] does the work; [`HttpDestination`], [`PostgresDestination`], [`MySqlDestination`],
//! [`SmtpDestination`] and [`NatsDestination`] are the built-in implementations of [`Destination`].
//!
//! Invariants, each kept by a property test:
//! - `planned = delivered + rejected + retryable + unknown + outstanding`, however a delivery ends;
//! - a row is acknowledged only after its outcome is durable, and an acknowledged row is not sent again;
//! - a batch that the destination accepted as a job is asked about and not sent again, once its handle is
//!   durable;
//! - two changes of one key are never in flight together, and reach the destination in plan order;
//! - a request is repeated after an unknown result only if the destination says that this is harmless;
//! - memory is bounded by batch size times concurrency and jobs, not by the plan;
//! - no period sees more requests or rows than the [`Budget`] of the account, and no delivery starves.

mod attempt;
mod backoff;
mod batch;
mod budget;
mod change;
mod clock;
mod concurrency;
mod deliver;
mod destination;
mod error_rate;
mod flight;
mod gather;
mod health;
mod http;
mod job;
mod json_form;
mod log;
mod mysql;
mod nats;
mod object_name;
mod object_text;
mod outcome;
mod policy;
mod postgres;
mod reach;
mod redaction;
mod report;
mod secret;
mod sftp;
mod smtp;
mod template;
mod tls;
mod url_part;
mod watch;
mod work;

pub use tokio_util::sync::CancellationToken as CancelToken;

pub use batch::{Batch, BatchId, BatchOperation, Run};
pub use budget::{Budget, BudgetOptions};
pub use change::{Change, ChangeSource, Operation, Previous, SourceError};
pub use clock::{Clock, SystemClock};
pub use deliver::deliver;
pub use destination::{
    Capabilities, CredentialsCheck, Destination, DestinationError, RetryAfter, SendResult, Target,
};
pub use http::{
    HttpAnswer, HttpClient, HttpClientOptions, HttpDestination, HttpOptions, HttpRequest, NoAnswer,
    parse_retry_after,
};
pub use job::{JobEnd, JobHandle, JobRecord, JobState, OutstandingJob};
pub use log::{AckError, AckLog, Acknowledgement};
pub use mysql::{MySqlDestination, MySqlOptions};
pub use nats::{NatsDestination, NatsOptions};
pub use object_text::ObjectText;
pub use outcome::{FailureClass, MAX_MESSAGE_CHARS, Outcome};
pub use policy::{DeliveryPolicy, ErrorRate, JobPolicy, RetryPolicy};
pub use postgres::{PostgresDestination, PostgresOptions};
pub use reach::{Estimate, Reach};
pub use redaction::redact;
pub use report::{Counters, DeliveryReport, StoppedEarly};
pub use secret::{OpenedSecrets, Secret};
pub use sftp::{SftpEntry, SftpError, SftpFolder, SftpOptions};
pub use smtp::{SmtpDestination, SmtpOptions};
