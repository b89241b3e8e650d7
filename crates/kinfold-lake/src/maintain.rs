//! Compaction of small files and removal of files that no version needs.

use std::collections::HashSet;
use std::path::{Path as FilePath, PathBuf};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use deltalake_core::kernel::LogicalFileView;
use deltalake_core::protocol::DeltaOperation;
use futures::TryStreamExt as _;
use object_store::ObjectStoreExt as _;
use object_store::path::Path;

use crate::commit::Committer;
use crate::data_file::{Layout, TARGET_FILE_BYTES, discard, write_files};
use crate::delete::{Rewrite, no_table, read, scan_error, still_live};
use crate::deletion_vector::{file_name, is_vector_file};
use crate::files::{LiveFile, LiveFiles};
use crate::index::index_name;
use crate::lake::load;
use crate::write::finish;
use crate::{CommitNote, Lake, LakeError, TablePath, Written};

/// A compaction also writes files anew of whose rows more than one in so many is deleted.
const MOST_DELETED: u64 = 5;

/// Which files a compaction joins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compaction {
    /// Size of the files that it makes, in bytes; files above half of it stay as they are.
    pub target_bytes: u64,
    /// It leaves fewer small files as they are.
    pub min_files: usize,
}

impl Default for Compaction {
    fn default() -> Self {
        Self {
            target_bytes: TARGET_FILE_BYTES,
            min_files: 2,
        }
    }
}

/// Which files a vacuum removes.
#[derive(Debug, Clone)]
pub struct Vacuum<'a> {
    /// Files younger than this stay, whatever they are: a writer may not have committed them yet,
    /// and a reader may still read a version that has ended. A week by default. Shorter than the
    /// longest write or read, it destroys their files.
    pub retention: Duration,
    /// Versions that stay readable for ever: those that environments and syncs name.
    pub keep: &'a [(TablePath, u64)],
    /// Count only.
    pub dry_run: bool,
}

impl Default for Vacuum<'_> {
    fn default() -> Self {
        Self {
            retention: Duration::from_secs(7 * 24 * 3600),
            keep: &[],
            dry_run: false,
        }
    }
}

/// What a vacuum removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Vacuumed {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Lake {
    /// Joins small files into large ones; the rows stay the same. Appends that land meanwhile do
    /// not disturb it; if a file that it read was rewritten meanwhile, it changes nothing.
    ///
    /// # Errors
    /// [`LakeError::NoTable`], [`LakeError::Scan`], [`LakeError::Contended`], else as
    /// [`Lake::overwrite`].
    pub async fn compact(
        &self,
        table: &TablePath,
        compaction: Compaction,
        commit: CommitNote,
    ) -> Result<Written, LakeError> {
        let committer = Committer::new(self, table, &commit)?;
        let Some(snapshot) = self.snapshot(table, None).await? else {
            return Err(no_table(table));
        };
        if let Some(written) = committer.landed(snapshot.state()).await? {
            return Ok(written);
        }
        let nothing = Written {
            version: snapshot.version(),
            rows: 0,
            bytes: 0,
            files: 0,
            removed_rows: 0,
            repeated: false,
        };
        if !snapshot.partition_columns().is_empty() {
            return Err(LakeError::Partitioned {
                table: table.to_string(),
            });
        }
        let live = snapshot.live_files()?;
        let small: Vec<usize> = (0..live.files.len())
            .filter(|at| {
                let file = live.files.get(*at);
                file.is_some_and(|file| file.bytes < compaction.target_bytes / 2)
            })
            .collect();
        let mut chosen: Vec<usize> = (0..live.files.len())
            .filter(|at| is_holey(&live, *at))
            .collect();
        if small.len() >= compaction.min_files.max(2) {
            chosen.extend(small);
            chosen.sort_unstable();
            chosen.dedup();
        }
        if chosen.is_empty() {
            return Ok(nothing);
        }
        let rows: Option<u64> = chosen.iter().map(|file| live.rows_of(*file)).sum();
        let sources: HashSet<String> = chosen
            .iter()
            .filter_map(|file| live.files.get(*file))
            .map(LiveFile::key)
            .collect();
        let failed = |source| scan_error(table, source);
        let context = self.reading_context();
        let frame = read(&context, snapshot.native()?.choose(chosen)).map_err(failed)?;
        let stream = frame.execute_stream().await.map_err(failed)?;
        let schema = snapshot.schema();
        let layout = Layout {
            target_bytes: compaction.target_bytes,
            ..Layout::default()
        };
        let files = write_files(self, table, schema, vec![stream], layout).await?;
        if rows.is_some_and(|rows| rows != files.rows) {
            discard(self, table, &files.adds).await;
            return Err(LakeError::Corrupt {
                path: table.to_string(),
                reason: "its files do not have the rows that the log says",
            });
        }
        let rewrite = Rewrite {
            sources,
            files,
            removed_rows: 0,
        };
        let outcome = committer
            .commit(Some(snapshot.state().clone()), |state| {
                let state = state.ok_or_else(|| no_table(table))?;
                if !still_live(state, &rewrite.sources) {
                    return Ok(None);
                }
                let operation = DeltaOperation::Optimize {
                    predicate: None,
                    target_size: i64::try_from(compaction.target_bytes).unwrap_or(i64::MAX),
                };
                Ok(Some(rewrite.proposal(state, false, operation)))
            })
            .await;
        finish(&committer, rewrite.files, outcome, 0).await
    }

    /// Removes the files of a table that neither its newest version, nor a kept one, nor a version
    /// younger than the retention needs, and what interrupted writes left. It makes no commit.
    ///
    /// # Errors
    /// [`LakeError::NoTable`], [`LakeError::NoVersion`] for a kept version that does not exist,
    /// [`LakeError::Storage`], [`LakeError::File`], [`LakeError::Delta`].
    pub async fn vacuum(
        &self,
        table: &TablePath,
        vacuum: Vacuum<'_>,
    ) -> Result<Vacuumed, LakeError> {
        let root = self.table_root(table);
        let logs = self.log_store(&root)?;
        let oldest = TimeDelta::from_std(vacuum.retention)
            .ok()
            .and_then(|retention| Utc::now().checked_sub_signed(retention))
            .unwrap_or(DateTime::<Utc>::MIN_UTC);
        // Before the state is read: a file committed after the listing is not in the listing.
        let listed: Vec<_> = self
            .store()
            .list(Some(&root))
            .try_collect()
            .await
            .map_err(|source| LakeError::storage("list", &root, source))?;
        let state = load(&logs, table.as_str(), None)
            .await?
            .ok_or_else(|| no_table(table))?;
        let mut needed: HashSet<String> = state.log_data().iter().flat_map(objects_of).collect();
        for (_, version) in vacuum.keep.iter().filter(|(kept, _)| kept == table) {
            let kept = load(&logs, table.as_str(), Some(*version))
                .await?
                .ok_or_else(|| no_table(table))?;
            needed.extend(kept.log_data().iter().flat_map(objects_of));
        }
        let oldest_ms = oldest.timestamp_millis();
        let young: Vec<String> = state
            .all_tombstones(logs.as_ref())
            .try_filter_map(|removed| {
                let young = removed
                    .deletion_timestamp()
                    .is_some_and(|time| time > oldest_ms);
                futures::future::ready(Ok(young.then(|| removed.path().into_owned())))
            })
            .try_collect()
            .await
            .map_err(|error| LakeError::delta(table.as_str(), &error))?;
        // Which deletion vectors a removed entry had, the library does not say.
        let keep_vectors = !young.is_empty();
        needed.extend(young.iter().map(|file| index_name(file)));
        needed.extend(young);

        let mut removed = Vacuumed::default();
        for object in listed {
            let Some(relative) = relative(&root, &object.location) else {
                continue;
            };
            let kept = keep_vectors && is_vector_file(relative);
            if kept || needed.contains(relative) || object.last_modified > oldest {
                continue;
            }
            removed.files += 1;
            removed.bytes += object.size;
            if !vacuum.dry_run {
                match self.store().delete(&object.location).await {
                    Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                    Err(source) => {
                        return Err(LakeError::storage("delete", &object.location, source));
                    }
                }
            }
        }
        if let Some(folder) = self.url().local_path(&root) {
            let staged = staged_files(folder, oldest, vacuum.dry_run).await?;
            removed.files += staged.files;
            removed.bytes += staged.bytes;
        }
        Ok(removed)
    }
}

