//! A private SSH server, and a wire to it that can be cut.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// Names the server's program when it is not where it usually is.
pub const SSHD_VARIABLE: &str = "KINFOLD_TEST_SSHD";

const PATIENCE: Duration = Duration::from_secs(30);

/// Why there is no server. `Debug` is the sentence too, since it is what a failing test prints.
#[derive(thiserror::Error)]
pub enum SshError {
    /// The program is not there.
    #[error(
        "OpenSSH's server is not installed: run `apt-get update && apt-get install -y openssh-server`, or set `{SSHD_VARIABLE}` to the path of `sshd`"
    )]
    Missing,
    /// A file or process could not be handled.
    #[error("cannot prepare the SSH server: {0}")]
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

impl std::fmt::Debug for SshError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

/// A server of its own for one test, on 127.0.0.1, with keys of its own for host and user and with SFTP only.
/// It stops, and its files go, when it is dropped.
pub struct SshServer {
    child: Child,
    port: u16,
    folder: TempDir,
}

impl SshServer {
    /// Starts a server that lets the user of this process in, and waits until it listens.
    ///
    /// # Errors
    /// OpenSSH's server is not installed, or does not start.
    pub fn start() -> Result<Self, SshError> {
        Self::with("internal-sftp")
    }

    /// The same without these requests of SFTP, separated by commas: the server then says that it has not got
    /// them.
    ///
    /// # Errors
    /// OpenSSH's server is not installed, or does not start.
    pub fn without(requests: &str) -> Result<Self, SshError> {
        Self::with(&format!("internal-sftp -P {requests}"))
    }

    /// The same, and nothing can be written.
    ///
    /// # Errors
    /// OpenSSH's server is not installed, or does not start.
    pub fn read_only() -> Result<Self, SshError> {
        Self::with("internal-sftp -R")
    }

    fn with(sftp: &str) -> Result<Self, SshError> {
        let sshd = find_program().ok_or(SshError::Missing)?;
        let folder = tempfile::Builder::new().prefix("kinfold-ssh").tempdir()?;
        // Without this folder a server that is started by root does not start.
        if fs::metadata(folder.path())?.uid() == 0 {
            fs::create_dir_all("/run/sshd")?;
        }
        for name in ["host", "user", "other_host", "other_user"] {
            new_key(&folder.path().join(name))?;
        }
        let file = |name: &str| folder.path().join(name);
        fs::copy(file("user.pub"), file("authorized_keys"))?;
        for name in ["host", "other_host"] {
            let key = fs::read_to_string(file(&format!("{name}.pub")))?;
            fs::write(
                file(&format!("known_{name}")),
                format!("kinfold-test {key}"),
            )?;
        }
        fs::create_dir(file("files"))?;
        let mut attempts = 0;
        loop {
            attempts += 1;
            match Self::launch(&sshd, folder.path(), sftp) {
                // The port is free when it is chosen, and may be taken when the server opens it.
                Err(SshError::Failed { .. }) if attempts < 5 => {}
                Err(error) => return Err(error),
                Ok((child, port)) => {
                    return Ok(Self {
                        child,
                        port,
                        folder,
                    });
                }
            }
        }
    }

    fn launch(sshd: &Path, folder: &Path, sftp: &str) -> Result<(Child, u16), SshError> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
            .local_addr()?
            .port();
        let file = |name: &str| folder.join(name).display().to_string();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nPidFile none\nHostKey {}\nAuthorizedKeysFile {}\n\
             StrictModes no\nUsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\n\
             KbdInteractiveAuthentication no\nMaxStartups 200\nLogLevel ERROR\nSubsystem sftp {sftp}\n",
            file("host"),
            file("authorized_keys"),
        );
        fs::write(folder.join("sshd_config"), config)?;
        let log_path = folder.join("log");
        let mut child = Command::new(sshd)
            .args(["-D", "-e", "-f"])
            .arg(folder.join("sshd_config"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log_path)?)
            .spawn()?;
        let begun = Instant::now();
        loop {
            if child.try_wait()?.is_some() || begun.elapsed() > PATIENCE {
                let _ = child.kill();
                let _ = child.wait();
                return Err(SshError::Failed {
                    program: "sshd",
                    output: fs::read_to_string(&log_path).unwrap_or_default(),
                });
            }
            if std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
                return Ok((child, port));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A folder for the files of the test, which is empty at first.
    #[must_use]
    pub fn files(&self) -> PathBuf {
        self.folder.path().join("files")
    }

    /// Arguments for a client that knows the server and has the right key.
    ///
    /// # Errors
    /// The client's configuration cannot be written.
    pub fn client(&self) -> io::Result<Vec<OsString>> {
        self.client_with("known_host", "user")
    }

    /// Arguments for a client that knows another key of the server.
    ///
    /// # Errors
    /// The client's configuration cannot be written.
    pub fn misled_client(&self) -> io::Result<Vec<OsString>> {
        self.client_with("known_other_host", "user")
    }

    /// Arguments for a client that knows no server.
    ///
    /// # Errors
    /// The client's configuration cannot be written.
    pub fn new_client(&self) -> io::Result<Vec<OsString>> {
        self.client_with("known_nobody", "user")
    }

    /// Arguments for a client whose key the server does not accept.
    ///
    /// # Errors
    /// The client's configuration cannot be written.
    pub fn strange_client(&self) -> io::Result<Vec<OsString>> {
        self.client_with("known_host", "other_user")
    }

    fn client_with(&self, known: &str, key: &str) -> io::Result<Vec<OsString>> {
        let path = self.folder.path().join(format!("config_{known}_{key}"));
        let file = |name: &str| self.folder.path().join(name).display().to_string();
        let config = format!(
            "Host *\n  HostKeyAlias kinfold-test\n  UserKnownHostsFile {}\n  GlobalKnownHostsFile /dev/null\n  \
             IdentityFile {}\n  IdentitiesOnly yes\n  IdentityAgent none\n",
            file(known),
            file(key),
        );
        fs::write(&path, config)?;
        Ok(vec!["-F".into(), path.into()])
    }
}

