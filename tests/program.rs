//! The program under test, and folders to run it in.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// The program under test: the one that was built with these tests, or the one that `KINFOLD_PROGRAM` names, a
/// release build for instance.
pub fn program() -> OsString {
    std::env::var_os("KINFOLD_PROGRAM").unwrap_or_else(|| env!("CARGO_BIN_EXE_kinfold").into())
}

/// The repository.
pub fn repository() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().expect("the repository is there")
}

/// A folder that goes when it is dropped.
pub fn folder() -> TempDir {
    tempfile::Builder::new()
        .prefix("kinfold-it")
        .tempdir()
        .unwrap()
}

/// Writes files below a folder: path and text.
pub fn write(folder: &Path, files: &[(&str, &str)]) {
    for (path, text) in files {
        let file = folder.join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
}

/// Copies a folder with all that is in it.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// One run of the program.
pub struct Kinfold(pub Command);

/// The program in the folder of a project, with no settings from the environment of the tests.
pub fn kinfold<A: AsRef<OsStr>>(project: &Path, arguments: impl IntoIterator<Item = A>) -> Kinfold {
    Kinfold::through(Command::new(program()), project, arguments)
}

impl Kinfold {
    /// The same by way of another command, which takes the program as its last argument or is it.
    pub fn through<A: AsRef<OsStr>>(
        mut command: Command,
        project: &Path,
        arguments: impl IntoIterator<Item = A>,
    ) -> Self {
        command
            .args(arguments)
            .current_dir(project)
            .env_remove("KINFOLD_ENV")
            .env_remove("NO_COLOR")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Self(command)
    }

    /// Sets a variable of its environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.0.env(name, value);
        self
    }

    /// Runs it to its end.
    pub fn run(mut self) -> Ran {
        let output = self.0.output().expect("the program can be started");
        Ran::of(&self.0, output)
    }

    /// Starts it.
    pub fn start(mut self) -> Child {
        self.0.spawn().expect("the program can be started")
    }
}

/// A run that has ended.
#[derive(Debug)]
pub struct Ran {
    /// The command, for messages.
    pub command: String,
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// What it printed as data.
    pub stdout: String,
    /// What it printed as messages.
    pub stderr: String,
}

impl Ran {
    fn of(command: &Command, output: Output) -> Self {
        let ran = Self {
            command: format!("{command:?}"),
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("data is UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("messages are UTF-8"),
        };
        assert!(
            !ran.stderr.contains("panicked at"),
            "the program panicked: {ran:#?}"
        );
        ran
    }

    /// What a process that was started has printed, once it has ended.
    pub fn wait(child: Child) -> Self {
        let output = child.wait_with_output().unwrap();
        Self::of(Command::new(program()).arg("…"), output)
    }

    /// It succeeded.
    #[track_caller]
    pub fn ok(self) -> Self {
        self.code(0)
    }

    /// It ended with this code.
    #[track_caller]
    pub fn code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}: {self:#?}", self.command);
        self
    }

    /// Standard output as exactly one JSON object.
    #[track_caller]
    pub fn json(&self) -> Value {
        let value: Value = serde_json::from_str(&self.stdout).unwrap_or_else(|error| {
            panic!("standard output is not one JSON value ({error}): {self:#?}")
        });
        assert!(value.is_object(), "{self:#?}");
        value
    }

    /// Its messages contain this.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "no `{text}` in: {self:#?}");
        self
    }
}
