//! When builds and syncs are run by a server, and whom it tells about failures.

use std::time::Duration;

use chrono::{DateTime, LocalResult, NaiveDateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use croner::parser::{CronParser, Seconds, Year};

use crate::diagnostic::Span;
use crate::located::Located;

/// The shortest time between two due times of an interval.
pub const SHORTEST_INTERVAL: Duration = Duration::from_secs(10);
/// The longest interval: a year.
pub const LONGEST_INTERVAL: Duration = Duration::from_secs(366 * 24 * 60 * 60);
/// A clock is never set forward by more than this at once; a gap that seems longer has no end.
const LONGEST_GAP: TimeDelta = TimeDelta::hours(25);

/// When something is run, and what happens to the times at which it cannot be.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// What makes it due.
    pub trigger: Trigger,
    /// What happens to a due time while a run is under way or waits for its turn.
    pub overlap: Overlap,
    /// What happens to the due times that passed while no server ran.
    pub catch_up: CatchUp,
    /// The mapping that says so.
    pub span: Span,
}

/// What makes a run due.
#[derive(Clone, Debug, PartialEq)]
pub enum Trigger {
    /// The times of a cron expression.
    Cron(Box<Cron>),
    /// Every so often: the whole multiples of the interval since 1970-01-01T00:00:00Z, so that neither a restart
    /// nor a second server moves them.
    Every(Duration),
    /// A new version of what it reads.
    Inputs {
        /// The shortest time between two due times, however often the inputs change.
        at_most_every: Option<Duration>,
        /// It is due after so long even if the inputs have not changed.
        at_least_every: Option<Duration>,
    },
}

/// As the user would write it, on one line.
impl std::fmt::Display for Trigger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cron(cron) => write!(f, "cron: {} ({})", cron.expression(), cron.timezone()),
            Self::Every(interval) => write!(f, "every: {}", interval_text(*interval)),
            Self::Inputs {
                at_most_every,
                at_least_every,
            } => {
                write!(f, "on: inputs")?;
                if let Some(interval) = at_most_every {
                    write!(f, ", at_most_every: {}", interval_text(*interval))?;
                }
                if let Some(interval) = at_least_every {
                    write!(f, ", at_least_every: {}", interval_text(*interval))?;
                }
                Ok(())
            }
        }
    }
}

/// What happens to a due time while a run is under way or waits for its turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Overlap {
    /// All such due times together get one run more.
    #[default]
    Queue,
    /// Nothing: the next due time after the run is the next run.
    Skip,
}

impl Overlap {
    /// Every rule.
    pub const ALL: [Self; 2] = [Self::Queue, Self::Skip];

    /// The word in YAML and in output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Skip => "skip",
        }
    }
}

/// What happens to the due times that passed while no server ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CatchUp {
    /// All of them together get one run when a server is there again.
    #[default]
    One,
    /// Nothing: the next due time is the next run.
    None,
}

impl CatchUp {
    /// Every rule.
    pub const ALL: [Self; 2] = [Self::One, Self::None];

    /// The word in YAML and in output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::None => "none",
        }
    }
}

/// A build that a server runs (an entry of `schedules:`).
#[derive(Clone, Debug)]
pub struct BuildSchedule {
    /// Its name; no sync has the same.
    pub name: Located<String>,
    /// What is built, as `--select` takes it.
    pub build: Located<String>,
    /// When.
    pub schedule: Schedule,
    /// Syncs that are due whenever it has succeeded.
    pub then_sync: ThenSync,
}

/// Which syncs follow a build.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum ThenSync {
    /// Those with these names.
    Named(Vec<Located<String>>),
    /// Every sync that is enabled.
    All,
    /// None.
    #[default]
    None,
}

/// Somebody to tell when a job fails (an entry of `alerts:`).
#[derive(Clone)]
pub struct Alert {
    /// Where the message is posted to, Jinja not yet rendered: the address is a secret and is read only when
    /// a message is sent.
    pub webhook: Located<String>,
    /// So many failures in a row make an incident; at least 1.
    pub after_failures: u32,
}

/// Does not show the address, which may be written out.
impl std::fmt::Debug for Alert {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Alert")
            .field("after_failures", &self.after_failures)
            .finish_non_exhaustive()
    }
}

/// Why a text is no cron expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CronError {
    /// Another number of fields than five.
    #[error("a cron expression has five fields, this has {found}")]
    Fields {
        /// How many it has.
        found: usize,
    },
    /// A field that means nothing.
    #[error("`{text}` is no {field} of a cron expression")]
    Field {
        /// Which one, in words.
        field: &'static str,
        /// What it says.
        text: String,
    },
    /// Each field is sound and all of them together are not.
    #[error("`{text}` is no cron expression")]
    Whole {
        /// The expression.
        text: String,
    },
    /// No day has such a date.
    #[error("`{text}` is never due")]
    Never {
        /// The expression.
        text: String,
    },
}

const FIELDS: [&str; 5] = [
    "minute",
    "hour",
    "day of the month",
    "month",
    "day of the week",
];

