//! The rows of a kind, and what a vendor has to hold in the end.

use std::collections::{BTreeMap, HashMap};

use kinfold_sync::{Change, ObjectText, Operation, Previous};
use serde_json::{Map, Value, json};

/// What a vendor holds: rows and their fields.
pub(super) type Held = BTreeMap<u64, Map<String, Value>>;

/// What the vendor calls the key and the fields.
#[derive(Clone, Copy)]
pub(super) struct Names {
    pub(super) key: &'static str,
    pub(super) name: &'static str,
    pub(super) level: &'static str,
    pub(super) score: &'static str,
}

impl Names {
    pub(super) fn fields(&self) -> Vec<String> {
        let fields = [self.name, self.level, self.score];
        fields.map(str::to_owned).to_vec()
    }
}

/// The rows of a kind: the first tenth leaves, the next four tenths change, the others are new.
#[derive(Clone)]
pub(super) struct People {
    pub(super) rows: u64,
    pub(super) seed: u64,
    pub(super) names: Names,
    /// The text of a key around the number.
    pub(super) key: (&'static str, &'static str),
    /// What is sent where there is no score.
    pub(super) nothing: Value,
    /// The share of rows that the vendor refuses by name.
    pub(super) refused: f64,
    /// The share of rows for which it refuses whole batches.
    pub(super) refused_whole: f64,
}

/// A number from 0 to 1 that depends on nothing else (Steele, Lea and Flood, "Fast splittable pseudorandom
/// number generators", 2014).
pub(super) fn draw(seed: u64, what: u64, number: u64) -> f64 {
    let mut mixed = (seed ^ (what << 56) ^ number.wrapping_mul(0x5851_F42D_4C95_7F2D))
        .wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^= mixed >> 31;
    #[expect(clippy::cast_precision_loss, reason = "53 bits are kept")]
    let part = (mixed >> 11) as f64 / (1_u64 << 53) as f64;
    part
}

impl People {
    pub(super) fn numbers(&self) -> std::ops::Range<u64> {
        0..self.rows
    }

    pub(super) fn leaving(&self) -> u64 {
        self.rows / 10
    }

    /// How many the vendor has before.
    pub(super) fn existing(&self) -> u64 {
        self.rows / 2
    }

    pub(super) fn staying(&self) -> u64 {
        self.rows - self.leaving()
    }

    pub(super) fn is_refused_whole(&self, row: u64) -> bool {
        row >= self.leaving() && draw(self.seed, 1, row) < self.refused_whole
    }

    fn is_refused_by_name(&self, row: u64) -> bool {
        row >= self.leaving() && draw(self.seed, 2, row) < self.refused
    }

    pub(super) fn is_refused(&self, row: u64) -> bool {
        self.is_refused_whole(row) || self.is_refused_by_name(row)
    }

    pub(super) fn key_of(&self, row: u64) -> String {
        format!("{}{row}{}", self.key.0, self.key.1)
    }

    /// The row of a key, in whatever letter case.
    pub(super) fn row_of(&self, key: &str) -> Option<u64> {
        let key = key.to_lowercase();
        let number = key.strip_prefix(&self.key.0.to_lowercase())?;
        number
            .strip_suffix(&self.key.1.to_lowercase())?
            .parse()
            .ok()
    }

    /// What the vendor has of a row before.
    pub(super) fn old(&self, row: u64) -> Map<String, Value> {
        self.map(json!(format!("Old {row}")), "tin", json!(0))
    }

    /// What is sent.
    pub(super) fn new_fields(&self, row: u64) -> Map<String, Value> {
        let level = match (self.is_refused_whole(row), self.is_refused_by_name(row)) {
            (true, _) => "lead",
            (_, true) => "zinc",
            _ => ["gold", "silver"][usize::from(row.is_multiple_of(3))],
        };
        let score = if row.is_multiple_of(7) {
            self.nothing.clone()
        } else {
            json!(row % 1_000)
        };
        self.map(json!(format!("Zoë \"{row}\", née Ω")), level, score)
    }

    fn map(&self, name: Value, level: &str, score: Value) -> Map<String, Value> {
        let mut map = Map::new();
        map.insert(self.names.name.to_owned(), name);
        map.insert(self.names.level.to_owned(), json!(level));
        map.insert(self.names.score.to_owned(), score);
        map
    }

    /// The changes, those that leave first.
    pub(super) fn plan(&self) -> Vec<Change> {
        let change = |row| {
            let operation = match row {
                row if row < self.leaving() => Operation::Remove,
                row if row < self.existing() => Operation::Update,
                _ => Operation::Add,
            };
            let mut key = Map::new();
            key.insert(self.names.key.to_owned(), Value::from(self.key_of(row)));
            let fields = match operation {
                Operation::Remove => Map::new(),
                _ => self.new_fields(row),
            };
            let mut payload_hash = [0; 16];
            payload_hash[..8].copy_from_slice(&row.to_le_bytes());
            Change {
                seq: row,
                operation,
                key: ObjectText::from(&key),
                fields: ObjectText::from(&fields),
                payload_hash,
                previous: Previous::default(),
            }
        };
        self.numbers().map(change).collect()
    }

    /// What the vendor has to hold in the end.
    pub(super) fn expected(&self) -> Held {
        let staying = self.numbers().filter(|row| *row >= self.leaving());
        let kept = staying.filter_map(|row| {
            let fields = match (self.is_refused(row), row < self.existing()) {
                (false, _) => self.new_fields(row),
                (true, true) => self.old(row),
                (true, false) => return None,
            };
            Some((row, fields))
        });
        kept.collect()
    }
}

/// The records of a vendor, each with an id of its own choice.
pub(super) struct Records {
    pub(super) people: People,
    records: Held,
    ids: HashMap<u64, u64>,
    rows: HashMap<u64, u64>,
    next_id: u64,
}

impl Records {
    pub(super) fn of(people: &People) -> Self {
        let mut records = Self {
            people: people.clone(),
            records: BTreeMap::new(),
            ids: HashMap::new(),
            rows: HashMap::new(),
            next_id: 1_000_000,
        };
        for row in 0..people.existing() {
            records.write(row, people.old(row));
        }
        records
    }

    pub(super) fn id_of(&self, row: u64) -> Option<u64> {
        self.ids.get(&row).copied()
    }

    pub(super) fn row_of_id(&self, id: u64) -> Option<u64> {
        self.rows.get(&id).copied()
    }

    /// Adds or changes a record, and says its id and whether it is new.
    pub(super) fn write(&mut self, row: u64, fields: Map<String, Value>) -> (u64, bool) {
        self.records.entry(row).or_default().extend(fields);
        if let Some(id) = self.id_of(row) {
            return (id, false);
        }
        self.next_id += 1;
        self.ids.insert(row, self.next_id);
        self.rows.insert(self.next_id, row);
        (self.next_id, true)
    }

    /// Deletes a record; false if there is none.
    pub(super) fn delete(&mut self, row: u64) -> bool {
        if let Some(id) = self.ids.remove(&row) {
            self.rows.remove(&id);
        }
        self.records.remove(&row).is_some()
    }

    pub(super) fn all(&self) -> Held {
        self.records.clone()
    }
}
