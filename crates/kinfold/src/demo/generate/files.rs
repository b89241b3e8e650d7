//! Rows into files: each kind of record into its own folder, in the format that such data has.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Decimal128Builder, Int32Builder, RecordBatch, StringBuilder,
    TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use chrono::{DateTime, SecondsFormat};
use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression as ParquetCompression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use serde::Serialize;

use super::person::Person;
use super::{GenerateError, ShopSummary};

/// One line of so many is broken in dirty data.
const LINES_PER_BROKEN: u64 = 4_000;

/// Orders of one record batch.
const ORDERS_PER_BATCH: usize = 4_096;

/// A web event.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Event<'a> {
    pub(super) message_id: String,
    /// `page`, `track` or `identify`.
    pub(super) r#type: &'a str,
    pub(super) event: Option<&'a str>,
    pub(super) anonymous_id: &'a str,
    pub(super) user_id: Option<&'a str>,
    pub(super) email: Option<&'a str>,
    pub(super) path: Option<&'a str>,
    pub(super) category: Option<&'a str>,
    /// In euros.
    pub(super) value: Option<f64>,
    pub(super) campaign: Option<&'a str>,
    pub(super) sent_at: String,
}

/// An order.
#[derive(Clone, Debug)]
pub(super) struct Order<'a> {
    pub(super) order_id: &'a str,
    pub(super) user_id: Option<&'a str>,
    pub(super) email: Option<&'a str>,
    pub(super) phone: Option<&'a str>,
    pub(super) ordered_at: i64,
    pub(super) status: &'a str,
    pub(super) category: &'a str,
    pub(super) items: i32,
    pub(super) amount_cents: i64,
}

/// A contact of the CRM, as its export has it.
#[derive(Clone, Debug)]
pub(super) struct Contact<'a> {
    pub(super) contact_id: &'a str,
    pub(super) user_id: &'a str,
    pub(super) email: &'a str,
    pub(super) phone: &'a str,
    pub(super) first_name: &'a str,
    pub(super) last_name: &'a str,
    pub(super) city: &'a str,
    pub(super) country: &'a str,
    pub(super) created_at: i64,
    pub(super) updated_at: i64,
}

/// What happened to a mail.
#[derive(Clone, Debug, Serialize)]
pub(super) struct EmailEvent<'a> {
    pub(super) email_event_id: &'a str,
    pub(super) email: &'a str,
    pub(super) campaign: &'a str,
    /// `delivered`, `opened`, `clicked`, `bounced` or `unsubscribed`.
    pub(super) event: &'a str,
    pub(super) occurred_at: String,
}

/// A change of a consent.
#[derive(Clone, Debug)]
pub(super) struct Consent<'a> {
    pub(super) consent_id: &'a str,
    pub(super) email: &'a str,
    pub(super) purpose: &'a str,
    /// `granted` or `withdrawn`.
    pub(super) status: &'a str,
    pub(super) channel: &'a str,
    pub(super) changed_at: i64,
}

/// Microseconds since 1970 as `2026-06-30T12:34:56.789Z`.
pub(super) fn timestamp(at: i64) -> String {
    DateTime::from_timestamp_micros(at)
        .map(|time| time.to_rfc3339_opts(SecondsFormat::Millis, true))
        .unwrap_or_default()
}

/// One set of files, one of each kind.
pub(super) struct Files<'t> {
    events: TextFile,
    orders: OrdersFile,
    contacts: TextFile,
    email_events: TextFile,
    consents: TextFile,
    truth: &'t mut TextFile,
    dirty: bool,
    /// Whether files without rows are kept.
    keep_empty: bool,
    counts: ShopSummary,
}

/// The file that says which person each record is about.
pub(super) fn truth(dir: &Path, name: &str) -> Result<TextFile, GenerateError> {
    let mut file = TextFile::create(dir.join("truth").join(format!("{name}.csv")), false)?;
    file.csv(&["source", "record_id", "person"])?;
    Ok(file)
}

