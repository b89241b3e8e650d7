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

    fn secret(&mut self, name: &str, about: &str) -> String {
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

    fn plain(&mut self, name: &str, about: &str, example: &str) -> String {
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
    fn substituted(&mut self, text: &str, variables: Option<&Value>) -> (String, String) {
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

    fn security(&mut self, api: &Api, operations: &[&Operation]) {
        let own = operations
            .first()
            .and_then(|operation| operation.value.get("security"));
        let requirements = own
            .or_else(|| api.root.get("security"))
            .and_then(Value::as_array);
        let place = match api.swagger {
            true => "/securityDefinitions",
            false => "/components/securitySchemes",
        };
        let schemes = api.part(place).and_then(Value::as_object);
        let scheme = |name: &str| {
            schemes
                .and_then(|schemes| schemes.get(name))
                .map(|scheme| api.resolve(scheme))
        };
        // Of several ways in, the one that is least work for a person: a key before a token that is fetched.
        let mut ways: Vec<Vec<(String, &Value, Vec<String>)>> = requirements
            .into_iter()
            .flatten()
            .filter_map(Value::as_object)
            .map(|requirement| {
                let schemes = requirement.iter().filter_map(|(name, scopes)| {
                    let scopes = scopes.as_array().into_iter().flatten().map(self::scalar);
                    Some((name.clone(), scheme(name)?, scopes.collect()))
                });
                schemes.collect()
            })
            .filter(|way: &Vec<_>| !way.is_empty())
            .collect();
        if requirements.is_none() {
            let all = schemes.into_iter().flatten();
            ways = all
                .map(|(name, scheme)| vec![(name.clone(), api.resolve(scheme), Vec::new())])
                .collect();
        }
        ways.sort_by_key(|way| way.iter().map(|(_, scheme, _)| effort(scheme)).max());
        let Some(way) = ways.into_iter().next() else {
            let named = operations
                .iter()
                .flat_map(|operation| operation.parameters_in("header"))
                .find(|parameter| is_credential(&parameter.name));
            match named {
                Some(parameter) => self.key_header(&parameter.name, &parameter.about),
                None => self.auth_notes.push(
                    "The document does not say how requests prove who sends them. Look for a key or token in the \
                     vendor's pages, and write where it goes below `auth`."
                        .to_owned(),
                ),
            }
            return;
        };
        for (name, scheme, scopes) in way {
            self.scheme(api, &name, scheme, &scopes);
        }
    }

    fn scheme(&mut self, api: &Api, name: &str, scheme: &Value, scopes: &[String]) {
        let text = |key: &str| scheme.get(key).map(scalar).unwrap_or_default();
        let about = line(&text("description"), 200);
        let http = text("scheme").to_lowercase();
        match (text("type").as_str(), http.as_str()) {
            ("apiKey", _) => {
                let header = text("name");
                match text("in").as_str() {
                    "query" => {
                        let key = self.secret(&snake(&header, "api_key"), &or(&about, "The key of the API."));
                        self.auth_query.push((header, key));
                    }
                    "cookie" => {
                        let key = self.secret(&snake(&header, "api_key"), &or(&about, "The key of the API."));
                        self.auth_headers.push(("cookie".to_owned(), format!("{header}={key}")));
                    }
                    _ => self.key_header(&header, &about),
                }
            }
            ("basic", _) | ("http", "basic") => self.basic(&about),
            ("oauth2", _) => self.oauth(api, scheme, scopes, &about),
            ("http", "bearer" | "") | ("openIdConnect", _) => self.bearer(&about),
            _ => self.auth_notes.push(format!(
                "The document asks for `{}` of the kind `{}`. See the kinds of credentials in the guide.",
                line(name, 40),
                line(&format!("{} {http}", text("type")), 40)
            )),
        }
    }

    fn bearer(&mut self, about: &str) {
        let token = self.secret("access_token", &or(about, "A token of the API."));
        self.auth_headers
            .push(("authorization".to_owned(), format!("Bearer {token}")));
    }

    fn basic(&mut self, about: &str) {
        self.plain(
            "username",
            &or(about, "The name of the user, or the id of the key."),
            "user",
        );
        self.secret("password", "The password of the user, or the key.");
        let value =
            "Basic {{ connection.username | concat(connection.password) | join(':') | base64 }}";
        self.auth_headers
            .push(("authorization".to_owned(), value.to_owned()));
        self.auth_notes.push(
            "Many vendors want a key as the name of the user and no password, or the other way round.".to_owned(),
        );
    }

    fn key_header(&mut self, header: &str, about: &str) {
        let sound = !header.is_empty()
            && header
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
        if !sound {
            self.auth_notes.push(
                "The document gives the header of the key no name that a header can have."
                    .to_owned(),
            );
            return;
        }
        let authorization = header.eq_ignore_ascii_case("authorization");
        let name = match authorization {
            true => "api_key".to_owned(),
            false => snake(
                header.trim_start_matches("X-").trim_start_matches("x-"),
                "api_key",
            ),
        };
        let key = self.secret(&name, &or(about, "The key of the API."));
        if authorization {
            self.auth_notes.push(
                "Does a word stand before the key in this header: `Bearer `, `Token `, a name of the vendor's?".to_owned(),
            );
        }
        self.auth_headers.push((header.to_lowercase(), key));
    }

    fn oauth(&mut self, api: &Api, scheme: &Value, scopes: &[String], about: &str) {
        let flows = scheme.get("flows");
        let flow = |names: &[&str]| {
            let of_swagger = scheme
                .get("flow")
                .map(scalar)
                .filter(|flow| names.contains(&flow.as_str()));
            of_swagger
                .map(|_| scheme)
                .or_else(|| names.iter().find_map(|name| flows?.get(*name)))
        };
        let client = flow(&["clientCredentials", "application"]);
        let refreshed = flow(&["authorizationCode", "accessCode"]);
        let found = client.or(refreshed);
        let url = found
            .and_then(|flow| flow.get("tokenUrl"))
            .map(scalar)
            .unwrap_or_default();
        if url.is_empty() {
            return self.bearer(about);
        }
        let address = self.token_address(api, &url);
        self.plain(
            "client_id",
            &or(
                about,
                "The id of the client that is allowed to call the API.",
            ),
            "client-1",
        );
        self.secret("client_secret", "The secret of the client.");
        let mut form = vec![
            (
                "grant_type",
                Yaml::text(if client.is_some() {
                    "client_credentials"
                } else {
                    "refresh_token"
                }),
            ),
            ("client_id", Yaml::text("{{ connection.client_id }}")),
            (
                "client_secret",
                Yaml::text("{{ connection.client_secret }}"),
            ),
        ];
        if client.is_none() {
            self.secret(
                "refresh_token",
                "The token that the vendor gave when the application was allowed.",
            );
            form.push((
                "refresh_token",
                Yaml::text("{{ connection.refresh_token }}"),
            ));
            self.auth_notes.push(
                "If each refresh token is good for one use, keep `refresh_token: $.refresh_token` too and set \
                 `rotates: refresh_token`."
                    .to_owned(),
            );
        } else if !scopes.is_empty() {
            form.push((
                "scope",
                Yaml::text(&super::expression::literal(&scopes.join(" "))),
            ));
        }
        self.token = Some(Yaml::map([
            ("post", Yaml::text(&address)),
            ("form", Yaml::map(form)),
            ("keep", Yaml::map([("token", Yaml::text("$.access_token"))])),
        ]));
        self.auth_headers.push((
            "authorization".to_owned(),
            "Bearer {{ auth.token }}".to_owned(),
        ));
    }

    fn token_address(&mut self, _api: &Api, url: &str) -> String {
        let url = url.trim();
        let secure = match url.strip_prefix("http://") {
            Some(rest) => format!("https://{rest}"),
            None => url.to_owned(),
        };
        let (template, sample) = self.substituted(&secure, None);
        match is_address(&sample) || sample.starts_with('/') {
            true => template,
            false => {
                self.auth_notes.push(
                    "The document names no address for tokens that could be called.".to_owned(),
                );
                "/oauth/token".to_owned()
            }
        }
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

fn or(text: &str, otherwise: &str) -> String {
    match text.is_empty() {
        true => otherwise.to_owned(),
        false => text.to_owned(),
    }
}

/// How much work a kind of credentials is.
fn effort(scheme: &Value) -> u8 {
    let text = |key: &str| {
        scheme
            .get(key)
            .map(scalar)
            .unwrap_or_default()
            .to_lowercase()
    };
    match (
        text("type").as_str(),
        text("in").as_str(),
        text("scheme").as_str(),
    ) {
        ("http", _, "bearer") | ("apikey", "header", _) => 0,
        ("basic", ..) | ("http", _, "basic") => 1,
        ("apikey", ..) => 2,
        ("oauth2", ..) => 3,
        ("openidconnect", ..) => 4,
        _ => 5,
    }
}

fn is_credential(header: &str) -> bool {
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
fn is_address(text: &str) -> bool {
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
