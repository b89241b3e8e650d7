//! The stages before a run, one after the other: load, render, columns, bind.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use kinfold_compile::compile::{CompileInput, CompiledProject, compile};
use kinfold_compile::render::{Answers, RenderContext, RenderedProject, render};
use kinfold_engine::activate::mapping_tests;
use kinfold_engine::answers::{Asking, answer};
use kinfold_engine::columns::{Reach, input_columns};
use kinfold_engine::{Engine, EngineOptions, RunClock, offline_session};
use kinfold_project::load::{LoadOptions, Overlay, load_overlaid};
use kinfold_project::model::ResolvedEnvironment;
use kinfold_project::{Diagnostic, NodeId, Project, SourceMap};

use crate::cli::Global;
use crate::commands::CommandError;
use crate::packages::PACKAGES;
use crate::remembered::Remembered;

/// A loaded project and what is wrong with it so far.
pub struct Workspace {
    /// Root of the project, absolute.
    pub root: PathBuf,
    /// The project.
    pub project: Project,
    /// The environment.
    pub environment: ResolvedEnvironment,
    /// The run's clock.
    pub clock: RunClock,
    /// Problems found so far, warnings included.
    pub found: Vec<Diagnostic>,
    /// Those that loading found.
    loaded: Vec<Diagnostic>,
    vars: serde_json::Map<String, serde_json::Value>,
    threads: Option<NonZeroUsize>,
    memory: Option<Remembered>,
}

/// A project that is ready to run, or not: see `found`.
pub struct Bound {
    /// Its nodes with their SQL.
    pub rendered: RenderedProject,
    /// Its nodes with their plans.
    pub compiled: CompiledProject,
    /// The nodes whose rows templates ask for.
    pub asked: BTreeSet<NodeId>,
}

impl Workspace {
    /// Loads the project of the command line.
    pub fn load(global: &Global, as_of: Option<DateTime<Utc>>) -> Result<Self, CommandError> {
        Self::load_from(&global.project_dir, global, as_of)
    }

    /// Loads the project in `dir`.
    pub fn load_from(
        dir: &Path,
        global: &Global,
        as_of: Option<DateTime<Utc>>,
    ) -> Result<Self, CommandError> {
        Self::load_overlaid(dir, global, as_of, &Overlay::default())
    }

    /// Loads the project in `dir` with texts in the place of files.
    pub fn load_overlaid(
        dir: &Path,
        global: &Global,
        as_of: Option<DateTime<Utc>>,
        overlay: &Overlay,
    ) -> Result<Self, CommandError> {
        let root = std::path::absolute(dir).map_err(|source| CommandError::File {
            action: "find",
            path: dir.to_path_buf(),
            source,
        })?;
        let read = |name: &str| std::env::var(name).ok();
        let options = LoadOptions {
            environment_variable: &read,
            embedded_packages: PACKAGES,
            destinations: &crate::destinations::NAMES,
            vars: global.vars.as_deref(),
        };
        let loaded = load_overlaid(&root, &options, overlay);
        let Some(project) = loaded.project else {
            return Err(CommandError::Diagnostics {
                files: loaded.files,
                found: loaded.diagnostics,
            });
        };
        let mut found = loaded.diagnostics;
        let Some(environment) = project.environment(global.env.as_deref()) else {
            let names = project
                .environments
                .iter()
                .map(|e| e.name.value.clone())
                .collect();
            return Err(CommandError::NoEnvironment {
                name: global.env.clone().unwrap_or_default(),
                names,
            });
        };
        let environment = match environment.resolve(&read) {
            Ok(environment) => environment,
            Err(diagnostic) => {
                found.push(*diagnostic);
                return Err(CommandError::Diagnostics {
                    files: project.files,
                    found,
                });
            }
        };
        let vars = command_line_vars(global)?;
        let clock = RunClock::at(as_of.unwrap_or_else(Utc::now));
        Ok(Self {
            root,
            project,
            environment,
            clock,
            loaded: found.clone(),
            found,
            vars,
            threads: global.threads,
            memory: None,
        })
    }

    /// Looks up what earlier checks have found sound, and binds the rest. Then nothing can be done with what is
    /// bound: see [`CompileInput::memory`].
    pub fn remember(&mut self) {
        self.memory = Some(Remembered::read(&self.root));
    }

    /// Keeps what was found sound for the next check.
    pub fn keep(&self) {
        if let Some(memory) = &self.memory {
            memory.write();
        }
    }

    /// Whether an error was found.
    pub fn has_errors(&self) -> bool {
        self.found.iter().any(Diagnostic::is_error)
    }

    /// Opens the lake of the environment.
    pub async fn engine(&self, mut options: EngineOptions) -> Result<Engine, CommandError> {
        if let Some(threads) = self.threads {
            options.target_partitions = threads.get();
        }
        let environment = self.environment.clone();
        Ok(Engine::open(
            &self.root,
            &self.project.name,
            environment,
            self.clock.clone(),
            options,
        )
        .await?)
    }

