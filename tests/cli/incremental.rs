//! Incremental models: what is added, what is replaced, and what is built anew.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::program::{Ran, folder, kinfold, write};
use crate::tables;

/// Every strategy over one log. What each makes of new rows of the log is what it makes of the whole log.
const HISTORY: [(&str, &str); 8] = [
    (
        "kinfold.yml",
        "name: grows\nenvironments:\n  dev: {lake: lake}\n",
    ),
    (
        "seeds/schema.yml",
        "seeds:\n  - name: log\n    config:\n      column_types: {seq: bigint, id: bigint, day: date, v: varchar, op: varchar}\n",
    ),
    (
        "models/appended.sql",
        "{{ config(materialized='incremental') }}
         SELECT seq, id, v FROM {{ ref('log') }}
         {% if is_incremental() %} WHERE seq > (SELECT coalesce(max(seq), 0) FROM {{ this }}) {% endif %}",
    ),
    (
        "models/replaced.sql",
        "{{ config(materialized='incremental', unique_key='id') }}
         WITH latest AS (
             SELECT *, row_number() OVER (PARTITION BY id ORDER BY seq DESC) AS place FROM {{ ref('log') }} AS l
             {% if is_incremental() %}
             WHERE EXISTS (SELECT 1 FROM {{ ref('log') }} AS n WHERE n.id IS NOT DISTINCT FROM l.id
                 AND n.seq > (SELECT coalesce(max(seq), 0) FROM {{ this }}))
             {% endif %}
         )
         SELECT id, seq, v, day, op FROM latest WHERE place = 1",
    ),
    (
        "models/merged.sql",
        "{{ config(materialized='incremental', incremental_strategy='merge', unique_key=['id'],
                   merge_exclude_columns=['first_seq']) }}
         SELECT v, id, max(seq) AS seq, min(first_seq) AS first_seq FROM (
             SELECT id, seq, last_value(v) OVER (PARTITION BY id ORDER BY seq
                        ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS v,
                    min(seq) OVER (PARTITION BY id) AS first_seq
             FROM {{ ref('log') }}
             {% if is_incremental() %}
             -- One more than is needed, so that some rows are there just so.
             WHERE seq > (SELECT coalesce(max(seq), 0) - 3 FROM {{ this }})
             {% endif %}
         ) GROUP BY id, v",
    ),
    (
        "models/days.sql",
        "{{ config(materialized='incremental', incremental_strategy='insert_overwrite', partition_by=['day']) }}
         SELECT day, op, count(*) AS n, max(seq) AS seq FROM {{ ref('log') }}
         {% if is_incremental() %}
         WHERE coalesce(day, DATE '1970-01-01') IN (SELECT coalesce(day, DATE '1970-01-01') FROM {{ ref('log') }}
             WHERE seq > (SELECT coalesce(max(seq), 0) FROM {{ this }}))
         {% endif %}
         GROUP BY day, op",
    ),
    (
        "models/gate.sql",
        "{{ config(materialized='table') }} SELECT id FROM {{ ref('replaced') }} WHERE v = 'bad'",
    ),
    (
        "tests/nothing_bad.sql",
        "SELECT * FROM {{ ref('gate') }}",
    ),
];

const GROWING: [(&str, &str); 4] = [
    ("appended", "SELECT * FROM appended ORDER BY seq"),
    ("replaced", "SELECT * FROM replaced ORDER BY seq"),
    ("merged", "SELECT * FROM merged ORDER BY seq"),
    ("days", "SELECT * FROM days ORDER BY day, op"),
];

/// Numbers that a seed gives (Lehmer's generator, Park and Miller's constants).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = (self.0 * 48_271) % 2_147_483_647;
        self.0 % end
    }
}

fn run(project: &Path, arguments: &[&str]) -> Ran {
    kinfold(project, arguments).run()
}

fn rows(project: &Path, sql: &str) -> String {
    let ran = run(project, &["query", "--format", "csv", sql]).ok();
    ran.stdout.clone()
}

