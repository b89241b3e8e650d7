//! Who may call an API: keys, users, tokens.

use serde_json::Value;

use super::api::{Api, Operation, scalar};
use super::connection::{Connection, is_address, is_credential, or};
use super::prose::line;
use super::words::snake;
use super::yaml::Yaml;

impl Connection {
    pub(super) fn security(&mut self, api: &Api, operations: &[&Operation]) {
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
            self.scheme(&name, scheme, &scopes);
        }
    }

    fn scheme(&mut self, name: &str, scheme: &Value, scopes: &[String]) {
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
            ("oauth2", _) => self.oauth(scheme, scopes, &about),
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

    fn oauth(&mut self, scheme: &Value, scopes: &[String], about: &str) {
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
        let address = self.token_address(&url);
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

    fn token_address(&mut self, url: &str) -> String {
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
