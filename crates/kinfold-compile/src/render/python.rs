//! `modules` of dbt: the parts of Python's library that packages use.

use std::fmt;
use std::sync::Arc;

use chrono::{
    DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeZone, Timelike, Utc,
};
use chrono_tz::Tz;
use minijinja::value::{Object, Value};
use minijinja::{Error, ErrorKind, State};

use super::run::{Args, Run};

/// The most combinations that a template may ask for.
const COMBINATIONS: usize = 100_000;

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}

/// `modules` as a value.
pub(super) fn modules() -> Value {
    let datetime = [("datetime", Module::DateTime), ("date", Module::Date)];
    let datetime = datetime.map(|(name, module)| (name, Value::from_object(module)));
    Value::from_pairs([
        ("datetime", Value::from_pairs(datetime)),
        ("re", Value::from_object(Module::Regex)),
        ("pytz", Value::from_object(Module::Zones)),
        ("itertools", Value::from_object(Module::Iterate)),
    ])
}

#[derive(Clone, Copy, Debug)]
enum Module {
    DateTime,
    Date,
    Regex,
    Zones,
    Iterate,
}

impl Object for Module {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match (self.as_ref(), key.as_str()?) {
            (Self::Zones, "utc" | "UTC") => Some(Value::from_object(Zone(Tz::UTC))),
            _ => None,
        }
    }

    fn call(self: &Arc<Self>, _state: &mut State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
        let mut args = Args::new(args);
        match self.as_ref() {
            Self::DateTime => moment(&mut args, "datetime"),
            Self::Date => {
                let date = date(&mut args, "date")?;
                args.finish("date")?;
                Ok(Value::from_object(Moment::day(date)))
            }
            _ => Err(invalid("this cannot be called")),
        }
    }

    fn call_method(
        self: &Arc<Self>,
        state: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        let mut args = Args::new(args);
        match (self.as_ref(), method) {
            (Self::DateTime | Self::Date, "today") => {
                let now = Run::of(state)?.registry.as_of;
                Ok(Value::from_object(match self.as_ref() {
                    Self::Date => Moment::day(now.date_naive()),
                    _ => Moment::naive(now.naive_utc()),
                }))
            }
            (Self::DateTime, "now" | "utcnow") => {
                let now = Run::of(state)?.registry.as_of;
                let zone = args.take("tz").and_then(|zone| zone_of(&zone));
                Ok(Value::from_object(match zone {
                    Some(zone) => Moment {
                        local: now.with_timezone(&zone).naive_local(),
                        zone: Some(zone),
                        date: false,
                    },
                    None => Moment::naive(now.naive_utc()),
                }))
            }
            (Self::DateTime, "strptime") => {
                let text = args.text("strptime", "date_string")?;
                let format = args.text("strptime", "format")?;
                let read = NaiveDateTime::parse_from_str(&text, &format).or_else(|_| {
                    NaiveDate::parse_from_str(&text, &format)
                        .map(|date| date.and_time(NaiveTime::MIN))
                });
                let read = read.map_err(|_| {
                    invalid(format!("`{text}` is not a time of the format `{format}`"))
                })?;
                Ok(Value::from_object(Moment::naive(read)))
            }
            (Self::DateTime | Self::Date, "fromisoformat") => {
                let text = args.text("fromisoformat", "date_string")?;
                from_iso(&text, matches!(self.as_ref(), Self::Date))
            }
            (Self::Zones, "timezone") => {
                let name = args.text("timezone", "zone")?;
                let zone: Tz = name
                    .parse()
                    .map_err(|_| invalid(format!("there is no time zone `{name}`")))?;
                Ok(Value::from_object(Zone(zone)))
            }
            (Self::Iterate, _) => iterate(method, args),
            (Self::Regex, _) => regular_expression(method, args),
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }
}

