//! Random projects, changed at random: what a build skips is what a new lake would have.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use super::{built, planned};
use crate::program::{folder, kinfold, write};
use crate::tables::{assert_equal, published};

/// Numbers that are the same for the same seed on every machine.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Whole,
    Half,
    Text,
}

#[derive(Clone, Debug)]
struct Column {
    name: String,
    kind: Kind,
    /// Over the columns of the relation that is read as `a`, or joined as `b`.
    sql: String,
    /// The columns that are named in it.
    of: BTreeSet<(char, String)>,
}

#[derive(Clone, Debug)]
enum Shape {
    Plain,
    Distinct,
    /// By the first columns; the others are aggregated.
    Grouped {
        keys: usize,
    },
    /// With `rank()` over its first column, cut at a number or not.
    Ranked {
        cut: Option<usize>,
    },
    /// Sorted by all columns.
    Cut {
        rows: usize,
    },
    /// With itself.
    Twice {
        distinct: bool,
    },
}

#[derive(Clone, Debug)]
struct Model {
    name: String,
    view: bool,
    base: String,
    joined: Option<(String, &'static str)>,
    filters: Vec<(String, BTreeSet<(char, String)>)>,
    columns: Vec<Column>,
    shape: Shape,
    /// How it is written; means nothing.
    style: usize,
}

struct Project {
    dice: Dice,
    models: Vec<Model>,
    orders: Vec<(i64, String, i64, f64)>,
    people: Vec<(String, String, i64)>,
    hour: usize,
    made: usize,
}

fn given(relation: &str) -> Vec<(String, Kind)> {
    let columns: &[(&str, Kind)] = match relation {
        "orders" => &[
            ("id", Kind::Whole),
            ("customer", Kind::Text),
            ("amount", Kind::Whole),
            ("weight", Kind::Half),
        ],
        _ => &[
            ("customer", Kind::Text),
            ("region", Kind::Text),
            ("age", Kind::Whole),
        ],
    };
    columns
        .iter()
        .map(|(name, kind)| ((*name).to_owned(), *kind))
        .collect()
}

impl Project {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let names = ["ann", "bo", "cy", "di"];
        let orders = (0..12).map(|id| {
            let customer = (*dice.one(&names)).to_owned();
            (
                id,
                customer,
                dice.below(9) as i64,
                dice.below(8) as f64 / 2.0,
            )
        });
        let orders = orders.collect();
        let people = names
            .iter()
            .map(|name| ((*name).to_owned(), format!("r{}", name.len()), 30));
        let people = people.collect();
        let mut project = Self {
            dice,
            models: vec![],
            orders,
            people,
            hour: 1,
            made: 0,
        };
        for at in 0..3 + project.dice.below(4) {
            let model = project.model(at);
            project.models.push(model);
        }
        project
    }

    /// What a model may read, with the names and types of its columns.
    fn columns_of(&self, relation: &str) -> Vec<(String, Kind)> {
        let Some(model) = self.models.iter().find(|model| model.name == relation) else {
            return given(relation);
        };
        let columns = model
            .columns
            .iter()
            .map(|column| (column.name.clone(), column.kind));
        columns.collect()
    }

