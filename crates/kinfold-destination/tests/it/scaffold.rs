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

/// Everything that is wrong with a folder, and with what it replays.
async fn wrong(made: &Scaffold) -> Vec<String> {
    crate::folders::wrong(&folder_of(made)).await
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

/// Descriptions of real vendors, where there are any: the folder that `KINFOLD_SPECS` names, or one beside the
/// workspace.
#[tokio::test]
async fn every_candidate_of_every_description_becomes_a_sound_folder() {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/specs");
    let folder = std::env::var_os("KINFOLD_SPECS").map_or_else(beside, PathBuf::from);
    let mut paths = Vec::new();
    descriptions(&folder, &mut paths);
    let mut all = Vec::new();
    let mut made = 0;
    for path in &paths {
        let Ok(text) = std::fs::read_to_string(path) else {
            continue;
        };
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let shown = format!(
            "{}/{name}",
            path.parent()
                .unwrap()
                .file_name()
                .unwrap()
                .to_string_lossy()
        );
        let start = Instant::now();
        let (Some(api), _) = api_of(&name, &text) else {
            continue;
        };
        let found = candidates(&api);
        // An unoptimized build on a busy machine; a second is meant.
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "{shown}: {:?}",
            start.elapsed()
        );
        let mut chosen: Vec<Vec<&str>> = found.iter().map(|one| vec![one.id.as_str()]).collect();
        if !found.is_empty() {
            chosen.push(Vec::new());
        }
        for ids in chosen {
            let what = format!("{shown} {ids:?}");
            match scaffold(&api, "made", &ids).await {
                Err(error) => all.push(format!("{what}: {error}")),
                Ok(scaffold) => {
                    made += 1;
                    all.extend(
                        wrong(&scaffold)
                            .await
                            .into_iter()
                            .filter(|text| !text.starts_with("KF0613"))
                            .map(|text| format!("{what}: {text}")),
                    );
                }
            }
        }
    }
    let shown: Vec<&str> = all.iter().take(40).map(String::as_str).collect();
    assert!(
        all.is_empty(),
        "{} of {made}:\n{}\n",
        all.len(),
        shown.join("\n")
    );
    assert!(paths.is_empty() || made > 0);
}
