//! Identifiers by type and value.

use std::cmp::Ordering;
use std::thread;

use crate::nodes::Nodes;

/// Most threads that sort at once.
const THREADS: usize = 4;
/// Fewest identifiers that are worth a thread.
const SHARE: usize = 100_000;

/// Place of the type, the first bytes of the value that tell it from others, the node.
type Keyed = (u16, u64, u32);

/// Observed nodes by (type, value).
pub(crate) fn in_order(nodes: &Nodes) -> Vec<u32> {
    let threads = thread::available_parallelism().map_or(1, |n| n.get().min(THREADS));
    sorted(nodes, threads, SHARE)
}

/// At most `threads` sort at once, each at least `least` identifiers.
fn sorted(nodes: &Nodes, threads: usize, least: usize) -> Vec<u32> {
    let ranks = nodes.type_ranks();
    let skipped = common_prefixes(nodes, ranks.len());
    let mut keyed: Vec<Keyed> = (0..nodes.len())
        .filter(|node| nodes.observed(*node))
        .map(|node| {
            let kind = usize::from(nodes.kind(node));
            let mut head = [0_u8; 8];
            let tail = nodes.value(node).bytes().skip(skipped[kind]);
            for (to, from) in head.iter_mut().zip(tail) {
                *to = from;
            }
            (ranks[kind], u64::from_be_bytes(head), node)
        })
        .collect();
    // Most comparisons are decided without a look at the text.
    let compare = |a: &Keyed, b: &Keyed| match (a.0, a.1).cmp(&(b.0, b.1)) {
        Ordering::Equal => nodes.value(a.2).cmp(nodes.value(b.2)),
        decided => decided,
    };
    let share = keyed.len().div_ceil(threads).max(least);
    if share < keyed.len() {
        thread::scope(|scope| {
            for part in keyed.chunks_mut(share) {
                scope.spawn(move || part.sort_unstable_by(compare));
            }
        });
        // The sort finds the sorted runs and merges them.
        keyed.sort_by(compare);
    } else {
        keyed.sort_unstable_by(compare);
    }
    keyed.into_iter().map(|(_, _, node)| node).collect()
}

/// For each type, how many bytes all of its observed values begin with alike.
fn common_prefixes(nodes: &Nodes, types: usize) -> Vec<usize> {
    let mut prefixes: Vec<Option<&[u8]>> = vec![None; types];
    for node in (0..nodes.len()).filter(|node| nodes.observed(*node)) {
        let value = nodes.value(node).as_bytes();
        let prefix = &mut prefixes[usize::from(nodes.kind(node))];
        let common = prefix.map_or(value, |prefix| {
            let same = prefix.iter().zip(value).take_while(|(a, b)| a == b);
            &prefix[..same.count()]
        });
        *prefix = Some(common);
    }
    let length = |prefix: Option<&[u8]>| prefix.map_or(0, <[u8]>::len);
    prefixes.into_iter().map(length).collect()
}

#[cfg(test)]
mod tests {
    use super::sorted;
    use crate::nodes::Nodes;

    #[test]
    fn the_order_is_that_of_the_texts_at_any_number_of_threads() {
        let mut nodes = Nodes::default();
        for number in 0..3000_u64 {
            let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            let (kind, value) = match number % 3 {
                0 => ("b", format!("same-beginning-{mixed}")),
                1 => ("a", format!("{:.3}", mixed.to_string())),
                _ => (
                    "c",
                    "x\0".repeat(usize::try_from(mixed % 40).unwrap_or(0)) + "x",
                ),
            };
            if let Ok(node) = nodes.intern(kind, &value) {
                nodes.all[node as usize].observed = number % 7 > 0;
            }
        }
        let mut expected: Vec<u32> = (0..nodes.len())
            .filter(|node| nodes.observed(*node))
            .collect();
        expected.sort_by_key(|node| (nodes.id_type(*node), nodes.value(*node)));
        for threads in [1, 2, 3, 8] {
            assert_eq!(sorted(&nodes, threads, 10), expected);
        }
    }
}
