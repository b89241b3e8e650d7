//! The files of a proposed linkage.

use super::column::{Column, DateForm, Kind};
use super::{SuggestRequest, SuggestedRule, Suggestion};
use crate::build::quoted;

/// Share of all matches that the rules of the prior are thought to find; a wrong one matters little.
const RECALL: &str = "0.7";

/// Where records come from.
pub(super) struct Source<'a> {
    pub(super) request: &'a SuggestRequest,
    /// Whether it has columns `source` and `record_id`.
    pub(super) keyed: bool,
    /// The column with the ids.
    pub(super) id: &'a str,
}

impl Source<'_> {
    /// The model over a relation.
    pub(super) fn query(&self, columns: &[Column], relation: &str) -> String {
        let source = match self.keyed {
            true => "source".to_owned(),
            false => format!("'{}' as source", self.request.source.replace('\'', "''")),
        };
        let mut lines = vec![source];
        lines.push(match self.id {
            "record_id" => "record_id".to_owned(),
            other => format!("cast({} as varchar) as record_id", name(other)),
        });
        for column in columns {
            lines.push(format!("{} as {}", cleaned(column), column.name));
        }
        format!("select\n    {}\nfrom {relation}", lines.join(",\n    "))
    }

    /// The file of the model.
    pub(super) fn sql(&self, columns: &[Column]) -> String {
        format!(
            "-- Proposed by `kinfold identity suggest`: one row for each record, with what is compared in one form.\n{}\n",
            self.query(columns, &self.request.reference)
        )
    }
}

/// A column's name as SQL takes it.
fn name(name: &str) -> String {
    let plain = name
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    let begins = name.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
    // Words that some dialect keeps for itself.
    let reserved = [
        "date", "end", "from", "group", "name", "order", "select", "time", "user", "value", "where",
    ];
    if plain && begins && !reserved.contains(&name) {
        name.to_owned()
    } else {
        quoted(name)
    }
}

/// The value in the form in which it is compared.
fn cleaned(column: &Column) -> String {
    let from = name(&column.from);
    let text = format!("trim(cast({from} as varchar))");
    match column.kind {
        Kind::Phone => format!("nullif(regexp_replace({text}, '[^0-9+]', '', 'g'), '')"),
        Kind::Postcode | Kind::Code => {
            format!("nullif(upper(regexp_replace({text}, '[^0-9A-Za-z]', '', 'g')), '')")
        }
        Kind::Date(DateForm::Date) => format!("cast({from} as date)"),
        Kind::Date(DateForm::Iso) => format!("try_cast(substr({text}, 1, 10) as date)"),
        Kind::Date(DateForm::Digits) => format!(
            "try_cast(concat(substr({text}, 1, 4), '-', substr({text}, 5, 2), '-', substr({text}, 7, 2)) as date)"
        ),
        Kind::Date(form) => {
            let parts = format!("regexp_replace({text}, '[./-]', '/', 'g')");
            let (month, day) = match form {
                DateForm::MonthFirst => (1, 2),
                _ => (2, 1),
            };
            format!(
                "try_cast(concat(split_part({parts}, '/', 3), '-', lpad(split_part({parts}, '/', {month}), 2, '0'), \
                 '-', lpad(split_part({parts}, '/', {day}), 2, '0')) as date)"
            )
        }
        _ => format!("nullif(lower({text}), '')"),
    }
}

/// The file of the configuration, with the reasons as comments.
pub(super) fn yaml(request: &SuggestRequest, suggestion: &Suggestion) -> String {
    let mut text = format!(
        "# Proposed by `kinfold identity suggest` for {} records of {}. Look at it, then:\n\
         #   kinfold identity train {}\n\
         models:\n  - name: {}\n    description: Pairs of records of {} that may be of one person.\n    config:\n      \
         materialized: linkage\n",
        suggestion.records,
        request.source,
        request.model,
        request.model,
        yaml_text(&request.source)
    );
    text.push_str(
        "      # A record joins a group that it resembles on average: one wrong pair does not join two people.\n      \
         clustering: average\n      \
         # Likelier one person than two. Raise it where a wrong match costs more than a missed one.\n      \
         threshold: 0.5\n",
    );
    if !suggestion.prior.is_empty() {
        text.push_str(
            "      # What hardly any two people share: how rare matches are is guessed from it.\n",
        );
        let rules: Vec<String> = suggestion.prior.iter().map(rule).collect();
        text.push_str(&format!(
            "      prior: {{rules: [{}], recall: {RECALL}}}\n",
            rules.join(", ")
        ));
    }
    if !suggestion.training.is_empty() {
        text.push_str(
            "      # Rules to learn from: no column is in two of them.\n      training:\n",
        );
        for own in &suggestion.training {
            text.push_str(&format!("        - {} # {} pairs\n", rule(own), own.pairs));
        }
    }
    text.push_str(&format!(
        "      # {} pairs in all, of {} that are allowed; {} records have no value for any rule.\n      blocking:\n",
        suggestion.pairs, suggestion.budget, suggestion.not_covered
    ));
    for own in &suggestion.blocking {
        text.push_str(&format!(
            "        - {} # {} pairs, {} records at most\n",
            rule(own),
            own.pairs,
            own.largest_block
        ));
    }
    text.push_str("      comparisons:\n");
    for comparison in &suggestion.comparisons {
        let frequency = if comparison.term_frequency {
            ", term_frequency: true"
        } else {
            ""
        };
        text.push_str(&format!(
            "        {}: {{like: {}{frequency}}} # {}\n",
            yaml_text(&comparison.column),
            comparison.like,
            comparison.why
        ));
    }
    for left_out in &suggestion.left_out {
        let column = left_out.column.replace(['\n', '\r'], " ");
        text.push_str(&format!(
            "        # {column} is not compared: {}\n",
            left_out.why
        ));
    }
    text
}

/// A rule as YAML: an expression, or a list of them.
fn rule(rule: &SuggestedRule) -> String {
    let parts: Vec<String> = rule.expressions.iter().map(|e| yaml_text(e)).collect();
    match parts.as_slice() {
        [only] => only.clone(),
        _ => format!("[{}]", parts.join(", ")),
    }
}

/// A text as YAML takes it inside of a list.
fn yaml_text(text: &str) -> String {
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let begins = text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic());
    let reserved = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    if plain && begins && !reserved.contains(&text.to_ascii_lowercase().as_str()) {
        text.to_owned()
    } else {
        serde_json::Value::from(text).to_string()
    }
}
