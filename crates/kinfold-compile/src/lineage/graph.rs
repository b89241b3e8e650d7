//! Lineage from column to column through a whole project.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use kinfold_project::NodeId;

use super::{Origins, PlanLineage, Point};
use crate::bind::closest;
use crate::compile::{CompiledNode, CompiledProject};
use crate::relation::RelationKey;
use crate::render::Materialization;

/// How one column counts for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EdgeKind {
    /// Its values are made of it.
    Value,
    /// It decides which values or rows there are.
    Control,
}

impl EdgeKind {
    /// As it is printed.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Value => "value",
            Self::Control => "control",
        }
    }
}

/// Where to go from a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To what it comes from.
    Up,
    /// To what comes of it.
    Down,
}

/// One step of lineage.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edge {
    /// What is read.
    pub from: Point,
    /// What is made of it.
    pub to: Point,
    /// How it counts.
    pub kind: EdgeKind,
}

/// A column that a walk came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    /// The column, or the rows of a relation.
    pub point: Point,
    /// `Value` if values alone lead there.
    pub kind: EdgeKind,
    /// In how many steps at least, of those that make it of this kind.
    pub distance: usize,
}

/// All that a walk came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Walk {
    /// The columns, those reached by values first, then the nearest first.
    pub reached: Vec<Reached>,
    /// The steps between them and from or to the start.
    pub edges: Vec<Edge>,
    /// Relations on the way whose lineage is not fully known: too much is said of them, never too little.
    pub incomplete: Vec<RelationKey>,
}

/// Why a name is not that of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameProblem {
    /// There is no such thing.
    Unknown {
        /// `relation` or `column`.
        kind: &'static str,
        /// What was asked for.
        name: String,
        /// The name that is most like it.
        close: Option<String>,
    },
    /// More than one package has a node of that name.
    Ambiguous {
        /// What was asked for.
        name: String,
        /// The ids that it may mean.
        found: Vec<String>,
    },
}

/// The columns of a project and what they come from.
#[derive(Clone, Debug, Default)]
pub struct ColumnGraph {
    columns: BTreeMap<RelationKey, Vec<String>>,
    names: BTreeMap<String, BTreeSet<RelationKey>>,
    up: BTreeMap<Point, BTreeSet<(Point, EdgeKind)>>,
    down: BTreeMap<Point, BTreeSet<(Point, EdgeKind)>>,
    made: BTreeSet<RelationKey>,
    incomplete: BTreeSet<RelationKey>,
}

impl ColumnGraph {
    /// The graph of everything that was bound: from the columns of sources to the fields of destinations.
    #[must_use]
    pub fn of(project: &CompiledProject) -> Self {
        let mut graph = Self::default();
        for node in project.nodes.values() {
            graph.node(node, project.lineage.get(&node.id));
        }
        for sync in &project.syncs {
            let key = RelationKey::own(sync.id.clone());
            let fields = sync.key_fields.iter().chain(&sync.fields).cloned();
            graph.relation(key.clone(), &short(&sync.id), fields.collect());
            if let Some(lineage) = project.lineage.get(&sync.id) {
                graph.as_planned(&key, lineage);
            }
        }
        graph
    }

    fn node(&mut self, node: &CompiledNode, lineage: Option<&PlanLineage>) {
        let Some(schema) = &node.schema else { return };
        let names = |schema: &datafusion::arrow::datatypes::Schema| -> Vec<String> {
            schema.fields().iter().map(|f| f.name().clone()).collect()
        };
        let name = short(&node.id);
        let key = RelationKey::own(node.id.clone());
        self.relation(key.clone(), &name, names(schema));
        for companion in &node.companions {
            let key = RelationKey::companion(node.id.clone(), companion.suffix);
            let name = format!("{name}__{}", companion.suffix);
            self.relation(key.clone(), &name, names(&companion.schema));
            if let Some(lineage) = lineage {
                self.as_computed(&key, lineage, true);
            }
        }
        let Some(lineage) = lineage else { return };
        match node.config.materialized.value {
            Materialization::Identity | Materialization::Linkage => {
                self.as_computed(&key, lineage, true);
            }
            Materialization::Profile | Materialization::Segment | Materialization::Snapshot => {
                self.as_computed(&key, lineage, false);
            }
            Materialization::View
            | Materialization::Table
            | Materialization::Seed
            | Materialization::Incremental
            | Materialization::Ephemeral => self.as_planned(&key, lineage),
        }
    }

