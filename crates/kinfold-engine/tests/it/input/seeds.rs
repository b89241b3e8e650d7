//! Seeds: types as dbt infers them, errors at their lines.

use std::collections::BTreeMap;

use super::{at, folder, lines, session};
use datafusion::arrow::compute::concat_batches;
use kinfold_engine::input::{InputError, SeedConfig, read_seed, seed_columns};
use kinfold_project::{NodeId, ResourceType, Seed};
use tempfile::TempDir;

fn seed(root: &TempDir) -> Seed {
    Seed {
        id: NodeId::new(ResourceType::Seed, &["shop", "s"]),
        package: "shop".to_owned(),
        name: "s".to_owned(),
        path: root.path().join("s.csv"),
        embedded: None,
        fqn: vec![],
        config: vec![],
        description: None,
        columns: vec![],
    }
}

fn config(column_types: &[(&str, &str)]) -> SeedConfig {
    let column_types: BTreeMap<_, _> = column_types
        .iter()
        .map(|(name, data_type)| ((*name).to_owned(), at((*data_type).to_owned())))
        .collect();
    SeedConfig {
        column_types,
        delimiter: b',',
        quote_columns: false,
    }
}

fn read(text: &str, config: &SeedConfig) -> Result<(Vec<String>, Vec<String>), InputError> {
    let root = folder(&[("s.csv", text.as_bytes())]);
    let seed = seed(&root);
    let schema = seed_columns(&seed, config, &session())?;
    let batches = read_seed(&seed, config, &schema)?;
    let rows = concat_batches(&schema, &batches).unwrap();
    let types = schema
        .fields()
        .iter()
        .map(|field| format!("{} {}", field.name(), field.data_type()))
        .collect();
    Ok((types, lines(&rows)))
}

/// The type and the values of one column.
fn column(values: &[&str]) -> (String, Vec<String>) {
    let text: String = values.iter().map(|value| format!("{value},x\n")).collect();
    let (types, rows) = read(&format!("c,other\n{text}"), &config(&[])).unwrap();
    let rows = rows
        .iter()
        .map(|row| row.strip_suffix("|x").unwrap().to_owned())
        .collect();
    (
        types
            .first()
            .unwrap()
            .strip_prefix("c ")
            .unwrap()
            .to_owned(),
        rows,
    )
}

#[test]
fn types_are_those_of_dbt() {
    let cases: [(&[&str], &str, &[&str]); 16] = [
        (&["1", "-2", "", "NULL"], "Int64", &["1", "-2", "~", "~"]),
        (
            &["007", "\"1,200\"", "$5", "50%"],
            "Int64",
            &["7", "1200", "5", "50"],
        ),
        (&["1.00", "2.0"], "Int64", &["1", "2"]),
        (&["1", "2.5", " null "], "Float64", &["1.0", "2.5", "~"]),
        (&["1", "0"], "Int64", &["1", "0"]),
        (
            &["2018-01-01", "2018-1-9"],
            "Date32",
            &["2018-01-01", "2018-01-09"],
        ),
        (
            &["2018-01-01 10:00:00", ""],
            "Timestamp(µs)",
            &["2018-01-01T10:00:00", "~"],
        ),
        (
            &["2018-01-01T10:00:00", "2018-01-01T10:00:00+02:00"],
            "Timestamp(µs)",
            &["2018-01-01T10:00:00", "2018-01-01T08:00:00"],
        ),
        (
            &["2018-01-01", "2018-01-01 10:00:00"],
            "Utf8",
            &["2018-01-01", "2018-01-01 10:00:00"],
        ),
        (
            &["True", "false", "null"],
            "Boolean",
            &["true", "false", "~"],
        ),
        (&["true", "1"], "Utf8", &["true", "1"]),
        (&["t", "f"], "Utf8", &["t", "f"]),
        (&["a", "", "Null", "\"\""], "Utf8", &["a", "~", "~", "~"]),
        (&["", "null"], "Int64", &["~", "~"]),
        (&["99999999999999999999"], "Utf8", &["99999999999999999999"]),
        (&["nan", "1"], "Utf8", &["nan", "1"]),
    ];
    for (values, data_type, expected) in cases {
        let (found, rows) = column(values);
        assert_eq!(
            (found.as_str(), rows),
            (
                data_type,
                expected.iter().map(|v| (*v).to_owned()).collect()
            ),
            "{values:?}"
        );
    }
    assert_eq!(column(&[]), ("Int64".to_owned(), vec![]));
}

#[test]
fn declared_types_win_and_names_fold() {
    let text = "\u{feff}ID, Zip ,Amount\r\n1,01234, 5 \r\n,null,\r\n";
    let types = config(&[
        ("id", "varchar"),
        ("zip", "varchar"),
        ("Amount", "decimal(10,2)"),
        ("elsewhere", "int"),
    ]);
    let (found, rows) = read(text, &types).unwrap();
    assert_eq!(found, ["id Utf8", "zip Utf8", "amount Decimal128(10, 2)"]);
    assert_eq!(rows, ["1|01234|5.00", "~|~|~"]);
    let (found, _) = read(
        text,
        &SeedConfig {
            quote_columns: true,
            ..config(&[])
        },
    )
    .unwrap();
    assert_eq!(found, ["ID Int64", "Zip Int64", "Amount Int64"]);
    let (found, rows) = read(
        "a;b\n1;\"x;y\"\n",
        &SeedConfig {
            delimiter: b';',
            ..config(&[])
        },
    )
    .unwrap();
    assert_eq!(
        (found, rows),
        (
            vec!["a Int64".to_owned(), "b Utf8".to_owned()],
            vec!["1|x;y".to_owned()]
        )
    );
}

#[test]
fn a_bad_record_is_an_error_at_its_line() {
    let cases = [
        ("a,b\n1,\"x\ny\"\n2\n", ":4: 1 fields, not 2"),
        ("a,b\n1,2\n1,2,3\n", ":3: 3 fields, not 2"),
        (
            "a,b\n1,\"x\n",
            ":2: broken quotes: a quote is opened and never closed",
        ),
        ("a,b\n1,x\n", ":2: column `b` is not of type BIGINT"),
        ("a,\n1,2\n", "has a column without a name"),
        ("a,A\n1,2\n", "names column `A` twice"),
        ("", "has no columns: every file is empty"),
    ];
    for (text, expected) in cases {
        let error = read(text, &config(&[("b", "bigint")]))
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{error}");
    }
    let missing = seed(&tempfile::tempdir().unwrap());
    let error = seed_columns(&missing, &config(&[]), &session()).unwrap_err();
    assert!(matches!(error, InputError::Missing { .. }), "{error}");
    let error = read("a,b\n1,2\n", &config(&[("b", "nonsense")]))
        .unwrap_err()
        .to_string();
    assert_eq!(error, "column `b` has the unknown type `nonsense`");
}

#[test]
fn a_seed_of_an_embedded_package() {
    let root = tempfile::tempdir().unwrap();
    let seed = Seed {
        embedded: Some("a\n1\n2\n".into()),
        ..seed(&root)
    };
    let schema = seed_columns(&seed, &config(&[]), &session()).unwrap();
    let rows = concat_batches(&schema, &read_seed(&seed, &config(&[]), &schema).unwrap()).unwrap();
    assert_eq!(lines(&rows), ["1", "2"]);
}
