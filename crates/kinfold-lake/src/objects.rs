//! Small objects below `_kinfold/`: whole-object reads and writes, and a conditional swap.
//!
//! Object stores swap by entity tag (`If-Match`). A folder has no such thing, so there the swap is
//! compare, write to a new file, `fsync`, rename, all under a lock of the operating system on
//! `_kinfold/lock`. The lock ends with the process that holds it.

use std::io::Write as _;
use std::ops::Range;
use std::path::{Path as FilePath, PathBuf};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::TryStreamExt as _;
use object_store::path::Path;
use object_store::{
    Error as StoreError, GetOptions, GetRange, ObjectStoreExt as _, PutMode, PutOptions,
    PutPayload, UpdateVersion,
};

use crate::location::{given_name, join, stored_path};
use crate::{Lake, LakeError};

/// Largest small object that is read into memory, 256 MiB.
const MAX_OBJECT_BYTES: u64 = 256 << 20;

/// An entry of [`Lake::list`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectEntry {
    /// Name below `_kinfold/`, as given to [`Lake::put`].
    pub name: String,
    /// Size in bytes.
    pub bytes: u64,
    /// When it was last written, by the store's clock.
    pub modified: DateTime<Utc>,
}

/// Identity of the content of an object at the moment it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tag {
    /// What an object store wants back in `If-Match`.
    Stored {
        etag: Option<String>,
        version: Option<String>,
    },
    /// The content itself: objects that are swapped are small and carry a unique id.
    Content(Bytes),
}

pub(crate) fn object_path(name: &str) -> Result<Path, LakeError> {
    Ok(join(&Path::from("_kinfold"), &stored_path(name)?))
}

/// What an object was when it was read: the proof that a swap needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectTag(Tag);

impl Lake {
    /// Reads an object below `_kinfold/` that is replaced as a whole; `None` if there is none.
    ///
    /// # Errors
    /// As [`Lake::get`].
    pub async fn read_for_swap(&self, name: &str) -> Result<Option<(Bytes, ObjectTag)>, LakeError> {
        let found = self.read_tagged(&object_path(name)?).await?;
        Ok(found.map(|(bytes, tag)| (bytes, ObjectTag(tag))))
    }

    /// Replaces an object if nobody else has since `expected` was read; `expected` is `None` for the
    /// first. Two contents must never be equal: a store without tags tells them by their bytes.
    ///
    /// # Errors
    /// [`LakeError::Conflict`] if somebody else has, else as [`Lake::put`].
    pub async fn swap(
        &self,
        name: &str,
        expected: Option<&ObjectTag>,
        bytes: Bytes,
    ) -> Result<ObjectTag, LakeError> {
        self.ensure_format().await?;
        let expected = expected.map(|tag| &tag.0);
        let tag = self
            .swap_tagged(&object_path(name)?, expected, bytes)
            .await?;
        Ok(ObjectTag(tag))
    }

    /// Writes an object below `_kinfold/`, replacing what was there. `name` is a path such as
    /// `sync/crm/plan-7.json`.
    ///
    /// # Errors
    /// [`LakeError::Name`], [`LakeError::Storage`], [`LakeError::File`], [`LakeError::NewerFormat`].
    pub async fn put(&self, name: &str, bytes: Bytes) -> Result<(), LakeError> {
        self.ensure_format().await?;
        self.write_object(&object_path(name)?, bytes, false).await
    }

    /// Writes an object below `_kinfold/` that must not exist.
    ///
    /// # Errors
    /// [`LakeError::Exists`] if it does, else as [`Lake::put`].
    pub async fn put_new(&self, name: &str, bytes: Bytes) -> Result<(), LakeError> {
        self.ensure_format().await?;
        self.write_object(&object_path(name)?, bytes, true).await
    }

    /// Reads an object below `_kinfold/`; `None` if there is none.
    ///
    /// # Errors
    /// [`LakeError::Name`], [`LakeError::Storage`], [`LakeError::Corrupt`] above 256 MiB.
    pub async fn get(&self, name: &str) -> Result<Option<Bytes>, LakeError> {
        Ok(self.read_tagged(&object_path(name)?).await?.map(|(b, _)| b))
    }

    /// Reads a part of an object below `_kinfold/`, up to its end if the range goes further; `None` if there is no
    /// such object.
    ///
    /// # Errors
    /// [`LakeError::Name`], [`LakeError::Storage`], [`LakeError::Corrupt`] above 256 MiB.
    pub async fn get_range(
        &self,
        name: &str,
        range: Range<u64>,
    ) -> Result<Option<Bytes>, LakeError> {
        let path = self.absolute(&object_path(name)?);
        let wanted = if range.end == u64::MAX {
            GetRange::Offset(range.start)
        } else {
            GetRange::Bounded(range)
        };
        let options = GetOptions::default().with_range(Some(wanted));
        let found = match self.store().get_opts(&path, options).await {
            Ok(found) => found,
            Err(StoreError::NotFound { .. }) => return Ok(None),
            Err(source) => return Err(LakeError::storage("read", path, source)),
        };
        if found.range.end - found.range.start > MAX_OBJECT_BYTES {
            return Err(LakeError::Corrupt {
                path: path.to_string(),
                reason: "it is larger than 256 MiB",
            });
        }
        let bytes = found.bytes().await;
        Ok(Some(bytes.map_err(|source| {
            LakeError::storage("read", &path, source)
        })?))
    }

