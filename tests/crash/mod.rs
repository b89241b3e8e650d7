//! `kill -9` at random moments of `build`, `sync` and `identity erase`, each followed by a rerun: tables and destinations are
//! those of an uninterrupted run.
//!
//! `KINFOLD_CRASHES` is the number of kills of each test (6 unless set), `KINFOLD_CRASH_SEED` draws their
//! moments. `KINFOLD_CRASH_ROWS` is the number of rows of a sync (120), and `KINFOLD_CRASHES_A_SYNC` how often it is
//! killed before it may come to its end (1).

mod build;
mod erase;
mod sync;

use std::process::Child;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::program::{Kinfold, Ran};
use crate::trials;

pub fn trials() -> Vec<Trial> {
    trials!("crash":
        build::a_killed_build_is_finished_by_the_next,
        erase::a_killed_erasure_is_finished_by_the_next,
        sync::a_killed_sync_is_finished_by_the_next,
    )
}

fn crashes() -> u64 {
    number("KINFOLD_CRASHES").unwrap_or(6)
}

fn dice(test: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(number("KINFOLD_CRASH_SEED").unwrap_or(2026) ^ test)
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().expect("a whole number"))
}

/// Runs to the end, and says how long it took.
fn timed(command: Kinfold) -> (Ran, Duration) {
    let begun = Instant::now();
    let ran = command.run().ok();
    (ran, begun.elapsed())
}

/// Kills a run at a moment of `whole`, the time that such a run takes; true if it was still running. Kill
/// number `i` of `n` falls into the i-th part of the time, so that a few kills already cover all of it.
fn kill(mut child: Child, whole: Duration, (i, n): (u64, u64), dice: &mut ChaCha8Rng) -> bool {
    let share = (i as f64 + dice.random_range(0.0..1.0)) / n as f64;
    std::thread::sleep(whole.mul_f64(share));
    let running = child.try_wait().unwrap().is_none();
    child.kill().unwrap();
    child.wait().unwrap();
    running
}
