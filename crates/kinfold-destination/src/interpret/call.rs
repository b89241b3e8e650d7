//! Carrying out a call: token, limits, request, verdict, pages.

use kinfold_sync::FailureClass;
use serde_json::Value;

use super::account::Account;
use super::answer::Answer;
use super::judge::{Judged, Purpose, judge, wait_of};
use super::pacing::Cost;
use super::request::{Built, NotBuilt, Page, build};
use crate::expression::{Root, Scope};
use crate::manifest::{Call, Pages, Verdict};

/// A destination that has a next page for ever has none.
const MOST_PAGES: usize = 10_000;

/// What came of a call.
pub(super) struct Ran {
    pub(super) judged: Judged,
    /// The answers, one for each page; empty if there was none.
    pub(super) answers: Vec<Answer>,
    /// Why no request was made for the rows.
    pub(super) not_sent: Option<NotSent>,
    /// What must not be in messages beside the secrets of the account.
    pub(super) sensitive: Vec<String>,
}

/// Why a call of rows was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotSent {
    /// A value in the address is null.
    NoAddress,
    /// The body is larger than the operation allows.
    TooLarge,
}

/// A call with everything that it needs.
pub(super) struct Asked<'a> {
    pub(super) call: &'a Call,
    pub(super) scope: Scope<'a>,
    pub(super) rows: u32,
    pub(super) purpose: Purpose,
    pub(super) max_body: Option<usize>,
}

impl Ran {
    fn failed(judged: Judged) -> Self {
        Self {
            judged,
            answers: Vec::new(),
            not_sent: None,
            sensitive: Vec::new(),
        }
    }
}

impl Account {
    /// Carries out a call with a token, which is renewed once if it has expired.
    pub(super) async fn run(&self, asked: &Asked<'_>) -> Ran {
        let mut stale = None;
        loop {
            let token = match self.token(stale).await {
                Ok(token) => token,
                Err(judged) => return Ran::failed(self.clean(judged, &[])),
            };
            let auth = token.as_ref().map(|token| token.values.as_ref());
            let ran = self.with_auth(asked, auth).await;
            if ran.judged.verdict != Verdict::Expired {
                return ran;
            }
            match token {
                Some(token) if stale.is_none() => stale = Some(token.generation),
                // A new token was refused too, or there is none that could be renewed.
                _ => {
                    return Ran {
                        judged: Judged {
                            verdict: Verdict::Unauthorized,
                            ..ran.judged
                        },
                        ..ran
                    };
                }
            }
        }
    }

    /// Carries out a call that needs no token.
    pub(super) async fn exchange(
        &self,
        call: &Call,
        scope: &Scope<'_>,
        auth: Option<&Value>,
        purpose: Purpose,
    ) -> (Judged, Vec<Answer>) {
        let asked = Asked {
            call,
            scope: *scope,
            rows: 0,
            purpose,
            max_body: None,
        };
        let ran = self.with_auth(&asked, auth).await;
        (ran.judged, ran.answers)
    }

    async fn with_auth(&self, asked: &Asked<'_>, auth: Option<&Value>) -> Ran {
        let mut scope = asked.scope;
        if let Some(auth) = auth {
            scope = scope.with(Root::Auth, auth);
        }
        let mut page = Page::First;
        let mut answers: Vec<Answer> = Vec::new();
        let mut sensitive: Vec<String> = Vec::new();
        loop {
            let signed = asked.purpose != Purpose::Token;
            let built = match build(self, asked.call, &page, &scope, signed) {
                Ok(built) => built,
                Err(NotBuilt::NoAddress) => {
                    let message = "the address of the request needs a value that is not there";
                    return Ran {
                        not_sent: Some(NotSent::NoAddress),
                        ..Ran::failed(Judged::new(Verdict::Misconfigured, message))
                    };
                }
                Err(NotBuilt::Wrong(reason)) => {
                    let judged = Judged::new(Verdict::Misconfigured, reason);
                    return Ran::failed(self.clean(judged, &[]));
                }
            };
            if asked.max_body.is_some_and(|most| built.body_len > most) {
                return Ran {
                    not_sent: Some(NotSent::TooLarge),
                    ..Ran::failed(Judged::new(
                        Verdict::TooLarge,
                        "the request would be too large",
                    ))
                };
            }
            sensitive.extend(built.sensitive.iter().cloned());
            let (judged, answer) = self.once(asked, built, &scope).await;
            let Some(answer) = answer else {
                return Ran {
                    judged,
                    not_sent: None,
                    answers,
                    sensitive,
                };
            };
            let next = next_page(asked.call, &answer, &scope).filter(|_| judged.worked());
            answers.push(answer);
            match next {
                Some(next) if answers.len() < MOST_PAGES => page = next,
                _ => {
                    return Ran {
                        judged,
                        answers,
                        not_sent: None,
                        sensitive,
                    };
                }
            }
        }
    }

