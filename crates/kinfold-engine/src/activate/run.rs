//! The order of things in a run.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kinfold_lake::{Holder, LakeError, Lease};
use kinfold_project::{FirstRun, SyncMode};
use kinfold_sync::{CancelToken, DeliveryReport, Run, StoppedEarly, deliver};

use super::acknowledge::{LakeAckLog, Outcomes};
use super::canonical::{self, Layout, NullForm};
use super::changeset::{Changeset, Extents, SinkMaker};
use super::chunk::{Chunk, Room};
use super::class::Rules;
use super::compare::Comparison;
use super::exact::{self, Compared};
use super::fold::fold;
use super::guard::Held;
use super::heads::Heads;
use super::held::{Approved, HeldBack};
use super::matching::{self, adopt_equal};
use super::plan::{self, Counts, Logged, Plan, Waits};
use super::progress::Progress;
use super::records::append_run;
use super::source::PlanSource;
use super::state::{Place, Setup, State};
use super::{
    ActivateError, Ports, SyncReport, SyncRequest, VerifyReport, destination, ledger, queue, scope,
};
use crate::lease::Heartbeat;
use crate::published::PublishedState;
use crate::stream::{Providers, is_out_of_memory};
use crate::{Engine, EngineError};

/// Counts and examples; writes nothing.
pub(super) async fn dry_run(
    engine: &Engine,
    request: &SyncRequest<'_>,
) -> Result<SyncReport, EngineError> {
    let started = Instant::now();
    let place = Place::of(engine, request.sync)?;
    let setup = Setup::of(request.sync, request.compiled, request.connection)?;
    let unfinished = Plan::read(&engine.lake, &place).await?;
    let (published, providers) = inputs(engine, request).await?;
    let state = State::open(engine, &place).await?;
    if let Some(before) = &state.setup {
        setup.require(&request.compiled.name, before)?;
    }
    let nulls = destination::null_forms(request);
    let comparison = Comparison {
        engine,
        nulls: &nulls,
        compiled: request.compiled,
        providers: &providers,
        state: &state,
        rules: Rules::of(engine, request.sync, &state, scope::keys(request, &setup)?),
        expected_rows: expected_rows(&published, request),
        cancel: &request.cancel,
    };
    let fields = &request.compiled.fields;
    let sinks = SinkMaker::Look { fields };
    let compared = Compared::read(engine, &place, request, &state, &nulls).await?;
    let changeset = changes(&comparison, compared.as_ref(), &published, &sinks).await?;
    let tally = &changeset.tally;
    let counts = Counts {
        exact: changeset.exact,
        ..tally.counts(&tally.held(request))
    };
    let examples = changeset.examples();
    let success = counts.held == 0;
    Ok(SyncReport {
        name: request.compiled.name.clone(),
        run_id: engine.clock.run_id.clone(),
        resumed: unfinished.is_some(),
        elapsed_ms: milliseconds(started),
        examples,
        success,
        ..counts.report()
    })
}

