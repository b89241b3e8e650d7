//! The parts of pages that are made of the folders of cases.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{NOT_OF_THE_PROJECT, updates};

const END: &str = "<!-- end of what is made of it -->";

/// The page shows the files of the case.
pub fn is_current(code: &str, case: &Path, file: &Path) {
    let page =
        fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let start = format!("<!-- made of tests/diagnostics/{code} -->");
    let made = format!("{start}\n{}\n{END}", sections(case));
    let current = match (page.split_once(&start), page.split_once(END)) {
        (Some((before, _)), Some((_, after))) => format!("{before}{made}{after}"),
        _ => match page.split_once("## More") {
            Some((before, after)) => format!("{before}{made}\n\n## More{after}"),
            None => format!("{}\n\n{made}\n", page.trim_end()),
        },
    };
    if updates() {
        fs::write(file, &current).unwrap();
    }
    assert!(
        fs::read_to_string(file).unwrap() == current,
        "{} does not show the files of its case; KINFOLD_UPDATE=1 writes them",
        file.display()
    );
}

/// Files that mending takes away.
pub fn gone(mended: &Path) -> Vec<String> {
    let text = fs::read_to_string(mended.join("gone.txt")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn sections(case: &Path) -> String {
    let mut text = "## Example\n\n".to_owned();
    let said = fs::read_to_string(case.join("expected.txt")).unwrap();
    let mut places = said
        .lines()
        .filter_map(|line| line.trim().strip_prefix("--> "));
    let wrong = places.next().and_then(|place| place.split(':').next());
    let mut files = files(case, &NOT_OF_THE_PROJECT);
    // The file that is wrong comes first.
    files.sort_by_key(|file| wrong.is_none_or(|wrong| !file.ends_with(wrong)));
    for file in &files {
        // A project file that says nothing but a name explains nothing, unless it is all there is.
        let only_named = file.ends_with("kinfold.yml")
            && fs::read_to_string(file).is_ok_and(|text| text.lines().count() == 1);
        if !only_named || files.len() == 1 {
            show(file, case, &mut text);
        }
    }
    script(case, "The rest is made by:", &mut text);
    let command =
        fs::read_to_string(case.join("command.txt")).unwrap_or_else(|_| "check".to_owned());
    let mut lines: Vec<&str> = command.lines().collect();
    let last = lines.pop().unwrap_or_default();
    let after = lines.iter().map(|line| format!("`kinfold {line}`"));
    let after = after.collect::<Vec<_>>().join(", ");
    let after = if after.is_empty() {
        after
    } else {
        format!("After {after}, ")
    };
    let _ = writeln!(text, "{after}`kinfold {last}` says:\n");
    // The page is what the last line leads to.
    let said: Vec<&str> = said
        .lines()
        .filter(|line| !line.starts_with("`kinfold explain "))
        .collect();
    fenced("text", &said.join("\n"), &mut text);

    text.push_str("## Mended\n\n");
    let mended = case.join("mended");
    for file in self::files(&mended, &["gone.txt", "setup.sh"]) {
        show(&file, &mended, &mut text);
    }
    for name in gone(&mended) {
        let _ = writeln!(text, "`{name}` is gone.\n");
    }
    script(&mended, "By hand:", &mut text);
    text.trim_end().to_owned()
}

fn script(folder: &Path, title: &str, text: &mut String) {
    if let Ok(script) = fs::read_to_string(folder.join("setup.sh")) {
        let _ = writeln!(text, "{title}\n");
        fenced("sh", &script, text);
    }
}

fn show(file: &Path, root: &Path, text: &mut String) {
    let name = file.strip_prefix(root).unwrap().to_string_lossy();
    let language = match name.rsplit_once('.').map_or("", |(_, end)| end) {
        "yml" | "yaml" => "yaml",
        "md" => "markdown",
        end @ ("sql" | "csv" | "py") => end,
        _ => "text",
    };
    let _ = writeln!(text, "`{name}`\n");
    fenced(language, &fs::read_to_string(file).unwrap(), text);
}

fn fenced(language: &str, content: &str, text: &mut String) {
    let fence = if content.contains("```") {
        "````"
    } else {
        "```"
    };
    let _ = writeln!(text, "{fence}{language}\n{}\n{fence}\n", content.trim_end());
}

/// Files below a folder in the order of their paths, some of its own entries left out.
fn files(folder: &Path, except: &[&str]) -> Vec<PathBuf> {
    fn walk(folder: &Path, except: &[&str], found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let entry = entry.unwrap();
            if except.contains(&&*entry.file_name().to_string_lossy()) {
                continue;
            }
            if entry.path().is_dir() {
                walk(&entry.path(), &[], found);
            } else {
                found.push(entry.path());
            }
        }
    }
    let mut found = vec![];
    walk(folder, except, &mut found);
    found.sort();
    found
}

/// The table of all pages.
pub fn table(codes: &[Value]) -> String {
    let mut text = include_str!("table.md").to_owned();
    let mut before = "";
    for one in codes {
        let of = |key: &str| one[key].as_str().unwrap();
        let (code, stage) = (of("code"), of("stage"));
        if stage != before {
            before = stage;
            let mut title = stage.to_owned();
            title[..1].make_ascii_uppercase();
            let _ = write!(text, "\n## {title}\n\n| code | name | |\n|---|---|---|\n");
        }
        let summary = of("summary").replace('|', "\\|");
        let _ = writeln!(
            text,
            "| [{code}]({code}.md) | `{}` | {summary} |",
            of("name")
        );
    }
    text
}
