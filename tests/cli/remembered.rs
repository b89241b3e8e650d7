//! Checks after checks: what is remembered hides nothing.

use crate::program::{folder, kinfold, write};

/// A change of what a node reads, calls or is configured with is seen by a check that knows the node.
pub fn what_a_node_sees_is_part_of_what_is_remembered() {
    let project = folder();
    let project = project.path();
    let check = |arguments: &[&str]| {
        let all: Vec<&str> = ["check"].iter().chain(arguments).copied().collect();
        kinfold(project, all).run()
    };
    let sound = [
        ("kinfold.yml", "name: some\n"),
        ("models/parent.sql", "SELECT 1 AS id, 2 AS n"),
        ("models/between.sql", "SELECT * FROM {{ ref('parent') }}"),
        (
            "models/child.sql",
            "SELECT id + n AS total FROM {{ ref('between') }} WHERE {{ least() }} < {{ var('most', 9) }}",
        ),
        ("macros/least.sql", "{% macro least() %}n{% endmacro %}"),
        (
            "models/grown.sql",
            "{{ config(materialized='incremental', unique_key='id') }} SELECT id, n FROM {{ ref('parent') }}",
        ),
        (
            "models/crowd.sql",
            "{{ config(materialized='segment', entity='person') }} SELECT 'a' AS canonical_id",
        ),
        (
            "models/members.sql",
            "SELECT canonical_id, exited_at FROM {{ ref('crowd__history') }}",
        ),
    ];
    write(project, &sound);
    for _ in 0..2 {
        assert_eq!(check(&[]).ok().stderr, "6 nodes and 0 syncs checked\n");
    }
    for (file, text, said) in [
        (
            "models/parent.sql",
            "SELECT 1 AS key, 2 AS n",
            "models/child.sql:1:8",
        ),
        (
            "models/parent.sql",
            "SELECT 1 AS id, [2] AS n",
            "models/child.sql",
        ),
        (
            "models/between.sql",
            "SELECT id FROM {{ ref('parent') }}",
            "column `n` not found",
        ),
        (
            "macros/least.sql",
            "{% macro least() %}m{% endmacro %}",
            "column `m` not found",
        ),
        (
            "models/grown.sql",
            "{{ config(materialized='incremental', unique_key='key') }} SELECT id, n FROM {{ ref('parent') }}",
            "`unique_key` names `key`",
        ),
        (
            "models/grown.sql",
            "{{ config(materialized='segment', entity='person') }} SELECT id, n FROM {{ ref('parent') }}",
            "canonical_id",
        ),
        (
            "models/crowd.sql",
            "{{ config(materialized='table') }} SELECT 'a' AS canonical_id",
            "models/members.sql",
        ),
    ] {
        write(project, &[(file, text)]);
        // What is wrong is told by every check.
        for _ in 0..2 {
            let ran = check(&[]).code(1);
            assert!(ran.stderr.contains(said), "{said}: {ran:?}");
        }
        write(project, &sound);
        check(&[]).ok();
    }
    let ran = check(&["--vars", "{most: nothing}"]).code(1);
    assert!(ran.stderr.contains("`nothing`"), "{ran:?}");
    check(&[]).ok();
}
