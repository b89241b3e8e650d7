//! The page of one destination, generated from its manifest.

use kinfold_project::SyncMode;

use crate::manifest::{
    Counted, Limit, Manifest, Match, Object, Operation, OperationName, Parameter, Reaches, Window,
};

/// The page of a destination, as Markdown.
#[must_use]
pub fn destination_page(manifest: &Manifest) -> String {
    let mut page = format!(
        "# {}\n\n<!-- Generated from the manifest. -->\n\n{}\n\n",
        manifest.title,
        manifest.about.trim()
    );
    page.push_str(&match &manifest.verified {
        Some(verified) => format!("Run against the live service: {verified}.\n"),
        None => "**Not run against the live service.**\n".to_owned(),
    });
    if !manifest.sources.is_empty() {
        page.push_str("\nWritten from:\n\n");
        for source in &manifest.sources {
            page.push_str(&format!("- {source}\n"));
        }
    }
    page.push_str("\n## Connection\n\n```yaml\nconnections:\n");
    page.push_str(&format!("  - name: {0}\n    kind: {0}\n", manifest.name));
    for parameter in &manifest.parameters {
        page.push_str(&format!(
            "    {}: {}\n",
            parameter.name,
            example(parameter, &manifest.name)
        ));
    }
    page.push_str("```\n\n| parameter | | |\n|---|---|---|\n");
    for parameter in &manifest.parameters {
        let mut notes = Vec::new();
        if parameter.secret {
            notes.push("secret".to_owned());
        }
        if let Some(default) = &parameter.default {
            notes.push(format!("`{default}` unless set"));
        } else if parameter.optional {
            notes.push("may be left out".to_owned());
        }
        if !parameter.choices.is_empty() {
            let words: Vec<String> = parameter
                .choices
                .iter()
                .map(|(word, _)| format!("`{word}`"))
                .collect();
            notes.push(words.join(", "));
        }
        page.push_str(&format!(
            "| `{}` | {} | {} |\n",
            parameter.name,
            parameter.about,
            notes.join("; ")
        ));
    }
    if let Some(why) = &manifest.no_check {
        page.push_str(&format!(
            "\n`kinfold connection check` cannot ask whether the credentials {}: {why}.\n",
            match &manifest.check {
                Some(_) => "of every connection are right",
                None => "are right",
            }
        ));
    }
    if !manifest.limits.is_empty() {
        page.push_str("\n## Limits of an account\n\n");
        for limit in &manifest.limits {
            page.push_str(&format!("- {}\n", limit_text(limit)));
        }
    }
    page.push_str("\n## Objects\n");
    for object in &manifest.objects {
        object_section(&mut page, object);
    }
    page
}

fn example(parameter: &Parameter, name: &str) -> String {
    if parameter.secret {
        let variable = format!("{name}_{}", parameter.name)
            .to_uppercase()
            .replace('-', "_");
        return format!("\"{{{{ env_var('{variable}') }}}}\"");
    }
    let choice = parameter.choices.first().map(|(word, _)| word.clone());
    parameter
        .default
        .clone()
        .or(choice)
        .or_else(|| parameter.example.clone())
        .unwrap_or_else(|| "…".to_owned())
}

pub(super) fn limit_text(limit: &Limit) -> String {
    let group = limit
        .group
        .as_ref()
        .map(|group| format!(" for `{group}`"))
        .unwrap_or_default();
    let what = match limit.most {
        Counted::Calls(most) => format!("{most} calls"),
        Counted::Rows(most) => format!("{most} rows"),
        Counted::Points(most) => format!("{most} points"),
        Counted::AtOnce(most) => return format!("{most} calls at a time{group}"),
    };
    let seconds = limit.per.as_secs_f64();
    let window = match limit.window {
        Window::Rolling => "in any",
        Window::Clock(_) => "by the clock in",
        Window::Bucket => "evenly in",
    };
    format!("{what} {window} {seconds} s{group}")
}

