#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};

use super::{Certainty, Meaning};
use crate::bind::Binder;
use crate::compile::Determinism;
use crate::lineage::tests::{binder, in_full};

fn meaning(binder: &Binder, sql: &str) -> Option<Meaning> {
    let plan = binder
        .bind(&in_full(sql))
        .map_err(|problems| format!("{sql}: {problems:?}"));
    let plan = binder.expand(plan.unwrap()).unwrap();
    Meaning::of(&plan)
}

fn certain(binder: &Binder, sql: &str) -> Meaning {
    let found = meaning(binder, sql).ok_or_else(|| format!("has no meaning: {sql}"));
    found.unwrap()
}

/// Fingerprints of the rows and, by name, of the columns.
fn prints(meaning: &Meaning) -> (String, BTreeMap<String, String>) {
    let columns = meaning.columns.iter();
    let columns = columns.map(|(name, print)| (name.clone(), print.fingerprint.to_string()));
    (meaning.rows.fingerprint.to_string(), columns.collect())
}

/// Queries that say the same in other words.
const SAME: &[&[&str]] = &[
    // Layout, comments, names inside, order of conditions and of what is selected.
    &[
        "SELECT id, amt FROM @o WHERE amt > 1 AND cust = 2",
        "select x.id, -- a comment\n x.amt from @o as x where x.cust = 2 and x.amt > 1",
        "SELECT amt, id FROM (SELECT * FROM @o WHERE cust = 2) AS y WHERE amt > 1",
    ],
    // Order and names of common tables, and those that nobody reads.
    &[
        "WITH a AS (SELECT id, cust FROM @o), b AS (SELECT id, email FROM @c) SELECT a.id, b.email FROM a JOIN b ON a.cust = b.id",
        "WITH second AS (SELECT email, id FROM @c), unused AS (SELECT url FROM @e), first AS (SELECT cust, id, amt FROM @o) SELECT f.id, s.email FROM first f JOIN second s ON f.cust = s.id",
    ],
    // Columns of subqueries that nobody reads.
    &[
        "SELECT cust, sum(id) AS n FROM (SELECT id, cust FROM @o) GROUP BY cust",
        "SELECT cust, sum(id) AS n FROM (SELECT id, cust, upper(status) AS s, random() AS r FROM @o) GROUP BY cust",
        "SELECT cust, n FROM (SELECT cust, sum(id) AS n, max(placed) AS last, count(*) AS how_many FROM @o GROUP BY 1) AS g",
    ],
    &[
        "SELECT id FROM @o WHERE EXISTS (SELECT 1 FROM @c WHERE @c.id = cust)",
        "SELECT id FROM @o WHERE EXISTS (SELECT email, country FROM @c WHERE @c.id = cust)",
    ],
    &[
        "SELECT id FROM @o WHERE status IN ('a', 'b') OR amt > 2 OR cust = 1",
        "SELECT id FROM @o WHERE cust = 1 OR (amt > 2 OR status IN ('b', 'a'))",
    ],
    // An order inside is dropped when the query is bound.
    &[
        "SELECT id FROM (SELECT id FROM @o ORDER BY id) AS s LIMIT 3",
        "SELECT id FROM (SELECT id FROM @o ORDER BY id DESC) AS s LIMIT 3",
    ],
    &[
        "SELECT DISTINCT id, cust FROM @o",
        "SELECT DISTINCT cust, id FROM @o",
    ],
    &[
        "SELECT a.id FROM @o a JOIN @e b ON a.cust = b.cust AND a.placed = b.seen AND b.n > a.amt AND b.kind <> 'x'",
        "SELECT p.id FROM @o p JOIN @e q ON q.kind <> 'x' AND p.placed = q.seen AND q.n > p.amt AND p.cust = q.cust",
    ],
    &[
        "SELECT id, row_number() OVER (PARTITION BY cust, status ORDER BY placed) AS n FROM @o",
        "SELECT id, row_number() OVER w AS n FROM (SELECT id, status AS s, cust AS c, placed AS p FROM @o) WINDOW w AS (PARTITION BY s, c ORDER BY p)",
    ],
];

