//! What is known of records: pairs that are one person or not, or the cluster of each record.

use std::collections::BTreeMap;
use std::ops::Range;

use super::RecordName;
use super::table::{Cell, Table};

/// Columns of labels that are pairs.
pub const PAIR_COLUMNS: [&str; 5] = ["source_a", "record_a", "source_b", "record_b", "is_match"];
/// Columns of labels that are clusters.
pub const CLUSTER_COLUMNS: [&str; 3] = ["source", "record_id", "cluster"];
/// Columns that a file of `kinfold identity label` has beside those of pairs: which stratum the pair was drawn
/// from, and how many pairs that has.
pub const STRATUM_COLUMNS: [&str; 2] = ["stratum", "stratum_pairs"];

/// Problems that are told at most.
const MOST: usize = 20;

/// Labels as they were given.
#[derive(Clone, Debug, PartialEq)]
pub struct Labels {
    /// What they say.
    pub truth: Truth,
    /// Rows with a label.
    pub labelled: u64,
    /// Rows without one, which say nothing.
    pub unlabelled: u64,
}

/// What labels say.
#[derive(Clone, Debug, PartialEq)]
pub enum Truth {
    /// Which cluster a record belongs to.
    Clusters(BTreeMap<RecordName, String>),
    /// Whether two records are one person.
    Pairs(Vec<PairLabel>),
}

/// Whether two records are one person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairLabel {
    /// The lesser by name.
    pub left: RecordName,
    /// The other.
    pub right: RecordName,
    /// Whether they are.
    pub is_match: bool,
    /// The stratum that the pair was drawn from, and how many pairs it has.
    pub stratum: Option<(String, u64)>,
}

/// Something wrong with labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelProblem {
    /// What, without the values of any cell.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// Where, in bytes of the file; empty if it is nowhere in particular.
    pub place: Range<usize>,
    /// The row, from 1; 0 for the header.
    pub row: usize,
}

impl LabelProblem {
    fn new(message: impl Into<String>, row: usize, place: Range<usize>) -> Self {
        Self {
            message: message.into(),
            help: None,
            place,
            row,
        }
    }
}

impl Labels {
    /// Reads labels: their columns say whether they are pairs or clusters.
    ///
    /// # Errors
    /// Columns that are missing, cells that mean nothing, and labels that contradict each other.
    pub fn read(table: &Table) -> Result<Self, Vec<LabelProblem>> {
        let mut reader = Reader {
            table,
            problems: Vec::new(),
        };
        let labels = reader.read();
        match labels {
            Some(labels) if reader.problems.is_empty() => Ok(labels),
            _ => Err(reader.problems),
        }
    }
}

struct Reader<'a> {
    table: &'a Table,
    problems: Vec<LabelProblem>,
}

impl<'a> Reader<'a> {
    fn read(&mut self) -> Option<Labels> {
        let names: Vec<String> = self.table.header.iter().map(name).collect();
        for (at, cell) in self.table.header.iter().enumerate() {
            let known = names.get(at);
            if names.iter().take(at).any(|name| Some(name) == known)
                && known != Some(&String::new())
            {
                let message = "this column is there twice";
                self.problem(LabelProblem::new(message, 0, cell.place.clone()));
            }
        }
        let find = |wanted: &str| names.iter().position(|name| name == wanted);
        let of = |wanted: &[&str]| -> Vec<Option<usize>> {
            wanted.iter().map(|name| find(name)).collect()
        };
        let (pairs, clusters) = (of(&PAIR_COLUMNS), of(&CLUSTER_COLUMNS));
        let whole = |columns: &[Option<usize>]| columns.iter().copied().collect::<Option<Vec<_>>>();
        if let Some(columns) = whole(&pairs) {
            let strata = whole(&of(&STRATUM_COLUMNS));
            return self.pairs(&columns, strata.as_deref());
        }
        if let Some(columns) = whole(&clusters) {
            return self.clusters(&columns);
        }
        let known = |columns: &[Option<usize>]| columns.iter().flatten().count();
        let (wanted, found) = if known(&pairs) * 3 > known(&clusters) * 5 {
            (&PAIR_COLUMNS[..], pairs)
        } else {
            (&CLUSTER_COLUMNS[..], clusters)
        };
        let missing = wanted.iter().zip(found).filter(|(_, at)| at.is_none());
        let missing: Vec<String> = missing.map(|(name, _)| format!("`{name}`")).collect();
        let place = match (self.table.header.first(), self.table.header.last()) {
            (Some(first), Some(last)) => first.place.start..last.place.end,
            _ => 0..0,
        };
        let message = format!("labels without the column {}", missing.join(", "));
        let mut problem = LabelProblem::new(message, 0, place);
        problem.help = Some(format!(
            "labels have either the columns {}, or {}",
            CLUSTER_COLUMNS.join(", "),
            PAIR_COLUMNS.join(", ")
        ));
        self.problem(problem);
        None
    }

