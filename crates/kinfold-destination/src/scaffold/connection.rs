//! Where the API is and who may call it: parameters, the address, credentials.

use serde_json::Value;
use url::Url;

use super::api::{Api, Operation, Parameter, scalar};
use super::prose::line;
use super::words::{has, snake, words};
use super::yaml::Yaml;

/// A parameter of the manifest.
pub(super) struct Given {
    pub(super) name: String,
    pub(super) about: String,
    pub(super) secret: bool,
    pub(super) default: Option<String>,
    pub(super) choices: Vec<(String, String)>,
    pub(super) example: Option<String>,
    /// Its value in exchanges, made up.
    pub(super) value: String,
}

/// Everything that a manifest says before its objects.
#[derive(Default)]
pub(super) struct Connection {
    pub(super) parameters: Vec<Given>,
    pub(super) base_url: String,
    pub(super) base_notes: Vec<String>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) header_notes: Vec<String>,
    pub(super) auth_headers: Vec<(String, String)>,
    pub(super) auth_query: Vec<(String, String)>,
    pub(super) auth_notes: Vec<String>,
    pub(super) token: Option<Yaml>,
}

/// What is made up wherever a secret has to stand.
const MADE_UP: &str = "made-up";

impl Connection {
    /// The connection of these operations.
    pub(super) fn of(api: &Api, operations: &[&Operation]) -> Self {
        let mut connection = Self::default();
        connection.address(api, operations);
        connection.security(api, operations);
        connection.version_headers(api, operations);
        connection
    }

    /// Adds a parameter; one of that name that is there already is taken.
    fn give(&mut self, given: Given) -> String {
        let expression = format!("{{{{ connection.{} }}}}", given.name);
        if !self.parameters.iter().any(|known| known.name == given.name) {
            self.parameters.push(given);
        }
        expression
    }

    pub(super) fn secret(&mut self, name: &str, about: &str) -> String {
        self.give(Given {
            name: name.to_owned(),
            about: about.to_owned(),
            secret: true,
            default: None,
            choices: Vec::new(),
            example: None,
            value: MADE_UP.to_owned(),
        })
    }

    pub(super) fn plain(&mut self, name: &str, about: &str, example: &str) -> String {
        self.give(Given {
            name: name.to_owned(),
            about: about.to_owned(),
            secret: false,
            default: None,
            choices: Vec::new(),
            example: Some(example.to_owned()),
            value: example.to_owned(),
        })
    }

    fn address(&mut self, api: &Api, operations: &[&Operation]) {
        let whole = |servers: &&Value| {
            let first = servers.get(0).and_then(|server| server.get("url"));
            first
                .and_then(Value::as_str)
                .is_some_and(|url| url.contains("://"))
        };
        let own = operations
            .first()
            .and_then(|operation| operation.value.get("servers"));
        let servers = own.filter(whole).or_else(|| api.root.get("servers"));
        let servers: Vec<&Value> = servers
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter(|server| server.get("url").is_some_and(Value::is_string))
            .collect();
        if api.swagger {
            let text = |key: &str| api.root.get(key).map(scalar).unwrap_or_default();
            let (host, path) = (text("host"), text("basePath"));
            let url = match host.is_empty() {
                true => path,
                false => format!("https://{host}{path}"),
            };
            return self.one_address(&url, None);
        }
        let plain: Vec<(&Value, String)> = servers
            .iter()
            .filter_map(|server| {
                let url = server
                    .get("url")?
                    .as_str()?
                    .trim_end_matches('/')
                    .to_owned();
                (!url.contains('{') && is_address(&url)).then_some((*server, url))
            })
            .collect();
        let mut distinct: Vec<(String, String)> = Vec::new();
        for (server, url) in &plain {
            if distinct.iter().any(|(_, known)| known == url) {
                continue;
            }
            let word = server_word(server, url, distinct.len());
            let word = match distinct.iter().any(|(known, _)| *known == word) {
                true => format!("server_{}", distinct.len() + 1),
                false => word,
            };
            distinct.push((word, url.clone()));
        }
        if distinct.len() > 1 && plain.len() == servers.len() {
            let first = distinct.first().cloned().unwrap_or_default();
            self.base_url = self.give(Given {
                name: "server".to_owned(),
                about: "Where the account is.".to_owned(),
                secret: false,
                default: Some(first.0.clone()),
                choices: distinct,
                example: None,
                value: first.0,
            });
            return;
        }
        let first = servers.first();
        let url = first
            .and_then(|server| server.get("url"))
            .map(scalar)
            .unwrap_or_default();
        self.one_address(&url, first.and_then(|server| server.get("variables")));
    }

