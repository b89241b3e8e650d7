//! The traps.

/// What walks into a trap.
pub enum Walk {
    Exchange(&'static str),
    Fault(&'static str),
}

use Walk::{Exchange, Fault};

pub struct Trap {
    pub name: &'static str,
    pub destination: &'static str,
    pub walk: Walk,
    /// What must come of it, as `told` says it.
    pub end: &'static str,
    /// What is replaced in the manifest, and by what, so that the vendor is fallen for.
    pub without: &'static [(&'static str, &'static str)],
}

pub const TRAPS: &[Trap] = &[
    // Marketo says everything in a 200.
    Trap {
        name: "marketo: 601 in a 200 is a token that is not valid; one renewal, then no more",
        destination: "marketo",
        walk: Fault("never_good"),
        end: "fatal unauthorized",
        without: &[("['601', '602']", "['602']")],
    },
    Trap {
        name: "marketo: 602 in a 200 is a token that has expired, and is renewed",
        destination: "marketo",
        walk: Exchange("token_renewed"),
        end: "delivered",
        without: &[("['601', '602']", "['601']")],
    },
    Trap {
        name: "marketo: 606 in a 200 is too many calls in 20 seconds",
        destination: "marketo",
        walk: Fault("too_fast"),
        end: "throttled",
        without: &[("['606', '615']", "['615']")],
    },
    Trap {
        name: "marketo: 615 in a 200 is too many calls at a time",
        destination: "marketo",
        walk: Fault("too_many_at_once"),
        end: "throttled 20s",
        without: &[("['606', '615']", "['606']")],
    },
    Trap {
        name: "marketo: 607 in a 200 is the quota of the day",
        destination: "marketo",
        walk: Fault("day"),
        end: "throttled 3600s",
        without: &[("$.errors[0].code == '607'", "$.errors[0].code == 'x'")],
    },
    Trap {
        name: "marketo: 608 in a 200 passes",
        destination: "marketo",
        walk: Fault("unavailable"),
        end: "temporary",
        without: &[("['608', '713']", "['713']")],
    },
    Trap {
        name: "marketo: 604 in a 200 may have been applied",
        destination: "marketo",
        walk: Fault("timed_out"),
        end: "unknown",
        without: &[("['604', '611']", "['611']")],
    },
    Trap {
        name: "marketo: 1016 in a 200 is too many imports",
        destination: "marketo",
        walk: Fault("too_many_imports"),
        end: "throttled 60s",
        without: &[("['1016', '1029']", "['1029']")],
    },
    Trap {
        name: "marketo: 1029 in a 200 is too many jobs",
        destination: "marketo",
        walk: Fault("too_many_jobs"),
        end: "throttled 60s",
        without: &[("['1016', '1029']", "['1016']")],
    },
    Trap {
        name: "marketo: 1003 in a 200 refuses the request",
        destination: "marketo",
        walk: Fault("no_value"),
        end: "rejected: is required",
        without: &[(
            "{status: 200, if: $.success == false, is: rejected}",
            "{status: 200, if: $.success == false, is: temporary}",
        )],
    },
    Trap {
        name: "marketo: 1003, 1004 and 1005 of rows stand in a 200 that worked",
        destination: "marketo",
        walk: Exchange("rows_refused"),
        end: "delivered, rejected invalid_row: not specified, rejected missing_row, rejected conflict",
        without: &[("'1004', '1013'", "'1013'")],
    },
    Trap {
        name: "marketo: the status of a row has its position and nothing else",
        destination: "marketo",
        walk: Exchange("upsert_statuses"),
        end: "delivered, rejected conflict, delivered",
        without: &[("index: position", "index: $.position")],
    },
    Trap {
        name: "marketo: a 200 without success has not worked",
        destination: "marketo",
        walk: Fault("says_nothing"),
        end: "unknown",
        // The positions of results are the second net.
        without: &[
            (
                "  - {status: 200, if: $.success != true, is: unknown}\n",
                "",
            ),
            ("unnamed: unknown", "unnamed: ok"),
            ("index: position", "index: $.position"),
        ],
    },
    // Klaviyo.
    Trap {
        name: "klaviyo: a 429 has Retry-After instead of the RateLimit headers of other answers",
        destination: "klaviyo",
        walk: Fault("too_many"),
        end: "throttled 17s",
        without: &[("header['retry-after']", "header['ratelimit-reset']")],
    },
    Trap {
        name: "klaviyo: rows are refused by a JSON pointer into the job",
        destination: "klaviyo",
        walk: Exchange("upsert_one_refused"),
        end: "delivered, rejected invalid_row: Invalid email address",
        without: &[("segment(5)", "segment(4)")],
    },
    // Braze.
    Trap {
        name: "braze: a request holds 75 objects",
        destination: "braze",
        walk: Exchange("seventy_five_objects"),
        end: "76 × delivered",
        without: &[("rows: 75", "rows: 76")],
    },
    Trap {
        name: "braze: a window of the clock is used up, and its end is a time and no Retry-After",
        destination: "braze",
        walk: Fault("too_many"),
        end: "throttled 3s",
        without: &[(
            "header['x-ratelimit-reset'] | time",
            "header['retry-after'] | time",
        )],
    },
    Trap {
        name: "braze: a success has errors, by index",
        destination: "braze",
        walk: Exchange("upsert_one_of_two_refused"),
        end: "delivered, rejected invalid_row: not a valid date",
        without: &[("items: $.errors", "items: $.refused")],
    },
    // HubSpot.
    Trap {
        name: "hubspot: only with a trace id does a 207 name its rows",
        destination: "hubspot",
        walk: Exchange("upsert_207"),
        end: "delivered, rejected invalid_row: not one of the allowed options, delivered",
        without: &[("item: $.context.objectWriteTraceId", "item: $.id")],
    },
    Trap {
        name: "hubspot: the trace id has to be sent",
        destination: "hubspot",
        walk: Exchange("upsert_207"),
        end: "delivered, rejected invalid_row: not one of the allowed options, delivered",
        without: &[("                objectWriteTraceId: \"{{ row.id }}\"\n", "")],
    },
    Trap {
        name: "hubspot: one property that is not there refuses the whole batch, which is halved",
        destination: "hubspot",
        walk: Exchange("whole_batch_refused"),
        end: "rejected invalid_row: Property values were not valid",
        without: &[(
            "  - {status: 423, is: temporary}",
            "  - {status: [400, 423], is: temporary}",
        )],
    },
    Trap {
        name: "hubspot: the quota of a day is a 429 like that of ten seconds",
        destination: "hubspot",
        walk: Fault("day"),
        end: "throttled 3600s",
        without: &[("$.policyName == 'DAILY'", "$.policyName == 'x'")],
    },
    // Salesforce.
    Trap {
        name: "salesforce: a null in a CSV is #N/A, for an empty field changes nothing",
        destination: "salesforce",
        walk: Exchange("bulk"),
        end: BULK,
        without: &[("null: \"#N/A\"", "null: \"\"")],
    },
    Trap {
        name: "salesforce: a lock is in the file of failures, and passes",
        destination: "salesforce",
        walk: Exchange("bulk"),
        end: BULK,
        without: &[(
            "$.sf__Error | starts_with('UNABLE_TO_LOCK_ROW')",
            "$.sf__Error | starts_with('x')",
        )],
    },
    Trap {
        name: "salesforce: records that were not reached are in a third file",
        destination: "salesforce",
        walk: Exchange("bulk"),
        end: BULK,
        without: &[(
            "{is: temporary, message: \"'the job ended before this record'\"}",
            "{is: rejected}",
        )],
    },
    Trap {
        name: "salesforce: a record that is in no file was not taken",
        destination: "salesforce",
        walk: Exchange("bulk"),
        end: BULK,
        without: &[("          unnamed: temporary", "          unnamed: ok")],
    },
    Trap {
        name: "salesforce: the calls of the day are used up in a 403",
        destination: "salesforce",
        walk: Fault("calls_used_up"),
        end: "throttled 900s",
        without: &[(
            "'REQUEST_LIMIT_EXCEEDED'\", is: throttled",
            "'x'\", is: throttled",
        )],
    },
    // Google.
    Trap {
        name: "google: a partial success counts records without naming them, and is halved",
        destination: "google_data_manager",
        walk: Exchange("failed_without_positions"),
        end: "rejected invalid_row: INVALID_FORMAT",
        without: &[("| count == 0 and", "| count == 9 and")],
    },
    Trap {
        name: "google: a partial success names records by lists of positions",
        destination: "google_data_manager",
        walk: Exchange("add"),
        end: GOOGLE_ADD,
        without: &[("item: $.recordIndices", "item: $.reason")],
    },
    Trap {
        name: "google: a list that is too new takes its members later",
        destination: "google_data_manager",
        walk: Fault("job_failed"),
        end: "temporary: TOO_RECENTLY_CREATED",
        without: &[("contains('TOO_RECENTLY_CREATED')", "contains('x')")],
    },
    Trap {
        name: "google: its mail service ignores dots and tags, in lists too, and a person has several identifiers",
        destination: "google_data_manager",
        walk: Exchange("several_addresses"),
        end: "delivered",
        without: &[("email: {clean: email_gmail", "email: {clean: email")],
    },
    Trap {
        name: "google: names keep their apostrophes",
        destination: "google_data_manager",
        walk: Exchange("several_addresses"),
        end: "delivered",
        without: &[("last_name: {clean: lower", "last_name: {clean: name")],
    },
    // Meta.
    Trap {
        name: "meta: invalid entries are counted and not named",
        destination: "meta_audiences",
        walk: Exchange("counts"),
        end: "rejected invalid_row: does not say which",
        without: &[(
            "($.num_invalid_entries | number) > 0",
            "($.num_invalid_entries | number) > 9",
        )],
    },
    Trap {
        name: "meta: the row at fault is found when it is alone",
        destination: "meta_audiences",
        walk: Exchange("one_invalid"),
        end: "rejected invalid_row: an entry is not valid",
        without: &[(
            "($.num_invalid_entries | number) > 0",
            "($.num_invalid_entries | number) > 9",
        )],
    },
    Trap {
        name: "meta: a flagged audience takes nobody, whichever the rows",
        destination: "meta_audiences",
        walk: Fault("flagged"),
        end: "fatal misconfigured: integrity restrictions",
        without: &[(
            "$.error.error_subcode == 1713230",
            "$.error.error_subcode == 0",
        )],
    },
    Trap {
        name: "meta: too many calls are a 400",
        destination: "meta_audiences",
        walk: Fault("account_too_fast"),
        end: "throttled 720s",
        without: &[("$.error.code >= 80000", "$.error.code >= 80010")],
    },
    // Customer.io.
    Trap {
        name: "customer.io: an object has 32 KB at most, and only the one that has more is refused",
        destination: "customer_io",
        walk: Exchange("people_too_large"),
        end: "rejected too_large, delivered",
        without: &[("row_bytes: 31 KB", "row_bytes: 400 KB")],
    },
    Trap {
        name: "customer.io: a 207 names rows by batch_index",
        destination: "customer_io",
        walk: Exchange("people_207"),
        end: "delivered, rejected invalid_row: required: id: must not be empty, delivered",
        without: &[("index: $.batch_index", "index: $.index")],
    },
    // Slack.
    Trap {
        name: "slack: ok: false in a 200 is a refusal",
        destination: "slack",
        walk: Exchange("refused"),
        end: "rejected invalid_row: no_text",
        without: &[(
            "{status: 200, if: $.ok == false, is: rejected, message: $.error}",
            "{status: 200, if: $.ok == false, is: ok}",
        )],
    },
    Trap {
        name: "slack: a limit can be a 200",
        destination: "slack",
        walk: Fault("too_fast_in_a_200"),
        end: "throttled 30s",
        without: &[("['ratelimited', 'rate_limited']", "['rate_limited']")],
    },
    Trap {
        name: "slack: a message that may have been posted is not posted again",
        destination: "slack",
        walk: Fault("perhaps_posted"),
        end: "unknown",
        without: &[("'internal_error', ", "")],
    },
    // TikTok.
    Trap {
        name: "tiktok: a refusal is a code in a 200",
        destination: "tiktok_audiences",
        walk: Exchange("error_in_a_200"),
        end: "rejected invalid_row: Invalid id",
        without: &[
            ("  - {if: $.code == 40002, is: rejected}\n", ""),
            (
                "if: $.code != null and $.code >= 40000, is: rejected",
                "if: $.code != null and $.code >= 90000, is: rejected",
            ),
        ],
    },
    Trap {
        name: "tiktok: an audience takes one change at a time, and says so with a code",
        destination: "tiktok_audiences",
        walk: Fault("conflict"),
        end: "temporary",
        without: &[("40201, 40202, ", "40201, ")],
    },
];

const BULK: &str = "delivered, rejected invalid_row: too long, retryable unavailable, 1995 × delivered, \
    retryable unavailable: ended before, retryable unavailable: do not speak";
const GOOGLE_ADD: &str =
    "delivered, rejected invalid_row: DENIED_CONSENT, delivered, rejected invalid_row: identifiers";
