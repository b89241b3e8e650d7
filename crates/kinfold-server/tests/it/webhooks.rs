//! Alerts to a receiver on a socket of this machine, also one that fails.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use chrono::TimeDelta;
use kinfold_project::{Alert, FileId, Located, Span};
use kinfold_server::alerts::{WebhookOptions, Webhooks};
use kinfold_server::ports::{Alerts, Clock};
use kinfold_server::schedule::{Action, Document, Event, Limits, Scheduler};
use kinfold_server::{Message, Nodes, Outcome, RunEnded};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::{build, every, time};
use crate::world::{FakeClock, lock};

const START: &str = "2026-06-01T00:00:00Z";

/// What the receiver does with the next requests; then it takes them.
#[derive(Clone, Copy)]
enum Answer {
    Status(u16),
    Redirect,
    Never,
}

#[derive(Clone, Default)]
struct Receiver {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    taken: Arc<Mutex<Vec<(HeaderMap, Value)>>>,
}

async fn receive(State(receiver): State<Receiver>, headers: HeaderMap, body: String) -> Response {
    let body = serde_json::from_str(&body).unwrap();
    lock(&receiver.taken).push((headers, body));
    let answer = lock(&receiver.answers).pop_front();
    match answer {
        None => StatusCode::NO_CONTENT.into_response(),
        Some(Answer::Status(status)) => StatusCode::from_u16(status).unwrap().into_response(),
        Some(Answer::Redirect) => (
            StatusCode::PERMANENT_REDIRECT,
            [(header::LOCATION, "/elsewhere")],
        )
            .into_response(),
        Some(Answer::Never) => std::future::pending().await,
    }
}

impl Receiver {
    async fn start(answers: &[Answer]) -> (Self, SocketAddr) {
        let receiver = Self::default();
        lock(&receiver.answers).extend(answers);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new()
            .route("/{*path}", post(receive))
            .with_state(receiver.clone());
        drop(tokio::spawn(
            async move { axum::serve(listener, router).await },
        ));
        (receiver, address)
    }

    fn requests(&self) -> usize {
        lock(&self.taken).len()
    }
}

fn webhooks(template: &str, variable: Option<String>, clock: &FakeClock) -> Webhooks {
    let span = Span::new(FileId(0), 0, 0);
    let alert = Alert {
        webhook: Located::new(template.to_owned(), span),
        after_failures: 1,
    };
    let variables = move |name: &str| (name == "ALERT_URL").then(|| variable.clone()).flatten();
    let options = WebhookOptions {
        timeout: Duration::from_millis(200),
        attempts: 4,
        ..WebhookOptions::default()
    };
    Webhooks::new(
        &[alert],
        &[],
        Arc::new(variables),
        Arc::new(clock.clone()),
        options,
    )
    .unwrap()
}

fn to(address: SocketAddr, clock: &FakeClock) -> Webhooks {
    let url = format!("http://{address}/hook/t0ken");
    webhooks("{{ env_var('ALERT_URL') }}", Some(url), clock)
}

/// The message of a build that failed.
fn message(webhooks: &Webhooks) -> Message {
    let limits = Limits {
        receivers: webhooks.receivers(),
        ..Limits::default()
    };
    let jobs = vec![build("nightly", every(10), &[])];
    let (mut scheduler, _) = Scheduler::restore(Document::default(), jobs, limits, time(START));
    let at = |minute| time(START) + TimeDelta::minutes(minute);
    scheduler.step(at(10), Event::Tick);
    let ended = RunEnded {
        run_id: Some("0197".to_owned()),
        nodes: Some(Nodes {
            built: 3,
            failed: 1,
            ..Nodes::default()
        }),
        ..RunEnded::bare(Outcome::Failed, Some("model `orders`: a data test failed"))
    };
    let event = Event::Ended {
        job: "nightly".to_owned(),
        run: 1,
        ended,
    };
    let actions = scheduler.step(at(12), event);
    let [Action::Send(message)] = actions.as_slice() else {
        panic!("one message, not {actions:?}");
    };
    Message::clone(message)
}

/// Everything that an error says, causes included.
fn said(error: &dyn std::error::Error) -> String {
    let mut text = format!("{error} {error:?}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text} | {error} {error:?}");
        cause = error.source();
    }
    text
}

