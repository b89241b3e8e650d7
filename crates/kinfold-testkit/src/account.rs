//! Accounts for servers that refuse to run as root.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// User and group of a server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Account {
    user: u32,
    group: u32,
}

impl Account {
    /// The first of these accounts that the machine has, or else `nobody`, which then owns `folder`; `None` if
    /// the tests do not run as root, and a server needs no other account.
    pub(crate) fn for_folder(folder: &Path, names: &[&str]) -> io::Result<Option<Self>> {
        if fs::metadata(folder)?.uid() != 0 {
            return Ok(None);
        }
        let account = Self::find(names)?;
        account.own(folder)?;
        Ok(Some(account))
    }

    fn find(names: &[&str]) -> io::Result<Self> {
        let accounts = fs::read_to_string("/etc/passwd")?;
        let find = |wanted: &str| {
            accounts.lines().find_map(|line| {
                let mut parts = line.split(':');
                let name = parts.next()?;
                let user = parts.nth(1)?.parse().ok()?;
                let group = parts.next()?.parse().ok()?;
                (name == wanted).then_some(Self { user, group })
            })
        };
        names
            .iter()
            .chain(&["nobody"])
            .find_map(|name| find(name))
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Hands a file or folder to the account.
    pub(crate) fn own(self, path: &Path) -> io::Result<()> {
        chown(path, Some(self.user), Some(self.group))
    }

    /// Lets a program run under the account.
    pub(crate) fn run(self, command: &mut Command) {
        command.uid(self.user).gid(self.group);
    }
}
