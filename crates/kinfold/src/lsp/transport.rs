//! Messages over standard input and output: the base protocol of LSP.
//!
//! A header with `Content-Length`, an empty line, and so many bytes of JSON. Whatever comes instead is answered
//! or skipped, and what comes after it is read.

use std::io::{self, BufRead, Read, Write};

use gen_lsp_types::json_rpc::Id;
use serde_json::{Value, json};

/// Longer messages are skipped. The longest text of a project is half of that, see the loader.
const MAX_CONTENT_BYTES: u64 = 128 * 1024 * 1024;

/// Longer lines of a header are not lines of a header.
const MAX_HEADER_BYTES: u64 = 8 * 1024;

/// What came in.
#[derive(Debug, PartialEq)]
pub enum Incoming {
    /// A request, or a notification if it has no id.
    Call(Call),
    /// What is no message: why, and what it is answered with, see [`error`].
    Garbage(i32, &'static str),
}

/// A request or a notification.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// What the answer is told by; a notification is not answered.
    pub id: Option<Id>,
    /// What is asked.
    pub method: String,
    /// More of it; `null` if there is none.
    pub params: Value,
}

/// No JSON.
pub const PARSE_ERROR: i32 = -32_700;
/// JSON, but no message, or not at this time.
pub const INVALID_REQUEST: i32 = -32_600;
/// A method that nobody knows.
pub const METHOD_NOT_FOUND: i32 = -32_601;
/// Parameters that are not those of the method.
pub const INVALID_PARAMS: i32 = -32_602;
/// The method could not be carried out.
pub const INTERNAL_ERROR: i32 = -32_603;
/// Something was asked before `initialize`.
pub const NOT_INITIALIZED: i32 = -32_002;
/// The client has cancelled the request.
pub const CANCELLED: i32 = -32_800;

/// The next message; `None` at the end of the input. Answers to requests of the server are read over: none of
/// them is waited for.
///
/// # Errors
/// When the input cannot be read.
pub fn read(input: &mut impl BufRead) -> io::Result<Option<Incoming>> {
    loop {
        let length = match header(input)? {
            Header::End => return Ok(None),
            Header::Length(length) => length,
            Header::NoLength => {
                return Ok(Some(Incoming::Garbage(
                    INVALID_REQUEST,
                    "a message without `Content-Length`",
                )));
            }
        };
        if length > MAX_CONTENT_BYTES {
            io::copy(&mut input.by_ref().take(length), &mut io::sink())?;
            return Ok(Some(Incoming::Garbage(
                INVALID_REQUEST,
                "a message that is too long",
            )));
        }
        let mut content = vec![];
        input.by_ref().take(length).read_to_end(&mut content)?;
        if (content.len() as u64) < length {
            return Ok(None);
        }
        let Ok(value) = serde_json::from_slice::<Value>(&content) else {
            return Ok(Some(Incoming::Garbage(PARSE_ERROR, "no JSON")));
        };
        match message(value) {
            Some(incoming) => return Ok(Some(incoming)),
            None => continue,
        }
    }
}

/// A message of JSON; `None` if it is an answer.
fn message(mut value: Value) -> Option<Incoming> {
    let garbage = |why| Some(Incoming::Garbage(INVALID_REQUEST, why));
    if !value.is_object() {
        return garbage("a message is a JSON object");
    }
    let id = match value.get_mut("id").map(Value::take) {
        None => None,
        Some(id) => match serde_json::from_value::<Id>(id) {
            Ok(id) => Some(id),
            Err(_) => return garbage("an id is a whole number or a text"),
        },
    };
    match value.get_mut("method").map(Value::take) {
        Some(Value::String(method)) => Some(Incoming::Call(Call {
            id,
            method,
            params: value.get_mut("params").map(Value::take).unwrap_or_default(),
        })),
        None if value.get("result").is_some() || value.get("error").is_some() => None,
        _ => garbage("a message has a method"),
    }
}

enum Header {
    Length(u64),
    NoLength,
    End,
}

