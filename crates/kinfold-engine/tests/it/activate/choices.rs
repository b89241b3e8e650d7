//! What the user chooses: the first run, mappings that change, parts of a changeset, what a guard held.

use kinfold_compile::compile::Fingerprint;
use kinfold_engine::EngineError;
use kinfold_engine::activate::{ActivateError, Decision, Scope, decide, failed_rows};
use kinfold_project::{FirstRun, Guard, Resend, SyncMode};
use kinfold_sync::Operation;
use kinfold_testkit::FakeClock;
use serde_json::json;

use super::receiver::{Fate, Receiver};
use super::setting::{Setting, at, guard, mapped, mirror, plain};

fn key(id: &str) -> String {
    json!({"id": id}).to_string()
}

fn there(receiver: &Receiver, rows: &[(&str, serde_json::Value)]) {
    receiver.restore(
        rows.iter()
            .map(|(id, value)| (key(id), json!({"value": value}))),
    );
}

#[tokio::test]
async fn a_baseline_sends_nothing_and_never_removes_what_it_found() {
    let mut setting = Setting::new(mirror()).await;
    setting.sync.first_run = FirstRun::Baseline;
    let receiver = Receiver::default();
    let clock = FakeClock::new();
    there(
        &receiver,
        &[("a", json!(1)), ("b", json!(7)), ("z", json!(0))],
    );
    setting
        .publish(plain(&[("a", 1.0), ("b", 2.0), ("c", 3.0)]))
        .await;
    let first = setting.run_through(&receiver, &clock).await.unwrap();
    assert_eq!((first.planned, first.adopted, first.success), (0, 3, true));
    assert!(receiver.take().is_empty());

    // Only what changes from here on is sent; `a` was never ours.
    setting
        .publish(plain(&[("b", 5.0), ("c", 3.0), ("d", 4.0)]))
        .await;
    let next = setting.run_through(&receiver, &clock).await.unwrap();
    assert_eq!((next.adds, next.updates, next.removals), (1, 1, 0));
    // `b` is, since it was delivered.
    setting.publish(plain(&[("c", 3.0), ("d", 4.0)])).await;
    let last = setting.run_through(&receiver, &clock).await.unwrap();
    assert_eq!((last.planned, last.removals), (1, 1));
    let keys: Vec<String> = receiver.rows().into_keys().collect();
    assert_eq!(keys, [key("a"), key("d"), key("z")]);
}

#[tokio::test]
async fn match_first_sends_only_what_differs() {
    let mut setting = Setting::new(mirror()).await;
    setting.sync.first_run = FirstRun::MatchFirst;
    let receiver = Receiver::default();
    let clock = FakeClock::new();
    there(
        &receiver,
        &[
            ("a", json!(1)),
            ("b", json!(7)),
            ("c", json!(null)),
            ("z", json!(0)),
        ],
    );
    setting
        .publish(plain(&[("a", 1.0), ("b", 2.0), ("c", 3.0), ("d", 4.0)]))
        .await;
    let first = setting.run_through(&receiver, &clock).await.unwrap();
    assert_eq!((first.planned, first.delivered, first.adopted), (3, 3, 1));
    let mut sent: Vec<String> = receiver.take().into_iter().map(|s| s.key).collect();
    sent.sort();
    assert_eq!(sent, [key("b"), key("c"), key("d")]);
    assert_eq!(setting.state().await.len(), 4);
    // Only the first run asks; and what was there before stays when it leaves.
    setting.publish(plain(&[("b", 2.0)])).await;
    let next = setting.run_through(&receiver, &clock).await.unwrap();
    assert_eq!((next.removals, next.adopted), (2, 0));
    assert!(receiver.rows().contains_key(&key("a")));
}

#[tokio::test]
async fn a_changed_mapping_sends_what_the_user_chose() {
    for (resend, updates, adopted) in [
        (Resend::All, 3, 0),
        (Resend::Changed, 1, 0),
        (Resend::None, 0, 3),
    ] {
        let mut setting = Setting::new(mirror()).await;
        setting.sync.resend = resend;
        let receiver = Receiver::default();
        let clock = FakeClock::new();
        setting
            .publish(plain(&[("a", 1.0), ("b", 2.0), ("c", -3.0)]))
            .await;
        setting.run_through(&receiver, &clock).await.unwrap();
        receiver.take();
        // Only `c` has another value under the new mapping.
        setting.sync.mapping = mapped(&[("value", "abs(value)")]);
        setting.mapping = Fingerprint::from([1; 32]);
        let next = setting.run_through(&receiver, &clock).await.unwrap();
        assert_eq!(
            (next.updates, next.adopted),
            (updates, adopted),
            "{resend:?}"
        );
        assert_eq!(receiver.take().len() as u64, updates);
        // It is over: the next change is one of the data.
        setting
            .publish(plain(&[("a", 9.0), ("b", 2.0), ("c", -3.0)]))
            .await;
        let last = setting.run_through(&receiver, &clock).await.unwrap();
        let left = if resend == Resend::Changed { 2 } else { 1 };
        assert_eq!(
            (last.planned, last.unchanged + 1),
            (1, 3),
            "{resend:?} {left}"
        );
    }
}

