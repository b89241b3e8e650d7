//! Planning down to operators over empty tables, for the errors that only then appear; beside the binding, on all
//! cores, where nothing is expected to fail.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use datafusion::catalog::TableProvider;
use datafusion::common::DataFusionError;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::OptimizerConfig;

use super::{STACK_BYTES, ready, rules};
use crate::relation::{RelationKey, pin};

/// Plans that wait for a thread. When there are more, who binds takes one himself.
const WAITING: usize = 64;

/// The sessions in which plans are rehearsed.
#[derive(Clone)]
pub(super) struct Stage {
    /// That of the run.
    full: SessionState,
    /// Plans for one core, goes once through the rules that have something to do, and does not improve operators: what
    /// can be planned at all, it plans.
    quick: SessionState,
}

/// A plan with the empty tables that it reads.
pub(super) struct Rehearsal {
    pub(super) plan: LogicalPlan,
    pub(super) empty: BTreeMap<RelationKey, Arc<dyn TableProvider>>,
}

impl Stage {
    pub(super) fn new(state: &SessionState) -> Self {
        let config = state.config().clone().with_target_partitions(1);
        let mut config = config.with_create_default_catalog_and_schema(false);
        config.options_mut().optimizer.max_passes = 1;
        let quick = SessionStateBuilder::new_from_existing(state.clone())
            .with_config(config)
            .with_physical_optimizer_rules(Vec::new())
            .with_execution_props(state.execution_props().clone())
            .build();
        Self {
            full: state.clone(),
            quick,
        }
    }

    pub(super) fn run(&self, rehearsal: Rehearsal) -> Result<(), DataFusionError> {
        let pinned = pin(rehearsal.plan, &rehearsal.empty)?;
        if self.run_quickly(pinned.clone()).is_err() {
            // What fails says why as a run would.
            ready(self.full.create_physical_plan(&pinned))?;
        }
        Ok(())
    }

    fn run_quickly(&self, plan: LogicalPlan) -> Result<(), DataFusionError> {
        let state = &self.quick;
        let analyzed = state
            .analyzer()
            .execute_and_check(plan, &state.options(), |_, _| {})?;
        let optimizer = rules::applicable(&state.optimizer().rules, &analyzed)?;
        let optimized = optimizer.optimize(analyzed, state, |_, _| {})?;
        ready(
            state
                .query_planner()
                .create_physical_plan(&optimized, state),
        )?;
        Ok(())
    }
}

/// Rehearsals beside the binding.
pub struct Beside {
    waiting: SyncSender<Rehearsal>,
    failed: Arc<AtomicBool>,
}

impl Beside {
    /// Hands a plan over, or rehearses it here if all others are busy.
    pub(super) fn take(&self, rehearsal: Rehearsal, stage: &Stage) {
        if self.has_failed() {
            return;
        }
        let rehearsal = match self.waiting.try_send(rehearsal) {
            Ok(()) => return,
            Err(TrySendError::Full(rehearsal) | TrySendError::Disconnected(rehearsal)) => rehearsal,
        };
        if stage.run(rehearsal).is_err() {
            self.fail();
        }
    }

    /// Notes that something is wrong, whatever it is.
    pub(super) fn fail(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }
}

/// Runs `bind` while the plans that it hands over are rehearsed by the other cores; waits for all of them. None if
/// anything failed, in which case it must be done once more, one after the other, to be told in order.
pub(crate) fn beside<T>(state: &SessionState, bind: impl FnOnce(Beside) -> T) -> Option<T> {
    let stage = Stage::new(state);
    let failed = Arc::new(AtomicBool::new(false));
    let (waiting, taken) = sync_channel(WAITING);
    let taken = Mutex::new(taken);
    let beside = Beside {
        waiting,
        failed: Arc::clone(&failed),
    };
    let work = || {
        while let Some(rehearsal) = next(&taken) {
            if !failed.load(Ordering::Relaxed) && stage.run(rehearsal).is_err() {
                failed.store(true, Ordering::Relaxed);
            }
        }
    };
    let others = thread::available_parallelism().map_or(1, NonZero::get) - 1;
    let bound = thread::scope(|scope| {
        for _ in 0..others {
            // Without a thread the plans are left for this one.
            let _ = thread::Builder::new()
                .stack_size(STACK_BYTES)
                .spawn_scoped(scope, work);
        }
        let bound = bind(beside);
        work();
        bound
    });
    (!failed.load(Ordering::Relaxed)).then_some(bound)
}

/// The next plan; none once all are bound and taken.
fn next(taken: &Mutex<Receiver<Rehearsal>>) -> Option<Rehearsal> {
    let taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
    taken.recv().ok()
}
