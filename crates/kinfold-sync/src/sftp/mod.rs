//! Whole files on an SFTP server.
//!
//! The user's own OpenSSH client makes the connection, so that keys, agent, `known_hosts`, jump hosts and
//! configuration work as they do for the user, and no credentials pass through here.

mod error;
mod options;
mod session;
mod upload;

use std::fmt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use russh_sftp::client::error::Error as ClientError;
use russh_sftp::protocol::{FileAttributes, OpenFlags, StatusCode};
use tokio::io::AsyncRead;
use tokio::sync::Mutex;

pub use error::SftpError;
pub use options::SftpOptions;
use session::Session;
use upload::{Upload, is_temporary};

/// A file or folder on an SFTP server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SftpEntry {
    /// Its name, without the folder's.
    pub name: String,
    /// In bytes, if the server says so.
    pub size: Option<u64>,
    /// Whether it is a folder.
    pub is_folder: bool,
}

/// A folder on an SFTP server, and the files below it. Paths are relative to the folder, with slashes. The
/// connection is opened when it is needed first, shared by all operations, and opened again when it was lost.
pub struct SftpFolder {
    options: SftpOptions,
    session: Mutex<Option<Arc<Session>>>,
}

impl fmt::Debug for SftpFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SftpFolder")
            .field("address", &self.options.address())
            .field("folder", &self.options.folder)
            .finish_non_exhaustive()
    }
}

impl SftpFolder {
    /// A folder. Opens no connection, and the folder need not exist.
    ///
    /// # Errors
    /// An option is not valid.
    pub fn new(options: SftpOptions) -> Result<Self, SftpError> {
        Ok(Self {
            options: options.validated()?,
            session: Mutex::default(),
        })
    }

    /// Host and port, for messages.
    #[must_use]
    pub fn address(&self) -> String {
        self.options.address()
    }

    /// Makes these bytes the file of this name, in place of one that has it. Missing folders are made. The
    /// file is there as a whole or not at all, and on the server's disk if the server can do so. After a lost
    /// connection it tries once more.
    ///
    /// # Errors
    /// The file could not be put. After [`SftpError::ConnectionLost`] and [`SftpError::TimedOut`] it may be
    /// there all the same.
    pub async fn put(&self, path: &str, bytes: Bytes) -> Result<(), SftpError> {
        let upload = Upload::of(&self.options, path)?;
        let session = self.connected().await?;
        match upload.run(&session, &mut bytes.as_ref()).await {
            Err(error) if error.is_lost() => {
                let session = self.reconnected(&session).await?;
                if upload.was_renamed(&session).await? {
                    return Ok(());
                }
                upload.sweep(&session).await;
                // Under another temporary name: the server may not have seen yet that the first try is over.
                let upload = Upload::of(&self.options, path)?;
                let done = upload.run(&session, &mut bytes.as_ref()).await;
                self.judged(&session, done).await
            }
            done => self.judged(&session, done).await,
        }
    }

    /// The same for what a reader yields. Since it cannot be read twice, there is no second try.
    ///
    /// # Errors
    /// As for [`Self::put`], and [`SftpError::Source`] if the reader fails.
    pub async fn put_from(
        &self,
        path: &str,
        reader: &mut (dyn AsyncRead + Send + Unpin),
    ) -> Result<(), SftpError> {
        let upload = Upload::of(&self.options, path)?;
        let session = self.connected().await?;
        let done = upload.run(&session, reader).await;
        self.judged(&session, done).await
    }

    /// The files and folders in a folder; the empty path is the folder itself. Files that are still being
    /// put are left out.
    ///
    /// # Errors
    /// There is no such folder, or it cannot be read.
    pub async fn list(&self, path: &str) -> Result<Vec<SftpEntry>, SftpError> {
        let path = match path {
            "" if self.options.folder.is_empty() => ".".to_owned(),
            "" => self.options.folder.clone(),
            path => join(&self.options.folder, path)?,
        };
        self.twice(|session| {
            let path = path.clone();
            Box::pin(async move { list(session, &path).await })
        })
        .await
    }

    /// The bytes of a file, which must be no more than `limit`.
    ///
    /// # Errors
    /// There is no such file, it is longer, or it cannot be read.
    pub async fn read(&self, path: &str, limit: usize) -> Result<Bytes, SftpError> {
        let path = join(&self.options.folder, path)?;
        self.twice(|session| {
            let path = path.clone();
            Box::pin(async move { read(session, &path, limit).await })
        })
        .await
    }

    /// Removes a file. That there is none is fine.
    ///
    /// # Errors
    /// It cannot be removed.
    pub async fn remove(&self, path: &str) -> Result<(), SftpError> {
        let path = join(&self.options.folder, path)?;
        self.twice(|session| {
            let path = path.clone();
            Box::pin(async move {
                match session.ask(&path, session.raw.remove(&path)).await {
                    Ok(_) | Err(SftpError::NotFound { .. }) => Ok(()),
                    Err(error) => Err(error),
                }
            })
        })
        .await
    }

    /// Whether there is a file or folder of this name.
    ///
    /// # Errors
    /// The server does not say.
    pub async fn exists(&self, path: &str) -> Result<bool, SftpError> {
        let path = join(&self.options.folder, path)?;
        self.twice(|session| {
            let path = path.clone();
            Box::pin(async move { exists(session, &path).await })
        })
        .await
    }

