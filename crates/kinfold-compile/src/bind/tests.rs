#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use chrono::{TimeZone, Utc};
use datafusion::arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use datafusion::execution::runtime_env::RuntimeEnv;
use kinfold_project::{NodeId, ResourceType};

use super::*;
use crate::session::{SessionOptions, session_state};

fn binder() -> Binder {
    let options = SessionOptions {
        as_of: Utc.with_ymd_and_hms(2026, 1, 2, 3, 4, 5).unwrap(),
        target_partitions: 2,
        spilling_joins: false,
    };
    let mut binder = Binder::new(session_state(&options, Arc::new(RuntimeEnv::default())));
    let columns = Schema::new(vec![
        Field::new("order_id", DataType::Int64, true),
        Field::new("customer", DataType::Utf8, true),
        Field::new("amount", DataType::Float64, true),
        Field::new(
            "placed_at",
            DataType::Timestamp(TimeUnit::Microsecond, None),
            true,
        ),
    ]);
    let id = NodeId::new(ResourceType::Model, &["shop", "orders"]);
    binder
        .add_table(RelationKey::own(id), "main", "orders", Arc::new(columns))
        .unwrap();
    binder
}

/// Binds a statement in which `«…»` marks the expected place of each problem, in order.
fn places(marked: &str) -> Vec<(String, String)> {
    let sql = marked.replace(['«', '»'], "");
    let expected: Vec<&str> = marked
        .split('«')
        .skip(1)
        .map(|t| t.split('»').next().unwrap())
        .collect();
    let found = binder().bind(&sql).unwrap_err();
    let mut ranges: Vec<_> = found.iter().map(|p| p.range.clone().unwrap()).collect();
    ranges.sort_by_key(|r| r.start);
    let texts: Vec<&str> = ranges.iter().map(|r| sql.get(r.clone()).unwrap()).collect();
    assert_eq!(texts, expected, "{found:#?}");
    found
        .into_iter()
        .map(|p| (p.code.name.to_owned(), p.message))
        .collect()
}

fn one(marked: &str, code: &str) -> String {
    let found = places(marked);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].0, code, "{found:?}");
    found[0].1.clone()
}

const O: &str = r#""kinfold"."main"."orders""#;

#[test]
fn a_sound_query_binds_to_its_columns() {
    let plan = binder()
        .bind(&format!(
            "SELECT customer, sum(amount) AS total FROM {O} GROUP BY ALL"
        ))
        .unwrap();
    let names: Vec<&str> = plan
        .schema()
        .fields()
        .iter()
        .map(|f| f.name().as_str())
        .collect();
    assert_eq!(names, ["customer", "total"]);
}

#[test]
fn an_unknown_column_points_at_the_column() {
    let message = one(
        &format!("SELECT\n  order_id,\n  «custmer»\nFROM {O}"),
        "unknown-column",
    );
    assert_eq!(message, "column `custmer` not found");
}

#[test]
fn all_wrong_items_are_reported_together() {
    let found = places(&format!(
        "SELECT «a», order_id, upper(«b») AS x FROM {O} WHERE «c» > 1 AND amount > 0"
    ));
    assert_eq!(found.len(), 3);
}

#[test]
fn a_wrong_cte_is_reported_once_and_what_reads_it_is_not() {
    places(&format!(
        "WITH a AS (SELECT «nope» FROM {O}), b AS (SELECT nope, z FROM a), c AS (SELECT «wrong» FROM {O}) SELECT * FROM b JOIN c ON true"
    ));
}

#[test]
fn functions_and_types() {
    one(
        &format!("SELECT «totally_unknown»(amount) FROM {O}"),
        "unknown-function",
    );
    one(
        &format!("SELECT order_id, «sum(customer, 3)» AS s FROM {O} GROUP BY order_id"),
        "type-mismatch",
    );
    one(
        &format!("SELECT 1 AS x FROM {O} WHERE «placed_at + amount» > 3"),
        "type-mismatch",
    );
    one(
        &format!("SELECT «customer», count(*) AS n FROM {O}"),
        "not-grouped",
    );
    one(
        &format!("SELECT o.order_id FROM {O} o JOIN {O} p ON o.order_id = «p.ordr_id»"),
        "unknown-column",
    );
    one(
        &format!("SELECT «order_id» FROM {O} o JOIN {O} p ON o.order_id = p.order_id"),
        "ambiguous-column",
    );
}

#[test]
fn set_operations_and_subqueries() {
    places(&format!(
        "SELECT «x» FROM {O} UNION ALL SELECT «y» FROM {O}"
    ));
    // Columns of later arms have the names of the first, so they may be alike.
    places(&format!(
        "SELECT order_id, customer, «x» FROM {O} UNION ALL SELECT NULL, NULL, customer FROM {O}"
    ));
    places(&format!(
        "SELECT s.total FROM (SELECT «tot» AS total FROM {O}) s"
    ));
    places(&format!(
        "SELECT order_id FROM {O} o WHERE EXISTS (SELECT 1 FROM {O} p WHERE p.order_id = «o.nope»)"
    ));
}

