//! Answers to what templates ask while a project is rendered: columns from what is compiled, rows from
//! what is published.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type, Schema};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::catalog::MemTable;
use datafusion::execution::{SendableRecordBatchStream, SessionState, TaskContext};
use datafusion::physical_plan::execute_stream;
use datafusion::prelude::SQLOptions;
use futures::StreamExt;
use kinfold_compile::bind::parsed;
use kinfold_compile::compile::{CompiledProject, asked_columns};
use kinfold_compile::relation::{RelationKey, UnpinnedRelation, register, relations_read};
use kinfold_compile::render::{
    Answers, AskedRows, Materialization, Question, Relation, RenderedProject, Waiting,
};
use kinfold_compile::session::CATALOG;
use kinfold_lake::TablePath;
use kinfold_project::{Diagnostic, NodeId, ResourceType};
use serde_json::Value as Json;

use crate::{Engine, EngineError, RunClock, offline_session};

/// Rows that an answer may have: what a template writes into SQL is not data.
const MAX_ROWS: usize = 10_000;

/// What answers are looked for in.
pub struct Asking<'a> {
    /// The nodes, and those that wait.
    pub rendered: &'a RenderedProject,
    /// Those of them that could be bound.
    pub compiled: &'a CompiledProject,
    /// The run's clock.
    pub clock: &'a RunClock,
    /// The lake; without it no socket is opened, and no question about rows of a relation answered.
    pub engine: Option<&'a Engine>,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// How many questions were answered now.
    pub answered: usize,
    /// The questions without an answer, told at the places where they are asked.
    pub open: Vec<Diagnostic>,
    /// The nodes whose rows are asked for, answered or not.
    pub reads: BTreeSet<NodeId>,
}

/// Why a question has no answer.
enum Open {
    /// Perhaps after other answers.
    Later(String),
    /// Nothing here can answer it.
    Never(String),
}

impl From<EngineError> for Open {
    fn from(error: EngineError) -> Self {
        Self::Never(error.to_string())
    }
}

impl From<datafusion::common::DataFusionError> for Open {
    fn from(error: datafusion::common::DataFusionError) -> Self {
        EngineError::from(error).into()
    }
}

impl From<arrow::error::ArrowError> for Open {
    fn from(error: arrow::error::ArrowError) -> Self {
        datafusion::common::DataFusionError::from(error).into()
    }
}

/// Looks for answers to the questions of the nodes that wait.
pub async fn answer(asking: &Asking<'_>, answers: &mut Answers) -> Found {
    let mut found = Found::default();
    let session = match asking.engine {
        Some(engine) => engine.session(false),
        None => offline_session(asking.clock),
    };
    if let Err(error) = asking.relations(&session) {
        let waiting = asking.rendered.waiting.values();
        found.open = waiting.map(|of| of.problem(error.to_string())).collect();
        return found;
    }
    for waiting in asking.rendered.waiting.values() {
        if answers.has(&waiting.question) {
            continue;
        }
        let result = match &waiting.question {
            Question::Columns(relation) => asking.columns(relation).await.map(|columns| {
                answers.columns.insert(relation.clone(), columns);
            }),
            Question::Rows(sql) => asking
                .rows(&session, sql, &mut found.reads)
                .await
                .map(|rows| {
                    answers.rows.insert(sql.clone(), rows);
                }),
        };
        match result {
            Ok(()) => found.answered += 1,
            Err(open) => found.open.push(told(waiting, &open)),
        }
    }
    found
}

fn told(waiting: &Waiting, open: &Open) -> Diagnostic {
    let what = match &waiting.question {
        Question::Columns(relation) => {
            format!("the columns of `{}.{}`", relation.schema, relation.name)
        }
        Question::Rows(_) => "the rows that the template asks for".to_owned(),
    };
    let (Open::Later(why) | Open::Never(why)) = open;
    waiting
        .problem(format!("{what} are not known: {why}"))
        .with_note("this node, and what reads it, is left out")
}

