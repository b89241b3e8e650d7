//! The mail destination: one mail for each row, sent one after the other over a connection.

mod dsn;
mod failure;
mod mail;

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use kinfold_project::SyncMode;
use lettre::message::Mailbox;
use lettre::transport::smtp::authentication::Mechanism;
use lettre::transport::smtp::client::{AsyncSmtpConnection, Tls};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt, Rset};
use lettre::transport::smtp::extension::{ClientId, Extension, MailParameter};
use lettre::{Address, Message};

use crate::{
    Batch, BatchOperation, Capabilities, Change, Destination, DestinationError, FailureClass,
    Outcome, Secret, SendResult, Target,
};
use dsn::Dsn;
use failure::{Stage, Verdict};

/// Options of a connection to a mail server.
#[derive(Clone, Debug)]
pub struct SmtpOptions {
    /// `smtps://user:password@host:port` or `smtp://user:password@host:port?tls=…`. `tls` is `required`
    /// (STARTTLS), `opportunistic` (STARTTLS if it is offered) or `none`; without it `none` for this machine,
    /// else `required`. Certificate and host name are verified. The port is 465 or 587 unless it is given.
    pub dsn: Secret,
    /// The sender, `Name <address>` or `address`.
    pub from: String,
    /// Authorities to trust instead of the machine's, as PEM.
    pub ca_file: Option<PathBuf>,
    /// Longest time for connecting, and for each answer.
    pub timeout: Duration,
    /// Most mails of a batch.
    pub max_rows: usize,
    /// Most bytes of a batch's rows.
    pub max_bytes: usize,
    /// Most connections.
    pub max_in_flight: usize,
}

impl SmtpOptions {
    /// The defaults for a DSN and a sender.
    pub fn new(dsn: impl Into<String>, from: impl Into<String>) -> Self {
        Self {
            dsn: Secret::new(dsn),
            from: from.into(),
            ca_file: None,
            timeout: Duration::from_secs(60),
            max_rows: 50,
            max_bytes: 8 << 20,
            max_in_flight: 2,
        }
    }
}

/// Sends a mail for each row.
pub struct SmtpDestination {
    dsn: Dsn,
    from: Mailbox,
    target: Target,
    capabilities: Capabilities,
    timeout: Duration,
    idle: Mutex<Vec<AsyncSmtpConnection>>,
}

impl std::fmt::Debug for SmtpDestination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SmtpDestination")
            .field("address", &self.dsn.address)
            .finish_non_exhaustive()
    }
}

impl SmtpDestination {
    /// A destination for mails from one sender. Opens no connection.
    ///
    /// # Errors
    /// The DSN, the sender or the file with authorities is not valid.
    pub fn new(options: SmtpOptions, target: Target) -> Result<Self, DestinationError> {
        let from = options.from.parse().map_err(|_| DestinationError::Option {
            option: "from".to_owned(),
            reason: "it is not `Name <address>` or an address".to_owned(),
        })?;
        Ok(Self {
            dsn: Dsn::parse(&options.dsn, options.ca_file.as_deref())?,
            from,
            target,
            capabilities: Capabilities {
                modes: vec![SyncMode::Append],
                operations: vec![BatchOperation::Insert],
                idempotent: Vec::new(),
                max_rows: options.max_rows,
                max_bytes: options.max_bytes,
                max_in_flight: options.max_in_flight,
                reads: false,
            },
            timeout: options.timeout,
            idle: Mutex::default(),
        })
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, DestinationError> {
        let late = |_| DestinationError::Unavailable {
            address: self.dsn.address.clone(),
            reason: "no answer in time".to_owned(),
        };
        // Servers end connections that wait too long.
        while let Some(mut connection) = self.take_idle() {
            let alive = tokio::time::timeout(self.timeout, connection.test_connected()).await;
            if alive == Ok(true) {
                return Ok(connection);
            }
        }
        tokio::time::timeout(self.timeout, self.open())
            .await
            .map_err(late)?
    }

    async fn open(&self) -> Result<AsyncSmtpConnection, DestinationError> {
        let failed = |error| failure::of_connect(&error, &self.dsn.address);
        let server = (self.dsn.host.as_str(), self.dsn.port);
        let hello = ClientId::default();
        let wrapper = match &self.dsn.tls {
            Tls::Wrapper(parameters) => Some(parameters.clone()),
            _ => None,
        };
        let time = Some(self.timeout);
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(server, time, &hello, wrapper, None)
                .await
                .map_err(failed)?;
        match &self.dsn.tls {
            Tls::Required(parameters) => connection
                .starttls(parameters.clone(), &hello)
                .await
                .map_err(failed)?,
            Tls::Opportunistic(parameters) if connection.can_starttls() => connection
                .starttls(parameters.clone(), &hello)
                .await
                .map_err(failed)?,
            _ => {}
        }
        if let Some(credentials) = &self.dsn.credentials {
            if !connection.is_encrypted() && !self.dsn.local {
                return Err(DestinationError::Unexpected {
                    address: self.dsn.address.clone(),
                    reason: "a password is not sent without encryption".to_owned(),
                });
            }
            connection
                .auth(&[Mechanism::Plain, Mechanism::Login], credentials)
                .await
                .map_err(failed)?;
        }
        Ok(connection)
    }

    fn take_idle(&self) -> Option<AsyncSmtpConnection> {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop()
    }

    fn keep(&self, connection: AsyncSmtpConnection) {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(connection);
    }

    /// The mail of a change, or why there is none.
    fn mail(&self, batch: &Batch, change: &Change) -> Result<Message, String> {
        let (Some(key), Some(fields)) = (change.key.parse(), change.fields.parse()) else {
            return Err("the row's key or fields cannot be read".to_owned());
        };
        mail::of(&self.from, &batch.change_id(change), &key, &fields)
    }

    /// Sends a mail, and waits until the server has taken it.
    async fn send_mail(
        &self,
        connection: &mut AsyncSmtpConnection,
        mail: &Message,
    ) -> Result<(), Verdict> {
        let envelope = mail.envelope();
        let is_unicode = |address: &Address| !address.to_string().is_ascii();
        let unicode = envelope.to().iter().chain(envelope.from()).any(is_unicode);
        if unicode
            && !connection
                .server_info()
                .supports_feature(Extension::SmtpUtfEight)
        {
            return Err(Verdict::Row(Outcome::Rejected {
                class: FailureClass::InvalidRow,
                message: "the server takes only addresses in ASCII".to_owned(),
            }));
        }
        let mut stage = Stage::Sender;
        let sent = self.dialogue(connection, mail, unicode, &mut stage).await;
        match sent {
            Some(Ok(())) => Ok(()),
            Some(Err(error)) => Err(failure::of_mail(&error, stage)),
            None => Err(Verdict::Broken(failure::lost(
                stage,
                FailureClass::TimedOut,
            ))),
        }
    }

    /// The commands of a mail; `None` if an answer does not come in time.
    async fn dialogue(
        &self,
        connection: &mut AsyncSmtpConnection,
        mail: &Message,
        unicode: bool,
        stage: &mut Stage,
    ) -> Option<Result<(), lettre::transport::smtp::Error>> {
        let envelope = mail.envelope();
        let parameters = match unicode {
            true => vec![MailParameter::SmtpUtfEight],
            false => Vec::new(),
        };
        let sender = Mail::new(envelope.from().cloned(), parameters);
        if let Err(error) = in_time(self.timeout, connection.command(sender)).await? {
            return Some(Err(error));
        }
        *stage = Stage::Recipient;
        for recipient in envelope.to() {
            let recipient = Rcpt::new(recipient.clone(), Vec::new());
            if let Err(error) = in_time(self.timeout, connection.command(recipient)).await? {
                return Some(Err(error));
            }
        }
        if let Err(error) = in_time(self.timeout, connection.command(Data)).await? {
            return Some(Err(error));
        }
        *stage = Stage::Content;
        let content = mail.formatted();
        let answer = in_time(self.timeout, connection.message(&content)).await?;
        Some(answer.map(|_| ()))
    }
}

async fn in_time<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(limit, work).await.ok()
}

