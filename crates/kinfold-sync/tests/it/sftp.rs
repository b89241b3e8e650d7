//! Files on a real SSH server.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::Command;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use kinfold_sync::{FailureClass, SendResult, SftpError, SftpFolder, SftpOptions};
use kinfold_testkit::{SshServer, Wire};
use tokio::io::{AsyncRead, ReadBuf};

fn options(server: &SshServer, port: u16) -> SftpOptions {
    let mut options = SftpOptions::new("127.0.0.1");
    options.port = Some(port);
    options.folder = server.files().display().to_string();
    options.arguments = server.client().unwrap();
    options.timeout = Duration::from_secs(20);
    options
}

fn folder(server: &SshServer) -> SftpFolder {
    SftpFolder::new(options(server, server.port())).unwrap()
}

/// Bytes that differ from place to place.
fn bytes(length: usize, salt: usize) -> Bytes {
    (0..length)
        .map(|at| u8::try_from((at * 31 + at / 251 + salt * 17) % 256).unwrap())
        .collect()
}

/// Names in the folder of the test, with slashes.
fn names(server: &SshServer) -> BTreeSet<String> {
    fn walk(folder: &std::path::Path, prefix: &str, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
            if entry.file_type().unwrap().is_dir() {
                walk(&entry.path(), &format!("{name}/"), found);
            } else {
                found.insert(name);
            }
        }
    }
    let mut found = BTreeSet::new();
    walk(&server.files(), "", &mut found);
    found
}

#[tokio::test]
async fn a_file_is_put_read_listed_and_removed() {
    let server = SshServer::start().unwrap();
    let folder = folder(&server);
    // Of no byte, of one chunk, of many, and not a multiple of one.
    for length in [0, 1, 32 << 10, (3 << 20) + 7] {
        let content = bytes(length, length);
        let path = format!("made/for it/{length}.csv");
        folder.put(&path, content.clone()).await.unwrap();
        assert_eq!(fs::read(server.files().join(&path)).unwrap(), content);
        assert_eq!(folder.read(&path, length).await.unwrap(), content);
    }
    let listed = folder.list("made/for it").await.unwrap();
    let sizes: Vec<_> = listed
        .iter()
        .map(|entry| (entry.name.as_str(), entry.size))
        .collect();
    assert_eq!(
        sizes,
        [
            ("0.csv", Some(0)),
            ("1.csv", Some(1)),
            ("3145735.csv", Some(3_145_735)),
            ("32768.csv", Some(32_768)),
        ]
    );
    let top = folder.list("").await.unwrap();
    assert!(matches!(top.as_slice(), [made] if made.name == "made" && made.is_folder));
    // What is being put is no file yet.
    fs::write(server.files().join("made/.x.csv.0123.part"), "half").unwrap();
    assert_eq!(folder.list("made").await.unwrap().len(), 1);

    assert!(folder.exists("made/for it/1.csv").await.unwrap());
    folder.put("made/for it/1.csv", bytes(9, 1)).await.unwrap();
    assert_eq!(
        folder.read("made/for it/1.csv", 9).await.unwrap(),
        bytes(9, 1)
    );
    folder.remove("made/for it/1.csv").await.unwrap();
    folder.remove("made/for it/1.csv").await.unwrap();
    assert!(!folder.exists("made/for it/1.csv").await.unwrap());
    assert!(matches!(
        folder.read("made/for it/1.csv", 9).await,
        Err(SftpError::NotFound { path }) if path.ends_with("made/for it/1.csv")
    ));
    assert!(matches!(
        folder.read("made/for it/32768.csv", 32_767).await,
        Err(SftpError::TooLong { limit: 32_767, .. })
    ));
    assert!(matches!(
        folder.list("nowhere").await,
        Err(SftpError::NotFound { .. })
    ));
}

#[tokio::test]
async fn the_address_of_a_connection_is_enough() {
    let server = SshServer::start().unwrap();
    let location = format!(
        "sftp://127.0.0.1:{}{}/in",
        server.port(),
        server.files().display()
    );
    let mut options = SftpOptions::parse(&location).unwrap();
    options.arguments = server.client().unwrap();
    let folder = SftpFolder::new(options).unwrap();
    assert!(matches!(
        folder.list("").await,
        Err(SftpError::NotFound { .. })
    ));
    folder.put("a.csv", bytes(10, 0)).await.unwrap();
    assert_eq!(names(&server), BTreeSet::from(["in/a.csv".to_owned()]));
}

