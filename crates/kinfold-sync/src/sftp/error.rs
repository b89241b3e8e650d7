//! What can go wrong with files on an SFTP server.

use std::io;

use crate::{DestinationError, FailureClass, SendResult};

/// Why an operation on an SFTP server failed. No message holds credentials or what the server printed.
#[derive(Debug, thiserror::Error)]
pub enum SftpError {
    /// An option is wrong.
    #[error("SFTP option `{option}` is not valid: {reason}")]
    Option {
        /// Which.
        option: &'static str,
        /// In a few words, without the value.
        reason: &'static str,
    },
    /// The path of a file is not one.
    #[error("`{path}` is not the path of a file: {reason}")]
    Path {
        /// The path, relative to the folder.
        path: String,
        /// In a few words.
        reason: &'static str,
    },
    /// The SSH client cannot be started.
    #[error("the SSH client `{program}` cannot be started: is it installed?")]
    ProgramMissing {
        /// Its name or path.
        program: String,
    },
    /// The server's key is not known, or is another one than is known.
    #[error(
        "the host key of `{address}` is not known or has changed; check it and add it to `known_hosts`"
    )]
    HostUnknown {
        /// Host and port.
        address: String,
    },
    /// The server accepts none of the keys.
    #[error("`{address}` refuses the credentials")]
    Unauthorized {
        /// Host and port.
        address: String,
    },
    /// No connection.
    #[error("cannot connect to `{address}`: {reason}")]
    Unreachable {
        /// Host and port.
        address: String,
        /// In a few words.
        reason: &'static str,
    },
    /// The server lets us in and does not speak SFTP.
    #[error("`{address}` offers no SFTP")]
    NoSftp {
        /// Host and port.
        address: String,
    },
    /// The connection ended. What was being done may be done or not.
    #[error("the connection to `{address}` was lost")]
    ConnectionLost {
        /// Host and port.
        address: String,
    },
    /// The server did not answer within the time limit. What was being done may be done or not.
    #[error("`{address}` did not answer in time")]
    TimedOut {
        /// Host and port.
        address: String,
    },
    /// There is no such file or folder.
    #[error("`{path}` does not exist")]
    NotFound {
        /// The path at the server.
        path: String,
    },
    /// The account may not do this.
    #[error("access to `{path}` is denied")]
    Denied {
        /// The path at the server.
        path: String,
    },
    /// The server's disk, or the account's share of it, is full.
    #[error("there is no space left for `{path}`")]
    NoSpace {
        /// The path at the server.
        path: String,
    },
    /// There is a file of this name, and the server cannot replace it without a moment in which there is none.
    #[error("`{path}` exists, and the server cannot replace a file at once")]
    Exists {
        /// The path at the server.
        path: String,
    },
    /// The file is longer than the caller wants to read.
    #[error("`{path}` is longer than {limit} bytes")]
    TooLong {
        /// The path at the server.
        path: String,
        /// In bytes.
        limit: usize,
    },
    /// The server refuses for a reason that it does not tell.
    #[error("the server could not work on `{path}`")]
    Failed {
        /// The path at the server.
        path: String,
    },
    /// What was to be written could not be read.
    #[error("the bytes to be written cannot be read")]
    Source(#[source] io::Error),
}

impl SftpError {
    /// Whether another connection may do better.
    pub(super) fn is_lost(&self) -> bool {
        matches!(self, Self::ConnectionLost { .. })
    }

    /// The stable word.
    #[must_use]
    pub fn class(&self) -> FailureClass {
        match self {
            Self::HostUnknown { .. } | Self::Unauthorized { .. } | Self::Denied { .. } => {
                FailureClass::Unauthorized
            }
            Self::Option { .. }
            | Self::Path { .. }
            | Self::ProgramMissing { .. }
            | Self::NoSftp { .. }
            | Self::NotFound { .. }
            | Self::Exists { .. }
            | Self::TooLong { .. } => FailureClass::Misconfigured,
            Self::Unreachable { .. } => FailureClass::Unreachable,
            Self::ConnectionLost { .. } => FailureClass::ConnectionLost,
            Self::TimedOut { .. } => FailureClass::TimedOut,
            Self::NoSpace { .. } | Self::Failed { .. } | Self::Source(_) => {
                FailureClass::Unavailable
            }
        }
    }

