//! Sessions as files.
//!
//! ```text
//! file models/a.sql           writes a file, with the lines below that begin with `|`
//! open models/a.sql           opens it
//! change models/a.sql `x` -> `y`   types: the first `x` becomes `y`
//! close models/a.sql          closes it without saving
//! delete models/a.sql         deletes it on disk
//! copy examples/shop          begins with a folder of the repository
//! encoding utf-8              counts characters otherwise; before all that is said
//! diagnostics                 shows all that is published
//! hover models/a.sql `ref('^b')`   asks at the place of `^` in the first such text
//! kinfold/compiled models/a.sql    asks something else of a file
//! ```

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::client::Client;
use crate::program::{copy, folder, repository, write};

/// Runs a session and compares what the editor is told with what its file says.
pub fn run(file: &Path) {
    let wanted = fs::read_to_string(file).unwrap();
    let project = folder();
    let mut player = Player {
        root: project.path().canonicalize().unwrap(),
        encoding: "utf-16",
        client: None,
    };
    let mut lines = wanted
        .lines()
        .filter(|line| !line.starts_with('='))
        .peekable();
    let mut found = String::new();
    while let Some(line) = lines.next() {
        let _ = writeln!(found, "{line}");
        let mut text = String::new();
        while let Some(more) = lines.next_if(|line| line.starts_with('|')) {
            let _ = writeln!(found, "{more}");
            let more = &more[1..];
            let _ = writeln!(text, "{}", more.strip_prefix(' ').unwrap_or(more));
        }
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        for told in player.does(line, &text).lines() {
            let _ = writeln!(found, "{}", format!("= {told}").trim_end());
        }
    }
    if let Some(client) = player.client {
        assert_eq!(client.stop(), Some(0));
    }
    if std::env::var_os("KINFOLD_UPDATE").is_some() {
        fs::write(file, &found).unwrap();
        return;
    }
    assert!(
        found == wanted,
        "{}\n--- expected\n{wanted}\n--- found\n{found}",
        file.display()
    );
}

struct Player {
    root: std::path::PathBuf,
    encoding: &'static str,
    client: Option<Client>,
}

impl Player {
    fn client(&mut self) -> &mut Client {
        let (root, encoding) = (&self.root, self.encoding);
        self.client
            .get_or_insert_with(|| Client::start(root, encoding))
    }