    fn model(&mut self, at: usize) -> Model {
        let mut relations = vec!["orders".to_owned(), "people".to_owned()];
        relations.extend(self.models.iter().map(|model| model.name.clone()));
        // Chains are longer if the last is read more often.
        let last = relations[relations.len() - 1].clone();
        let base = if self.dice.below(4) > 0 {
            last
        } else {
            self.dice.one(&relations).clone()
        };
        let joined = (self.dice.below(3) == 0).then(|| {
            let how = *self
                .dice
                .one(&["JOIN", "LEFT JOIN", "LEFT SEMI JOIN", "LEFT ANTI JOIN"]);
            (self.dice.one(&relations).clone(), how)
        });
        let mut model = Model {
            name: format!("m{at}"),
            view: self.dice.below(4) == 0,
            base,
            joined,
            filters: vec![],
            columns: vec![],
            shape: Shape::Plain,
            style: 0,
        };
        for _ in 0..2 + self.dice.below(3) {
            let column = self.column(&model);
            model.columns.push(column);
        }
        for _ in 0..self.dice.below(3) {
            let filter = self.filter(&model);
            model.filters.push(filter);
        }
        model.shape = match self.dice.below(10) {
            0 => Shape::Distinct,
            1 | 2 => Shape::Grouped { keys: 1 },
            3 => Shape::Ranked {
                cut: Some(1 + self.dice.below(4)),
            },
            4 => Shape::Ranked { cut: None },
            5 => Shape::Cut {
                rows: 2 + self.dice.below(6),
            },
            6 => Shape::Twice {
                distinct: self.dice.below(2) == 0,
            },
            _ => Shape::Plain,
        };
        if let Shape::Grouped { keys } = model.shape {
            // Sums of halves are exact here, and counted as rounded all the same.
            for column in &mut model.columns[keys..] {
                (column.sql, column.kind) = match column.kind {
                    Kind::Text => (format!("max({})", column.sql), Kind::Text),
                    kind => (format!("sum({})", column.sql), kind),
                };
            }
        }
        model
    }

    /// A column that `a` has, or `b` where it can be seen.
    fn seen(&mut self, model: &Model) -> (char, String, Kind) {
        let visible = matches!(&model.joined, Some((_, "JOIN" | "LEFT JOIN")));
        let side = if visible && self.dice.below(3) == 0 {
            'b'
        } else {
            'a'
        };
        let relation = match (&model.joined, side) {
            (Some((joined, _)), 'b') => joined,
            _ => &model.base,
        };
        let columns = self.columns_of(relation);
        let (name, kind) = self.dice.one(&columns).clone();
        (side, name, kind)
    }

    fn column(&mut self, model: &Model) -> Column {
        self.made += 1;
        let name = format!("c{}", self.made);
        let (side, column, kind) = self.seen(model);
        let of = BTreeSet::from([(side, column.clone())]);
        let read = format!("{side}.{column}");
        let number = self.dice.below(5);
        let sql = match (kind, self.dice.below(4)) {
            (_, 0) => read,
            (Kind::Text, 1) => format!("upper({read})"),
            (Kind::Text, _) => format!("{read} || '{number}'"),
            (_, 1) => format!("{read} + {number}"),
            (_, 2) => format!("coalesce({read}, {number})"),
            (_, _) => format!("CASE WHEN {read} > {number} THEN {read} END"),
        };
        Column {
            name,
            kind,
            sql,
            of,
        }
    }

    fn filter(&mut self, model: &Model) -> (String, BTreeSet<(char, String)>) {
        let (side, column, kind) = self.seen(model);
        let number = self.dice.below(5);
        let sql = match kind {
            Kind::Text => format!(
                "{side}.{column} <> '{}'",
                self.dice.one(&["ann", "bo", "CY", "di1"])
            ),
            _ if self.dice.below(6) == 0 => {
                format!("{side}.{column} < extract(hour FROM now())")
            }
            _ => format!("{side}.{column} >= {number}"),
        };
        (sql, BTreeSet::from([(side, column)]))
    }

    /// Whether any model reads a column of another one.
    fn is_read(&self, relation: &str, column: &str) -> bool {
        self.models.iter().any(|model| {
            let mut named = model.columns.iter().map(|column| &column.of);
            let mut filters = model.filters.iter().map(|(_, of)| of);
            let read = |side: char| {
                let joins = matches!(&model.joined, Some((joined, _)) if joined == relation);
                (side == 'a' && model.base == relation) || (side == 'b' && joins)
            };
            let names = |of: &BTreeSet<(char, String)>| {
                of.iter().any(|(side, name)| read(*side) && name == column)
            };
            // The keys of a join are the first columns of both sides.
            let key = model.joined.as_ref().is_some_and(|(joined, _)| {
                let first = |of: &str| of == relation && self.columns_of(of)[0].0 == column;
                first(&model.base) || first(joined)
            });
            key || named.any(names) || filters.any(names)
        })
    }

