//! The parts of a request: its address, its query and its body.

use serde_json::json;

use super::api::{Api, Operation, scalar};
use super::call::{Argument, Purpose, Writer};
use super::expression::{field, member, members, template};
use super::prose::line;
use super::row::{constant, fixed, named, open_map};
use super::sample;
use super::schema::{Kind, Property, Schema};
use super::shape::{Format, Shape};
use super::words::snake;
use super::yaml::Yaml;
use crate::manifest::OperationName;

impl Writer<'_> {
    /// The path with expressions in the place of its parameters.
    pub(super) fn address(&mut self, path: &str, purpose: &Purpose<'_>) -> String {
        let path = path.split('#').next().unwrap_or_default();
        let mut address = String::new();
        let mut rest = path;
        while let Some((before, after)) = rest.split_once('{') {
            address.push_str(before);
            let Some((name, after)) = after.split_once('}') else {
                rest = "";
                break;
            };
            let name = name.trim_start_matches('{');
            let rest_of = after.trim_start_matches('}');
            let expression = match &purpose.row_id {
                Some(expression) if self.candidate.row_parameter.as_deref() == Some(name) => {
                    expression.clone()
                }
                _ => {
                    let about = format!("`{}` in the path `{}`.", line(name, 40), line(path, 120));
                    self.argument(name, &about, None)
                }
            };
            address.push_str(&template(&expression));
            rest = rest_of;
        }
        address.push_str(rest);
        address
    }

    /// An argument of the object, as an expression.
    fn argument(&mut self, name: &str, about: &str, kind: Option<Kind>) -> String {
        let mut short = snake(name, "argument");
        // `object.name` is the name of the object.
        if short == "name" {
            short = format!("{}_name", self.candidate.object);
        }
        let whole = matches!(kind, Some(Kind::Whole | Kind::Number));
        if !self.arguments.iter().any(|known| known.name == short) {
            self.arguments.push(Argument {
                name: short.clone(),
                about: about.to_owned(),
                example: if whole { "42" } else { "a1b2" }.to_owned(),
            });
        }
        match whole {
            true => format!("object.{short} | number"),
            false => format!("object.{short}"),
        }
    }

    pub(super) fn query(&mut self, api: &Api, operation: &Operation, taken: &[String]) -> Yaml {
        let mut query = Yaml::map::<&str>([]);
        let fields = self.candidate.request.format == Format::Query;
        for parameter in operation.parameters_in("query") {
            if taken.contains(&parameter.name) || (!parameter.required && !fields) {
                continue;
            }
            let schema = api.schema(&parameter.schema);
            let property = Property {
                name: parameter.name.clone(),
                required: parameter.required,
                schema: Schema {
                    about: parameter.about.clone(),
                    ..schema
                },
            };
            let row = self.candidate.request.row();
            let is_field = fields && row.is_some_and(|row| row.property(&property.name).is_some());
            let value = if is_field && property.schema.constant().is_none() {
                let root = if property.name == self.candidate.key {
                    "row.key"
                } else {
                    "row.fields"
                };
                Yaml::text(&template(&field(root, &property.name)))
            } else if let Some(example) = parameter
                .example
                .as_ref()
                .filter(|value| !value.is_object() && !value.is_array())
            {
                self.notes.push(format!(
                    "Is this the right value of `{}`?",
                    line(&parameter.name, 40)
                ));
                constant(example)
            } else {
                self.beside(&property)
            };
            query.add(parameter.name.clone(), value);
        }
        query
    }

    /// The body, by its key in the manifest.
    pub(super) fn body(&mut self, purpose: &Purpose<'_>) -> Option<(&'static str, Yaml)> {
        let request = &self.candidate.request;
        let name = match request.format {
            Format::Json => "json",
            Format::Form => "form",
            Format::Multipart => "multipart",
            Format::Csv => {
                let row = Yaml::text(&template("row.key | merge(row.fields)"));
                return Some(("csv", Yaml::map([("row", row)])));
            }
            Format::Query | Format::Nothing => return None,
        };
        let removes = purpose.name == OperationName::Delete;
        let needed = request
            .body
            .properties
            .iter()
            .any(|property| property.required);
        if removes && !needed && self.candidate.row_parameter.is_some() {
            return None;
        }
        let body = match &request.shape {
            Shape::One { row, .. } if request.format == Format::Multipart => self.parts(row),
            Shape::One { inside, row } => {
                let row = self.row(row, removes);
                self.filled(&request.body, inside, row)
            }
            Shape::Rows { list, inside, row } => {
                let items = list.iter().try_fold(&request.body, |at, name| {
                    at.property(name).map(|property| &property.schema)
                });
                let items = items
                    .and_then(|list| list.items.as_deref())
                    .cloned()
                    .unwrap_or_default();
                let row = self.row(row, removes);
                let item = self.filled(&items, inside, row);
                let each = Yaml::map([("$each", Yaml::text("rows")), ("$item", item)]);
                self.filled(&request.body, list, each)
            }
            Shape::Values { list, key, .. } => {
                let item = Yaml::text(&template(&field("row.key", key)));
                let each = Yaml::map([("$each", Yaml::text("rows")), ("$item", item)]);
                self.filled(&request.body, list, each)
            }
            Shape::Address | Shape::Lines => return None,
        };
        Some((name, body))
    }

    /// The parts of a multipart body, each a field of the row.
    fn parts(&mut self, row: &Schema) -> Yaml {
        let mut parts = Yaml::map::<&str>([]);
        for property in row
            .properties
            .iter()
            .filter(|property| !property.schema.read_only)
        {
            let root = if property.name == self.candidate.key {
                "row.key"
            } else {
                "row.fields"
            };
            let value = match property.schema.constant() {
                Some(value) => constant(value),
                None => Yaml::text(&template(&field(root, &property.name))),
            };
            parts.add(property.name.clone(), value);
        }
        if row.properties.is_empty() {
            let key = self.candidate.key.clone();
            parts.add(key.clone(), Yaml::text(&template(&field("row.key", &key))));
        }
        parts
    }

    /// An object with what it needs beside the way to the target.
    fn filled(&mut self, schema: &Schema, way: &[String], target: Yaml) -> Yaml {
        let Some((next, rest)) = way.split_first() else {
            return target;
        };
        let mut object = Yaml::map::<&str>([]);
        let mut target = Some(target);
        for property in &schema.properties {
            if property.name == *next {
                if let Some(target) = target.take() {
                    let below = self.filled(&property.schema, rest, target);
                    object.add(member(next), below);
                }
            } else if !property.schema.read_only && (property.required || fixed(property)) {
                let value = self.beside(property);
                object.add(member(&property.name), value);
            }
        }
        object
    }

    /// The value of a member that is not of a row.
    fn beside(&mut self, property: &Property) -> Yaml {
        let schema = &property.schema;
        let name = line(&property.name, 40);
        if let Some(value) = schema.constant() {
            return constant(value);
        }
        if let Some(first) = schema.choices.first() {
            let all: Vec<String> = schema
                .choices
                .iter()
                .map(scalar)
                .map(|choice| format!("`{}`", line(&choice, 30)))
                .collect();
            self.notes.push(format!(
                "`{name}` may be {}.",
                all.iter().take(12).cloned().collect::<Vec<_>>().join(", ")
            ));
            return constant(first);
        }
        match schema.kind {
            Kind::Bool => {
                self.notes.push(format!("Shall `{name}` be true?"));
                Yaml::Scalar(json!(true))
            }
            Kind::Object | Kind::List => {
                self.notes.push(format!(
                    "`{name}` is needed, and what stands here is made up."
                ));
                constant(&sample::value(&property.name, schema, 0))
            }
            kind => {
                let about = match line(&schema.about, 160) {
                    about if about.is_empty() => format!("`{name}` of a request."),
                    about => about,
                };
                let expression = self.argument(&property.name, &about, Some(kind));
                Yaml::text(&template(&expression))
            }
        }
    }

    /// What a row becomes.
    fn row(&mut self, row: &Schema, removes: bool) -> Yaml {
        let key = &self.candidate.key;
        let in_path = self.candidate.row_parameter.is_some();
        let has_key = row
            .property(key)
            .is_some_and(|property| !property.schema.read_only);
        let all = match (in_path && !has_key, removes && has_key) {
            (true, _) => "row.fields",
            (_, true) => "row.key",
            _ => "row.key | merge(row.fields)",
        };
        let constants: Vec<&Property> = row
            .properties
            .iter()
            .filter(|property| fixed(property))
            .collect();
        let map = open_map(row);
        let mut object = Yaml::map::<&str>([]);
        for property in &constants {
            if let Some(value) = property.schema.constant() {
                object.add(member(&property.name), constant(value));
            }
        }
        match map {
            Some(map) => {
                let names = named(row);
                if !names.is_empty() {
                    object.add(
                        "$spread",
                        Yaml::text(&template(&members(all, "only", &names))),
                    );
                }
                let others = template(&members("row.fields", "without", &names));
                object.add(
                    member(&map.name),
                    Yaml::map([("$spread", Yaml::text(&others))]),
                );
            }
            None if constants.is_empty() => return Yaml::text(&template(all)),
            None => object.add("$spread", Yaml::text(&template(all))),
        }
        object
    }
}