    fn clusters(&mut self, columns: &[usize]) -> Option<Labels> {
        let [source, record, cluster] = *columns else {
            return None;
        };
        let mut found: BTreeMap<RecordName, String> = BTreeMap::new();
        let (mut labelled, mut unlabelled) = (0, 0);
        for (at, row) in self.rows() {
            let Some(name) = self.record(at, row, source, record) else {
                continue;
            };
            let Some(cluster) = row.get(cluster).filter(|cell| !cell.value.is_empty()) else {
                unlabelled += 1;
                continue;
            };
            labelled += 1;
            match found.get(&name) {
                Some(known) if *known != cluster.value => {
                    let message = "this record is in another cluster before";
                    self.problem(LabelProblem::new(message, at, cluster.place.clone()));
                }
                Some(_) => {}
                None => {
                    found.insert(name, cluster.value.clone());
                }
            }
        }
        Some(Labels {
            truth: Truth::Clusters(found),
            labelled,
            unlabelled,
        })
    }

    fn pairs(&mut self, columns: &[usize], strata: Option<&[usize]>) -> Option<Labels> {
        let [source_a, record_a, source_b, record_b, is_match] = *columns else {
            return None;
        };
        let mut found: BTreeMap<(RecordName, RecordName), PairLabel> = BTreeMap::new();
        let (mut labelled, mut unlabelled) = (0, 0);
        for (at, row) in self.rows() {
            let (Some(a), Some(b)) = (
                self.record(at, row, source_a, record_a),
                self.record(at, row, source_b, record_b),
            ) else {
                continue;
            };
            if a == b {
                let place = row.get(record_b).map(|cell| cell.place.clone());
                let message = "a record is paired with itself";
                self.problem(LabelProblem::new(message, at, place.unwrap_or_default()));
                continue;
            }
            let Some(cell) = row.get(is_match).filter(|cell| !cell.value.is_empty()) else {
                unlabelled += 1;
                continue;
            };
            let Some(is_match) = yes_or_no(&cell.value) else {
                let mut problem =
                    LabelProblem::new("this is no label of a pair", at, cell.place.clone());
                problem.help = Some(
                    "write 1 for one person, 0 for two, and leave it empty if you cannot tell"
                        .to_owned(),
                );
                self.problem(problem);
                continue;
            };
            labelled += 1;
            let stratum = match strata {
                Some(columns) => self.stratum(at, row, columns),
                None => None,
            };
            let (left, right) = if b < a { (b, a) } else { (a, b) };
            let key = (left.clone(), right.clone());
            match found.get(&key) {
                Some(known) if known.is_match != is_match => {
                    let message = "this pair has the other label before";
                    self.problem(LabelProblem::new(message, at, cell.place.clone()));
                }
                Some(_) => {}
                None => {
                    let label = PairLabel {
                        left,
                        right,
                        is_match,
                        stratum,
                    };
                    found.insert(key, label);
                }
            }
        }
        Some(Labels {
            truth: Truth::Pairs(found.into_values().collect()),
            labelled,
            unlabelled,
        })
    }

    /// The rows with their numbers, those left out that are of another length.
    fn rows(&mut self) -> Vec<(usize, &'a Vec<Cell>)> {
        let table = self.table;
        let mut rows = Vec::with_capacity(table.rows.len());
        for (at, row) in table.rows.iter().enumerate() {
            if row.len() == table.header.len() {
                rows.push((at + 1, row));
                continue;
            }
            let message = format!(
                "this row has {} values and the header has {}",
                row.len(),
                table.header.len()
            );
            let place = match (row.first(), row.last()) {
                (Some(first), Some(last)) => first.place.start..last.place.end,
                _ => 0..0,
            };
            self.problem(LabelProblem::new(message, at + 1, place));
        }
        rows
    }

    fn record(
        &mut self,
        at: usize,
        row: &[Cell],
        source: usize,
        record: usize,
    ) -> Option<RecordName> {
        let (source, record) = (row.get(source)?, row.get(record)?);
        for cell in [source, record] {
            if cell.value.is_empty() {
                let message = "a record is named by its source and its id, and one is missing";
                self.problem(LabelProblem::new(message, at, cell.place.clone()));
                return None;
            }
        }
        Some(RecordName {
            source: source.value.clone(),
            record_id: record.value.clone(),
        })
    }

