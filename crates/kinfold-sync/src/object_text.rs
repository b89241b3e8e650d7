//! A JSON object that stays text on its way from the plan to the wire.

mod parse;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;

use serde_json::{Map, Value};

/// A JSON object as canonical text: no spaces between tokens, and equal texts mean equal objects. A row's
/// key and fields travel in this form, so that nothing is built and written again for each row.
///
/// Its `Debug` shows only the length: the text holds people's data.
#[derive(Clone)]
pub struct ObjectText {
    /// The text is a part of it.
    owner: Arc<String>,
    part: Range<usize>,
    /// Whether nobody has to look whether it is one.
    guarded: bool,
}

impl ObjectText {
    /// Wraps text that starts with `{` and ends with `}`; `None` for other text. More is not looked at yet:
    /// [`deliver`](crate::deliver()) rejects a row whose text is no object after all.
    pub fn new(text: impl Into<String>) -> Option<Self> {
        let text = text.into();
        is_braced(&text).then(|| Self {
            guarded: false,
            ..Self::written(text)
        })
    }

    /// A part of a text that a canonical writer wrote and that a hash has guarded since. It is sent as it is.
    #[must_use]
    pub fn guarded(owner: &Arc<String>, part: Range<usize>) -> Option<Self> {
        // Both are characters of one byte, so that the part is text if they stand at its ends.
        let bytes = owner.as_bytes().get(part.clone())?;
        let is_braced =
            bytes.len() >= 2 && bytes.first() == Some(&b'{') && bytes.last() == Some(&b'}');
        is_braced.then(|| Self {
            owner: Arc::clone(owner),
            part,
            guarded: true,
        })
    }

    /// Of text that a writer of JSON has just written.
    fn written(text: String) -> Self {
        let part = 0..text.len();
        Self {
            owner: Arc::new(text),
            part,
            guarded: true,
        }
    }

    /// The object without fields.
    #[must_use]
    pub fn empty() -> Self {
        Self::written("{}".to_owned())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // The part was looked at when it was made.
        self.owner.get(self.part.clone()).unwrap_or("{}")
    }

    /// How many bytes the text has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.part.len()
    }

    /// Whether it is the object without fields.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.as_str() == "{}"
    }

    /// The object that the text stands for, every number exact as far as 64 bits can be; `None` if the
    /// text is not canonical JSON, or nested deeper than 128 levels.
    #[must_use]
    pub fn parse(&self) -> Option<Map<String, Value>> {
        parse::object(self.as_str())
    }

    /// Whether the text can be put into other JSON as it is. Builds nothing.
    pub(crate) fn is_well_formed(&self) -> bool {
        self.guarded || parse::is_object(self.as_str())
    }
}

fn is_braced(text: &str) -> bool {
    text.len() >= 2 && text.starts_with('{') && text.ends_with('}')
}

impl PartialEq for ObjectText {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for ObjectText {}

impl Hash for ObjectText {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Debug for ObjectText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectText({} bytes)", self.part.len())
    }
}

/// The names in the order of the map: canonical only if the map's order is.
impl From<&Map<String, Value>> for ObjectText {
    fn from(map: &Map<String, Value>) -> Self {
        // Text as names and values that exist can always be written; the fallback is never met.
        serde_json::to_string(map).map_or_else(|_| Self::empty(), Self::written)
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
