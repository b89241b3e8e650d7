//! Every folder proves itself: the shipped ones, and those that show one part of the language each.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kinfold_destination::manifest::OperationName;
use kinfold_destination::{Folder, SHIPPED, kit, load, shipped};

fn crate_folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn folders(of: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(crate_folder(of)).unwrap();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

/// Everything that is wrong with a folder, as a person reads it.
pub(super) async fn wrong(folder: &Folder) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for diagnostic in &folder.diagnostics {
        let place = diagnostic.primary.as_ref().map(|label| {
            let (line, column) = folder.files.line_column(label.span);
            format!(
                "{}:{line}:{column}",
                folder.files.path(label.span.file).display()
            )
        });
        found.push(format!(
            "{} {}: {} {:?}",
            diagnostic.code.id,
            place.unwrap_or_default(),
            diagnostic.message,
            diagnostic.help
        ));
    }
    let Some(manifest) = folder.manifest.clone().map(Arc::new) else {
        return found;
    };
    for exchange in &folder.exchanges {
        for mismatch in kit::replay(&manifest, exchange).await {
            found.push(format!("{}: {mismatch}", exchange.name));
        }
        for mismatch in kit::delivery(&manifest, exchange, None).await {
            found.push(format!("{}, delivered: {mismatch}", exchange.name));
        }
    }
    for fault in &folder.faults {
        let mut exchanges = folder.exchanges.iter();
        let exchange = exchanges.find(|exchange| exchange.name == fault.exchange);
        let exchange = exchange.unwrap();
        for mismatch in kit::fault(&manifest, exchange, fault).await {
            found.push(format!("fault {}: {mismatch}", fault.name));
        }
        for mismatch in kit::delivery(&manifest, exchange, Some(fault)).await {
            found.push(format!("fault {}, delivered: {mismatch}", fault.name));
        }
    }
    found
}

#[tokio::test]
async fn shipped_folders_are_without_a_warning_and_replay() {
    let mut all = Vec::new();
    let mut replayed = 0;
    for shipped_folder in SHIPPED {
        let folder = shipped(shipped_folder.name).unwrap();
        let wrong = wrong(&folder).await;
        assert!(
            folder.manifest.is_some() && !folder.exchanges.is_empty() && !folder.faults.is_empty(),
            "{}: {wrong:?}",
            shipped_folder.name
        );
        replayed += folder.exchanges.len();
        all.extend(
            wrong
                .into_iter()
                .map(|text| format!("{}: {text}", shipped_folder.name)),
        );
    }
    assert!(all.is_empty(), "\n{}\n", all.join("\n\n"));
    // A list that was empty, or a file that was passed over, would prove nothing.
    let on_disk = folders("destinations");
    let recorded = on_disk.iter().map(|folder| {
        let entries = std::fs::read_dir(folder.join("exchanges")).unwrap();
        entries.count()
    });
    assert_eq!((SHIPPED.len(), replayed), (on_disk.len(), recorded.sum()));
    assert!(SHIPPED.len() >= 33 && replayed > 300, "{replayed}");
}

/// Whether credentials are right is asked, and shown by an exchange, or it is said why it cannot be.
#[test]
fn shipped_folders_ask_about_credentials_or_say_why_not() {
    let mut silent = Vec::new();
    for shipped_folder in SHIPPED {
        let folder = shipped(shipped_folder.name).unwrap();
        let manifest = folder.manifest.unwrap();
        let shows = |asked: bool| {
            folder.exchanges.iter().any(|exchange| {
                matches!(exchange.result, kit::ExpectedResult::Check { asks } if asks == asked)
            })
        };
        // A token is asked for with the credentials.
        let asked = manifest.check.is_some() || manifest.auth.token.is_some();
        if manifest.check.is_some() {
            assert!(shows(true), "{}", manifest.name);
        }
        if manifest.no_check.is_some() {
            assert!(shows(false), "{}", manifest.name);
            silent.push(manifest.name.clone());
        } else {
            assert!(asked, "{}", manifest.name);
        }
    }
    assert_eq!(silent, ["amplitude", "braze", "posthog", "segment"]);
}

/// What a mirror does to rows that leave stands in the folder; what erases a person by law is no part of a mirror.
#[test]
fn shipped_folders_say_what_removing_does() {
    let erasing = ["erase", "erasure", "privacy", "gdpr", "forget", "suppress"];
    let mut by_reach = [0; 3];
    for shipped_folder in SHIPPED {
        let manifest = shipped(shipped_folder.name).unwrap().manifest.unwrap();
        for object in &manifest.objects {
            let place = format!("{} {}", manifest.name, object.name);
            let deletes = object.operation(OperationName::Delete);
            assert_eq!(deletes.is_some(), object.removal.is_some(), "{place}");
            if let Some(removal) = &object.removal {
                by_reach[removal.reaches as usize] += 1;
            }
            for call in deletes.into_iter().flatten().flat_map(|form| &form.calls) {
                let address = format!("{:?}", call.url).to_lowercase();
                let erases = erasing.iter().find(|word| address.contains(**word));
                assert_eq!(erases, None, "{place}");
            }
        }
    }
    assert!(by_reach.iter().all(|count| *count > 5), "{by_reach:?}");
}

