//! The numbering plans of countries: facts from the national plans that the ITU publishes (E.164 and its
//! list of assigned codes). Lengths are those of numbers that people have, with room where a plan is
//! open.

/// How a country's numbers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Country {
    /// ISO 3166-1 alpha-2.
    pub(super) name: &'static str,
    /// The calling code.
    pub(super) code: &'static str,
    /// What is dialled before a national number within the country and is no part of it; may be empty.
    pub(super) trunk: &'static str,
    /// Fewest and most digits of a national number without the trunk prefix.
    pub(super) lengths: (usize, usize),
}

const fn country(
    name: &'static str,
    code: &'static str,
    trunk: &'static str,
    shortest: usize,
    longest: usize,
) -> Country {
    Country {
        name,
        code,
        trunk,
        lengths: (shortest, longest),
    }
}

/// In the order of their names.
pub(super) const COUNTRIES: &[Country] = &[
    country("AE", "971", "0", 8, 9),
    country("AL", "355", "0", 8, 9),
    country("AM", "374", "0", 8, 8),
    country("AR", "54", "0", 10, 11),
    country("AT", "43", "0", 7, 13),
    country("AU", "61", "0", 9, 10),
    country("AZ", "994", "0", 9, 9),
    country("BA", "387", "0", 8, 9),
    country("BD", "880", "0", 8, 10),
    country("BE", "32", "0", 8, 9),
    country("BG", "359", "0", 7, 9),
    country("BH", "973", "", 8, 8),
    country("BR", "55", "0", 10, 11),
    country("BY", "375", "80", 9, 9),
    country("CA", "1", "1", 10, 10),
    country("CH", "41", "0", 9, 9),
    country("CL", "56", "", 9, 9),
    country("CN", "86", "0", 10, 11),
    country("CO", "57", "", 8, 10),
    country("CR", "506", "", 8, 8),
    country("CY", "357", "", 8, 8),
    country("CZ", "420", "", 9, 9),
    country("DE", "49", "0", 6, 12),
    country("DK", "45", "", 8, 8),
    country("DO", "1", "1", 10, 10),
    country("DZ", "213", "0", 8, 9),
    country("EC", "593", "0", 8, 9),
    country("EE", "372", "", 7, 8),
    country("EG", "20", "0", 8, 10),
    country("ES", "34", "", 9, 9),
    country("FI", "358", "0", 6, 11),
    country("FR", "33", "0", 9, 9),
    country("GB", "44", "0", 9, 10),
    country("GE", "995", "0", 9, 9),
    country("GG", "44", "0", 10, 10),
    country("GH", "233", "0", 9, 9),
    country("GR", "30", "", 10, 10),
    country("GT", "502", "", 8, 8),
    country("HK", "852", "", 8, 8),
    country("HR", "385", "0", 8, 9),
    country("HU", "36", "06", 8, 9),
    country("ID", "62", "0", 8, 12),
    country("IE", "353", "0", 7, 9),
    country("IL", "972", "0", 8, 9),
    country("IM", "44", "0", 10, 10),
    country("IN", "91", "0", 10, 10),
    country("IR", "98", "0", 10, 10),
    country("IS", "354", "", 7, 9),
    country("IT", "39", "", 6, 11),
    country("JE", "44", "0", 10, 10),
    country("JM", "1", "1", 10, 10),
    country("JO", "962", "0", 8, 9),
    country("JP", "81", "0", 9, 10),
    country("KE", "254", "0", 8, 9),
    country("KH", "855", "0", 8, 9),
    country("KR", "82", "0", 8, 10),
    country("KW", "965", "", 8, 8),
    country("KZ", "7", "8", 10, 10),
    country("LB", "961", "0", 7, 8),
    country("LI", "423", "", 7, 9),
    country("LK", "94", "0", 9, 9),
    country("LT", "370", "0", 8, 8),
    country("LU", "352", "", 5, 11),
    country("LV", "371", "", 8, 8),
    country("MA", "212", "0", 9, 9),
    country("MD", "373", "0", 8, 8),
    country("ME", "382", "0", 8, 8),
    country("MK", "389", "0", 8, 8),
    country("MO", "853", "", 8, 8),
    country("MT", "356", "", 8, 8),
    country("MX", "52", "", 10, 10),
    country("MY", "60", "0", 8, 10),
    country("NG", "234", "0", 8, 10),
    country("NL", "31", "0", 9, 9),
    country("NO", "47", "", 8, 8),
    country("NP", "977", "0", 8, 10),
    country("NZ", "64", "0", 8, 10),
    country("OM", "968", "", 8, 8),
    country("PA", "507", "", 7, 8),
    country("PE", "51", "0", 8, 9),
    country("PH", "63", "0", 8, 10),
    country("PK", "92", "0", 9, 10),
    country("PL", "48", "", 9, 9),
    country("PR", "1", "1", 10, 10),
    country("PT", "351", "", 9, 9),
    country("QA", "974", "", 8, 8),
    country("RO", "40", "0", 9, 9),
    country("RS", "381", "0", 7, 10),
    country("RU", "7", "8", 10, 10),
    country("SA", "966", "0", 8, 9),
    country("SE", "46", "0", 7, 9),
    country("SG", "65", "", 8, 8),
    country("SI", "386", "0", 8, 8),
    country("SK", "421", "0", 9, 9),
    country("TH", "66", "0", 8, 9),
    country("TN", "216", "", 8, 8),
    country("TR", "90", "0", 10, 10),
    country("TW", "886", "0", 8, 9),
    country("UA", "380", "0", 9, 9),
    country("US", "1", "1", 10, 10),
    country("UY", "598", "0", 8, 8),
    country("UZ", "998", "", 9, 9),
    country("VE", "58", "0", 10, 10),
    country("VN", "84", "0", 9, 10),
    country("ZA", "27", "0", 9, 9),
];

