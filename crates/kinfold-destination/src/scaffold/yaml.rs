//! Writing YAML that reads back as what was meant.

use serde_json::Value;

/// Lines of a mapping or list on one line are no longer than this.
const LINE: usize = 100;

/// A value to be written, with comments before the members of mappings.
#[derive(Clone, Debug)]
pub(super) enum Yaml {
    Scalar(Value),
    List(Vec<Yaml>),
    Map(Vec<Entry>),
}

/// A member of a mapping.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) comments: Vec<String>,
    pub(super) name: String,
    pub(super) value: Yaml,
}

impl Yaml {
    pub(super) fn text(text: &str) -> Self {
        Self::Scalar(Value::from(text))
    }

    pub(super) fn list(items: impl IntoIterator<Item = Self>) -> Self {
        Self::List(items.into_iter().collect())
    }

    pub(super) fn map<N: Into<String>>(entries: impl IntoIterator<Item = (N, Self)>) -> Self {
        let entries = entries.into_iter().map(|(name, value)| Entry {
            comments: Vec::new(),
            name: name.into(),
            value,
        });
        Self::Map(entries.collect())
    }

    /// A JSON value.
    pub(super) fn json(value: &Value) -> Self {
        match value {
            Value::Array(items) => Self::list(items.iter().map(Self::json)),
            Value::Object(members) => Self::map(
                members
                    .iter()
                    .map(|(name, value)| (name.clone(), Self::json(value))),
            ),
            scalar => Self::Scalar(scalar.clone()),
        }
    }

    /// Adds a member to a mapping.
    pub(super) fn add(&mut self, name: impl Into<String>, value: Self) {
        self.add_with(name, value, Vec::new());
    }

    /// Adds a member to a mapping, with comments before it.
    pub(super) fn add_with(&mut self, name: impl Into<String>, value: Self, comments: Vec<String>) {
        if let Self::Map(entries) = self {
            entries.push(Entry {
                comments,
                name: name.into(),
                value,
            });
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Scalar(_) => false,
            Self::List(items) => items.is_empty(),
            Self::Map(entries) => entries.is_empty(),
        }
    }

    /// The whole document.
    pub(super) fn write(&self) -> String {
        let mut text = String::new();
        match self {
            Self::Map(entries) if !entries.is_empty() => block_map(entries, 0, false, &mut text),
            other => {
                text.push_str(&other.flow());
                text.push('\n');
            }
        }
        text
    }

    fn has_comments(&self) -> bool {
        match self {
            Self::Scalar(_) => false,
            Self::List(items) => items.iter().any(Self::has_comments),
            Self::Map(entries) => entries
                .iter()
                .any(|entry| !entry.comments.is_empty() || entry.value.has_comments()),
        }
    }

    /// On one line.
    fn flow(&self) -> String {
        match self {
            Self::Scalar(Value::String(text)) => scalar(text),
            Self::Scalar(value) => value.to_string(),
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(Self::flow).collect();
                format!("[{}]", items.join(", "))
            }
            Self::Map(entries) => {
                let entries: Vec<String> = entries
                    .iter()
                    .map(|entry| format!("{}: {}", scalar(&entry.name), entry.value.flow()))
                    .collect();
                format!("{{{}}}", entries.join(", "))
            }
        }
    }

    /// On one line, if it has no comments and is short enough for what is left of the line.
    fn short(&self, used: usize) -> Option<String> {
        let simple = matches!(self, Self::Scalar(_)) || self.is_empty();
        let flow = (simple || !self.has_comments()).then(|| self.flow())?;
        (simple || used + flow.chars().count() <= LINE).then_some(flow)
    }
}

