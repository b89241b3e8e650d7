//! Objects and what can be done with them.

use kinfold_project::{Diagnostic, Value};

use super::super::fields::Fields;
use super::super::{
    Argument, Discover, Field, FieldList, Identifier, Job, Object, Operation, OperationName,
    Reaches, Refusal, Removal, Verdict, blocks,
};
use super::call::{Place, call, calls};
use super::reach::reach;
use super::{Known, check_list, check_name, named, text_lists};
use crate::codes;
use crate::expression::Root;
use crate::identifiers::{Clean, Hash};
use crate::template::Reading;

pub(super) fn objects(
    fields: &Fields<'_>,
    known: &Known,
    reading: &mut Reading<'_>,
) -> Vec<Object> {
    let found = named(
        fields,
        "objects",
        &blocks::OBJECT,
        reading,
        |name, fields, reading| {
            check_name(name, "the name of an object", fields.span, reading);
            object(name, fields, known, reading)
        },
    );
    if found.is_empty()
        && fields.get("objects").is_some_and(|value| {
            value
                .to_json()
                .as_object()
                .is_some_and(serde_json::Map::is_empty)
        })
    {
        let message = "a destination without objects can do nothing";
        reading.error(codes::INCOMPLETE, message, fields.span_of("objects"));
    }
    found
}

fn object(
    name: &str,
    fields: &Fields<'_>,
    known: &Known,
    reading: &mut Reading<'_>,
) -> Option<Object> {
    let arguments = named(
        fields,
        "arguments",
        &blocks::ARGUMENT,
        reading,
        |name, fields, reading| {
            check_name(name, "the name of an argument", fields.span, reading);
            Some(Argument {
                name: name.to_owned(),
                about: fields.text("about", reading)?,
                example: fields.text("example", reading),
            })
        },
    );
    let names_of_arguments: Vec<String> = arguments
        .iter()
        .map(|argument| argument.name.clone())
        .collect();
    let identifiers = named(
        fields,
        "identifiers",
        &blocks::IDENTIFIER,
        reading,
        |name, fields, reading| {
            let field = fields.text("field", reading);
            let roots = [Root::Connection, Root::Object, Root::Sync, Root::Row];
            let names = crate::expression::Names {
                arguments: &names_of_arguments,
                ..known.names(&roots)
            };
            let country = fields.template_text("country", &names, reading);
            Some(Identifier {
                country,
                name: name.to_owned(),
                field: field.unwrap_or_else(|| name.to_owned()),
                clean: fields.word("clean", reading).and_then(Clean::of_word)?,
                hash: match fields.word("hash", reading) {
                    Some(word) => Hash::of_word(word)?,
                    None => Hash::None,
                },
            })
        },
    );
    let mut place = Place {
        roots: vec![
            Root::Connection,
            Root::Auth,
            Root::Object,
            Root::Sync,
            Root::Run,
            Root::Kept,
            Root::Now,
        ],
        arguments: names_of_arguments,
        identifiers: identifiers
            .iter()
            .map(|identifier| identifier.name.clone())
            .collect(),
        ..Place::default()
    };
    let keys = text_lists(fields, "keys", reading);
    let list = match fields.get("fields") {
        Some(value) => Some(field_list(value, &place, known, reading)?),
        None => None,
    };
    let prepare = calls(fields, "prepare", &mut place, known, reading);
    let remember = fields.texts("remember", reading);
    for name in remember.iter().filter(|name| !place.kept.contains(name)) {
        let message = format!("`prepare` keeps no `{name}`");
        reading.error(codes::UNUSED, message, fields.span_of("remember"));
    }
    let finish = calls(fields, "finish", &mut place.clone(), known, reading);
    let refuse = refusals(fields, &place, known, reading);
    let reach = match fields.get("reach") {
        Some(value) => Some(reach(value, &place, &prepare, &remember, known, reading)?),
        None => None,
    };
    let mut operations = Vec::new();
    for name in OperationName::ALL {
        let mut forms = Vec::new();
        for value in fields.blocks(name.as_str(), reading) {
            forms.extend(operation(name, value, &place, known, reading));
        }
        if !forms.is_empty() {
            operations.push((name, forms));
        } else if fields.get(name.as_str()).is_none() {
            continue;
        }
    }
    let written = OperationName::ALL
        .iter()
        .any(|name| fields.get(name.as_str()).is_some());
    if !written {
        let names = OperationName::ALL.map(OperationName::as_str);
        let message = "an object needs an operation";
        let problem = Diagnostic::error(codes::INCOMPLETE, message, fields.span);
        let help = format!("it can have {}", kinfold_project::suggest::one_of(names));
        reading.problems.push(problem.with_help(help));
    }
    let removal = removal(fields, &operations, reading);
    Some(Object {
        name: name.to_owned(),
        about: fields.text("about", reading)?,
        arguments,
        keys,
        fields: list,
        identifiers,
        prepare,
        remember,
        finish,
        reach,
        refuse,
        removal,
        operations,
        span: fields.span,
    })
}

