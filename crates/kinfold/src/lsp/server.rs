//! The state machine between client and project: what is open, what is known, who waits for an answer.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use gen_lsp_types::json_rpc::Id;
use gen_lsp_types::{
    Diagnostic as LspDiagnostic, DidChangeTextDocumentParams, DidCloseTextDocumentParams,
    DidOpenTextDocumentParams,
};
use kinfold_project::Overlay;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::analysis::Analysis;
use super::answers::{self, Refusal};
use super::diagnostics::by_file;
use super::documents::{Document, Documents, path_of};
use super::known::Known;
use super::places::PROJECT_FILES;
use super::position::Encoding;
use super::transport::{self, Call, Incoming};
use crate::cli::Global;

/// So long after the last key nobody types on. What is asked in the meantime is answered at once.
const PAUSE: Duration = Duration::from_millis(60);

/// What comes after a message.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// The next one.
    Message,
    /// The end; whether it was announced.
    Exit(bool),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Before `initialize`.
    New,
    /// Between.
    Running,
    /// After `shutdown`.
    ShutDown,
}

/// A server with one client.
///
/// Texts have a revision, which counts their changes. An analysis is of a revision; a request that came at a
/// revision is answered by an analysis that is at least of that one.
pub struct Server {
    global: Global,
    output: Sender<Value>,
    phase: Phase,
    encoding: Encoding,
    /// Whether the client can be asked to watch files.
    watches: bool,
    root: Option<PathBuf>,
    documents: Documents,
    overlay: Overlay,
    revision: u64,
    /// When the next analysis starts.
    due: Option<Instant>,
    analysis: Option<Arc<Analysis>>,
    waiting: Vec<Waiting>,
    published: BTreeMap<String, Vec<LspDiagnostic>>,
    /// What was last said about the project as a whole.
    said: Option<String>,
}

/// A request that is answered once enough is known.
struct Waiting {
    id: Id,
    call: Call,
    /// The text that it is about, as it was when it came.
    about: Option<(PathBuf, Arc<str>)>,
    needs: u64,
}

impl Server {
    /// A server that writes its messages to a channel.
    pub fn new(global: Global, output: Sender<Value>) -> Self {
        Self {
            global,
            output,
            phase: Phase::New,
            encoding: Encoding::Utf16,
            watches: false,
            root: None,
            documents: Documents::default(),
            overlay: Overlay::default(),
            revision: 0,
            due: None,
            analysis: None,
            waiting: vec![],
            published: BTreeMap::new(),
            said: None,
        }
    }

    /// When the next analysis is to start.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Takes a message.
    pub fn heard(&mut self, message: Incoming) -> Next {
        match message {
            Incoming::Garbage(code, why) => self.send(transport::error(None, code, why)),
            Incoming::Call(call) => match call.id.clone() {
                Some(id) => self.request(id, call),
                None if call.method == "exit" => {
                    return Next::Exit(self.phase == Phase::ShutDown);
                }
                None if self.phase == Phase::Running => self.notification(call),
                None => {}
            },
        }
        Next::Message
    }

    /// Starts an analysis of the texts as they are.
    pub fn start(&mut self) -> Option<JoinHandle<Analysis>> {
        self.due = None;
        let root = self.root.clone()?;
        let (global, documents) = (self.global.clone(), self.documents.clone());
        let (overlay, revision) = (self.overlay.clone(), self.revision);
        let before = self.analysis.clone();
        let runtime = tokio::runtime::Handle::current();
        Some(tokio::task::spawn_blocking(move || {
            let before = before.as_deref();
            runtime.block_on(Analysis::of(
                &global, &root, documents, &overlay, revision, before,
            ))
        }))
    }

