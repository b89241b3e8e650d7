//! Reading a project: files in, one [`Project`] and every [`Diagnostic`] out.

mod checks;
mod config_tree;
mod connections;
mod dbt_packages;
mod environments;
mod exposures;
mod fields;
mod files;
mod freshness;
mod generic_tests;
mod hide;
mod identity;
mod jinja_blocks;
mod linkage;
mod linkage_parameters;
mod mapping;
mod overlay;
mod packages;
mod project_file;
mod properties;
mod recorded;
mod resources;
mod schedules;
mod selectors;
mod sources;
mod syncs;
mod test_names;
mod unit_tests;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use crate::codes;
use crate::diagnostic::{Diagnostic, SourceMap};
use crate::linkage::{LinkageParameters, PARAMETERS_FILE};
use crate::located::Value;
use crate::model::{Model, Project};
use crate::{suggest, yaml};

use checks::Declarations;
pub use checks::built_in_tests;
use config_tree::Configs;
pub use identity::identity_rules;
pub use linkage::linkage_rules;
pub use overlay::Overlay;

use files::{Reading, extension, folders_below};
use properties::{Nodes, PropertiesFile};
use resources::PackageFiles;

/// The keys that files of a project may have, for those who offer them to a person. Files may have others where dbt
/// allows it.
pub mod keys {
    use super::{config_tree, properties, sources, syncs};

    /// Of a properties file.
    pub const PROPERTIES_FILE: &[&str] = properties::FILE_KEYS;
    /// Of a model or a seed in it.
    pub const NODE: &[&str] = properties::NODE_KEYS;
    /// Of a column.
    pub const COLUMN: &[&str] = properties::COLUMN_KEYS;
    /// Of a source.
    pub const SOURCE: &[&str] = sources::SOURCE_KEYS;
    /// Of a sync.
    pub const SYNC: &[&str] = syncs::KEYS;
    /// Of a configuration.
    pub const CONFIG: &[&str] = config_tree::KNOWN;
}

/// A package that is compiled into the binary.
#[derive(Clone, Copy, Debug)]
pub struct EmbeddedPackage {
    /// Name by which `packages:` of `kinfold.yml` asks for it.
    pub name: &'static str,
    /// Its files: path relative to the package's root with `/` between the parts, and text. One of
    /// them is its `dbt_project.yml` or `kinfold.yml`.
    pub files: &'static [(&'static str, &'static str)],
}

/// What a project is read with, besides its own files.
#[derive(Clone, Copy)]
pub struct LoadOptions<'a> {
    /// Reads an environment variable of the process.
    pub environment_variable: &'a (dyn Fn(&str) -> Option<String> + Sync),
    /// The packages that `packages:` may name.
    pub embedded_packages: &'a [EmbeddedPackage],
    /// The names of the destinations that are part of the program.
    pub destinations: &'a [&'a str],
    /// The text of `--vars`, a YAML mapping; stronger than every `vars:` of a file.
    pub vars: Option<&'a str>,
}

impl std::fmt::Debug for LoadOptions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoadOptions")
            .field("embedded_packages", &self.embedded_packages)
            .finish_non_exhaustive()
    }
}

/// What was read.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The project, with everything in it that could be understood. `None` only if there is no
    /// readable project file. Do not run it if a diagnostic is an error.
    pub project: Option<Project>,
    /// Every file that was read, to show the diagnostics with. Equal to `project.files`.
    pub files: SourceMap,
    /// Every problem, in the order of files and places.
    pub diagnostics: Vec<Diagnostic>,
}

impl Loaded {
    /// Whether a problem stops a run.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }
}

/// Reads the project at `root`, a folder with a `kinfold.yml`, a `dbt_project.yml` or both.
///
/// It opens files below `root` and of the packages that the project names, and nothing else.
/// Problems never end it early: all are in [`Loaded::diagnostics`].
#[must_use]
pub fn load(root: &Path, options: &LoadOptions<'_>) -> Loaded {
    load_overlaid(root, options, &Overlay::default())
}