    /// Renders and binds everything. Without an engine no socket is opened.
    pub async fn bind(
        &mut self,
        engine: Option<&Engine>,
        full_refresh: bool,
    ) -> Result<Bound, CommandError> {
        let mut answers = Answers::default();
        let mut asked = BTreeSet::new();
        // Each round answers a question more, so there is a last one.
        let (rendered, compiled, mut found) = loop {
            let (rendered, compiled, mut found) = self.round(engine, full_refresh, &answers).await;
            if rendered.waiting.is_empty() {
                break (rendered, compiled, found);
            }
            let asking = Asking {
                rendered: &rendered,
                compiled: &compiled,
                clock: &self.clock,
                engine,
            };
            let looked = answer(&asking, &mut answers).await;
            asked.extend(looked.reads);
            if looked.answered == 0 {
                found.extend(looked.open);
                break (rendered, compiled, found);
            }
        };
        self.found.clone_from(&self.loaded);
        self.found.append(&mut found);
        self.found
            .extend(kinfold_compile::select::check_selectors(&self.project));
        let found = crate::destinations::check(&self.project, &compiled.syncs);
        self.found.extend(found);
        self.found
            .sort_by_key(|d| d.primary.as_ref().map(|p| (p.span.file, p.span.start)));
        self.found
            .dedup_by(|later, earlier| later == earlier || is_repeated(later, earlier));
        Ok(Bound {
            rendered,
            compiled,
            asked,
        })
    }

    /// Renders and binds with the answers that there are.
    async fn round(
        &self,
        engine: Option<&Engine>,
        full_refresh: bool,
        answers: &Answers,
    ) -> (RenderedProject, CompiledProject, Vec<Diagnostic>) {
        let session = match engine {
            Some(engine) => engine.session(false),
            None => offline_session(&self.clock),
        };
        let context = RenderContext {
            project: &self.project,
            environment_name: &self.environment.name,
            schema: &self.environment.schema,
            vars: self.vars.clone(),
            env: Arc::new(|name: &str| std::env::var(name).ok()),
            as_of: self.clock.as_of,
            invocation_id: &self.clock.run_id,
            full_refresh,
            answers,
        };
        let (rendered, mut found) = render(&context);
        let reach = match engine {
            Some(engine) => Reach::Online(engine),
            None => Reach::Offline(&self.environment),
        };
        let (inputs, more) =
            input_columns(&self.root, &self.project, &rendered, &session, reach).await;
        found.extend(more);
        let storable = |schema: &_| kinfold_engine::storable(schema);
        let input = CompileInput {
            project: &self.project,
            rendered: &rendered,
            inputs,
            storable: &storable,
            session,
            memory: self.memory.as_ref().map(Remembered::memory),
        };
        let (compiled, more) = compile(&input);
        found.extend(more);
        (rendered, compiled, found)
    }

    /// Runs the unit tests of mappings. Opens no socket.
    pub async fn test_mappings(&mut self, bound: &Bound) {
        let session = offline_session(&self.clock);
        let found = mapping_tests(&self.project, &bound.compiled, &session).await;
        self.found.extend(found);
    }

    /// Ends the command if an error was found.
    pub fn require_sound(&self) -> Result<(), CommandError> {
        if self.has_errors() {
            return Err(CommandError::Diagnostics {
                files: self.files().clone(),
                found: self.found.clone(),
            });
        }
        Ok(())
    }

    /// The files that diagnostics point into.
    pub fn files(&self) -> &SourceMap {
        &self.project.files
    }
}

/// Whether rendering says again that the target of a reference in a YAML file does not exist.
fn is_repeated(later: &Diagnostic, earlier: &Diagnostic) -> bool {
    let place = |d: &Diagnostic| d.primary.as_ref().map(|label| label.span);
    earlier.code == kinfold_project::codes::UNKNOWN_REFERENCE
        && [
            kinfold_compile::render::codes::UNKNOWN_REF,
            kinfold_compile::render::codes::UNKNOWN_SOURCE,
        ]
        .contains(&later.code)
        && place(later) == place(earlier)
}

/// `--vars` as values for templates.
fn command_line_vars(
    global: &Global,
) -> Result<serde_json::Map<String, serde_json::Value>, CommandError> {
    let Some(text) = &global.vars else {
        return Ok(serde_json::Map::new());
    };
    let mut files = SourceMap::default();
    let file = files.add("--vars", text.as_str());
    let mut found = vec![];
    let value = kinfold_project::yaml::read(text, file, &mut found);
    if found.iter().any(Diagnostic::is_error) {
        return Err(CommandError::Diagnostics { files, found });
    }
    match value.map(|v| v.to_json()) {
        None | Some(serde_json::Value::Null) => Ok(serde_json::Map::new()),
        Some(serde_json::Value::Object(map)) => Ok(map),
        Some(_) => Err(CommandError::Vars),
    }
}