    fn stratum(&mut self, at: usize, row: &[Cell], columns: &[usize]) -> Option<(String, u64)> {
        let [stratum, pairs] = *columns else {
            return None;
        };
        let (stratum, pairs) = (row.get(stratum)?, row.get(pairs)?);
        let count = pairs.value.parse::<u64>();
        match count {
            Ok(count) if count > 0 && !stratum.value.is_empty() => {
                Some((stratum.value.clone(), count))
            }
            _ => {
                let message = "this is no number of pairs of a stratum";
                let mut problem = LabelProblem::new(message, at, pairs.place.clone());
                problem.help = Some(
                    "leave the columns `stratum` and `stratum_pairs` as `kinfold identity label` wrote them, or \
                     remove both"
                        .to_owned(),
                );
                self.problem(problem);
                None
            }
        }
    }

    fn problem(&mut self, problem: LabelProblem) {
        if self.problems.len() < MOST {
            self.problems.push(problem);
        }
    }
}

fn name(cell: &Cell) -> String {
    cell.value.to_lowercase()
}

fn yes_or_no(text: &str) -> Option<bool> {
    match text.to_lowercase().as_str() {
        "1" | "true" | "yes" | "y" => Some(true),
        "0" | "false" | "no" | "n" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn read(text: &str) -> Result<Labels, Vec<(String, String)>> {
        let table = Table::read(text).unwrap();
        Labels::read(&table).map_err(|problems| {
            problems
                .into_iter()
                .map(|p| (p.message, text.get(p.place).unwrap().to_owned()))
                .collect()
        })
    }

    fn problem(text: &str) -> (String, String) {
        let mut problems = read(text).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        problems.remove(0)
    }

    #[test]
    fn clusters_and_pairs_are_told_apart_by_their_columns() {
        let labels =
            read("cluster,source,record_id,more\n7,crm,1,x\n7,crm,2,x\n,crm,3,x\n7,crm,1,x\n");
        let labels = labels.unwrap();
        assert_eq!((labels.labelled, labels.unlabelled), (3, 1));
        let Truth::Clusters(clusters) = labels.truth else {
            unreachable!("they are clusters")
        };
        assert_eq!(clusters.len(), 2);

        let labels = read(
            "source_a,record_a,source_b,record_b,is_match,stratum,stratum_pairs\n\
             crm,2,crm,1,1,3,50\ncrm,1,crm,2,yes,3,50\ncrm,1,web,9,,3,50\ncrm,4,web,9,0,4,6\n",
        );
        let labels = labels.unwrap();
        assert_eq!((labels.labelled, labels.unlabelled), (3, 1));
        let Truth::Pairs(pairs) = labels.truth else {
            unreachable!("they are pairs")
        };
        let short: Vec<_> = pairs
            .iter()
            .map(|p| {
                (
                    p.left.record_id.as_str(),
                    p.right.record_id.as_str(),
                    p.is_match,
                )
            })
            .collect();
        assert_eq!(short, [("1", "2", true), ("4", "9", false)]);
        assert_eq!(pairs[0].stratum, Some(("3".to_owned(), 50)));
    }

    #[test]
    fn what_is_wrong_is_shown_at_its_place() {
        let pairs = "source_a,record_a,source_b,record_b,is_match\n";
        for (text, message, place) in [
            (
                "a,b\n1,2\n",
                "labels without the column `source`, `record_id`, `cluster`",
                "a,b",
            ),
            (
                "source,record_id\na,b\n",
                "labels without the column `cluster`",
                "source,record_id",
            ),
            (
                "source_a,record_a,source_b,record_b\na,b,c,d\n",
                "labels without the column `is_match`",
                "source_a,record_a,source_b,record_b",
            ),
            (
                &format!("{pairs}a,1,a,2,maybe\n"),
                "this is no label of a pair",
                "maybe",
            ),
            (
                &format!("{pairs}a,1,a,1,1\n"),
                "a record is paired with itself",
                "1",
            ),
            (
                &format!("{pairs}a,1,,2,1\n"),
                "a record is named by its source and its id, and one is missing",
                "",
            ),
            (
                &format!("{pairs}a,1,a,2,1\na,2,a,1,0\n"),
                "this pair has the other label before",
                "0",
            ),
            (
                &format!("{pairs}a,1,a\n"),
                "this row has 3 values and the header has 5",
                "a,1,a",
            ),
            (
                "source,record_id,cluster\na,1,x\na,1,y\n",
                "this record is in another cluster before",
                "y",
            ),
            (
                "source,source,record_id,cluster\na,a,1,x\n",
                "this column is there twice",
                "source",
            ),
            (
                "source_a,record_a,source_b,record_b,is_match,stratum,stratum_pairs\na,1,a,2,1,3,many\n",
                "this is no number of pairs of a stratum",
                "many",
            ),
        ] {
            assert_eq!(
                problem(text),
                (message.to_owned(), place.to_owned()),
                "{text}"
            );
        }
    }
}
