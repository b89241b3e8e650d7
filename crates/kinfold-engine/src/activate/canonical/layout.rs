//! Payloads without the names of their fields, as a plan stores them.
//!
//! All rows of a plan have the same fields, and names are often the larger part of an object. The values of a
//! row follow each other in the order of the names, with a character between them that JSON text has to escape.

use super::text::write_text;

/// Stands between two values; JSON never has it bare.
pub(super) const BETWEEN: char = '\u{1f}';

/// The names of the fields, in order.
#[derive(Clone, Debug)]
pub(in super::super) struct Layout {
    /// Each as JSON, between the comma before it and its colon.
    labels: Vec<String>,
}

impl Layout {
    /// The layout of objects with these fields, in any order.
    pub(in super::super) fn of(fields: &[String]) -> Self {
        let mut fields: Vec<&String> = fields.iter().collect();
        fields.sort();
        let label = |field: &String| {
            let mut label = String::from(",");
            write_text(field, &mut label);
            label.push(':');
            label
        };
        Self {
            labels: fields.into_iter().map(label).collect(),
        }
    }

    /// Bytes of an object whose values have so many, at most.
    pub(in super::super) fn bytes_of(&self, values: usize) -> usize {
        let labels: usize = self.labels.iter().map(String::len).sum();
        labels + values + "{}".len()
    }

    /// Appends the object with these values; a field without a value is left out. False if there are not as
    /// many values as fields.
    pub(in super::super) fn join(&self, values: &str, out: &mut String) -> bool {
        out.push('{');
        // The character between values is one byte, so that every place of it is a border of characters.
        let mut ends = memchr::memchr_iter(BETWEEN as u8, values.as_bytes());
        let mut rest = Some(0);
        let mut first = true;
        for label in &self.labels {
            let Some(start) = rest else {
                return false;
            };
            let end = ends.next();
            rest = end.map(|end| end + 1);
            match values.get(start..end.unwrap_or(values.len())) {
                None | Some("") => {}
                Some(value) => {
                    out.push_str(label.get(usize::from(first)..).unwrap_or_default());
                    first = false;
                    out.push_str(value);
                }
            }
        }
        out.push('}');
        match rest {
            None => true,
            // No field at all is one empty value.
            Some(_) => self.labels.is_empty() && values.is_empty(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(fields: &[&str], values: &str) -> Option<String> {
        let fields: Vec<String> = fields.iter().map(|field| (*field).to_owned()).collect();
        let mut out = String::new();
        Layout::of(&fields).join(values, &mut out).then_some(out)
    }

    #[test]
    fn values_get_their_names_back() {
        let object = joined(&["b", "a\"", "c"], "1\u{1f}\u{1f}[2,3]");
        assert_eq!(object.as_deref(), Some(r#"{"a\"":1,"c":[2,3]}"#));
        assert_eq!(joined(&["a"], "").as_deref(), Some("{}"));
        assert_eq!(joined(&[], "").as_deref(), Some("{}"));
    }

    #[test]
    fn another_number_of_values_is_noticed() {
        assert_eq!(joined(&["a", "b"], "1"), None);
        assert_eq!(joined(&["a"], "1\u{1f}2"), None);
        assert_eq!(joined(&[], "1"), None);
    }
}
