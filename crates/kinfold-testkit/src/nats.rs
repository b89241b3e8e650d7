//! A private NATS server with JetStream.

use std::fs;
use std::io::{self, Read};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Names the program when it is not on the search path.
pub const SERVER_VARIABLE: &str = "KINFOLD_TEST_NATS_SERVER";

const PATIENCE: Duration = Duration::from_secs(30);

/// Why there is no server. `Debug` is the sentence too, since it is what a failing test prints.
#[derive(thiserror::Error)]
pub enum NatsError {
    /// The program is not there.
    #[error(
        "NATS is not installed: run `apt-get update && apt-get install -y nats-server`, or set `{SERVER_VARIABLE}` to the program"
    )]
    Missing,
    /// A file or process could not be handled.
    #[error("cannot prepare the NATS server: {0}")]
    Io(#[from] io::Error),
    /// The program ended, or is silent.
    #[error("`nats-server` failed: {output}")]
    Failed {
        /// What it printed.
        output: String,
    },
}

impl std::fmt::Debug for NatsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

/// A server of its own for one test, on 127.0.0.1, with streams in its own folder. It stops, and its files go,
/// when it is dropped.
pub struct NatsServer {
    program: PathBuf,
    port: u16,
    child: Option<Child>,
    folder: TempDir,
}

impl NatsServer {
    /// Starts a server with these options of the program besides, and waits until it greets.
    ///
    /// # Errors
    /// It is not installed, or does not start.
    pub fn start(options: &[&str]) -> Result<Self, NatsError> {
        let mut server = Self {
            program: find_program().ok_or(NatsError::Missing)?,
            port: 0,
            child: None,
            folder: tempfile::Builder::new().prefix("kinfold-nats").tempdir()?,
        };
        // The port is free when it is chosen, and may be taken when the server opens it.
        let mut attempts = 0;
        loop {
            attempts += 1;
            server.port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
            match server.restart(options) {
                Err(NatsError::Failed { .. }) if attempts < 3 => {}
                result => return result.map(|()| server),
            }
        }
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `nats://127.0.0.1:…`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Stops the server at once, as a crash does. Does nothing if it is not running.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // An error means that it ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts it again, on the same port, with the same streams.
    ///
    /// # Errors
    /// It does not start.
    pub fn restart(&mut self, options: &[&str]) -> Result<(), NatsError> {
        self.stop();
        let log_path = self.folder.path().join("log");
        let log = fs::File::create(&log_path)?;
        let child = Command::new(&self.program)
            .args([
                "-js",
                "-a",
                "127.0.0.1",
                "-p",
                &self.port.to_string(),
                "-sd",
            ])
            .arg(self.folder.path().join("streams"))
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        self.child = Some(child);
        let failed = || NatsError::Failed {
            output: fs::read_to_string(&log_path).unwrap_or_default(),
        };
        let begun = Instant::now();
        while !greets(self.port) {
            if let Some(child) = &mut self.child
                && child.try_wait()?.is_some()
            {
                self.child = None;
                return Err(failed());
            }
            if begun.elapsed() > PATIENCE {
                return Err(failed());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.stop();
    }
}

fn greets(port: u16) -> bool {
    let greeting = || -> io::Result<[u8; 4]> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let mut word = [0; 4];
        stream.read_exact(&mut word)?;
        Ok(word)
    };
    greeting().is_ok_and(|word| &word == b"INFO")
}

fn find_program() -> Option<PathBuf> {
    if let Some(given) = std::env::var_os(SERVER_VARIABLE) {
        return Some(PathBuf::from(given)).filter(|program| program.is_file());
    }
    std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
        .chain(["/usr/sbin".into()])
        .map(|folder| folder.join("nats-server"))
        .find(|program| program.is_file())
}
