//! Cron times on ordinary days and on those when the clock is changed.

#![expect(clippy::unwrap_used, reason = "tests")]

use chrono_tz::America::New_York;
use chrono_tz::Europe::Berlin;
use proptest::prelude::*;

use super::*;

/// Every due time of a local day, as the clock shows it with its distance from UTC.
fn day(expression: &str, timezone: Tz, date: &str) -> Vec<String> {
    let cron = Cron::parse(expression, timezone).unwrap();
    let midnight = |date: chrono::NaiveDate| {
        let time = date.and_hms_opt(0, 0, 0).unwrap();
        timezone.from_local_datetime(&time).unwrap()
    };
    let date: chrono::NaiveDate = date.parse().unwrap();
    let end = midnight(date.succ_opt().unwrap());
    let mut at = midnight(date).with_timezone(&Utc) - TimeDelta::seconds(1);
    let mut found = vec![];
    while let Some(next) = cron.next_after(at).filter(|next| *next < end) {
        found.push(next.with_timezone(&timezone).format("%H:%M%:z").to_string());
        at = next;
    }
    found
}

#[test]
fn a_time_that_the_clock_leaps_over_is_due_right_after_it() {
    for (zone, date, after) in [
        (Berlin, "2026-03-29", "03:00+02:00"),
        (New_York, "2026-03-08", "03:00-04:00"),
    ] {
        assert_eq!(day("30 2 * * *", zone, date), [after]);
        assert_eq!(
            day("*/20 2 * * *", zone, date),
            [after],
            "all together, once"
        );
        let twice = day("30 2,14 * * *", zone, date);
        assert_eq!(twice.first().unwrap(), after);
        assert_eq!(twice.len(), 2);
        let hours = day("0 1-4 * * *", zone, date);
        assert_eq!(
            hours.len(),
            3,
            "two and three o'clock are the same moment: {hours:?}"
        );
    }
}

#[test]
fn a_time_that_comes_twice_is_due_once_if_its_hour_is_named() {
    assert_eq!(day("30 2 * * *", Berlin, "2026-10-25"), ["02:30+02:00"]);
    assert_eq!(day("30 1 * * *", New_York, "2026-11-01"), ["01:30-04:00"]);
    assert_eq!(
        day("*/30 1-2 * * *", Berlin, "2026-10-25"),
        ["01:00+02:00", "01:30+02:00", "02:00+02:00", "02:30+02:00"]
    );
}

#[test]
fn an_expression_for_every_hour_follows_the_clock() {
    assert_eq!(day("0 * * * *", Berlin, "2026-03-29").len(), 23);
    assert_eq!(day("0 * * * *", Berlin, "2026-10-25").len(), 25);
    assert_eq!(day("@hourly", New_York, "2026-11-01").len(), 25);
    assert_eq!(day("*/15 * * * *", New_York, "2026-03-08").len(), 23 * 4);
    let autumn = day("0 */2 * * *", Berlin, "2026-10-25");
    assert_eq!(autumn.get(1..3).unwrap(), ["02:00+02:00", "02:00+01:00"]);
    let spring = day("0 */2 * * *", Berlin, "2026-03-29");
    assert_eq!(spring.get(..2).unwrap(), ["00:00+01:00", "04:00+02:00"]);
}

#[test]
fn a_day_in_the_week() {
    let expression = "*/15 6-22 * * mon-fri";
    assert_eq!(day(expression, Berlin, "2026-06-05").len(), 17 * 4);
    assert_eq!(day(expression, Berlin, "2026-06-06").len(), 0);
    assert_eq!(day("@daily", Berlin, "2026-06-06"), ["00:00+02:00"]);
    assert_eq!(day("0 9 * * 7", Berlin, "2026-06-07"), ["09:00+02:00"]);
}

#[test]
fn mistakes_name_the_field() {
    let parse = |text| {
        Cron::parse(text, Tz::UTC)
            .map(|_| ())
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        parse("61 * * * *"),
        "`61` is no minute of a cron expression"
    );
    assert_eq!(parse("0 25 * * *"), "`25` is no hour of a cron expression");
    assert_eq!(
        parse("0 0 0 * *"),
        "`0` is no day of the month of a cron expression"
    );
    assert_eq!(
        parse("0 0 * * mon-fry"),
        "`mon-fry` is no day of the week of a cron expression"
    );
    assert_eq!(
        parse("0 0 * *"),
        "a cron expression has five fields, this has 4"
    );
    assert_eq!(
        parse("0 0 0 * * *"),
        "a cron expression has five fields, this has 6"
    );
    assert_eq!(parse("0 0 30 2 *"), "`0 0 30 2 *` is never due");
    assert_eq!(parse("@often"), "`@often` is no cron expression");
    assert_eq!(parse(""), "a cron expression has five fields, this has 0");
}

#[test]
fn intervals() {
    let read = |text| parse_interval(text).map(|interval| interval.as_secs());
    assert_eq!(read("90s"), Some(90));
    assert_eq!(read("15m"), Some(900));
    assert_eq!(read("2h"), Some(7200));
    assert_eq!(read("1d"), Some(86400));
    for text in [
        "",
        "m",
        "15",
        "1.5h",
        "-1m",
        "+1m",
        "1w",
        "1 h",
        "é",
        "99999999999999999999d",
    ] {
        assert_eq!(read(text), None, "{text}");
    }
    assert_eq!(interval_text(Duration::from_secs(5400)), "90m");
    assert_eq!(interval_text(Duration::from_secs(86400)), "1d");
    assert_eq!(interval_text(Duration::from_secs(61)), "61s");
}

proptest! {
    #[test]
    fn any_text_is_read_without_panic(text in "[0-9a-zA-Z*/,# @?é-]{0,20}") {
        let _ = Cron::parse(&text, Tz::UTC);
        let _ = parse_interval(&text);
    }

    /// The times that the clock shows, looked for minute by minute.
    #[test]
    fn the_next_time_is_the_first_that_fits(
        minute in 0_u32..60,
        hour in prop::option::of(0_u32..24),
        start in 1_766_000_000_i64..1_800_000_000,
    ) {
        use chrono::Timelike;
        let hours = hour.map_or("*".to_owned(), |hour| hour.to_string());
        let cron = Cron::parse(&format!("{minute} {hours} * * *"), Berlin).unwrap();
        let start = DateTime::from_timestamp(start, 0).unwrap();
        let found = cron.next_after(start).unwrap();
        let fits = |time: DateTime<Utc>| {
            let shown = time.with_timezone(&Berlin);
            shown.minute() == minute && hour.is_none_or(|hour| shown.hour() == hour)
        };
        // A named time that comes twice or not at all has tests of its own.
        let ordinary = |time: DateTime<Utc>| {
            let offset = |hours| {
                use chrono::Offset;
                (time + TimeDelta::hours(hours)).with_timezone(&Berlin).offset().fix()
            };
            offset(-27) == offset(3)
        };
        prop_assume!(hour.is_none() || ordinary(found));
        let mut at = start.with_second(0).unwrap() + TimeDelta::minutes(1);
        while !fits(at) {
            at += TimeDelta::minutes(1);
        }
        prop_assert_eq!(found, at);
    }
}