fn object_section(page: &mut String, object: &Object) {
    let arguments: String = object
        .arguments
        .iter()
        .map(|argument| format!("/<{}>", argument.name))
        .collect();
    page.push_str(&format!(
        "\n### `{}{arguments}`\n\n{}\n\n",
        object.name,
        object.about.trim()
    ));
    for argument in &object.arguments {
        let example = argument
            .example
            .as_ref()
            .map(|text| format!(" (`{text}`)"))
            .unwrap_or_default();
        page.push_str(&format!(
            "- `<{}>`: {}{example}\n",
            argument.name, argument.about
        ));
    }
    if !object.arguments.is_empty() {
        page.push('\n');
    }
    let modes: Vec<String> = object
        .modes()
        .iter()
        .map(|mode| format!("`{}`", mode.as_str()))
        .collect();
    page.push_str(&format!("Modes: {}. ", modes.join(", ")));
    if object.keys.is_empty() {
        page.push_str("Any fields can be the key.\n\n");
    } else {
        let keys: Vec<String> = object
            .keys
            .iter()
            .map(|key| format!("`{}`", key.join(", ")))
            .collect();
        page.push_str(&format!("Key: {}.\n\n", keys.join(" or ")));
    }
    page.push_str("| operation | rows a request | size | sent twice | rows of an answer |\n|---|---|---|---|---|\n");
    for (name, forms) in &object.operations {
        for form in forms {
            page.push_str(&format!(
                "| {} | {} | {} | {} | {} |\n",
                name.as_str(),
                form.rows,
                form.bytes
                    .map_or("".to_owned(), |bytes| format!("{bytes} B")),
                if form.repeatable { "harmless" } else { "no" },
                attribution(form)
            ));
        }
    }
    if let Some(removal) = &object.removal {
        let reaches = match removal.reaches {
            Reaches::Membership => "ends a membership",
            Reaches::Restorable => "can be taken back",
            Reaches::Final => "is for good, so a `mirror` has to say `on_leave: delete` or `keep`",
        };
        page.push_str(&format!("\nRemoving {reaches}. {}\n", removal.about.trim()));
    } else if object.modes().contains(&SyncMode::Mirror) {
        page.push_str("\nNothing is removed: a `mirror` needs `on_leave: keep`");
        if object.operation(OperationName::Update).is_some() {
            page.push_str(" or `clear`");
        }
        page.push_str(".\n");
    }
    let forms = object.operations.iter().flat_map(|(_, forms)| forms);
    let refused = object
        .refuse
        .iter()
        .chain(forms.flat_map(|form| &form.refuse));
    let mut reasons: Vec<String> = Vec::new();
    for reason in refused.filter_map(|refusal| refusal.message.as_plain()) {
        if !reasons.iter().any(|known| known == reason) {
            reasons.push(reason.to_owned());
        }
    }
    if !reasons.is_empty() {
        page.push_str(&format!(
            "\nRefused before anything is sent: {}.\n",
            reasons.join("; ")
        ));
    }
    if let Some(reach) = &object.reach {
        let told: Vec<String> = reach
            .told()
            .iter()
            .map(|word| format!("`{word}`"))
            .collect();
        page.push_str(&format!("\nReach: {}.", told.join(", ")));
        if let Some(about) = &reach.about {
            page.push_str(&format!(" {}", about.trim()));
        }
        page.push('\n');
    }
    if let Some(fields) = &object.fields
        && !fields.known.is_empty()
    {
        page.push_str("\n| field | | |\n|---|---|---|\n");
        for field in &fields.known {
            let mut notes = Vec::new();
            if field.required {
                notes.push("needed");
            }
            if field.read_only {
                notes.push("cannot be written");
            }
            let about = field.about.as_deref().unwrap_or_default();
            page.push_str(&format!(
                "| `{}` | {about} | {} |\n",
                field.name,
                notes.join(", ")
            ));
        }
    }
    if !object.identifiers.is_empty() {
        page.push_str("\n| identifier | cleaned | hashed |\n|---|---|---|\n");
        for identifier in &object.identifiers {
            page.push_str(&format!(
                "| `{}` | {} | {} |\n",
                identifier.field,
                identifier.clean.as_str(),
                identifier.hash.as_str()
            ));
        }
    }
}

/// How an answer says which row it means.
fn attribution(form: &Operation) -> &'static str {
    let jobs = form
        .job
        .iter()
        .flat_map(|job| job.results.iter().chain([&job.poll]));
    let calls: Vec<_> = form
        .calls
        .iter()
        .chain(jobs)
        .filter(|call| !call.readings.is_empty())
        .collect();
    let by_index = calls
        .iter()
        .flat_map(|call| &call.readings)
        .any(|reading| matches!(reading.by, Match::Index(_)));
    match (form.rows, calls.is_empty(), form.job.is_some()) {
        (1, true, _) => "one by one",
        (_, true, true) => "the job as a whole",
        (_, true, false) => "halves until the row at fault is alone",
        (_, false, true) => "from the job's results",
        (_, false, false) if by_index => "by position",
        (_, false, false) => "by value",
    }
}