    /// One address, whose `{variables}` become parameters.
    fn one_address(&mut self, url: &str, variables: Option<&Value>) {
        let url = url.trim().trim_end_matches('/');
        let secure = match url.strip_prefix("http://") {
            Some(rest) => {
                self.base_notes.push(
                    "The document names an address without encryption. Is this one right?"
                        .to_owned(),
                );
                format!("https://{rest}")
            }
            None if url.contains("://") || url.is_empty() || url.starts_with('/') => url.to_owned(),
            None => format!("https://{url}"),
        };
        let (template, sample) = self.substituted(&secure, variables);
        if secure.starts_with("https://") && is_address(&sample) {
            self.base_url = template;
            return;
        }
        let path = match secure.starts_with('/') {
            true => template,
            false => String::new(),
        };
        self.base_notes.clear();
        self.parameters
            .retain(|given| path.contains(&format!("connection.{} ", given.name)));
        let base = self.plain(
            "url",
            "The address of the API, with `https://`.",
            "https://api.example.com",
        );
        self.base_url = format!("{base}{path}");
    }

    /// A text whose `{variables}` are parameters, and what it is with their values in exchanges.
    pub(super) fn substituted(
        &mut self,
        text: &str,
        variables: Option<&Value>,
    ) -> (String, String) {
        let (mut template, mut sample) = (String::new(), String::new());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            template.push_str(before);
            sample.push_str(before);
            let Some((name, after)) = after.split_once('}') else {
                // A bracket without its other is no variable.
                rest = "";
                break;
            };
            let variable = variables.and_then(|variables| variables.get(name));
            let (expression, value) = self.variable(name, variable);
            template.push_str(&expression);
            sample.push_str(&value);
            rest = after;
        }
        template.push_str(rest);
        sample.push_str(rest);
        (template, sample)
    }

    fn variable(&mut self, name: &str, variable: Option<&Value>) -> (String, String) {
        let text = |key: &str| {
            variable
                .and_then(|variable| variable.get(key))
                .map(scalar)
                .unwrap_or_default()
        };
        let short = snake(name, "server");
        let choices: Vec<String> = variable
            .and_then(|variable| variable.get("enum"))
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .map(scalar)
            .filter(|choice| !choice.is_empty())
            .collect();
        let default = text("default");
        let stands_for = [
            "your",
            "example",
            "subdomain",
            "domain",
            "<",
            "{",
            "xxx",
            "my",
            "account",
            "tenant",
            "company",
        ];
        let lower = default.to_lowercase();
        let placeholder =
            lower == name.to_lowercase() || stands_for.iter().any(|word| lower.contains(word));
        let about = match line(&text("description"), 200) {
            about if about.is_empty() => format!("`{name}` in the address of the API."),
            about => about,
        };
        let many = choices.len() > 1;
        let default = (!default.is_empty()).then_some(default);
        let example = default.clone().filter(|_| placeholder);
        let default = default.filter(|default| match many {
            true => choices.contains(default),
            false => !placeholder,
        });
        let value = default
            .clone()
            .or_else(|| choices.first().cloned())
            .unwrap_or_else(|| "example".to_owned());
        let expression = self.give(Given {
            name: short,
            about,
            secret: false,
            default,
            choices: match many {
                true => choices
                    .iter()
                    .map(|choice| (choice.clone(), choice.clone()))
                    .collect(),
                false => Vec::new(),
            },
            example,
            value: value.clone(),
        });
        (expression, value)
    }

    /// Headers that every request must have and that are no credentials: the version of the API.
    fn version_headers(&mut self, api: &Api, operations: &[&Operation]) {
        const KNOWN: &[&str] = &[
            "authorization",
            "content-type",
            "accept",
            "user-agent",
            "host",
            "content-length",
            "content-encoding",
            "cookie",
            "accept-encoding",
        ];
        let all: Vec<&Parameter> = operations
            .iter()
            .flat_map(|operation| operation.parameters_in("header"))
            .collect();
        for parameter in all {
            let header = parameter.name.to_lowercase();
            let sound = !header.is_empty()
                && header
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
            let there = self
                .headers
                .iter()
                .chain(&self.auth_headers)
                .any(|(known, _)| *known == header);
            let words = words(&header);
            let version = has(&words, &["version", "revision"]);
            if !sound || there || KNOWN.contains(&header.as_str()) || is_idempotency(&header) {
                continue;
            }
            if !parameter.required && !version {
                continue;
            }
            let schema = api.schema(&parameter.schema);
            let known = parameter
                .example
                .clone()
                .or_else(|| schema.choices.first().cloned());
            let known = known
                .map(|value| scalar(&value))
                .filter(|value| is_header_value(value));
            let about = line(&parameter.about, 200);
            let value = match known {
                Some(value) if !is_credential(&header) => {
                    if !version {
                        self.header_notes
                            .push(format!("Is this the right value of `{header}`?"));
                    }
                    super::expression::literal(&value)
                }
                _ if !parameter.required => continue,
                _ if is_credential(&header) => {
                    self.secret(&snake(&header, "key"), &or(&about, "A key of the API."))
                }
                _ => self.plain(
                    &snake(&header, "header"),
                    &or(&about, "A header of every request."),
                    "example",
                ),
            };
            self.headers.push((header, value));
        }
    }
}

