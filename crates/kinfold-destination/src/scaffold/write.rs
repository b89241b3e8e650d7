//! The text of the manifest.

use serde_json::json;

use super::answers::success;
use super::api::Api;
use super::call::todo;
use super::candidate::Candidate;
use super::connection::{Connection, Given};
use super::limits::Limits;
use super::look_up::check;
use super::objects::{Object, Planned};
use super::prose::line;
use super::yaml::Yaml;
use crate::manifest::{OperationName, Reaches};

/// The manifest.
pub(super) fn manifest(
    api: &Api,
    name: &str,
    first: &Candidate,
    objects: &[Object],
    connection: &Connection,
    limits: &Limits,
) -> String {
    let title = match line(&api.title, 60) {
        title if title.is_empty() => name.to_owned(),
        title => title,
    };
    let about: Vec<&str> = objects
        .iter()
        .map(|object| object.about.trim_end_matches('.'))
        .collect();
    let mut file = Yaml::map([
        ("version", Yaml::Scalar(json!(1))),
        ("name", Yaml::text(name)),
    ]);
    file.add("title", Yaml::text(&title));
    let note = "Say in a sentence what is written there.".to_owned();
    file.add_with(
        "about",
        Yaml::text(&format!("{}.", about.join(". "))),
        todo(&[note]),
    );
    let source = format!(
        "{title} {}, {} (`{}`)",
        line(&api.version, 30),
        line(&api.language, 30),
        line(&api.file, 80)
    );
    file.add("sources", Yaml::list([Yaml::text(&source)]));
    if !connection.parameters.is_empty() {
        let parameters = connection
            .parameters
            .iter()
            .map(|given| (given.name.clone(), parameter(given)));
        file.add("parameters", Yaml::map(parameters));
    }
    file.add_with(
        "base_url",
        Yaml::text(&connection.base_url),
        todo(&connection.base_notes),
    );
    if !connection.headers.is_empty() {
        file.add_with(
            "headers",
            texts(&connection.headers),
            todo(&connection.header_notes),
        );
    }
    let mut notes = todo(&connection.auth_notes);
    let auth = auth(connection);
    if !auth.is_empty() {
        file.add_with("auth", auth, std::mem::take(&mut notes));
    }
    let mut of_limits = todo(&limits.notes);
    if !limits.limits.is_empty() {
        file.add_with(
            "limits",
            Yaml::List(limits.limits.clone()),
            std::mem::take(&mut of_limits),
        );
    }
    if !limits.rules.is_empty() {
        file.add_with(
            "rules",
            Yaml::List(limits.rules.clone()),
            std::mem::take(&mut of_limits),
        );
    }
    let mut before_objects = notes;
    match check_call(api, &first.object) {
        Some(check) => file.add("check", check),
        None => before_objects.extend(todo(&[
            "No GET without parameters was found. Look for a call that changes nothing and needs the credentials, \
             and write it as `check: {get: …}`."
                .to_owned(),
        ])),
    }
    before_objects.extend(of_limits);
    let objects = objects
        .iter()
        .map(|object| (object.name.clone(), one(object)));
    file.add_with("objects", Yaml::map(objects), before_objects);
    file.write()
}

fn parameter(given: &Given) -> Yaml {
    let mut yaml = Yaml::map([("about", Yaml::text(&given.about))]);
    if given.secret {
        yaml.add("secret", Yaml::Scalar(json!(true)));
    }
    if !given.choices.is_empty() {
        let choices = given
            .choices
            .iter()
            .map(|(word, value)| (word.clone(), Yaml::text(value)));
        yaml.add("choices", Yaml::map(choices));
    }
    if let Some(default) = &given.default {
        yaml.add("default", Yaml::text(default));
    }
    if let Some(example) = &given.example {
        yaml.add("example", Yaml::text(example));
    }
    yaml
}

fn texts(entries: &[(String, String)]) -> Yaml {
    Yaml::map(
        entries
            .iter()
            .map(|(name, value)| (name.clone(), Yaml::text(value))),
    )
}