fn from_iso(text: &str, date: bool) -> Result<Value, Error> {
    let day = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
    if date {
        return match day() {
            Some(day) => Ok(Value::from_object(Moment::day(day))),
            None => Err(invalid(format!("`{text}` is not a date"))),
        };
    }
    let spaced = text.replacen(' ', "T", 1);
    if let Ok(read) = DateTime::parse_from_rfc3339(&spaced) {
        return Ok(Value::from_object(Moment::utc(read.with_timezone(&Utc))));
    }
    let formats = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M"];
    let read = formats
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(&spaced, format).ok());
    match read.or_else(|| day().map(|day| day.and_time(NaiveTime::MIN))) {
        Some(read) => Ok(Value::from_object(Moment::naive(read))),
        None => Err(invalid(format!("`{text}` is not a time"))),
    }
}

fn number(args: &mut Args, function: &str, name: &str, default: Option<u32>) -> Result<u32, Error> {
    match (args.take(name), default) {
        (Some(value), _) => u32::try_from(value).map_err(|_| {
            invalid(format!(
                "the argument `{name}` of `{function}` must be a number"
            ))
        }),
        (None, Some(default)) => Ok(default),
        (None, None) => Err(Error::new(
            ErrorKind::MissingArgument,
            format!("`{function}` needs the argument `{name}`"),
        )),
    }
}

fn date(args: &mut Args, function: &str) -> Result<NaiveDate, Error> {
    let year = number(args, function, "year", None)?;
    let month = number(args, function, "month", None)?;
    let day = number(args, function, "day", None)?;
    i32::try_from(year)
        .ok()
        .and_then(|year| NaiveDate::from_ymd_opt(year, month, day))
        .ok_or_else(|| invalid(format!("there is no day {year}-{month}-{day}")))
}

fn moment(args: &mut Args, function: &str) -> Result<Value, Error> {
    let day = date(args, function)?;
    let hour = number(args, function, "hour", Some(0))?;
    let minute = number(args, function, "minute", Some(0))?;
    let second = number(args, function, "second", Some(0))?;
    let micro = number(args, function, "microsecond", Some(0))?;
    let zone = args.take("tzinfo").and_then(|zone| zone_of(&zone));
    let local = day
        .and_hms_micro_opt(hour, minute, second, micro)
        .ok_or_else(|| invalid("there is no such time of the day"))?;
    Ok(Value::from_object(Moment {
        local,
        zone,
        date: false,
    }))
}

/// A time zone of `pytz`.
#[derive(Debug)]
struct Zone(Tz);

fn zone_of(value: &Value) -> Option<Tz> {
    value.downcast_object_ref::<Zone>().map(|zone| zone.0)
}

impl Object for Zone {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        (key.as_str() == Some("zone")).then(|| Value::from(self.0.name()))
    }

    fn is_true(self: &Arc<Self>) -> bool {
        true
    }

    fn call_method(
        self: &Arc<Self>,
        _state: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        let given = args.first().and_then(|v| v.downcast_object_ref::<Moment>());
        match (method, given) {
            ("localize", Some(moment)) => Ok(Value::from_object(Moment {
                zone: Some(self.0),
                ..moment.clone()
            })),
            ("localize", None) => Err(invalid("`localize` takes a time")),
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name())
    }
}

/// A day or a moment, as Python's `date` and `datetime` are used in templates.
#[derive(Clone, Debug)]
pub(super) struct Moment {
    local: NaiveDateTime,
    zone: Option<Tz>,
    date: bool,
}

impl Moment {
    /// A moment in UTC.
    pub fn utc(at: DateTime<Utc>) -> Self {
        Self {
            local: at.naive_utc(),
            zone: Some(Tz::UTC),
            date: false,
        }
    }

    fn naive(local: NaiveDateTime) -> Self {
        Self {
            local,
            zone: None,
            date: false,
        }
    }

    fn day(date: NaiveDate) -> Self {
        Self {
            local: date.and_time(NaiveTime::MIN),
            zone: None,
            date: true,
        }
    }

    /// The moment; what has no zone is taken for UTC.
    fn instant(&self) -> DateTime<Tz> {
        let zone = self.zone.unwrap_or(Tz::UTC);
        let found = zone.from_local_datetime(&self.local).earliest();
        found.unwrap_or_else(|| zone.from_utc_datetime(&self.local))
    }