#[tokio::test]
async fn approving_sends_exactly_what_was_shown() {
    let mut setting = Setting::new(mirror()).await;
    guard(&mut setting.sync, "max_removals", Guard::Rows(1));
    let receiver = Receiver::default();
    let clock = FakeClock::new();
    let all = [("a", 1.0), ("b", 1.0), ("c", 1.0), ("d", 1.0), ("e", 1.0)];
    setting.publish(plain(&all)).await;
    setting.run_through(&receiver, &clock).await.unwrap();

    // An emptied source removes nothing and says why.
    setting.publish(plain(&[])).await;
    let empty = setting.run_through(&receiver, &clock).await.unwrap();
    assert_eq!((empty.held, empty.success), (5, false));
    assert!(empty.held_because.unwrap().contains("empty"));
    assert_eq!(receiver.rows().len(), 5);

    setting.publish(plain(&[("a", 1.0), ("b", 2.0)])).await;
    let held = setting.run_through(&receiver, &clock).await.unwrap();
    assert_eq!((held.held, held.delivered), (3, 1));
    let id = held.held_id.unwrap();
    assert_ne!(Some(&id), empty.held_id.as_ref());
    // The same changes have the same name, whoever asks.
    assert_eq!(setting.dry_run().await.unwrap().held_id.as_ref(), Some(&id));
    let again = setting.run_through(&receiver, &clock).await.unwrap();
    assert_eq!(again.held_id.as_ref(), Some(&id));

    // Meanwhile `c` has come back and `a` and `b` have left: they were not shown.
    setting.publish(plain(&[("c", 1.0)])).await;
    receiver.take();
    let wrong = setting
        .run_part(&receiver, Scope::default(), Some("no such"))
        .await;
    assert!(
        matches!(
            wrong,
            Err(EngineError::Activate(ActivateError::NotHeld { .. }))
        ),
        "{wrong:?}"
    );
    let approved = setting
        .run_part(&receiver, Scope::default(), Some(&id))
        .await
        .unwrap();
    let mut removed: Vec<String> = receiver.take().into_iter().map(|s| s.key).collect();
    removed.sort();
    assert_eq!(removed, [key("d"), key("e")]);
    assert_eq!((approved.delivered, approved.held), (2, 2));
    assert_eq!(receiver.rows().len(), 3);

    // Once nothing is held, nothing is kept of it.
    setting
        .publish(plain(&[("a", 1.0), ("b", 2.0), ("c", 1.0)]))
        .await;
    let sound = setting.run_through(&receiver, &clock).await.unwrap();
    assert_eq!((sound.planned, sound.success), (0, true));
    assert!(
        setting
            .engine
            .lake
            .list("sync/crm/held")
            .await
            .unwrap()
            .is_empty()
    );
    assert!(setting.leftovers().await.is_empty());
}

#[tokio::test]
async fn all_changes_that_are_held_can_be_approved() {
    let mut setting = Setting::new(mirror()).await;
    let receiver = Receiver::default();
    let clock = FakeClock::new();
    setting.publish(plain(&[("a", 1.0), ("b", 1.0)])).await;
    setting.run_through(&receiver, &clock).await.unwrap();
    guard(&mut setting.sync, "max_changes", Guard::Rows(2));
    setting
        .publish(plain(&[("a", 2.0), ("c", 1.0), ("d", 1.0)]))
        .await;
    let held = setting.run_through(&receiver, &clock).await.unwrap();
    assert_eq!((held.held, held.delivered), (4, 0));
    // `d` has another value than the one that was shown.
    setting
        .publish(plain(&[("a", 2.0), ("c", 1.0), ("d", 5.0)]))
        .await;
    let id = held.held_id.unwrap();
    let approved = setting
        .run_part(&receiver, Scope::default(), Some(&id))
        .await
        .unwrap();
    assert_eq!(
        (approved.planned, approved.delivered, approved.held),
        (4, 4, 0)
    );
    assert_eq!(receiver.rows().len(), 3);
}

