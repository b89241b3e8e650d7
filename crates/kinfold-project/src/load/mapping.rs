//! `mapping:` and `unit_tests:` of a sync.

use crate::codes;
use crate::diagnostic::{Diagnostic, Severity, SourceMap};
use crate::located::{Located, Value, ValueKind};
use crate::mapping::{AllColumns, Expected, MappedField, MappedValue, Mapping, MappingTest, Nulls};

use super::fields::{Fields, wrong_type};
use super::generic_tests::invalid_word;

/// Stands for every column of the model.
const ALL: &str = "*";
/// Reasons for which a row cannot be sent that a test may expect.
const REASONS: [&str; 2] = ["invalid_null_key", "invalid_value"];

pub(super) fn read(
    sync: &Fields<'_>,
    files: &SourceMap,
    problems: &mut Vec<Diagnostic>,
) -> Mapping {
    let default = nulls(sync, problems);
    let Some(value) = sync.get("mapping") else {
        return Mapping::default();
    };
    let mut mapping = Mapping::default();
    let entries = match &value.kind {
        ValueKind::String(text) if text == ALL => {
            mapping.all = Some(AllColumns {
                except: vec![],
                nulls: default,
                span: value.span,
            });
            return mapping;
        }
        ValueKind::Map(entries) => entries,
        _ => {
            let wanted = "fields and what they get, or `'*'` for all columns";
            problems.push(wrong_type("`mapping`", wanted, value));
            return mapping;
        }
    };
    for (field, value) in entries {
        if field.value == ALL {
            mapping.all = all_columns(field, value, default, problems);
            continue;
        }
        let Some((value, own)) = self::value(field, value, files, problems) else {
            continue;
        };
        mapping.fields.push(MappedField {
            field: field.clone(),
            value,
            nulls: own.or(default).unwrap_or_default(),
        });
    }
    mapping
}

fn all_columns(
    field: &Located<String>,
    value: &Value,
    default: Option<Nulls>,
    problems: &mut Vec<Diagnostic>,
) -> Option<AllColumns> {
    let fields = Fields::of(value, "`*`", problems)?;
    fields.check_keys(&["except", "nulls"], Severity::Error, problems);
    Some(AllColumns {
        except: fields.texts("except", problems),
        nulls: nulls(&fields, problems).or(default),
        span: field.span,
    })
}

/// `nulls:` of a sync or a field; none if it is not there.
fn nulls(fields: &Fields<'_>, problems: &mut Vec<Diagnostic>) -> Option<Nulls> {
    let (_, value) = fields.entries().iter().find(|(k, _)| k.value == "nulls")?;
    let word = match &value.kind {
        // The word `null` is also YAML's null.
        ValueKind::Null => return Some(Nulls::Null),
        ValueKind::String(word) => word,
        _ => {
            problems.push(wrong_type("`nulls`", "a word", value));
            return None;
        }
    };
    let found = Nulls::ALL
        .into_iter()
        .find(|nulls| nulls.as_str() == word.as_str());
    if found.is_none() {
        let words = Nulls::ALL.map(Nulls::as_str);
        problems.push(invalid_word("nulls", word, value.span, &words));
    }
    found
}

/// What a field gets, and its own form of nulls.
fn value(
    field: &Located<String>,
    value: &Value,
    files: &SourceMap,
    problems: &mut Vec<Diagnostic>,
) -> Option<(MappedValue, Option<Nulls>)> {
    let ValueKind::Map(_) = &value.kind else {
        let expression = expression(field, value, files, problems)?;
        return Some((MappedValue::Expression(expression), None));
    };
    let what = format!("`{}`", field.value);
    let fields = Fields::of(value, &what, problems)?;
    fields.check_keys(
        &["sql", "fields", "items", "nulls"],
        Severity::Error,
        problems,
    );
    let own = nulls(&fields, problems);
    let kinds: Vec<&str> = ["sql", "fields", "items"]
        .into_iter()
        .filter(|kind| fields.get(kind).is_some())
        .collect();
    let [kind] = kinds.as_slice() else {
        problems.push(
            Diagnostic::error(
                codes::INVALID_SYNC,
                format!(
                    "`{}` needs exactly one of `sql`, `fields` and `items`",
                    field.value
                ),
                field.span,
            )
            .with_help("`sql` is an expression, `fields` an object of such, `items` an array"),
        );
        return None;
    };
    let below = fields.get(kind)?;
    let found = match *kind {
        "sql" => MappedValue::Expression(expression(field, below, files, problems)?),
        "fields" => {
            let members = fields.map("fields", problems).iter();
            let members: Vec<_> = members
                .filter_map(|(member, below)| {
                    Some((member.clone(), part(member, below, files, problems)?))
                })
                .collect();
            MappedValue::Object(members)
        }
        _ => {
            let items = fields.list("items", problems).iter();
            let items: Vec<_> = items
                .filter_map(|item| part(field, item, files, problems))
                .collect();
            MappedValue::Array(items)
        }
    };
    let empty = match &found {
        MappedValue::Object(members) => members.is_empty(),
        MappedValue::Array(items) => items.is_empty(),
        MappedValue::Expression(_) => false,
    };
    if empty {
        problems.push(Diagnostic::error(
            codes::INVALID_VALUE,
            format!("`{kind}` of `{}` is empty", field.value),
            below.span,
        ));
        return None;
    }
    Some((found, own))
}