fn block_map(entries: &[Entry], indent: usize, in_item: bool, text: &mut String) {
    let space = " ".repeat(indent);
    for (at, entry) in entries.iter().enumerate() {
        // The first member of an item of a list stands beside its dash; comments go before the dash.
        let beside = in_item && at == 0;
        if !beside {
            for comment in &entry.comments {
                wrapped(comment, indent, text);
            }
            text.push_str(&space);
        }
        let name = scalar(&entry.name);
        text.push_str(&name);
        text.push(':');
        below(
            &entry.value,
            indent,
            indent + name.chars().count() + 2,
            text,
        );
    }
}

/// What comes after the name of a member.
fn below(value: &Yaml, indent: usize, used: usize, text: &mut String) {
    if let Some(short) = value.short(used) {
        text.push(' ');
        text.push_str(&short);
        text.push('\n');
        return;
    }
    text.push('\n');
    match value {
        Yaml::Map(entries) => block_map(entries, indent + 2, false, text),
        Yaml::List(items) => block_list(items, indent + 2, text),
        Yaml::Scalar(_) => {}
    }
}

fn block_list(items: &[Yaml], indent: usize, text: &mut String) {
    let space = " ".repeat(indent);
    for item in items {
        if let Yaml::Map(entries) = item
            && let Some(first) = entries.first()
        {
            for comment in &first.comments {
                wrapped(comment, indent, text);
            }
        }
        text.push_str(&space);
        text.push('-');
        match item.short(indent + 2) {
            Some(short) => {
                text.push(' ');
                text.push_str(&short);
                text.push('\n');
            }
            None => match item {
                Yaml::Map(entries) => {
                    text.push(' ');
                    block_map(entries, indent + 2, true, text);
                }
                Yaml::List(items) => {
                    text.push('\n');
                    block_list(items, indent + 2, text);
                }
                Yaml::Scalar(_) => text.push('\n'),
            },
        }
    }
}

/// A comment in lines.
fn wrapped(comment: &str, indent: usize, text: &mut String) {
    let space = " ".repeat(indent);
    let mut line = format!("{space}#");
    for word in comment.split_whitespace() {
        if line.chars().count() + word.chars().count() + 1 > LINE + 12 {
            text.push_str(&line);
            text.push('\n');
            line = format!("{space}# ");
        }
        line.push(' ');
        line.push_str(word);
    }
    text.push_str(&line);
    text.push('\n');
}

/// A text, in quotes unless it cannot be taken for anything else.
fn scalar(text: &str) -> String {
    const WORDS: &[&str] = &["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '$' | '_'))
        && text.chars().all(|c| {
            c.is_ascii_alphanumeric() || matches!(c, '_' | ' ' | '.' | '/' | '$' | '-' | '\'')
        })
        && !text.ends_with(' ')
        && !WORDS.contains(&text.to_ascii_lowercase().as_str());
    if plain {
        return text.to_owned();
    }
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if is_odd(c) => quoted.push_str(&format!("\\U{:08X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Characters that YAML takes for the end of a line, or does not allow.
fn is_odd(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}')
        || u32::from(c) & 0xfffe == 0xfffe
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn back(text: &str) -> Option<Value> {
        let mut files = kinfold_project::SourceMap::default();
        let file = files.add("x.yml", text);
        let mut problems = Vec::new();
        let value = kinfold_project::yaml::read(text, file, &mut problems)?;
        problems.is_empty().then(|| value.to_json())
    }

    fn values() -> impl Strategy<Value = Value> {
        let text = prop_oneof![
            "[ -~]{0,12}",
            any::<String>(),
            Just("true".to_owned()),
            Just("- a".to_owned())
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            text.clone().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 5, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[ -~]{0,9}|<", inner, 0..4).prop_map(|map| {
                    Value::Object(map.into_iter().filter(|(name, _)| name != "<<").collect())
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(value in values(), comment in "[ -~]{0,300}") {
            let mut yaml = Yaml::map([("first", Yaml::json(&value))]);
            yaml.add_with("second", Yaml::json(&value), vec![comment]);
            let expected = serde_json::json!({"first": value, "second": value});
            let text = yaml.write();
            prop_assert_eq!(back(&text), Some(expected), "{}", text);
        }
    }
}