/// Some rows of the log from number `next` on: late days, missing keys, rows of one key again and again.
fn more(numbers: &mut Numbers, next: &mut u64, bad: bool) -> String {
    let mut text = String::new();
    let count = numbers.below(7);
    for _ in 0..count {
        let id = match numbers.below(9) {
            0 => String::new(),
            id => id.to_string(),
        };
        let day = match numbers.below(8) {
            0 => String::new(),
            day => format!("2026-01-0{day}"),
        };
        let v = ["a", "b", "c"][numbers.below(3) as usize];
        let op = ["set", "unset"][numbers.below(2) as usize];
        text += &format!("{next},{id},{day},{v},{op}\n");
        *next += 1;
    }
    if bad {
        text += &format!("{next},1,2026-01-01,bad,set\n");
    }
    text
}

/// Rows come, builds fail and are not published, what was published is taken back, and what is built anew is the
/// same: at any time a model is what the whole log gives.
pub fn what_is_added_gives_what_the_whole_gives() {
    let histories = std::env::var("KINFOLD_HISTORIES").ok();
    let histories: u64 = histories.map_or(6, |count| count.parse().unwrap());
    let mut added = 0;
    for seed in 1..=histories {
        let (growing, whole) = (folder(), folder());
        let (growing, whole) = (growing.path(), whole.path());
        write(growing, &HISTORY);
        write(whole, &HISTORY);
        let mut numbers = Numbers(seed * 7919);
        let (mut next, mut log) = (1, "seq,id,day,v,op\n".to_owned());
        let mut fits = 0;
        for step in 0..7 {
            let bad = step > 0 && numbers.below(4) == 0;
            let new = more(&mut numbers, &mut next, bad);
            let text = format!("{log}{new}");
            write(growing, &[("seeds/log.csv", &text)]);
            let arguments: &[&str] = match numbers.below(8) {
                0 => &["build", "--full-refresh", "--output", "json"],
                _ => &["build", "--output", "json"],
            };
            let built = run(growing, arguments);
            added += built.stdout.matches("rows added").count();
            added += built.stdout.matches("in the place of").count();
            if bad {
                // Whatever was written for it is nobody's.
                built.code(1);
                continue;
            }
            built.ok();
            log = text;
            fits += 1;
            if fits > 2 && numbers.below(5) == 0 {
                // What is published is that of the build before; the next build goes on from there.
                let ran = run(growing, &["publish", "--rollback"]);
                assert!(
                    ran.code == Some(0) || ran.stderr.contains("nothing published before"),
                    "{ran:?}"
                );
                run(growing, &["build"]).ok();
            }
            if step % 3 == 2 || step == 6 {
                write(whole, &[("seeds/log.csv", &log)]);
                run(whole, &["build", "--full-refresh"]).ok();
                for (model, sql) in GROWING {
                    let (found, wanted) = (rows(growing, sql), rows(whole, sql));
                    assert_eq!(found, wanted, "seed {seed}, step {step}, {model}");
                }
            }
        }
        if seed == 1 {
            // Other programs see the same rows.
            let read = tables::read(
                growing.join("lake").to_str().unwrap(),
                &["--env", "dev", "--duckdb"],
            );
            for (path, table) in &read {
                assert_eq!(table.duckdb.as_ref(), Some(&table.deltalake), "{path}");
            }
            let whole = tables::read(whole.join("lake").to_str().unwrap(), &["--env", "dev"]);
            tables::assert_equal(&tables::contents(read), &tables::contents(whole), "readers");
        }
    }
    assert!(added > histories as usize * 4, "{added}");
}

const SMALL: [(&str, &str); 3] = [
    (
        "kinfold.yml",
        "name: small\nenvironments:\n  dev: {lake: lake}\n",
    ),
    ("seeds/log.csv", "seq,v\n1,a\n2,b\n"),
    (
        "models/grown.sql",
        "{{ config(materialized='incremental', unique_key='seq', incremental_strategy='merge') }}
         SELECT seq, v FROM {{ ref('log') }}
         {% if is_incremental() %} WHERE seq >= (SELECT max(seq) FROM {{ this }}) {% endif %}",
    ),
];

