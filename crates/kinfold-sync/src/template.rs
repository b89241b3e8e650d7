//! Statements that are kept in files.

/// A file of `sql/` without its header.
pub(crate) fn body(file: &'static str) -> &'static str {
    let mut body = file;
    while let Some((line, rest)) = body.split_once('\n') {
        if !line.starts_with("--") {
            break;
        }
        body = rest;
    }
    body
}

/// Replaces every `{name}` in one pass, so that braces in identifiers stay what they are.
pub(crate) fn filled(template: &'static str, values: &[(&str, &str)]) -> String {
    let mut out = String::with_capacity(template.len());
    let mut rest = body(template);
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        match after.split_once('}') {
            Some((name, after)) => {
                if let Some((_, value)) = values.iter().find(|(known, _)| *known == name) {
                    out.push_str(value);
                }
                rest = after;
            }
            None => rest = after,
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_filled_once() {
        assert_eq!(
            filled("-- name: x\n{a} {b}{c}", &[("a", "{b}"), ("b", "2")]),
            "{b} 2"
        );
    }
}
