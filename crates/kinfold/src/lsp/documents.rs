//! The texts that the client has open.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gen_lsp_types::TextDocumentContentChangeEvent as Change;
use url::Url;

use super::position::{Encoding, Lines};

/// A text that is open.
#[derive(Clone, Debug)]
pub struct Document {
    /// As the client writes its address.
    pub uri: String,
    /// As the client counts.
    pub version: i32,
    /// The text as the client has it.
    pub text: Arc<str>,
}

/// The texts that are open, by their paths.
#[derive(Clone, Debug, Default)]
pub struct Documents(BTreeMap<PathBuf, Document>);

impl Documents {
    /// Opens a text; one that was open already is replaced.
    pub fn open(&mut self, path: &Path, document: Document) {
        self.0.insert(path.to_path_buf(), document);
    }

    /// Closes a text.
    pub fn close(&mut self, path: &Path) {
        self.0.remove(path);
    }

    /// The text that is open at a path.
    pub fn get(&self, path: &Path) -> Option<&Document> {
        self.0.get(path)
    }

    /// Those that are open.
    pub fn all(&self) -> impl Iterator<Item = (&Path, &Document)> {
        self.0
            .iter()
            .map(|(path, document)| (path.as_path(), document))
    }

    /// Changes a text that is open, one change after the other. Returns what it is then; `None` if none is open.
    pub fn change(
        &mut self,
        path: &Path,
        version: i32,
        changes: &[Change],
        encoding: Encoding,
    ) -> Option<Arc<str>> {
        let document = self.0.get_mut(path)?;
        let mut text = document.text.to_string();
        for change in changes {
            match change {
                Change::TextDocumentContentChangePartial(part) => {
                    let range = Lines::new(&text, encoding).bytes(part.range);
                    text.replace_range(range, &part.text);
                }
                Change::TextDocumentContentChangeWholeDocument(whole) => {
                    text.clone_from(&whole.text);
                }
            }
        }
        document.version = version;
        document.text = text.into();
        Some(Arc::clone(&document.text))
    }

    /// The address of a file, as the client writes it if it has it open.
    pub fn uri(&self, path: &Path) -> Option<String> {
        if let Some(document) = self.0.get(path) {
            return Some(document.uri.clone());
        }
        Some(Url::from_file_path(path).ok()?.to_string())
    }
}

/// The path that an address names; `None` if it is no file of this machine.
pub fn path_of(uri: &str) -> Option<PathBuf> {
    let url = Url::parse(uri).ok()?;
    if url.scheme() != "file" {
        return None;
    }
    url.to_file_path().ok()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use serde_json::json;

    #[test]
    fn changes_are_made_one_after_the_other() {
        let path = path_of("file:///shop/a%20b.sql").unwrap();
        assert_eq!(path, Path::new("/shop/a b.sql"));
        let mut documents = Documents::default();
        let document = Document {
            uri: "file:///shop/a%20b.sql".to_owned(),
            version: 1,
            text: "select '😀' as a\nfrom x\n".into(),
        };
        documents.open(&path, document);
        let changes: Vec<Change> = serde_json::from_value(json!([
            {"range": {"start": {"line": 0, "character": 15}, "end": {"line": 0, "character": 16}}, "text": "b,\n1 as c"},
            {"range": {"start": {"line": 2, "character": 5}, "end": {"line": 9, "character": 9}}, "text": "y"},
        ]))
        .unwrap();
        let text = documents.change(&path, 2, &changes, Encoding::Utf16);
        assert_eq!(text.as_deref(), Some("select '😀' as b,\n1 as c\nfrom y"));
        assert_eq!(documents.all().next().unwrap().1.version, 2);
        let whole: Vec<Change> = serde_json::from_value(json!([{"text": "select 1"}])).unwrap();
        let text = documents.change(&path, 3, &whole, Encoding::Utf16);
        assert_eq!(text.as_deref(), Some("select 1"));
        assert_eq!(
            documents.uri(&path).as_deref(),
            Some("file:///shop/a%20b.sql")
        );
        documents.close(&path);
        assert_eq!(documents.change(&path, 4, &whole, Encoding::Utf16), None);
    }

    #[test]
    fn other_addresses_are_no_files() {
        for uri in [
            "untitled:Untitled-1",
            "git:/shop/a.sql",
            "nonsense",
            "",
            "file://host/a",
        ] {
            assert_eq!(path_of(uri), None, "{uri}");
        }
    }
}