/// As [`load`], with texts in the place of files.
#[must_use]
pub fn load_overlaid(root: &Path, options: &LoadOptions<'_>, overlay: &Overlay) -> Loaded {
    let mut reading = Reading {
        overlay: overlay.clone(),
        ..Reading::default()
    };
    let root = std::path::absolute(root).unwrap_or_else(|_| root.to_path_buf());
    let project = load_project(root, options, &mut reading);
    let Reading {
        files,
        mut problems,
        ..
    } = reading;
    // A folder may be looked through for several kinds of files.
    let mut seen = HashSet::new();
    problems.retain(|problem| {
        let span = problem.primary.as_ref().map(|label| label.span);
        seen.insert((problem.code, span, problem.message.clone()))
    });
    problems.sort_by_key(|problem| problem.primary.as_ref().map(|label| label.span));
    Loaded {
        project: project.map(|project| Project {
            files: files.clone(),
            ..project
        }),
        files,
        diagnostics: problems,
    }
}

fn load_project(
    root: PathBuf,
    options: &LoadOptions<'_>,
    reading: &mut Reading,
) -> Option<Project> {
    let packages = packages::read(&root, options, reading)?;
    let mut configs = Configs::default();
    let mut project = Project {
        root,
        name: String::new(),
        files: SourceMap::default(),
        packages: packages::with_vars(&packages, options.vars, reading),
        environments: vec![],
        purposes: vec![],
        models: vec![],
        seeds: vec![],
        sources: vec![],
        recorded: BTreeMap::new(),
        generic_tests: vec![],
        unit_tests: vec![],
        singular_tests: vec![],
        macros: vec![],
        docs: BTreeMap::new(),
        exposures: vec![],
        groups: vec![],
        connections: vec![],
        syncs: vec![],
        sync_schedules: BTreeMap::new(),
        linkage_parameters: vec![],
        schedules: vec![],
        alerts: vec![],
        selectors: vec![],
    };
    let mut described = HashMap::new();
    let mut declared = Declarations::default();
    let mut found = vec![];
    for (index, package) in packages.into_iter().enumerate() {
        let file = package.file;
        configs.0.push(file.trees);
        if index == 0 {
            project.name = file.name.value.clone();
            project.environments = file.environments;
            let storage = project.environments.iter().flat_map(|e| &e.storage.0);
            hide::values(&mut reading.files, storage.map(|(_, value)| value));
            project.purposes = file.purposes;
            project.schedules = file.schedules;
            project.alerts = file.alerts;
        }
        found.push((file.name.value, package.store, file.paths, package.prefix));
    }
    if let Some((_, store, _, _)) = found.first()
        && store.has(selectors::FILE, reading)
        && let Some(file) = store.read(selectors::FILE, selectors::FILE, reading)
    {
        let text = reading.text(file);
        if let Some(value) = yaml::read(&text, file, &mut reading.problems) {
            project.selectors = selectors::read(&value, &mut reading.problems);
        }
    }
    for (index, (name, store, paths, prefix)) in found.iter().enumerate() {
        let files = PackageFiles {
            name,
            index,
            store,
            paths,
            prefix,
        };
        let properties = files.collect(&mut project, &mut configs, reading);
        let vars = project
            .packages
            .get(index)
            .map(|package| package.vars.clone())
            .unwrap_or_default();
        let fixtures = unit_tests::Fixtures::of(&files, reading);
        let mut parameters = vec![];
        let mut nodes = Nodes {
            model_positions: positions(project.models.iter().map(|n| (&n.package, &n.name)), name),
            seed_positions: positions(project.seeds.iter().map(|n| (&n.package, &n.name)), name),
            models: &mut project.models,
            seeds: &mut project.seeds,
            sources: &mut project.sources,
            generic_tests: &mut project.generic_tests,
            exposures: &mut project.exposures,
            groups: &mut project.groups,
            described: &mut described,
            configs: &mut configs,
        };
        for found in properties {
            if let Some(model) = parameters_of(&found.path) {
                let read = read_yaml(&files, &found.path, reading).and_then(|value| {
                    linkage_parameters::read(&value, name, model, &mut reading.problems)
                });
                parameters.extend(read);
                continue;
            }
            let Some(value) = read_yaml(&files, &found.path, reading) else {
                continue;
            };
            let from = PropertiesFile {
                package: name,
                package_index: index,
                vars: &vars,
                environment_variable: options.environment_variable,
                folders: found.folders,
                test_folders: folders_below(&found.path, ".")
                    .into_iter()
                    .skip(1)
                    .collect(),
            };
            properties::apply(&value, &from, &mut nodes, &mut reading.problems);
            let tests = &mut project.unit_tests;
            unit_tests::read(&value, &from, &fixtures, &files, tests, reading);
        }
        for read in &parameters {
            of_no_model(read, &project.models, &mut reading.problems);
        }
        project.linkage_parameters.extend(parameters);
        let kinds = connections::Kinds {
            shipped: options.destinations,
            own: files.destinations(),
        };
        for (path, _) in files.below(&paths.connections, reading) {
            if is_yaml(&path)
                && let Some(value) = read_connections(&files, &path, reading)
            {
                connections::read(
                    &value,
                    &kinds,
                    &mut project.connections,
                    &mut declared.connections,
                    &mut reading.problems,
                );
            }
        }
        for (path, _) in files.below(&paths.syncs, reading) {
            if is_yaml(&path)
                && let Some(value) = read_yaml(&files, &path, reading)
            {
                let Reading {
                    files, problems, ..
                } = reading;
                let into = (
                    &mut project.syncs,
                    &mut project.sync_schedules,
                    &mut declared.syncs,
                );
                syncs::read(&value, name, files, into, problems);
            }
        }
    }
    if let Some((_, store, _, _)) = found.first()
        && store.has(recorded::FILE, reading)
        && let Some(file) = store.read(recorded::FILE, recorded::FILE, reading)
    {
        let text = reading.text(file);
        if let Some(value) = yaml::read(&text, file, &mut reading.problems) {
            project.recorded = recorded::read(&value, &project.sources, &mut reading.problems);
        }
    }
    configs.warnings(&mut reading.problems);
    // The checks show paths, so they need the files now.
    project.files = reading.files.clone();
    checks::run(&project, &declared, &mut reading.problems);
    Some(project)
}

