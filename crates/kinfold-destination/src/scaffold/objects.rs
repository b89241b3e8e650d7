//! Candidates → objects with their operations, and the batches that show them.

use serde_json::{Map, Value};

use super::api::Api;
use super::call::{Answer, Argument};
use super::candidate::Candidate;
use super::look_up::{LookUp, look_up};
use super::operation::made;
use super::prose::line;
use super::row::{fixed, open_map};
use super::schema::{Kind, Property, Schema};
use super::shape::Shape;
use super::shown::show;
use super::words::{IDENTITIES, snake, words};
use super::yaml::Yaml;
use crate::manifest::OperationName;

/// More fields of an object than this are not listed.
const MOST_FIELDS: usize = 200;

/// An object of the manifest.
pub(super) struct Object {
    pub(super) name: String,
    pub(super) about: String,
    pub(super) arguments: Vec<Argument>,
    pub(super) keys: Vec<String>,
    pub(super) fields: Vec<Property>,
    /// Whether others may be written too.
    pub(super) open: bool,
    pub(super) operations: Vec<Planned>,
}

/// An operation of an object.
pub(super) struct Planned {
    pub(super) name: OperationName,
    pub(super) yaml: Yaml,
    /// Rows of the batch that shows it.
    pub(super) rows: Vec<Map<String, Value>>,
    /// Answers to the requests of that batch, in their order.
    pub(super) answers: Vec<Answer>,
    /// Which of its requests writes first, from 0.
    pub(super) writes: usize,
}

/// What an operation is made of.
pub(super) struct Chosen<'a> {
    pub(super) name: OperationName,
    object: String,
    pub(super) key: String,
    pub(super) parts: Parts<'a>,
}

pub(super) enum Parts<'a> {
    One(&'a Candidate),
    /// A row is looked for, and added or changed.
    Search(LookUp, &'a Candidate, &'a Candidate),
    /// A row is looked for, and deleted.
    Remove(LookUp, &'a Candidate),
}

/// The objects of these candidates, one operation for each.
pub(super) fn of(api: &Api, chosen: &[&Candidate], taken: &[String]) -> Vec<Object> {
    let chosen = chosen.iter().map(|candidate| Chosen {
        name: candidate.operation,
        object: candidate.object.clone(),
        key: candidate.key.clone(),
        parts: Parts::One(candidate),
    });
    built(api, chosen.collect(), taken)
}

/// The object of the likeliest candidate, with what else can be done to it.
pub(super) fn guessed(api: &Api, all: &[Candidate], taken: &[String]) -> Vec<Object> {
    let writes = |candidate: &&Candidate| candidate.operation != OperationName::Delete;
    let Some(first) = all.iter().find(writes).or(all.first()) else {
        return Vec::new();
    };
    let advised_against = |candidate: &Candidate| {
        api.operations
            .get(candidate.position)
            .is_some_and(|found| found.deprecated)
    };
    let same: Vec<&Candidate> = all
        .iter()
        .filter(|other| other.object == first.object)
        .filter(|other| other.position == first.position || !advised_against(other))
        .collect();
    let of = |name: OperationName, by_row: Option<bool>| {
        same.iter().copied().find(|candidate| {
            let fits = by_row.is_none_or(|by_row| candidate.row_parameter.is_some() == by_row);
            candidate.operation == name && fits
        })
    };
    let plain = |candidate: &'_ Candidate| {
        (
            candidate.operation,
            candidate.object.clone(),
            candidate.key.clone(),
        )
    };
    let mut chosen: Vec<Chosen<'_>> = Vec::new();
    let (name, object, key) = plain(first);
    let rows = same
        .iter()
        .filter_map(|candidate| candidate.row_parameter.as_deref());
    let ids: Vec<&str> = rows.filter(|name| *name != key).collect();
    let found = look_up(api, &object, &key, &ids);
    let change = of(OperationName::Update, Some(true));
    match (name, &found, change) {
        // What can only be added or changed is looked for first.
        (OperationName::Insert, Some(found), Some(change))
            if first.row_parameter.is_none() && !first.batch =>
        {
            chosen.push(Chosen {
                name: OperationName::Upsert,
                object: object.clone(),
                key: key.clone(),
                parts: Parts::Search(found.clone(), first, change),
            });
        }
        _ => chosen.push(Chosen {
            name,
            object: object.clone(),
            key: key.clone(),
            parts: Parts::One(first),
        }),
    }
    for name in OperationName::ALL {
        let there = chosen.iter().any(|known| known.name == name);
        let with_key = same
            .iter()
            .copied()
            .find(|candidate| candidate.operation == name && candidate.key == key);
        match (with_key, &found, of(name, Some(true))) {
            _ if there => {}
            // What stands beside an open map is another set of fields in each call.
            (Some(other), ..)
                if name == OperationName::Update && (has_map(first) || has_map(other)) => {}
            (Some(candidate), ..) => chosen.push(Chosen {
                name,
                object: object.clone(),
                key: key.clone(),
                parts: Parts::One(candidate),
            }),
            (None, Some(found), Some(candidate)) if name == OperationName::Delete => {
                chosen.push(Chosen {
                    name,
                    object: object.clone(),
                    key: key.clone(),
                    parts: Parts::Remove(found.clone(), candidate),
                })
            }
            _ => {}
        }
    }
    let mut objects = built(api, chosen, taken);
    // Operations that need other arguments are a matter of their own.
    objects.truncate(1);
    objects
}

fn has_map(candidate: &Candidate) -> bool {
    candidate.request.row().and_then(open_map).is_some()
}