/// Finishes what is left of an earlier run, then delivers what has changed. If somebody else runs the sync,
/// that run is asked to go round once more.
pub(super) async fn run(
    engine: &Engine,
    request: &SyncRequest<'_>,
    ports: &Ports<'_>,
) -> Result<SyncReport, EngineError> {
    let started = Instant::now();
    let place = Place::of(engine, request.sync)?;
    let setup = Setup::of(request.sync, request.compiled, request.connection)?;
    let mut report = SyncReport {
        name: request.compiled.name.clone(),
        run_id: engine.clock.run_id.clone(),
        ..SyncReport::default()
    };
    let mut lease = match queue::lease_or_queue(engine, &place, request, ports.lease).await? {
        Some(lease) => lease,
        None => {
            report.queued = true;
            report.success = true;
            return Ok(report);
        }
    };
    // Who has left word has asked for a whole run, whatever this one is.
    let whole = SyncRequest {
        scope: super::Scope::default(),
        approve: None,
        ..request.clone()
    };
    let began = chrono::Utc::now();
    let mut request = request;
    let asked = request;
    loop {
        let cancel = request.cancel.child_token();
        let heartbeat = Heartbeat::start(lease.clone(), ports.lease, cancel.clone());
        let mut guarded = engine.clone();
        guarded.lake = engine.lake.guarded(&lease);
        let runner = Runner {
            engine: &guarded,
            request,
            ports,
            place: place.clone(),
            setup: setup.clone(),
            nulls: destination::null_forms(request),
            lease: &lease,
            cancel,
        };
        let result = Box::pin(runner.run()).await;
        heartbeat.stop().await;
        if let Err(error) = lease.release().await {
            tracing::warn!(%error, "the lease was not released");
        }
        match result {
            Ok(part) => report.add(&part),
            Err(error) => {
                let failed = Err(error);
                if let Err(error) = append_run(engine, &place, asked, began, &failed).await {
                    tracing::warn!(%error, "the run was not recorded");
                }
                return failed;
            }
        }
        // Only now: who came before the lease was given up has left word, who comes later takes it.
        let again = report.stopped.is_none()
            && !request.cancel.is_cancelled()
            && queue::is_queued(&engine.lake, &place).await?;
        if !again {
            break;
        }
        match lease_of(engine, &place, request, ports.lease).await {
            Ok(next) => (lease, request) = (next, &whole),
            // Somebody has it already, and takes up what was asked for.
            Err(EngineError::Activate(ActivateError::Busy { .. })) => break,
            Err(error) => return Err(error),
        }
    }
    report.elapsed_ms = milliseconds(started);
    report.close()?;
    let ended = Ok(report);
    append_run(engine, &place, asked, began, &ended).await?;
    ended
}

/// Asks the destination for what it has confirmed. With `heal` the next run sends what is not there as it
/// was confirmed.
pub(super) async fn verify(
    engine: &Engine,
    request: &SyncRequest<'_>,
    ports: &Ports<'_>,
    heal: bool,
) -> Result<VerifyReport, EngineError> {
    let name = &request.compiled.name;
    let mode = request.sync.mode.value;
    let readable = ports.destination.capabilities().reads;
    if !readable || matches!(mode, SyncMode::Insert | SyncMode::Append) {
        return Err(ActivateError::NotVerifiable {
            sync: name.clone(),
            reason: if readable {
                "rows that are sent once are nobody's afterwards"
            } else {
                "its destination cannot be read"
            },
        }
        .into());
    }
    let place = Place::of(engine, request.sync)?;
    let setup = Setup::of(request.sync, request.compiled, request.connection)?;
    let lease = lease_of(engine, &place, request, ports.lease).await?;
    let cancel = request.cancel.child_token();
    let heartbeat = Heartbeat::start(lease.clone(), ports.lease, cancel.clone());
    let mut guarded = engine.clone();
    guarded.lake = engine.lake.guarded(&lease);
    let runner = Runner {
        engine: &guarded,
        request,
        ports,
        place,
        setup,
        nulls: destination::null_forms(request),
        lease: &lease,
        cancel,
    };
    let result = Box::pin(runner.verify(heal)).await;
    heartbeat.stop().await;
    if let Err(error) = lease.release().await {
        tracing::warn!(%error, "the lease was not released");
    }
    let report = result?;
    if queue::is_queued(&engine.lake, &Place::of(engine, request.sync)?).await? {
        Box::pin(run(engine, request, ports)).await?;
    }
    Ok(report)
}

struct Runner<'a> {
    engine: &'a Engine,
    request: &'a SyncRequest<'a>,
    ports: &'a Ports<'a>,
    place: Place,
    setup: Setup,
    /// What is sent for a null in each field.
    nulls: Vec<NullForm>,
    lease: &'a Lease,
    /// Cancelled by the user, or because the lease is lost.
    cancel: CancelToken,
}

