//! Which rules are worth their pairs.

use super::column::{Column, Kind};

/// One expression by which records can be brought together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Atom {
    /// SQL over the columns of the model.
    pub(super) expression: String,
    /// The column, by its place.
    pub(super) column: usize,
    /// Whether it is the whole value.
    pub(super) whole: bool,
    /// Places of the atoms that agree wherever this one does: parts of the same value.
    pub(super) implies: Vec<usize>,
}

/// A rule with what was counted of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    /// Its expressions, ascending.
    pub(super) atoms: Vec<usize>,
    /// Pairs in blocks that are not too large.
    pub(super) pairs: u64,
    /// Records in the largest block.
    pub(super) largest_block: u64,
    /// Blocks that are too large.
    pub(super) left_out: u64,
}

/// A rule may bring this part of all pairs that are allowed, so that there is room for rules that do not fail
/// together with it.
const PART: u64 = 8;

impl Candidate {
    /// Whether the rule may stand as it is.
    pub(super) fn fits_alone(&self, budget: u64) -> bool {
        self.pairs <= budget / PART && self.left_out == 0
    }
}

/// What records can be brought together by.
pub(super) fn atoms(columns: &[Column]) -> Vec<Atom> {
    let mut found: Vec<Atom> = vec![];
    for (column, of) in columns.iter().enumerate() {
        let name = &of.name;
        // Each with the parts that it implies, as places behind the first of the column.
        let own: Vec<(String, &[usize])> = match of.kind {
            Kind::Email => vec![
                (name.clone(), &[1, 2]),
                (format!("split_part({name}, '@', 1)"), &[2]),
                (format!("substr({name}, 1, 4)"), &[]),
            ],
            Kind::Date(_) => vec![
                (name.clone(), &[1, 2, 3]),
                (format!("to_char({name}, '%Y-%m')"), &[3]),
                (format!("to_char({name}, '%m-%d')"), &[]),
                (format!("date_part('year', {name})"), &[]),
            ],
            Kind::FirstName | Kind::LastName | Kind::Name | Kind::Words => {
                vec![(name.clone(), &[1]), (format!("substr({name}, 1, 3)"), &[])]
            }
            Kind::Postcode => vec![(name.clone(), &[1]), (format!("substr({name}, 1, 3)"), &[])],
            Kind::Phone | Kind::Code => {
                vec![(name.clone(), &[1]), (format!("right({name}, 5)"), &[])]
            }
            Kind::Text => vec![(name.clone(), &[1]), (format!("substr({name}, 1, 8)"), &[])],
        };
        let first = found.len();
        for (at, (expression, implies)) in own.into_iter().enumerate() {
            found.push(Atom {
                expression,
                column,
                whole: at == 0,
                implies: implies.iter().map(|place| first + place).collect(),
            });
        }
    }
    found
}

/// Pairs of atoms of different columns that are too loose alone.
pub(super) fn pairs_of_atoms(atoms: &[Atom], loose: &[usize]) -> Vec<Vec<usize>> {
    let mut pairs = vec![];
    for (at, one) in loose.iter().enumerate() {
        for two in loose.iter().skip(at + 1) {
            let column = |place: &usize| atoms.get(*place).map(|atom| atom.column);
            if column(one) != column(two) {
                pairs.push(vec![*one.min(two), *one.max(two)]);
            }
        }
    }
    pairs
}

/// Rules that hardly ever hold for two people: a whole name and a date of birth, or what there is of it.
pub(super) fn strict_sets(columns: &[Column], atoms: &[Atom]) -> Vec<Vec<usize>> {
    let whole = |wanted: fn(Kind) -> bool| -> Vec<usize> {
        let places = atoms.iter().enumerate().filter(|(_, atom)| {
            atom.whole
                && columns
                    .get(atom.column)
                    .is_some_and(|column| wanted(column.kind))
        });
        places.map(|(at, _)| at).collect()
    };
    let names = whole(|kind| matches!(kind, Kind::FirstName | Kind::LastName | Kind::Name));
    let dates = whole(|kind| matches!(kind, Kind::Date(_)));
    let places = whole(|kind| matches!(kind, Kind::Postcode | Kind::Words));
    let mut sets = vec![];
    let both = |more: &[usize]| {
        let mut set = [names.as_slice(), more].concat();
        set.sort_unstable();
        set
    };
    if !names.is_empty() {
        sets.extend(dates.first().map(|date| both(&[*date])));
        sets.extend(places.first().map(|place| both(&[*place])));
        if names.len() > 1 {
            sets.push(both(&[]));
        }
    }
    sets
}

