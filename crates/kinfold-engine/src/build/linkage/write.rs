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
    Blocking, ClusterOptions, Linkage, LinkageError, Parameters, ScoredPair, Scorer, Weights,
    best_links, connected_components, map_in_order,
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

/// Bits below the least weight from which on pairs are kept for the second round. If no pair can gain as much, the
/// other pairs need not be looked at again.
const SLACK: f64 = 8.0;

/// Rows of a table from which on it is written as several files at once.
const LARGE: usize = 1 << 16;

impl Run<'_> {
    /// Scores the pairs of the records and writes them. Beside what was made: how, as the end of a sentence.
    pub(in super::super) async fn linkage(
        &self,
        node: &CompiledNode,
        providers: Pinned<'_>,
        key: &str,
    ) -> Result<(Made, String), EngineError> {
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
        let how = match prepared.unnamed {
            0 => String::new(),
            rows => format!("; {rows} rows without source or record_id are in no pair"),
        };
        let linked = tokio::task::spawn_blocking(move || Linked::of(prepared, parameters))
            .await?
            .map_err(|error| failed(LinkageFailure::Records(error)))?;
        let linked = Arc::new(linked);
        let members = {
            let linked = Arc::clone(&linked);
            Arc::new(tokio::task::spawn_blocking(move || Members::new(&linked)).await?)
        };
        let at = (relation.schema.as_str(), relation.name.as_str());
        let pairs = linked.pairs(schema);
        let own = self
            .engine
            .replace(at, Arc::clone(schema), pairs, None)
            .await?;
        let mut companions = BTreeMap::new();
        for companion in &node.companions {
            let at = (
                companion.relation.schema.as_str(),
                companion.relation.name.as_str(),
            );
            let links = linked.links(&members, &node.name, &companion.schema);
            let table = self
                .engine
                .replace(at, Arc::clone(&companion.schema), links, None)
                .await?;
            companions.insert(companion.suffix.to_owned(), table);
        }
        let mark = Mark {
            key,
            companions: &companions,
        };
        let table = self.engine.mark(at, schema, &own, mark).await?;
        Ok((Made { table, companions }, how))
    }
}

