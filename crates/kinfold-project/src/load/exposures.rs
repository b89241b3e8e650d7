//! `exposures:` and `groups:` of properties files.

use serde_json::{Map, Value as Json};

use crate::codes;
use crate::diagnostic::{Diagnostic, Severity};
use crate::exposure::{Exposure, Group, Owner};
use crate::located::{Located, Value};
use crate::sync::Reference;

use super::fields::Fields;
use super::generic_tests::invalid_word;

type Problems = Vec<Diagnostic>;

const EXPOSURE_KEYS: [&str; 12] = [
    "name",
    "type",
    "owner",
    "label",
    "url",
    "maturity",
    "description",
    "depends_on",
    "tags",
    "meta",
    "config",
    "enabled",
];

const TYPES: [&str; 5] = ["dashboard", "notebook", "analysis", "ml", "application"];

/// Reads an exposure.
pub(super) fn exposure(item: &Value, package: &str, problems: &mut Problems) -> Option<Exposure> {
    let fields = Fields::of(item, "an exposure", problems)?;
    fields.check_keys(&EXPOSURE_KEYS, Severity::Warning, problems);
    let name = fields.required_text("name", problems)?;
    let kind = fields.required_text("type", problems)?;
    if !TYPES.contains(&kind.value.as_str()) {
        problems.push(invalid_word("type", &kind.value, kind.span, &TYPES));
        return None;
    }
    let maturity = fields.text("maturity", problems).filter(|word| {
        let words = ["low", "medium", "high"];
        let known = words.contains(&word.value.as_str());
        if !known {
            problems.push(invalid_word("maturity", &word.value, word.span, &words));
        }
        known
    });
    let owner = fields
        .required("owner", problems)
        .map_or_else(Owner::default, |value| owner(value, problems));
    let depends_on = fields.texts("depends_on", problems);
    let depends_on = depends_on.into_iter().filter_map(|written| {
        if let Some(reference) = Reference::parse(&written.value) {
            return Some(Located::new(reference, written.span));
        }
        // Metrics are no nodes here.
        if !written.value.trim_start().starts_with("metric(") {
            problems.push(
                Diagnostic::error(
                    codes::INVALID_VALUE,
                    format!("`{}` is no reference", written.value),
                    written.span,
                )
                .with_help("write it like `ref('model')` or `source('source', 'table')`"),
            );
        }
        None
    });
    let depends_on = depends_on.collect();
    let config = fields
        .get("config")
        .and_then(|value| Fields::of(value, "`config`", problems));
    let mut tags = texts(&fields, "tags", problems);
    let mut meta = object(fields.get("meta"));
    let mut enabled = fields.boolean("enabled", problems);
    if let Some(config) = config {
        tags.extend(texts(&config, "tags", problems));
        meta.extend(object(config.get("meta")));
        enabled = config.boolean("enabled", problems).or(enabled);
    }
    tags.sort();
    tags.dedup();
    let label = fields.text("label", problems);
    let url = fields.text("url", problems);
    Some(Exposure {
        package: package.to_owned(),
        name,
        kind: kind.value,
        owner,
        label: label.map(|text| text.value),
        url: url.map(|text| text.value),
        maturity: maturity.map(|word| word.value),
        description: fields.text("description", problems),
        depends_on,
        tags,
        meta,
        enabled: enabled.unwrap_or(true),
    })
}

/// Reads a group.
pub(super) fn group(item: &Value, package: &str, problems: &mut Problems) -> Option<Group> {
    let fields = Fields::of(item, "a group", problems)?;
    let known = ["name", "owner", "description", "config", "meta"];
    fields.check_keys(&known, Severity::Warning, problems);
    let name = fields.required_text("name", problems)?;
    let owner = fields
        .required("owner", problems)
        .map_or_else(Owner::default, |value| owner(value, problems));
    Some(Group {
        package: package.to_owned(),
        name,
        owner,
        description: fields.text("description", problems),
    })
}

fn owner(value: &Value, problems: &mut Problems) -> Owner {
    let Some(fields) = Fields::of(value, "`owner`", problems) else {
        return Owner::default();
    };
    let name = fields.text("name", problems).map(|name| name.value);
    let emails = texts(&fields, "email", problems);
    if name.is_none() && emails.is_empty() {
        problems.push(Diagnostic::error(
            codes::MISSING_KEY,
            "an owner needs a `name` or an `email`",
            value.span,
        ));
    }
    Owner { name, emails }
}

fn texts(fields: &Fields<'_>, key: &str, problems: &mut Problems) -> Vec<String> {
    let texts = fields.texts(key, problems).into_iter();
    texts.map(|text| text.value).collect()
}

fn object(value: Option<&Value>) -> Map<String, Json> {
    match value.map(Value::to_json) {
        Some(Json::Object(entries)) => entries,
        _ => Map::new(),
    }
}
