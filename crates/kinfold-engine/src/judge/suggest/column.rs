//! What a column holds, by what is in it and by its name.

use std::collections::BTreeMap;

use datafusion::arrow::datatypes::{DataType, Schema};

use super::{LeftOut, unique};
use crate::build::quoted;

/// Patterns whose matches are counted in every column, in this order.
const PATTERNS: [&str; 9] = [
    // An e-mail address.
    r"^[^@\s]+@[^@\s]+\.[^@\s]+$",
    // Dates: 1980-01-31, 31.01.1980 and 1/31/1980, 19800131.
    r"^\d{4}-\d{2}-\d{2}([ T].*)?$",
    r"^\d{1,2}[./-]\d{1,2}[./-]\d{4}$",
    r"^(18|19|20)\d{2}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])$",
    // The second part of a date is above 12: the month comes first.
    r"^\d{1,2}[./-](1[3-9]|2\d|3[01])[./-]\d{4}$",
    // A telephone number with something that a plain number does not have.
    r"^(\+|0|\()[0-9 ()/.-]{6,20}$",
    // A postal code of Great Britain, Canada, the Netherlands: letters and digits.
    r"^([A-Za-z]{1,2}\d[A-Za-z\d]? ?\d[A-Za-z]{2}|[A-Za-z]\d[A-Za-z] ?\d[A-Za-z]\d|\d{4} ?[A-Za-z]{2})$",
    // A whole number.
    r"^-?\d+$",
    // Words.
    r"^\p{L}[\p{L}'’. -]*$",
];

/// Numbers for each column beside those of the patterns: filled, distinct, sum of lengths.
const BASE: usize = 3;

/// What was counted of a column.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    pub(super) name: String,
    pub(super) data_type: Option<DataType>,
    pub(super) filled: u64,
    pub(super) distinct: u64,
    length: u64,
    matches: [u64; PATTERNS.len()],
}

/// The statement that counts: the records first, then for each column its numbers.
pub(super) fn facts_sql(schema: &Schema, relation: &str) -> String {
    let mut numbers = vec!["CAST(count(*) AS BIGINT) AS records".to_owned()];
    let mut texts = vec![];
    for (at, field) in schema.fields().iter().enumerate() {
        let text = match field.data_type() {
            kind if kind.is_nested()
                || matches!(kind, DataType::Binary | DataType::LargeBinary) =>
            {
                "CAST(NULL AS VARCHAR)".to_owned()
            }
            _ => format!(
                "nullif(trim(CAST({} AS VARCHAR)), '')",
                quoted(field.name())
            ),
        };
        texts.push(format!("{text} AS t{at}"));
        let own = [
            format!("count(t{at})"),
            format!("count(DISTINCT lower(t{at}))"),
            format!("sum(character_length(t{at}))"),
        ];
        let patterns = PATTERNS.iter().map(|pattern| {
            let pattern = pattern.replace('\'', "''");
            format!("sum(CASE WHEN regexp_like(t{at}, '{pattern}') THEN 1 ELSE 0 END)")
        });
        for (number, of) in own.into_iter().chain(patterns).enumerate() {
            numbers.push(format!("CAST({of} AS BIGINT) AS n{at}_{number}"));
        }
    }
    format!(
        "SELECT {} FROM (SELECT {} FROM {relation}) AS r",
        numbers.join(", "),
        texts.join(", ")
    )
}

impl Facts {
    /// The facts of every column, from the numbers of [`facts_sql`].
    pub(super) fn of(schema: &Schema, numbers: &[u64]) -> Vec<Self> {
        let mut numbers = numbers.iter().skip(1).copied();
        let fields = schema.fields().iter();
        fields
            .map(|field| {
                let mut next = || numbers.next().unwrap_or_default();
                let [filled, distinct, length]: [u64; BASE] = [next(), next(), next()];
                Self {
                    name: field.name().clone(),
                    data_type: Some(field.data_type().clone()),
                    filled,
                    distinct,
                    length,
                    matches: std::array::from_fn(|_| next()),
                }
            })
            .collect()
    }

