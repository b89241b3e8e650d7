//! CSV: what is a record, what is a row, what is neither.

use super::{CSV, failure, folder, read, source};
use kinfold_project::SourceFormat;

fn reason(line: i64, reason: &str) -> (String, i64, String) {
    ("a.csv".to_owned(), line, reason.to_owned())
}

#[tokio::test]
async fn bad_records_are_set_aside_at_their_lines() {
    let text = b"\xef\xbb\xbfid,name,born\r\n\
        1,Ann,2001-02-03\r\n\
        2,\"multi\r\nline, \"\"quoted\"\"\",\r\n\
        \r\n\
        x,Bob,2001-02-03\r\n\
        4,Eve\r\n\
        5,Zo\xff,2001-02-03\r\n\
        6,Ida,2001-02-30\r\n\
        7,\"Ivy\"x,2001-02-03\r\n\
        8,,2001-02-03\r\n\
        9,\"Ken,2001-02-03\r\n\
        10,Lea,2001-02-03";
    let root = folder(&[("a.csv", text)]);
    let columns = [("id", "bigint"), ("name", "varchar"), ("born", "date")];
    let read = read(root.path(), &source("a.csv", CSV, &columns)).await;
    assert_eq!(
        read.lines(),
        [
            "1|Ann|2001-02-03",
            "2|multi\r\nline, \"quoted\"|~",
            "8|~|2001-02-03",
            "10|Lea|2001-02-03"
        ]
    );
    let expected = [
        reason(6, "column `id` is not of type BIGINT"),
        reason(7, "2 fields, not 3"),
        reason(8, "not UTF-8"),
        reason(9, "column `born` is not of type DATE"),
        reason(10, "broken quotes: text follows a closing quote"),
        reason(12, "broken quotes: a quote is opened and never closed"),
    ];
    assert_eq!(read.reasons(), expected);
    let records = read.records();
    assert_eq!(records.first().unwrap(), "x,Bob,2001-02-03");
    assert_eq!(records.get(2).unwrap(), "5,Zo\u{fffd},2001-02-03");
    assert_eq!(records.last().unwrap(), "9,\"Ken,2001-02-03");
    assert_eq!(read.counts.records(), 10);
}

#[tokio::test]
async fn types_are_inferred_from_the_sample_and_declared_ones_win() {
    let text = b"id,plz,price,seen,at,ok,note\n\
        1,01234,1.5,2024-01-01,2024-01-01T10:00:00Z,true,\n\
        2,99999,2,2024-01-02,2024-01-01T10:00:00+02:00,FALSE,\n";
    let root = folder(&[("a.csv", text)]);
    let read = read(
        root.path(),
        &source("a.csv", CSV, &[("price", "decimal(10,2)"), ("NOTE", "")]),
    )
    .await;
    let expected = [
        "id: Int64",
        "plz: Utf8",
        "price: Decimal128(10, 2)",
        "seen: Date32",
        "at: Timestamp(µs, \"UTC\")",
        "ok: Boolean",
        "NOTE: Utf8",
    ];
    assert_eq!(read.types(), expected);
    let lines = [
        "1|01234|1.50|2024-01-01|2024-01-01T10:00:00Z|true|~",
        "2|99999|2.00|2024-01-02|2024-01-01T08:00:00Z|false|~",
    ];
    assert_eq!(read.lines(), lines);
}

#[tokio::test]
async fn values_of_every_type() {
    let text = b"i,f,d,b,t,z\n\
        5.0, 1e3 ,12.345,Yes,2024-01-01,2024-01-01 00:00:00.1234567+01:00\n\
        +7,nan,-0.5,0,2024-01-01 10:00,2024-01-01T00:00:00Z\n\
        5.5,,,,,\n\
        ,1e400,,,,\n\
        ,,99999999,,,\n\
        ,,,maybe,,\n\
        ,,,,20240101,\n\
        ,,,,,yesterday\n\
        32768,,,,,\n";
    let root = folder(&[("a.csv", text)]);
    let columns = [
        ("i", "smallint"),
        ("f", "double"),
        ("d", "decimal(6,2)"),
        ("b", "boolean"),
        ("t", "timestamp"),
        ("z", "timestamp"),
    ];
    let read = read(root.path(), &source("a.csv", CSV, &columns)).await;
    let expected = [
        "5|1000.0|12.35|true|2024-01-01T00:00:00|2023-12-31T23:00:00.123456",
        "7|NaN|-0.50|false|2024-01-01T10:00:00|2024-01-01T00:00:00",
    ];
    assert_eq!(read.lines(), expected);
    let reasons: Vec<_> = read
        .reasons()
        .into_iter()
        .map(|(_, line, reason)| (line, reason))
        .collect();
    let not = |line, column, name| (line, format!("column `{column}` is not of type {name}"));
    let expected = [
        not(4, "i", "SMALLINT"),
        not(5, "f", "DOUBLE"),
        not(6, "d", "DECIMAL(6, 2)"),
        not(7, "b", "BOOLEAN"),
        not(8, "t", "TIMESTAMP"),
        not(9, "z", "TIMESTAMP"),
        not(10, "i", "SMALLINT"),
    ];
    assert_eq!(reasons, expected);
}

