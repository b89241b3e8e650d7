//! Calls → requests.

use kinfold_sync::{HttpRequest, Secret};
use serde_json::{Value, json};
use url::Url;

use super::account::Account;
use super::{aws, body};
use crate::expression::{Root, Scope, url_part};
use crate::manifest::walk::{self, Node};
use crate::manifest::{AnswerForm, Call};
use crate::template::{Part, Template, Text, scalar_text};

/// A request that is ready to be sent.
pub(super) struct Built {
    pub(super) request: HttpRequest,
    /// What must not be in messages beside the secrets of the account: signatures.
    pub(super) sensitive: Vec<String>,
    pub(super) body_len: usize,
}

/// Why there is no request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotBuilt {
    /// A value in the address is null or empty.
    NoAddress,
    /// Something is wrong for every request.
    Wrong(String),
}

/// How the next page of an answer is asked for.
#[derive(Clone)]
pub(super) enum Page {
    First,
    At(String),
    With(Vec<(String, Value)>),
}

/// The request of a call. `signed` unless it is for a token: then nothing of `auth` is added.
pub(super) fn build(
    account: &Account,
    call: &Call,
    page: &Page,
    scope: &Scope<'_>,
    signed: bool,
) -> Result<Built, NotBuilt> {
    let manifest = account.manifest();
    let base = manifest.base_url.render(scope);
    let path = match page {
        Page::At(address) => address.clone(),
        Page::First | Page::With(_) => address(&call.url, scope).ok_or(NotBuilt::NoAddress)?,
    };
    let mut url = join(base.as_deref(), &path)?;
    // Credentials go to the destination itself, whatever address an answer has named.
    let own = base.as_deref().and_then(|base| Url::parse(base).ok());
    let own = own.is_some_and(|base| base.origin() == url.origin());
    let failed = |error: crate::template::JwtError| NotBuilt::Wrong(error.to_string());
    let mut sensitive = Vec::new();
    if !matches!(page, Page::At(_)) {
        for (name, template) in &call.query {
            let value = template.render(scope).map_err(failed)?;
            if walk::template(template, &tells(account)) {
                sensitive.extend(scalar_text(&value));
            }
            add_parameter(&mut url, name, &value);
        }
    }
    if let Page::With(parameters) = page {
        replace_parameters(&mut url, parameters);
    }
    let rendered = body::render(&call.body, scope).map_err(failed)?;
    let mut headers: Vec<(String, String)> = Vec::new();
    let mut set = |name: &str, value: String| {
        headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        headers.push((name.to_ascii_lowercase(), value));
    };
    if call.answer == AnswerForm::Json {
        set("accept", "application/json".to_owned());
    }
    if let Some(rendered) = &rendered {
        let own_type = call.content_type.clone();
        set(
            "content-type",
            own_type.unwrap_or_else(|| rendered.content_type.clone()),
        );
    }
    let shared = manifest.headers.iter().filter(|_| own);
    for (name, text) in shared.chain(&call.headers) {
        if let Some(value) = text.render(scope) {
            // `Basic …` of a call of its own.
            if walk::text(text, &tells(account)) {
                sensitive.extend(value.split_whitespace().map(str::to_owned));
            }
            set(name, value);
        }
    }
    let bytes = rendered.map(|rendered| rendered.bytes);
    if walk::call(call, &|node| {
        matches!(node, Node::Template(Template::Jwt(_)))
    }) {
        sensitive.extend(signed_tokens(bytes.as_deref().unwrap_or_default()));
    }
    if signed && own {
        for (name, text) in &manifest.auth.query {
            if let Some(value) = text.render(scope) {
                add_parameter(&mut url, name, &Value::from(value.as_str()));
                sensitive.push(value);
            }
        }
        let seen = json!({
            "method": call.method,
            "path": url.path(),
            "query": url.query().unwrap_or_default(),
            "body": bytes.as_deref().map(String::from_utf8_lossy).unwrap_or_default(),
        });
        let scope = scope.with(Root::Request, &seen);
        for (name, text) in &manifest.auth.headers {
            if let Some(value) = text.render(&scope) {
                sensitive.extend(value.split_whitespace().map(str::to_owned));
                set(name, value);
            }
        }
        if let Some(aws) = &manifest.auth.aws {
            let body = bytes.as_deref().unwrap_or_default();
            let time = account.time();
            for (name, value) in aws::sign(aws, call.method, &url, body, time, &scope) {
                sensitive.extend(value.split([' ', '=', ',']).map(str::to_owned));
                set(name, value);
            }
        }
    }
    let body_len = bytes.as_ref().map_or(0, Vec::len);
    let headers = headers
        .into_iter()
        .map(|(name, value)| (name, Secret::new(value)));
    Ok(Built {
        request: HttpRequest {
            method: call.method,
            url: rerouted(url, account.reroute())?,
            headers: headers.collect(),
            body: bytes,
        },
        sensitive,
        body_len,
    })
}

/// Whether something of a request is made of a credential.
fn tells(account: &Account) -> impl Fn(Node<'_>) -> bool {
    |node| matches!(node, Node::Expression(expression) if account.is_secret(expression))
}

/// The signed tokens (RFC 7519) in a body: whoever has one can use it until it expires. Their first part is an object,
/// whose base64 begins so.
fn signed_tokens(body: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(body);
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c)));
    words
        .filter(|word| word.starts_with("eyJ"))
        .map(str::to_owned)
        .collect()
}

