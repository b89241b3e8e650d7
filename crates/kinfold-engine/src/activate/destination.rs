//! A connection as the user wrote it → a destination that is ready to send.

use std::collections::BTreeMap;
use std::time::Duration;

use kinfold_destination::ManifestDestination;
use kinfold_project::template::{self, Scope};
use kinfold_project::{
    Connection, ConnectionKind, Diagnostic, Guard, Located, Nulls, OnLeave, SecretSource, Span,
    Value, ValueKind,
};
use kinfold_sync::{
    Budget, BudgetOptions, DeliveryPolicy, Destination, DestinationError, ErrorRate,
    HttpDestination, HttpOptions, MySqlDestination, MySqlOptions, NatsDestination, NatsOptions,
    OpenedSecrets, PostgresDestination, PostgresOptions, Secret, SmtpDestination, SmtpOptions,
    Target,
};

use super::canonical::NullForm;
use super::files::{FileFormat, FilesDestination, FilesOptions};
use super::{ActivateError, SyncRequest};
use crate::context::absolute_location;
use crate::{Engine, EngineError};

/// A destination with the policy that suits it.
pub(super) struct Made {
    pub(super) destination: Box<dyn Destination>,
    pub(super) policy: DeliveryPolicy,
}

/// Bytes of a batch whose rows somebody has set.
const ASKED_BYTES: usize = 4 << 20;
/// A share of refused rows says nothing before so many rows have an outcome.
const JUDGED_ROWS: u64 = 100;

