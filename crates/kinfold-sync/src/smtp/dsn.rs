//! Reading a DSN.

use std::path::Path;

use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use url::Url;

use crate::url_part::{self, decoded};
use crate::{DestinationError, Secret, tls};

/// Where and how to connect.
pub(super) struct Dsn {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: Tls,
    pub(super) credentials: Option<Credentials>,
    /// Whether credentials may be sent without encryption.
    pub(super) local: bool,
    /// `host:port`, for messages.
    pub(super) address: String,
}

fn invalid(reason: &str) -> DestinationError {
    DestinationError::Option {
        option: "dsn".to_owned(),
        reason: reason.to_owned(),
    }
}

impl Dsn {
    pub(super) fn parse(dsn: &Secret, ca_file: Option<&Path>) -> Result<Self, DestinationError> {
        let no_url = || invalid("it is not `smtps://user:password@host:port` or `smtp://…`");
        // The parser's own words quote parts of the DSN.
        let url = Url::parse(dsn.expose().trim()).map_err(|_| no_url())?;
        let host = url_part::host(&url).ok_or_else(|| invalid("it names no host"))?;
        let local = url_part::is_local(&host);
        let mut mode = None;
        for (name, value) in url.query_pairs() {
            if name != "tls" {
                return Err(invalid("it has a parameter other than `tls`"));
            }
            mode = Some(value.into_owned());
        }
        let default = if local { "none" } else { "required" };
        let (wanted, port) = match (url.scheme(), mode.as_deref()) {
            ("smtps", None) => ("wrapper", 465),
            ("smtps", Some(_)) => {
                return Err(invalid(
                    "`smtps` is encrypted from the start and takes no `tls`",
                ));
            }
            ("smtp", mode) => (mode.unwrap_or(default), 587),
            _ => return Err(no_url()),
        };
        let tls = match wanted {
            "none" => Tls::None,
            "wrapper" => Tls::Wrapper(parameters(&host, ca_file)?),
            "required" => Tls::Required(parameters(&host, ca_file)?),
            "opportunistic" => Tls::Opportunistic(parameters(&host, ca_file)?),
            _ => {
                return Err(invalid(
                    "`tls` must be `required`, `opportunistic` or `none`",
                ));
            }
        };
        let user = decoded(url.username());
        let password = url.password().map(decoded);
        let credentials = match (user.is_empty(), password) {
            (true, None) => None,
            (false, Some(password)) => Some(Credentials::new(user, password)),
            _ => return Err(invalid("it has only one of user and password")),
        };
        let port = url.port().unwrap_or(port);
        Ok(Self {
            address: format!("{host}:{port}"),
            host,
            port,
            tls,
            credentials,
            local,
        })
    }
}

fn parameters(host: &str, ca_file: Option<&Path>) -> Result<TlsParameters, DestinationError> {
    let refused = |error: lettre::transport::smtp::Error| DestinationError::Option {
        option: "tls".to_owned(),
        reason: error.to_string(),
    };
    let mut builder =
        TlsParameters::builder(host.to_owned()).certificate_store(CertificateStore::None);
    for authority in tls::authorities(ca_file)? {
        let certificate = Certificate::from_der(authority.to_vec()).map_err(refused)?;
        builder = builder.add_root_certificate(certificate);
    }
    builder.build_rustls().map_err(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<(String, &'static str, bool), String> {
        let dsn = Dsn::parse(&Secret::new(text), None).map_err(|error| error.to_string())?;
        let tls = match dsn.tls {
            Tls::None => "none",
            Tls::Opportunistic(_) => "opportunistic",
            Tls::Required(_) => "required",
            Tls::Wrapper(_) => "wrapper",
        };
        Ok((dsn.address, tls, dsn.credentials.is_some()))
    }

    #[test]
    fn another_machine_is_spoken_to_encrypted() {
        for (text, address, tls, credentials) in [
            (
                "smtps://u:p%40@mail.example",
                "mail.example:465",
                "wrapper",
                true,
            ),
            ("smtp://mail.example", "mail.example:587", "required", false),
            (
                "smtp://mail.example:25?tls=opportunistic",
                "mail.example:25",
                "opportunistic",
                false,
            ),
            (
                "smtp://u:p@mail.example?tls=none",
                "mail.example:587",
                "none",
                true,
            ),
            ("smtp://localhost:1025", "localhost:1025", "none", false),
            (
                "smtp://127.0.0.1?tls=required",
                "127.0.0.1:587",
                "required",
                false,
            ),
        ] {
            let expected = Ok((address.to_owned(), tls, credentials));
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    #[test]
    fn errors_do_not_quote_the_dsn() {
        for text in [
            "smtps://u:swordfish@mail.example?tls=none",
            "smtp://u:swordfish@mail.example?tls=swordfish",
            "smtp://u:swordfish@mail.example?swordfish=1",
            "smtp://u:swordfish@mail.example:port",
            "smtp://:swordfish@mail.example",
            "smtp://swordfish@mail.example",
            "http://u:swordfish@mail.example",
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
