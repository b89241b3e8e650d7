#![expect(clippy::expect_used, reason = "tests")]

use super::*;
use kinfold_project::FileId;
use std::time::Instant;

fn at(place: usize) -> Span {
    Span::new(FileId(0), place, place + 1)
}

fn text(place: usize, text: &str) -> Located<String> {
    Located::new(text.to_owned(), at(place))
}

fn sh(script: &str) -> SecretSource {
    SecretSource::Command {
        program: text(7, "sh"),
        arguments: vec![text(8, "-c"), text(9, script)],
    }
}

async fn open(source: SecretSource, root: &Path) -> Result<OpenedSecrets, Box<Diagnostic>> {
    OpenedSecrets::open(vec![(at(1), source)], root).await
}

async fn of_file(bytes: &[u8]) -> Result<String, String> {
    let root = tempfile::tempdir().expect("a folder");
    std::fs::write(root.path().join("token"), bytes).expect("a file");
    let opened = open(SecretSource::File(text(3, "token")), root.path()).await;
    match opened {
        Ok(opened) => Ok(opened.get(at(1)).expect("a secret").expose().to_owned()),
        Err(problem) => {
            assert_eq!(problem.code, codes::SECRET_FILE);
            assert_eq!(problem.primary.as_ref().map(|p| p.span), Some(at(3)));
            Err(problem.message)
        }
    }
}

#[tokio::test]
async fn a_file_loses_one_line_break_and_nothing_else() {
    let read = |bytes: &'static [u8]| async move { of_file(bytes).await.expect("a secret") };
    assert_eq!(read(b"s3cret").await, "s3cret");
    assert_eq!(read(b"s3cret\n").await, "s3cret");
    assert_eq!(read(b"s3cret\r\n").await, "s3cret");
    assert_eq!(read(b" s3cret \n\n").await, " s3cret \n");
}

#[tokio::test]
async fn a_file_that_holds_no_secret_is_refused() {
    let refused = |bytes: Vec<u8>| async move { of_file(&bytes).await.expect_err("refused") };
    let start = "the file of a secret, `token`, ";
    assert_eq!(refused(vec![]).await, format!("{start}is empty"));
    assert_eq!(refused(b"\n".to_vec()).await, format!("{start}is empty"));
    assert_eq!(refused(vec![0xff]).await, format!("{start}is not UTF-8"));
    let long = vec![b'x'; (64 << 10) + 1];
    assert_eq!(refused(long).await, format!("{start}has more than 64 KiB"));
    assert!(of_file(&vec![b'x'; 64 << 10]).await.is_ok());
}

