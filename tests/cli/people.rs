//! People from the command line: rules that are tried and taken back, somebody who is erased, ids that are old, a
//! hub, households, and what is known of one person.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use arrow::util::display::{ArrayFormatter, FormatOptions};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};

use crate::program::{Ran, copy, folder, kinfold, repository, write};

fn run(project: &Path, arguments: &[&str]) -> Ran {
    kinfold(project, arguments).run()
}

/// The rows of a query.
fn rows(project: &Path, sql: &str) -> Vec<Value> {
    let ran = run(project, &["query", sql, "--format", "ndjson"]).ok();
    let lines = ran.stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The first column of the first row, as text.
fn one(project: &Path, sql: &str) -> String {
    let rows = rows(project, sql);
    let row = rows.first().and_then(Value::as_object);
    let cell = row.and_then(|row| row.values().next());
    match cell {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => panic!("no row: {sql}"),
    }
}

fn ids(project: &Path) -> Vec<Value> {
    rows(
        project,
        "SELECT id_type, id_value, canonical_id FROM person ORDER BY 1, 2",
    )
}

fn id_of(project: &Path, value: &str) -> String {
    let sql = format!("SELECT canonical_id FROM person WHERE id_value = '{value}'");
    one(project, &sql)
}

fn replace(file: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(file).unwrap();
    assert!(text.contains(from), "{from}");
    fs::write(file, text.replace(from, to)).unwrap();
}

/// Every file below a folder.
fn files(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path);
        }
    }
    found
}

/// The files in which a text is, as bytes or, of a Parquet file, in any cell of any column.
fn with_text(folder: &Path, text: &str) -> Vec<PathBuf> {
    let found = files(folder).into_iter().filter(|path| {
        let bytes = fs::read(path).unwrap();
        let as_bytes = bytes
            .windows(text.len())
            .any(|part| part == text.as_bytes());
        as_bytes || (path.extension().is_some_and(|e| e == "parquet") && has_cell(path, text))
    });
    found.collect()
}

fn has_cell(path: &Path, text: &str) -> bool {
    let file = fs::File::open(path).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let options = FormatOptions::default();
    reader.build().unwrap().any(|batch| {
        let batch = batch.unwrap();
        batch.columns().iter().any(|column| {
            let cells = ArrayFormatter::try_new(column, &options).unwrap();
            (0..batch.num_rows()).any(|row| cells.value(row).to_string().contains(text))
        })
    })
}

fn counts(project: &Path, sql: &str) -> BTreeMap<String, u64> {
    let rows = rows(project, sql);
    let pairs = rows.iter().map(|row| {
        let word = row["word"].as_str().unwrap_or_default().to_owned();
        (word, row["n"].as_u64().unwrap())
    });
    pairs.collect()
}

const REJECTED: &str =
    "SELECT rule AS word, count(*) AS n FROM person__edges WHERE NOT accepted GROUP BY rule";
const ALARMS: &str = "SELECT reason AS word, count(*) AS n FROM person__alarms GROUP BY reason";
const LAST_CHANGES: &str = "SELECT kind AS word, count(*) AS n FROM person__changes \
     WHERE run_id = (SELECT max(run_id) FROM person__changes) GROUP BY kind";

