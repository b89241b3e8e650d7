//! `schedule:` of a sync, and `schedules:` and `alerts:` of `kinfold.yml`.

use std::time::Duration;

use chrono_tz::Tz;

use crate::codes;
use crate::diagnostic::{Diagnostic, Severity};
use crate::located::{Located, Value, ValueKind};
use crate::schedule::{
    Alert, BuildSchedule, CatchUp, Cron, CronError, LONGEST_INTERVAL, Overlap, SHORTEST_INTERVAL,
    Schedule, ThenSync, Trigger, interval_text, parse_interval,
};
use crate::suggest;
use crate::template;

use super::fields::{Fields, wrong_type};
use super::generic_tests::invalid_word;
use super::syncs::{check_name, choice};

type Problems = Vec<Diagnostic>;

/// The keys of a schedule.
const KEYS: &[&str] = &[
    "cron",
    "timezone",
    "every",
    "on",
    "at_most_every",
    "at_least_every",
    "overlap",
    "catch_up",
];

/// The keys that say when; a schedule has one of them.
const TRIGGERS: [&str; 3] = ["cron", "every", "on"];

/// The `schedule:` of a sync.
pub(super) fn of_sync(sync: &Fields<'_>, problems: &mut Problems) -> Option<Schedule> {
    let value = sync.get("schedule")?;
    if let ValueKind::String(text) = &value.kind {
        let key = match parse_interval(text) {
            Some(_) => "every",
            None if text == "inputs" => "on",
            None => "cron",
        };
        problems.push(
            wrong_type("`schedule`", "a mapping", value)
                .with_help(format!("write `schedule: {{{key}: \"{text}\"}}`")),
        );
        return None;
    }
    let fields = Fields::of(value, "a schedule", problems)?;
    fields.check_keys(KEYS, Severity::Error, problems);
    schedule(&fields, value, problems)
}

/// The `schedules:` of the project: builds.
pub(super) fn builds(project: &Fields<'_>, problems: &mut Problems) -> Vec<BuildSchedule> {
    let mut found: Vec<BuildSchedule> = vec![];
    for item in project.list("schedules", problems) {
        let Some(build) = build(item, problems) else {
            continue;
        };
        match found.iter().find(|b| b.name.value == build.name.value) {
            Some(first) => problems.push(
                Diagnostic::error(
                    codes::DUPLICATE_NAME,
                    format!("there are two schedules `{}`", build.name.value),
                    build.name.span,
                )
                .with_related(first.name.span, "the other one"),
            ),
            None => found.push(build),
        }
    }
    found
}

fn build(item: &Value, problems: &mut Problems) -> Option<BuildSchedule> {
    let fields = Fields::of(item, "an entry of `schedules`", problems)?;
    let known = [&["name", "build", "then_sync"], KEYS].concat();
    fields.check_keys(&known, Severity::Error, problems);
    let name = fields.required_text("name", problems);
    if let Some(name) = &name {
        check_name("schedule", name, problems);
    }
    let build = fields.required_text("build", problems);
    if let Some(build) = &build
        && build.value.trim().is_empty()
    {
        problems.push(
            Diagnostic::error(codes::INVALID_VALUE, "`build` is empty", build.span)
                .with_help("give what `--select` takes, or `\"*\"` for everything"),
        );
    }
    let schedule = schedule(&fields, item, problems);
    let then_sync = match fields.get("then_sync") {
        None => ThenSync::None,
        Some(value) if value.as_str() == Some("all") => ThenSync::All,
        Some(_) => ThenSync::Named(fields.texts("then_sync", problems)),
    };
    Some(BuildSchedule {
        name: name?,
        build: build?,
        schedule: schedule?,
        then_sync,
    })
}