#[tokio::test]
async fn a_part_of_a_changeset_leaves_the_rest_as_it_was() {
    let mut setting = Setting::new(mirror()).await;
    let receiver = Receiver::default();
    let clock = FakeClock::new();
    setting
        .publish(plain(&[("a", 1.0), ("b", 1.0), ("c", 1.0)]))
        .await;
    setting.run_through(&receiver, &clock).await.unwrap();
    setting
        .publish(plain(&[("b", 2.0), ("c", 2.0), ("d", 1.0), ("e", 1.0)]))
        .await;
    receiver.take();
    let limit = Scope {
        limit: Some(3),
        ..Scope::default()
    };
    let few = setting.run_part(&receiver, limit, None).await.unwrap();
    assert_eq!((few.planned, few.delivered, few.removals), (3, 3, 0));
    assert!(
        receiver
            .take()
            .iter()
            .all(|sent| sent.operation != Operation::Remove)
    );
    assert_eq!(
        receiver.rows().len(),
        4 + usize::from(few.adds == 2) - usize::from(few.adds < 1)
    );

    let only = |id: &str| Scope {
        keys: vec![vec![("id".to_owned(), id.to_owned())]],
        ..Scope::default()
    };
    let gone = setting.run_part(&receiver, only("a"), None).await.unwrap();
    assert_eq!((gone.planned, gone.removals, gone.unchanged), (1, 1, 0));
    let none = setting
        .run_part(&receiver, only("nobody"), None)
        .await
        .unwrap();
    assert_eq!(none.planned, 0);
    let wrong = Scope {
        keys: vec![vec![("email".to_owned(), "a".to_owned())]],
        ..Scope::default()
    };
    let wrong = setting
        .run_part(&receiver, wrong, None)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        wrong.contains("`id` (text)") && wrong.contains("`email`"),
        "{wrong}"
    );

    let rest = setting.run_through(&receiver, &clock).await.unwrap();
    assert_eq!((rest.planned, rest.delivered), (1, 1));
    let keys: Vec<String> = receiver.rows().into_keys().collect();
    assert_eq!(keys, [key("b"), key("c"), key("d"), key("e")]);
}

#[tokio::test]
async fn a_refused_row_waits_and_a_changed_one_does_not() {
    let mut setting = Setting::new(mirror()).await;
    let receiver = Receiver::default();
    let clock = FakeClock::new();
    setting.publish(plain(&[("a", 1.0), ("b", 1.0)])).await;
    receiver.fates([(key("a"), Fate::Reject)]);
    setting.run_through(&receiver, &clock).await.unwrap();
    let waits = setting.run_through(&receiver, &clock).await.unwrap();
    assert_eq!((waits.planned, waits.waiting, waits.success), (0, 1, true));
    setting.publish(plain(&[("a", 2.0), ("b", 1.0)])).await;
    let changed = setting.run_through(&receiver, &clock).await.unwrap();
    assert_eq!((changed.planned, changed.rejected), (1, 1));
    setting.later(1);
    let due = setting.run_through(&receiver, &clock).await.unwrap();
    assert_eq!((due.planned, due.rejected), (1, 1));
    // A row that was never accepted is forgotten when it leaves.
    setting.publish(plain(&[("b", 1.0)])).await;
    let left = setting.run_through(&receiver, &clock).await.unwrap();
    assert_eq!((left.planned, left.waiting), (0, 0));
    assert_eq!(setting.state().await.len(), 1);
}

#[tokio::test]
async fn an_append_without_an_answer_is_not_made_twice() {
    let mut setting = Setting::new(mirror()).await;
    setting.sync.mode = at(SyncMode::Append);
    setting.sync.on_leave = at(kinfold_project::OnLeave::Keep);
    let receiver = Receiver::default();
    let clock = FakeClock::new();
    setting.publish(plain(&[("a", 1.0), ("b", 1.0)])).await;
    receiver.fates([(key("a"), Fate::Lose)]);
    let first = setting.run_through(&receiver, &clock).await.unwrap();
    assert_eq!((first.delivered, first.unknown), (1, 1));
    receiver.fates([]);
    receiver.take();
    for _ in 0..2 {
        setting.later(1);
        let next = setting.run_through(&receiver, &clock).await.unwrap();
        assert_eq!((next.planned, next.waiting), (0, 1));
    }
    assert!(receiver.take().is_empty());
}

