//! `kinfold serve`: a real server, asked over HTTP, that builds and delivers, and that a signal ends.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStderr, Command};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::program::{Kinfold, folder, kinfold, write};

/// Of a server on a port that nobody else has.
pub(super) const ARGUMENTS: [&str; 5] = ["serve", "--listen", "127.0.0.1:0", "--poll", "10s"];

/// How long a run may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server, stopped when it is dropped.
pub(super) struct Served {
    child: Child,
    messages: BufReader<ChildStderr>,
    address: String,
}

impl Served {
    pub(super) fn start(project: &Path) -> Self {
        Self::of(kinfold(project, ARGUMENTS))
    }

    pub(super) fn of(program: Kinfold) -> Self {
        let mut child = program.start();
        let mut messages = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("http://") {
            line.clear();
            assert!(
                messages.read_line(&mut line).unwrap() > 0,
                "it does not serve"
            );
        }
        let (_, address) = line.trim().rsplit_once("http://").unwrap();
        let server = Self {
            child,
            messages,
            address: address.to_owned(),
        };
        let begun = Instant::now();
        while !server.ask("GET", "/readyz").1.contains("leading") {
            assert!(begun.elapsed() < PATIENCE, "it does not lead");
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }

    /// Status and body of an answer.
    fn ask(&self, method: &str, path: &str) -> (u16, String) {
        let mut socket = TcpStream::connect(&self.address).unwrap();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            self.address
        );
        socket.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, body.to_owned())
    }

    fn json(&self, path: &str) -> Value {
        let (status, body) = self.ask("GET", path);
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    /// Asks for a run and waits until one more has ended; its record.
    pub(super) fn run(&self, job: &str) -> Value {
        let ended = || -> Vec<Value> {
            let path = format!("/api/v1/jobs/{job}/records?limit=1000");
            let records = self.json(&path);
            let records = records["records"].as_array().cloned();
            records.unwrap_or_else(|| panic!("{}", self.json(&path)))
        };
        let before = ended().len();
        let (status, body) = self.ask("POST", &format!("/api/v1/jobs/{job}/run"));
        assert_eq!(status, 202, "{body}");
        let begun = Instant::now();
        loop {
            let records = ended();
            if records.len() > before {
                return records.last().unwrap().clone();
            }
            assert!(begun.elapsed() < PATIENCE, "{job} does not end");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends it as a service manager does; its exit code.
    pub(super) fn stop(mut self) -> Option<i32> {
        let id = self.child.id().to_string();
        let sent = Command::new("sh")
            .args(["-c", "kill -TERM \"$0\"", &id])
            .status();
        assert!(sent.unwrap().success());
        let mut rest = String::new();
        self.messages.read_to_string(&mut rest).unwrap();
        assert!(!rest.contains("panicked"), "{rest}");
        self.child.wait().unwrap().code()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

pub fn a_server_builds_delivers_and_tells() {
    let area = folder();
    let project = area.path();
    write(
        project,
        &[
            (
                "kinfold.yml",
                "name: people\nschedules:\n  - {name: all, build: \"*\", cron: \"0 3 1 1 *\", then_sync: [out]}\n",
            ),
            ("seeds/people.csv", "id,name\n1,Ann\n2,Bob\n"),
            (
                "connections/all.yml",
                "connections:\n  - {name: out, kind: files, location: out}\n  - {name: down, kind: http, url: \"http://127.0.0.1:9\"}\n",
            ),
            (
                "syncs/all.yml",
                "syncs:\n  - {name: out, from: ref('people'), connection: out, object: people, mode: mirror, key: {id: id}, mapping: {name: name}}\n  - {name: down, from: ref('people'), connection: down, object: people, mode: mirror, key: {id: id}, mapping: {name: name}}\n",
            ),
        ],
    );
    let server = Served::start(project);
    assert_eq!(server.ask("GET", "/healthz").0, 200);
    let jobs = server.json("/api/v1/jobs");
    let names: Vec<&str> = jobs["jobs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|job| job["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["all", "down", "out"]);

    // A build, and the sync that follows it.
    let built = server.run("all");
    assert_eq!(built["outcome"], "succeeded", "{built}");
    let begun = Instant::now();
    let delivered = || fs::read_dir(project.join("out/people")).is_ok_and(|d| d.count() > 0);
    while !delivered() {
        assert!(begun.elapsed() < PATIENCE, "the sync does not follow");
        std::thread::sleep(Duration::from_millis(50));
    }
    // A destination that is down fails alone, and the server goes on.
    let failed = server.run("down");
    assert_eq!(failed["outcome"], "failed", "{failed}");
    let again = server.run("out");
    assert_eq!(again["outcome"], "succeeded", "{again}");
    let metrics = server.ask("GET", "/metrics").1;
    for line in [
        "kinfold_sync_rows_total{sync=\"out\",outcome=\"delivered\"} 2",
        "kinfold_job_runs_total{job=\"down\",result=\"failed\"} 1",
        "kinfold_job_incident_open{job=\"down\"} 1",
        "kinfold_server_leading 1",
    ] {
        assert!(metrics.contains(line), "no `{line}` in:\n{metrics}");
    }
    // A pause outlives the server.
    assert_eq!(server.ask("POST", "/api/v1/jobs/out/pause").0, 200);
    // A page of somebody else may not.
    assert_eq!(server.ask("POST", "/api/v1/jobs/nobody/run").0, 404);
    assert_eq!(server.stop(), Some(0));
    let server = Served::start(project);
    assert!(server.json("/api/v1/jobs/out")["paused_since"].is_string());
    assert_eq!(server.stop(), Some(0));
}

pub fn a_server_that_cannot_be() {
    let area = folder();
    write(
        area.path(),
        &[
            (
                "kinfold.yml",
                "name: x\nschedules:\n  - {name: all, build: \"*\", cron: \"61 * * * *\"}\n",
            ),
            ("models/one.sql", "SELECT 1 AS one"),
        ],
    );
    kinfold(area.path(), ["serve", "--listen", "127.0.0.1:0"])
        .run()
        .code(2)
        .says("KF0124");
    write(area.path(), &[("kinfold.yml", "name: x\n")]);
    kinfold(area.path(), ["serve", "--listen", "127.0.0.1:0"])
        .env("KINFOLD_TOKEN", " ")
        .run()
        .code(2)
        .says("token");
    // An address that is taken.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    kinfold(area.path(), ["serve", "--listen", &address])
        .run()
        .code(2)
        .says("listened");
}