#[test]
fn syntax_errors_have_a_place() {
    one(
        &format!("SELECT order_id,, «» FROM {O}").replace(",, «»", ", «,»"),
        "sql-syntax",
    );
    let found = binder().bind("SELECT (1 + ").unwrap_err();
    assert_eq!(found[0].code.name, "sql-syntax");
    assert!(found[0].range.is_some());
}

#[test]
fn a_lock_is_marked_and_not_the_query_before_it() {
    let sql = "SELECT substring(customer FROM 1 FOR 3) AS c FROM kinfold.main.orders ORDER BY c LIMIT 3 «FOR UPDATE» NOWAIT";
    one(sql, "clause-without-effect");
}

#[test]
fn what_the_engine_would_ignore_is_refused() {
    for (sql, code) in [
        (format!("SELECT * FROM {O} VERSION AS OF 3"), None),
        (
            format!("SELECT * FROM {O} TABLESAMPLE (10 ROWS)"),
            Some("clause-without-effect"),
        ),
        (
            format!("SELECT * FROM {O} FOR UPDATE"),
            Some("clause-without-effect"),
        ),
        (
            format!("SELECT * FROM {O} a JOIN {O} b"),
            Some("join-without-condition"),
        ),
        (
            "SELECT * FROM orders".to_owned(),
            Some("relation-without-ref"),
        ),
        ("DROP TABLE x".to_owned(), Some("not-a-query")),
        ("SELECT 1; SELECT 2".to_owned(), Some("not-a-query")),
        (String::new(), Some("not-a-query")),
    ] {
        let found = binder().bind(&sql).unwrap_err();
        if let Some(code) = code {
            assert_eq!(found[0].code.name, code, "{sql}");
        }
    }
    binder()
        .bind(&format!(
            "WITH orders AS (SELECT * FROM {O}) SELECT * FROM orders CROSS JOIN {O} b"
        ))
        .unwrap();
}

#[test]
fn the_clock_is_the_runs_and_errors_of_constants_are_found() {
    binder()
        .bind("SELECT now() AS t, current_date AS d")
        .unwrap();
    let found = binder().bind("SELECT CAST('x' AS INT) AS i").unwrap_err();
    assert!(found[0].range.is_some(), "{found:?}");
}

#[test]
fn spans_count_characters_before_the_place() {
    one(
        &format!("SELECT 'été 🚀' AS s, «nope» FROM {O}"),
        "unknown-column",
    );
}

#[test]
fn a_name_that_a_result_has_twice_is_shown_where_it_comes_again() {
    for marked in [
        format!("SELECT order_id, «order_id» FROM {O}"),
        format!("SELECT order_id AS x, «amount AS X» FROM {O}"),
        format!("SELECT order_id, «amount AS order_id» FROM {O}"),
        format!("WITH a AS (SELECT order_id, «order_id» FROM {O}) SELECT order_id FROM a"),
    ] {
        one(&marked, "duplicate-column");
    }
    // These the planner accepts, so they are judged by their columns.
    for marked in [
        format!("SELECT a.order_id, «b.order_id» FROM {O} a CROSS JOIN {O} b"),
        format!("SELECT a.order_id, «b.*» FROM {O} a CROSS JOIN (SELECT order_id FROM {O}) b"),
        format!("SELECT 1 AS one, «*» FROM {O} a CROSS JOIN {O} b"),
    ] {
        let sql = marked.replace(['«', '»'], "");
        let plan = binder().bind(&sql).unwrap();
        let found = repeated_columns(&sql, plan.schema().as_arrow());
        assert_eq!(found.len(), 1, "{found:?}");
        let expected = marked.split(['«', '»']).nth(1).unwrap();
        assert_eq!(&sql[found[0].range.clone().unwrap()], expected);
    }
}

#[test]
fn many_statements_are_bound_within_one_task() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let binder = binder();
    runtime.block_on(async {
        for _ in 0..300 {
            binder
                .bind("SELECT order_id FROM kinfold.main.orders UNION ALL SELECT 1")
                .unwrap();
        }
    });
}