#[tokio::test]
async fn what_was_refused_is_listed_retried_and_forgotten() {
    let mut setting = Setting::new(mirror()).await;
    let receiver = Receiver::default();
    let clock = FakeClock::new();
    setting
        .publish(plain(&[("alice", 1.0), ("bob", 1.0), ("carol", 1.0)]))
        .await;
    receiver.fates([(key("alice"), Fate::Reject), (key("bob"), Fate::Reject)]);
    setting.run_through(&receiver, &clock).await.unwrap();
    let (engine, sync) = (setting.engine.clone(), setting.sync.clone());
    let (count, rows) = failed_rows(&engine, &sync, 1, false).await.unwrap();
    assert_eq!((count, rows.len()), (2, 1));
    assert!(!format!("{rows:?}").contains("alice") && !format!("{rows:?}").contains("bob"));
    let (_, rows) = failed_rows(&engine, &sync, 9, true).await.unwrap();
    assert!(
        rows.iter()
            .all(|row| row.status == "rejected" && row.attempts == 1)
    );
    assert!(
        rows.iter()
            .all(|row| row.next_try > Some(engine.clock.as_of))
    );

    let only = |id: &str| vec![vec![("id".to_owned(), id.to_owned())]];
    let retried = decide(&engine, &sync, Decision::Retry, &only("alice"))
        .await
        .unwrap();
    assert_eq!(retried, 1);
    let next = setting.run_through(&receiver, &clock).await.unwrap();
    assert_eq!((next.planned, next.rejected, next.waiting), (1, 1, 1));

    assert_eq!(
        decide(&engine, &sync, Decision::Forget, &[]).await.unwrap(),
        2
    );
    setting.later(400);
    let idle = setting.run_through(&receiver, &clock).await.unwrap();
    assert_eq!((idle.planned, idle.waiting), (0, 2));
    setting
        .publish(plain(&[("alice", 2.0), ("bob", 1.0), ("carol", 1.0)]))
        .await;
    receiver.fates([]);
    let changed = setting.run_through(&receiver, &clock).await.unwrap();
    assert_eq!(
        (changed.planned, changed.delivered, changed.waiting),
        (1, 1, 1)
    );
}

#[tokio::test]
async fn an_append_without_an_answer_is_for_a_person_to_judge() {
    for (decision, sent) in [(Decision::Retry, 1), (Decision::Forget, 0)] {
        let mut setting = Setting::new(mirror()).await;
        setting.sync.mode = at(SyncMode::Append);
        setting.sync.on_leave = at(kinfold_project::OnLeave::Keep);
        let receiver = Receiver::default();
        let clock = FakeClock::new();
        setting.publish(plain(&[("a", 1.0)])).await;
        receiver.fates([(key("a"), Fate::LoseBefore)]);
        setting.run_through(&receiver, &clock).await.unwrap();
        receiver.fates([]);
        receiver.take();
        let decided = decide(&setting.engine, &setting.sync, decision, &[])
            .await
            .unwrap();
        assert_eq!(decided, 1);
        let next = setting.run_through(&receiver, &clock).await.unwrap();
        assert_eq!(
            (next.planned, next.delivered, next.waiting),
            (sent, sent, 0)
        );
        assert_eq!(receiver.take().len() as u64, sent);
        let idle = setting.run_through(&receiver, &clock).await.unwrap();
        assert_eq!((idle.planned, idle.unchanged), (0, 1));
    }
}

#[tokio::test]
async fn a_scoped_mirror_removes_only_where_the_model_still_has_rows() {
    let mut setting = Setting::new(mirror()).await;
    setting.sync.key = vec![
        (
            at("parent".to_owned()),
            at("split_part(id, '-', 1)".to_owned()),
        ),
        (at("id".to_owned()), at("id".to_owned())),
    ];
    setting.sync.mirror_scope = vec![at("parent".to_owned())];
    let (receiver, clock) = (Receiver::default(), FakeClock::new());
    let rows = [("a-1", 1.0), ("a-2", 1.0), ("b-1", 1.0), ("b-2", 1.0)];
    setting.publish(plain(&rows)).await;
    setting.run_through(&receiver, &clock).await.unwrap();
    receiver.take();
    // Nothing of `b` was looked at this time; of `a` one row is gone.
    setting.publish(plain(&[("a-1", 1.0)])).await;
    let report = setting.run_through(&receiver, &clock).await.unwrap();
    assert_eq!((report.removals, report.delivered), (1, 1));
    let sent = receiver.take();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].key, r#"{"id":"a-2","parent":"a"}"#);
    // `b` comes back with one of its rows: the other one has left it.
    setting.publish(plain(&[("a-1", 1.0), ("b-2", 1.0)])).await;
    let report = setting.run_through(&receiver, &clock).await.unwrap();
    assert_eq!((report.removals, report.unchanged), (1, 2));
    assert_eq!(receiver.take()[0].key, r#"{"id":"b-1","parent":"b"}"#);
}
