//! An editor: the program's language server over pipes, and what it has said.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};

use crate::program::program;

/// Nothing takes so long.
const LONG: Duration = Duration::from_secs(60);

/// A running server and the texts that are open in it.
pub struct Client {
    child: Child,
    input: Option<ChildStdin>,
    messages: Receiver<Value>,
    next: i64,
    /// Folder of the project.
    pub root: PathBuf,
    /// Path → version and text.
    pub open: BTreeMap<String, (i64, String)>,
    /// Address → diagnostics, as last published.
    pub published: BTreeMap<String, Value>,
    /// Messages that are neither answers nor diagnostics.
    pub said: Vec<Value>,
    /// How characters are counted: `utf-16` unless told otherwise.
    pub encoding: &'static str,
}

impl Client {
    /// A server in the folder of a project that has not been spoken to.
    pub fn silent(root: &Path) -> Self {
        let mut child = Command::new(program())
            .args(["lsp"])
            .current_dir(root)
            .env_remove("KINFOLD_ENV")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program can be started");
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            while let Some(message) = read(&mut output) {
                if sender.send(message).is_err() {
                    break;
                }
            }
        });
        Self {
            input: child.stdin.take(),
            child,
            messages,
            next: 0,
            root: root.to_path_buf(),
            open: BTreeMap::new(),
            published: BTreeMap::new(),
            said: vec![],
            encoding: "utf-16",
        }
    }

    /// A server that knows its folder.
    pub fn start(root: &Path, encoding: &'static str) -> Self {
        let mut client = Self::silent(root);
        client.encoding = encoding;
        let capabilities = json!({"general": {"positionEncodings": [encoding]}});
        let folder = client.uri("");
        let answer = client.ask(
            "initialize",
            json!({
                "processId": null,
                "rootUri": folder,
                "workspaceFolders": [{"uri": folder, "name": "project"}],
                "capabilities": capabilities,
            }),
        );
        assert_eq!(
            answer["result"]["capabilities"]["positionEncoding"],
            encoding
        );
        client.tell("initialized", json!({}));
        client
    }

    /// The address of a file.
    pub fn uri(&self, path: &str) -> String {
        format!("file://{}", self.root.join(path).display())
    }

    /// The path of an address.
    pub fn path(&self, uri: &str) -> String {
        let root = format!("file://{}/", self.root.display());
        uri.strip_prefix(&root).unwrap_or(uri).to_owned()
    }

    /// Writes bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        let input = self.input.as_mut().unwrap();
        input.write_all(bytes).unwrap();
        input.flush().unwrap();
    }

    fn send(&mut self, message: &Value) {
        let text = message.to_string();
        self.raw(format!("Content-Length: {}\r\n\r\n{text}", text.len()).as_bytes());
    }

    /// Sends a notification.
    pub fn tell(&mut self, method: &str, params: Value) {
        self.send(&json!({"jsonrpc": "2.0", "method": method, "params": params}));
    }

    /// Sends a request and does not wait.
    pub fn request(&mut self, method: &str, params: Value) -> i64 {
        self.next += 1;
        let id = self.next;
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        id
    }

    /// Sends a request and waits for its answer.
    pub fn ask(&mut self, method: &str, params: Value) -> Value {
        let id = json!(self.request(method, params));
        self.answer(&id)
    }

    /// Waits for the answer with this id.
    pub fn answer(&mut self, id: &Value) -> Value {
        loop {
            let message = self.messages.recv_timeout(LONG).expect("an answer");
            if message["method"] == "textDocument/publishDiagnostics" {
                let params = &message["params"];
                let uri = params["uri"].as_str().unwrap().to_owned();
                self.published.insert(uri, params["diagnostics"].clone());
            } else if message.get("method").is_some() {
                self.said.push(message);
            } else if message["id"] == *id {
                return message;
            } else {
                panic!("an answer that nobody waits for: {message}");
            }
        }
    }

    /// Waits until all that was said is looked at.
    pub fn settle(&mut self) {
        let answer = self.ask("kinfold/status", json!({}));
        assert!(answer.get("result").is_some(), "{answer}");
    }

    /// Opens a text.
    pub fn open(&mut self, path: &str, text: &str) {
        self.open.insert(path.to_owned(), (1, text.to_owned()));
        let uri = self.uri(path);
        let document = json!({"uri": uri, "languageId": "sql", "version": 1, "text": text});
        self.tell("textDocument/didOpen", json!({"textDocument": document}));
    }

    /// Replaces bytes of an open text.
    pub fn edit(&mut self, path: &str, range: std::ops::Range<usize>, with: &str) {
        let (version, before) = self.open[path].clone();
        let mut after = before.clone();
        after.replace_range(range.clone(), with);
        self.open.insert(path.to_owned(), (version + 1, after));
        let change = json!({
            "range": {
                "start": self.position(&before, range.start),
                "end": self.position(&before, range.end),
            },
            "text": with,
        });
        let uri = self.uri(path);
        self.tell(
            "textDocument/didChange",
            json!({
                "textDocument": {"uri": uri, "version": version + 1},
                "contentChanges": [change],
            }),
        );
    }

    /// Closes a text.
    pub fn close(&mut self, path: &str) {
        self.open.remove(path);
        let uri = self.uri(path);
        self.tell(
            "textDocument/didClose",
            json!({"textDocument": {"uri": uri}}),
        );
    }

    /// The text of a file as the editor shows it.
    pub fn text(&self, path: &str) -> String {
        match self.open.get(path) {
            Some((_, text)) => text.clone(),
            None => fs::read_to_string(self.root.join(path)).unwrap_or_default(),
        }
    }

    /// A byte of a text as a position.
    pub fn position(&self, text: &str, offset: usize) -> Value {
        let before = &text[..offset];
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = before.matches('\n').count();
        let part = &before[start..];
        let character = match self.encoding {
            "utf-8" => part.len(),
            "utf-32" => part.chars().count(),
            _ => part.encode_utf16().count(),
        };
        json!({"line": line, "character": character})
    }

    /// Ends it as the protocol says, and gives its exit code.
    pub fn stop(mut self) -> Option<i32> {
        let answer = self.ask("shutdown", Value::Null);
        assert_eq!(answer.get("result"), Some(&Value::Null), "{answer}");
        self.tell("exit", Value::Null);
        self.code()
    }

    /// Its exit code, once it has ended by itself.
    pub fn code(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    /// Closes its input.
    pub fn hang_up(&mut self) {
        self.input = None;
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(output: &mut impl BufRead) -> Option<Value> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if output.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim() {
            "" => break,
            line => {
                if let Some(value) = line.strip_prefix("Content-Length: ") {
                    length = value.parse().unwrap();
                }
            }
        }
    }
    let mut content = vec![0; length];
    output.read_exact(&mut content).ok()?;
    Some(serde_json::from_slice(&content).expect("the server writes JSON"))
}