#[test]
fn columns_of_outer_joins_with_using_are_refused_where_they_would_be_wrong() {
    let refused = [
        // `*` takes the column of the side whose name sorts first.
        format!("SELECT * FROM {O} AS z RIGHT JOIN «{O} AS a» USING (order_id)"),
        format!("SELECT * EXCLUDE (amount) FROM {O} AS z LEFT JOIN «{O} AS a» USING (order_id)"),
        format!("SELECT * FROM {O} AS z NATURAL LEFT JOIN «{O} AS a»"),
        format!("SELECT * EXCLUDE (amount) FROM {O} AS z FULL JOIN «{O} AS a» USING (order_id)"),
        // A bare name takes that of the left side.
        format!("SELECT order_id FROM {O} AS a RIGHT JOIN «{O} AS z» USING (order_id)"),
        format!("SELECT Order_ID + 1 AS n FROM {O} AS a FULL JOIN «{O} AS z» USING (order_id)"),
        format!(
            "SELECT a.amount FROM {O} AS a FULL JOIN «{O} AS z» USING (order_id) WHERE order_id > 1"
        ),
        format!(
            "SELECT x FROM (SELECT order_id AS x FROM {O} AS a RIGHT JOIN «{O} AS z» USING (order_id)) AS t"
        ),
        format!(
            "SELECT a.amount FROM {O} AS a CROSS JOIN ({O} AS b FULL JOIN «{O} AS z» USING (order_id)) WHERE order_id > 1"
        ),
    ];
    for sql in refused {
        one(&sql, "outer-join-using");
    }
    let sound = [
        format!("SELECT * FROM {O} AS z JOIN {O} AS a USING (order_id)"),
        format!("SELECT order_id, a.amount FROM {O} AS z LEFT JOIN {O} AS a USING (order_id)"),
        format!(
            "SELECT coalesce(z.order_id, a.order_id) AS k FROM {O} AS z FULL JOIN {O} AS a USING (order_id)"
        ),
        format!(
            "SELECT z.*, count(*) OVER () AS n FROM {O} AS z LEFT JOIN {O} AS a USING (order_id)"
        ),
    ];
    for sql in sound {
        let bound = binder().bind(&sql);
        assert!(bound.is_ok(), "{sql}: {bound:?}");
    }
}

#[test]
fn from_alone_is_no_query() {
    let found = binder().bind(&format!("FROM {O}")).unwrap_err();
    assert_eq!(found[0].code.name, "not-a-query");
    assert_eq!(found[0].help, ["write `SELECT * FROM …`"]);
    let cte = format!("WITH t AS (FROM {O}) SELECT 1 AS one FROM t");
    assert_eq!(binder().bind(&cte).unwrap_err()[0].code.name, "not-a-query");
    assert!(binder().bind(&format!("FROM {O} SELECT order_id")).is_ok());
}

#[test]
fn texts_without_measure_are_not_made() {
    let binder = binder();
    for sql in [
        "SELECT repeat('x', 1000000000) AS a",
        "SELECT 1 AS a WHERE LPAD('x', 2e9) = 'y'",
    ] {
        let found = binder.bind(sql).unwrap_err();
        let codes: Vec<&str> = found.iter().map(|p| p.code.name).collect();
        assert_eq!(codes, ["sql-not-supported"], "{sql}");
    }
    for sql in [
        "SELECT repeat('x', 1000) AS a",
        "SELECT repeat(customer, order_id) AS a FROM \"kinfold\".\"main\".\"orders\"",
    ] {
        assert!(binder.bind(sql).is_ok(), "{sql}");
    }
}

#[test]
fn distinctness_binds_more_than_conjunction() {
    for (written, meant) in [
        (
            "a IS NOT DISTINCT FROM b AND c",
            "(a IS NOT DISTINCT FROM b) AND c",
        ),
        (
            "a AND NOT b IS DISTINCT FROM c OR a IS DISTINCT FROM b AND c",
            "(a AND (NOT (b IS DISTINCT FROM c))) OR ((a IS DISTINCT FROM b) AND c)",
        ),
    ] {
        let plan = |condition: &str| {
            let sql = format!(
                "SELECT 1 AS one FROM (VALUES (true, true, true)) AS t (a, b, c) WHERE {condition}"
            );
            binder().bind(&sql).unwrap().display_indent().to_string()
        };
        assert_eq!(plan(written), plan(meant));
    }
}

#[test]
fn all_columns_of_left_joins_are_written_out() {
    let written = |sql: &str| {
        let statements = super::statements(sql).unwrap();
        statements[0].to_string()
    };
    assert_eq!(
        written(
            "SELECT *, 1 FROM z LEFT JOIN a USING (k, l) JOIN (SELECT 1) AS b ON true JOIN c USING (k)"
        ),
        "SELECT z.*, a.* EXCLUDE (k, l), b.*, c.* EXCLUDE (k), 1 FROM z LEFT JOIN a USING(k, l) \
         JOIN (SELECT 1) AS b ON true JOIN c USING(k)"
    );
    for as_it_is in [
        "SELECT * FROM z JOIN a USING(k)",
        "SELECT z.* FROM z LEFT JOIN a USING(k)",
        "SELECT * FROM z LEFT JOIN a ON z.k = a.k",
    ] {
        assert_eq!(written(as_it_is), as_it_is);
    }
}
