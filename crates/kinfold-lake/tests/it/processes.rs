//! Several processes on one table, killed at any moment.
//!
//! A process is this test program again: it runs only [`worker`], which does nothing unless the
//! environment says what to do.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use kinfold_lake::{Compaction, Lake, LakeError, Vacuum};
use kinfold_testkit::s3::S3Server;
use serde::{Deserialize, Serialize};

use crate::support::{id_schema, ids, note, read_ids, stream, table};

const JOB: &str = "KINFOLD_LAKE_TEST_JOB";
const TABLE: &str = "main/t";
/// Rows of one append.
const ROWS: i64 = 3;
/// Ids of different workers are this far apart.
const APART: i64 = 1_000_000;

#[derive(Serialize, Deserialize, Clone)]
struct Job {
    location: String,
    storage: BTreeMap<String, String>,
    worker: i64,
    /// Appends to make; a compactor goes on until it is killed.
    appends: Option<i64>,
    /// Holds the number of appends that were acknowledged.
    acknowledged: PathBuf,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker() {
    let Ok(job) = std::env::var(JOB) else { return };
    let job: Job = serde_json::from_str(&job).unwrap();
    let lake = Lake::open(&job.location, &job.storage).await.unwrap();
    let Some(appends) = job.appends else {
        for run in 1.. {
            let commit = note(&format!("compactor{}", std::process::id()), run);
            match lake
                .compact(&table(TABLE), Compaction::default(), commit)
                .await
            {
                Ok(_) | Err(LakeError::NoTable { .. }) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
        return;
    };
    for run in acknowledged(&job.acknowledged)..appends {
        let first = job.worker * APART + run * ROWS;
        let input = vec![stream(vec![ids(first..first + ROWS)])];
        let commit = note(&format!("worker{}", job.worker), run);
        lake.append(&table(TABLE), id_schema(), input, commit)
            .await
            .unwrap();
        let done = job.acknowledged.with_extension("new");
        std::fs::write(&done, (run + 1).to_string()).unwrap();
        std::fs::rename(&done, &job.acknowledged).unwrap();
    }
}

fn acknowledged(file: &Path) -> i64 {
    std::fs::read_to_string(file).map_or(0, |text| text.parse().unwrap())
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(job: &Job) -> Running {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "processes::worker", "--nocapture"])
        .env(JOB, serde_json::to_string(job).unwrap())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    Running(child)
}

/// Runs `writers` appenders and a compactor, kills them again and again, and starts them anew until
/// every append is acknowledged. Then each row is there once.
async fn storm(location: String, storage: BTreeMap<String, String>, writers: i64, appends: i64) {
    let notes = tempfile::tempdir().unwrap();
    let job = |worker: i64, appends| Job {
        location: location.clone(),
        storage: storage.clone(),
        worker,
        appends,
        acknowledged: notes.path().join(worker.to_string()),
    };
    let jobs: Vec<Job> = (1..=writers).map(|w| job(w, Some(appends))).collect();
    let mut running: Vec<Option<Running>> = jobs.iter().map(|job| Some(start(job))).collect();
    let compactor = job(0, None);
    let mut compacting = start(&compactor);
    let begin = Instant::now();
    let mut kills = 0;
    let mut pause = 0_u64;
    while running.iter().any(Option::is_some) {
        assert!(
            begin.elapsed() < Duration::from_secs(90),
            "the writers do not come to an end"
        );
        // Not a multiple of anything that the writers do.
        pause = (pause * 5 + 173) % 311;
        tokio::time::sleep(Duration::from_millis(120 + pause)).await;
        for (slot, job) in running.iter_mut().zip(&jobs) {
            let Some(process) = slot else { continue };
            if let Some(status) = process.0.try_wait().unwrap() {
                assert!(status.success(), "a writer failed");
                assert_eq!(acknowledged(&job.acknowledged), appends);
                *slot = None;
            }
        }
        let alive: Vec<usize> = (0..running.len())
            .filter(|at| running[*at].is_some())
            .collect();
        if kills < 10 && !alive.is_empty() {
            let victim = alive[kills % alive.len()];
            kills += 1;
            running[victim] = None;
            running[victim] = Some(start(&jobs[victim]));
            if kills % 3 == 0 {
                compacting = start(&compactor);
            }
        }
        if let Some(status) = compacting.0.try_wait().unwrap() {
            panic!("the compactor failed: {status}");
        }
    }
    drop(compacting);
    assert!(kills > 3, "the storm was a storm: {kills}");

    let lake = Lake::open(&location, &storage).await.unwrap();
    let expected: Vec<i64> = (1..=writers)
        .flat_map(|w| w * APART..w * APART + appends * ROWS)
        .collect();
    assert_eq!(read_ids(&lake, TABLE, None).await, expected);

    // What the killed left behind goes, and nothing else.
    let everything = Vacuum {
        retention: Duration::ZERO,
        ..Vacuum::default()
    };
    let removed = lake
        .vacuum(&table(TABLE), everything.clone())
        .await
        .unwrap();
    assert!(removed.files > 0, "compactions leave files");
    assert_eq!(read_ids(&lake, TABLE, None).await, expected);
    let again = lake.vacuum(&table(TABLE), everything).await.unwrap();
    assert_eq!(again.files, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_writers_of_a_folder_lose_and_duplicate_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let location = folder.path().to_str().unwrap().to_owned();
    storm(location, BTreeMap::new(), 3, 20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_writers_of_a_bucket_lose_and_duplicate_nothing() {
    let server = S3Server::start().unwrap();
    let storage = server.storage_options().into_iter().collect();
    storm(server.url("storm"), storage, 4, 12).await;
}
