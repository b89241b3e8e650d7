//! A JSON object that stays text on its way from the plan to the wire.

mod parse;

use std::fmt;

use serde_json::{Map, Value};

/// A JSON object as canonical text: no spaces between tokens, and equal texts mean equal objects. A row's
/// key and fields travel in this form, so that nothing is built and written again for each row.
///
/// Its `Debug` shows only the length: the text holds people's data.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ObjectText(Box<str>);

impl ObjectText {
    /// Wraps text that starts with `{` and ends with `}`; `None` for other text. More is not looked at:
    /// whoever stores the text guards its integrity. [`deliver`](crate::deliver()) rejects a row whose text is
    /// no object after all.
    pub fn new(text: impl Into<Box<str>>) -> Option<Self> {
        let text = text.into();
        (text.len() >= 2 && text.starts_with('{') && text.ends_with('}')).then_some(Self(text))
    }

    /// The object without fields.
    #[must_use]
    pub fn empty() -> Self {
        Self("{}".into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the object without fields.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        &*self.0 == "{}"
    }

    /// The object that the text stands for, every number exact as far as 64 bits can be; `None` if the
    /// text is not canonical JSON, or nested deeper than 128 levels.
    #[must_use]
    pub fn parse(&self) -> Option<Map<String, Value>> {
        parse::object(&self.0)
    }

    /// Whether the text can be put into other JSON as it is. Builds nothing.
    pub(crate) fn is_well_formed(&self) -> bool {
        parse::is_object(&self.0)
    }
}

impl fmt::Debug for ObjectText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectText({} bytes)", self.0.len())
    }
}

/// The names in the order of the map: canonical only if the map's order is.
impl From<&Map<String, Value>> for ObjectText {
    fn from(map: &Map<String, Value>) -> Self {
        // Text as names and values that exist can always be written; the fallback is never met.
        serde_json::to_string(map).map_or_else(|_| Self::empty(), |text| Self(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_text_in_braces_is_taken() {
        for text in ["", "{", "}", "[]", "null", " {}", "{} "] {
            assert_eq!(ObjectText::new(text), None, "{text}");
        }
        assert_eq!(ObjectText::new("{}"), Some(ObjectText::empty()));
        assert!(ObjectText::empty().is_empty());
        assert_eq!(ObjectText::empty().parse(), Some(Map::new()));
    }

    #[test]
    fn values_are_not_printed() {
        let text = ObjectText::new(r#"{"name":"Ada"}"#);
        assert_eq!(format!("{text:?}"), "Some(ObjectText(14 bytes))");
    }
}
