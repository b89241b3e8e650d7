//! The configuration that only models with materialization `identity` have.

use crate::codes;
use crate::diagnostic::{Diagnostic, Severity};
use crate::identity::{IdentifierRules, IdentityRules, Normalise, parse_limit};
use crate::located::{Located, Value, ValueKind};

use super::fields::{Fields, wrong_type};
use super::generic_tests::invalid_word;

type Problems = Vec<Diagnostic>;

const KEYS: &[&str] = &[
    "limit",
    "normalise",
    "country",
    "blocked",
    "blocked_patterns",
    "one",
    "max_records",
    "min_length",
    "max_length",
];

/// Reads the keys of a model's configuration that are the rules of its identity.
#[must_use]
pub fn identity_rules(entries: &[(Located<String>, Value)]) -> (IdentityRules, Vec<Diagnostic>) {
    let mut problems = vec![];
    let mut rules = IdentityRules::default();
    let found = |name: &str| entries.iter().find(|(key, _)| key.value == name);
    if let Some((_, value)) = found("identifiers") {
        rules.identifiers = identifiers(value, &mut problems);
    }
    if let Some((_, value)) = found("max_identifiers") {
        rules.max_identifiers = count("max_identifiers", value, &mut problems);
    }
    if let Some((_, value)) = found("salt").filter(|(_, v)| !matches!(v.kind, ValueKind::Null)) {
        rules.salt = super::fields::text(value, "`salt`", &mut problems);
    }
    (rules, problems)
}

fn identifiers(value: &Value, problems: &mut Problems) -> Vec<IdentifierRules> {
    let Some(types) = Fields::of(value, "`identifiers`", problems) else {
        return vec![];
    };
    let rules: Vec<IdentifierRules> = types
        .entries()
        .iter()
        .filter_map(|(id_type, value)| identifier(id_type, value, problems))
        .collect();
    for rule in &rules {
        let Some(one) = &rule.one else { continue };
        let names = || rules.iter().map(|other| other.id_type.value.as_str());
        if one.value == rule.id_type.value {
            problems.push(Diagnostic::error(
                codes::INVALID_VALUE,
                "`one` names another type than its own",
                one.span,
            ));
        } else if !names().any(|name| name == one.value) {
            let problem = Diagnostic::error(
                codes::INVALID_VALUE,
                format!("there are no rules for identifiers `{}`", one.value),
                one.span,
            );
            problems.push(match crate::suggest::did_you_mean(&one.value, names()) {
                Some(help) => problem.with_help(help),
                None => problem.with_help(format!(
                    "add `{}: {{}}` to `identifiers`, at its place in their order",
                    one.value
                )),
            });
        }
    }
    rules
}

fn identifier(
    id_type: &Located<String>,
    value: &Value,
    problems: &mut Problems,
) -> Option<IdentifierRules> {
    let what = format!("identifier `{}`", id_type.value);
    let fields = Fields::of(value, &what, problems)?;
    fields.check_keys(KEYS, Severity::Error, problems);
    let limit = fields.text("limit", problems).and_then(|text| {
        let limit = parse_limit(&text.value);
        if limit.is_none() {
            problems.push(
                Diagnostic::error(
                    codes::INVALID_VALUE,
                    "`limit` must be a number of values and a time",
                    text.span,
                )
                .with_help("write it like `1 ever` or `5 per 7 days`"),
            );
        }
        Some(Located::new(limit?, text.span))
    });
    let normalise = fields.text("normalise", problems).and_then(|word| {
        let mut all = Normalise::ALL.into_iter();
        let found = all.find(|form| form.as_str() == word.value);
        if found.is_none() {
            let words = Normalise::ALL.map(Normalise::as_str);
            problems.push(invalid_word("normalise", &word.value, word.span, &words));
        }
        Some(Located::new(found?, word.span))
    });
    let country = fields.text("country", problems).and_then(|text| {
        let sound = text.value.len() == 2 && text.value.bytes().all(|b| b.is_ascii_alphabetic());
        if !sound {
            problems.push(
                Diagnostic::error(
                    codes::INVALID_VALUE,
                    "`country` must be the two letters of a country",
                    text.span,
                )
                .with_help("write it like `DE` or `GB`"),
            );
        }
        sound.then(|| Located::new(text.value.to_ascii_uppercase(), text.span))
    });
    if let (Some(country), true) = (
        &country,
        normalise
            .as_ref()
            .is_none_or(|n| n.value != Normalise::Phone),
    ) {
        problems.push(
            Diagnostic::error(
                codes::INVALID_VALUE,
                "`country` is for telephone numbers",
                country.span,
            )
            .with_help("it goes with `normalise: phone`"),
        );
    }
    let blocked_patterns = fields.texts("blocked_patterns", problems);
    for pattern in &blocked_patterns {
        if let Err(error) = regex::Regex::new(&pattern.value) {
            problems.push(Diagnostic::error(
                codes::INVALID_VALUE,
                format!("this is no regular expression: {}", first_line(&error)),
                pattern.span,
            ));
        }
    }
    let mut number = |key: &str| count(key, fields.get(key)?, problems);
    let max_records = number("max_records");
    let (min_length, max_length) = (number("min_length"), number("max_length"));
    if let (Some(min), Some(max)) = (&min_length, &max_length)
        && min.value > max.value
    {
        problems.push(
            Diagnostic::error(
                codes::INVALID_VALUE,
                "`max_length` is below `min_length`, so every value is refused",
                max.span,
            )
            .with_related(min.span, "the fewest characters"),
        );
    }
    Some(IdentifierRules {
        id_type: id_type.clone(),
        limit,
        normalise,
        country,
        blocked: fields.texts("blocked", problems),
        blocked_patterns,
        one: fields.text("one", problems),
        max_records,
        min_length,
        max_length,
    })
}

/// What is wrong with a pattern, without the drawing of it.
fn first_line(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.trim_start_matches("error: ").to_owned()
}

fn count(key: &str, value: &Value, problems: &mut Problems) -> Option<Located<u64>> {
    let number = match &value.kind {
        ValueKind::Null => return None,
        ValueKind::Int(number) => u64::try_from(*number).ok().filter(|number| *number > 0),
        _ => {
            problems.push(wrong_type(&format!("`{key}`"), "a whole number", value));
            return None;
        }
    };
    if number.is_none() {
        problems.push(Diagnostic::error(
            codes::INVALID_VALUE,
            format!("`{key}` must be above 0"),
            value.span,
        ));
    }
    Some(Located::new(number?, value.span))
}
