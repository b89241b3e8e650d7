//! NDJSON: exactly the bad lines are quarantined.

use super::{folder, read, source};
use kinfold_project::SourceFormat::Ndjson;

#[tokio::test]
async fn exactly_the_bad_lines_are_set_aside() {
    let text = b"\xef\xbb\xbf{\"id\": 1, \"name\": \"Ann\", \"ok\": true, \"other\": [1]}\r\n\
        \r\n  \n\
        {\"id\": 2, \"name\": \"B\\u00f6b\"\n\
        [1]\n\
        {\"id\": \"x\", \"name\": \"Eve\"}\n\
        {\"id\": 3, \"name\": \"Zo\xff\"}\n\
        {\"id\": 4} {\"id\": 5}\n\
        {\"id\": 6, \"id\": 7}\n\
        {\"id\": 9223372036854775808}\n\
        {\"id\": 8.0, \"name\": 12.50, \"ok\": null}\n\
        {\"id\": 9, \"name\": {\"a\": [1, 2.10]}}\n\
        {\"id\": 10, \"name\": \"\\ud83d\"}\n\
        {,\"id\": 11}\n\
        {\"id\": \"12\", \"name\": \"\"}";
    let root = folder(&[("a.ndjson", text)]);
    let columns = [("id", "bigint"), ("name", "varchar"), ("ok", "boolean")];
    let read = read(root.path(), &source("a.ndjson", Ndjson, &columns)).await;
    assert_eq!(
        read.lines(),
        ["1|Ann|true", "8|12.50|~", "9|{\"a\": [1, 2.10]}|~", "12||~"]
    );
    let reasons: Vec<_> = read
        .reasons()
        .into_iter()
        .map(|(_, line, reason)| (line, reason))
        .collect();
    let expected = [
        (4, "not JSON: it ends too early"),
        (5, "not a JSON object"),
        (6, "column `id` is not of type BIGINT"),
        (7, "not UTF-8"),
        (8, "not JSON at byte 11"),
        (9, "column `id` is there twice"),
        (10, "column `id` is not of type BIGINT"),
        (13, "column `name` has an escape that is not a character"),
        (14, "not JSON at byte 2"),
    ];
    assert_eq!(
        reasons,
        expected.map(|(line, reason)| (line, reason.to_owned()))
    );
}

#[tokio::test]
async fn nested_values_are_rows_or_refused_as_a_whole() {
    let text = br#"{"id": 1, "who": {"name": "Ann", "age": 3}, "tags": ["a", null], "items": [{"sku": "x", "price": 1.10}]}
{"id": 2, "who": null, "tags": [], "items": null}
{"id": 3, "who": {"name": "Bob", "age": "old"}, "tags": null, "items": []}
{"id": 4, "who": "Eve"}
{"id": 5, "items": [{"price": 1}, {"price": "much"}]}
{"id": 6, "tags": {"a": 1}}
{"id": 7, "who": {"age": 7}}
"#;
    let root = folder(&[("a.json", text)]);
    let columns = [
        ("id", "bigint"),
        ("who", "struct(name varchar, age int)"),
        ("tags", "varchar[]"),
        ("items", "struct(sku varchar, price decimal(10,2))[]"),
    ];
    let read = read(root.path(), &source("a.json", Ndjson, &columns)).await;
    let expected = [
        "1|{name: Ann, age: 3}|[a, ]|[{sku: x, price: 1.10}]",
        "2|~|[]|~",
        "7|{name: , age: 7}|~|~",
    ];
    assert_eq!(read.lines(), expected);
    let reasons: Vec<_> = read
        .reasons()
        .into_iter()
        .map(|(_, line, reason)| (line, reason))
        .collect();
    let expected = [
        (3, "column `who.age` is not of type INTEGER"),
        (4, "column `who` is not an object"),
        (5, "column `items.price` is not of type DECIMAL(10, 2)"),
        (6, "column `tags` is not an array"),
    ];
    assert_eq!(
        reasons,
        expected.map(|(line, reason)| (line, reason.to_owned()))
    );
}

#[tokio::test]
async fn columns_are_inferred_from_all_records_of_the_sample() {
    let one = br#"{"id": 1, "amount": 5, "at": "2024-01-01T00:00:00Z", "p": {"url": "/", "n": 1}, "l": []}"#;
    let two = br#"{"amount": 2.5, "id": 2, "p": {"ref": null, "n": 2.5}, "l": [1], "mixed": {"a": 1}, "big": 99999999999999999999}
{"id": 3, "mixed": 1.10, "odd": {"utm source": 1}, "nothing": null, "flag": false}"#;
    let root = folder(&[("d/a.jsonl", one), ("d/b.jsonl", two)]);
    let read = read(
        root.path(),
        &source("d/*.jsonl", Ndjson, &[("id", "int"), ("late", "")]),
    )
    .await;
    let expected = [
        "id: Int32",
        "amount: Float64",
        "at: Utf8",
        "p: Struct(\"url\": Utf8, \"n\": Float64, \"ref\": Utf8)",
        "l: List(Int64, field: 'element')",
        "mixed: Utf8",
        "big: Utf8",
        "odd: Utf8",
        "nothing: Utf8",
        "flag: Boolean",
        "late: Utf8",
    ];
    assert_eq!(read.types(), expected);
    let expected = [
        "1|5.0|2024-01-01T00:00:00Z|{url: /, n: 1.0, ref: }|[]|~|~|~|~|~|~",
        "2|2.5|~|{url: , n: 2.5, ref: }|[1]|{\"a\": 1}|99999999999999999999|~|~|~|~",
        "3|~|~|~|~|1.10|~|{\"utm source\": 1}|~|false|~",
    ];
    assert_eq!(read.lines(), expected);
    assert_eq!(read.counts.quarantined(), 0);
}

#[tokio::test]
async fn numbers_are_not_times() {
    let text =
        b"{\"at\": 1700000000000}\n{\"at\": 1700000000}\n{\"at\": \"2024-01-01T00:00:00Z\"}\n";
    let root = folder(&[("a.ndjson", text)]);
    let read = read(
        root.path(),
        &source("a.ndjson", Ndjson, &[("at", "timestamp")]),
    )
    .await;
    assert_eq!(read.lines(), ["2024-01-01T00:00:00"]);
    assert_eq!(read.counts.quarantined(), 2);
}

#[tokio::test]
async fn deep_nesting_is_no_danger() {
    let deep = format!(
        "{{\"a\": {}{}}}\n{{\"a\": {}\n{{\"a\": 1}}\n",
        "[".repeat(100_000),
        "]".repeat(100_000),
        "[".repeat(100_000)
    );
    let root = folder(&[("a.ndjson", deep.as_bytes())]);
    let read = read(root.path(), &source("a.ndjson", Ndjson, &[("a", "bigint")])).await;
    assert_eq!(read.lines(), ["1"]);
    assert_eq!(read.counts.quarantined(), 2);
}
