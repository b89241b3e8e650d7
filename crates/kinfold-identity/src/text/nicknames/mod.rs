//! Short forms of English given names: Bob is Robert, and so is Rob.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::normalise::{Diacritics, name};

const TABLE: &str = include_str!("english.txt");

struct Index {
    /// The full name of each line, ascending.
    full: Vec<&'static str>,
    /// For each name the lines of [`TABLE`] that have it, ascending.
    lines: HashMap<&'static str, Vec<usize>>,
}

static INDEX: LazyLock<Index> = LazyLock::new(|| {
    let mut index = Index {
        full: Vec::new(),
        lines: HashMap::new(),
    };
    for (at, names) in table().enumerate() {
        for name in names {
            if index.full.len() == at {
                index.full.push(name);
            }
            let lines = index.lines.entry(name).or_default();
            if lines.last() != Some(&at) {
                lines.push(at);
            }
        }
    }
    index
});

fn table() -> impl Iterator<Item = impl Iterator<Item = &'static str>> {
    TABLE
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split(['=', ':', ',']).map(str::trim))
}

/// Whether one person may go by both given names: they are equal in [normal form](name) without
/// diacritics, or one full name has both as a spelling or a short form.
///
/// This is no equivalence: Alex may be Alexander or Alexandra, who are not the same.
#[must_use]
pub fn same(left: &str, right: &str) -> bool {
    let left = name(left, Diacritics::Fold);
    let right = name(right, Diacritics::Fold);
    if left == right {
        return !left.is_empty();
    }
    let lines = &INDEX.lines;
    let (Some(left), Some(right)) = (lines.get(left.as_str()), lines.get(right.as_str())) else {
        return false;
    };
    left.iter().any(|line| right.binary_search(line).is_ok())
}

/// The full names that a given name may stand for, in ascending order, in normal form; the name itself
/// if it is in no line. For blocking: two names that are [`same`] have one of them in common.
#[must_use]
pub fn full_names(text: &str) -> Vec<String> {
    let form = name(text, Diacritics::Fold);
    match INDEX.lines.get(form.as_str()) {
        Some(lines) => lines
            .iter()
            .filter_map(|line| INDEX.full.get(*line))
            .map(|full| (*full).to_owned())
            .collect(),
        None if form.is_empty() => Vec::new(),
        None => vec![form],
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn who_may_be_whom() {
        for (left, right) in [
            ("Bob", "Robert"),
            ("bob", "ROB"),
            ("Bill", "William"),
            ("Kate", "Katherine"),
            ("Kathryn", "Catherine"),
            ("Peggy", "Margaret"),
            ("Alex", "Alexandra"),
            ("Alex", "Alexander"),
            ("Stephen", "Steven"),
            ("José", "jose"),
        ] {
            assert!(same(left, right), "{left} {right}");
            assert!(same(right, left), "{right} {left}");
        }
        for (left, right) in [
            ("Alexander", "Alexandra"),
            ("Bob", "William"),
            ("Robert", "Rupert"),
            ("", ""),
            ("Zzz", "Bob"),
        ] {
            assert!(!same(left, right), "{left} {right}");
        }
    }

    #[test]
    fn full_names_of_short_ones() {
        assert_eq!(full_names("Alex"), ["alexander", "alexandra"]);
        assert_eq!(full_names("Rob"), ["robert"]);
        assert_eq!(full_names("Zoltán"), ["zoltan"]);
        assert!(full_names("").is_empty());
    }

    #[test]
    fn names_that_are_the_same_share_a_full_name() {
        let names: BTreeSet<&str> = INDEX.lines.keys().copied().collect();
        let full: Vec<_> = names.iter().map(|name| (name, full_names(name))).collect();
        // Every tenth on one side is enough: each line has several names.
        for (left, left_full) in full.iter().step_by(10) {
            for (right, right_full) in &full {
                let shared = right_full.iter().any(|name| left_full.contains(name));
                assert_eq!(same(left, right), shared, "{left} {right}");
            }
        }
    }

    #[test]
    fn the_table_is_in_normal_form() {
        let lines: Vec<Vec<&str>> = table().map(Iterator::collect).collect();
        assert!(lines.is_sorted_by(|left, right| left.first() < right.first()));
        let mut first = BTreeSet::new();
        for names in &lines {
            assert!(names.len() > 1, "{names:?}");
            assert!(first.insert(names.first()), "{names:?}");
            for found in names {
                assert_eq!(&name(found, Diacritics::Fold), found);
            }
        }
    }
}
