//! AWS Signature Version 4: HMAC with SHA-256 over a canonical form of the request.

use chrono::{DateTime, Utc};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use ring::hmac;
use url::Url;

use crate::expression::{Scope, hex, sha256_hex};
use crate::manifest::Aws;

const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The headers that sign a request; none if a part of the credentials is null.
pub(super) fn sign(
    aws: &Aws,
    method: &str,
    url: &Url,
    body: &[u8],
    wall: DateTime<Utc>,
    scope: &Scope<'_>,
) -> Vec<(&'static str, String)> {
    let parts = (
        aws.region.render(scope),
        aws.service.render(scope),
        aws.access_key.render(scope),
        aws.secret_key.render(scope),
    );
    let (Some(region), Some(service), Some(access_key), Some(secret_key)) = parts else {
        return Vec::new();
    };
    let token = aws
        .session_token
        .as_ref()
        .and_then(|token| token.render(scope));
    let credentials = Credentials {
        region,
        service,
        access_key,
        secret_key,
        token,
    };
    signed(&credentials, method, url, body, wall)
}

struct Credentials {
    region: String,
    service: String,
    access_key: String,
    secret_key: String,
    token: Option<String>,
}

fn signed(
    credentials: &Credentials,
    method: &str,
    url: &Url,
    body: &[u8],
    wall: DateTime<Utc>,
) -> Vec<(&'static str, String)> {
    let time = wall.format("%Y%m%dT%H%M%SZ").to_string();
    let date = wall.format("%Y%m%d").to_string();
    let host = match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (host, _) => host.unwrap_or_default().to_owned(),
    };
    let mut headers = vec![("host", host), ("x-amz-date", time.clone())];
    if let Some(token) = &credentials.token {
        headers.push(("x-amz-security-token", token.clone()));
    }
    let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");
    let lines: String = headers
        .iter()
        .map(|(name, value)| format!("{name}:{}\n", value.trim()))
        .collect();
    let mut query: Vec<(String, String)> = url
        .query_pairs()
        .map(|(name, value)| (encoded(&name), encoded(&value)))
        .collect();
    query.sort();
    let query: Vec<String> = query
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    // Every service but one wants the path, which is encoded already, encoded once more.
    let path: Vec<String> = url.path().split('/').map(encoded).collect();
    let canonical = format!(
        "{method}\n{}\n{}\n{lines}\n{names}\n{}",
        path.join("/"),
        query.join("&"),
        sha256_hex(body)
    );
    let scope = format!(
        "{date}/{}/{}/aws4_request",
        credentials.region, credentials.service
    );
    let message = format!(
        "AWS4-HMAC-SHA256\n{time}\n{scope}\n{}",
        sha256_hex(canonical.as_bytes())
    );
    let first = format!("AWS4{}", credentials.secret_key);
    let key = [
        date.as_str(),
        &credentials.region,
        &credentials.service,
        "aws4_request",
    ]
    .iter()
    .fold(first.into_bytes(), |key, part| mac(&key, part));
    let signature = hex(&mac(&key, &message));
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
        credentials.access_key
    );
    let mut added = vec![("x-amz-date", time), ("authorization", authorization)];
    if let Some(token) = &credentials.token {
        added.push(("x-amz-security-token", token.clone()));
    }
    added
}

fn mac(key: &[u8], message: &str) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, message.as_bytes()).as_ref().to_vec()
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn authorization(method: &str, url: &str) -> String {
        // The credentials and the time of the vendor's published test suite.
        let credentials = Credentials {
            region: "us-east-1".to_owned(),
            service: "service".to_owned(),
            access_key: "AKIDEXAMPLE".to_owned(),
            secret_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned(),
            token: None,
        };
        let wall = "2015-08-30T12:36:00Z".parse().unwrap();
        let url = Url::parse(url).unwrap();
        let headers = signed(&credentials, method, &url, b"", wall);
        let found = headers
            .into_iter()
            .find(|(name, _)| *name == "authorization");
        found.map(|(_, value)| value).unwrap_or_default()
    }

    #[test]
    fn the_published_vectors_hold() {
        for (method, url, signature) in [
            (
                "GET",
                "https://example.amazonaws.com/",
                "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
            ),
            (
                "POST",
                "https://example.amazonaws.com/",
                "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
            ),
            (
                "GET",
                "https://example.amazonaws.com/?Param2=value2&Param1=value1",
                "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            ),
        ] {
            assert_eq!(
                authorization(method, url),
                format!(
                    "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, Signature={signature}"
                ),
                "{method} {url}"
            );
        }
    }
}
