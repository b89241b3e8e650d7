//! Identifiers of people: cleaned so that two systems write one value the same way, then hashed.
//!
//! Advertising platforms find people by hashes of what they know of them. A space too many and nobody is found,
//! and nobody says so. So every value is cleaned by itself, whatever the others of its row or batch look like; one
//! that is hashed already stays; and one of which nothing is left is dropped, because the hash of nothing would
//! match everybody who has nothing.

mod cleaners;
mod phone;

use serde_json::Value;

use crate::expression::Scope;
use crate::expression::{digest_hex, sha256_hex};
use crate::manifest::Identifier;

/// The words of `clean`, and what each does.
pub(crate) const CLEANERS: &[(&str, &str)] = &[
    ("trim", "no white space at its ends"),
    ("lower", "the same, in lower case"),
    (
        "email",
        "no white space, lower case; without exactly one `@` it is nothing",
    ),
    (
        "email_gmail",
        "the same, and without dots and `+…` before `@gmail.com` and `@googlemail.com`",
    ),
    (
        "email_plain",
        "the same as `email`, and without dots and `+…` before any `@`",
    ),
    (
        "phone_plus",
        "`+`, country code and number, digits only (E.164)",
    ),
    ("phone_digits", "the same without `+`"),
    (
        "name",
        "lower case, without ASCII punctuation and digits; letters of any alphabet and single spaces stay",
    ),
    ("letters", "lower case, nothing but letters: cities, states"),
    ("postcode", "lower case, without white space and dashes"),
    (
        "postcode_short",
        "the same, and of digits only the first five",
    ),
    ("country_lower", "a code of two letters, lower case"),
    ("country_upper", "a code of two letters, upper case"),
    ("date_digits", "a date as eight digits, year first"),
    ("gender", "`f` or `m`"),
];

/// The words of `hash`, and what each is.
pub(crate) const HASHES: &[(&str, &str)] = &[
    ("none", "as it is"),
    ("sha256", "SHA-256, lower hexadecimal"),
    ("sha1", "SHA-1, lower hexadecimal"),
    ("md5", "MD5, lower hexadecimal"),
];

/// How a value is cleaned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clean {
    /// White space at the ends.
    Trim,
    /// The same, lower case.
    Lower,
    /// An e-mail address.
    Email,
    /// The same; one mail service ignores dots and tags.
    EmailGmail,
    /// The same without dots and tags.
    EmailPlain,
    /// A telephone number with `+`.
    PhonePlus,
    /// A telephone number without `+`.
    PhoneDigits,
    /// A name of a person.
    Name,
    /// Letters only.
    Letters,
    /// A postal code.
    Postcode,
    /// A postal code without its extension.
    PostcodeShort,
    /// A country, lower case.
    CountryLower,
    /// A country, upper case.
    CountryUpper,
    /// A date.
    DateDigits,
    /// A gender.
    Gender,
}

/// How a value is hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// Not at all.
    None,
    /// SHA-256.
    Sha256,
    /// SHA-1.
    Sha1,
    /// MD5.
    Md5,
}

impl Clean {
    const ALL: [Self; 15] = [
        Self::Trim,
        Self::Lower,
        Self::Email,
        Self::EmailGmail,
        Self::EmailPlain,
        Self::PhonePlus,
        Self::PhoneDigits,
        Self::Name,
        Self::Letters,
        Self::Postcode,
        Self::PostcodeShort,
        Self::CountryLower,
        Self::CountryUpper,
        Self::DateDigits,
        Self::Gender,
    ];