    /// Whether nearly all values match a pattern.
    fn is(&self, pattern: usize) -> bool {
        let matches = self.matches.get(pattern).copied().unwrap_or_default();
        self.filled > 0 && matches * 5 >= self.filled * 4
    }

    /// Whether the name has one of these words.
    fn named(&self, words: &[&str]) -> bool {
        let name = self.name.to_lowercase();
        words.iter().any(|word| name.contains(word))
    }

    fn is_text(&self) -> bool {
        matches!(
            self.data_type,
            Some(DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
        )
    }

    fn is_date(&self) -> bool {
        matches!(self.data_type, Some(DataType::Date32 | DataType::Date64))
    }
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Email,
    Phone,
    Date(DateForm),
    FirstName,
    LastName,
    Name,
    Postcode,
    /// A code that is nearly one person's, with typing errors.
    Code,
    /// Words, such as cities.
    Words,
    /// Text with other characters, such as streets.
    Text,
}

/// How a date is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DateForm {
    Date,
    Iso,
    DayFirst,
    MonthFirst,
    Digits,
}

impl Kind {
    /// The ready-made levels.
    pub(super) fn like(self) -> &'static str {
        match self {
            Self::Email => "email",
            // Both are numbers in which single digits go wrong.
            Self::Phone | Self::Code => "phone",
            Self::Date(_) => "date",
            Self::FirstName | Self::LastName | Self::Name => "name",
            Self::Postcode => "postcode",
            Self::Words | Self::Text => "text",
        }
    }

    pub(super) fn term_frequency(self) -> bool {
        matches!(
            self,
            Self::FirstName | Self::LastName | Self::Name | Self::Words
        )
    }

    fn words(self) -> &'static str {
        match self {
            Self::Email => "e-mail addresses",
            Self::Phone => "telephone numbers",
            Self::Date(_) => "dates",
            Self::FirstName => "first names",
            Self::LastName => "last names",
            Self::Name => "names",
            Self::Postcode => "postal codes",
            Self::Code => "codes that few records share",
            Self::Words => "words",
            Self::Text => "text",
        }
    }
}

/// A column that is compared.
#[derive(Clone, Debug)]
pub(super) struct Column {
    /// Its name in the relation.
    pub(super) from: String,
    /// Its name in the model.
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) why: String,
}

/// The columns of a relation by what becomes of them.
pub(super) struct Columns {
    pub(super) compared: Vec<Column>,
    pub(super) left_out: Vec<LeftOut>,
}

/// The column with a value of its own for each record: one that is called so before one that is not.
pub(super) fn record_id(facts: &[Facts], records: u64) -> Option<String> {
    let unique = |f: &&Facts| f.filled == records && f.distinct == records;
    let rank = |f: &&Facts| match f.name.to_lowercase().as_str() {
        "record_id" => 0,
        "id" | "unique_id" | "uuid" | "rec_id" => 1,
        name if name.ends_with("_id") || name.ends_with("id") => 2,
        // An address may be unique by chance.
        _ if f.is(0) || f.is_date() => 4,
        _ => 3,
    };
    // The first of equals.
    let found = facts.iter().filter(unique).min_by_key(rank)?;
    (rank(&found) < 4).then(|| found.name.clone())
}

/// What becomes of each column.
pub(super) fn columns(facts: &[Facts], records: u64, id: &str, keyed: bool) -> Columns {
    let mut columns = Columns {
        compared: vec![],
        left_out: vec![],
    };
    let mut taken: BTreeMap<String, u32> = BTreeMap::new();
    for own in ["source", "record_id"] {
        taken.insert(own.to_owned(), 1);
    }
    for fact in facts {
        if fact.name == id || (keyed && fact.name == "source") {
            continue;
        }
        match kind(fact, records) {
            Ok(kind) => {
                let why = format!(
                    "{}: {} of {records} filled, {} distinct",
                    kind.words(),
                    fact.filled,
                    fact.distinct
                );
                columns.compared.push(Column {
                    name: unique(plain(&fact.name), &mut taken),
                    from: fact.name.clone(),
                    kind,
                    why,
                });
            }
            Err(why) => columns.left_out.push(LeftOut {
                column: fact.name.clone(),
                why: why.to_owned(),
            }),
        }
    }
    columns
}

