//! Where each character stands in a short pattern, as bits.

/// Characters of a pattern that fit in one word of bits.
pub(super) const WORD: usize = 64;

/// For each character the places that it has in a pattern of at most [`WORD`] characters. Empty between
/// calls.
#[derive(Clone, Debug)]
pub(super) struct Places {
    ascii: [u64; 128],
    /// Searched from the first on: a text of a Latin alphabet has a few, and one of another script is
    /// short.
    others: Vec<(u32, u64)>,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            ascii: [0; 128],
            others: Vec::new(),
        }
    }
}

/// An ASCII byte or a code point.
pub(super) trait Symbol: Copy + PartialEq {
    /// The places of this symbol.
    fn places(self, places: &Places) -> u64;
    /// The same, to write to.
    fn places_mut(self, places: &mut Places) -> &mut u64;
}

impl Symbol for u8 {
    #[inline]
    fn places(self, places: &Places) -> u64 {
        places.ascii[slot(self)]
    }

    #[inline]
    fn places_mut(self, places: &mut Places) -> &mut u64 {
        &mut places.ascii[slot(self)]
    }
}

impl Symbol for u32 {
    #[inline]
    fn places(self, places: &Places) -> u64 {
        if let Some(byte) = ascii(self) {
            return byte.places(places);
        }
        let found = places.others.iter().find(|(symbol, _)| *symbol == self);
        found.map_or(0, |(_, places)| *places)
    }

    #[inline]
    fn places_mut(self, places: &mut Places) -> &mut u64 {
        if let Some(byte) = ascii(self) {
            return byte.places_mut(places);
        }
        let others = &mut places.others;
        let at = others.iter().position(|(symbol, _)| *symbol == self);
        let at = at.unwrap_or_else(|| {
            others.push((self, 0));
            others.len() - 1
        });
        &mut others[at].1
    }
}

impl Places {
    /// Marks the pattern, which has at most [`WORD`] symbols.
    #[inline]
    pub(super) fn mark<T: Symbol>(&mut self, pattern: &[T]) {
        for (place, symbol) in pattern.iter().enumerate() {
            *symbol.places_mut(self) |= 1 << place;
        }
    }

    /// Empty again.
    #[inline]
    pub(super) fn clear<T: Symbol>(&mut self, pattern: &[T]) {
        for symbol in pattern {
            *symbol.places_mut(self) = 0;
        }
        self.others.clear();
    }
}

/// The mask spares a check of bounds.
fn slot(byte: u8) -> usize {
    usize::from(byte & 127)
}

fn ascii(symbol: u32) -> Option<u8> {
    u8::try_from(symbol).ok().filter(u8::is_ascii)
}