    fn relation(&mut self, key: RelationKey, name: &str, columns: Vec<String>) {
        for name in [name.to_owned(), key.to_string()] {
            self.names.entry(name).or_default().insert(key.clone());
        }
        self.columns.insert(key, columns);
    }

    /// The rows of the relation are those of the plan.
    fn as_planned(&mut self, key: &RelationKey, lineage: &PlanLineage) {
        let names = self.columns.get(key).cloned().unwrap_or_default();
        for (name, (_, origins)) in names.iter().zip(&lineage.columns) {
            self.column(key, name, origins);
        }
        self.rows(key, lineage, false);
    }

    /// The engine makes the rows of the relation of those of the plan. A column that the plan does not have may
    /// come from every one that it has; `rows` says whether all of them decide which rows there are as well.
    fn as_computed(&mut self, key: &RelationKey, lineage: &PlanLineage, rows: bool) {
        let mut everything = Origins::default();
        for (_, origins) in &lineage.columns {
            everything.add(origins);
        }
        for name in self.columns.get(key).cloned().unwrap_or_default() {
            let mut planned = lineage.columns.iter();
            let own = planned.find(|(of, _)| *of == name);
            self.column(key, &name, own.map_or(&everything, |(_, origins)| origins));
        }
        self.rows(key, lineage, rows);
    }

    fn column(&mut self, key: &RelationKey, name: &str, origins: &Origins) {
        let to = Point::column(key, name);
        for from in &origins.value {
            self.edge(from.clone(), to.clone(), EdgeKind::Value);
        }
        for from in &origins.control {
            self.edge(from.clone(), to.clone(), EdgeKind::Control);
        }
        self.edge(Point::rows(key), to, EdgeKind::Control);
    }

    fn rows(&mut self, key: &RelationKey, lineage: &PlanLineage, all: bool) {
        let to = Point::rows(key);
        for from in &lineage.rows {
            self.edge(from.clone(), to.clone(), EdgeKind::Control);
        }
        // What is one row per id is decided by the id.
        let compared = lineage
            .columns
            .iter()
            .filter(|(name, _)| all || name == "canonical_id")
            .flat_map(|(_, origins)| origins.all());
        for from in compared {
            self.edge(from.clone(), to.clone(), EdgeKind::Control);
        }
        self.made.insert(key.clone());
        if !lineage.complete {
            self.incomplete.insert(key.clone());
        }
    }

    /// The names of the columns of a relation, in order; none of one that is not known.
    #[must_use]
    pub fn columns(&self, relation: &RelationKey) -> &[String] {
        let columns = self.columns.get(relation);
        columns.map(Vec::as_slice).unwrap_or_default()
    }

    /// What a column, or the rows of a relation, come from: one step back.
    pub fn origins(&self, of: &Point) -> impl Iterator<Item = (&Point, EdgeKind)> {
        let origins = self.up.get(of).into_iter().flatten();
        origins.map(|(from, kind)| (from, *kind))
    }

    /// Whether a relation is made by a query, and not given.
    #[must_use]
    pub fn is_made(&self, relation: &RelationKey) -> bool {
        self.made.contains(relation)
    }

    /// Whether every part of what makes a relation was understood.
    #[must_use]
    pub fn is_complete(&self, relation: &RelationKey) -> bool {
        !self.incomplete.contains(relation)
    }

    fn edge(&mut self, from: Point, to: Point, kind: EdgeKind) {
        let up = self.up.entry(to.clone()).or_default();
        up.insert((from.clone(), kind));
        self.down.entry(from).or_default().insert((to, kind));
    }