const BIRTH: [&str; 4] = ["birth", "dob", "born", "geburt"];
const EVENT: [&str; 12] = [
    "created",
    "updated",
    "modified",
    "loaded",
    "synced",
    "signup",
    "sign_up",
    "registered",
    "order",
    "seen",
    "login",
    "_at",
];
const ANSWER: [&str; 6] = ["cluster", "label", "truth", "entity", "household", "group"];

/// What a column holds, or why it says nothing of who somebody is.
fn kind(fact: &Facts, records: u64) -> Result<Kind, &'static str> {
    let usable = fact.is_text()
        || fact.is_date()
        || matches!(&fact.data_type, Some(kind) if kind.is_integer())
        || matches!(&fact.data_type, Some(DataType::Timestamp(..)));
    if !usable {
        return Err("its type is not compared");
    }
    if fact.filled * 20 < records {
        return Err("fewer than one record in twenty has a value");
    }
    if fact.distinct < 5 {
        return Err("it has too few values to tell people apart");
    }
    if fact.named(&ANSWER) {
        return Err("by its name it is an answer, not evidence");
    }
    if fact.is(0) {
        return Ok(Kind::Email);
    }
    if let Some(form) = date_form(fact) {
        return match form {
            _ if fact.named(&BIRTH) => Ok(Kind::Date(form)),
            _ if fact.named(&EVENT) => Err("by its name it is when something happened"),
            _ if matches!(fact.data_type, Some(DataType::Timestamp(..))) => {
                Err("it is a time, and people are known by dates")
            }
            form => Ok(Kind::Date(form)),
        };
    }
    if fact.named(&["phone", "mobile", "telefon"]) || fact.is(5) {
        return Ok(Kind::Phone);
    }
    if fact.named(&["postcode", "post_code", "postal", "zip", "plz"]) || fact.is(6) {
        return Ok(Kind::Postcode);
    }
    if fact.is(7) {
        // As many values as half of the records: each is of few people.
        let rare = fact.distinct * 2 >= fact.filled;
        let unique = fact.distinct == fact.filled;
        return match (rare, unique) {
            (_, true) => Err("no two records share a value"),
            (true, _) => Ok(Kind::Code),
            _ => Err("it is a number whose meaning is not known"),
        };
    }
    if fact.length > fact.filled * 60 {
        return Err("its texts are too long to be of one thing");
    }
    if fact.distinct == fact.filled && fact.filled == records && !fact.is(8) {
        return Err("no two records share a value");
    }
    let first = ["first_name", "firstname", "given", "forename", "vorname"];
    let last = [
        "last_name",
        "lastname",
        "surname",
        "family_name",
        "nachname",
    ];
    if fact.named(&first) {
        return Ok(Kind::FirstName);
    }
    if fact.named(&last) {
        return Ok(Kind::LastName);
    }
    if fact.named(&["full_name", "fullname"]) || fact.name.eq_ignore_ascii_case("name") {
        return Ok(Kind::Name);
    }
    Ok(if fact.is(8) { Kind::Words } else { Kind::Text })
}

fn date_form(fact: &Facts) -> Option<DateForm> {
    if fact.is_date() || matches!(fact.data_type, Some(DataType::Timestamp(..))) {
        return Some(DateForm::Date);
    }
    if fact.is(1) {
        return Some(DateForm::Iso);
    }
    if fact.is(2) {
        let month_first = fact.matches.get(4).copied().unwrap_or_default() > 0;
        return Some(if month_first {
            DateForm::MonthFirst
        } else {
            DateForm::DayFirst
        });
    }
    fact.is(3).then_some(DateForm::Digits)
}

/// A name as SQL takes it without quotes.
fn plain(name: &str) -> String {
    let mut plain = String::new();
    for c in name.trim().chars() {
        let c = c.to_ascii_lowercase();
        if c.is_ascii_alphanumeric() {
            plain.push(c);
        } else if !plain.is_empty() && !plain.ends_with('_') {
            plain.push('_');
        }
    }
    let plain = plain.trim_end_matches('_');
    match plain.chars().next() {
        Some(_) if RESERVED.contains(&plain) => format!("{plain}_value"),
        Some(first) if first.is_ascii_alphabetic() => plain.to_owned(),
        _ => format!("c_{plain}"),
    }
}

