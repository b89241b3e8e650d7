//! The people of an identity against labels.

use std::collections::{BTreeMap, BTreeSet};

use kinfold_identity::linkage::{Confusion, b_cubed, cluster_pairs, exact_clusters};
use serde::Serialize;

use super::{LabelCounts, Labels, RecordName, Score, Truth};

/// A person with records of several labelled clusters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mixed {
    /// The person.
    pub canonical_id: String,
    /// Labelled clusters in it.
    pub clusters: u64,
    /// Pairs of records in it that are of two clusters.
    pub false_pairs: u64,
    /// Two of its records that are of two clusters.
    pub example: (RecordName, RecordName),
}

/// A labelled cluster with records of several people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Split {
    /// The cluster, as the labels call it.
    pub cluster: String,
    /// People that its records belong to.
    pub people: u64,
    /// Pairs of records in it that are of two people.
    pub missed_pairs: u64,
    /// Two of its records that are of two people.
    pub example: (RecordName, RecordName),
}

/// An identity against labels.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PeopleEvaluation {
    /// The labels.
    pub labels: LabelCounts,
    /// Pairs of records of one person.
    pub pairs: Score,
    /// People that are exactly one cluster; none if the labels are pairs.
    pub clusters: Option<Score>,
    /// B-cubed; none if the labels are pairs.
    pub b_cubed: Option<Score>,
    /// The people that mix most.
    pub mixed: Vec<Mixed>,
    /// The clusters that are in most pieces.
    pub split: Vec<Split>,
    /// Labelled pairs that are wrong, if the labels are pairs: two people that are one here, and the other way
    /// round.
    pub wrong_pairs: Vec<(RecordName, RecordName)>,
    /// One person that is two here.
    pub missed_pairs: Vec<(RecordName, RecordName)>,
}

impl PeopleEvaluation {
    /// Judges people by labels. `people` is the canonical id of each record that the labels name, as far as the
    /// identity has it; `worst` of each kind are shown.
    #[must_use]
    pub fn new(labels: &Labels, people: &BTreeMap<RecordName, String>, worst: usize) -> Self {
        match &labels.truth {
            Truth::Clusters(clusters) => Self::by_clusters(labels, clusters, people, worst),
            Truth::Pairs(_) => Self::by_pairs(labels, people, worst),
        }
    }

    fn by_clusters(
        labels: &Labels,
        clusters: &BTreeMap<RecordName, String>,
        people: &BTreeMap<RecordName, String>,
        worst: usize,
    ) -> Self {
        let known: Vec<(&RecordName, &str, &str)> = clusters
            .iter()
            .filter_map(|(name, cluster)| {
                Some((name, cluster.as_str(), people.get(name)?.as_str()))
            })
            .collect();
        let truth = codes(known.iter().map(|(_, cluster, _)| *cluster));
        let found = codes(known.iter().map(|(_, _, person)| *person));
        let by_person = known
            .iter()
            .map(|(name, cluster, person)| (*person, *cluster, *name));
        let mut mixed: Vec<Mixed> = torn(by_person)
            .into_iter()
            .map(|torn| Mixed {
                canonical_id: torn.whole,
                clusters: torn.parts,
                false_pairs: torn.pairs,
                example: torn.example,
            })
            .collect();
        let by_cluster = known
            .iter()
            .map(|(name, cluster, person)| (*cluster, *person, *name));
        let mut split: Vec<Split> = torn(by_cluster)
            .into_iter()
            .map(|torn| Split {
                cluster: torn.whole,
                people: torn.parts,
                missed_pairs: torn.pairs,
                example: torn.example,
            })
            .collect();
        mixed.truncate(worst);
        split.truncate(worst);
        Self {
            labels: LabelCounts {
                form: "clusters",
                labelled: labels.labelled,
                unlabelled: labels.unlabelled,
                unknown: (clusters.len() - known.len()) as u64,
                used: known.len() as u64,
            },
            pairs: cluster_pairs(&found, &truth).into(),
            clusters: Some(exact_clusters(&found, &truth).into()),
            b_cubed: Some(b_cubed(&found, &truth).into()),
            mixed,
            split,
            wrong_pairs: Vec::new(),
            missed_pairs: Vec::new(),
        }
    }

    fn by_pairs(labels: &Labels, people: &BTreeMap<RecordName, String>, worst: usize) -> Self {
        let Truth::Pairs(pairs) = &labels.truth else {
            return Self::by_clusters(labels, &BTreeMap::new(), people, worst);
        };
        let mut confusion = Confusion::default();
        let (mut wrong, mut missed) = (Vec::new(), Vec::new());
        let mut used = 0;
        for label in pairs {
            let (Some(left), Some(right)) = (people.get(&label.left), people.get(&label.right))
            else {
                continue;
            };
            used += 1;
            let names = || (label.left.clone(), label.right.clone());
            match (label.is_match, left == right) {
                (true, true) => confusion.true_positives += 1,
                (false, false) => confusion.true_negatives += 1,
                (false, true) => {
                    confusion.false_positives += 1;
                    wrong.push(names());
                }
                (true, false) => {
                    confusion.false_negatives += 1;
                    missed.push(names());
                }
            }
        }
        wrong.truncate(worst);
        missed.truncate(worst);
        Self {
            labels: LabelCounts {
                form: "pairs",
                labelled: labels.labelled,
                unlabelled: labels.unlabelled,
                unknown: pairs.len() as u64 - used,
                used,
            },
            pairs: confusion.quality().into(),
            clusters: None,
            b_cubed: None,
            mixed: Vec::new(),
            split: Vec::new(),
            wrong_pairs: wrong,
            missed_pairs: missed,
        }
    }
}

