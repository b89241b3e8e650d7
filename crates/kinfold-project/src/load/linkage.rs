//! The configuration that only models with materialization `linkage` have.

use crate::codes;
use crate::diagnostic::{Diagnostic, Severity, Span};
use crate::linkage::{
    AverageBars, Clustering, ComparisonRule, KeyRule, LIKE, LevelCondition, LevelRule, LinkScope,
    LinkageRules, ready_made,
};
use crate::located::{Located, Value, ValueKind};
use crate::suggest;

use super::fields::{Fields, text, wrong_type};
use super::generic_tests::invalid_word;
use super::syncs::choice;

type Problems = Vec<Diagnostic>;

/// Probability of a link unless `threshold` says another.
const THRESHOLD: f64 = 0.95;
/// The share of all matches that the rules of `prior` find, unless it is given.
const RECALL: f64 = 0.7;
/// Records that may agree on one key unless `max_block` says another number: 12.5 million pairs.
const MAX_BLOCK: u64 = 5_000;
/// Conditions in each other, so that no file can exhaust the stack.
const DEPTH: usize = 16;

/// Reads the keys of a model's configuration that describe its linkage. `place` stands for what is missing.
#[must_use]
pub fn linkage_rules(
    entries: &[(Located<String>, Value)],
    place: Span,
) -> (Option<LinkageRules>, Vec<Diagnostic>) {
    let mut problems = vec![];
    let whole = Value {
        kind: ValueKind::Map(entries.to_vec()),
        span: place,
    };
    let rules = Fields::of(&whole, "a linkage", &mut problems)
        .and_then(|fields| rules(&fields, place, &mut problems));
    (rules, problems)
}

fn rules(fields: &Fields<'_>, place: Span, problems: &mut Problems) -> Option<LinkageRules> {
    let missing = |key: &str, help: &str| {
        Diagnostic::error(
            codes::MISSING_KEY,
            format!("materialization `linkage` needs `{key}`"),
            place,
        )
        .with_help(help.to_owned())
    };
    let blocking = keys(fields, "blocking", problems);
    if fields.get("blocking").is_none() {
        problems.push(missing(
            "blocking",
            "name the columns on which two records must agree to be compared: `blocking: [email, [last_name, birth_date]]`",
        ));
    }
    let comparisons = comparisons(fields, problems);
    if fields.get("comparisons").is_none() {
        problems.push(missing(
            "comparisons",
            "say how columns are compared: `comparisons: {first_name: name, birth_date: date}`",
        ));
    }
    let (prior, recall) = prior(fields, problems);
    let training = match fields.get("training") {
        Some(_) => keys(fields, "training", problems),
        None => blocking.iter().take(3).cloned().collect(),
    };
    let threshold = match fields.get("threshold") {
        Some(value) => {
            let found = probability("threshold", value, problems);
            Located::new(found.unwrap_or(THRESHOLD), value.span)
        }
        None => Located::new(THRESHOLD, place),
    };
    let max_block = match fields.get("max_block").map(|value| (&value.kind, value)) {
        None => MAX_BLOCK,
        Some((ValueKind::Int(number), _)) if *number > 1 => number.unsigned_abs(),
        Some((_, value)) => {
            problems.push(wrong_type("`max_block`", "a whole number above 1", value));
            MAX_BLOCK
        }
    };
    let link = choice(fields, "link", &LinkScope::ALL, LinkScope::as_str, problems);
    let (clustering, average) = clustering(fields, problems);
    (!blocking.is_empty() && !comparisons.is_empty()).then_some(LinkageRules {
        blocking,
        comparisons,
        prior,
        recall,
        training,
        link,
        clustering,
        average,
        threshold,
        max_block,
    })
}

