//! The traps of vendors, each by its name: the exchange or fault that walks into it, what must come of it, and the line
//! of the manifest that does it. Without that line the same exchange has to fail, so none of them can be lost unnoticed.

mod list;

use std::sync::Arc;

use kinfold_destination::kit::{self, Expected, ExpectedResult};
use kinfold_destination::manifest::{Call, Counted, Limit, Manifest, Window};
use kinfold_destination::{Folder, MANIFEST, SHIPPED, read, shipped};

use list::{TRAPS, Walk};

/// What must come of a batch, in one line. Equal outcomes in a row are counted.
fn told(result: &ExpectedResult) -> String {
    let one = |word: &str, class: &Option<String>, message: &Option<String>| {
        let class = class.as_ref().map(|class| format!(" {class}"));
        let message = message.as_ref().map(|message| format!(": {message}"));
        format!(
            "{word}{}{}",
            class.unwrap_or_default(),
            message.unwrap_or_default()
        )
    };
    match result {
        ExpectedResult::Rows(rows) => {
            let runs = rows.chunk_by(|left, right| left == right);
            let runs = runs.map(|run: &[Expected]| {
                let first = &run[0];
                let said = one(&first.outcome, &first.class, &first.message);
                match run.len() {
                    1 => said,
                    many => format!("{many} × {said}"),
                }
            });
            runs.collect::<Vec<_>>().join(", ")
        }
        ExpectedResult::Whole {
            word,
            class,
            message,
            wait,
        } => {
            let wait = wait.map(|wait| format!(" {}s", wait.as_secs()));
            one(word, class, message) + &wait.unwrap_or_default()
        }
        ExpectedResult::Reach(reach) => format!("{reach:?}"),
        ExpectedResult::Check { asks } => format!("check {asks}"),
    }
}

/// What is not as it should be, and what should be.
async fn walk(folder: &Folder, manifest: &Arc<Manifest>, walk: &Walk) -> (Vec<String>, String) {
    let exchange = |name: &str| {
        let mut exchanges = folder.exchanges.iter();
        exchanges.find(|exchange| exchange.name == name).unwrap()
    };
    let (found, result) = match walk {
        Walk::Exchange(name) => {
            let exchange = exchange(name);
            (kit::replay(manifest, exchange).await, &exchange.result)
        }
        Walk::Fault(name) => {
            let mut faults = folder.faults.iter();
            let fault = faults.find(|fault| fault.name == *name).unwrap();
            let exchange = exchange(&fault.exchange);
            (kit::fault(manifest, exchange, fault).await, &fault.result)
        }
    };
    let found = found.iter().map(ToString::to_string).collect();
    (found, told(result))
}

#[tokio::test]
async fn every_trap_is_known_and_would_be_missed() {
    let mut wrong = Vec::new();
    for trap in TRAPS {
        let folder = shipped(trap.destination).unwrap();
        let manifest = Arc::new(folder.manifest.clone().unwrap());
        let (found, end) = walk(&folder, &manifest, &trap.walk).await;
        if !found.is_empty() || end != trap.end {
            wrong.push(format!(
                "{}\n    ended in: {end}\n    should: {}\n    {found:?}",
                trap.name, trap.end
            ));
        }
        let files = SHIPPED
            .iter()
            .find(|files| files.name == trap.destination)
            .unwrap()
            .files;
        let (_, text) = files.iter().find(|(name, _)| *name == MANIFEST).unwrap();
        let mut fallen = (*text).to_owned();
        for (line, other) in trap.without {
            if !fallen.contains(line) {
                wrong.push(format!("{}\n    the manifest has no `{line}`", trap.name));
            }
            fallen = fallen.replace(line, other);
        }
        let mutilated = read([(MANIFEST, fallen.as_str())]);
        let Some(mutilated) = mutilated.manifest else {
            wrong.push(format!(
                "{}\n    cannot be read without it: {:?}",
                trap.name, mutilated.diagnostics
            ));
            continue;
        };
        let (found, _) = walk(&folder, &Arc::new(mutilated), &trap.walk).await;
        if found.is_empty() {
            wrong.push(format!(
                "{}\n    nothing notices that it is gone",
                trap.name
            ));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

fn manifest(name: &str) -> Manifest {
    shipped(name).unwrap().manifest.unwrap()
}

fn limit<'a>(manifest: &'a Manifest, group: Option<&str>, most: Counted) -> &'a Limit {
    let mut limits = manifest.limits.iter();
    let found = limits.find(|limit| limit.group.as_deref() == group && limit.most == most);
    found.unwrap_or_else(|| panic!("{} has no {most:?} for {group:?}", manifest.name))
}

#[test]
fn windows_begin_where_the_vendor_begins_them() {
    let braze = manifest("braze");
    let track = limit(&braze, Some("track"), Counted::Calls(3_000));
    assert_eq!(
        (track.window, track.per.as_secs()),
        (Window::Clock(chrono_tz::UTC), 3)
    );
    let marketo = manifest("marketo");
    let day = limit(&marketo, None, Counted::Calls(50_000));
    assert_eq!(day.window, Window::Clock(chrono_tz::America::Chicago));
    assert_eq!(limit(&marketo, None, Counted::Calls(100)).per.as_secs(), 20);
    limit(&marketo, None, Counted::AtOnce(10));
    let google = manifest("google_data_manager");
    let day = limit(&google, Some("ingestion"), Counted::Calls(100_000));
    assert_eq!(day.window, Window::Clock(chrono_tz::America::Los_Angeles));
}

/// TikTok lets an audience be replaced once a day, and changed by one at a time. A changeset is never the whole
/// audience, so nothing is replaced, and every change counts for the limit of one.
#[test]
fn tiktok_is_changed_one_at_a_time_and_never_replaced() {
    let tiktok = manifest("tiktok_audiences");
    limit(&tiktok, Some("changes"), Counted::AtOnce(1));
    let mut changes = 0;
    for object in &tiktok.objects {
        for form in object.operations.iter().flat_map(|(_, forms)| forms) {
            // The last call changes the audience; those before it bring what it needs.
            let change: &Call = form.calls.last().unwrap();
            assert_eq!(change.group.as_deref(), Some("changes"), "{}", object.name);
            changes += 1;
        }
    }
    assert_eq!(changes, 4);
    let files = SHIPPED
        .iter()
        .find(|files| files.name == "tiktok_audiences")
        .unwrap();
    let sent = files
        .files
        .iter()
        .filter(|(name, _)| name.starts_with("exchanges/"));
    for (name, text) in sent {
        assert!(!text.contains("action: REPLACE"), "{name}");
    }
}
