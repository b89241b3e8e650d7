//! What is wrong with a request or an answer.

/// Something that does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where: `body/people/0/email`, `query/limit`, `answer/id`, …
    pub at: String,
    /// The kind: mostly the keyword of JSON Schema.
    pub rule: &'static str,
    /// What is wrong.
    pub message: String,
}

impl Finding {
    pub fn new(at: impl Into<String>, rule: &'static str, message: impl Into<String>) -> Self {
        let at = at.into();
        let message = message.into();
        Self { at, rule, message }
    }
}
