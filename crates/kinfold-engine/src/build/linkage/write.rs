//! Building: pairs with their weights, and the links of those that are one.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanBuilder, Float64Builder, RecordBatch, StringBuilder,
    TimestampMicrosecondBuilder,
};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::execution::SendableRecordBatchStream;
use kinfold_compile::compile::CompiledNode;
use kinfold_identity::linkage::{
    Blocking, ClusterOptions, Linkage, LinkageError, Parameters, ScoredPair, best_links,
    connected_components,
};
use kinfold_project::linkage::Clustering;

use super::super::identity::produce;
use super::super::table::{Made, Mark};
use super::super::{Pinned, Run};
use super::{LinkageFailure, Prepared, Shared, bits, parameters_of};
use crate::EngineError;

/// Rows of one record batch of the result.
const BATCH: usize = 8192;

/// Pairs of a lower probability are not written, unless the threshold is lower.
const LEAST: f64 = 0.5;

impl Run<'_> {
    pub(in super::super) async fn linkage(
        &self,
        node: &CompiledNode,
        providers: Pinned<'_>,
        key: &str,
    ) -> Result<Made, EngineError> {
        let (Some(relation), Some(schema)) = (&node.relation, &node.schema) else {
            return Err(EngineError::NotBuilt(node.id.clone()));
        };
        let failed = |source| EngineError::Linkage {
            node: node.id.clone(),
            source,
        };
        let (Some(file), Some(rules)) = (&node.parameters, &node.config.linkage) else {
            return Err(failed(LinkageFailure::Untrained));
        };
        let parameters = parameters_of(file, rules);
        let prepared = self
            .engine
            .prepare_linkage(node, providers, &self.request.cancel)
            .await?;
        let linked = tokio::task::spawn_blocking(move || Linked::of(prepared, parameters))
            .await?
            .map_err(|error| failed(LinkageFailure::Records(error)))?;
        let linked = Arc::new(linked);
        let at = (relation.schema.as_str(), relation.name.as_str());
        let pairs = linked.pairs(schema);
        let own = self
            .engine
            .replace(at, Arc::clone(schema), vec![pairs], None)
            .await?;
        let mut companions = BTreeMap::new();
        for companion in &node.companions {
            let at = (
                companion.relation.schema.as_str(),
                companion.relation.name.as_str(),
            );
            let links = linked.links(&node.name, &companion.schema);
            let table = self
                .engine
                .replace(at, Arc::clone(&companion.schema), vec![links], None)
                .await?;
            companions.insert(companion.suffix.to_owned(), table);
        }
        let mark = Mark {
            key,
            companions: &companions,
        };
        let table = self.engine.mark(at, schema, &own, mark).await?;
        Ok(Made { table, companions })
    }
}

/// Records with what was found out about them.
pub(crate) struct Linked {
    pub(crate) prepared: Shared,
    pub(crate) parameters: Parameters,
    pub(crate) pairs: Vec<ScoredPair>,
    /// For each record the least record of its cluster.
    pub(crate) clusters: Vec<u32>,
    /// The clusters by which the frequencies of the weights were counted: those of a first round.
    pub(crate) entities: Option<Vec<u32>>,
    /// The weight from which on a pair is a link.
    pub(crate) link: f64,
}

