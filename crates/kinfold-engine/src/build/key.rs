//! The key of a node: same key, same rows. Those of sources and seeds are made here, those of models and tests of what
//! they read ([`super::identities`]).

use std::collections::BTreeMap;

use kinfold_compile::compile::{CompiledNode, Determinism, Fingerprint};
use kinfold_compile::render::Materialization;

use crate::published::PublishedNode;

/// Counts changes of what the engine itself does with a plan: a node built under another number is
/// built again.
pub(super) const ENGINE_SEMANTICS: u32 = 1;

/// The versions that a node reads: relation → table and version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Inputs(pub(crate) BTreeMap<String, String>);

/// BLAKE3 over meaning, input versions, engine semantics and, where the node depends on it, the
/// run's clock or the run itself.
pub(crate) fn node_key(fingerprint: Fingerprint, inputs: &Inputs, moment: &str) -> String {
    let mut hasher = blake3::Hasher::new();
    let mut part = |text: &str| {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    };
    part(&ENGINE_SEMANTICS.to_string());
    part(&fingerprint.to_string());
    part(moment);
    for (relation, version) in &inputs.0 {
        part(relation);
        part(version);
    }
    hasher.finalize().to_hex().to_string()
}

/// Why a node is built: the first input that differs from what is published.
pub(crate) fn why(
    previous: Option<&PublishedNode>,
    node: &CompiledNode,
    inputs: &Inputs,
    full_refresh: bool,
) -> String {
    let Some(previous) = previous else {
        return "first build".to_owned();
    };
    if full_refresh {
        return "full refresh".to_owned();
    }
    if previous.fingerprint != node.fingerprint.to_string() {
        return "its meaning changed".to_owned();
    }
    for (relation, version) in &inputs.0 {
        match previous.inputs.get(relation) {
            None => return format!("reads `{relation}` for the first time"),
            Some(old) if old != version => return format!("`{relation}` has a new version"),
            Some(_) => {}
        }
    }
    why_beside_inputs(node)
}

/// Why a node is built although its meaning and what it reads are the same.
pub(super) fn why_beside_inputs(node: &CompiledNode) -> String {
    if node.determinism == Determinism::Fixed
        && node.config.materialized.value == Materialization::Identity
    {
        return "somebody was erased, or an older kinfold has built it".to_owned();
    }
    match node.determinism {
        Determinism::Clock => "it reads the run's clock".to_owned(),
        Determinism::Volatile => "it uses a volatile function".to_owned(),
        Determinism::Fixed => "its content changed".to_owned(),
    }
}
