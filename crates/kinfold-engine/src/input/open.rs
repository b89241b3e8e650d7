//! The bytes of a file, decompressed, as one blocking reader; the content that was listed or an error.

use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::{Buf as _, Bytes};
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use futures::{StreamExt as _, stream};
use object_store::{GetOptions, GetRange, ObjectStore};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::InputError;
use super::listing::{FileSource, InputFile, bucket_and_key, local_path, object, store_of};

/// Bytes of one request for a part of an object.
const PART_BYTES: u64 = 8 << 20;
/// Parts that are on their way at a time.
const PARTS: usize = 2;

/// Opens the files of one source.
#[derive(Clone)]
pub(super) enum Opener {
    Local {
        root: PathBuf,
    },
    Remote {
        store: Arc<dyn ObjectStore>,
        requests: Handle,
    },
}

impl Opener {
    /// For remote sources: must be called inside a Tokio runtime.
    pub fn new(source: &FileSource<'_>) -> Result<Self, InputError> {
        match bucket_and_key(source.location) {
            None => Ok(Self::Local {
                root: source.root.to_owned(),
            }),
            Some((bucket, _)) => Ok(Self::Remote {
                store: store_of(bucket, source.storage)?,
                requests: Handle::current(),
            }),
        }
    }

    /// Opens a file that was listed. With `whole`, the reader is an error at its end if the content
    /// is not the listed one; without, it is for a look at the start.
    ///
    /// The reader of a remote file blocks on requests, so it belongs on a blocking thread.
    pub fn open(&self, file: &InputFile, whole: bool) -> Result<Content, InputError> {
        let path: Arc<str> = file.path.as_str().into();
        let failed = Arc::new(AtomicBool::new(false));
        let raw: Box<dyn Read + Send> = match self {
            Self::Local { root } => {
                let opened = std::fs::File::open(local_path(root, &file.path));
                let opened = opened.map_err(|e| read_error(&path, e))?;
                Box::new(Raw {
                    reader: opened,
                    failed: failed.clone(),
                    expected: whole.then(|| Expected::of(file)),
                })
            }
            Self::Remote { store, requests } => {
                let key = bucket_and_key(&file.path).map_or("", |(_, key)| key);
                let parts = Parts::request(
                    store.clone(),
                    requests,
                    object(&file.path, key)?,
                    file,
                    whole,
                );
                Box::new(Raw {
                    reader: parts,
                    failed: failed.clone(),
                    expected: None,
                })
            }
        };
        let (compression, kind) = compression(&file.path);
        let reader = kind.convert_read(raw).map_err(|e| InputError::Compressed {
            path: file.path.clone(),
            compression: compression.unwrap_or_default(),
            source: std::io::Error::other(e),
        })?;
        Ok(Content {
            reader,
            path,
            compression,
            failed,
        })
    }
}

fn compression(path: &str) -> (Option<&'static str>, FileCompressionType) {
    let lower = path.to_ascii_lowercase();
    if lower.ends_with(".gz") {
        (Some("gzip"), FileCompressionType::GZIP)
    } else if lower.ends_with(".zst") {
        (Some("zstd"), FileCompressionType::ZSTD)
    } else {
        (None, FileCompressionType::UNCOMPRESSED)
    }
}

/// Decompressed content.
pub(super) struct Content {
    reader: Box<dyn Read + Send>,
    path: Arc<str>,
    compression: Option<&'static str>,
    /// Whether the bytes themselves could not be read; otherwise a failure is one of decompression.
    failed: Arc<AtomicBool>,
}

impl Content {
    /// The file's path, as the user would name it.
    pub fn path(&self) -> &Arc<str> {
        &self.path
    }

    /// Reads some bytes; 0 at the end.
    pub fn read(&mut self, into: &mut [u8]) -> Result<usize, InputError> {
        loop {
            match self.reader.read(into) {
                Ok(count) => return Ok(count),
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(self.error(e)),
            }
        }
    }

    fn error(&self, error: std::io::Error) -> InputError {
        match self.compression {
            Some(compression) if !self.failed.load(Ordering::Relaxed) => InputError::Compressed {
                path: self.path.to_string(),
                compression,
                source: error,
            },
            _ => read_error(&self.path, error),
        }
    }
}

/// Content that is there already, such as an embedded seed's.
pub(super) fn in_memory(path: &str, bytes: Vec<u8>) -> Content {
    Content {
        reader: Box::new(std::io::Cursor::new(bytes)),
        path: path.into(),
        compression: None,
        failed: Arc::default(),
    }
}