impl Drop for SshServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program: the variable, where Debian puts it, or the search path.
fn find_program() -> Option<PathBuf> {
    if let Some(program) = std::env::var_os(SSHD_VARIABLE).map(PathBuf::from) {
        return Some(program).filter(|program| program.is_file());
    }
    let path: OsString = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join("sshd"));
    // It must be called by its full path.
    std::iter::once(PathBuf::from("/usr/sbin/sshd"))
        .chain(on_path.filter(|program| program.is_absolute()))
        .find(|program| program.is_file())
}

fn new_key(path: &Path) -> Result<(), SshError> {
    let output = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f"])
        .arg(path)
        .stdin(Stdio::null())
        .output()
        .map_err(|_| SshError::Missing)?;
    if output.status.success() {
        return Ok(());
    }
    Err(SshError::Failed {
        program: "ssh-keygen",
        output: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// A port of 127.0.0.1 that leads to another one, and counts connections. It can cut the first ones.
pub struct Wire {
    address: SocketAddr,
    connections: Arc<AtomicU64>,
    carried: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Wire {
    /// A wire to a port. The first connections are cut once so many bytes went through towards the port, in
    /// this order; all further ones last.
    ///
    /// # Errors
    /// No port can be opened.
    pub async fn to(port: u16, cuts: impl IntoIterator<Item = u64>) -> io::Result<Self> {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let connections = Arc::new(AtomicU64::new(0));
        let carried = Arc::new(AtomicU64::new(0));
        let counters = (Arc::clone(&connections), Arc::clone(&carried));
        let mut cuts: Vec<u64> = cuts.into_iter().collect();
        cuts.reverse();
        let task = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                counters.0.fetch_add(1, Ordering::SeqCst);
                let cut = cuts.pop().unwrap_or(u64::MAX);
                tokio::spawn(carry(near, port, cut, Arc::clone(&counters.1)));
            }
        });
        Ok(Self {
            address,
            connections,
            carried,
            task,
        })
    }

    /// The port to connect to.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// How many bytes went towards the port.
    #[must_use]
    pub fn carried(&self) -> u64 {
        self.carried.load(Ordering::SeqCst)
    }

    /// How many connections there were.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(near: TcpStream, port: u16, cut: u64, carried: Arc<AtomicU64>) {
    let Ok(far) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else {
        return;
    };
    let (mut near_in, mut near_out) = near.into_split();
    let (mut far_in, mut far_out) = far.into_split();
    let towards = async {
        let mut left = cut;
        let mut buffer = vec![0; 16 << 10];
        while left > 0 {
            let Ok(read @ 1..) = near_in.read(&mut buffer).await else {
                break;
            };
            let sent = read.min(usize::try_from(left).unwrap_or(usize::MAX));
            let part = buffer.get(..sent).unwrap_or_default();
            if far_out.write_all(part).await.is_err() {
                break;
            }
            left -= sent as u64;
            carried.fetch_add(sent as u64, Ordering::SeqCst);
        }
    };
    // Whichever side ends first, both connections are closed.
    tokio::select! {
        () = towards => {}
        _ = tokio::io::copy(&mut far_in, &mut near_out) => {}
    }
}