impl Runner<'_> {
    async fn run(&self) -> Result<SyncReport, EngineError> {
        let mut report = SyncReport {
            name: self.request.compiled.name.clone(),
            run_id: self.engine.clock.run_id.clone(),
            ..SyncReport::default()
        };
        // What was asked for until now is part of this run.
        if queue::is_whole(self.request) {
            queue::clear(&self.engine.lake, &self.place).await?;
        }
        let unfinished = Plan::read(&self.engine.lake, &self.place).await?;
        plan::sweep_garbage(&self.engine.lake, &self.place, unfinished.as_ref()).await?;
        if let Some(plan) = unfinished {
            self.setup.require(&plan.sync, &plan.setup)?;
            tracing::info!(sync = %plan.sync, delivery = %plan.delivery, "finishing an interrupted run");
            report.resumed = true;
            report.add(&Box::pin(self.finish(&plan, true)).await?);
            if report.stopped.is_some() || self.cancel.is_cancelled() {
                return Ok(report);
            }
        }
        report.add(&Box::pin(self.deliver_changes()).await?);
        Ok(report)
    }

    async fn verify(&self, heal: bool) -> Result<VerifyReport, EngineError> {
        let (engine, name) = (self.engine, &self.request.compiled.name);
        if Plan::read(&engine.lake, &self.place).await?.is_some() {
            return Err(ActivateError::Unfinished { sync: name.clone() }.into());
        }
        let (published, providers) = inputs(engine, self.request).await?;
        let state = State::open(engine, &self.place).await?;
        let ordinal = state.ordinal + 1;
        let delivery = format!("{}.{ordinal}", engine.clock.run_id);
        let folder = self.place.run(&delivery);
        let mut comparison = self.comparison(&published, &providers, &state)?;
        comparison.rules.verify = true;
        let sinks = SinkMaker::Write {
            lake: &engine.lake,
            prefix: format!("{folder}/"),
            room: Room::of(&engine.lake),
            approved: None,
        };
        let found = comparison.run(&sinks).await?;
        self.check().await?;
        let receiver = self.ports.destination;
        let layout = Layout::of(&self.request.compiled.fields);
        let compared =
            matching::compare(&engine.lake, name, receiver, &layout, found.sending).await?;
        let report = VerifyReport {
            name: name.clone(),
            checked: compared.equal + compared.different + compared.missing,
            equal: compared.equal,
            different: compared.different,
            missing: compared.missing,
            healing: heal && !compared.doubted.is_empty(),
        };
        if report.healing {
            let counts = Counts::default();
            let plan = self.plan(
                &published,
                (delivery, ordinal),
                counts,
                vec![],
                compared.doubted,
            );
            plan.write(&engine.lake, &self.place).await?;
            Box::pin(self.finish(&plan, false)).await?;
        }
        plan::sweep(&engine.lake, &folder).await?;
        Ok(report)
    }

    /// A new changeset, delivered.
    async fn deliver_changes(&self) -> Result<SyncReport, EngineError> {
        let (engine, request) = (self.engine, self.request);
        let (published, providers) = inputs(engine, request).await?;
        let state = State::open(engine, &self.place).await?;
        if let Some(before) = &state.setup {
            self.setup.require(&request.compiled.name, before)?;
        }
        let ordinal = state.ordinal + 1;
        let delivery = format!("{}.{ordinal}", engine.clock.run_id);
        let folder = self.place.run(&delivery);
        let mut found = self
            .changeset(&published, &providers, &state, &folder)
            .await?;
        if request.sync.first_run == FirstRun::MatchFirst && state.setup.is_none() {
            self.match_first(&mut found).await?;
        }
        if let Some(rows) = request.scope.limit {
            scope::limit(&engine.lake, &mut found, rows).await?;
        }
        let whole = request.scope.limit.is_none() && request.scope.keys.is_empty();
        if whole {
            let invalid = std::mem::take(&mut found.invalid);
            ledger::replace_invalid(engine, &self.place, &engine.clock.run_id, invalid).await?;
        }
        let held = found.tally.held(request);
        let counts = Counts {
            exact: found.exact,
            ..found.tally.counts(&held)
        };
        let extents = found.tally.extents().filter(|_| counts.held == 0);
        let kept: (&[Chunk], &[Chunk]) = match &held {
            Held::Nothing => (&[], &[]),
            Held::Leaving(_) => (&found.leaving, &[]),
            Held::Everything(_) => (&found.leaving, &found.sending),
        };
        if let (Some(why), Some(id)) = (&counts.held_because, &counts.held_id) {
            tracing::warn!(sync = %request.compiled.name, rows = counts.held, "held: {why}");
            let what = (id.as_str(), why.as_str(), engine.clock.as_of);
            HeldBack::write(&engine.lake, &self.place, what, kept.0, kept.1).await?;
        } else if whole {
            HeldBack::clear(&engine.lake, &self.place).await?;
        }
        let [mut leaving, mut sending] = found.approved;
        let mut notes = vec![];
        match held {
            Held::Nothing => {
                leaving.extend(found.leaving);
                sending.extend(found.sending);
                notes = found.notes;
            }
            // The state stays as it is, but for what will be acknowledged.
            Held::Leaving(_) => sending.extend(found.sending),
            Held::Everything(_) => {}
        }
        if counts.sending == 0 && notes.is_empty() {
            plan::sweep(&engine.lake, &folder).await?;
            self.remember(&published, state.ordinal, extents).await?;
            return Ok(counts.report());
        }
        if counts.sending > 0
            && let Err(error) = self.check().await
        {
            plan::sweep(&engine.lake, &folder).await?;
            return Err(error);
        }
        let changes = leaving.into_iter().chain(sending).collect();
        let plan = self.plan(&published, (delivery, ordinal), counts, changes, notes);
        plan.write(&engine.lake, &self.place).await?;
        let report = Box::pin(self.finish(&plan, false)).await?;
        if report.delivered == report.planned && report.stopped.is_none() {
            self.remember(&published, ordinal, extents).await?;
        }
        Ok(report)
    }

    fn plan(
        &self,
        published: &PublishedState,
        (delivery, ordinal): (String, i64),
        counts: Counts,
        changes: Vec<Chunk>,
        notes: Vec<Chunk>,
    ) -> Plan {
        let (engine, request) = (self.engine, self.request);
        let capabilities = self.ports.destination.capabilities();
        let policy = &self.ports.policy;
        let generation = published.generation.as_ref();
        let purposes = request.sync.purposes.iter();
        Plan {
            format: plan::FORMAT,
            sync: request.compiled.name.clone(),
            environment: engine.environment.name.clone(),
            run_id: engine.clock.run_id.clone(),
            delivery,
            ordinal,
            as_of: engine.clock.as_of,
            mode: request.sync.mode.value.as_str().to_owned(),
            setup: self.setup.clone(),
            fields: request.compiled.fields.clone(),
            cleared: canonical::cleared(&request.compiled.fields, &self.nulls),
            mapping: request.compiled.fingerprint.to_string(),
            generation: generation.map_or(0, kinfold_lake::Generation::number),
            versions: versions(published, request),
            purposes: purposes.map(|purpose| purpose.value.clone()).collect(),
            waits: Waits::of(&request.sync.retry),
            log_payload: Logged::of(&request.sync.log_payload),
            max_rows: policy.max_rows.min(capabilities.max_rows).max(1),
            max_bytes: policy.max_bytes.min(capabilities.max_bytes),
            counts,
            changes,
            notes,
        }
    }

    fn comparison<'b>(
        &'b self,
        published: &PublishedState,
        providers: &'b Providers,
        state: &'b State,
    ) -> Result<Comparison<'b>, EngineError> {
        let only = scope::keys(self.request, &self.setup)?;
        Ok(Comparison {
            engine: self.engine,
            nulls: &self.nulls,
            compiled: self.request.compiled,
            providers,
            state,
            rules: Rules::of(self.engine, self.request.sync, state, only),
            expected_rows: expected_rows(published, self.request),
            cancel: &self.cancel,
        })
    }

    async fn changeset(
        &self,
        published: &PublishedState,
        providers: &Providers,
        state: &State,
        folder: &str,
    ) -> Result<Changeset, EngineError> {
        let comparison = self.comparison(published, providers, state)?;
        let lake = &self.engine.lake;
        let approved = match &self.request.approve {
            Some(id) => {
                let sync = &self.request.compiled.name;
                Some(Arc::new(Approved::read(lake, &self.place, sync, id).await?))
            }
            None => None,
        };
        let sinks = SinkMaker::Write {
            lake,
            prefix: format!("{folder}/"),
            room: Room::of(lake),
            approved,
        };
        let (request, nulls) = (self.request, &self.nulls);
        let compared = Compared::read(self.engine, &self.place, request, state, nulls).await?;
        changes(&comparison, compared.as_ref(), published, &sinks).await
    }

    /// Remembers how things stand after a run that left nothing open, so that the next one need not look at
    /// what has not changed.
    async fn remember(
        &self,
        published: &PublishedState,
        ordinal: i64,
        extents: Option<Extents>,
    ) -> Result<(), EngineError> {
        let Some(extents) = extents.filter(|_| exact::is_whole(self.request)) else {
            return Ok(());
        };
        let (lake, place) = (&self.engine.lake, &self.place);
        let what = (ordinal, extents);
        Compared::write(lake, place, self.request, published, what, &self.nulls).await
    }

    /// Does not send what the destination has already.
    async fn match_first(&self, found: &mut Changeset) -> Result<(), EngineError> {
        if found.sending.is_empty() {
            return Ok(());
        }
        self.check().await?;
        let chunks = std::mem::take(&mut found.sending);
        let (lake, sync) = (&self.engine.lake, &self.request.compiled.name);
        let layout = Layout::of(&self.request.compiled.fields);
        let destination = self.ports.destination;
        let matched = adopt_equal(lake, sync, destination, &layout, chunks).await?;
        found
            .tally
            .adopt(matched.adopted.iter().map(|c| c.rows).sum());
        found.sending = matched.sending;
        found.notes.extend(matched.adopted);
        Ok(())
    }

    /// Delivers what of a plan has no outcome yet, and folds it.
    async fn finish(&self, plan: &Plan, resumed: bool) -> Result<SyncReport, EngineError> {
        let lake = &self.engine.lake;
        let closed = format!("{}/closed.json", self.place.run(&plan.delivery));
        let recorded = Outcomes::read(lake, &self.place, plan).await?;
        let mut report = plan.counts.report();
        report.delivered = recorded.delivered();
        report.rejected = recorded.rejected;
        report.unknown = recorded.unknown;
        report.retryable = recorded.retryable;
        let mut folded_rows = recorded.recorded.count();
        let mut folded = false;
        let unsent = plan.counts.sending.saturating_sub(folded_rows);
        if unsent > 0 && resumed && lake.get(&closed).await?.is_some() {
            // The run had ended early before it died; its acknowledgements may be in the state already. What
            // it did not send is part of the next changeset, and counted there.
            report = SyncReport::default();
        } else {
            if unsent > 0 {
                if resumed {
                    self.check().await?;
                }
                let delivered;
                (delivered, folded) = if recorded.objects == 0 {
                    Box::pin(self.deliver_and_fold(plan, &recorded)).await?
                } else {
                    let heads = Arc::new(Heads::default());
                    let mut source = PlanSource::new(lake, plan, &recorded, &heads);
                    let mut log = self.log(plan, &recorded);
                    (self.deliver(plan, &mut source, &mut log).await?, false)
                };
                let counters = delivered.counters;
                report.delivered += counters.delivered;
                report.rejected += counters.rejected;
                report.unknown += counters.unknown;
                report.retryable += counters.retryable;
                report.requests = delivered.requests;
                // Accepted, and not known what became of them.
                report.unknown += counters.outstanding;
                folded_rows += counters.planned - counters.not_sent;
                report.stopped = delivered.stopped_early.as_ref().map(ToString::to_string);
                if matches!(
                    delivered.stopped_early,
                    Some(StoppedEarly::Log(_) | StoppedEarly::Source(_))
                ) {
                    // Storage fails. The plan stays, so that the next run goes on with the same batches.
                    return Ok(report);
                }
                if counters.outstanding > 0 {
                    // The destination still works on some. The plan stays, so that the next run asks again.
                    return Ok(report);
                }
            }
            if !folded {
                self.close(plan).await?;
            }
        }
        if !folded && (folded_rows > 0 || !plan.notes.is_empty()) {
            let outcomes = Arc::new(Outcomes::read(lake, &self.place, plan).await?);
            let recorded = outcomes.recorded.count();
            let progress = Arc::new(Progress::over(outcomes));
            self.write_outcomes(plan, (&progress, &Arc::default()), recorded)
                .await?;
        }
        plan.delete(lake, &self.place).await?;
        Ok(report)
    }

    /// From here on nothing of the plan is sent any more, so that repeating the fold is harmless.
    async fn close(&self, plan: &Plan) -> Result<(), EngineError> {
        self.lease.check().await?;
        let closed = format!("{}/closed.json", self.place.run(&plan.delivery));
        let format = Bytes::from_static(b"{\"format\":1}");
        Ok(self.engine.lake.put(&closed, format).await?)
    }

    /// State and ledger of a plan of which so many rows have an outcome.
    async fn write_outcomes(
        &self,
        plan: &Plan,
        known: (&Arc<Progress>, &Arc<Heads>),
        recorded: u64,
    ) -> Result<(), EngineError> {
        // Each of them may be repeated, so it does not matter which one a crash leaves out.
        let (engine, place) = (self.engine, &self.place);
        let folded = fold(engine, place, plan, known, recorded);
        if recorded == 0 {
            return Box::pin(folded).await;
        }
        let logged = ledger::append(engine, place, plan, known);
        let (folded, logged) = futures::join!(Box::pin(folded), Box::pin(logged));
        folded.and(logged)
    }

    /// Delivers a plan that nothing of was sent, and writes files of state and ledger meanwhile, chunk by chunk as
    /// it is confirmed. They are committed if every row has an outcome; whether they were is said with the report.
    async fn deliver_and_fold(
        &self,
        plan: &Plan,
        recorded: &Outcomes,
    ) -> Result<(DeliveryReport, bool), EngineError> {
        let (progress, heads) = (Arc::new(Progress::of(plan)), Arc::new(Heads::default()));
        let mut source = PlanSource::new(&self.engine.lake, plan, recorded, &heads);
        let mut log = self.log(plan, recorded).telling(&progress);
        let delivering = async {
            let delivered = self.deliver(plan, &mut source, &mut log).await;
            let closed = match &delivered {
                Ok(report) if report.stopped_early.is_none() => self.settle(plan, &progress).await,
                _ => Ok(false),
            };
            if !matches!(closed, Ok(true)) {
                progress.give_up();
            }
            Ok::<_, EngineError>((delivered?, closed?))
        };
        let writing = self.write_outcomes(plan, (&progress, &heads), plan.rows());
        let (delivered, written) = futures::join!(Box::pin(delivering), Box::pin(writing));
        let (report, closed) = delivered?;
        if closed {
            written?;
        }
        Ok((report, closed))
    }

    /// Lets state and ledger be committed, if all that was recorded is as it was said; whether it is.
    async fn settle(&self, plan: &Plan, progress: &Progress) -> Result<bool, EngineError> {
        let outcomes = Outcomes::read(&self.engine.lake, &self.place, plan).await?;
        if outcomes.recorded.count() < plan.rows() {
            return Ok(false);
        }
        self.close(plan).await?;
        Ok(progress.close(plan.rows(), Arc::new(outcomes)))
    }

    fn log(&self, plan: &Plan, recorded: &Outcomes) -> LakeAckLog {
        let lake = &self.engine.lake;
        LakeAckLog::new(lake, &self.place, plan, self.lease.token(), recorded)
    }

    async fn deliver(
        &self,
        plan: &Plan,
        source: &mut PlanSource,
        log: &mut LakeAckLog,
    ) -> Result<DeliveryReport, EngineError> {
        let mode = plan.sync_mode().ok_or_else(|| ActivateError::Stored {
            object: self.place.manifest(),
            reason: "its mode is not known",
        })?;
        let delivery = Arc::new(Run {
            sync: plan.sync.clone(),
            run_id: plan.delivery.clone(),
            mode,
        });
        let mut policy = self.ports.policy.clone();
        policy.max_rows = plan.max_rows;
        policy.max_bytes = plan.max_bytes;
        let (destination, clock) = (self.ports.destination, self.ports.clock);
        let report = deliver(
            &delivery,
            source,
            destination,
            log,
            &policy,
            clock,
            self.ports.budget,
            &self.cancel,
        )
        .await;
        if let Some(reason) = &report.stopped_early {
            tracing::warn!(sync = %plan.sync, "delivery ended early: {reason}");
        }
        Ok(report)
    }

    async fn check(&self) -> Result<(), EngineError> {
        self.ports.destination.check().await.map_err(|source| {
            ActivateError::Destination {
                sync: self.request.compiled.name.clone(),
                source,
            }
            .into()
        })
    }
}

