//! What the data of a node is, column by column, so that who reads it knows whether it changed.
//!
//! The identity of a column is a hash of its fingerprint and of the identities of what it is made of; so is that of
//! the rows. Equal identities are equal data, whichever version of a table has them. What could come out otherwise
//! although nothing changed (a draw, a tie, a rounding) has none, and neither has what remembers more than its
//! inputs: it is identified by the version of its table.

use std::collections::BTreeMap;

use kinfold_compile::compile::{CompiledNode, Determinism, Fingerprint};
use kinfold_compile::lineage::Point;
use kinfold_compile::meaning::{Certainty, Print};
use kinfold_compile::relation::RelationKey;
use kinfold_compile::render::Materialization;
use kinfold_project::ResourceType;

use super::Run;
use super::key::ENGINE_SEMANTICS;
use crate::EngineError;
use crate::published::{Basis, DataIdentities, DataRead, PublishedNode};

/// What stands for data that a build would make and that is not known before: it is equal to nothing stored.
const AHEAD: &str = "ahead";

/// The data that a node reads: relation → identities.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reads(pub(crate) BTreeMap<String, DataRead>);

impl Reads {
    /// The key of a node that reads this: hash of its meaning, of what it reads, engine semantics and, where the
    /// node depends on it, the run's clock or the run itself.
    pub(super) fn key(&self, fingerprint: Fingerprint, moment: &str) -> String {
        let mut hash = Hash::new("node");
        hash.text(&ENGINE_SEMANTICS.to_string());
        hash.text(&fingerprint.to_string());
        hash.text(moment);
        for (relation, read) in &self.0 {
            hash.text(relation);
            hash.option(read.version.as_deref());
            hash.option(read.rows.as_deref());
            hash.text(&read.columns.len().to_string());
            for (column, identity) in &read.columns {
                hash.text(column);
                hash.text(identity);
            }
        }
        hash.0.finalize().to_hex().to_string()
    }

    /// What differs from what was read before, in words; names of relations are those of their nodes.
    pub(super) fn differences(&self, before: &BTreeMap<String, DataRead>) -> Vec<String> {
        let mut found = vec![];
        for (relation, now) in &self.0 {
            let name = short(relation);
            let Some(old) = before.get(relation) else {
                found.push(format!("reads `{relation}` for the first time"));
                continue;
            };
            if now == old {
                continue;
            }
            let ahead = |identity: Option<&str>| identity == Some(AHEAD);
            if ahead(now.version.as_deref())
                || ahead(now.rows.as_deref())
                || now.columns.values().any(|column| column == AHEAD)
            {
                found.push(format!("`{name}` is built before it"));
                continue;
            }
            if now.version != old.version {
                found.push(format!("`{relation}` has a new version"));
                continue;
            }
            if now.rows != old.rows {
                found.push(format!("rows of `{name}` changed"));
            }
            for (column, identity) in &now.columns {
                match old.columns.get(column) {
                    None => found.push(format!(
                        "column `{column}` of `{name}` is read for the first time"
                    )),
                    Some(old) if old != identity => {
                        found.push(format!("column `{column}` of `{name}` changed"));
                    }
                    Some(_) => {}
                }
            }
            let gone = old.columns.keys();
            for column in gone.filter(|column| !now.columns.contains_key(*column)) {
                found.push(format!("column `{column}` of `{name}` is read no more"));
            }
        }
        for relation in before
            .keys()
            .filter(|relation| !self.0.contains_key(*relation))
        {
            found.push(format!("`{}` is read no more", short(relation)));
        }
        found
    }
}

/// The name of a relation without kind and package.
fn short(relation: &str) -> &str {
    relation.splitn(3, '.').last().unwrap_or(relation)
}

struct Hash(blake3::Hasher);

impl Hash {
    fn new(kind: &str) -> Self {
        let mut hash = Self(blake3::Hasher::new());
        hash.text(kind);
        hash
    }

    fn text(&mut self, text: &str) {
        self.0.update(&(text.len() as u64).to_le_bytes());
        self.0.update(text.as_bytes());
    }

    fn option(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.text(text),
            None => {
                self.0.update(&u64::MAX.to_le_bytes());
            }
        }
    }

    /// Half of the hash: documents have one of these for every column.
    fn short(&self) -> String {
        let whole = self.0.finalize().to_hex();
        whole.as_str().chars().take(32).collect()
    }
}