/// Whether all pairs of `rule` are pairs of `other` too.
fn is_within(rule: &Candidate, other: &Candidate, atoms: &[Atom]) -> bool {
    let covers = |wanted: &usize| {
        rule.atoms.iter().any(|own| {
            own == wanted
                || atoms
                    .get(*own)
                    .is_some_and(|atom| atom.implies.contains(wanted))
        })
    };
    other.left_out == 0 && other.atoms.iter().all(covers)
}

/// The rules of blocking: from the tightest on as long as there are pairs to spend, without those whose pairs
/// another one brings as well.
pub(super) fn blocking<'a>(
    atoms: &[Atom],
    candidates: &'a [Candidate],
    budget: u64,
) -> Vec<&'a Candidate> {
    let mut order: Vec<&Candidate> = candidates
        .iter()
        .filter(|candidate| candidate.pairs > 0 && candidate.atoms.len() <= 2)
        .filter(|candidate| candidate.pairs <= budget / PART)
        .collect();
    order.sort_by(|one, two| {
        let pairs = one.pairs.cmp(&two.pairs);
        pairs.then_with(|| one.atoms.cmp(&two.atoms))
    });
    let mut chosen: Vec<&Candidate> = vec![];
    for candidate in order {
        if chosen
            .iter()
            .any(|known| is_within(candidate, known, atoms))
        {
            continue;
        }
        // What it makes superfluous does not count any more.
        let mut next: Vec<&Candidate> = chosen
            .iter()
            .copied()
            .filter(|known| !is_within(known, candidate, atoms))
            .collect();
        next.push(candidate);
        let pairs: u64 = next.iter().map(|rule| rule.pairs).sum();
        if pairs <= budget {
            chosen = next;
        }
    }
    chosen
}

/// Rules that hardly ever join two people: addresses, numbers, codes, and a name with a date of birth.
pub(super) fn prior<'a>(
    columns: &[Column],
    atoms: &[Atom],
    candidates: &'a [Candidate],
) -> Vec<&'a Candidate> {
    let kind = |place: usize| {
        let atom = atoms.get(place).filter(|atom| atom.whole)?;
        columns.get(atom.column).map(|column| column.kind)
    };
    let strong = |candidate: &&Candidate| {
        let [only] = *candidate.atoms.as_slice() else {
            return false;
        };
        matches!(kind(only), Some(Kind::Email | Kind::Phone | Kind::Code))
    };
    let with_pairs = |candidate: &&Candidate| candidate.pairs > 0 && candidate.left_out == 0;
    let mut found: Vec<&Candidate> = candidates
        .iter()
        .filter(strong)
        .filter(with_pairs)
        .collect();
    for set in strict_sets(columns, atoms) {
        let known = candidates.iter().filter(|known| known.atoms == set);
        // A name alone only where there is nothing else.
        if found.is_empty()
            || set
                .iter()
                .any(|at| matches!(kind(*at), Some(Kind::Date(_))))
        {
            found.extend(known.filter(with_pairs));
        }
    }
    if found.is_empty() {
        let whole = |candidate: &&Candidate| {
            candidate.atoms.len() > 1 && candidate.atoms.iter().all(|at| kind(*at).is_some())
        };
        let tightest = candidates.iter().filter(whole).filter(with_pairs);
        found.extend(tightest.min_by_key(|candidate| candidate.pairs));
    }
    found
}