    /// Takes what an analysis has found; `None` if it broke down.
    pub fn analysed(&mut self, analysis: Option<Arc<Analysis>>) {
        let Some(analysis) = analysis else {
            self.log("the project could not be looked at: this is a mistake of kinfold");
            for waiting in std::mem::take(&mut self.waiting) {
                let error = transport::INTERNAL_ERROR;
                self.send(transport::error(Some(&waiting.id), error, "not analysed"));
            }
            return;
        };
        self.publish(&analysis);
        let revision = analysis.revision;
        self.analysis = Some(analysis);
        let (ready, waiting): (Vec<_>, Vec<_>) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|waiting| waiting.needs <= revision);
        self.waiting = waiting;
        for Waiting {
            id, call, about, ..
        } in ready
        {
            let answer = self.ask(&call, about);
            self.answer(&id, answer);
        }
        if !self.waiting.is_empty() {
            self.due = Some(Instant::now());
        }
    }

    fn publish(&mut self, analysis: &Analysis) {
        let failure = analysis.failure.clone();
        if failure != self.said {
            self.said.clone_from(&failure);
            if let Some(message) = failure {
                let params = json!({"type": 1, "message": message});
                self.send(transport::notification("window/showMessage", params));
            }
        }
        let places = analysis.places(&analysis.documents, self.encoding);
        let found = by_file(&analysis.found, &places);
        let gone = self.published.keys();
        let gone: Vec<String> = gone
            .filter(|uri| !found.contains_key(*uri))
            .cloned()
            .collect();
        let empty = gone.into_iter().map(|uri| (uri, vec![]));
        for (uri, diagnostics) in empty.chain(found) {
            if self.published.get(&uri) == Some(&diagnostics) {
                continue;
            }
            let open = analysis.documents.all().find(|(_, open)| open.uri == uri);
            let mut params = json!({"uri": uri, "diagnostics": diagnostics});
            if let Some((_, document)) = open {
                params["version"] = json!(document.version);
            }
            self.send(transport::notification(
                "textDocument/publishDiagnostics",
                params,
            ));
            if diagnostics.is_empty() {
                self.published.remove(&uri);
            } else {
                self.published.insert(uri, diagnostics);
            }
        }
    }

    fn request(&mut self, id: Id, call: Call) {
        let answer = match (call.method.as_str(), self.phase) {
            ("initialize", Phase::New) => Ok(self.initialize(&call.params)),
            (_, Phase::New) => Err(Refusal::new(
                transport::NOT_INITIALIZED,
                "the server is not initialized",
            )),
            ("initialize", _) | (_, Phase::ShutDown) => {
                Err(Refusal::new(transport::INVALID_REQUEST, "not at this time"))
            }
            ("shutdown", Phase::Running) => {
                self.phase = Phase::ShutDown;
                self.due = None;
                let shut = transport::CANCELLED;
                for waiting in std::mem::take(&mut self.waiting) {
                    self.send(transport::error(Some(&waiting.id), shut, "shut down"));
                }
                Ok(Value::Null)
            }
            (method, Phase::Running) if !answers::METHODS.contains(&method) && method != STATUS => {
                Err(Refusal::new(
                    transport::METHOD_NOT_FOUND,
                    format!("there is no method `{method}`"),
                ))
            }
            _ if self.root.is_none() => Ok(Value::Null),
            _ => {
                let known = self.analysis.as_ref().map(|analysis| analysis.revision);
                let about = self.about(&call);
                let enough = known.is_some() && call.method == answers::COMPLETION;
                if enough || known == Some(self.revision) {
                    self.ask(&call, about)
                } else {
                    let needs = self.revision;
                    self.waiting.push(Waiting {
                        id,
                        call,
                        about,
                        needs,
                    });
                    self.due = Some(Instant::now());
                    return;
                }
            }
        };
        self.answer(&id, answer);
    }

    /// The text that a request is about: that of the editor, else that on disk.
    fn about(&self, call: &Call) -> Option<(PathBuf, Arc<str>)> {
        let uri = call.params.pointer("/textDocument/uri")?.as_str()?;
        let path = path_of(uri)?;
        let open = self.documents.get(&path).map(|open| Arc::clone(&open.text));
        let text = open.or_else(|| Some(std::fs::read_to_string(&path).ok()?.into()))?;
        Some((path, text))
    }

    /// Answers a request with what is known.
    fn ask(&self, call: &Call, about: Option<(PathBuf, Arc<str>)>) -> Result<Value, Refusal> {
        let Some(analysis) = &self.analysis else {
            return Ok(Value::Null);
        };
        if call.method == STATUS {
            return Ok(json!({
                "project": analysis.root.join(""),
                "problems": analysis.found.len(),
                "nodes": analysis.read.as_ref().map(|read| read.bound.rendered.nodes.len()),
            }));
        }
        let Some((path, text)) = about else {
            return Ok(Value::Null);
        };
        match Known::of(analysis, &self.documents, self.encoding, &path, &text) {
            Some(known) => known.answer(&call.method, &call.params),
            None => Ok(Value::Null),
        }
    }

    fn initialize(&mut self, params: &Value) -> Value {
        self.phase = Phase::Running;
        let capabilities = params.get("capabilities").unwrap_or(&Value::Null);
        self.encoding = Encoding::agreed(capabilities);
        self.watches = capabilities
            .pointer("/workspace/didChangeWatchedFiles/dynamicRegistration")
            .is_some_and(|can| can == true);
        self.root = self.find_root(params);
        json!({
            "capabilities": {
                "positionEncoding": self.encoding.as_str(),
                "textDocumentSync": {"openClose": true, "change": 2, "save": true},
                "completionProvider": {"triggerCharacters": [".", "'", "\"", "(", "{"]},
                "definitionProvider": true,
                "hoverProvider": true,
                "referencesProvider": true,
                "documentSymbolProvider": true,
            },
            "serverInfo": {"name": "kinfold", "version": env!("CARGO_PKG_VERSION")},
        })
    }

    /// The folder of the project: that of the command line, else the first folder of the client with a project
    /// in it, else this one. `None` if there is no project.
    fn find_root(&self, params: &Value) -> Option<PathBuf> {
        let given = std::path::absolute(&self.global.project_dir).ok();
        if self.global.project_dir != Path::new(".") {
            return given;
        }
        let folders = params.get("workspaceFolders").and_then(Value::as_array);
        let folders = folders.into_iter().flatten();
        let folders = folders.filter_map(|folder| folder.get("uri"));
        let uris = folders
            .chain(params.get("rootUri"))
            .filter_map(Value::as_str);
        let paths = uris.filter_map(path_of).chain(given);
        paths.into_iter().find(|path| has_project(path))
    }

    fn notification(&mut self, call: Call) {
        match call.method.as_str() {
            "initialized" => {
                if self.watches {
                    self.watch();
                }
                self.changed();
            }
            "textDocument/didOpen" => {
                if let Some(DidOpenTextDocumentParams { text_document }) = params(call) {
                    self.open(text_document);
                }
            }
            "textDocument/didChange" => {
                if let Some(change) = params::<DidChangeTextDocumentParams>(call) {
                    let document = change.text_document;
                    self.edit(
                        &document.text_document_identifier.uri.0,
                        document.version,
                        &change.content_changes,
                    );
                }
            }
            "textDocument/didClose" => {
                let closed: Option<DidCloseTextDocumentParams> = params(call);
                let path = closed.and_then(|closed| path_of(&closed.text_document.uri.0));
                if let Some(path) = path {
                    self.documents.close(&path);
                    self.overlay.remove(&path);
                    self.changed();
                }
            }
            // Whatever has happened on disk, the next analysis reads it.
            "textDocument/didSave"
            | "workspace/didChangeWatchedFiles"
            | "workspace/didChangeWorkspaceFolders"
            | "workspace/didRenameFiles"
            | "workspace/didCreateFiles"
            | "workspace/didDeleteFiles" => self.changed(),
            "$/cancelRequest" => {
                let id = call.params.get("id").cloned();
                let id = id.and_then(|id| serde_json::from_value::<Id>(id).ok());
                let known = self.waiting.iter().position(|w| Some(&w.id) == id.as_ref());
                if let Some(at) = known {
                    let waiting = self.waiting.remove(at);
                    let error = transport::CANCELLED;
                    self.send(transport::error(Some(&waiting.id), error, "cancelled"));
                }
            }
            _ => {}
        }
    }

    fn open(&mut self, document: gen_lsp_types::TextDocumentItem) {
        let Some(path) = path_of(&document.uri.0) else {
            return;
        };
        if self.root.is_none() {
            let mut above = path.ancestors().skip(1);
            self.root = above.find(|path| has_project(path)).map(Path::to_path_buf);
        }
        let text: Arc<str> = document.text.into();
        self.overlay.insert(&path, Arc::clone(&text));
        let document = Document {
            uri: document.uri.0,
            version: document.version,
            text,
        };
        self.documents.open(&path, document);
        self.changed();
    }

    fn edit(
        &mut self,
        uri: &str,
        version: i32,
        changes: &[gen_lsp_types::TextDocumentContentChangeEvent],
    ) {
        let Some(path) = path_of(uri) else { return };
        let text = self
            .documents
            .change(&path, version, changes, self.encoding);
        if let Some(text) = text {
            self.overlay.insert(&path, text);
            self.changed();
        }
    }

    /// Texts are not what they were.
    fn changed(&mut self) {
        self.revision += 1;
        if self.root.is_some() {
            let waits = !self.waiting.is_empty();
            let pause = if waits { Duration::ZERO } else { PAUSE };
            self.due = Some(Instant::now() + pause);
        }
    }

    /// Asks the client to tell what happens to files that are not open.
    fn watch(&mut self) {
        let watchers =
            [json!({"globPattern": "**/*.{sql,yml,yaml,md,csv,parquet,ndjson,json,gz,zst}"})];
        let params = json!({"registrations": [{
            "id": "files",
            "method": "workspace/didChangeWatchedFiles",
            "registerOptions": {"watchers": watchers},
        }]});
        let method = "client/registerCapability";
        self.send(json!({"jsonrpc": "2.0", "id": "watch", "method": method, "params": params}));
    }

    fn log(&self, message: &str) {
        let params = json!({"type": 1, "message": message});
        self.send(transport::notification("window/logMessage", params));
    }

    fn answer(&self, id: &Id, answer: Result<Value, Refusal>) {
        self.send(match answer {
            Ok(result) => transport::answer(id, result),
            Err(refusal) => transport::error(Some(id), refusal.code, &refusal.message),
        });
    }

    /// A client that does not read any more has gone, which the input will tell.
    fn send(&self, message: Value) {
        let _ = self.output.send(message);
    }
}

/// What is known, once all that was said is looked at.
const STATUS: &str = "kinfold/status";

/// Parameters of a notification; `None` if they are not what they should be, which nobody can be told.
fn params<P: DeserializeOwned>(call: Call) -> Option<P> {
    serde_json::from_value(call.params).ok()
}

fn has_project(folder: &Path) -> bool {
    PROJECT_FILES.iter().any(|name| folder.join(name).is_file())
}
