//! Cutting text into records, in blocks of bounded size, with true line numbers.

use std::sync::Arc;

use memchr::memchr;

use super::InputError;
use super::open::Content;
use super::quarantine::{Bad, KEPT_BYTES};

/// Records of one block.
pub(super) const BLOCK_RECORDS: usize = 8192;
/// Bytes of one block, unless one record has more.
const BLOCK_BYTES: usize = 4 << 20;
/// Bytes of one record.
const RECORD_BYTES: usize = 16 << 20;
/// Bytes that are read at a time.
const READ_BYTES: usize = 256 << 10;

const TOO_LONG: &str = "longer than 16 MiB";

/// What a window on the text starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scan {
    /// A line that is no record.
    Blank {
        /// Its bytes with its line end.
        bytes: usize,
    },
    /// A record.
    Record {
        /// Its bytes without its line end.
        content: usize,
        /// Its bytes with its line end.
        bytes: usize,
        /// Lines that it spans.
        lines: u64,
    },
    /// The window ends inside a record. Never at the end of the text.
    More,
    /// No record can be made of the line.
    Broken(&'static str),
}

/// How a format separates records.
pub(super) trait Framing: Send {
    /// Looks at a window that is not empty; `at_end`: nothing follows it.
    fn scan(&self, window: &[u8], at_end: bool) -> Scan;
}

/// Records of one file, in order.
#[derive(Debug, Default)]
pub(super) struct Block {
    pub text: Vec<u8>,
    pub records: Vec<Record>,
    /// Lines that are no record, in order.
    pub broken: Vec<Bad>,
}

/// Where a record is in [`Block::text`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    pub start: usize,
    pub end: usize,
    /// The line on which it starts, from 1.
    pub line: u64,
}

impl Block {
    /// The text of a record.
    pub fn record(&self, record: Record) -> &[u8] {
        self.text.get(record.start..record.end).unwrap_or_default()
    }

    /// Records and broken lines.
    pub fn count(&self) -> usize {
        self.records.len() + self.broken.len()
    }
}

/// Cuts the content of a file into blocks.
///
/// A line of which no record can be made is set aside alone, and the next line starts a new record:
/// an opening quote that is never closed costs one line, not the rest of the file.
pub(super) struct Splitter<F> {
    content: Content,
    framing: F,
    window: Vec<u8>,
    start: usize,
    line: u64,
    begun: bool,
    ended: bool,
}

impl<F: Framing> Splitter<F> {
    pub fn new(content: Content, framing: F) -> Self {
        Self {
            content,
            framing,
            window: Vec::new(),
            start: 0,
            line: 1,
            begun: false,
            ended: false,
        }
    }

    pub fn path(&self) -> &Arc<str> {
        self.content.path()
    }

    /// The next block of at most `records` records; `None` at the end of the file.
    pub fn block(&mut self, records: usize) -> Result<Option<Block>, InputError> {
        if !self.begun {
            self.begin()?;
        }
        let mut block = Block::default();
        while block.count() < records && block.text.len() < BLOCK_BYTES {
            let window = self.window.get(self.start..).unwrap_or_default();
            if window.is_empty() {
                if self.ended {
                    break;
                }
                self.fill()?;
                continue;
            }
            match self.framing.scan(window, self.ended) {
                Scan::Blank { bytes } => {
                    self.start += bytes;
                    self.line += 1;
                }
                Scan::Record { content, .. } if content > RECORD_BYTES => {
                    block.broken.push(self.set_aside(TOO_LONG)?)
                }
                Scan::Record {
                    content,
                    bytes,
                    lines,
                } => {
                    let start = block.text.len();
                    block
                        .text
                        .extend_from_slice(window.get(..content).unwrap_or_default());
                    block.records.push(Record {
                        start,
                        end: block.text.len(),
                        line: self.line,
                    });
                    self.start += bytes;
                    self.line += lines;
                }
                Scan::More if window.len() > RECORD_BYTES => {
                    block.broken.push(self.set_aside(TOO_LONG)?)
                }
                Scan::More => self.fill()?,
                Scan::Broken(reason) => block.broken.push(self.set_aside(reason)?),
            }
        }
        Ok((block.count() > 0).then_some(block))
    }

    /// Removes a byte order mark.
    fn begin(&mut self) -> Result<(), InputError> {
        self.begun = true;
        while self.window.len() < 3 && !self.ended {
            self.fill()?;
        }
        match self.window.as_slice() {
            [0xef, 0xbb, 0xbf, ..] => self.start = 3,
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => {
                return Err(InputError::Encoding {
                    path: self.path().to_string(),
                    encoding: "UTF-16",
                });
            }
            _ => {}
        }
        Ok(())
    }

    /// Makes the window larger: by its own size, so that scanning a long record again and again
    /// stays linear in its length.
    fn fill(&mut self) -> Result<(), InputError> {
        self.window.drain(..self.start.min(self.window.len()));
        self.start = 0;
        let length = self.window.len();
        let more = READ_BYTES.max(length);
        self.window.resize(length + more, 0);
        let mut filled = length;
        while filled < self.window.len() {
            let free = self.window.get_mut(filled..).unwrap_or_default();
            let count = self.content.read(free)?;
            if count == 0 {
                self.ended = true;
                break;
            }
            filled += count;
        }
        self.window.truncate(filled);
        Ok(())
    }

    /// Sets one line aside and goes on after it. Of a very long line only the start is kept.
    fn set_aside(&mut self, reason: &'static str) -> Result<Bad, InputError> {
        let line = self.line;
        self.line += 1;
        loop {
            let window = self.window.get(self.start..).unwrap_or_default();
            if self.ended || window.len() > KEPT_BYTES || memchr(b'\n', window).is_some() {
                break;
            }
            self.fill()?;
        }
        let mut bad: Option<Bad> = None;
        loop {
            let window = self.window.get(self.start..).unwrap_or_default();
            let end = memchr(b'\n', window);
            let text = window
                .get(..end.unwrap_or(window.len()))
                .unwrap_or_default();
            let text = if end.is_some() {
                text.strip_suffix(b"\r").unwrap_or(text)
            } else {
                text
            };
            let kept = bad.unwrap_or_else(|| Bad::new(line, reason, text));
            match end {
                Some(end) => {
                    self.start += end + 1;
                    return Ok(kept);
                }
                None => self.start = self.window.len(),
            }
            if self.ended {
                return Ok(kept);
            }
            bad = Some(kept);
            self.fill()?;
        }
    }
}