impl Run<'_> {
    /// The data that a node reads, as it is published, or as it will be once what is ahead of it is built.
    pub(super) fn reads_of(&self, node: &CompiledNode) -> Result<Reads, EngineError> {
        let mut reads: BTreeMap<String, DataRead> = BTreeMap::new();
        let Some(meanings) = node.meanings() else {
            for relation in &node.reads {
                let of = reads.entry(relation.to_string()).or_default();
                of.version = Some(self.version_of(relation)?);
            }
            return Ok(Reads(reads));
        };
        // One of several answers is kept only for the very tables that it was taken from.
        let by_version = meanings
            .iter()
            .any(|meaning| meaning.certainty() == Certainty::Chosen);
        let own = RelationKey::own(node.id.clone());
        let points = meanings.iter().flat_map(|meaning| meaning.reads());
        for point in points.filter(|point| point.relation != own) {
            let of = reads.entry(point.relation.to_string()).or_default();
            if by_version || self.data_of(&point.relation).is_none() {
                of.version = Some(self.version_of(&point.relation)?);
                continue;
            }
            let identity = self.identity_of(&point)?;
            match point.column {
                Some(column) => {
                    of.columns.insert(column, identity);
                }
                None => of.rows = Some(identity),
            }
        }
        Ok(Reads(reads))
    }

    /// The identities of the data of a node that is made of this; none if it is identified by its version alone.
    pub(super) fn data_made(
        &self,
        node: &CompiledNode,
    ) -> Result<Option<DataIdentities>, EngineError> {
        let of_inputs_alone = node.resource == ResourceType::Model
            && node.config.materialized.value == Materialization::Table;
        let Some(meaning) = node.meaning.as_ref().filter(|_| of_inputs_alone) else {
            return Ok(None);
        };
        let mut columns = BTreeMap::new();
        for (name, print) in &meaning.columns {
            columns.insert(name.clone(), self.identity_made(print)?);
        }
        let rows = self.identity_made(&meaning.rows)?;
        Ok(Some(DataIdentities { rows, columns }))
    }

    /// What a node that reads this is made of and is.
    pub(super) fn basis(&self, node: &CompiledNode, reads: &Reads) -> Result<Basis, EngineError> {
        Ok(Basis::new(reads.0.clone(), self.data_made(node)?))
    }

    fn identity_made(&self, print: &Print) -> Result<Option<String>, EngineError> {
        if print.certainty != Certainty::Exact || print.determinism == Determinism::Volatile {
            return Ok(None);
        }
        let mut hash = Hash::new("data");
        hash.text(&ENGINE_SEMANTICS.to_string());
        hash.text(&print.fingerprint.to_string());
        if print.determinism == Determinism::Clock {
            hash.text(&self.engine.clock.as_of.to_rfc3339());
        }
        for point in &print.reads {
            let identity = self.identity_of(point)?;
            if identity == AHEAD {
                return Ok(None);
            }
            hash.text(&point.relation.to_string());
            hash.option(point.column.as_deref());
            hash.text(&identity);
        }
        Ok(Some(hash.short()))
    }

    /// What is known of the data of a relation beside its version.
    fn data_of(&self, relation: &RelationKey) -> Option<&DataIdentities> {
        if relation.companion.is_some() {
            return None;
        }
        match self.ahead.get(&relation.node) {
            Some(known) => known.as_ref(),
            None => self
                .next
                .nodes
                .get(&relation.node)?
                .basis
                .as_ref()?
                .data
                .as_ref(),
        }
    }

    fn identity_of(&self, point: &Point) -> Result<String, EngineError> {
        let known = self.data_of(&point.relation);
        let known = known.and_then(|known| match &point.column {
            Some(column) => known.columns.get(column)?.as_ref(),
            None => known.rows.as_ref(),
        });
        match known {
            Some(known) => Ok(known.clone()),
            None => self.version_of(&point.relation),
        }
    }

    fn version_of(&self, relation: &RelationKey) -> Result<String, EngineError> {
        if self.ahead.contains_key(&relation.node) {
            return Ok(AHEAD.to_owned());
        }
        let table = self.next.table(relation);
        let table = table.ok_or_else(|| EngineError::NotBuilt(relation.node.clone()))?;
        Ok(table.identity())
    }

    /// Why a node is built: what differs from what is published.
    pub(super) fn why_model(
        &self,
        previous: Option<&PublishedNode>,
        node: &CompiledNode,
        reads: &Reads,
    ) -> String {
        let Some(previous) = previous else {
            return "first build".to_owned();
        };
        if self.request.full_refresh {
            return "full refresh".to_owned();
        }
        let nothing = BTreeMap::new();
        let known = previous.basis.as_ref();
        if known.is_none() && !previous.inputs.is_empty() {
            return "an older kinfold has built it".to_owned();
        }
        let before = known.map_or(&nothing, |known| &known.reads);
        let mut differences = reads.differences(before);
        if previous.fingerprint != node.fingerprint.to_string() {
            let data = known.and_then(|known| known.data.as_ref());
            if let Some(data) = data.filter(|_| differences.is_empty()) {
                differences = self.changes_of(node, data);
            }
            let all = listed(&differences);
            return if all.is_empty() {
                "its meaning changed".to_owned()
            } else {
                format!("its meaning changed: {all}")
            };
        }
        if !differences.is_empty() {
            return listed(&differences);
        }
        super::key::why_beside_inputs(node)
    }

    /// What of a node's own columns and rows differs, where it reads what it read before.
    fn changes_of(&self, node: &CompiledNode, before: &DataIdentities) -> Vec<String> {
        let Ok(Some(now)) = self.data_made(node) else {
            return vec![];
        };
        let mut found = vec![];
        for (name, new) in &now.columns {
            match before.columns.get(name) {
                None => found.push(format!("column `{name}` is new")),
                Some(Some(old)) if new.as_ref().is_some_and(|new| new != old) => {
                    found.push(format!("column `{name}` differs"));
                }
                Some(_) => {}
            }
        }
        let gone = |name: &&String| !now.columns.contains_key(*name);
        for name in before.columns.keys().filter(gone) {
            found.push(format!("column `{name}` is gone"));
        }
        if before.rows.is_some() && now.rows.is_some() && before.rows != now.rows {
            found.push("its rows differ".to_owned());
        }
        found
    }
}

/// The first differences, and how many more there are.
fn listed(differences: &[String]) -> String {
    const SHOWN: usize = 3;
    let shown: Vec<&str> = differences.iter().take(SHOWN).map(String::as_str).collect();
    match differences.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{}, and {more} more", shown.join(", ")),
    }
}