/// What is to be done: from what has changed since the last comparison, if that is known, else from all rows.
async fn changes(
    comparison: &Comparison<'_>,
    compared: Option<&Compared>,
    published: &PublishedState,
    sinks: &SinkMaker<'_>,
) -> Result<Changeset, EngineError> {
    if let Some(compared) = compared {
        match Box::pin(compared.changeset(comparison, published, sinks)).await {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => {}
            Err(error) if is_out_of_memory(&error) => {}
            Err(error) => return Err(error),
        }
    }
    comparison.run(sinks).await
}

/// The published versions that the mapping reads.
async fn inputs(
    engine: &Engine,
    request: &SyncRequest<'_>,
) -> Result<(PublishedState, Providers), EngineError> {
    let published = engine.published().await?;
    let providers = engine
        .providers(&published.document, &request.compiled.reads)
        .await?;
    Ok((published, providers))
}

fn versions(
    published: &PublishedState,
    request: &SyncRequest<'_>,
) -> std::collections::BTreeMap<String, String> {
    let reads = request.compiled.reads.iter();
    reads
        .filter_map(|key| Some((key.to_string(), published.document.table(key)?.identity())))
        .collect()
}

fn milliseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Rows of the relation that the sync delivers, as far as that is known.
fn expected_rows(published: &PublishedState, request: &SyncRequest<'_>) -> u64 {
    let reads = request.compiled.reads.iter();
    let tables = reads.filter_map(|key| published.document.table(key)?.rows);
    tables.max().unwrap_or(0)
}

/// Takes the lease of the sync, or names the run that has it.
pub(super) async fn lease_of(
    engine: &Engine,
    place: &Place,
    request: &SyncRequest<'_>,
    time: Duration,
) -> Result<Lease, EngineError> {
    let holder = Holder::this_process();
    let lease = engine.lake.lease(&place.lease, holder, time).await;
    lease.map_err(|error| match error {
        LakeError::LeaseHeld {
            holder,
            since,
            expires,
            ..
        } => ActivateError::Busy {
            sync: request.compiled.name.clone(),
            holder,
            since,
            expires,
        }
        .into(),
        other => other.into(),
    })
}