#[test]
fn other_words_are_the_same_meaning() {
    let binder = binder();
    for group in SAME {
        let first = prints(&certain(&binder, group[0]));
        for other in &group[1..] {
            let other_is = prints(&certain(&binder, other));
            assert_eq!(other_is, first, "{} / {other}", group[0]);
        }
    }
}

/// A query, one that differs from it, and what of it differs: names of columns, `*` for the rows.
const DIFFERENT: &[(&str, &str, &[&str])] = &[
    // Constants, functions, types.
    (
        "SELECT id, amt + 1 AS a FROM @o",
        "SELECT id, amt + 2 AS a FROM @o",
        &["a"],
    ),
    (
        "SELECT id, amt + 1 AS a FROM @o",
        "SELECT id, amt + 1.0 AS a FROM @o",
        &["a"],
    ),
    (
        "SELECT id, amt - 1 AS a FROM @o",
        "SELECT id, 1 - amt AS a FROM @o",
        &["a"],
    ),
    (
        "SELECT id, amt - 1 - cust AS a FROM @o",
        "SELECT id, amt - (1 - cust) AS a FROM @o",
        &["a"],
    ),
    (
        "SELECT id, upper(status) AS s FROM @o",
        "SELECT id, lower(status) AS s FROM @o",
        &["s"],
    ),
    (
        "SELECT CAST(id AS INT) AS i FROM @o",
        "SELECT CAST(id AS SMALLINT) AS i FROM @o",
        &["i"],
    ),
    (
        "SELECT CAST(amt AS INT) AS i FROM @o",
        "SELECT TRY_CAST(amt AS INT) AS i FROM @o",
        &["i"],
    ),
    (
        "SELECT status LIKE 'a%' AS s FROM @o",
        "SELECT status NOT LIKE 'a%' AS s FROM @o",
        &["s"],
    ),
    (
        "SELECT status LIKE 'a%' AS s FROM @o",
        "SELECT status ILIKE 'a%' AS s FROM @o",
        &["s"],
    ),
    (
        "SELECT amt BETWEEN 1 AND 2 AS s FROM @o",
        "SELECT amt NOT BETWEEN 1 AND 2 AS s FROM @o",
        &["s"],
    ),
    (
        "SELECT CASE WHEN amt > 1 THEN 'a' END AS s FROM @o",
        "SELECT CASE WHEN amt > 1 THEN 'a' ELSE 'b' END AS s FROM @o",
        &["s"],
    ),
    (
        "SELECT CASE cust WHEN id THEN 1 ELSE 2 END AS s FROM @o",
        "SELECT CASE WHEN cust = id THEN 1 ELSE 2 END AS s FROM @o",
        &["s"],
    ),
    (
        "SELECT status = 'a' AND amt > 1 AS s FROM @o",
        "SELECT status = 'a' OR amt > 1 AS s FROM @o",
        &["s"],
    ),
    (
        "SELECT addr['city'] AS s FROM @o",
        "SELECT addr['zip'] AS s FROM @o",
        &["s"],
    ),
    // Filters.
    (
        "SELECT id FROM @o WHERE amt > 1",
        "SELECT id FROM @o WHERE amt > 2",
        &["*"],
    ),
    (
        "SELECT id FROM @o WHERE amt > 1",
        "SELECT id FROM @o",
        &["*"],
    ),
    (
        "SELECT id FROM @o WHERE amt > 1 AND cust = 2",
        "SELECT id FROM @o WHERE amt > 1 OR cust = 2",
        &["*"],
    ),
    (
        "SELECT id FROM @o WHERE cust IN (1, 2)",
        "SELECT id FROM @o WHERE cust IN (1, 3)",
        &["*"],
    ),
    (
        "SELECT id FROM @o WHERE cust IN (SELECT id FROM @c)",
        "SELECT id FROM @o WHERE cust NOT IN (SELECT id FROM @c)",
        &["*"],
    ),
    (
        "SELECT id FROM @o WHERE cust IN (SELECT id FROM @c)",
        "SELECT id FROM @o WHERE cust IN (SELECT parent FROM @c)",
        &["*"],
    ),
    (
        "SELECT id FROM @o WHERE EXISTS (SELECT 1 FROM @c WHERE @c.id = cust)",
        "SELECT id FROM @o WHERE EXISTS (SELECT 1 FROM @c WHERE @c.parent = cust)",
        &["*"],
    ),
    (
        "SELECT id FROM @o o WHERE EXISTS (SELECT 1 FROM @o i WHERE i.id = o.cust)",
        "SELECT id FROM @o o WHERE EXISTS (SELECT 1 FROM @o i WHERE i.id = i.cust)",
        &["*"],
    ),
    (
        "SELECT id FROM @o WHERE amt > (SELECT avg(amt) FROM @o)",
        "SELECT id FROM @o WHERE amt > (SELECT avg(amt) FROM @o WHERE id > 0)",
        &["*"],
    ),
    // Joins: sides, kinds, keys, and the same relation on both sides.
    (
        "SELECT a.id FROM @o a JOIN @c b ON a.cust = b.id",
        "SELECT a.id FROM @o a LEFT JOIN @c b ON a.cust = b.id",
        &["*"],
    ),
    (
        "SELECT a.id FROM @o a JOIN @c b ON a.cust = b.id",
        "SELECT a.id FROM @o a JOIN @c b ON a.cust = b.parent",
        &["*"],
    ),
    (
        "SELECT a.id FROM @o a JOIN @c b ON a.cust = b.id",
        "SELECT a.id FROM @o a LEFT SEMI JOIN @c b ON a.cust = b.id",
        &["*"],
    ),
    (
        "SELECT a.id FROM @o a LEFT SEMI JOIN @c b ON a.cust = b.id",
        "SELECT a.id FROM @o a LEFT ANTI JOIN @c b ON a.cust = b.id",
        &["*"],
    ),
    (
        "SELECT a.id AS i FROM @o a JOIN @o b ON a.cust = b.id",
        "SELECT b.id AS i FROM @o a JOIN @o b ON a.cust = b.id",
        &["i"],
    ),
    (
        "SELECT a.id FROM @o a JOIN @o b ON a.cust = b.id",
        "SELECT a.id FROM @o a JOIN @o b ON b.cust = a.id",
        &["*"],
    ),
    (
        "SELECT a.id FROM @o a JOIN @o b ON a.cust = b.id AND a.amt > 1",
        "SELECT a.id FROM @o a JOIN @o b ON a.cust = b.id AND b.amt > 1",
        &["*"],
    ),
    (
        "SELECT a.id FROM @o a CROSS JOIN @c b",
        "SELECT a.id FROM @o a",
        &["*", "id"],
    ),
    (
        "SELECT o.id, t.n FROM @o o CROSS JOIN LATERAL (SELECT count(*) AS n FROM @e WHERE @e.cust = o.cust) AS t",
        "SELECT o.id, t.n FROM @o o CROSS JOIN LATERAL (SELECT count(*) AS n FROM @e WHERE @e.cust = o.id) AS t",
        &["*"],
    ),
    // Groups: keys and aggregates, with all that they may have.
    (
        "SELECT sum(id) AS n FROM @o GROUP BY cust",
        "SELECT sum(id) AS n FROM @o GROUP BY status",
        &["*"],
    ),
    (
        "SELECT sum(id) AS n FROM @o GROUP BY cust",
        "SELECT sum(id) AS n FROM @o GROUP BY cust, status",
        &["*"],
    ),
    (
        "SELECT sum(id) AS n FROM @o GROUP BY cust",
        "SELECT sum(id) AS n FROM @o",
        &["*"],
    ),
    (
        "SELECT count(id) AS n FROM @o",
        "SELECT count(DISTINCT id) AS n FROM @o",
        &["n"],
    ),
    (
        "SELECT count(id) AS n FROM @o",
        "SELECT count(id) FILTER (WHERE amt > 1) AS n FROM @o",
        &["n"],
    ),
    (
        "SELECT array_agg(id ORDER BY id) AS n FROM @o",
        "SELECT array_agg(id ORDER BY id DESC) AS n FROM @o",
        &["n"],
    ),
    (
        "SELECT first_value(id ORDER BY placed) AS n FROM @o",
        "SELECT first_value(id ORDER BY placed NULLS FIRST) AS n FROM @o",
        &["n"],
    ),
    (
        "SELECT first_value(id ORDER BY placed) AS n FROM @o",
        "SELECT first_value(id IGNORE NULLS ORDER BY placed) AS n FROM @o",
        &["n"],
    ),
    (
        "SELECT cust, count(*) AS n FROM @o GROUP BY ROLLUP (cust, status)",
        "SELECT cust, count(*) AS n FROM @o GROUP BY CUBE (cust, status)",
        &["*"],
    ),
    (
        "SELECT cust FROM @o GROUP BY cust HAVING count(*) > 1",
        "SELECT cust FROM @o GROUP BY cust HAVING count(*) > 2",
        &["*"],
    ),
    (
        "SELECT cust FROM @o WHERE cust > 1 GROUP BY cust",
        "SELECT cust FROM @o GROUP BY cust HAVING cust > 1",
        &["*"],
    ),
    // Repetitions count: a column that is dropped after a distinct, a set operation.
    (
        "SELECT id FROM (SELECT DISTINCT id, cust FROM @o)",
        "SELECT id FROM (SELECT DISTINCT id, status FROM @o)",
        &["*"],
    ),
    (
        "SELECT DISTINCT id FROM @o",
        "SELECT id FROM @o",
        &["*", "id"],
    ),
    (
        "SELECT id FROM @o UNION SELECT id FROM @c",
        "SELECT id FROM @o UNION ALL SELECT id FROM @c",
        &["*", "id"],
    ),
    (
        "SELECT id FROM @o UNION ALL SELECT id FROM @c",
        "SELECT id FROM @o UNION ALL SELECT parent FROM @c",
        &["id"],
    ),
    (
        "SELECT id, amt FROM @o UNION ALL SELECT n, cust FROM @e",
        "SELECT id, amt FROM @o UNION ALL SELECT cust, n FROM @e",
        &["id", "amt"],
    ),
    (
        "SELECT id FROM @o UNION ALL SELECT id FROM @c",
        "SELECT id FROM @o UNION ALL SELECT id FROM @c UNION ALL SELECT id FROM @c",
        &["*", "id"],
    ),
    (
        "SELECT id FROM @o INTERSECT SELECT id FROM @c",
        "SELECT id FROM @o EXCEPT SELECT id FROM @c",
        &["*"],
    ),
    (
        "SELECT DISTINCT ON (cust) id FROM @o ORDER BY cust, placed",
        "SELECT DISTINCT ON (cust) id FROM @o ORDER BY cust, placed DESC",
        &["*"],
    ),
    // Limits and their order.
    (
        "SELECT id FROM @o ORDER BY placed LIMIT 3",
        "SELECT id FROM @o ORDER BY placed LIMIT 4",
        &["*"],
    ),
    (
        "SELECT id FROM @o ORDER BY placed LIMIT 3",
        "SELECT id FROM @o ORDER BY placed LIMIT 3 OFFSET 1",
        &["*"],
    ),
    (
        "SELECT id FROM @o ORDER BY placed LIMIT 3",
        "SELECT id FROM @o ORDER BY placed DESC LIMIT 3",
        &["*"],
    ),
    (
        "SELECT id FROM @o ORDER BY placed LIMIT 3",
        "SELECT id FROM @o ORDER BY amt LIMIT 3",
        &["*"],
    ),
    (
        "SELECT id FROM @o ORDER BY placed, amt LIMIT 3",
        "SELECT id FROM @o ORDER BY amt, placed LIMIT 3",
        &["*"],
    ),
    (
        "SELECT id FROM (SELECT id, amt FROM @o LIMIT 3) WHERE amt > 1",
        "SELECT id FROM @o WHERE amt > 1 LIMIT 3",
        &["*"],
    ),
    // Windows: partitions, orders, frames, and the rows that they see.
    (
        "SELECT row_number() OVER (ORDER BY placed) AS n FROM @o",
        "SELECT row_number() OVER (ORDER BY placed DESC) AS n FROM @o",
        &["n"],
    ),
    (
        "SELECT row_number() OVER (ORDER BY placed, id) AS n FROM @o",
        "SELECT row_number() OVER (ORDER BY id, placed) AS n FROM @o",
        &["n"],
    ),
    (
        "SELECT row_number() OVER (ORDER BY placed) AS n FROM @o",
        "SELECT row_number() OVER (PARTITION BY cust ORDER BY placed) AS n FROM @o",
        &["n"],
    ),
    (
        "SELECT row_number() OVER (ORDER BY placed) AS n FROM @o",
        "SELECT rank() OVER (ORDER BY placed) AS n FROM @o",
        &["n"],
    ),
    (
        "SELECT sum(id) OVER (ORDER BY placed) AS n FROM @o",
        "SELECT sum(id) OVER (ORDER BY placed ROWS UNBOUNDED PRECEDING) AS n FROM @o",
        &["n"],
    ),
    (
        "SELECT lag(id, 1) OVER (ORDER BY placed) AS n FROM @o",
        "SELECT lag(id, 2) OVER (ORDER BY placed) AS n FROM @o",
        &["n"],
    ),
    (
        "SELECT id, count(*) OVER () AS n FROM (SELECT id FROM @o WHERE amt > 1)",
        "SELECT id, n FROM (SELECT id, amt, count(*) OVER () AS n FROM @o) WHERE amt > 1",
        &["n"],
    ),
    // Lists, values, sources.
    (
        "SELECT unnest(tags) AS t FROM @o",
        "SELECT tags[1] AS t FROM @o",
        &["*", "t"],
    ),
    (
        "SELECT id, unnest(tags) AS t FROM @o",
        "SELECT id, unnest(array_append(tags, 'x')) AS t FROM @o",
        &["*", "t"],
    ),
    (
        "SELECT * FROM (VALUES (1), (2)) AS v(a)",
        "SELECT * FROM (VALUES (1), (3)) AS v(a)",
        &["a"],
    ),
    (
        "SELECT * FROM (VALUES (1), (2)) AS v(a)",
        "SELECT * FROM (VALUES (1), (2), (2)) AS v(a)",
        &["*", "a"],
    ),
    ("SELECT id FROM @o", "SELECT id FROM @c", &["*", "id"]),
    (
        "SELECT now() AS t FROM @o",
        "SELECT current_date AS t FROM @o",
        &["t"],
    ),
];

