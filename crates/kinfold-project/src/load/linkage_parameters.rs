//! `<model>.linkage.yml`: the trained parameters of a linkage.

use crate::codes;
use crate::diagnostic::{Diagnostic, Severity, Span};
use crate::linkage::{ComparisonParameters, LevelParameters, LinkageParameters};
use crate::located::{Located, Value, ValueKind};

use super::fields::{Fields, wrong_type};

type Problems = Vec<Diagnostic>;

/// Reads the file with the parameters of `model`.
pub(super) fn read(
    value: &Value,
    package: &str,
    model: &str,
    problems: &mut Problems,
) -> Option<LinkageParameters> {
    let fields = Fields::of(value, "a file of parameters", problems)?;
    fields.check_keys(
        &["version", "prior", "comparisons"],
        Severity::Error,
        problems,
    );
    let version = fields.required("version", problems)?;
    if version.kind != ValueKind::Int(1) {
        problems.push(
            Diagnostic::error(
                codes::INVALID_VALUE,
                "this version of the file is not known",
                version.span,
            )
            .with_help("this kinfold reads version 1"),
        );
        return None;
    }
    let prior = share("prior", fields.required("prior", problems)?, problems)?;
    let comparisons = fields.map("comparisons", problems);
    let comparisons: Vec<ComparisonParameters> = comparisons
        .iter()
        .filter_map(|(name, value)| comparison(name, value, problems))
        .collect();
    Some(LinkageParameters {
        package: package.to_owned(),
        model: Located::new(model.to_owned(), Span::new(value.span.file, 0, 0)),
        prior,
        comparisons,
    })
}

fn comparison(
    name: &Located<String>,
    value: &Value,
    problems: &mut Problems,
) -> Option<ComparisonParameters> {
    let ValueKind::List(items) = &value.kind else {
        problems.push(wrong_type(
            &format!("comparison `{}`", name.value),
            "a list of levels",
            value,
        ));
        return None;
    };
    let levels: Option<Vec<LevelParameters>> =
        items.iter().map(|item| level(item, problems)).collect();
    Some(ComparisonParameters {
        name: name.clone(),
        levels: levels?,
    })
}

fn level(value: &Value, problems: &mut Problems) -> Option<LevelParameters> {
    let fields = Fields::of(value, "a level", problems)?;
    fields.check_keys(&["level", "m", "u"], Severity::Error, problems);
    let label = fields.required_text("level", problems);
    let mut number = |key: &str| {
        let value = fields.required(key, problems)?;
        likely(key, value, problems)
    };
    let (m, u) = (number("m"), number("u"));
    Some(LevelParameters {
        label: label?,
        m: m?,
        u: u?,
    })
}

/// A probability that is not impossible, which would make a weight without bounds.
fn likely(key: &str, value: &Value, problems: &mut Problems) -> Option<f64> {
    let found = number(value).filter(|number| *number > 0.0 && *number <= 1.0);
    if found.is_none() {
        let message = format!("`{key}` must be a probability above 0 and at most 1");
        problems.push(Diagnostic::error(codes::INVALID_VALUE, message, value.span));
    }
    found
}

/// A probability that is neither impossible nor certain: both would make a weight without bounds.
fn share(key: &str, value: &Value, problems: &mut Problems) -> Option<f64> {
    let found = number(value).filter(|number| *number > 0.0 && *number < 1.0);
    if found.is_none() {
        let message = format!("`{key}` must be a probability above 0 and below 1");
        problems.push(Diagnostic::error(codes::INVALID_VALUE, message, value.span));
    }
    found
}

fn number(value: &Value) -> Option<f64> {
    match &value.kind {
        ValueKind::Float(number) => Some(*number),
        // Certain, written by hand.
        ValueKind::Int(1) => Some(1.0),
        _ => None,
    }
}
