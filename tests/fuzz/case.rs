//! One project, one run of the program, and how it ended.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::corpus::{self, Files};
use crate::program::program;

/// Work that a project of a few files may be, in seconds of one core. A project takes less than one.
pub const CPU_SECONDS: u64 = 10;

/// Time in which it must have ended however busy the machine is.
const WALL: Duration = Duration::from_secs(180);

/// Address space of the program, in KiB: threads reserve much that they never touch.
const ADDRESS_SPACE_KIB: u64 = 8 << 20;

/// How a run ended.
#[derive(Debug)]
pub enum Ended {
    /// With an answer.
    Answered {
        /// Whether nothing was found.
        sound: bool,
    },
    /// In another way.
    Failed(Failure),
}

/// A run without an answer.
#[derive(Debug)]
pub struct Failure {
    /// What failures of one cause have in common.
    pub sign: String,
    /// The end of what was said.
    pub words: String,
}

/// Checks a project in a folder, which is emptied first.
pub fn run(folder: &Path, files: &Files) -> Ended {
    run_with(folder, files, &|project| {
        let mut command = Command::new("sh");
        let limited = format!("ulimit -v {ADDRESS_SPACE_KIB}; exec \"$0\" \"$@\"");
        command
            .arg("-c")
            .arg(limited)
            .arg(program())
            .arg("check")
            .args(["--threads", "1"])
            .current_dir(project)
            .env_remove("KINFOLD_ENV");
        command
    })
}

/// The same with another program.
pub fn run_with(folder: &Path, files: &Files, program: &dyn Fn(&Path) -> Command) -> Ended {
    let project = folder.join("project");
    if project.exists() {
        std::fs::remove_dir_all(&project).unwrap();
    }
    corpus::write(&project, files);
    // A file, not a pipe: what is said is long, and nobody reads while the program runs.
    let mut said = tempfile::tempfile().unwrap();
    let mut child = program(&project)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(said.try_clone().unwrap())
        .spawn()
        .expect("the program can be started");
    let status = wait(&mut child);
    said.seek(SeekFrom::Start(0)).unwrap();
    let mut words = vec![];
    said.read_to_end(&mut words).unwrap();
    judged(status, &String::from_utf8_lossy(&words))
}

/// Waits for the end; `None` if there is none.
fn wait(child: &mut Child) -> Option<ExitStatus> {
    let started = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        let worked = cpu_time(child.id());
        let over = worked.map_or(started.elapsed().as_secs() > CPU_SECONDS, |worked| {
            worked > Duration::from_secs(CPU_SECONDS)
        });
        if over || started.elapsed() > WALL {
            child.kill().unwrap();
            child.wait().unwrap();
            return None;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// The time that a process has worked, where the system tells: a busy machine is no endless loop.
fn cpu_time(process: u32) -> Option<Duration> {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name of the program may hold anything, so it is counted from its end.
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let ticks = |field: Option<&str>| field?.parse::<u64>().ok();
    let (user, system) = (ticks(fields.next())?, ticks(fields.next())?);
    Some(Duration::from_millis((user + system) * 10))
}

fn judged(status: Option<ExitStatus>, said: &str) -> Ended {
    let failed = |sign: String| {
        let lines: Vec<&str> = said.lines().collect();
        let last = lines.len().saturating_sub(40);
        Ended::Failed(Failure {
            sign,
            words: lines.get(last..).unwrap_or_default().join("\n"),
        })
    };
    let panicked = said.lines().find_map(|line| {
        let at = line.find("panicked at ")?;
        line.get(at..).map(str::to_owned)
    });
    let exhausted = ["overflowed its stack", "memory allocation of"]
        .into_iter()
        .find(|words| said.contains(words));
    match (panicked, exhausted, status) {
        (Some(place), ..) => failed(place),
        (None, Some(words), _) => failed(words.to_owned()),
        (None, None, None) => failed("no end".to_owned()),
        (None, None, Some(status)) => match status.code() {
            Some(code @ 0..=2) => Ended::Answered { sound: code == 0 },
            _ => failed(format!("ended with {status}")),
        },
    }
}
