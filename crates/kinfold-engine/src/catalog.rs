//! What is published, relation by relation, with the columns that its readers see.

use std::sync::Arc;

use datafusion::arrow::datatypes::{Schema, SchemaRef};
use kinfold_compile::bind::parsed;
use kinfold_lake::storable_schema;
use kinfold_project::NodeId;

use crate::input::sql_name;
use crate::published::{Published, PublishedNode};
use crate::{Engine, EngineError};

/// The relations that an environment has published.
#[derive(Debug, Default)]
pub struct Catalog {
    /// The relations that could be opened, by the ids of their nodes.
    pub relations: Vec<CatalogRelation>,
    /// Those that could not, and why.
    pub unreadable: Vec<(NodeId, EngineError)>,
}

/// A published relation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogRelation {
    /// The node that it is of.
    pub node: NodeId,
    /// The node's materialization, or `source`.
    pub kind: String,
    /// Schema and name under which SQL knows it.
    pub relation: (String, String),
    /// Names of the columns and their SQL types, in their order.
    pub columns: Vec<(String, String)>,
    /// Rows, if the table's log knows them. A view has none.
    pub rows: Option<u64>,
    /// Version of the Delta table. A view has none.
    pub version: Option<u64>,
}

impl Engine {
    /// The relations of models, seeds and sources as they are published. Reads logs of tables and no rows.
    ///
    /// # Errors
    /// When the environment's document cannot be read.
    pub async fn catalog(&self) -> Result<Catalog, EngineError> {
        let document = Arc::new(self.published().await?.document);
        let mut catalog = Catalog::default();
        for (id, node) in &document.nodes {
            let Some(relation) = relation_of(node) else {
                continue;
            };
            match self.columns_of(node, &document).await {
                Ok(schema) => catalog.relations.push(CatalogRelation {
                    node: id.clone(),
                    kind: node.kind.clone(),
                    relation: relation.clone(),
                    columns: columns(&schema),
                    rows: node.table.as_ref().and_then(|table| table.rows),
                    version: node.table.as_ref().map(|table| table.version),
                }),
                Err(error) => catalog.unreadable.push((id.clone(), error)),
            }
        }
        Ok(catalog)
    }

    async fn columns_of(
        &self,
        node: &PublishedNode,
        document: &Arc<Published>,
    ) -> Result<SchemaRef, EngineError> {
        if let Some(table) = &node.table {
            return Ok(self.provider(table).await?.schema());
        }
        let state = self.published_session(document)?;
        let sql = node.sql.as_deref().unwrap_or_default();
        let plan = state.statement_to_plan(parsed(sql)?).await?;
        Ok(Arc::clone(plan.schema().inner()))
    }
}

/// The relation that readers outside can name. What is put into its readers is none.
fn relation_of(node: &PublishedNode) -> Option<&(String, String)> {
    match &node.table {
        Some(table) => Some(&table.relation),
        None if node.sql.is_some() && node.kind != "ephemeral" => node.relation.as_ref(),
        None => None,
    }
}

fn columns(schema: &Schema) -> Vec<(String, String)> {
    // The types as they would be stored: a view computes some texts in another form.
    let stored = storable_schema(schema).unwrap_or_else(|_| schema.clone());
    let fields = stored.fields().iter();
    fields
        .map(|field| (field.name().clone(), sql_name(field.data_type())))
        .collect()
}
