//! What is not as it was recorded.

/// Something that is not as it was recorded. It shows requests and answers of the folder, which hold made-up people
/// and made-up credentials only.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// The server or the destination cannot be made.
    #[error("the exchange cannot be replayed: {reason}")]
    Impossible {
        /// Why.
        reason: String,
    },
    /// A request is another one than the recorded.
    #[error("call {call}: {what} is\n  {found}\nand was recorded as\n  {recorded}")]
    Request {
        /// Which call, from 1.
        call: usize,
        /// Which part of it.
        what: String,
        /// What came.
        found: String,
        /// What was recorded.
        recorded: String,
    },
    /// A request that was not recorded.
    #[error("call {call} was not recorded: {found}")]
    Unexpected {
        /// Which call, from 1.
        call: usize,
        /// Method and address.
        found: String,
    },
    /// A recorded request that did not come.
    #[error("only {came} of {recorded} recorded calls were made")]
    Missing {
        /// How many came.
        came: usize,
        /// How many were recorded.
        recorded: usize,
    },
    /// Another outcome than the expected.
    #[error("row {row} is {found}, expected {expected}")]
    Outcome {
        /// Which row, from 0.
        row: usize,
        /// Its outcome.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// Another result of the batch than the expected.
    #[error("the result is {found}, expected {expected}")]
    Result {
        /// The result.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// Something else is remembered than was expected.
    #[error("`{name}` is {found} afterwards, expected {expected}")]
    Stored {
        /// Its name.
        name: String,
        /// What is stored.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// A credential is in a message or in what is stored of a job.
    #[error("the parameter `{parameter}` is secret and stands in {place}")]
    Leaked {
        /// Which one.
        parameter: String,
        /// Where.
        place: &'static str,
    },
}
