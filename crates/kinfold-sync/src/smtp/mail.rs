//! From a row to a mail.

use lettre::Message;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, Mailboxes, MessageBuilder, MultiPart, SinglePart, header};
use serde_json::{Map, Value};

use crate::{DestinationError, Target};

/// The fields that a mail has besides `header_…`.
const FIELDS: [&str; 7] = ["to", "subject", "text", "html", "reply_to", "cc", "bcc"];
const HEADER: &str = "header_";
/// Headers that the mail itself decides, or those who carry it.
const OWN_HEADERS: [&str; 14] = [
    "bcc",
    "cc",
    "date",
    "from",
    "message-id",
    "mime-version",
    "received",
    "reply-to",
    "return-path",
    "sender",
    "subject",
    "to",
    "dkim-signature",
    "authentication-results",
];

/// The header that a field names: `header_list_unsubscribe` is `List-Unsubscribe`. `None` if it names none, or
/// one that is not for the user to set.
fn header_of(field: &str) -> Option<String> {
    let name = field.strip_prefix(HEADER)?.replace('_', "-").to_lowercase();
    let sound = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && !name.starts_with("content-")
        && !OWN_HEADERS.contains(&name.as_str());
    let words = name.split('-').map(|word| {
        let mut letters = word.chars();
        let first = letters.next().map(|c| c.to_ascii_uppercase());
        first.into_iter().chain(letters).collect::<String>()
    });
    sound.then(|| words.collect::<Vec<_>>().join("-"))
}

/// Whether mails can be made of what is mapped. Fields of the key that are no fields of a mail only name it.
pub(super) fn admits(target: &Target) -> Result<(), DestinationError> {
    let object = || target.object.clone();
    for field in &target.fields {
        if !FIELDS.contains(&field.as_str()) && header_of(field).is_none() {
            return Err(DestinationError::FieldMissing {
                object: object(),
                field: field.clone(),
            });
        }
    }
    let has = |wanted: &str| {
        let mut all = target.key_fields.iter().chain(&target.fields);
        all.any(|field| field == wanted)
    };
    for (there, field) in [
        (has("to"), "`to`"),
        (has("subject"), "`subject`"),
        (has("text") || has("html"), "`text` or `html`"),
    ] {
        if !there {
            return Err(DestinationError::FieldRequired {
                object: object(),
                field,
            });
        }
    }
    Ok(())
}

/// The mail of a row. `id` is the part of its `Message-ID` before the `@`.
///
/// # Errors
/// Why there is none, with the name of the field and without its value.
pub(super) fn of(
    from: &Mailbox,
    id: &str,
    key: &Map<String, Value>,
    fields: &Map<String, Value>,
) -> Result<Message, String> {
    let text = |field: &str| match fields.get(field).or_else(|| key.get(field)) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(Value::Bool(flag)) => Ok(Some(flag.to_string())),
        Some(_) => Err(format!("`{field}` is not text")),
    };
    // A line break would end the header, and what follows would be another.
    let line = |field: &str| match text(field)? {
        Some(line) if line.chars().any(char::is_control) => Err(format!(
            "`{field}` has a line break or another control character"
        )),
        line => Ok(line.filter(|line| !line.trim().is_empty())),
    };
    let invalid = |field: &str| format!("`{field}` is not an e-mail address");
    let mailbox = |field: &str| {
        line(field)?
            .map(|value| value.parse::<Mailbox>().map_err(|_| invalid(field)))
            .transpose()
    };
    let mailboxes = |field: &str| {
        line(field)?
            .map(|value| value.parse::<Mailboxes>().map_err(|_| invalid(field)))
            .transpose()
    };

    let to = mailbox("to")?.ok_or("`to` is empty")?;
    let domain = from.email.domain();
    let mut builder = Message::builder()
        .from(from.clone())
        .to(to)
        .subject(line("subject")?.unwrap_or_default())
        .message_id(Some(format!("<{id}@{domain}>")));
    if let Some(mailbox) = mailbox("reply_to")? {
        builder = builder.reply_to(mailbox);
    }
    if let Some(mailboxes) = mailboxes("cc")? {
        builder = builder.mailbox(header::Cc::from(mailboxes));
    }
    if let Some(mailboxes) = mailboxes("bcc")? {
        builder = builder.mailbox(header::Bcc::from(mailboxes));
    }
    for field in fields.keys() {
        let Some(name) = header_of(field) else {
            continue;
        };
        if let Some(value) = line(field)? {
            let name = HeaderName::new_from_ascii(name)
                .map_err(|_| format!("`{field}` names no header"))?;
            builder = builder.raw_header(HeaderValue::new(name, value));
        }
    }
    with_body(builder, text("text")?, text("html")?)
}

