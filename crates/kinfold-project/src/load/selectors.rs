//! `selectors.yml`: dbt's YAML selectors.

use crate::codes;
use crate::diagnostic::{Diagnostic, Severity};
use crate::located::{Located, Value, ValueKind};
use crate::selector::{Selector, SelectorRule};

use super::fields::{Fields, text, wrong_type};

type Problems = Vec<Diagnostic>;

/// The file, at the root of the project.
pub(super) const FILE: &str = "selectors.yml";

/// The keys of a criterion that is written out.
const CRITERION: [&str; 9] = [
    "method",
    "value",
    "children",
    "parents",
    "children_depth",
    "parents_depth",
    "childrens_parents",
    "indirect_selection",
    "exclude",
];

/// Reads the file.
pub(super) fn read(value: &Value, problems: &mut Problems) -> Vec<Selector> {
    let Some(file) = Fields::of(value, "`selectors.yml`", problems) else {
        return vec![];
    };
    file.check_keys(&["selectors", "version"], Severity::Error, problems);
    let mut found: Vec<Selector> = vec![];
    for item in file.list("selectors", problems) {
        let Some(selector) = selector(item, problems) else {
            continue;
        };
        let same = |other: &&Selector| other.name.value == selector.name.value;
        if let Some(first) = found.iter().find(same) {
            let message = format!("there are two selectors `{}`", selector.name.value);
            problems.push(
                Diagnostic::error(codes::DUPLICATE_NAME, message, selector.name.span)
                    .with_related(first.name.span, "the other one"),
            );
            continue;
        }
        if selector.default
            && let Some(first) = found.iter().find(|other| other.default)
        {
            let message = "only one selector can be the default";
            problems.push(
                Diagnostic::error(codes::INVALID_SELECTOR, message, selector.name.span)
                    .with_related(first.name.span, "the other one"),
            );
        }
        found.push(selector);
    }
    found
}

fn selector(item: &Value, problems: &mut Problems) -> Option<Selector> {
    let fields = Fields::of(item, "a selector", problems)?;
    let known = ["name", "description", "default", "definition"];
    fields.check_keys(&known, Severity::Error, problems);
    let name = fields.required_text("name", problems);
    let description = fields.text("description", problems);
    let default = fields.boolean("default", problems).unwrap_or(false);
    let definition = fields
        .required("definition", problems)
        .and_then(|value| rule(value, problems));
    Some(Selector {
        name: name?,
        description,
        default,
        definition: definition?,
    })
}

/// One of the three spellings of a criterion, or a set of rules.
fn rule(value: &Value, problems: &mut Problems) -> Option<SelectorRule> {
    let entries = match &value.kind {
        ValueKind::String(written) => {
            let written = Located::new(written.trim().to_owned(), value.span);
            return Some(SelectorRule::Criterion(written));
        }
        ValueKind::Map(entries) => entries,
        _ => {
            let expected = "text, or a mapping with `method`, `union` or `intersection`";
            problems.push(wrong_type("a definition", expected, value));
            return None;
        }
    };
    let fields = Fields::of(value, "a definition", problems)?;
    for word in ["union", "intersection"] {
        if fields.get(word).is_some() {
            fields.check_keys(&[word], Severity::Error, problems);
            let (of, exclude) = set(fields.list(word, problems), problems);
            if of.is_empty() {
                let message = format!("`{word}` has nothing in it but what it leaves out");
                let place = fields.key_span(word);
                problems.push(Diagnostic::error(codes::INVALID_SELECTOR, message, place));
            }
            return Some(match word {
                "union" => SelectorRule::Union { of, exclude },
                _ => SelectorRule::Intersection { of, exclude },
            });
        }
    }
    if fields.get("method").is_some() || fields.get("value").is_some() {
        return criterion(&fields, problems);
    }
    match entries.as_slice() {
        [(method, value)] if method.value != "exclude" => {
            let value = text(value, &format!("`{}`", method.value), problems)?;
            let written = format!("{}:{}", method.value, value.value);
            Some(SelectorRule::Criterion(Located::new(written, value.span)))
        }
        _ => {
            let message = "this says not what is selected";
            let help =
                "write `method:` and `value:`, one `method: value`, `union:` or `intersection:`";
            problems.push(
                Diagnostic::error(codes::INVALID_SELECTOR, message, fields.head()).with_help(help),
            );
            None
        }
    }
}