    fn offset(&self) -> String {
        if self.zone.is_none() {
            return String::new();
        }
        let seconds = self.instant().offset().fix().local_minus_utc();
        let sign = if seconds < 0 { '-' } else { '+' };
        let minutes = seconds.abs() / 60;
        format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
    }

    fn iso(&self, separator: char) -> String {
        let day = self.local.format("%Y-%m-%d");
        if self.date {
            return day.to_string();
        }
        let micros = self.local.and_utc().timestamp_subsec_micros();
        let time = self.local.format(if micros == 0 {
            "%H:%M:%S"
        } else {
            "%H:%M:%S%.6f"
        });
        format!("{day}{separator}{time}{}", self.offset())
    }
}

impl Object for Moment {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let t = self.local;
        let key = key.as_str()?;
        let of_time = matches!(key, "hour" | "minute" | "second" | "microsecond" | "tzinfo");
        if self.date && of_time {
            return None;
        }
        Some(match key {
            "year" => Value::from(t.year()),
            "month" => Value::from(t.month()),
            "day" => Value::from(t.day()),
            "hour" => Value::from(t.hour()),
            "minute" => Value::from(t.minute()),
            "second" => Value::from(t.second()),
            "microsecond" => Value::from(t.and_utc().timestamp_subsec_micros()),
            "tzinfo" => self
                .zone
                .map_or_else(|| Value::from(()), |zone| Value::from_object(Zone(zone))),
            _ => return None,
        })
    }

    fn is_true(self: &Arc<Self>) -> bool {
        true
    }

    fn call_method(
        self: &Arc<Self>,
        _state: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        let mut args = Args::new(args);
        Ok(match method {
            "strftime" => {
                use std::fmt::Write;
                let format = args.text("strftime", "format")?;
                let mut text = String::new();
                write!(text, "{}", self.instant().format(&format))
                    .map_err(|_| invalid(format!("`{format}` is not a format of times")))?;
                Value::from(text)
            }
            "isoformat" => Value::from(self.iso('T')),
            "date" => Value::from_object(Self::day(self.local.date())),
            "weekday" => Value::from(self.local.weekday().num_days_from_monday()),
            "isoweekday" => Value::from(self.local.weekday().number_from_monday()),
            "timestamp" => Value::from(self.instant().timestamp()),
            "astimezone" => {
                let zone = args
                    .take("tz")
                    .and_then(|zone| zone_of(&zone))
                    .unwrap_or(Tz::UTC);
                Value::from_object(Self {
                    local: self.instant().with_timezone(&zone).naive_local(),
                    zone: Some(zone),
                    date: false,
                })
            }
            "replace" => self.replaced(&mut args)?,
            _ => return Err(Error::from(ErrorKind::UnknownMethod)),
        })
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.iso(' '))
    }
}

impl Moment {
    fn replaced(&self, args: &mut Args) -> Result<Value, Error> {
        let t = self.local;
        let year = u32::try_from(t.year()).unwrap_or(0);
        let mut part = |name: &str, now: u32| number(args, "replace", name, Some(now));
        let year = part("year", year)?;
        let (month, day) = (part("month", t.month())?, part("day", t.day())?);
        let (hour, minute) = (part("hour", t.hour())?, part("minute", t.minute())?);
        let second = part("second", t.second())?;
        let micro = part("microsecond", t.and_utc().timestamp_subsec_micros())?;
        let zone = match args.take("tzinfo") {
            Some(zone) => zone_of(&zone),
            None => self.zone,
        };
        let local = i32::try_from(year)
            .ok()
            .and_then(|year| NaiveDate::from_ymd_opt(year, month, day))
            .and_then(|date| date.and_hms_micro_opt(hour, minute, second, micro))
            .ok_or_else(|| invalid("there is no such time"))?;
        Ok(Value::from_object(Self {
            local,
            zone,
            date: self.date,
        }))
    }
}

