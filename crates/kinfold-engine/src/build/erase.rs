//! Erasing people: their identifiers and records leave an identity, its companions and its past, and
//! every table with canonical ids; they may not come back from rows that are still in the sources; and
//! the files of earlier versions go.
//!
//! First the list of who may not come back is written, then the tables, then they are published, then
//! files are removed. Interrupted anywhere, erasing again goes on.

mod report;
mod tables;

use std::collections::BTreeSet;
use std::str::FromStr;

use kinfold_compile::compile::CompiledProject;
use kinfold_identity::CanonicalId;
use kinfold_lake::{Holder, TablePath};
use kinfold_project::{NodeId, Project};
use tokio_util::sync::CancellationToken;

use super::identity::Suppression;
use super::statement::Statement;
use crate::lease::{Heartbeat, lease_time};
use crate::published::{Published, PublishedNode, PublishedState, StoredTable};
use crate::{Engine, EngineError};

pub use report::{EraseReport, ErasedTable, KeptVersion};
use tables::{Place, Take};

const IDENTIFIERS: &str = include_str!("../../../../sql/erase/identifiers.sql");
const RECORDS: &str = include_str!("../../../../sql/erase/records.sql");
const IDS: &str = include_str!("../../../../sql/erase/ids.sql");
const SHARED: &str = include_str!("../../../../sql/erase/shared.sql");

/// Who shall be erased.
pub struct EraseRequest<'a> {
    /// The project.
    pub project: &'a Project,
    /// The project, bound.
    pub compiled: &'a CompiledProject,
    /// The identity.
    pub identity: &'a NodeId,
    /// Canonical ids in use.
    pub people: &'a BTreeSet<String>,
    /// Says what would be done, and writes nothing.
    pub dry_run: bool,
    /// Ends the command.
    pub cancel: CancellationToken,
}

/// Everything that is known of who is erased. Of people, so it fits into memory.
struct Whom {
    people: BTreeSet<String>,
    identifiers: BTreeSet<(String, String)>,
    records: BTreeSet<(String, String)>,
    /// Ids that others may have now, and that identifiers of these people had once.
    shared: BTreeSet<String>,
}

/// Erases people from an identity and from what was made of it.
///
/// With nobody to erase, only files of earlier versions go: what an erasure that was interrupted left.
///
/// # Errors
/// If the identity was never built, somebody builds, or the lake fails. What was done until then stays
/// done, and erasing again goes on.
pub async fn erase(engine: &Engine, request: EraseRequest<'_>) -> Result<EraseReport, EngineError> {
    if request.dry_run {
        return run(engine, &request).await;
    }
    let time = lease_time(engine);
    let name = format!("env/{}", engine.environment.name);
    let lease = engine
        .lake
        .lease(&name, Holder::this_process(), time)
        .await?;
    let heartbeat = Heartbeat::start(lease.clone(), time, request.cancel.clone());
    let guarded = engine.guarded(&lease);
    let result = tokio::select! {
        biased;
        () = request.cancel.cancelled() => Err(EngineError::Cancelled),
        result = run(&guarded, &request) => result,
    };
    heartbeat.stop().await;
    lease.release().await?;
    result
}

async fn run(engine: &Engine, request: &EraseRequest<'_>) -> Result<EraseReport, EngineError> {
    let state = engine.published().await?;
    let missing = || EngineError::NotBuilt(request.identity.clone());
    // What another environment has made is erased there.
    let own = state.document.own();
    let node = own.nodes.get(request.identity).ok_or_else(missing)?;
    let whom = engine
        .whom(node, request.people)
        .await?
        .ok_or_else(missing)?;
    let mut report = EraseReport::of(request, &state.document, &whom.people);
    report.identifiers = whom.identifiers.len() as u64;
    report.records = whom.records.len() as u64;
    let places = engine.places_of(&own, request.identity).await?;
    let next = if whom.people.is_empty() {
        state.document.clone()
    } else {
        engine
            .take_out(request, &state, (&whom, &places), &mut report)
            .await?
    };
    if request.dry_run {
        return Ok(report);
    }
    crate::activate::forget_comparisons(engine, &request.project.syncs).await?;
    engine.remove_old_files(&next, &places, &mut report).await?;
    Ok(report)
}

