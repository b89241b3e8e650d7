//! Who holds a lease, and whether that process can still be running.

use std::path::PathBuf;

/// Who asks for a lease: a name for people, and a mark by which a process of the same machine can
/// tell that the holder has ended.
#[derive(Clone, Debug)]
pub struct Holder {
    pub(crate) name: String,
    /// `<boot>/<namespace of process ids>/<process>/<start>`, or empty where that cannot be told.
    pub(crate) mark: String,
}

impl Holder {
    /// This process. If it ends without releasing its lease, the next process of this machine takes
    /// over at once; others, and every process where `/proc` is missing, wait for the deadline.
    pub fn this_process() -> Self {
        let process = std::process::id();
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
        let host = host
            .or_else(|| std::env::var("HOSTNAME").ok())
            .unwrap_or_default();
        let host = match host.trim() {
            "" => "this machine",
            host => host,
        };
        let mark = process_space()
            .zip(started(process))
            .map(|(space, started)| format!("{space}/{process}/{started}"));
        Self {
            name: format!("process {process} on {host}"),
            mark: mark.unwrap_or_default(),
        }
    }
}

/// A holder that nobody can look after.
impl From<&str> for Holder {
    fn from(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            mark: String::new(),
        }
    }
}

/// Whether the process of this mark has certainly ended. Where that cannot be told, it has not.
pub(crate) fn has_ended(mark: &str) -> bool {
    let parts: Vec<&str> = mark.rsplitn(3, '/').collect();
    let [start, process, space] = parts[..] else {
        return false;
    };
    let Ok(process) = process.parse::<u32>() else {
        return false;
    };
    // Numbers of processes mean something only within one boot and one namespace: two containers
    // may well share a host's name and a folder.
    process_space().is_some_and(|own| own == space) && started(process).as_deref() != Some(start)
}

/// Which set of process numbers this process sees, if it sees any.
fn process_space() -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = std::fs::read_link("/proc/self/ns/pid").ok()?;
    // Without its own entry the folder is hidden or foreign, and absence says nothing.
    started(std::process::id())?;
    Some(format!("{}/{}", boot.trim(), namespace.display()))
}

/// When a process was started, in the kernel's ticks since boot; none if there is no such process or
/// only its remains are left (states Z and X, see proc_pid_stat(5)).
fn started(process: u32) -> Option<String> {
    let path = PathBuf::from(format!("/proc/{process}/stat"));
    let text = std::fs::read_to_string(path).ok()?;
    // The second field is the program's name in parentheses and may contain both.
    let (_, rest) = text.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?;
    // Field 22 of the line; the state is field 3.
    let start = fields.nth(18)?;
    (!matches!(state, "Z" | "X" | "x")).then(|| start.to_owned())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn a_process_lives_until_it_has_ended() {
        let me = Holder::this_process();
        assert!(me.name.contains(&std::process::id().to_string()));
        assert!(!has_ended(&me.mark), "{}", me.mark);

        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let space = process_space().unwrap();
        let mark = format!("{space}/{}/{}", child.id(), started(child.id()).unwrap());
        assert!(!has_ended(&mark));
        child.kill().unwrap();
        // Nobody has waited for it: a zombie holds no lease.
        while started(child.id()).is_some() {
            std::thread::yield_now();
        }
        assert!(has_ended(&mark));
        child.wait().unwrap();
        assert!(has_ended(&mark));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_cannot_be_told_is_alive() {
        let space = process_space().unwrap();
        let me = std::process::id();
        let reused = format!("{space}/{me}/1");
        assert!(has_ended(&reused), "another process has the number now");
        for mark in ["", "x", "other-boot/pid:[1]/1/1", &format!("{space}/x/1")] {
            assert!(!has_ended(mark), "{mark}");
        }
    }
}