/// The other codes that are assigned, those of services that are reached from everywhere included. No
/// code begins with another one.
pub(super) const OTHER_CODES: &[&str] = &[
    "211", "218", "220", "221", "222", "223", "224", "225", "226", "227", "228", "229", "230",
    "231", "232", "235", "236", "237", "238", "239", "240", "241", "242", "243", "244", "245",
    "246", "247", "248", "249", "250", "251", "252", "253", "255", "256", "257", "258", "260",
    "261", "262", "263", "264", "265", "266", "267", "268", "269", "290", "291", "297", "298",
    "299", "350", "376", "377", "378", "383", "500", "501", "503", "504", "505", "508", "509",
    "53", "590", "591", "592", "594", "595", "596", "597", "599", "670", "672", "673", "674",
    "675", "676", "677", "678", "679", "680", "681", "682", "683", "685", "686", "687", "688",
    "689", "690", "691", "692", "800", "808", "850", "856", "870", "878", "881", "882", "883",
    "888", "93", "95", "960", "963", "964", "967", "970", "975", "976", "992", "993", "996",
];

/// The country with that name, in any case.
pub(super) fn of_name(name: &str) -> Option<&'static Country> {
    COUNTRIES
        .iter()
        .find(|country| country.name.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_in_order_and_without_ambiguity() {
        assert!(COUNTRIES.is_sorted_by(|left, right| left.name < right.name));
        assert!(OTHER_CODES.is_sorted_by(|left, right| left < right));
        let mut codes: Vec<&str> = COUNTRIES.iter().map(|country| country.code).collect();
        codes.extend(OTHER_CODES);
        codes.sort_unstable();
        codes.dedup();
        for code in &codes {
            let longer = codes.iter().filter(|other| other.starts_with(code));
            assert_eq!(longer.count(), 1, "{code}");
        }
        for country in COUNTRIES {
            let (shortest, longest) = country.lengths;
            assert!(
                shortest <= longest && country.code.len() + longest <= 15,
                "{}",
                country.name
            );
        }
    }
}
