//! What earlier checks have found sound, so that only what is new is bound.
//!
//! A node is known by a hash of all that binding it can see: its SQL, its configuration, the columns of what it reads,
//! and the program. Of a known node only the columns are restored, which is all that its readers are bound
//! against. Nothing is remembered of a node that something was said about, so that it is said again.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::arrow::ipc::convert::{IpcSchemaEncoder, fb_to_schema};
use datafusion::arrow::ipc::root_as_schema;
use kinfold_project::ResourceType;

use super::{CompiledNode, Compiler, fingerprint, has_contract, unplanned};
use crate::relation::RelationKey;
use crate::render::{Materialization, RenderedNode};

type Hash = [u8; 32];

/// The form of the stored text; another form is not read.
const FORM: &[u8] = b"kinfold checked 1\n";

/// The nodes that earlier checks have found sound.
#[derive(Debug, Default)]
pub struct Memory {
    program: String,
    known: HashMap<Hash, Arc<[u8]>>,
    used: HashMap<Hash, Arc<[u8]>>,
    has_learned: bool,
}

impl Memory {
    /// Reads what [`Memory::to_bytes`] has written. What is damaged, of another form, or was written by another
    /// `program`, is nothing.
    #[must_use]
    pub fn read(bytes: &[u8], program: &str) -> Self {
        Self {
            program: program.to_owned(),
            known: entries(bytes, program).unwrap_or_default(),
            ..Self::default()
        }
    }

    /// What was used since, to be stored; none if that is what was read.
    #[must_use]
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        if !self.has_learned && self.used.len() == self.known.len() {
            return None;
        }
        let mut bytes = FORM.to_vec();
        push(&mut bytes, self.program.as_bytes());
        for (key, value) in &self.used {
            bytes.extend_from_slice(key);
            push(&mut bytes, value);
        }
        let sum = blake3::hash(&bytes);
        bytes.extend_from_slice(sum.as_bytes());
        Some(bytes)
    }

    fn recall(&mut self, key: &Hash) -> Option<Arc<[u8]>> {
        let value = self.known.get(key)?;
        self.used.insert(*key, Arc::clone(value));
        Some(Arc::clone(value))
    }

    pub(super) fn learn(&mut self, learned: Vec<(Hash, Vec<u8>)>) {
        for (key, value) in learned {
            self.has_learned = true;
            self.used.insert(key, value.into());
        }
    }
}

fn push(bytes: &mut Vec<u8>, part: &[u8]) {
    bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
    bytes.extend_from_slice(part);
}

/// The next part of what [`push`] has made.
fn part<'b>(bytes: &mut &'b [u8]) -> Option<&'b [u8]> {
    let length = bytes.split_off(..8)?;
    let length = u64::from_le_bytes(length.try_into().ok()?);
    bytes.split_off(..usize::try_from(length).ok()?)
}

fn entries(bytes: &[u8], program: &str) -> Option<HashMap<Hash, Arc<[u8]>>> {
    let (content, sum) = bytes.split_last_chunk::<32>().map(|(c, s)| (c, *s))?;
    if *blake3::hash(content).as_bytes() != sum {
        return None;
    }
    let mut rest = content.strip_prefix(FORM)?;
    if part(&mut rest)? != program.as_bytes() {
        return None;
    }
    let mut known = HashMap::new();
    while !rest.is_empty() {
        let key: Hash = rest.split_off(..32)?.try_into().ok()?;
        known.insert(key, part(&mut rest)?.into());
    }
    Some(known)
}

/// The columns of a node and its companions.
fn published(node: &CompiledNode) -> Vec<u8> {
    let mut bytes = Vec::new();
    let own = node.schema.iter().map(|schema| ("", schema));
    let companions = node.companions.iter().map(|c| (c.suffix, &c.schema));
    for (suffix, schema) in own.chain(companions) {
        push(&mut bytes, suffix.as_bytes());
        push(
            &mut bytes,
            IpcSchemaEncoder::new().schema_to_fb(schema).finished_data(),
        );
    }
    bytes
}

fn schema_of(bytes: &[u8]) -> Option<Schema> {
    Some(fb_to_schema(root_as_schema(bytes).ok()?))
}