#[async_trait]
impl Destination for SmtpDestination {
    fn capabilities(&self) -> Capabilities {
        self.capabilities.clone()
    }

    async fn check(&self) -> Result<(), DestinationError> {
        if self.target.mode != SyncMode::Append {
            return Err(DestinationError::ModeUnsupported {
                mode: self.target.mode.as_str(),
            });
        }
        mail::admits(&self.target)?;
        let connection = self.connect().await?;
        self.keep(connection);
        Ok(())
    }

    async fn send(&self, batch: &Batch) -> SendResult {
        let mut connection = match self.connect().await {
            Ok(connection) => Some(connection),
            Err(error) => return SendResult::before_sending(error),
        };
        let mut outcomes = Vec::with_capacity(batch.changes.len());
        // Whether another connection is opened after one that broke.
        let mut goes_on = true;
        for change in &batch.changes {
            let mail = match self.mail(batch, change) {
                Ok(mail) => mail,
                Err(message) => {
                    outcomes.push(Outcome::Rejected {
                        class: FailureClass::InvalidRow,
                        message,
                    });
                    continue;
                }
            };
            if connection.is_none() && goes_on {
                connection = self.connect().await.ok();
                goes_on = connection.is_some();
            }
            let Some(open) = &mut connection else {
                outcomes.push(failure::lost(Stage::Sender, FailureClass::ConnectionLost));
                continue;
            };
            let outcome = match self.send_mail(open, &mail).await {
                Ok(()) => Outcome::Delivered,
                Err(Verdict::Row(outcome)) => {
                    // The server forgets what it heard of this mail.
                    let reset = in_time(self.timeout, open.command(Rset)).await;
                    if !matches!(reset, Some(Ok(_))) {
                        connection = None;
                    }
                    outcome
                }
                Err(Verdict::Broken(outcome)) => {
                    connection = None;
                    outcome
                }
                Err(Verdict::Nobody { class, message }) => {
                    // Only if nothing was sent is the batch as a whole refused.
                    if !outcomes.iter().any(was_sent) {
                        return SendResult::Fatal { class, message };
                    }
                    connection = None;
                    goes_on = false;
                    Outcome::Retryable { class, message }
                }
            };
            outcomes.push(outcome);
        }
        if let Some(connection) = connection {
            self.keep(connection);
        }
        SendResult::Rows(outcomes)
    }

    async fn finish(&self) -> Result<(), DestinationError> {
        while let Some(mut connection) = self.take_idle() {
            // All mails were taken; a server that does not say goodbye changes nothing.
            let _ = in_time(self.timeout, connection.quit()).await;
        }
        Ok(())
    }
}

/// Whether a mail may have reached somebody.
fn was_sent(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Delivered | Outcome::Unknown { .. })
}