impl Linked {
    pub(crate) fn of(prepared: Prepared, parameters: Parameters) -> Result<Self, LinkageError> {
        let rules = &prepared.rules;
        let threshold = bits(rules.threshold.value);
        let average = ClusterOptions {
            connect: rules.average.connect.map_or(threshold, bits),
            merge: rules.average.merge.map_or(threshold, bits),
            ..ClusterOptions::default()
        };
        let link = match rules.clustering {
            Clustering::Average => average.connect,
            Clustering::Connected | Clustering::OneToOne => threshold,
        };
        let least = link.min(bits(LEAST));
        let linkage = Linkage::new(
            &prepared.records,
            &prepared.comparisons,
            prepared.scope,
            prepared.threads,
        )?;
        let keys = prepared.keys_of(&rules.blocking);
        let blocking = Blocking::new(
            &prepared.records,
            prepared.scope,
            &keys,
            rules.max_block,
            prepared.threads,
        )?;
        // How rare a value is among people is known only when records of one person are together.
        let mut entities: Option<Vec<u32>> = None;
        let frequencies = rules
            .comparisons
            .iter()
            .any(|c| c.levels.iter().any(|level| level.term_frequency > 0.0));
        loop {
            let scorer = linkage.scorer(&parameters, entities.as_deref())?;
            let pairs = scorer.score(&blocking, least);
            let clusters = match rules.clustering {
                Clustering::Connected => connected_components(&prepared.records, &pairs, threshold),
                Clustering::OneToOne => best_links(&prepared.records, &pairs, threshold),
                Clustering::Average => scorer.cluster(&pairs, average),
            };
            if entities.is_none() && frequencies {
                entities = Some(clusters);
                continue;
            }
            drop(scorer);
            drop(blocking);
            drop(linkage);
            return Ok(Self {
                entities,
                clusters,
                pairs,
                parameters,
                link,
                prepared: Arc::new(prepared),
            });
        }
    }

    pub(crate) fn together(&self, pair: &ScoredPair) -> bool {
        let cluster = |record: u32| self.clusters.get(record as usize);
        pair.weight >= self.link && cluster(pair.left) == cluster(pair.right)
    }

    pub(crate) fn name(&self, record: u32) -> (&str, &str) {
        let prepared = &self.prepared;
        prepared.rows.name(prepared.records.row(record))
    }

    /// The pairs, the record whose name is the lesser first, in the order of their names.
    fn pairs(self: &Arc<Self>, schema: &SchemaRef) -> SendableRecordBatchStream {
        let (linked, columns) = (Arc::clone(self), Arc::clone(schema));
        produce(schema, move |emit| {
            let prepared = &linked.prepared;
            let Ok(linkage) = Linkage::new(
                &prepared.records,
                &prepared.comparisons,
                prepared.scope,
                prepared.threads,
            ) else {
                return;
            };
            let Ok(scorer) = linkage.scorer(&linked.parameters, linked.entities.as_deref()) else {
                return;
            };
            for part in linked.pairs.chunks(BATCH) {
                let mut texts: [StringBuilder; 4] = Default::default();
                let (mut weights, mut probabilities) =
                    (Float64Builder::new(), Float64Builder::new());
                let (mut rules, mut ones) = (StringBuilder::new(), BooleanBuilder::new());
                let mut prior = Float64Builder::new();
                let mut parts: Vec<Float64Builder> = prepared
                    .comparisons
                    .iter()
                    .map(|_| Float64Builder::new())
                    .collect();
                for pair in part {
                    let (mut left, mut right) = (linked.name(pair.left), linked.name(pair.right));
                    if right < left {
                        std::mem::swap(&mut left, &mut right);
                    }
                    for (builder, text) in texts.iter_mut().zip([left.0, left.1, right.0, right.1])
                    {
                        builder.append_value(text);
                    }
                    weights.append_value(pair.weight);
                    probabilities.append_value(pair.probability());
                    rules.append_option(linked.rule(pair));
                    ones.append_value(linked.together(pair));
                    let explained = scorer.explain(pair.left, pair.right);
                    prior.append_value(explained.prior);
                    for (builder, part) in parts.iter_mut().zip(&explained.parts) {
                        builder.append_value(part.weight + part.term_frequency);
                    }
                }
                let mut arrays: Vec<ArrayRef> = texts
                    .iter_mut()
                    .map(|builder| Arc::new(builder.finish()) as ArrayRef)
                    .collect();
                arrays.push(Arc::new(weights.finish()));
                arrays.push(Arc::new(probabilities.finish()));
                arrays.push(Arc::new(rules.finish()));
                arrays.push(Arc::new(ones.finish()));
                arrays.push(Arc::new(prior.finish()));
                arrays.extend(
                    parts
                        .iter_mut()
                        .map(|builder| Arc::new(builder.finish()) as ArrayRef),
                );
                if !emit(RecordBatch::try_new(Arc::clone(&columns), arrays)) {
                    return;
                }
            }
        })
    }

