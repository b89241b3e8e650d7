//! Environments, leases and small objects, on a folder and on S3.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use kinfold_lake::{Lake, LakeError};
use kinfold_testkit::s3::S3Server;
use proptest::prelude::*;
use serde_json::json;

use crate::support::local_lake;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .unwrap()
}

/// Each task adds one to a counter in the environment, `rounds` times, through swaps.
async fn count_up(lake: Lake, name: String, tasks: usize, rounds: usize) {
    let mut set = tokio::task::JoinSet::new();
    for _ in 0..tasks {
        let (lake, name) = (lake.clone(), name.clone());
        set.spawn(async move {
            for _ in 0..rounds {
                loop {
                    let found = lake.read_environment(&name).await.unwrap();
                    let (count, generation) = match found {
                        Some((json, generation)) => {
                            let document: serde_json::Value =
                                serde_json::from_slice(&json).unwrap();
                            (document["count"].as_u64().unwrap(), Some(generation))
                        }
                        None => (0, None),
                    };
                    let json = serde_json::to_vec(&json!({"count": count + 1})).unwrap();
                    match lake
                        .swap_environment(&name, generation.as_ref(), json)
                        .await
                    {
                        Ok(_) => break,
                        Err(LakeError::Conflict { .. }) => tokio::task::yield_now().await,
                        Err(error) => panic!("{error}"),
                    }
                }
            }
        });
    }
    while let Some(done) = set.join_next().await {
        done.unwrap();
    }
    let (json, generation) = lake.read_environment(&name).await.unwrap().unwrap();
    let document: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let expected = (tasks * rounds) as u64;
    assert_eq!(
        document["count"].as_u64(),
        Some(expected),
        "no swap is lost"
    );
    assert_eq!(generation.number(), expected);
}

