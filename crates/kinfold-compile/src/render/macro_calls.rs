//! Which macros a macro calls, read from its text: `depends_on` of macros in `manifest.json`.

use std::collections::{BTreeMap, BTreeSet};

use kinfold_project::{Macro, MacroKind, Project};
use minijinja::Environment;

/// The id of a macro in `manifest.json`: `macro.<package>.<name>`, a data test's with `test_` before the name.
#[must_use]
pub fn macro_id(package: &str, name: &str, kind: MacroKind) -> String {
    match kind {
        MacroKind::Macro => format!("macro.{package}.{name}"),
        MacroKind::Test => format!("macro.{package}.test_{name}"),
    }
}

/// The macros of the project and its packages that each of them names, by id. What is found by
/// `adapter.dispatch` is not among them: it is known only when the macro is called. A macro that cannot be
/// parsed names none.
#[must_use]
pub fn macro_calls(project: &Project) -> BTreeMap<String, BTreeSet<String>> {
    let known: BTreeSet<String> = project.macros.iter().map(own_id).collect();
    let engine = Environment::new();
    let called = project.macros.iter().map(|found| {
        let names = engine
            .template_from_str(&as_macro(project, found))
            .map(|template| template.undeclared_variables(true))
            .unwrap_or_default();
        let candidates = names.iter().filter_map(|name| {
            let of = |package: &str, name: &str| {
                let id = macro_id(package, name, MacroKind::Macro);
                known.contains(&id).then_some(id)
            };
            match name.split_once('.') {
                // The attribute of a value may follow the macro's name, or that of a package before it.
                Some((package, rest)) => rest.split('.').next().and_then(|name| of(package, name)),
                None => of(&found.package, name).or_else(|| of(&project.name, name)),
            }
        });
        (own_id(found), candidates.collect())
    });
    called.collect()
}

fn own_id(found: &Macro) -> String {
    macro_id(&found.package, &found.name.value, found.kind)
}

/// The text of the block, as a macro where it is a data test: the engine knows no other blocks.
fn as_macro(project: &Project, found: &Macro) -> String {
    let text = project.files.text(found.block);
    let Some((_, body)) = text.split_once("%}") else {
        return String::new();
    };
    let name = &found.name.value;
    let (head, body) = match (found.kind, body.rfind("{%")) {
        (MacroKind::Macro, _) => return text.to_owned(),
        (MacroKind::Test, Some(end)) => (text, body.get(..end).unwrap_or_default()),
        (MacroKind::Test, None) => return String::new(),
    };
    let arguments = head
        .split_once('(')
        .and_then(|(_, rest)| rest.split_once("%}"))
        .and_then(|(arguments, _)| arguments.rsplit_once(')'))
        .map_or("", |(arguments, _)| arguments);
    format!("{{% macro {name}({arguments}) %}}{body}{{% endmacro %}}")
}