#[test]
fn what_differs_is_told_column_by_column() {
    let binder = binder();
    let mut wrong = vec![];
    for (one, other, expected) in DIFFERENT {
        let (one_is, other_is) = (certain(&binder, one), certain(&binder, other));
        let ((rows, columns), (other_rows, other_columns)) = (prints(&one_is), prints(&other_is));
        let names: BTreeSet<&str> = columns
            .keys()
            .chain(other_columns.keys())
            .map(String::as_str)
            .collect();
        let mut differs: BTreeSet<&str> = names
            .into_iter()
            .filter(|name| columns.get(*name) != other_columns.get(*name))
            .collect();
        if rows != other_rows {
            differs.insert("*");
        }
        let expected: BTreeSet<&str> = expected.iter().copied().collect();
        if differs != expected {
            wrong.push(format!("{one}\n{other}\n  {differs:?}, not {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_print_reads_only_what_it_is_made_of() {
    let binder = binder();
    let found = certain(
        &binder,
        "SELECT cust, sum(id) AS n FROM (SELECT id, cust, upper(status) AS s FROM @o WHERE amt > 1) GROUP BY cust",
    );
    let reads = |print: &super::Print| -> Vec<String> {
        let points = print.reads.iter();
        points
            .map(|point| point.to_string().replace("model.shop.", ""))
            .collect()
    };
    assert_eq!(reads(&found.columns[0].1), ["o.cust"]);
    assert_eq!(reads(&found.columns[1].1), ["o.id"]);
    assert_eq!(reads(&found.rows), ["o.*", "o.amt", "o.cust"]);
    let counted = certain(&binder, "SELECT count(*) AS n FROM @o");
    assert!(counted.columns[0].1.reads.is_empty());
    assert_eq!(reads(&counted.rows), ["o.*"]);
}

/// A query, and how certain its only column and its rows are.
const CERTAINTIES: &[(&str, Certainty, Certainty)] = {
    use Certainty::{Chosen, Exact, Rounded};
    &[
        ("SELECT sum(id) AS x FROM @o", Exact, Exact),
        ("SELECT sum(amt) AS x FROM @o", Rounded, Exact),
        ("SELECT round(avg(id), 2) AS x FROM @o", Rounded, Exact),
        (
            "SELECT avg(CAST(id AS DECIMAL(10, 2))) AS x FROM @o",
            Exact,
            Exact,
        ),
        ("SELECT max(status) AS x FROM @o", Exact, Exact),
        ("SELECT max(amt) AS x FROM @o", Rounded, Exact),
        ("SELECT any_value(status) AS x FROM @o", Chosen, Exact),
        ("SELECT median(id) AS x FROM @o", Chosen, Exact),
        ("SELECT array_agg(status) AS x FROM @o", Chosen, Exact),
        (
            "SELECT array_agg(status ORDER BY status) AS x FROM @o",
            Exact,
            Exact,
        ),
        (
            "SELECT array_agg(status ORDER BY id) AS x FROM @o",
            Chosen,
            Exact,
        ),
        (
            "SELECT string_agg(status, ',' ORDER BY status) AS x FROM @o",
            Exact,
            Exact,
        ),
        ("SELECT string_agg(status, ',') AS x FROM @o", Chosen, Exact),
        // What decides must be certain.
        (
            "SELECT cust AS x FROM @o GROUP BY cust HAVING sum(id) > 1",
            Exact,
            Exact,
        ),
        (
            "SELECT cust AS x FROM @o GROUP BY cust HAVING sum(amt) > 1",
            Exact,
            Chosen,
        ),
        (
            "SELECT DISTINCT s AS x FROM (SELECT sum(amt) AS s FROM @o GROUP BY cust)",
            Chosen,
            Chosen,
        ),
        // Zero has two signs.
        ("SELECT amt AS x FROM @o GROUP BY amt", Chosen, Exact),
        ("SELECT amt AS x FROM @o", Exact, Exact),
        // Limits and windows whose order leaves ties.
        ("SELECT id AS x FROM @o LIMIT 3", Exact, Chosen),
        ("SELECT id AS x FROM @o ORDER BY id LIMIT 3", Exact, Exact),
        (
            "SELECT id AS x FROM @o ORDER BY placed LIMIT 3",
            Exact,
            Chosen,
        ),
        (
            "SELECT id AS x FROM (SELECT id FROM @o ORDER BY id) AS s LIMIT 3",
            Exact,
            Chosen,
        ),
        (
            "SELECT (SELECT id FROM @c ORDER BY born LIMIT 1) AS x FROM @o",
            Chosen,
            Exact,
        ),
        (
            "SELECT DISTINCT ON (cust) id AS x FROM @o ORDER BY cust, placed",
            Chosen,
            Exact,
        ),
        (
            "SELECT row_number() OVER (ORDER BY placed) AS x FROM @o",
            Chosen,
            Exact,
        ),
        (
            "SELECT row_number() OVER (ORDER BY id) AS x FROM (SELECT id FROM @o) AS s",
            Chosen,
            Exact,
        ),
        (
            "SELECT rank() OVER (ORDER BY placed) AS x FROM @o",
            Exact,
            Exact,
        ),
        (
            "SELECT rank() OVER (ORDER BY sum(amt)) AS x FROM @o GROUP BY cust",
            Chosen,
            Exact,
        ),
        (
            "SELECT lag(id) OVER (ORDER BY placed) AS x FROM @o",
            Chosen,
            Exact,
        ),
        (
            "SELECT sum(id) OVER (ORDER BY placed) AS x FROM @o",
            Exact,
            Exact,
        ),
        (
            "SELECT sum(amt) OVER (ORDER BY placed) AS x FROM @o",
            Rounded,
            Exact,
        ),
        (
            "SELECT sum(id) OVER (ORDER BY placed ROWS 2 PRECEDING) AS x FROM @o",
            Chosen,
            Exact,
        ),
        (
            "SELECT count(*) OVER (PARTITION BY cust) AS x FROM @o",
            Exact,
            Exact,
        ),
        (
            "SELECT id AS x FROM @o QUALIFY row_number() OVER (PARTITION BY cust ORDER BY placed) = 1",
            Exact,
            Chosen,
        ),
        ("SELECT random() AS x FROM @o", Chosen, Exact),
    ]
};

#[test]
fn what_may_come_out_otherwise_is_known() {
    let binder = binder();
    for (sql, column, rows) in CERTAINTIES {
        let found = certain(&binder, sql);
        let is = (found.columns[0].1.certainty, found.rows.certainty);
        assert_eq!(is, (*column, *rows), "{sql}");
    }
}

#[test]
fn clocks_and_dice_change_only_what_contains_them() {
    let binder = binder();
    let found = certain(
        &binder,
        "SELECT id, now() AS at, uuid() AS token, amt FROM @o WHERE placed < now()",
    );
    let is: Vec<Determinism> = found
        .columns
        .iter()
        .map(|(_, print)| print.determinism)
        .collect();
    use Determinism::{Clock, Fixed, Volatile};
    assert_eq!(is, [Fixed, Clock, Volatile, Fixed]);
    assert_eq!(found.rows.determinism, Clock);
    assert_eq!(found.determinism(), Volatile);
    let unread = certain(&binder, "SELECT id FROM (SELECT id, random() AS r FROM @o)");
    assert_eq!(unread.determinism(), Fixed);
    let drawn = certain(&binder, "SELECT id FROM @o WHERE random() < 0.5");
    assert_eq!(drawn.rows.determinism, Volatile);
}

#[test]
fn what_is_not_understood_has_no_meaning() {
    let binder = binder();
    for sql in [
        "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 3) SELECT n FROM r",
        "SELECT array_transform(tags, t -> upper(t)) AS t FROM @o",
        "SELECT * FROM generate_series(1, 3)",
    ] {
        assert_eq!(meaning(&binder, sql), None, "{sql}");
    }
    // A long chain is none of depth.
    let long = (0..300).map(|n| format!("status <> '{n}'"));
    let long = format!(
        "SELECT id FROM @o WHERE {}",
        long.collect::<Vec<_>>().join(" AND ")
    );
    assert!(meaning(&binder, &long).is_some());
}

#[test]
fn the_last_order_is_no_part_of_rows() {
    let binder = binder();
    let sorted = certain(&binder, "SELECT id FROM @o ORDER BY placed");
    let plain = certain(&binder, "SELECT id FROM @o");
    assert_eq!(prints(&sorted), prints(&plain));
    assert_ne!(sorted.order, plain.order);
}
