//! Reading a DSN, with a stricter meaning of `sslmode` than libpq's.

use std::path::PathBuf;
use std::str::FromStr;

use rustls::ClientConfig;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use crate::{DestinationError, Secret, tls};

/// Where and how to connect.
pub(super) struct Dsn {
    pub(super) config: Config,
    pub(super) tls: Option<ClientConfig>,
    /// `host:port/database`, for messages.
    pub(super) address: String,
}

fn invalid(option: &str, reason: &str) -> DestinationError {
    DestinationError::Option {
        option: option.to_owned(),
        reason: reason.to_owned(),
    }
}

impl Dsn {
    pub(super) fn parse(dsn: &Secret) -> Result<Self, DestinationError> {
        let mut ssl_mode = None;
        let mut root_certificates = None;
        let mut take = |name: &str, value: &str| match name {
            "sslmode" => {
                ssl_mode = Some(value.to_owned());
                true
            }
            "sslrootcert" => {
                root_certificates = Some(PathBuf::from(value));
                true
            }
            _ => false,
        };
        let text = dsn.expose().trim();
        let rest = if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            without_parameters(text, &mut take)
        } else {
            without_words(text, &mut take)
        };
        // The parser's own words quote parts of the DSN.
        let mut config = Config::from_str(&rest)
            .map_err(|_| invalid("dsn", "it is not a PostgreSQL connection string"))?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(invalid("dsn", "it names no host"));
        }
        if config.get_user().is_none() {
            return Err(invalid("dsn", "it names no user"));
        }
        let encrypted = match ssl_mode.as_deref() {
            None => !is_local(&config),
            Some("disable") => false,
            Some("require" | "verify-ca" | "verify-full") => true,
            Some("prefer" | "allow") => {
                return Err(invalid(
                    "dsn",
                    "`sslmode` must not leave it to the server; use `verify-full` or `disable`",
                ));
            }
            Some(_) => {
                return Err(invalid(
                    "dsn",
                    "`sslmode` must be `disable`, `require`, `verify-ca` or `verify-full`",
                ));
            }
        };
        let tls = if encrypted {
            config.ssl_mode(SslMode::Require);
            let certificates = root_certificates.filter(|path| path.as_os_str() != "system");
            Some(tls::client_config(certificates.as_deref())?)
        } else {
            config.ssl_mode(SslMode::Disable);
            None
        };
        Ok(Self {
            address: address(&config),
            config,
            tls,
        })
    }
}

/// Removes the query parameters that `take` accepts from a URL.
fn without_parameters(url: &str, take: &mut dyn FnMut(&str, &str) -> bool) -> String {
    let Some((base, query)) = url.split_once('?') else {
        return url.to_owned();
    };
    let kept: Vec<&str> = query
        .split('&')
        .filter(|pair| {
            let parsed: Vec<(String, String)> = url::form_urlencoded::parse(pair.as_bytes())
                .into_owned()
                .collect();
            !parsed.iter().any(|(name, value)| take(name, value))
        })
        .collect();
    if kept.is_empty() {
        base.to_owned()
    } else {
        format!("{base}?{}", kept.join("&"))
    }
}

/// Removes the `name=value` words that `take` accepts. Values may be in single quotes, with backslashes.
fn without_words(text: &str, take: &mut dyn FnMut(&str, &str) -> bool) -> String {
    let mut words: Vec<(String, String)> = Vec::new();
    let (mut raw, mut plain) = (String::new(), String::new());
    let mut quoted = false;
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' => {
                raw.push(c);
                if let Some(escaped) = characters.next() {
                    raw.push(escaped);
                    plain.push(escaped);
                }
            }
            '\'' => {
                quoted = !quoted;
                raw.push(c);
            }
            c if c.is_whitespace() && !quoted => {
                words.push((std::mem::take(&mut raw), std::mem::take(&mut plain)));
            }
            c => {
                raw.push(c);
                plain.push(c);
            }
        }
    }
    words.push((raw, plain));
    words
        .into_iter()
        .filter(|(_, plain)| {
            !plain
                .split_once('=')
                .is_some_and(|(name, value)| take(name, value))
        })
        .map(|(raw, _)| raw)
        .collect::<Vec<_>>()
        .join(" ")
}

fn is_local(config: &Config) -> bool {
    let names = config.get_hosts().iter().all(|host| match host {
        #[cfg(unix)]
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost"
                || name
                    .parse::<std::net::IpAddr>()
                    .is_ok_and(|address| address.is_loopback())
        }
    });
    names
        && config
            .get_hostaddrs()
            .iter()
            .all(std::net::IpAddr::is_loopback)
}

fn address(config: &Config) -> String {
    let host = match config.get_hosts().first() {
        #[cfg(unix)]
        Some(Host::Unix(path)) => path.display().to_string(),
        Some(Host::Tcp(name)) => name.clone(),
        None => config
            .get_hostaddrs()
            .first()
            .map(ToString::to_string)
            .unwrap_or_default(),
    };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    match config.get_dbname() {
        Some(database) => format!("{host}:{port}/{database}"),
        None => format!("{host}:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<(String, bool), String> {
        Dsn::parse(&Secret::new(text))
            .map(|dsn| (dsn.address, dsn.tls.is_some()))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn both_forms_are_read_and_the_address_has_no_credentials() {
        let local = Ok(("localhost:5433/crm".to_owned(), false));
        assert_eq!(parse("postgres://u:pw@localhost:5433/crm"), local);
        assert_eq!(
            parse("host=localhost port=5433 user=u password='p w' dbname=crm"),
            local
        );
        assert_eq!(
            parse("postgresql://u@localhost:5433/crm?sslmode=disable&connect_timeout=5"),
            local
        );
    }

    #[test]
    fn another_machine_is_spoken_to_encrypted() {
        let remote = Ok(("db.example:5432/crm".to_owned(), true));
        assert_eq!(parse("postgres://u:pw@db.example/crm"), remote);
        assert_eq!(
            parse("postgres://u:pw@db.example/crm?sslmode=verify-full&sslrootcert=system"),
            remote
        );
        assert_eq!(
            parse("host=db.example user=u dbname=crm sslmode=verify-ca"),
            remote
        );
        assert_eq!(
            parse("host=db.example user=u dbname=crm sslmode=disable"),
            Ok(("db.example:5432/crm".to_owned(), false))
        );
    }

    #[test]
    fn a_password_that_looks_like_an_option_is_left_alone() {
        assert_eq!(
            parse("host=db.example user=u password='a sslmode=disable b'"),
            Ok(("db.example:5432".to_owned(), true))
        );
    }

    #[test]
    fn errors_do_not_quote_the_dsn() {
        for text in [
            "postgres://u:swordfish@db.example/crm?sslmode=prefer",
            "postgres://u:swordfish@db.example/crm?sslmode=swordfish",
            "postgres://u:swordfish@db.example:port/crm",
            "user=u password=swordfish",
            "host=db.example password=swordfish",
            "swordfish",
            "",
        ] {
            let error = parse(text).err();
            assert!(
                error.as_ref().is_some_and(|e| !e.contains("swordfish")),
                "{text}: {error:?}"
            );
        }
    }
}
