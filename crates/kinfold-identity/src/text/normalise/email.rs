//! Addresses of electronic mail.

use unicode_normalization::UnicodeNormalization;

/// Which ways of writing one mailbox are one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EmailOptions {
    /// At Gmail, dots before the `@` and all from a plus on mean nothing, and `googlemail.com` is
    /// `gmail.com`.
    pub gmail: bool,
    /// At every domain all from a plus on means nothing. Many providers do so; some have plain
    /// addresses with a plus.
    pub plus: bool,
}

/// The address in lower case (Unicode, composed), without the white space around it. `None` without
/// exactly one `@`, without something on each side of it, with white space or control characters
/// inside, or with a domain whose dots have nothing between them.
///
/// Mail servers may tell upper from lower case before the `@`; none in use does.
#[must_use]
pub fn email(text: &str, options: EmailOptions) -> Option<String> {
    let lower: String = text.trim().nfc().collect::<String>().to_lowercase();
    let lower: String = lower.nfc().collect();
    let (user, domain) = lower.split_once('@')?;
    let sound = !user.is_empty()
        && !domain.contains('@')
        && domain.split('.').all(|label| !label.is_empty())
        && !lower.chars().any(|c| c.is_whitespace() || c.is_control());
    if !sound {
        return None;
    }
    let gmail = options.gmail && matches!(domain, "gmail.com" | "googlemail.com");
    let before_plus = user.split('+').next().unwrap_or_default();
    if gmail {
        let user = before_plus.replace('.', "");
        (!user.is_empty()).then(|| format!("{user}@gmail.com"))
    } else if options.plus && !before_plus.is_empty() {
        Some(format!("{before_plus}@{domain}"))
    } else {
        Some(lower)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PLAIN: EmailOptions = EmailOptions {
        gmail: false,
        plus: false,
    };
    const GMAIL: EmailOptions = EmailOptions {
        gmail: true,
        plus: false,
    };
    const BOTH: EmailOptions = EmailOptions {
        gmail: true,
        plus: true,
    };

    #[test]
    fn forms_of_one_address() {
        for (text, plain, gmail, both) in [
            (
                " A.B+x@Gmail.com ",
                "a.b+x@gmail.com",
                "ab@gmail.com",
                "ab@gmail.com",
            ),
            (
                "a.b@GoogleMail.com",
                "a.b@googlemail.com",
                "ab@gmail.com",
                "ab@gmail.com",
            ),
            (
                "a.b+x@example.com",
                "a.b+x@example.com",
                "a.b+x@example.com",
                "a.b@example.com",
            ),
            (
                "+x@example.com",
                "+x@example.com",
                "+x@example.com",
                "+x@example.com",
            ),
            (
                "Jörg@Müller.DE",
                "jörg@müller.de",
                "jörg@müller.de",
                "jörg@müller.de",
            ),
            ("JO\u{308}RG@x.de", "jörg@x.de", "jörg@x.de", "jörg@x.de"),
            (
                "root@localhost",
                "root@localhost",
                "root@localhost",
                "root@localhost",
            ),
        ] {
            assert_eq!(email(text, PLAIN).as_deref(), Some(plain));
            assert_eq!(email(text, GMAIL).as_deref(), Some(gmail));
            assert_eq!(email(text, BOTH).as_deref(), Some(both));
        }
    }

    #[test]
    fn what_is_no_address() {
        for text in [
            "",
            "@",
            "a@",
            "@b.org",
            "a@b@c.org",
            "ab",
            "a b@x.org",
            "a@b..org",
            "a@.org",
            "a@org.",
            "a\u{0}@b.org",
            "Ann <ann@x.org>",
        ] {
            assert_eq!(email(text, PLAIN), None, "{text}");
        }
        assert_eq!(email("...@gmail.com", GMAIL), None);
        assert_eq!(email("+x@gmail.com", GMAIL), None);
    }

    proptest! {
        #[test]
        fn the_form_is_its_own_form(text in "[ A-Za-zÄßİΣ.+]{0,8}@[a-zA-Z.Ö]{0,6}|gma|\\PC{0,9}@gmail.com", gmail: bool, plus: bool) {
            let options = EmailOptions { gmail, plus };
            if let Some(form) = email(&text, options) {
                let again = email(&form, options);
                prop_assert_eq!(again, Some(form));
            }
        }
    }
}
