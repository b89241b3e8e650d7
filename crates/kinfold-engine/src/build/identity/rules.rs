//! The rules of an identity, from the configuration of its model.

use std::collections::HashMap;

use datafusion::common::DataFusionError;
use kinfold_identity::text::normalise::{EmailOptions, email, phone};
use kinfold_identity::{Limit, Pattern, Rules, TypeRules};
use kinfold_project::{IdentifierRules, IdentityRules, Normalise};
use regex::Regex;

/// The rules as the graph takes them.
pub(super) fn rules_of(rules: &IdentityRules) -> Result<Rules, DataFusionError> {
    let types: Result<Vec<TypeRules>, _> = rules.identifiers.iter().map(type_rules).collect();
    Ok(Rules {
        types: types?,
        max_identifiers: rules.max_identifiers.as_ref().map(|most| most.value),
    })
}

fn type_rules(rules: &IdentifierRules) -> Result<TypeRules, DataFusionError> {
    let length = |length: &Option<kinfold_project::Located<u64>>| {
        length
            .as_ref()
            .map(|length| u32::try_from(length.value).unwrap_or(u32::MAX))
    };
    let patterns: Result<Vec<Pattern>, _> = rules
        .blocked_patterns
        .iter()
        .map(|pattern| {
            let regex = Regex::new(&pattern.value)?;
            Ok(Pattern::new(move |value| regex.is_match(value)))
        })
        .collect();
    // The project was read with the same patterns, and would not run with one that is none.
    let patterns =
        patterns.map_err(|error: regex::Error| DataFusionError::External(Box::new(error)))?;
    Ok(TypeRules {
        id_type: rules.id_type.value.clone(),
        limit: rules.limit.as_ref().map(|limit| Limit {
            values: limit.value.values,
            days: limit.value.days,
        }),
        one: rules.one.as_ref().map(|one| one.value.clone()),
        max_records: rules.max_records.as_ref().map(|most| most.value),
        min_length: length(&rules.min_length),
        max_length: length(&rules.max_length),
        blocked_values: rules.blocked.iter().map(|v| v.value.clone()).collect(),
        blocked_patterns: patterns,
    })
}

/// The forms in which identifiers are compared, by their type.
#[derive(Debug, Default)]
pub(super) struct Forms(HashMap<String, Form>);

#[derive(Debug)]
struct Form {
    normalise: Normalise,
    country: Option<String>,
}

impl Forms {
    pub(super) fn of(rules: &IdentityRules) -> Self {
        let forms = rules.identifiers.iter().filter_map(|rules| {
            let form = Form {
                normalise: rules.normalise.as_ref()?.value,
                country: rules.country.as_ref().map(|c| c.value.clone()),
            };
            Some((rules.id_type.value.clone(), form))
        });
        Self(forms.collect())
    }

    /// Whether every value is compared as it is.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The form of a value; `Ok(None)` if it is compared as it is, an error if it is none of its type.
    pub(super) fn form(&self, id_type: &str, value: &str) -> Result<Option<String>, NotOfType> {
        let Some(form) = self.0.get(id_type) else {
            return Ok(None);
        };
        let found = match form.normalise {
            Normalise::Lower => Some(value.trim().to_lowercase()),
            Normalise::Email => email(value, EmailOptions::default()),
            Normalise::Phone => phone(value, form.country.as_deref()),
        };
        found.map(Some).ok_or(NotOfType)
    }
}

/// A value that is no e-mail address, no telephone number.
#[derive(Debug)]
pub(super) struct NotOfType;

impl NotOfType {
    /// The word in the edges relation.
    pub(super) const RULE: &'static str = "malformed";
}