#[tokio::test]
async fn a_server_that_is_not_the_known_one_is_refused() {
    let server = SshServer::start().unwrap();
    for arguments in [server.new_client(), server.misled_client()] {
        let mut options = options(&server, server.port());
        options.arguments = arguments.unwrap();
        let folder = SftpFolder::new(options).unwrap();
        let error = folder.put("a.csv", bytes(10, 0)).await.unwrap_err();
        assert!(matches!(error, SftpError::HostUnknown { .. }), "{error:?}");
        assert!(matches!(error.send_result(), SendResult::Fatal { .. }));
    }
    assert!(names(&server).is_empty());
}

#[tokio::test]
async fn whatever_keeps_a_connection_from_being_made_has_a_name() {
    let server = SshServer::start().unwrap();
    let sound = options(&server, server.port());
    let strange = SftpOptions {
        arguments: server.strange_client().unwrap(),
        ..sound.clone()
    };
    let missing = SftpOptions {
        program: "/nowhere/ssh".into(),
        ..sound.clone()
    };
    // Nobody listens on port 1, and nobody may.
    let refused = SftpOptions {
        port: Some(1),
        ..sound.clone()
    };
    let confused = SftpOptions {
        arguments: vec!["-oNoSuchOption=1".into()],
        ..sound.clone()
    };
    // A client that says nothing and does not end.
    let silent = SftpOptions {
        program: script(&server, "exec sleep 600"),
        connect_timeout: Duration::from_millis(300),
        ..sound
    };
    for (options, expected) in [
        (strange, "refuses the credentials"),
        (missing, "the SSH client `/nowhere/ssh` cannot be started"),
        (refused, "the connection is refused"),
        (confused, "the SSH client's configuration is not valid"),
        (silent, "timed out"),
    ] {
        let folder = SftpFolder::new(options).unwrap();
        let error = folder.exists("a").await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

/// A program in place of the SSH client.
fn script(server: &SshServer, line: &str) -> PathBuf {
    program(server, &format!("#!/bin/sh\n{line}\n"))
}

fn program(server: &SshServer, text: &str) -> PathBuf {
    let path = server.files().with_file_name("client");
    let text_path = path.with_extension("text");
    fs::write(&text_path, text).unwrap();
    // A program cannot be started while a process that was forked meanwhile has it open for writing.
    let copied = Command::new("cp").arg(&text_path).arg(&path).status();
    assert!(copied.unwrap().success());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    path
}

#[tokio::test]
async fn a_server_that_stops_answering_is_not_waited_for_for_ever() {
    let server = SshServer::start().unwrap();
    // It answers the greeting, version 3 without extensions, and nothing else.
    let answer = r"printf '\000\000\000\005\002\000\000\000\003'; exec sleep 600";
    let mut options = options(&server, server.port());
    options.program = script(&server, answer);
    options.timeout = Duration::from_secs(1);
    let folder = SftpFolder::new(options).unwrap();
    let error = folder.put("a.csv", bytes(10, 0)).await.unwrap_err();
    assert!(matches!(error, SftpError::TimedOut { .. }), "{error:?}");
    assert!(matches!(error.send_result(), SendResult::Unknown { .. }));
}

#[tokio::test]
async fn what_the_account_may_not_write_is_denied() {
    let server = SshServer::read_only().unwrap();
    fs::write(server.files().join("a.csv"), "before").unwrap();
    let folder = folder(&server);
    for path in ["a.csv", "made/b.csv"] {
        let error = folder.put(path, bytes(10, 0)).await.unwrap_err();
        assert!(matches!(error, SftpError::Denied { .. }), "{error:?}");
        assert!(matches!(error.send_result(), SendResult::Fatal { .. }));
    }
    let error = folder.remove("a.csv").await.unwrap_err();
    assert!(matches!(error, SftpError::Denied { .. }), "{error:?}");
    assert_eq!(folder.read("a.csv", 10).await.unwrap(), "before");
}

#[tokio::test]
async fn a_folder_in_the_place_of_the_file_is_an_error() {
    let server = SshServer::start().unwrap();
    fs::create_dir_all(server.files().join("taken.csv/inside")).unwrap();
    let error = folder(&server)
        .put("taken.csv", bytes(10, 0))
        .await
        .unwrap_err();
    assert!(matches!(error, SftpError::Failed { .. }), "{error:?}");
    assert_eq!(names(&server), BTreeSet::new());
}

#[tokio::test]
async fn a_connection_that_is_cut_in_the_middle_leaves_no_file_under_its_name() {
    let server = SshServer::start().unwrap();
    // Early, in the first megabyte, and later: the login takes about 5 kB.
    for cut in [3_000, 200_000, 1_500_000] {
        let wire = Wire::to(server.port(), [cut]).await.unwrap();
        let folder = SftpFolder::new(options(&server, wire.port())).unwrap();
        let content = bytes(4 << 20, 3);
        let error = folder
            .put_from("a.csv", &mut content.as_ref())
            .await
            .unwrap_err();
        let class = error.class();
        assert!(
            matches!(
                class,
                FailureClass::ConnectionLost | FailureClass::Unreachable
            ),
            "{error:?}"
        );
        let left = names(&server);
        assert!(!left.contains("a.csv"), "{left:?}");
        assert!(folder.list("").await.unwrap().is_empty());
        // The next one is another connection.
        folder.put("a.csv", content.clone()).await.unwrap();
        assert_eq!(fs::read(server.files().join("a.csv")).unwrap(), content);
        assert_eq!(wire.connections(), 2);
        folder.remove("a.csv").await.unwrap();
    }
}

#[tokio::test]
async fn what_can_be_done_twice_survives_one_lost_connection() {
    let server = SshServer::start().unwrap();
    let wire = Wire::to(server.port(), [1_500_000]).await.unwrap();
    let folder = SftpFolder::new(options(&server, wire.port())).unwrap();
    let content = bytes(4 << 20, 3);
    folder.put("a.csv", content.clone()).await.unwrap();
    assert_eq!(wire.connections(), 2);
    assert_eq!(fs::read(server.files().join("a.csv")).unwrap(), content);
    // What the first try had written is gone too.
    assert_eq!(names(&server), BTreeSet::from(["a.csv".to_owned()]));

    // Two lost connections are the server's business.
    let wire = Wire::to(server.port(), [300_000, 300_000]).await.unwrap();
    let folder = SftpFolder::new(options(&server, wire.port())).unwrap();
    let error = folder.put("b.csv", content).await.unwrap_err();
    assert!(
        matches!(error, SftpError::ConnectionLost { .. }),
        "{error:?}"
    );
    assert!(matches!(error.send_result(), SendResult::Unknown { .. }));
    assert_eq!(wire.connections(), 2);
    assert!(!names(&server).contains("b.csv"));
    assert!(!folder.exists("b.csv").await.unwrap());
}

#[tokio::test]
async fn wherever_the_connection_is_lost_the_second_try_ends_in_the_whole_file() {
    for server in [SshServer::start(), SshServer::without("posix-rename")] {
        let server = server.unwrap();
        let content = bytes(100_000, 5);
        let wire = Wire::to(server.port(), []).await.unwrap();
        let folder = SftpFolder::new(options(&server, wire.port())).unwrap();
        folder.put("0.csv", content.clone()).await.unwrap();
        let all = wire.carried();
        // The last requests close the file and give it its name.
        let cuts = [all / 20, all / 2, all - 240, all - 120, all];
        let mut lost = 0;
        for cut in cuts {
            let wire = Wire::to(server.port(), [cut]).await.unwrap();
            let folder = SftpFolder::new(options(&server, wire.port())).unwrap();
            let name = format!("{cut}.csv");
            let put = folder.put(&name, content.clone()).await;
            let there = names(&server).contains(&name);
            match put {
                Ok(()) => assert!(there, "cut after {cut} of {all} bytes"),
                // Nothing is tried again before the first connection was there.
                Err(SftpError::Unreachable { .. }) => assert!(!there),
                Err(error) => assert_eq!(error.to_string(), "", "cut after {cut} of {all}"),
            }
            if there {
                assert_eq!(fs::read(server.files().join(&name)).unwrap(), content);
            }
            lost += wire.connections() - 1;
        }
        assert!(lost >= 2, "{lost}");
    }
}

/// An SSH client whose first connection ends when the server has renamed a file and before it can say so.
const FORGETFUL: &str = r#"#!/usr/bin/env python3
import os, subprocess, sys, threading

marker = sys.argv[0] + ".done"
ssh = subprocess.Popen(["ssh"] + sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
renames = set()

def packets(pipe):
    while len(head := pipe.read(4)) == 4:
        yield head, pipe.read(int.from_bytes(head, "big"))

def requests():
    for head, body in packets(sys.stdin.buffer):
        if body[0] == 18 or b"posix-rename" in body[:40]:
            renames.add(body[1:5])
        ssh.stdin.write(head + body)
        ssh.stdin.flush()
    ssh.stdin.close()

threading.Thread(target=requests, daemon=True).start()
for head, body in packets(ssh.stdout):
    if body[1:5] in renames and not os.path.exists(marker):
        open(marker, "w").close()
        ssh.kill()
        break
    sys.stdout.buffer.write(head + body)
    sys.stdout.buffer.flush()
os._exit(255)
"#;

#[tokio::test]
async fn a_file_that_was_renamed_without_an_answer_is_not_put_again() {
    // Without the extension a second try would find the name taken.
    for server in [SshServer::start(), SshServer::without("posix-rename")] {
        let server = server.unwrap();
        let mut options = options(&server, server.port());
        options.program = program(&server, FORGETFUL);
        let marker = options.program.with_extension("done");
        let folder = SftpFolder::new(options).unwrap();
        let content = bytes(50_000, 1);
        folder.put("a.csv", content.clone()).await.unwrap();
        assert!(marker.exists());
        assert_eq!(fs::read(server.files().join("a.csv")).unwrap(), content);
        assert_eq!(names(&server), BTreeSet::from(["a.csv".to_owned()]));
    }
}

#[tokio::test]
async fn two_uploads_of_one_name_end_in_one_whole_file() {
    for server in [SshServer::start(), SshServer::without("posix-rename")] {
        let server = server.unwrap();
        let options = SftpOptions {
            replace_by_removing: true,
            ..options(&server, server.port())
        };
        let one = SftpFolder::new(options.clone()).unwrap();
        let other = SftpFolder::new(options).unwrap();
        let contents = [bytes(700_000, 1), bytes(900_000, 2)];
        for _ in 0..5 {
            let (first, second) = tokio::join!(
                one.put("in/a.csv", contents[0].clone()),
                other.put("in/a.csv", contents[1].clone()),
            );
            first.unwrap();
            second.unwrap();
            let stored = Bytes::from(fs::read(server.files().join("in/a.csv")).unwrap());
            assert!(contents.contains(&stored));
            assert_eq!(names(&server), BTreeSet::from(["in/a.csv".to_owned()]));
        }
    }
}

#[tokio::test]
async fn a_server_that_cannot_replace_at_once_does_so_only_if_that_is_allowed() {
    let server = SshServer::without("posix-rename").unwrap();
    let careful = folder(&server);
    careful.put("a.csv", bytes(10, 1)).await.unwrap();
    let error = careful.put("a.csv", bytes(20, 2)).await.unwrap_err();
    assert!(matches!(error, SftpError::Exists { .. }), "{error:?}");
    assert_eq!(careful.read("a.csv", 100).await.unwrap(), bytes(10, 1));
    assert_eq!(names(&server), BTreeSet::from(["a.csv".to_owned()]));
    let daring = SftpFolder::new(SftpOptions {
        replace_by_removing: true,
        ..options(&server, server.port())
    })
    .unwrap();
    daring.put("a.csv", bytes(20, 2)).await.unwrap();
    assert_eq!(daring.read("a.csv", 100).await.unwrap(), bytes(20, 2));
}

/// Yields some bytes and then fails.
struct Failing(usize);

impl AsyncRead for Failing {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.0 == 0 {
            return Poll::Ready(Err(io::Error::other("told to fail")));
        }
        let length = self.0.min(buffer.remaining());
        buffer.put_slice(&vec![7; length]);
        self.0 -= length;
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn a_source_that_fails_leaves_nothing_behind() {
    let server = SshServer::start().unwrap();
    let folder = folder(&server);
    let error = folder
        .put_from("a.csv", &mut Failing(300_000))
        .await
        .unwrap_err();
    assert!(matches!(error, SftpError::Source(_)), "{error:?}");
    assert!(names(&server).is_empty());
    // The connection is as good as before.
    folder.put("a.csv", bytes(10, 0)).await.unwrap();
}
