//! The law: whatever is typed, the server says what `kinfold check` says of the same texts.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::client::Client;
use crate::program::{copy, folder, kinfold, repository};

/// What people type, half of it wrong.
const PIECES: [&str; 28] = [
    "{{ ",
    " }}",
    "{% if x %}",
    "{% endif %}",
    "{{ ref('orders') }}",
    "ref('",
    "'",
    "\"",
    "(",
    ")",
    ",",
    " ",
    "\n",
    "select ",
    " from ",
    " as total",
    " where id = 'ü😀'",
    "/*",
    "--",
    "- name: orders\n",
    "  columns:\n",
    ": ",
    "&a",
    "[",
    "name",
    "config(materialized='table')",
    "\t",
    "é",
];

/// Random edits of a project, after each of which both are asked.
fn holds(project: &str, steps: usize) {
    let seed = std::env::var("KINFOLD_SEED")
        .ok()
        .and_then(|s| s.parse().ok());
    let seed = seed.unwrap_or(20_261_123);
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let folders = (folder(), folder());
    // Folders of the same name, because a project without a name gets theirs.
    let edited = folders.0.path().join("project");
    let mirror = folders.1.path().join("project");
    for target in [&edited, &mirror] {
        copy(&repository().join(project), target);
    }
    let mut client = Client::start(&edited, "utf-32");
    for step in 0..steps {
        let what = one_step(&mut random, &mut client, &mirror);
        client.settle();
        let told = told(&client);
        let checked = checked(&mirror);
        assert_eq!(
            told, checked,
            "KINFOLD_SEED={seed} {project}, step {step}: {what}"
        );
    }
    assert_eq!(client.stop(), Some(0));
}

/// Something that a person does to a file. The mirror gets what the editor shows, as if it were saved.
fn one_step(random: &mut ChaCha8Rng, client: &mut Client, mirror: &Path) -> String {
    let mut files = BTreeSet::new();
    walk(mirror, mirror, &mut files);
    let files: Vec<String> = files.into_iter().collect();
    let path = files.choose(random).unwrap().clone();
    let text = client.text(&path);
    let what = match random.random_range(0..20) {
        // Closed without saving: what is on disk counts.
        0 if client.open.contains_key(&path) => {
            client.close(&path);
            "close"
        }
        1 => {
            fs::write(client.root.join(&path), &text).unwrap();
            client.tell(
                "textDocument/didSave",
                json!({"textDocument": {"uri": client.uri(&path)}}),
            );
            "save"
        }
        2 if path.ends_with(".sql") => {
            client.close(&path);
            let _ = fs::remove_file(client.root.join(&path));
            let changes = json!([{"uri": client.uri(&path), "type": 3}]);
            client.tell(
                "workspace/didChangeWatchedFiles",
                json!({"changes": changes}),
            );
            fs::remove_file(mirror.join(&path)).unwrap();
            return format!("delete {path}");
        }
        3 => {
            let new = format!("models/new_{}.sql", random.random_range(0..3));
            client.open(&new, "select 1 as id");
            fs::create_dir_all(mirror.join("models")).unwrap();
            fs::write(mirror.join(&new), "select 1 as id").unwrap();
            return format!("new {new}");
        }
        _ => {
            if !client.open.contains_key(&path) {
                client.open(&path, &text);
            }
            let at = boundary(random, &text);
            let (from, to) = match random.random_range(0..4) {
                // Some characters are deleted.
                0 => {
                    let rest = text[at..].chars().take(random.random_range(1..12));
                    (at, at + rest.map(char::len_utf8).sum::<usize>())
                }
                // All of it, rarely.
                1 if random.random_range(0..10) == 0 => (0, text.len()),
                _ => (at, at),
            };
            let with = if random.random_range(0..4) == 0 {
                ""
            } else {
                PIECES.choose(random).unwrap()
            };
            client.edit(&path, from..to, with);
            fs::write(mirror.join(&path), client.text(&path)).unwrap();
            return format!("{path} {from}..{to} {with:?}");
        }
    };
    if client.open.contains_key(&path) || client.root.join(&path).exists() {
        fs::write(mirror.join(&path), client.text(&path)).unwrap();
    } else {
        fs::remove_file(mirror.join(&path)).unwrap();
    }
    format!("{what} {path}")
}