impl<'t> Files<'t> {
    pub(super) fn create(
        dir: &Path,
        name: &str,
        dirty: bool,
        keep_empty: bool,
        truth: &'t mut TextFile,
    ) -> Result<Self, GenerateError> {
        let data = dir.join("data");
        let mut contacts = TextFile::create(data.join(format!("contacts/{name}.csv")), false)?;
        contacts.csv(&[
            "contact_id",
            "user_id",
            "email",
            "phone",
            "first_name",
            "last_name",
            "city",
            "country",
            "created_at",
            "updated_at",
        ])?;
        let mut consents = TextFile::create(data.join(format!("consents/{name}.csv")), false)?;
        consents.csv(&[
            "consent_id",
            "email",
            "purpose",
            "status",
            "channel",
            "changed_at",
        ])?;
        Ok(Self {
            events: TextFile::create(data.join(format!("events/{name}.ndjson.gz")), true)?,
            orders: OrdersFile::create(data.join(format!("orders/{name}.parquet")))?,
            contacts,
            email_events: TextFile::create(
                data.join(format!("email_events/{name}.ndjson")),
                false,
            )?,
            consents,
            truth,
            dirty,
            keep_empty,
            counts: ShopSummary::default(),
        })
    }

    pub(super) fn event(
        &mut self,
        person: &Person,
        event: &Event<'_>,
    ) -> Result<(), GenerateError> {
        self.counts.events += 1;
        self.events.json(event)?;
        if self.breaks(self.counts.events) {
            // As a writer leaves it that stopped in the middle of a record.
            self.events.text(&format!(
                "{{\"message_id\": \"{}\", \"type\": \"tra\n",
                event.message_id
            ))?;
        }
        self.truth.csv(&["web", &event.message_id, &person.truth()])
    }

    /// The same delivery once more.
    pub(super) fn repeated_event(&mut self, event: &Event<'_>) -> Result<(), GenerateError> {
        self.counts.repeated_events += 1;
        self.events.json(event)
    }

    pub(super) fn order(
        &mut self,
        person: &Person,
        order: &Order<'_>,
    ) -> Result<(), GenerateError> {
        self.counts.orders += 1;
        self.orders.add(order)?;
        self.truth.csv(&["orders", order.order_id, &person.truth()])
    }

    pub(super) fn contact(
        &mut self,
        person: &Person,
        contact: &Contact<'_>,
    ) -> Result<(), GenerateError> {
        self.counts.contacts += 1;
        self.contacts.csv(&[
            contact.contact_id,
            contact.user_id,
            contact.email,
            contact.phone,
            contact.first_name,
            contact.last_name,
            contact.city,
            contact.country,
            &timestamp(contact.created_at),
            &timestamp(contact.updated_at),
        ])?;
        if self.breaks(self.counts.contacts) {
            self.contacts
                .text(&format!("{},cut\n", contact.contact_id))?;
        }
        self.truth
            .csv(&["crm", contact.contact_id, &person.truth()])
    }

    pub(super) fn email_event(
        &mut self,
        person: &Person,
        event: &EmailEvent<'_>,
    ) -> Result<(), GenerateError> {
        self.counts.email_events += 1;
        self.email_events.json(event)?;
        self.truth
            .csv(&["email", event.email_event_id, &person.truth()])
    }

    pub(super) fn consent(
        &mut self,
        person: &Person,
        consent: &Consent<'_>,
    ) -> Result<(), GenerateError> {
        self.counts.consents += 1;
        self.consents.csv(&[
            consent.consent_id,
            consent.email,
            consent.purpose,
            consent.status,
            consent.channel,
            &timestamp(consent.changed_at),
        ])?;
        self.truth
            .csv(&["consent", consent.consent_id, &person.truth()])
    }