/// Functions of Python's `itertools`. Their results are lists.
fn iterate(method: &str, mut args: Args) -> Result<Value, Error> {
    let size = |args: &mut Args, name: &str| args.keyword(name).and_then(|v| v.as_usize());
    let (repeat, length) = (size(&mut args, "repeat"), size(&mut args, "r"));
    let mut given: Vec<Value> = args.positional.into();
    if method == "combinations" || method == "permutations" {
        let second = (given.len() > 1).then(|| given.pop()).flatten();
        let items: Vec<Value> = given
            .first()
            .cloned()
            .unwrap_or_default()
            .try_iter()?
            .collect();
        let length = length
            .or(second.and_then(|v| v.as_usize()))
            .unwrap_or(items.len());
        return chosen(&items, length, method == "permutations");
    }
    let lists = given
        .iter()
        .map(|list| Ok(list.try_iter()?.collect()))
        .collect::<Result<Vec<Vec<Value>>, Error>>()?;
    match method {
        "chain" => Ok(lists.into_iter().flatten().collect()),
        "product" => {
            let mut rows: Vec<Vec<Value>> = vec![vec![]];
            for list in std::iter::repeat_n(&lists, repeat.unwrap_or(1).min(64)).flatten() {
                if rows.len().saturating_mul(list.len()) > COMBINATIONS {
                    return Err(too_many());
                }
                let longer = |row: &Vec<Value>, item: &Value| {
                    let mut row = row.clone();
                    row.push(item.clone());
                    row
                };
                rows = rows
                    .iter()
                    .flat_map(|row| list.iter().map(move |item| longer(row, item)))
                    .collect();
            }
            Ok(rows.into_iter().map(Value::from).collect())
        }
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    }
}

fn too_many() -> Error {
    invalid(format!("there are more than {COMBINATIONS} combinations"))
}

/// The ways to choose `length` items, in the order of their positions; each order with `ordered`.
fn chosen(items: &[Value], length: usize, ordered: bool) -> Result<Value, Error> {
    let mut rows: Vec<Vec<usize>> = vec![vec![]];
    for _ in 0..length {
        let mut longer = vec![];
        for row in &rows {
            let first = if ordered {
                0
            } else {
                row.last().map_or(0, |at| at + 1)
            };
            for at in first..items.len() {
                if !row.contains(&at) {
                    let mut row = row.clone();
                    row.push(at);
                    longer.push(row);
                }
            }
            if longer.len() > COMBINATIONS {
                return Err(too_many());
            }
        }
        rows = longer;
    }
    let values = |row: Vec<usize>| {
        row.iter()
            .filter_map(|at| items.get(*at).cloned())
            .collect::<Value>()
    };
    Ok(rows.into_iter().map(values).collect())
}

/// Functions of Python's `re`, with the syntax of the `regex` crate: no look-around, no
/// back-references. A match is its text.
fn regular_expression(method: &str, mut args: Args) -> Result<Value, Error> {
    if !["sub", "match", "search", "fullmatch", "findall", "split"].contains(&method) {
        return Err(Error::from(ErrorKind::UnknownMethod));
    }
    let pattern = args.text(method, "pattern")?;
    let replacement = if method == "sub" {
        args.text(method, "repl")?
    } else {
        String::new()
    };
    let text = args.text(method, "string")?;
    args.finish(method)?;
    let anchored = match method {
        "match" => format!("^(?:{pattern})"),
        "fullmatch" => format!("^(?:{pattern})$"),
        _ => pattern,
    };
    let regex = regex::Regex::new(&anchored).map_err(|_| {
        let message = "the pattern is not a regular expression that is supported";
        Error::new(ErrorKind::InvalidOperation, message)
    })?;
    Ok(match method {
        "sub" => Value::from(
            regex
                .replace_all(&text, regex::NoExpand(&replacement))
                .as_ref(),
        ),
        "findall" => regex
            .find_iter(&text)
            .map(|m| Value::from(m.as_str()))
            .collect(),
        "split" => regex.split(&text).map(Value::from).collect(),
        _ => regex
            .find(&text)
            .map_or_else(|| Value::from(()), |m| Value::from(m.as_str())),
    })
}
