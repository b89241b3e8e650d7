//! Rows, and what was published before, → who is who. Nothing is written.

use std::str::FromStr;
use std::sync::Arc;

use futures::StreamExt;
use kinfold_compile::compile::CompiledNode;
use kinfold_identity::{
    BlockedValues, CanonicalId, Checked, GraphBuilder, Resolution, ResolveOptions,
};

use super::feed::feed;
use super::rows::{Rows, previous_ids, text};
use super::{Reading, rules};
use crate::EngineError;
use crate::build::{Pinned, Run};

/// The canonical ids that are in use no more.
pub(super) const RETIRED: &str =
    "SELECT from_canonical_id FROM kinfold._run.changes WHERE kind IN ('merged', 'deleted')";

/// What a resolution needs beside the rows, for another thread.
pub(super) struct Options {
    entity: String,
    salt: String,
    as_of: i64,
}

impl Options {
    pub(super) fn as_ref(&self) -> ResolveOptions<'_> {
        ResolveOptions {
            entity: &self.entity,
            salt: &self.salt,
            as_of: self.as_of,
        }
    }
}

impl Run<'_> {
    /// Resolves the rows of the model under its rules, after what is published of it.
    pub(super) async fn resolve_identity(
        &self,
        reading: &Reading<'_>,
        providers: Pinned<'_>,
    ) -> Result<Arc<Resolution>, EngineError> {
        let Reading {
            node, rules, forms, ..
        } = reading;
        let Some(plan) = &node.plan else {
            return Err(EngineError::NotBuilt(node.id.clone()));
        };
        let builder = GraphBuilder::new(BlockedValues::default())
            .with_rules(rules::rules_of(rules)?)
            .map_err(|source| self.identity_error(node, source))?;
        let statement = self
            .engine
            .statement(false)
            .over_plan("query", plan, providers)?;
        let preparer = Arc::new(builder.preparer());
        let of_types = Arc::clone(forms);
        let fed = feed(
            reading.streams(&statement).await?,
            &self.request.cancel,
            move |batch| Ok(preparer.prepare(Rows::of(&batch, &of_types)?.observations())?),
            builder,
            |builder, batch| Ok(builder.take(&batch)?),
        );
        let builder = fed
            .await?
            .map_err(|source| self.identity_error(node, source))?;
        let mut builder = self.recall(node, builder).await?;
        self.recall_formers(node, &mut builder).await?;
        let builder = match tokio::task::spawn_blocking(move || builder.check()).await? {
            Checked::Sound(builder) => builder,
            Checked::Failing(replay) => {
                let of_types = Arc::clone(forms);
                let fed = feed(
                    reading.streams(&statement).await?,
                    &self.request.cancel,
                    Ok,
                    replay,
                    move |replay, batch| Rows::of(&batch, &of_types)?.replay(replay),
                );
                let replay = fed
                    .await?
                    .map_err(|source| self.identity_error(node, source))?;
                tokio::task::spawn_blocking(move || replay.finish()).await?
            }
        };
        let options = self.resolve_options(reading);
        let resolution = tokio::task::spawn_blocking(move || builder.resolve(&options.as_ref()));
        Ok(Arc::new(resolution.await?))
    }

    pub(super) fn resolve_options(&self, reading: &Reading<'_>) -> Options {
        let salt = reading.rules.salt.as_ref();
        Options {
            entity: reading.entity().to_owned(),
            salt: salt.map(|salt| salt.value.clone()).unwrap_or_default(),
            as_of: self.engine.clock.as_of.timestamp_micros(),
        }
    }

    pub(super) fn identity_error(
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
        mut builder: GraphBuilder,
    ) -> Result<GraphBuilder, EngineError> {
        if let Some(previous) = self.previous_provider(node, None).await? {
            let columns = previous.schema();
            let statement =
                self.engine
                    .statement(false)
                    .over_table("previous", Some(previous), &columns)?;
            let sql =
                "SELECT id_type, id_value, canonical_id, minted_at FROM kinfold._run.previous";
            let preparer = Arc::new(builder.preparer());
            let fed = feed(
                statement.streams(sql).await?,
                &self.request.cancel,
                move |batch| previous_ids(&batch, &preparer),
                builder,
                |builder, batch| Ok(builder.take_previous(&batch)?),
            );
            builder = fed
                .await?
                .map_err(|source| self.identity_error(node, source))?;
        }
        if let Some(changes) = self.previous_provider(node, Some("changes")).await? {
            let columns = changes.schema();
            let statement =
                self.engine
                    .statement(false)
                    .over_table("changes", Some(changes), &columns)?;
            for mut stream in statement.streams(RETIRED).await? {
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
        Ok(builder)
    }
}
