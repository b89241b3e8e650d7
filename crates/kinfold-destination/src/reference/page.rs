//! The reference page of the language.

use crate::codes;
use crate::expression::{Argument, Example, FUNCTIONS, Kind, Root};
use crate::kit;
use crate::manifest::blocks;
use crate::manifest::describe::{Block, Shape};
use crate::manifest::verdict::WORDS;
use crate::template::MARKERS;

const HEAD: &str = "# Manifests of destinations

<!-- Generated from the descriptions that the parser reads. Change those, not this page. -->

A destination is a folder: `manifest.yml` says how it works, `exchanges/*.yml` are recorded requests and answers that
prove it, `faults.yml` says what can go wrong. This page lists every key. [Write a destination](../guides/write-a-destination.md)
is the way in, and [decision 7](../decisions/0007-destination-manifests.md) says why the language is as it is. An editor
that knows JSON Schema can use [manifest.schema.json](manifest.schema.json).
";

/// The page, as Markdown.
#[must_use]
pub fn page() -> String {
    let mut page = HEAD.to_owned();
    page.push_str("\n## Blocks\n");
    for block in blocks::ALL {
        push_block(&mut page, block);
    }
    verdicts(&mut page);
    expressions(&mut page);
    templates(&mut page);
    page.push_str("\n## Exchanges and faults\n");
    for block in kit::blocks::ALL {
        push_block(&mut page, block);
    }
    page.push_str("\n## Codes\n\n| code | name |\n|---|---|\n");
    for code in codes::ALL {
        page.push_str(&format!("| {} | {} |\n", code.id, code.name));
    }
    page
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn push_block(page: &mut String, block: &Block) {
    page.push_str(&format!("\n### {}\n\n{}\n\n", block.name, block.about));
    let groups = [
        (block.exactly_one, "Exactly one"),
        (block.at_most_one, "At most one"),
    ];
    for (groups, word) in groups {
        for group in groups {
            let names: Vec<String> = group.iter().map(|name| format!("`{name}`")).collect();
            page.push_str(&format!("{word} of {}.\n\n", names.join(", ")));
        }
    }
    page.push_str("| key | value | |\n|---|---|---|\n");
    for key in block.keys {
        let needed = if key.required { ", needed" } else { "" };
        let mut about = cell(key.about);
        if let Shape::Word(words) = &key.kind
            && *words != WORDS
        {
            for (word, meaning) in *words {
                about.push_str(&format!("<br>`{word}`: {}", cell(meaning)));
            }
        }
        page.push_str(&format!(
            "| `{}` | {}{needed} | {about} |\n",
            key.name,
            shape(&key.kind)
        ));
    }
}

fn shape(shape: &Shape) -> String {
    let link = |block: &Block| {
        let anchor = block.name.replace(' ', "-");
        format!("[{}](#{anchor})", block.name)
    };
    match shape {
        Shape::Text => "text".to_owned(),
        Shape::Word(words) if *words == WORDS => "[verdict](#verdicts)".to_owned(),
        Shape::Word(_) => "word".to_owned(),
        Shape::Bool => "`true` or `false`".to_owned(),
        Shape::Count => "whole number".to_owned(),
        Shape::Duration => "time: `10s`".to_owned(),
        Shape::Bytes => "size: `4 MiB`".to_owned(),
        Shape::Expression => "[expression](#expressions)".to_owned(),
        Shape::Condition => "[condition](#expressions)".to_owned(),
        Shape::Template => "[text](#templates)".to_owned(),
        Shape::Body => "[template](#templates)".to_owned(),
        Shape::Statuses => "statuses".to_owned(),
        Shape::Texts => "texts".to_owned(),
        Shape::TextLists => "texts, or lists of them".to_owned(),
        Shape::TextMap => "name → text".to_owned(),
        Shape::TemplateMap => "name → [text](#templates)".to_owned(),
        Shape::BodyMap => "name → [template](#templates)".to_owned(),
        Shape::ExpressionMap => "name → [expression](#expressions)".to_owned(),
        Shape::Any => "any".to_owned(),
        Shape::Block(block) => link(block),
        Shape::Blocks(block) => format!("list of {}", link(block)),
        Shape::OneOrMany(block) => format!("{}, or a list", link(block)),
        Shape::BlockMap(block) => format!("name → {}", link(block)),
    }
}

fn verdicts(page: &mut String) {
    page.push_str("\n## Verdicts\n\nAn answer that no rule fits has the verdict of its status: `2xx` is `ok`, `3xx` `misconfigured`, `401` `expired`, `403` `unauthorized`, `408` and `425` `temporary`, `400`, `404` and `422` `rejected`, `409` `conflict`, `413` `too_large`, `429` (and `503` with `Retry-After`) `throttled`, `503` `temporary` if the operation is `repeatable`, any other `5xx` of a call that writes `unknown` (the rows may have been applied) and of one that reads `temporary`, anything else `misconfigured`. Of a question about a job `404` and `410` are `lost`, and other `4xx` `misconfigured`. A successful answer that is cut off or not of the form in `answer` is `unknown` if the call may have changed rows, and else `temporary`, whatever the rules say.\n\n| verdict | means |\n|---|---|\n");
    for (word, meaning) in WORDS {
        page.push_str(&format!("| `{word}` | {} |\n", cell(meaning)));
    }
}

fn expressions(page: &mut String) {
    page.push_str("\n## Expressions\n\n`row.key.email | lower | sha256`: a value, and functions that it goes through. A value is a text in quotes (`'it''s'`), a number, `true`, `false`, `null`, or a path: `$.errors[0].code`, `row.fields['first name']`, `$.items[*].id` (a list). Conditions are made with `==`, `!=`, `<`, `<=`, `>`, `>=`, `in [1, 2]`, `and`, `or`, `not` and parentheses. What is not there is null. A comparison by size with anything but two numbers or two texts is false.\n\n| name | is |\n|---|---|\n");
    for root in Root::ALL {
        page.push_str(&format!(
            "| `{}` | {} |\n",
            root.as_str(),
            cell(root.about())
        ));
    }
    page.push_str("\n### Functions\n\nNull goes in and null comes out, but of `default`, `then`, `count`, `concat` and `merge`.\n\n| function | takes | gives | |\n|---|---|---|---|\n");
    for function in FUNCTIONS {
        let mut arguments: Vec<String> = function.arguments.iter().map(argument).collect();
        arguments.extend(function.repeats.then(|| "…".to_owned()));
        let call = match arguments.is_empty() {
            true => function.name.to_owned(),
            false => format!("{}({})", function.name, arguments.join(", ")),
        };
        let output = function.output.map_or("the same", Kind::as_str);
        let mut about = cell(function.about);
        for Example(text, value) in function.examples {
            about.push_str(&format!("<br>`{}` is `{}`", cell(text), cell(value)));
        }
        page.push_str(&format!(
            "| `{call}` | {} | {output} | {about} |\n",
            function.input.as_str()
        ));
    }
}

fn argument(argument: &Argument) -> String {
    match argument.required {
        true => argument.name.to_owned(),
        false => format!("{}?", argument.name),
    }
}

fn templates(page: &mut String) {
    page.push_str("\n## Templates\n\nYAML whose texts, and names of keys, may hold `{{ expression }}`. A text that is one expression keeps its type; any other text is null if an expression in it is null. A key that ends in `?` is left out when its value is null. A name that begins with `$` is written `$$name`.\n\n| marker | makes |\n|---|---|\n");
    for (marker, about) in MARKERS {
        page.push_str(&format!("| `{marker}` | {} |\n", cell(about)));
    }
}
