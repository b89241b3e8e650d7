//! An answer as expressions see it.

use kinfold_sync::HttpAnswer;
use serde_json::{Map, Value};

use crate::expression::{Root, Scope};
use crate::manifest::AnswerForm;

/// So much of an answer that is not JSON is kept, to say what was wrong.
const MAX_WORDS: usize = 2_000;

/// An answer, read as far as its form allows.
pub(super) struct Answer {
    pub(super) status: u16,
    status_value: Value,
    headers: Value,
    pub(super) body: Value,
    /// Why the body cannot be relied on.
    pub(super) unreadable: Option<&'static str>,
}

impl Answer {
    pub(super) fn of(http: HttpAnswer, form: AnswerForm) -> Self {
        let success = (200..300).contains(&http.status);
        let mut headers = Map::new();
        for (name, value) in http.headers {
            let value = match headers.remove(&name) {
                Some(Value::String(first)) => format!("{first}, {value}"),
                _ => value,
            };
            headers.insert(name, Value::String(value));
        }
        let (body, unreadable) = if success {
            match read(&http.body, form) {
                _ if !http.complete => (
                    Value::Null,
                    Some("the answer ends too early or is too long"),
                ),
                Some(body) => (body, None),
                None => (
                    Value::Null,
                    Some("the answer is not of the form that it should have"),
                ),
            }
        } else {
            (words(&http.body), None)
        };
        Self {
            status: http.status,
            status_value: Value::from(http.status),
            headers: Value::Object(headers),
            body,
            unreadable,
        }
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(Value::as_str)
    }

    pub(super) fn scope<'a>(&'a self, scope: Scope<'a>) -> Scope<'a> {
        scope
            .with(Root::Status, &self.status_value)
            .with(Root::Header, &self.headers)
            .with(Root::Answer, &self.body)
    }
}

/// A refusal: JSON if it is, else its words.
fn words(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or_else(|_| {
        let text = String::from_utf8_lossy(body);
        match text.trim() {
            "" => Value::Null,
            text => Value::String(text.chars().take(MAX_WORDS).collect()),
        }
    })
}

fn read(body: &[u8], form: AnswerForm) -> Option<Value> {
    match form {
        AnswerForm::Json if body.iter().all(u8::is_ascii_whitespace) => Some(Value::Null),
        AnswerForm::Json => serde_json::from_slice(body).ok(),
        AnswerForm::Text => Some(Value::String(String::from_utf8_lossy(body).into_owned())),
        AnswerForm::Ndjson => {
            let lines = body.split(|byte| *byte == b'\n');
            let full = lines.filter(|line| !line.iter().all(u8::is_ascii_whitespace));
            let items: Option<Vec<Value>> =
                full.map(|line| serde_json::from_slice(line).ok()).collect();
            items.map(Value::Array)
        }
        AnswerForm::Csv => table(body),
    }
}

/// Lines with a header as objects of texts. A page of an error, or JSON, is no table: its first line would be
/// a header, and nothing would follow it.
fn table(body: &[u8]) -> Option<Value> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    if matches!(body.trim_ascii_start().first(), Some(b'<' | b'{' | b'[')) {
        return None;
    }
    let mut reader = csv::ReaderBuilder::new().from_reader(body);
    let names = reader.headers().ok()?.clone();
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.ok()?;
        let fields = names.iter().zip(record.iter());
        let row: Map<String, Value> = fields
            .map(|(name, value)| (name.to_owned(), Value::from(value)))
            .collect();
        rows.push(Value::Object(row));
    }
    Some(Value::Array(rows))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(status: u16, body: &str, form: AnswerForm, complete: bool) -> Answer {
        Answer::of(
            HttpAnswer {
                status,
                headers: vec![
                    ("x-a".to_owned(), "1".to_owned()),
                    ("x-a".to_owned(), "2".to_owned()),
                ],
                body: body.as_bytes().to_vec(),
                complete,
            },
            form,
        )
    }

    #[test]
    fn answers_are_read_in_their_form() {
        assert_eq!(
            answer(200, " {\"a\":1} ", AnswerForm::Json, true).body,
            json!({"a": 1})
        );
        assert_eq!(answer(204, "", AnswerForm::Json, true).body, json!(null));
        assert_eq!(
            answer(200, "{}\n\n{\"b\":2}\n", AnswerForm::Ndjson, true).body,
            json!([{}, {"b": 2}])
        );
        assert_eq!(
            answer(
                200,
                "\u{feff}\"a b\",c\n\"x,y\",\"\"\"z\"\n",
                AnswerForm::Csv,
                true
            )
            .body,
            json!([{"a b": "x,y", "c": "\"z"}])
        );
        assert_eq!(answer(200, "", AnswerForm::Csv, true).body, json!([]));
        assert_eq!(answer(400, "no", AnswerForm::Json, true).body, json!("no"));
        assert_eq!(
            answer(200, "x", AnswerForm::Text, true).header("x-a"),
            Some("1, 2")
        );
    }

    #[test]
    fn a_success_that_cannot_be_read_is_noticed() {
        assert!(
            answer(200, "{\"a\":", AnswerForm::Json, true)
                .unreadable
                .is_some()
        );
        assert!(
            answer(200, "{}", AnswerForm::Json, false)
                .unreadable
                .is_some()
        );
        assert!(
            answer(200, "a,b\n1\n", AnswerForm::Csv, true)
                .unreadable
                .is_some()
        );
        for other in ["<html>busy</html>", " {\"error\": \"busy\"}", "[]"] {
            let table = answer(200, other, AnswerForm::Csv, true);
            assert!(table.unreadable.is_some(), "{other}");
        }
        assert!(
            answer(500, "<html>", AnswerForm::Json, false)
                .unreadable
                .is_none()
        );
    }
}