#[tokio::test]
async fn a_file_that_is_not_there_is_named_with_the_place_it_was_looked_for() {
    let root = tempfile::tempdir().expect("a folder");
    let found = open(SecretSource::File(text(3, "keys/token")), root.path()).await;
    let problem = found.expect_err("no file");
    assert_eq!(
        problem.message,
        "the file of a secret, `keys/token`, is not there"
    );
    assert!(problem.notes.concat().contains("keys/token"));
    let folder = open(SecretSource::File(text(3, ".")), root.path()).await;
    assert_eq!(
        folder.expect_err("a folder").message,
        "the file of a secret, `.`, is not a regular file"
    );
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_that_everybody_can_read_gives_a_warning() {
    use std::os::unix::fs::PermissionsExt;
    let root = tempfile::tempdir().expect("a folder");
    let path = root.path().join("token");
    std::fs::write(&path, "s3cret").expect("a file");
    for (mode, warned) in [(0o644, true), (0o640, false), (0o600, false)] {
        let rights = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(&path, rights).expect("rights");
        let opened = open(SecretSource::File(text(3, "token")), root.path()).await;
        let codes: Vec<_> = opened.expect("it opens").warnings;
        let codes: Vec<_> = codes.iter().map(|warning| warning.code).collect();
        let wanted: &[_] = if warned {
            &[codes::SECRET_FILE_OPEN]
        } else {
            &[]
        };
        assert_eq!(codes, wanted, "{mode:o}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_command_gives_what_it_prints() {
    let root = tempfile::tempdir().expect("a folder");
    let opened = open(sh("echo s3cret; echo noise >&2"), root.path()).await;
    let opened = opened.expect("it opens");
    assert_eq!(opened.get(at(1)).map(Secret::expose), Some("s3cret"));
    assert_eq!(opened.get(at(2)), None);
    assert!(!format!("{opened:?}").contains("s3cret"));
    // It works in the project's folder, no shell reads its arguments, and nothing can be typed into it.
    std::fs::write(root.path().join("here"), "found").expect("a file");
    let cat = SecretSource::Command {
        program: text(7, "cat"),
        arguments: vec![text(8, "-"), text(9, "here")],
    };
    let opened = open(cat, root.path()).await.expect("it opens");
    assert_eq!(opened.get(at(1)).map(Secret::expose), Some("found"));
    let echo = SecretSource::Command {
        program: text(7, "echo"),
        arguments: vec![text(8, "$HOME;*")],
    };
    let opened = open(echo, root.path()).await.expect("it opens");
    assert_eq!(opened.get(at(1)).map(Secret::expose), Some("$HOME;*"));
}

#[cfg(unix)]
#[tokio::test]
async fn a_program_of_the_project_is_found_in_its_folder() {
    use std::os::unix::fs::PermissionsExt;
    let root = tempfile::tempdir().expect("a folder");
    let path = root.path().join("print");
    std::fs::write(&path, "#!/bin/sh\necho s3cret\n").expect("a file");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).expect("rights");
    let source = SecretSource::Command {
        program: text(7, "./print"),
        arguments: vec![],
    };
    let opened = open(source, root.path()).await.expect("it opens");
    assert_eq!(opened.get(at(1)).map(Secret::expose), Some("s3cret"));
}

#[cfg(unix)]
#[tokio::test]
async fn a_command_that_fails_tells_nothing_that_it_printed() {
    let root = tempfile::tempdir().expect("a folder");
    let failed = |script: &'static str| {
        let root = root.path();
        async move { open(sh(script), root).await.expect_err("it fails") }
    };
    let start = "the command of a secret, `sh`, ";
    let problem = failed("echo s3cret; echo s3cret >&2; exit 3").await;
    assert_eq!(problem.code, codes::SECRET_COMMAND);
    assert_eq!(problem.primary.as_ref().map(|p| p.span), Some(at(7)));
    assert_eq!(
        problem.message,
        format!("{start}failed (exit status: 3), with 7 bytes on its standard error")
    );
    assert!(!format!("{problem:?}").contains("s3cret"));
    assert_eq!(
        failed("true").await.message,
        format!("{start}printed nothing")
    );
    assert_eq!(
        failed("printf '\\377'").await.message,
        format!("{start}printed what is not UTF-8")
    );
    assert_eq!(
        failed("yes s3cret").await.message,
        format!("{start}printed more than 64 KiB")
    );
    let source = SecretSource::Command {
        program: text(7, "there-is-no-such-program"),
        arguments: vec![text(8, "s3cret")],
    };
    let problem = open(source, root.path()).await.expect_err("no program");
    assert!(
        problem.message.contains("cannot be started"),
        "{}",
        problem.message
    );
    assert!(!format!("{problem:?}").contains("s3cret"));
}

#[cfg(unix)]
#[tokio::test]
async fn a_command_that_does_not_end_is_ended() {
    let root = tempfile::tempdir().expect("a folder");
    let began = Instant::now();
    // What it has started keeps its output open after it was killed.
    let sources = vec![(at(1), sh("sleep 20 & echo $! > child; sleep 20"))];
    let limit = Duration::from_millis(300);
    let opened = OpenedSecrets::open_within(sources, root.path(), limit).await;
    assert_eq!(
        opened.expect_err("too slow").message,
        "the command of a secret, `sh`, did not end within 0.3 seconds"
    );
    assert!(began.elapsed() < Duration::from_secs(10));
}
