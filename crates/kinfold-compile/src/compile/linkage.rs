//! Linkages: comparisons and keys bound to the columns of their model, and their trained parameters.

use datafusion::arrow::datatypes::{DataType, Schema, SchemaRef};
use kinfold_project::linkage::{LevelCondition, OTHERWISE};
use kinfold_project::{
    ComparisonRule, Diagnostic, KeyRule, LinkageParameters, LinkageRules, Span, codes as files,
};

use super::assembled::Assembled;
use super::{Compiler, quoted, with_texts};
use crate::bind::closest;
use crate::codes;
use crate::relation::RelationKey;
use crate::render::{Materialization, RenderedNode};

/// What a level needs of a column.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    Any,
    Text,
    Date,
    Number,
    List,
}

impl Need {
    fn of(condition: &LevelCondition) -> Self {
        use LevelCondition as Is;
        match condition {
            Is::Exact(_) | Is::Swapped(..) | Is::All(_) | Is::Any(_) | Is::Not(_) => Self::Any,
            Is::JaroWinkler(..) | Is::Jaro(..) | Is::Jaccard(..) | Is::Levenshtein(..) => {
                Self::Text
            }
            // Typing errors of dates are found in their text.
            Is::Damerau(..) => Self::Text,
            Is::Days(..) => Self::Date,
            Is::Within(..) => Self::Number,
            Is::Overlap(..) | Is::BestJaroWinkler(..) => Self::List,
        }
    }

    fn accepts(self, found: &DataType) -> bool {
        let text = matches!(
            found,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
        );
        let date = matches!(
            found,
            DataType::Date32 | DataType::Date64 | DataType::Timestamp(..)
        );
        match self {
            Self::Any => true,
            Self::Text => text || date || found.is_integer(),
            Self::Date => date,
            Self::Number => found.is_numeric(),
            Self::List => matches!(found, DataType::List(_) | DataType::LargeList(_)),
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Any => "anything",
            Self::Text => "text",
            Self::Date => "a date",
            Self::Number => "a number",
            Self::List => "a list",
        }
    }
}

impl Compiler<'_> {
    /// Whether a linkage can be built on a model with these columns. Other models always can.
    pub(super) fn linkage(&mut self, node: &RenderedNode, columns: &Schema) -> bool {
        if node.config.materialized.value != Materialization::Linkage {
            return true;
        }
        let known = self.found.len();
        let Some(rules) = &node.config.linkage else {
            // Reported when the configuration was read.
            return true;
        };
        for comparison in &rules.comparisons {
            self.comparison(comparison, columns);
        }
        for rule in rules
            .blocking
            .iter()
            .chain(&rules.prior)
            .chain(&rules.training)
        {
            self.key(node, rule, columns);
        }
        self.found[known..].iter().all(|d| !d.is_error())
    }

    fn comparison(&mut self, comparison: &ComparisonRule, columns: &Schema) {
        let names: Vec<&str> = columns.fields().iter().map(|f| f.name().as_str()).collect();
        for level in &comparison.levels {
            if let Some(of) = &level.frequency_of
                && !needs(&level.condition)
                    .iter()
                    .any(|(column, _)| column == of)
            {
                let message = format!("the level does not compare `{of}`, whose values it weighs");
                self.found
                    .push(Diagnostic::error(codes::CONTRACT, message, level.span));
            }
            for (column, need) in needs(&level.condition) {
                let problem = match columns.field_with_name(column) {
                    Err(_) => {
                        let problem = Diagnostic::error(
                            codes::CONTRACT,
                            format!("the model has no column `{column}`"),
                            level.span,
                        );
                        match closest(column, &names) {
                            Some(close) => problem.with_help(format!("did you mean `{close}`?")),
                            None => problem,
                        }
                    }
                    Ok(field) if !need.accepts(field.data_type()) => Diagnostic::error(
                        codes::CONTRACT,
                        format!(
                            "column `{column}` is {}, and `{}` compares {}",
                            field.data_type(),
                            level.condition.label(),
                            need.words()
                        ),
                        level.span,
                    ),
                    Ok(_) => continue,
                };
                if !self.found.contains(&problem) {
                    self.found.push(problem);
                }
            }
        }
    }

    /// Binds the expressions of a rule to the columns of the model.
    fn key(&mut self, node: &RenderedNode, rule: &KeyRule, columns: &Schema) {
        let input = RelationKey::companion(node.id.clone(), "records");
        let schema = "__linkages";
        let name = node.id.as_str();
        // Once for all rules.
        let _ = self
            .binder
            .add_table(input, schema, name, SchemaRef::new(columns.clone()));
        let mut sql = Assembled::default();
        sql.push("SELECT ");
        for (at, expression) in rule.expressions.iter().enumerate() {
            sql.push(if at == 0 { "" } else { ", " });
            sql.expression(expression, &self.project.files);
            sql.push(&format!("\n AS k{at}"));
        }
        sql.push(&format!(
            " FROM \"kinfold\".\"{schema}\".{} AS r",
            quoted(name)
        ));
        let unsound = sql.unsound();
        let problems = match unsound.is_empty() {
            false => unsound,
            true => match self.binder.bind(&sql.text) {
                Ok(_) => return,
                Err(problems) => problems,
            },
        };
        for p in problems {
            let range = p.range.as_ref();
            let span = range
                .and_then(|range| sql.origin(range))
                .unwrap_or(rule.span);
            let d = Diagnostic::error(p.code, p.message, span);
            let d = with_texts(d, p.notes, p.help);
            if !self.found.contains(&d) {
                self.found.push(d);
            }
        }
    }

    /// The trained parameters of a node. Those for other levels say nothing of these.
    pub(super) fn fitting_parameters(&mut self, node: &RenderedNode) -> Option<LinkageParameters> {
        let rules = node.config.linkage.as_ref()?;
        let mut all = self.project.linkage_parameters.iter();
        let parameters = all.find(|p| p.package == node.package && p.model.value == node.name)?;
        let Some((span, message)) = misfit(parameters, rules) else {
            return Some(parameters.clone());
        };
        let help = format!("train it again: `kinfold identity train {}`", node.name);
        let d = Diagnostic::warning(files::INVALID_VALUE, message, span);
        self.found.push(d.with_help(help));
        None
    }
}