    fn sql(&self, model: &Model) -> String {
        let style = model.style;
        let materialized = if model.view { "view" } else { "table" };
        let mut sql = format!("{{{{ config(materialized='{materialized}') }}}}\n");
        if style % 2 == 1 {
            let _ = writeln!(sql, "-- written for the {style}th time");
        }
        let relation = |name: &str| format!("{{{{ ref('{name}') }}}}");
        let mut base = relation(&model.base);
        if style % 3 == 1 {
            // With a column that nobody reads, if there is a name for it.
            base = format!("(SELECT *, 'x' AS unread_{style} FROM {base})");
        }
        let mut from = format!("FROM {base} AS a");
        if let Some((joined, how)) = &model.joined {
            let keys = [&model.base, joined].map(|name| self.columns_of(name)[0].0.clone());
            let _ = write!(
                from,
                " {how} {} AS b ON CAST(a.{} AS VARCHAR) = CAST(b.{} AS VARCHAR)",
                relation(joined),
                keys[0],
                keys[1]
            );
        }
        let mut filters: Vec<&str> = model.filters.iter().map(|(sql, _)| sql.as_str()).collect();
        if style % 5 > 2 {
            filters.reverse();
        }
        if !filters.is_empty() {
            let _ = write!(from, " WHERE {}", filters.join(" AND "));
        }
        let columns = model
            .columns
            .iter()
            .map(|column| format!("{} AS {}", column.sql, column.name));
        let columns = columns.collect::<Vec<_>>().join(", ");
        let names: Vec<&str> = model
            .columns
            .iter()
            .map(|column| column.name.as_str())
            .collect();
        let plain = format!("SELECT {columns} {from}");
        let body = match &model.shape {
            Shape::Plain => plain,
            Shape::Distinct => format!("SELECT DISTINCT {columns} {from}"),
            Shape::Grouped { keys } => {
                let keys = model.columns[..*keys]
                    .iter()
                    .map(|column| column.sql.as_str());
                format!("{plain} GROUP BY {}", keys.collect::<Vec<_>>().join(", "))
            }
            Shape::Ranked { cut } => {
                let cut = cut
                    .map(|cut| format!(" WHERE place <= {cut}"))
                    .unwrap_or_default();
                format!(
                    "SELECT {} FROM (SELECT *, rank() OVER (ORDER BY {}) AS place FROM ({plain}) AS r) AS s{cut}",
                    names.join(", "),
                    names[0]
                )
            }
            Shape::Cut { rows } => format!("{plain} ORDER BY {} LIMIT {rows}", names.join(", ")),
            Shape::Twice { distinct } => {
                let all = if *distinct { "" } else { " ALL" };
                format!("{plain} UNION{all} {plain}")
            }
        };
        sql + &match style % 4 {
            3 => format!(
                "WITH unused AS (SELECT 1 AS one), y{style} AS ({body}) SELECT * FROM y{style}"
            ),
            2 => body.replace(" FROM", "\n    FROM"),
            _ => body,
        }
    }

    fn write(&self, folder: &Path) {
        let mut files = vec![("kinfold.yml".to_owned(), "name: random\n".to_owned())];
        let mut orders = "id,customer,amount,weight\n".to_owned();
        for (id, customer, amount, weight) in &self.orders {
            let _ = writeln!(orders, "{id},{customer},{amount},{weight:?}");
        }
        let mut people = "customer,region,age\n".to_owned();
        for (customer, region, age) in &self.people {
            let _ = writeln!(people, "{customer},{region},{age}");
        }
        files.push(("seeds/orders.csv".to_owned(), orders));
        files.push(("seeds/people.csv".to_owned(), people));
        for model in &self.models {
            files.push((format!("models/{}.sql", model.name), self.sql(model)));
        }
        let files: Vec<(&str, &str)> = files
            .iter()
            .map(|(path, text)| (path.as_str(), text.as_str()))
            .collect();
        write(folder, &files);
    }

