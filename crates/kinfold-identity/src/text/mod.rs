//! Similarity, phonetic codes, nicknames and normal forms: what the matching of records asks of texts.
//!
//! All are pure: the result depends on the arguments only, not on a locale. What compares two texts
//! takes a [`Scratch`](similarity::Scratch), one for each thread, and allocates nothing; what gives a
//! text allocates that text. An argument that is null makes the result null, which is left to the
//! caller.
//!
//! # Functions
//!
//! | Name | Arguments | Result | Source |
//! |---|---|---|---|
//! | [`jaro`](similarity::jaro) | text, text | real, 0 to 1 | Jaro 1989 |
//! | [`jaro_winkler`](similarity::jaro_winkler) | text, text | real, 0 to 1 | Winkler 1990, boost above 0.7 only |
//! | [`levenshtein`](similarity::levenshtein) | text, text | count of edits | Levenshtein 1965; Myers 1999 |
//! | [`levenshtein_within`](similarity::levenshtein_within) | text, text, limit | the same, or none above the limit | the same |
//! | [`damerau`](similarity::damerau) | text, text | count of edits | Damerau 1964, unrestricted; Zhao and Sahni 2019 |
//! | [`damerau_within`](similarity::damerau_within) | text, text, limit | the same, or none above the limit | the same |
//! | [`jaccard`](similarity::jaccard) | text, text | real, 0 to 1 | Jaccard 1901, sets of characters |
//! | [`bigram_cosine`](similarity::bigram_cosine) | text, text | real, 0 to 1 | counts of character pairs |
//! | [`soundex`](phonetic::soundex) | text | a letter and three digits, or none | US National Archives |
//! | [`double_metaphone`](phonetic::double_metaphone) | text | one or two codes, or none | Philips 2000 |
//! | [`metaphones_agree`](phonetic::metaphones_agree) | text, text | whether a code is common | Philips 2000 |
//! | [`same`](nicknames::same) | given name, given name | whether one person may have both | own table, English |
//! | [`full_names`](nicknames::full_names) | given name | list of names, to block on | own table, English |
//! | [`email`](normalise::email) | text, Gmail's rules, plus | text or none | own rules |
//! | [`name`](normalise::name) | text, diacritics | text, maybe empty | Unicode NFKC, own rules |
//! | [`fold_diacritics`](normalise::fold_diacritics) | text | text | Unicode NFKD, own rules |
//! | [`phone`](normalise::phone) | text, country or none | `+` and digits, or none | ITU-T E.164, national plans |
//! | [`street`](normalise::street) | text | house number and street, or none | own rules |
//! | [`postcode`](normalise::postcode) | text | text or none | own rules |

pub mod nicknames;
pub mod normalise;
pub mod phonetic;
pub mod similarity;
