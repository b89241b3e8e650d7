//! Which files a source has, and what identifies them.
//!
//! A location is a path or a pattern: `*` and `?` within a folder, `**` across folders, `{a,b}`,
//! `[a-z]`. Names that start with `.` or `_` are left out where the pattern, not the user, names
//! them: writers put their unfinished files there. A location that matches nothing as a pattern is
//! tried as the name of one file, so that a file may be called `report[1].csv`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures::TryStreamExt as _;
use globset::{GlobBuilder, GlobMatcher};
use kinfold_project::{Source, SourceFormat, SourceLocation, model::StorageOptions};
use object_store::path::Path as StorePath;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt as _};
use serde::{Deserialize, Serialize};

use super::InputError;
use crate::context::absolute_location;

/// The files of a source at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputFiles {
    /// The files, sorted by path.
    pub files: Vec<InputFile>,
}

/// A file and what identifies its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputFile {
    /// As the user would name it: relative to the project's root, or `s3://bucket/key`.
    pub path: String,
    /// Size in bytes.
    pub bytes: u64,
    /// The BLAKE3 hash of a local file, the entity tag (and version) of an object.
    pub identity: String,
}

impl InputFiles {
    /// Identity of all files together: equal if and only if paths and contents are.
    #[must_use]
    pub fn identity(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for file in &self.files {
            for text in [&file.path, &file.identity] {
                hasher.update(&(text.len() as u64).to_le_bytes());
                hasher.update(text.as_bytes());
            }
        }
        hasher.finalize().to_hex().to_string()
    }

    /// Bytes of all files together.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

/// A source that is made of files.
pub(super) struct FileSource<'a> {
    pub root: &'a Path,
    pub location: &'a str,
    pub format: &'a SourceFormat,
    pub storage: &'a StorageOptions,
}

impl<'a> FileSource<'a> {
    pub fn of(
        root: &'a Path,
        source: &'a Source,
        default: &'a StorageOptions,
    ) -> Result<Self, InputError> {
        let SourceLocation::External {
            location,
            format,
            storage,
        } = &source.location
        else {
            let location = format!("{}.{}", source.schema, source.identifier);
            return Err(InputError::NotFiles { location });
        };
        if *format == SourceFormat::Delta {
            return Err(InputError::NotFiles {
                location: location.value.clone(),
            });
        }
        let storage = if storage.0.is_empty() {
            default
        } else {
            storage
        };
        Ok(Self {
            root,
            location: &location.value,
            format,
            storage,
        })
    }

    pub fn is_remote(&self) -> bool {
        bucket_and_key(self.location).is_some()
    }
}

/// Lists the files of a source and identifies their contents. Local files are read for that.
///
/// `default_storage` is used where the source declares no storage.
///
/// # Errors
/// [`InputError::Missing`], [`InputError::NoMatch`], [`InputError::Folder`], [`InputError::Pattern`];
/// what the file system or the object store refuses.
pub async fn list(
    root: &Path,
    source: &Source,
    default_storage: &StorageOptions,
) -> Result<InputFiles, InputError> {
    let source = FileSource::of(root, source, default_storage)?;
    let mut files = if let Some((bucket, key)) = bucket_and_key(source.location) {
        list_objects(&source, bucket, key).await?
    } else {
        let (root, location) = (source.root.to_owned(), source.location.to_owned());
        tokio::task::spawn_blocking(move || identified(&root, &location)).await??
    };
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(InputFiles { files })
}

/// What the files of a source look like without reading them: equal as long as nobody touches them, but
/// not the identity of their contents.
///
/// # Errors
/// As [`list`].
pub async fn glance(
    root: &Path,
    source: &Source,
    default_storage: &StorageOptions,
) -> Result<String, InputError> {
    let source = FileSource::of(root, source, default_storage)?;
    let mut files = if let Some((bucket, key)) = bucket_and_key(source.location) {
        list_objects(&source, bucket, key).await?
    } else {
        let (root, location) = (source.root.to_owned(), source.location.to_owned());
        tokio::task::spawn_blocking(move || looked_at(&root, &location)).await??
    };
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(InputFiles { files }.identity())
}

/// When the newest of the files of a source was written.
///
/// # Errors
/// As [`list`].
pub async fn last_written(
    root: &Path,
    source: &Source,
    default_storage: &StorageOptions,
) -> Result<Option<DateTime<Utc>>, InputError> {
    let source = FileSource::of(root, source, default_storage)?;
    if let Some((bucket, key)) = bucket_and_key(source.location) {
        let objects = find_objects(&source, bucket, key).await?;
        return Ok(objects.iter().map(|meta| meta.last_modified).max());
    }
    let (root, location) = (source.root.to_owned(), source.location.to_owned());
    tokio::task::spawn_blocking(move || {
        let mut newest = None;
        for found in find_local(&root, &location)? {
            let modified = std::fs::metadata(&found.absolute).and_then(|meta| meta.modified());
            let modified = modified.map_err(|error| file_error("read", &found.path, error))?;
            newest = newest.max(Some(DateTime::from(modified)));
        }
        Ok(newest)
    })
    .await?
}