pub(super) fn or(text: &str, otherwise: &str) -> String {
    match text.is_empty() {
        true => otherwise.to_owned(),
        false => text.to_owned(),
    }
}

pub(super) fn is_credential(header: &str) -> bool {
    has(
        &words(header),
        &[
            "authorization",
            "token",
            "secret",
            "auth",
            "apikey",
            "password",
        ],
    ) || words(header).ends_with(&["api".to_owned(), "key".to_owned()])
}

/// Whether a header makes a request one that can be sent twice.
pub(super) fn is_idempotency(header: &str) -> bool {
    has(&words(header), &["idempotency", "idempotent"])
}

fn is_header_value(value: &str) -> bool {
    !value.is_empty()
        && value.chars().all(|c| c == ' ' || c.is_ascii_graphic())
        && value.trim() == value
}

/// Whether requests can be sent there.
pub(super) fn is_address(text: &str) -> bool {
    let plain = text.chars().all(|c| c.is_ascii_graphic());
    plain
        && Url::parse(text).is_ok_and(|url| {
            let bare = url.username().is_empty() && url.password().is_none();
            let named = text.get(8..).is_some_and(|rest| !rest.starts_with('/'))
                && url
                    .host_str()
                    .is_some_and(|host| host.contains(['.', ':']) || host == "localhost");
            url.scheme() == "https"
                && named
                && url.host().is_some()
                && bare
                && url.query().is_none()
                && url.fragment().is_none()
        })
}

/// The word by which a connection chooses a server.
fn server_word(server: &Value, url: &str, at: usize) -> String {
    let about = server.get("description").map(scalar).unwrap_or_default();
    let found = words(&about);
    for region in [
        "eu",
        "us",
        "europe",
        "sandbox",
        "production",
        "staging",
        "test",
        "uk",
        "au",
        "apac",
        "asia",
    ] {
        if found.iter().any(|word| word == region) {
            return region.to_owned();
        }
    }
    let host = Url::parse(url)
        .ok()
        .and_then(|url| url.host_str().map(str::to_owned));
    let first = host.and_then(|host| host.split('.').next().map(str::to_owned));
    snake(&first.unwrap_or_default(), &format!("server_{}", at + 1))
}