/// What the account of a connection allows. Give the same one to every sync that uses the connection.
///
/// # Errors
/// [`ActivateError::Option`] and [`ActivateError::Template`] if an option cannot be read.
pub fn budget(
    connection: &Connection,
    vars: &[(Located<String>, Value)],
    environment_variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Budget, ActivateError> {
    // Numbers are no secrets, and nothing is opened for them.
    let secrets = OpenedSecrets::default();
    let options = Options {
        connection,
        scope: Scope {
            environment_variable,
            vars,
        },
        secrets: &secrets,
    };
    let each_second = |option| -> Result<Option<(u32, Duration)>, ActivateError> {
        let number = options.number(option)?;
        Ok(number.map(|number| {
            (
                u32::try_from(number).unwrap_or(u32::MAX),
                Duration::from_secs(1),
            )
        }))
    };
    Ok(Budget::new(BudgetOptions {
        requests: each_second("requests_per_second")?,
        rows: each_second("rows_per_second")?,
        max_in_flight: options.number("max_concurrency")?,
    }))
}

/// What is sent for a null in each mapped field.
pub(super) fn null_forms(request: &SyncRequest<'_>) -> Vec<NullForm> {
    null_forms_of(Some(request.connection), &request.compiled.nulls)
}

/// The same of a connection that may be missing.
pub(super) fn null_forms_of(connection: Option<&Connection>, nulls: &[Nulls]) -> Vec<NullForm> {
    let mut options = connection.iter().flat_map(|connection| &connection.options);
    let clear = options.find(|(option, _)| option.value == "clear_with");
    let clear = clear.map_or(NullForm::Null, |(_, value)| {
        NullForm::Value(value.to_json().to_string().into())
    });
    let forms = nulls.iter().map(|nulls| match nulls {
        Nulls::Null => NullForm::Null,
        Nulls::Omit => NullForm::Omit,
        Nulls::Clear => clear.clone(),
    });
    forms.collect()
}

/// The files and commands that secrets of a connection come from.
fn secret_sources(request: &SyncRequest<'_>) -> Result<Vec<(Span, SecretSource)>, Box<Diagnostic>> {
    request.connection.secret_sources(&Scope {
        environment_variable: request.environment_variable,
        vars: request.vars,
    })
}

/// Reads those secrets.
async fn open_secrets(
    engine: &Engine,
    request: &SyncRequest<'_>,
) -> Result<OpenedSecrets, ActivateError> {
    let connection = &request.connection.name.value;
    let template = |problem| ActivateError::Template {
        connection: connection.clone(),
        problem,
    };
    let sources = secret_sources(request).map_err(template)?;
    let opened = OpenedSecrets::open(sources, &engine.root).await;
    let opened = opened.map_err(template)?;
    for warning in &opened.warnings {
        (request.warn)(warning);
    }
    Ok(opened)
}

/// The destination of a sync. Opens no connection, but reads the files and runs the commands of its secrets.
pub(super) async fn of(engine: &Engine, request: &SyncRequest<'_>) -> Result<Made, EngineError> {
    let sync = request.sync;
    let target = Target {
        object: sync.object.value.clone(),
        mode: sync.mode.value,
        deletes: matches!(
            sync.on_leave.value,
            OnLeave::Delete | OnLeave::LeaveAudience
        ),
        key_fields: request.compiled.key_fields.clone(),
        fields: request.compiled.fields.clone(),
    };
    let secrets = open_secrets(engine, request).await?;
    let options = Options {
        connection: request.connection,
        scope: Scope {
            environment_variable: request.environment_variable,
            vars: request.vars,
        },
        secrets: &secrets,
    };
    let refused = |source| ActivateError::Destination {
        sync: sync.name.value.clone(),
        source,
    };
    let mut policy = DeliveryPolicy::default();
    let destination: Box<dyn Destination> = match request.connection.kind.value {
        ConnectionKind::Http => Box::new(http(&options, &target, &mut policy)?.map_err(refused)?),
        ConnectionKind::Postgres => {
            // From here on a batch goes by COPY.
            policy.max_rows = 5_000;
            Box::new(postgres(&options, target)?.map_err(refused)?)
        }
        ConnectionKind::MySql => {
            policy.max_rows = 1_000;
            Box::new(mysql(&options, target)?.map_err(refused)?)
        }
        ConnectionKind::Smtp => {
            policy.max_rows = 50;
            Box::new(smtp(engine, &options, target, &mut policy)?.map_err(refused)?)
        }
        ConnectionKind::Nats => {
            policy.max_rows = 500;
            Box::new(nats(engine, &options, target, &mut policy)?.map_err(refused)?)
        }
        ConnectionKind::Manifest => {
            let account = request.account.open(engine, &options)?;
            let manifest = ManifestDestination::new(account, &target).map_err(refused)?;
            let can = manifest.capabilities();
            (policy.max_rows, policy.max_bytes) = (can.max_rows, can.max_bytes);
            policy.concurrency = options
                .number("max_concurrency")?
                .unwrap_or(can.max_in_flight);
            Box::new(manifest)
        }
        ConnectionKind::Files => {
            policy.max_rows = 10_000;
            policy.max_bytes = 16 << 20;
            let options = FilesOptions {
                location: absolute_location(&engine.root, &options.required("location")?),
                format: format(&options)?,
                storage: options.texts("storage")?.into_iter().collect(),
                ssh: options.text("ssh")?,
            };
            let schema = request.compiled.plan.schema().inner();
            Box::new(FilesDestination::new(options, &target, schema).map_err(refused)?)
        }
    };
    if let Some(Guard::Share(share)) = sync.guards.get("max_rejected").map(|guard| guard.value) {
        policy.max_error_rate = Some(ErrorRate {
            share,
            min_rows: JUDGED_ROWS,
        });
    }
    let asked = match &sync.batch_size {
        Some(rows) => Some(usize::try_from(rows.value).unwrap_or(usize::MAX)),
        None => options.number("batch_size")?,
    };
    if let Some(rows) = asked {
        policy.max_rows = rows;
        // Whoever says how many rows does not want them cut by bytes, but for what the destination takes.
        policy.max_bytes = policy.max_bytes.max(ASKED_BYTES);
    }
    Ok(Made {
        destination,
        policy,
    })
}

fn http(
    options: &Options<'_>,
    target: &Target,
    policy: &mut DeliveryPolicy,
) -> Result<Result<HttpDestination, DestinationError>, ActivateError> {
    let mut http = HttpOptions::new(options.required("url")?);
    http.headers = options
        .texts("headers")?
        .into_iter()
        .map(|(name, value)| (name, Secret::new(value)))
        .collect();
    if let Some(timeout) = timeout(options)? {
        http.timeout = timeout;
    }
    http.receiver_deduplicates = options.text("receiver_deduplicates")?.as_deref() == Some("true");
    if let Some(jobs) = options.number("max_jobs")? {
        http.max_jobs = jobs;
    }
    if let Some(rows) = options.number("batch_size")? {
        http.max_rows = rows;
    }
    if let Some(requests) = options.number("max_concurrency")? {
        http.max_in_flight = requests;
        policy.concurrency = requests;
    }
    Ok(HttpDestination::new(http, target))
}

fn postgres(
    options: &Options<'_>,
    mut target: Target,
) -> Result<Result<PostgresDestination, DestinationError>, ActivateError> {
    let mut postgres = PostgresOptions::new(options.required("dsn")?);
    if let Some(rows) = options.number("batch_size")? {
        postgres.max_rows = rows;
    }
    if let Some(schema) = options.text("schema")?
        && !target.object.contains('.')
    {
        target.object = format!("\"{}\".{}", schema.replace('"', "\"\""), target.object);
    }
    Ok(PostgresDestination::new(postgres, target))
}

fn mysql(
    options: &Options<'_>,
    target: Target,
) -> Result<Result<MySqlDestination, DestinationError>, ActivateError> {
    let mut mysql = MySqlOptions::new(options.required("dsn")?);
    if let Some(rows) = options.number("batch_size")? {
        mysql.max_rows = rows;
    }
    Ok(MySqlDestination::new(mysql, target))
}

fn smtp(
    engine: &Engine,
    options: &Options<'_>,
    target: Target,
    policy: &mut DeliveryPolicy,
) -> Result<Result<SmtpDestination, DestinationError>, ActivateError> {
    let mut smtp = SmtpOptions::new(options.required("dsn")?, options.required("from")?);
    smtp.ca_file = options.text("ca_file")?.map(|file| engine.root.join(file));
    if let Some(timeout) = timeout(options)? {
        smtp.timeout = timeout;
    }
    if let Some(rows) = options.number("batch_size")? {
        smtp.max_rows = rows;
    }
    if let Some(most) = options.number("max_concurrency")? {
        smtp.max_in_flight = most;
        policy.concurrency = most;
    }
    Ok(SmtpDestination::new(smtp, target))
}

fn nats(
    engine: &Engine,
    options: &Options<'_>,
    target: Target,
    policy: &mut DeliveryPolicy,
) -> Result<Result<NatsDestination, DestinationError>, ActivateError> {
    let mut nats = NatsOptions::new(options.required("url")?);
    nats.user = options.text("user")?;
    nats.password = options.text("password")?.map(Secret::new);
    nats.token = options.text("token")?.map(Secret::new);
    nats.ca_file = options.text("ca_file")?.map(|file| engine.root.join(file));
    if let Some(timeout) = timeout(options)? {
        nats.timeout = timeout;
    }
    if let Some(rows) = options.number("batch_size")? {
        nats.max_rows = rows;
    }
    if let Some(most) = options.number("max_concurrency")? {
        nats.max_in_flight = most;
        policy.concurrency = most;
    }
    Ok(NatsDestination::new(nats, target))
}

/// `timeout_seconds`.
pub(super) fn timeout(options: &Options<'_>) -> Result<Option<Duration>, ActivateError> {
    let Some(text) = options.text("timeout_seconds")? else {
        return Ok(None);
    };
    let seconds = text.trim().parse::<f64>().ok();
    let timeout = seconds
        .and_then(|s| Duration::try_from_secs_f64(s).ok())
        .filter(|t| !t.is_zero());
    let timeout = timeout.map(Some);
    timeout.ok_or_else(|| options.wrong("timeout_seconds", "must be a number above 0"))
}

fn format(options: &Options<'_>) -> Result<FileFormat, ActivateError> {
    let Some(word) = options.text("format")? else {
        return Ok(FileFormat::Ndjson);
    };
    FileFormat::of(word.trim())
        .ok_or_else(|| options.wrong("format", "must be `ndjson`, `csv` or `parquet`"))
}

/// The options of a connection, filled in when they are asked for.
pub(super) struct Options<'a> {
    pub(super) connection: &'a Connection,
    scope: Scope<'a>,
    /// Those that come from files and commands.
    secrets: &'a OpenedSecrets,
}