/// Whether so many rows of a file are deleted that it is worth writing anew, however large.
fn is_holey(live: &LiveFiles, at: usize) -> bool {
    let deleted = live.files.get(at).and_then(|file| file.deleted.as_ref());
    deleted.is_some_and(|deleted| {
        live.physical_rows_of(at)
            .is_some_and(|rows| deleted.count > rows / MOST_DELETED)
    })
}

/// The objects that a live file is made of: itself, its row index and its deletion vector's.
fn objects_of(file: LogicalFileView) -> impl Iterator<Item = String> {
    let vector = file.deletion_vector_descriptor();
    let vector = vector.as_ref().and_then(file_name);
    let path = file.path().into_owned();
    [index_name(&path), path].into_iter().chain(vector)
}

/// The path below the table, of data files only.
fn relative<'a>(root: &Path, location: &'a Path) -> Option<&'a str> {
    let below = location.as_ref().strip_prefix(root.as_ref())?;
    let below = below.trim_start_matches('/');
    // Delta hides names that begin so; the log is among them. A folder is no part of an
    // unpartitioned table: it may be a table of its own.
    let foreign = below.starts_with(['_', '.']) || below.contains('/');
    (!foreign && !below.is_empty()).then_some(below)
}

/// Files that a killed process was still writing: a store over a folder gives them a name ending in
/// `#` and digits, and does not list them.
async fn staged_files(
    folder: PathBuf,
    oldest: DateTime<Utc>,
    dry_run: bool,
) -> Result<Vacuumed, LakeError> {
    let shown = folder.display().to_string();
    let failed = move |source| LakeError::File {
        action: "list",
        path: shown.clone(),
        source,
    };
    let task = tokio::task::spawn_blocking(move || {
        let mut removed = Vacuumed::default();
        for place in [folder.clone(), folder.join("_delta_log")] {
            let entries = match std::fs::read_dir(&place) {
                Ok(entries) => entries,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            for entry in entries {
                let path = entry?.path();
                if !is_staged(&path) {
                    continue;
                }
                // Finished between the listing and now.
                let Ok(metadata) = path.metadata() else {
                    continue;
                };
                let old = metadata
                    .modified()
                    .is_ok_and(|m| DateTime::<Utc>::from(m) <= oldest);
                if !old {
                    continue;
                }
                removed.files += 1;
                removed.bytes += metadata.len();
                if !dry_run {
                    std::fs::remove_file(&path)?;
                }
            }
        }
        Ok(removed)
    });
    match task.await {
        Ok(result) => result.map_err(failed),
        Err(_) => Err(failed(std::io::Error::other("the task was cancelled"))),
    }
}

fn is_staged(path: &FilePath) -> bool {
    path.file_name()
        .and_then(|name| name.to_str())
        .and_then(|name| name.rsplit_once('#'))
        .is_some_and(|(_, digits)| {
            !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit())
        })
}
