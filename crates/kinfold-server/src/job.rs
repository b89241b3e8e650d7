//! What a server runs: the builds and syncs of a project.

use std::collections::BTreeSet;

use kinfold_project::{CatchUp, Overlap, Project, ThenSync, Trigger};
use serde::{Deserialize, Serialize};

/// The resource that all builds share: the environment that they publish to.
pub const ENVIRONMENT: &str = "environment";

/// Something that is run when it is due.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Its name, which no other job has.
    pub name: String,
    /// What is run.
    pub kind: JobKind,
    /// What makes it due; without one only a person or a build does.
    pub trigger: Option<Trigger>,
    /// What happens to a due time while a run is under way or waits for its turn.
    pub overlap: Overlap,
    /// What happens to the due times that passed while no server ran.
    pub catch_up: CatchUp,
    /// What it needs for itself alone: jobs that share one of these are not run at once.
    pub resources: BTreeSet<String>,
    /// Jobs that are due whenever this one has succeeded.
    pub then: Vec<String>,
}

/// What a job runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum JobKind {
    /// A build.
    Build {
        /// What is built, as `--select` takes it.
        select: String,
    },
    /// The sync of the job's name.
    Sync,
}

impl JobKind {
    /// The word in output.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Build { .. } => "build",
            Self::Sync => "sync",
        }
    }
}

/// Two jobs of one name, which can only be syncs of two packages.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("two packages have a sync `{name}`: a server needs one name for each")]
pub struct DuplicateJob {
    /// The name.
    pub name: String,
}

impl Job {
    /// The jobs of a project: its `schedules:`, and every sync that is enabled.
    ///
    /// # Errors
    /// Two packages have a sync of one name.
    pub fn all_of(project: &Project) -> Result<Vec<Self>, DuplicateJob> {
        let enabled = || project.syncs.iter().filter(|sync| sync.enabled);
        let mut jobs = vec![];
        for build in &project.schedules {
            let then = match &build.then_sync {
                ThenSync::None => vec![],
                ThenSync::All => enabled().map(|sync| sync.name.value.clone()).collect(),
                ThenSync::Named(names) => names.iter().map(|name| name.value.clone()).collect(),
            };
            jobs.push(Self {
                name: build.name.value.clone(),
                kind: JobKind::Build {
                    select: build.build.value.clone(),
                },
                trigger: Some(build.schedule.trigger.clone()),
                overlap: build.schedule.overlap,
                catch_up: build.schedule.catch_up,
                resources: [ENVIRONMENT.to_owned()].into(),
                then,
            });
        }
        for sync in enabled() {
            let schedule = project.sync_schedules.get(&sync.id);
            jobs.push(Self {
                name: sync.name.value.clone(),
                kind: JobKind::Sync,
                trigger: schedule.map(|schedule| schedule.trigger.clone()),
                overlap: schedule
                    .map(|schedule| schedule.overlap)
                    .unwrap_or_default(),
                catch_up: schedule
                    .map(|schedule| schedule.catch_up)
                    .unwrap_or_default(),
                resources: BTreeSet::new(),
                then: vec![],
            });
        }
        let mut names = BTreeSet::new();
        match jobs.iter().find(|job| !names.insert(&job.name)) {
            Some(twice) => Err(DuplicateJob {
                name: twice.name.clone(),
            }),
            None => Ok(jobs),
        }
    }
}