/// Reads up to the empty line.
fn header(input: &mut impl BufRead) -> io::Result<Header> {
    let mut length = None;
    let mut lines = 0_usize;
    loop {
        let mut line = vec![];
        input
            .by_ref()
            .take(MAX_HEADER_BYTES)
            .read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Ok(Header::End);
        }
        let line = String::from_utf8_lossy(&line);
        let line = line.trim();
        if line.is_empty() {
            match (length, lines) {
                (Some(length), _) => return Ok(Header::Length(length)),
                // Empty lines between messages do no harm.
                (None, 0) => continue,
                (None, _) => return Ok(Header::NoLength),
            }
        }
        lines += 1;
        if let Some((name, value)) = line.split_once(':')
            && name.trim().eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok();
        }
    }
}

/// Writes one message.
///
/// # Errors
/// When the output cannot be written.
pub fn write(output: &mut impl Write, message: &Value) -> io::Result<()> {
    let content = message.to_string();
    write!(output, "Content-Length: {}\r\n\r\n{content}", content.len())?;
    output.flush()
}

/// The answer to a request.
pub fn answer(id: &Id, result: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "result": result})
}

/// The answer to a request that failed; without an id, to something that was no request.
pub fn error(id: Option<&Id>, code: i32, message: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}})
}

/// A notification of the server.
pub fn notification(method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "method": method, "params": params})
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn all(text: &str) -> Vec<Incoming> {
        let mut input = text.as_bytes();
        let mut found = vec![];
        while let Some(incoming) = read(&mut input).unwrap() {
            found.push(incoming);
        }
        found
    }

    fn framed(content: &str) -> String {
        format!("Content-Length: {}\r\n\r\n{content}", content.len())
    }

    fn call(id: Option<Id>, method: &str) -> Incoming {
        Incoming::Call(Call {
            id,
            method: method.to_owned(),
            params: Value::Null,
        })
    }

    #[test]
    fn garbage_is_told_and_what_follows_is_read() {
        let good = framed(r#"{"jsonrpc":"2.0","id":"ü","method":"a"}"#);
        let text = [
            framed("{not json"),
            good.clone(),
            "nonsense\r\nmore: of it\r\n\r\n".to_owned(),
            good.clone(),
            framed("[]"),
            framed(r#"{"id":1.5,"method":"a"}"#),
            framed(r#"{"id":1,"method":7}"#),
            // An answer to something that the server has asked.
            framed(r#"{"id":1,"result":null}"#),
            "Content-Type: x\ncontent-length:31\n\n".to_owned()
                + r#"{"jsonrpc":"2.0","method":"b"}"#
                + " ",
        ]
        .concat();
        let id = Id::String("ü".to_owned());
        let found = all(&text);
        assert!(matches!(found[0], Incoming::Garbage(PARSE_ERROR, _)));
        assert_eq!(found[1], call(Some(id.clone()), "a"));
        assert!(matches!(found[2], Incoming::Garbage(INVALID_REQUEST, _)));
        assert_eq!(found[3], call(Some(id), "a"));
        let refused = |one: &Incoming| matches!(one, Incoming::Garbage(INVALID_REQUEST, _));
        assert!(found[4..7].iter().all(refused), "{found:?}");
        assert_eq!(found[7], call(None, "b"));
        assert_eq!(found.len(), 8);
    }

    #[test]
    fn a_message_that_is_too_long_is_skipped() {
        let long = MAX_CONTENT_BYTES + 1;
        let head = format!("Content-Length: {long}\r\n\r\n");
        let rest = framed(r#"{"method":"a"}"#);
        let body = io::repeat(b' ').take(long);
        let mut input = io::BufReader::new(head.as_bytes().chain(body).chain(rest.as_bytes()));
        let first = read(&mut input).unwrap().unwrap();
        assert!(matches!(first, Incoming::Garbage(INVALID_REQUEST, _)));
        assert_eq!(read(&mut input).unwrap().unwrap(), call(None, "a"));
        assert_eq!(read(&mut input).unwrap(), None);
    }

    #[test]
    fn an_input_that_ends_early_ends() {
        assert_eq!(all("Content-Length: 100\r\n\r\n{"), []);
        assert_eq!(all("Content-Le"), []);
    }

    #[test]
    fn what_is_written_can_be_read() {
        let mut text = vec![];
        write(&mut text, &notification("a", Value::Null)).unwrap();
        write(&mut text, &answer(&Id::Number(1), json!("é"))).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(
            text.contains(
                "Content-Length: 38\r\n\r\n{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"é\"}"
            ),
            "{text}"
        );
        assert_eq!(all(&text), [call(None, "a")]);
    }
}
