//! Subjects with fields of the key in them.

use serde_json::{Map, Value};

use crate::DestinationError;

/// A subject such as `cdp.people.{id}`.
pub(super) struct Subject {
    parts: Vec<Part>,
}

enum Part {
    Text(String),
    Field(String),
}

/// Whether text can be part of a subject, dots apart.
fn is_plain(text: &str) -> bool {
    !text
        .chars()
        .any(|c| c.is_whitespace() || c.is_control() || matches!(c, '*' | '>' | '{' | '}'))
}

impl Subject {
    /// Reads a subject; what is in braces names a field of the key.
    ///
    /// # Errors
    /// It is no subject, or names another field.
    pub(super) fn parse(object: &str, key_fields: &[String]) -> Result<Self, DestinationError> {
        let invalid = |reason| DestinationError::ObjectName {
            object: object.to_owned(),
            reason,
        };
        let mut parts = Vec::new();
        let mut rest = object;
        while let Some((before, after)) = rest.split_once('{') {
            let (field, after) = after
                .split_once('}')
                .ok_or_else(|| invalid("a brace is not closed"))?;
            if !key_fields.iter().any(|known| known == field) {
                return Err(invalid("in braces stand fields of the key"));
            }
            parts.push(Part::Text(before.to_owned()));
            parts.push(Part::Field(field.to_owned()));
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        let subject = Self { parts };
        let example = subject.with(|_| Some("x".to_owned())).unwrap_or_default();
        let sound = is_plain(&example) && example.split('.').all(|token| !token.is_empty());
        // Subjects of the server itself begin so.
        if !sound || example.starts_with(['$', '_']) {
            return Err(invalid("it must be a subject without wildcards"));
        }
        Ok(subject)
    }

    fn with(&self, value: impl Fn(&str) -> Option<String>) -> Option<String> {
        self.parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => Some(text.clone()),
                Part::Field(field) => value(field),
            })
            .collect()
    }

    /// The subject that stands for those of all rows: each token with a field in it is a wildcard.
    pub(super) fn pattern(&self) -> String {
        let marked = self.with(|_| Some("*".to_owned())).unwrap_or_default();
        let tokens = marked.split('.').map(|token| match token.contains('*') {
            true => "*",
            false => token,
        });
        tokens.collect::<Vec<_>>().join(".")
    }

    /// The subject of a row; `None` if a value of its key cannot be part of one.
    pub(super) fn of(&self, key: &Map<String, Value>) -> Option<String> {
        self.with(|field| {
            let text = match key.get(field)? {
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                Value::Bool(flag) => flag.to_string(),
                Value::Null | Value::Array(_) | Value::Object(_) => return None,
            };
            (!text.is_empty() && is_plain(&text) && !text.contains('.')).then_some(text)
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_stay_within_their_token() {
        let keys = ["id".to_owned(), "shop".to_owned()];
        let subject = |object| Subject::parse(object, &keys).ok();
        let of = |object, key: Value| subject(object)?.of(key.as_object()?);
        let key = json!({"id": 7, "shop": "a-b"});
        let found = of("cdp.{shop}.p_{id}", key.clone());
        assert_eq!(found.as_deref(), Some("cdp.a-b.p_7"));
        assert_eq!(of("cdp.people", key).as_deref(), Some("cdp.people"));
        let pattern = subject("cdp.{shop}.p_{id}").map(|subject| subject.pattern());
        assert_eq!(pattern.as_deref(), Some("cdp.*.*"));
        for value in [
            json!("a.b"),
            json!("*"),
            json!("a b"),
            json!(">"),
            json!(""),
            json!(null),
            json!("a\r\nb"),
        ] {
            assert_eq!(of("cdp.{id}", json!({"id": value})), None, "{value}");
        }
        for object in [
            "",
            "a..b",
            ".a",
            "a b",
            "a.*",
            "a.>",
            "a.{other}",
            "a.{id",
            "a}",
            "$JS.x",
            "_INBOX.x",
        ] {
            assert!(subject(object).is_none(), "{object}");
        }
    }
}
