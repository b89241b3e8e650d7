//! A server over HTTP, on a socket of this machine.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;
use kinfold_server::http::{HttpOptions, Token, serve};
use kinfold_server::ports::{Runner, SystemClock};
use kinfold_server::schedule::Limits;
use kinfold_server::serve::{Phase, Ports};
use kinfold_server::{Job, Outcome, Rows, RunEnded, ServeOptions, Server};
use reqwest::{Client, Method, Response, StatusCode};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::{build, cron, sync};
use crate::world::{FakeAlerts, FakeInputs, FakeLease, FakeStore, SharedLease};

/// Runs that wait to be let go.
struct Gate(Semaphore);

#[async_trait]
impl Runner for Gate {
    async fn run(&self, _: &Job, run: u64, _: CancellationToken) -> RunEnded {
        self.0.acquire().await.unwrap().forget();
        RunEnded {
            run_id: Some(format!("engine-{run}")),
            rows: Some(Rows {
                planned: 7,
                delivered: 5,
                rejected: 2,
                ..Rows::default()
            }),
            ..RunEnded::bare(Outcome::Failed, Some("2 rows were rejected"))
        }
    }
}

struct Site {
    address: SocketAddr,
    client: Client,
    gate: Arc<Gate>,
    stop: CancellationToken,
    tasks: [JoinHandle<()>; 2],
}

