//! Projects that nobody would write: every project of this repository, mutated by a seeded generator, goes through
//! `kinfold check`, which reads, renders and binds it. The program must say what is wrong and end: no panic, no
//! abort, no overflow of the stack, no more than [`case::CPU_SECONDS`] of work and no more memory than it is given.
//!
//! | variable | means |
//! |---|---|
//! | `KINFOLD_FUZZ_SECONDS` | how long to go on, 20 unless set |
//! | `KINFOLD_FUZZ_SEED` | the first seed, 0 unless set; one number is one project |
//! | `KINFOLD_FUZZ_OUT` | a folder for what is found; a temporary one unless set |
//!
//! An hour: `KINFOLD_FUZZ_SECONDS=3600 KINFOLD_FUZZ_SEED=1000000 cargo test -p kinfold --test it fuzz`. What fails is
//! made smaller as long as it fails in the same way, and its seed is told. How many projects were tried is in `counts.txt`.

mod case;
mod corpus;
mod mutate;
mod shrink;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use libtest_mimic::Trial;

use crate::program::{folder, kinfold};
use crate::trials;
use case::{Ended, run};
use corpus::Corpus;

pub fn trials() -> Vec<Trial> {
    trials!("fuzz":
        a_seed_is_one_project,
        what_fails_is_found_and_made_smaller,
        statements_of_any_depth_end_with_an_answer,
        mutated_projects_end_with_an_answer,
        what_is_remembered_is_what_is_found,
    )
}

/// A number that a variable sets.
fn number(variable: &str, otherwise: u64) -> u64 {
    let text = std::env::var(variable).ok();
    text.map_or(otherwise, |text| {
        text.parse().expect("the variable is a whole number")
    })
}