impl Labels {
    /// The records that they name.
    #[must_use]
    pub fn records(&self) -> BTreeSet<&RecordName> {
        match &self.truth {
            Truth::Clusters(clusters) => clusters.keys().collect(),
            Truth::Pairs(pairs) => {
                let names = pairs.iter().flat_map(|pair| [&pair.left, &pair.right]);
                names.collect()
            }
        }
    }
}

/// Names as dense numbers.
fn codes<'a>(names: impl Iterator<Item = &'a str>) -> Vec<u32> {
    let mut known: BTreeMap<&str, u32> = BTreeMap::new();
    names
        .map(|name| {
            let next = u32::try_from(known.len()).unwrap_or(u32::MAX);
            *known.entry(name).or_insert(next)
        })
        .collect()
}

/// Something that should be one and is in parts.
struct Torn {
    whole: String,
    parts: u64,
    /// Pairs of records in different parts.
    pairs: u64,
    example: (RecordName, RecordName),
}

/// Those with more than one part, the most pairs first.
fn torn<'a>(rows: impl Iterator<Item = (&'a str, &'a str, &'a RecordName)>) -> Vec<Torn> {
    let mut wholes: BTreeMap<&str, BTreeMap<&str, Vec<&RecordName>>> = BTreeMap::new();
    for (whole, part, name) in rows {
        let parts = wholes.entry(whole).or_default();
        parts.entry(part).or_default().push(name);
    }
    let mut found: Vec<Torn> = wholes
        .into_iter()
        .filter_map(|(whole, parts)| {
            let firsts: Vec<&RecordName> = parts
                .values()
                .filter_map(|names| names.first().copied())
                .collect();
            let [one, two, ..] = *firsts else {
                return None;
            };
            let all: u64 = parts.values().map(|names| names.len() as u64).sum();
            let squares: u64 = parts
                .values()
                .map(|names| (names.len() as u64).pow(2))
                .sum();
            Some(Torn {
                whole: whole.to_owned(),
                parts: parts.len() as u64,
                pairs: (all * all - squares) / 2,
                example: (one.min(two).clone(), one.max(two).clone()),
            })
        })
        .collect();
    found.sort_by(|one, two| two.pairs.cmp(&one.pairs).then(one.whole.cmp(&two.whole)));
    found
}

/// How many people have so many records, given the records of each person.
#[must_use]
pub fn cluster_sizes(records_of_people: impl IntoIterator<Item = u64>) -> BTreeMap<u64, u64> {
    let mut sizes = BTreeMap::new();
    for size in records_of_people {
        *sizes.entry(size).or_default() += 1;
    }
    sizes
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::judge::{PairLabel, Table};

    fn name(id: &str) -> RecordName {
        RecordName::from(("crm", id))
    }

    fn people() -> BTreeMap<RecordName, String> {
        let people = [("1", "p"), ("2", "p"), ("3", "p"), ("4", "q"), ("5", "r")];
        people
            .into_iter()
            .map(|(id, person)| (name(id), person.to_owned()))
            .collect()
    }

    #[test]
    fn people_are_judged_by_clusters() {
        let text =
            "source,record_id,cluster\ncrm,1,x\ncrm,2,x\ncrm,3,y\ncrm,4,y\ncrm,5,z\ncrm,9,z\n";
        let labels = Labels::read(&Table::read(text).unwrap()).unwrap();
        let found = PeopleEvaluation::new(&labels, &people(), 5);
        assert_eq!((found.labels.used, found.labels.unknown), (5, 1));
        // Three pairs are found and two are true; one is both.
        assert!((found.pairs.precision - 1.0 / 3.0).abs() < 1e-12);
        assert!((found.pairs.recall - 0.5).abs() < 1e-12);
        assert!((found.clusters.unwrap().f1 - 1.0 / 3.0).abs() < 1e-12);
        assert_eq!(found.mixed.len(), 1);
        assert_eq!(found.mixed[0].false_pairs, 2);
        assert_eq!(found.mixed[0].example, (name("1"), name("3")));
        assert_eq!(found.split[0].cluster, "y");
        assert_eq!(found.split[0].example, (name("3"), name("4")));
    }

    #[test]
    fn people_are_judged_by_pairs() {
        let pair = |left: &str, right: &str, is_match| PairLabel {
            left: name(left),
            right: name(right),
            is_match,
            stratum: None,
        };
        let labels = Labels {
            truth: Truth::Pairs(vec![
                pair("1", "2", true),
                pair("1", "3", false),
                pair("4", "5", true),
                pair("1", "9", true),
            ]),
            labelled: 4,
            unlabelled: 0,
        };
        let found = PeopleEvaluation::new(&labels, &people(), 5);
        assert!((found.pairs.precision - 0.5).abs() < 1e-12);
        assert!((found.pairs.recall - 0.5).abs() < 1e-12);
        assert_eq!(found.wrong_pairs, [(name("1"), name("3"))]);
        assert_eq!(found.missed_pairs, [(name("4"), name("5"))]);
        assert_eq!((found.labels.unknown, found.b_cubed), (1, None));
    }

    #[test]
    fn sizes_are_counted() {
        let sizes = cluster_sizes([1, 3, 1]);
        assert_eq!(sizes, BTreeMap::from([(1, 2), (3, 1)]));
    }
}
