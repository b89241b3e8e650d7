#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use datafusion::arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::ScalarValue;
use datafusion::datasource::MemTable;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::prelude::SessionContext;
use kinfold_project::{NodeId, ResourceType};
use proptest::prelude::*;

use super::Facts;
use crate::relation::{RelationKey, UnpinnedRelation, register};
use crate::session::{SessionOptions, session_state};

fn context() -> SessionContext {
    let options = SessionOptions {
        as_of: DateTime::<Utc>::UNIX_EPOCH,
        target_partitions: 2,
        spilling_joins: false,
    };
    let state = session_state(&options, Arc::new(RuntimeEnv::default()));
    SessionContext::new_with_state(state)
}

fn schema() -> Arc<Schema> {
    Arc::new(Schema::new(vec![
        Field::new("a", DataType::Int64, true),
        Field::new("b", DataType::Utf8, true),
        Field::new("c", DataType::Int64, true),
    ]))
}

/// What is said of a statement over `t`, of which `a` is a key without nulls, and `u`, of which nothing is known.
fn said(sql: &str) -> Facts {
    let context = context();
    let key = |name: &str| RelationKey::own(NodeId::new(ResourceType::Model, &["shop", name]));
    for name in ["t", "u"] {
        let relation = UnpinnedRelation::new(key(name), schema());
        register(&context.state(), "main", name, Arc::new(relation)).unwrap();
    }
    let plan = block_on(context.state().create_logical_plan(sql)).unwrap();
    let t = key("t");
    Facts::of(&plan, &|read| {
        (*read == t).then(|| {
            let mut facts = Facts::nothing(3);
            facts.unique.push(BTreeSet::from([0]));
            facts.columns[0].not_null = true;
            facts
        })
    })
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(future)
}

fn keys(sql: &str) -> Vec<Vec<usize>> {
    let mut keys: Vec<Vec<usize>> = said(sql)
        .unique
        .into_iter()
        .map(|key| key.into_iter().collect())
        .collect();
    keys.sort();
    keys.dedup();
    keys
}

fn not_null(sql: &str) -> Vec<usize> {
    let columns = said(sql).columns;
    let positions = columns.iter().enumerate();
    positions
        .filter(|(_, column)| column.not_null)
        .map(|(at, _)| at)
        .collect()
}

#[test]
fn keys_follow_from_operators() {
    assert_eq!(keys("SELECT a, b FROM t"), [[0]]);
    assert_eq!(
        keys("SELECT b, a AS x FROM t WHERE c > 1 ORDER BY b LIMIT 5"),
        [[1]]
    );
    assert_eq!(keys("SELECT a + 1 AS a FROM t"), Vec::<Vec<usize>>::new());
    assert_eq!(keys("SELECT b, c FROM t"), Vec::<Vec<usize>>::new());
    assert_eq!(keys("SELECT c, count(*) FROM t GROUP BY c"), [[0]]);
    assert_eq!(keys("SELECT b, c, sum(a) FROM u GROUP BY 1, 2"), [[0, 1]]);
    assert_eq!(
        keys("SELECT c FROM u GROUP BY b, c"),
        Vec::<Vec<usize>>::new()
    );
    assert_eq!(keys("SELECT count(*) FROM u"), [Vec::<usize>::new()]);
    assert_eq!(keys("SELECT DISTINCT b, c FROM u"), [[0, 1]]);
    assert_eq!(
        keys("SELECT b, c FROM u GROUP BY ROLLUP (b, c)"),
        Vec::<Vec<usize>>::new()
    );
    assert_eq!(
        keys("SELECT a FROM t UNION ALL SELECT a FROM t"),
        Vec::<Vec<usize>>::new()
    );
    assert_eq!(keys("SELECT a FROM t UNION SELECT a FROM u"), [[0]]);
}

#[test]
fn the_first_of_each_group_is_a_key() {
    let first = "SELECT b, c FROM (SELECT *, row_number() OVER (PARTITION BY b ORDER BY c) AS n FROM u) WHERE n = 1";
    assert_eq!(keys(first), [[0]]);
    assert_eq!(keys(&first.replace("n = 1", "n < 2")), [[0]]);
    assert_eq!(keys(&first.replace("n = 1", "1 >= n")), [[0]]);
    assert_eq!(
        keys(&first.replace("n = 1", "n <= 2")),
        Vec::<Vec<usize>>::new()
    );
    assert_eq!(
        keys(&first.replace("row_number", "rank")),
        Vec::<Vec<usize>>::new()
    );
    assert_eq!(
        keys("SELECT b, c FROM u QUALIFY row_number() OVER (PARTITION BY b, c ORDER BY a) = 1"),
        [[0, 1]]
    );
    assert_eq!(
        keys("SELECT b FROM u QUALIFY row_number() OVER (PARTITION BY lower(b) ORDER BY a) = 1"),
        Vec::<Vec<usize>>::new()
    );
}