    /// Does what may be done twice, again if the connection was lost.
    async fn twice<T: Send>(
        &self,
        work: impl for<'s> Fn(&'s Session) -> BoxFuture<'s, Result<T, SftpError>> + Send + Sync,
    ) -> Result<T, SftpError> {
        let session = self.connected().await?;
        match work(&session).await {
            Err(error) if error.is_lost() => {
                let session = self.reconnected(&session).await?;
                let done = work(&session).await;
                self.judged(&session, done).await
            }
            done => self.judged(&session, done).await,
        }
    }

    /// The connection, opened if there is none.
    async fn connected(&self) -> Result<Arc<Session>, SftpError> {
        let mut slot = self.session.lock().await;
        if let Some(session) = slot.as_ref().filter(|session| !session.is_closed()) {
            return Ok(Arc::clone(session));
        }
        let session = Arc::new(Session::open(&self.options).await?);
        *slot = Some(Arc::clone(&session));
        Ok(session)
    }

    /// Another connection than this one.
    async fn reconnected(&self, lost: &Arc<Session>) -> Result<Arc<Session>, SftpError> {
        self.forget(lost).await;
        self.connected().await
    }

    /// Does not use a connection again that has not answered.
    async fn judged<T>(
        &self,
        session: &Arc<Session>,
        done: Result<T, SftpError>,
    ) -> Result<T, SftpError> {
        if let Err(SftpError::ConnectionLost { .. } | SftpError::TimedOut { .. }) = done {
            self.forget(session).await;
        }
        done
    }

    async fn forget(&self, lost: &Arc<Session>) {
        let mut slot = self.session.lock().await;
        if slot.as_ref().is_some_and(|known| Arc::ptr_eq(known, lost)) {
            *slot = None;
        }
    }
}

/// The path at the server of a path below the folder.
fn join(folder: &str, path: &str) -> Result<String, SftpError> {
    let invalid = |reason| SftpError::Path {
        path: path.chars().filter(|c| !c.is_control()).collect(),
        reason,
    };
    if path.chars().any(char::is_control) {
        return Err(invalid("it holds control characters"));
    }
    if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(invalid("it must be without empty parts, `.` and `..`"));
    }
    Ok(match folder.trim_end_matches('/') {
        "" if folder.is_empty() => path.to_owned(),
        folder => format!("{folder}/{path}"),
    })
}

async fn exists(session: &Session, path: &str) -> Result<bool, SftpError> {
    match session.ask(path, session.raw.stat(path)).await {
        Ok(_) => Ok(true),
        Err(SftpError::NotFound { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The end of a file or list is no failure.
fn unless_ended<T>(answer: Result<T, ClientError>) -> Result<Option<T>, ClientError> {
    match answer {
        Err(ClientError::Status(status)) if status.status_code == StatusCode::Eof => Ok(None),
        answer => answer.map(Some),
    }
}

async fn list(session: &Session, path: &str) -> Result<Vec<SftpEntry>, SftpError> {
    let handle = session.ask(path, session.raw.opendir(path)).await?.handle;
    let mut entries = Vec::new();
    loop {
        let page = async { unless_ended(session.raw.readdir(handle.as_str()).await) };
        let Some(page) = session.ask(path, page).await? else {
            break;
        };
        let named = page.files.into_iter();
        let named = named.filter(|file| !matches!(file.filename.as_str(), "." | ".."));
        entries.extend(
            named
                .filter(|file| !is_temporary(&file.filename))
                .map(|file| SftpEntry {
                    size: file.attrs.size,
                    is_folder: file.attrs.file_type().is_dir(),
                    name: file.filename,
                }),
        );
    }
    session
        .ask(path, session.raw.close(handle.as_str()))
        .await?;
    entries.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(entries)
}

async fn read(session: &Session, path: &str, limit: usize) -> Result<Bytes, SftpError> {
    let opened = session
        .raw
        .open(path, OpenFlags::READ, FileAttributes::empty());
    let handle = session.ask(path, opened).await?.handle;
    let length = u32::try_from(session.chunk).unwrap_or(u32::MAX);
    let mut bytes = BytesMut::new();
    loop {
        let offset = bytes.len() as u64;
        let page = async { unless_ended(session.raw.read(handle.as_str(), offset, length).await) };
        let Some(page) = session.ask(path, page).await? else {
            break;
        };
        if bytes.len() + page.data.len() > limit {
            // The answer to this is of no interest.
            let _ = session.ask(path, session.raw.close(handle.as_str())).await;
            return Err(SftpError::TooLong {
                path: path.to_owned(),
                limit,
            });
        }
        bytes.extend_from_slice(&page.data);
    }
    session
        .ask(path, session.raw.close(handle.as_str()))
        .await?;
    Ok(bytes.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_below_the_folder() {
        let joined = |folder, path| join(folder, path).ok();
        assert_eq!(joined("/in", "a/b.csv").as_deref(), Some("/in/a/b.csv"));
        assert_eq!(joined("/", "a").as_deref(), Some("/a"));
        assert_eq!(joined("", "a").as_deref(), Some("a"));
        assert_eq!(joined("in/", "a").as_deref(), Some("in/a"));
        for path in ["", "/etc/x", "../x", "a/../../x", "a//b", "a/.", "a\nb"] {
            assert_eq!(joined("/in", path), None, "{path:?}");
        }
    }
}
