//! `kinfold identity`: training, judging and explaining who is who.

mod charts;
pub mod erase;
mod evaluate;
mod explain;
mod label;
mod suggest;
mod train;

pub(crate) use evaluate::LABELS;

use std::path::{Path, PathBuf};

use kinfold_compile::compile::CompiledNode;
use kinfold_compile::render::Materialization;
use kinfold_engine::build::LinkageFailure;
use kinfold_engine::judge::JudgedLinkage;
use kinfold_engine::{Engine, EngineError, EngineOptions, Published};

use super::{CommandError, Done};
use crate::charts::Chart;
use crate::cli::{Global, IdentityAction};
use crate::report::Output;
use crate::workspace::{Bound, Workspace};

/// What judging an identity cannot do.
#[derive(Debug, thiserror::Error)]
pub enum JudgeError {
    /// An identifier whose every row was refused.
    #[error("`{asked}` belongs to nobody in `{identity}`: {}", refused(.rows))]
    Refused {
        /// As it was asked for.
        asked: String,
        /// The identity.
        identity: String,
        /// Rules with the rows that they refused.
        rows: Vec<(String, u64)>,
    },
    /// The two are known to different identities.
    #[error(
        "`{one}` is known to `{of_one}` and `{other}` to `{of_other}`, so nothing can join them"
    )]
    Identities {
        /// The first.
        one: String,
        /// Its identity.
        of_one: String,
        /// The second.
        other: String,
        /// Its identity.
        of_other: String,
    },
    /// An identity without what every identity publishes.
    #[error("`{0}` was published without its companions")]
    Companions(String),
    /// Labels of a relation that mean nothing.
    #[error("row {row} of the labels in `{relation}`: {message}")]
    Labels {
        /// The relation.
        relation: String,
        /// The row, from 1; 0 for the columns.
        row: usize,
        /// What is wrong.
        message: String,
        /// What to do.
        help: Option<String>,
    },
    /// Labels of other records.
    #[error("none of the {labels} labels names a record of `{model}`")]
    OtherRecords {
        /// How many labels there are.
        labels: u64,
        /// The model.
        model: String,
    },
    /// A file of labels that nobody has filled in.
    #[error("no label is filled in")]
    NoLabels,
    /// A linkage that compares nothing.
    #[error("the blocking rules of `{0}` bring no pair, so there is nothing to label")]
    NoPairs(String),
    /// A relation for which no linkage can be proposed.
    #[error("no linkage can be proposed for `{relation}`: {why}")]
    NoSuggestion {
        /// The relation.
        relation: String,
        /// Why not.
        why: String,
        /// What to do.
        help: Option<String>,
    },
    /// The folder or the name of a model that cannot be.
    #[error("`{}` cannot be the path of a model: {why}", path.display())]
    ModelPath {
        /// What was given.
        path: PathBuf,
        /// Why not.
        why: String,
    },
}

fn refused(rows: &[(String, u64)]) -> String {
    let rows = rows.iter().map(|(rule, rows)| {
        let word = if *rows == 1 { "row was" } else { "rows were" };
        format!("{rows} {word} refused by `{rule}`")
    });
    rows.collect::<Vec<_>>().join(", ")
}

impl JudgeError {
    /// What to do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Labels { help, .. } | Self::NoSuggestion { help, .. } => help.clone(),
            Self::OtherRecords { .. } => Some(
                "sources and ids of labels are compared as text with those of the model's records"
                    .to_owned(),
            ),
            Self::NoLabels => Some(
                "write 1 into `is_match` for one person, 0 for two; leave it empty if you cannot tell"
                    .to_owned(),
            ),
            Self::ModelPath { .. } => {
                Some("name it like `models/contact_matches`, without an ending".to_owned())
            }
            _ => None,
        }
    }
}

/// Runs one of the commands.
pub async fn run(
    global: &Global,
    action: IdentityAction,
    output: &Output,
) -> Result<Done, CommandError> {
    match action {
        IdentityAction::Erase(arguments) => erase::run(global, &arguments, output).await,
        IdentityAction::Train { model, dry_run } => {
            train::train(global, &model, dry_run, output).await
        }
        IdentityAction::Explain(arguments) => explain::run(global, &arguments, output).await,
        IdentityAction::Evaluate(arguments) => evaluate::run(global, &arguments, output).await,
        IdentityAction::Charts(arguments) => charts::run(global, &arguments, output).await,
        IdentityAction::Label(arguments) => label::run(global, &arguments, output).await,
        IdentityAction::Suggest(arguments) => suggest::run(global, &arguments, output).await,
    }
}