/// A member of an object or an item of an array: nulls are a matter of the whole field.
fn part(
    field: &Located<String>,
    value: &Value,
    files: &SourceMap,
    problems: &mut Vec<Diagnostic>,
) -> Option<MappedValue> {
    let (found, own) = self::value(field, value, files, problems)?;
    if own.is_some() {
        problems.push(
            Diagnostic::error(
                codes::INVALID_SYNC,
                "`nulls` is set for a whole field, not for a part of it",
                value.span,
            )
            .with_help("write it beside `fields` or `items` of the outermost field"),
        );
    }
    Some(found)
}

/// A SQL expression. A number or boolean is the SQL literal that it looks like.
pub(super) fn expression(
    field: &Located<String>,
    value: &Value,
    files: &SourceMap,
    problems: &mut Vec<Diagnostic>,
) -> Option<Located<String>> {
    let expression = match &value.kind {
        ValueKind::String(text) => text.clone(),
        ValueKind::Int(_) | ValueKind::Float(_) | ValueKind::Bool(_) => {
            files.text(value.span).to_owned()
        }
        ValueKind::Null | ValueKind::List(_) | ValueKind::Map(_) => {
            let what = format!("`{}`", field.value);
            problems.push(wrong_type(&what, "a SQL expression", value));
            return None;
        }
    };
    if expression.trim().is_empty() || field.value.trim().is_empty() {
        problems.push(Diagnostic::error(
            codes::INVALID_VALUE,
            format!(
                "the expression or the name of the field `{}` is empty",
                field.value
            ),
            value.span,
        ));
        return None;
    }
    Some(Located::new(expression, value.span))
}

/// `unit_tests:` of a sync.
pub(super) fn tests(sync: &Fields<'_>, problems: &mut Vec<Diagnostic>) -> Vec<MappingTest> {
    let mut tests: Vec<MappingTest> = vec![];
    for item in sync.list("unit_tests", problems) {
        let Some(test) = test(item, problems) else {
            continue;
        };
        if let Some(first) = tests.iter().find(|t| t.name.value == test.name.value) {
            problems.push(
                Diagnostic::error(
                    codes::DUPLICATE_NAME,
                    format!("there are two unit tests `{}`", test.name.value),
                    test.name.span,
                )
                .with_related(first.name.span, "the other one"),
            );
            continue;
        }
        tests.push(test);
    }
    tests
}

fn test(item: &Value, problems: &mut Vec<Diagnostic>) -> Option<MappingTest> {
    let fields = Fields::of(item, "a unit test of a mapping", problems)?;
    fields.check_keys(
        &["name", "description", "given", "expect"],
        Severity::Error,
        problems,
    );
    let name = fields.required_text("name", problems);
    let given = fields.required("given", problems);
    let given = given.map(|_| fields.map("given", problems).to_vec());
    let expect = fields.required("expect", problems)?;
    let expected = match &expect.kind {
        ValueKind::String(reason) if REASONS.contains(&reason.as_str()) => {
            Expected::Invalid(reason.clone())
        }
        ValueKind::String(reason) => {
            problems.push(invalid_word("expect", reason, expect.span, &REASONS));
            return None;
        }
        _ => {
            let below = Fields::of(expect, "`expect`", problems)?;
            below.check_keys(&["key", "fields"], Severity::Error, problems);
            let (key, fields) = (below.get("key"), below.get("fields"));
            if key.is_none() && fields.is_none() {
                problems.push(Diagnostic::error(
                    codes::MISSING_KEY,
                    "`expect` needs `key`, `fields` or both",
                    expect.span,
                ));
            }
            for (what, part) in [("`key`", key), ("`fields`", fields)] {
                if let Some(part) = part.filter(|part| !matches!(part.kind, ValueKind::Map(_))) {
                    problems.push(wrong_type(what, "a mapping", part));
                }
            }
            Expected::Sent {
                key: key.cloned(),
                fields: fields.cloned(),
            }
        }
    };
    Some(MappingTest {
        name: name?,
        given: given?,
        expect: expected,
        span: expect.span,
    })
}