/// The rules of a list, and those that it leaves out.
fn set(items: &[Value], problems: &mut Problems) -> (Vec<SelectorRule>, Vec<SelectorRule>) {
    let (mut of, mut excluded) = (vec![], vec![]);
    for item in items {
        match &item.kind {
            ValueKind::Map(entries) if entries.len() == 1 && item.get("exclude").is_some() => {
                if let Some(fields) = Fields::of(item, "a definition", problems) {
                    excluded.extend(left_out(&fields, problems));
                }
            }
            _ => of.extend(rule(item, problems)),
        }
    }
    (of, excluded)
}

fn left_out(fields: &Fields<'_>, problems: &mut Problems) -> Vec<SelectorRule> {
    let items = fields.list("exclude", problems);
    items
        .iter()
        .filter_map(|item| rule(item, problems))
        .collect()
}

/// `method`, `value` and what goes with them, as one criterion of the command line.
fn criterion(fields: &Fields<'_>, problems: &mut Problems) -> Option<SelectorRule> {
    fields.check_keys(&CRITERION, Severity::Error, problems);
    let method = fields.required_text("method", problems);
    let value = fields.required_text("value", problems);
    let family = fields.boolean("childrens_parents", problems) == Some(true);
    let parents = generations(fields, "parents", problems);
    let children = generations(fields, "children", problems);
    if let Some(how) = fields.text("indirect_selection", problems)
        && how.value != "eager"
    {
        let message = format!("`indirect_selection: {}` is not supported", how.value);
        problems.push(
            Diagnostic::error(codes::UNSUPPORTED, message, how.span)
                .with_help("a data test comes with each node that it tests (`eager`)"),
        );
    }
    if family && (parents.is_some() || children.is_some()) {
        let message = "`childrens_parents` has parents and children in it already";
        let place = fields.key_span("childrens_parents");
        problems.push(Diagnostic::error(codes::INVALID_SELECTOR, message, place));
        return None;
    }
    let (method, value) = (method?, value?);
    let before = match (family, parents) {
        (true, _) => "@".to_owned(),
        (false, Some(depth)) => format!("{depth}+"),
        (false, None) => String::new(),
    };
    let after = children.map_or_else(String::new, |depth| format!("+{depth}"));
    let written = format!("{before}{}:{}{after}", method.value, value.value);
    let included = SelectorRule::Criterion(Located::new(written, value.span));
    let exclude = left_out(fields, problems);
    Some(match exclude.is_empty() {
        true => included,
        false => SelectorRule::Union {
            of: vec![included],
            exclude,
        },
    })
}

/// How many generations come along, as the command line has it: nothing means all.
fn generations(fields: &Fields<'_>, key: &str, problems: &mut Problems) -> Option<String> {
    let wanted = fields.boolean(key, problems);
    let depth_key = format!("{key}_depth");
    let Some(depth) = fields.get(&depth_key) else {
        return (wanted == Some(true)).then(String::new);
    };
    if wanted != Some(true) {
        let message = format!("`{depth_key}` means nothing without `{key}: true`");
        let place = fields.key_span(&depth_key);
        problems.push(Diagnostic::error(codes::INVALID_SELECTOR, message, place));
        return None;
    }
    match depth.kind {
        ValueKind::Int(depth) if depth >= 0 => Some(depth.to_string()),
        _ => {
            let what = format!("`{depth_key}`");
            problems.push(wrong_type(&what, "a number of generations", depth));
            None
        }
    }
}
