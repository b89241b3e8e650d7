//! Syncs that are refused before anything is sent.

use std::path::Path;

use kinfold_destination::{Manifest, load};
use kinfold_project::SyncMode;
use kinfold_sync::{DestinationError, SystemClock, Target};

fn manifest() -> Manifest {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/folders/refusals");
    load(&folder).manifest.unwrap()
}

fn target(mode: SyncMode, keys: &[&str]) -> Target {
    Target {
        object: "people/all".to_owned(),
        mode,
        deletes: false,
        key_fields: keys.iter().map(|key| (*key).to_owned()).collect(),
        fields: Vec::new(),
    }
}

fn reason(found: Result<(), DestinationError>) -> Option<String> {
    match found {
        Ok(()) => None,
        Err(DestinationError::SyncRefused { object, reason }) => {
            assert_eq!(object, "people/all");
            Some(reason)
        }
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn a_sync_is_refused_for_what_it_is() {
    let manifest = manifest();
    let checked = |target: &Target| reason(manifest.check_sync(target));
    assert_eq!(checked(&target(SyncMode::Upsert, &["email"])), None);
    assert_eq!(
        checked(&target(SyncMode::Upsert, &["email", "id"])).as_deref(),
        Some("the key is one field, this sync has 2")
    );
}

#[test]
fn refusals_of_an_operation_are_for_syncs_that_need_it() {
    let manifest = manifest();
    let mut by_id = target(SyncMode::Mirror, &["id"]);
    assert_eq!(reason(manifest.check_sync(&by_id)), None);
    by_id.deletes = true;
    assert_eq!(
        reason(manifest.check_sync(&by_id)).as_deref(),
        Some("people leave by their address")
    );
}

#[test]
fn what_the_connection_decides_is_refused_when_it_is_known() {
    use std::sync::Arc;

    use kinfold_destination::{Account, AccountOptions, ManifestDestination, MemoryTokenStore};
    use kinfold_sync::Secret;

    let manifest = Arc::new(manifest());
    let target = target(SyncMode::Upsert, &["email"]);
    assert_eq!(reason(manifest.check_sync(&target)), None);
    for (plan, expected) in [
        ("paid", None),
        ("free", Some("the free plan has no list of all")),
    ] {
        let options = AccountOptions {
            parameters: vec![("plan".to_owned(), Secret::new(plan))],
            ..AccountOptions::default()
        };
        let store = Arc::new(MemoryTokenStore::new());
        let clock = Arc::new(SystemClock::default());
        let account = Account::new(Arc::clone(&manifest), options, store, clock).unwrap();
        let found = ManifestDestination::new(account, &target).map(|_| ());
        assert_eq!(reason(found).as_deref(), expected);
    }
}