impl Asking<'_> {
    /// Makes the relations of the compiled nodes known to the session, and a list of them.
    fn relations(&self, session: &SessionState) -> Result<(), EngineError> {
        let mut listed: Vec<(&str, &str, &str)> = vec![];
        for node in self.compiled.nodes.values() {
            let (Some(relation), Some(schema)) = (&node.relation, &node.schema) else {
                continue;
            };
            let key = RelationKey::own(node.id.clone());
            let table = UnpinnedRelation::new(key, Arc::clone(schema));
            register(session, &relation.schema, &relation.name, Arc::new(table))?;
            let kind = match node.config.materialized.value {
                Materialization::Ephemeral => continue,
                Materialization::View if node.resource == ResourceType::Model => "VIEW",
                _ => "BASE TABLE",
            };
            listed.push((&relation.schema, &relation.name, kind));
        }
        listed.sort_unstable();
        listed.dedup_by_key(|(schema, name, _)| (*schema, *name));
        let text = |values: Vec<&str>| Arc::new(StringArray::from(values)) as Arc<dyn Array>;
        let columns = [
            ("table_catalog", text(vec![CATALOG; listed.len()])),
            ("table_schema", text(listed.iter().map(|l| l.0).collect())),
            ("table_name", text(listed.iter().map(|l| l.1).collect())),
            ("table_type", text(listed.iter().map(|l| l.2).collect())),
        ];
        let fields = columns
            .iter()
            .map(|(name, _)| Field::new(*name, DataType::Utf8, true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let arrays = columns.into_iter().map(|(_, array)| array).collect();
        let batch = RecordBatch::try_new(Arc::clone(&schema), arrays)
            .map_err(datafusion::common::DataFusionError::from)?;
        let tables = MemTable::try_new(schema, vec![vec![batch]])?;
        register(session, "information_schema", "tables", Arc::new(tables))?;
        Ok(())
    }

    async fn columns(
        &self,
        relation: &Relation,
    ) -> Result<Option<Vec<kinfold_compile::render::AskedColumn>>, Open> {
        if let Some(columns) = self.compiled.columns_of(relation) {
            return Ok(Some(columns));
        }
        if let Some(node) = self.node_of(relation) {
            return Err(Open::Later(format!("`{node}` is not checked")));
        }
        let Some(engine) = self.engine else {
            return Err(Open::Never(
                "it is no relation of the project, and only the lake knows it".to_owned(),
            ));
        };
        let Ok(path) = TablePath::new(&format!("{}/{}", relation.schema, relation.name)) else {
            return Ok(None);
        };
        let snapshot = engine.lake.snapshot(&path, None).await;
        let snapshot = snapshot.map_err(EngineError::from)?;
        Ok(snapshot.map(|snapshot| asked_columns(&snapshot.schema())))
    }

    /// The node of the project that writes a relation.
    fn node_of(&self, relation: &Relation) -> Option<&NodeId> {
        let mut rendered = self.rendered.nodes.values();
        let rendered = rendered
            .find(|node| {
                let companions = node.companions.iter().map(|c| &c.relation);
                companions.chain(&node.relation).any(|own| own == relation)
            })
            .map(|node| &node.id);
        rendered.or_else(|| {
            let mut waiting = self.rendered.waiting.iter();
            let found = waiting.find(|(_, waiting)| waiting.relations.contains(relation));
            found.map(|(id, _)| id)
        })
    }

    async fn rows(
        &self,
        session: &SessionState,
        sql: &str,
        reads: &mut BTreeSet<NodeId>,
    ) -> Result<AskedRows, Open> {
        let plan = session.statement_to_plan(parsed(sql)?).await?;
        SQLOptions::new()
            .with_allow_ddl(false)
            .with_allow_dml(false)
            .with_allow_statements(false)
            .verify_plan(&plan)?;
        let read: Vec<NodeId> = relations_read(&plan)?
            .into_iter()
            .map(|key| key.node)
            .collect();
        if read.is_empty() {
            let physical = session.create_physical_plan(&plan).await?;
            let context = Arc::new(TaskContext::from(session));
            return collected(execute_stream(physical, context)?).await;
        }
        reads.extend(read.iter().cloned());
        let Some(engine) = self.engine else {
            return Err(Open::Never("only the lake has them".to_owned()));
        };
        let published = engine.published().await?.document;
        if let Some(missing) = read.iter().find(|id| !published.nodes.contains_key(id)) {
            return Err(Open::Later(format!("`{missing}` was never built")));
        }
        collected(engine.query(sql).await?).await
    }
}

async fn collected(mut rows: SendableRecordBatchStream) -> Result<AskedRows, Open> {
    let schema = rows.schema();
    let mut asked = AskedRows {
        columns: schema.fields().iter().map(|f| f.name().clone()).collect(),
        rows: vec![],
    };
    while let Some(batch) = rows.next().await {
        let batch = batch?;
        if asked.rows.len() + batch.num_rows() > MAX_ROWS {
            return Err(Open::Never(format!(
                "there are more than {MAX_ROWS}, and a template is no place for data"
            )));
        }
        let columns: Vec<Vec<Json>> = batch
            .columns()
            .iter()
            .map(|column| values(column.as_ref()))
            .collect::<Result<_, _>>()?;
        asked.rows.extend((0..batch.num_rows()).map(|row| {
            let cells = columns.iter().filter_map(|column| column.get(row).cloned());
            cells.collect()
        }));
    }
    Ok(asked)
}

/// The values of a column. What JSON does not have, such as dates and decimals, is text.
fn values(column: &dyn Array) -> Result<Vec<Json>, arrow::error::ArrowError> {
    let as_type = |data_type: &DataType| arrow::compute::cast(column, data_type);
    Ok(match column.data_type() {
        DataType::Boolean => {
            let flags = column.as_boolean();
            flags
                .iter()
                .map(|v| v.map_or(Json::Null, Json::from))
                .collect()
        }
        kind if kind.is_integer() && *kind != DataType::UInt64 => {
            let numbers = as_type(&DataType::Int64)?;
            let numbers = numbers.as_primitive::<Int64Type>();
            numbers
                .iter()
                .map(|v| v.map_or(Json::Null, Json::from))
                .collect()
        }
        kind if kind.is_floating() => {
            let numbers = as_type(&DataType::Float64)?;
            let numbers = numbers.as_primitive::<Float64Type>();
            numbers
                .iter()
                .map(|v| v.map_or(Json::Null, Json::from))
                .collect()
        }
        _ => {
            let options = FormatOptions::default();
            let formatter = ArrayFormatter::try_new(column, &options)?;
            (0..column.len())
                .map(|row| match column.is_null(row) {
                    true => Json::Null,
                    false => Json::from(formatter.value(row).to_string()),
                })
                .collect()
        }
    })
}

/// The nodes with all that they are made of.
#[must_use]
pub fn with_ancestors(nodes: &BTreeSet<NodeId>, compiled: &CompiledProject) -> BTreeSet<NodeId> {
    let mut all = BTreeMap::new();
    let mut ahead: Vec<&NodeId> = nodes.iter().collect();
    while let Some(id) = ahead.pop() {
        if let Some(node) = compiled.nodes.get(id)
            && all.insert(id.clone(), ()).is_none()
        {
            ahead.extend(&node.depends_on);
        }
    }
    all.into_keys().collect()
}