/// Rules to learn from: of whole values, of few columns, none of which is in two of them, with so few pairs that
/// many of them are of one person.
pub(super) fn training<'a>(
    atoms: &[Atom],
    candidates: &'a [Candidate],
    records: u64,
) -> Vec<&'a Candidate> {
    const RULES: usize = 4;
    let whole = |place: &usize| atoms.get(*place).is_some_and(|atom| atom.whole);
    let mut order: Vec<&Candidate> = candidates
        .iter()
        .filter(|candidate| candidate.pairs > 0 && candidate.left_out == 0)
        .filter(|candidate| candidate.pairs <= records.saturating_mul(2))
        .filter(|candidate| candidate.atoms.iter().all(whole))
        .collect();
    order.sort_by(|one, two| {
        let columns = one.atoms.len().cmp(&two.atoms.len());
        let pairs = one.pairs.cmp(&two.pairs);
        columns.then(pairs).then_with(|| one.atoms.cmp(&two.atoms))
    });
    let mut chosen: Vec<&Candidate> = vec![];
    for candidate in order {
        let column = |place: &usize| atoms.get(*place).map(|atom| atom.column);
        let taken = chosen.iter().flat_map(|known| &known.atoms);
        let taken: Vec<Option<usize>> = taken.map(column).collect();
        if chosen.len() < RULES
            && candidate
                .atoms
                .iter()
                .all(|at| !taken.contains(&column(at)))
        {
            chosen.push(candidate);
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::suggest::column::DateForm;

    fn columns() -> Vec<Column> {
        let column = |name: &str, kind| Column {
            from: name.to_owned(),
            name: name.to_owned(),
            kind,
            why: String::new(),
        };
        vec![
            column("first", Kind::FirstName),
            column("last", Kind::LastName),
            column("born", Kind::Date(DateForm::Iso)),
            column("email", Kind::Email),
        ]
    }

    /// A rule of these expressions.
    fn rule(atoms: &[Atom], expressions: &[&str], pairs: u64) -> Candidate {
        let place = |wanted: &&str| atoms.iter().position(|atom| atom.expression == *wanted);
        let mut places: Vec<usize> = expressions.iter().filter_map(place).collect();
        assert_eq!(places.len(), expressions.len(), "{expressions:?}");
        places.sort_unstable();
        Candidate {
            atoms: places,
            pairs,
            largest_block: 9,
            left_out: 0,
        }
    }

    fn shown(atoms: &[Atom], rules: &[&Candidate]) -> Vec<String> {
        let text = |rule: &&Candidate| {
            let own = rule.atoms.iter().filter_map(|at| atoms.get(*at));
            let own: Vec<&str> = own.map(|atom| atom.expression.as_str()).collect();
            own.join(" + ")
        };
        rules.iter().map(text).collect()
    }

    #[test]
    fn pairs_are_spent_on_tight_rules_first() {
        let atoms = atoms(&columns());
        let candidates = [
            rule(&atoms, &["first"], 900),
            rule(&atoms, &["last"], 90),
            rule(&atoms, &["born"], 20),
            rule(&atoms, &["to_char(born, '%Y-%m')"], 60),
            rule(&atoms, &["email"], 0),
            rule(&atoms, &["first", "date_part('year', born)"], 30),
            rule(&atoms, &["first", "substr(last, 1, 3)"], 40),
            rule(&atoms, &["first", "last"], 10),
        ];
        // The day is within the month, and both names within the last one and within the first one with a part.
        assert_eq!(
            shown(&atoms, &blocking(&atoms, &candidates, 800)),
            [
                "first + date_part('year', born)",
                "first + substr(last, 1, 3)",
                "to_char(born, '%Y-%m')",
                "last"
            ]
        );
        assert_eq!(
            shown(&atoms, &blocking(&atoms, &candidates, 160)),
            ["first + last", "born"]
        );
        assert!(blocking(&atoms, &candidates, 8).is_empty());
    }

    #[test]
    fn a_rule_with_blocks_left_out_makes_no_other_superfluous() {
        let atoms = atoms(&columns());
        let mut loose = rule(&atoms, &["last"], 90);
        loose.left_out = 1;
        let candidates = [loose, rule(&atoms, &["first", "last"], 10)];
        assert_eq!(
            shown(&atoms, &blocking(&atoms, &candidates, 800)),
            ["first + last", "last"]
        );
    }

    #[test]
    fn training_rules_share_no_column() {
        let atoms = atoms(&columns());
        let candidates = [
            rule(&atoms, &["first"], 5_000),
            rule(&atoms, &["born"], 500),
            rule(&atoms, &["to_char(born, '%m-%d')"], 5),
            rule(&atoms, &["email"], 400),
            rule(&atoms, &["first", "born"], 50),
            rule(&atoms, &["first", "last"], 300),
        ];
        assert_eq!(
            shown(&atoms, &training(&atoms, &candidates, 1_000)),
            ["email", "born", "first + last"]
        );
    }

    #[test]
    fn the_prior_is_of_what_hardly_two_people_share() {
        let (columns, atoms) = (columns(), atoms(&columns()));
        assert_eq!(strict_sets(&columns, &atoms).len(), 2);
        let mut candidates = vec![
            rule(&atoms, &["first"], 5_000),
            rule(&atoms, &["email"], 400),
            rule(&atoms, &["first", "last", "born"], 300),
            rule(&atoms, &["first", "last"], 700),
        ];
        assert_eq!(
            shown(&atoms, &prior(&columns, &atoms, &candidates)),
            ["email", "first + last + born"]
        );
        candidates.remove(2);
        candidates.remove(1);
        assert_eq!(
            shown(&atoms, &prior(&columns, &atoms, &candidates)),
            ["first + last"]
        );
    }
}