pub fn rules_are_planned_applied_and_taken_back() {
    let project = folder();
    copy(
        &repository().join("tests/projects/identity_rules"),
        project.path(),
    );
    let project = project.path();
    let rules = project.join("models/person.yml");
    let plan = |arguments: &[&str]| run(project, &[&["plan"], arguments].concat());

    // Nothing is known before the first build, then everything is up to date.
    let first = plan(&["--output", "json"]).ok().json();
    assert_eq!(first["nodes"][0]["action"], "build");
    assert_eq!(first["nodes"][0]["identity"], Value::Null);
    run(project, &["build"]).ok();
    let now = plan(&["--output", "json"]).ok().json();
    assert_eq!(now["nodes"][0]["action"], "skip", "{now}");
    let before = (
        ids(project),
        counts(project, REJECTED),
        counts(project, ALARMS),
    );

    // Two people on one tablet may be one, a till is no hub, and an address is a placeholder.
    replace(&rules, "limit: 1 ever", "limit: 3 ever");
    replace(&rules, "max_records: 3", "max_records: 9");
    replace(&rules, "[test@test.com]", "[test@test.com, jo@example.org]");
    let stored = files(&project.join(".kinfold"));
    let planned = plan(&["--select", "person", "--output", "json"])
        .ok()
        .json();
    assert_eq!(files(&project.join(".kinfold")), stored, "a plan writes");
    let effect = &planned["nodes"][0]["identity"];
    let shown = plan(&[]).ok();
    assert!(
        shown.stdout.contains("person: its meaning changed"),
        "{shown:?}"
    );
    for value in ["ann", "till@shop.example", "jo@example.org"] {
        assert!(!shown.stdout.contains(value) && !planned.to_string().contains(value));
    }

    run(project, &["run"]).ok();
    let done = counts(project, LAST_CHANGES);
    for kind in ["created", "merged", "split", "reassigned", "deleted"] {
        let built = done.get(kind).copied().unwrap_or(0);
        assert_eq!(effect[kind], built, "{kind}: {effect}");
    }
    assert!(done.get("merged") > Some(&1), "{done:?}");
    for (flows, sql, old) in [
        (&effect["rejected"], REJECTED, &before.1),
        (&effect["alarms"], ALARMS, &before.2),
    ] {
        let new = counts(project, sql);
        let words: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        assert_eq!(flows.as_object().unwrap().len(), words.len(), "{flows}");
        for word in words {
            let flow = |part: &str| flows[word][part].as_u64().unwrap();
            let counted = |of: &BTreeMap<String, u64>| of.get(word).copied().unwrap_or(0);
            assert_eq!(
                flow("goes") + flow("stays"),
                counted(old),
                "{word}: {flows}"
            );
            assert_eq!(
                flow("comes") + flow("stays"),
                counted(&new),
                "{word}: {flows}"
            );
        }
    }
    let people = one(project, "SELECT count(DISTINCT canonical_id) FROM person");
    assert_eq!(effect["people_after"].to_string(), people);
    let identifiers = one(project, "SELECT count(*) FROM person");
    assert_eq!(effect["identifiers_after"].to_string(), identifiers);
    let merged = effect["examples"]
        .as_array()
        .unwrap()
        .iter()
        .find(|example| example["kind"] == "merged")
        .unwrap();
    let old = merged["from_canonical_id"].as_str().unwrap();
    let told = run(project, &["profile", "show", old, "--output", "json"]).ok();
    assert_eq!(told.json()["canonical_id"], merged["into_canonical_id"]);
    assert_ne!(ids(project), before.0);

    // And back: the same ids for the same identifiers, and the project's own tests agree.
    copy(
        &repository().join("tests/projects/identity_rules/models"),
        &project.join("models"),
    );
    let back = plan(&["--output", "json"]).ok().json();
    let split = back["nodes"][0]["identity"]["split"].as_u64().unwrap();
    run(project, &["build"]).ok();
    assert_eq!(counts(project, LAST_CHANGES).get("split"), Some(&split));
    assert_eq!(ids(project), before.0);
    let told = run(project, &["profile", "show", old, "--output", "json"]).ok();
    assert_eq!(told.json()["canonical_id"], old);

    plan(&["--select", "persn"]).code(2).says("persn");
}

