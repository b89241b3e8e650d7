//! Mutations: of tokens, of pieces, of whole files.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::corpus::{Corpus, Files};

/// Files stay below this, so that work grows with what is odd and not with what is long.
const MAX_BYTES: usize = 96 << 10;

/// The project of a seed.
pub fn project(corpus: &Corpus, seed: u64) -> Files {
    let mut dice = Dice(ChaCha8Rng::seed_from_u64(seed));
    // What is wrong from the start is refused early.
    let bases = match dice.one_in(3) {
        true => &corpus.projects[..],
        false => &corpus.projects[..corpus.sound],
    };
    let mut files = dice.of(bases).clone();
    // Half of the projects are changed a little: they get far.
    let times = *dice.of(&[1, 1, 1, 2, 2, 3, 5, 8]);
    dice.change(corpus, &mut files, times);
    files
}

/// A project that is changed in one place, or where a file comes or goes.
pub fn changed(corpus: &Corpus, files: &Files, seed: u64) -> Files {
    let mut files = files.clone();
    Dice(ChaCha8Rng::seed_from_u64(seed)).change(corpus, &mut files, 1);
    files
}

struct Dice(ChaCha8Rng);

impl Dice {
    fn change(&mut self, corpus: &Corpus, files: &mut Files, times: usize) {
        for _ in 0..times {
            if self.one_in(8) {
                self.files(corpus, files);
                continue;
            }
            let paths: Vec<String> = files.keys().cloned().collect();
            if paths.is_empty() {
                break;
            }
            let path = self.of(&paths).clone();
            if let Some(bytes) = files.get_mut(&path) {
                let kind = path.rsplit('.').next().unwrap_or_default().to_owned();
                self.text(corpus, &kind, bytes);
                bytes.truncate(MAX_BYTES);
            }
        }
    }

    fn below(&mut self, limit: usize) -> usize {
        self.0.random_range(0..limit.max(1))
    }

    fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }

    fn of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        let index = self.below(choices.len());
        &choices[index]
    }

    /// Changes which files there are.
    fn files(&mut self, corpus: &Corpus, files: &mut Files) {
        let paths: Vec<String> = files.keys().cloned().collect();
        if paths.is_empty() {
            return;
        }
        let (one, other) = (self.of(&paths).clone(), self.of(&paths).clone());
        match self.below(6) {
            0 => {
                files.remove(&one);
            }
            1 => {
                let bytes = files[&other].clone();
                files.insert(one, bytes);
            }
            2 => {
                let odd = self.of(&ODD_NAMES);
                let bytes = files.remove(&one).unwrap_or_default();
                let folder = one.rsplit_once('/').map_or("models", |(folder, _)| folder);
                files.insert(format!("{folder}/{odd}"), bytes);
            }
            3 => {
                let bytes = self.of(&corpus.texts).clone();
                files.insert(one, bytes);
            }
            4 => {
                files.insert(one, vec![]);
            }
            _ => {
                let donor = self.of(&corpus.projects);
                let donors: Vec<&String> = donor.keys().collect();
                if !donors.is_empty() {
                    let path = (*self.of(&donors)).clone();
                    let bytes = donor[&path].clone();
                    files.insert(path, bytes);
                }
            }
        }
    }

    /// Changes a text.
    fn text(&mut self, corpus: &Corpus, kind: &str, bytes: &mut Vec<u8>) {
        if self.one_in(12) {
            self.bytes(bytes);
            return;
        }
        let mut tokens = tokens(bytes);
        if tokens.is_empty() {
            tokens.push(b" ".to_vec());
        }
        let (at, to) = (self.below(tokens.len()), self.below(tokens.len()));
        let far = (at + 1 + self.below(12)).min(tokens.len());
        match self.below(9) {
            0 => {
                tokens.drain(at..far);
            }
            1 => {
                let piece = tokens[at..far].to_vec();
                tokens.splice(to..to, piece);
            }
            2 => tokens.swap(at, to),
            3 => {
                let donor = self.of(&corpus.texts).clone();
                let donor = self::tokens(&donor);
                if !donor.is_empty() {
                    let from = self.below(donor.len());
                    let piece = &donor[from..(from + 1 + self.below(40)).min(donor.len())];
                    tokens.splice(at..at, piece.iter().cloned());
                }
            }
            4 => {
                // A name where another one stands: circles, unknown columns, other types.
                let words: Vec<Vec<u8>> = tokens.iter().filter(|t| is_word(t)).cloned().collect();
                let places: Vec<usize> =
                    (0..tokens.len()).filter(|i| is_word(&tokens[*i])).collect();
                if !words.is_empty() {
                    let place = *self.of(&places);
                    tokens[place] = self.of(&words).clone();
                }
            }
            5 => {
                // Repeated, so that it doubles a few times.
                let piece: Vec<Vec<u8>> = tokens[at..far].to_vec();
                let times = 1 << self.below(9);
                let many = std::iter::repeat_n(piece, times).flatten();
                tokens.splice(at..at, many);
            }
            6 => {
                let nested = self.nested(kind);
                tokens.splice(at..at, [nested]);
            }
            _ => {
                let odd: &[&str] = match kind {
                    "yml" | "yaml" => &ODD_YAML,
                    "sql" | "md" => &ODD_SQL,
                    _ => &ODD_TEXT,
                };
                let odd = if self.one_in(5) {
                    self.of(&ODD_TEXT)
                } else {
                    self.of(odd)
                };
                let odd = odd.as_bytes().to_vec();
                if self.one_in(2) {
                    tokens[at] = odd;
                } else {
                    tokens.insert(at, odd);
                }
            }
        }
        *bytes = tokens.concat();
    }

    /// Changes bytes, so that text is none any more.
    fn bytes(&mut self, bytes: &mut Vec<u8>) {
        let at = self.below(bytes.len());
        match self.below(4) {
            0 => bytes.truncate(at),
            1 => {
                let odd = self.of(&ODD_BYTES).to_vec();
                bytes.splice(at..at, odd);
            }
            2 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = self.0.random();
                }
            }
            _ => {
                let text = String::from_utf8_lossy(bytes).replace('\n', "\r\n");
                *bytes = text.into_bytes();
            }
        }
    }

    /// Something inside something inside something.
    fn nested(&mut self, kind: &str) -> Vec<u8> {
        let pairs: &[(&str, &str, &str)] = match kind {
            "yml" | "yaml" => &[
                ("[", "]", ""),
                ("{a: ", "}", "1"),
                ("- ", "", "1"),
                ("!t ", "", "1"),
                ("? ", "", "1"),
            ],
            _ => &[
                ("(", ")", "1"),
                ("(select ", ")", "1"),
                ("not ", "", "true"),
                ("- ", "", "1"),
                ("case when ", " then 1 end", "true"),
                ("select * from (", ") as t", "select 1 as a"),
                ("{% if true %}", "{% endif %}", "1"),
                ("{{ (", ") }}", "1"),
                ("{% macro m() %}", "{% endmacro %}", "1"),
                ("{% for i in [1, 2] %}", "{% endfor %}", "1"),
                ("[", "]", "1"),
                ("1 + ", "", "1"),
                ("cast(", " as bigint)", "1"),
                ("select 1 union all ", "", "select 1"),
                ("with a as (", ") select 1", "select 1"),
                ("{{ {'a': ", "} }}", "1"),
                ("/*", "*/", ""),
                ("a.", "a", ""),
                ("coalesce(1, ", ")", "1"),
                ("1 in (", ")", "1"),
            ],
        };
        let (open, close, inner) = *self.of(pairs);
        let depth = *self.of(&[3, 20, 60, 200, 1000, 5000]);
        [open.repeat(depth), inner.to_owned(), close.repeat(depth)]
            .concat()
            .into_bytes()
    }
}

fn is_word(token: &[u8]) -> bool {
    token
        .first()
        .is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_')
}

/// Words, numbers, runs of white space, and every other byte alone.
fn tokens(bytes: &[u8]) -> Vec<Vec<u8>> {
    let kind = |byte: u8| match byte {
        b' ' | b'\n' | b'\t' | b'\r' => 1,
        b'_' => 2,
        byte if byte.is_ascii_alphanumeric() => 2,
        byte if !byte.is_ascii() => 3,
        _ => 0,
    };
    let mut found: Vec<Vec<u8>> = vec![];
    let mut last = 0;
    for byte in bytes {
        let kind = kind(*byte);
        match found.last_mut() {
            Some(token) if kind != 0 && kind == last => token.push(*byte),
            _ => found.push(vec![*byte]),
        }
        last = kind;
    }
    found
}

