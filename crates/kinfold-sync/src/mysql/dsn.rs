//! Reading a DSN, with the same meaning of `ssl-mode` as for PostgreSQL.

use std::path::PathBuf;

use mysql_async::{Opts, OptsBuilder, SslOpts};
use url::Url;

use crate::url_part::{self, decoded};
use crate::{DestinationError, Secret, tls};

const DEFAULT_PORT: u16 = 3306;

/// Where and how to connect.
pub(super) struct Dsn {
    pub(super) opts: Opts,
    pub(super) database: Option<String>,
    /// Whether the connection is encrypted.
    pub(super) encrypted: bool,
    /// `host:port/database`, for messages.
    pub(super) address: String,
}

fn invalid(reason: &str) -> DestinationError {
    DestinationError::Option {
        option: "dsn".to_owned(),
        reason: reason.to_owned(),
    }
}

/// What the parameters of a DSN say about encryption.
#[derive(Default)]
struct Encryption {
    mode: Option<String>,
    authorities: Option<PathBuf>,
}

impl Dsn {
    pub(super) fn parse(dsn: &Secret) -> Result<Self, DestinationError> {
        let no_url = || invalid("it is not `mysql://user:password@host:port/database`");
        // The parser's own words quote parts of the DSN.
        let url = Url::parse(dsn.expose().trim()).map_err(|_| no_url())?;
        if !matches!(url.scheme(), "mysql" | "mariadb") {
            return Err(no_url());
        }
        let host = url_part::host(&url).ok_or_else(|| invalid("it names no host"))?;
        let user = decoded(url.username());
        if user.is_empty() {
            return Err(invalid("it names no user"));
        }
        let password = url.password().map(decoded);
        let database = decoded(url.path().trim_start_matches('/'));
        let database = Some(database).filter(|name| !name.is_empty());
        let mut encryption = Encryption::default();
        for (name, value) in url.query_pairs() {
            match &*name {
                "ssl-mode" | "sslmode" => encryption.mode = Some(value.to_lowercase()),
                "ssl-ca" | "sslrootcert" => encryption.authorities = Some(value.as_ref().into()),
                _ => {
                    return Err(invalid(
                        "it has a parameter other than `ssl-mode` and `ssl-ca`",
                    ));
                }
            }
        }
        let ssl = encryption.options(url_part::is_local(&host))?;
        let port = url.port().unwrap_or(DEFAULT_PORT);
        let address = match &database {
            Some(database) => format!("{host}:{port}/{database}"),
            None => format!("{host}:{port}"),
        };
        let encrypted = ssl.is_some();
        let opts = OptsBuilder::default()
            .ip_or_hostname(host)
            .tcp_port(port)
            .user(Some(user))
            .pass(password)
            .db_name(database.clone())
            .prefer_socket(false)
            // An update is told what it found, not what it changed.
            .client_found_rows(true)
            .ssl_opts(ssl)
            .into();
        Ok(Self {
            opts,
            database,
            encrypted,
            address,
        })
    }
}

impl Encryption {
    fn options(&self, local: bool) -> Result<Option<SslOpts>, DestinationError> {
        let encrypted = match self.mode.as_deref() {
            None => !local,
            Some("disable" | "disabled") => false,
            Some(
                "require" | "required" | "verify-ca" | "verify_ca" | "verify-full"
                | "verify_identity",
            ) => true,
            Some("prefer" | "preferred" | "allow") => {
                return Err(invalid(
                    "`ssl-mode` must not leave it to the server; use `verify-full` or `disable`",
                ));
            }
            Some(_) => {
                return Err(invalid(
                    "`ssl-mode` must be `disable`, `require`, `verify-ca` or `verify-full`",
                ));
            }
        };
        if !encrypted {
            return Ok(None);
        }
        let file = self.authorities.as_deref();
        let authorities = tls::authorities(file.filter(|path| path.as_os_str() != "system"))?;
        Ok(Some(
            SslOpts::default()
                .with_disable_built_in_roots(true)
                .with_root_certs(
                    authorities
                        .iter()
                        .map(|certificate| certificate.to_vec().into())
                        .collect(),
                ),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<(String, bool), String> {
        Dsn::parse(&Secret::new(text))
            .map(|dsn| (dsn.address, dsn.encrypted))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_address_has_no_credentials() {
        for (text, address, encrypted) in [
            (
                "mysql://u:pw@localhost:3307/crm",
                "localhost:3307/crm",
                false,
            ),
            ("mariadb://u:p%40w@127.0.0.1", "127.0.0.1:3306", false),
            ("mysql://u@[::1]/crm", "::1:3306/crm", false),
            ("mysql://u:pw@db.example/crm", "db.example:3306/crm", true),
            (
                "mysql://u@db.example/crm?ssl-mode=VERIFY_IDENTITY",
                "db.example:3306/crm",
                true,
            ),
            (
                "mysql://u@db.example/crm?sslmode=verify-ca&ssl-ca=system",
                "db.example:3306/crm",
                true,
            ),
            (
                "mysql://u@db.example/crm?ssl-mode=DISABLED",
                "db.example:3306/crm",
                false,
            ),
        ] {
            assert_eq!(parse(text), Ok((address.to_owned(), encrypted)), "{text}");
        }
    }

    #[test]
    fn credentials_are_decoded() {
        let dsn = Dsn::parse(&Secret::new("mysql://u%3A:p%40%2F@localhost/a%20b")).ok();
        let found = dsn
            .as_ref()
            .map(|dsn| (dsn.opts.user(), dsn.opts.pass(), dsn.opts.db_name()));
        assert_eq!(found, Some((Some("u:"), Some("p@/"), Some("a b"))));
    }

    #[test]
    fn errors_do_not_quote_the_dsn() {
        for text in [
            "mysql://u:swordfish@db.example/crm?ssl-mode=preferred",
            "mysql://u:swordfish@db.example/crm?ssl-mode=swordfish",
            "mysql://u:x@db.example/crm?swordfish=1",
            "mysql://u:swordfish@db.example:port/crm",
            "postgres://u:swordfish@db.example/crm",
            "mysql://:swordfish@db.example/crm",
            "mysql:///swordfish",
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