const PEOPLE: &[(&str, &str)] = &[
    ("kinfold.yml", "name: people\n"),
    (
        "seeds/observations.csv",
        "source,record_id,id_type,id_value,observed_at\n\
         crm,1,user_id,ann,2026-01-01T10:00:00\n\
         crm,1,email,zyzzyva.ann@example.org,2026-01-01T10:00:00\n\
         crm,1,email,second.zyzzyva@example.org,2026-01-01T10:00:00\n\
         crm,1,phone,zyzzyva-no-number,2026-01-01T10:00:00\n\
         web,w-zyzzyva,anonymous_id,zyzzyva-laptop,2026-01-02T10:00:00\n\
         web,w-zyzzyva,user_id,ann,2026-01-02T10:00:00\n\
         web,w1,anonymous_id,tablet,2026-01-02T10:00:00\n\
         web,w1,user_id,ann,2026-01-02T10:00:00\n\
         web,w2,anonymous_id,tablet,2026-01-03T10:00:00\n\
         web,w2,user_id,bob,2026-01-03T10:00:00\n\
         crm,2,user_id,bob,2025-01-01T10:00:00\n\
         crm,2,email,bob@example.org,2025-01-01T10:00:00\n\
         crm,3,user_id,cid,2026-01-01T10:00:00\n\
         crm,3,email,cid@example.org,2026-01-01T10:00:00\n",
    ),
    (
        "models/person.sql",
        "select source, record_id, id_type, id_value, observed_at from {{ ref('observations') }}\n",
    ),
    (
        "models/person.yml",
        "models:\n  - name: person\n    config:\n      materialized: identity\n      identifiers:\n        \
         user_id: {limit: 1 ever}\n        email: {normalise: email}\n        \
         phone: {normalise: phone, country: DE}\n",
    ),
    (
        "models/person_profile.sql",
        "{{ config(materialized='profile') }}\n\
         select canonical_id, max(id_value) filter (where id_type = 'email') as email, count(*) as identifiers\n\
         from {{ ref('person') }} group by canonical_id\n",
    ),
    (
        "models/known.sql",
        "{{ config(materialized='segment') }}\n\
         select canonical_id, email from {{ ref('person_profile') }} where email is not null\n",
    ),
    (
        "connections/out.yml",
        "connections:\n  - {name: out, kind: files, location: out}\n",
    ),
    (
        "syncs/out.yml",
        "syncs:\n  - {name: out, from: ref('known'), connection: out, object: people, mode: mirror, \
         key: {email: email}, mapping: {since: entered_at}, guards: {max_removals: 100}}\n",
    ),
];

