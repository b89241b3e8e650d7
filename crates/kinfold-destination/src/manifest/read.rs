//! YAML → [`Manifest`].

mod call;
mod object;
mod reach;
mod rules;

use std::time::Duration;

use chrono_tz::Tz;
use kinfold_project::{Diagnostic, FileId, SourceMap, Value, ValueKind, suggest, yaml};

use super::describe::Block;
use super::fields::{Fields, text, wrong_type};
use super::{Auth, Aws, Call, Counted, Limit, Manifest, Parameter, Window, blocks, check};
use crate::codes;
use crate::expression::{Kind, Names, Root};
use crate::template::{Reading, Text};
use call::Place;
use rules::rules;

/// The only version of the language.
const VERSION: u32 = 1;

/// What every call may look up.
const ALWAYS: &[Root] = &[Root::Connection, Root::Auth, Root::Now];
/// What an answer has.
const ANSWER: &[Root] = &[
    Root::Connection,
    Root::Answer,
    Root::Status,
    Root::Header,
    Root::Now,
];

/// Names that the whole manifest shares.
pub(super) struct Known {
    parameters: Vec<(String, bool)>,
    auth: Vec<String>,
}

impl Known {
    fn names<'a>(&'a self, roots: &'a [Root]) -> Names<'a> {
        Names {
            roots,
            parameters: &self.parameters,
            auth: &self.auth,
            ..Names::default()
        }
    }
}

/// Reads and checks a manifest that is file `file` of `files`. Problems are added; `None` if there is an error
/// among them.
#[must_use]
pub fn read(files: &SourceMap, file: FileId, problems: &mut Vec<Diagnostic>) -> Option<Manifest> {
    let before = problems.len();
    let text = files.get(file)?.text.clone();
    let value = yaml::read(&text, file, problems)?;
    let mut reading = Reading { files, problems };
    let manifest = manifest(&value, &mut reading);
    if let Some(manifest) = &manifest {
        check::whole(manifest, &mut reading);
    }
    let sound = !problems.iter().skip(before).any(Diagnostic::is_error);
    manifest.filter(|_| sound)
}

fn manifest(value: &Value, reading: &mut Reading<'_>) -> Option<Manifest> {
    let fields = Fields::of(value, &blocks::MANIFEST, reading)?;
    let version = fields.count("version", reading);
    if version.is_some_and(|version| version != VERSION) {
        let message = format!("this program knows version {VERSION} of manifests only");
        reading.error(codes::VERSION, message, fields.span_of("version"));
        return None;
    }
    let name = fields.text("name", reading);
    if let Some(name) = &name {
        check_name(
            name,
            "the name of a destination",
            fields.span_of("name"),
            reading,
        );
    }
    let parameters = parameters(&fields, reading);
    let mut known = Known {
        parameters: parameters
            .iter()
            .map(|parameter| (parameter.name.clone(), parameter.secret))
            .collect(),
        auth: Vec::new(),
    };
    let auth = auth(&fields, &mut known, reading);
    let base_url = fields.template_text("base_url", &known.names(ALWAYS), reading);
    let headers = fields.text_map("headers", &known.names(ALWAYS), reading);
    let limits = limits(&fields, &known, reading);
    let answers = known.names(ANSWER);
    let rules = rules(&fields, "rules", &blocks::RULE, &answers, reading);
    for rule in rules.iter().filter(|rule| rule.unnamed.is_some()) {
        let message = "`unnamed` belongs to the rules of the call that has `rows`";
        reading.error(codes::UNUSED, message, rule.span);
    }
    let place = Place::new(ALWAYS);
    let check = fields
        .get("check")
        .and_then(|value| call::call(value, &place, &known, reading));
    let no_check = no_check(&fields, check.as_ref(), reading);
    let objects = object::objects(&fields, &known, reading);
    Some(Manifest {
        name: name?,
        title: fields.text("title", reading)?,
        about: fields.text("about", reading)?,
        sources: fields.texts("sources", reading),
        verified: fields.text("verified", reading),
        parameters,
        base_url: base_url?,
        base_url_at: fields
            .get("base_url")
            .map_or(fields.span, |value| value.span),
        headers,
        auth: auth?,
        limits,
        rules,
        check,
        no_check,
        clear_with: fields
            .get("clear_with")
            .map_or(serde_json::Value::Null, Value::to_json),
        objects,
    })
}

/// Why credentials cannot be checked. Beside a call for every connection it would say what is not so.
fn no_check(
    fields: &Fields<'_>,
    check: Option<&Call>,
    reading: &mut Reading<'_>,
) -> Option<String> {
    let why = fields.text("no_check", reading)?;
    if check.is_some_and(|call| call.when.is_none()) {
        let message = "`no_check` beside a `check` for every connection";
        reading.error(codes::UNUSED, message, fields.span_of("no_check"));
    }
    Some(why)
}

