//! `kinfold demo`.

use std::path::{Path, PathBuf};

use super::build::Verb;
use super::ended::Ended;
use super::{CommandError, Done, build, sync};
use crate::cli::{Global, RunOptions};
use crate::demo::generate::{ShopOptions, ShopSummary, generate, generate_day, generated};
use crate::demo::receiver::Receiver;
use crate::packages::SHOP;
use crate::report::{Output, grouped};
use crate::workspace::Workspace;

/// Options of the command.
pub struct Options {
    /// The folder.
    pub dir: PathBuf,
    /// People of the shop.
    pub persons: Option<u64>,
    /// Seed of the generator.
    pub seed: Option<u64>,
    /// Days to add to what is there.
    pub add_days: u32,
    /// Write the files and run nothing.
    pub data_only: bool,
    /// Only run the receiver, until Ctrl-C.
    pub serve: bool,
}

/// Port of the receiver that the shop's connection names.
const PORT: u16 = 8765;

pub async fn run(global: &Global, options: Options, output: &Output) -> Result<Done, CommandError> {
    let dir = &options.dir;
    let failed = |action, path: &Path| {
        let path = path.to_path_buf();
        move |source| CommandError::File {
            action,
            path,
            source,
        }
    };
    if options.serve {
        return serve(dir, output).await;
    }
    put_project(dir)?;
    put_data(&options, output)?;
    if options.data_only {
        return Ok(Done { success: true });
    }

    let mut workspace = Workspace::load_from(dir, global, None)?;
    workspace.require_sound()?;
    let run_options = RunOptions::default();
    let (engine, bound) = build::prepare(&mut workspace, &run_options).await?;
    let built = build::run_bound(
        &workspace,
        &engine,
        &bound,
        &run_options,
        Verb::Build,
        output,
    )
    .await?;
    if !output.is_json() {
        build::summarise(&built, output);
    }
    let log = dir.join("out/crm_received.ndjson");
    let receiver = Receiver::start(0, &log)
        .await
        .map_err(failed("listen and write to", &log))?;
    let url = format!("http://{}", receiver.address);
    let overrides = move |name: &str| (name == "KINFOLD_CRM_URL").then(|| url.clone());
    let mut synced = vec![];
    if built.success {
        let all = sync::Options::default();
        synced = sync::run_bound(&workspace, &engine, &bound, &all, &overrides, output).await?;
    }
    let received = receiver.received();
    receiver.stop().await;
    let success = built.success && synced.iter().all(Ended::success);
    if output.is_json() {
        let files = workspace.files();
        let syncs: Vec<serde_json::Value> = synced.iter().map(|s| s.json(files)).collect();
        output.json(&serde_json::json!({
            "success": success, "dir": dir, "build": built, "syncs": syncs,
        }));
        return Ok(Done { success });
    }
    for (object, got) in received {
        output.say(&format!(
            "the receiver got {} records for `{object}` and {} deletions, in {} requests",
            grouped(got.upserts),
            grouped(got.deletes),
            grouped(got.requests)
        ));
    }
    if success {
        next_steps(dir, output);
    }
    Ok(Done { success })
}

fn put_project(dir: &Path) -> Result<(), CommandError> {
    if dir.join("kinfold.yml").exists() {
        // A demo that is there is run again, with whatever its owner made of it.
        return Ok(());
    }
    for (path, text) in SHOP {
        super::init::write_file(&dir.join(path), text)?;
    }
    Ok(())
}

/// Generates the data, or adds days to what is there.
fn put_data(options: &Options, output: &Output) -> Result<(), CommandError> {
    let dir = &options.dir;
    let (there, last_day) = generated(dir).unwrap_or_default();
    let shop = ShopOptions {
        persons: options.persons.unwrap_or(there.persons),
        seed: options.seed.unwrap_or(there.seed),
        ..there.clone()
    };
    output.say(&format!(
        "the shop's data is in {}",
        dir.join("data").display()
    ));
    said("history", &generate(dir, &shop)?, output);
    // Days of other data went with it.
    let first = if shop == there { last_day } else { 0 };
    for day in (first + 1)..=(first + options.add_days) {
        said(
            &format!("day {day}"),
            &generate_day(dir, &shop, day)?,
            output,
        );
    }
    Ok(())
}

fn said(what: &str, summary: &ShopSummary, output: &Output) {
    output.say(&format!(
        "{what}: {} persons, {} web events, {} orders, {} contacts, {} e-mail events",
        grouped(summary.persons),
        grouped(summary.events),
        grouped(summary.orders),
        grouped(summary.contacts),
        grouped(summary.email_events)
    ));
}

fn next_steps(dir: &Path, output: &Output) {
    let dir = dir.display();
    output.say(&format!(
        "\nThe project is in {dir}, its lake in {dir}/.kinfold/lake. What to look at next:\n\
         \x20 cd {dir}\n\
         \x20 kinfold query 'SELECT * FROM person_profile LIMIT 5'\n\
         \x20 kinfold query 'SELECT kind, count(*) FROM person__changes GROUP BY kind'\n\
         \x20 kinfold build                    # every node is skipped, and says why\n\
         \x20 kinfold demo --dir . --add-days 1    # a day later: only who changed is sent\n\
         \x20 kinfold demo --dir . --serve     # the receiver alone, for `kinfold sync` in another terminal\n\
         Delivered records: {dir}/out"
    ));
}

async fn serve(dir: &Path, output: &Output) -> Result<Done, CommandError> {
    let log = dir.join("out/crm_received.ndjson");
    let receiver = Receiver::start(PORT, &log)
        .await
        .map_err(|source| CommandError::File {
            action: "listen and write to",
            path: log.clone(),
            source,
        })?;
    output.say(&format!(
        "listening on http://{}, Ctrl-C ends it",
        receiver.address
    ));
    let _ = tokio::signal::ctrl_c().await;
    receiver.stop().await;
    Ok(Done { success: true })
}