/// What `delete` does, which has to be said where there is one.
fn removal(
    fields: &Fields<'_>,
    operations: &[(OperationName, Vec<Operation>)],
    reading: &mut Reading<'_>,
) -> Option<Removal> {
    let deletes = operations
        .iter()
        .any(|(name, _)| *name == OperationName::Delete);
    let Some(value) = fields.get("removal") else {
        if deletes {
            let message = "`removal` does not say what `delete` does there";
            let problem = Diagnostic::warning(codes::INCOMPLETE, message, fields.span);
            reading.problems.push(problem);
        }
        return None;
    };
    if !deletes {
        let message = "`removal` is about `delete`, which the object does not have";
        reading.error(codes::UNUSED, message, fields.span_of("removal"));
    }
    let below = Fields::of(value, &blocks::REMOVAL, reading)?;
    Some(Removal {
        reaches: below.word("reaches", reading).and_then(Reaches::of_word)?,
        about: below.text("about", reading)?,
    })
}

fn field_list(
    value: &Value,
    place: &Place,
    known: &Known,
    reading: &mut Reading<'_>,
) -> Option<FieldList> {
    let fields = Fields::of(value, &blocks::FIELDS, reading)?;
    let list = named(
        &fields,
        "known",
        &blocks::FIELD,
        reading,
        |name, fields, reading| {
            Some(Field {
                name: name.to_owned(),
                about: fields.text("about", reading),
                required: fields.flag("required", reading) == Some(true),
                read_only: fields.flag("read_only", reading) == Some(true),
            })
        },
    );
    let discover = match fields.get("discover") {
        Some(value) => Some(Box::new(discover(value, place, known, reading)?)),
        None => None,
    };
    Some(FieldList {
        known: list,
        open: fields.flag("open", reading) == Some(true),
        discover,
    })
}

fn discover(
    value: &Value,
    place: &Place,
    known: &Known,
    reading: &mut Reading<'_>,
) -> Option<Discover> {
    let fields = Fields::of(value, &blocks::DISCOVER, reading)?;
    let mut place = place.clone();
    place.roots.retain(|root| *root != Root::Kept);
    let made = call(fields.get("call")?, &place, known, reading)?;
    let item = [Root::Connection, Root::Object, Root::Answer, Root::Position];
    let names = crate::expression::Names {
        arguments: &place.arguments,
        ..known.names(&item)
    };
    let (items, kind) = fields.expression("items", &names, reading)?;
    check_list(kind.kind, "items", fields.span_of("items"), reading);
    Some(Discover {
        call: made,
        items,
        name: fields.open_expression("name", &names, reading)?,
        read_only: fields.condition("read_only", &names, reading),
    })
}

