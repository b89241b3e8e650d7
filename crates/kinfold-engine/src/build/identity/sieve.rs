//! Few texts among many: most of those that are not among the few are told apart at the cost of a
//! few instructions.

/// Bits for each text, so that about one other text in sixteen passes.
const BITS_A_TEXT: usize = 16;

/// A set of texts that may say yes by mistake, never no. A Bloom filter with one hash.
pub(super) struct Sieve {
    bits: Vec<u64>,
}

impl Sieve {
    /// Of no texts yet; `texts` will be added at most.
    pub(super) fn of(texts: usize) -> Self {
        let words = (texts.saturating_mul(BITS_A_TEXT) / 64)
            .max(1)
            .next_power_of_two();
        Self {
            bits: vec![0; words],
        }
    }

    pub(super) fn add(&mut self, text: &str) {
        let (word, bit) = self.place(text);
        if let Some(word) = self.bits.get_mut(word) {
            *word |= bit;
        }
    }

    /// Of texts whose number is known.
    pub(super) fn of_all<'t>(all: impl ExactSizeIterator<Item = &'t str>) -> Self {
        let mut sieve = Self::of(all.len());
        all.for_each(|text| sieve.add(text));
        sieve
    }

    /// Whether the text may be one of them.
    pub(super) fn may_have(&self, text: &str) -> bool {
        let (word, bit) = self.place(text);
        self.bits.get(word).is_some_and(|word| word & bit != 0)
    }

    fn place(&self, text: &str) -> (usize, u64) {
        let hash = hash(text.as_bytes());
        // Their number is a power of two, far below 2³².
        let mask = self.bits.len() as u64 - 1;
        let word = usize::try_from((hash >> 6) & mask).unwrap_or(0);
        (word, 1 << (hash & 63))
    }
}

/// Words of eight bytes, folded by multiplication.
fn hash(bytes: &[u8]) -> u64 {
    const ODD: u64 = 0x9E37_79B9_7F4A_7C15;
    let (words, rest) = bytes.as_chunks::<8>();
    let mut last = [0; 8];
    for (to, from) in last.iter_mut().zip(rest) {
        *to = *from;
    }
    let words = words.iter().chain(std::iter::once(&last));
    let folded = words.fold(bytes.len() as u64, |hash, word| {
        let mixed = (hash ^ u64::from_le_bytes(*word)).wrapping_mul(ODD);
        mixed ^ (mixed >> 29)
    });
    folded.wrapping_mul(ODD) >> 20
}

#[cfg(test)]
mod tests {
    use super::Sieve;

    #[test]
    fn no_text_is_lost_and_most_others_are_kept_out() {
        let texts: Vec<String> = (0..1000).map(|n| format!("anonymous-{n}")).collect();
        let sieve = Sieve::of_all(texts.iter().map(String::as_str));
        assert!(texts.iter().all(|text| sieve.may_have(text)));
        let others = (1000..11_000).map(|n| format!("anonymous-{n}"));
        let passed = others.filter(|text| sieve.may_have(text)).count();
        assert!(passed < 1500, "{passed}");
        let nothing = Sieve::of(0);
        assert!(!nothing.may_have("") && !nothing.may_have("a"));
    }
}