pub fn somebody_is_erased_and_stays_away() {
    let project = folder();
    write(project.path(), PEOPLE);
    let project = project.path();
    let lake = project.join(".kinfold/lake");
    run(project, &["build"]).ok();
    // Ann and Bob were one for a while, so that there is a past, of both.
    let rules = project.join("models/person.yml");
    replace(&rules, "limit: 1 ever", "limit: 2 ever");
    run(project, &["build"]).ok();
    replace(&rules, "limit: 2 ever", "limit: 1 ever");
    run(project, &["build"]).ok();
    run(project, &["sync"]).ok();
    let ann = id_of(project, "ann");
    let everybody_else = |relation: &str| -> Vec<Value> {
        let sql = format!("SELECT * FROM {relation} ORDER BY 1, 2, 3");
        let all = rows(project, &sql).into_iter();
        let hers = |row: &Value| {
            let text = row.to_string();
            let words = ["zyzzyva", "\"ann\"", "\"w1\"", &ann];
            words.iter().any(|word| text.contains(word))
        };
        all.filter(|row| !hers(row)).collect()
    };
    let relations = [
        "person",
        "person__records",
        "person__edges",
        "person__alarms",
        "person__history",
        "person_profile",
        "person_profile__history",
        "known",
        "known__history",
    ];
    let others: Vec<_> = relations.iter().map(|r| everybody_else(r)).collect();
    let erased = ["person", "person_profile", "known"];
    let traces = || -> Vec<PathBuf> {
        let tables = fs::read_dir(lake.join("main")).unwrap();
        let tables = tables.map(|entry| entry.unwrap().path()).filter(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            erased
                .iter()
                .any(|model| name == *model || name.starts_with(&format!("{model}__")))
        });
        let texts = ["zyzzyva"];
        tables
            .flat_map(|table| texts.map(|text| with_text(&table, text)))
            .flatten()
            .collect()
    };
    assert!(traces().len() > 8, "{:?}", traces());

    // Who is nobody, and what is no identity, cannot be erased.
    let erase = |arguments: &[&str]| run(project, &[&["identity", "erase"], arguments].concat());
    erase(&["persn", "user_id:ann"])
        .code(2)
        .says("there is no published identity `persn`")
        .says("did you mean `person`?");
    erase(&["person", "user_id:zoe"])
        .code(2)
        .says("there is no person");
    erase(&["person"]).code(2);

    // A dry run counts, and writes nothing.
    let stored = files(&lake);
    let dry = erase(&["person", "user_id:ann", "--dry-run", "--output", "json"]).ok();
    assert_eq!(files(&lake), stored);
    let done = erase(&["person", "user_id:ann", "--output", "json"]).ok();
    let (dry, done) = (dry.json(), done.json());
    for part in ["people", "identifiers", "records", "tables"] {
        assert_eq!(dry[part], done[part], "{part}");
    }
    assert_eq!((&done["people"], &done["records"]), (&json!(1), &json!(3)));
    // Two addresses, a user, a laptop, and the number that is none.
    assert_eq!(done["identifiers"], 5, "{done}");
    assert_eq!(done["not_searched"], json!(["seed.people.observations"]));
    assert_eq!(done["kept"], json!([]));

    assert_eq!(traces(), Vec::<PathBuf>::new());
    let left: Vec<_> = relations.iter().map(|r| everybody_else(r)).collect();
    for ((relation, left), others) in relations.iter().zip(&left).zip(&others) {
        assert_eq!(left, others, "{relation}");
        let sql = format!("SELECT * FROM {relation}");
        assert_eq!(rows(project, &sql).len(), left.len(), "{relation}");
    }
    // Only her ids are left, as gone.
    let sql = format!("SELECT canonical_id FROM person__aliases WHERE old_canonical_id = '{ann}'");
    assert_eq!(one(project, &sql), "null");
    run(project, &["profile", "show", &ann]).code(2);
    run(project, &["profile", "show", "user_id:ann"]).code(2);
    let names_her = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap_or_default();
        text.contains("zyzzyva") || text.contains("user_id")
    };
    let lists = files(&lake.join("_kinfold/suppressed"));
    assert_eq!(lists.len(), 1);
    assert!(!lists.iter().any(names_her));

    // Her rows are still in the seed: neither the next build, nor one of everything, nor a row more brings
    // her back, and nobody else is touched.
    let built = run(project, &["build", "--output", "json"]).ok().json();
    let person = |built: &Value| -> Value {
        let nodes = built["nodes"].as_array().unwrap();
        let node = nodes.iter().find(|n| n["id"] == "model.people.person");
        node.unwrap()["status"].clone()
    };
    assert_eq!(person(&built), "built");
    let again = run(project, &["build", "--output", "json"]).ok().json();
    assert_eq!(person(&again), "skipped");
    run(project, &["build", "--full-refresh"]).ok();
    replace(
        &project.join("seeds/observations.csv"),
        "crm,2,user_id,bob,2025-01-01T10:00:00\n",
        "crm,2,user_id,bob,2025-01-01T10:00:00\n\
         web,w9,user_id,ann,2026-02-01T10:00:00\n\
         web,w9,email, Zyzzyva.Ann@Example.org ,2026-02-01T10:00:00\n",
    );
    run(project, &["build"]).ok();
    assert_eq!(traces(), Vec::<PathBuf>::new());
    for ((relation, _), others) in relations.iter().zip(&left).zip(&others) {
        // That a limit kept the two apart is no news any more.
        if !relation.ends_with("__history") && *relation != "person__alarms" {
            let sql = format!("SELECT * FROM {relation} ORDER BY 1, 2, 3");
            assert_eq!(&rows(project, &sql), others, "{relation}");
        }
    }
    // Syncs go on, and take her out of the destination.
    let sent = run(project, &["sync", "--output", "json"]).ok();
    assert!(
        sent.stdout.contains("\"removals\":1") || sent.stdout.contains("\"removals\": 1"),
        "{sent:?}"
    );
    // Erasing her once more changes nothing.
    erase(&["person", "user_id:ann"]).ok().says("erased before");
    erase(&["person", &ann]).ok();
}