    /// Closes the files, gives them their names, and adds their rows to the summary.
    pub(super) fn finish(self, summary: &mut ShopSummary) -> Result<(), GenerateError> {
        let counts = self.counts;
        let keep = |rows: u64| self.keep_empty || rows > 0;
        self.events.finish(keep(counts.events))?;
        self.orders.finish(keep(counts.orders))?;
        self.contacts.finish(keep(counts.contacts))?;
        self.email_events.finish(keep(counts.email_events))?;
        self.consents.finish(keep(counts.consents))?;
        summary.events += counts.events;
        summary.repeated_events += counts.repeated_events;
        summary.orders += counts.orders;
        summary.contacts += counts.contacts;
        summary.email_events += counts.email_events;
        summary.consents += counts.consents;
        summary.malformed += counts.malformed;
        Ok(())
    }

    /// Whether a broken line follows the `row`-th one.
    fn breaks(&mut self, row: u64) -> bool {
        let breaks = self.dirty && row % LINES_PER_BROKEN == LINES_PER_BROKEN / 2;
        self.counts.malformed += u64::from(breaks);
        breaks
    }
}

enum Sink {
    Plain(BufWriter<File>),
    Gzip(Box<GzEncoder<BufWriter<File>>>),
}

/// A file of lines, which has its name only when it is whole.
pub(super) struct TextFile {
    path: PathBuf,
    sink: Sink,
    line: Vec<u8>,
}

impl TextFile {
    fn create(path: PathBuf, gzip: bool) -> Result<Self, GenerateError> {
        let file = BufWriter::with_capacity(1 << 17, create(&path)?);
        let sink = if gzip {
            // Without time and name of the file, so that the bytes depend on the rows only.
            Sink::Gzip(Box::new(
                GzBuilder::new().mtime(0).write(file, Compression::new(4)),
            ))
        } else {
            Sink::Plain(file)
        };
        Ok(Self {
            path,
            sink,
            line: Vec::new(),
        })
    }

    fn text(&mut self, text: &str) -> Result<(), GenerateError> {
        self.line.clear();
        self.line.extend_from_slice(text.as_bytes());
        self.flush_line()
    }

    fn json(&mut self, row: &impl Serialize) -> Result<(), GenerateError> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, row).map_err(|error| GenerateError::Write {
            path: self.path.clone(),
            source: error.into(),
        })?;
        self.line.push(b'\n');
        self.flush_line()
    }

    /// A line of RFC 4180, quoted where needed.
    fn csv(&mut self, fields: &[&str]) -> Result<(), GenerateError> {
        self.line.clear();
        for (place, field) in fields.iter().enumerate() {
            if place > 0 {
                self.line.push(b',');
            }
            if field.contains(['"', ',', '\n', '\r']) {
                self.line.push(b'"');
                self.line
                    .extend_from_slice(field.replace('"', "\"\"").as_bytes());
                self.line.push(b'"');
            } else {
                self.line.extend_from_slice(field.as_bytes());
            }
        }
        self.line.push(b'\n');
        self.flush_line()
    }

    fn flush_line(&mut self) -> Result<(), GenerateError> {
        let written = match &mut self.sink {
            Sink::Plain(sink) => sink.write_all(&self.line),
            Sink::Gzip(sink) => sink.write_all(&self.line),
        };
        written.map_err(|source| GenerateError::Write {
            path: self.path.clone(),
            source,
        })
    }

    pub(super) fn finish(self, keep: bool) -> Result<(), GenerateError> {
        let flushed = match self.sink {
            Sink::Plain(mut sink) => sink.flush(),
            Sink::Gzip(sink) => sink.finish().and_then(|mut sink| sink.flush()),
        };
        flushed.map_err(|source| GenerateError::Write {
            path: self.path.clone(),
            source,
        })?;
        settle(&self.path, keep)
    }
}

struct OrdersFile {
    path: PathBuf,
    schema: Arc<Schema>,
    writer: ArrowWriter<File>,
    rows: usize,
    order_id: StringBuilder,
    user_id: StringBuilder,
    email: StringBuilder,
    phone: StringBuilder,
    ordered_at: TimestampMicrosecondBuilder,
    status: StringBuilder,
    category: StringBuilder,
    items: Int32Builder,
    amount: Decimal128Builder,
}

