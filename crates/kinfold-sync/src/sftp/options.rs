//! Where an SFTP folder is, and how it is reached.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::SftpError;

/// Options of a folder on an SFTP server. There is no place for a password or key: the user's own OpenSSH
/// client logs in, with the user's keys, agent, `known_hosts`, jump hosts and configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SftpOptions {
    /// Host name or address, or a name of the SSH configuration.
    pub host: String,
    /// Port; without it, what the SSH configuration says.
    pub port: Option<u16>,
    /// User; without it, what the SSH configuration says.
    pub user: Option<String>,
    /// The folder at the server: absolute, or relative to the folder in which a login ends up. Empty for that
    /// folder itself.
    pub folder: String,
    /// The SSH client: a name on the search path, or a path.
    pub program: PathBuf,
    /// Further arguments of the client, before the host.
    pub arguments: Vec<OsString>,
    /// Longest time until a connection can be used.
    pub connect_timeout: Duration,
    /// Longest time for one answer of the server; at least a second.
    pub timeout: Duration,
    /// Whether a file may be replaced by removing the old one first, on a server that cannot do it at once.
    /// For a moment, or for good after a crash, there then is none. Only for files that can be put again.
    pub replace_by_removing: bool,
}

impl SftpOptions {
    /// The defaults for a host.
    pub fn new(host: impl Into<String>) -> Self {
        Self {
            host: host.into(),
            port: None,
            user: None,
            folder: String::new(),
            program: PathBuf::from("ssh"),
            arguments: Vec::new(),
            connect_timeout: Duration::from_secs(30),
            timeout: Duration::from_secs(60),
            replace_by_removing: false,
        }
    }

    /// The options that `sftp://[user@]host[:port]/path` stands for. The path is absolute, unless it starts
    /// with `/~/`: then it is relative to the folder in which a login ends up.
    ///
    /// # Errors
    /// It is not such an address, or holds a password, a query or a fragment.
    pub fn parse(location: &str) -> Result<Self, SftpError> {
        let invalid = |reason| SftpError::Option {
            option: "location",
            reason,
        };
        let url = Url::parse(location).map_err(|_| invalid("it is not an address"))?;
        if url.scheme() != "sftp" {
            return Err(invalid("it must start with `sftp://`"));
        }
        if url.password().is_some() {
            return Err(invalid(
                "it must not hold a password; the SSH client logs in with a key",
            ));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(invalid("it must not have a query or fragment"));
        }
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| invalid("it names no host"))?;
        let decoded = |text: &str| {
            let text = percent_decoded(text).ok_or_else(|| invalid("it is not UTF-8"))?;
            let plain = !text.chars().any(char::is_control);
            plain
                .then_some(text)
                .ok_or_else(|| invalid("it holds control characters"))
        };
        let mut options = Self::new(host.trim_start_matches('[').trim_end_matches(']'));
        options.port = url.port();
        if !url.username().is_empty() {
            options.user = Some(decoded(url.username())?);
        }
        let path = decoded(url.path())?;
        options.folder = match path.strip_prefix("/~") {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => {
                rest.trim_matches('/').to_owned()
            }
            _ => path,
        };
        options.validated()
    }

    /// Refuses what the client might take for something else than a host or user.
    pub(super) fn validated(self) -> Result<Self, SftpError> {
        let plain = |text: &str, further: &[char]| {
            let known = |c: char| c.is_alphanumeric() || further.contains(&c);
            !text.is_empty() && !text.starts_with('-') && text.chars().all(known)
        };
        if !plain(&self.host, &['.', '-', '_', ':']) {
            return Err(SftpError::Option {
                option: "host",
                reason: "it is not the name or address of a host",
            });
        }
        let user = self.user.as_deref().unwrap_or("u");
        if !plain(user, &['.', '-', '_', '@', '+', '\\']) {
            return Err(SftpError::Option {
                option: "user",
                reason: "it is not the name of a user",
            });
        }
        if self.folder.chars().any(char::is_control) {
            return Err(SftpError::Option {
                option: "folder",
                reason: "it holds control characters",
            });
        }
        Ok(self)
    }

    /// Host and port, for messages.
    pub(super) fn address(&self) -> String {
        match self.port {
            Some(port) => format!("{}:{port}", self.host),
            None => self.host.clone(),
        }
    }

    /// The client's arguments: no questions to a terminal that is not there, nothing forwarded.
    pub(super) fn command_line(&self) -> Vec<OsString> {
        let seconds = self.connect_timeout.as_secs().max(1);
        let mut line: Vec<OsString> = [
            "-oBatchMode=yes",
            "-oClearAllForwardings=yes",
            "-oForwardAgent=no",
            "-oForwardX11=no",
            "-oPermitLocalCommand=no",
            "-oControlMaster=no",
            "-oServerAliveInterval=15",
            "-oServerAliveCountMax=3",
        ]
        .map(OsString::from)
        .to_vec();
        line.push(format!("-oConnectTimeout={seconds}").into());
        line.extend(self.arguments.iter().cloned());
        if let Some(port) = self.port {
            line.extend(["-p".into(), port.to_string().into()]);
        }
        if let Some(user) = &self.user {
            line.extend(["-l".into(), user.into()]);
        }
        line.extend(["-s", "--", &self.host, "sftp"].map(OsString::from));
        line
    }
}

fn percent_decoded(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let digits = bytes.get(at + 1..at + 3).filter(|_| *byte == b'%');
        let code = digits
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        out.push(code.unwrap_or(*byte));
        at += if code.is_some() { 3 } else { 1 };
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart() {
        let parsed = |location| {
            SftpOptions::parse(location)
                .map(|o| (o.user, o.host, o.port, o.folder))
                .ok()
        };
        let user = || Some("ada".to_owned());
        let host = || "files.example".to_owned();
        assert_eq!(
            parsed("sftp://ada@files.example:2222/in/crm%20x"),
            Some((user(), host(), Some(2222), "/in/crm x".to_owned()))
        );
        assert_eq!(
            parsed("sftp://files.example/~/in/crm/"),
            Some((None, host(), None, "in/crm".to_owned()))
        );
        assert_eq!(
            parsed("sftp://files.example"),
            Some((None, host(), None, String::new()))
        );
        assert_eq!(
            parsed("sftp://[::1]/in"),
            Some((None, "::1".to_owned(), None, "/in".to_owned()))
        );
    }

    #[test]
    fn what_is_no_address_or_could_be_an_option_of_the_client_is_refused() {
        for location in [
            "https://files.example/in",
            "sftp:///in",
            "sftp://ada:secret@files.example/in",
            "sftp://files.example/in?x=1",
            "sftp://-oProxyCommand=x@files.example/in",
            "sftp://-oProxyCommand=x/in",
            "sftp://a%20b@files.example/in",
            "sftp://files.example/in%0Ax",
        ] {
            let error = SftpOptions::parse(location).map_err(|error| error.to_string());
            assert!(error.is_err(), "{location}");
            assert!(!format!("{error:?}").contains("secret"));
        }
        let sneaky = SftpOptions::new("-oProxyCommand=x").validated();
        assert!(sneaky.is_err());
    }

    #[test]
    fn the_host_is_the_last_argument_but_one() {
        let mut options = SftpOptions::new("a");
        options.arguments = vec!["-F".into(), "config".into()];
        let line = options.command_line();
        let last: Vec<_> = line.iter().rev().take(6).rev().collect();
        assert_eq!(last, ["-F", "config", "-s", "--", "a", "sftp"]);
    }
}
