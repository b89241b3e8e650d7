//! The data of `examples/shop`: web events, orders, contacts, email events and consents of persons who
//! never existed, with the truth about who is who.
//!
//! Everything follows from the options: the same options give the same bytes, on every machine. Each
//! person draws from a random stream of its own, so rows are written as they are made and memory does
//! not grow with the number of persons.

mod activity;
mod dice;
mod files;
mod person;
mod words;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use self::activity::{Day, History};
use self::files::Files;
use self::person::Person;

/// The end of the generated history, 2026-07-01T00:00:00Z in microseconds since 1970. Extra days follow.
pub const END_OF_HISTORY: i64 = 1_782_864_000_000_000;

/// Microseconds of a day.
pub(crate) const DAY: i64 = 86_400_000_000;

/// Persons of one file of each kind.
const PERSONS_PER_FILE: u64 = 25_000;

/// Written last: a folder that has it is whole.
const STAMP: &str = "data/generated.json";

/// Form of the stamp and of the rows; a folder of another form is generated again.
const FORM: u32 = 1;

/// Folders that the generator owns, relative to its target.
const FOLDERS: [&str; 6] = [
    "data/events",
    "data/orders",
    "data/contacts",
    "data/email_events",
    "data/consents",
    "truth",
];

/// What to generate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShopOptions {
    /// How many persons. About 20 events each, and 30 rows of all kinds.
    pub persons: u64,
    /// Another seed gives other persons.
    pub seed: u64,
    /// Length of the history in days, at least one; 180 is a good one.
    pub days: u32,
    /// Whether one line of about 4,000 is broken in the web events and contacts.
    pub dirty: bool,
}

impl Default for ShopOptions {
    fn default() -> Self {
        Self {
            persons: 10_000,
            seed: 7,
            days: 180,
            dirty: false,
        }
    }
}

/// How many rows were written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShopSummary {
    /// Persons who appear for the first time.
    pub persons: u64,
    /// Web events, each counted once.
    pub events: u64,
    /// Web events that were delivered a second time, as another line.
    pub repeated_events: u64,
    /// Orders.
    pub orders: u64,
    /// Contacts of the CRM.
    pub contacts: u64,
    /// Email events.
    pub email_events: u64,
    /// Changes of consent.
    pub consents: u64,
    /// Broken lines.
    pub malformed: u64,
}

/// Why the data could not be written.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// A file or folder of the demo could not be written, read or removed.
    #[error("cannot write `{}`", .path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The Parquet writer failed.
    #[error("cannot write Parquet to `{}`", .path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: parquet::errors::ParquetError,
    },
    /// A day can only follow a history with the same options.
    #[error("`{}` has no data with these options; generate the history first", .dir.display())]
    NoHistory {
        /// The folder.
        dir: PathBuf,
    },
}

/// What was generated into a folder.
#[derive(Debug, Serialize, Deserialize)]
struct Stamp {
    form: u32,
    options: ShopOptions,
    history: ShopSummary,
    days: Vec<(u32, ShopSummary)>,
}

/// Writes the history into `dir/data` and the truth about identities into `dir/truth/identities.csv`.
/// Nothing is written if it is there already with the same options; data of other options is replaced.
///
/// # Errors
/// If a file cannot be written.
pub fn generate(dir: &Path, options: &ShopOptions) -> Result<ShopSummary, GenerateError> {
    if let Some(stamp) = read_stamp(dir).filter(|stamp| stamp.options == *options) {
        return Ok(stamp.history);
    }
    remove_file(&dir.join(STAMP))?;
    for folder in FOLDERS {
        let folder = dir.join(folder);
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(|source| GenerateError::Write {
                path: folder.clone(),
                source,
            })?;
        }
    }
    let mut truth = files::truth(dir, "identities")?;
    let mut summary = ShopSummary::default();
    let mut start = 0;
    while start < options.persons {
        let end = options.persons.min(start.saturating_add(PERSONS_PER_FILE));
        let mut files = Files::create(
            dir,
            &format!("part-{:05}", start / PERSONS_PER_FILE),
            options.dirty,
            true,
            &mut truth,
        )?;
        for index in start..end {
            let person = Person::new(options.seed, index);
            History::new(options, &person).write(&mut files)?;
        }
        files.finish(&mut summary)?;
        start = end;
    }
    truth.finish(true)?;
    summary.persons = options.persons;
    write_stamp(
        dir,
        &Stamp {
            form: FORM,
            options: options.clone(),
            history: summary,
            days: Vec::new(),
        },
    )?;
    Ok(summary)
}

/// Writes one more day (1 is the day after the history) beside the history: about five persons of a
/// hundred do something, and two of a thousand are new. Nothing is written if the day is there already.
///
/// # Errors
/// If the history of these options is not in `dir`, or a file cannot be written.
pub fn generate_day(
    dir: &Path,
    options: &ShopOptions,
    day: u32,
) -> Result<ShopSummary, GenerateError> {
    let stamp = read_stamp(dir).filter(|stamp| stamp.options == *options);
    let mut stamp = stamp.ok_or_else(|| GenerateError::NoHistory {
        dir: dir.to_owned(),
    })?;
    if let Some((_, summary)) = stamp.days.iter().find(|(known, _)| *known == day) {
        return Ok(*summary);
    }
    let mut truth = files::truth(dir, &format!("identities-day-{day:04}"))?;
    let mut summary = ShopSummary::default();
    let mut files = Files::create(dir, &format!("day-{day:04}"), false, false, &mut truth)?;
    for index in 0..options.persons {
        if let Some(doing) = Day::of_known(options, day, index) {
            doing.write(&mut files)?;
        }
    }
    let joining = (options.persons / 500).max(1);
    let first = options
        .persons
        .saturating_add(u64::from(day.saturating_sub(1)).saturating_mul(joining));
    for index in first..first.saturating_add(joining) {
        Day::of_new(options, day, index).write(&mut files)?;
    }
    files.finish(&mut summary)?;
    truth.finish(true)?;
    summary.persons = joining;
    stamp.days.push((day, summary));
    write_stamp(dir, &stamp)?;
    Ok(summary)
}

/// The stamp, if there is a readable one of this form; anything else means "generate again".
/// What the data in `dir` was generated with, and the last day after its history; `None` if there is
/// no whole data of this form.
pub fn generated(dir: &Path) -> Option<(ShopOptions, u32)> {
    let stamp = read_stamp(dir)?;
    let last = stamp.days.iter().map(|(day, _)| *day).max().unwrap_or(0);
    Some((stamp.options, last))
}

fn read_stamp(dir: &Path) -> Option<Stamp> {
    let text = fs::read(dir.join(STAMP)).ok()?;
    serde_json::from_slice::<Stamp>(&text)
        .ok()
        .filter(|stamp| stamp.form == FORM)
}

fn write_stamp(dir: &Path, stamp: &Stamp) -> Result<(), GenerateError> {
    let path = dir.join(STAMP);
    let failed = |source| GenerateError::Write {
        path: path.clone(),
        source,
    };
    let mut text = serde_json::to_vec_pretty(stamp).map_err(|error| failed(error.into()))?;
    text.push(b'\n');
    let partial = path.with_extension("json.tmp");
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    fs::write(&partial, text).map_err(failed)?;
    fs::rename(&partial, &path).map_err(failed)
}

fn remove_file(path: &Path) -> Result<(), GenerateError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(GenerateError::Write {
            path: path.to_owned(),
            source,
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
