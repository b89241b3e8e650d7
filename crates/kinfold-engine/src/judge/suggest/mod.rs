//! A linkage for records that nobody has described: what their columns hold, and which pairs are worth comparing.

mod choose;
mod column;
mod text;

use std::collections::BTreeMap;

use datafusion::arrow::array::{Array, AsArray};
use datafusion::arrow::datatypes::Int64Type;
use futures::TryStreamExt;
use serde::Serialize;

use crate::{Engine, EngineError};
use choose::{Atom, Candidate, atoms, pairs_of_atoms};
use column::{Facts, facts_sql};

/// What a linkage is proposed for.
#[derive(Clone, Debug)]
pub struct SuggestRequest {
    /// The relation as SQL names it.
    pub relation: String,
    /// The same as a model refers to it: `{{ ref('contacts') }}`.
    pub reference: String,
    /// What its records are called if it has no column `source`.
    pub source: String,
    /// The name of the model.
    pub model: String,
    /// The column with the id of a record, if the caller knows.
    pub id: Option<String>,
    /// Pairs to compare, at most, for each record.
    pub pairs_per_record: u64,
}

/// A column that is compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SuggestedComparison {
    /// Its name in the model.
    pub column: String,
    /// The ready-made levels.
    pub like: &'static str,
    /// Whether agreement on a rare value counts for more.
    pub term_frequency: bool,
    /// Why.
    pub why: String,
}

/// A column that is not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Its name.
    pub column: String,
    /// Why.
    pub why: String,
}

/// A rule with what was counted of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SuggestedRule {
    /// Its expressions.
    pub expressions: Vec<String>,
    /// Pairs of records that agree on all of them, in blocks that are not too large.
    pub pairs: u64,
    /// Records in the largest block.
    pub largest_block: u64,
}

/// A linkage that was proposed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Suggestion {
    /// How many records there are.
    pub records: u64,
    /// The column with their ids.
    pub id: String,
    /// What is compared.
    pub comparisons: Vec<SuggestedComparison>,
    /// What is not.
    pub left_out: Vec<LeftOut>,
    /// Which pairs are compared.
    pub blocking: Vec<SuggestedRule>,
    /// Their sum, which counts a pair once for each rule that brings it.
    pub pairs: u64,
    /// The most that they may be.
    pub budget: u64,
    /// Records that no rule can bring to any other, because their values are missing.
    pub not_covered: u64,
    /// Rules that hardly ever join two people.
    pub prior: Vec<SuggestedRule>,
    /// Rules whose pairs the parameters are learned from.
    pub training: Vec<SuggestedRule>,
    /// The file of the model.
    pub sql: String,
    /// The file of its configuration.
    pub yaml: String,
}

/// Why nothing can be proposed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoSuggestion {
    /// Why.
    pub why: String,
    /// What to do.
    pub help: Option<String>,
}

impl NoSuggestion {
    fn new(why: impl Into<String>, help: Option<&str>) -> Self {
        Self {
            why: why.into(),
            help: help.map(str::to_owned),
        }
    }
}

/// Blocks of more records are not used, as a linkage does unless it says otherwise.
const MAX_BLOCK: u64 = 5_000;

