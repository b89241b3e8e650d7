//! The requests of a destination against its specifications.

use std::path::Path;
use std::sync::Arc;

use kinfold_destination::kit::{self, RecordedAnswer, RecordedRequest};
use kinfold_destination::shipped;
use serde_json::Value;

use super::document::{Document, Lookup, Operation};
use super::finding::Finding;
use super::graph::Node;
use super::request;
use super::table::{Entry, File};

/// A request with its answer.
pub struct Sent {
    pub exchange: String,
    /// The number of the call, from 1.
    pub call: usize,
    pub request: RecordedRequest,
    pub answer: RecordedAnswer,
}

/// Every request of every exchange of a shipped destination, as it is sent.
pub async fn sent(destination: &str) -> Vec<Sent> {
    let folder = shipped(destination).unwrap();
    let manifest = Arc::new(folder.manifest.unwrap());
    let mut all = Vec::new();
    for exchange in &folder.exchanges {
        let requests = kit::requests(&manifest, exchange).await;
        let requests = requests.unwrap_or_else(|error| panic!("{destination}: {error}"));
        for (n, (request, call)) in requests.into_iter().zip(&exchange.calls).enumerate() {
            all.push(Sent {
                exchange: exchange.name.clone(),
                call: n + 1,
                request,
                answer: call.answer.clone(),
            });
        }
    }
    all
}

/// A file that was read.
enum Content {
    Document(Document),
    Node(Node),
}

/// A specification and how much it proves.
struct Specification {
    content: Content,
    /// Written or published by the vendor, or made of what the vendor published.
    evidence: bool,
}

/// All specifications of a destination.
pub struct Specifications(Vec<Specification>);

/// What the specifications say of a request.
pub enum Verdict {
    /// None of them has its address.
    Uncovered,
    Checked {
        evidence: bool,
        /// Method and path of the operation, or the address if there is none.
        operation: String,
        request: Vec<Finding>,
        /// Nothing if the answer is not described.
        answer: Option<Vec<Finding>>,
    },
}

fn json(folder: &Path, path: &str) -> Value {
    let path = folder.join(path);
    let text = std::fs::read_to_string(&path);
    let text = text.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The class of a file in the folder's manifest.
pub fn class(folder: &Path, file: &str) -> String {
    let manifest = json(folder, "manifest.json");
    let entries = manifest.as_array().unwrap();
    let entry = entries.iter().find(|entry| entry["out"] == file);
    let entry = entry.unwrap_or_else(|| panic!("{file} is not in manifest.json"));
    entry["class"].as_str().unwrap().to_owned()
}

impl Specifications {
    pub fn load(folder: &Path, entry: &Entry) -> Self {
        let read = |file: &File| {
            let root = json(folder, &file.path);
            let content = match &file.node {
                Some(node) => {
                    let types = json(folder, "meta/enum_types.json");
                    Content::Node(Node::new(root, node, &types))
                }
                None => Content::Document(Document::new(root, &file.servers)),
            };
            let evidence = class(folder, &file.path) != "D";
            Specification { content, evidence }
        };
        Self(entry.files.iter().map(read).collect())
    }

    /// Everything that is wrong with a request and its answer.
    pub fn check(&self, method: &str, sent: &RecordedRequest, answer: &RecordedAnswer) -> Verdict {
        let url = sent.url.split('?').next().unwrap_or_default();
        let mut known: Option<(bool, &'static str)> = None;
        for specification in &self.0 {
            let evidence = specification.evidence;
            match &specification.content {
                Content::Document(document) => match document.find(method, url) {
                    Lookup::Operation(operation) => {
                        return checked(&operation, evidence, sent, answer);
                    }
                    Lookup::NoMethod => known = Some((evidence, "method")),
                    Lookup::NoPath => known = known.or(Some((evidence, "path"))),
                    Lookup::NoServer => {}
                },
                Content::Node(node) => match node.find(method, url) {
                    Some(endpoint) => {
                        return Verdict::Checked {
                            evidence,
                            operation: format!(
                                "{method} {}",
                                endpoint["endpoint"].as_str().unwrap_or_default()
                            ),
                            request: node.request(endpoint, sent),
                            answer: None,
                        };
                    }
                    None if node.has(url) => known = known.or(Some((evidence, "path"))),
                    None => {}
                },
            }
        }
        match known {
            None => Verdict::Uncovered,
            Some((evidence, rule)) => Verdict::Checked {
                evidence,
                operation: format!("{method} {url}"),
                request: vec![Finding::new("address", rule, "there is no such operation")],
                answer: None,
            },
        }
    }
}

fn checked(
    operation: &Operation<'_>,
    evidence: bool,
    sent: &RecordedRequest,
    answer: &RecordedAnswer,
) -> Verdict {
    Verdict::Checked {
        evidence,
        operation: format!("{} {}", sent.method, operation.template),
        request: request::request(operation, sent),
        answer: match request::answer(operation, answer) {
            request::Described::Nothing => None,
            request::Described::Findings(found) => Some(found),
        },
    }
}
