//! A model of a data set, and its run from the records to the clusters.

use std::collections::HashMap;
use std::time::Instant;

use kinfold_identity::linkage::*;

use crate::table::{Table, Values};

/// Columns of a data set with their names, and what is compared.
pub struct Model {
    pub records: Records,
    pub columns: HashMap<&'static str, Values>,
    pub comparisons: Vec<Comparison>,
    pub scope: Scope,
    /// Rules that hold for hardly any two people, and the share of true pairs they find.
    pub strict: Vec<Vec<&'static str>>,
    pub recall: f64,
    /// Rules to learn from, with the comparisons that they fix.
    pub training: Vec<(Vec<&'static str>, Vec<&'static str>)>,
    pub blocking: Vec<Vec<&'static str>>,
    pub max_block: u64,
    pub cluster: ClusterOptions,
    pub entities: Vec<u32>,
}

/// What a run gave, by record.
pub struct Outcome {
    pub pairs: Vec<ScoredPair>,
    pub clusters: Vec<u32>,
    pub best_links: Vec<u32>,
    pub entities: Vec<u32>,
}

/// Records with ids and sources; entities are numbered by their first row.
pub fn start(
    table: &Table,
    ids: &Values,
    sources: Vec<u16>,
    truth: &Values,
) -> (Records, Vec<u32>) {
    let keys: Vec<u64> = ids.iter().map(|id| hash_key(&[id.as_deref()])).collect();
    let mut numbers = HashMap::new();
    let entities = truth
        .iter()
        .map(|entity| {
            let next = numbers.len() as u32;
            *numbers.entry(entity.clone().unwrap()).or_insert(next)
        })
        .collect();
    assert_eq!(table.len, keys.len());
    (Records::new(&keys, &sources).unwrap(), entities)
}

impl Model {
    pub fn keys(&self, rules: &[Vec<&'static str>]) -> Vec<Vec<u64>> {
        rules
            .iter()
            .map(|rule| {
                let keys: Vec<u64> = (0..self.records.len())
                    .map(|row| {
                        let parts: Vec<Option<&str>> = rule
                            .iter()
                            .map(|name| {
                                self.columns.get(name).unwrap_or_else(|| panic!("{name}"))[row]
                                    .as_deref()
                            })
                            .collect();
                        hash_key(&parts)
                    })
                    .collect();
                self.records.arrange(&keys).unwrap()
            })
            .collect()
    }

    pub fn run(&self, threads: usize) -> Outcome {
        let time = Instant::now();
        let lap = |what: &str| eprintln!("{:8.2} s {what}", time.elapsed().as_secs_f64());
        let entities = self.records.arrange(&self.entities).unwrap();
        let strict = self.keys(&self.strict);
        let rules = self.keys(&self.blocking);
        let training: Vec<TrainingRule> = self
            .training
            .iter()
            .zip(
                self.keys(
                    &self
                        .training
                        .iter()
                        .map(|rule| rule.0.clone())
                        .collect::<Vec<_>>(),
                ),
            )
            .map(|((_, fixed), keys)| TrainingRule {
                keys,
                fixed: (0..self.comparisons.len())
                    .filter(|at| fixed.contains(&self.comparisons[*at].name.as_str()))
                    .collect(),
            })
            .collect();
        lap("keys");
        let linkage = Linkage::new(&self.records, &self.comparisons, self.scope, threads).unwrap();
        let Trained {
            parameters,
            sessions,
            problems,
        } = linkage
            .train(Training {
                strict: &strict,
                recall: self.recall,
                rules: &training,
                sample: USample::default(),
                em: EmOptions::default(),
            })
            .unwrap();
        lap(&format!("trained {problems:?}"));
        for session in sessions {
            eprintln!(
                "  session {} pairs {} patterns {} iterations share {:.4}",
                session.pairs, session.patterns, session.iterations, session.share
            );
        }
        if std::env::var_os("VERBOSE").is_some() {
            eprintln!("prior {:e}", parameters.prior);
            for comparison in &parameters.comparisons {
                for level in &comparison.levels {
                    eprintln!(
                        "  {:14} {:24} m {:.5} u {:.7} weight {:6.2}",
                        comparison.name,
                        level.label,
                        level.m,
                        level.u,
                        level.weight()
                    );
                }
            }
        }
        let blocking =
            Blocking::new(&self.records, self.scope, &rules, self.max_block, threads).unwrap();
        if std::env::var_os("VERBOSE").is_some() {
            for (rule, count) in self.blocking.iter().zip(blocking.counts()) {
                eprintln!("  {rule:?} {count:?}");
            }
        }
        let scorer = linkage.scorer(&parameters, None).unwrap();
        let pairs = scorer.score(&blocking, -10.0);
        lap(&format!("{} pairs scored", pairs.len()));
        let clusters = scorer.cluster(&pairs, self.cluster);
        lap("clusters");
        let scorer = linkage.scorer(&parameters, Some(&clusters)).unwrap();
        let pairs = scorer.score(&blocking, -10.0);
        lap("second scores");
        let clusters = scorer.cluster(&pairs, self.cluster);
        lap("second clusters");
        let best_links = best_links(&self.records, &pairs, self.cluster.connect);
        Outcome {
            pairs,
            clusters,
            best_links,
            entities,
        }
    }
}

impl Outcome {
    pub fn clusters(&self) -> Quality {
        cluster_pairs(&self.clusters, &self.entities)
    }

    pub fn best_links(&self) -> Quality {
        cluster_pairs(&self.best_links, &self.entities)
    }

    /// Of the pairs of at least a weight, each taken by itself.
    pub fn pairs_from(&self, weight: f64) -> Quality {
        pairs_by_threshold(&self.pairs, &self.entities, self.truth(), &[weight])[0].quality
    }

    pub fn truth(&self) -> u64 {
        let mut sorted = self.entities.clone();
        sorted.sort_unstable();
        sorted
            .chunk_by(PartialEq::eq)
            .map(|c| c.len() as u64 * (c.len() as u64 - 1) / 2)
            .sum()
    }

    pub fn report(&self, name: &str, model: &Model) {
        let show = |what: &str, q: Quality| {
            eprintln!(
                "{name}: {what} P {:.4} R {:.4} F1 {:.4}",
                q.precision,
                q.recall,
                q.f1()
            )
        };
        for line in pairs_by_threshold(
            &self.pairs,
            &self.entities,
            self.truth(),
            &[-100.0, -3.0, 0.0, 3.0, 6.0],
        ) {
            show(
                &format!("pairs >= {:4} ({})", line.weight, line.pairs),
                line.quality,
            );
        }
        for least in [0.0, 4.0] {
            show(
                &format!("components {least}"),
                cluster_pairs(
                    &connected_components(&model.records, &self.pairs, least),
                    &self.entities,
                ),
            );
        }
        show("best links", self.best_links());
        show("clusters", self.clusters());
        show("b-cubed", b_cubed(&self.clusters, &self.entities));
    }
}