    /// Lists the objects below the folder `prefix` of `_kinfold/`, by name; an empty `prefix` lists
    /// all.
    ///
    /// # Errors
    /// [`LakeError::Name`], [`LakeError::Storage`].
    pub async fn list(&self, prefix: &str) -> Result<Vec<ObjectEntry>, LakeError> {
        let root = self.absolute(&Path::from("_kinfold"));
        let folder = match prefix.trim_end_matches('/') {
            "" => root.clone(),
            below => self.absolute(&object_path(below)?),
        };
        let mut entries: Vec<ObjectEntry> = self
            .store()
            .list(Some(&folder))
            .try_filter_map(|meta| {
                let name = meta
                    .location
                    .as_ref()
                    .strip_prefix(root.as_ref())
                    .map(|rest| rest.trim_start_matches('/'))
                    .map(given_name);
                let entry = name.map(|name| ObjectEntry {
                    name,
                    bytes: meta.size,
                    modified: meta.last_modified,
                });
                futures::future::ready(Ok(entry))
            })
            .try_collect()
            .await
            .map_err(|source| LakeError::storage("list", &folder, source))?;
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// Deletes an object below `_kinfold/`; it is no error if there is none.
    ///
    /// # Errors
    /// [`LakeError::Name`], [`LakeError::Storage`].
    pub async fn delete(&self, name: &str) -> Result<(), LakeError> {
        let path = self.absolute(&object_path(name)?);
        match self.store().delete(&path).await {
            Ok(()) | Err(StoreError::NotFound { .. }) => Ok(()),
            Err(source) => Err(LakeError::storage("delete", path, source)),
        }
    }

    async fn write_object(&self, below: &Path, bytes: Bytes, new: bool) -> Result<(), LakeError> {
        let path = self.absolute(below);
        if let Some(file) = self.url().local_path(&path) {
            return on_disk(move || write_durably(&file, &bytes, new)).await;
        }
        let mode = if new {
            PutMode::Create
        } else {
            PutMode::Overwrite
        };
        let options = PutOptions::from(mode);
        let result = self
            .store()
            .put_opts(&path, PutPayload::from_bytes(bytes.clone()), options)
            .await;
        match result {
            Ok(_) => Ok(()),
            Err(StoreError::AlreadyExists { .. }) => {
                // The client repeats a request whose answer was lost, and then meets itself.
                match self.read_tagged(below).await? {
                    Some((found, _)) if found == bytes && !bytes.is_empty() => Ok(()),
                    _ => Err(LakeError::Exists {
                        name: below.to_string(),
                    }),
                }
            }
            Err(source) => Err(LakeError::storage("write", path, source)),
        }
    }

    pub(crate) async fn read_tagged(
        &self,
        below: &Path,
    ) -> Result<Option<(Bytes, Tag)>, LakeError> {
        let path = self.absolute(below);
        let found = match self.store().get_opts(&path, GetOptions::default()).await {
            Ok(found) => found,
            Err(StoreError::NotFound { .. }) => return Ok(None),
            Err(source) => return Err(LakeError::storage("read", path, source)),
        };
        if found.meta.size > MAX_OBJECT_BYTES {
            return Err(LakeError::Corrupt {
                path: path.to_string(),
                reason: "it is larger than 256 MiB",
            });
        }
        let (etag, version) = (found.meta.e_tag.clone(), found.meta.version.clone());
        let bytes = found
            .bytes()
            .await
            .map_err(|source| LakeError::storage("read", &path, source))?;
        let tag = if self.url().is_local() {
            Tag::Content(bytes.clone())
        } else {
            Tag::Stored { etag, version }
        };
        Ok(Some((bytes, tag)))
    }

    /// Replaces the object that `expected` identifies (`None`: there must be none).
    ///
    /// `bytes` must be unique among all writes ever made to the object; every form that is swapped
    /// carries a random id for that.
    pub(crate) async fn swap_tagged(
        &self,
        below: &Path,
        expected: Option<&Tag>,
        bytes: Bytes,
    ) -> Result<Tag, LakeError> {
        self.ensure_format().await?;
        let path = self.absolute(below);
        let conflict = || LakeError::Conflict {
            name: below.to_string(),
        };
        if let Some(file) = self.url().local_path(&path) {
            let lock = self.absolute(&Path::from("_kinfold/lock"));
            let Some(lock) = self.url().local_path(&lock) else {
                return Err(conflict());
            };
            let expected = match expected {
                Some(Tag::Content(content)) => Some(content.clone()),
                Some(Tag::Stored { .. }) => return Err(conflict()),
                None => None,
            };
            let content = bytes.clone();
            let swapped =
                on_disk(move || swap_on_disk(&lock, &file, expected.as_ref(), &bytes)).await?;
            return if swapped {
                Ok(Tag::Content(content))
            } else {
                Err(conflict())
            };
        }
        let mode = match expected {
            None => PutMode::Create,
            Some(Tag::Stored { etag, version }) => PutMode::Update(UpdateVersion {
                e_tag: etag.clone(),
                version: version.clone(),
            }),
            Some(Tag::Content(_)) => return Err(conflict()),
        };
        let payload = PutPayload::from_bytes(bytes.clone());
        match self
            .store()
            .put_opts(&path, payload, PutOptions::from(mode))
            .await
        {
            Ok(put) if put.e_tag.is_some() => Ok(Tag::Stored {
                etag: put.e_tag,
                version: put.version,
            }),
            // Whatever the answer was: if our bytes are there, we swapped.
            outcome => match (self.read_tagged(below).await, outcome) {
                (Ok(Some((found, tag))), _) if found == bytes => Ok(tag),
                (
                    _,
                    Ok(_)
                    | Err(StoreError::AlreadyExists { .. } | StoreError::Precondition { .. })
                    | Err(StoreError::NotFound { .. }),
                ) => Err(conflict()),
                (_, Err(source)) => Err(LakeError::storage("write", path, source)),
            },
        }
    }
}

async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LakeError> + Send + 'static,
) -> Result<T, LakeError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(_) => Err(LakeError::File {
            action: "write",
            path: "_kinfold".to_owned(),
            source: std::io::Error::other("the task was cancelled"),
        }),
    }
}

