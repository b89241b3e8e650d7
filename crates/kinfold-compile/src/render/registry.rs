//! What every rendering of a project shares: its names, its macros and its templates.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use chrono::{DateTime, Utc};
use kinfold_project::{Code, FileId, Located, MacroKind, NodeId, Project, SourceMap, Span, Value};

use super::answers::Answers;
use super::instrument::{IMPLICIT, Instrumented, Known, Marking, Owner, Sites, Source, instrument};
use super::macro_calls::macro_id;
use super::macros::ADAPTERS;
use super::relation::{Companion, Relation};
use super::template::Unclosed;
use super::{EnvVar, RenderContext, codes, mark};

/// Name of the package of built-in macros.
pub(super) const BUILT_IN: &str = "dbt";

/// A problem on its way through the template engine: an error carries its number.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    /// Its code.
    pub code: Code,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Vec<String>,
    /// Where, if the engine's own place is not the right one.
    pub place: Option<Span>,
}

/// A node that `ref` or `source` can name.
#[derive(Debug)]
pub(super) struct Entry {
    /// Its id.
    pub id: NodeId,
    /// Its package.
    pub package: String,
    /// Its name.
    pub name: String,
}

/// What is known of a node once its configuration is.
#[derive(Clone, Debug)]
pub(super) struct Resolved {
    /// Whether it takes part.
    pub enabled: bool,
    /// Where it is stored.
    pub relation: Relation,
    /// What else it publishes.
    pub companions: Vec<Companion>,
    /// Its configuration.
    pub config: BTreeMap<String, serde_json::Value>,
}

/// A macro of the project or of ours.
#[derive(Debug)]
pub(super) struct MacroEntry {
    /// Its package.
    pub package: String,
    /// Its name.
    pub name: String,
    /// Macro or test.
    pub kind: MacroKind,
    /// Whether it may read `varargs` or `kwargs` without declaring them.
    pub implicit: bool,
    text: Arc<str>,
    place: Option<(FileId, usize)>,
}

impl MacroEntry {
    /// Its block in the user's file; ours have none.
    pub fn span(&self) -> Option<Span> {
        let (file, start) = self.place?;
        Some(Span::new(file, start, start + self.text.len()))
    }
}

/// Everything that renderings share.
pub(super) struct Registry {
    /// Name of the root package.
    pub project: String,
    /// Every file.
    pub files: SourceMap,
    /// Models, seeds and sources.
    pub entries: Vec<Entry>,
    /// What is known of them, by the same index; set once the first pass is done.
    pub resolved: OnceLock<Vec<Resolved>>,
    names: HashMap<String, Vec<usize>>,
    sources: HashMap<(String, String), Vec<usize>>,
    /// All macros.
    pub macros: Vec<MacroEntry>,
    macro_index: HashMap<(String, String, bool), usize>,
    /// Names of functions, macros and packages, ours included.
    pub known: Known,
    dispatch: HashMap<String, Vec<String>>,
    vars: HashMap<String, Vec<(Located<String>, Value)>>,
    /// Variables of the command line.
    pub command_vars: serde_json::Map<String, serde_json::Value>,
    docs: BTreeMap<(String, String), Located<String>>,
    paths: HashMap<String, FileId>,
    /// Bodies of templates that are no file: name → (text, owner, place).
    bodies: HashMap<String, Body>,
    templates: Mutex<HashMap<String, Arc<Instrumented>>>,
    /// Read for every node, written for every template that is new.
    sites: RwLock<Sites>,
    problems: Mutex<Vec<Problem>>,
    /// Reads the process environment.
    pub env: EnvVar,
    /// Clock of the run.
    pub as_of: DateTime<Utc>,
    /// Id of the run.
    pub invocation_id: String,
    /// Name of the environment.
    pub environment: String,
    /// Default schema.
    pub schema: String,
    /// Whether incremental models are built anew.
    pub full_refresh: bool,
    /// What is known of relations and rows.
    pub answers: Answers,
}

