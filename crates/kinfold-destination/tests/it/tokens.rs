//! Tokens: one for all, renewed in one place, and no rotated one is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use kinfold_destination::{
    Account, AccountOptions, Manifest, ManifestDestination, MemoryTokenStore, StoreError,
    StoreLock, TokenStore, read,
};
use kinfold_project::SyncMode;
use kinfold_sync::{
    Batch, BatchOperation, Destination, Operation, Outcome, Run, Secret, SendResult, SystemClock,
    Target,
};
use kinfold_testkit::change;
use serde_json::json;

use crate::secrets::Recorder;

const ROTATING: &str = r#"
version: 1
name: rotating
title: A system with rotating tokens
about: Refresh tokens are good for one use.
parameters:
  url: {about: The address.}
  refresh_token: {about: A token., secret: true}
base_url: "{{ connection.url }}"
auth:
  token:
    post: "{{ connection.url }}/token"
    form: {refresh_token: "{{ connection.refresh_token }}"}
    keep: {token: $.access_token, refresh_token: $.refresh_token}
  expires_in: $.expires_in
  rotates: refresh_token
  headers: {authorization: "Bearer {{ auth.token }}"}
objects:
  people:
    about: People.
    upsert:
      rows: 1
      calls: [{post: /people, json: "{{ row.fields }}"}]
"#;

fn manifest() -> Arc<Manifest> {
    let folder = read([("manifest.yml", ROTATING)]);
    assert!(!folder.has_errors(), "{:?}", folder.diagnostics);
    Arc::new(folder.manifest.unwrap())
}

/// A vendor: a refresh token is good once, an access token until it is told otherwise.
struct Vendor {
    recorder: Recorder,
    /// The newest access token that is good no more.
    revoked: Arc<AtomicUsize>,
}