impl Engine {
    /// Who these ids are: all ids that ever stood for them, their records, and the identifiers that are
    /// theirs or that nobody else's record carries. None if the identity lacks a companion.
    async fn whom(
        &self,
        node: &PublishedNode,
        asked: &BTreeSet<String>,
    ) -> Result<Option<Whom>, EngineError> {
        let companion = |suffix: &str| node.companions.get(suffix);
        let (Some(own), Some(edges), Some(changes), Some(history)) = (
            &node.table,
            companion("edges"),
            companion("changes"),
            companion("history"),
        ) else {
            return Ok(None);
        };
        let log = self.aliases(changes).await?;
        let mut people = asked.clone();
        for old in log.retired() {
            let now = log.current(old).map(|id| id.to_string());
            if now.is_some_and(|now| asked.contains(&now)) {
                people.insert(old.to_string());
            }
        }
        let mut whom = Whom {
            people,
            identifiers: BTreeSet::new(),
            records: BTreeSet::new(),
            shared: BTreeSet::new(),
        };
        if whom.people.is_empty() {
            return Ok(Some(whom));
        }
        let statement = self.about(&whom).await?.table("edges", edges).await?;
        whom.records = pairs(&statement, RECORDS).await?;
        let statement = self.about(&whom).await?;
        let statement = statement.table("edges", edges).await?;
        let statement = statement.table("own", own).await?;
        whom.identifiers = pairs(&statement, IDENTIFIERS).await?;
        let statement = self.about(&whom).await?.table("own", own).await?;
        // Who has only identifiers that nobody else's record carries goes with them.
        whom.people.extend(singles(&statement, IDS).await?);
        let statement = self.about(&whom).await?.table("history", history).await?;
        let shared = singles(&statement, SHARED).await?;
        whom.shared = shared.difference(&whom.people).cloned().collect();
        Ok(Some(whom))
    }

    /// Takes people out of every table and publishes what is left.
    async fn take_out(
        &self,
        request: &EraseRequest<'_>,
        state: &PublishedState,
        (whom, places): (&Whom, &[Place]),
        report: &mut EraseReport,
    ) -> Result<Published, EngineError> {
        if !request.dry_run {
            let mut list = Suppression::load(self, request.identity).await?;
            let Whom {
                people,
                identifiers,
                records,
                ..
            } = whom;
            list.add(self, request.identity, identifiers, people, records)
                .await?;
        }
        let mut next = state.document.clone();
        for place in places {
            let Some(stored) = place.stored(&state.document) else {
                continue;
            };
            let taken = match place.take {
                Take::Changes => self.say_deleted(request, whom, stored).await?,
                _ => self.take_rows(request, whom, place, stored).await?,
            };
            if let Some(table) = taken.table {
                place.replace(&mut next, table);
            }
            if taken.rows > 0 {
                report.tables.push(ErasedTable {
                    relation: stored.relation.1.clone(),
                    rows: taken.rows,
                });
            }
        }
        if !request.dry_run && next.nodes != state.document.nodes {
            next.run_id.clone_from(&self.clock.run_id);
            next.as_of = self.clock.as_of;
            self.publish(state, &next).await?;
        }
        Ok(next)
    }

    /// Whether an identifier belonged to somebody who was erased from an identity of this environment, or
    /// a canonical id was theirs.
    ///
    /// # Errors
    /// If the list cannot be read.
    pub async fn was_erased(&self, identity: &NodeId, asked: &str) -> Result<bool, EngineError> {
        let list = Suppression::load(self, identity).await?;
        let identifier = asked
            .split_once(':')
            .is_some_and(|(id_type, value)| list.has_identifier(id_type.trim(), value.trim()));
        let id = CanonicalId::from_str(asked).is_ok();
        Ok(identifier || (id && list.has_person(asked)))
    }
}

impl Statement<'_> {
    /// `kinfold._run.<name>` is a stored table.
    async fn table(self, name: &str, table: &StoredTable) -> Result<Self, EngineError> {
        let provider = self.engine().provider(table).await?;
        let columns = provider.schema();
        self.over_table(name, Some(provider), &columns)
    }
}

/// Two columns of text.
async fn pairs(
    statement: &Statement<'_>,
    sql: &str,
) -> Result<BTreeSet<(String, String)>, EngineError> {
    let mut found = BTreeSet::new();
    for batch in statement.rows(sql).await? {
        let [first, second] = [tables::text(&batch, 0)?, tables::text(&batch, 1)?];
        let rows = first.iter().zip(second.iter());
        found.extend(
            rows.filter_map(|(first, second)| Some((first?.to_owned(), second?.to_owned()))),
        );
    }
    Ok(found)
}

/// One column of text.
async fn singles(statement: &Statement<'_>, sql: &str) -> Result<BTreeSet<String>, EngineError> {
    let mut found = BTreeSet::new();
    for batch in statement.rows(sql).await? {
        let column = tables::text(&batch, 0)?;
        found.extend(column.iter().flatten().map(str::to_owned));
    }
    Ok(found)
}

fn path_of(table: &StoredTable) -> Result<TablePath, EngineError> {
    Ok(TablePath::new(&table.path)?)
}