/// A name that is a part of others.
pub(super) fn check_name(
    name: &str,
    what: &str,
    span: kinfold_project::Span,
    reading: &mut Reading<'_>,
) {
    let good = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_'));
    if !good {
        let message = format!("`{name}` cannot be {what}");
        let problem = Diagnostic::error(codes::INVALID_NAME, message, span);
        let help = "it has lower-case letters, digits, `-` and `_`, and begins with a letter";
        reading.problems.push(problem.with_help(help));
    }
}

/// Named blocks: `name: {…}`.
pub(super) fn named<'v, T>(
    fields: &Fields<'v>,
    key: &str,
    block: &'static Block,
    reading: &mut Reading<'_>,
    mut read: impl FnMut(&str, &Fields<'v>, &mut Reading<'_>) -> Option<T>,
) -> Vec<T> {
    let mut found = Vec::new();
    for (name, value) in fields.map(key, reading) {
        if let Some(below) = Fields::of(value, block, reading) {
            found.extend(read(&name.value, &below, reading));
        }
    }
    found
}

fn parameters(fields: &Fields<'_>, reading: &mut Reading<'_>) -> Vec<Parameter> {
    named(
        fields,
        "parameters",
        &blocks::PARAMETER,
        reading,
        |name, fields, reading| {
            check_name(name, "the name of a parameter", fields.span, reading);
            let choices: Vec<(String, String)> = fields
                .map("choices", reading)
                .iter()
                .filter_map(|(word, value)| {
                    Some((word.value.clone(), text(value, "choices", reading)?))
                })
                .collect();
            let default = fields.text("default", reading);
            let secret = fields.flag("secret", reading) == Some(true);
            if let Some(default) = &default
                && !choices.is_empty()
                && !choices.iter().any(|(word, _)| word == default)
            {
                let known = suggest::one_of(choices.iter().map(|(word, _)| word.as_str()));
                let message = format!("`default` is {known}");
                reading.error(codes::INVALID_VALUE, message, fields.span_of("default"));
            }
            if secret && (default.is_some() || !choices.is_empty()) {
                let message = "a secret has no default and no choices";
                reading.error(codes::SECRET_EXPOSED, message, fields.span);
            }
            Some(Parameter {
                name: name.to_owned(),
                about: fields.text("about", reading)?,
                secret,
                optional: fields.flag("optional", reading) == Some(true),
                default,
                choices,
                example: fields.text("example", reading),
            })
        },
    )
}

fn auth(fields: &Fields<'_>, known: &mut Known, reading: &mut Reading<'_>) -> Option<Auth> {
    let renew_before = Duration::from_secs(60);
    let Some(value) = fields.get("auth") else {
        return Some(Auth {
            renew_before,
            ..Auth::default()
        });
    };
    let fields = Fields::of(value, &blocks::AUTH, reading)?;
    let place = Place::new(&[Root::Connection, Root::Now]).secret();
    let token = match fields.get("token") {
        Some(value) => Some(call::call(value, &place, known, reading)?),
        None => None,
    };
    if let Some(token) = &token {
        known.auth = token.keep.iter().map(|(name, _)| name.clone()).collect();
    }
    let expires_in = fields.wait("expires_in", &known.names(ANSWER), reading);
    let rotates = fields.text("rotates", reading);
    if let Some(rotates) = &rotates {
        let kept = known.auth.contains(rotates);
        let parameter = known
            .parameters
            .iter()
            .any(|(name, secret)| name == rotates && *secret);
        if !(kept && parameter) {
            let message = format!(
                "`{rotates}` must be a secret parameter, and be kept by the call for a token"
            );
            reading.error(codes::INVALID_VALUE, message, fields.span_of("rotates"));
        }
    }
    for key in ["expires_in", "renew_before", "rotates"] {
        if token.is_none() && fields.get(key).is_some() {
            let message = format!("`{key}` means nothing without `token`");
            reading.error(codes::UNUSED, message, fields.span_of(key));
        }
    }
    let mut roots = ALWAYS.to_vec();
    roots.push(Root::Request);
    let signing = known.names(&roots);
    let headers = fields.text_map("headers", &signing, reading);
    let query = fields.text_map("query", &known.names(ALWAYS), reading);
    let aws = match fields.get("aws") {
        Some(value) => Some(aws(value, &known.names(ALWAYS), reading)?),
        None => None,
    };
    Some(Auth {
        token,
        expires_in,
        renew_before: fields
            .duration("renew_before", reading)
            .unwrap_or(renew_before),
        rotates,
        headers,
        query,
        aws,
    })
}