fn read_error(path: &str, error: std::io::Error) -> InputError {
    let path = path.to_owned();
    match error.get_ref() {
        Some(inner) if inner.is::<NotTheListedContent>() => InputError::Changed { path },
        Some(inner) if inner.is::<object_store::Error>() => {
            match error.downcast::<object_store::Error>() {
                Ok(source) => object_error(path, source),
                Err(source) => InputError::File {
                    action: "read",
                    path,
                    source,
                },
            }
        }
        _ if error.kind() == std::io::ErrorKind::NotFound => InputError::Missing { location: path },
        _ => InputError::File {
            action: "read",
            path,
            source: error,
        },
    }
}

/// What a failed request for a listed object means.
pub(super) fn object_error(path: String, source: object_store::Error) -> InputError {
    match source {
        object_store::Error::Precondition { .. } | object_store::Error::NotModified { .. } => {
            InputError::Changed { path }
        }
        object_store::Error::NotFound { .. } => InputError::Missing { location: path },
        source => InputError::Storage {
            action: "read",
            path,
            source,
        },
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the content is not the one that was listed")]
struct NotTheListedContent;

struct Expected {
    identity: String,
    seen: blake3::Hasher,
}

impl Expected {
    fn of(file: &InputFile) -> Self {
        Self {
            identity: file.identity.clone(),
            seen: blake3::Hasher::new(),
        }
    }
}

/// The stored bytes. Every decoder reads them to their end, so the check at the end is always made.
struct Raw<R> {
    reader: R,
    failed: Arc<AtomicBool>,
    expected: Option<Expected>,
}

impl<R: Read> Read for Raw<R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let result = self.reader.read(into).and_then(|count| {
            if let Some(expected) = &mut self.expected {
                expected.seen.update(into.get(..count).unwrap_or_default());
                let ended = count == 0 && !into.is_empty();
                if ended && expected.seen.finalize().to_hex().as_str() != expected.identity {
                    return Err(std::io::Error::other(NotTheListedContent));
                }
            }
            Ok(count)
        });
        if result
            .as_ref()
            .is_err_and(|e| e.kind() != std::io::ErrorKind::Interrupted)
        {
            self.failed.store(true, Ordering::Relaxed);
        }
        result
    }
}

/// Entity tag and version of an [`InputFile`]'s identity, for requests that must fail if the object
/// is another one.
pub(super) fn pinned(file: &InputFile) -> GetOptions {
    let (tag, version) = match file.identity.rsplit_once('@') {
        Some((tag, version)) => (tag, Some(version.to_owned())),
        None => (file.identity.as_str(), None),
    };
    // Stores without entity tags are identified by size and time, which no request can ask for.
    if tag.parse::<u64>().is_ok() && version.is_some() {
        return GetOptions::default();
    }
    GetOptions {
        if_match: (!tag.is_empty()).then(|| tag.to_owned()),
        version,
        ..GetOptions::default()
    }
}

/// The parts of an object, requested ahead.
struct Parts {
    parts: mpsc::Receiver<object_store::Result<Bytes>>,
    part: Bytes,
    /// Bytes that have not arrived yet.
    left: u64,
}

impl Parts {
    fn request(
        store: Arc<dyn ObjectStore>,
        requests: &Handle,
        path: object_store::path::Path,
        file: &InputFile,
        whole: bool,
    ) -> Self {
        let (sender, parts) = mpsc::channel(1);
        let (options, bytes) = (pinned(file), file.bytes);
        // A look at the start does not fetch two large parts to read one line.
        let part_bytes = if whole { PART_BYTES } else { PART_BYTES / 8 };
        requests.spawn(async move {
            let starts = (0..bytes.div_ceil(part_bytes)).map(|part| part * part_bytes);
            let mut answers = stream::iter(starts)
                .map(|start| {
                    let (store, path, mut options) = (store.clone(), path.clone(), options.clone());
                    options.range = Some(GetRange::Bounded(start..bytes.min(start + part_bytes)));
                    async move { store.get_opts(&path, options).await?.bytes().await }
                })
                .buffered(PARTS);
            while let Some(answer) = answers.next().await {
                let failed = answer.is_err();
                if sender.send(answer).await.is_err() || failed {
                    return;
                }
            }
        });
        Self {
            parts,
            part: Bytes::new(),
            left: file.bytes,
        }
    }
}

impl Read for Parts {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        while !self.part.has_remaining() {
            match self.parts.blocking_recv() {
                Some(Ok(part)) => {
                    self.left = self.left.saturating_sub(part.len() as u64);
                    self.part = part;
                }
                Some(Err(error)) => return Err(std::io::Error::other(error)),
                None if self.left == 0 => return Ok(0),
                None => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            }
        }
        let count = into.len().min(self.part.remaining());
        if let Some(into) = into.get_mut(..count) {
            self.part.copy_to_slice(into);
        }
        Ok(count)
    }
}