    /// Changes something, and says which tables may be built then at most, if that is known.
    fn change(&mut self) -> (&'static str, Option<BTreeSet<String>>) {
        // What comes first has more below it.
        let at = self.dice.below(self.models.len());
        let at = at.min(self.dice.below(self.models.len()));
        let name = self.models[at].name.clone();
        // What may be rounded otherwise is known by its version.
        let itself = self.is_exact(&name).then(|| BTreeSet::from([name.clone()]));
        let mut model = self.models[at].clone();
        let plain = matches!(model.shape, Shape::Plain | Shape::Ranked { .. });
        let (what, most) = match self.dice.below(16) {
            0..=2 => {
                model.style += 1 + self.dice.below(60);
                ("the style", Some(BTreeSet::new()))
            }
            3 | 4 | 12 if plain => {
                let column = self.column(&model);
                model.columns.push(column);
                ("a new column", itself)
            }
            5 | 6 | 13 | 14 if !matches!(model.shape, Shape::Grouped { .. }) => {
                let which = self.dice.below(model.columns.len());
                let (old, new) = (model.columns[which].clone(), self.column(&model));
                if new.kind != old.kind {
                    return self.change();
                }
                let unread = plain && which > 0 && !self.is_read(&name, &old.name);
                model.columns[which] = Column {
                    name: old.name,
                    ..new
                };
                ("a column", itself.filter(|_| unread))
            }
            7 | 15 if plain && model.columns.len() > 2 => {
                let last = model.columns[model.columns.len() - 1].name.clone();
                if self.is_read(&name, &last) {
                    return self.change();
                }
                model.columns.pop();
                ("a column less", itself)
            }
            8 => {
                if model.filters.is_empty() || self.dice.below(2) == 0 {
                    let filter = self.filter(&model);
                    model.filters.push(filter);
                } else {
                    model.filters.pop();
                }
                ("a filter", None)
            }
            9 => {
                model.shape = match model.shape {
                    Shape::Cut { rows } => Shape::Cut { rows: rows + 1 },
                    Shape::Ranked { cut: None } => Shape::Ranked { cut: Some(3) },
                    Shape::Ranked { cut: Some(_) } => Shape::Ranked { cut: None },
                    Shape::Twice { distinct } => Shape::Twice {
                        distinct: !distinct,
                    },
                    Shape::Plain => Shape::Distinct,
                    Shape::Distinct => Shape::Plain,
                    grouped => {
                        model.view = !model.view;
                        grouped
                    }
                };
                ("the shape", None)
            }
            10 => {
                let row = self.dice.below(self.orders.len());
                self.orders[row].2 += 1;
                ("a seed", None)
            }
            11 => {
                self.hour = (self.hour + 1) % 24;
                ("the clock", None)
            }
            _ => return self.change(),
        };
        self.models[at] = model;
        (what, most)
    }

    /// Whether floating-point numbers are added or compared in no table or view above, nor in this.
    fn is_exact(&self, relation: &str) -> bool {
        let Some(model) = self.models.iter().find(|model| model.name == relation) else {
            return true;
        };
        let gathers = matches!(
            model.shape,
            Shape::Grouped { .. } | Shape::Distinct | Shape::Twice { distinct: true }
        );
        let halves = model.columns.iter().any(|column| column.kind == Kind::Half);
        let joined = model
            .joined
            .as_ref()
            .is_none_or(|(joined, _)| self.is_exact(joined));
        !(gathers && halves) && joined && self.is_exact(&model.base)
    }