/// A sound project with the lake of its environment.
struct Opened {
    workspace: Workspace,
    engine: Engine,
    bound: Bound,
    published: Published,
}

impl Opened {
    async fn new(global: &Global) -> Result<Self, CommandError> {
        let mut workspace = Workspace::load(global, None)?;
        let engine = workspace.engine(EngineOptions::default()).await?;
        let bound = workspace.bind(Some(&engine), false).await?;
        workspace.require_sound()?;
        let published = engine.published().await?.document;
        Ok(Self {
            workspace,
            engine,
            bound,
            published,
        })
    }

    /// The model of that name and one of these materializations.
    fn model(
        &self,
        name: &str,
        kind: &'static str,
        wanted: &[Materialization],
    ) -> Result<&CompiledNode, CommandError> {
        let models = || {
            let nodes = self.bound.compiled.nodes.values();
            nodes.filter(|node| wanted.contains(&node.config.materialized.value))
        };
        models().find(|node| node.name == name).ok_or_else(|| {
            let names: Vec<&str> = models().map(|node| node.name.as_str()).collect();
            CommandError::Unknown {
                kind,
                name: name.to_owned(),
                close: kinfold_compile::bind::closest(name, &names).map(str::to_owned),
            }
        })
    }

    /// A linkage, scored on what is published of its inputs.
    async fn judged(&self, node: &CompiledNode) -> Result<JudgedLinkage, CommandError> {
        let judged = self.engine.judge_linkage(node).await;
        judged.map_err(|error| match error {
            EngineError::NotBuilt(input) => CommandError::BuildFirst {
                input: input.to_string(),
                model: node.name.clone(),
            },
            other => CommandError::Engine(other),
        })
    }

    /// The relation of a node as SQL names it; its companion if there is a suffix.
    fn relation(&self, node: &CompiledNode, suffix: Option<&str>) -> Result<String, CommandError> {
        let published = self.published.nodes.get(&node.id);
        let published = published.ok_or_else(|| EngineError::NotBuilt(node.id.clone()))?;
        let table = match suffix {
            None => published.table.as_ref(),
            Some(suffix) => published.companions.get(suffix),
        };
        let table = table.ok_or_else(|| JudgeError::Companions(node.name.clone()))?;
        let (schema, name) = &table.relation;
        Ok(format!("{}.{}", quoted(schema), quoted(name)))
    }
}

/// A failure of a linkage that has been scored already.
fn failed(node: &CompiledNode, source: kinfold_identity::linkage::LinkageError) -> CommandError {
    CommandError::Engine(EngineError::Linkage {
        node: node.id.clone(),
        source: LinkageFailure::Records(source),
    })
}

fn quoted(part: &str) -> String {
    format!("\"{}\"", part.replace('"', "\"\""))
}

/// Writes charts and the page that shows them.
fn write_charts(
    folder: &Path,
    heading: &str,
    introduction: &str,
    charts: &[Chart],
) -> Result<Vec<String>, CommandError> {
    let failed = |action, path: &Path| {
        let path = path.to_path_buf();
        move |source| CommandError::File {
            action,
            path,
            source,
        }
    };
    std::fs::create_dir_all(folder).map_err(failed("create", folder))?;
    let page = crate::charts::page(heading, introduction, charts);
    let files = charts.iter().map(|c| (c.file.as_str(), c.svg.as_str()));
    let mut written = vec![];
    for (name, text) in files.chain([("index.html", page.as_str())]) {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(failed("write", &path))?;
        written.push(path.display().to_string());
    }
    Ok(written)
}

/// Writes a file that is not there.
fn write_new(path: &Path, text: &str) -> Result<(), CommandError> {
    use std::io::Write;
    let file = std::fs::File::create_new(path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|source| match source.kind() {
        std::io::ErrorKind::AlreadyExists => CommandError::FileExists(path.to_path_buf()),
        _ => CommandError::File {
            action: "write",
            path: path.to_path_buf(),
            source,
        },
    })
}
