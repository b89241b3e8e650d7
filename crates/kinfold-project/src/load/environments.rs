//! `environments:` of `kinfold.yml`.

use crate::codes;
use crate::diagnostic::{Diagnostic, FileId, Severity, Span};
use crate::located::{Located, Value, ValueKind};
use crate::model::{Environment, StorageTemplate};

use super::fields::{self, Fields};

const DEFAULT_NAME: &str = "dev";
const DEFAULT_LAKE: &str = ".kinfold/lake";
const DEFAULT_SCHEMA: &str = "main";

/// The environments, in the order of the file; `dev` if there are none.
pub(super) fn read(
    project: Option<&Fields<'_>>,
    file: FileId,
    problems: &mut Vec<Diagnostic>,
) -> Vec<Environment> {
    let mut environments = vec![];
    if let Some(project) = project {
        for (name, value) in project.map("environments", problems) {
            environments.extend(environment(name, value, problems));
        }
    }
    if environments.is_empty() {
        let nowhere = Span::new(file, 0, 0);
        environments.push(Environment {
            name: Located::new(DEFAULT_NAME.to_owned(), nowhere),
            lake: Located::new(DEFAULT_LAKE.to_owned(), nowhere),
            storage: StorageTemplate::default(),
            schema: DEFAULT_SCHEMA.to_owned(),
            owns_lake: true,
        });
    }
    give_lakes_an_owner(&mut environments);
    environments
}

fn environment(
    name: &Located<String>,
    value: &Value,
    problems: &mut Vec<Diagnostic>,
) -> Option<Environment> {
    let (beginning, _) = Environment::pattern(&name.value);
    if !Environment::is_name(beginning) {
        problems.push(
            Diagnostic::error(
                codes::INVALID_NAME,
                format!("`{}` cannot be the name of an environment", name.value),
                name.span,
            )
            .with_help("use letters, digits, `_` and `-`; a last `*` stands for any more of them"),
        );
    }
    let fields = Fields::of(value, "an environment", problems)?;
    fields.check_keys(&["lake", "storage", "schema"], Severity::Error, problems);
    let lake = fields.required_text("lake", problems);
    let storage = storage(&fields, problems);
    let schema = fields.text("schema", problems);
    Some(Environment {
        name: name.clone(),
        lake: lake?,
        storage,
        schema: schema.map_or_else(|| DEFAULT_SCHEMA.to_owned(), |schema| schema.value),
        owns_lake: false,
    })
}

/// The `storage:` of an environment, a source or a connection: names and scalars.
pub(super) fn storage(fields: &Fields<'_>, problems: &mut Vec<Diagnostic>) -> StorageTemplate {
    let mut options = vec![];
    for (key, value) in fields.map("storage", problems) {
        let text = match &value.kind {
            ValueKind::Bool(flag) => Some(Located::new(flag.to_string(), value.span)),
            _ => fields::text(value, &format!("`{}`", key.value), problems),
        };
        if let Some(text) = text {
            options.push((key.clone(), text));
        }
    }
    StorageTemplate(options)
}

/// Of the environments with the same lake, `prod` owns it, else the first one.
fn give_lakes_an_owner(environments: &mut [Environment]) {
    let mut owners: Vec<usize> = vec![];
    for (i, environment) in environments.iter().enumerate() {
        // Those of a pattern come and go.
        if Environment::pattern(&environment.name.value).1 {
            continue;
        }
        let owner = owners.iter_mut().find(|owner| {
            environments
                .get(**owner)
                .is_some_and(|other| other.lake.value == environment.lake.value)
        });
        match owner {
            None => owners.push(i),
            Some(owner) if environment.name.value == "prod" => *owner = i,
            Some(_) => {}
        }
    }
    for owner in owners {
        if let Some(environment) = environments.get_mut(owner) {
            environment.owns_lake = true;
        }
    }
}
