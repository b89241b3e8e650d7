//! A person: what is true about them, and how they write it.

use super::dice::{Dice, Purpose};
use super::words::{CATEGORIES, FIRST_NAMES, LAST_NAMES, MAIL_DOMAINS, PLACES};

/// How a person deals with the shop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Has an account.
    Member,
    /// Buys without an account.
    Guest,
    /// Looks around, and never says who they are.
    Visitor,
}

/// What is true about a person.
#[derive(Clone, Debug)]
pub(super) struct Person {
    pub(super) index: u64,
    pub(super) kind: Kind,
    pub(super) first_name: &'static str,
    pub(super) last_name: &'static str,
    pub(super) city: &'static str,
    pub(super) country: &'static str,
    /// In its plain form: lower case, no spaces.
    pub(super) email: String,
    /// Nine digits after `+44 7`.
    pub(super) phone: String,
    pub(super) user_id: String,
    /// Anonymous ids of the browsers, at least one.
    pub(super) devices: Vec<String>,
    pub(super) favourite: &'static str,
    /// How likely a mail is opened, per mille.
    pub(super) engagement: u64,
    /// Which of the shared households this is a part of: the first device of person `.0` is used too.
    pub(super) household: Option<u64>,
}

impl Person {
    pub(super) fn new(seed: u64, index: u64) -> Self {
        let mut dice = Dice::new(seed, Purpose::Person, index);
        let kind = match dice.below(100) {
            0..=61 => Kind::Member,
            62..=74 => Kind::Guest,
            _ => Kind::Visitor,
        };
        let first_name = dice.pick_early(&FIRST_NAMES);
        let last_name = dice.pick_early(&LAST_NAMES);
        let place = usize::try_from(dice.below(PLACES.len() as u64)).unwrap_or(0);
        let (city, country) = PLACES.get(place).copied().unwrap_or(("London", "GB"));
        let domain = dice.pick_early(&MAIL_DOMAINS);
        let devices = (0..=dice.weighted(&[60, 28, 12]))
            .map(|_| dice.uuid())
            .collect();
        // One pair of 24 lives together: the second uses the first's browser now and then.
        let household = (index % 48 == 1).then(|| index - 1);
        Self {
            index,
            kind,
            first_name,
            last_name,
            city,
            country,
            email: format!(
                "{}.{}.{index:x}@{domain}",
                plain(first_name),
                plain(last_name)
            ),
            // 3^18 and 10^9 have no common factor, so no two of a billion persons share a number.
            phone: format!("{:09}", index.wrapping_mul(387_420_489) % 1_000_000_000),
            user_id: format!("u{:07}", index + 1),
            devices,
            favourite: dice.pick_early(&CATEGORIES),
            engagement: [40, 150, 350, 700]
                .get(usize::try_from(dice.below(4)).unwrap_or(0))
                .copied()
                .unwrap_or(0),
            household,
        }
    }

    /// The name of this person in the truth.
    pub(super) fn truth(&self) -> String {
        format!("p{:07}", self.index + 1)
    }

    /// The address as it is typed: mostly plain, at times with capitals.
    pub(super) fn typed_email(&self, dice: &mut Dice) -> String {
        match dice.below(10) {
            0 => self.email.to_uppercase(),
            1 | 2 => self
                .email
                .split('.')
                .map(|part| {
                    let mut letters = part.chars();
                    letters
                        .next()
                        .map(|first| first.to_uppercase().chain(letters).collect())
                        .unwrap_or_default()
                })
                .collect::<Vec<String>>()
                .join("."),
            _ => self.email.clone(),
        }
    }

    /// The number as it is typed: with the country's code in two forms, or without.
    pub(super) fn typed_phone(&self, dice: &mut Dice) -> String {
        let (head, tail) = self.phone.split_at_checked(3).unwrap_or((&self.phone, ""));
        match dice.below(4) {
            0 => format!("+44 7{head} {tail}"),
            1 => format!("00447{head}{tail}"),
            2 => format!("07{head}-{tail}"),
            _ => format!("+447{head}{tail}"),
        }
    }
}

/// Lower-case Latin letters only.
fn plain(name: &str) -> String {
    name.chars()
        .filter_map(
            |letter| match letter.to_lowercase().next().unwrap_or(letter) {
                plain @ 'a'..='z' => Some(plain),
                'á' | 'à' | 'ä' | 'â' | 'å' => Some('a'),
                'é' | 'è' | 'ë' => Some('e'),
                'í' | 'ï' | 'ı' => Some('i'),
                'ó' | 'ö' => Some('o'),
                'ü' | 'ú' => Some('u'),
                'ć' | 'č' => Some('c'),
                'š' => Some('s'),
                'ł' => Some('l'),
                'ñ' => Some('n'),
                _ => None,
            },
        )
        .collect()
}