#[test]
fn the_list_of_shipped_folders_is_complete() {
    let listed: BTreeSet<String> = SHIPPED
        .iter()
        .flat_map(|shipped| {
            shipped
                .files
                .iter()
                .map(|(file, _)| format!("{}/{file}", shipped.name))
        })
        .collect();
    let mut found = BTreeSet::new();
    for folder in folders("destinations") {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        for below in ["", "exchanges"] {
            for entry in std::fs::read_dir(folder.join(below)).into_iter().flatten() {
                let entry = entry.unwrap();
                if entry.file_type().unwrap().is_file() {
                    let file = entry.file_name().to_string_lossy().into_owned();
                    let path = if below.is_empty() {
                        file
                    } else {
                        format!("{below}/{file}")
                    };
                    found.insert(format!("{name}/{path}"));
                }
            }
        }
    }
    assert_eq!(found, listed);
}

#[tokio::test]
async fn folders_of_the_language_replay() {
    let mut all = Vec::new();
    for path in folders("tests/folders") {
        let folder = load(&path);
        assert!(!folder.exchanges.is_empty(), "{}", path.display());
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        all.extend(
            wrong(&folder)
                .await
                .into_iter()
                .filter(|text| !text.starts_with("KF0613"))
                .map(|text| format!("{name}: {text}")),
        );
    }
    assert!(all.is_empty(), "\n{}\n", all.join("\n\n"));
}

/// A kit that finds nothing would be worth nothing.
#[tokio::test]
async fn an_exchange_that_differs_in_one_byte_is_found() {
    let folder = load(&crate_folder("destinations/slack"));
    let manifest = Arc::new(folder.manifest.unwrap());
    let exchange = folder
        .exchanges
        .iter()
        .find(|exchange| exchange.name == "message")
        .unwrap();
    type Change = fn(&mut kit::Exchange);
    let changes: [(&str, Change); 8] = [
        ("body", |exchange| exchange.calls[0].request.body[3] ^= 1),
        ("address", |exchange| {
            exchange.calls[0].request.url.push('x')
        }),
        ("method", |exchange| {
            exchange.calls[0].request.method = "PUT".to_owned()
        }),
        ("header", |exchange| {
            exchange.calls[0].request.headers[0].1.push('x')
        }),
        ("missing call", |exchange| {
            let call = exchange.calls[0].clone();
            exchange.calls.push(call)
        }),
        ("unrecorded call", |exchange| exchange.calls.clear()),
        ("outcome", |exchange| {
            exchange.calls[0].answer.body = b"{\"ok\":false,\"error\":\"no_text\"}".to_vec()
        }),
        ("status", |exchange| exchange.calls[0].answer.status = 500),
    ];
    assert_eq!(kit::replay(&manifest, exchange).await, []);
    for (what, change) in changes {
        let mut changed = exchange.clone();
        change(&mut changed);
        assert!(!kit::replay(&manifest, &changed).await.is_empty(), "{what}");
    }
}

#[tokio::test]
async fn a_fault_that_the_engine_meets_otherwise_is_found() {
    let folder = load(&crate_folder("destinations/braze"));
    let manifest = Arc::new(folder.manifest.unwrap());
    // The fault, and what is said to come of it.
    let wrong = [
        ("too_many", "fatal", "expected one that stops"),
        ("wrong_key", "temporary", "did not try again"),
        ("event_broken", "temporary", "did not try again"),
        ("broken", "fatal", "expected one that stops"),
    ];
    for (name, claimed, reason) in wrong {
        let mut faults = folder.faults.iter();
        let mut fault = faults.find(|fault| fault.name == name).unwrap().clone();
        let mut exchanges = folder.exchanges.iter();
        let exchange = exchanges.find(|exchange| exchange.name == fault.exchange);
        let mut exchange = exchange.unwrap().clone();
        // So that every row is delivered in the end.
        exchange.calls[0].answer.body = br#"{"message": "success"}"#.to_vec();
        if let kit::ExpectedResult::Rows(rows) = &mut exchange.result {
            for row in rows {
                (row.outcome, row.class, row.message) = ("delivered".to_owned(), None, None);
            }
        }
        let right = kit::delivery(&manifest, &exchange, Some(&fault)).await;
        assert!(right.is_empty(), "{name}: {right:?}");
        if let kit::ExpectedResult::Whole { word, .. } = &mut fault.result {
            *word = claimed;
        }
        let found = kit::delivery(&manifest, &exchange, Some(&fault)).await;
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert!(found.join("\n").contains(reason), "{name}: {found:?}");
    }
}

#[tokio::test]
async fn a_reach_that_differs_in_one_figure_is_found() {
    let folder = load(&crate_folder("destinations/linkedin_audiences"));
    let manifest = Arc::new(folder.manifest.unwrap());
    let mut exchanges = folder.exchanges.iter();
    let exchange = exchanges.find(|known| known.name == "reach").unwrap();
    let answers = [
        ("audienceSize", "audienceSizes"),
        (":1500", ":1501"),
        ("2000", "2001"),
        ("READY", "BUILDING"),
    ];
    for (old, new) in answers {
        let mut changed = exchange.clone();
        let body = String::from_utf8(changed.calls[1].answer.body.clone()).unwrap();
        assert!(body.contains(old), "{body}");
        changed.calls[1].answer.body = body.replace(old, new).into_bytes();
        assert!(!kit::replay(&manifest, &changed).await.is_empty(), "{new}");
    }
}
