//! Where a lake is, and the object store that serves the place.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzure, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorage, GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, RetryConfig};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use url::Url;

use crate::LakeError;

/// A parsed location: a folder, or a bucket with a prefix.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LakeUrl {
    store: StoreRoot,
    prefix: Path,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum StoreRoot {
    Local,
    S3 { bucket: String },
}

impl LakeUrl {
    /// Parses an absolute folder, a `file://` address of one, or `s3://bucket/prefix`.
    ///
    /// # Errors
    /// [`LakeError::Location`] for anything else, and for a path with a `%`.
    pub fn parse(location: &str) -> Result<Self, LakeError> {
        let wrong = || LakeError::Location {
            location: location.to_owned(),
        };
        if let Some(rest) = location
            .strip_prefix("s3://")
            .or_else(|| location.strip_prefix("s3a://"))
        {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            if bucket.is_empty() || bucket.contains(['@', ':', '?', '#']) || rest.contains('%') {
                return Err(wrong());
            }
            return Ok(Self {
                store: StoreRoot::S3 {
                    bucket: bucket.to_owned(),
                },
                prefix: Path::parse(prefix.trim_matches('/')).map_err(|_| wrong())?,
            });
        }
        let folder = if location.starts_with("file://") {
            Url::parse(location)
                .ok()
                .and_then(|url| url.to_file_path().ok())
                .ok_or_else(wrong)?
        } else {
            PathBuf::from(location)
        };
        if !folder.is_absolute() {
            return Err(wrong());
        }
        // `..` would make two texts for one place; the object store refuses it anyway.
        let text = folder.to_str().ok_or_else(wrong)?;
        // The Delta library would decode it.
        if text.contains('%') {
            return Err(wrong());
        }
        Ok(Self {
            store: StoreRoot::Local,
            prefix: Path::parse(text.trim_matches('/')).map_err(|_| wrong())?,
        })
    }

    /// Whether the lake is a folder of this machine.
    pub fn is_local(&self) -> bool {
        self.store == StoreRoot::Local
    }

    /// Path of the lake's root inside its object store.
    pub fn prefix(&self) -> &Path {
        &self.prefix
    }

    /// Address of the object store, without the prefix: `file:///` or `s3://bucket/`.
    ///
    /// # Errors
    /// [`LakeError::Location`] if the bucket's name cannot be part of a URL.
    pub fn store_url(&self) -> Result<Url, LakeError> {
        let text = match &self.store {
            StoreRoot::Local => "file:///".to_owned(),
            StoreRoot::S3 { bucket } => format!("s3://{bucket}/"),
        };
        Url::parse(&text).map_err(|_| LakeError::Location { location: text })
    }

    /// Address of an object or folder of the store, with a closing slash.
    pub(crate) fn folder_url(&self, path: &Path) -> Result<Url, LakeError> {
        let mut url = self.store_url()?;
        if let Ok(mut segments) = url.path_segments_mut() {
            segments
                .clear()
                .extend(path.as_ref().split('/').filter(|part| !part.is_empty()))
                .push("");
        }
        Ok(url)
    }

    /// The folder on disk of a local path.
    pub(crate) fn local_path(&self, path: &Path) -> Option<PathBuf> {
        self.is_local()
            .then(|| PathBuf::from(format!("/{}", path.as_ref())))
    }
}

impl std::fmt::Display for LakeUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.store {
            StoreRoot::Local => write!(f, "/{}", self.prefix),
            StoreRoot::S3 { bucket } => write!(f, "s3://{bucket}/{}", self.prefix),
        }
    }
}

/// The object store of a location and the path of the location inside it.
///
/// S3 takes its settings from `storage` (keys as in `object_store`: `region`, `endpoint`,
/// `allow_http`, `access_key_id`, …, with or without `aws_`) and, for what is not there, from the
/// environment (`AWS_*`), instance metadata or web identity.
///
/// # Errors
/// [`LakeError::Location`], [`LakeError::StorageOption`] or [`LakeError::StorageSetup`].
pub fn object_store_for(
    location: &str,
    storage: &BTreeMap<String, String>,
) -> Result<(Arc<dyn ObjectStore>, Path), LakeError> {
    if let Some((scheme, rest)) = location.split_once("://") {
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let store: Option<Arc<dyn ObjectStore>> = match scheme {
            "az" | "azure" => Some(Arc::new(azure(location, bucket, storage)?)),
            "gs" => Some(Arc::new(google(location, bucket, storage)?)),
            _ => None,
        };
        if let Some(store) = store {
            let prefix = Path::parse(prefix.trim_matches('/'));
            let prefix = prefix.ok().filter(|_| !bucket.is_empty());
            let prefix = prefix.ok_or_else(|| LakeError::Location {
                location: location.to_owned(),
            })?;
            return Ok((store, prefix));
        }
    }
    let url = LakeUrl::parse(location)?;
    Ok((store_for(&url, storage)?, url.prefix.clone()))
}

fn patient() -> RetryConfig {
    RetryConfig {
        max_retries: 8,
        ..RetryConfig::default()
    }
}

/// A container of Azure Blob Storage.
fn azure(
    location: &str,
    container: &str,
    storage: &BTreeMap<String, String>,
) -> Result<MicrosoftAzure, LakeError> {
    let mut builder = MicrosoftAzureBuilder::from_env().with_retry(patient());
    for (key, value) in storage {
        builder = builder.with_config(option::<AzureConfigKey>(key)?, value);
    }
    let built = builder.with_container_name(container).build();
    built.map_err(|source| not_set_up(location, source))
}

