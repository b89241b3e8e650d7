//! End-to-end tests: each one runs the program as a person, a script or a scheduler does, on real folders,
//! sockets and servers.
//!
//! A folder is a runner: `artifacts/` files for other tools, `check/` problems of projects and their places, `cli/`
//! manners and bad input, `crash/` processes killed at any moment, `diagnostics/` a wrong project for every code,
//! `examples/` the examples that have labels, `fuzz/` projects that nobody would write, `lake/` tables as other readers see them, `lsp/` an editor at work, `projects/` whole projects and
//! their values, `tidy/` the repository itself. A case that is data is a test of its own name; adding it is
//! adding a folder.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod artifacts;
mod check;
mod cli;
mod crash;
mod diagnostics;
mod examples;
mod fuzz;
mod lake;
mod lsp;
mod program;
mod projects;
mod tables;
mod tidy;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

/// A list of tests, named after their functions and the runner that they belong to.
macro_rules! trials {
    ($runner:literal: $($test:path),+ $(,)?) => {
        vec![$(crate::trial($runner, stringify!($test), $test)),+]
    };
}
pub(crate) use trials;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    // The long ones first, so that nothing is left to do for one of them alone.
    let trials = [
        fuzz::trials(),
        crash::trials(),
        examples::trials(),
        lake::trials(),
        cli::trials(),
        artifacts::trials(),
        check::trials(),
        diagnostics::trials(),
        lsp::trials(),
        projects::trials(),
        tidy::trials(),
    ];
    libtest_mimic::run(&arguments, trials.into_iter().flatten().collect()).exit_code()
}

fn trial(runner: &str, path: &str, test: fn()) -> Trial {
    Trial::test(format!("{runner}::{}", path.replace(' ', "")), move || {
        test();
        Ok(())
    })
}