/// `clustering: average`, or `clustering: {average: {connect: 0.5, merge: 0.2}}`.
fn clustering(fields: &Fields<'_>, problems: &mut Problems) -> (Clustering, AverageBars) {
    const AVERAGE: &str = "average";
    let bars = AverageBars::default();
    let Some((ValueKind::Map(_), value)) =
        fields.get("clustering").map(|value| (&value.kind, value))
    else {
        let word = choice(
            fields,
            "clustering",
            &Clustering::ALL,
            Clustering::as_str,
            problems,
        );
        return (word, bars);
    };
    let found = Fields::of(value, "`clustering`", problems);
    let Some(found) = found else {
        return (Clustering::Average, bars);
    };
    found.check_keys(&[AVERAGE], Severity::Error, problems);
    let Some(given) = found.required(AVERAGE, problems) else {
        return (Clustering::Average, bars);
    };
    let Some(given) = Fields::of(given, "`average`", problems) else {
        return (Clustering::Average, bars);
    };
    given.check_keys(&["connect", "merge"], Severity::Error, problems);
    let mut bar = |key: &str| {
        let value = given.get(key)?;
        probability(key, value, problems)
    };
    let (connect, merge) = (bar("connect"), bar("merge"));
    (Clustering::Average, AverageBars { connect, merge })
}

fn probability(key: &str, value: &Value, problems: &mut Problems) -> Option<f64> {
    let found = number(value).filter(|number| *number > 0.0 && *number < 1.0);
    if found.is_none() {
        let message = format!("`{key}` must be a probability above 0 and below 1");
        problems.push(Diagnostic::error(codes::INVALID_VALUE, message, value.span));
    }
    found
}

/// A list of keys; each is one expression or a list of them.
fn keys(fields: &Fields<'_>, key: &str, problems: &mut Problems) -> Vec<KeyRule> {
    let Some(value) = fields.get(key) else {
        return vec![];
    };
    let ValueKind::List(items) = &value.kind else {
        problems.push(
            wrong_type(&format!("`{key}`"), "a list", value)
                .with_help(format!("write `{key}: [email, [last_name, birth_date]]`")),
        );
        return vec![];
    };
    let mut found = vec![];
    for item in items {
        let what = format!("an entry of `{key}`");
        let expressions: Vec<Located<String>> = match &item.kind {
            ValueKind::List(parts) => parts
                .iter()
                .filter_map(|part| text(part, &what, problems))
                .collect(),
            _ => text(item, &what, problems).into_iter().collect(),
        };
        if let (true, ValueKind::List(_)) = (expressions.is_empty(), &item.kind) {
            problems.push(Diagnostic::error(
                codes::INVALID_VALUE,
                "a rule without an expression would compare every record with every other",
                item.span,
            ));
        }
        if !expressions.is_empty() {
            found.push(KeyRule {
                expressions,
                span: item.span,
            });
        }
    }
    found
}

fn prior(fields: &Fields<'_>, problems: &mut Problems) -> (Vec<KeyRule>, f64) {
    let Some(value) = fields.get("prior") else {
        return (vec![], RECALL);
    };
    let Some(below) = Fields::of(value, "`prior`", problems) else {
        return (vec![], RECALL);
    };
    below.check_keys(&["rules", "recall"], Severity::Error, problems);
    let recall = below
        .get("recall")
        .and_then(|value| share("recall", value, problems))
        .unwrap_or(RECALL);
    below.required("rules", problems);
    (keys(&below, "rules", problems), recall)
}

fn number(value: &Value) -> Option<f64> {
    match &value.kind {
        // Numbers of a configuration are small.
        ValueKind::Int(number) => i32::try_from(*number).ok().map(f64::from),
        ValueKind::Float(number) => number.is_finite().then_some(*number),
        _ => None,
    }
}

/// A number above 0 and at most 1.
fn share(key: &str, value: &Value, problems: &mut Problems) -> Option<f64> {
    let found = number(value).filter(|number| *number > 0.0 && *number <= 1.0);
    if found.is_none() {
        problems.push(Diagnostic::error(
            codes::INVALID_VALUE,
            format!("`{key}` must be above 0 and at most 1"),
            value.span,
        ));
    }
    found
}