    /// The column that a name means: `orders.amount`, `raw.orders.amount` for a source, `person__edges.weight` for
    /// a companion, `crm.email` for a field of a sync, any of them by its id (`model.shop.orders.amount`), and `*`
    /// in the place of the column for the rows.
    ///
    /// # Errors
    /// When there is no such column, or more than one.
    pub fn find(&self, name: &str) -> Result<Point, NameProblem> {
        let splits = name.rmatch_indices('.');
        let mut known = splits.filter_map(|(at, _)| {
            let (relation, column) = (name.get(..at)?, name.get(at + 1..)?);
            Some((relation, column, self.names.get(relation)?))
        });
        let Some((relation, column, keys)) = known.next() else {
            let asked = name.rsplit_once('.').map_or(name, |(relation, _)| relation);
            let names: Vec<&str> = self.names.keys().map(String::as_str).collect();
            let whole = self.names.contains_key(name);
            return Err(NameProblem::Unknown {
                kind: if whole { "column" } else { "relation" },
                name: if whole { name } else { asked }.to_owned(),
                close: if whole {
                    let columns = self.names.get(name).and_then(BTreeSet::first);
                    let first = columns.and_then(|key| self.columns.get(key)?.first());
                    first.map(|column| format!("{name}.{column}"))
                } else {
                    closest(asked, &names).map(str::to_owned)
                },
            });
        };
        let mut keys = keys.iter();
        let (Some(key), None) = (keys.next(), keys.next()) else {
            let found = self.names.get(relation).into_iter().flatten();
            return Err(NameProblem::Ambiguous {
                name: relation.to_owned(),
                found: found.map(ToString::to_string).collect(),
            });
        };
        let columns = self.columns.get(key).map(Vec::as_slice).unwrap_or_default();
        if column == "*" {
            return Ok(Point::rows(key));
        }
        if columns.iter().any(|known| known == column) {
            return Ok(Point::column(key, column));
        }
        let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
        Err(NameProblem::Unknown {
            kind: "column",
            name: name.to_owned(),
            close: closest(column, &columns).map(|close| format!("{relation}.{close}")),
        })
    }

    /// Everything that a column comes from, or that comes of it.
    #[must_use]
    pub fn walk(&self, start: &Point, direction: Direction) -> Walk {
        let steps = match direction {
            Direction::Up => &self.up,
            Direction::Down => &self.down,
        };
        let mut seen = BTreeMap::from([(start.clone(), (EdgeKind::Value, 0))]);
        // First by values alone, so that what can be reached both ways counts as value.
        for kind in [EdgeKind::Value, EdgeKind::Control] {
            let mut open: VecDeque<(Point, usize)> = seen
                .iter()
                .map(|(point, (_, distance))| (point.clone(), *distance))
                .collect();
            open.make_contiguous()
                .sort_by_key(|(_, distance)| *distance);
            while let Some((point, distance)) = open.pop_front() {
                for (next, how) in steps.get(&point).into_iter().flatten() {
                    if *how <= kind && !seen.contains_key(next) {
                        seen.insert(next.clone(), (kind, distance + 1));
                        let at = open.partition_point(|(_, known)| *known <= distance + 1);
                        open.insert(at, (next.clone(), distance + 1));
                    }
                }
            }
        }
        let mut edges = BTreeSet::new();
        for point in seen.keys() {
            for (next, kind) in steps.get(point).into_iter().flatten() {
                let (from, to) = match direction {
                    Direction::Up => (next.clone(), point.clone()),
                    Direction::Down => (point.clone(), next.clone()),
                };
                let kind = *kind;
                edges.insert(Edge { from, to, kind });
            }
        }
        let passed = |key: &&RelationKey| seen.keys().any(|point| point.relation == **key);
        let incomplete = self.incomplete.iter().filter(passed).cloned().collect();
        let reached = seen.into_iter().filter(|(point, _)| point != start);
        let mut reached: Vec<Reached> = reached
            .map(|(point, (kind, distance))| Reached {
                point,
                kind,
                distance,
            })
            .collect();
        reached.sort_by_key(|reached| (reached.kind, reached.distance));
        Walk {
            reached,
            edges: edges.into_iter().collect(),
            incomplete,
        }
    }
}

/// The name of a node without its kind and package: `orders`, or `raw.orders` of a source.
fn short(id: &NodeId) -> String {
    let mut parts = id.as_str().splitn(3, '.');
    parts.nth(2).unwrap_or(id.as_str()).to_owned()
}