fn with_body(
    builder: MessageBuilder,
    text: Option<String>,
    html: Option<String>,
) -> Result<Message, String> {
    let mail = match (text, html) {
        (Some(text), Some(html)) => {
            builder.multipart(MultiPart::alternative_plain_html(text, html))
        }
        (Some(text), None) => builder.singlepart(SinglePart::plain(text)),
        (None, Some(html)) => builder.singlepart(SinglePart::html(html)),
        (None, None) => return Err("`text` and `html` are both empty".to_owned()),
    };
    mail.map_err(|_| "it is not a mail that can be sent".to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_headers_that_are_for_the_user_have_fields() {
        for (field, header) in [
            ("header_list_unsubscribe", Some("List-Unsubscribe")),
            ("header_X-Campaign", Some("X-Campaign")),
            ("header_bcc", None),
            ("header_message_id", None),
            ("header_content_type", None),
            ("header_", None),
            ("header_a:b", None),
            ("header_a\r\nb", None),
            ("campaign", None),
        ] {
            assert_eq!(header_of(field).as_deref(), header, "{field}");
        }
    }

    #[test]
    fn a_value_never_becomes_another_header() {
        let from = "shop@example.com".parse().ok();
        let sound = json!({"to": "Zoë <zoe@example.com>", "subject": "é", "text": "a\nb\n.\n", "cc": "a@b.c, d@e.f",
                           "header_x_one": "two", "reply_to": "r@e.f", "bcc": "hidden@e.f"});
        let mail = |changes: Value| {
            let mut fields = sound.as_object().cloned().unwrap_or_default();
            fields.extend(changes.as_object().cloned().unwrap_or_default());
            let mail = of(from.as_ref().ok_or("from")?, "0a", &Map::new(), &fields)?;
            Ok::<_, String>(String::from_utf8_lossy(&mail.formatted()).into_owned())
        };
        let written = mail(json!({})).unwrap_or_default();
        assert!(
            written.contains("Message-ID: <0a@example.com>\r\n"),
            "{written}"
        );
        assert!(written.contains("X-One: two\r\n"), "{written}");
        assert!(!written.contains("hidden@"), "{written}");
        for (field, value) in [
            ("to", json!("a@b.c\r\nBcc: x@y.z")),
            ("to", json!("a@b.c, d@e.f")),
            ("to", json!("nobody")),
            ("to", json!(null)),
            ("to", json!(["a@b.c"])),
            ("subject", json!("one\nBcc: x@y.z")),
            ("subject", json!("one\rtwo")),
            ("reply_to", json!("r@e.f\r\n\r\nbody")),
            ("cc", json!("a@b.c\r\n")),
            ("header_x_one", json!("two\r\nX-Three: 4")),
            ("header_x_one", json!("nul\0")),
            ("text", json!(null)),
        ] {
            let error = mail(json!({field: value})).err();
            assert!(
                error
                    .as_ref()
                    .is_some_and(|e| e.contains(field) && !e.contains("x@y")),
                "{field} {error:?}"
            );
        }
    }
}
