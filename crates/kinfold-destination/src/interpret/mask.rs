//! Finding credentials in what a destination says.
//!
//! A destination may quote a credential as it came, as it stood in an address or in JSON, or encoded once more; it may
//! cut it, and its words may be cut here. So the forms of a credential are looked for, and a telling beginning of one
//! counts as the whole.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use url::form_urlencoded::byte_serialize;

use crate::expression::{hex, url_part};

/// Shorter credentials are not looked for: they would be found in words.
pub(super) const SHORTEST: usize = 4;
/// So many first bytes of a form count as the whole form.
const TELLING: usize = 12;
/// More of a message is not looked at, since nobody is shown so much. A bound on the work, too.
const MAX_BYTES: usize = 4_000;
const MASK: &str = "…";
/// Lines of a key in PEM, but for those that say what it is.
const SHORTEST_LINE: usize = 16;

/// A credential in every form in which it is looked for. It cannot be printed.
#[derive(Clone)]
pub(super) struct Forms(Vec<String>);

impl Forms {
    /// The forms of a credential; none if it is too short.
    pub(super) fn of(secret: &str) -> Self {
        let mut forms = Vec::new();
        let lines = secret.lines().map(str::trim).filter(|line| {
            secret.contains('\n') && line.len() >= SHORTEST_LINE && !line.starts_with("-----")
        });
        for part in std::iter::once(secret).chain(lines) {
            let json = serde_json::Value::from(part).to_string();
            let all = [
                part.to_owned(),
                json.trim_matches('"').to_owned(),
                url_part(part),
                byte_serialize(part.as_bytes()).collect(),
                STANDARD.encode(part),
                URL_SAFE_NO_PAD.encode(part),
                hex(part.as_bytes()),
            ];
            for form in all {
                if part.len() >= SHORTEST && !forms.contains(&form) {
                    forms.push(form);
                }
            }
        }
        Self(forms)
    }

    /// Whether a text has a form in it, from its beginning to its end.
    pub(super) fn are_in(&self, text: &str) -> bool {
        self.0.iter().any(|form| text.contains(form.as_str()))
    }
}

/// The text without these credentials. Letter case does not matter, since it does not in some of the forms.
pub(super) fn mask<'a>(text: &str, secrets: impl IntoIterator<Item = &'a Forms>) -> String {
    // By the first letter, so that little is compared.
    let mut forms: Vec<Vec<&str>> = vec![Vec::new(); 256];
    for form in secrets.into_iter().flat_map(|secret| &secret.0) {
        let bucket = form
            .bytes()
            .next()
            .and_then(|first| forms.get_mut(lower(first)));
        bucket.into_iter().for_each(|bucket| bucket.push(form));
    }
    let text = text
        .get(..text.floor_char_boundary(MAX_BYTES))
        .unwrap_or(text);
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let bucket = rest
            .bytes()
            .next()
            .and_then(|first| forms.get(lower(first)));
        let forms = bucket.into_iter().flatten();
        // The longest: one may be the beginning of another.
        let found = forms.map(|form| matched(rest, form)).max();
        match found.filter(|length| *length > 0) {
            Some(length) => {
                masked.push_str(MASK);
                rest = rest.get(length..).unwrap_or("");
            }
            None => {
                masked.push(first);
                rest = rest.get(first.len_utf8()..).unwrap_or("");
            }
        }
    }
    masked
}

fn lower(byte: u8) -> usize {
    usize::from(byte.to_ascii_lowercase())
}

/// How many bytes at the beginning of the text are the form, or enough of it; else 0.
fn matched(text: &str, form: &str) -> usize {
    let pairs = text.bytes().zip(form.bytes());
    let same = pairs.take_while(|(a, b)| a.eq_ignore_ascii_case(b)).count();
    let at_the_end = same == text.len() && same >= SHORTEST;
    if same >= form.len().min(TELLING) || at_the_end {
        text.ceil_char_boundary(same)
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(text: &str, secrets: &[&str]) -> String {
        let forms: Vec<Forms> = secrets.iter().map(|secret| Forms::of(secret)).collect();
        mask(text, &forms)
    }

    #[test]
    fn every_form_of_a_credential_is_found() {
        let secret = "a/b \"c\"\\é";
        let json = serde_json::to_string(secret).unwrap_or_default();
        for form in [
            secret.to_owned(),
            json.trim_matches('"').to_owned(),
            url_part(secret),
            url_part(secret).to_lowercase(),
            byte_serialize(secret.as_bytes()).collect(),
            STANDARD.encode(secret),
            STANDARD.encode(secret).trim_end_matches('=').to_owned(),
            URL_SAFE_NO_PAD.encode(secret),
            hex(secret.as_bytes()),
            hex(secret.as_bytes()).to_uppercase(),
        ] {
            let found = masked(&format!("key <{form}> is wrong"), &[secret]);
            let found = found.trim_end_matches('=').replace("…=", "…");
            assert_eq!(found, "key <…> is wrong", "{form}");
        }
    }

    #[test]
    fn a_credential_that_was_cut_is_found() {
        let secret = "sk_live_0123456789";
        assert_eq!(masked("no sk_live_0123…", &[secret]), "no ……");
        assert_eq!(masked("no sk_live", &[secret]), "no …");
        assert_eq!(
            masked("no sk_live for you", &[secret]),
            "no sk_live for you"
        );
        let long = "x".repeat(3_990) + secret;
        let found = masked(&long, &[secret]);
        assert!(found.ends_with("x…"), "{found}");
    }

    #[test]
    fn one_inside_another_leaves_nothing_behind() {
        assert_eq!(
            masked("Basic user:password!", &["pass", "user:password"]),
            "Basic …!"
        );
        assert_eq!(masked("a b c", &["a", "b"]), "a b c");
    }

    #[test]
    fn lines_of_a_key_are_found_one_by_one() {
        let key =
            "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG\n9w0BAQEFAASCBKcwggSj\n-----END KEY-----\n";
        assert_eq!(
            masked("MIIEvQIBADANBgkqhkiG 9w0BAQEFAASCBKcwggSj", &[key]),
            "… …"
        );
        assert!(Forms::of(key).are_in("x9w0BAQEFAASCBKcwggSjx"));
        assert!(!Forms::of(key).are_in("9w0BAQEFAASCBK"));
    }
}
