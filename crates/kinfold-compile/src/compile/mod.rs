//! Stage *bind* for a whole project: every node, parents first, against its parents' columns.

mod asked;
mod assembled;
mod contract;
mod delivery;
mod enforced;
mod fingerprint;
mod freshness;
mod increment;
mod linkage;
mod memory;
mod unit_test;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use datafusion::arrow::datatypes::{FieldRef, Schema, SchemaRef};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, ScalarUDF, Volatility};
use kinfold_project::{
    Diagnostic, LinkageParameters, NodeId, Project, ResourceType, Severity, Span,
};

pub use asked::asked_columns;
pub use contract::{companion_schema, segment_extra_columns};
pub use delivery::{CompiledSync, MappingExample};
pub use enforced::has_contract;
pub use fingerprint::Fingerprint;
pub use freshness::FreshnessCheck;
pub use increment::Increment;
pub use linkage::misfit;
pub use memory::Memory;
pub use unit_test::{CompiledUnitTest, ExpectedRows};

use crate::bind::{Binder, Problem, beside, column_place, repeated_columns};
use crate::codes;
use crate::lineage::PlanLineage;
use crate::meaning::Meaning;
use crate::proof::proven_tests;
use crate::relation::{RelationKey, relations_read};
use crate::render::{
    Analysis, Companion, Materialization, NodeConfig, Relation, RenderedNode, RenderedProject,
    RenderedSql, Tested,
};
use crate::session::CATALOG;

/// Why a type or a name of a result cannot be stored.
pub type NotStorable = Box<dyn std::error::Error + Send + Sync>;

/// What binding needs beside the rendered project.
pub struct CompileInput<'a> {
    /// The project that was rendered.
    pub project: &'a Project,
    /// Its nodes with their SQL.
    pub rendered: &'a RenderedProject,
    /// Columns of sources and seeds, as a scan of them will return them. A node that is missing
    /// here is not known; what reads it is not bound.
    pub inputs: BTreeMap<NodeId, SchemaRef>,
    /// What a stored relation looks like when it is read back.
    pub storable: &'a dyn Fn(&Schema) -> Result<Schema, NotStorable>,
    /// The session of the run.
    pub session: SessionState,
    /// What earlier checks have found sound. With it the result is good for nothing but the problems that were
    /// found: nodes that are known have no plans.
    pub memory: Option<&'a Mutex<Memory>>,
}

/// Whether a node gives the same rows whenever it is run over the same input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Determinism {
    /// Yes.
    Fixed,
    /// It reads the run's clock.
    Clock,
    /// It uses a volatile function, such as `random()`.
    Volatile,
}

/// A companion relation with its columns.
#[derive(Clone, Debug)]
pub struct CompiledCompanion {
    /// `edges`, `history`, …
    pub suffix: &'static str,
    /// Where it is stored.
    pub relation: Relation,
    /// Its columns.
    pub schema: SchemaRef,
}

/// A node that is ready to run.
#[derive(Clone, Debug)]
pub struct CompiledNode {
    /// Its id.
    pub id: NodeId,
    /// What it is.
    pub resource: ResourceType,
    /// Its package.
    pub package: String,
    /// Its name.
    pub name: String,
    /// Its configuration.
    pub config: NodeConfig,
    /// Where it is stored; tests have none.
    pub relation: Option<Relation>,
    /// Its companions.
    pub companions: Vec<CompiledCompanion>,
    /// The plan of a model or a test, bound and not yet pinned to versions.
    pub plan: Option<LogicalPlan>,
    /// The columns that a reader of the relation sees.
    pub schema: Option<SchemaRef>,
    /// The stored relations that the plan reads, views expanded.
    pub reads: Vec<RelationKey>,
    /// The nodes that it refers to.
    pub depends_on: Vec<NodeId>,
    /// Identity of its meaning.
    pub fingerprint: Fingerprint,
    /// Of an incremental model: the rows that are added to what there is.
    pub increment: Option<Box<Increment>>,
    /// What its columns and rows mean, one by one; none for inputs, and where not all of the plan is certain.
    pub meaning: Option<Meaning>,
    /// Whether it depends on more than its input.
    pub determinism: Determinism,
    /// The trained parameters of a linkage, if there are any and they fit its levels.
    pub parameters: Option<LinkageParameters>,
    /// The SQL with places, of models and tests.
    pub sql: Option<RenderedSql>,
    /// What a generic data test is attached to.
    pub tested: Option<Tested>,
    /// Of a unit test: what is given and what is expected.
    pub unit_test: Option<CompiledUnitTest>,
    /// Where problems of the node as a whole are shown.
    pub place: Option<Span>,
}

