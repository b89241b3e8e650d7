//! Putting one file: written under another name, and renamed when it is whole.

use std::sync::atomic::{AtomicBool, Ordering};

use futures::stream::{FuturesUnordered, StreamExt};
use russh_sftp::protocol::{FileAttributes, OpenFlags};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::session::Session;
use super::{SftpError, SftpOptions, exists, join};

/// Most writes that wait for their answers: 1 MiB on the way, or the distance would limit the speed.
const WRITES: usize = 32;
/// Most tries to rename a file where others may be doing the same.
const RENAMES: usize = 32;
const TEMPORARY: &str = ".part";

/// Whether a name is that of a file that is being put, or whose putting was interrupted.
pub(super) fn is_temporary(name: &str) -> bool {
    name.starts_with('.') && name.ends_with(TEMPORARY)
}

/// One file to be put.
pub(super) struct Upload {
    path: String,
    temporary: String,
    replace_by_removing: bool,
    /// The file is whole, and the server was asked to give it its name.
    renaming: AtomicBool,
}

impl Upload {
    pub(super) fn of(options: &SftpOptions, path: &str) -> Result<Self, SftpError> {
        let path = join(&options.folder, path)?;
        let (folder, name) = split(&path);
        let random: u64 = rand::random();
        Ok(Self {
            temporary: format!("{folder}.{name}.{random:016x}{TEMPORARY}"),
            replace_by_removing: options.replace_by_removing,
            renaming: AtomicBool::new(false),
            path,
        })
    }

    pub(super) async fn run(
        &self,
        session: &Session,
        reader: &mut (dyn AsyncRead + Send + Unpin),
    ) -> Result<(), SftpError> {
        let handle = self.create(session).await?;
        let written = self.write(session, &handle, reader).await;
        if let Err(error @ (SftpError::ConnectionLost { .. } | SftpError::TimedOut { .. })) =
            written
        {
            return Err(error);
        }
        let closed = session
            .ask(&self.path, session.raw.close(handle.as_str()))
            .await;
        let done = match written.and(closed.map(|_| ())) {
            Ok(()) => self.rename(session).await,
            Err(error) => Err(error),
        };
        match done {
            Err(SftpError::ConnectionLost { .. } | SftpError::TimedOut { .. }) | Ok(()) => {}
            Err(_) => self.sweep(session).await,
        }
        done
    }

    /// Whether the file got its name although the answer to that was lost.
    pub(super) async fn was_renamed(&self, session: &Session) -> Result<bool, SftpError> {
        Ok(self.renaming.load(Ordering::Relaxed) && !exists(session, &self.temporary).await?)
    }

    /// Removes what an interrupted attempt has left, as far as that is possible.
    pub(super) async fn sweep(&self, session: &Session) {
        if !session.is_closed() {
            let removal = session.raw.remove(self.temporary.as_str());
            let _ = session.ask(&self.temporary, removal).await;
        }
    }

    /// Opens the temporary file, and makes the folders that it needs.
    async fn create(&self, session: &Session) -> Result<String, SftpError> {
        let open = || {
            let flags = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::EXCLUDE;
            let file = self.temporary.as_str();
            session.raw.open(file, flags, FileAttributes::empty())
        };
        let opened = match session.ask(&self.path, open()).await {
            Err(SftpError::NotFound { .. }) => {
                self.make_folders(session).await?;
                session.ask(&self.path, open()).await
            }
            opened => opened,
        };
        match opened {
            Ok(handle) => Ok(handle.handle),
            Err(error) => Err(session.why_not_written(error, self.folder()).await),
        }
    }

