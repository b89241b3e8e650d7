//! A private mail server.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

const PROGRAM: &str = include_str!("smtp.py");

/// Why there is no server. `Debug` is the sentence too, since it is what a failing test prints.
#[derive(thiserror::Error)]
pub enum SmtpError {
    /// A file or process could not be handled.
    #[error("cannot prepare the mail server: {0}")]
    Io(#[from] io::Error),
    /// The program ended, or a certificate could not be made.
    #[error("the mail server does not start; `.ci/setup` brings what it needs: {output}")]
    Failed {
        /// What it printed.
        output: String,
    },
}

impl std::fmt::Debug for SmtpError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

/// How the server is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpMode {
    /// Without encryption and without logging in.
    Plain,
    /// STARTTLS and the user `kinfold` with the password `swordfish` are required.
    StartTls,
    /// The same, encrypted from the start.
    Wrapped,
}

/// A server of its own for one test, on 127.0.0.1. It answers recipients that begin with `550`, `450` or
/// `421`, and mails with `554`, `552` or `451` in their headers, with that number; all others it keeps. It
/// stops, and its files go, when it is dropped.
pub struct SmtpServer {
    child: Child,
    port: u16,
    folder: TempDir,
}

impl SmtpServer {
    /// Starts a server, and waits until it accepts connections.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(mode: SmtpMode) -> Result<Self, SmtpError> {
        let folder = tempfile::Builder::new().prefix("kinfold-smtp").tempdir()?;
        let program = folder.path().join("server.py");
        fs::write(&program, PROGRAM)?;
        if mode != SmtpMode::Plain {
            make_certificate(folder.path())?;
        }
        // A port may be taken between the search and the start.
        let mut output = String::new();
        for _ in 0..3 {
            let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
            let log_path = folder.path().join("log");
            let mut child = Command::new(python())
                .arg(&program)
                .arg(match mode {
                    SmtpMode::Plain => "plain",
                    SmtpMode::StartTls => "starttls",
                    SmtpMode::Wrapped => "wrapped",
                })
                .arg(port.to_string())
                .arg(folder.path().join("mails"))
                .arg(folder.path().join("server.crt"))
                .arg(folder.path().join("server.key"))
                // It ends when this does.
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(fs::File::create(&log_path)?)
                .spawn()?;
            let mut line = String::new();
            if let Some(stdout) = child.stdout.take() {
                BufReader::new(stdout).read_line(&mut line)?;
            }
            if line.trim() == "ready" {
                return Ok(Self {
                    child,
                    port,
                    folder,
                });
            }
            let _ = child.kill();
            child.wait()?;
            output = fs::read_to_string(&log_path).unwrap_or_default();
        }
        Err(SmtpError::Failed { output })
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The certificate of the server, which is its own authority; not there in [`SmtpMode::Plain`].
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join("server.crt")
    }

    /// The mails that it took, in order: `from`, `to`, `encrypted`, `login` and `content`.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn mails(&self) -> Result<Vec<Value>, SmtpError> {
        match fs::read_to_string(self.folder.path().join("mails")) {
            Ok(text) => text
                .lines()
                .map(|line| serde_json::from_str(line).map_err(|e| SmtpError::Io(e.into())))
                .collect(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }
}

impl Drop for SmtpServer {
    fn drop(&mut self) {
        // An error means that it ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn make_certificate(folder: &Path) -> Result<(), SmtpError> {
    let made = Command::new("openssl")
        .args([
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
        ])
        .args(["-subj", "/CN=kinfold test"])
        .args(["-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(folder.join("server.key"))
        .arg("-out")
        .arg(folder.join("server.crt"))
        .output()?;
    if made.status.success() {
        return Ok(());
    }
    Err(SmtpError::Failed {
        output: String::from_utf8_lossy(&made.stderr).into_owned(),
    })
}

/// The Python that `.ci/setup` prepares, or else that of the machine.
fn python() -> PathBuf {
    let tools = std::env::var_os("KINFOLD_TOOLS").map(PathBuf::from);
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    tools
        .or_else(|| Some(cache.or(home)?.join("kinfold/tools")))
        .map(|tools| tools.join("venv/bin/python"))
        .filter(|python| python.is_file())
        .unwrap_or_else(|| "python3".into())
}