fn comparisons(fields: &Fields<'_>, problems: &mut Problems) -> Vec<ComparisonRule> {
    let found = fields.map("comparisons", problems).iter();
    found
        .filter_map(|(name, value)| comparison(name, value, problems))
        .collect()
}

fn comparison(
    name: &Located<String>,
    value: &Value,
    problems: &mut Problems,
) -> Option<ComparisonRule> {
    let level = |condition: LevelCondition, span: Span| LevelRule {
        term_frequency: 0.0,
        frequency_of: None,
        span,
        condition,
    };
    let made = |word: &str, column: &str, span: Span, problems: &mut Problems| {
        let made = ready_made(word, column);
        if made.is_none() {
            problems.push(invalid_word("like", word, span, &LIKE));
        }
        made
    };
    if let ValueKind::String(word) = &value.kind {
        let levels = made(word, &name.value, value.span, problems)?;
        let levels = levels.into_iter().map(|c| level(c, value.span));
        return Some(ComparisonRule {
            name: name.clone(),
            levels: levels.collect(),
        });
    }
    let what = format!("comparison `{}`", name.value);
    let fields = Fields::of(value, &what, problems)?;
    fields.check_keys(
        &["column", "like", "levels", "term_frequency"],
        Severity::Error,
        problems,
    );
    let column = fields.text("column", problems);
    let column = column.map_or_else(|| name.value.clone(), |column| column.value);
    let mut levels: Vec<LevelRule> = match (fields.text("like", problems), fields.get("levels")) {
        (Some(word), None) => {
            let made = made(&word.value, &column, word.span, problems)?;
            made.into_iter().map(|c| level(c, word.span)).collect()
        }
        (None, Some(_)) => fields
            .list("levels", problems)
            .iter()
            .filter_map(|item| {
                let condition = condition(item, &column, 0, problems)?;
                let mut level = level(condition, item.span);
                level.frequency_of = frequency_of(item, problems);
                if level.frequency_of.is_some() {
                    level.term_frequency = 1.0;
                }
                Some(level)
            })
            .collect(),
        _ => {
            problems.push(
                Diagnostic::error(
                    codes::INVALID_VALUE,
                    format!("{what} needs either `like` or `levels`"),
                    name.span,
                )
                .with_help(format!("`like` can be {}", suggest::one_of(LIKE))),
            );
            return None;
        }
    };
    if levels.is_empty() {
        return None;
    }
    let weight = fields.get("term_frequency").map(|value| match &value.kind {
        ValueKind::Bool(true) => Some(1.0),
        ValueKind::Bool(false) => Some(0.0),
        _ => share("term_frequency", value, problems),
    });
    if let (Some(Some(weight)), Some(first)) = (weight, levels.first_mut()) {
        first.term_frequency = weight;
    }
    Some(ComparisonRule {
        name: name.clone(),
        levels,
    })
}

const FREQUENCY: &str = "term_frequency";

/// The column whose rare values make a level count for more: `{all: […], term_frequency: last_name}`.
fn frequency_of(level: &Value, problems: &mut Problems) -> Option<String> {
    let ValueKind::Map(entries) = &level.kind else {
        return None;
    };
    let (_, column) = entries.iter().find(|(key, _)| key.value == FREQUENCY)?;
    text(column, "`term_frequency` of a level", problems).map(|column| column.value)
}

