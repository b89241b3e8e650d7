//! Measures the comparison of texts against `strsim`, one thread:
//! `cargo run --release -p kinfold-identity --example similarity`. Half of the pairs are a text and
//! itself with up to three typing errors, half are two texts at random; all are seeded.

use std::error::Error;
use std::hint::black_box;
use std::io::Write;
use std::time::{Duration, Instant};

use kinfold_identity::text::nicknames::same;
use kinfold_identity::text::normalise::{Diacritics, name, phone};
use kinfold_identity::text::phonetic::{double_metaphone, soundex};
use kinfold_identity::text::similarity::{
    Scratch, bigram_cosine, damerau, damerau_within, jaccard, jaro, jaro_winkler, levenshtein,
    levenshtein_within,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const SYLLABLES: [&str; 24] = [
    "an", "ber", "co", "da", "el", "fi", "ga", "han", "is", "jo", "ka", "lin", "ma", "ne", "ol",
    "pe", "ra", "sen", "ton", "ul", "vi", "wil", "ya", "zo",
];

type Pairs = Vec<(String, String)>;

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout().lock();
    let random = &mut ChaCha8Rng::seed_from_u64(7);
    for (what, syllables, accents) in [
        ("names, ASCII", 2..5, false),
        ("names, accents", 2..5, true),
        ("addresses, ASCII", 10..18, false),
        ("long, ASCII", 45..60, false),
    ] {
        let pairs: Pairs = (0..20_000)
            .map(|at| pair(random, syllables.clone(), accents, at % 2 == 0))
            .collect();
        let characters: usize = pairs.iter().map(|(left, _)| left.chars().count()).sum();
        writeln!(
            out,
            "{what}: {:.1} characters on average; million pairs a second, ours and strsim's",
            characters as f64 / pairs.len() as f64
        )?;
        measure(&mut out, &pairs)?;
        if what.starts_with("names") {
            measure_single(&mut out, &pairs)?;
        }
    }
    Ok(())
}

/// Million texts a second of the functions that make a text, and of nicknames.
fn measure_single(out: &mut impl Write, pairs: &Pairs) -> Result<(), Box<dyn Error>> {
    let numbers: Pairs = (0..pairs.len())
        .map(|at| (format!("0{} / {:07}", 30 + at % 50, at * 37), String::new()))
        .collect();
    let rates = [
        ("soundex", rate(pairs, |a, _| soundex(a))),
        ("double_metaphone", rate(pairs, |a, _| double_metaphone(a))),
        ("nicknames::same", rate(pairs, same)),
        ("name", rate(pairs, |a, _| name(a, Diacritics::Fold))),
        ("phone", rate(&numbers, |a, _| phone(a, Some("DE")))),
    ];
    for (name, rate) in rates {
        writeln!(out, "  {name:22} {rate:8.2}")?;
    }
    Ok(())
}

fn measure(out: &mut impl Write, pairs: &Pairs) -> Result<(), Box<dyn Error>> {
    let s = &mut Scratch::new();
    let ours = [
        rate(pairs, |a, b| jaro(s, a, b)),
        rate(pairs, |a, b| jaro_winkler(s, a, b)),
        rate(pairs, |a, b| levenshtein(s, a, b)),
        rate(pairs, |a, b| levenshtein_within(s, a, b, 2)),
        rate(pairs, |a, b| damerau(s, a, b)),
        rate(pairs, |a, b| damerau_within(s, a, b, 2)),
        rate(pairs, |a, b| jaccard(s, a, b)),
        rate(pairs, |a, b| bigram_cosine(s, a, b)),
    ];
    let theirs = [
        rate(pairs, strsim::jaro),
        rate(pairs, strsim::jaro_winkler),
        rate(pairs, strsim::levenshtein),
        rate(pairs, strsim::levenshtein),
        rate(pairs, strsim::damerau_levenshtein),
        rate(pairs, strsim::damerau_levenshtein),
        f64::NAN,
        rate(pairs, strsim::sorensen_dice),
    ];
    let names = [
        "jaro",
        "jaro_winkler",
        "levenshtein",
        "levenshtein_within 2",
        "damerau",
        "damerau_within 2",
        "jaccard",
        "bigram_cosine (Dice)",
    ];
    for ((name, ours), theirs) in names.iter().zip(ours).zip(theirs) {
        let times = ours / theirs;
        writeln!(
            out,
            "  {name:22} {ours:8.2} {theirs:8.2}  {times:5.1} times"
        )?;
    }
    Ok(())
}

/// The best of several rounds, in millions of pairs a second.
fn rate<T>(pairs: &Pairs, mut compare: impl FnMut(&str, &str) -> T) -> f64 {
    let mut best = Duration::MAX;
    for _ in 0..9 {
        let start = Instant::now();
        for (left, right) in pairs {
            black_box(compare(black_box(left), black_box(right)));
        }
        best = best.min(start.elapsed());
    }
    pairs.len() as f64 / best.as_secs_f64() / 1e6
}

fn pair(
    random: &mut ChaCha8Rng,
    syllables: std::ops::Range<usize>,
    accents: bool,
    alike: bool,
) -> (String, String) {
    let left = words(random, syllables.clone(), accents);
    if !alike {
        return (left, words(random, syllables, accents));
    }
    let mut right: Vec<char> = left.chars().collect();
    for _ in 0..random.random_range(0..4) {
        let at = random.random_range(0..right.len().saturating_sub(1).max(1));
        match random.random_range(0..4) {
            0 => right.insert(at, 'e'),
            1 if right.len() > 2 => drop(right.remove(at)),
            2 if right.len() > at + 1 => right.swap(at, at + 1),
            _ => {
                if let Some(character) = right.get_mut(at) {
                    *character = 'o';
                }
            }
        }
    }
    (left, right.into_iter().collect())
}

fn words(random: &mut ChaCha8Rng, syllables: std::ops::Range<usize>, accents: bool) -> String {
    let mut text = String::new();
    for at in 0..random.random_range(syllables) {
        if at > 0 && at % 4 == 0 {
            text.push(' ');
        }
        let which = random.random_range(0..SYLLABLES.len());
        text.push_str(SYLLABLES.get(which).copied().unwrap_or_default());
    }
    if accents {
        text.replace('o', "ö")
    } else {
        text
    }
}