/// A bucket of Google Cloud Storage.
fn google(
    location: &str,
    bucket: &str,
    storage: &BTreeMap<String, String>,
) -> Result<GoogleCloudStorage, LakeError> {
    let mut builder = GoogleCloudStorageBuilder::from_env().with_retry(patient());
    for (key, value) in storage {
        builder = builder.with_config(option::<GoogleConfigKey>(key)?, value);
    }
    let built = builder.with_bucket_name(bucket).build();
    built.map_err(|source| not_set_up(location, source))
}

fn option<K: std::str::FromStr>(key: &str) -> Result<K, LakeError> {
    let parsed = key.to_lowercase().parse();
    parsed.map_err(|_| LakeError::StorageOption {
        option: key.to_owned(),
    })
}

fn not_set_up(location: &str, source: object_store::Error) -> LakeError {
    LakeError::StorageSetup {
        location: location.to_owned(),
        source,
    }
}

pub(crate) fn store_for(
    url: &LakeUrl,
    storage: &BTreeMap<String, String>,
) -> Result<Arc<dyn ObjectStore>, LakeError> {
    let StoreRoot::S3 { bucket } = &url.store else {
        return Ok(Arc::new(LocalFileSystem::new()));
    };
    let mut builder = AmazonS3Builder::from_env().with_retry(patient());
    for (key, value) in storage {
        builder = builder.with_config(option::<AmazonS3ConfigKey>(key)?, value);
    }
    let store = builder.with_bucket_name(bucket).build();
    let store = store.map_err(|source| not_set_up(&url.to_string(), source))?;
    Ok(Arc::new(store))
}

/// Path of a table below the root of a lake, such as `main/orders`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TablePath(Path);

impl TablePath {
    /// Checks a path of one or more segments.
    ///
    /// Characters other than letters, digits and `-_.` of ASCII are written as `~` and two
    /// hexadecimal digits a byte, so that any name of a model can be stored. (Not with `%`: the
    /// Delta library decodes that once too often.)
    ///
    /// # Errors
    /// [`LakeError::Name`] for an empty segment, `.`, `..` and the names that Delta reserves.
    pub fn new(path: &str) -> Result<Self, LakeError> {
        stored_path(path).map(Self)
    }

    /// The path as text, encoded.
    pub fn as_str(&self) -> &str {
        self.0.as_ref()
    }

    pub(crate) fn below(&self, root: &Path) -> Path {
        join(root, &self.0)
    }
}

impl std::fmt::Display for TablePath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for TablePath {
    type Err = LakeError;

    fn from_str(path: &str) -> Result<Self, LakeError> {
        Self::new(path)
    }
}

const ODD: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

/// A path below the lake from segments that users may have named.
pub(crate) fn stored_path(path: &str) -> Result<Path, LakeError> {
    let wrong = || LakeError::Name {
        name: path.to_owned(),
    };
    let mut encoded = Vec::new();
    for segment in path.split('/') {
        if matches!(segment, "" | "." | ".." | "_delta_log" | "_change_data") {
            return Err(wrong());
        }
        let segment = utf8_percent_encode(segment, ODD).to_string();
        encoded.push(segment.replace('%', "~"));
    }
    Path::parse(encoded.join("/")).map_err(|_| wrong())
}

/// The name that [`stored_path`] made a path from.
pub(crate) fn given_name(stored: &str) -> String {
    let encoded = stored.replace('~', "%");
    percent_decode_str(&encoded)
        .decode_utf8_lossy()
        .into_owned()
}

/// `below` appended to `root`, neither encoded again.
pub(crate) fn join(root: &Path, below: &Path) -> Path {
    if root.as_ref().is_empty() {
        return below.clone();
    }
    let text = format!("{root}/{below}");
    // Both parts are valid paths, so the whole is one.
    Path::parse(&text).unwrap_or_else(|_| Path::from(text))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn locations() {
        let folder = LakeUrl::parse("/data/my lake/").unwrap();
        assert!(folder.is_local());
        assert_eq!(folder.prefix().as_ref(), "data/my lake");
        let bucket = LakeUrl::parse("s3://acme/cdp/x").unwrap();
        assert_eq!(bucket.store_url().unwrap().as_str(), "s3://acme/");
        assert_eq!(bucket.prefix().as_ref(), "cdp/x");
        assert_eq!(bucket.to_string(), "s3://acme/cdp/x");
        assert!(LakeUrl::parse("relative/folder").is_err());
        assert!(LakeUrl::parse("/a/../b").is_err());
        assert!(LakeUrl::parse("gs://acme").is_err());
        assert!(LakeUrl::parse("s3://").is_err());
    }

    #[test]
    fn odd_names_are_encoded_once() {
        let table = TablePath::new("main/Kunden & Söhne").unwrap();
        assert_eq!(table.as_str(), "main/Kunden~20~26~20S~C3~B6hne");
        assert_eq!(given_name(table.as_str()), "main/Kunden & Söhne");
        assert_ne!(
            table,
            TablePath::new("main/Kunden~20~26~20S~C3~B6hne").unwrap()
        );
        for wrong in ["", "a//b", "../a", "a/.", "a/_delta_log", "/a"] {
            assert!(TablePath::new(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn unknown_option_is_named() {
        let storage = BTreeMap::from([("regoin".to_owned(), "x".to_owned())]);
        let error = object_store_for("s3://acme", &storage).err().unwrap();
        assert_eq!(error.to_string(), "unknown storage option `regoin`");
    }
}
