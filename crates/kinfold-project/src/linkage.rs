//! What the configuration of a linkage model says: which records are compared, and how.
//!
//! ```yaml
//! materialized: linkage
//! blocking: [email, [last_name, birth_date], ["substr(first_name, 1, 3)", postcode]]
//! comparisons:
//!   first_name: {like: name, term_frequency: true}
//!   birth_date: date
//!   email: {levels: [exact, {jaro_winkler: 0.9}]}
//! prior: {rules: [email, phone], recall: 0.7}
//! threshold: 0.95
//! ```
//!
//! Its trained parameters are a file of the project beside the model, `<model>.linkage.yml`.

use crate::diagnostic::Span;
use crate::located::Located;

/// Keys of a model's configuration that only the materialization `linkage` knows.
pub const LINKAGE_KEYS: [&str; 8] = [
    "blocking",
    "clustering",
    "comparisons",
    "link",
    "max_block",
    "prior",
    "threshold",
    "training",
];

/// The model of one record linkage (Fellegi and Sunter 1969), without its trained parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkageRules {
    /// Only records that agree on one of these are compared.
    pub blocking: Vec<KeyRule>,
    /// The comparisons, in the order of the file.
    pub comparisons: Vec<ComparisonRule>,
    /// Rules that hardly ever join two different people, to find out how rare matches are.
    pub prior: Vec<KeyRule>,
    /// The share of all matches that those rules find, above 0 and at most 1.
    pub recall: f64,
    /// Rules whose pairs the parameters are trained on; the first blocking rules unless given.
    pub training: Vec<KeyRule>,
    /// Which records are compared with each other.
    pub link: LinkScope,
    /// How pairs become people.
    pub clustering: Clustering,
    /// The bars of [`Clustering::Average`].
    pub average: AverageBars,
    /// The probability from which on a pair is a link, between 0 and 1.
    pub threshold: Located<f64>,
    /// The most records that may agree on one key; more are not compared by it, and reported.
    pub max_block: u64,
}

/// Records agree if they agree on every expression; null agrees with nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyRule {
    /// SQL over the columns of the model.
    pub expressions: Vec<Located<String>>,
    /// Where the rule was written.
    pub span: Span,
}

/// Which records are compared with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum LinkScope {
    /// All with all.
    #[default]
    All,
    /// Only those of different sources.
    Sources,
}

impl LinkScope {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::All, Self::Sources];

    /// The word in a project: `sources`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Sources => "sources",
        }
    }
}

/// How pairs become people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Clustering {
    /// Everything that is connected by links.
    #[default]
    Connected,
    /// What is connected, taken apart where its members do not resemble each other on average.
    Average,
    /// Each record has at most one partner of each other source.
    OneToOne,
}

impl Clustering {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Connected, Self::Average, Self::OneToOne];

    /// The word in a project: `one_to_one`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Average => "average",
            Self::OneToOne => "one_to_one",
        }
    }
}

/// From which likeness on average linkage goes on; [`LinkageRules::threshold`] where none is given.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AverageBars {
    /// The probability from which on a pair brings its records into one component.
    pub connect: Option<f64>,
    /// The probability that the mean weight between two groups of a component must speak for.
    pub merge: Option<f64>,
}

/// How one property of two records is compared.
#[derive(Clone, Debug, PartialEq)]
pub struct ComparisonRule {
    /// Its name, and the column that is compared unless a level names another.
    pub name: Located<String>,
    /// The levels, from most to least alike. That of a missing value before and that of all other pairs behind
    /// them are not written.
    pub levels: Vec<LevelRule>,
}

/// One level of likeness.
#[derive(Clone, Debug, PartialEq)]
pub struct LevelRule {
    /// What two records fulfil.
    pub condition: LevelCondition,
    /// Whether agreement on a rare value counts for more, and by how much: 1 in full, 0 not at all.
    pub term_frequency: f64,
    /// The column of that value, if it is not the one of an [`LevelCondition::Exact`].
    pub frequency_of: Option<String>,
    /// Where it was written.
    pub span: Span,
}

/// What two records fulfil.
#[derive(Clone, Debug, PartialEq)]
pub enum LevelCondition {
    /// Equal values.
    Exact(String),
    /// Jaro-Winkler similarity of at least this.
    JaroWinkler(String, f64),
    /// Jaro similarity of at least this.
    Jaro(String, f64),
    /// Jaccard similarity of the sets of characters of at least this.
    Jaccard(String, f64),
    /// At most so many insertions, deletions and replacements.
    Levenshtein(String, u32),
    /// The same with exchanges of neighbours.
    Damerau(String, u32),
    /// Dates at most so many days apart.
    Days(String, u32),
    /// Numbers at most this apart.
    Within(String, f64),
    /// Lists that have at least so many members in common.
    Overlap(String, u32),
    /// Lists of which two members have at least this Jaro-Winkler similarity.
    BestJaroWinkler(String, f64),
    /// The first column of one record equals the second of the other, and the other way round.
    Swapped(String, String),
    /// Every one of these.
    All(Vec<LevelCondition>),
    /// One of these.
    Any(Vec<LevelCondition>),
    /// Not this.
    Not(Box<LevelCondition>),
}

impl LevelCondition {
    /// The columns that it reads.
    #[must_use]
    pub fn columns(&self) -> Vec<&str> {
        match self {
            Self::Exact(column)
            | Self::JaroWinkler(column, _)
            | Self::Jaro(column, _)
            | Self::Jaccard(column, _)
            | Self::Levenshtein(column, _)
            | Self::Damerau(column, _)
            | Self::Days(column, _)
            | Self::Within(column, _)
            | Self::Overlap(column, _)
            | Self::BestJaroWinkler(column, _) => vec![column],
            Self::Swapped(one, other) => vec![one, other],
            Self::All(parts) | Self::Any(parts) => parts.iter().flat_map(Self::columns).collect(),
            Self::Not(part) => part.columns(),
        }
    }

