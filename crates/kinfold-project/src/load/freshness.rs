//! `freshness:`, `loaded_at_field:` and `loaded_at_query:` of sources.

use crate::codes;
use crate::diagnostic::{Diagnostic, Severity};
use crate::freshness::{Freshness, LoadedAt, MaxAge, Period};
use crate::located::{Located, Value, ValueKind};
use crate::model::ConfigLayer;
use crate::template::{self, Scope};

use super::fields::{Fields, text, wrong_type};
use super::generic_tests::invalid_word;

/// Reads the layers of a table's configuration, the weakest first. Ages and the condition are replaced one by
/// one; `freshness: null` takes all of them away, as does `warn_after: null` the one.
pub(super) fn read(
    layers: &[ConfigLayer],
    scope: &Scope<'_>,
    problems: &mut Vec<Diagnostic>,
) -> Freshness {
    let mut freshness = Freshness::default();
    for layer in layers {
        let value = |key: &str| {
            let mut entries = layer.entries.iter();
            entries.find(|(k, _)| k.value == key)
        };
        if let Some((_, value)) = value("freshness") {
            ages(value, &mut freshness, scope, problems);
        }
        let (field, query) = (value("loaded_at_field"), value("loaded_at_query"));
        let is_set = |(_, value): &&(Located<String>, Value)| value.kind != ValueKind::Null;
        if let (Some(_), Some((key, _))) = (field.filter(is_set), query.filter(is_set)) {
            problems.push(Diagnostic::error(
                codes::INVALID_VALUE,
                "`loaded_at_field` and `loaded_at_query` cannot be set both",
                key.span,
            ));
            continue;
        }
        if let Some((_, value)) = field {
            freshness.loaded_at = loaded_at_field(value, scope, problems);
        }
        if let Some((_, value)) = query.filter(|query| field.is_none() || is_set(query)) {
            freshness.loaded_at = loaded_at_query(value, scope, problems);
        }
    }
    freshness
}

fn ages(
    value: &Value,
    freshness: &mut Freshness,
    scope: &Scope<'_>,
    problems: &mut Vec<Diagnostic>,
) {
    if value.kind == ValueKind::Null {
        (freshness.warn_after, freshness.error_after) = (None, None);
        freshness.filter = None;
        return;
    }
    let Some(fields) = Fields::of(value, "`freshness`", problems) else {
        return;
    };
    let known = ["warn_after", "error_after", "filter"];
    fields.check_keys(&known, Severity::Warning, problems);
    for (key, value) in fields.entries() {
        match key.value.as_str() {
            "warn_after" => {
                freshness.warn_after = age(value, freshness.warn_after, scope, problems);
            }
            "error_after" => {
                freshness.error_after = age(value, freshness.error_after, scope, problems);
            }
            "filter" => {
                freshness.filter = (value.kind != ValueKind::Null)
                    .then(|| text(value, "`filter`", problems))
                    .flatten()
                    .and_then(|written| rendered(&written, scope, problems));
            }
            _ => {}
        }
    }
}

/// An age; what it does not say is what weaker layers say.
fn age(
    value: &Value,
    weaker: Option<MaxAge>,
    scope: &Scope<'_>,
    problems: &mut Vec<Diagnostic>,
) -> Option<MaxAge> {
    if value.kind == ValueKind::Null {
        return None;
    }
    let fields = Fields::of(value, "an age", problems)?;
    fields.check_keys(&["count", "period"], Severity::Warning, problems);
    let before = problems.len();
    let count = fields
        .get("count")
        .and_then(|value| count(value, scope, problems));
    let period = fields
        .text("period", problems)
        .and_then(|word| rendered(&word, scope, problems))
        .and_then(|word| period(&word, problems));
    let count = count.or(weaker.map(|age| age.count));
    let period = period.or(weaker.map(|age| age.period));
    match (count, period) {
        (Some(count), Some(period)) => Some(MaxAge { count, period }),
        // Both left out is no age, as in a project that has switched it off.
        (None, None) => None,
        (count, _) => {
            if problems.len() == before {
                let missing = if count.is_none() { "count" } else { "period" };
                problems.push(
                    Diagnostic::error(
                        codes::MISSING_KEY,
                        format!("an age needs `{missing}`"),
                        fields.head(),
                    )
                    .with_help("write it like `{count: 12, period: hour}`"),
                );
            }
            None
        }
    }
}

fn count(value: &Value, scope: &Scope<'_>, problems: &mut Vec<Diagnostic>) -> Option<u64> {
    let number = match &value.kind {
        ValueKind::Int(number) => u64::try_from(*number).ok(),
        ValueKind::String(written) => {
            let written = Located::new(written.clone(), value.span);
            let text = rendered(&written, scope, problems)?;
            text.value.trim().parse().ok()
        }
        _ => None,
    };
    if number.is_none() {
        problems.push(wrong_type("`count`", "a whole number, not negative", value));
    }
    number
}

fn period(word: &Located<String>, problems: &mut Vec<Diagnostic>) -> Option<Period> {
    let mut all = Period::ALL.into_iter();
    let found = all.find(|period| period.as_str() == word.value);
    if found.is_none() {
        let words = Period::ALL.map(Period::as_str);
        problems.push(invalid_word("period", &word.value, word.span, &words));
    }
    found
}

fn loaded_at_field(value: &Value, scope: &Scope<'_>, problems: &mut Vec<Diagnostic>) -> LoadedAt {
    if value.kind == ValueKind::Null {
        return LoadedAt::Written;
    }
    text(value, "`loaded_at_field`", problems)
        .and_then(|written| rendered(&written, scope, problems))
        .map_or(LoadedAt::Written, LoadedAt::Field)
}

