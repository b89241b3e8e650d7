//! Folders made of descriptions of APIs: sound, and they replay.

mod acceptance;
mod shapes;
mod strange;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kinfold_destination::scaffold::{Api, Scaffold, candidates, scaffold};
use kinfold_destination::{Folder, read};
use kinfold_project::{Diagnostic, SourceMap};

/// A document that was read, and what was wrong with it.
fn api_of(name: &str, text: &str) -> (Option<Api>, Vec<Diagnostic>) {
    let mut files = SourceMap::default();
    let file = files.add(name, text);
    let mut problems = Vec::new();
    let api = Api::read(&files, file, &mut problems);
    (api, problems)
}

fn document(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/scaffold");
    std::fs::read_to_string(folder.join(name)).unwrap()
}

/// A document of the folder beside this file; there must be nothing wrong with it.
fn api(name: &str) -> Api {
    let (api, problems) = api_of(name, &document(name));
    assert_eq!(problems, [], "{name}");
    api.unwrap()
}

fn folder_of(made: &Scaffold) -> Folder {
    read(
        made.files
            .iter()
            .map(|(name, text)| (name.as_str(), text.as_str())),
    )
}

fn file<'a>(made: &'a Scaffold, name: &str) -> &'a str {
    let found = made.files.iter().find(|(known, _)| known == name);
    found
        .map(|(_, text)| text.as_str())
        .unwrap_or_else(|| panic!("{name}: {:?}", made.files))
}

/// Everything that is wrong with a folder, and with what it replays. An operation that no sync can use has no
/// exchange: rows can only be deleted where they can be written.
async fn wrong(made: &Scaffold) -> Vec<String> {
    let found = crate::folders::wrong(&folder_of(made)).await;
    let unused =
        |text: &String| text.starts_with("KF0613") && text.contains("no exchange shows `delete`");
    found.into_iter().filter(|text| !unused(text)).collect()
}

fn descriptions(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            descriptions(&path, found);
        } else if path
            .extension()
            .is_some_and(|end| end == "json" || end == "yaml" || end == "yml")
        {
            found.push(path);
        }
    }
}

/// Descriptions of real vendors, where there are any: every candidate of those in the folder that `KINFOLD_SPECS`
/// names; of those in a folder beside the workspace only the likeliest, since all of them take minutes.
#[tokio::test]
async fn candidates_of_real_descriptions_become_sound_folders() {
    let named = std::env::var_os("KINFOLD_SPECS").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/specs");
    let most = if named.is_some() { usize::MAX } else { 0 };
    let mut paths = Vec::new();
    descriptions(&named.unwrap_or(beside), &mut paths);
    let mut all = Vec::new();
    let mut count = 0;
    for path in &paths {
        let Ok(text) = std::fs::read_to_string(path) else {
            continue;
        };
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let start = Instant::now();
        let (Some(api), _) = api_of(&name, &text) else {
            continue;
        };
        let found = candidates(&api);
        // A second is meant; a busy machine is given more.
        let took = start.elapsed();
        assert!(
            took < Duration::from_secs(20),
            "{}: {took:?}",
            path.display()
        );
        let one = |id| vec![id];
        let mut chosen: Vec<Vec<&str>> = found
            .iter()
            .take(most)
            .map(|found| one(found.id.as_str()))
            .collect();
        chosen.extend(found.first().map(|_| Vec::new()));
        for ids in chosen {
            let what = format!("{} {ids:?}", path.display());
            match scaffold(&api, "made", &ids).await {
                Err(error) => all.push(format!("{what}: {error}")),
                Ok(made) => {
                    count += 1;
                    let wrong = wrong(&made).await.into_iter();
                    all.extend(wrong.map(|text| format!("{what}: {text}")));
                }
            }
        }
    }
    let shown: Vec<&str> = all.iter().take(20).map(String::as_str).collect();
    assert!(
        all.is_empty(),
        "{} of {count}:\n{}\n",
        all.len(),
        shown.join("\n")
    );
}