    /// One request, once.
    async fn once(
        &self,
        asked: &Asked<'_>,
        built: Built,
        scope: &Scope<'_>,
    ) -> (Judged, Option<Answer>) {
        let group = asked.call.group.as_deref();
        let cost = Cost {
            rows: asked.rows,
            points: asked.call.points,
        };
        let permits = match self.pacing().acquire(group, cost).await {
            Ok(permits) => permits,
            Err(wait) => {
                let judged = Judged {
                    wait: Some(wait),
                    ..Judged::new(Verdict::Throttled, "the limits of the account are used up")
                };
                return (judged, None);
            }
        };
        let sent = self.client().send(built.request).await;
        drop(permits);
        let http = match sent {
            Ok(http) => http,
            Err(no_answer) => {
                let verdict = match no_answer.class {
                    FailureClass::Unreachable => Verdict::Temporary,
                    FailureClass::Misconfigured => Verdict::Misconfigured,
                    _ if matches!(asked.purpose, Purpose::Write { .. }) => Verdict::Unknown,
                    _ => Verdict::Temporary,
                };
                let judged = Judged {
                    class: no_answer.class,
                    ..Judged::new(verdict, no_answer.reason)
                };
                return (self.clean(judged, &built.sensitive), None);
            }
        };
        let answer = Answer::of(http, asked.call.answer);
        self.note_limits(&answer, scope, group);
        let rules = [asked.call.rules.as_slice(), &self.manifest().rules];
        let judged = judge(&answer, rules, scope, asked.purpose);
        if judged.verdict == Verdict::Throttled
            && let Some(wait) = judged.wait
        {
            self.pacing().hold(group, wait);
        }
        tracing::debug!(
            destination = self.manifest().name,
            status = answer.status,
            verdict = judged.verdict.as_str(),
            "call"
        );
        (self.clean(judged, &built.sensitive), Some(answer))
    }

    fn clean(&self, judged: Judged, sensitive: &[String]) -> Judged {
        Judged {
            message: self.redact(&judged.message, sensitive),
            ..judged
        }
    }

    /// The destination's own words about its limits.
    fn note_limits(&self, answer: &Answer, scope: &Scope<'_>, group: Option<&str>) {
        let scope = answer.scope(*scope);
        for (at, limit) in self.manifest().limits.iter().enumerate() {
            if limit.group.is_some() && limit.group.as_deref() != group {
                continue;
            }
            let (Some(remaining), Some(reset)) = (&limit.remaining, &limit.reset) else {
                continue;
            };
            let left = remaining.evaluate(&scope);
            let left = left.as_f64().or_else(|| left.as_str()?.trim().parse().ok());
            if left.is_some_and(|left| left < 1.0)
                && let Some(reset) = wait_of(reset, &scope)
            {
                self.pacing().used_up(at, reset);
            }
        }
    }
}

fn next_page(call: &Call, answer: &Answer, scope: &Scope<'_>) -> Option<Page> {
    let scope = answer.scope(*scope);
    match call.pages.as_ref()? {
        Pages::Next(next) => {
            let next = next.evaluate(&scope);
            let address = next.as_str().filter(|address| !address.is_empty())?;
            Some(Page::At(address.to_owned()))
        }
        Pages::Query(parameters) => {
            let mut found = Vec::with_capacity(parameters.len());
            for (name, expression) in parameters {
                let value = expression.evaluate(&scope).into_owned();
                if value.is_null() || value.as_str() == Some("") {
                    return None;
                }
                found.push((name.clone(), value));
            }
            Some(Page::With(found))
        }
    }
}