fn operation(
    name: OperationName,
    value: &Value,
    place: &Place,
    known: &Known,
    reading: &mut Reading<'_>,
) -> Option<Operation> {
    let fields = Fields::of(value, &blocks::OPERATION, reading)?;
    let rows = fields.count("rows", reading)?;
    let mut place = place.clone();
    place.rows = true;
    place.roots.push(Root::Batch);
    let mut with_row = place.clone();
    with_row.roots.push(Root::Row);
    let together = match fields.get("together") {
        Some(value) => {
            let names = crate::expression::Names {
                roots: &with_row.roots,
                arguments: &place.arguments,
                kept: &place.kept,
                identifiers: &place.identifiers,
                ..known.names(&[])
            };
            Some(reading.expression(value, &names)?.0)
        }
        None => None,
    };
    let refuse = refusals(&fields, &place, known, reading);
    let single = rows == 1;
    let mut place = if single { with_row } else { place };
    let before = place.kept.clone();
    let made = calls(&fields, "calls", &mut place, known, reading);
    let written = fields.blocks("calls", reading);
    if made.len() != written.len() {
        return None;
    }
    if made.is_empty() {
        reading.error(codes::INCOMPLETE, "an operation needs a call", fields.span);
    }
    let job = match fields.get("job") {
        Some(value) => {
            // After a crash only what was kept for the batch is there again.
            place.kept = before;
            let for_batch = made.iter().filter(|call| call.readings.is_empty());
            place.kept.extend(
                for_batch
                    .flat_map(|call| &call.keep)
                    .map(|(name, _)| name.clone()),
            );
            Some(job(value, &place, known, reading)?)
        }
        None => None,
    };
    let adds = matches!(name, OperationName::Append | OperationName::Insert);
    Some(Operation {
        rows: usize::try_from(rows).ok()?,
        min_rows: usize::try_from(fields.count("min_rows", reading).unwrap_or(0)).ok()?,
        bytes: fields.bytes("bytes", reading),
        row_bytes: fields.bytes("row_bytes", reading),
        repeatable: fields.flag("repeatable", reading).unwrap_or(!adds),
        refuse,
        together,
        calls: made,
        job,
        span: fields.span,
    })
}

/// What is refused is said before a run, and of a batch again after a crash: nothing that a run keeps counts.
fn refusals(
    fields: &Fields<'_>,
    place: &Place,
    known: &Known,
    reading: &mut Reading<'_>,
) -> Vec<Refusal> {
    let roots = [Root::Connection, Root::Object, Root::Sync, Root::Row];
    let names = place.names(known, &roots);
    let mut found = Vec::new();
    for value in fields.blocks("refuse", reading) {
        let Some(below) = Fields::of(value, &blocks::REFUSAL, reading) else {
            continue;
        };
        let condition = below.condition("if", &names, reading);
        let message = below
            .get("message")
            .and_then(|value| reading.text(value, &names));
        if let Some((_, true)) = &message {
            let message = "`message` is shown, and this is secret";
            reading.error(codes::SECRET_EXPOSED, message, below.span_of("message"));
        }
        found.extend(
            condition
                .zip(message)
                .map(|(condition, (message, _))| Refusal { condition, message }),
        );
    }
    found
}

fn job(value: &Value, place: &Place, known: &Known, reading: &mut Reading<'_>) -> Option<Job> {
    let fields = Fields::of(value, &blocks::JOB, reading)?;
    let mut place = place.clone();
    place.job = true;
    let poll = call(fields.get("poll")?, &place, known, reading)?;
    place
        .kept
        .extend(poll.keep.iter().map(|(name, _)| name.clone()));
    let results = calls(&fields, "results", &mut place, known, reading);
    let unnamed = fields.verdict("unnamed", reading);
    let speaks = !poll.readings.is_empty() || results.iter().any(|call| !call.readings.is_empty());
    if speaks && unnamed.is_none() {
        let message = "`job` needs `unnamed`: the verdict of rows that no answer names";
        reading.error(codes::MISSING_KEY, message, fields.span);
    }
    let at_once = fields.count("at_once", reading).unwrap_or(1);
    Some(Job {
        at_once: usize::try_from(at_once).ok()?,
        poll,
        results,
        unnamed: unnamed.unwrap_or(Verdict::Ok),
    })
}
