//! Schemas as far as a manifest needs them: what fields there are, what a row of them looks like.

use serde_json::{Map, Value};

use super::api::{Api, scalar};

/// Schemas inside schemas.
const MAX_DEPTH: usize = 9;
/// Schemas of one body altogether. A document can refer to itself in so many ways that without this bound a few
/// lines of it would be endless.
const MAX_NODES: usize = 3_000;

/// What a value may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    #[default]
    Any,
    Object,
    List,
    Text,
    Number,
    Whole,
    Bool,
}

/// The shape of a value.
#[derive(Clone, Debug, Default)]
pub(super) struct Schema {
    pub(super) kind: Kind,
    pub(super) about: String,
    pub(super) properties: Vec<Property>,
    /// Whether an object may have properties that are not listed.
    pub(super) open: bool,
    pub(super) items: Option<Box<Schema>>,
    pub(super) max_items: Option<u64>,
    pub(super) min_items: Option<u64>,
    pub(super) minimum: Option<f64>,
    pub(super) format: String,
    /// The values that it may have, if they are listed.
    pub(super) choices: Vec<Value>,
    pub(super) read_only: bool,
}

/// A property of an object.
#[derive(Clone, Debug)]
pub(super) struct Property {
    pub(super) name: String,
    pub(super) required: bool,
    pub(super) schema: Schema,
}

impl Api {
    /// The shape that a schema of the document describes. What is too deep or refers to itself is anything.
    pub(super) fn schema(&self, value: &Value) -> Schema {
        let mut reader = Reader {
            api: self,
            around: Vec::new(),
        };
        reader.read(value, MAX_NODES)
    }
}

impl Schema {
    /// The property of a name.
    pub(super) fn property(&self, name: &str) -> Option<&Property> {
        self.properties
            .iter()
            .find(|property| property.name == name)
    }

    pub(super) fn is_scalar(&self) -> bool {
        !matches!(self.kind, Kind::Object | Kind::List)
    }

    /// Whether it has just one value.
    pub(super) fn constant(&self) -> Option<&Value> {
        match self.choices.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }
}

struct Reader<'a> {
    api: &'a Api,
    /// The schemas around the one that is read.
    around: Vec<&'a Value>,
}

impl<'a> Reader<'a> {
    /// Reads a schema, and at most so many of those below it. Each gets its share, so that a large one leaves
    /// something for those after it.
    fn read(&mut self, value: &'a Value, most: usize) -> Schema {
        let value = self.api.resolve(value);
        let again = self
            .around
            .iter()
            .any(|around| std::ptr::eq(*around, value));
        if again || most == 0 || self.around.len() > MAX_DEPTH {
            return Schema {
                kind: kind(value),
                open: true,
                ..Schema::default()
            };
        }
        self.around.push(value);
        let schema = self.whole(value, most - 1);
        self.around.pop();
        schema
    }

    fn whole(&mut self, value: &'a Value, most: usize) -> Schema {
        let mut schema = Schema {
            kind: kind(value),
            about: value.get("description").map(scalar).unwrap_or_default(),
            format: value.get("format").map(scalar).unwrap_or_default(),
            max_items: value.get("maxItems").and_then(Value::as_u64),
            min_items: value.get("minItems").and_then(Value::as_u64),
            minimum: value.get("minimum").and_then(Value::as_f64),
            choices: choices(value),
            read_only: value.get("readOnly") == Some(&Value::Bool(true)),
            ..Schema::default()
        };
        if let Some(items) = value.get("items") {
            schema.items = Some(Box::new(self.read(items, most)));
        }
        self.properties(value, &mut schema, most);
        for part in value
            .get("allOf")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            let part = self.read(part, most);
            schema.absorb(part, true);
        }
        for key in ["oneOf", "anyOf"] {
            let parts = value.get(key).and_then(Value::as_array);
            let share = most / parts.map_or(1, Vec::len).max(1);
            let read: Vec<Schema> = parts
                .into_iter()
                .flatten()
                .map(|part| self.read(part, share))
                .collect();
            schema.alternatives(read);
        }
        if schema.kind == Kind::Any && schema.items.is_some() {
            schema.kind = Kind::List;
        }
        if schema.kind == Kind::Any && !schema.properties.is_empty() {
            schema.kind = Kind::Object;
        }
        schema
    }

    fn properties(&mut self, value: &'a Value, schema: &mut Schema, most: usize) {
        let required: Vec<&str> = match value.get("required") {
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let properties = value.get("properties").and_then(Value::as_object);
        let share = most / properties.map_or(1, Map::len).max(1);
        for (name, below) in properties.into_iter().flatten() {
            if name.is_empty() {
                continue;
            }
            schema.properties.push(Property {
                name: name.clone(),
                required: required.contains(&name.as_str()),
                schema: self.read(below, share),
            });
        }
        let more = value.get("additionalProperties");
        let said = matches!(more, Some(Value::Bool(true) | Value::Object(_)));
        let untold = more.is_none() && schema.properties.is_empty();
        let object = matches!(schema.kind, Kind::Object | Kind::Any);
        schema.open = object && (said || untold);
        if said && schema.kind == Kind::Any {
            schema.kind = Kind::Object;
        }
    }
}

