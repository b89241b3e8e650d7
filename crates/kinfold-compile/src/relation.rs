//! What a bound plan reads: relations that have a schema but no data yet.

use std::any::Any;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arrow_schema::SchemaRef;
use async_trait::async_trait;
use datafusion::arrow::datatypes as arrow_schema;
use datafusion::catalog::{CatalogProvider, Session, TableProvider};
use datafusion::catalog::{MemoryCatalogProvider, MemorySchemaProvider, SchemaProvider};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DataFusionError, Result, plan_err};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, TableScan, TableType};
use datafusion::physical_plan::ExecutionPlan;
use kinfold_project::NodeId;

use crate::session::CATALOG;

/// A relation as the compiler knows it: which node publishes it, and which of its companions.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RelationKey {
    /// The node that publishes the relation.
    pub node: NodeId,
    /// `None` for the relation itself, else the companion's suffix (`edges`, `history`, …).
    pub companion: Option<String>,
}

impl RelationKey {
    /// The relation that carries the node's own name.
    #[must_use]
    pub fn own(node: NodeId) -> Self {
        Self {
            node,
            companion: None,
        }
    }

    /// A companion of the node's relation.
    #[must_use]
    pub fn companion(node: NodeId, suffix: &str) -> Self {
        Self {
            node,
            companion: Some(suffix.to_owned()),
        }
    }
}

impl fmt::Display for RelationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.companion {
            None => write!(f, "{}", self.node),
            Some(suffix) => write!(f, "{}__{suffix}", self.node),
        }
    }
}

/// A relation that can be planned against but not scanned: it has no version yet.
#[derive(Debug)]
pub struct UnpinnedRelation {
    key: RelationKey,
    schema: SchemaRef,
}

impl UnpinnedRelation {
    /// The relation `key` with the columns that a reader of it will see.
    #[must_use]
    pub fn new(key: RelationKey, schema: SchemaRef) -> Self {
        Self { key, schema }
    }
}

#[async_trait]
impl TableProvider for UnpinnedRelation {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        _projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        plan_err!("relation `{}` is not pinned to a version", self.key)
    }
}

/// A view: its plan takes the place of every scan of it.
#[derive(Debug)]
pub struct ViewRelation {
    plan: LogicalPlan,
    schema: SchemaRef,
}

impl ViewRelation {
    /// A view over a bound plan.
    #[must_use]
    pub fn new(plan: LogicalPlan) -> Self {
        let schema = Arc::clone(plan.schema().inner());
        Self { plan, schema }
    }
}

#[async_trait]
impl TableProvider for ViewRelation {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    fn get_logical_plan(&'_ self) -> Option<Cow<'_, LogicalPlan>> {
        Some(Cow::Borrowed(&self.plan))
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        _projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        plan_err!("a view is expanded when it is planned")
    }
}

/// Registers a relation as `"kinfold"."<schema>"."<name>"`.
///
/// # Errors
/// When the catalogue refuses the registration.
pub fn register(
    state: &SessionState,
    schema: &str,
    name: &str,
    table: Arc<dyn TableProvider>,
) -> Result<()> {
    let catalogs = state.catalog_list();
    let catalog = match catalogs.catalog(CATALOG) {
        Some(catalog) => catalog,
        None => {
            let new: Arc<dyn CatalogProvider> = Arc::new(MemoryCatalogProvider::new());
            catalogs.register_catalog(CATALOG.to_owned(), Arc::clone(&new));
            new
        }
    };
    let provider = match catalog.schema(schema) {
        Some(provider) => provider,
        None => {
            let new: Arc<dyn SchemaProvider> = Arc::new(MemorySchemaProvider::new());
            catalog.register_schema(schema, Arc::clone(&new))?;
            new
        }
    };
    provider.deregister_table(name)?;
    provider.register_table(name.to_owned(), table)?;
    Ok(())
}

/// The relation that a scan reads, unless it is pinned to a version.
pub(crate) fn relation_of(scan: &TableScan) -> Option<RelationKey> {
    let provider = source_as_provider(&scan.source).ok()?;
    let any: &dyn Any = provider.as_ref();
    any.downcast_ref::<UnpinnedRelation>()
        .map(|relation| relation.key.clone())
}

/// The relations that a bound plan reads, views expanded, subqueries included; each once, sorted.
///
/// # Errors
/// When the plan cannot be walked.
pub fn relations_read(plan: &LogicalPlan) -> Result<Vec<RelationKey>> {
    let mut keys = std::collections::BTreeSet::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Some(key) = relation_of(scan)
        {
            keys.insert(key);
        }
        Ok(datafusion::common::tree_node::TreeNodeRecursion::Continue)
    })?;
    Ok(keys.into_iter().collect())
}

/// The same plan with the plan of each view in the place of every read of it. `views` holds plans
/// that are expanded themselves.
///
/// # Errors
/// When the plan cannot be rebuilt.
pub fn expand(
    plan: LogicalPlan,
    views: &BTreeMap<RelationKey, LogicalPlan>,
) -> Result<LogicalPlan> {
    let expanded = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::TableScan(scan) => {
            let view = relation_of(&scan).and_then(|key| views.get(&key));
            let Some(view) = view else {
                return Ok(Transformed::no(LogicalPlan::TableScan(scan)));
            };
            let mut builder = LogicalPlanBuilder::from(view.clone());
            if let Some(projection) = &scan.projection {
                builder = builder.select(projection.iter().copied())?;
            }
            Ok(Transformed::yes(builder.alias(scan.table_name)?.build()?))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(expanded.data)
}

/// The same plan over data: every unpinned relation is replaced by the provider of its version.
///
/// # Errors
/// When a relation has no provider, or its columns differ from those that the plan was bound to.
pub fn pin(
    plan: LogicalPlan,
    providers: &BTreeMap<RelationKey, Arc<dyn TableProvider>>,
) -> Result<LogicalPlan> {
    let pinned = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::TableScan(mut scan) => {
            let Some(key) = relation_of(&scan) else {
                return Ok(Transformed::no(LogicalPlan::TableScan(scan)));
            };
            let provider = providers.get(&key).ok_or_else(|| {
                DataFusionError::Plan(format!("relation `{key}` has no version to read"))
            })?;
            require_same_columns(&key, &scan.source.schema(), &provider.schema())?;
            scan.source = provider_as_source(Arc::clone(provider));
            Ok(Transformed::yes(LogicalPlan::TableScan(scan)))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(pinned.data)
}

fn require_same_columns(key: &RelationKey, bound: &SchemaRef, stored: &SchemaRef) -> Result<()> {
    let differs = bound.fields().len() != stored.fields().len()
        || bound
            .fields()
            .iter()
            .zip(stored.fields())
            .any(|(b, s)| b.name() != s.name() || b.data_type() != s.data_type());
    if differs {
        return plan_err!("relation `{key}` was bound as {bound:?} and is stored as {stored:?}");
    }
    Ok(())
}