    /// The name of the level in files and tables: `jaro_winkler(first_name) >= 0.92`.
    #[must_use]
    pub fn label(&self) -> String {
        let joined = |parts: &[Self], word: &str| {
            let parts: Vec<String> = parts.iter().map(Self::label).collect();
            format!("({})", parts.join(word))
        };
        match self {
            Self::Exact(column) => format!("{column} equal"),
            Self::JaroWinkler(column, least) => format!("jaro_winkler({column}) >= {least}"),
            Self::Jaro(column, least) => format!("jaro({column}) >= {least}"),
            Self::Jaccard(column, least) => format!("jaccard({column}) >= {least}"),
            Self::Levenshtein(column, most) => format!("levenshtein({column}) <= {most}"),
            Self::Damerau(column, most) => format!("damerau({column}) <= {most}"),
            Self::Days(column, most) => format!("days({column}) <= {most}"),
            Self::Within(column, most) => format!("difference({column}) <= {most}"),
            Self::Overlap(column, least) => format!("overlap({column}) >= {least}"),
            Self::BestJaroWinkler(column, least) => {
                format!("best_jaro_winkler({column}) >= {least}")
            }
            Self::Swapped(one, other) => format!("{one} and {other} swapped"),
            Self::All(parts) => joined(parts, " and "),
            Self::Any(parts) => joined(parts, " or "),
            Self::Not(part) => format!("not {}", part.label()),
        }
    }
}

/// The trained parameters of a linkage: how often its levels occur among pairs of one person and among others.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkageParameters {
    /// The package of the model.
    pub package: String,
    /// The model.
    pub model: Located<String>,
    /// The probability that two records that are drawn at random are of one person, between 0 and 1.
    pub prior: f64,
    /// The parameters of each comparison.
    pub comparisons: Vec<ComparisonParameters>,
}

/// The parameters of one comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct ComparisonParameters {
    /// Its name.
    pub name: Located<String>,
    /// Its levels, that of all other pairs last.
    pub levels: Vec<LevelParameters>,
}

/// How often a level occurs.
#[derive(Clone, Debug, PartialEq)]
pub struct LevelParameters {
    /// [`LevelCondition::label`], or [`OTHERWISE`].
    pub label: Located<String>,
    /// The share of pairs of one person that are on this level.
    pub m: f64,
    /// The share of pairs of different people that are on this level.
    pub u: f64,
}

/// The label of the level of all pairs that are on no other.
pub const OTHERWISE: &str = "else";

/// What the name of a file of parameters ends in, behind the name of its model.
pub const PARAMETERS_FILE: &str = ".linkage.yml";

impl LinkageParameters {
    /// The text of the file. Reading it gives the same numbers, bit by bit.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        let mut text = format!(
            "# Trained by `kinfold identity train {}`. Look at what changed before you commit it.\nversion: 1\nprior: {}\ncomparisons:\n",
            self.model.value,
            decimal(self.prior)
        );
        for comparison in &self.comparisons {
            text.push_str(&format!("  {}:\n", quoted(&comparison.name.value)));
            for level in &comparison.levels {
                text.push_str(&format!(
                    "    - {{level: {}, m: {}, u: {}}}\n",
                    quoted(&level.label.value),
                    decimal(level.m),
                    decimal(level.u)
                ));
            }
        }
        text
    }
}

/// The shortest decimal that is read as the same number; never a whole number, so that its type is plain.
fn decimal(number: f64) -> String {
    format!("{number:?}")
}

fn quoted(text: &str) -> String {
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let word = text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic());
    let reserved = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    if plain && word && !reserved.contains(&text.to_ascii_lowercase().as_str()) {
        text.to_owned()
    } else {
        serde_json::Value::from(text).to_string()
    }
}

/// Ready-made levels by what a column holds.
pub const LIKE: [&str; 7] = [
    "exact", "name", "text", "date", "email", "phone", "postcode",
];

/// The levels of a ready-made comparison, or `None` for a word that is not in [`LIKE`].
///
/// The steps of names are those that Winkler (1990) and the linkage of censuses use; an e-mail address agrees
/// in part if what stands before the `@` is alike, which the column's own text shows well enough.
#[must_use]
pub fn ready_made(word: &str, column: &str) -> Option<Vec<LevelCondition>> {
    use LevelCondition::{Damerau, Days, Exact, JaroWinkler, Levenshtein};
    let own = || column.to_owned();
    Some(match word {
        "exact" => vec![Exact(own())],
        "name" => vec![
            Exact(own()),
            JaroWinkler(own(), 0.92),
            JaroWinkler(own(), 0.88),
            JaroWinkler(own(), 0.7),
        ],
        "text" => vec![
            Exact(own()),
            JaroWinkler(own(), 0.9),
            JaroWinkler(own(), 0.7),
        ],
        "date" => vec![
            Exact(own()),
            Damerau(own(), 1),
            Days(own(), 31),
            Days(own(), 366),
            Days(own(), 3653),
        ],
        "email" => vec![
            Exact(own()),
            Levenshtein(own(), 2),
            JaroWinkler(own(), 0.88),
        ],
        "phone" => vec![Exact(own()), Levenshtein(own(), 1), Levenshtein(own(), 2)],
        "postcode" => vec![Exact(own()), Damerau(own(), 1), JaroWinkler(own(), 0.85)],
        _ => return None,
    })
}
