//! Expressions as text.

/// A path: `$.errors`, `$['the errors'].list`.
pub(super) fn path(root: &str, steps: &[String]) -> String {
    steps
        .iter()
        .fold(root.to_owned(), |path, step| field(&path, step))
}

/// A member of a path.
pub(super) fn field(path: &str, name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    match plain {
        true => format!("{path}.{name}"),
        false => format!("{path}[{}]", quoted(name)),
    }
}

/// A text in quotes.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// An expression as a template.
pub(super) fn template(expression: &str) -> String {
    format!("{{{{ {expression} }}}}")
}

/// A text in a template that stands for itself.
pub(super) fn literal(text: &str) -> String {
    match text.contains("{{") {
        true => template(&quoted(text)),
        false => text.to_owned(),
    }
}

/// The name of a member of a template that stands for itself.
pub(super) fn member(name: &str) -> String {
    if name.contains("{{") || name.ends_with('?') {
        template(&quoted(name))
    } else if name.starts_with('$') {
        format!("${name}")
    } else {
        name.to_owned()
    }
}

/// A value with only, or without, these members.
pub(super) fn members(value: &str, function: &str, names: &[String]) -> String {
    let lists = names.chunks(4).map(|names| {
        let names: Vec<String> = names.iter().map(|name| quoted(name)).collect();
        format!("{function}({})", names.join(", "))
    });
    match function {
        "without" => lists.fold(value.to_owned(), |all, list| format!("{all} | {list}")),
        _ => {
            let mut lists = lists.map(|list| format!("{value} | {list}"));
            let first = lists.next().unwrap_or_else(|| value.to_owned());
            lists.fold(first, |all, list| format!("{all} | merge({list})"))
        }
    }
}
