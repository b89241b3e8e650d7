//! Ad-hoc queries on what is published.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{
    CatalogProvider, CatalogProviderList, MemoryCatalogProvider, MemoryCatalogProviderList,
    SchemaProvider, TableProvider,
};
use datafusion::common::{DataFusionError, Result as DataFusionResult};
use datafusion::execution::{
    SendableRecordBatchStream, SessionState, SessionStateBuilder, TaskContext,
};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::execute_stream;
use datafusion::prelude::SQLOptions;
use kinfold_compile::bind::parsed;
use kinfold_compile::relation::ViewRelation;
use kinfold_compile::session::CATALOG;

use crate::published::{Published, StoredTable};
use crate::{Engine, EngineError};

impl Engine {
    /// Runs one query on the published versions. Relations are known as `name`, `schema.name` and
    /// `kinfold.schema.name`; nothing can be changed.
    ///
    /// # Errors
    /// When the text is not a query, does not bind, or cannot be started.
    pub async fn query(&self, sql: &str) -> Result<SendableRecordBatchStream, EngineError> {
        let document = Arc::new(self.published().await?.document);
        let state = self.published_session(&document)?;
        let plan = state.statement_to_plan(parsed(sql)?).await?;
        let read_only = SQLOptions::new()
            .with_allow_ddl(false)
            .with_allow_dml(false)
            .with_allow_statements(false);
        read_only.verify_plan(&plan)?;
        let physical = state.create_physical_plan(&plan).await?;
        Ok(execute_stream(
            physical,
            Arc::new(TaskContext::from(&state)),
        )?)
    }

    /// A session that knows what is published.
    pub(crate) fn published_session(
        &self,
        document: &Arc<Published>,
    ) -> Result<SessionState, EngineError> {
        let catalog = MemoryCatalogProvider::new();
        let mut schemas: Vec<&str> = relations(document)
            .map(|(relation, _)| relation.0.as_str())
            .collect();
        schemas.push(&self.environment.schema);
        schemas.sort_unstable();
        schemas.dedup();
        for schema in schemas {
            let provider = PublishedSchema {
                schema: schema.to_owned(),
                engine: self.clone(),
                document: Arc::clone(document),
            };
            catalog.register_schema(schema, Arc::new(provider))?;
        }
        let catalogs = MemoryCatalogProviderList::new();
        catalogs.register_catalog(CATALOG.to_owned(), Arc::new(catalog));
        let base = self.session(false);
        let config = base
            .config()
            .clone()
            .with_default_catalog_and_schema(CATALOG, self.environment.schema.clone());
        let props = base.execution_props().clone();
        Ok(SessionStateBuilder::new_from_existing(base)
            .with_config(config)
            .with_catalog_list(Arc::new(catalogs))
            .with_execution_props(props)
            .build())
    }
}

enum Relation<'a> {
    Table(&'a StoredTable),
    View(&'a str),
}

fn relations(document: &Published) -> impl Iterator<Item = (&(String, String), Relation<'_>)> {
    document.nodes.values().flat_map(|node| {
        let view = node
            .relation
            .as_ref()
            .zip(node.sql.as_deref())
            .map(|(r, sql)| (r, Relation::View(sql)));
        let tables = node
            .table
            .iter()
            .chain(node.companions.values())
            .map(|t| (&t.relation, Relation::Table(t)));
        view.into_iter().chain(tables)
    })
}

/// The relations of one schema as they are published, opened when they are named.
struct PublishedSchema {
    schema: String,
    engine: Engine,
    document: Arc<Published>,
}

impl fmt::Debug for PublishedSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublishedSchema")
            .field("schema", &self.schema)
            .finish_non_exhaustive()
    }
}

impl PublishedSchema {
    fn find(&self, name: &str) -> Option<Relation<'_>> {
        relations(&self.document)
            .find(|(r, _)| r.0 == self.schema && r.1 == name)
            .map(|(_, relation)| relation)
    }

    async fn view(&self, sql: &str) -> Result<LogicalPlan, EngineError> {
        // A view reads only relations with three-part names, so any schema will do as default.
        let state = self.engine.published_session(&self.document)?;
        Ok(state.statement_to_plan(parsed(sql)?).await?)
    }
}

#[async_trait]
impl SchemaProvider for PublishedSchema {
    fn table_names(&self) -> Vec<String> {
        relations(&self.document)
            .filter(|(r, _)| r.0 == self.schema)
            .map(|(r, _)| r.1.clone())
            .collect()
    }

    async fn table(&self, name: &str) -> DataFusionResult<Option<Arc<dyn TableProvider>>> {
        let external = |error: EngineError| DataFusionError::External(Box::new(error));
        match self.find(name) {
            None => Ok(None),
            Some(Relation::Table(table)) => self
                .engine
                .provider(table)
                .await
                .map(Some)
                .map_err(external),
            Some(Relation::View(sql)) => {
                let plan = self.view(sql).await.map_err(external)?;
                Ok(Some(Arc::new(ViewRelation::new(plan))))
            }
        }
    }

    fn table_exist(&self, name: &str) -> bool {
        self.find(name).is_some()
    }
}
