//! Values as text, before they get their types.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer};
use arrow::error::ArrowError;

/// A column of text that is being filled.
#[derive(Debug)]
pub(super) struct Text {
    bytes: Vec<u8>,
    offsets: Vec<i32>,
    valid: Vec<bool>,
}

impl Text {
    pub fn with_capacity(rows: usize) -> Self {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        Self {
            bytes: Vec::with_capacity(rows * 8),
            offsets,
            valid: Vec::with_capacity(rows),
        }
    }

    /// Appends what `write` adds to the buffer; null if that is nothing. `trim` removes ASCII spaces
    /// around it first.
    pub fn append(&mut self, write: impl FnOnce(&mut Vec<u8>), trim: bool) {
        let start = self.bytes.len();
        write(&mut self.bytes);
        if trim {
            let value = self.bytes.get(start..).unwrap_or_default();
            let front = value.len() - value.trim_ascii_start().len();
            let length = value.trim_ascii().len();
            if front > 0 && length > 0 {
                self.bytes
                    .copy_within(start + front..start + front + length, start);
            }
            self.bytes.truncate(start + length);
        }
        let present = self.bytes.len() > start;
        self.close(present);
    }

    /// Appends a value, which may be empty.
    pub fn append_value(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(value);
        self.close(true);
    }

    pub fn append_null(&mut self) {
        self.close(false);
    }

    fn close(&mut self, valid: bool) {
        // A block is far smaller than what an offset can reach.
        self.offsets
            .push(i32::try_from(self.bytes.len()).unwrap_or(i32::MAX));
        self.valid.push(valid);
    }

    pub fn len(&self) -> usize {
        self.valid.len()
    }

    pub fn truncate(&mut self, rows: usize) {
        self.valid.truncate(rows);
        self.offsets.truncate(rows + 1);
        let end = self.offsets.last().copied().unwrap_or_default();
        self.bytes
            .truncate(usize::try_from(end).unwrap_or_default());
    }

    /// # Errors
    /// If the text is not UTF-8 or longer than an array may be.
    pub fn finish(self) -> Result<ArrayRef, ArrowError> {
        Ok(Arc::new(self.finish_text()?))
    }

    /// [`Text::finish`], as the array that it is.
    pub fn finish_text(self) -> Result<StringArray, ArrowError> {
        let offsets = OffsetBuffer::new(self.offsets.into());
        StringArray::try_new(offsets, Buffer::from_vec(self.bytes), nulls(self.valid))
    }
}

/// The nulls of an array, if it has any.
pub(super) fn nulls(valid: Vec<bool>) -> Option<NullBuffer> {
    (!valid.iter().all(|valid| *valid)).then(|| NullBuffer::from(valid))
}