/// A cron expression in a time zone: minute, hour, day of the month, month, day of the week.
///
/// On the days when the clock is changed there are two rules. An expression that **names its hours** (`30 2 * * *`,
/// `0 6-22 * * *`) is due once for each time it names: a time that the clock leaps over is due right after the
/// leap (several such times together, once), and one that comes twice is due the first time only. An expression
/// with a `*` among its hours (`*/15 * * * *`, `0 */2 * * *`) goes by what the clock shows: a time that it leaps
/// over is not due, and one that it shows twice is due twice.
#[derive(Clone, Debug, PartialEq)]
pub struct Cron {
    text: String,
    cron: croner::Cron,
    timezone: Tz,
    names_hours: bool,
}

impl Cron {
    /// Reads an expression of five fields, or one of `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`.
    ///
    /// # Errors
    /// Which field has no meaning, or that no time fits.
    pub fn parse(text: &str, timezone: Tz) -> Result<Self, CronError> {
        let text = text.trim();
        let parser = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build();
        let fields: Vec<&str> = text.split_whitespace().collect();
        let nickname = text.starts_with('@');
        if fields.len() != FIELDS.len() && !nickname {
            return Err(CronError::Fields {
                found: fields.len(),
            });
        }
        let whole = |_| CronError::Whole {
            text: text.to_owned(),
        };
        if !nickname {
            for (at, (field, written)) in FIELDS.into_iter().zip(&fields).enumerate() {
                let mut alone = ["*"; FIELDS.len()];
                if let Some(place) = alone.get_mut(at) {
                    *place = written;
                }
                if parser.parse(&alone.join(" ")).is_err() {
                    return Err(CronError::Field {
                        field,
                        text: (*written).to_owned(),
                    });
                }
            }
        }
        let cron = parser.parse(text).map_err(whole)?;
        let hours = fields.get(1).copied();
        let found = Self {
            text: text.to_owned(),
            cron,
            timezone,
            names_hours: match hours {
                Some(hours) => !hours.contains('*'),
                None => !text.eq_ignore_ascii_case("@hourly"),
            },
        };
        match found.next_after(DateTime::UNIX_EPOCH) {
            Some(_) => Ok(found),
            None => Err(CronError::Never {
                text: text.to_owned(),
            }),
        }
    }

    /// The expression as it was written.
    #[must_use]
    pub fn expression(&self) -> &str {
        &self.text
    }

    /// The zone whose clock it means.
    #[must_use]
    pub fn timezone(&self) -> Tz {
        self.timezone
    }

    /// The first due time after `time`; `None` if there is none before the year 5000.
    #[must_use]
    pub fn next_after(&self, time: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let local = time.with_timezone(&self.timezone);
        if !self.names_hours {
            let next = self.cron.find_next_occurrence(&local, false).ok()?;
            return Some(next.with_timezone(&Utc));
        }
        // Times as the clock shows them are in order, and so are the instants that they stand for.
        let mut shown = local.naive_local();
        loop {
            shown = self.cron.find_next_occurrence(&shown, false).ok()?;
            let due = self.instant(shown)?;
            if due > time {
                return Some(due);
            }
        }
    }

    /// When the clock first shows this time, or the first time after it.
    fn instant(&self, shown: NaiveDateTime) -> Option<DateTime<Utc>> {
        match self.timezone.from_local_datetime(&shown) {
            LocalResult::Single(time) | LocalResult::Ambiguous(time, _) => {
                Some(time.with_timezone(&Utc))
            }
            LocalResult::None => self.end_of_gap(shown),
        }
    }

    /// The first instant after the leap over `shown`.
    fn end_of_gap(&self, shown: NaiveDateTime) -> Option<DateTime<Utc>> {
        let zone = &self.timezone;
        let exists = |minutes: i64| {
            let time = shown.checked_add_signed(TimeDelta::minutes(minutes))?;
            zone.from_local_datetime(&time).earliest()
        };
        let (mut inside, mut outside) = (0, LONGEST_GAP.num_minutes());
        exists(outside)?;
        while outside - inside > 1 {
            let middle = inside.midpoint(outside);
            if exists(middle).is_some() {
                outside = middle;
            } else {
                inside = middle;
            }
        }
        exists(outside).map(|time| time.with_timezone(&Utc))
    }
}

/// Reads `90s`, `15m`, `2h` or `1d`.
#[must_use]
pub fn parse_interval(text: &str) -> Option<Duration> {
    let text = text.trim();
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return None,
    };
    if !number.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number: u64 = number.parse().ok()?;
    number.checked_mul(seconds).map(Duration::from_secs)
}

/// The text that [`parse_interval`] reads, in the largest unit that is exact.
#[must_use]
pub fn interval_text(interval: Duration) -> String {
    let seconds = interval.as_secs();
    for (unit, length) in [("d", 24 * 60 * 60), ("h", 60 * 60), ("m", 60)] {
        if seconds > 0 && seconds.is_multiple_of(length) {
            return format!("{}{unit}", seconds / length);
        }
    }
    format!("{seconds}s")
}

#[cfg(test)]
mod tests;