impl Engine {
    /// Proposes a linkage for the records of a published relation.
    ///
    /// # Errors
    /// When the relation cannot be read. What keeps a proposal from being made is in the inner result.
    pub async fn suggest_linkage(
        &self,
        request: &SuggestRequest,
    ) -> Result<Result<Suggestion, NoSuggestion>, EngineError> {
        let stream = self
            .query(&format!("SELECT * FROM {}", request.relation))
            .await?;
        let schema = stream.schema();
        drop(stream);
        let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
        if let Some(id) = request.id.as_deref().filter(|id| !names.contains(id)) {
            let why = format!("it has no column `{id}`");
            return Ok(Err(NoSuggestion::new(why, None)));
        }
        let numbers = self.numbers(&facts_sql(&schema, &request.relation)).await?;
        let numbers = numbers.into_iter().next().unwrap_or_default();
        let records = numbers.first().copied().unwrap_or_default();
        if records < 2 {
            return Ok(Err(NoSuggestion::new(
                "it has fewer than two records",
                None,
            )));
        }
        let facts = Facts::of(&schema, &numbers);
        let has = |name: &str| names.contains(&name);
        let keyed = has("source") && has("record_id");
        let id = match (&request.id, keyed) {
            (Some(id), _) => Some(id.clone()),
            (None, true) => Some("record_id".to_owned()),
            (None, false) => column::record_id(&facts, records),
        };
        let Some(id) = id else {
            let help = "name the column with the id of a record: `--id COLUMN`";
            let why = "no column has a value of its own for each record";
            return Ok(Err(NoSuggestion::new(why, Some(help))));
        };
        let used = column::columns(&facts, records, &id, keyed);
        if used.compared.is_empty() {
            let why = "no column holds what people are known by, such as names, dates of birth or addresses";
            return Ok(Err(NoSuggestion::new(why, None)));
        }
        let source = text::Source {
            request,
            keyed,
            id: &id,
        };
        let query = source.query(&used.compared, &request.relation);
        let budget = records.saturating_mul(request.pairs_per_record);
        let chosen = self.choose(&used.compared, &query, records, budget).await?;
        if chosen.blocking.is_empty() {
            let why = "every rule would compare more pairs than are allowed";
            let help = "allow more with `--pairs-per-record`";
            return Ok(Err(NoSuggestion::new(why, Some(help))));
        }
        let comparisons = used.compared.iter().map(|column| SuggestedComparison {
            column: column.name.clone(),
            like: column.kind.like(),
            term_frequency: column.kind.term_frequency(),
            why: column.why.clone(),
        });
        let mut suggestion = Suggestion {
            records,
            id: id.clone(),
            comparisons: comparisons.collect(),
            left_out: used.left_out,
            pairs: chosen.blocking.iter().map(|rule| rule.pairs).sum(),
            blocking: chosen.blocking,
            budget,
            not_covered: chosen.not_covered,
            prior: chosen.prior,
            training: chosen.training,
            sql: source.sql(&used.compared),
            yaml: String::new(),
        };
        suggestion.yaml = text::yaml(request, &suggestion);
        Ok(Ok(suggestion))
    }

    /// Which pairs to compare, by counting the blocks of every rule that could be.
    async fn choose(
        &self,
        columns: &[column::Column],
        query: &str,
        records: u64,
        budget: u64,
    ) -> Result<Chosen, EngineError> {
        let atoms = atoms(columns);
        let mut candidates: Vec<Candidate> = vec![];
        for at in 0..atoms.len() {
            candidates.push(self.count(query, &atoms, vec![at]).await?);
        }
        // A rule of two expressions is worth counting only where one alone brings too much.
        let loose: Vec<usize> = candidates
            .iter()
            .filter(|candidate| !candidate.fits_alone(budget))
            .flat_map(|candidate| candidate.atoms.clone())
            .collect();
        for pair in pairs_of_atoms(&atoms, &loose) {
            candidates.push(self.count(query, &atoms, pair).await?);
        }
        for strict in choose::strict_sets(columns, &atoms) {
            if !candidates.iter().any(|known| known.atoms == strict) {
                candidates.push(self.count(query, &atoms, strict).await?);
            }
        }
        let rule = |candidate: &Candidate| SuggestedRule {
            expressions: candidate
                .atoms
                .iter()
                .filter_map(|at| atoms.get(*at))
                .map(|atom: &Atom| atom.expression.clone())
                .collect(),
            pairs: candidate.pairs,
            largest_block: candidate.largest_block,
        };
        let rules = |found: Vec<&Candidate>| -> Vec<SuggestedRule> {
            found.into_iter().map(rule).collect()
        };
        let blocking = rules(choose::blocking(&atoms, &candidates, budget));
        let not_covered = match blocking.is_empty() {
            true => records,
            false => self.not_covered(query, &blocking).await?,
        };
        Ok(Chosen {
            prior: rules(choose::prior(columns, &atoms, &candidates)),
            training: rules(choose::training(&atoms, &candidates, records)),
            blocking,
            not_covered,
        })
    }

