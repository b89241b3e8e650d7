//! Parts of URLs.

use std::net::IpAddr;

use url::{Url, form_urlencoded};

/// A part of a URL without percent signs.
pub(crate) fn decoded(part: &str) -> String {
    let value = part.replace('+', "%2B").replace('&', "%26");
    form_urlencoded::parse(format!("v={value}").as_bytes())
        .next()
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

/// The host, an IPv6 address without its brackets; `None` if there is none.
pub(crate) fn host(url: &Url) -> Option<String> {
    let host = decoded(url.host_str()?);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    (!host.is_empty()).then(|| host.to_owned())
}

/// Whether a host is this machine.
pub(crate) fn is_local(host: &str) -> bool {
    host == "localhost"
        || host
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback())
}