    /// Does what a line says; the answer as lines.
    fn does(&mut self, line: &str, text: &str) -> String {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let (path, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        match verb {
            "copy" => copy(&repository().join(path), &self.root),
            "encoding" => {
                let known = ["utf-8", "utf-16", "utf-32"];
                self.encoding = known.into_iter().find(|name| *name == path).unwrap();
            }
            "file" => {
                write(&self.root, &[(path, text)]);
                self.on_disk(path, 1);
            }
            "delete" => {
                fs::remove_file(self.root.join(path)).unwrap();
                self.on_disk(path, 3);
            }
            "open" => {
                let text = fs::read_to_string(self.root.join(path)).unwrap_or_default();
                self.client().open(path, &text);
            }
            "close" => self.client().close(path),
            "change" => {
                let [old, new] = quoted(rest)[..] else {
                    panic!("`old` -> `new`: {line}");
                };
                let (old, new) = (old.replace("\\n", "\n"), new.replace("\\n", "\n"));
                let client = self.client();
                let at = client
                    .text(path)
                    .find(&old)
                    .unwrap_or_else(|| panic!("{line}"));
                client.edit(path, at..at + old.len(), &new);
            }
            "diagnostics" => {
                self.client().settle();
                return self.diagnostics();
            }
            method => return self.asks(method, path, rest),
        }
        String::new()
    }

    fn on_disk(&mut self, path: &str, kind: u8) {
        if let Some(client) = &mut self.client {
            let changes = json!([{"uri": client.uri(path), "type": kind}]);
            client.tell(
                "workspace/didChangeWatchedFiles",
                json!({"changes": changes}),
            );
        }
    }

    fn asks(&mut self, verb: &str, path: &str, rest: &str) -> String {
        let client = self.client();
        let text = client.text(path);
        let mut params = json!({"textDocument": {"uri": client.uri(path)}});
        let arguments = quoted(rest);
        if let Some(place) = arguments.first() {
            let place = place.replace("\\n", "\n");
            let around = place.replace('^', "");
            let at = text
                .find(&around)
                .unwrap_or_else(|| panic!("no `{around}` in {path}"));
            let at = at + place.find('^').unwrap_or(0);
            params["position"] = client.position(&text, at);
        }
        if verb == "rename" {
            params["newName"] = json!(arguments[1]);
        }
        if verb == "references" {
            params["context"] = json!({"includeDeclaration": true});
        }
        let method = match verb {
            "symbols" => "textDocument/documentSymbol".to_owned(),
            "signature" => "textDocument/signatureHelp".to_owned(),
            "lenses" => "textDocument/codeLens".to_owned(),
            verb if verb.contains('/') => verb.to_owned(),
            verb => format!("textDocument/{verb}"),
        };
        let answer = client.ask(&method, params);
        if let Some(error) = answer.get("error") {
            return format!("error: {}", error["message"].as_str().unwrap());
        }
        let result = &answer["result"];
        match verb {
            "hover" => {
                let text = result["contents"]["value"].as_str().unwrap_or("nothing");
                text.to_owned()
            }
            "definition" | "references" => self.locations(result),
            "completion" => completions(result, arguments.get(1).copied()),
            "symbols" => {
                let mut lines = String::new();
                symbols(result, 0, &mut lines);
                lines
            }
            "rename" => self.edits(result),
            _ => {
                let root = self.root.to_string_lossy().into_owned();
                format!("{result:#}").replace(&root, "ROOT")
            }
        }
    }

    fn diagnostics(&mut self) -> String {
        let client = self.client();
        let mut all = String::new();
        for (uri, diagnostics) in client.published.clone() {
            for one in diagnostics.as_array().unwrap() {
                let severity = if one["severity"] == 1 {
                    "error"
                } else {
                    "warning"
                };
                let _ = writeln!(
                    all,
                    "{} {severity} {} {}",
                    place(client, &uri, &one["range"]),
                    one["code"].as_str().unwrap(),
                    one["message"].as_str().unwrap().replace('\n', "\n    "),
                );
                for related in one["relatedInformation"].as_array().into_iter().flatten() {
                    let location = &related["location"];
                    let uri = location["uri"].as_str().unwrap();
                    let shown = place(client, uri, &location["range"]);
                    let _ = writeln!(all, "    {shown} {}", related["message"].as_str().unwrap());
                }
            }
        }
        if all.is_empty() {
            "nothing".to_owned()
        } else {
            all
        }
    }

    fn locations(&mut self, result: &Value) -> String {
        let client = self.client();
        let locations = result.as_array().into_iter().flatten();
        let mut lines: Vec<String> = locations
            .map(|one| place(client, one["uri"].as_str().unwrap(), &one["range"]))
            .collect();
        lines.sort();
        if lines.is_empty() {
            "nothing".to_owned()
        } else {
            lines.join("\n")
        }
    }

    fn edits(&mut self, result: &Value) -> String {
        let client = self.client();
        let mut lines = String::new();
        for change in result["documentChanges"].as_array().into_iter().flatten() {
            if change["kind"] == "rename" {
                let path = |key: &str| client.path(change[key].as_str().unwrap());
                let _ = writeln!(lines, "{} becomes {}", path("oldUri"), path("newUri"));
                continue;
            }
            let uri = change["textDocument"]["uri"].as_str().unwrap();
            for edit in change["edits"].as_array().unwrap() {
                let new = edit["newText"].as_str().unwrap();
                let _ = writeln!(
                    lines,
                    "{} becomes `{new}`",
                    place(client, uri, &edit["range"])
                );
            }
        }
        lines
    }
}

/// The texts in back-ticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// A range of a file, with the text that is there.
fn place(client: &Client, uri: &str, range: &Value) -> String {
    let path = client.path(uri);
    let number = |at: &str, key: &str| usize::try_from(range[at][key].as_u64().unwrap()).unwrap();
    let text = client.text(&path);
    let line = text.split('\n').nth(number("start", "line")).unwrap_or("");
    let (from, to) = (number("start", "character"), number("end", "character"));
    let marked = match client.encoding {
        "utf-16" if range["start"]["line"] == range["end"]["line"] => {
            let units: Vec<u16> = line.encode_utf16().collect();
            String::from_utf16_lossy(units.get(from..to).unwrap_or_default())
        }
        _ => String::new(),
    };
    let root = client.root.to_string_lossy().into_owned();
    format!(
        "{}:{}:{from}-{}:{to} `{marked}`",
        path.replace(&root, "ROOT"),
        number("start", "line"),
        number("end", "line"),
    )
}

/// What is offered, in order; only what begins with `start` if it is given.
fn completions(result: &Value, start: Option<&str>) -> String {
    let items = result["items"].as_array().or_else(|| result.as_array());
    let mut lines = String::new();
    for item in items.into_iter().flatten() {
        let label = item["label"].as_str().unwrap();
        if start.is_some_and(|start| !label.starts_with(start)) {
            continue;
        }
        let detail = item["detail"].as_str().unwrap_or("");
        let insert = item["textEdit"]["newText"].as_str().unwrap_or(label);
        let insert = if insert == label {
            String::new()
        } else {
            format!(" → {insert}")
        };
        let _ = writeln!(lines, "{}", format!("{label}{insert}  {detail}").trim_end());
    }
    if lines.is_empty() {
        "nothing".to_owned()
    } else {
        lines
    }
}

fn symbols(result: &Value, depth: usize, lines: &mut String) {
    for one in result.as_array().into_iter().flatten() {
        let detail = one["detail"].as_str().unwrap_or("");
        let start = &one["selectionRange"]["start"];
        let text = format!(
            "{}{} {}:{} {detail}",
            "  ".repeat(depth),
            one["name"].as_str().unwrap(),
            start["line"],
            start["character"],
        );
        let _ = writeln!(lines, "{}", text.trim_end());
        symbols(&one["children"], depth + 1, lines);
    }
}