/// The keys of [`KEYS`], of which exactly one trigger must be there.
fn schedule(fields: &Fields<'_>, whole: &Value, problems: &mut Problems) -> Option<Schedule> {
    let overlap = choice(fields, "overlap", &Overlap::ALL, Overlap::as_str, problems);
    let catch_up = choice(fields, "catch_up", &CatchUp::ALL, CatchUp::as_str, problems);
    let triggers: Vec<&str> = TRIGGERS
        .into_iter()
        .filter(|key| fields.get(key).is_some())
        .collect();
    let only = match triggers.as_slice() {
        [only] => *only,
        [] => {
            problems.push(
                Diagnostic::error(
                    codes::MISSING_KEY,
                    "nothing says when this is due",
                    fields.head(),
                )
                .with_help("add `cron: \"0 6 * * *\"`, `every: 15m` or `on: inputs`"),
            );
            return None;
        }
        [first, second, ..] => {
            let diagnostic = Diagnostic::error(
                codes::INVALID_SCHEDULE,
                format!("`{second}` and `{first}` cannot both say when this is due"),
                fields.key_span(second),
            )
            .with_related(fields.key_span(first), "the other one");
            problems.push(if triggers.contains(&"on") && !triggers.contains(&"cron") {
                diagnostic.with_help(
                    "with `on: inputs`, say `at_most_every` or `at_least_every` instead of `every`",
                )
            } else {
                diagnostic.with_help("leave one of them out")
            });
            return None;
        }
    };
    for (key, of) in [
        ("timezone", "cron"),
        ("at_most_every", "on"),
        ("at_least_every", "on"),
    ] {
        if of != only && fields.get(key).is_some() {
            problems.push(Diagnostic::error(
                codes::INVALID_SCHEDULE,
                format!("`{key}` belongs to `{of}` and means nothing beside `{only}`"),
                fields.key_span(key),
            ));
        }
    }
    let trigger = match only {
        "cron" => cron(fields, problems),
        "every" => interval(fields, "every", problems).map(Trigger::Every),
        _ => inputs(fields, problems),
    };
    if only == "on" && overlap == Overlap::Skip {
        problems.push(
            Diagnostic::error(
                codes::INVALID_SCHEDULE,
                "`overlap: skip` would lose a change of the inputs that comes during a run",
                fields.key_span("overlap"),
            )
            .with_help("leave it out: all changes during a run get one run after it"),
        );
    }
    Some(Schedule {
        trigger: trigger?,
        overlap,
        catch_up,
        span: whole.span,
    })
}

fn cron(fields: &Fields<'_>, problems: &mut Problems) -> Option<Trigger> {
    let zone = match fields.text("timezone", problems) {
        None => Some(Tz::UTC),
        Some(name) => timezone(&name, problems),
    };
    let expression = fields.text("cron", problems)?;
    // A wrong zone is no reason not to look at the expression.
    match Cron::parse(&expression.value, zone.unwrap_or(Tz::UTC)) {
        Ok(cron) => zone.map(|_| Trigger::Cron(Box::new(cron))),
        Err(error) => {
            let help = match &error {
                CronError::Never { .. } => "no month has that day",
                CronError::Fields { found: 6.. } => {
                    "the fields are minute, hour, day of the month, month and day of the week; seconds and years are not possible"
                }
                _ => {
                    "the fields are minute (0-59), hour (0-23), day of the month (1-31), month (1-12) and day of the week (0-7 or mon-sun)"
                }
            };
            let diagnostic =
                Diagnostic::error(codes::INVALID_CRON, error.to_string(), expression.span);
            problems.push(diagnostic.with_help(help));
            None
        }
    }
}

fn timezone(name: &Located<String>, problems: &mut Problems) -> Option<Tz> {
    let found: Option<Tz> = name.value.parse().ok();
    if found.is_none() {
        let diagnostic = Diagnostic::error(
            codes::INVALID_VALUE,
            format!("there is no time zone `{}`", name.value),
            name.span,
        );
        let known = chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name());
        problems.push(match suggest::did_you_mean(&name.value, known) {
            Some(help) => diagnostic.with_help(help),
            None => diagnostic.with_help("name it like `Europe/Berlin` or `UTC`"),
        });
    }
    found
}

fn inputs(fields: &Fields<'_>, problems: &mut Problems) -> Option<Trigger> {
    let word = fields.text("on", problems)?;
    if word.value != "inputs" {
        problems.push(invalid_word("on", &word.value, word.span, &["inputs"]));
        return None;
    }
    let given = |key| fields.get(key).is_some();
    let at_most_every = interval(fields, "at_most_every", problems);
    let at_least_every = interval(fields, "at_least_every", problems);
    if (given("at_most_every") && at_most_every.is_none())
        || (given("at_least_every") && at_least_every.is_none())
    {
        return None;
    }
    if let (Some(most), Some(least)) = (at_most_every, at_least_every)
        && most > least
    {
        problems.push(
            Diagnostic::error(
                codes::INVALID_SCHEDULE,
                format!(
                    "`at_least_every: {}` is shorter than `at_most_every: {}`",
                    interval_text(least),
                    interval_text(most)
                ),
                fields.key_span("at_least_every"),
            )
            .with_related(fields.key_span("at_most_every"), "the longer one"),
        );
        return None;
    }
    Some(Trigger::Inputs {
        at_most_every,
        at_least_every,
    })
}