/// A project whose every node that could be bound is bound.
#[derive(Clone, Debug, Default)]
pub struct CompiledProject {
    /// The nodes.
    pub nodes: BTreeMap<NodeId, CompiledNode>,
    /// Sources, seeds, models and tests, parents before children.
    pub order: Vec<NodeId>,
    /// The syncs, in the order of the project.
    pub syncs: Vec<CompiledSync>,
    /// Nodes that were not bound because a parent was not, or because its columns are unknown.
    pub unbound: BTreeSet<NodeId>,
    /// Data tests that find nothing as long as models are what their plans make of their input.
    pub proven: BTreeSet<NodeId>,
    /// How the age of sources is found that must not be too old.
    pub freshness: BTreeMap<NodeId, FreshnessCheck>,
    /// What the columns of models and the fields of syncs come from.
    pub lineage: BTreeMap<NodeId, PlanLineage>,
}

/// Binds every node and every sync. Problems of all nodes are returned together; what depends on a
/// node with a problem is left out and not reported itself.
pub fn compile(input: &CompileInput<'_>) -> (CompiledProject, Vec<Diagnostic>) {
    let optimistic = beside(&input.session, |beside| {
        let binder = Binder::optimistic(input.session.clone(), beside);
        bound(input, binder)
    });
    // A project with problems is bound once more, one node after the other, so that they are told in order.
    let sound = optimistic.unwrap_or_else(|| bound(input, Binder::new(input.session.clone())));
    let Bound {
        done,
        found,
        learned,
    } = sound;
    if let Some(memory) = input.memory
        && let Ok(mut memory) = memory.lock()
    {
        memory.learn(learned);
    }
    (done, found)
}

/// What came out of binding.
struct Bound {
    done: CompiledProject,
    found: Vec<Diagnostic>,
    /// Nodes to remember, if nothing that is still rehearsed fails.
    learned: Vec<([u8; 32], Vec<u8>)>,
}

fn bound(input: &CompileInput<'_>, binder: Binder) -> Bound {
    let (order, circles) = input.rendered.order();
    let nodes = input.rendered.nodes.keys().cloned();
    let ordered: BTreeSet<&NodeId> = order.iter().collect();
    let left = nodes.filter(|id| !ordered.contains(id));
    let unbound = left.chain(input.rendered.waiting.keys().cloned()).collect();
    let mut compiler = Compiler {
        project: input.project,
        binder,
        storable: input.storable,
        inputs: &input.inputs,
        done: CompiledProject {
            order,
            unbound,
            ..CompiledProject::default()
        },
        found: circles,
        memory: input.memory,
        learned: vec![],
        published: BTreeMap::new(),
        strays: false,
    };
    for id in compiler.done.order.clone() {
        if compiler.binder.has_failed() {
            // Nobody will look at it.
            return compiler.ended();
        }
        if let Some(node) = input.rendered.nodes.get(&id) {
            compiler.node(node);
        }
    }
    for source in &input.project.sources {
        compiler.freshness(source, &input.project.files);
    }
    for sync in &input.project.syncs {
        compiler.sync(input.project, sync);
    }
    compiler.done.proven = proven_tests(&compiler.done);
    compiler.ended()
}

struct Compiler<'a> {
    project: &'a Project,
    binder: Binder,
    storable: &'a dyn Fn(&Schema) -> Result<Schema, NotStorable>,
    inputs: &'a BTreeMap<NodeId, SchemaRef>,
    done: CompiledProject,
    found: Vec<Diagnostic>,
    memory: Option<&'a Mutex<Memory>>,
    learned: Vec<([u8; 32], Vec<u8>)>,
    /// Hashes of the columns that nodes publish.
    published: BTreeMap<NodeId, String>,
    /// Whether the node that is bound reads what it does not refer to.
    strays: bool,
}