impl Compiler<'_> {
    /// What a node is known by, if it may be remembered. Called once all that it reads is bound.
    pub(super) fn memory_key(&mut self, node: &RenderedNode) -> Option<Hash> {
        self.memory?;
        let sql = node.sql.as_ref()?;
        let apart = matches!(node.resource, ResourceType::Model | ResourceType::Test);
        // What these are bound with is not part of the key.
        let with_more = node.config.materialized.value == Materialization::Linkage
            || has_contract(node.resource, &node.config);
        if !apart || with_more {
            return None;
        }
        let relation = node.relation.as_ref();
        let increment = node.increment.as_ref();
        let mut parts = fingerprint::of_configuration("checked", node)
            .with(node.id.as_str())
            .with(&relation.map(ToString::to_string).unwrap_or_default())
            .with(&sql.text)
            .with(increment.map_or("", |increment| &increment.text));
        for read in &node.depends_on {
            let columns = self.columns_published(&read.id)?;
            parts = parts.with(read.id.as_str()).with(&columns);
        }
        Some(parts.finish().into())
    }

    /// A hash of the columns that a bound node publishes, and of the names of its relations.
    fn columns_published(&mut self, id: &kinfold_project::NodeId) -> Option<String> {
        if let Some(known) = self.published.get(id) {
            return Some(known.clone());
        }
        let node = self.done.nodes.get(id)?;
        let mut hash = blake3::Hasher::new();
        hash.update(&published(node));
        let companions = node.companions.iter().map(|companion| &companion.relation);
        for relation in node.relation.iter().chain(companions) {
            hash.update(relation.to_string().as_bytes());
        }
        let hash = hash.finalize().to_hex().to_string();
        self.published.insert(id.clone(), hash.clone());
        Some(hash)
    }

    /// A node that was sound, with nothing but its columns.
    pub(super) fn recalled(&mut self, node: &RenderedNode, key: &Hash) -> Option<CompiledNode> {
        let value = match self.memory?.lock() {
            Ok(mut memory) => memory.recall(key)?,
            Err(_) => return None,
        };
        let mut rest: &[u8] = &value;
        let mut compiled = CompiledNode {
            sql: None,
            ..unplanned(node)
        };
        while !rest.is_empty() {
            let suffix = std::str::from_utf8(part(&mut rest)?).ok()?;
            let schema: SchemaRef = Arc::new(schema_of(part(&mut rest)?)?);
            if suffix.is_empty() {
                let relation = node.relation.clone()?;
                let own = RelationKey::own(node.id.clone());
                self.register(node, own, &relation, &schema)?;
                compiled.relation = Some(relation);
                compiled.schema = Some(schema);
                continue;
            }
            let companion = node.companions.iter().find(|c| c.suffix == suffix)?;
            self.companion(companion, schema, node, &mut compiled)?;
        }
        Some(compiled)
    }

    /// Leaves of a node what others are bound against.
    pub(super) fn forget_plans(&mut self, node: &mut CompiledNode) {
        node.plan = None;
        node.meaning = None;
        node.increment = None;
        node.sql = None;
        self.done.lineage.remove(&node.id);
    }

    /// Keeps a node that nothing was said about.
    pub(super) fn remember(&mut self, key: Hash, node: &CompiledNode) {
        self.learned.push((key, published(node)));
    }
}

#[cfg(test)]
mod tests {
    use super::{FORM, Memory};

    #[test]
    fn what_is_damaged_is_nothing() {
        let mut memory = Memory::read(b"", "one");
        assert_eq!(memory.to_bytes(), None);
        memory.learn(vec![([7; 32], vec![1, 2, 3]), ([8; 32], vec![])]);
        let Some(bytes) = memory.to_bytes() else {
            unreachable!("something was learned");
        };
        let known = |bytes: &[u8], program| Memory::read(bytes, program).known.len();
        assert_eq!(known(&bytes, "one"), 2);
        assert_eq!(known(&bytes, "two"), 0);
        assert_eq!(known(FORM, "one"), 0);
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            if let Some(byte) = damaged.get_mut(at) {
                *byte ^= 1;
            }
            assert_eq!(known(&damaged, "one"), 0, "{at}");
            assert_eq!(known(bytes.get(..at).unwrap_or_default(), "one"), 0, "{at}");
        }
        // What nobody has used goes.
        let mut again = Memory::read(&bytes, "one");
        assert!(again.recall(&[7; 32]).is_some());
        let kept = again.to_bytes().unwrap_or_default();
        assert_eq!(known(&kept, "one"), 1);
    }
}