    /// How many tables stand below those that were built, at any distance, and were not.
    fn spared(&self, built: &BTreeSet<String>) -> usize {
        let mut below: BTreeSet<&str> = BTreeSet::new();
        for model in &self.models {
            let mut parents = model
                .joined
                .iter()
                .map(|(joined, _)| joined)
                .chain([&model.base]);
            if parents.any(|name| built.contains(name) || below.contains(name.as_str())) {
                below.insert(&model.name);
            }
        }
        let spared = |model: &&Model| {
            !model.view && below.contains(model.name.as_str()) && !built.contains(&model.name)
        };
        self.models.iter().filter(spared).count()
    }

    fn as_of(&self) -> String {
        format!("2026-01-01T{:02}:00:00Z", self.hour)
    }
}

/// Whether a project can be run: not everything that is thrown together can be planned.
fn is_sound(project: &Path) -> bool {
    kinfold(project, ["check"]).run().code == Some(0)
}

pub fn what_is_skipped_is_what_a_new_lake_would_have() {
    let number = |name: &str, default: u64| {
        let given = std::env::var(name).ok().and_then(|text| text.parse().ok());
        given.unwrap_or(default)
    };
    let (first, projects) = (number("KINFOLD_SEED", 1), number("KINFOLD_PROJECTS", 3));
    let changes = number("KINFOLD_CHANGES", 6);
    // By what was changed: how often, how many tables were built, how many that stand below those were not.
    let mut seen: BTreeMap<&str, (u32, usize, usize)> = BTreeMap::new();
    // Columns that nobody read were changed, and tables that stand below were not built.
    let spared = |seen: &BTreeMap<&str, (u32, usize, usize)>| -> usize {
        let columns = ["a new column", "a column", "a column less"];
        let counts = columns.iter().filter_map(|what| seen.get(what));
        counts.map(|counts| counts.2).sum()
    };
    for seed in first..first + 8 * projects {
        if seed >= first + projects && spared(&seen) > 0 {
            break;
        }
        let mut project = Project::new(seed);
        let kept = folder();
        project.write(kept.path());
        if !is_sound(kept.path()) {
            continue;
        }
        built(kept.path(), &["--as-of", &project.as_of()]);
        for step in 0..changes {
            let before = (project.models.clone(), project.orders.clone(), project.hour);
            let (what, most) = project.change();
            project.write(kept.path());
            if !is_sound(kept.path()) {
                (project.models, project.orders, project.hour) = before;
                project.write(kept.path());
                continue;
            }
            let (time, place) = (project.as_of(), format!("seed {seed}, step {step}, {what}"));
            let plan = planned(kept.path(), &["--as-of", &time]);
            let done = built(kept.path(), &["--as-of", &time]);
            let new = folder();
            project.write(new.path());
            built(new.path(), &["--as-of", &time]);
            assert_equal(&published(kept.path()), &published(new.path()), &place);
            let names = |work: &super::Work| work.keys().cloned().collect::<Vec<_>>();
            assert_eq!(names(&plan), names(&done), "{place}");
            let is_table =
                |name: &&String| project.models.iter().any(|m| m.name == **name && !m.view);
            let tables: BTreeSet<String> = done.keys().filter(is_table).cloned().collect();
            if let Some(most) = &most {
                // Who takes one of several answers goes by the versions of what it reads.
                let by_version = |name: &&String| what != "the style" && !project.is_exact(name);
                let built = tables.iter().filter(|name| !by_version(name));
                let built: BTreeSet<String> = built.cloned().collect();
                assert!(built.is_subset(most), "{place}: built {done:?}");
            }
            let counts = seen.entry(what).or_default();
            *counts = (
                counts.0 + 1,
                counts.1 + tables.len(),
                counts.2 + project.spared(&tables),
            );
        }
    }
    for (what, (times, built, spared)) in &seen {
        let line = format!("{what}: {times} times, {built} tables built, {spared} below not");
        let _ = writeln!(std::io::stderr(), "{line}");
    }
    let tried: u32 = seen.values().map(|counts| counts.0).sum();
    let enough = projects * changes / 2;
    assert!(u64::from(tried) > enough, "{tried} changes were sound");
    assert!(spared(&seen) > 0, "{seen:?}");
}
