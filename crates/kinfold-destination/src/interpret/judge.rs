//! What an answer means.

use std::time::Duration;

use kinfold_sync::{FailureClass, RetryAfter, parse_retry_after};
use serde_json::Value;

use super::answer::Answer;
use crate::expression::{Expression, Scope, parse_time, seconds};
use crate::manifest::{Rule, Verdict};
use crate::template::scalar_text;

/// The verdict on an answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Judged {
    pub(super) verdict: Verdict,
    /// Why, for a person; may quote the destination.
    pub(super) message: String,
    pub(super) wait: Option<RetryAfter>,
    pub(super) class: FailureClass,
    /// The verdict of rows that the answer does not name, if its rule says so.
    pub(super) unnamed: Option<Verdict>,
}

impl Judged {
    pub(super) fn new(verdict: Verdict, message: impl Into<String>) -> Self {
        Self {
            verdict,
            message: message.into(),
            wait: None,
            class: class_of(verdict),
            unnamed: None,
        }
    }

    /// With what else was said of the same row: the worse verdict, and the reasons of both if both failed.
    pub(super) fn and(self, other: Self) -> Self {
        let (mine, others) = (badness(self.verdict), badness(other.verdict));
        if mine == 0 || others == 0 {
            return if others > mine { other } else { self };
        }
        let known = self
            .message
            .split(BETWEEN)
            .any(|part| part == other.message);
        let enough = self.message.len() >= MOST_WORDS;
        let message = if known || enough || other.message.is_empty() {
            self.message.clone()
        } else {
            format!("{}{BETWEEN}{}", self.message, other.message)
        };
        let worse = if others > mine { other } else { self };
        Self { message, ..worse }
    }

    /// Whether the call worked.
    pub(super) fn worked(&self) -> bool {
        matches!(self.verdict, Verdict::Ok | Verdict::Done)
    }
}

/// From this length in bytes on, further reasons of one row tell a person nothing.
const MOST_WORDS: usize = 1_000;
/// Between the reasons of one row.
const BETWEEN: &str = "; ";

/// Of what is said of one row the worst counts. What may have been applied is worse than what was refused, and
/// what is refused for good worse than what may be sent again, for it would be refused again.
fn badness(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Ok | Verdict::Done => 0,
        Verdict::Throttled | Verdict::Temporary | Verdict::Failed | Verdict::Pending => 1,
        Verdict::Rejected
        | Verdict::Conflict
        | Verdict::MissingRow
        | Verdict::TooLarge
        | Verdict::Unauthorized
        | Verdict::Misconfigured
        | Verdict::MissingObject
        | Verdict::Expired => 2,
        Verdict::Unknown | Verdict::Lost => 3,
    }
}

/// What a call is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It may change rows; whether it may be sent again after an unknown result.
    Write {
        /// See [`crate::manifest::Operation::repeatable`].
        repeatable: bool,
    },
    /// It changes nothing.
    Read,
    /// It asks about a job.
    Poll,
    /// It gets a token.
    Token,
}

/// The verdict of the first rule that fits, or of the status.
pub(super) fn judge(
    answer: &Answer,
    rules: [&[Rule]; 2],
    scope: &Scope<'_>,
    purpose: Purpose,
) -> Judged {
    if let Some(reason) = answer.unreadable {
        let verdict = match purpose {
            Purpose::Write { .. } => Verdict::Unknown,
            Purpose::Read | Purpose::Poll | Purpose::Token => Verdict::Temporary,
        };
        return Judged {
            class: FailureClass::MalformedAnswer,
            ..Judged::new(verdict, reason)
        };
    }
    let scope = answer.scope(*scope);
    let fits = |rule: &&Rule| {
        let status = rule.statuses.is_empty()
            || rule
                .statuses
                .iter()
                .any(|range| range.contains(answer.status));
        status
            && rule
                .condition
                .as_ref()
                .is_none_or(|condition| condition.holds(&scope))
    };
    let rule = rules.into_iter().flatten().find(fits);
    let verdict = rule.map_or_else(|| by_status(answer, purpose), |rule| rule.is);
    let own = rule.and_then(|rule| rule.message.as_ref());
    let words = own
        .and_then(|message| scalar_text(&message.evaluate(&scope)))
        .or_else(|| reason(&answer.body));
    let message = match words {
        Some(words) => format!("status {}: {words}", answer.status),
        None => format!("status {}", answer.status),
    };
    let own = rule.and_then(|rule| rule.wait.as_ref());
    let wait = match own {
        Some(wait) => wait_of(wait, &scope),
        None => answer.header("retry-after").and_then(parse_retry_after),
    };
    let judged = Judged::new(verdict, message);
    let class = match (answer.status, verdict) {
        (500..=599, Verdict::Unknown) => FailureClass::Unavailable,
        _ => judged.class,
    };
    Judged {
        class,
        wait,
        unnamed: rule.and_then(|rule| rule.unnamed),
        ..judged
    }
}