    /// Counts the pairs that agree on some expressions.
    async fn count(
        &self,
        query: &str,
        atoms: &[Atom],
        chosen: Vec<usize>,
    ) -> Result<Candidate, EngineError> {
        let expressions: Vec<&str> = chosen
            .iter()
            .filter_map(|at| atoms.get(*at))
            .map(|atom| atom.expression.as_str())
            .collect();
        let keys: Vec<String> = expressions
            .iter()
            .enumerate()
            .map(|(at, e)| format!("nullif(CAST({e} AS VARCHAR), '') AS k{at}"))
            .collect();
        let all = |join: &str, suffix: &str| -> String {
            let names = (0..expressions.len()).map(|at| format!("k{at}{suffix}"));
            names.collect::<Vec<_>>().join(join)
        };
        let sql = BLOCKS
            .replace("{query}", query)
            .replace("{keys}", &keys.join(", "))
            .replace("{filled}", &all(" AND ", " IS NOT NULL"))
            .replace("{group}", &all(", ", ""))
            .replace("{max_block}", &MAX_BLOCK.to_string());
        let rows = self.numbers(&sql).await?;
        let row = rows.into_iter().next().unwrap_or_default();
        let number = |at: usize| row.get(at).copied().unwrap_or_default();
        Ok(Candidate {
            atoms: chosen,
            pairs: number(0),
            largest_block: number(1),
            left_out: number(2),
        })
    }

    async fn not_covered(&self, query: &str, rules: &[SuggestedRule]) -> Result<u64, EngineError> {
        let covered = rules.iter().map(|rule| {
            let filled = rule.expressions.iter();
            let filled: Vec<String> = filled
                .map(|e| format!("nullif(CAST({e} AS VARCHAR), '') IS NOT NULL"))
                .collect();
            format!("({})", filled.join(" AND "))
        });
        let covered: Vec<String> = covered.collect();
        let sql = format!(
            "SELECT CAST(count(*) AS BIGINT) FROM ({query}) AS m WHERE NOT ({})",
            covered.join(" OR ")
        );
        let rows = self.numbers(&sql).await?;
        Ok(rows
            .first()
            .and_then(|row| row.first())
            .copied()
            .unwrap_or_default())
    }

    /// Rows of whole numbers; null and what is below zero is zero.
    async fn numbers(&self, sql: &str) -> Result<Vec<Vec<u64>>, EngineError> {
        let mut stream = self.query(sql).await?;
        let mut rows = vec![];
        while let Some(batch) = stream.try_next().await? {
            for row in 0..batch.num_rows() {
                let cells = batch.columns().iter().map(|column| {
                    let column = column.as_primitive_opt::<Int64Type>();
                    let cell = column.filter(|c| c.is_valid(row)).map(|c| c.value(row));
                    cell.and_then(|cell| u64::try_from(cell).ok())
                        .unwrap_or_default()
                });
                rows.push(cells.collect());
            }
        }
        Ok(rows)
    }
}

const BLOCKS: &str = include_str!("../../../../../sql/identity/blocks.sql");

/// Rules that were chosen.
struct Chosen {
    blocking: Vec<SuggestedRule>,
    prior: Vec<SuggestedRule>,
    training: Vec<SuggestedRule>,
    not_covered: u64,
}

/// Names of a relation's columns as a model has them: each once.
fn unique(wanted: String, taken: &mut BTreeMap<String, u32>) -> String {
    let count = taken.entry(wanted.clone()).or_default();
    *count += 1;
    match *count {
        1 => wanted,
        more => format!("{wanted}_{more}"),
    }
}