const ODD_NAMES: [&str; 10] = [
    "a b.sql",
    "ä.sql",
    "a.b.c.sql",
    "_x.yml",
    "'q'.sql",
    "\"d\".sql",
    "a.yml",
    "{{ x }}.sql",
    "UPPER.SQL",
    "a.csv",
];

const ODD_BYTES: [&[u8]; 8] = [
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\xc3\x28",
    b"\x1b[31m",
    b"\r",
    b"\xe2\x80\xa8",
    b"\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x92\xbb",
];

const ODD_TEXT: [&str; 16] = [
    "\u{202e}",
    "\u{0}",
    "é́́",
    "👩‍👩‍👧‍👦",
    "\t",
    "99999999999999999999999999",
    "-9223372036854775808",
    "1e400",
    "0x7fffffffffffffff",
    "\"",
    "'",
    "\\",
    "{{",
    "}}",
    "{%",
    "\n\n",
];

const ODD_YAML: [&str; 31] = [
    "&a [*a]",
    "&a {b: *a}",
    "*a",
    "<<: *a",
    "&x",
    "!!binary aGk=",
    "!!python/object:x {}",
    "!include x.yml",
    "---\n",
    "...\n",
    "? \n: \n",
    "|\n  text\n",
    ">-\n  text\n",
    "%YAML 1.2\n---\n",
    "~",
    ".inf",
    ".nan",
    "0o777",
    "2026-13-45",
    "1_000",
    "yes",
    "[",
    "{",
    "- ",
    ": ",
    "# ",
    "a: &a [x, x]\nb: &b [*a, *a, *a, *a]\nc: &c [*b, *b, *b, *b]\nd: &d [*c, *c, *c, *c]\ne: &e [*d, *d, *d, *d]\nf: &f [*e, *e, *e, *e]\ng: &g [*f, *f, *f, *f]\nh: [*g, *g, *g, *g]\n",
    "\"{{ env_var('NOT_SET') }}\"",
    "\"{{ var('x', var('y')) }}\"",
    "ref('",
    "source('a', 'b')",
];

const ODD_SQL: [&str; 46] = [
    "{{ ref(this) }}",
    "{{ ref('') }}",
    "{{ ref('a', 'b', 'c', v=2) }}",
    "{{ source('', '') }}",
    "{{ config(materialized=none) }}",
    "{{ config(**{'a': 1}) }}",
    "{{ config(materialized=['table']) }}",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "{% macro m(n) %}{% for i in range(n) %}{{ m(n) }}{% endfor %}{% endmacro %}{{ m(9) }}",
    "{{ range(1000000000) }}",
    "{% for i in range(100000) %}{% for j in range(100000) %}x{% endfor %}{% endfor %}",
    "{{ 'x' * 1000000000 }}",
    "{{ 'a' | replace('', 'b') }}",
    "{{ 10 ** 1000 }}",
    "{{ 1 // 0 }}",
    "{{ 1 % 0 }}",
    "{{ -9223372036854775808 // -1 }}",
    "{{ 'é'[1:] }}",
    "{{ 'é'[::-1] }}",
    "{{ none.x.y }}",
    "{{ [1, 2][10] }}",
    "{{ modules.re.match('(a+)+b', 'a' * 40) }}",
    "{{ modules.datetime.datetime(0, 0, 0) }}",
    "{{ modules.datetime.datetime(9999, 12, 31).strftime('%Q') }}",
    "{{ modules.itertools.product(range(1000), range(1000), range(1000)) | list | length }}",
    "{{ fromjson('[') }}",
    "{{ fromyaml('&a [*a]') }}",
    "{{ tojson(graph) }}",
    "{{ adapter.dispatch('x')() }}",
    "{{ run_query('select 1') }}",
    "{{ var('x') }}",
    "{{ exceptions.raise_compiler_error('x') }}",
    "{% set x = x %}",
    "{% include 'x' %}",
    "{% raw %}",
    "{#",
    "--",
    "/*",
    ";",
    "cast('x' as decimal(76, 99))",
    "interval '99999999999 years'",
    "cast('9999-99-99' as date)",
    "generate_series(1, 9223372036854775807)",
    "repeat('x', 1000000000)",
    "with recursive r as (select 1 as n union all select n + 1 from r) select * from r",
    "lag(1, -9223372036854775808) over ()",
];