/// The verdict on an item.
pub(super) fn judge_item(rules: &[Rule], item: &Value, scope: &Scope<'_>) -> Judged {
    let fits = |rule: &&Rule| {
        rule.condition
            .as_ref()
            .is_none_or(|condition| condition.holds(scope))
    };
    let Some(rule) = rules.iter().find(fits) else {
        return Judged::new(Verdict::Ok, "");
    };
    let own = rule.message.as_ref();
    let words = own
        .and_then(|message| scalar_text(&message.evaluate(scope)))
        .or_else(|| reason(item));
    Judged::new(
        rule.is,
        words.unwrap_or_else(|| "no reason given".to_owned()),
    )
}

/// For how long to wait: seconds, a time, or the value of a `Retry-After`.
pub(super) fn wait_of(expression: &Expression, scope: &Scope<'_>) -> Option<RetryAfter> {
    let value = expression.evaluate(scope);
    match value.as_ref() {
        Value::Number(_) => seconds(&value).map(RetryAfter::Delay),
        Value::String(text) => parse_retry_after(text)
            .or_else(|| text.trim().parse::<f64>().ok().and_then(fraction))
            .or_else(|| parse_time(&value).map(RetryAfter::At)),
        _ => None,
    }
}

fn fraction(number: f64) -> Option<RetryAfter> {
    Duration::try_from_secs_f64(number)
        .ok()
        .map(RetryAfter::Delay)
}

/// What statuses mean where no rule fits.
fn by_status(answer: &Answer, purpose: Purpose) -> Verdict {
    let asks_to_wait = answer
        .header("retry-after")
        .and_then(parse_retry_after)
        .is_some();
    match (answer.status, purpose) {
        (200..=299, _) => Verdict::Ok,
        (300..=399, _) => Verdict::Misconfigured,
        (400 | 401 | 403, Purpose::Token) | (403, _) => Verdict::Unauthorized,
        (401, _) => Verdict::Expired,
        (404 | 410, Purpose::Poll) => Verdict::Lost,
        (429, _) => Verdict::Throttled,
        (503, _) if asks_to_wait => Verdict::Throttled,
        (408 | 425, _) => Verdict::Temporary,
        // Says itself that it did nothing, though a gateway may say it in its place.
        (503, Purpose::Write { repeatable: true }) => Verdict::Temporary,
        // A server that breaks, or a gateway that loses the answer, may have applied the rows.
        (500..=599, Purpose::Write { .. }) => Verdict::Unknown,
        (500..=599, _) => Verdict::Temporary,
        (400 | 404 | 422, Purpose::Write { .. } | Purpose::Read) => Verdict::Rejected,
        (409, Purpose::Write { .. } | Purpose::Read) => Verdict::Conflict,
        (413, Purpose::Write { .. } | Purpose::Read) => Verdict::TooLarge,
        _ => Verdict::Misconfigured,
    }
}

fn class_of(verdict: Verdict) -> FailureClass {
    match verdict {
        Verdict::Conflict => FailureClass::Conflict,
        Verdict::MissingRow => FailureClass::MissingRow,
        Verdict::TooLarge => FailureClass::TooLarge,
        Verdict::Throttled => FailureClass::RateLimited,
        Verdict::Temporary | Verdict::Failed | Verdict::Pending => FailureClass::Unavailable,
        Verdict::Unknown => FailureClass::MalformedAnswer,
        Verdict::Unauthorized | Verdict::Expired => FailureClass::Unauthorized,
        Verdict::Misconfigured | Verdict::MissingObject => FailureClass::Misconfigured,
        Verdict::Lost => FailureClass::JobLost,
        Verdict::Ok | Verdict::Done | Verdict::Rejected => FailureClass::InvalidRow,
    }
}

/// Where APIs put their words, the most telling first.
const PLACES: &[&[&str]] = &[
    &["error", "message"],
    &["error", "detail"],
    &["errors", "0", "message"],
    &["errors", "0", "detail"],
    &["errors", "0", "title"],
    &["reasons", "0", "message"],
    &["error_description"],
    &["message"],
    &["detail"],
    &["reason"],
    &["error"],
    &["errors", "0"],
    &["msg"],
    &["title"],
];