impl Compiler<'_> {
    fn ended(self) -> Bound {
        Bound {
            done: self.done,
            found: self.found,
            learned: self.learned,
        }
    }

    fn node(&mut self, node: &RenderedNode) {
        let known = self.found.len();
        let key = match self.parents_bound(node) {
            true => self.memory_key(node),
            false => None,
        };
        if let Some(recalled) = key.and_then(|key| self.recalled(node, &key)) {
            self.done.nodes.insert(node.id.clone(), recalled);
            return;
        }
        if node.config.analysis == Analysis::Off && node.sql.is_some() {
            self.done.unbound.insert(node.id.clone());
            return;
        }
        self.strays = false;
        let bound = match node.resource {
            ResourceType::Source | ResourceType::Seed => self.input(node),
            ResourceType::UnitTest if self.parents_bound(node) => self.unit_test(node),
            _ if self.parents_bound(node) => self.query(node),
            _ => None,
        };
        match bound {
            Some(mut compiled) => {
                let is_silent = self.found.len() == known && !self.strays;
                if let Some(key) = key.filter(|_| is_silent) {
                    self.remember(key, &compiled);
                }
                if self.memory.is_some() {
                    self.forget_plans(&mut compiled);
                }
                self.done.nodes.insert(node.id.clone(), compiled);
            }
            None => {
                let own =
                    node.resource != ResourceType::Source && node.resource != ResourceType::Seed;
                if own && self.found.len() == known && self.parents_bound(node) {
                    // Nothing may be left out in silence.
                    self.whole_node(
                        node,
                        codes::CANNOT_BIND,
                        format!("`{}` could not be bound", node.name),
                    );
                }
                if node.config.analysis == Analysis::Warn {
                    for found in self.found.iter_mut().skip(known) {
                        found.severity = Severity::Warning;
                    }
                }
                self.done.unbound.insert(node.id.clone());
            }
        }
    }

    fn parents_bound(&self, node: &RenderedNode) -> bool {
        node.depends_on
            .iter()
            .all(|d| self.done.nodes.contains_key(&d.id))
    }

    fn input(&mut self, node: &RenderedNode) -> Option<CompiledNode> {
        let schema = self.inputs.get(&node.id).cloned()?;
        let relation = node.relation.clone()?;
        let key = RelationKey::own(node.id.clone());
        self.register(node, key, &relation, &schema)?;
        Some(CompiledNode {
            schema: Some(Arc::clone(&schema)),
            fingerprint: fingerprint::of_input(node, &schema),
            relation: Some(relation),
            ..unplanned(node)
        })
    }

    fn query(&mut self, node: &RenderedNode) -> Option<CompiledNode> {
        let sql = node.sql.as_ref()?;
        let plan = match self.binder.bind(&sql.text) {
            Ok(plan) => plan,
            Err(problems) => {
                let diagnosed = problems.into_iter().map(|p| diagnose(p, node, sql));
                self.found.extend(diagnosed);
                return None;
            }
        };
        let parameters = self.fitting_parameters(node);
        // Before views are put in, so that they are steps on the way.
        let lineage = PlanLineage::of(&plan);
        let understood = self.understood(node, sql, plan)?;
        let plan = understood.plan;
        let mut compiled = CompiledNode {
            reads: understood.reads,
            determinism: understood.determinism,
            fingerprint: fingerprint::with_parameters(understood.fingerprint, parameters.as_ref()),
            meaning: understood.meaning,
            parameters,
            ..unplanned(node)
        };
        if node.resource == ResourceType::Model {
            self.publish(node, &plan, &mut compiled)?;
            self.done.lineage.insert(node.id.clone(), lineage);
            if node.config.incremental.is_some() {
                self.increment(node, &mut compiled)?;
            }
        }
        compiled.plan = Some(plan);
        Some(compiled)
    }

    /// Puts views into a bound plan, and finds out what it reads and means.
    fn understood(
        &mut self,
        node: &RenderedNode,
        sql: &RenderedSql,
        bound: LogicalPlan,
    ) -> Option<Understood> {
        self.strays |= strays(node, &bound);
        let plan = match self.binder.expand(bound.clone()) {
            Ok(plan) => plan,
            Err(error) => {
                self.whole_node(node, codes::CANNOT_BIND, error.strip_backtrace());
                return None;
            }
        };
        let meaning = Meaning::of(&plan);
        let (fingerprint, determinism) = match &meaning {
            Some(meaning) => (
                fingerprint::of_meaning(node, meaning),
                meaning.determinism(),
            ),
            None => (
                fingerprint::of_query(node, sql, &bound, &self.done.nodes),
                determinism(&plan),
            ),
        };
        Some(Understood {
            reads: self.reads(node, &plan)?,
            plan,
            meaning,
            fingerprint,
            determinism,
        })
    }

    fn reads(&mut self, node: &RenderedNode, plan: &LogicalPlan) -> Option<Vec<RelationKey>> {
        match relations_read(plan) {
            Ok(reads) => Some(reads),
            Err(error) => {
                self.whole_node(
                    node,
                    codes::CANNOT_BIND,
                    format!("the plan cannot be walked: {}", error.strip_backtrace()),
                );
                None
            }
        }
    }

    /// Makes what the model publishes known to its children.
    fn publish(
        &mut self,
        node: &RenderedNode,
        plan: &LogicalPlan,
        compiled: &mut CompiledNode,
    ) -> Option<()> {
        let relation = node.relation.clone()?;
        let columns = plan.schema().as_arrow();
        if let Some(sql) = &node.sql {
            // Nobody could name one of them.
            let repeated = repeated_columns(&sql.text, columns);
            if !repeated.is_empty() {
                let diagnosed = repeated.into_iter().map(|p| diagnose(p, node, sql));
                self.found.extend(diagnosed);
                return None;
            }
        }
        if !self.keeps_contract(node, columns) {
            return None;
        }
        if matches!(
            node.config.materialized.value,
            Materialization::View | Materialization::Ephemeral
        ) {
            if let Err(error) = self.binder.add_view(
                RelationKey::own(node.id.clone()),
                &relation.schema,
                &relation.name,
                plan.clone(),
            ) {
                self.whole_node(node, codes::CANNOT_BIND, error.strip_backtrace());
                return None;
            }
            compiled.schema = Some(Arc::new(columns.clone()));
            compiled.relation = Some(relation);
            return Some(());
        }
        if !self.contract(node, columns) || !self.linkage(node, columns) {
            return None;
        }
        let stored = self.storable(node, columns)?;
        let own = contract::own_schema(&node.config, &stored);
        self.register(node, RelationKey::own(node.id.clone()), &relation, &own)?;
        for companion in &node.companions {
            // A companion that this version does not publish: whoever reads it is told so there.
            let Some(schema) =
                companion_schema(node.config.materialized.value, companion.suffix, &stored)
            else {
                continue;
            };
            self.companion(companion, schema, node, compiled)?;
        }
        compiled.schema = Some(own);
        compiled.relation = Some(relation);
        Some(())
    }

    /// Makes a companion known to those who read it.
    fn companion(
        &mut self,
        companion: &Companion,
        schema: SchemaRef,
        node: &RenderedNode,
        compiled: &mut CompiledNode,
    ) -> Option<()> {
        let key = RelationKey::companion(node.id.clone(), companion.suffix);
        self.register(node, key, &companion.relation, &schema)?;
        compiled.companions.push(CompiledCompanion {
            suffix: companion.suffix,
            relation: companion.relation.clone(),
            schema,
        });
        Some(())
    }

    fn contract(&mut self, node: &RenderedNode, columns: &Schema) -> bool {
        let broken = contract::problems(node.config.materialized.value, columns);
        let sound = broken.is_empty();
        for problem in broken {
            let place = node
                .config
                .places
                .get("materialized")
                .copied()
                .or(node.place);
            self.found.push(match place {
                Some(span) => with_texts(
                    Diagnostic::error(problem.code, problem.message, span),
                    problem.notes,
                    problem.help,
                ),
                None => Diagnostic::error_nowhere(problem.code, problem.message),
            });
        }
        sound
    }

    fn storable(&mut self, node: &RenderedNode, columns: &Schema) -> Option<SchemaRef> {
        match (self.storable)(columns) {
            // A stored column may always be null: nothing else survives a schema change.
            Ok(schema) => Some(contract::nullable(&schema)),
            Err(reason) => {
                let message = format!("model `{}` cannot be stored: {reason}", node.name);
                let alone = |column: &&FieldRef| Schema::new(vec![Arc::clone(column)]);
                let mut columns = columns.fields().iter();
                let wrong = columns.find(|column| (self.storable)(&alone(column)).is_err());
                let place = wrong
                    .zip(node.sql.as_ref())
                    .and_then(|(column, sql)| Some((column_place(&sql.text, column.name())?, sql)));
                match place {
                    Some((range, sql)) => {
                        let problem = Problem::new(codes::NOT_STORABLE, message);
                        let problem = problem.or_at(Some(range));
                        self.found.push(diagnose(problem, node, sql));
                    }
                    None => self.whole_node(node, codes::NOT_STORABLE, message),
                }
                None
            }
        }
    }

    fn register(
        &mut self,
        node: &RenderedNode,
        key: RelationKey,
        relation: &Relation,
        schema: &SchemaRef,
    ) -> Option<()> {
        match self
            .binder
            .add_table(key, &relation.schema, &relation.name, Arc::clone(schema))
        {
            Ok(()) => Some(()),
            Err(error) => {
                self.whole_node(node, codes::CANNOT_BIND, error.strip_backtrace());
                None
            }
        }
    }

    fn whole_node(&mut self, node: &RenderedNode, code: kinfold_project::Code, message: String) {
        self.found.push(match node.place {
            Some(span) => Diagnostic::error(code, message, span),
            None => Diagnostic::error_nowhere(code, message),
        });
    }
}

