//! Leases, stores that fail, and the end of a server.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use kinfold_server::ports::Clock;
use kinfold_server::schedule::Document;
use kinfold_server::serve::{CommandError, Phase};
use kinfold_server::{Outcome, ServeError};
use tokio_util::sync::CancellationToken;

use crate::support::{every, minutes, records_of, sync, time};
use crate::world::{FakeAlerts, World, lock};

const START: &str = "2026-06-01T00:00:00Z";

fn at(minute: i64) -> DateTime<Utc> {
    time(START) + TimeDelta::minutes(minute)
}

/// One job every ten minutes, whose runs take so many minutes.
fn world(length: u64) -> World {
    World::new(time(START), vec![sync("s", every(10))], move |_, _| {
        (minutes(length), Outcome::Succeeded)
    })
}

#[tokio::test]
async fn the_one_with_the_lease_runs_the_schedule_and_the_other_takes_over() {
    let world = world(1);
    let (stop, stop_other) = (CancellationToken::new(), CancellationToken::new());
    let server = world.server("a");
    let a = server.handle();
    let first = tokio::spawn(server.run(stop.clone()));
    world.clock.sleep_until(at(1)).await;
    let server = world.server("b");
    let b = server.handle();
    let second = tokio::spawn(server.run(stop_other.clone()));
    world.clock.sleep_until(at(25)).await;
    assert_eq!((a.phase(), b.phase()), (Phase::Leading, Phase::Standby));
    assert_eq!(b.jobs(), Err(CommandError::NotLeading));
    assert_eq!(b.run_now("s").await, Err(CommandError::NotLeading));
    stop.cancel();
    first.await.unwrap().unwrap();
    world.clock.sleep_until(at(45)).await;
    assert_eq!((a.phase(), b.phase()), (Phase::Stopping, Phase::Leading));
    stop_other.cancel();
    second.await.unwrap().unwrap();
    let began: Vec<_> = world.seen().iter().map(|run| run.started).collect();
    assert_eq!(began, [at(10), at(20), at(30), at(40)]);
}

#[tokio::test]
async fn a_server_that_loses_its_lease_cancels_its_runs_and_starts_nothing() {
    let world = world(60);
    let server = world.server("a");
    let handle = server.handle();
    drop(tokio::spawn(server.run(CancellationToken::new())));
    world.clock.sleep_until(at(15)).await;
    *lock(&world.lease.0) = Some(("thief".to_owned(), at(100)));
    world.clock.sleep_until(at(50)).await;
    assert_eq!(handle.phase(), Phase::Standby);
    let seen = world.seen();
    assert_eq!(seen.len(), 1);
    let (ended, _) = seen[0].ended.unwrap();
    assert!(ended <= at(17), "the next look at the lease finds out");
    // The thief is gone: the run is made up for.
    world.clock.sleep_until(at(102)).await;
    assert_eq!(handle.phase(), Phase::Leading);
    let again = world.seen();
    assert_eq!(again.len(), 2);
    let all = records_of(&handle, "s", time(START));
    assert_eq!(all[0], "10 Schedule ran 1 interrupted");
    let missed = (2..10).map(|n| format!("{} Schedule missed 2", n * 10));
    assert_eq!(all[1..9], missed.collect::<Vec<_>>());
}

#[tokio::test]
async fn a_state_that_another_server_wrote_is_not_written_over() {
    let world = world(1);
    let server = world.server("a");
    let handle = server.handle();
    drop(tokio::spawn(server.run(CancellationToken::new())));
    world.clock.sleep_until(at(5)).await;
    let mut other = Document::default();
    other.writer = "b".to_owned();
    world.store.overwrite(&other.encode().unwrap());
    world.clock.sleep_until(at(12)).await;
    assert_eq!(handle.phase(), Phase::Leading, "the lease is its own still");
    let all = records_of(&handle, "s", time(START));
    assert!(
        all.is_empty(),
        "the other one's state knows of nothing: {all:?}"
    );
    assert!(world.seen().is_empty(), "the run at ten was never stored");
}

#[tokio::test]
async fn nothing_begins_that_is_not_stored() {
    let world = world(1);
    let server = world.server("a");
    let handle = server.handle();
    drop(tokio::spawn(server.run(CancellationToken::new())));
    world.clock.sleep_until(at(5)).await;
    *lock(&world.store.down) = true;
    world.clock.sleep_until(at(15)).await;
    assert_eq!(handle.phase(), Phase::Stuck);
    assert!(world.seen().is_empty());
    *lock(&world.store.down) = false;
    world.clock.sleep_until(at(16)).await;
    assert_eq!(handle.phase(), Phase::Leading);
    assert_eq!(world.seen().len(), 1);
}