#[test]
fn joins_keep_keys_that_meet_one_row() {
    assert_eq!(
        keys("SELECT u.b, t.a FROM u JOIN t ON u.c = t.a"),
        Vec::<Vec<usize>>::new()
    );
    assert_eq!(
        keys("SELECT x.a, y.b FROM t x LEFT JOIN t y ON x.c = y.a"),
        [[0]]
    );
    assert_eq!(
        keys("SELECT x.a, y.b FROM t x LEFT JOIN u y ON x.a = y.a"),
        Vec::<Vec<usize>>::new()
    );
    assert_eq!(keys("SELECT a, x.b FROM t x JOIN t y USING (a)"), [[0]]);
    assert_eq!(
        keys("SELECT x.a, y.a AS other FROM t x CROSS JOIN t y"),
        [[0, 1]]
    );
    assert_eq!(
        keys("SELECT x.a FROM t x FULL JOIN t y ON x.a = y.a"),
        Vec::<Vec<usize>>::new()
    );
    assert_eq!(keys("SELECT a FROM t WHERE a IN (SELECT a FROM u)"), [[0]]);
    // Text and numbers are made alike before they are compared.
    assert_eq!(
        keys("SELECT x.a FROM t x JOIN (SELECT DISTINCT b FROM u) y ON x.a = y.b"),
        Vec::<Vec<usize>>::new()
    );
}

#[test]
fn nulls_are_ruled_out() {
    assert_eq!(not_null("SELECT a, b FROM t"), [0]);
    assert_eq!(not_null("SELECT a, b FROM u WHERE b IS NOT NULL"), [1]);
    assert_eq!(
        not_null("SELECT a, b, c FROM u WHERE a > c AND b = 'x'"),
        [0, 1, 2]
    );
    assert_eq!(
        not_null("SELECT a, b FROM u WHERE a > 1 OR b = 'x'"),
        Vec::<usize>::new()
    );
    assert_eq!(not_null("SELECT count(*), sum(a), 1, NULL FROM u"), [0, 2]);
    assert_eq!(
        not_null("SELECT coalesce(b, 'none'), lower(b), upper('x') FROM u"),
        [0, 2]
    );
    assert_eq!(
        not_null("SELECT x.a, y.a FROM t x LEFT JOIN t y ON x.c = y.a"),
        [0]
    );
    assert_eq!(
        not_null("SELECT x.c, y.c FROM u x JOIN u y ON x.c = y.c"),
        [0, 1]
    );
    assert_eq!(
        not_null("SELECT a FROM t UNION ALL SELECT a FROM u"),
        Vec::<usize>::new()
    );
    assert_eq!(
        not_null("SELECT CASE WHEN b = 'x' THEN 1 ELSE 2 END, CASE WHEN b = 'x' THEN 1 END FROM u"),
        [0]
    );
    assert_eq!(
        not_null("SELECT row_number() OVER (ORDER BY a), lag(a) OVER (ORDER BY a) FROM t"),
        [0]
    );
}

#[test]
fn data_tests_find_nothing() {
    let unique = |model: &str, column: &str| {
        said(&format!(
            "select {column} as unique_value, count(*) as occurrences from ({model}) where {column} is not null group by {column} having count(*) > 1"
        ))
        .empty
    };
    assert!(unique("SELECT * FROM t", "a"));
    assert!(!unique("SELECT * FROM t", "b"));
    assert!(!unique("SELECT * FROM t", "a / 2"));
    assert!(unique("SELECT b, count(*) AS n FROM u GROUP BY b", "b"));
    assert!(!unique("SELECT b, count(*) AS n FROM u GROUP BY b", "n"));
    let null = |model: &str, column: &str| {
        said(&format!(
            "select {column} from ({model}) where {column} is null"
        ))
        .empty
    };
    assert!(null("SELECT a FROM t", "a") && !null("SELECT b FROM t", "b"));
    let values = "SELECT CASE WHEN a > 1 THEN 'big' WHEN a > 0 THEN 'small' END AS size FROM u";
    let accepted = |list: &str| {
        said(&format!(
            "select size, count(*) from ({values}) where size not in ({list}) group by size"
        ))
        .empty
    };
    assert!(accepted("'small', 'big', 'huge'") && !accepted("'small'"));
}