fn reason(project: &Path, arguments: &[&str]) -> String {
    let built = run(project, arguments).ok().json();
    let nodes = built["nodes"].as_array().unwrap().clone();
    let grown = nodes.iter().find(|node| node["id"] == "model.small.grown");
    grown.unwrap()["reason"].as_str().unwrap().to_owned()
}

/// The versions that are published.
fn versions(project: &Path) -> BTreeMap<String, u64> {
    let lake = project.join("lake");
    let read = tables::read(lake.to_str().unwrap(), &["--env", "dev"]);
    let read = read.into_iter().map(|(path, table)| (path, table.version));
    read.collect()
}

const BUILD: [&str; 3] = ["build", "--output", "json"];

/// The first build makes all rows, the next ones those that are new; another meaning makes all of them again.
pub fn another_meaning_is_built_anew() {
    let project = folder();
    let project = project.path();
    write(project, &SMALL);
    let all = "SELECT * FROM grown ORDER BY seq";
    assert_eq!(reason(project, &BUILD), "first build");
    // What the form of later builds leaves alone stays as it is.
    write(project, &[("seeds/log.csv", "seq,v\n1,A\n2,b\n3,c\n")]);
    assert!(reason(project, &BUILD).ends_with("1 row added"));
    assert_eq!(rows(project, all), "seq,v\n1,a\n2,b\n3,c\n");
    // Rows that are there just so are no new version.
    let before = versions(project);
    write(project, &[("seeds/log.csv", "seq,v\n1,X\n2,b\n3,c\n")]);
    assert!(reason(project, &BUILD).ends_with("nothing is new"));
    assert_eq!(
        before.get("main/grown").unwrap(),
        versions(project).get("main/grown").unwrap()
    );
    write(project, &[("seeds/log.csv", "seq,v\n1,X\n2,b\n3,C\n")]);
    assert!(reason(project, &BUILD).ends_with("1 row written in the place of 1"));

    // A comment is no other meaning, a condition in either form is.
    let file = project.join("models/grown.sql");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{text}\n-- grows")).unwrap();
    assert!(reason(project, &BUILD).starts_with("same SQL"));
    fs::write(&file, text.replace("seq >= (", "seq > (")).unwrap();
    let planned = run(project, &["plan", "--output", "json"]).ok().json();
    let planned = planned["nodes"].as_array().unwrap().clone();
    let grown = planned
        .iter()
        .find(|node| node["id"] == "model.small.grown");
    assert_eq!(grown.unwrap()["action"], "backfill");
    assert!(reason(project, &BUILD).starts_with("its meaning changed"));
    assert_eq!(rows(project, all), "seq,v\n1,X\n2,b\n3,C\n");

    // `full_refresh: false` keeps what was built, whatever comes.
    let kept = text.replace("unique_key='seq'", "unique_key='seq', full_refresh=false");
    fs::write(&file, &kept).unwrap();
    write(project, &[("seeds/log.csv", "seq,v\n3,D\n4,e\n")]);
    let again = ["build", "--full-refresh", "--output", "json"];
    assert!(reason(project, &again).ends_with("2 rows written in the place of 1"));
    assert_eq!(rows(project, all), "seq,v\n1,X\n2,b\n3,D\n4,e\n");
}

