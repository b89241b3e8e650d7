//! A hub of many people, and households of people.

use std::collections::BTreeMap;
use std::fs;

use serde_json::json;

use super::{REJECTED, counts, one, rows, run};
use crate::program::{folder, write};

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