impl Schema {
    /// Adds what another schema says of the same value.
    fn absorb(&mut self, other: Schema, keeps_required: bool) {
        let had = !self.properties.is_empty();
        if self.kind == Kind::Any {
            self.kind = other.kind;
        }
        if self.about.is_empty() {
            self.about = other.about;
        }
        if self.format.is_empty() {
            self.format = other.format;
        }
        if self.choices.is_empty() {
            self.choices = other.choices;
        }
        self.items = self.items.take().or(other.items);
        self.max_items = self.max_items.or(other.max_items);
        self.min_items = self.min_items.or(other.min_items);
        self.minimum = self.minimum.or(other.minimum);
        self.read_only |= other.read_only;
        // `open` of a part without properties only says that it has none itself.
        self.open = match (had, other.properties.is_empty()) {
            (true, true) => self.open,
            (false, false) => other.open,
            _ => self.open || other.open,
        };
        for mut property in other.properties {
            property.required &= keeps_required;
            match self
                .properties
                .iter_mut()
                .find(|known| known.name == property.name)
            {
                Some(known) => known.required |= property.required,
                None => self.properties.push(property),
            }
        }
    }

    /// Adds what a value may be one of. Objects become one object with the properties of all; of other kinds the
    /// one is taken that can hold most.
    fn alternatives(&mut self, parts: Vec<Schema>) {
        if parts.is_empty() {
            return;
        }
        let rank = |schema: &Schema| match schema.kind {
            Kind::List
                if schema
                    .items
                    .as_ref()
                    .is_some_and(|items| !items.is_scalar()) =>
            {
                3
            }
            Kind::Object => 2,
            Kind::List => 1,
            _ => 0,
        };
        let best = parts.iter().map(rank).max().unwrap_or_default();
        let many = parts.len() > 1;
        let required: Vec<String> = match parts.as_slice() {
            [first, rest @ ..] => first
                .properties
                .iter()
                .filter(|property| property.required)
                .filter(|property| {
                    rest.iter().all(|other| {
                        other
                            .property(&property.name)
                            .is_some_and(|other| other.required)
                    })
                })
                .map(|property| property.name.clone())
                .collect(),
            [] => Vec::new(),
        };
        for mut part in parts.into_iter().filter(|part| rank(part) == best) {
            if many && part.kind != Kind::Any {
                // One of several values is no constant.
                part.choices.clear();
            }
            self.absorb(part, false);
        }
        for property in &mut self.properties {
            property.required |= required.contains(&property.name);
        }
    }
}

fn kind(value: &Value) -> Kind {
    let of = |word: &str| match word {
        "object" => Kind::Object,
        "array" => Kind::List,
        "string" => Kind::Text,
        "number" => Kind::Number,
        "integer" => Kind::Whole,
        "boolean" => Kind::Bool,
        _ => Kind::Any,
    };
    match value.get("type") {
        Some(Value::String(word)) => of(word),
        Some(Value::Array(words)) => words
            .iter()
            .filter_map(Value::as_str)
            .map(of)
            .find(|kind| *kind != Kind::Any)
            .unwrap_or_default(),
        _ => Kind::Any,
    }
}

fn choices(value: &Value) -> Vec<Value> {
    if let Some(only) = value.get("const") {
        return vec![only.clone()];
    }
    let listed = value.get("enum").and_then(Value::as_array);
    let scalars = listed
        .into_iter()
        .flatten()
        .filter(|choice| !choice.is_object() && !choice.is_array() && !choice.is_null());
    scalars.take(50).cloned().collect()
}