    /// The cleaner of a word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        let at = CLEANERS.iter().position(|(known, _)| *known == word)?;
        Self::ALL.get(at).copied()
    }

    /// The word in a manifest.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        CLEANERS.get(self as usize).map_or("", |(word, _)| word)
    }

    /// Whether a country helps.
    #[must_use]
    pub fn is_phone(self) -> bool {
        matches!(self, Self::PhonePlus | Self::PhoneDigits)
    }

    /// The clean value; `None` if nothing is left. `country` is the two letters of the country that a telephone
    /// number without country code is of.
    #[must_use]
    pub fn apply(self, text: &str, country: Option<&str>) -> Option<String> {
        let clean = match self {
            Self::Trim => text.trim().to_owned(),
            Self::Lower => text.trim().to_lowercase(),
            Self::Email => cleaners::email(text)?,
            Self::EmailGmail => cleaners::email_gmail(text)?,
            Self::EmailPlain => cleaners::email_plain(text)?,
            Self::PhonePlus => format!("+{}", phone::digits(text, country)?),
            Self::PhoneDigits => phone::digits(text, country)?,
            Self::Name => cleaners::name(text),
            Self::Letters => cleaners::letters(text),
            Self::Postcode => cleaners::postcode(text),
            Self::PostcodeShort => cleaners::postcode_short(text),
            Self::CountryLower => cleaners::country(text)?,
            Self::CountryUpper => cleaners::country(text)?.to_uppercase(),
            Self::DateDigits => cleaners::date_digits(text)?,
            Self::Gender => cleaners::gender(text)?,
        };
        (!clean.is_empty()).then_some(clean)
    }
}

impl Hash {
    const ALL: [Self; 4] = [Self::None, Self::Sha256, Self::Sha1, Self::Md5];

    /// The hash of a word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        let at = HASHES.iter().position(|(known, _)| *known == word)?;
        Self::ALL.get(at).copied()
    }

    /// The word in a manifest.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        HASHES.get(self as usize).map_or("", |(word, _)| word)
    }

    /// The hash of a text.
    #[must_use]
    pub fn apply(self, text: &str) -> String {
        match self {
            Self::None => text.to_owned(),
            Self::Sha256 => sha256_hex(text.as_bytes()),
            Self::Sha1 => digest_hex("sha1", text),
            Self::Md5 => digest_hex("md5", text),
        }
    }

    /// Whether a text looks like such a hash: so many hexadecimal digits and nothing else. No name, address or
    /// number does.
    #[must_use]
    pub fn is_one(self, text: &str) -> bool {
        let digits = match self {
            Self::None => return false,
            Self::Sha256 => 64,
            Self::Sha1 => 40,
            Self::Md5 => 32,
        };
        text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit())
    }
}

impl Identifier {
    /// The values that a row's field gives: one, a list, or null if nothing is left of any.
    #[must_use]
    pub fn values(&self, value: &Value, scope: &Scope<'_>) -> Value {
        let country = self.country.as_ref().and_then(|text| text.render(scope));
        let country = country.as_deref();
        match value {
            Value::Array(items) => {
                let mut kept: Vec<Value> = Vec::new();
                for item in items {
                    match self.one(item, country) {
                        Value::Null => {}
                        found if kept.contains(&found) => {}
                        found => kept.push(found),
                    }
                }
                match kept.is_empty() {
                    true => Value::Null,
                    false => Value::Array(kept),
                }
            }
            other => self.one(other, country),
        }
    }

