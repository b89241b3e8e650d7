//! What an answer, or an item of it, means.

/// What an answer, or an item of it, means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It worked; the next call follows.
    Ok,
    /// It worked, and nothing more is to be done.
    Done,
    /// A job is not over.
    Pending,
    /// Refused for good.
    Rejected,
    /// Refused because something like it exists.
    Conflict,
    /// Refused because it does not exist.
    MissingRow,
    /// Refused because it is too large.
    TooLarge,
    /// Asked to wait.
    Throttled,
    /// Failed for a reason that passes, nothing applied.
    Temporary,
    /// It is not known whether it was applied.
    Unknown,
    /// The credentials are refused.
    Unauthorized,
    /// No request of this sync can succeed.
    Misconfigured,
    /// The object is not there.
    MissingObject,
    /// The token has expired.
    Expired,
    /// A job failed, nothing applied.
    Failed,
    /// A job is not known any more.
    Lost,
}

type Words = &'static [(&'static str, &'static str)];

/// The words of rules of answers.
pub const WORDS: Words = &[
    (
        "ok",
        "it worked: the rows are read, and the next call follows; after the last, rows are delivered",
    ),
    (
        "done",
        "it worked, and the rows are delivered without further calls",
    ),
    ("pending", "only of a job: it is not over"),
    (
        "rejected",
        "refused for good, nothing applied; of several rows, halves are sent until the row at fault is alone",
    ),
    ("conflict", "the same, because something like it exists"),
    ("missing_row", "the same, because it does not exist"),
    ("too_large", "the same, because it is too large"),
    (
        "throttled",
        "asked to wait; nothing applied, and no attempt is used up",
    ),
    (
        "temporary",
        "failed for a reason that passes, nothing applied",
    ),
    ("unknown", "it is not known whether it was applied"),
    (
        "unauthorized",
        "the credentials are refused; the delivery stops",
    ),
    (
        "misconfigured",
        "no request can succeed; the delivery stops",
    ),
    (
        "missing_object",
        "the object of the sync is not there; the delivery stops, and what was remembered of it is forgotten",
    ),
    (
        "expired",
        "the token has expired: it is renewed once and the call repeated; then `unauthorized`",
    ),
    (
        "failed",
        "only of a job: it failed for a reason that passes, nothing applied",
    ),
    ("lost", "only of a job: it is not known any more"),
];

/// The words of rules of items.
pub const ITEM_WORDS: Words = &[
    (
        "ok",
        "it worked; the row takes part in the next call, and is delivered after the last",
    ),
    ("done", "the row is delivered without further calls"),
    ("rejected", "refused for good"),
    ("conflict", "refused because something like it exists"),
    ("missing_row", "refused because it does not exist"),
    ("too_large", "refused because it is too large"),
    ("throttled", "not applied because of a limit; sent again"),
    (
        "temporary",
        "not applied for a reason that passes; sent again",
    ),
    ("unknown", "it is not known whether it was applied"),
];

/// The words of `unnamed`.
pub const UNNAMED_WORDS: Words = &[
    ("ok", "it worked; an answer that lists errors only"),
    (
        "done",
        "nothing to do: a look-up before a removal that does not find the row",
    ),
    ("rejected", "refused for good"),
    (
        "missing_row",
        "the row does not exist: a look-up before a change",
    ),
    ("temporary", "not applied; sent again"),
    ("unknown", "the answer should have named it"),
];

impl Verdict {
    const ALL: [Self; 16] = [
        Self::Ok,
        Self::Done,
        Self::Pending,
        Self::Rejected,
        Self::Conflict,
        Self::MissingRow,
        Self::TooLarge,
        Self::Throttled,
        Self::Temporary,
        Self::Unknown,
        Self::Unauthorized,
        Self::Misconfigured,
        Self::MissingObject,
        Self::Expired,
        Self::Failed,
        Self::Lost,
    ];

    /// The word in a manifest.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Done => "done",
            Self::Pending => "pending",
            Self::Rejected => "rejected",
            Self::Conflict => "conflict",
            Self::MissingRow => "missing_row",
            Self::TooLarge => "too_large",
            Self::Throttled => "throttled",
            Self::Temporary => "temporary",
            Self::Unknown => "unknown",
            Self::Unauthorized => "unauthorized",
            Self::Misconfigured => "misconfigured",
            Self::MissingObject => "missing_object",
            Self::Expired => "expired",
            Self::Failed => "failed",
            Self::Lost => "lost",
        }
    }

    /// The verdict of a word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|verdict| verdict.as_str() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_a_verdict() {
        assert_eq!(WORDS.len(), Verdict::ALL.len());
        for (word, _) in WORDS.iter().chain(ITEM_WORDS).chain(UNNAMED_WORDS) {
            assert!(Verdict::of_word(word).is_some(), "{word}");
        }
    }
}
