use proptest::prelude::*;

use super::*;

#[test]
fn numbers_of_many_forms() {
    for (text, country, expected) in [
        ("+1 (650) 555-1212", None, "+16505551212"),
        ("(800)555-0100", Some("US"), "+18005550100"),
        ("1-800-555-0100", Some("us"), "+18005550100"),
        ("650 555 1212 x33", Some("US"), "+16505551212"),
        ("650.555.1212 ext. 33", Some(" US "), "+16505551212"),
        ("tel:+1-650-555-1212;ext=33", None, "+16505551212"),
        ("011 44 20 7031 3000", Some("US"), "+442070313000"),
        ("+44 (0)20 7031 3000", None, "+442070313000"),
        ("+44 020 7031 3000", None, "+442070313000"),
        ("020 7031 3000", Some("GB"), "+442070313000"),
        ("0044 20 7031 3000", Some("US"), "+442070313000"),
        ("0044 (0)20 7031 3000", None, "+442070313000"),
        ("0176-54648789", Some("DE"), "+4917654648789"),
        ("4917654648789", Some("DE"), "+4917654648789"),
        ("17654648789", Some("DE"), "+4917654648789"),
        ("030/123456", Some("DE"), "+4930123456"),
        ("044 668 18 00", Some("CH"), "+41446681800"),
        ("02 1234 5678", Some("IT"), "+390212345678"),
        ("+39 02 1234 5678", None, "+390212345678"),
        ("612 345 678", Some("ES"), "+34612345678"),
        ("34612345678", Some("ES"), "+34612345678"),
        ("06 20 123 4567", Some("HU"), "+36201234567"),
        ("8 (912) 345-67-89", Some("RU"), "+79123456789"),
        ("+7 912 345-67-89", None, "+79123456789"),
        ("0011 1 650 555 1212", Some("AU"), "+16505551212"),
        ("010 1 650 555 1212", Some("JP"), "+16505551212"),
        ("090-1234-5678", Some("JP"), "+819012345678"),
        ("＋４１ ４４ ６６８ １８ ００", None, "+41446681800"),
        ("+٢٠ ١٠ ١٢٣٤ ٥٦٧٨", None, "+201012345678"),
        ("\u{202a}+41 44 668 18 00\u{202c}", None, "+41446681800"),
        ("+52 1 55 1234 5678", None, "+525512345678"),
        ("55 1234 5678", Some("MX"), "+525512345678"),
        // A code whose plan is not in the table.
        ("+225 07 01 02 03 04", None, "+2250701020304"),
    ] {
        assert_eq!(phone(text, country).as_deref(), Some(expected), "{text}");
    }
}

#[test]
fn what_can_be_no_number() {
    for (text, country) in [
        ("", Some("US")),
        ("+", None),
        ("call me", Some("US")),
        ("1-800-FLOWERS", Some("US")),
        ("650 555 1212 or 650 555 1213", Some("US")),
        ("650 555 1212 x", Some("US")),
        ("030 123456, 030 234567", Some("DE")),
        ("12345", Some("US")),
        ("650 155 1212", Some("US")),
        ("150 555 1212", Some("US")),
        ("0176-54648789", None),
        ("0176-54648789", Some("XX")),
        ("17654648789", None),
        ("+999 1234 5678", None),
        ("+210 1234 5678", None),
        ("+44 20 7031", None),
        ("+33 1 23 45 67 89 0", None),
        ("+0 123 456 789", None),
        ("++41446681800", None),
        ("41+446681800", Some("CH")),
        ("+225 123456789012345", None),
        ("2026-11-22 10:30", Some("DE")),
    ] {
        assert_eq!(phone(text, country), None, "{text}");
    }
}

proptest! {
    #[test]
    fn the_form_is_its_own_form(
        text in "[+0]{0,2}[0-9 ()/.-]{6,18}( x[0-9]{1,3})?",
        which in any::<prop::sample::Index>(),
        other in any::<prop::sample::Index>(),
    ) {
        let of = |index: prop::sample::Index| Some(COUNTRIES[index.index(COUNTRIES.len())].name);
        if let Some(form) = phone(&text, of(which)) {
            prop_assert!(form.len() <= 16 && form.starts_with('+'));
            prop_assert!(form.bytes().skip(1).all(|byte| byte.is_ascii_digit()));
            prop_assert_eq!(phone(&form, None), Some(form.clone()));
            prop_assert_eq!(phone(&form, of(other)), Some(form));
        }
    }

    #[test]
    fn any_text_gives_an_answer(text in "\\PC{0,30}") {
        if let Some(form) = phone(&text, Some("DE")) {
            prop_assert!((8..=16).contains(&form.len()));
        }
    }

    #[test]
    fn national_and_international_agree(digits in "[2-9][0-9]{5,12}", which in any::<prop::sample::Index>()) {
        let country = COUNTRIES[which.index(COUNTRIES.len())];
        let international = phone(&format!("+{}{digits}", country.code), None);
        // Within the country, with what is dialled first there.
        let national = phone(&format!("{}{digits}", country.trunk), Some(country.name));
        if !country.trunk.is_empty() && (country.lengths.0..=country.lengths.1).contains(&digits.len()) {
            prop_assert_eq!(national, international);
        }
    }
}