impl Vendor {
    async fn start() -> (Self, Arc<AtomicUsize>) {
        let issued = Arc::new(AtomicUsize::new(0));
        let revoked = Arc::new(AtomicUsize::new(0));
        let (number, refused) = (Arc::clone(&issued), Arc::clone(&revoked));
        let recorder = Recorder::start(move |method, path, headers, body| {
            let _ = method;
            if path == "/token" {
                let current = number.load(Ordering::SeqCst);
                if !body.ends_with(&format!("refresh-{current}")) {
                    return (400, r#"{"error":"invalid_grant"}"#.to_owned());
                }
                number.store(current + 1, Ordering::SeqCst);
                let next = current + 1;
                return (200, format!(r#"{{"access_token":"access-{next}","refresh_token":"refresh-{next}","expires_in":3600}}"#));
            }
            let current = number.load(Ordering::SeqCst);
            let good = current > refused.load(Ordering::SeqCst);
            match good && headers.contains(&format!("Bearer access-{current}")) {
                true => (200, "{}".to_owned()),
                false => (401, r#"{"error":"expired"}"#.to_owned()),
            }
        })
        .await;
        (Self { recorder, revoked }, issued)
    }
}

fn destination(url: &str, store: Arc<dyn TokenStore>) -> ManifestDestination {
    let options = AccountOptions {
        parameters: vec![
            ("url".to_owned(), Secret::new(url)),
            ("refresh_token".to_owned(), Secret::new("refresh-0")),
        ],
        ..AccountOptions::default()
    };
    let account = Account::new(manifest(), options, store, Arc::new(SystemClock::new())).unwrap();
    let target = Target {
        object: "people".to_owned(),
        mode: SyncMode::Upsert,
        deletes: false,
        key_fields: vec!["id".to_owned()],
        fields: vec!["n".to_owned()],
    };
    ManifestDestination::new(account, &target).unwrap()
}

fn batch(seq: u64) -> Batch {
    let run = Arc::new(Run {
        sync: "s".to_owned(),
        run_id: "r".to_owned(),
        mode: SyncMode::Upsert,
    });
    Batch::new(
        run,
        BatchOperation::Upsert,
        vec![change(seq, Operation::Add, "a", json!({"n": seq}))],
    )
}

fn delivered() -> SendResult {
    SendResult::Rows(vec![Outcome::Delivered])
}

#[tokio::test]
async fn one_token_is_fetched_for_all_who_come_at_once() {
    let (vendor, issued) = Vendor::start().await;
    let destination = destination(&vendor.recorder.url, Arc::new(MemoryTokenStore::new()));
    let (first, second, third) = (batch(0), batch(1), batch(2));
    let results = tokio::join!(
        destination.send(&first),
        destination.send(&second),
        destination.send(&third)
    );
    assert_eq!(results, (delivered(), delivered(), delivered()));
    assert_eq!(issued.load(Ordering::SeqCst), 1);
    // The vendor revokes it: those who meet that renew it once.
    vendor.revoked.store(1, Ordering::SeqCst);
    let results = tokio::join!(
        destination.send(&first),
        destination.send(&second),
        destination.send(&third)
    );
    assert_eq!(results, (delivered(), delivered(), delivered()));
    assert_eq!(issued.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_rotated_token_survives_a_crash() {
    let (vendor, issued) = Vendor::start().await;
    let store: Arc<dyn TokenStore> = Arc::new(MemoryTokenStore::new());
    assert_eq!(
        destination(&vendor.recorder.url, Arc::clone(&store))
            .send(&batch(0))
            .await,
        delivered()
    );
    // A new process takes the token of the one before while it is good,
    let again = destination(&vendor.recorder.url, Arc::clone(&store));
    assert_eq!(again.send(&batch(1)).await, delivered());
    assert_eq!(issued.load(Ordering::SeqCst), 1);
    // and then not the refresh token of the connection's file, which is used up.
    vendor.revoked.store(1, Ordering::SeqCst);
    let last = destination(&vendor.recorder.url, Arc::clone(&store));
    assert_eq!(last.send(&batch(1)).await, delivered());
    assert_eq!(issued.load(Ordering::SeqCst), 2);
    let without = destination(&vendor.recorder.url, Arc::new(MemoryTokenStore::new()));
    assert!(matches!(
        without.send(&batch(2)).await,
        SendResult::Fatal { .. }
    ));
}

#[tokio::test]
async fn processes_that_come_at_once_use_a_refresh_token_once() {
    let (vendor, issued) = Vendor::start().await;
    let store: Arc<dyn TokenStore> = Arc::new(MemoryTokenStore::new());
    // Each has an account of its own, as processes have, and the same store.
    let processes: Vec<_> = (0..4)
        .map(|_| destination(&vendor.recorder.url, Arc::clone(&store)))
        .collect();
    for round in 1..=3 {
        let batch = batch(0);
        let (a, b, c, d) = tokio::join!(
            processes[0].send(&batch),
            processes[1].send(&batch),
            processes[2].send(&batch),
            processes[3].send(&batch),
        );
        assert_eq!([a, b, c, d], [(); 4].map(|()| delivered()), "{round}");
        assert_eq!(issued.load(Ordering::SeqCst), round);
        vendor.revoked.store(round, Ordering::SeqCst);
    }
}

/// A store whose disk is full at first.
#[derive(Default)]
struct Full {
    inner: MemoryTokenStore,
    full: AtomicBool,
}

#[async_trait]
impl TokenStore for Full {
    async fn load(&self, name: &str) -> Result<Option<Secret>, StoreError> {
        self.inner.load(name).await
    }

    async fn save(&self, name: &str, value: &Secret) -> Result<(), StoreError> {
        if self.full.load(Ordering::SeqCst) {
            return Err(StoreError::new(std::io::Error::other("no space")));
        }
        self.inner.save(name, value).await
    }

    async fn forget(&self, name: &str) -> Result<(), StoreError> {
        self.inner.forget(name).await
    }

    async fn lock(&self, name: &str) -> Result<Box<dyn StoreLock>, StoreError> {
        self.inner.lock(name).await
    }
}

#[tokio::test]
async fn a_token_that_cannot_be_stored_is_not_used_and_not_lost() {
    let (vendor, issued) = Vendor::start().await;
    let store = Arc::new(Full::default());
    store.full.store(true, Ordering::SeqCst);
    let destination = destination(
        &vendor.recorder.url,
        Arc::clone(&store) as Arc<dyn TokenStore>,
    );
    for _ in 0..3 {
        assert!(matches!(
            destination.send(&batch(0)).await,
            SendResult::Transient { .. }
        ));
    }
    // Asking again would have used up one token after the other.
    assert_eq!(issued.load(Ordering::SeqCst), 1);
    assert!(
        vendor
            .recorder
            .seen()
            .iter()
            .all(|request| !request.contains("/people"))
    );
    store.full.store(false, Ordering::SeqCst);
    assert_eq!(destination.send(&batch(0)).await, delivered());
    let stored = store.load("token/refresh_token").await.unwrap().unwrap();
    assert_eq!(stored.expose(), "refresh-2");
}
