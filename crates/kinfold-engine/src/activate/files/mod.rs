//! The destination *files*: every batch becomes one immutable object in a folder or an object store.
//!
//! The contract is `docs/reference/files-destination.md`. The name of an object follows from the plan's
//! position and the batch's content, so a batch that is sent again replaces itself.

mod format;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::Schema;
use futures::StreamExt;
use kinfold_lake::{LakeError, object_store_for};
use kinfold_project::SyncMode;
use kinfold_sync::{
    Batch, BatchOperation, Capabilities, Destination, DestinationError, FailureClass, Outcome,
    SendResult, SftpError, SftpFolder, SftpOptions, Target,
};
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectStore, ObjectStoreExt as _};

use format::Writer;

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum FileFormat {
    /// One JSON object a line.
    #[default]
    Ndjson,
    /// Comma-separated values with a header.
    Csv,
    /// Apache Parquet with the types of the mapping.
    Parquet,
}

impl FileFormat {
    /// The format of a word in YAML.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        [Self::Ndjson, Self::Csv, Self::Parquet]
            .into_iter()
            .find(|format| format.as_str() == word)
    }

    /// The word in YAML, and the ending of a file's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
            Self::Parquet => "parquet",
        }
    }
}

/// Options of a files connection.
#[derive(Clone, Debug)]
pub struct FilesOptions {
    /// An absolute folder, `s3://bucket/prefix`, `az://container/prefix`, `gs://bucket/prefix` or
    /// `sftp://user@host:port/folder`.
    pub location: String,
    /// How rows are written.
    pub format: FileFormat,
    /// Settings of the object store, see [`kinfold_lake::object_store_for`].
    pub storage: BTreeMap<String, String>,
    /// The SSH client for `sftp://`; `ssh` if there is none.
    pub ssh: Option<String>,
}

/// Where files go.
#[derive(Debug)]
enum Place {
    Store {
        store: Arc<dyn ObjectStore>,
        /// Folder of the object.
        folder: Path,
        is_local: bool,
    },
    Sftp {
        server: SftpFolder,
        /// Folder of the object, below that of the location.
        folder: String,
    },
}

/// Delivers batches as files.
#[derive(Debug)]
pub struct FilesDestination {
    place: Place,
    address: String,
    writer: Writer,
}

impl FilesDestination {
    /// A destination for one object, whose rows have the types of `schema` (key fields, then fields).
    ///
    /// # Errors
    /// The location, the name of the object or a storage option is not valid, or a type cannot be written.
    pub fn new(
        options: FilesOptions,
        target: &Target,
        schema: &Schema,
    ) -> Result<Self, DestinationError> {
        let invalid = |option: &str, reason: String| DestinationError::Option {
            option: option.to_owned(),
            reason,
        };
        let object = Path::parse(target.object.trim_matches('/'))
            .ok()
            .filter(|object| !object.as_ref().is_empty())
            .ok_or_else(|| DestinationError::ObjectName {
                object: target.object.clone(),
                reason: "it must be a folder's name or path",
            })?;
        let writer = Writer::new(options.format, target, schema)?;
        if options.location.starts_with("sftp://") {
            let refused = |error: SftpError| invalid("location", error.to_string());
            let mut sftp = SftpOptions::parse(&options.location).map_err(refused)?;
            if let Some(program) = options.ssh {
                sftp.program = program.into();
            }
            // Names follow from contents: what is there under a name is what is put again.
            sftp.replace_by_removing = true;
            let server = SftpFolder::new(sftp).map_err(refused)?;
            return Ok(Self {
                address: server.address(),
                place: Place::Sftp {
                    server,
                    folder: object.to_string(),
                },
                writer,
            });
        }
        let (store, prefix) =
            object_store_for(&options.location, &options.storage).map_err(|error| match error {
                LakeError::StorageOption { option } => {
                    invalid("storage", format!("`{option}` is not known"))
                }
                LakeError::Location { .. } => invalid(
                    "location",
                    "it is neither a folder nor an address of `s3://`, `az://`, `gs://` or `sftp://`"
                        .to_owned(),
                ),
                other => invalid("storage", other.to_string()),
            })?;
        let place = Place::Store {
            store,
            folder: prefix.parts().chain(object.parts()).collect(),
            is_local: !options.location.contains("://") || options.location.starts_with("file:"),
        };
        Ok(Self {
            place,
            address: options.location,
            writer,
        })
    }
}

