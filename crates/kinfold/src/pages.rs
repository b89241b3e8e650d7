//! Every code of a diagnostic with its page, which is part of the program.

use kinfold_project::{Code, codes};

use crate::packages::DIAGNOSTIC_PAGES;

/// Every code that a command may show, in the order of the stages.
pub fn codes() -> impl Iterator<Item = Code> {
    let tables: [&[Code]; 6] = [
        codes::ALL,
        kinfold_compile::render::codes::ALL,
        kinfold_compile::codes::ALL,
        kinfold_engine::columns::CODES,
        &[crate::commands::identity::LABELS],
        kinfold_destination::codes::ALL,
    ];
    let mut all: Vec<Code> = tables.into_iter().flatten().copied().collect();
    all.sort_by_key(|code| code.id);
    all.into_iter()
}

/// Where codes of this number come from, in words.
pub fn stage(code: Code) -> &'static str {
    match code.id.get(..4) {
        Some("KF01") => "files of the project",
        Some("KF02") => "names and references",
        Some("KF03") => "Jinja, configuration and the graph",
        Some("KF04") => "SQL and columns",
        Some("KF05") => "sources, seeds and labels",
        _ => "folders of destinations",
    }
}

/// What is known about a code.
#[derive(Clone, Copy)]
pub struct Page {
    /// The page in Markdown, as it is in the repository.
    pub markdown: &'static str,
}

impl Page {
    /// The page of a code.
    pub fn of(code: Code) -> Option<Self> {
        let file = format!("{}.md", code.id);
        let (_, markdown) = DIAGNOSTIC_PAGES.iter().find(|(path, _)| *path == file)?;
        Some(Self { markdown })
    }

    /// What is wrong and why it is refused: what stands above the first section, without the title.
    pub fn about(self) -> String {
        let body = self.markdown.split_once('\n').map_or("", |(_, rest)| rest);
        let until = body.find("\n## ").unwrap_or(body.len());
        plain(body.get(..until).unwrap_or(body)).trim().to_owned()
    }

    /// The first sentence of it, in one line.
    pub fn summary(self) -> String {
        let about = self.about();
        let first = about.split("\n\n").next().unwrap_or_default();
        let line = first.split_whitespace().collect::<Vec<_>>().join(" ");
        let end = line.find(". ").map_or(line.len(), |at| at + 1);
        line.get(..end).unwrap_or(&line).to_owned()
    }

    /// The page for a terminal: without the marks between which it is generated, and with the text of links only.
    pub fn text(self) -> String {
        plain(self.markdown)
    }
}

fn plain(markdown: &str) -> String {
    let mut text = String::with_capacity(markdown.len());
    let mut fenced = false;
    for line in markdown.lines() {
        if line.starts_with("<!--") && line.ends_with("-->") {
            continue;
        }
        fenced ^= line.starts_with("```");
        if fenced {
            text.push_str(line);
        } else {
            without_links(line, &mut text);
        }
        text.push('\n');
    }
    text
}

/// `[text](target)` as `text`.
fn without_links(line: &str, text: &mut String) {
    let mut rest = line;
    while let Some((label, after)) = rest.split_once("](") {
        let Some((before, label)) = label.rsplit_once('[') else {
            break;
        };
        let Some((_, end)) = after.split_once(')') else {
            break;
        };
        text.push_str(before);
        text.push_str(label);
        rest = end;
    }
    text.push_str(rest);
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_code_and_no_name_means_two_things() {
        let all: Vec<Code> = codes().collect();
        let ids: HashSet<_> = all.iter().map(|code| code.id).collect();
        let names: HashSet<_> = all.iter().map(|code| code.name).collect();
        assert_eq!(ids.len(), all.len());
        assert_eq!(names.len(), all.len());
        assert!(all.is_sorted_by_key(|code| code.id));
    }

    #[test]
    fn a_page_is_told_without_its_markup() {
        let page = Page {
            markdown: "# KF0001 odd\n\nThe first, see [the other](KF0002.md). The\nsecond.\n\n## Example\n\n<!-- x -->\n```sql\nSELECT a[1](2)\n```\n",
        };
        assert_eq!(page.summary(), "The first, see the other.");
        assert_eq!(page.about(), "The first, see the other. The\nsecond.");
        assert!(
            page.text()
                .ends_with("## Example\n\n```sql\nSELECT a[1](2)\n```\n")
        );
    }

    #[test]
    fn every_code_has_a_page() {
        for code in codes() {
            let page = Page::of(code).map(Page::text).unwrap_or_default();
            let title = format!("# {} {}", code.id, code.name);
            assert_eq!(page.lines().next().unwrap_or_default(), title);
        }
        let page = Page::of(codes().next().unwrap()).unwrap();
        assert!(!page.summary().is_empty());
    }
}