pub fn old_ids_resolve_for_ever() {
    let project = folder();
    let observations = |bridges: &[&str]| {
        let mut text = "source,record_id,id_type,id_value,observed_at\n".to_owned();
        for (at, user) in ["a", "b", "c"].iter().enumerate() {
            text.push_str(&format!(
                "crm,{user},user_id,{user},2026-01-0{}T10:00:00\n",
                at + 1
            ));
        }
        for bridge in bridges {
            for user in bridge.split('+') {
                text.push_str(&format!(
                    "desk,{bridge},user_id,{user},2026-02-01T10:00:00\n"
                ));
            }
        }
        text
    };
    write(project.path(), PEOPLE);
    let project = project.path();
    fs::remove_dir_all(project.join("syncs")).unwrap();
    replace(
        &project.join("models/person.yml"),
        "limit: 1 ever",
        "limit: 9 ever",
    );
    let build = |bridges: &[&str], arguments: &[&str]| {
        fs::write(
            project.join("seeds/observations.csv"),
            observations(bridges),
        )
        .unwrap();
        run(project, &[&["build"], arguments].concat()).ok();
    };
    // An event has the id that it had at first, and the current one.
    let records = || {
        rows(
            project,
            "SELECT record_id, canonical_id, first_canonical_id FROM person__records \
             WHERE source = 'crm' ORDER BY 1",
        )
    };
    let aliases = || {
        rows(
            project,
            "SELECT old_canonical_id, canonical_id FROM person__aliases ORDER BY 1",
        )
    };
    build(&[], &[]);
    let [a, b, c] = ["a", "b", "c"].map(|user| id_of(project, user));
    let expect = |now: [&str; 3]| -> Vec<Value> {
        let rows = ["a", "b", "c"].iter().zip(now).zip([&a, &b, &c]);
        rows.map(|((record, now), first)| {
            json!({"record_id": record, "canonical_id": now, "first_canonical_id": first})
        })
        .collect()
    };
    assert_eq!(records(), expect([&a, &b, &c]));
    assert_eq!(aliases(), Vec::<Value>::new());

    build(&["b+c"], &[]);
    let bc = id_of(project, "b");
    assert!([&b, &c].contains(&&bc));
    assert_eq!(records(), expect([&a, &bc, &bc]));

    // A merge of merges, by a full refresh as by any other build.
    build(&["b+c", "a+b"], &["--full-refresh"]);
    let all = id_of(project, "a");
    assert_eq!(records(), expect([&all, &all, &all]));
    let old: BTreeSet<&String> = [&a, &b, &c].into_iter().filter(|id| **id != all).collect();
    let told: Vec<Value> = old
        .iter()
        .map(|id| json!({"old_canonical_id": id, "canonical_id": all}))
        .collect();
    assert_eq!(aliases(), told);
    for id in [&a, &b, &c] {
        let shown = run(project, &["profile", "show", id, "--output", "json"]).ok();
        assert_eq!(shown.json()["canonical_id"], all.as_str());
        assert_eq!(shown.json()["merged_from"].as_array().unwrap().len(), 2);
    }

    // Undone, everybody is who they were; and merged again.
    build(&[], &[]);
    assert_eq!(records(), expect([&a, &b, &c]));
    assert_eq!(aliases(), Vec::<Value>::new());
    build(&["a+c"], &[]);
    let ac = id_of(project, "a");
    assert_eq!(records(), expect([&ac, &b, &ac]));
    assert_eq!(aliases().len(), 1);
    // Who is gone stands for nobody.
    fs::write(
        project.join("seeds/observations.csv"),
        "source,record_id,id_type,id_value,observed_at\ncrm,b,user_id,b,2026-01-02T10:00:00\n",
    )
    .unwrap();
    run(project, &["build"]).ok();
    let gone = rows(
        project,
        "SELECT DISTINCT canonical_id AS now FROM person__aliases",
    );
    assert_eq!(gone, [json!({"now": null})]);
    run(project, &["profile", "show", &ac])
        .code(2)
        .says("there is no person");
    // What they had before is known by time.
    let history = rows(
        project,
        "SELECT id_value, count(*) AS times FROM person__history GROUP BY 1 ORDER BY 1",
    );
    assert!(history.len() > 1, "{history:?}");
}