fn failure(error: &StoreError, is_local: bool) -> SendResult {
    let message = "the file could not be written".to_owned();
    match error {
        StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. } => denied(),
        StoreError::NotFound { .. } => SendResult::Fatal {
            class: FailureClass::Misconfigured,
            message: "the location does not exist".to_owned(),
        },
        other if is_denied(other) => denied(),
        // A local file gets its name only when it is complete.
        _ if is_local => SendResult::Transient {
            class: FailureClass::Unavailable,
            message,
        },
        _ => SendResult::Unknown {
            class: FailureClass::Unavailable,
            message,
        },
    }
}

fn denied() -> SendResult {
    SendResult::Fatal {
        class: FailureClass::Unauthorized,
        message: "access is denied".to_owned(),
    }
}

/// Whether the operating system refused.
fn is_denied(error: &StoreError) -> bool {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<std::io::Error>() {
            return io.kind() == std::io::ErrorKind::PermissionDenied;
        }
        source = cause.source();
    }
    false
}

#[async_trait]
impl Destination for FilesDestination {
    fn capabilities(&self) -> Capabilities {
        let operations = vec![
            BatchOperation::Insert,
            BatchOperation::Update,
            BatchOperation::Upsert,
            BatchOperation::Delete,
        ];
        Capabilities {
            modes: SyncMode::ALL.to_vec(),
            idempotent: operations.clone(),
            operations,
            reads: false,
            max_rows: 100_000,
            max_bytes: 64 << 20,
            max_in_flight: 4,
        }
    }

    /// Lists the folder: the credentials are then known to work. A folder that is not there yet is made by
    /// the first file.
    async fn check(&self) -> Result<(), DestinationError> {
        let address = || self.address.clone();
        let (store, folder) = match &self.place {
            Place::Store { store, folder, .. } => (store, folder),
            Place::Sftp { server, folder } => {
                return match server.list(folder).await {
                    Ok(_) | Err(SftpError::NotFound { .. }) => Ok(()),
                    Err(error) => Err(error.destination_error(&self.address)),
                };
            }
        };
        match store.list(Some(folder)).next().await {
            None | Some(Ok(_) | Err(StoreError::NotFound { .. })) => Ok(()),
            Some(Err(StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. })) => {
                Err(DestinationError::Unauthorized { address: address() })
            }
            Some(Err(error)) if is_denied(&error) => {
                Err(DestinationError::Unauthorized { address: address() })
            }
            Some(Err(_)) => Err(DestinationError::Unreachable {
                address: address(),
                reason: "it cannot be listed".to_owned(),
            }),
        }
    }

    async fn send(&self, batch: &Batch) -> SendResult {
        let bytes = match self.writer.encode(batch) {
            Ok(bytes) => bytes,
            // Rows come one by one then, and those that can be written are.
            Err(_) => {
                return SendResult::Rejected {
                    class: FailureClass::InvalidRow,
                    message: "the row does not fit the columns of the file".to_owned(),
                };
            }
        };
        let first = batch.changes.first().map_or(0, |change| change.seq);
        let name = format!("{first:012}-{}.{}", batch.id, self.writer.format().as_str());
        let delivered = || SendResult::Rows(vec![Outcome::Delivered; batch.changes.len()]);
        match &self.place {
            Place::Store {
                store,
                folder,
                is_local,
            } => {
                let run = folder.clone().join(batch.run.run_id.as_str());
                match store.put(&run.join(name.as_str()), bytes.into()).await {
                    Ok(_) => delivered(),
                    Err(error) => failure(&error, *is_local),
                }
            }
            Place::Sftp { server, folder } => {
                let path = format!("{folder}/{}/{name}", batch.run.run_id);
                match server.put(&path, bytes).await {
                    Ok(()) => delivered(),
                    Err(error) => error.send_result(),
                }
            }
        }
    }
}
