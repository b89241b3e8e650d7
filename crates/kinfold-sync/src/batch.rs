//! Cutting the plan into batches that are the same after a crash.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::FixedState;
use kinfold_project::SyncMode;

use crate::{Change, ChangeSource, Operation, StoppedEarly};

/// The run that a delivery belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Name of the sync.
    pub sync: String,
    /// Names the plan: the same when an interrupted run is resumed, different for every new plan. It is
    /// part of every [`BatchId`], so that a value which comes back in a later run is not taken for a repetition.
    pub run_id: String,
    /// The mode of the sync.
    pub mode: SyncMode,
}

/// What one batch asks of the destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BatchOperation {
    /// Add rows; a row that exists is an error.
    Insert,
    /// Change rows; a row that does not exist is an error, unless it is being cleared.
    Update,
    /// Add or change rows.
    Upsert,
    /// Delete rows; a row that does not exist is fine.
    Delete,
}

impl BatchOperation {
    pub(crate) const ALL: [Self; 4] = [Self::Insert, Self::Update, Self::Upsert, Self::Delete];

    /// Which operation a change needs in a mode.
    #[must_use]
    pub fn of(mode: SyncMode, operation: Operation) -> Self {
        match (operation, mode) {
            (Operation::Remove, _) => Self::Delete,
            (Operation::Clear, _) => Self::Update,
            (_, SyncMode::Insert | SyncMode::Append) => Self::Insert,
            (_, SyncMode::Update) => Self::Update,
            (_, SyncMode::Upsert | SyncMode::Mirror) => Self::Upsert,
        }
    }

    /// The operation of a word; the inverse of [`Self::as_str`].
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|operation| operation.as_str() == word)
    }

    /// The word on the wire: `insert`, `update`, `upsert` or `delete`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Upsert => "upsert",
            Self::Delete => "delete",
        }
    }
}

/// Names a batch by its content: 128 bits of BLAKE3 over the run, the operation and every row's position,
/// key and payload hash. The same rows of the same plan have the same id, so it serves as idempotency key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BatchId([u8; 16]);

impl BatchId {
    fn of(run: &Run, operation: BatchOperation, changes: &[Change]) -> Self {
        // All in one piece: of a long one BLAKE3 hashes many parts at a time.
        let keys: usize = changes.iter().map(|change| change.key.len()).sum();
        let mut all = Vec::with_capacity(256 + keys + changes.len() * 48);
        let mut put = |bytes: &[u8]| {
            all.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
            all.extend_from_slice(bytes);
        };
        put(run.sync.as_bytes());
        put(run.run_id.as_bytes());
        put(operation.as_str().as_bytes());
        for change in changes {
            put(&change.seq.to_le_bytes());
            put(change.key.as_str().as_bytes());
            put(&change.payload_hash);
        }
        let mut id = [0; 16];
        id.copy_from_slice(blake3::hash(&all).as_bytes().split_at(16).0);
        Self(id)
    }

    /// The id of its text of 32 hexadecimal digits; the inverse of `Display`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u128::from_str_radix(text, 16).ok().filter(|_| digits)?;
        Some(Self(number.to_be_bytes()))
    }
}

impl fmt::Display for BatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for BatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BatchId({self})")
    }
}

/// The rows of one request: one operation, no key twice.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Its name, and idempotency key.
    pub id: BatchId,
    /// The run that it belongs to.
    pub run: Arc<Run>,
    /// What it asks of the destination.
    pub operation: BatchOperation,
    /// The rows, in plan order; at least one.
    pub changes: Vec<Change>,
}

impl Batch {
    /// A batch of these rows.
    #[must_use]
    pub fn new(run: Arc<Run>, operation: BatchOperation, changes: Vec<Change>) -> Self {
        Self {
            id: BatchId::of(&run, operation, &changes),
            run,
            operation,
            changes,
        }
    }

    /// Names what is asked for one of its rows: 32 hexadecimal digits that are the same whenever it is asked
    /// again. A row that is added, an event for instance, has one name for ever. Other changes have one for
    /// each plan, so that a value which comes back in a later run is not taken for a repetition.
    #[must_use]
    pub fn change_id(&self, change: &Change) -> String {
        let mut hasher = blake3::Hasher::new();
        let mut put = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        put(self.run.sync.as_bytes());
        put(self.operation.as_str().as_bytes());
        put(change.key.as_str().as_bytes());
        if self.operation != BatchOperation::Insert {
            put(self.run.run_id.as_bytes());
            put(&change.seq.to_le_bytes());
            put(&change.payload_hash);
        }
        let mut id = [0; 16];
        hasher.finalize_xof().fill(&mut id);
        BatchId(id).to_string()
    }

    /// Two batches with the first and the second half of the rows.
    pub(crate) fn halves(mut self) -> (Self, Self) {
        let second = self.changes.split_off(self.changes.len() / 2);
        (
            Self::new(Arc::clone(&self.run), self.operation, self.changes),
            Self::new(self.run, self.operation, second),
        )
    }

    pub(crate) fn key_hashes(&self) -> impl Iterator<Item = u64> + '_ {
        self.changes.iter().map(key_hash)
    }
}