/// Records with what was found out about them.
pub(crate) struct Linked {
    pub(crate) prepared: Shared,
    pub(crate) parameters: Parameters,
    pub(crate) pairs: Vec<ScoredPair>,
    /// For each pair the first blocking rule that brings it.
    rules: Vec<u16>,
    /// What the pairs were scored with.
    weights: Arc<Weights>,
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
        let cluster = |scorer: &Scorer<'_>, pairs: &[ScoredPair]| match rules.clustering {
            Clustering::Connected => connected_components(&prepared.records, pairs, threshold),
            Clustering::OneToOne => best_links(&prepared.records, pairs, threshold),
            Clustering::Average => scorer.cluster(pairs, average),
        };
        let frequencies = rules
            .comparisons
            .iter()
            .any(|c| c.levels.iter().any(|level| level.term_frequency > 0.0));
        let slack = if frequencies { SLACK } else { 0.0 };
        let mut weights = Arc::new(linkage.weights(&parameters, None)?);
        let mut scorer = linkage.scorer_of(Arc::clone(&weights));
        let mut pairs = scorer.score(&blocking, least - slack);
        let mut clusters = cluster(&scorer, &pairs);
        let mut entities: Option<Vec<u32>> = None;
        if frequencies {
            // How rare a value is among people is known only when records of one person are together.
            let first = weights;
            weights = Arc::new(linkage.weights(&parameters, Some(&clusters))?);
            scorer = linkage.scorer_of(Arc::clone(&weights));
            // Sums of bits are rounded.
            pairs = if weights.gain(&first) + 1e-6 < slack {
                scorer.rescore(&pairs, least)
            } else {
                scorer.score(&blocking, least)
            };
            entities = Some(std::mem::replace(&mut clusters, cluster(&scorer, &pairs)));
        }
        let parts: Vec<&[ScoredPair]> = pairs.chunks(BATCH).collect();
        let brought = map_in_order(
            prepared.threads,
            &parts,
            || (),
            |(), part| {
                let rules = part.iter().map(|pair| {
                    let rule = blocking.rule_of(pair.left, pair.right);
                    rule.and_then(|rule| u16::try_from(rule).ok())
                        .unwrap_or(u16::MAX)
                });
                rules.collect::<Vec<_>>()
            },
        );
        let brought = brought.into_iter().flatten().collect();
        drop(scorer);
        drop(blocking);
        drop(linkage);
        Ok(Self {
            entities,
            clusters,
            pairs,
            rules: brought,
            weights,
            parameters,
            link,
            prepared: Arc::new(prepared),
        })
    }

    pub(crate) fn together(&self, pair: &ScoredPair) -> bool {
        let cluster = |record: u32| self.clusters.get(record as usize);
        pair.weight >= self.link && cluster(pair.left) == cluster(pair.right)
    }

    pub(crate) fn name(&self, record: u32) -> (&str, &str) {
        let prepared = &self.prepared;
        prepared.rows.name(prepared.records.row(record))
    }

    /// Ranges of so many rows that are written at once.
    fn ranges(&self, rows: usize) -> Vec<std::ops::Range<usize>> {
        let files = if rows < LARGE {
            1
        } else {
            self.prepared.threads
        };
        let size = rows.div_ceil(files.max(1)).max(1);
        (0..rows.max(1))
            .step_by(size)
            .map(|from| from..rows.min(from + size))
            .collect()
    }

    /// The pairs, the record whose name is the lesser first.
    fn pairs(self: &Arc<Self>, schema: &SchemaRef) -> Vec<SendableRecordBatchStream> {
        let ranges = self.ranges(self.pairs.len()).into_iter();
        ranges.map(|range| self.pairs_of(range, schema)).collect()
    }

    fn pairs_of(
        self: &Arc<Self>,
        range: std::ops::Range<usize>,
        schema: &SchemaRef,
    ) -> SendableRecordBatchStream {
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
            let scorer = linkage.scorer_of(Arc::clone(&linked.weights));
            let mut state = scorer.state();
            let names = prepared.rules.blocking.iter().map(|rule| {
                let texts: Vec<&str> = rule.expressions.iter().map(|e| e.value.as_str()).collect();
                texts.join(", ")
            });
            let names: Vec<String> = names.collect();
            let pairs = linked.pairs.get(range.clone()).unwrap_or_default();
            let rules = linked.rules.get(range).unwrap_or_default();
            for (pairs, brought) in pairs.chunks(BATCH).zip(rules.chunks(BATCH)) {
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
                let mut values = vec![];
                for (pair, rule) in pairs.iter().zip(brought) {
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
                    rules.append_option(names.get(usize::from(*rule)));
                    ones.append_value(linked.together(pair));
                    prior.append_value(scorer.prior());
                    scorer.parts(&mut state, pair.left, pair.right, &mut values);
                    for (builder, value) in parts.iter_mut().zip(&values) {
                        builder.append_value(*value);
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

    /// Rows for an identity: each record with itself as identifier, and each cluster as a record that carries all
    /// of its members, each with the weight of its best pair there.
    fn links(
        self: &Arc<Self>,
        members: &Arc<Members>,
        model: &str,
        schema: &SchemaRef,
    ) -> Vec<SendableRecordBatchStream> {
        let ranges = self.ranges(self.prepared.records.len()).into_iter();
        let streams = ranges.map(|range| {
            let (linked, members) = (Arc::clone(self), Arc::clone(members));
            let (columns, model) = (Arc::clone(schema), model.to_owned());
            produce(schema, move |emit| {
                let mut value = String::new();
                let mut cluster = String::new();
                for from in range.clone().step_by(BATCH) {
                    let mut rows = LinkRows::default();
                    for record in from..range.end.min(from + BATCH) {
                        // Records are counted in 32 bits.
                        let record = u32::try_from(record).unwrap_or(u32::MAX);
                        let (source, id) = linked.name(record);
                        write_name(&mut value, source, id);
                        rows.add((source, id), &value, None);
                        if let Some((naming, weight)) = members.of(&linked, record) {
                            let (source, id) = linked.name(naming);
                            write_name(&mut cluster, source, id);
                            rows.add((&model, &cluster), &value, Some(weight));
                        }
                    }
                    if !emit(RecordBatch::try_new(Arc::clone(&columns), rows.finish())) {
                        return;
                    }
                }
            })
        });
        streams.collect()
    }
}

fn write_name(name: &mut String, source: &str, id: &str) {
    name.clear();
    name.push_str(source);
    name.push('/');
    name.push_str(id);
}

/// What is known of the members of each cluster.
struct Members {
    /// For each least record of a cluster how many records it has.
    sizes: Vec<u32>,
    /// And the record whose name is the first: the cluster is called after it.
    naming: Vec<u32>,
    /// For each record the weight of its best pair within its cluster.
    best: Vec<f64>,
}

impl Members {
    fn new(linked: &Linked) -> Self {
        let count = linked.clusters.len();
        let mut members = Self {
            sizes: vec![0; count],
            naming: linked.clusters.clone(),
            best: vec![linked.link; count],
        };
        for (record, cluster) in (0..).zip(&linked.clusters) {
            let cluster = *cluster as usize;
            if let (Some(size), Some(naming)) = (
                members.sizes.get_mut(cluster),
                members.naming.get_mut(cluster),
            ) {
                *size += 1;
                if linked.name(record) < linked.name(*naming) {
                    *naming = record;
                }
            }
        }
        for pair in linked.pairs.iter().filter(|pair| linked.together(pair)) {
            for record in [pair.left, pair.right] {
                if let Some(best) = members.best.get_mut(record as usize) {
                    *best = best.max(pair.weight);
                }
            }
        }
        members
    }

    /// The record that the cluster of a record is called after, and the weight that it has there; none for a record
    /// that is alone.
    fn of(&self, linked: &Linked, record: u32) -> Option<(u32, f64)> {
        let cluster = *linked.clusters.get(record as usize)? as usize;
        let alone = self.sizes.get(cluster).is_none_or(|size| *size < 2);
        let found = (*self.naming.get(cluster)?, *self.best.get(record as usize)?);
        (!alone).then_some(found)
    }
}

/// Rows of the companion `links`.
struct LinkRows {
    /// Source, record, type, value, link.
    texts: [StringBuilder; 5],
    times: TimestampMicrosecondBuilder,
    weights: Float64Builder,
}

impl Default for LinkRows {
    fn default() -> Self {
        Self {
            texts: Default::default(),
            times: TimestampMicrosecondBuilder::new().with_timezone("UTC"),
            weights: Float64Builder::new(),
        }
    }
}

impl LinkRows {
    /// A record with the identifier of a record; with a weight it is a link.
    fn add(&mut self, (source, id): (&str, &str), value: &str, weight: Option<f64>) {
        let [sources, ids, types, values, links] = &mut self.texts;
        sources.append_value(source);
        ids.append_value(id);
        types.append_value("record");
        values.append_value(value);
        links.append_option(weight.map(|_| "link"));
        self.times.append_null();
        self.weights.append_option(weight);
    }

    fn finish(mut self) -> Vec<ArrayRef> {
        let [sources, ids, types, values, links] = &mut self.texts;
        vec![
            Arc::new(sources.finish()),
            Arc::new(ids.finish()),
            Arc::new(types.finish()),
            Arc::new(values.finish()),
            Arc::new(self.times.finish()),
            Arc::new(links.finish()),
            Arc::new(self.weights.finish()),
        ]
    }
}