/// Tasks fight for one lease; `inside` counts who believes to hold it.
async fn fight(lake: Lake, name: String, tasks: usize, rounds: usize, crash_every: usize) {
    let inside = Arc::new(AtomicI64::new(0));
    let newest = Arc::new(AtomicU64::new(0));
    let mut set = tokio::task::JoinSet::new();
    for task in 0..tasks {
        let (lake, name) = (lake.clone(), name.clone());
        let (inside, newest) = (inside.clone(), newest.clone());
        set.spawn(async move {
            for round in 0..rounds {
                // A holder that dies has a short lease, and the next waits for its end.
                let dies = (task + round) % crash_every == 0;
                let ttl = Duration::from_millis(if dies { 200 } else { 60_000 });
                let lease = loop {
                    match lake
                        .lease(&name, format!("task {task}").as_str(), ttl)
                        .await
                    {
                        Ok(lease) => break lease,
                        Err(LakeError::LeaseHeld { holder, .. }) => {
                            assert!(holder.starts_with("task "));
                            tokio::time::sleep(Duration::from_millis(5)).await;
                        }
                        Err(LakeError::Conflict { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                };
                let before = newest.fetch_max(lease.token(), Ordering::SeqCst);
                if dies {
                    continue;
                }
                assert!(lease.token() > before, "tokens grow");
                assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "one holder");
                lease.check().await.unwrap();
                lease.renew().await.unwrap();
                inside.fetch_sub(1, Ordering::SeqCst);
                lease.release().await.unwrap();
                assert!(matches!(
                    lease.check().await,
                    Err(LakeError::LeaseLost { .. })
                ));
            }
        });
    }
    while let Some(done) = set.join_next().await {
        done.unwrap();
    }
    assert_eq!(newest.load(Ordering::SeqCst), (tasks * rounds) as u64);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn no_swap_is_lost_in_a_folder(tasks in 1_usize..8, rounds in 1_usize..12) {
        let folder = tempfile::tempdir().unwrap();
        runtime().block_on(async {
            let lake = local_lake(folder.path()).await;
            count_up(lake, "prod".to_owned(), tasks, rounds).await;
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, ..ProptestConfig::default() })]

    #[test]
    fn a_lease_in_a_folder_has_one_holder(tasks in 1_usize..6, rounds in 1_usize..4) {
        let folder = tempfile::tempdir().unwrap();
        runtime().block_on(async {
            let lake = local_lake(folder.path()).await;
            fight(lake, "sync/crm".to_owned(), tasks, rounds, 5).await;
        });
    }
}

#[test]
fn swaps_leases_and_objects_on_s3() {
    let server = S3Server::start().unwrap();
    let storage: BTreeMap<String, String> = server.storage_options().into_iter().collect();
    runtime().block_on(async {
        let lake = Lake::open(&server.url("one"), &storage).await.unwrap();
        for (case, (tasks, rounds)) in [(1, 3), (5, 5)].into_iter().enumerate() {
            count_up(lake.clone(), format!("env{case}"), tasks, rounds).await;
        }
        for (case, (tasks, rounds)) in [(2, 3), (5, 3)].into_iter().enumerate() {
            fight(lake.clone(), format!("lease{case}"), tasks, rounds, 6).await;
        }
        objects(&lake).await;
        // Another prefix is another lake.
        let other = Lake::open(&server.url("two"), &storage).await.unwrap();
        assert_eq!(other.read_environment("env0").await.unwrap(), None);
    });
}

async fn objects(lake: &Lake) {
    let name = "sync/crm mirror/plan-1.json";
    assert_eq!(lake.get(name).await.unwrap(), None);
    let large = Bytes::from(vec![7_u8; 3 << 20]);
    lake.put_new(name, large.clone()).await.unwrap();
    let again = lake.put_new(name, Bytes::from_static(b"other")).await;
    assert!(matches!(again, Err(LakeError::Exists { .. })));
    assert_eq!(lake.get(name).await.unwrap(), Some(large));
    lake.put(name, Bytes::from_static(b"new")).await.unwrap();
    lake.put("sync/crm mirror/ack-2.json", Bytes::new())
        .await
        .unwrap();
    lake.put("sync/other/ack-1.json", Bytes::new())
        .await
        .unwrap();
    let listed = lake.list("sync/crm mirror").await.unwrap();
    let names: Vec<_> = listed.iter().map(|e| (e.name.as_str(), e.bytes)).collect();
    assert_eq!(names, [("sync/crm mirror/ack-2.json", 0), (name, 3)]);
    lake.delete(name).await.unwrap();
    lake.delete(name).await.unwrap();
    assert_eq!(lake.get(name).await.unwrap(), None);
    for wrong in ["../x", "a//b", "", "/abs"] {
        assert!(
            matches!(lake.get(wrong).await, Err(LakeError::Name { .. })),
            "{wrong}"
        );
    }
}

#[tokio::test]
async fn objects_in_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let lake = local_lake(folder.path()).await;
    assert!(lake.list("").await.unwrap().is_empty());
    objects(&lake).await;
}

#[tokio::test]
async fn a_stale_generation_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let lake = local_lake(folder.path()).await;
    let first = lake
        .swap_environment("prod", None, b"{\"a\":1}".to_vec())
        .await
        .unwrap();
    let second = lake
        .swap_environment("prod", Some(&first), b"{\"a\":2}".to_vec())
        .await
        .unwrap();
    // Back to the first content: still not the first generation.
    lake.swap_environment("prod", Some(&second), b"{\"a\":1}".to_vec())
        .await
        .unwrap();
    for stale in [None, Some(&first), Some(&second)] {
        let refused = lake.swap_environment("prod", stale, b"{}".to_vec()).await;
        assert!(matches!(refused, Err(LakeError::Conflict { .. })));
    }
    let (json, generation) = lake.read_environment("prod").await.unwrap().unwrap();
    assert_eq!(
        (json.as_slice(), generation.number()),
        (b"{\"a\":1}".as_slice(), 3)
    );
    assert!(
        lake.swap_environment("prod", None, b"not json".to_vec())
            .await
            .is_err()
    );
    assert!(lake.read_environment("a/b").await.is_err());
}

#[tokio::test]
async fn forms_written_by_something_newer_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let lake = local_lake(folder.path()).await;
    lake.swap_environment("prod", None, b"{}".to_vec())
        .await
        .unwrap();
    lake.lease("x", "me", Duration::from_secs(1)).await.unwrap();
    let newer = br#"{"format": 2, "something": "else"}"#;
    let kinfold = folder.path().join("_kinfold");
    for file in ["env/prod.json", "lease/x.json", "lake.json"] {
        std::fs::write(kinfold.join(file), newer).unwrap();
    }
    let too_new = |error: LakeError| {
        matches!(
            error,
            LakeError::NewerFormat {
                found: 2,
                supported: 1,
                ..
            }
        )
    };
    assert!(too_new(lake.read_environment("prod").await.unwrap_err()));
    let lease = lake.lease("x", "me", Duration::from_secs(1)).await;
    assert!(too_new(lease.unwrap_err()));
    let opened = Lake::open(folder.path().to_str().unwrap(), &BTreeMap::new()).await;
    assert!(too_new(opened.unwrap_err()));
}

#[tokio::test]
async fn opening_an_empty_place_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("new lake");
    let lake = local_lake(&place).await;
    assert!(!place.exists());
    lake.put("a", Bytes::from_static(b"b")).await.unwrap();
    let format = std::fs::read_to_string(place.join("_kinfold/lake.json")).unwrap();
    let format: serde_json::Value = serde_json::from_str(&format).unwrap();
    assert_eq!(format["format"], 1);
}