fn aws(value: &Value, names: &Names<'_>, reading: &mut Reading<'_>) -> Option<Aws> {
    let fields = Fields::of(value, &blocks::AWS, reading)?;
    let mut text = |key: &str| -> Option<Text> { fields.template_text(key, names, reading) };
    let (region, service) = (text("region"), text("service"));
    let (access_key, secret_key) = (text("access_key"), text("secret_key"));
    let session_token = text("session_token");
    Some(Aws {
        region: region?,
        service: service?,
        access_key: access_key?,
        secret_key: secret_key?,
        session_token,
    })
}

fn limits(fields: &Fields<'_>, known: &Known, reading: &mut Reading<'_>) -> Vec<Limit> {
    let mut found = Vec::new();
    for value in fields.blocks("limits", reading) {
        found.extend(limit(value, known, reading));
    }
    found
}

fn limit(value: &Value, known: &Known, reading: &mut Reading<'_>) -> Option<Limit> {
    let fields = Fields::of(value, &blocks::LIMIT, reading)?;
    let most = if let Some(calls) = fields.count("calls", reading) {
        Counted::Calls(calls)
    } else if let Some(rows) = fields.count("rows", reading) {
        Counted::Rows(rows)
    } else if let Some(points) = fields.count("points", reading) {
        Counted::Points(points)
    } else {
        Counted::AtOnce(fields.count("at_once", reading)?)
    };
    let timed = !matches!(most, Counted::AtOnce(_));
    let per = fields.duration("per", reading);
    if timed && per.is_none() && fields.get("per").is_none() {
        reading.error(
            codes::MISSING_KEY,
            "a limit in time needs `per`",
            fields.span,
        );
    }
    for key in ["per", "window", "zone", "remaining", "reset"] {
        if !timed && fields.get(key).is_some() {
            let message = format!("`{key}` means nothing for calls at a time");
            reading.error(codes::LIMIT, message, fields.span_of(key));
        }
    }
    let zone = match fields.text("zone", reading) {
        None => Tz::UTC,
        Some(name) => name.parse().unwrap_or_else(|_| {
            let message = format!("there is no time zone `{name}`");
            reading.error(codes::INVALID_VALUE, message, fields.span_of("zone"));
            Tz::UTC
        }),
    };
    let window = match fields.word("window", reading) {
        Some("clock") => Window::Clock(zone),
        Some("bucket") => Window::Bucket,
        _ => Window::Rolling,
    };
    let whole_days = per.is_some_and(|per| per.as_secs() % 86_400 == 0);
    if zone != Tz::UTC && !(whole_days && matches!(window, Window::Clock(_))) {
        let message = "`zone` is for `window: clock` and a period of days";
        reading.error(codes::LIMIT, message, fields.span_of("zone"));
    }
    let answers = known.names(ANSWER);
    let remaining = fields.open_expression("remaining", &answers, reading);
    let reset = fields.wait("reset", &answers, reading);
    if remaining.is_none() && reset.is_some() {
        let message = "`reset` is used when `remaining` is 0, and there is none";
        reading.error(codes::LIMIT, message, fields.span_of("reset"));
    }
    Some(Limit {
        most,
        per: per.unwrap_or_default(),
        window,
        group: fields.text("group", reading),
        remaining,
        reset,
        span: fields.span,
    })
}

/// A list of texts and of lists of texts.
pub(super) fn text_lists(
    fields: &Fields<'_>,
    key: &str,
    reading: &mut Reading<'_>,
) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let Some(value) = fields.get(key) else {
        return found;
    };
    let ValueKind::List(items) = &value.kind else {
        wrong_type(reading, &format!("`{key}`"), "a list", value);
        return found;
    };
    for item in items {
        match &item.kind {
            ValueKind::List(inner) => {
                found.push(
                    inner
                        .iter()
                        .filter_map(|item| text(item, key, reading))
                        .collect(),
                );
            }
            _ => found.extend(text(item, key, reading).map(|text| vec![text])),
        }
    }
    found
}

/// An expression that must be a condition was checked already; one that must be a list is checked here.
pub(super) fn check_list(
    kind: Kind,
    key: &str,
    span: kinfold_project::Span,
    reading: &mut Reading<'_>,
) {
    if !matches!(kind, Kind::Any | Kind::List) {
        let message = format!("`{key}` must be a list and is {}", kind.as_str());
        reading.error(codes::EXPRESSION, message, span);
    }
}
