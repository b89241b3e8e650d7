//! Rows, and what was published before, → who is who. Nothing is written.

use std::str::FromStr;
use std::sync::Arc;

use futures::StreamExt;
use kinfold_compile::compile::CompiledNode;
use kinfold_identity::{
    BlockedValues, CanonicalId, Checked, GraphBuilder, Resolution, ResolveOptions,
};

use super::rows::{Rows, previous_ids, text};
use super::{Reading, rules};
use crate::EngineError;
use crate::build::{Pinned, Run};

impl Run<'_> {
    /// Resolves the rows of the model under its rules, after what is published of it.
    pub(super) async fn resolve_identity(
        &self,
        reading: &Reading<'_>,
        providers: Pinned<'_>,
    ) -> Result<Arc<Resolution>, EngineError> {
        let Reading {
            node,
            sql,
            rules,
            forms,
        } = reading;
        let Some(plan) = &node.plan else {
            return Err(EngineError::NotBuilt(node.id.clone()));
        };
        let mut builder = GraphBuilder::new(BlockedValues::default())
            .with_rules(rules::rules_of(rules)?)
            .map_err(|source| self.identity_error(node, source))?;
        let statement = self
            .engine
            .statement(false)
            .over_plan("query", plan, providers)?;
        for mut stream in statement.streams(sql).await? {
            while let Some(batch) = stream.next().await {
                let batch = batch?;
                Rows::of(&batch)?
                    .observe(&mut builder, forms)
                    .map_err(|source| self.identity_error(node, source))?;
                if self.request.cancel.is_cancelled() {
                    return Err(EngineError::Cancelled);
                }
            }
        }
        self.recall(node, &mut builder).await?;
        let builder = match tokio::task::spawn_blocking(move || builder.check()).await? {
            Checked::Sound(builder) => builder,
            Checked::Failing(mut replay) => {
                for mut stream in statement.streams(sql).await? {
                    while let Some(batch) = stream.next().await {
                        let batch = batch?;
                        Rows::of(&batch)?
                            .replay(&mut replay, forms)
                            .map_err(|source| self.identity_error(node, source))?;
                        if self.request.cancel.is_cancelled() {
                            return Err(EngineError::Cancelled);
                        }
                    }
                }
                tokio::task::spawn_blocking(move || replay.finish()).await?
            }
        };
        let entity = node
            .config
            .entity
            .as_ref()
            .map_or("person", |e| e.value.as_str())
            .to_owned();
        let salt = rules
            .salt
            .as_ref()
            .map(|salt| salt.value.clone())
            .unwrap_or_default();
        let as_of = self.engine.clock.as_of.timestamp_micros();
        let resolution = tokio::task::spawn_blocking(move || {
            builder.resolve(&ResolveOptions {
                entity: &entity,
                salt: &salt,
                as_of,
            })
        })
        .await?;
        Ok(Arc::new(resolution))
    }

    fn identity_error(
        &self,
        node: &CompiledNode,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> EngineError {
        EngineError::Identity {
            node: node.id.clone(),
            source: source.into(),
        }
    }

    /// Gives the builder what was published before: who had which id, and which ids are retired.
    async fn recall(
        &self,
        node: &CompiledNode,
        builder: &mut GraphBuilder,
    ) -> Result<(), EngineError> {
        if let Some(previous) = self.previous_provider(node, None).await? {
            let columns = previous.schema();
            let statement =
                self.engine
                    .statement(false)
                    .over_table("previous", Some(previous), &columns)?;
            let sql =
                "SELECT id_type, id_value, canonical_id, minted_at FROM kinfold._run.previous";
            for mut stream in statement.streams(sql).await? {
                while let Some(batch) = stream.next().await {
                    previous_ids(builder, &batch?)
                        .map_err(|source| self.identity_error(node, source))?;
                }
            }
        }
        if let Some(changes) = self.previous_provider(node, Some("changes")).await? {
            let columns = changes.schema();
            let statement =
                self.engine
                    .statement(false)
                    .over_table("changes", Some(changes), &columns)?;
            let sql = "SELECT from_canonical_id FROM kinfold._run.changes WHERE kind IN ('merged', 'deleted')";
            for mut stream in statement.streams(sql).await? {
                while let Some(batch) = stream.next().await {
                    let batch = batch?;
                    let ids = text(&batch, 0)?;
                    ids.iter()
                        .flatten()
                        .filter_map(|id| CanonicalId::from_str(id).ok())
                        .for_each(|id| builder.retire(id));
                }
            }
        }
        Ok(())
    }
}
