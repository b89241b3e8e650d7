//! `kinfold`: arguments in, text or JSON out. The only crate that prints or exits.

mod artifacts;
mod charts;
mod cli;
mod commands;
mod demo;
mod destinations;
mod lsp;
mod packages;
mod pages;
mod remembered;
mod report;
mod serve;
mod workspace;

use std::process::ExitCode;

use clap::Parser;

use kinfold_compile::bind::STACK_BYTES;

use cli::Cli;
use report::Output;

/// Plans are many small allocations, made on one thread and freed on another; the system's allocator spends a quarter
/// of a check on them (docs/decisions/0024).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The run did what was asked.
const SUCCESS: u8 = 0;
/// A node, a check or a delivery failed.
const FAILURE: u8 = 1;
/// The command could not run.
const CANNOT_RUN: u8 = 2;
/// What Rust's own `main` ends with after a panic.
const PANICKED: u8 = 101;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let output = Output::new(&cli.global);
    // Plans are walked from end to end, and some are deep.
    let large = std::thread::Builder::new().stack_size(STACK_BYTES);
    std::thread::scope(|scope| {
        let started = large.spawn_scoped(scope, || start(cli, &output));
        match started.map(std::thread::ScopedJoinHandle::join) {
            Ok(Ok(code)) => code,
            // What panicked has said so.
            Ok(Err(_)) => ExitCode::from(PANICKED),
            Err(error) => {
                output.error(&format!("cannot start: {error}"));
                ExitCode::from(CANNOT_RUN)
            }
        }
    })
}

fn start(cli: Cli, output: &Output) -> ExitCode {
    // What the parts note on their way; nothing unless asked for, because it is no part of the output.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("KINFOLD_LOG")
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("off")),
        )
        .with_writer(std::io::stderr)
        .try_init();
    // A join without end keeps a thread of each core and never lets go of it. The others renew
    // leases, move bytes, and hear Ctrl-C.
    let cores = cli.global.threads.map_or_else(
        || std::thread::available_parallelism().map_or(2, usize::from),
        usize::from,
    );
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores * 2 + 2)
        .enable_all()
        .thread_stack_size(STACK_BYTES / 4)
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            output.error(&format!("cannot start: {error}"));
            return ExitCode::from(CANNOT_RUN);
        }
    };
    let code = match runtime.block_on(commands::run(cli, output)) {
        Ok(commands::Done { success: true }) => SUCCESS,
        Ok(commands::Done { success: false }) => FAILURE,
        Err(error) => {
            output.failure(&error);
            CANNOT_RUN
        }
    };
    output.finish();
    // Background reads that nobody waits for any more must not keep the process.
    runtime.shutdown_background();
    ExitCode::from(code)
}