pub fn a_hub_keeps_people_apart() {
    let project = folder();
    write(
        project.path(),
        &[
            ("kinfold.yml", "name: hub\n"),
            (
                "models/numbers.sql",
                "select unnest(range(0, {{ var('records', 100000) }})) as n\n",
            ),
            (
                "models/person.sql",
                "select 'shop' as source, cast(n as varchar) as record_id, 'user_id' as id_type, \
                 'u' || cast(n as varchar) as id_value, timestamp '2026-01-01' as observed_at from {{ ref('numbers') }}\n\
                 union all\n\
                 select 'shop', cast(n as varchar), 'email', 'till@shop.example', timestamp '2026-01-01' \
                 from {{ ref('numbers') }}\n",
            ),
            (
                "models/person.yml",
                "models:\n  - name: person\n    config:\n      materialized: identity\n      identifiers:\n        \
                 user_id: {limit: 1 ever}\n        email: {normalise: email, max_records: 500}\n",
            ),
        ],
    );
    let project = project.path();
    run(project, &["build"]).ok();
    let people = one(project, "SELECT count(DISTINCT canonical_id) FROM person");
    assert_eq!(people, "100000");
    let alarms = rows(
        project,
        "SELECT reason, id_type, id_value, canonical_id, size FROM person__alarms",
    );
    let hub = json!({
        "reason": "hub", "id_type": "email", "id_value": "till@shop.example", "canonical_id": null, "size": 100_000,
    });
    assert_eq!(alarms, [hub]);
    let refused = counts(project, REJECTED);
    assert_eq!(refused, BTreeMap::from([("hub".to_owned(), 100_000)]));
}

pub fn households_follow_people() {
    let project = folder();
    write(
        project.path(),
        &[
            ("kinfold.yml", "name: homes\n"),
            (
                "seeds/people.csv",
                "record_id,user_id,address,seen_at\n\
                 1,ann,1 Elm Street,2026-01-01T10:00:00\n\
                 2,bob,1 elm  street,2026-01-02T10:00:00\n\
                 3,cid,9 Oak Road,2026-01-03T10:00:00\n\
                 4,dee,9 Oak Road,2026-01-04T10:00:00\n",
            ),
            ("seeds/same.csv", "one,other\nnobody,nobody\n"),
            (
                "models/person.sql",
                "{{ config(materialized='identity', entity='person') }}\n\
                 select 'crm' as source, cast(record_id as varchar) as record_id, 'user_id' as id_type, user_id as id_value, \
                 seen_at as observed_at from {{ ref('people') }}\n\
                 union all\n\
                 select 'same', one || ' ' || other, 'user_id', unnest([one, other]), timestamp '2026-02-01' \
                 from {{ ref('same') }} where one <> 'nobody'\n",
            ),
            (
                "models/household.sql",
                "{{ config(materialized='identity', entity='household') }}\n\
                 with homes as (\n    \
                     select r.canonical_id, p.address, p.seen_at\n    \
                     from {{ ref('people') }} as p\n    \
                     inner join {{ ref('person__records') }} as r\n        \
                         on r.source = 'crm' and r.record_id = cast(p.record_id as varchar)\n\
                 )\n\
                 select 'person' as source, canonical_id as record_id, 'person' as id_type, canonical_id as id_value, \
                 seen_at as observed_at from homes\n\
                 union all\n\
                 select 'person', canonical_id, 'address', lower(regexp_replace(address, '\\s+', ' ', 'g')), seen_at from homes\n",
            ),
            (
                "models/household.yml",
                "models:\n  - name: household\n    config:\n      identifiers:\n        person: {}\n        address: {max_records: 10}\n",
            ),
        ],
    );
    let project = project.path();
    run(project, &["build"]).ok();
    let household = |user: &str| {
        one(
            project,
            &format!(
                "SELECT h.canonical_id FROM household AS h INNER JOIN person AS p \
                 ON h.id_type = 'person' AND h.id_value = p.canonical_id WHERE p.id_value = '{user}'"
            ),
        )
    };
    let people = || one(project, "SELECT count(DISTINCT canonical_id) FROM person");
    let homes = || {
        one(
            project,
            "SELECT count(DISTINCT canonical_id) FROM household",
        )
    };
    assert_eq!((people(), homes()), ("4".to_owned(), "2".to_owned()));
    let (elm, oak) = (household("ann"), household("cid"));
    assert_eq!(
        (household("bob"), household("dee")),
        (elm.clone(), oak.clone())
    );

    // Bob and Cid turn out to be one, so their homes are one.
    fs::write(project.join("seeds/same.csv"), "one,other\nbob,cid\n").unwrap();
    run(project, &["build"]).ok();
    assert_eq!((people(), homes()), ("3".to_owned(), "1".to_owned()));
    let joined = household("ann");
    let old = if joined == elm { &oak } else { &elm };
    let sql =
        format!("SELECT canonical_id FROM household__aliases WHERE old_canonical_id = '{old}'");
    assert_eq!(one(project, &sql), joined);
    assert!([&elm, &oak].contains(&&joined));

    // They were not: the households are what they were.
    fs::write(project.join("seeds/same.csv"), "one,other\nnobody,nobody\n").unwrap();
    run(project, &["build"]).ok();
    assert_eq!((people(), homes()), ("4".to_owned(), "2".to_owned()));
    assert_eq!((household("ann"), household("bob")), (elm.clone(), elm));
    assert_eq!((household("cid"), household("dee")), (oak.clone(), oak));
}

