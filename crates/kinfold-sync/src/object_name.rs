//! Names of tables as the user writes them.

use crate::DestinationError;

/// Container (schema or database) and table of `container.table` or `table`, parts with a dot in them
/// between `quote`s, which are doubled inside.
///
/// # Errors
/// It is not such a name; `form` says how it must look.
pub(crate) fn of_table(
    object: &str,
    quote: char,
    form: &'static str,
) -> Result<(Option<String>, String), DestinationError> {
    let invalid = |reason| DestinationError::ObjectName {
        object: object.to_owned(),
        reason,
    };
    let mut parts = Vec::new();
    let mut rest = object;
    loop {
        let (part, after) = if let Some(inner) = rest.strip_prefix(quote) {
            let mut part = String::new();
            let mut tail = inner;
            loop {
                let (text, after) = tail
                    .split_once(quote)
                    .ok_or_else(|| invalid("a quote is not closed"))?;
                part.push_str(text);
                match after.strip_prefix(quote) {
                    Some(after) => {
                        part.push(quote);
                        tail = after;
                    }
                    None => break (part, after),
                }
            }
        } else {
            let end = rest.find('.').unwrap_or(rest.len());
            let (part, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
            (part.to_owned(), after)
        };
        if part.is_empty() || part.contains('\0') {
            return Err(invalid(form));
        }
        parts.push(part);
        match after.strip_prefix('.') {
            Some(next) => rest = next,
            None if after.is_empty() => break,
            None => return Err(invalid(form)),
        }
    }
    let mut parts = parts.into_iter();
    match (parts.next(), parts.next(), parts.next()) {
        (Some(table), None, None) => Ok((None, table)),
        (Some(container), Some(table), None) => Ok((Some(container), table)),
        _ => Err(invalid(form)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        let name = |object| of_table(object, '"', "").ok();
        let pair = |schema: &str, table: &str| Some((Some(schema.to_owned()), table.to_owned()));
        assert_eq!(name("crm.Contacts"), pair("crm", "Contacts"));
        assert_eq!(name("contacts"), Some((None, "contacts".to_owned())));
        assert_eq!(name(r#""a.b"."c""d""#), pair("a.b", "c\"d"));
        assert_eq!(of_table("`a.b`.c", '`', "").ok(), pair("a.b", "c"));
        for object in ["", ".", "a.", ".b", "a.b.c", "\"a", "\"a\"b", "a..b"] {
            assert_eq!(name(object), None, "{object}");
        }
    }
}
