//! A private MariaDB server.

use std::fs;
use std::io::{self, Read};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::account::Account;

/// Names the folder of MariaDB's programs when they are not where they usually are.
pub const BIN_VARIABLE: &str = "KINFOLD_TEST_MARIADB_BIN";

const USER: &str = "kinfold";
const PASSWORD: &str = "swordfish";
const DATABASE: &str = "crm";
const PATIENCE: Duration = Duration::from_secs(60);

/// Why there is no server. `Debug` is the sentence too, since it is what a failing test prints.
#[derive(thiserror::Error)]
pub enum MariaDbError {
    /// The programs are not there.
    #[error(
        "MariaDB is not installed: run `apt-get update && apt-get install -y mariadb-server-core mariadb-client-core`, or set `{BIN_VARIABLE}` to the folder of `mariadbd` and `mariadb-install-db`"
    )]
    Missing,
    /// A file or process could not be handled.
    #[error("cannot prepare the MariaDB server: {0}")]
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

impl std::fmt::Debug for MariaDbError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

/// A server of its own for one test, on 127.0.0.1, with one database and a user who may do everything. It
/// syncs nothing to disk, so commits outlive a crash of the server and not one of the machine. It stops, and
/// its files go, when it is dropped.
pub struct MariaDbServer {
    server: PathBuf,
    install: PathBuf,
    account: Option<Account>,
    port: u16,
    child: Option<Child>,
    folder: TempDir,
}

impl MariaDbServer {
    /// Creates and starts a server, and waits until it accepts connections.
    ///
    /// # Errors
    /// MariaDB is not installed, or does not start.
    pub fn start() -> Result<Self, MariaDbError> {
        let (server, install) = find_programs().ok_or(MariaDbError::Missing)?;
        let folder = tempfile::Builder::new()
            .prefix("kinfold-mariadb")
            .tempdir()?;
        // MariaDB refuses to run as root.
        let account = Account::for_folder(folder.path(), &["mysql"])?;
        let mut server = Self {
            server,
            install,
            account,
            port: 0,
            child: None,
            folder,
        };
        // Several servers would be in each other's way in the common one.
        for name in ["data", "tmp"] {
            let path = server.folder.path().join(name);
            fs::create_dir(&path)?;
            server.own(&path)?;
        }
        server.initialise()?;
        // The port is free when it is chosen, and may be taken when the server opens it.
        let mut attempts = 0;
        loop {
            attempts += 1;
            server.port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
            match server.spawn(&[]) {
                Err(MariaDbError::Failed { .. }) if attempts < 5 => {}
                result => return result.map(|()| server),
            }
        }
    }

    /// `mysql://…` with user and password, for the database `crm`.
    #[must_use]
    pub fn dsn(&self) -> String {
        self.dsn_as(USER, PASSWORD)
    }

    /// The same for another user.
    #[must_use]
    pub fn dsn_as(&self, user: &str, password: &str) -> String {
        format!(
            "mysql://{user}:{password}@127.0.0.1:{}/{DATABASE}",
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

    /// Hands a file in [`Self::folder`] to the account of the server.
    ///
    /// # Errors
    /// The file is not there or cannot be changed.
    pub fn own(&self, file: &Path) -> Result<(), MariaDbError> {
        if let Some(account) = self.account {
            account.own(file)?;
        }
        Ok(())
    }

    /// Stops the server at once, as a crash does. Does nothing if it is not running.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // An error means that it ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts a stopped server again, on the same port, with the same data and these options besides.
    ///
    /// # Errors
    /// It does not start.
    pub fn restart(&mut self, options: &[String]) -> Result<(), MariaDbError> {
        self.stop();
        self.spawn(options)
    }

    fn command(&self, program: &Path) -> Command {
        let folder =
            |option, name| format!("--{option}={}", self.folder.path().join(name).display());
        let mut command = Command::new(program);
        command
            .current_dir(self.folder.path())
            .arg("--no-defaults")
            .arg(folder("datadir", "data"))
            .arg(folder("tmpdir", "tmp"))
            .env("LC_ALL", "C")
            .stdin(Stdio::null());
        if let Some(account) = self.account {
            account.run(&mut command);
        }
        command
    }

    fn initialise(&self) -> Result<(), MariaDbError> {
        let output = self
            .command(&self.install)
            .args(["--skip-test-db", "--auth-root-authentication-method=normal"])
            .output()?;
        if output.status.success() {
            return Ok(());
        }
        Err(MariaDbError::Failed {
            program: "mariadb-install-db",
            output: String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(),
        })
    }

    fn spawn(&mut self, options: &[String]) -> Result<(), MariaDbError> {
        let log_path = self.folder.path().join("log");
        let log = fs::File::create(&log_path)?;
        // One line is one statement.
        let setup = self.folder.path().join("setup.sql");
        let statements = format!(
            "CREATE DATABASE IF NOT EXISTS {DATABASE} CHARACTER SET utf8mb4;\n\
             CREATE USER IF NOT EXISTS {USER}@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';\n\
             GRANT ALL ON *.* TO {USER}@'127.0.0.1' WITH GRANT OPTION;\n"
        );
        fs::write(&setup, statements)?;
        self.own(&setup)?;
        let child = self
            .command(&self.server)
            .arg(format!("--port={}", self.port))
            .arg("--bind-address=127.0.0.1")
            .arg("--skip-name-resolve")
            .arg(format!(
                "--socket={}",
                self.folder.path().join("socket").display()
            ))
            .arg(format!(
                "--pid-file={}",
                self.folder.path().join("pid").display()
            ))
            .arg(format!("--init-file={}", setup.display()))
            .args([
                "--innodb-buffer-pool-size=32M",
                "--innodb-log-file-size=16M",
            ])
            .args([
                "--innodb-flush-log-at-trx-commit=2",
                "--innodb-flush-method=nosync",
            ])
            .args(options)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        self.child = Some(child);
        let failed = || MariaDbError::Failed {
            program: "mariadbd",
            output: fs::read_to_string(&log_path).unwrap_or_default(),
        };
        let begun = Instant::now();
        loop {
            if let Some(child) = &mut self.child
                && child.try_wait()?.is_some()
            {
                self.child = None;
                return Err(failed());
            }
            // It opens the port when the database and the user are there, and greets first.
            if greets(self.port) {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                return Err(failed());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for MariaDbServer {
    fn drop(&mut self) {
        self.stop();
    }
}

fn greets(port: u16) -> bool {
    let greeting = || -> io::Result<u8> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let mut header = [0; 5];
        stream.read_exact(&mut header)?;
        Ok(header[4])
    };
    // The number of the protocol; an error would have 255 here.
    greeting().is_ok_and(|version| version == 10)
}

/// The server and what creates its files: in the folder that the variable names, on the search path, or where
/// Debian puts them.
fn find_programs() -> Option<(PathBuf, PathBuf)> {
    let folders: Vec<PathBuf> = match std::env::var_os(BIN_VARIABLE) {
        Some(folder) => vec![folder.into()],
        None => std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
            .chain(["/usr/sbin".into(), "/usr/bin".into()])
            .collect(),
    };
    let find = |program: &str| {
        folders
            .iter()
            .map(|folder| folder.join(program))
            .find(|program| program.is_file())
    };
    Some((find("mariadbd")?, find("mariadb-install-db")?))
}