#[tokio::test]
async fn without_a_header_columns_are_declared_in_order() {
    let root = folder(&[("a.tsv", b"1\tAnn\n2\tBob\n")]);
    let format = SourceFormat::Csv {
        delimiter: b'\t',
        header: false,
    };
    let source_with = |columns: &[(&str, &str)]| source("a.tsv", format.clone(), columns);
    let read = read(root.path(), &source_with(&[("id", ""), ("name", "")])).await;
    assert_eq!(read.types(), ["id: Int64", "name: Utf8"]);
    assert_eq!(read.lines(), ["1|Ann", "2|Bob"]);
    let error = failure(root.path(), &source_with(&[])).await;
    assert_eq!(
        error,
        "`a.tsv` has no header, and the source declares no columns"
    );
}

#[tokio::test]
async fn columns_are_found_by_name_in_every_file() {
    let files: [(&str, &[u8]); 3] = [
        ("d/1.csv", b"id,Name\n1,Ann\n"),
        ("d/2.csv", b"NAME, id\nBob,2\n"),
        ("d/3.csv", b""),
    ];
    let root = folder(&files);
    let read = read(root.path(), &source("d/*.csv", CSV, &[])).await;
    assert_eq!(read.types(), ["id: Int64", "Name: Utf8"]);
    assert_eq!(read.lines(), ["1|Ann", "2|Bob"]);
}

#[tokio::test]
async fn files_of_another_schema_are_refused() {
    let cases: [(&[u8], &str); 6] = [
        (
            b"id\n1\n",
            "`d/2.csv` is of another schema: it has no column `name`",
        ),
        (
            b"id,name,x\n1,a,b\n",
            "`d/2.csv` is of another schema: its column `x` is not one of the source's",
        ),
        (
            b"id,name,ID\n1,a,b\n",
            "the header of `d/2.csv` names column `ID` twice",
        ),
        (
            b"id,\n1,a\n",
            "the header of `d/2.csv` has a column without a name",
        ),
        (
            b"\"id,name\n1,a\n",
            "the header of `d/2.csv` has broken quotes",
        ),
        (
            b"\xff\xfei\0d\0",
            "`d/2.csv` is UTF-16; only UTF-8 can be read",
        ),
    ];
    for (text, expected) in cases {
        let root = folder(&[("d/1.csv", b"id,name\n1,Ann\n"), ("d/2.csv", text)]);
        assert_eq!(
            failure(root.path(), &source("d/*.csv", CSV, &[])).await,
            expected
        );
        let whole = source("d/*.csv", CSV, &[("id", "int"), ("name", "text")]);
        assert_eq!(failure(root.path(), &whole).await, expected);
    }
}

#[tokio::test]
async fn declarations_that_cannot_be_met() {
    let root = folder(&[("a.csv", b"id,na me\n1,Ann\n"), ("empty.csv", b"\n\n")]);
    type Case = (
        &'static str,
        &'static [(&'static str, &'static str)],
        &'static str,
    );
    let cases: [Case; 6] = [
        (
            "a.csv",
            &[("id", "bigintt")],
            "column `id` has the unknown type `bigintt`",
        ),
        (
            "a.csv",
            &[("id", "int) + (1")],
            "column `id` has the unknown type `int) + (1`",
        ),
        (
            "a.csv",
            &[("id", "int[]")],
            "column `id` has type INTEGER[], which CSV cannot hold",
        ),
        (
            "a.csv",
            &[("nam", "")],
            "`a.csv` is of another schema: it has no column `nam`",
        ),
        ("a.csv", &[], "the columns of `a.csv` cannot be stored"),
        (
            "empty.csv",
            &[],
            "`empty.csv` has no columns: every file is empty",
        ),
    ];
    for (location, columns, expected) in cases {
        assert_eq!(
            failure(root.path(), &source(location, CSV, columns)).await,
            expected
        );
    }
}

#[tokio::test]
async fn a_quote_that_is_never_closed_costs_one_line() {
    let mut text = b"id,name\n1,\"Ann\n".to_vec();
    for id in 2..50_000 {
        text.extend_from_slice(format!("{id},Bob\n").as_bytes());
    }
    let root = folder(&[("a.csv", &text)]);
    let read = read(
        root.path(),
        &source("a.csv", CSV, &[("id", "int"), ("name", "text")]),
    )
    .await;
    assert_eq!(read.rows.num_rows(), 49_998);
    assert_eq!(
        read.reasons(),
        [reason(
            2,
            "broken quotes: a quote is opened and never closed"
        )]
    );
    assert_eq!(read.records(), ["1,\"Ann"]);
}

#[tokio::test]
async fn a_record_that_is_too_long_is_set_aside_and_the_rest_read() {
    let mut text = b"id,name\n1,".to_vec();
    text.resize(text.len() + (17 << 20), b'x');
    text.extend_from_slice(b"\n2,Bob\n");
    let root = folder(&[("a.csv", &text)]);
    let read = read(
        root.path(),
        &source("a.csv", CSV, &[("id", "int"), ("name", "text")]),
    )
    .await;
    assert_eq!(read.lines(), ["2|Bob"]);
    assert_eq!(read.reasons(), [reason(2, "longer than 16 MiB")]);
    assert_eq!(read.records().first().unwrap().len(), 64 << 10);
}