fn interval(fields: &Fields<'_>, key: &str, problems: &mut Problems) -> Option<Duration> {
    let text = fields.text(key, problems)?;
    let Some(interval) = parse_interval(&text.value) else {
        problems.push(
            Diagnostic::error(
                codes::INVALID_VALUE,
                format!("`{}` is no length of time", text.value),
                text.span,
            )
            .with_help("write a whole number and `s`, `m`, `h` or `d`, like `90s` or `15m`"),
        );
        return None;
    };
    if !(SHORTEST_INTERVAL..=LONGEST_INTERVAL).contains(&interval) {
        problems.push(Diagnostic::error(
            codes::INVALID_VALUE,
            format!(
                "`{key}` must be between {} and {}",
                interval_text(SHORTEST_INTERVAL),
                interval_text(LONGEST_INTERVAL)
            ),
            text.span,
        ));
        return None;
    }
    Some(interval)
}

/// The `alerts:` of the project.
pub(super) fn alerts(project: &Fields<'_>, problems: &mut Problems) -> Vec<Alert> {
    let mut found: Vec<Alert> = vec![];
    for item in project.list("alerts", problems) {
        let Some(fields) = Fields::of(item, "an entry of `alerts`", problems) else {
            continue;
        };
        fields.check_keys(&["webhook", "after_failures"], Severity::Error, problems);
        let webhook = fields.required_text("webhook", problems);
        if let Some(webhook) = &webhook {
            check_webhook(webhook, problems);
        }
        let after_failures = after_failures(&fields, problems);
        if let (Some(webhook), Some(after_failures)) = (webhook, after_failures) {
            match found.iter().find(|a| a.webhook.value == webhook.value) {
                Some(first) => problems.push(
                    Diagnostic::error(
                        codes::DUPLICATE_NAME,
                        "this webhook is here twice",
                        webhook.span,
                    )
                    .with_related(first.webhook.span, "first here"),
                ),
                None => found.push(Alert {
                    webhook,
                    after_failures,
                }),
            }
        }
    }
    found
}

/// An address that is written out must be one; one with Jinja must be such that it can be rendered. Neither
/// message shows it.
fn check_webhook(webhook: &Located<String>, problems: &mut Problems) {
    if webhook.value.contains('{') {
        // No value is known here, and none is wanted: every variable counts as set.
        let any = |_: &str| Some(String::new());
        let scope = template::Scope {
            environment_variable: &any,
            vars: &[],
        };
        if let Err(diagnostic) = template::render(webhook, &scope)
            && diagnostic.code != codes::UNDEFINED_VAR
        {
            problems.push(*diagnostic);
        }
        return;
    }
    let host = webhook
        .value
        .strip_prefix("https://")
        .or_else(|| webhook.value.strip_prefix("http://"));
    if host.is_none_or(|host| host.is_empty() || host.starts_with('/')) {
        problems.push(
            Diagnostic::error(
                codes::INVALID_VALUE,
                "`webhook` must be an address that begins with `https://` or `http://`",
                webhook.span,
            )
            .with_help("keep it out of the file: `webhook: \"{{ env_var('ALERT_URL') }}\"`"),
        );
    }
}

fn after_failures(fields: &Fields<'_>, problems: &mut Problems) -> Option<u32> {
    let Some(value) = fields.get("after_failures") else {
        return Some(1);
    };
    let number = match &value.kind {
        ValueKind::Int(number) => u32::try_from(*number).ok().filter(|number| *number > 0),
        _ => None,
    };
    if number.is_none() {
        problems.push(Diagnostic::error(
            codes::INVALID_VALUE,
            "`after_failures` must be a whole number above 0",
            value.span,
        ));
    }
    number
}

/// Builds and syncs that a server runs share one set of names, and a build is followed by syncs that exist.
pub(super) fn check(
    schedules: &[BuildSchedule],
    syncs: &[&Located<String>],
    problems: &mut Problems,
) {
    for schedule in schedules {
        if let Some(sync) = syncs.iter().find(|sync| sync.value == schedule.name.value) {
            problems.push(
                Diagnostic::error(
                    codes::DUPLICATE_NAME,
                    format!("`{}` is the name of a schedule and of a sync", sync.value),
                    schedule.name.span,
                )
                .with_related(sync.span, "the sync")
                .with_help("rename one: a server calls both by their names"),
            );
        }
        let ThenSync::Named(names) = &schedule.then_sync else {
            continue;
        };
        for name in names {
            if syncs.iter().any(|sync| sync.value == name.value) {
                continue;
            }
            let diagnostic = Diagnostic::error(
                codes::UNKNOWN_SYNC,
                format!("there is no sync `{}`", name.value),
                name.span,
            );
            let known = syncs.iter().map(|sync| sync.value.as_str());
            problems.push(match suggest::did_you_mean(&name.value, known) {
                Some(help) => diagnostic.with_help(help),
                None => diagnostic.with_help("declare it in a file below `syncs/`"),
            });
        }
    }
}