#[tokio::test]
async fn at_the_end_runs_come_to_theirs() {
    let world = world(2);
    let stop = CancellationToken::new();
    let server = world.server("a");
    let first = tokio::spawn(server.run(stop.clone()));
    world
        .clock
        .sleep_until(at(10) + TimeDelta::seconds(30))
        .await;
    stop.cancel();
    first.await.unwrap().unwrap();
    assert_eq!(world.clock.now(), at(12), "neither earlier nor later");
    assert_eq!(world.seen()[0].ended, Some((at(12), Outcome::Succeeded)));
    assert!(lock(&world.lease.0).is_none(), "the lease is given back");
    let server = world.server("b");
    let handle = server.handle();
    drop(tokio::spawn(server.run(CancellationToken::new())));
    world.clock.sleep_until(at(13)).await;
    assert_eq!(
        records_of(&handle, "s", time(START)),
        ["10 Schedule ran 1 succeeded"]
    );
}

#[tokio::test]
async fn a_run_that_does_not_end_is_cancelled_and_made_up_for() {
    let world = world(600);
    let stop = CancellationToken::new();
    let server = world.server("a");
    let first = tokio::spawn(server.run(stop.clone()));
    world.clock.sleep_until(at(11)).await;
    stop.cancel();
    first.await.unwrap().unwrap();
    assert_eq!(world.clock.now(), at(13), "two minutes to drain");
    let server = world.server("b");
    let handle = server.handle();
    drop(tokio::spawn(server.run(CancellationToken::new())));
    world.clock.sleep_until(at(14)).await;
    assert_eq!(
        records_of(&handle, "s", time(START)),
        ["10 Schedule ran 1 interrupted"]
    );
    assert_eq!(world.seen().len(), 2, "begun again at once");
    let incident = handle.job("s").unwrap().incident;
    assert_eq!(
        incident, None,
        "the end of a server is no failure of the job"
    );
}

#[tokio::test]
async fn a_run_that_panics_fails_alone() {
    let world = World::new(
        time(START),
        vec![sync("bad", every(10)), sync("good", every(10))],
        |job, _| {
            let length = if job == "bad" {
                Duration::ZERO
            } else {
                minutes(1)
            };
            (length, Outcome::Succeeded)
        },
    );
    let server = world.server("a");
    let handle = server.handle();
    drop(tokio::spawn(server.run(CancellationToken::new())));
    world.clock.sleep_until(at(12)).await;
    assert_eq!(
        records_of(&handle, "bad", time(START)),
        ["10 Schedule ran 1 failed"]
    );
    assert_eq!(
        records_of(&handle, "good", time(START)),
        ["10 Schedule ran 2 succeeded"]
    );
}

#[tokio::test]
async fn receivers_that_do_not_answer_delay_nothing_and_hear_of_it_after_a_restart() {
    let mut world = World::new(time(START), vec![sync("s", every(10))], |_, _| {
        (minutes(1), Outcome::Held)
    });
    world.alerts = Arc::new(FakeAlerts {
        deaf: true,
        ..FakeAlerts::default()
    });
    let stop = CancellationToken::new();
    let server = world.server("a");
    let handle = server.handle();
    let first = tokio::spawn(server.run(stop.clone()));
    world.clock.sleep_until(at(35)).await;
    assert_eq!(world.seen().len(), 3);
    assert_eq!(lock(&world.alerts.told).len(), 1, "told once");
    assert_eq!(handle.undelivered(), 1);
    stop.cancel();
    first.await.unwrap().unwrap();
    world.alerts = Arc::default();
    let server = world.server("b");
    let handle = server.handle();
    drop(tokio::spawn(server.run(CancellationToken::new())));
    world.clock.sleep_until(at(55)).await;
    assert_eq!(
        lock(&world.alerts.told).len(),
        1,
        "once more, and it arrived"
    );
    assert_eq!(handle.undelivered(), 0);
}

#[tokio::test]
async fn a_state_of_a_later_version_ends_the_server() {
    let world = world(1);
    world.store.overwrite(br#"{"format": 9}"#);
    let ended = world.server("a").run(CancellationToken::new()).await;
    assert!(matches!(ended, Err(ServeError::State(_))));
    assert!(lock(&world.lease.0).is_none(), "the lease is given back");
}
