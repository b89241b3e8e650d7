//! The blocks of exchanges and faults.

use crate::manifest::describe::{Block, Key, Shape, key, needed};

pub(crate) const ROW_WORDS: &[(&str, &str)] = &[
    ("add", "a new row (unless set)"),
    ("update", "a changed row"),
    ("remove", "a row that left"),
    ("clear", "a row that left and is emptied"),
];
pub(crate) const RESULT_WORDS: &[(&str, &str)] = &[
    ("rejected", "refused as a whole"),
    ("throttled", "asked to wait"),
    ("temporary", "failed for a reason that passes"),
    ("unknown", "it is not known what was applied"),
    (
        "fatal",
        "the delivery stops, or does not begin because the sync is refused",
    ),
    ("pending", "the job is not over"),
    ("lost", "the job is not known"),
    ("no_answer", "a question about the job told nothing"),
    ("incomplete", "a call of `finish` failed"),
];
pub(crate) const CHECK_WORDS: &[(&str, &str)] = &[
    ("works", "they are taken"),
    ("cannot_ask", "nothing is sent, and `no_check` says why"),
];
const MODE_WORDS: &[(&str, &str)] = &[
    ("insert", "adds rows"),
    ("update", "changes rows"),
    ("upsert", "adds or changes rows"),
    ("mirror", "adds, changes and removes rows"),
    ("append", "sends rows once"),
];

macro_rules! block {
    ($(#[doc = $doc:literal])+ $name:ident = $word:literal, $what:literal, $about:literal, [$($key:expr),+ $(,)?] $(, one of $one:expr)? $(, at most one of $most:expr)?;) => {
        $(#[doc = $doc])+
        pub(crate) static $name: Block = {
            const KEYS: &[Key] = &[$($key),+];
            Block { name: $word, what: $what, about: $about, keys: KEYS, exactly_one: &[$($one)?], at_most_one: &[$($most)?] }
        };
    };
}

block! {
    /// A recorded exchange.
    EXCHANGE = "exchange", "an exchange",
    "A file of `exchanges/`: a batch, the requests that it must become, the answers to them, and the outcomes. The sync is named `exchange` and the run `run-1`, so that ids are the same every time.",
    [
        needed("about", Shape::Text, "What it shows."),
        needed("object", Shape::Text, "The object, as a sync names it: `list/42`."),
        key("mode", Shape::Word(MODE_WORDS), "The mode of the sync; `upsert` unless set."),
        key("connection", Shape::TextMap, "Parameters of the connection. Made up ones: nothing in the folder may be a credential. `example RSA key` stands for a private key of nobody, for what signs."),
        key("now", Shape::Text, "The time, RFC 3339; `2026-01-02T03:04:05Z` unless set."),
        key("stored", Shape::TextMap, "What is remembered from earlier runs: `token/refresh_token`, `object/<object>/<name>`."),
        key("rows", Shape::Blocks(&ROW), "The rows of the batch: all of one operation. Needed but with `reach` and `check`."),
        needed("calls", Shape::Blocks(&RECORDED), "The requests in their order, and the answers."),
        key("finish", Shape::Bool, "Whether the run ends after the batch, so that `finish` is called."),
        key("outcomes", Shape::Any, "The outcome of each row: `delivered`, or `{rejected: <class>}`, `{retryable: <class>}`, `{unknown: <class>}` with, if wanted, `message`: a part of the message."),
        key("result", Shape::Word(RESULT_WORDS), "In the place of `outcomes`: what is said of the batch as a whole."),
        key("reach", Shape::Block(&REACH), "In the place of rows and `outcomes`: the object is asked for its [reach](#reach), and this is what it must tell."),
        key("check", Shape::Word(CHECK_WORDS), "In the place of rows and `outcomes`: what comes of asking whether the credentials are right."),
        key("class", Shape::Text, "Beside `result`: the class of the failure."),
        key("message", Shape::Text, "Beside `result`: a part of the message."),
        key("wait", Shape::Duration, "Beside `result: throttled` or `pending`: for how long."),
        key("stored_after", Shape::TextMap, "What must be remembered afterwards."),
    ], one of &["outcomes", "result", "reach", "check"];
}

block! {
    /// A row of an exchange.
    ROW = "exchange row", "a row",
    "A row of the batch.",
    [
        key("operation", Shape::Word(ROW_WORDS), "What happened to it."),
        needed("key", Shape::Any, "Its key: a mapping."),
        key("fields", Shape::Any, "Its fields: a mapping."),
    ];
}

block! {
    /// A reach.
    REACH = "expected reach", "`reach`",
    "What the object must tell; what is not written must not be told.",
    [
        key("size", Shape::Any, "A number, or a list of the lowest and the highest."),
        key("matched", Shape::Any, "The same."),
        key("rate", Shape::Any, "The same, from 0 to 1."),
        key("ready", Shape::Bool, "Whether the destination has finished."),
        key("status", Shape::Text, "Its own word for the state."),
    ];
}

block! {
    /// A request and its answer.
    RECORDED = "recorded call", "a recorded call",
    "A request that must come, byte for byte, and the answer to it.",
    [
        needed("request", Shape::Block(&REQUEST), "The request."),
        needed("answer", Shape::Block(&ANSWER), "The answer."),
    ];
}

block! {
    /// A request that must come.
    REQUEST = "recorded request", "a recorded request",
    "Method, address and body must be the same to the byte; of the headers, those that are named.",
    [
        needed("method", Shape::Text, "`GET`, `POST`, …"),
        needed("url", Shape::Text, "The whole address with its query."),
        key("headers", Shape::TextMap, "Headers and their values."),
        key("json", Shape::Any, "The body: this as JSON without spaces, names in this order."),
        key("text", Shape::Text, "The body: this text."),
    ], at most one of &["json", "text"];
}

block! {
    /// An answer.
    ANSWER = "recorded answer", "a recorded answer",
    "An answer.",
    [
        needed("status", Shape::Count, "Its status."),
        key("headers", Shape::TextMap, "Its headers."),
        key("json", Shape::Any, "Its body, as JSON."),
        key("text", Shape::Text, "Its body, as text."),
    ], at most one of &["json", "text"];
}

block! {
    /// The file of faults.
    FAULTS = "faults", "`faults.yml`",
    "What can go wrong, in the vendor's own words, and how it must be taken. Each fault takes the place of one answer of an exchange.",
    [
        needed("faults", Shape::BlockMap(&FAULT), "The faults by their names."),
    ];
}

block! {
    /// A fault.
    FAULT = "fault", "a fault",
    "An answer in the place of a recorded one.",
    [
        key("about", Shape::Text, "When it happens."),
        needed("exchange", Shape::Text, "The exchange: the name of its file without `.yml`."),
        key("call", Shape::Count, "Which of its calls, from 1; the first unless set."),
        needed("answer", Shape::Block(&ANSWER), "The answer."),
        needed("result", Shape::Word(RESULT_WORDS), "What must be said of the batch."),
        key("class", Shape::Text, "The class of the failure."),
        key("message", Shape::Text, "A part of the message."),
        key("wait", Shape::Duration, "With `throttled` and `pending`: for how long."),
    ];
}

/// Every block, in the order of the reference.
pub(crate) static ALL: &[&Block] = &[
    &EXCHANGE, &ROW, &REACH, &RECORDED, &REQUEST, &ANSWER, &FAULTS, &FAULT,
];
