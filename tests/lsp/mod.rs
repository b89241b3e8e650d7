//! `kinfold lsp`, spoken to as an editor does.
//!
//! A session is a file in `sessions/`: what the editor does, and below each line, with `= ` before it, what it
//! is told. A new one is written without those lines, run once with `KINFOLD_UPDATE=1`, and read. See
//! `session.rs` for what an editor can do.

mod client;
mod law;
mod manners;
mod session;

use std::fs;
use std::path::PathBuf;

use libtest_mimic::Trial;

use crate::program::repository;
use crate::trials;

pub fn trials() -> Vec<Trial> {
    let mut sessions: Vec<PathBuf> = fs::read_dir(repository().join("tests/lsp/sessions"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "txt"))
        .collect();
    sessions.sort();
    let mut trials = trials!("lsp":
        law::diagnostics_are_those_of_check_in_the_shop,
        law::diagnostics_are_those_of_check_while_a_project_is_typed,
        manners::garbage_is_answered_and_the_server_goes_on,
        manners::it_ends_as_the_protocol_says,
        manners::what_is_cancelled_is_not_answered,
        manners::a_build_may_run_beside_it,
        manners::files_outside_of_the_project_do_no_harm,
    );
    trials.extend(sessions.into_iter().map(|file| {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        Trial::test(format!("lsp::{name}"), move || {
            session::run(&file);
            Ok(())
        })
    }));
    trials
}
