//! Where the server is, and how it is spoken to.

use async_nats::{Client, ConnectErrorKind, ConnectOptions, ServerAddr};
use url::Url;

use super::NatsOptions;
use crate::url_part::{self, decoded};
use crate::{DestinationError, Secret, tls};

/// Where and how to connect.
pub(super) struct Server {
    address: ServerAddr,
    encrypted: bool,
    tls: rustls::ClientConfig,
    login: Login,
    timeout: std::time::Duration,
    /// `host:port`, for messages.
    pub(super) name: String,
}

enum Login {
    None,
    Token(Secret),
    User(String, Secret),
}

fn invalid(option: &str, reason: &str) -> DestinationError {
    DestinationError::Option {
        option: option.to_owned(),
        reason: reason.to_owned(),
    }
}

impl Server {
    pub(super) fn parse(options: &NatsOptions) -> Result<Self, DestinationError> {
        let no_url = || invalid("url", "it is not `nats://host:port` or `tls://host:port`");
        let url = Url::parse(options.url.expose().trim()).map_err(|_| no_url())?;
        let host = url_part::host(&url).ok_or_else(|| invalid("url", "it names no host"))?;
        let mut encrypted = match url.scheme() {
            "tls" => true,
            "nats" => !url_part::is_local(&host),
            _ => return Err(no_url()),
        };
        for (name, value) in url.query_pairs() {
            encrypted = match (&*name, &*value) {
                ("tls", "required") => true,
                ("tls", "none") if url.scheme() == "nats" => false,
                _ => {
                    return Err(invalid(
                        "url",
                        "its only parameter is `tls`: `required` or `none`",
                    ));
                }
            };
        }
        let in_url = url
            .password()
            .map(|password| Login::User(decoded(url.username()), Secret::new(decoded(password))));
        let login = match (in_url, &options.user, &options.password, &options.token) {
            (Some(login), None, None, None) => login,
            (None, None, None, None) if url.username().is_empty() => Login::None,
            (None, None, None, Some(token)) => Login::Token(token.clone()),
            (None, Some(user), Some(password), None) => Login::User(user.clone(), password.clone()),
            _ => {
                return Err(invalid(
                    "user",
                    "a login is `user` and `password`, or `token`, or both names in `url`",
                ));
            }
        };
        let port = url.port().unwrap_or(4222);
        let bracketed = match host.contains(':') {
            true => format!("[{host}]"),
            false => host.clone(),
        };
        let address = format!("nats://{bracketed}:{port}").parse();
        Ok(Self {
            address: address.map_err(|_| no_url())?,
            encrypted,
            tls: tls::client_config(options.ca_file.as_deref())?,
            login,
            timeout: options.timeout,
            name: format!("{host}:{port}"),
        })
    }

    /// Opens a connection. It is not opened again by itself: what it had not sent would then be sent behind
    /// the back of whoever was told that nobody knows.
    pub(super) async fn connect(&self) -> Result<Client, DestinationError> {
        let options = ConnectOptions::new()
            .name("kinfold")
            .connection_timeout(self.timeout)
            .request_timeout(Some(self.timeout))
            .ignore_discovered_servers()
            .max_reconnects(1)
            .require_tls(self.encrypted)
            .tls_client_config(self.tls.clone());
        let options = match &self.login {
            Login::None => options,
            Login::Token(token) => options.token(token.expose().to_owned()),
            Login::User(user, password) => {
                options.user_and_password(user.clone(), password.expose().to_owned())
            }
        };
        let address = self.name.clone();
        options
            .connect(self.address.clone())
            .await
            .map_err(|error| match error.kind() {
                ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
                    DestinationError::Unauthorized { address }
                }
                // The server's words may quote what was sent to it.
                kind => DestinationError::Unreachable {
                    address,
                    reason: kind.to_string(),
                },
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(options: NatsOptions) -> Result<(String, bool), String> {
        Server::parse(&options)
            .map(|server| (server.name, server.encrypted))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn another_machine_is_spoken_to_encrypted() {
        for (url, name, encrypted) in [
            ("nats://localhost", "localhost:4222", false),
            ("tls://localhost:4223", "localhost:4223", true),
            ("nats://events.example", "events.example:4222", true),
            (
                "nats://u:p@events.example?tls=none",
                "events.example:4222",
                false,
            ),
            ("nats://[::1]:1", "::1:1", false),
        ] {
            let found = parse(NatsOptions::new(url));
            assert_eq!(found, Ok((name.to_owned(), encrypted)), "{url}");
        }
    }

    #[test]
    fn errors_do_not_quote_credentials() {
        for url in [
            "nats://u:swordfish@events.example:port",
            "nats://swordfish@events.example",
            "nats://u:swordfish@events.example?tls=swordfish",
            "tls://u:swordfish@events.example?tls=none",
            "http://u:swordfish@events.example",
            "swordfish",
        ] {
            let error = parse(NatsOptions::new(url)).err();
            assert!(
                error.as_ref().is_some_and(|e| !e.contains("swordfish")),
                "{url}: {error:?}"
            );
        }
        let mut options = NatsOptions::new("nats://u:p@localhost");
        options.token = Some(Secret::new("swordfish"));
        assert!(parse(options.clone()).is_err());
        assert!(!format!("{options:?}").contains("swordfish"));
    }
}
