//! One connection: the SSH client as a child process, and SFTP over its pipes.

use std::future::Future;
use std::process::Stdio;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use russh_sftp::client::error::Error as ClientError;
use russh_sftp::client::{Config, RawSftpSession};
use russh_sftp::extensions::{FSYNC, LIMITS, STATVFS, Statvfs};
use russh_sftp::protocol::{Packet, Status, StatusCode};
use tokio::io::{AsyncReadExt, join};
use tokio::process::{Child, ChildStderr, Command};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::error::of_client;
use super::{SftpError, SftpOptions};

const POSIX_RENAME: &str = "posix-rename@openssh.com";
/// So much of what the client prints is looked at.
const MAX_WORDS: u64 = 16 << 10;
/// Bytes of a read or write that every server takes.
const CHUNK: usize = 32 << 10;

/// A connection that can be used. It ends when dropped.
pub(super) struct Session {
    pub(super) raw: RawSftpSession,
    address: String,
    /// The client has ended.
    closed: CancellationToken,
    /// The server can replace a file at once.
    pub(super) replaces: bool,
    /// The server can be told to bring a file to its disk.
    pub(super) syncs: bool,
    /// The server tells how much space it has.
    tells_space: bool,
    /// Most bytes of one read or write.
    pub(super) chunk: usize,
    _kill: DropGuard,
}

impl Session {
    pub(super) async fn open(options: &SftpOptions) -> Result<Self, SftpError> {
        let address = options.address();
        let mut child = Command::new(&options.program)
            .args(options.command_line())
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|_| SftpError::ProgramMissing {
                program: options.program.display().to_string(),
            })?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = pipes else {
            return Err(SftpError::ConnectionLost { address });
        };
        let closed = CancellationToken::new();
        let kill = CancellationToken::new();
        let words = Arc::new(OnceLock::new());
        tokio::spawn(watch(
            child,
            stderr,
            Arc::clone(&words),
            closed.clone(),
            kill.clone(),
        ));
        let config = Config {
            // The time limit below comes first.
            request_timeout_secs: options.connect_timeout.as_secs().saturating_add(1),
            ..Config::default()
        };
        let raw = RawSftpSession::new_with_config(join(stdout, stdin), config);
        let kill = kill.drop_guard();
        let ready = tokio::time::timeout(options.connect_timeout, async {
            tokio::select! {
                biased;
                version = raw.init() => version.ok(),
                () = closed.cancelled() => None,
            }
        });
        let version = match ready.await {
            Ok(Some(version)) => version,
            Ok(None) => {
                // The client says why when it ends, which it does now that nobody listens to it.
                drop(raw);
                let _ = tokio::time::timeout(Duration::from_secs(5), closed.cancelled()).await;
                let words = words.get().map_or("", String::as_str);
                return Err(of_client(words, false, &address));
            }
            Err(_) => {
                return Err(SftpError::Unreachable {
                    address,
                    reason: "timed out",
                });
            }
        };
        raw.set_timeout(options.timeout.as_secs().max(1));
        let has = |name: &str| version.extensions.contains_key(name);
        let mut chunk = CHUNK;
        if has(LIMITS)
            && let Ok(limits) = raw.limits().await
        {
            let most = [limits.max_read_len, limits.max_write_len].into_iter();
            for limit in most.filter(|limit| *limit > 0) {
                chunk = chunk.min(usize::try_from(limit).unwrap_or(usize::MAX));
            }
        }
        Ok(Self {
            raw,
            address,
            closed,
            replaces: has(POSIX_RENAME),
            syncs: has(FSYNC),
            tells_space: has(STATVFS),
            chunk,
            _kill: kill,
        })
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.is_cancelled()
    }

    fn lost(&self) -> SftpError {
        SftpError::ConnectionLost {
            address: self.address.clone(),
        }
    }

    /// Awaits an answer about `path`, or the end of the connection.
    pub(super) async fn ask<T>(
        &self,
        path: &str,
        request: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, SftpError> {
        let answer = tokio::select! {
            biased;
            answer = request => answer,
            () = self.closed.cancelled() => return Err(self.lost()),
        };
        answer.map_err(|error| self.failure(&error, path))
    }

    fn failure(&self, error: &ClientError, path: &str) -> SftpError {
        let path = path.to_owned();
        match error {
            ClientError::Status(status) => match status.status_code {
                StatusCode::NoSuchFile => SftpError::NotFound { path },
                StatusCode::PermissionDenied => SftpError::Denied { path },
                StatusCode::NoConnection | StatusCode::ConnectionLost => self.lost(),
                _ => SftpError::Failed { path },
            },
            ClientError::Timeout => SftpError::TimedOut {
                address: self.address.clone(),
            },
            // The other end is gone, or talks nonsense; either way the connection is of no use.
            _ => self.lost(),
        }
    }

    /// Gives a file another name, in place of a file that has it. Only if [`Self::replaces`].
    pub(super) async fn replace(&self, from: &str, to: &str) -> Result<(), SftpError> {
        let request = [from, to].iter().fold(Vec::new(), |mut request, text| {
            let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
            request.extend_from_slice(&length.to_be_bytes());
            request.extend_from_slice(text.as_bytes());
            request
        });
        let packet = self
            .ask(to, self.raw.extended(POSIX_RENAME, request))
            .await?;
        match packet {
            Packet::Status(Status {
                status_code: StatusCode::Ok,
                ..
            }) => Ok(()),
            Packet::Status(status) => Err(self.failure(&ClientError::Status(status), to)),
            _ => Err(self.lost()),
        }
    }

    /// A failure to write into `folder` for no told reason: perhaps there is no space.
    pub(super) async fn why_not_written(&self, error: SftpError, folder: &str) -> SftpError {
        let SftpError::Failed { path } = error else {
            return error;
        };
        if self.tells_space
            && let Ok(space) = self.ask(folder, self.raw.statvfs(folder)).await
            && is_full(&space, self.chunk)
        {
            return SftpError::NoSpace { path };
        }
        SftpError::Failed { path }
    }
}

