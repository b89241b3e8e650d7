//! The blocks of a manifest.

use super::describe::{Block, Key, Shape, key, needed};
use super::verdict::{ITEM_WORDS, UNNAMED_WORDS, WORDS};
use crate::identifiers;

/// The words of a call that are methods.
pub(crate) const METHODS: &[&str] = &["get", "post", "put", "patch", "delete"];
/// The keys of a call that are bodies.
pub(crate) const BODIES: &[&str] = &["json", "form", "csv", "ndjson", "multipart", "text"];

macro_rules! block {
    ($(#[doc = $doc:literal])+ $name:ident = $word:literal, $what:literal, $about:literal, [$($key:expr),+ $(,)?] $(, one of $one:expr)? $(, at most one of $most:expr)?;) => {
        $(#[doc = $doc])+
        pub static $name: Block = {
            const KEYS: &[Key] = &[$($key),+];
            Block { name: $word, what: $what, about: $about, keys: KEYS, exactly_one: &[$($one)?], at_most_one: &[$($most)?] }
        };
    };
}

block! {
    /// The whole file.
    MANIFEST = "manifest", "a manifest",
    "The whole file `manifest.yml`.",
    [
        needed("version", Shape::Count, "The version of the language: `1`."),
        needed("name", Shape::Text, "The name by which connections call the destination: lower-case letters, digits and `-`. The folder has the same name."),
        needed("title", Shape::Text, "The name as the vendor writes it."),
        needed("about", Shape::Text, "What is written there, in a sentence or two."),
        key("sources", Shape::Texts, "From which documentation or specification the manifest was written."),
        key("verified", Shape::Text, "When and against what it was run for the last time. Without it, pages say that nobody has run it against the live service."),
        key("parameters", Shape::BlockMap(&PARAMETER), "What a connection needs."),
        needed("base_url", Shape::Template, "What the paths of calls are appended to."),
        key("headers", Shape::TemplateMap, "Headers of every request. The place for the version of the API."),
        key("auth", Shape::Block(&AUTH), "Where credentials go, and where a token comes from."),
        key("limits", Shape::Blocks(&LIMIT), "What an account may do in a period."),
        key("rules", Shape::Blocks(&RULE), "What answers mean, for every call, after the call's own rules. What no rule says is said by the status."),
        key("check", Shape::Block(&CALL), "A call that changes nothing and succeeds if the credentials are right. With `when` it is for some connections only."),
        key("no_check", Shape::Text, "Why the destination cannot be asked whether credentials are right; shown in the place of an answer, on the page too. Beside a `check` with `when`: of the other connections."),
        key("clear_with", Shape::Any, "What empties a field, for `nulls: clear` and `on_leave: clear`; null unless set."),
        needed("objects", Shape::BlockMap(&OBJECT), "What can be written to."),
    ];
}

block! {
    /// A parameter of a connection.
    PARAMETER = "parameter", "a parameter",
    "A value that a connection gives, looked up as `connection.<name>`.",
    [
        needed("about", Shape::Text, "Where a person finds it."),
        key("secret", Shape::Bool, "Whether it is a credential: never printed, stored or put into a message."),
        key("optional", Shape::Bool, "Whether a connection may leave it out; it is null then."),
        key("default", Shape::Text, "Its value if a connection leaves it out."),
        key("choices", Shape::TextMap, "The words that a connection may give, and the value of each: regions, for instance."),
        key("example", Shape::Text, "What it looks like."),
    ];
}

block! {
    /// Credentials.
    AUTH = "auth", "`auth`",
    "Credentials go into headers or the query. A token that has to be fetched first is fetched by a call, kept until it expires, and looked up as `auth.<name>`. So every kind of authentication is written with the same few keys; the guide shows each.",
    [
        key("token", Shape::Block(&CALL), "The call that gets a token. What it keeps is secret."),
        key("expires_in", Shape::Expression, "For how many seconds the token is good, from the answer; without it, until an answer is `expired`."),
        key("renew_before", Shape::Duration, "How long before its end the token is renewed; `60s` unless set."),
        key("rotates", Shape::Text, "The name of a kept value that takes the place of the parameter of the same name: a refresh token that is good for one use. It is stored before anything is done with the new token."),
        key("headers", Shape::TemplateMap, "Headers of every request but those for tokens. They may look at the finished request, to sign it."),
        key("query", Shape::TemplateMap, "Parameters of the query of every request but those for tokens."),
        key("aws", Shape::Block(&AWS), "Signs requests with AWS Signature Version 4."),
    ];
}

block! {
    /// AWS Signature Version 4.
    AWS = "aws", "`aws`",
    "The signature of Amazon's services. It covers the method, the path, the query, the host and the body.",
    [
        needed("region", Shape::Template, "The region."),
        needed("service", Shape::Template, "The name of the service: `execute-api`."),
        needed("access_key", Shape::Template, "The id of the key."),
        needed("secret_key", Shape::Template, "The key."),
        key("session_token", Shape::Template, "The token of a session."),
    ];
}

block! {
    /// A limit of the account.
    LIMIT = "limit", "a limit",
    "So many calls, rows or points in a period, for all syncs of a connection together. Every limit that applies to a call must allow it. With `remaining` and `reset` the destination's own words correct the count.",
    [
        key("calls", Shape::Count, "Most calls in a period."),
        key("rows", Shape::Count, "Most rows in a period."),
        key("points", Shape::Count, "Most points in a period; each call has its `points`."),
        key("at_once", Shape::Count, "Most calls at a time."),
        key("per", Shape::Duration, "The period."),
        key("window", Shape::Word(&[
            ("rolling", "no period, wherever it begins, sees more (unless set)"),
            ("clock", "periods begin at multiples of their length: every full hour"),
            ("bucket", "a bucket of so many, refilled evenly over the period"),
        ]), "How the period moves."),
        key("zone", Shape::Text, "With `clock` and a period of days: where the day begins at midnight, `America/New_York`. UTC unless set."),
        key("group", Shape::Text, "Only for calls that name this group."),
        key("remaining", Shape::Expression, "How many are left, from an answer: `header['x-ratelimit-remaining'] | number`."),
        key("reset", Shape::Expression, "When there are more again, from an answer: a time, or seconds from now. Used when `remaining` is 0."),
    ], one of &["calls", "rows", "points", "at_once"];
}

block! {
    /// What an answer means.
    RULE = "rule", "a rule",
    "The first rule that fits an answer gives it its verdict.",
    [
        key("status", Shape::Statuses, "The statuses that it is for: `429`, `[500, 502]`, `4xx`; all unless set."),
        key("if", Shape::Condition, "What must hold beside the status."),
        needed("is", Shape::Word(WORDS), "The verdict."),
        key("unnamed", Shape::Word(UNNAMED_WORDS), "With `ok`, of a call with `rows`: the verdict of rows that this answer does not name, in the place of `unnamed` of the call or the job."),
        key("wait", Shape::Expression, "With `throttled` and `pending`: for how many seconds, or until which time. `Retry-After` unless set."),
        key("message", Shape::Expression, "The destination's reason, for a person; found in the usual places unless set."),
    ];
}

block! {
    /// What an item of an answer means.
    ITEM_RULE = "item rule", "a rule of items",
    "The first rule that fits an item gives its row a verdict. `$` is the item.",
    [
        key("if", Shape::Condition, "What must hold; every item fits unless set."),
        needed("is", Shape::Word(ITEM_WORDS), "The verdict."),
        key("message", Shape::Expression, "The reason, for a person; found in the usual places of the item unless set."),
    ];
}

block! {
    /// A request and how its answer is read.
    CALL = "call", "a call",
    "A request and how its answer is read. Everything that is ever sent is a call. It has one method, at most one body, and goes on to the next call of its list if its verdict is `ok`.",
    [
        key("get", Shape::Template, "The path below `base_url`, or a whole address. Values in it are percent-encoded; one that is null means that there is nothing to call, and the row is rejected."),
        key("post", Shape::Template, "The same, with POST."),
        key("put", Shape::Template, "The same, with PUT."),
        key("patch", Shape::Template, "The same, with PATCH."),
        key("delete", Shape::Template, "The same, with DELETE."),
        key("query", Shape::BodyMap, "Parameters of the query; those that are null are left out, a list gives one for each item."),
        key("headers", Shape::TemplateMap, "Further headers; those that are null are left out."),
        key("json", Shape::Body, "The body as JSON."),
        key("form", Shape::Body, "The body as a form; fields of objects are written `a[b]`, items of lists as `lists` says, null as nothing."),
        key("lists", Shape::Word(&[
            ("indexed", "`a[0]=x&a[1]=y` (unless set)"),
            ("brackets", "`a[]=x&a[]=y`"),
            ("repeated", "`a=x&a=y`"),
        ]), "Beside `form`: how lists are written."),
        key("csv", Shape::Block(&CSV), "The body as CSV, one line for each row."),
        key("ndjson", Shape::Body, "The body as JSON, one line for each item; a list, made by `$each`."),
        key("multipart", Shape::BodyMap, "The body in parts. A part is a text, or a [file](#part)."),
        key("text", Shape::Template, "The body as text."),
        key("content_type", Shape::Text, "The type of the body, if it is not the usual one."),
        key("when", Shape::Condition, "Only for rows for which this holds; without such rows there is no call. In `prepare` and `finish`, whether there is one."),
        key("reads", Shape::Bool, "Whether it changes nothing, if its method is not GET. Matters when a later call fails."),
        key("group", Shape::Text, "The group of limits that it counts for."),
        key("points", Shape::Count, "As how many points it counts in limits of `points`; `1` unless set."),
        key("rules", Shape::Blocks(&RULE), "What its answers mean, before the rules of the manifest."),
        key("answer", Shape::Word(&[
            ("json", "JSON (unless set)"),
            ("csv", "CSV with a header: a list of objects, every value a text"),
            ("ndjson", "JSON in lines: a list"),
            ("text", "a text"),
        ]), "The form of a successful answer. Other answers are JSON if they can be read so."),
        key("rows", Shape::OneOrMany(&READING), "How the answer speaks of rows."),
        key("unnamed", Shape::Word(UNNAMED_WORDS), "Beside `rows`: the verdict of rows that the answer does not name."),
        key("pages", Shape::Block(&PAGES), "Where the next page of the answer is. All pages are read."),
        key("items", Shape::Expression, "Beside `pick`: the list."),
        key("pick", Shape::Condition, "Which item of `items` the call keeps values of; `$` is the item. Without one, nothing is kept."),
        key("keep", Shape::ExpressionMap, "Values for later calls: of the item, for its row, if there is `rows`; of the picked item; else of the answer."),
    ], one of METHODS, at most one of BODIES;
}

block! {
    /// How an answer speaks of rows.
    READING = "reading", "a reading",
    "A list in the answer, and how each item finds the row that it speaks of: by `index`, or because `item` and `row` are equal. `$` is the item.",
    [
        needed("items", Shape::Expression, "The list; null is an empty one."),
        key("index", Shape::Expression, "The position of the row among those of the request, from 0: `position`, `$.index`, `$.source.pointer | segment(3) | number`. With `position` alone there must be as many items as rows, on all pages together."),
        key("item", Shape::Expression, "The value of the item that its row has too; a list if it speaks of several."),
        key("row", Shape::Expression, "Beside `item`: the value of the row. Every row that has it is meant."),
        key("rules", Shape::Blocks(&ITEM_RULE), "What items mean; `ok` if no rule fits. Of several items that speak of a row the worst counts, and the reasons of all that failed are its message."),
    ], one of &["index", "item"];
}

block! {
    /// The next page of an answer.
    PAGES = "pages", "`pages`",
    "There is a next page as long as the expression is not null.",
    [
        key("next", Shape::Expression, "The address of the next page, from the answer."),
        key("query", Shape::ExpressionMap, "Parameters of the query of the next page, from the answer; the page is the last if one of them is null."),
    ], one of &["next", "query"];
}

block! {
    /// A body as CSV.
    CSV = "csv", "`csv`",
    "One line for each row. The columns are the fields of all rows together, in the order in which they first come; a field that a row does not have is empty.",
    [
        needed("row", Shape::Body, "What a row becomes: an object without objects in it."),
        key("null", Shape::Text, "What stands for null; nothing unless set."),
        key("line_end", Shape::Word(&[("lf", "a line feed (unless set)"), ("crlf", "carriage return and line feed")]), "What ends a line."),
        key("header", Shape::Bool, "Whether the first line has the names of the columns; `true` unless set."),
    ];
}

block! {
    /// A file in a multipart body.
    PART = "part", "a part",
    "A file in a multipart body. Its content is `files.<part>` for the texts of the other parts.",
    [
        needed("file", Shape::Template, "The name of the file."),
        key("content_type", Shape::Text, "The type of the file."),
        key("csv", Shape::Block(&CSV), "The content as CSV."),
        key("ndjson", Shape::Body, "The content as JSON in lines."),
        key("content", Shape::Body, "The content as text: a template or an `$each` with `$join`."),
    ], one of &["csv", "ndjson", "content"];
}

block! {
    /// An object.
    OBJECT = "object", "an object",
    "What a sync writes to. A sync names it as `object: <name>`, with its arguments after it: `object: list/42`. It has at least one operation.",
    [
        needed("about", Shape::Text, "What it is."),
        key("arguments", Shape::BlockMap(&ARGUMENT), "What stands after the name, in order; looked up as `object.<name>`."),
        key("keys", Shape::TextLists, "The fields by which rows can be found: each entry is one field, or a list of fields that are the key together. Any fields unless set."),
        key("fields", Shape::Block(&FIELDS), "The fields that can be written; any unless set."),
        key("identifiers", Shape::BlockMap(&IDENTIFIER), "Fields that are cleaned and hashed; looked up as `row.identifiers.<name>`. A row of which none is left is rejected."),
        key("prepare", Shape::Blocks(&CALL), "Calls before the first batch of a run. What they keep is there for every call after them."),
        key("remember", Shape::Texts, "Names kept by `prepare` that are stored for ever. When all of them are there, `prepare` is not run: an audience is created once."),
        key("finish", Shape::Blocks(&CALL), "Calls after the last batch of a run, if there was one."),
        key("reach", Shape::Block(&REACH), "How many people of the object the destination has found. Asked outside of runs."),
        key("refuse", Shape::Blocks(&REFUSAL), "Rows, or whole syncs, that are refused before anything is sent."),
        key("removal", Shape::Block(&REMOVAL), "What `delete` does there, for the page and for whoever writes a sync."),
        key("append", Shape::OneOrMany(&OPERATION), "Sends every row once, as an event."),
        key("insert", Shape::OneOrMany(&OPERATION), "Adds rows; a row that exists is an error."),
        key("update", Shape::OneOrMany(&OPERATION), "Changes rows; a row that does not exist is an error. Also what `on_leave: clear` needs."),
        key("upsert", Shape::OneOrMany(&OPERATION), "Adds or changes rows, or adds people to an audience."),
        key("delete", Shape::OneOrMany(&OPERATION), "Deletes rows, or takes people from an audience. A row that does not exist is fine."),
    ];
}

block! {
    /// What removing does.
    REMOVAL = "removal", "`removal`",
    "What becomes of a row that is deleted. `mirror` deletes rows that leave unless a sync says otherwise, so this has to be what a person expects of that. What erases a person by law, blocks them from then on, or ends more than the record is no `delete`: make it an object with `append`, to which a sync sends those who are meant.",
    [
        needed("reaches", Shape::Word(super::removal::WORDS), "How far it goes."),
        needed("about", Shape::Text, "What happens there, in a sentence."),
    ];
}

block! {
    /// An argument of an object.
    ARGUMENT = "argument", "an argument",
    "A part of the name of an object.",
    [
        needed("about", Shape::Text, "Where a person finds it."),
        key("example", Shape::Text, "What it looks like."),
    ];
}

block! {
    /// The fields of an object.
    FIELDS = "fields", "`fields`",
    "The fields that a sync may map. A sync with others is refused before anything is sent.",
    [
        key("known", Shape::BlockMap(&FIELD), "Fields that are always there."),
        key("open", Shape::Bool, "Whether fields of any other name may be written too."),
        key("discover", Shape::Block(&DISCOVER), "How the fields of the account are found."),
    ];
}

block! {
    /// A field.
    FIELD = "field", "a field",
    "A field of an object.",
    [
        key("about", Shape::Text, "What it holds."),
        key("required", Shape::Bool, "Whether a sync must map it."),
        key("read_only", Shape::Bool, "Whether it cannot be written."),
    ];
}

block! {
    /// Finding the fields of the account.
    DISCOVER = "discover", "`discover`",
    "A call whose answer lists the fields. `$` is the item.",
    [
        needed("call", Shape::Block(&CALL), "The call."),
        needed("items", Shape::Expression, "The list in its answer."),
        needed("name", Shape::Expression, "The name of a field."),
        key("read_only", Shape::Condition, "Whether it cannot be written."),
    ];
}

block! {
    /// An identifier of people.
    IDENTIFIER = "identifier", "an identifier",
    "A field that is cleaned by the rules of an advertising platform, then hashed. A value that is hashed already stays as it is; one that is empty after cleaning is dropped. A list gives a list.",
    [
        needed("clean", Shape::Word(identifiers::CLEANERS), "How it is cleaned."),
        key("hash", Shape::Word(identifiers::HASHES), "How it is hashed; not at all unless set."),
        key("field", Shape::Text, "The mapped field, if it has another name."),
        key("country", Shape::Template, "Of telephone numbers: the two letters of the country of numbers without country code. Without it such numbers are dropped."),
    ];
}

block! {
    /// What is refused.
    REFUSAL = "refusal", "a refusal",
    "What the destination would take and get wrong, or refuse without a good reason. A row for which the condition holds is rejected. If neither condition nor message looks at `row`, the whole sync is refused: `sync`, `object` and `connection` are known before it starts.",
    [
        needed("if", Shape::Condition, "Which rows or syncs."),
        needed("message", Shape::Template, "Why, for a person."),
    ];
}

block! {
    /// How many people an audience reaches.
    REACH = "reach", "`reach`",
    "Calls that change nothing, and what they have kept as figures. What `prepare` has remembered or can look up is known; if it would have to make the audience first, there is none to ask about. A figure that is null is not told.",
    [
        key("about", Shape::Text, "What the figures count, for the page of the destination."),
        needed("calls", Shape::Blocks(&CALL), "The calls, each a GET or with `reads`."),
        key("size", Shape::Expression, "People that can be reached now: a number, or a list of the lowest and the highest. Texts that are numbers count too; what is below 0 is not told."),
        key("matched", Shape::Expression, "Rows that were sent and whose person is known; written in the same way."),
        key("rate", Shape::Expression, "The part of the rows that is matched, from 0 to 1; written in the same way."),
        key("ready", Shape::Condition, "Whether the destination has finished, so that the audience can be used."),
        key("status", Shape::Expression, "Its own word for the state of the audience."),
    ];
}

block! {
    /// An operation.
    OPERATION = "operation", "an operation",
    "What is done with a batch: calls, one after the other. An operation may have several forms, a list; the first whose `min_rows` a batch has is taken.",
    [
        needed("rows", Shape::Count, "Most rows of a request."),
        key("min_rows", Shape::Count, "The form is for batches of at least so many rows."),
        key("bytes", Shape::Bytes, "Largest body; a batch with a larger one is sent in parts."),
        key("row_bytes", Shape::Bytes, "Largest row, as JSON of its key and fields; a larger one is rejected and not sent."),
        key("repeatable", Shape::Bool, "Whether sending a batch twice does what sending it once does. `true` unless set, but `false` for `insert` and `append`."),
        key("refuse", Shape::Blocks(&REFUSAL), "The same as `refuse` of the object, for this operation only."),
        key("together", Shape::Expression, "Rows with different values of this go into different requests."),
        needed("calls", Shape::Blocks(&CALL), "The calls. A row that is `ok` after the last is delivered."),
        key("job", Shape::Block(&JOB), "The calls make a job, which is asked about later."),
    ];
}

block! {
    /// A job.
    JOB = "job", "`job`",
    "What the calls have kept for the batch is the name of the job: it is stored before the job is asked about, and there again after a crash. It must not be secret.",
    [
        key("at_once", Shape::Count, "Most jobs at a time; `1` unless set."),
        needed("poll", Shape::Block(&CALL), "Asks whether the job is over: `pending`, `ok`, `rejected` (nothing applied, some row is at fault), `failed` (nothing applied, for a reason that passes) or `lost`. It may speak of rows itself."),
        key("results", Shape::Blocks(&CALL), "When it is over: what became of the rows."),
        key("unnamed", Shape::Word(UNNAMED_WORDS), "Beside `results`, or `rows` in `poll`: the verdict of rows that none of them names."),
    ];
}

/// Every block, in the order of the reference.
pub static ALL: &[&Block] = &[
    &MANIFEST,
    &PARAMETER,
    &AUTH,
    &AWS,
    &LIMIT,
    &RULE,
    &OBJECT,
    &ARGUMENT,
    &FIELDS,
    &FIELD,
    &DISCOVER,
    &IDENTIFIER,
    &REACH,
    &REMOVAL,
    &REFUSAL,
    &OPERATION,
    &CALL,
    &READING,
    &ITEM_RULE,
    &PAGES,
    &CSV,
    &PART,
    &JOB,
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn keys_are_unique_and_groups_name_keys() {
        let names: HashSet<&str> = ALL.iter().map(|block| block.name).collect();
        assert_eq!(names.len(), ALL.len());
        for block in ALL {
            let keys: HashSet<&str> = block.keys.iter().map(|key| key.name).collect();
            assert_eq!(keys.len(), block.keys.len(), "{}", block.name);
            for name in block
                .exactly_one
                .iter()
                .chain(block.at_most_one)
                .flat_map(|group| group.iter())
            {
                assert!(keys.contains(name), "{}: {name}", block.name);
            }
            for key in block.keys {
                assert!(key.about.ends_with('.'), "{}.{}", block.name, key.name);
                let below = key.kind.block();
                assert!(
                    below.is_none_or(|below| names.contains(below.name)),
                    "{}",
                    key.name
                );
            }
        }
    }
}
