//! Addresses of requests.

use reqwest::Url;

use crate::DestinationError;

/// `<url>/<object>`; every part of the object between slashes is one part of the path.
pub(super) fn object_url(url: &str, object: &str) -> Result<Url, DestinationError> {
    let invalid = |reason: &str| DestinationError::Option {
        option: "url".to_owned(),
        reason: reason.to_owned(),
    };
    let mut url = Url::parse(url).map_err(|error| invalid(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(invalid("it must start with `https://` or `http://`"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid(
            "it must not hold a user or password; use an `authorization` header",
        ));
    }
    let parts: Vec<&str> = object.split('/').collect();
    if parts
        .iter()
        .any(|part| part.is_empty() || *part == "." || *part == "..")
    {
        return Err(DestinationError::ObjectName {
            object: object.to_owned(),
            reason: "it must be a path without empty parts, `.` or `..`",
        });
    }
    url.set_fragment(None);
    url.path_segments_mut()
        .map_err(|()| invalid("it has no path"))?
        .pop_if_empty()
        .extend(parts);
    Ok(url)
}

pub(super) fn without_query(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.to_string()
}

pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(base: &str, object: &str) -> Result<String, String> {
        object_url(base, object)
            .map(|url| url.to_string())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_object_is_appended_to_the_path() {
        assert_eq!(
            url("https://a.example/v1?token=t#f", "crm/my contacts").as_deref(),
            Ok("https://a.example/v1/crm/my%20contacts?token=t")
        );
        assert_eq!(
            url("http://a.example/", "b").as_deref(),
            Ok("http://a.example/b")
        );
        assert_eq!(
            url("http://a.example", "b?c#d").as_deref(),
            Ok("http://a.example/b%3Fc%23d")
        );
    }

    #[test]
    fn what_is_not_an_address_is_refused() {
        for (base, object) in [
            ("a.example", "b"),
            ("ftp://a.example", "b"),
            ("https://user:pw@a.example", "b"),
            ("https://a.example", ""),
            ("https://a.example", "../b"),
            ("https://a.example", "b//c"),
        ] {
            assert!(url(base, object).is_err(), "{base} {object}");
        }
    }
}