    /// What it means that a batch could not be put as a file. A file gets its name only when it is whole, so
    /// only after a lost answer may it be there.
    #[must_use]
    pub fn send_result(&self) -> SendResult {
        let (class, message) = (self.class(), self.to_string());
        match class {
            FailureClass::Unauthorized | FailureClass::Misconfigured => {
                SendResult::Fatal { class, message }
            }
            FailureClass::ConnectionLost | FailureClass::TimedOut => {
                SendResult::Unknown { class, message }
            }
            _ => SendResult::Transient { class, message },
        }
    }

    /// What it means that the folder cannot be used.
    #[must_use]
    pub fn destination_error(&self, address: &str) -> DestinationError {
        let address = address.to_owned();
        let reason = self.to_string();
        match self {
            Self::Option { option, reason } => DestinationError::Option {
                option: (*option).to_owned(),
                reason: (*reason).to_owned(),
            },
            Self::Unauthorized { .. } | Self::Denied { .. } => {
                DestinationError::Unauthorized { address }
            }
            Self::NoSpace { .. } | Self::Failed { .. } | Self::Source(_) => {
                DestinationError::Unavailable { address, reason }
            }
            _ => DestinationError::Unreachable { address, reason },
        }
    }
}

/// What the SSH client's words mean when it has ended. Only its kinds of words are used, never the words.
pub(super) fn of_client(words: &str, was_ready: bool, address: &str) -> SftpError {
    let address = address.to_owned();
    let says = |text: &str| words.contains(text);
    let unreachable = |reason| SftpError::Unreachable {
        address: address.clone(),
        reason,
    };
    if was_ready {
        return SftpError::ConnectionLost { address };
    }
    if says("Host key verification failed") || says("REMOTE HOST IDENTIFICATION HAS CHANGED") {
        SftpError::HostUnknown { address }
    } else if says("Permission denied") || says("Too many authentication failures") {
        SftpError::Unauthorized { address }
    } else if says("subsystem request failed") {
        SftpError::NoSftp { address }
    } else if says("Could not resolve hostname") {
        unreachable("the host name cannot be resolved")
    } else if says("Connection refused") {
        unreachable("the connection is refused")
    } else if says("timed out") {
        unreachable("timed out")
    } else if says("No route to host") || says("Network is unreachable") {
        unreachable("there is no route")
    } else if says("Bad configuration option") || says("Can't open user config file") {
        unreachable("the SSH client's configuration is not valid")
    } else {
        unreachable("the SSH client has ended")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_s_words_have_their_meaning() {
        for (words, expected) in [
            (
                "No ED25519 host key is known for a.\r\nHost key verification failed.\r\n",
                "host key",
            ),
            ("u@a: Permission denied (publickey).", "credentials"),
            ("subsystem request failed on channel 0", "no SFTP"),
            (
                "ssh: Could not resolve hostname a: Name or service not known",
                "resolved",
            ),
            (
                "ssh: connect to host a port 22: Connection refused",
                "refused",
            ),
            ("something secret", "the SSH client has ended"),
        ] {
            let error = of_client(words, false, "a:22").to_string();
            assert!(error.contains(expected), "{error}");
            assert!(!error.contains("secret"));
        }
        let lost = of_client("Permission denied", true, "a:22");
        assert!(lost.is_lost());
    }

    #[test]
    fn only_a_lost_answer_leaves_a_batch_unknown() {
        let path = || "f".to_owned();
        let address = || "a:22".to_owned();
        for (error, word) in [
            (SftpError::Denied { path: path() }, "fatal"),
            (SftpError::HostUnknown { address: address() }, "fatal"),
            (SftpError::NoSpace { path: path() }, "transient"),
            (SftpError::ConnectionLost { address: address() }, "unknown"),
            (SftpError::TimedOut { address: address() }, "unknown"),
        ] {
            let found = match error.send_result() {
                SendResult::Fatal { .. } => "fatal",
                SendResult::Transient { .. } => "transient",
                SendResult::Unknown { .. } => "unknown",
                _ => "other",
            };
            assert_eq!(found, word, "{error}");
        }
    }
}