/// What becomes of a table whose model has other columns.
pub fn columns_come_and_go() {
    let project = folder();
    let project = project.path();
    write(project, &SMALL);
    write(project, &[("seeds/log.csv", "seq,v,w\n1,a,x\n2,b,y\n")]);
    run(project, &["build"]).ok();
    let file = project.join("models/grown.sql");
    let text = fs::read_to_string(&file).unwrap();
    let all = "SELECT * FROM grown ORDER BY seq";
    let with = |policy: &str, columns: &str| {
        let text = text.replace(
            "unique_key='seq'",
            &format!("unique_key='seq', on_schema_change='{policy}'"),
        );
        fs::write(
            &file,
            text.replace("seq, v FROM", &format!("{columns} FROM")),
        )
        .unwrap();
    };
    with("append_new_columns", "seq, v");
    run(project, &["build"]).ok();
    // Rows that are there are null in a column that is new.
    write(
        project,
        &[("seeds/log.csv", "seq,v,w\n1,a,x\n2,b,y\n3,c,z\n")],
    );
    with("append_new_columns", "seq, v, w");
    assert!(reason(project, &BUILD).ends_with("2 rows written in the place of 1"));
    assert_eq!(rows(project, all), "seq,v,w\n1,a,\n2,b,y\n3,c,z\n");
    // Nothing takes a column away but `sync_all_columns`, and a build of all rows.
    with("sync_all_columns", "seq, w");
    run(project, &["build"]).ok();
    with("sync_all_columns", "seq, v, w");
    run(project, &["build"]).ok();
    assert_eq!(rows(project, all), "seq,v,w\n1,,\n2,,y\n3,c,z\n");
    with("fail", "seq, v, w");
    run(project, &["build"]).ok();
    with("fail", "seq, v");
    let failed = run(project, &["build"]).code(1);
    assert!(
        failed.stderr.contains("has other columns than its table"),
        "{failed:?}"
    );
    with("ignore", "seq, v");
    run(project, &["build"]).ok();
    assert_eq!(rows(project, all), "seq,v\n1,a\n2,b\n3,c\n");
}

/// Two new rows of one key, and configurations without sense.
pub fn what_cannot_be_added_is_refused() {
    let project = folder();
    let project = project.path();
    write(project, &SMALL);
    run(project, &["build"]).ok();
    write(project, &[("seeds/log.csv", "seq,v\n1,a\n2,b\n3,c\n3,d\n")]);
    let failed = run(project, &["build"]).code(1);
    let said = "1 rows of `model.small.grown` are `unique_key`s that more than one new row has";
    assert!(failed.stderr.contains(said), "{failed:?}");
    assert_eq!(
        rows(project, "SELECT * FROM grown ORDER BY seq"),
        "seq,v\n1,a\n2,b\n"
    );
    // Nothing is left of the attempt but what a vacuum takes.
    write(project, &[("seeds/log.csv", "seq,v\n1,a\n2,b\n3,c\n")]);
    run(project, &["build"]).ok();
    assert_eq!(
        rows(project, "SELECT * FROM grown ORDER BY seq"),
        "seq,v\n1,a\n2,b\n3,c\n"
    );
    // A column more is not stored, which is said.
    let more = "SELECT seq, v {% if is_incremental() %}, 1 AS w {% endif %}";
    write(
        project,
        &[(
            "models/grown.sql",
            &SMALL[2].1.replace("SELECT seq, v", more),
        )],
    );
    let checked = run(project, &["check"]).ok();
    assert!(
        checked.stderr.contains("`w` is a column only where"),
        "{checked:?}"
    );
    run(project, &["build"]).ok();
    write(project, &[("seeds/log.csv", "seq,v\n3,c\n4,d\n")]);
    run(project, &["build"]).ok();
    assert_eq!(
        rows(project, "SELECT * FROM grown WHERE seq > 2 ORDER BY seq"),
        "seq,v\n3,c\n4,d\n"
    );
    for (from, to, said) in [
        (
            "unique_key='seq'",
            "unique_key='sequ'",
            "did you mean `seq`?",
        ),
        ("unique_key='seq', ", "", "`merge` needs a `unique_key`"),
        ("'merge'", "'merg'", "did you mean `merge`?"),
        (
            "'merge'",
            "'insert_overwrite'",
            "`insert_overwrite` needs `partition_by`",
        ),
        (
            "'merge'",
            "'merge', on_schema_change='x'",
            "`on_schema_change` must be",
        ),
        (
            "'merge'",
            "'merge', full_refresh='x'",
            "`full_refresh` must be",
        ),
        (
            "'merge'",
            "'merge', merge_update_columns=['w']",
            "which is no column",
        ),
        (
            "SELECT seq, v",
            "SELECT seq {% if not is_incremental() %}, v {% endif %}",
            "`v` is no column where",
        ),
        ("max(seq)", "max(sequ)", "column `sequ` not found"),
    ] {
        let text = SMALL[2].1.replace(from, to);
        write(project, &[("models/grown.sql", &text)]);
        let checked = run(project, &["check"]).code(1);
        assert!(checked.stderr.contains(said), "{said}: {checked:?}");
    }
}