fn built(api: &Api, chosen: Vec<Chosen<'_>>, taken: &[String]) -> Vec<Object> {
    let mut objects: Vec<(Object, String)> = Vec::new();
    for chosen in chosen {
        let Some(made) = made(api, &chosen, taken) else {
            continue;
        };
        let names = |arguments: &[Argument]| -> Vec<String> {
            arguments
                .iter()
                .map(|argument| argument.name.clone())
                .collect()
        };
        let fits = objects.iter().position(|(object, key)| {
            *key == chosen.key
                && object.name.starts_with(&chosen.object)
                && names(&object.arguments) == names(&made.arguments)
                && !object
                    .operations
                    .iter()
                    .any(|planned| planned.name == chosen.name)
        });
        let at = fits.unwrap_or_else(|| {
            let name = unused(&chosen, &objects);
            objects.push((empty(name, &chosen, &made.arguments), chosen.key.clone()));
            objects.len() - 1
        });
        if let Some((object, _)) = objects.get_mut(at) {
            add_fields(object, &chosen);
            object.operations.push(made.planned);
        }
    }
    let mut objects: Vec<Object> = objects.into_iter().map(|(object, _)| object).collect();
    for object in &mut objects {
        show(object);
    }
    objects
}

fn unused(chosen: &Chosen<'_>, objects: &[(Object, String)]) -> String {
    let there = |name: &str| objects.iter().any(|(object, _)| object.name == name);
    if !there(&chosen.object) {
        return chosen.object.clone();
    }
    let longer = format!("{}_{}", chosen.object, chosen.name.as_str());
    let base = match there(&longer) {
        true => snake(&format!("{}_{}", chosen.object, chosen.main().id), "object"),
        false => longer,
    };
    let mut name = base.clone();
    let mut number = 2;
    while there(&name) {
        name = format!("{base}_{number}");
        number += 1;
    }
    name
}

impl Chosen<'_> {
    pub(super) fn main(&self) -> &Candidate {
        match &self.parts {
            Parts::One(candidate)
            | Parts::Search(_, candidate, _)
            | Parts::Remove(_, candidate) => candidate,
        }
    }
}

fn empty(name: String, chosen: &Chosen<'_>, arguments: &[Argument]) -> Object {
    let summary = line(&chosen.main().summary, 160);
    let about = match summary.is_empty() {
        true => format!("`{}`.", words(&chosen.object).join(" ")),
        false => summary,
    };
    let keys = match chosen.main().request.row() {
        // What is found by one of several fields can be found by any.
        Some(row)
            if chosen.main().row_parameter.is_none()
                && !matches!(chosen.parts, Parts::Search(..)) =>
        {
            let mut keys = vec![chosen.key.clone()];
            let others = row.properties.iter().filter(|property| {
                let name = words(&property.name).join("_");
                let schema = &property.schema;
                schema.is_scalar() && !schema.read_only && IDENTITIES.contains(&name.as_str())
            });
            for other in others.filter(|_| chosen.main().keys_are_free()) {
                if !keys.contains(&other.name) {
                    keys.push(other.name.clone());
                }
            }
            keys
        }
        _ => vec![chosen.key.clone()],
    };
    Object {
        name,
        about,
        arguments: arguments.to_vec(),
        keys,
        fields: Vec::new(),
        open: false,
        operations: Vec::new(),
    }
}

impl Candidate {
    /// Whether nothing but the body depends on which field is the key.
    fn keys_are_free(&self) -> bool {
        use super::shape::Format;
        matches!(self.request.format, Format::Json | Format::Form)
    }
}

/// The fields of an operation beside those that are known.
fn add_fields(object: &mut Object, chosen: &Chosen<'_>) {
    let candidate = chosen.main();
    let adds = !matches!(chosen.name, OperationName::Update | OperationName::Delete);
    let first = object.operations.is_empty();
    let key = Property {
        name: chosen.key.clone(),
        required: false,
        schema: key_schema(candidate, &chosen.key),
    };
    let mut found = vec![key];
    if chosen.name != OperationName::Delete
        && let Some(row) = candidate.request.row()
    {
        let map = open_map(row).map(|map| map.name.clone());
        object.open |= row.open || map.is_some();
        let own = row
            .properties
            .iter()
            .filter(|property| !fixed(property) && Some(&property.name) != map.as_ref());
        found.extend(own.cloned());
    }
    if matches!(candidate.request.shape, Shape::Lines) {
        object.open = true;
    }
    for mut property in found {
        property.required &=
            adds && !property.schema.read_only && !object.keys.contains(&property.name);
        // One that is read only cannot be a key.
        property.schema.read_only &= !object.keys.contains(&property.name);
        match object
            .fields
            .iter_mut()
            .find(|known| known.name == property.name)
        {
            Some(known) => {
                known.required |= property.required && first;
                known.schema.read_only &= property.schema.read_only;
            }
            None => {
                // What another operation adds, the first can do without.
                property.required &= first;
                object.fields.push(property);
            }
        }
    }
    if object.fields.len() > MOST_FIELDS {
        object.open = true;
        let mut left = MOST_FIELDS;
        object.fields.retain(|field| {
            left = left.saturating_sub(1);
            field.required || object.keys.contains(&field.name) || left > 0
        });
    }
}

pub(super) fn key_schema(candidate: &Candidate, key: &str) -> Schema {
    let own = candidate.request.row().and_then(|row| row.property(key));
    if let Some(own) = own {
        return own.schema.clone();
    }
    match &candidate.request.shape {
        Shape::Values { item, .. } => item.clone(),
        _ => Schema {
            kind: Kind::Text,
            ..Schema::default()
        },
    }
}
