//! Words in names: `createOrUpdateContacts` is `create or update contacts`.

/// The words of a name, in lower case: it is cut at signs and where a capital letter begins a word.
pub(super) fn words(name: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut word = String::new();
    let mut before: Option<char> = None;
    let mut chars = name.chars().peekable();
    while let Some(c) = chars.next() {
        if !c.is_alphanumeric() {
            found.push(std::mem::take(&mut word));
            before = None;
            continue;
        }
        let after_small = before.is_some_and(|before| before.is_lowercase() || before.is_numeric());
        let before_small = chars.peek().is_some_and(|next| next.is_lowercase());
        let after_capital = before.is_some_and(char::is_uppercase);
        if c.is_uppercase() && (after_small || (after_capital && before_small)) {
            found.push(std::mem::take(&mut word));
        }
        word.extend(c.to_lowercase());
        before = Some(c);
    }
    found.push(word);
    found.retain(|word| !word.is_empty());
    found
}

/// A name as manifests have them: lower-case ASCII letters, digits and `_`, beginning with a letter.
pub(super) fn snake(name: &str, otherwise: &str) -> String {
    let ascii: Vec<String> = words(name)
        .iter()
        .map(|word| word.chars().filter(char::is_ascii_alphanumeric).collect())
        .filter(|word: &String| !word.is_empty())
        .collect();
    let joined = ascii.join("_");
    let cut: String = joined.chars().take(48).collect();
    let cut = cut.trim_matches('_');
    if cut.starts_with(|c: char| c.is_ascii_lowercase()) {
        cut.to_owned()
    } else if cut.is_empty() {
        otherwise.to_owned()
    } else {
        format!("{otherwise}_{cut}")
    }
}

/// Whether one of these words is among those of a name.
pub(super) fn has(words: &[String], known: &[&str]) -> bool {
    words.iter().any(|word| known.contains(&word.as_str()))
}

/// The first of these words that is among those of a name.
pub(super) fn first_of<'a>(words: &[String], known: &[&'a str]) -> Option<&'a str> {
    let mut found = words
        .iter()
        .filter_map(|word| known.iter().find(|known| *known == word));
    found.next().copied()
}

/// People and what else rows are usually about.
pub(super) const ROWS: &[&str] = &[
    "contact",
    "contacts",
    "user",
    "users",
    "profile",
    "profiles",
    "customer",
    "customers",
    "person",
    "persons",
    "people",
    "lead",
    "leads",
    "member",
    "members",
    "subscriber",
    "subscribers",
    "company",
    "companies",
    "account",
    "accounts",
    "organization",
    "organizations",
    "record",
    "records",
    "recipient",
    "recipients",
    "entity",
    "entities",
    "audience",
    "sobjects",
    "objects",
    "items",
    "rows",
    "inputs",
];

/// What happens once.
pub(super) const EVENTS: &[&str] = &[
    "event",
    "events",
    "track",
    "conversion",
    "conversions",
    "message",
    "messages",
    "activity",
    "activities",
    "log",
    "purchases",
    "capture",
    "page",
    "screen",
];

/// Several rows at a time.
pub(super) const BATCHES: &[&str] = &[
    "batch",
    "bulk",
    "import",
    "imports",
    "many",
    "multiple",
    "mass",
    "collection",
    "ingest",
];

/// Lists of people inside a destination.
pub(super) const LISTS: &[&str] = &[
    "list",
    "lists",
    "segment",
    "segments",
    "audience",
    "audiences",
    "cohort",
    "cohorts",
    "group",
    "groups",
    "tag",
    "tags",
    "memberships",
];

/// Parts of a path that say what is done, not to what.
pub(super) const ACTIONS: &[&str] = &[
    "batch",
    "bulk",
    "import",
    "imports",
    "many",
    "upsert",
    "sync",
    "update",
    "create",
    "add",
    "insert",
    "delete",
    "remove",
    "archive",
    "set",
    "save",
    "put",
    "edit",
    "new",
    "subscribe",
    "unsubscribe",
    "identify",
    "ingest",
    "job",
    "jobs",
    "api",
    "rest",
    "json",
    "or",
    "and",
];

/// Fields by which a row can be found, the best first.
pub(super) const IDENTITIES: &[&str] = &[
    "email",
    "email_address",
    "external_id",
    "user_id",
    "customer_id",
    "contact_id",
    "distinct_id",
    "profile_id",
    "member_id",
    "subscriber_id",
    "person_id",
    "key",
    "uid",
    "uuid",
    "identifier",
    "username",
    "phone",
    "phone_number",
    "id",
    "reference",
    "handle",
];

/// How good a field is as a key; smaller is better. `None` if it does not look like one.
pub(super) fn identity(name: &str) -> Option<usize> {
    let name = words(name).join("_");
    let exact = IDENTITIES.iter().position(|known| *known == name);
    exact.or_else(|| {
        let ends = name.ends_with("_id") || name.ends_with("_key") || name.ends_with("_email");
        ends.then_some(IDENTITIES.len())
    })
}

/// The plural of a field by which rows can be found: `emails`, `contact_ids`.
pub(super) fn identities(name: &str) -> Option<String> {
    let name = words(name).join("_");
    let single = name
        .strip_suffix("es")
        .filter(|_| name.ends_with("addresses"));
    let single = single.or_else(|| name.strip_suffix('s'))?;
    identity(single).map(|_| single.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fall_into_words() {
        for (name, expected) in [
            ("createOrUpdateContacts", "create or update contacts"),
            ("/v3/contacts/{contactID}", "v3 contacts contact id"),
            ("HTTPServer2Go", "http server2 go"),
            ("ÄrgerImGarten", "ärger im garten"),
            ("--", ""),
        ] {
            assert_eq!(words(name).join(" "), expected, "{name}");
        }
        assert_eq!(snake("Contact-Id", "x"), "contact_id");
        assert_eq!(snake("2fa", "x"), "x_2fa");
        assert_eq!(snake("é", "x"), "x");
    }

    #[test]
    fn keys_are_known_by_their_names() {
        assert!(identity("emailAddress") < identity("external_id"));
        assert!(identity("firstName").is_none());
        assert_eq!(identities("emails").as_deref(), Some("email"));
        assert_eq!(identities("contactIds").as_deref(), Some("contact_id"));
        assert_eq!(identities("tags"), None);
    }
}