impl Options<'_> {
    fn wrong(&self, option: &str, reason: &'static str) -> ActivateError {
        ActivateError::Option {
            connection: self.connection.name.value.clone(),
            option: option.to_owned(),
            reason,
        }
    }

    fn find(&self, option: &str) -> Option<&Value> {
        self.connection
            .options
            .iter()
            .find(|(key, _)| key.value == option)
            .map(|(_, value)| value)
    }

    pub(super) fn fill(&self, option: &str, value: &Value) -> Result<String, ActivateError> {
        if let Some(secret) = self.secrets.get(value.span) {
            // Whatever is in it is no template.
            return Ok(secret.expose().to_owned());
        }
        let text = match &value.kind {
            ValueKind::String(text) => text.clone(),
            ValueKind::Int(number) => number.to_string(),
            ValueKind::Float(number) => number.to_string(),
            ValueKind::Bool(flag) => flag.to_string(),
            ValueKind::Null | ValueKind::List(_) | ValueKind::Map(_) => {
                return Err(self.wrong(option, "must be text or a number"));
            }
        };
        template::render(&Located::new(text, value.span), &self.scope).map_err(|problem| {
            ActivateError::Template {
                connection: self.connection.name.value.clone(),
                problem,
            }
        })
    }

    fn text(&self, option: &str) -> Result<Option<String>, ActivateError> {
        self.find(option)
            .map(|value| self.fill(option, value))
            .transpose()
    }

    /// An option without which nothing works. An empty one is one of an empty variable.
    fn required(&self, option: &str) -> Result<String, ActivateError> {
        let text = self
            .text(option)?
            .ok_or_else(|| self.wrong(option, "is missing"))?;
        if text.trim().is_empty() {
            Err(self.wrong(option, "is empty"))
        } else {
            Ok(text)
        }
    }

    fn number(&self, option: &str) -> Result<Option<usize>, ActivateError> {
        let Some(text) = self.text(option)? else {
            return Ok(None);
        };
        let number = text.trim().parse().ok().filter(|number| *number > 0);
        number
            .map(Some)
            .ok_or_else(|| self.wrong(option, "must be a whole number above 0"))
    }

    fn texts(&self, option: &str) -> Result<BTreeMap<String, String>, ActivateError> {
        let Some(value) = self.find(option) else {
            return Ok(BTreeMap::new());
        };
        let ValueKind::Map(entries) = &value.kind else {
            return Err(self.wrong(option, "must be a mapping"));
        };
        let filled = entries.iter().map(|(key, value)| {
            Ok((
                key.value.clone(),
                self.fill(&format!("{option}.{}", key.value), value)?,
            ))
        });
        filled.collect()
    }
}