/// The first difference between the levels of a linkage and those that its parameters were trained for.
#[must_use]
pub fn misfit(parameters: &LinkageParameters, rules: &LinkageRules) -> Option<(Span, String)> {
    for comparison in &parameters.comparisons {
        let known = |rule: &&ComparisonRule| rule.name.value == comparison.name.value;
        let name = &comparison.name;
        let Some(rule) = rules.comparisons.iter().find(known) else {
            let message = format!("the linkage has no comparison `{}`", name.value);
            return Some((name.span, message));
        };
        let labels = rule.levels.iter().map(|level| level.condition.label());
        let labels: Vec<String> = labels.chain([OTHERWISE.to_owned()]).collect();
        for (at, label) in labels.iter().enumerate() {
            match comparison.levels.get(at) {
                Some(level) if level.label.value == *label => {}
                Some(level) => {
                    let message = format!("level {} of `{}` is `{label}` now", at + 1, name.value);
                    return Some((level.label.span, message));
                }
                None => {
                    let message = format!("`{}` has no level `{label}` here", name.value);
                    return Some((name.span, message));
                }
            }
        }
        if let Some(more) = comparison.levels.get(labels.len()) {
            let message = format!("`{}` has no such level any more", name.value);
            return Some((more.label.span, message));
        }
    }
    let trained = |rule: &&ComparisonRule| {
        let mut all = parameters.comparisons.iter();
        !all.any(|comparison| comparison.name.value == rule.name.value)
    };
    let missing = rules.comparisons.iter().find(trained)?;
    let message = format!(
        "nothing was trained for comparison `{}`",
        missing.name.value
    );
    Some((parameters.model.span, message))
}

/// The columns of a condition with what is done with them.
fn needs(condition: &LevelCondition) -> Vec<(&str, Need)> {
    match condition {
        LevelCondition::All(parts) | LevelCondition::Any(parts) => {
            parts.iter().flat_map(needs).collect()
        }
        LevelCondition::Not(part) => needs(part),
        own => {
            let need = Need::of(own);
            own.columns().into_iter().map(|c| (c, need)).collect()
        }
    }
}