    async fn make_folders(&self, session: &Session) -> Result<(), SftpError> {
        let ends = self.path.match_indices('/').map(|(at, _)| at);
        for end in ends.filter(|end| *end > 0) {
            let folder = self.path.get(..end).unwrap_or_default();
            if exists(session, folder).await? {
                continue;
            }
            let made = session.raw.mkdir(folder, FileAttributes::empty());
            if let Err(error) = session.ask(folder, made).await {
                // Somebody else may have made it meanwhile.
                if error.is_lost() || !exists(session, folder).await? {
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    async fn write(
        &self,
        session: &Session,
        handle: &str,
        reader: &mut (dyn AsyncRead + Send + Unpin),
    ) -> Result<(), SftpError> {
        let mut writes = FuturesUnordered::new();
        let mut offset = 0_u64;
        let mut ended = false;
        let written = loop {
            while !ended && writes.len() < WRITES {
                let mut chunk = Vec::with_capacity(session.chunk);
                let mut part = (&mut *reader).take(session.chunk as u64);
                while chunk.len() < session.chunk {
                    let read = part.read_buf(&mut chunk).await;
                    if read.map_err(SftpError::Source)? == 0 {
                        ended = true;
                        break;
                    }
                }
                if !chunk.is_empty() {
                    let at = offset;
                    offset += chunk.len() as u64;
                    writes.push(session.raw.write(handle, at, chunk));
                }
            }
            match session.ask(&self.path, next(&mut writes)).await {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        drop(writes);
        if let Err(error) = written {
            return Err(session.why_not_written(error, self.folder()).await);
        }
        if session.syncs {
            session.ask(&self.path, session.raw.fsync(handle)).await?;
        }
        Ok(())
    }

    async fn rename(&self, session: &Session) -> Result<(), SftpError> {
        let (from, to) = (self.temporary.as_str(), self.path.as_str());
        self.renaming.store(true, Ordering::Relaxed);
        if session.replaces {
            return session.replace(from, to).await;
        }
        let mut failure = SftpError::Failed {
            path: to.to_owned(),
        };
        for _ in 0..RENAMES {
            failure = match session.ask(to, session.raw.rename(from, to)).await {
                Ok(_) => return Ok(()),
                Err(error @ SftpError::Failed { .. }) => error,
                Err(error) => return Err(error),
            };
            // If there is no file, somebody who puts the same one may just have removed it.
            if exists(session, to).await? {
                if !self.replace_by_removing {
                    return Err(SftpError::Exists {
                        path: to.to_owned(),
                    });
                }
                match session.ask(to, session.raw.remove(to)).await {
                    Ok(_) | Err(SftpError::NotFound { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Err(failure)
    }

    fn folder(&self) -> &str {
        match split(&self.path).0 {
            "" => ".",
            "/" => "/",
            folder => folder.trim_end_matches('/'),
        }
    }
}

/// The folder with its slash, and the name.
fn split(path: &str) -> (&str, &str) {
    let at = path.rfind('/').map_or(0, |at| at + 1);
    path.split_at(at)
}

/// Awaits the answer to one write; false if there is none to wait for.
async fn next<F>(writes: &mut FuturesUnordered<F>) -> Result<bool, russh_sftp::client::error::Error>
where
    F: Future<Output = Result<russh_sftp::protocol::Status, russh_sftp::client::error::Error>>,
{
    match writes.next().await {
        Some(written) => written.map(|_| true),
        None => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_temporary_name_is_beside_the_file_and_different_each_time() {
        let options = SftpOptions {
            folder: "/in".to_owned(),
            ..SftpOptions::new("a")
        };
        let names =
            ["b/c.csv", "c.csv"].map(|path| Upload::of(&options, path).map(|u| u.temporary));
        for (name, start) in names.iter().zip(["/in/b/.c.csv.", "/in/.c.csv."]) {
            let name = name.as_deref().unwrap_or_default();
            assert!(
                name.starts_with(start) && is_temporary(split(name).1),
                "{name}"
            );
        }
        let again = Upload::of(&options, "c.csv").map(|upload| upload.temporary);
        assert!(again.is_ok() && again.ok() != names[1].as_ref().ok().cloned());
    }
}