pub fn a_person_is_shown_with_what_is_known() {
    let project = folder();
    write(project.path(), PEOPLE);
    write(
        project.path(),
        &[
            (
                "models/person_origins.sql",
                "select canonical_id, 'email' as attribute, 1 as position, 'crm' as source, \
                 max(last_seen_at) as observed_at from {{ ref('person') }} group by canonical_id\n",
            ),
            (
                "models/beside.sql",
                "{{ config(materialized='profile') }}\n\
                 select canonical_id, count(*) as devices, 'web' as devices_source, \
                 max(last_seen_at) as devices_observed_at from {{ ref('person') }} group by canonical_id\n",
            ),
        ],
    );
    let project = project.path();
    run(project, &["build"]).ok();
    let show = |id: &str| {
        run(project, &["profile", "show", id, "--output", "json"])
            .ok()
            .json()
    };
    let told = show("user_id:bob");
    assert_eq!(told["syncs"][0]["status"], "not_sent", "{told}");
    run(project, &["sync"]).ok();
    let told = show("user_id:bob");
    let profile = |name: &str| {
        let profiles = told["profiles"].as_array().unwrap();
        profiles
            .iter()
            .find(|p| p["model"] == name)
            .unwrap()
            .clone()
    };
    let main = profile("person_profile");
    assert_eq!(main["traits"]["email"], "bob@example.org");
    assert_eq!(main["provenance"]["email"]["source"], "crm");
    assert!(main["provenance"]["email"]["observed_at"].is_string());
    assert_eq!(main["provenance"].get("identifiers"), None);
    let beside = profile("beside");
    assert_eq!(beside["provenance"]["devices"]["source"], "web");
    assert_eq!(beside["traits"].get("devices_source"), None);
    assert_eq!(told["segments"][0]["model"], "known");
    assert_eq!(
        told["segments"][0]["because"],
        json!({"email": "bob@example.org"})
    );
    let sync = &told["syncs"][0];
    assert_eq!(sync["key"], json!({"email": "bob@example.org"}));
    assert_eq!(
        (
            &sync["sync"],
            &sync["connection"],
            &sync["object"],
            &sync["status"]
        ),
        (
            &json!("out"),
            &json!("out"),
            &json!("people"),
            &json!("delivered")
        )
    );
    assert!(sync["acknowledged_at"].is_string(), "{sync}");
    for other in ["ann", "zyzzyva", "cid@example.org"] {
        assert!(!told.to_string().contains(other), "{other}: {told}");
    }
    let text = run(project, &["profile", "show", "bob@example.org"])
        .ok()
        .stdout;
    for part in [
        "email: bob@example.org   (crm, 2026-",
        "known since ",
        "(email: bob@example.org)",
        "out → out people email=bob@example.org: delivered, 20",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}