fn looked_at(root: &Path, location: &str) -> Result<Vec<InputFile>, InputError> {
    let mut files = Vec::new();
    for found in find_local(root, location)? {
        let refused = |error| file_error("read", &found.path, error);
        let metadata = std::fs::metadata(&found.absolute).map_err(refused)?;
        let modified = metadata.modified().map_err(refused)?;
        files.push(InputFile {
            bytes: metadata.len(),
            identity: format!("{} {modified:?}", metadata.len()),
            path: found.path,
        });
    }
    Ok(files)
}

/// Bucket and key of an S3 address.
pub(super) fn bucket_and_key(location: &str) -> Option<(&str, &str)> {
    let rest = location
        .strip_prefix("s3://")
        .or_else(|| location.strip_prefix("s3a://"))?;
    Some(rest.split_once('/').unwrap_or((rest, "")))
}

/// The object store of a bucket.
pub(super) fn store_of(
    bucket: &str,
    storage: &StorageOptions,
) -> Result<Arc<dyn ObjectStore>, InputError> {
    let (store, _) = kinfold_lake::object_store_for(&format!("s3://{bucket}"), &storage.0)
        .map_err(InputError::StorageSetup)?;
    Ok(store)
}

/// The object of a key, without any encoding of it.
pub(super) fn object(location: &str, key: &str) -> Result<StorePath, InputError> {
    StorePath::parse(key).map_err(|_| InputError::Location {
        location: location.to_owned(),
    })
}

async fn list_objects(
    source: &FileSource<'_>,
    bucket: &str,
    key: &str,
) -> Result<Vec<InputFile>, InputError> {
    let named = |meta: ObjectMeta| InputFile {
        path: format!("s3://{bucket}/{}", meta.location),
        bytes: meta.size,
        identity: object_identity(&meta),
    };
    let found = find_objects(source, bucket, key).await?;
    Ok(found.into_iter().map(named).collect())
}

/// The objects of a location.
async fn find_objects(
    source: &FileSource<'_>,
    bucket: &str,
    key: &str,
) -> Result<Vec<ObjectMeta>, InputError> {
    let location = source.location;
    if bucket.is_empty() || key.is_empty() {
        return Err(InputError::Location {
            location: location.to_owned(),
        });
    }
    let store = store_of(bucket, source.storage)?;
    let refused = |source| InputError::Storage {
        action: "list",
        path: location.to_owned(),
        source,
    };
    if let Some(pattern) = Pattern::of(location, key)? {
        let prefix = object(location, &pattern.base)?;
        let mut objects = store.list(Some(&prefix));
        let mut found = Vec::new();
        while let Some(meta) = objects.try_next().await.map_err(refused)? {
            if pattern.accepts(meta.location.as_ref()) {
                found.push(meta);
            }
        }
        if !found.is_empty() {
            return Ok(found);
        }
    }
    match store.head(&object(location, key)?).await {
        Ok(meta) => Ok(vec![meta]),
        Err(object_store::Error::NotFound { .. }) => Err(nothing(location, key)),
        Err(source) => Err(refused(source)),
    }
}

fn object_identity(meta: &ObjectMeta) -> String {
    let tag = meta.e_tag.as_deref().unwrap_or_default();
    match (&meta.version, tag) {
        (Some(version), tag) => format!("{tag}@{version}"),
        (None, "") => format!("{}@{}", meta.size, meta.last_modified.timestamp_micros()),
        (None, tag) => tag.to_owned(),
    }
}

fn nothing(location: &str, pattern: &str) -> InputError {
    let location = location.to_owned();
    if is_pattern(pattern) {
        InputError::NoMatch { location }
    } else {
        InputError::Missing { location }
    }
}

fn identified(root: &Path, location: &str) -> Result<Vec<InputFile>, InputError> {
    let mut files = Vec::new();
    for found in find_local(root, location)? {
        let (identity, bytes) =
            hash(&found.absolute).map_err(|e| file_error("read", &found.path, e))?;
        files.push(InputFile {
            path: found.path,
            bytes,
            identity,
        });
    }
    Ok(files)
}

/// The BLAKE3 hash of a file, and its length.
pub(super) fn hash(path: &Path) -> std::io::Result<(String, u64)> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(std::fs::File::open(path)?)?;
    Ok((hasher.finalize().to_hex().to_string(), hasher.count()))
}

fn file_error(action: &'static str, path: &str, source: std::io::Error) -> InputError {
    InputError::File {
        action,
        path: path.to_owned(),
        source,
    }
}

/// A local file that belongs to a source.
pub(super) struct LocalFile {
    /// As the user would name it.
    pub path: String,
    /// Where it is.
    pub absolute: PathBuf,
}

/// Where a path of an [`InputFile`] is on this machine.
pub(super) fn local_path(root: &Path, path: &str) -> PathBuf {
    PathBuf::from(absolute_location(root, path))
}