/// A bound plan with its views, and what is known of it.
struct Understood {
    plan: LogicalPlan,
    reads: Vec<RelationKey>,
    meaning: Option<Meaning>,
    fingerprint: Fingerprint,
    determinism: Determinism,
}

/// Whether a plan reads what its node does not refer to.
fn strays(node: &RenderedNode, plan: &LogicalPlan) -> bool {
    let refers = |read: &RelationKey| {
        let mut named = node.depends_on.iter();
        read.node == node.id || named.any(|named| named.id == read.node)
    };
    !relations_read(plan).is_ok_and(|reads| reads.iter().all(refers))
}

fn unplanned(node: &RenderedNode) -> CompiledNode {
    CompiledNode {
        id: node.id.clone(),
        resource: node.resource,
        package: node.package.clone(),
        name: node.name.clone(),
        config: node.config.clone(),
        relation: None,
        companions: vec![],
        plan: None,
        schema: None,
        reads: vec![],
        depends_on: node.depends_on.iter().map(|d| d.id.clone()).collect(),
        fingerprint: Fingerprint::default(),
        meaning: None,
        increment: None,
        determinism: Determinism::Fixed,
        parameters: None,
        sql: node.sql.clone(),
        tested: node.tested.clone(),
        unit_test: None,
        place: node.place,
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A problem of the SQL at the place where the user wrote it.
fn diagnose(problem: Problem, node: &RenderedNode, sql: &RenderedSql) -> Diagnostic {
    let range = problem.range.clone().unwrap_or(0..sql.text.len());
    let origin = sql.map.origin(range);
    let mut d = Diagnostic::error(problem.code, problem.message, origin.primary);
    for (span, text) in origin.related {
        d = d.with_related(span, text);
    }
    // That `ref` gives the name of a relation explains nothing.
    let relation = format!("\"{CATALOG}\".");
    let rendered = origin.rendered.filter(|text| !text.starts_with(&relation));
    if let (true, Some(text)) = (origin.from_expression, rendered) {
        d = d.with_note(format!("this expression gave `{text}`"));
    }
    if node.resource == ResourceType::Test && origin.from_expression {
        d = d.with_note(format!("in the SQL of data test `{}`", node.name));
    }
    with_texts(d, problem.notes, problem.help)
}

fn with_texts(mut d: Diagnostic, notes: Vec<String>, help: Vec<String>) -> Diagnostic {
    d.notes.extend(notes);
    d.help.extend(help);
    d
}

/// Functions that return the run's clock.
const CLOCK_FUNCTIONS: [&str; 6] = [
    "now",
    "current_timestamp",
    "current_date",
    "current_time",
    "today",
    "localtimestamp",
];

/// What a function's result depends on beside its arguments.
pub(crate) fn determinism_of_call(function: &ScalarUDF) -> Determinism {
    if CLOCK_FUNCTIONS.contains(&function.name()) {
        Determinism::Clock
    } else if function.signature().volatility == Volatility::Volatile {
        Determinism::Volatile
    } else {
        Determinism::Fixed
    }
}

fn determinism(plan: &LogicalPlan) -> Determinism {
    let mut found = Determinism::Fixed;
    let visited = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                if let Expr::ScalarFunction(call) = part {
                    found = found.max(determinism_of_call(&call.func));
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    // A plan that cannot be walked is taken for one that may give anything.
    if visited.is_err() {
        Determinism::Volatile
    } else {
        found
    }
}
