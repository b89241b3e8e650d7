//! `kinfold lsp`: what editors ask about a project while it is written, on standard input and output.
//!
//! The server does what `kinfold check` does, with the texts of the editor in the place of files. `transport`
//! reads and writes messages, `server` is the state machine between them, `analysis` is what is known of the
//! project at one moment. A request about a text is answered by `Known`: the text as it is, read by `text`, and the last
//! analysis; `thing` says what is at a place, and a module each what is asked of it.

mod analysis;
mod answers;
mod completion;
mod definition;
mod diagnostics;
mod documents;
mod hover;
mod known;
mod places;
mod position;
mod references;
mod server;
mod symbols;
mod text;
mod thing;
mod transport;

use std::io::BufReader;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::cli::Global;
use crate::commands::Done;
use analysis::Analysis;
use server::{Next, Server};
use transport::Incoming;

/// Serves until the client says `exit` or goes away. A success is an `exit` after `shutdown`.
pub async fn run(global: &Global) -> Done {
    let (incoming, mut messages) = mpsc::unbounded_channel();
    // Threads, because standard input and output block: neither may keep the other waiting.
    std::thread::spawn(move || {
        let mut input = BufReader::new(std::io::stdin());
        while let Ok(Some(message)) = transport::read(&mut input) {
            if incoming.send(message).is_err() {
                break;
            }
        }
    });
    let (outgoing, answers) = std::sync::mpsc::channel();
    let writer = std::thread::spawn(move || {
        let mut output = std::io::stdout().lock();
        for message in answers {
            if transport::write(&mut output, &message).is_err() {
                break;
            }
        }
    });
    let success = serve(Server::new(global.clone(), outgoing), &mut messages).await;
    // What was answered is written before the process ends.
    let _ = tokio::task::spawn_blocking(move || writer.join()).await;
    Done { success }
}

async fn serve(mut server: Server, messages: &mut mpsc::UnboundedReceiver<Incoming>) -> bool {
    let mut running: Option<JoinHandle<Analysis>> = None;
    loop {
        let due = server.due();
        let pause = due.unwrap_or_else(Instant::now);
        tokio::select! {
            biased;
            message = messages.recv() => match message {
                Some(message) => if let Next::Exit(success) = server.heard(message) {
                    return success;
                },
                // The client went away without a word.
                None => return false,
            },
            ended = join(&mut running) => {
                running = None;
                server.analysed(ended.map(Arc::new));
            }
            () = tokio::time::sleep_until(pause.into()), if due.is_some() && running.is_none() => {
                running = server.start();
            }
        }
    }
}

/// Waits for an analysis; `None` if it broke down.
async fn join(running: &mut Option<JoinHandle<Analysis>>) -> Option<Analysis> {
    match running {
        Some(handle) => handle.await.ok(),
        None => std::future::pending().await,
    }
}
