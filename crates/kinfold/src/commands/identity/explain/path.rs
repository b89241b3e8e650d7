//! The path between two identifiers of one person.

use kinfold_compile::compile::CompiledNode;
use kinfold_engine::judge::PairReport;
use kinfold_identity::{LinkKind, Step};
use serde::Serialize;

use super::super::super::CommandError;
use super::super::super::person::literal;
use super::super::super::query::rows_of;
use super::super::Opened;
use super::chain::{stored_pair, strongest};
use super::{Identifier, Published, Row, Side, time};

/// From one identifier to the next, by way of a record that carries both.
#[derive(Debug, Serialize)]
pub(super) struct Hop {
    pub(super) from: Identifier,
    pub(super) to: Identifier,
    /// `record` if a record carries both, `link` for a linkage, `include` if somebody decided it.
    pub(super) evidence: &'static str,
    pub(super) source: String,
    pub(super) record_id: String,
    pub(super) first_seen_at: Option<String>,
    pub(super) last_seen_at: Option<String>,
    pub(super) rows: u64,
    /// Of a link: the lesser weight of its two rows, in bits.
    pub(super) weight: Option<f64>,
    /// Whether it is the weakest of the path.
    pub(super) weakest: bool,
    /// Of a link: the pairs of records that lead from one to the other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) linkage: Option<LinkEvidence>,
}

/// Why a linkage put two records into one cluster.
#[derive(Debug, Serialize)]
pub(super) struct LinkEvidence {
    pub(super) model: String,
    /// The strongest chain of linked pairs; empty if the cluster holds together only on average.
    pub(super) pairs: Vec<PairReport>,
}

pub(super) async fn hops(
    opened: &Opened,
    identity: &Published<'_>,
    rows: &[Row],
    steps: &[Step<'_>],
    weakest: Option<usize>,
    from: &Side,
) -> Result<Vec<Hop>, CommandError> {
    let mut hops = vec![];
    let mut at = from.identifier.clone();
    for (place, pair) in steps.chunks(2).enumerate() {
        let [one, two] = pair else {
            continue;
        };
        let to = Identifier {
            id_type: two.id_type.to_owned(),
            id_value: two.id_value.to_owned(),
        };
        let (evidence, weight) = match (one.link, two.link) {
            (LinkKind::Link(one), LinkKind::Link(two)) => ("link", Some(one.min(two))),
            (LinkKind::Link(weight), _) | (_, LinkKind::Link(weight)) => ("link", Some(weight)),
            (LinkKind::Include, _) | (_, LinkKind::Include) => ("include", None),
            _ => ("record", None),
        };
        let linkage = match linkage(identity, one.source).filter(|_| evidence == "link") {
            Some(linkage) => Some(chain(opened, linkage, rows, (one, two)).await?),
            None => None,
        };
        let first = match (one.first_seen, two.first_seen) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        hops.push(Hop {
            from: std::mem::replace(&mut at, to.clone()),
            to,
            evidence,
            source: one.source.to_owned(),
            record_id: one.record_id.to_owned(),
            first_seen_at: time(first),
            last_seen_at: time(one.last_seen.max(two.last_seen)),
            rows: one.rows + two.rows,
            weight,
            weakest: weakest.is_some_and(|step| step / 2 == place),
            linkage,
        });
    }
    Ok(hops)
}

/// The linkage above the identity that wrote rows of this source: links carry the name of their model.
fn linkage<'a>(identity: &Published<'a>, source: &str) -> Option<&'a CompiledNode> {
    let mut all = identity.linkages.iter().copied();
    let named = all.find(|linkage| linkage.name == source);
    named.or(match identity.linkages.as_slice() {
        [only] => Some(only),
        _ => None,
    })
}

/// The strongest chain of linked pairs between two records of a cluster.
async fn chain(
    opened: &Opened,
    linkage: &CompiledNode,
    rows: &[Row],
    (one, two): (&Step<'_>, &Step<'_>),
) -> Result<LinkEvidence, CommandError> {
    let of_cluster =
        |row: &&Row| row.accepted && row.source == one.source && row.record_id == one.record_id;
    let mut members: Vec<String> = rows
        .iter()
        .filter(of_cluster)
        .map(|row| literal(&row.id_value))
        .collect();
    members.sort();
    members.dedup();
    let members = members.join(", ");
    let sql = format!(
        "SELECT * FROM {} WHERE linked AND source_l || '/' || record_id_l IN ({members}) \
         AND source_r || '/' || record_id_r IN ({members})",
        opened.relation(linkage, None)?
    );
    let pairs: Vec<PairReport> = rows_of(&opened.engine, &sql)
        .await?
        .iter()
        .filter_map(|row| stored_pair(row, linkage))
        .collect();
    Ok(LinkEvidence {
        model: linkage.name.clone(),
        pairs: strongest(&pairs, one.id_value, two.id_value).unwrap_or_default(),
    })
}