impl Site {
    /// A server that leads, on an address of this machine.
    async fn start(options: HttpOptions, ip: Ipv4Addr) -> Self {
        let clock = Arc::new(SystemClock);
        let gate = Arc::new(Gate(Semaphore::new(0)));
        let shared = SharedLease::default();
        let ports = Ports {
            runner: Arc::clone(&gate) as _,
            inputs: Arc::new(FakeInputs::default()),
            store: Arc::new(FakeStore::default()),
            lease: Arc::new(FakeLease::new(shared, "a", Arc::clone(&clock) as _)),
            alerts: Arc::new(FakeAlerts::default()),
            clock,
        };
        let jobs = vec![
            build("nightly", cron("0 3 1 1 *", "Europe/Berlin"), &[]),
            sync("crm", None),
        ];
        let serve_options = ServeOptions {
            limits: Limits::default(),
            ..ServeOptions::new("a")
        };
        let server = Server::new(jobs, ports, serve_options);
        let handle = server.handle();
        let stop = CancellationToken::new();
        let listener = TcpListener::bind((ip, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let http = serve(listener, handle.clone(), options, stop.clone());
        let schedule = server.run(stop.clone());
        let tasks = [
            tokio::spawn(async move { schedule.await.unwrap() }),
            tokio::spawn(async move { http.await.unwrap() }),
        ];
        let site = Self {
            address: (Ipv4Addr::LOCALHOST, port).into(),
            client: Client::builder().no_proxy().build().unwrap(),
            gate,
            stop,
            tasks,
        };
        while handle.phase() != Phase::Leading {
            tokio::task::yield_now().await;
        }
        site
    }

    async fn plain() -> Self {
        Self::start(HttpOptions::default(), Ipv4Addr::LOCALHOST).await
    }

    async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Response {
        let url = format!("http://{}{path}", self.address);
        let mut request = self.client.request(method, url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap()
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        json(self.ask(Method::GET, path, &[]).await).await
    }

    async fn post(&self, path: &str, headers: &[(&str, &str)]) -> (StatusCode, Value) {
        let json_type = [("content-type", "application/json")];
        let headers = [&json_type, headers].concat();
        json(self.ask(Method::POST, path, &headers).await).await
    }

    /// Asks until the answer is as wanted.
    async fn until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let (_, answer) = self.get(path).await;
            if wanted(&answer) {
                return answer;
            }
            tokio::task::yield_now().await;
        }
    }

    async fn end(self) {
        self.gate.0.add_permits(100);
        self.stop.cancel();
        for task in self.tasks {
            task.await.unwrap();
        }
    }
}

async fn json(response: Response) -> (StatusCode, Value) {
    let status = response.status();
    let kind = response.headers().get("content-type").unwrap().clone();
    let expected = if status.is_success() || status == StatusCode::SERVICE_UNAVAILABLE {
        "application/json"
    } else {
        "application/problem+json"
    };
    assert_eq!(kind, expected, "{status}");
    (status, response.json().await.unwrap())
}

#[tokio::test]
async fn jobs_are_shown_run_and_paused() {
    let site = Site::plain().await;
    assert_eq!(site.get("/healthz").await.0, StatusCode::OK);
    let (status, ready) = site.get("/readyz").await;
    assert_eq!(
        (status, &ready["status"]),
        (StatusCode::OK, &"leading".into())
    );
    let (_, all) = site.get("/api/v1/jobs").await;
    let names: Vec<_> = all["jobs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|j| j["name"].clone())
        .collect();
    assert_eq!(names, ["crm", "nightly"]);
    assert_eq!(all["jobs"][1]["trigger"], "cron: 0 3 1 1 * (Europe/Berlin)");
    assert_eq!(all["jobs"][1]["select"], "*");
    assert!(
        all["jobs"][1]["next_due"]
            .as_str()
            .unwrap()
            .ends_with("-01-01T02:00:00Z")
    );

    let (status, job) = site.post("/api/v1/jobs/crm/run", &[]).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    assert_eq!(job["running"]["cause"], "by_hand");
    site.post("/api/v1/jobs/crm/run", &[]).await;
    let (_, job) = site.post("/api/v1/jobs/crm/run", &[]).await;
    assert_eq!(job["waiting"]["due_times"], 2, "both share the next run");
    let (_, job) = site.post("/api/v1/jobs/nightly/pause", &[]).await;
    assert!(job["paused_since"].is_string());
    let (_, job) = site.post("/api/v1/jobs/nightly/resume", &[]).await;
    assert!(job["paused_since"].is_null());

    site.gate.0.add_permits(2);
    let job = site
        .until("/api/v1/jobs/crm", |job| job["totals"]["failed"] == 2)
        .await;
    assert_eq!(job["last_run"]["run_id"], "engine-2");
    assert_eq!(job["incident"]["failures"], 2);
    assert_eq!(job["rows"]["delivered"], 10);
    let (_, records) = site.get("/api/v1/jobs/crm/records").await;
    let fates: Vec<_> = records["records"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["fate"].clone())
        .collect();
    assert_eq!(fates, ["ran", "coalesced", "ran"]);
    let (_, newest) = site.get("/api/v1/jobs/crm/records?limit=1").await;
    assert_eq!(newest["records"][0]["run"], 2);
    assert_eq!(newest["more"], true);
    let (_, none) = site
        .get("/api/v1/jobs/crm/records?since=2100-01-01T00:00:00Z")
        .await;
    assert_eq!(none["records"], Value::Array(vec![]));
    site.end().await;
}

#[tokio::test]
async fn mistakes_are_answered_as_problems() {
    let site = Site::plain().await;
    for (path, status, code) in [
        ("/api/v1/jobs/nobody", 404, "no-such-job"),
        ("/api/v1/jobs/nobody/records", 404, "no-such-job"),
        (
            "/api/v1/jobs/crm/records?since=yesterday",
            400,
            "wrong-query",
        ),
        ("/api/v1/jobs/crm/records?limit=0", 400, "wrong-query"),
        ("/api/v1/jobs/crm/records?limit=1001", 400, "wrong-query"),
        ("/api/v1/jobs/crm/records?first=1", 400, "wrong-query"),
        ("/api/v1/jobs/crm/run", 405, "wrong-method"),
        ("/api/v2", 404, "no-such-path"),
    ] {
        let (answered, problem) = site.get(path).await;
        assert_eq!(
            (answered.as_u16(), &problem["code"]),
            (status, &code.into()),
            "{path}"
        );
        assert_eq!(problem["status"], status);
        assert!(problem["detail"].is_string() && problem["title"].is_string());
    }
    let (status, problem) = site.post("/api/v1/jobs/nobody/run", &[]).await;
    assert_eq!(
        (status.as_u16(), &problem["code"]),
        (404, &"no-such-job".into())
    );
    site.end().await;
}

#[tokio::test]
async fn strangers_pages_change_and_see_nothing() {
    let site = Site::plain().await;
    let host = site.address.to_string();
    let run = "/api/v1/jobs/crm/run";
    let refused = async |headers: &[(&str, &str)]| {
        let (status, problem) = json(site.ask(Method::POST, run, headers).await).await;
        (
            status.as_u16(),
            problem["code"].as_str().unwrap().to_owned(),
        )
    };
    let json_type = ("content-type", "application/json");
    assert_eq!(refused(&[]).await, (415, "not-json".to_owned()));
    assert_eq!(
        refused(&[("content-type", "text/plain")]).await,
        (415, "not-json".to_owned())
    );
    assert_eq!(
        refused(&[json_type, ("origin", "https://evil.example")]).await,
        (403, "cross-site".to_owned())
    );
    assert_eq!(
        refused(&[json_type, ("origin", "null")]).await,
        (403, "cross-site".to_owned())
    );
    assert_eq!(
        refused(&[json_type, ("host", "evil.example")]).await,
        (421, "wrong-host".to_owned())
    );
    let response = site
        .ask(Method::GET, "/api/v1/jobs", &[("host", "evil.example:80")])
        .await;
    assert_eq!(response.status(), 421);
    let response = site
        .ask(Method::GET, "/metrics", &[("host", "evil.example")])
        .await;
    assert_eq!(response.status(), 421);
    let (_, job) = site.get("/api/v1/jobs/crm").await;
    assert_eq!(job["totals"]["due"], 0, "none of these did anything");
    let own = format!("http://{host}");
    let (status, _) = site.post(run, &[("origin", &own)]).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    for name in ["localhost", "LOCALHOST:1", "[::1]:80", "127.0.0.1"] {
        let response = site
            .ask(Method::GET, "/api/v1/jobs", &[("host", name)])
            .await;
        assert_eq!(response.status(), 200, "{name}");
    }
    site.end().await;
    let options = HttpOptions {
        allowed_hosts: vec!["cdp.example".to_owned()],
        ..HttpOptions::default()
    };
    let site = Site::start(options, Ipv4Addr::LOCALHOST).await;
    let response = site
        .ask(Method::GET, "/api/v1/jobs", &[("host", "cdp.example:80")])
        .await;
    assert_eq!(response.status(), 200);
    site.end().await;
}

#[tokio::test]
async fn a_token_guards_everything_but_the_probes() {
    let options = HttpOptions {
        token: Some(Token::new("s3cret").unwrap()),
        ..HttpOptions::default()
    };
    assert!(!format!("{options:?}").contains("s3cret"));
    assert!(Token::new(" ").is_err());
    let site = Site::start(options, Ipv4Addr::UNSPECIFIED).await;
    for (method, path) in [
        (Method::GET, "/api/v1/jobs"),
        (Method::GET, "/metrics"),
        (Method::GET, "/nothing"),
        (Method::POST, "/api/v1/jobs/crm/run"),
    ] {
        for authorization in [
            "",
            "Bearer",
            "Bearer s3cre",
            "Bearer s3crett",
            "Basic s3cret",
        ] {
            let headers = [
                ("authorization", authorization),
                ("content-type", "application/json"),
            ];
            let response = site.ask(method.clone(), path, &headers).await;
            assert_eq!(response.status(), 401, "{path} {authorization}");
            assert_eq!(response.headers()["www-authenticate"], "Bearer");
        }
    }
    assert_eq!(site.get("/healthz").await.0, StatusCode::OK);
    assert_eq!(site.get("/readyz").await.0, StatusCode::OK);
    let token = ("authorization", "bearer s3cret");
    let (status, _) = site.post("/api/v1/jobs/crm/run", &[token]).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    // Who knows the token may call the server what they like.
    let response = site
        .ask(Method::GET, "/metrics", &[token, ("host", "cdp.example")])
        .await;
    assert_eq!(response.status(), 200);
    site.end().await;
}

#[tokio::test]
async fn others_change_nothing_without_a_token() {
    let site = Site::start(HttpOptions::default(), Ipv4Addr::UNSPECIFIED).await;
    assert_eq!(site.get("/api/v1/jobs").await.0, StatusCode::OK);
    let (status, problem) = site.post("/api/v1/jobs/crm/run", &[]).await;
    assert_eq!(
        (status.as_u16(), &problem["code"]),
        (403, &"no-token".into())
    );
    site.end().await;
}

#[tokio::test]
async fn metrics_count_what_happened() {
    let site = Site::plain().await;
    site.post("/api/v1/jobs/crm/run", &[]).await;
    site.gate.0.add_permits(1);
    site.until("/api/v1/jobs/crm", |job| job["totals"]["failed"] == 1)
        .await;
    site.post("/api/v1/jobs/crm/run", &[]).await;
    site.post("/api/v1/jobs/nightly/pause", &[]).await;
    let response = site.ask(Method::GET, "/metrics", &[]).await;
    let kind = response.headers()["content-type"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    let text = response.text().await.unwrap();
    for line in [
        "kinfold_server_leading 1",
        "kinfold_alerts_undelivered 0",
        "kinfold_job_runs_total{job=\"crm\",result=\"failed\"} 1",
        "kinfold_job_runs_total{job=\"crm\",result=\"succeeded\"} 0",
        "kinfold_job_due_times_total{job=\"crm\",fate=\"ran\"} 1",
        "kinfold_sync_rows_total{sync=\"crm\",outcome=\"delivered\"} 5",
        "kinfold_sync_rows_total{sync=\"crm\",outcome=\"rejected\"} 2",
        "kinfold_job_running{job=\"crm\"} 1",
        "kinfold_job_running{job=\"nightly\"} 0",
        "kinfold_job_paused{job=\"nightly\"} 1",
        "kinfold_job_incident_open{job=\"crm\"} 1",
        "# EOF",
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "no {line} in\n{text}"
        );
    }
    assert!(text.contains("kinfold_job_next_due_timestamp_seconds{job=\"nightly\"} "));
    assert!(text.contains("kinfold_job_last_run_duration_seconds{job=\"crm\"} "));
    assert!(!text.contains("sync=\"nightly\""), "a build has no rows");
    assert!(
        !text.contains("last_success_timestamp_seconds{"),
        "none succeeded"
    );
    site.end().await;
}