/// Statements with the columns of `t`.
fn statement() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "SELECT a, b, c FROM t".to_owned(),
        "SELECT a, b, c FROM u".to_owned(),
    ]);
    leaf.prop_recursive(4, 12, 2, |inner| {
        let wrapped = prop::sample::select(vec![
            "SELECT a, max(b) AS b, count(*) AS c FROM ({}) GROUP BY a",
            "SELECT a, b, max(c) AS c FROM ({}) GROUP BY a, b",
            "SELECT max(a) AS a, min(b) AS b, sum(c) AS c FROM ({})",
            "SELECT DISTINCT a, b, c FROM ({})",
            "SELECT a, b, c FROM ({}) WHERE a IS NOT NULL",
            "SELECT a, b, c FROM ({}) WHERE c > 0 AND b <> 'y'",
            "SELECT a, b, c FROM ({}) WHERE a IN (SELECT c FROM u)",
            "SELECT a, b, c FROM (SELECT *, row_number() OVER (PARTITION BY a ORDER BY b, c) AS n FROM ({})) WHERE n = 1",
            "SELECT n AS a, b, c FROM (SELECT *, row_number() OVER (PARTITION BY b, c ORDER BY a) AS n FROM ({})) WHERE n <= 1",
            "SELECT coalesce(a, 0) AS a, coalesce(b, 'z') AS b, c FROM ({})",
            "SELECT a, CASE WHEN c > 1 THEN 'x' WHEN c > 0 THEN 'y' END AS b, c FROM ({})",
            "SELECT c AS a, b, a AS c FROM ({})",
            "SELECT a, b, c FROM ({}) ORDER BY a, b, c LIMIT 1",
        ]);
        let two = prop::sample::select(vec![
            "SELECT x.a, x.b, y.c FROM ({}) x JOIN ({2}) y ON x.a = y.a",
            "SELECT x.a, y.b, y.c FROM ({}) x LEFT JOIN ({2}) y ON x.a = y.a",
            "SELECT x.a, y.b, y.c FROM ({}) x RIGHT JOIN ({2}) y ON x.a = y.c AND x.b = y.b",
            "SELECT x.a, y.b, y.c FROM ({}) x FULL JOIN ({2}) y ON x.a = y.a",
            "SELECT a, x.b, y.c FROM ({}) x JOIN ({2}) y USING (a)",
            "SELECT a, b, c FROM ({}) UNION ALL SELECT a, b, c FROM ({2})",
            "SELECT a, b, c FROM ({}) UNION SELECT a, b, c FROM ({2})",
        ]);
        prop_oneof![
            (wrapped, inner.clone()).prop_map(|(sql, of)| sql.replace("{}", &of)),
            (two, inner.clone(), inner).prop_map(|(sql, of, other)| sql.replace("{}", &of).replace("{2}", &other)),
        ]
    })
}

type Rows = Vec<(Option<i64>, Option<&'static str>, Option<i64>)>;

fn rows() -> impl Strategy<Value = Rows> {
    let number = || prop::option::of(0..3_i64);
    let text = prop::option::of(prop::sample::select(vec!["x", "y", "z"]));
    prop::collection::vec((number(), text, number()), 0..7)
}

fn batch(rows: &Rows) -> RecordBatch {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|r| r.0).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|r| r.1).collect::<StringArray>()),
        Arc::new(rows.iter().map(|r| r.2).collect::<Int64Array>()),
    ];
    RecordBatch::try_new(schema(), columns).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn what_is_claimed_holds(sql in statement(), t in rows(), u in rows()) {
        let context = context();
        for (name, rows) in [("t", &t), ("u", &u)] {
            let table = MemTable::try_new(schema(), vec![vec![batch(rows)]]).unwrap();
            register(&context.state(), "main", name, Arc::new(table)).unwrap();
        }
        let plan = block_on(context.state().create_logical_plan(&sql)).unwrap();
        let facts = Facts::of(&plan, &|_| None);
        let frame = datafusion::dataframe::DataFrame::new(context.state(), plan.clone());
        let batches = block_on(frame.collect()).unwrap();
        let result = concat_batches(&Arc::clone(plan.schema().inner()), &batches);
        // Nullability may differ between plan and result.
        let result = result.unwrap_or_else(|_| concat_batches(&batches[0].schema(), &batches).unwrap());
        let value = |row: usize, column: usize| ScalarValue::try_from_array(result.column(column), row).unwrap();
        prop_assert!(!facts.empty || result.num_rows() == 0, "{sql}");
        for key in &facts.unique {
            let mut seen = std::collections::HashSet::new();
            for row in 0..result.num_rows() {
                let values: Vec<ScalarValue> = key.iter().map(|at| value(row, *at)).collect();
                prop_assert!(seen.insert(values), "{key:?} is no key of {sql}\n{t:?}\n{u:?}");
            }
        }
        for (at, column) in facts.columns.iter().enumerate() {
            prop_assert!(!column.not_null || result.column(at).null_count() == 0, "column {at} of {sql}\n{t:?}\n{u:?}");
            for row in 0..result.num_rows() {
                let value = value(row, at);
                if let Some(values) = &column.values {
                    prop_assert!(value.is_null() || values.contains(&value), "{value} in column {at} of {sql}");
                }
                if column.at_most_one {
                    prop_assert!(value <= ScalarValue::Int64(Some(1)), "{value} in column {at} of {sql}");
                }
            }
        }
    }
}