/// Whether so many bytes, or one more file, have no place.
fn is_full(space: &Statvfs, bytes: usize) -> bool {
    let left = space.blocks_avail.saturating_mul(space.fragment_size);
    // Some file systems do not count files.
    left < bytes as u64 || (space.inodes > 0 && space.inodes_avail == 0)
}

/// Waits for the end of the client, and keeps what it said.
async fn watch(
    mut child: Child,
    stderr: ChildStderr,
    words: Arc<OnceLock<String>>,
    closed: CancellationToken,
    kill: CancellationToken,
) {
    let mut said = Vec::new();
    let mut head = stderr.take(MAX_WORDS);
    tokio::select! {
        biased;
        () = kill.cancelled() => {
            let _ = child.kill().await;
        }
        _ = async {
            let _ = head.read_to_end(&mut said).await;
            // The client must not wait for somebody to read the rest.
            let _ = tokio::io::copy(&mut head.into_inner(), &mut tokio::io::sink()).await;
        } => {
            let _ = tokio::select! {
                ended = child.wait() => ended.map(|_| ()),
                () = kill.cancelled() => child.kill().await,
            };
        }
    }
    let _ = words.set(String::from_utf8_lossy(&said).into_owned());
    closed.cancel();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_without_room_for_a_write_or_a_file_is_full() {
        let space = |blocks_avail, inodes, inodes_avail| Statvfs {
            block_size: 4096,
            fragment_size: 4096,
            blocks: 1_000,
            blocks_free: blocks_avail,
            blocks_avail,
            inodes,
            inodes_free: inodes_avail,
            inodes_avail,
            fs_id: 1,
            flags: 0,
            name_max: 255,
        };
        assert!(is_full(&space(0, 100, 50), CHUNK));
        assert!(is_full(&space(7, 100, 50), CHUNK));
        assert!(!is_full(&space(8, 100, 50), CHUNK));
        assert!(is_full(&space(900, 100, 0), CHUNK));
        assert!(!is_full(&space(900, 0, 0), CHUNK));
    }
}
