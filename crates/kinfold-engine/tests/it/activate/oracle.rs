//! The changeset against a naive one: random histories of models, destinations and settings.

use std::collections::BTreeMap;

use kinfold_project::{OnLeave, SyncMode};
use kinfold_sync::{BatchOperation, Operation};
use kinfold_testkit::FakeClock;
use proptest::prelude::*;
use serde_json::{Map, json};

use super::receiver::{Fate, Receiver};
use super::setting::{Setting, at, mirror, rows};

/// A row of the model: a key out of few, so that they repeat, and a value out of few, so that they recur.
#[derive(Clone, Debug)]
struct ModelRow {
    id: Option<u8>,
    value: ModelValue,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum ModelValue {
    Null,
    NotANumber,
    Number(u8),
}

/// One run: what the model has, and what the destination does with each key.
#[derive(Clone, Debug)]
struct Step {
    rows: Vec<ModelRow>,
    fates: BTreeMap<u8, Fate>,
}

fn step() -> impl Strategy<Value = Step> {
    let value = prop_oneof![
        1 => Just(ModelValue::Null),
        1 => Just(ModelValue::NotANumber),
        8 => (0_u8..3).prop_map(ModelValue::Number),
    ];
    let row = (
        prop_oneof![1 => Just(None), 14 => (0_u8..10).prop_map(Some)],
        value,
    );
    let row = row.prop_map(|(id, value)| ModelRow { id, value });
    let fate = prop_oneof![
        4 => Just(Fate::Deliver),
        1 => Just(Fate::Reject),
        1 => Just(Fate::Retry),
        1 => Just(Fate::Lose),
        1 => Just(Fate::LoseBefore),
    ];
    (
        prop::collection::vec(row, 0..10),
        prop::collection::btree_map(0_u8..10, fate, 0..8),
    )
        .prop_map(|(rows, fates)| Step { rows, fates })
}

/// What the naive sync knows of a key.
#[derive(Clone, Debug, Default)]
struct Known {
    acknowledged: Option<ModelValue>,
    unknown: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    adds: u64,
    updates: u64,
    removals: u64,
    held: u64,
    invalid: u64,
    unchanged: u64,
    waiting: u64,
    delivered: u64,
    rejected: u64,
    retryable: u64,
    unknown: u64,
}

/// The naive sync: everything in maps, one key after the other.
struct Oracle {
    mode: SyncMode,
    on_leave: OnLeave,
    known: BTreeMap<u8, Known>,
}

impl Oracle {
    /// What must arrive, and the counters.
    fn run(&mut self, step: &Step) -> (BTreeMap<u8, (Operation, Option<ModelValue>)>, Counts) {
        let mut counts = Counts::default();
        let mut copies: BTreeMap<u8, Vec<ModelValue>> = BTreeMap::new();
        for row in &step.rows {
            match row.id {
                None => counts.invalid += 1,
                Some(id) => copies.entry(id).or_default().push(row.value),
            }
        }
        let mut planned = BTreeMap::new();
        let mut usable = false;
        for (id, values) in &copies {
            let [value] = values.as_slice() else {
                counts.invalid += values.len() as u64;
                continue;
            };
            if *value == ModelValue::NotANumber {
                counts.invalid += 1;
                continue;
            }
            usable = true;
            let known = self.known.get(id).cloned().unwrap_or_default();
            let once = matches!(self.mode, SyncMode::Insert | SyncMode::Append);
            match known.acknowledged {
                // It may be there already, and sending it again would make a second one.
                None if once && known.unknown => counts.waiting += 1,
                None => {
                    counts.adds += 1;
                    planned.insert(*id, (Operation::Add, Some(*value)));
                }
                Some(_) if once => counts.unchanged += 1,
                Some(before) if before == *value && !known.unknown => counts.unchanged += 1,
                Some(_) => {
                    counts.updates += 1;
                    planned.insert(*id, (Operation::Update, Some(*value)));
                }
            }
        }
        let leaving: Vec<u8> = self
            .known
            .iter()
            .filter(|(id, known)| known.acknowledged.is_some() && !copies.contains_key(id))
            .map(|(id, _)| *id)
            .collect();
        if self.on_leave != OnLeave::Keep {
            counts.removals = leaving.len() as u64;
            if usable {
                let operation = if self.on_leave == OnLeave::Clear {
                    Operation::Clear
                } else {
                    Operation::Remove
                };
                planned.extend(leaving.iter().map(|id| (*id, (operation, None))));
            } else {
                counts.held = counts.removals;
            }
        }
        for (id, (operation, value)) in &planned {
            let fate = step.fates.get(id).copied().unwrap_or_default();
            let known = self.known.entry(*id).or_default();
            match fate {
                Fate::Deliver => {
                    counts.delivered += 1;
                    known.unknown = false;
                    known.acknowledged = *value;
                    if matches!(operation, Operation::Remove | Operation::Clear) {
                        self.known.remove(id);
                    }
                }
                // Refused or not: what an earlier attempt without an answer did is still not known.
                Fate::Reject => counts.rejected += 1,
                Fate::Retry => counts.retryable += 1,
                Fate::Lose | Fate::LoseBefore => {
                    counts.unknown += 1;
                    known.unknown = true;
                }
            }
        }
        (planned, counts)
    }
}

fn key(id: u8) -> String {
    json!({"id": format!("k{id}")}).to_string()
}

async fn follow(mode: SyncMode, on_leave: OnLeave, steps: Vec<Step>) {
    let mut sync = mirror();
    sync.mode = at(mode);
    sync.on_leave = at(on_leave);
    let mut setting = Setting::new(sync).await;
    let receiver = Receiver::default();
    let mut oracle = Oracle {
        mode,
        on_leave,
        known: BTreeMap::new(),
    };
    let mut removed_without_leave = 0;
    for step in &steps {
        let names: Vec<_> = step
            .rows
            .iter()
            .map(|row| row.id.map(|id| format!("k{id}")))
            .collect();
        let model: Vec<_> = step
            .rows
            .iter()
            .zip(&names)
            .map(|(row, name)| {
                let value = match row.value {
                    ModelValue::Null => None,
                    ModelValue::NotANumber => Some(f64::NAN),
                    ModelValue::Number(n) => Some(f64::from(n)),
                };
                (name.as_deref(), value)
            })
            .collect();
        setting.publish(rows(&model)).await;
        setting.later(1);
        receiver.fates(step.fates.iter().map(|(id, fate)| (key(*id), *fate)));
        let acknowledged_before: Vec<String> = oracle
            .known
            .iter()
            .filter(|(_, k)| k.acknowledged.is_some())
            .map(|(id, _)| key(*id))
            .collect();

        let dry = setting.dry_run().await.unwrap();
        assert!(receiver.take().is_empty());
        let report = setting
            .run_through(&receiver, &FakeClock::new())
            .await
            .unwrap();
        let (planned, counts) = oracle.run(step);

        // Retryable rows come again within a run; the last word counts.
        let mut arrived = BTreeMap::new();
        for sent in receiver.take() {
            if sent.operation == Operation::Remove && !acknowledged_before.contains(&sent.key) {
                removed_without_leave += 1;
            }
            let wire = match (mode, sent.operation) {
                (_, Operation::Remove) => BatchOperation::Delete,
                (_, Operation::Clear) | (SyncMode::Update, _) => BatchOperation::Update,
                (SyncMode::Insert | SyncMode::Append, _) => BatchOperation::Insert,
                _ => BatchOperation::Upsert,
            };
            assert_eq!(sent.on_wire, wire);
            arrived.insert(sent.key, (sent.operation, sent.fields));
        }
        let expected: BTreeMap<_, _> = planned
            .iter()
            .map(|(id, (operation, value))| {
                let value = match value {
                    Some(ModelValue::Number(n)) => json!(n),
                    _ => json!(null),
                };
                let fields = match operation {
                    Operation::Remove => Map::new(),
                    _ => Map::from_iter([("value".to_owned(), value)]),
                };
                (key(*id), (*operation, fields))
            })
            .collect();
        assert_eq!(arrived, expected);
        let seen = Counts {
            adds: report.adds,
            updates: report.updates,
            removals: report.removals,
            held: report.held,
            invalid: report.invalid,
            unchanged: report.unchanged,
            waiting: report.waiting,
            delivered: report.delivered,
            rejected: report.rejected,
            retryable: report.retryable,
            unknown: report.unknown,
        };
        assert_eq!(seen, counts);
        assert_eq!(
            (
                dry.planned,
                dry.adds,
                dry.updates,
                dry.removals,
                dry.held,
                dry.invalid,
                dry.unchanged
            ),
            (
                report.planned,
                report.adds,
                report.updates,
                report.removals,
                report.held,
                report.invalid,
                report.unchanged
            )
        );
        assert!(setting.leftovers().await.is_empty());
    }
    assert_eq!(removed_without_leave, 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_history_of_runs_is_what_a_naive_sync_does(
        (mode, on_leave) in prop_oneof![
            1 => Just((SyncMode::Insert, OnLeave::Keep)),
            1 => Just((SyncMode::Update, OnLeave::Keep)),
            1 => Just((SyncMode::Upsert, OnLeave::Keep)),
            1 => Just((SyncMode::Append, OnLeave::Keep)),
            1 => Just((SyncMode::Mirror, OnLeave::Keep)),
            1 => Just((SyncMode::Mirror, OnLeave::Clear)),
            4 => Just((SyncMode::Mirror, OnLeave::Delete)),
            1 => Just((SyncMode::Mirror, OnLeave::LeaveAudience)),
        ],
        steps in prop::collection::vec(step(), 1..5),
    ) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(follow(mode, on_leave, steps));
    }
}