/// The template of a node.
#[derive(Clone, Debug)]
pub(super) struct Body {
    /// Its text.
    pub text: Arc<str>,
    /// Its file, if it is one.
    pub file: Option<FileId>,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").finish_non_exhaustive()
    }
}

/// Functions whose calls are traced.
const TRACED: [&str; 9] = [
    "load_relation",
    "ref",
    "source",
    "config",
    "var",
    "env_var",
    "doc",
    "run_query",
    "statement",
];

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Registry {
    /// Collects the names of a project.
    pub fn new(context: &RenderContext<'_>, bodies: HashMap<String, Body>) -> Self {
        let project = context.project;
        let mut packages: BTreeSet<String> =
            project.packages.iter().map(|p| p.name.clone()).collect();
        packages.insert(project.name.clone());
        packages.insert(BUILT_IN.to_owned());
        let mut registry = Self {
            project: project.name.clone(),
            files: project.files.clone(),
            entries: Vec::new(),
            resolved: OnceLock::new(),
            names: HashMap::new(),
            sources: HashMap::new(),
            macros: Vec::new(),
            macro_index: HashMap::new(),
            known: Known {
                traced: TRACED.iter().map(|s| (*s).to_owned()).collect(),
                packages,
            },
            dispatch: HashMap::new(),
            vars: HashMap::new(),
            command_vars: context.vars.clone(),
            docs: project.docs.clone(),
            paths: HashMap::new(),
            bodies,
            templates: Mutex::default(),
            sites: RwLock::default(),
            problems: Mutex::default(),
            env: Arc::clone(&context.env),
            as_of: context.as_of,
            invocation_id: context.invocation_id.to_owned(),
            environment: context.environment_name.to_owned(),
            schema: context.schema.to_owned(),
            full_refresh: context.full_refresh,
            answers: context.answers.clone(),
        };
        registry.add_nodes(project);
        registry.add_macros(project);
        for package in &project.packages {
            registry
                .vars
                .insert(package.name.clone(), package.vars.clone());
        }
        for dispatch in project.packages.first().iter().flat_map(|p| &p.dispatch) {
            registry
                .dispatch
                .insert(dispatch.namespace.clone(), dispatch.search_order.clone());
        }
        for (index, file) in project.files.files().iter().enumerate() {
            let id = FileId(u32::try_from(index).unwrap_or(u32::MAX));
            registry.paths.insert(slashed(&file.path), id);
        }
        registry
    }

    fn add_nodes(&mut self, project: &Project) {
        let named = project
            .models
            .iter()
            .map(|m| (&m.id, &m.package, &m.name))
            .chain(project.seeds.iter().map(|s| (&s.id, &s.package, &s.name)));
        for (id, package, name) in named {
            let index = self.entries.len();
            self.names.entry(name.clone()).or_default().push(index);
            self.entries.push(Entry {
                id: id.clone(),
                package: package.clone(),
                name: name.clone(),
            });
        }
        for source in &project.sources {
            let key = (source.source.value.clone(), source.table.value.clone());
            self.sources
                .entry(key)
                .or_default()
                .push(self.entries.len());
            self.entries.push(Entry {
                id: source.id.clone(),
                package: source.package.clone(),
                name: source.table.value.clone(),
            });
        }
    }

    fn add_macros(&mut self, project: &Project) {
        for found in &project.macros {
            let text = project.files.text(found.block);
            self.add_macro(MacroEntry {
                package: found.package.clone(),
                name: found.name.value.clone(),
                kind: found.kind,
                implicit: IMPLICIT.iter().any(|word| text.contains(word)),
                text: text.into(),
                place: Some((found.file, found.block.start as usize)),
            });
        }
        for (name, text) in super::built_in::macros() {
            self.add_macro(MacroEntry {
                package: BUILT_IN.to_owned(),
                name: name.to_owned(),
                kind: MacroKind::Macro,
                implicit: false,
                text: text.into(),
                place: None,
            });
        }
    }

    fn add_macro(&mut self, entry: MacroEntry) {
        let test = entry.kind == MacroKind::Test;
        if !test {
            self.known.traced.insert(entry.name.clone());
        }
        self.macro_index
            .entry((entry.package.clone(), entry.name.clone(), test))
            .or_insert(self.macros.len());
        self.macros.push(entry);
    }

    /// The macro of that name in that package.
    pub fn macro_in(&self, package: &str, name: &str, kind: MacroKind) -> Option<usize> {
        let test = kind == MacroKind::Test;
        self.macro_index
            .get(&(package.to_owned(), name.to_owned(), test))
            .copied()
    }

    /// Ids of macros of the project and its packages, by their index; sorted. Ours have none.
    pub fn macro_ids(&self, indexes: &BTreeSet<usize>) -> Vec<String> {
        let found = indexes.iter().filter_map(|index| self.macros.get(*index));
        let mut ids: Vec<String> = found
            .filter(|found| found.place.is_some())
            .map(|found| macro_id(&found.package, &found.name, found.kind))
            .collect();
        ids.sort();
        ids
    }

    /// The macro that a bare name means in a package: its own, the root's, ours.
    pub fn find_macro(&self, package: &str, name: &str, kind: MacroKind) -> Option<usize> {
        [package, &self.project]
            .into_iter()
            .find_map(|package| self.macro_in(package, name, kind))
            .or_else(|| {
                let ours = self.macro_in(BUILT_IN, name, kind)?;
                self.replaced_built_in(name).or(Some(ours))
            })
    }

    /// The first implementation of a dispatched macro: package by package, in each by adapter.
    pub fn implementation(&self, order: &[String], name: &str) -> Option<usize> {
        order.iter().find_map(|package| {
            ADAPTERS.iter().find_map(|adapter| {
                let implementation = format!("{adapter}__{name}");
                self.macro_in(package, &implementation, MacroKind::Macro)
            })
        })
    }

    /// The macro of a package that stands for one of ours: the root's, or one of those that
    /// `dispatch:` of the project puts in front of `dbt`.
    pub fn replaced_built_in(&self, name: &str) -> Option<usize> {
        let order = self.search_order(BUILT_IN, Some(BUILT_IN));
        let before = order.split(|package| package == BUILT_IN).next()?;
        self.implementation(before, name)
    }

    /// The packages where a dispatched macro is looked for.
    pub fn search_order(&self, from: &str, namespace: Option<&str>) -> Vec<String> {
        match namespace {
            Some(namespace) => match self.dispatch.get(namespace) {
                Some(order) => order.clone(),
                None => vec![self.project.clone(), namespace.to_owned()],
            },
            None => vec![from.to_owned(), self.project.clone(), BUILT_IN.to_owned()],
        }
    }

    /// Nodes with this name.
    pub fn named(&self, name: &str) -> &[usize] {
        self.names.get(name).map_or(&[], Vec::as_slice)
    }

    /// Tables of sources with this name.
    pub fn source(&self, source: &str, table: &str) -> &[usize] {
        self.sources
            .get(&(source.to_owned(), table.to_owned()))
            .map_or(&[], Vec::as_slice)
    }

    /// All names that `ref` knows, for suggestions.
    pub fn ref_names(&self) -> impl Iterator<Item = &str> {
        let companions = self
            .resolved
            .get()
            .into_iter()
            .flatten()
            .flat_map(|r| r.companions.iter().map(|c| c.ref_name.as_str()));
        self.names.keys().map(String::as_str).chain(companions)
    }

    /// All tables of sources, for suggestions.
    pub fn source_names(&self) -> impl Iterator<Item = &(String, String)> {
        self.sources.keys()
    }

    /// A variable of the project as a package sees it.
    pub fn var(&self, package: &str, name: &str) -> Option<&Value> {
        [package, &self.project].into_iter().find_map(|package| {
            let vars = self.vars.get(package)?;
            let found = vars.iter().rev().find(|(key, _)| key.value == name)?;
            Some(&found.1)
        })
    }

    /// Names of the variables that a package sees, for suggestions.
    pub fn var_names<'a>(&'a self, package: &'a str) -> impl Iterator<Item = &'a str> {
        [package, &self.project]
            .into_iter()
            .filter_map(|package| self.vars.get(package))
            .flatten()
            .map(|(key, _)| key.value.as_str())
            .chain(self.command_vars.keys().map(String::as_str))
    }

    /// The text of a docs block.
    pub fn doc(&self, package: &str, name: &str) -> Option<&str> {
        [package, &self.project].into_iter().find_map(|package| {
            let key = (package.to_owned(), name.to_owned());
            self.docs.get(&key).map(|doc| doc.value.as_str())
        })
    }

    /// Puts a problem aside and gives the text by which an error refers to it.
    pub fn put_problem(&self, problem: Problem) -> String {
        let mut problems = lock(&self.problems);
        let mut text = String::new();
        mark::push(&mut text, mark::CALL, problems.len());
        problems.push(problem);
        text
    }

    /// The problem that an error refers to.
    pub fn problem(&self, detail: &str) -> Option<Problem> {
        let at = detail.find(mark::CALL)?;
        let rest = detail.get(at + mark::CALL.len_utf8()..)?;
        lock(&self.problems).get(mark::number(rest).0).cloned()
    }

    /// Runs `f` with the marked pieces and calls.
    pub fn with_sites<T>(&self, f: impl FnOnce(&Sites) -> T) -> T {
        f(&self.sites.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The place of a range of a rewritten template.
    pub fn span_in(&self, template: &str, range: std::ops::Range<usize>) -> Option<Span> {
        let found = lock(&self.templates).get(template).cloned();
        found?.span(range)
    }

    /// The text of a node's own template, as the user wrote it.
    pub fn text(&self, id: &str) -> &str {
        self.bodies.get(id).map_or("", |body| &body.text)
    }

    /// The template of that name, rewritten. See [`TemplateName`].
    pub fn template(&self, name: &str) -> Result<Option<String>, Problem> {
        let Some(name) = TemplateName::parse(name) else {
            return Ok(None);
        };
        let source = match &name.what {
            What::Node(id) => match self.bodies.get(*id) {
                Some(body) => Source {
                    text: &body.text,
                    place: body.file.map(|file| (file, 0)),
                    owner: Owner::Node,
                    node: true,
                    marking: name.marking,
                },
                None => return Ok(None),
            },
            What::Macro(index) => match self.macros.get(*index) {
                Some(found) => Source {
                    text: &found.text,
                    place: found.place,
                    owner: match found.kind {
                        MacroKind::Macro => Owner::Macro(found.name.as_str().into()),
                        MacroKind::Test => Owner::Test(found.name.as_str().into()),
                    },
                    node: false,
                    marking: name.marking,
                },
                None => return Ok(None),
            },
            What::File(file) => match self.files.get(*file) {
                Some(found) => Source {
                    text: &found.text,
                    place: Some((*file, 0)),
                    owner: Owner::File(slashed(&found.path).into()),
                    node: false,
                    marking: name.marking,
                },
                None => return Ok(None),
            },
        };
        if mark::has_mark(source.text) {
            return Err(reserved(&source));
        }
        let result = {
            let mut sites = self.sites.write().unwrap_or_else(PoisonError::into_inner);
            instrument(&source, &self.known, &mut sites)
        };
        let instrumented = result.map_err(|unclosed| not_closed(&source, unclosed))?;
        let text = instrumented.text.clone();
        lock(&self.templates).insert(name.full.to_owned(), Arc::new(instrumented));
        Ok(Some(text))
    }

    /// The file that an `include` or `import` means in a file.
    pub fn included(&self, name: &str, from: Option<FileId>) -> Option<FileId> {
        let from = from.map(|id| slashed(self.files.path(id)));
        let mut candidates = vec![normal(name)];
        if let Some(from) = &from {
            let folder = from.rsplit_once('/').map_or("", |(folder, _)| folder);
            candidates.push(normal(&format!("{folder}/{name}")));
            if let Some((package, _)) = from.split_once('/').filter(|_| from.starts_with('<')) {
                candidates.push(normal(&format!("{package}/{name}")));
            }
        }
        candidates
            .iter()
            .find_map(|path| self.paths.get(path))
            .copied()
    }

    /// Paths of the files that can be included, for suggestions.
    pub fn file_names(&self) -> impl Iterator<Item = &str> {
        self.paths.keys().map(String::as_str)
    }

    /// The package of a template.
    pub fn package_of(&self, template: &str) -> Option<&str> {
        match TemplateName::parse(template)?.what {
            What::Macro(index) => self.macros.get(index).map(|m| m.package.as_str()),
            What::Node(_) | What::File(_) => None,
        }
    }

    /// The file of a template.
    pub fn file_of(&self, template: &str) -> Option<FileId> {
        match TemplateName::parse(template)?.what {
            What::Macro(index) => self.macros.get(index)?.place.map(|(file, _)| file),
            What::Node(id) => self.bodies.get(id)?.file,
            What::File(file) => Some(file),
        }
    }
}

fn reserved(source: &Source<'_>) -> Problem {
    let at = source.text.find(mark::is_mark).unwrap_or(0);
    Problem {
        code: codes::RESERVED_CHARACTER,
        message: "a template cannot contain the characters U+FDD0 to U+FDEF".to_owned(),
        help: vec!["they are not meant for text; remove this one".to_owned()],
        place: source
            .place
            .map(|(file, base)| Span::new(file, base + at, base + at + 3)),
    }
}

fn not_closed(source: &Source<'_>, unclosed: Unclosed) -> Problem {
    Problem {
        code: codes::JINJA_SYNTAX,
        message: format!("this {} is never closed", unclosed.what),
        help: vec![format!("close it with `{}`", unclosed.closer)],
        place: source.place.map(|(file, base)| {
            Span::new(file, base + unclosed.range.start, base + unclosed.range.end)
        }),
    }
}

fn slashed(path: &Path) -> String {
    path.to_string_lossy().replace('\\', "/")
}

/// A path without `.` and `..`.
fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

/// The engine's name of a template: a mark that no path has, the marking, and what it is.
#[derive(Debug)]
pub(super) struct TemplateName<'n> {
    full: &'n str,
    /// How much of it is marked.
    pub marking: Marking,
    what: What<'n>,
}

#[derive(Debug)]
enum What<'n> {
    Node(&'n str),
    Macro(usize),
    File(FileId),
}

impl<'n> TemplateName<'n> {
    /// The name of a node's own template.
    pub fn node(id: &str, marking: Marking) -> String {
        format!("{}{}node/{id}", mark::CALL, letter(marking))
    }

    /// The name of a macro's template.
    pub fn of_macro(index: usize, marking: Marking) -> String {
        format!("{}{}macro/{index}", mark::CALL, letter(marking))
    }

    /// The name of a file as a template.
    pub fn file(file: FileId, marking: Marking) -> String {
        format!("{}{}file/{}", mark::CALL, letter(marking), file.0)
    }

    /// Reads a name.
    pub fn parse(full: &'n str) -> Option<Self> {
        let rest = full.strip_prefix(mark::CALL)?;
        let marking = match rest.as_bytes().first()? {
            b'n' => Marking::None,
            b'o' => Marking::Output,
            b'a' => Marking::All,
            _ => return None,
        };
        let (kind, key) = rest.get(1..)?.split_once('/')?;
        let what = match kind {
            "node" => What::Node(key),
            "macro" => What::Macro(key.parse().ok()?),
            "file" => What::File(FileId(key.parse().ok()?)),
            _ => return None,
        };
        Some(Self {
            full,
            marking,
            what,
        })
    }

    /// How templates that this one pulls in are marked.
    pub fn inner_marking(full: &str) -> Marking {
        match TemplateName::parse(full).map(|name| name.marking) {
            Some(Marking::All) => Marking::All,
            _ => Marking::None,
        }
    }
}

fn letter(marking: Marking) -> char {
    match marking {
        Marking::None => 'n',
        Marking::Output => 'o',
        Marking::All => 'a',
    }
}