/// The reason that an answer or an item gives.
fn reason(value: &Value) -> Option<String> {
    if let Value::String(text) = value {
        return Some(text.clone());
    }
    PLACES.iter().find_map(|place| {
        let found = place.iter().try_fold(value, |at, part| match at {
            Value::Array(items) => part
                .parse::<usize>()
                .ok()
                .and_then(|index| items.get(index)),
            other => other.get(*part),
        })?;
        scalar_text(found)
    })
}

#[cfg(test)]
mod tests {
    use kinfold_sync::HttpAnswer;
    use serde_json::json;

    use super::*;
    use crate::manifest::AnswerForm;

    fn verdict(status: u16, headers: &[(&str, &str)], purpose: Purpose) -> Verdict {
        let answer = Answer::of(
            HttpAnswer {
                status,
                headers: headers
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                    .collect(),
                body: Vec::new(),
                complete: true,
            },
            AnswerForm::Json,
        );
        judge(&answer, [&[], &[]], &Scope::default(), purpose).verdict
    }

    #[test]
    fn of_what_is_said_of_a_row_the_worst_counts() {
        let said = |verdict, message: &str| Judged::new(verdict, message);
        let together = |items: &[(Verdict, &str)]| {
            let items = items
                .iter()
                .map(|(verdict, message)| said(*verdict, message));
            let all = items
                .reduce(Judged::and)
                .map(|all| (all.verdict, all.message));
            all.unwrap_or((Verdict::Ok, String::new()))
        };
        use Verdict::{Conflict, Done, Ok, Rejected, Temporary, Unknown};
        for (items, verdict, message) in [
            (vec![(Ok, ""), (Done, "")], Ok, ""),
            (vec![(Done, ""), (Ok, "")], Done, ""),
            (vec![(Ok, ""), (Rejected, "a"), (Ok, "")], Rejected, "a"),
            (
                vec![(Rejected, "a"), (Rejected, "b"), (Rejected, "a")],
                Rejected,
                "a; b",
            ),
            (vec![(Temporary, "a"), (Conflict, "b")], Conflict, "a; b"),
            (vec![(Conflict, "a"), (Rejected, "b")], Conflict, "a; b"),
            (vec![(Unknown, "a"), (Rejected, "b")], Unknown, "a; b"),
            (vec![(Temporary, "a"), (Rejected, "")], Rejected, "a"),
        ] {
            assert_eq!(together(&items), (verdict, message.to_owned()), "{items:?}");
        }
    }

    #[test]
    fn statuses_mean_what_http_says() {
        let write = Purpose::Write { repeatable: true };
        let once = Purpose::Write { repeatable: false };
        for (status, purpose, expected) in [
            (200, write, Verdict::Ok),
            (302, write, Verdict::Misconfigured),
            (400, write, Verdict::Rejected),
            (400, Purpose::Token, Verdict::Unauthorized),
            (401, write, Verdict::Expired),
            (403, write, Verdict::Unauthorized),
            (404, Purpose::Poll, Verdict::Lost),
            (404, write, Verdict::Rejected),
            (405, write, Verdict::Misconfigured),
            (409, write, Verdict::Conflict),
            (413, write, Verdict::TooLarge),
            (422, Purpose::Poll, Verdict::Misconfigured),
            (429, Purpose::Token, Verdict::Throttled),
            (500, write, Verdict::Unknown),
            (503, write, Verdict::Temporary),
            (502, once, Verdict::Unknown),
            (500, Purpose::Poll, Verdict::Temporary),
            (503, once, Verdict::Unknown),
        ] {
            assert_eq!(
                verdict(status, &[], purpose),
                expected,
                "{status} {purpose:?}"
            );
        }
        assert_eq!(
            verdict(503, &[("retry-after", "3")], once),
            Verdict::Throttled
        );
    }

    #[test]
    fn reasons_are_found_where_apis_put_them() {
        for (body, expected) in [
            (
                json!({"error": {"message": "a"}, "message": "b"}),
                Some("a"),
            ),
            (json!({"errors": [{"detail": "c"}]}), Some("c")),
            (json!({"errors": ["d"]}), Some("d")),
            (json!({"reasons": [{"code": 1, "message": "g"}]}), Some("g")),
            (json!({"error": "e"}), Some("e")),
            (json!("f"), Some("f")),
            (json!({"x": 1}), None),
            (json!([1]), None),
        ] {
            assert_eq!(reason(&body).as_deref(), expected, "{body}");
        }
    }
}
