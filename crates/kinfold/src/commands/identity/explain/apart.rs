//! Why two people are not one.

use kinfold_compile::compile::CompiledNode;
use kinfold_engine::judge::{PairReport, RecordName};
use kinfold_identity::{Because, LinkKind, RejectionRule, Step};
use serde::Serialize;
use serde_json::Value;

use super::super::super::CommandError;
use super::super::super::person::literal;
use super::super::super::query::rows_of;
use super::super::{Opened, failed};
use super::chain::stored_pair;
use super::{Identifier, Published, Side, time};

const BEST_PAIR: &str = include_str!("../../../../../../sql/identity/best_pair.sql");

/// Why two people are not one.
#[derive(Debug, Serialize)]
pub(super) struct Why {
    /// Rows that would have joined them and were refused, the strongest first.
    pub(super) rejected: Vec<Rejected>,
    /// What every linkage says of their records.
    pub(super) linkages: Vec<Compared>,
}

/// A row that would have joined two people.
#[derive(Debug, Serialize)]
pub(super) struct Rejected {
    /// The identifier.
    #[serde(flatten)]
    pub(super) identifier: Identifier,
    /// The records that carry it: one whose row was refused, or one of each person for a value that joins nobody.
    pub(super) records: Vec<RecordName>,
    /// The rule of the edges relation.
    pub(super) rule: &'static str,
    /// The limit as the model has it.
    pub(super) limit: Option<String>,
    pub(super) first_seen_at: Option<String>,
    pub(super) last_seen_at: Option<String>,
    /// Of a link, in bits.
    pub(super) weight: Option<f64>,
}

/// What a linkage says of the records of two people.
#[derive(Debug, Serialize)]
pub(super) struct Compared {
    pub(super) model: String,
    /// `link`: they are linked, and a limit keeps them apart. `clustering`: the pair is heavy enough, and their
    /// clusters are not alike on the whole. `below_threshold`. `never_compared`: no blocking rule brings them
    /// together. `no_records`: it does not have records of both.
    pub(super) verdict: &'static str,
    /// The probability from which on a pair is a link.
    pub(super) threshold: f64,
    /// The best pair.
    pub(super) pair: Option<PairReport>,
}

pub(super) async fn why(
    opened: &Opened,
    identity: &Published<'_>,
    because: &[Because<'_>],
    sides: &[Side; 2],
) -> Result<Why, CommandError> {
    let rejected = because.iter().map(|because| match because {
        Because::Rejected(step) => rejected(identity, step, &[step]),
        Because::Shared(one, other) => rejected(identity, one, &[one, other]),
    });
    let mut why = Why {
        rejected: rejected.collect(),
        linkages: vec![],
    };
    for linkage in &identity.linkages {
        // A linkage that was never built says nothing.
        if opened.published.nodes.contains_key(&linkage.id) {
            why.linkages
                .push(compared(opened, identity, linkage, sides).await?);
        }
    }
    Ok(why)
}

fn rejected(identity: &Published<'_>, step: &Step<'_>, all: &[&Step<'_>]) -> Rejected {
    let rule = step.rejected;
    let rules = &identity.node.config.identity;
    let types = || rules.identifiers.iter();
    let joined = |limits: Vec<String>| (!limits.is_empty()).then(|| limits.join(", "));
    let limit = match rule {
        Some(RejectionRule::Limit) => {
            let limits = types().filter_map(|rules| {
                let limit = rules.limit.as_ref()?.value;
                let days = match limit.days {
                    None => "ever".to_owned(),
                    Some(days) => format!("per {days} days"),
                };
                Some(format!("{}: {} {days}", rules.id_type.value, limit.values))
            });
            joined(limits.collect())
        }
        Some(RejectionRule::Hub) => types()
            .find(|rules| rules.id_type.value == step.id_type)
            .and_then(|rules| rules.max_records.as_ref())
            .map(|most| format!("{}: at most {} records", step.id_type, most.value)),
        Some(RejectionRule::One) => {
            let ones = types().filter_map(|rules| {
                let one = rules.one.as_ref()?;
                Some(format!("{}: one {}", rules.id_type.value, one.value))
            });
            joined(ones.collect())
        }
        Some(RejectionRule::TooLarge) => rules
            .max_identifiers
            .as_ref()
            .map(|most| format!("at most {} identifiers", most.value)),
        _ => None,
    };
    let firsts = all.iter().filter_map(|step| step.first_seen);
    Rejected {
        identifier: Identifier {
            id_type: step.id_type.to_owned(),
            id_value: step.id_value.to_owned(),
        },
        records: all
            .iter()
            .map(|step| RecordName::from((step.source, step.record_id)))
            .collect(),
        rule: rule.map_or("", RejectionRule::as_str),
        limit,
        first_seen_at: time(firsts.min()),
        last_seen_at: time(all.iter().filter_map(|step| step.last_seen).max()),
        weight: match step.link {
            LinkKind::Link(weight) => Some(weight),
            _ => None,
        },
    }
}

/// The best pair of records of two people.
async fn compared(
    opened: &Opened,
    identity: &Published<'_>,
    linkage: &CompiledNode,
    sides: &[Side; 2],
) -> Result<Compared, CommandError> {
    let [one, other] = sides.each_ref().map(|side| literal(&side.canonical_id));
    let threshold = linkage.config.linkage.as_ref();
    let threshold = threshold.map_or(0.5, |rules| rules.threshold.value);
    let told = |verdict, pair| Compared {
        model: linkage.name.clone(),
        verdict,
        threshold,
        pair,
    };
    let sql = BEST_PAIR
        .replace("{pairs}", &opened.relation(linkage, None)?)
        .replace("{records}", &identity.records)
        .replace("{one}", &one)
        .replace("{other}", &other);
    let stored = rows_of(&opened.engine, &sql).await?;
    if let Some(pair) = stored.first().and_then(|row| stored_pair(row, linkage)) {
        let verdict = match (pair.together, pair.match_probability >= threshold) {
            (true, _) => "link",
            (false, true) => "clustering",
            (false, false) => "below_threshold",
        };
        return Ok(told(verdict, Some(pair)));
    }
    // What is not stored is unlikely: it is scored anew.
    let mut records: [Vec<RecordName>; 2] = Default::default();
    for (names, id) in records.iter_mut().zip([one, other]) {
        let sql = format!(
            "SELECT source, record_id FROM {} WHERE canonical_id = {id}",
            identity.records
        );
        let rows = rows_of(&opened.engine, &sql).await?;
        let found = rows.iter().filter_map(|row| {
            let text = |key: &str| row.get(key).and_then(Value::as_str);
            Some(RecordName::from((text("source")?, text("record_id")?)))
        });
        names.extend(found);
    }
    let judged = opened.judged(linkage).await?;
    let [one, other] = &records;
    let best = judged.best_pair(one, other, false);
    let best = best.map_err(|error| failed(linkage, error))?;
    Ok(match best {
        None => told("no_records", None),
        Some(pair) if pair.rule.is_none() => told("never_compared", Some(pair)),
        Some(pair) if pair.match_probability < threshold => told("below_threshold", Some(pair)),
        Some(pair) => told("clustering", Some(pair)),
    })
}