fn file_error(action: &'static str, path: &FilePath) -> impl FnOnce(std::io::Error) -> LakeError {
    let path = path.display().to_string();
    move |source| LakeError::File {
        action,
        path,
        source,
    }
}

/// Compares and replaces under the lake's lock; `false` if the content is not the expected one.
fn swap_on_disk(
    lock: &FilePath,
    file: &FilePath,
    expected: Option<&Bytes>,
    bytes: &Bytes,
) -> Result<bool, LakeError> {
    let folder = lock.parent().unwrap_or(lock);
    std::fs::create_dir_all(folder).map_err(file_error("write", folder))?;
    let held = std::fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(lock)
        .map_err(file_error("lock", lock))?;
    held.lock().map_err(file_error("lock", lock))?;
    let found = match std::fs::read(file) {
        Ok(found) => Some(found),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(file_error("read", file)(error)),
    };
    let same = match (&found, expected) {
        (None, None) => true,
        (Some(found), Some(expected)) => found.as_slice() == expected.as_ref(),
        _ => false,
    };
    if same {
        write_durably(file, bytes, false)?;
    }
    // Dropping the file unlocks it.
    drop(held);
    Ok(same)
}

/// Writes a file so that after a power cut there is the old content or the new, nothing between.
pub(crate) fn write_durably(file: &FilePath, bytes: &[u8], new: bool) -> Result<(), LakeError> {
    let folder = file.parent().unwrap_or(file);
    std::fs::create_dir_all(folder).map_err(file_error("write", folder))?;
    // `#` and digits: object stores over a folder do not list such a name.
    let staged = staged_name(file);
    let written = (|| {
        let mut out = std::fs::OpenOptions::new()
            .create_new(true)
            .write(true)
            .open(&staged)?;
        out.write_all(bytes)?;
        out.sync_all()?;
        if new {
            std::fs::hard_link(&staged, file)
        } else {
            std::fs::rename(&staged, file)
        }
    })();
    if new || written.is_err() {
        // Gone already if it was renamed; otherwise a leftover that nobody lists.
        let _ = std::fs::remove_file(&staged);
    }
    match written {
        Err(error) if new && error.kind() == std::io::ErrorKind::AlreadyExists => {
            Err(LakeError::Exists {
                name: file.display().to_string(),
            })
        }
        other => other.map_err(file_error("write", file)),
    }?;
    sync_folder(folder)
}

fn staged_name(file: &FilePath) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(format!("#{}", uuid::Uuid::new_v4().as_u64_pair().0));
    PathBuf::from(name)
}

/// Makes the content of a file survive a power cut.
pub(crate) fn sync_file(file: &FilePath) -> Result<(), LakeError> {
    std::fs::File::open(file)
        .and_then(|file| file.sync_all())
        .map_err(file_error("write", file))
}

/// Makes renames and links inside a folder survive a power cut.
pub(crate) fn sync_folder(folder: &FilePath) -> Result<(), LakeError> {
    if cfg!(unix) {
        std::fs::File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(file_error("write", folder))?;
    }
    Ok(())
}