/// Words that cannot stand for a column without quotes.
const RESERVED: [&str; 30] = [
    "all", "and", "as", "asc", "case", "cross", "desc", "distinct", "else", "end", "from", "group",
    "having", "in", "is", "join", "left", "limit", "not", "null", "on", "or", "order", "right",
    "select", "then", "union", "when", "where", "with",
];

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn fact(name: &str, distinct: u64, pattern: Option<usize>) -> Facts {
        let mut fact = Facts {
            name: name.to_owned(),
            data_type: Some(DataType::Utf8),
            filled: 900,
            distinct,
            length: 900 * 8,
            ..Facts::default()
        };
        if let Some(pattern) = pattern {
            fact.matches[pattern] = 880;
        }
        fact
    }

    #[test]
    fn a_column_is_known_by_its_content_and_its_name() {
        let of = |name: &str, distinct, pattern| kind(&fact(name, distinct, pattern), 1_000);
        assert_eq!(of("x", 800, Some(0)), Ok(Kind::Email));
        assert_eq!(of("x", 800, Some(1)), Ok(Kind::Date(DateForm::Iso)));
        assert_eq!(
            of("created", 800, Some(1)),
            Err("by its name it is when something happened")
        );
        assert_eq!(
            of("birth_date_at", 800, Some(3)),
            Ok(Kind::Date(DateForm::Digits))
        );
        assert_eq!(of("x", 800, Some(5)), Ok(Kind::Phone));
        assert_eq!(of("zip", 300, Some(7)), Ok(Kind::Postcode));
        assert_eq!(of("x", 800, Some(7)), Ok(Kind::Code));
        assert_eq!(
            of("x", 200, Some(7)),
            Err("it is a number whose meaning is not known")
        );
        assert_eq!(of("Surname", 300, Some(8)), Ok(Kind::LastName));
        assert_eq!(of("place", 300, Some(8)), Ok(Kind::Words));
        assert_eq!(of("street", 700, None), Ok(Kind::Text));
        assert_eq!(
            of("cluster", 300, Some(8)),
            Err("by its name it is an answer, not evidence")
        );
        assert_eq!(
            of("sex", 2, Some(8)),
            Err("it has too few values to tell people apart")
        );
        let mut dates = fact("x", 800, Some(2));
        assert_eq!(kind(&dates, 1_000), Ok(Kind::Date(DateForm::DayFirst)));
        dates.matches[4] = 3;
        assert_eq!(kind(&dates, 1_000), Ok(Kind::Date(DateForm::MonthFirst)));
        let rare = Facts {
            filled: 10,
            ..fact("x", 9, Some(0))
        };
        assert_eq!(
            kind(&rare, 1_000),
            Err("fewer than one record in twenty has a value")
        );
    }

    #[test]
    fn the_id_of_a_record_is_its_own() {
        let full = |name: &str, pattern| Facts {
            filled: 1_000,
            ..fact(name, 1_000, pattern)
        };
        let found = |facts: &[Facts]| record_id(facts, 1_000);
        assert_eq!(
            found(&[full("x", None), full("unique_id", None)]).unwrap(),
            "unique_id"
        );
        assert_eq!(
            found(&[full("x", None), fact("id", 900, None)]).unwrap(),
            "x"
        );
        assert_eq!(found(&[full("email", Some(0))]), None);
        assert_eq!(found(&[fact("id", 900, None)]), None);
    }

    #[test]
    fn names_become_those_of_columns() {
        assert_eq!(plain("First Name"), "first_name");
        assert_eq!(plain("2nd (line)"), "c_2nd_line");
        assert_eq!(plain("dob"), "dob");
        assert_eq!(plain("Order"), "order_value");
        let mut taken = BTreeMap::new();
        let twice = ["a", "a", "b"].map(|name| unique(name.to_owned(), &mut taken));
        assert_eq!(twice, ["a", "a_2", "b"]);
    }
}