/// The address as it is written, its values encoded. One at the very beginning is an address itself. A value
/// that is empty, or that would lead to the folder above, has no address.
fn address(text: &Text, scope: &Scope<'_>) -> Option<String> {
    let mut found = String::new();
    for (at, part) in text.parts.iter().enumerate() {
        match part {
            Part::Plain(plain) => found.push_str(plain),
            Part::Expression(expression) => {
                let value = scalar_text(&expression.evaluate(scope))?;
                if matches!(value.as_str(), "" | "." | "..") {
                    return None;
                }
                if at == 0 {
                    found.push_str(&value);
                } else {
                    found.push_str(&url_part(&value));
                }
            }
        }
    }
    Some(found)
}

fn join(base: Option<&str>, path: &str) -> Result<Url, NotBuilt> {
    let wrong = |reason: &str| NotBuilt::Wrong(reason.to_owned());
    let whole = if path.starts_with("https://") || path.starts_with("http://") {
        path.to_owned()
    } else {
        let base = base.ok_or_else(|| wrong("the base address needs a value that is not there"))?;
        let base = base.trim_end_matches('/');
        match path.trim_start_matches('/') {
            "" => base.to_owned(),
            path => format!("{base}/{path}"),
        }
    };
    let url =
        Url::parse(&whole).map_err(|error| NotBuilt::Wrong(format!("not an address: {error}")))?;
    let loopback = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    if url.scheme() != "https" && !loopback {
        return Err(wrong(
            "the address is not encrypted: it must start with `https://`",
        ));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("the address must not hold a user or password"));
    }
    Ok(url)
}

fn add_parameter(url: &mut Url, name: &str, value: &Value) {
    match value {
        Value::Null => {}
        Value::Array(items) => items.iter().for_each(|item| add_parameter(url, name, item)),
        Value::Object(_) => {
            url.query_pairs_mut().append_pair(name, &value.to_string());
        }
        scalar => {
            let text = scalar_text(scalar).unwrap_or_default();
            url.query_pairs_mut().append_pair(name, &text);
        }
    }
}

fn replace_parameters(url: &mut Url, parameters: &[(String, Value)]) {
    let rest: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(name, _)| !parameters.iter().any(|(known, _)| known == name))
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect();
    url.set_query(None);
    if !rest.is_empty() {
        url.query_pairs_mut().extend_pairs(rest);
    }
    for (name, value) in parameters {
        add_parameter(url, name, value);
    }
}

/// `https://a.example/b?c` at another server: `<server>/a.example/b?c`.
fn rerouted(url: Url, reroute: Option<&Url>) -> Result<Url, NotBuilt> {
    let Some(server) = reroute else {
        return Ok(url);
    };
    let host = url.host_str().unwrap_or_default();
    let host = match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    let query = url
        .query()
        .map(|query| format!("?{query}"))
        .unwrap_or_default();
    let server = server.as_str().trim_end_matches('/');
    let text = format!("{server}/{host}{}{query}", url.path());
    Url::parse(&text).map_err(|error| NotBuilt::Wrong(error.to_string()))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::expression::{Expression, Names};

    fn text(expression: &str) -> Text {
        let names = Names {
            roots: &[Root::Answer],
            ..Names::default()
        };
        let (expression, _) = Expression::parse(expression, &names).unwrap();
        Text {
            parts: vec![Part::Plain("/a/".to_owned()), Part::Expression(expression)],
        }
    }

    #[test]
    fn values_cannot_change_the_path_around_them() {
        let at = |value: Value| address(&text("$"), &Scope::default().with(Root::Answer, &value));
        assert_eq!(
            at(json!("b c/d?e#f%")).as_deref(),
            Some("/a/b%20c%2Fd%3Fe%23f%25")
        );
        assert_eq!(at(json!(7)).as_deref(), Some("/a/7"));
        for nothing in [
            json!(null),
            json!(""),
            json!("."),
            json!(".."),
            json!([]),
            json!({}),
        ] {
            assert_eq!(at(nothing.clone()), None, "{nothing}");
        }
    }

    #[test]
    fn addresses_are_joined_and_encrypted() {
        let joined = |base: &str, path: &str| join(Some(base), path).map(|url| url.to_string());
        assert_eq!(
            joined("https://a.example/v1/", "/b?c=1").as_deref(),
            Ok("https://a.example/v1/b?c=1")
        );
        assert_eq!(
            joined("https://a.example", "https://b.example/c").as_deref(),
            Ok("https://b.example/c")
        );
        assert_eq!(
            joined("http://127.0.0.1:1", "").as_deref(),
            Ok("http://127.0.0.1:1/")
        );
        for wrong in [
            "http://a.example",
            "ftp://a.example",
            "a.example",
            "https://u:p@a.example",
        ] {
            assert!(joined(wrong, "/b").is_err(), "{wrong}");
        }
    }

    #[test]
    fn pages_replace_parameters_and_reroutes_keep_the_host() {
        let url = |text: &str| Url::parse(text).unwrap();
        let mut page = url("https://a.example/b?after=1&x=2");
        replace_parameters(&mut page, &[("after".to_owned(), json!("z"))]);
        assert_eq!(page.as_str(), "https://a.example/b?x=2&after=z");
        let moved = rerouted(page, Some(&url("http://127.0.0.1:9/"))).unwrap();
        assert_eq!(moved.as_str(), "http://127.0.0.1:9/a.example/b?x=2&after=z");
    }
}