/// The local files of a location, sorted by path.
pub(super) fn find_local(root: &Path, location: &str) -> Result<Vec<LocalFile>, InputError> {
    if location.contains("://") {
        return Err(InputError::Location {
            location: location.to_owned(),
        });
    }
    let mut found = Vec::new();
    if let Some(pattern) = Pattern::of(location, location)? {
        let base = local_path(root, &pattern.base);
        let mut walk = Walk {
            pattern: &pattern,
            above: Vec::new(),
            found: &mut found,
        };
        match std::fs::metadata(&base) {
            Ok(meta) if meta.is_dir() => walk.folder(&base, &pattern.base)?,
            Ok(_) => {}
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(file_error("list", &pattern.base, e)),
        }
    }
    if found.is_empty() {
        let absolute = local_path(root, location);
        match std::fs::metadata(&absolute) {
            Ok(meta) if meta.is_dir() => {
                return Err(InputError::Folder {
                    location: location.to_owned(),
                });
            }
            Ok(meta) if meta.is_file() => found.push(LocalFile {
                path: location.to_owned(),
                absolute,
            }),
            Ok(_) => return Err(nothing(location, location)),
            Err(e) if is_absent(&e) => return Err(nothing(location, location)),
            Err(e) => return Err(file_error("read", location, e)),
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn is_absent(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
    )
}

fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '[', '{'])
}

/// A pattern, split into the folder that it starts in and the rest.
struct Pattern {
    /// The folder, with the user's own words; empty for the root.
    base: String,
    matcher: GlobMatcher,
    /// How many folders below the base can matter; `None` without a limit.
    depth: Option<usize>,
}

impl Pattern {
    /// `None` if `path` has nothing to match.
    fn of(location: &str, path: &str) -> Result<Option<Self>, InputError> {
        if !is_pattern(path) {
            return Ok(None);
        }
        let first = path.find(['*', '?', '[', '{']).unwrap_or_default();
        let split = path.get(..first).and_then(|start| start.rfind('/'));
        let (base, rest) = match split {
            Some(0) => ("/", path.get(1..).unwrap_or_default()),
            Some(at) => (
                path.get(..at).unwrap_or_default(),
                path.get(at + 1..).unwrap_or_default(),
            ),
            None => ("", path),
        };
        let glob = GlobBuilder::new(rest)
            .literal_separator(true)
            .build()
            .map_err(|source| InputError::Pattern {
                location: location.to_owned(),
                source,
            })?;
        let unlimited =
            rest.contains("**") || rest.split('{').skip(1).any(|part| part.contains('/'));
        let depth = (!unlimited).then(|| rest.matches('/').count());
        Ok(Some(Self {
            base: base.to_owned(),
            matcher: glob.compile_matcher(),
            depth,
        }))
    }

    /// Whether a path, base included, matches.
    fn accepts(&self, path: &str) -> bool {
        let below = match self.base.as_str() {
            "" => Some(path),
            "/" => path.strip_prefix('/'),
            base => path
                .strip_prefix(base)
                .and_then(|rest| rest.strip_prefix('/')),
        };
        below.is_some_and(|below| {
            !below.split('/').any(|part| part.starts_with(['.', '_']))
                && self.matcher.is_match(below)
        })
    }
}

struct Walk<'a> {
    pattern: &'a Pattern,
    /// The folders above the present one, links resolved: a link to one of them is a circle.
    above: Vec<PathBuf>,
    found: &'a mut Vec<LocalFile>,
}

impl Walk<'_> {
    fn folder(&mut self, folder: &Path, name: &str) -> Result<(), InputError> {
        let refused = |e| file_error("list", name, e);
        let real = folder.canonicalize().map_err(refused)?;
        if self.above.contains(&real) {
            return Ok(());
        }
        self.above.push(real);
        let mut entries = BTreeSet::new();
        for entry in std::fs::read_dir(folder).map_err(refused)? {
            let entry = entry.map_err(refused)?.file_name();
            let Some(text) = entry.to_str() else {
                return Err(InputError::FileName {
                    folder: name.to_owned(),
                });
            };
            if !text.starts_with(['.', '_']) {
                entries.insert(text.to_owned());
            }
        }
        for entry in entries {
            let path = match name {
                "" => entry.clone(),
                "/" => format!("/{entry}"),
                name => format!("{name}/{entry}"),
            };
            let absolute = folder.join(&entry);
            let matches = self.pattern.accepts(&path);
            match std::fs::metadata(&absolute) {
                Ok(meta) if meta.is_dir() => {
                    if self
                        .pattern
                        .depth
                        .is_none_or(|depth| self.above.len() <= depth)
                    {
                        self.folder(&absolute, &path)?;
                    }
                }
                Ok(meta) if matches && meta.is_file() => {
                    self.found.push(LocalFile { path, absolute })
                }
                // Any other file may come and go.
                Err(e) if matches => return Err(file_error("read", &path, e)),
                Ok(_) | Err(_) => {}
            }
        }
        self.above.pop();
        Ok(())
    }
}