    /// The first blocking rule that brings the pair.
    fn rule(&self, pair: &ScoredPair) -> Option<String> {
        let rules = &self.prepared.rules.blocking;
        let key = |keys: &[u64], record: u32| keys.get(record as usize).copied().unwrap_or(0);
        rules.iter().find_map(|rule| {
            let mut known = self.prepared.keys.iter();
            let (_, keys) = known.find(|(known, _)| super::same(known, rule))?;
            let (left, right) = (key(keys, pair.left), key(keys, pair.right));
            (left != 0 && left == right).then(|| {
                let texts: Vec<&str> = rule.expressions.iter().map(|e| e.value.as_str()).collect();
                texts.join(", ")
            })
        })
    }

    /// Rows for an identity: each record with itself as identifier, and each cluster as a record that carries all
    /// of its members, each with the weight of its best pair there.
    fn links(self: &Arc<Self>, model: &str, schema: &SchemaRef) -> SendableRecordBatchStream {
        let (linked, columns, model) = (Arc::clone(self), Arc::clone(schema), model.to_owned());
        produce(schema, move |emit| {
            let records = &linked.prepared.records;
            let count = u32::try_from(records.len()).unwrap_or(u32::MAX);
            let mut sizes = vec![0_u32; records.len()];
            let mut best = vec![linked.link; records.len()];
            for cluster in &linked.clusters {
                if let Some(size) = sizes.get_mut(*cluster as usize) {
                    *size += 1;
                }
            }
            for pair in linked.pairs.iter().filter(|pair| linked.together(pair)) {
                for record in [pair.left, pair.right] {
                    if let Some(best) = best.get_mut(record as usize) {
                        *best = best.max(pair.weight);
                    }
                }
            }
            // The name of a cluster is that of its first member by name.
            let mut names: BTreeMap<u32, (&str, &str)> = BTreeMap::new();
            for record in 0..count {
                let cluster = linked.clusters.get(record as usize).copied();
                let Some(cluster) =
                    cluster.filter(|c| sizes.get(*c as usize).is_some_and(|s| *s > 1))
                else {
                    continue;
                };
                let own = linked.name(record);
                let name = names.entry(cluster).or_insert(own);
                *name = own.min(*name);
            }
            let mut record = 0;
            while record < count {
                let (mut texts, mut times) = (
                    <[StringBuilder; 5]>::default(),
                    TimestampMicrosecondBuilder::new().with_timezone("UTC"),
                );
                let mut weights = Float64Builder::new();
                let end = count.min(record.saturating_add(8192));
                for record in record..end {
                    let (source, id) = linked.name(record);
                    let value = format!("{source}/{id}");
                    let mut row =
                        |source: &str, id: &str, link: Option<&str>, weight: Option<f64>| {
                            let [sources, ids, types, values, links] = &mut texts;
                            sources.append_value(source);
                            ids.append_value(id);
                            types.append_value("record");
                            values.append_value(&value);
                            links.append_option(link);
                            times.append_null();
                            weights.append_option(weight);
                        };
                    row(source, id, None, None);
                    let cluster = linked.clusters.get(record as usize);
                    if let Some((first_source, first)) = cluster.and_then(|c| names.get(c)) {
                        let weight = best.get(record as usize).copied();
                        row(
                            &model,
                            &format!("{first_source}/{first}"),
                            Some("link"),
                            weight,
                        );
                    }
                }
                record = end;
                let [sources, ids, types, values, links] = &mut texts;
                let arrays: Vec<ArrayRef> = vec![
                    Arc::new(sources.finish()),
                    Arc::new(ids.finish()),
                    Arc::new(types.finish()),
                    Arc::new(values.finish()),
                    Arc::new(times.finish()),
                    Arc::new(links.finish()),
                    Arc::new(weights.finish()),
                ];
                if !emit(RecordBatch::try_new(Arc::clone(&columns), arrays)) {
                    return;
                }
            }
        })
    }
}