/// Total digits and digits behind the point of an amount.
const AMOUNT: (u8, i8) = (12, 2);

impl OrdersFile {
    fn create(path: PathBuf) -> Result<Self, GenerateError> {
        let amount = DataType::Decimal128(AMOUNT.0, AMOUNT.1);
        let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let schema = Arc::new(Schema::new(vec![
            Field::new("order_id", DataType::Utf8, false),
            Field::new("user_id", DataType::Utf8, true),
            Field::new("email", DataType::Utf8, true),
            Field::new("phone", DataType::Utf8, true),
            Field::new("ordered_at", time, false),
            Field::new("status", DataType::Utf8, false),
            Field::new("category", DataType::Utf8, false),
            Field::new("items", DataType::Int32, false),
            Field::new("amount", amount.clone(), false),
        ]));
        let properties = WriterProperties::builder()
            .set_created_by("kinfold demo".to_owned())
            .set_compression(ParquetCompression::ZSTD(ZstdLevel::default()))
            .build();
        let file = create(&path)?;
        let writer = ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties)).map_err(
            |source| GenerateError::Parquet {
                path: path.clone(),
                source,
            },
        )?;
        Ok(Self {
            path,
            schema,
            writer,
            rows: 0,
            order_id: StringBuilder::new(),
            user_id: StringBuilder::new(),
            email: StringBuilder::new(),
            phone: StringBuilder::new(),
            ordered_at: TimestampMicrosecondBuilder::new().with_timezone("UTC"),
            status: StringBuilder::new(),
            category: StringBuilder::new(),
            items: Int32Builder::new(),
            amount: Decimal128Builder::new().with_data_type(amount),
        })
    }

    fn add(&mut self, order: &Order<'_>) -> Result<(), GenerateError> {
        self.order_id.append_value(order.order_id);
        self.user_id.append_option(order.user_id);
        self.email.append_option(order.email);
        self.phone.append_option(order.phone);
        self.ordered_at.append_value(order.ordered_at);
        self.status.append_value(order.status);
        self.category.append_value(order.category);
        self.items.append_value(order.items);
        self.amount.append_value(i128::from(order.amount_cents));
        self.rows += 1;
        if self.rows == ORDERS_PER_BATCH {
            self.flush()
        } else {
            Ok(())
        }
    }

    fn flush(&mut self) -> Result<(), GenerateError> {
        self.rows = 0;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.order_id.finish()),
            Arc::new(self.user_id.finish()),
            Arc::new(self.email.finish()),
            Arc::new(self.phone.finish()),
            Arc::new(self.ordered_at.finish()),
            Arc::new(self.status.finish()),
            Arc::new(self.category.finish()),
            Arc::new(self.items.finish()),
            Arc::new(self.amount.finish()),
        ];
        RecordBatch::try_new(Arc::clone(&self.schema), columns)
            .map_err(ParquetError::from)
            .and_then(|batch| self.writer.write(&batch))
            .map_err(|source| GenerateError::Parquet {
                path: self.path.clone(),
                source,
            })
    }

    fn finish(mut self, keep: bool) -> Result<(), GenerateError> {
        self.flush()?;
        self.writer
            .close()
            .map_err(|source| GenerateError::Parquet {
                path: self.path.clone(),
                source,
            })?;
        settle(&self.path, keep)
    }
}

/// Name of a file that is being written; no glob of the project matches it.
fn partial(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    name.into()
}

fn create(path: &Path) -> Result<File, GenerateError> {
    let partial = partial(path);
    let created = partial
        .parent()
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| File::create(&partial));
    created.map_err(|source| GenerateError::Write {
        path: partial,
        source,
    })
}

fn settle(path: &Path, keep: bool) -> Result<(), GenerateError> {
    let partial = partial(path);
    let done = if keep {
        fs::rename(&partial, path)
    } else {
        fs::remove_file(&partial)
    };
    done.map_err(|source| GenerateError::Write {
        path: path.to_owned(),
        source,
    })
}