fn loaded_at_query(value: &Value, scope: &Scope<'_>, problems: &mut Vec<Diagnostic>) -> LoadedAt {
    if value.kind == ValueKind::Null {
        return LoadedAt::Written;
    }
    let Some(query) = text(value, "`loaded_at_query`", problems) else {
        return LoadedAt::Written;
    };
    let mut parts = vec![];
    for part in around_this(&query.value) {
        let part = Located::new(part.to_owned(), query.span);
        match rendered(&part, scope, problems) {
            Some(part) => parts.push(part.value),
            None => return LoadedAt::Written,
        }
    }
    LoadedAt::Query {
        parts,
        span: query.span,
    }
}

/// The text before, between and after the places where it says `{{ this }}`.
fn around_this(text: &str) -> Vec<&str> {
    let mut parts = vec![];
    let (mut part, mut at) = (0, 0);
    while let Some(found) = text.get(at..).and_then(|rest| rest.find("{{")) {
        let open = at + found;
        let body = text.get(open + 2..).unwrap_or_default();
        let Some((inner, _)) = body.split_once("}}") else {
            break;
        };
        at = open + inner.len() + 4;
        if inner.trim_matches('-').trim() == "this" {
            parts.push(text.get(part..open).unwrap_or_default());
            part = at;
        }
    }
    parts.push(text.get(part..).unwrap_or_default());
    parts
}

fn rendered(
    written: &Located<String>,
    scope: &Scope<'_>,
    problems: &mut Vec<Diagnostic>,
) -> Option<Located<String>> {
    match template::render(written, scope) {
        Ok(text) => Some(Located::new(text, written.span)),
        Err(problem) => {
            problems.push(*problem);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::diagnostic::SourceMap;
    use crate::yaml;

    fn of(layers: &[&str]) -> (Freshness, Vec<String>) {
        let mut files = SourceMap::default();
        let mut problems = vec![];
        let layers: Vec<ConfigLayer> = layers
            .iter()
            .map(|text| {
                let file = files.add("a.yml", *text);
                let value = yaml::read(text, file, &mut problems).unwrap();
                match value.kind {
                    ValueKind::Map(entries) => ConfigLayer { entries },
                    _ => ConfigLayer::default(),
                }
            })
            .collect();
        let read = |name: &str| (name == "HOURS").then(|| "12".to_owned());
        let scope = Scope {
            environment_variable: &read,
            vars: &[],
        };
        let freshness = super::read(&layers, &scope, &mut problems);
        let told = problems.iter().map(|problem| problem.message.clone());
        (freshness, told.collect())
    }

    fn hours(count: u64) -> Option<MaxAge> {
        let period = Period::Hour;
        Some(MaxAge { count, period })
    }

    #[test]
    fn stronger_layers_replace_part_by_part() {
        let source = "freshness: {warn_after: {count: 6, period: hour}, error_after: {count: 24, period: hour}, filter: x > 1}\nloaded_at_field: at\n";
        let (freshness, problems) = of(&[source]);
        assert_eq!(problems, [""; 0]);
        assert_eq!(
            (freshness.warn_after, freshness.error_after),
            (hours(6), hours(24))
        );
        let (freshness, _) = of(&[
            source,
            "freshness: {warn_after: {count: \"{{ env_var('HOURS') }}\"}}",
        ]);
        assert_eq!(
            (freshness.warn_after, freshness.error_after),
            (hours(12), hours(24))
        );
        assert_eq!(freshness.filter.unwrap().value, "x > 1");
        let (freshness, _) = of(&[source, "freshness: {error_after: null}"]);
        assert_eq!(
            (freshness.warn_after, freshness.error_after),
            (hours(6), None)
        );
        let (freshness, _) = of(&[source, "freshness: null"]);
        assert!(!freshness.is_checked());
        assert!(matches!(freshness.loaded_at, LoadedAt::Field(field) if field.value == "at"));
        let (freshness, _) = of(&[source, "loaded_at_query: select max(at) from {{ this }}"]);
        assert!(matches!(
            freshness.loaded_at,
            LoadedAt::Query { parts, .. } if parts == ["select max(at) from ", ""]
        ));
    }

    #[test]
    fn what_is_no_age_is_told() {
        for (text, message) in [
            (
                "freshness: {warn_after: {count: 1}}",
                "an age needs `period`",
            ),
            (
                "freshness: {warn_after: {period: day}}",
                "an age needs `count`",
            ),
            (
                "freshness: {warn_after: {count: 1, period: days}}",
                "`days` is no value of `period`",
            ),
            (
                "freshness: {warn_after: {count: -1, period: day}}",
                "`count` must be a whole number, not negative, this is a number",
            ),
            (
                "freshness: {warn_afer: {count: 1, period: day}}",
                "`freshness` has no key `warn_afer`",
            ),
            (
                "loaded_at_field: a\nloaded_at_query: select 1",
                "`loaded_at_field` and `loaded_at_query` cannot be set both",
            ),
        ] {
            let (freshness, problems) = of(&[text]);
            assert_eq!(problems, [message], "{text}");
            assert!(!freshness.is_checked(), "{text}");
        }
        let (_, problems) = of(&["freshness: {warn_after: {count: null, period: null}}"]);
        assert_eq!(problems, [""; 0]);
    }

    #[test]
    fn a_query_is_split_where_it_names_the_source() {
        assert_eq!(around_this("a {{ this }} b {{this}}"), ["a ", " b ", ""]);
        assert_eq!(around_this("a {{ var('this') }}"), ["a {{ var('this') }}"]);
        assert_eq!(around_this("{{ this"), ["{{ this"]);
    }
}