fn mutated_projects_end_with_an_answer() {
    let corpus = Corpus::of_the_repository();
    let time = Duration::from_secs(number("KINFOLD_FUZZ_SECONDS", 20));
    let first = number("KINFOLD_FUZZ_SEED", 0);
    let out = std::env::var_os("KINFOLD_FUZZ_OUT").map(PathBuf::from);
    let area = folder();
    let started = Instant::now();
    let mut failures: Vec<String> = vec![];
    let (mut seed, mut refused) = (first, 0_u64);
    while started.elapsed() < time {
        let files = mutate::project(&corpus, seed);
        match run(area.path(), &files) {
            Ended::Answered { sound } => refused += u64::from(!sound),
            Ended::Failed(how) => {
                // One project of each kind of failure is enough.
                if !failures.iter().any(|told| told.contains(&how.sign)) {
                    let small = shrink::shrink(area.path(), &files, &how.sign);
                    let told = format!("seed {seed}: {}\n{}", how.sign, how.words);
                    if let Some(out) = &out {
                        let place = out.join(format!("seed-{seed}"));
                        corpus::write(&place, &small);
                        std::fs::write(out.join(format!("seed-{seed}.txt")), &told).unwrap();
                    }
                    failures.push(format!("{told}\n{}", corpus::shown(&small)));
                }
            }
        }
        seed += 1;
    }
    let cases = seed - first;
    if let Some(out) = &out {
        let counts = format!(
            "{cases} projects, seeds {first} to {}, {refused} of them refused, {} kinds of failures, {} s\n",
            seed.saturating_sub(1),
            failures.len(),
            started.elapsed().as_secs()
        );
        std::fs::create_dir_all(out).unwrap();
        std::fs::write(out.join("counts.txt"), counts).unwrap();
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    assert!(cases > 0, "no project was tried");
    assert!(
        refused < cases || cases < 50,
        "every project was refused: the mutations destroy too much"
    );
}

/// A check that knows what was sound before finds what one finds that knows nothing.
fn what_is_remembered_is_what_is_found() {
    let corpus = Corpus::of_the_repository();
    let rounds = number("KINFOLD_FUZZ_ROUNDS", 14);
    let first = number("KINFOLD_FUZZ_SEED", 0);
    let area = folder();
    let (kept, fresh) = (area.path().join("kept"), area.path().join("fresh"));
    let check = |project: &Path| {
        let ran = kinfold(project, ["check", "--output", "json", "--threads", "1"]).run();
        // Some problems name the file with its whole path.
        let own = project.to_string_lossy();
        (
            ran.code,
            ran.stdout.replace(&*own, ""),
            ran.stderr.replace(&*own, ""),
        )
    };
    for seed in first..first + rounds {
        let sound = usize::try_from(seed).unwrap() % corpus.sound;
        let mut files = corpus.projects[sound].clone();
        for step in 0..4 {
            for project in [&kept, &fresh] {
                clear(project, project == &kept && step > 0);
                corpus::write(project, &files);
            }
            assert_eq!(check(&kept), check(&fresh), "seed {seed}, step {step}");
            // And once more, now that all is known.
            assert_eq!(
                check(&kept),
                check(&fresh),
                "seed {seed}, step {step}, again"
            );
            files = mutate::changed(&corpus, &files, seed * 10 + step);
        }
    }
}

/// Empties a folder, but for what earlier runs have left in `target/`.
fn clear(project: &Path, with_memory: bool) {
    let Ok(entries) = std::fs::read_dir(project) else {
        return;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.ends_with("target") && with_memory {
            continue;
        }
        match path.is_dir() {
            true => std::fs::remove_dir_all(path).unwrap(),
            false => std::fs::remove_file(path).unwrap(),
        }
    }
}

/// Operators that lie in one another without a parenthesis, fewer than the limit and more.
fn statements_of_any_depth_end_with_an_answer() {
    let area = folder();
    let chains = [
        ("SELECT 1", " + 1", " AS a"),
        ("SELECT 1", "::int", " AS a"),
        ("SELECT [1]", "[1:1]", " AS a"),
        ("SELECT 'a'", " || 'a'", " AS a"),
        ("SELECT 1 AS a WHERE 1 = 1", " AND 1 = 1", ""),
        ("SELECT 1 AS a WHERE 1", " IS NOT NULL", ""),
        ("SELECT 1 AS a WHERE 1", " NOT NULL", ""),
        ("SELECT 1 AS a WHERE TRUE", " IN (TRUE)", ""),
        ("SELECT 1 AS a WHERE TRUE", " IS DISTINCT FROM TRUE", ""),
        ("SELECT 1 AS a", " UNION ALL SELECT 1 AS a", ""),
        (
            "SELECT 1 AS a FROM (SELECT 1)",
            " CROSS JOIN (SELECT 1)",
            "",
        ),
    ];
    for (start, link, end) in chains {
        for (length, sound) in [
            (90, true),
            (900, true),
            (5_000, false),
            (40_000, false),
            (200_000, false),
        ] {
            let sql = format!("{start}{}{end}\n", link.repeat(length));
            let files = corpus::files(&[("kinfold.yml", "name: deep\n"), ("models/a.sql", &sql)]);
            match run(area.path(), &files) {
                Ended::Answered { sound: answer } => {
                    // Not every chain means something; none that is too long may pass.
                    assert!(sound || !answer, "{length} times `{link}` passes");
                }
                Ended::Failed(how) => panic!("{length} times `{link}`: {}", how.words),
            }
        }
    }
}

fn a_seed_is_one_project() {
    let corpus = Corpus::of_the_repository();
    assert!(corpus.projects.len() > 50, "{}", corpus.projects.len());
    for seed in 0..20 {
        let project = mutate::project(&corpus, seed);
        assert_eq!(project, mutate::project(&corpus, seed), "seed {seed}");
        assert_ne!(project, mutate::project(&corpus, seed + 1), "seed {seed}");
    }
}

/// What judges the program is judged itself: by commands that fail.
fn what_fails_is_found_and_made_smaller() {
    let area = folder();
    let files = corpus::files(&[
        ("kinfold.yml", "name: shop\n"),
        ("models/a.sql", "select 1 as a\n"),
        ("models/b.sql", "select 2 as b\nfrom deep\nwhere true\n"),
    ]);
    // Fails only if a line of a file says `deep`.
    let script = "if grep -rq deep models 2>/dev/null; then echo \"thread 'main' panicked at src/x.rs:1:2:\" >&2; kill -ABRT $$; fi";
    let command = |project: &std::path::Path| {
        let mut command = std::process::Command::new("sh");
        command.args(["-c", script]).current_dir(project);
        command
    };
    let failed = |files: &corpus::Files| case::run_with(area.path(), files, &command);
    let Ended::Failed(how) = failed(&files) else {
        panic!("it is not seen that the command was aborted");
    };
    assert_eq!(how.sign, "panicked at src/x.rs:1:2:");
    let small = shrink::smallest(
        &files,
        &|files| matches!(failed(files), Ended::Failed(again) if again.sign == how.sign),
    );
    assert_eq!(small, corpus::files(&[("models/b.sql", "from deep\n")]));

    let hangs = |project: &std::path::Path| {
        let mut command = std::process::Command::new("sh");
        command
            .args(["-c", "while true; do :; done"])
            .current_dir(project);
        command
    };
    let started = Instant::now();
    let Ended::Failed(how) = case::run_with(area.path(), &files, &hangs) else {
        panic!("a command without end is not seen");
    };
    assert_eq!(how.sign, "no end");
    assert!(started.elapsed() > Duration::from_secs(case::CPU_SECONDS / 2));
    let fine = |_: &std::path::Path| std::process::Command::new("true");
    assert!(matches!(
        case::run_with(area.path(), &files, &fine),
        Ended::Answered { sound: true }
    ));
}
