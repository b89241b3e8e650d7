//! Where a place is in a YAML file, by the indentation of its lines: a file that is being typed is seldom YAML.

use std::ops::Range;

use super::super::thing::line_around;

/// Lines that are looked at above a place.
const MAX_LINES: usize = 5_000;

/// A place in a YAML file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The keys that it is under, the outermost first.
    pub above: Vec<String>,
    /// The other keys of its mapping and of those around it, before it: for each of `above` and for its own, the
    /// innermost last.
    pub beside: Vec<Vec<(String, String)>>,
    /// The key of the line, if the place is in the value.
    pub key: Option<String>,
    /// What is typed of the key or the value up to the place.
    pub typed: Range<usize>,
}

impl Place {
    /// The keys that it is under, and its own.
    pub fn path(&self) -> Vec<&str> {
        self.above
            .iter()
            .chain(&self.key)
            .map(String::as_str)
            .collect()
    }

    /// The value of a key beside it, or beside one of the keys that it is under, `up` levels further out.
    pub fn value(&self, up: usize, key: &str) -> Option<&str> {
        let level = self.beside.len().checked_sub(up + 1)?;
        let mut beside = self.beside.get(level)?.iter();
        beside
            .find(|(own, _)| own == key)
            .map(|(_, value)| value.as_str())
    }
}

/// A line with a key or an item.
struct Line {
    /// Where the key stands, counted from the start of the line.
    indent: usize,
    /// Whether an item of a list begins before the key, and where.
    item: Option<usize>,
    key: Option<String>,
    value: String,
}

fn line(text: &str) -> Option<Line> {
    let content = text.trim_start();
    if content.is_empty() || content.starts_with('#') {
        return None;
    }
    let mut indent = text.len() - content.len();
    let mut item = None;
    let mut rest = content;
    while let Some(after) = rest.strip_prefix('-') {
        if !after.is_empty() && !after.starts_with(' ') {
            break;
        }
        item.get_or_insert(indent);
        let trimmed = after.trim_start();
        indent += rest.len() - trimmed.len();
        rest = trimmed;
    }
    let keyed = rest.split_once(':').filter(|(key, after)| {
        let word = |c: char| c.is_alphanumeric() || "_+-.'\" ".contains(c);
        (after.is_empty() || after.starts_with(' ')) && !key.is_empty() && key.chars().all(word)
    });
    let unquoted = |text: &str| text.trim().trim_matches(['\'', '"']).to_owned();
    Some(match keyed {
        Some((key, value)) => Line {
            indent,
            item,
            key: Some(unquoted(key).trim_start_matches('+').to_owned()),
            value: unquoted(value.split(" #").next().unwrap_or("")),
        },
        None => Line {
            indent,
            item,
            key: None,
            value: unquoted(rest),
        },
    })
}

/// Where an offset is.
pub fn place(text: &str, offset: usize) -> Place {
    let offset = text.floor_char_boundary(offset.min(text.len()));
    let here = line_around(text, offset);
    let before = text.get(here.start..offset).unwrap_or("");
    let own = line(before).unwrap_or(Line {
        indent: before.len(),
        item: None,
        key: None,
        value: String::new(),
    });
    let mut typed = before.trim_start();
    while let Some(after) = typed
        .strip_prefix('-')
        .filter(|after| after.is_empty() || after.starts_with(' '))
    {
        typed = after.trim_start();
    }
    if own.key.is_some() {
        typed = typed.split_once(':').map_or(typed, |(_, value)| value);
    }
    // Of a list in one line the last item.
    if let Some((_, last)) = typed.rsplit_once(['[', '{', ',']) {
        typed = last;
    }
    let typed = typed.trim_start().trim_start_matches(['\'', '"']).len();
    let mut found = Place {
        key: own.key,
        typed: offset - typed..offset,
        ..Place::default()
    };
    // `models:` and below it `- name` in the same column: an item is in the list of the key above.
    let mut indent = own.indent;
    let mut list = own.item;
    let mut beside = vec![];
    let above = text.get(..here.start).unwrap_or("");
    for text in above.lines().rev().take(MAX_LINES) {
        let Some(line) = line(text) else { continue };
        let outer = line.indent < indent;
        // Below the dash of an item only the key of the list is further out.
        let holds = match list {
            Some(dash) => line.indent <= dash && line.item.is_none_or(|item| item < dash),
            None => outer,
        };
        if holds && let Some(key) = line.key {
            found.above.insert(0, key);
            found.beside.insert(0, std::mem::take(&mut beside));
            indent = line.indent;
            list = line.item;
        } else if list.is_none() && line.indent == indent {
            if let Some(key) = line.key {
                beside.push((key, line.value));
            }
            // The first key of an item: what is above is the list.
            list = line.item;
        }
    }
    found.beside.insert(0, beside);
    found
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use proptest::prelude::*;

    fn shown(marked: &str) -> String {
        let offset = marked.find('^').unwrap();
        let text = marked.replace('^', "");
        let place = place(&text, offset);
        let beside: Vec<String> = place
            .beside
            .iter()
            .map(|level| {
                level
                    .iter()
                    .map(|(k, v)| format!("{k}={v}"))
                    .collect::<Vec<_>>()
                    .join(" ")
            })
            .collect();
        format!(
            "{} [{}] {}",
            place.path().join("."),
            &text[place.typed.clone()],
            beside.join("/")
        )
    }

    #[test]
    fn a_place_has_keys_above_and_beside_it() {
        let text = "version: 2\nmodels:\n  - name: orders # the\n    columns:\n      - name: id\n        data_tests:\n          - uni^\n";
        assert_eq!(
            shown(text),
            "models.columns.data_tests [uni] version=2/name=orders/name=id/"
        );
        let text = "models:\n- name: a\n  columns:\n  - name: x\n  - name: am^ount\n";
        assert_eq!(shown(text), "models.columns.name [am] /name=a/");
        let text = "models:\n  - name: a\n  - name: b\n    conf^\n";
        assert_eq!(shown(text), "models [conf] /name=b");
        let text = "syncs:\n  - name: s\n    from: ref('a')\n    mapping:\n      spent: tot^\n";
        assert_eq!(
            shown(text),
            "syncs.mapping.spent [tot] /from=ref('a') name=s/"
        );
        assert_eq!(shown("mod^"), " [mod] ");
        assert_eq!(shown("models:\n  - tags: [a, b^]"), "models.tags [b] /");
        assert_eq!(shown("models:\n  - ^"), "models [] /");
    }

    proptest! {
        #[test]
        fn any_text_has_places(text in "([-:#'\" \nabü😀]|name: |- ){0,40}") {
            for offset in 0..=text.len() {
                let place = place(&text, offset);
                prop_assert!(text.get(place.typed).is_some());
            }
        }
    }
}