/// `exact`, `{jaro_winkler: 0.9}`, `{all: [exact, {days: 31}]}`.
fn condition(
    value: &Value,
    column: &str,
    depth: usize,
    problems: &mut Problems,
) -> Option<LevelCondition> {
    use LevelCondition as Is;
    const KINDS: [&str; 16] = [
        "exact",
        "jaro_winkler",
        "jaro",
        "jaccard",
        "levenshtein",
        "damerau",
        "days",
        "within",
        "overlap",
        "best_jaro_winkler",
        "swapped",
        "all",
        "any",
        "not",
        "column",
        FREQUENCY,
    ];
    if depth > DEPTH {
        problems.push(Diagnostic::error(
            codes::INVALID_VALUE,
            "conditions are nested too deep",
            value.span,
        ));
        return None;
    }
    if let ValueKind::String(word) = &value.kind {
        if word == "exact" {
            return Some(Is::Exact(column.to_owned()));
        }
        problems.push(invalid_word("levels", word, value.span, &["exact"]));
        return None;
    }
    let fields = Fields::of(value, "a level", problems)?;
    fields.check_keys(&KINDS, Severity::Error, problems);
    let column = match fields.text("column", problems) {
        Some(own) => own.value,
        None => column.to_owned(),
    };
    let beside = ["column", FREQUENCY];
    let mut kinds = fields
        .entries()
        .iter()
        .filter(|(k, _)| !beside.contains(&k.value.as_str()));
    if let (Some(value), true) = (fields.get(FREQUENCY), depth > 0) {
        let message = "`term_frequency` belongs to a level, not to one of its conditions";
        problems.push(Diagnostic::error(codes::INVALID_VALUE, message, value.span));
    }
    let (Some((kind, given)), None) = (kinds.next(), kinds.next()) else {
        problems.push(
            Diagnostic::error(codes::INVALID_VALUE, "a level is one condition", value.span)
                .with_help("write `{jaro_winkler: 0.9}`, or `{all: [...]}` for several at once"),
        );
        return None;
    };
    let mut least = || share(&kind.value, given, problems);
    Some(match kind.value.as_str() {
        "exact" => Is::Exact(text(given, "`exact`", problems)?.value),
        "jaro_winkler" => Is::JaroWinkler(column, least()?),
        "jaro" => Is::Jaro(column, least()?),
        "jaccard" => Is::Jaccard(column, least()?),
        "best_jaro_winkler" => Is::BestJaroWinkler(column, least()?),
        "levenshtein" => Is::Levenshtein(column, count(kind, given, problems)?),
        "damerau" => Is::Damerau(column, count(kind, given, problems)?),
        "days" => Is::Days(column, count(kind, given, problems)?),
        "overlap" => Is::Overlap(column, count(kind, given, problems)?),
        "within" => match number(given).filter(|number| *number >= 0.0) {
            Some(most) => Is::Within(column, most),
            None => {
                problems.push(wrong_type("`within`", "a number of at least 0", given));
                return None;
            }
        },
        "swapped" => Is::Swapped(column, text(given, "`swapped`", problems)?.value),
        "all" => Is::All(conditions(kind, given, &column, depth, problems)?),
        "any" => Is::Any(conditions(kind, given, &column, depth, problems)?),
        "not" => Is::Not(Box::new(condition(given, &column, depth + 1, problems)?)),
        // Reported as an unknown key.
        _ => return None,
    })
}

fn conditions(
    kind: &Located<String>,
    value: &Value,
    column: &str,
    depth: usize,
    problems: &mut Problems,
) -> Option<Vec<LevelCondition>> {
    let ValueKind::List(items) = &value.kind else {
        problems.push(wrong_type(&format!("`{}`", kind.value), "a list", value));
        return None;
    };
    items
        .iter()
        .map(|item| condition(item, column, depth + 1, problems))
        .collect()
}

fn count(kind: &Located<String>, value: &Value, problems: &mut Problems) -> Option<u32> {
    let number = match &value.kind {
        ValueKind::Int(number) => u32::try_from(*number).ok().filter(|number| *number > 0),
        _ => None,
    };
    if number.is_none() {
        problems.push(wrong_type(
            &format!("`{}`", kind.value),
            "a whole number above 0",
            value,
        ));
    }
    number
}
