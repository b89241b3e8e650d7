//! A private PostgreSQL server.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::account::Account;

/// Names the folder of PostgreSQL's programs when they are not where they usually are.
pub const BIN_VARIABLE: &str = "KINFOLD_TEST_POSTGRES_BIN";

const USER: &str = "kinfold";
const PASSWORD: &str = "swordfish";
const PATIENCE: Duration = Duration::from_secs(60);

/// Why there is no server. `Debug` is the sentence too, since it is what a failing test prints.
#[derive(thiserror::Error)]
pub enum PostgresError {
    /// The programs are not there.
    #[error(
        "PostgreSQL is not installed: run `apt-get update && apt-get install -y postgresql`, or set `{BIN_VARIABLE}` to the folder of `initdb`"
    )]
    Missing,
    /// A file or process could not be handled.
    #[error("cannot prepare the PostgreSQL server: {0}")]
    Io(#[from] io::Error),
    /// A program ended with an error.
    #[error("`{program}` failed: {output}")]
    Failed {
        /// Which.
        program: &'static str,
        /// What it printed.
        output: String,
    },
}

impl std::fmt::Debug for PostgresError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

/// A server of its own for one test: password login on 127.0.0.1. Nothing is synced to disk, so commits
/// outlive a crash of the server and not one of the machine. It stops, and its files go, when it is dropped.
pub struct PostgresServer {
    bin: PathBuf,
    account: Option<Account>,
    port: u16,
    child: Option<Child>,
    folder: TempDir,
}

impl PostgresServer {
    /// Creates and starts a server, and waits until it accepts connections.
    ///
    /// # Errors
    /// PostgreSQL is not installed, or does not start.
    pub fn start() -> Result<Self, PostgresError> {
        let bin = find_programs().ok_or(PostgresError::Missing)?;
        let folder = tempfile::Builder::new().prefix("kinfold-pg").tempdir()?;
        // PostgreSQL refuses to run as root.
        let account = Account::for_folder(folder.path(), &["postgres"])?;
        let mut server = Self {
            bin,
            account,
            port: 0,
            child: None,
            folder,
        };
        server.initialise()?;
        // The port is free when it is chosen, and may be taken when the server opens it.
        let mut attempts = 0;
        loop {
            attempts += 1;
            match server.launch() {
                Err(PostgresError::Failed { .. }) if attempts < 5 => {}
                result => return result.map(|()| server),
            }
        }
    }

    /// `postgres://…` with user and password, for the database `postgres`.
    #[must_use]
    pub fn dsn(&self) -> String {
        self.dsn_as(USER, PASSWORD)
    }

    /// The same for another user.
    #[must_use]
    pub fn dsn_as(&self, user: &str, password: &str) -> String {
        format!(
            "postgres://{user}:{password}@127.0.0.1:{}/postgres",
            self.port
        )
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder that the server may read and write, for certificates.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Hands a file in [`Self::folder`] to the account of the server, readable by no other.
    ///
    /// # Errors
    /// The file is not there or cannot be changed.
    pub fn own(&self, file: &Path) -> Result<(), PostgresError> {
        use std::os::unix::fs::PermissionsExt;
        if let Some(account) = self.account {
            account.own(file)?;
        }
        fs::set_permissions(file, fs::Permissions::from_mode(0o600))?;
        Ok(())
    }

    /// Stops the server at once, as a crash does. Does nothing if it is not running.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // `pg_ctl` also ends the server's own children, which killing the first process would leave behind.
            let stopped = self
                .command("pg_ctl")
                .args(["stop", "-m", "immediate", "-w", "-D"])
                .arg(self.data())
                .output()
                .is_ok_and(|output| output.status.success());
            if !stopped {
                let _ = child.kill();
            }
            let _ = child.wait();
        }
    }

    /// Starts a stopped server again, on the same port, with the same data.
    ///
    /// # Errors
    /// It does not start.
    pub fn restart(&mut self) -> Result<(), PostgresError> {
        self.stop();
        self.spawn()
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.bin.join(program));
        command
            .current_dir(self.folder.path())
            .env("LC_ALL", "C")
            .stdin(Stdio::null());
        if let Some(account) = self.account {
            account.run(&mut command);
        }
        command
    }

    fn initialise(&self) -> Result<(), PostgresError> {
        let password = self.folder.path().join("password");
        fs::write(&password, PASSWORD)?;
        self.own(&password)?;
        let output = self
            .command("initdb")
            .args([
                "--no-sync",
                "--encoding=UTF8",
                "--auth=scram-sha-256",
                "--username",
                USER,
                "--pwfile",
            ])
            .arg(&password)
            .arg("-D")
            .arg(self.data())
            .output()?;
        if output.status.success() {
            Ok(())
        } else {
            Err(PostgresError::Failed {
                program: "initdb",
                output: String::from_utf8_lossy(&output.stderr).into_owned(),
            })
        }
    }

    fn launch(&mut self) -> Result<(), PostgresError> {
        self.port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        self.spawn()
    }

    fn spawn(&mut self) -> Result<(), PostgresError> {
        let log_path = self.folder.path().join("log");
        let log = fs::File::create(&log_path)?;
        let child = self
            .command("postgres")
            .arg("-D")
            .arg(self.data())
            .args(["-p", &self.port.to_string()])
            .args(["-c", "listen_addresses=127.0.0.1"])
            .args(["-c", "unix_socket_directories="])
            .args(["-c", "fsync=off", "-c", "full_page_writes=off"])
            .args(["-c", "shared_buffers=16MB"])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        self.child = Some(child);
        let failed = |program| PostgresError::Failed {
            program,
            output: fs::read_to_string(&log_path).unwrap_or_default(),
        };
        let begun = Instant::now();
        loop {
            if let Some(child) = &mut self.child
                && child.try_wait()?.is_some()
            {
                self.child = None;
                return Err(failed("postgres"));
            }
            let ready = self
                .command("pg_isready")
                .args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()])
                .status()?;
            if ready.success() {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                return Err(failed("pg_isready"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The folder of PostgreSQL's programs: the variable, the search path (through links), or where Debian puts
/// it, newest version first.
fn find_programs() -> Option<PathBuf> {
    let complete = |folder: &PathBuf| {
        ["initdb", "postgres", "pg_ctl", "pg_isready"]
            .iter()
            .all(|program| folder.join(program).is_file())
    };
    if let Some(folder) = std::env::var_os(BIN_VARIABLE).map(PathBuf::from) {
        return Some(folder).filter(complete);
    }
    let path: OsString = std::env::var_os("PATH").unwrap_or_default();
    let linked = std::env::split_paths(&path)
        .filter_map(|folder| folder.join("initdb").canonicalize().ok())
        .filter_map(|program| program.parent().map(Path::to_owned))
        .find(complete);
    if linked.is_some() {
        return linked;
    }
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .ok()?
        .filter_map(Result::ok)
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .filter(|(_, folder)| complete(folder))
        .collect();
    versions.sort();
    versions.pop().map(|(_, folder)| folder)
}