/// Hashes of keys.
pub(crate) type KeySet = HashSet<u64, FixedState>;

/// Two keys with one hash only wait for each other, so 64 bits that anybody can predict are enough.
pub(crate) fn key_hash(change: &Change) -> u64 {
    FixedState::default().hash_one(change.key.as_str())
}

/// Cuts the plan into batches. A batch ends where the operation changes, where a key repeats, when it is
/// full, and at every multiple of its operation's most rows in the plan's positions: so a plan whose
/// acknowledged batches have been taken out is cut at the same places again. Where the
/// operation changes, the first batch after it is therefore a short one, which is one request more for each
/// change at most: in a mirror one, between the rows that leave and the others. To count anew from there would
/// save it, and after a crash the plan would be cut elsewhere.
pub(crate) struct Batcher {
    run: Arc<Run>,
    /// Most rows of each operation's batches.
    max_rows: Vec<(BatchOperation, usize)>,
    /// Most rows taken from the source at a time.
    page: usize,
    max_bytes: usize,
    buffer: VecDeque<Change>,
    ended: bool,
    last_seq: Option<u64>,
    leaving_is_over: bool,
    read: u64,
}

impl Batcher {
    pub(crate) fn new(
        run: Arc<Run>,
        max_rows: impl Fn(BatchOperation) -> usize,
        max_bytes: usize,
    ) -> Self {
        let max_rows = BatchOperation::ALL.map(|operation| (operation, max_rows(operation).max(1)));
        let needed = max_rows.iter().map(|(_, rows)| *rows);
        Self {
            run,
            page: needed.max().unwrap_or(1),
            max_rows: max_rows.to_vec(),
            max_bytes,
            buffer: VecDeque::new(),
            ended: false,
            last_seq: None,
            leaving_is_over: false,
            read: 0,
        }
    }

    /// Rows taken from the source.
    pub(crate) fn read(&self) -> u64 {
        self.read
    }

    /// Rows taken from the source and not handed out in a batch.
    pub(crate) fn buffered(&self) -> u64 {
        self.buffer.len() as u64
    }

    /// Whether the source has said that there is no more.
    pub(crate) fn ended(&self) -> bool {
        self.ended
    }

    /// The next batch, or `None` at the end of the plan.
    pub(crate) async fn next(
        &mut self,
        source: &mut dyn ChangeSource,
    ) -> Result<Option<Batch>, StoppedEarly> {
        let mut changes: Vec<Change> = Vec::new();
        let mut operation = None;
        let mut keys = KeySet::default();
        let mut bytes = 0;
        loop {
            if self.buffer.is_empty()
                && !self.ended
                && let Err(reason) = self.fill(source).await
            {
                // The rows of the unfinished batch are still to be counted.
                changes.extend(std::mem::take(&mut self.buffer));
                self.buffer = changes.into();
                return Err(reason);
            }
            let Some(next) = self.buffer.front() else {
                break;
            };
            let wanted = BatchOperation::of(self.run.mode, next.operation);
            let size = encoded_len(next);
            let hash = key_hash(next);
            let most = self.most_rows(wanted);
            let window = most as u64;
            let fits = changes.first().is_none_or(|first| {
                operation == Some(wanted)
                    && changes.len() < most
                    && bytes + size <= self.max_bytes
                    && first.seq / window == next.seq / window
                    && !keys.contains(&hash)
            });
            if !fits {
                break;
            }
            if let Some(change) = self.buffer.pop_front() {
                operation = Some(wanted);
                bytes += size;
                keys.insert(hash);
                changes.push(change);
            }
        }
        Ok(operation.map(|operation| Batch::new(Arc::clone(&self.run), operation, changes)))
    }

    fn most_rows(&self, operation: BatchOperation) -> usize {
        let mut limits = self.max_rows.iter();
        limits
            .find(|(known, _)| *known == operation)
            .map_or(1, |(_, rows)| *rows)
    }

    async fn fill(&mut self, source: &mut dyn ChangeSource) -> Result<(), StoppedEarly> {
        let page = source.next(self.page).await.map_err(StoppedEarly::Source)?;
        self.ended = page.is_empty();
        self.read += page.len() as u64;
        // Rows before an offending one must not be lost from the count, so they stay in the buffer.
        let mut offender = None;
        for change in &page {
            let leaving = change.operation.is_leaving();
            if self.last_seq.is_some_and(|last| last >= change.seq)
                || (leaving && self.leaving_is_over)
            {
                offender = offender.or(Some(change.seq));
            }
            self.last_seq = Some(change.seq);
            self.leaving_is_over |= !leaving;
        }
        self.buffer.extend(page);
        match offender {
            Some(seq) => Err(StoppedEarly::OutOfOrder { seq }),
            None => Ok(()),
        }
    }
}

/// Bytes of a change as JSON, without the envelope of the request.
fn encoded_len(change: &Change) -> usize {
    const ENVELOPE: usize = r#"{"key":,"fields":},"#.len();
    ENVELOPE + change.key.len() + change.fields.len()
}