fn boundary(random: &mut ChaCha8Rng, text: &str) -> usize {
    text.floor_char_boundary(random.random_range(0..=text.len()))
}

fn walk(root: &Path, folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            walk(root, &path, found);
        } else if ["sql", "yml", "yaml", "md", "csv"]
            .iter()
            .any(|end| name.ends_with(end))
        {
            found.insert(
                path.strip_prefix(root)
                    .unwrap()
                    .to_string_lossy()
                    .into_owned(),
            );
        }
    }
}

/// Every problem that the server has published, as a line each.
fn told(client: &Client) -> Vec<String> {
    let mut all = vec![];
    for (uri, diagnostics) in &client.published {
        for one in diagnostics.as_array().unwrap() {
            let place = |position: &Value| {
                let number = |key: &str| position[key].as_u64().unwrap() + 1;
                format!("{}:{}", number("line"), number("character"))
            };
            let related = one["relatedInformation"].as_array().into_iter().flatten();
            let related = related.map(|one| {
                let (uri, start) = (&one["location"]["uri"], &one["location"]["range"]["start"]);
                let path = client.path(uri.as_str().unwrap());
                format!(
                    "\n    {path}:{} {}",
                    place(start),
                    one["message"].as_str().unwrap()
                )
            });
            let message = one["message"].as_str().unwrap();
            let message: Vec<&str> = message.lines().filter(|l| !l.starts_with("at <")).collect();
            all.push(format!(
                "{}:{}-{} {} {} {}{}",
                client.path(uri),
                place(&one["range"]["start"]),
                place(&one["range"]["end"]),
                one["severity"],
                one["code"].as_str().unwrap(),
                message.join("\n"),
                related.collect::<String>(),
            ));
        }
    }
    named(all, &client.root)
}

/// The same of the command.
fn checked(mirror: &Path) -> Vec<String> {
    let answer = kinfold(mirror, ["check", "--output", "json"]).run().json();
    let mut all = vec![];
    for one in answer["diagnostics"].as_array().into_iter().flatten() {
        let text = |key: &str| one[key].as_str().unwrap_or_default();
        let file = one["file"].as_str().filter(|file| !file.starts_with('<'));
        let place = file.map_or_else(
            || "kinfold.yml:1:1-1:1".to_owned(),
            |file| {
                format!(
                    "{file}:{}:{}-{}:{}",
                    one["line"], one["column"], one["end_line"], one["end_column"]
                )
            },
        );
        let severity = if one["severity"] == "error" { 1 } else { 2 };
        let mut message = text("message").to_owned();
        if !text("label").is_empty() {
            message += &format!("\n{}", text("label"));
        }
        for key in ["notes", "help"] {
            let word = key.trim_end_matches('s');
            for more in one[key].as_array().unwrap() {
                message += &format!("\n{word}: {}", more.as_str().unwrap());
            }
        }
        let related = one["related"].as_array().unwrap().iter();
        let related = related.filter(|one| !one["file"].as_str().unwrap().starts_with('<'));
        let related = related.map(|one| {
            let text = |key: &str| one[key].as_str().unwrap();
            format!(
                "\n    {}:{}:{} {}",
                text("file"),
                one["line"],
                one["column"],
                text("text")
            )
        });
        all.push(format!(
            "{place} {severity} {} {message}{}",
            text("code"),
            related.collect::<String>()
        ));
    }
    named(all, mirror)
}

/// Messages may name the folder.
fn named(all: Vec<String>, root: &Path) -> Vec<String> {
    let root = root.to_string_lossy().into_owned();
    let mut all: Vec<String> = all.iter().map(|one| one.replace(&root, "ROOT")).collect();
    all.sort();
    all
}

pub fn diagnostics_are_those_of_check_while_a_project_is_typed() {
    holds("tests/check/fifteen_mistakes", 120);
}

pub fn diagnostics_are_those_of_check_in_the_shop() {
    holds("examples/shop", 25);
}