#[tokio::test]
async fn a_message_says_what_failed_and_nothing_else() {
    let clock = FakeClock::at(time(START));
    let (receiver, address) = Receiver::start(&[]).await;
    let webhooks = to(address, &clock);
    webhooks.send(&message(&webhooks)).await.unwrap();
    let taken = lock(&receiver.taken).clone();
    let [(headers, body)] = taken.as_slice() else {
        panic!("{} requests", taken.len());
    };
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(
        *body,
        json!({
            "id": "nightly-1-opened",
            "event": "incident_opened",
            "text": "build `nightly` has failed",
            "job": "nightly",
            "kind": "build",
            "outcome": "failed",
            "failures": 1,
            "since": "2026-06-01T00:12:00Z",
            "at": "2026-06-01T00:12:00Z",
            "run": 1,
            "run_id": "0197",
            "message": "model `orders`: a data test failed",
            "nodes": {"built": 3, "reused": 0, "failed": 1, "blocked": 0},
        })
    );
    assert_eq!(clock.now(), time(START), "nobody waited");
}

#[tokio::test]
async fn what_passes_is_tried_again_after_longer_and_longer_pauses() {
    let clock = FakeClock::at(time(START));
    let answers = [Answer::Status(500), Answer::Never, Answer::Status(429)];
    let (receiver, address) = Receiver::start(&answers).await;
    let webhooks = to(address, &clock);
    webhooks.send(&message(&webhooks)).await.unwrap();
    assert_eq!(receiver.requests(), 4);
    let taken = lock(&receiver.taken).clone();
    assert!(
        taken.iter().all(|(_, body)| *body == taken[0].1),
        "the same each time"
    );
    assert_eq!(clock.now() - time(START), TimeDelta::seconds(1 + 2 + 4));
}

#[tokio::test]
async fn what_does_not_pass_is_not_tried_again() {
    for answer in [Answer::Status(404), Answer::Status(400), Answer::Redirect] {
        let clock = FakeClock::at(time(START));
        let (receiver, address) = Receiver::start(&[answer]).await;
        let webhooks = to(address, &clock);
        let error = webhooks.send(&message(&webhooks)).await.unwrap_err();
        assert_eq!(receiver.requests(), 1, "{error}");
        let text = said(&error);
        assert!(
            !text.contains("t0ken") && !text.contains("127.0.0.1"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_receiver_that_is_down_is_given_up_without_a_word_about_its_address() {
    let clock = FakeClock::at(time(START));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let webhooks = to(address, &clock);
    let error = webhooks.send(&message(&webhooks)).await.unwrap_err();
    let text = said(&error);
    assert!(
        text.contains("4 attempts") && text.contains("no connection"),
        "{text}"
    );
    let port = address.port().to_string();
    assert!(!text.contains("t0ken") && !text.contains(&port), "{text}");
    assert_eq!(clock.now() - time(START), TimeDelta::seconds(1 + 2 + 4));
}

#[tokio::test]
async fn a_receiver_that_never_answers_is_given_up() {
    let clock = FakeClock::at(time(START));
    let (receiver, address) = Receiver::start(&[Answer::Never; 4]).await;
    let webhooks = to(address, &clock);
    let error = webhooks.send(&message(&webhooks)).await.unwrap_err();
    assert!(said(&error).contains("no answer came in time"));
    assert_eq!(receiver.requests(), 4);
}

#[tokio::test]
async fn an_address_is_read_when_it_is_used_and_never_shown() {
    let clock = FakeClock::at(time(START));
    for (variable, expected) in [
        (None, "the environment variable `ALERT_URL` is not set"),
        (Some("t0ken"), "the webhook's address is none"),
        (Some("ftp://t0ken.example"), "the webhook's address is none"),
    ] {
        let template = "{{ env_var('ALERT_URL') }}";
        let webhooks = webhooks(template, variable.map(str::to_owned), &clock);
        let error = webhooks.send(&message(&webhooks)).await.unwrap_err();
        let text = said(&error);
        assert!(text.contains(expected) && !text.contains("t0ken"), "{text}");
    }
    let written_out = webhooks("https://t0ken.example/", None, &clock);
    let receivers = format!("{:?}", written_out.receivers());
    assert!(!receivers.contains("t0ken"), "{receivers}");
}