    fn one(&self, value: &Value, country: Option<&str>) -> Value {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
                return Value::Null;
            }
        };
        let trimmed = text.trim();
        if self.hash.is_one(trimmed) {
            return Value::String(trimmed.to_ascii_lowercase());
        }
        self.clean
            .apply(&text, country)
            .map_or(Value::Null, |clean| Value::String(self.hash.apply(&clean)))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use serde_json::json;

    use super::*;

    #[test]
    fn words_and_cleaners_are_in_the_same_order() {
        for (clean, word) in [
            (Clean::Trim, "trim"),
            (Clean::Email, "email"),
            (Clean::EmailGmail, "email_gmail"),
            (Clean::PhonePlus, "phone_plus"),
            (Clean::PostcodeShort, "postcode_short"),
            (Clean::CountryUpper, "country_upper"),
            (Clean::Gender, "gender"),
        ] {
            assert_eq!(Clean::of_word(word), Some(clean));
            assert_eq!(clean.as_str(), word);
        }
        assert_eq!(CLEANERS.len(), Clean::ALL.len());
        assert_eq!(HASHES.len(), Hash::ALL.len());
        for (at, hash) in Hash::ALL.into_iter().enumerate() {
            assert_eq!(HASHES.get(at).map(|(word, _)| *word), Some(hash.as_str()));
        }
    }

    /// Value, cleaner and hash, as the platforms print them in their documentation of customer information.
    #[test]
    fn published_vectors() {
        for (text, clean, expected) in [
            (
                " John_Smith@gmail.com ",
                Clean::Email,
                "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f",
            ),
            (
                "1(650)555-1212",
                Clean::PhoneDigits,
                "e323ec626319ca94ee8bff2e4c87cf613be6ea19919ed1364124e16807ab3176",
            ),
            (
                "Mary",
                Clean::Name,
                "6915771be1c5aa0c886870b6951b03d7eafc121fea0e80a5ea83beb7c449f4ec",
            ),
            (
                "정",
                Clean::Name,
                "8fa8cd9c440be61d0151429310034083132b35975c4bea67fdd74158eb51db14",
            ),
            (
                "Valéry",
                Clean::Name,
                "08e1996b5dd49e62a4b4c010d44e4345592a863bb9f8e3976219bac29417149c",
            ),
            (
                "Smith",
                Clean::Name,
                "6627835f988e2c5e50533d491163072d3f4f41f5c8b04630150debb3722ca2dd",
            ),
            (
                "New York",
                Clean::Letters,
                "350c754ba4d38897693aa077ef43072a859d23f613443133fecbbd90a3512ca5",
            ),
            (
                "C.A.",
                Clean::Letters,
                "6959097001d10501ac7d54c0bdb8db61420f658f2922cc26e46d536119a31126",
            ),
            (
                "US",
                Clean::CountryLower,
                "79adb2a2fce5c6ba215fe5f27f532d4e7edbac4b6a5e09e1ef3a08084a904621",
            ),
            (
                "10001",
                Clean::Postcode,
                "e443169117a184f91186b401133b20be670c7c0896f9886075e5d9b81e9d076b",
            ),
            (
                "1997-02-16",
                Clean::DateDigits,
                "01acdbf6ec7b4f478a225f1a246e5d6767eeab1a7ffa17f025265b5b94f40f0c",
            ),
            (
                "Female",
                Clean::Gender,
                "252f10c83610ebca1a059c0bae8255eba2f95be4d1d7bcfa89d7248a82d9f111",
            ),
            (
                "Test@Example.com",
                Clean::EmailGmail,
                "973dfe463ec85785f5f95af5ba3906eedb2d931c24e69824a89ea65dba4e813b",
            ),
        ] {
            let clean = clean.apply(text, Some("US")).unwrap();
            assert_eq!(Hash::Sha256.apply(&clean), expected, "{text}");
        }
    }

    fn identifier(clean: Clean, hash: Hash) -> Identifier {
        Identifier {
            name: "x".to_owned(),
            field: "x".to_owned(),
            clean,
            hash,
            country: None,
        }
    }

    #[test]
    fn each_value_is_treated_by_itself() {
        let email = identifier(Clean::Email, Hash::Sha256);
        let hashed = "973DFE463EC85785F5F95AF5BA3906EEDB2D931C24E69824A89EA65DBA4E813B";
        let plain = "test@example.com";
        let lower = hashed.to_lowercase();
        let values = |value: Value| email.values(&value, &Scope::default());
        assert_eq!(values(json!(plain)), json!(lower));
        assert_eq!(values(json!(format!(" {hashed} "))), json!(lower));
        // The same person plain and hashed is one.
        assert_eq!(
            values(json!([plain, hashed, "b@example.com", "", " ", null]))
                .as_array()
                .map(Vec::len),
            Some(2)
        );
        for nothing in [
            json!(""),
            json!("  "),
            json!("no address"),
            json!(null),
            json!([]),
            json!([null, ""]),
            json!({}),
            json!(true),
        ] {
            assert_eq!(values(nothing.clone()), json!(null), "{nothing}");
        }
    }

    #[test]
    fn a_hash_of_another_kind_is_no_hash() {
        let email = identifier(Clean::Email, Hash::Sha256);
        let md5 = "55502f40dc8b7c769880b10874abc9d0";
        assert_eq!(email.values(&json!(md5), &Scope::default()), json!(null));
        let any = identifier(Clean::Lower, Hash::Md5);
        assert_eq!(any.values(&json!(md5), &Scope::default()), json!(md5));
    }
}