fn auth(connection: &Connection) -> Yaml {
    let mut auth = Yaml::map::<&str>([]);
    if let Some(token) = &connection.token {
        auth.add("token", token.clone());
        auth.add("expires_in", Yaml::text("$.expires_in"));
    }
    if !connection.auth_headers.is_empty() {
        auth.add("headers", texts(&connection.auth_headers));
    }
    if !connection.auth_query.is_empty() {
        auth.add("query", texts(&connection.auth_query));
    }
    auth
}

fn check_call(api: &Api, object: &str) -> Option<Yaml> {
    let (operation, limit) = check(api, object)?;
    let mut call = Yaml::map([(
        "get",
        Yaml::text(operation.path.split('#').next().unwrap_or_default()),
    )]);
    if limit {
        call.add("query", Yaml::map([("limit", Yaml::Scalar(json!(1)))]));
    }
    if success(api, operation).is_some_and(|success| !success.json) {
        call.add("answer", Yaml::text("text"));
    }
    Some(call)
}

fn one(object: &Object) -> Yaml {
    let mut yaml = Yaml::map([("about", Yaml::text(&object.about))]);
    if !object.arguments.is_empty() {
        let arguments = object.arguments.iter().map(|argument| {
            let about = Yaml::text(&argument.about);
            let example = Yaml::text(&argument.example);
            (
                argument.name.clone(),
                Yaml::map([("about", about), ("example", example)]),
            )
        });
        yaml.add("arguments", Yaml::map(arguments));
    }
    let note = match object.keys.as_slice() {
        [only] => format!("Is `{}` what rows are found by?", line(only, 40)),
        _ => "By which of these are rows found?".to_owned(),
    };
    let keys = object.keys.iter().map(|key| Yaml::text(key));
    yaml.add_with("keys", Yaml::list(keys), todo(&[note]));
    let known = object.fields.iter().map(|field| {
        let mut yaml = Yaml::map::<&str>([]);
        let about = line(&field.schema.about, 120);
        if !about.is_empty() {
            yaml.add("about", Yaml::text(&about));
        }
        if field.required {
            yaml.add("required", Yaml::Scalar(json!(true)));
        }
        if field.schema.read_only {
            yaml.add("read_only", Yaml::Scalar(json!(true)));
        }
        (field.name.clone(), yaml)
    });
    let mut fields = Yaml::map([("known", Yaml::map(known))]);
    if object.open {
        fields.add("open", Yaml::Scalar(json!(true)));
    }
    yaml.add("fields", fields);
    let deletes = |planned: &Planned| planned.name == OperationName::Delete;
    if object.operations.iter().any(deletes) {
        let note = "What does removing do: does a membership end, can the record be taken back, or is it gone? \
                    What erases a person by law is no `delete`."
            .to_owned();
        let removal = Yaml::map([
            ("reaches", Yaml::text(Reaches::Final.as_str())),
            ("about", Yaml::text("The record is deleted.")),
        ]);
        yaml.add_with("removal", removal, todo(&[note]));
    }
    for (at, planned) in object.operations.iter().enumerate() {
        let alone = at == 0 && !can_be_shown(object, planned.name);
        let notes = match alone {
            true => todo(&[
                "Nothing writes rows to this object yet, so no sync can use it. Which operation does?".to_owned(),
            ]),
            false => Vec::new(),
        };
        yaml.add_with(planned.name.as_str(), planned.yaml.clone(), notes);
    }
    yaml
}

/// Whether a sync can carry an operation out: there is a mode for it. Rows can only be deleted that were written.
pub(super) fn can_be_shown(object: &Object, name: OperationName) -> bool {
    name != OperationName::Delete
        || object
            .operations
            .iter()
            .any(|planned| planned.name != OperationName::Delete)
}

/// The headers that exchanges show.
pub(super) fn shown_headers(connection: &Connection) -> Vec<String> {
    let own = connection.headers.iter().chain(&connection.auth_headers);
    let mut names: Vec<String> = own.map(|(name, _)| name.clone()).collect();
    names.extend(["idempotency-key".to_owned()]);
    names
}