fn positions<'n>(
    nodes: impl Iterator<Item = (&'n String, &'n String)>,
    package: &str,
) -> HashMap<String, usize> {
    nodes
        .enumerate()
        .filter(|(_, (of, _))| *of == package)
        .map(|(position, (_, name))| (name.clone(), position))
        .collect()
}

/// Says so if nobody has the model of trained parameters.
fn of_no_model(read: &LinkageParameters, models: &[Model], problems: &mut Vec<Diagnostic>) {
    let own = || models.iter().filter(|model| model.package == read.package);
    let (name, span) = (&read.model.value, read.model.span);
    if own().any(|model| model.name == *name) {
        return;
    }
    let message = format!("there is no model `{name}`, whose parameters these would be");
    let problem = Diagnostic::warning(codes::UNUSED_PROPERTIES, message, span);
    let names = own().map(|model| model.name.as_str());
    problems.push(match suggest::did_you_mean(name, names) {
        Some(help) => problem.with_help(help),
        None => problem,
    });
}

/// The model of a file of trained parameters.
fn parameters_of(path: &str) -> Option<&str> {
    let name = path.rsplit('/').next()?;
    name.strip_suffix(PARAMETERS_FILE)
        .filter(|model| !model.is_empty())
}

fn is_yaml(path: &str) -> bool {
    matches!(extension(path).as_str(), "yml" | "yaml")
}

/// Reads a file whose values may be credentials.
fn read_connections(files: &PackageFiles<'_>, path: &str, reading: &mut Reading) -> Option<Value> {
    let file = files.read(path, reading)?;
    let text = reading.text(file);
    let (value, scalars) = yaml::read_scalars(&text, file, &mut reading.problems);
    hide::connections(&mut reading.files, file, value.as_ref(), &scalars);
    value
}

fn read_yaml(files: &PackageFiles<'_>, path: &str, reading: &mut Reading) -> Option<Value> {
    let file = files.read(path, reading)?;
    let text = reading.text(file);
    yaml::read(&text, file, &mut reading.problems)
}
