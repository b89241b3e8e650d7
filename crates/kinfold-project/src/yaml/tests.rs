use super::*;
use crate::diagnostic::SourceMap;
use proptest::prelude::*;

fn parse(text: &str) -> (Option<Value>, Vec<Diagnostic>) {
    let mut files = SourceMap::default();
    let file = files.add("x.yml", text);
    let mut diagnostics = vec![];
    let value = read(text, file, &mut diagnostics);
    (value, diagnostics)
}

fn good(text: &str) -> Value {
    let (value, diagnostics) = parse(text);
    assert_eq!(diagnostics, vec![], "{text}");
    value.unwrap_or_else(|| unreachable!("{text}"))
}

fn at<'a>(text: &'a str, value: &Value) -> &'a str {
    text.get(value.span.range()).unwrap_or("<outside>")
}

fn walk<'a>(value: &'a Value, each: &mut dyn FnMut(&'a Value)) {
    each(value);
    match &value.kind {
        ValueKind::List(items) => items.iter().for_each(|v| walk(v, each)),
        ValueKind::Map(entries) => entries.iter().for_each(|(_, v)| walk(v, each)),
        _ => {}
    }
}

fn child<'a>(value: &'a Value, key: &str) -> &'a Value {
    value.get(key).unwrap_or_else(|| unreachable!("{key}"))
}

#[test]
fn core_schema() {
    let value = good(
        "[~, null, '', true, False, yes, 1, -2, +3, 0x1f, 0o17, 010, 1.5, -.5, 1e3, .inf, 1.2.3, 1-2, e5, '1', 12e, .]",
    );
    let json = serde_json::json!([
        null, null, "", true, false, "yes", 1, -2, 3, 31, 15, 10, 1.5, -0.5, 1000.0, null, "1.2.3",
        "1-2", "e5", "1", "12e", "."
    ]);
    assert_eq!(value.to_json(), json);
}

#[test]
fn spans_are_bytes_of_the_written_text() {
    let text = "é: größe\n\"ü\": 'a b'   # c\nlist:\n  - x\n  - {k: \"v\"}\nend: |\n  one\n  two\n\nlast: >-\n  ä\n  b\nnone:\n";
    let value = good(text);
    assert_eq!(at(text, child(&value, "é")), "größe");
    assert_eq!(at(text, child(&value, "ü")), "'a b'");
    assert_eq!(at(text, child(&value, "list")), "- x\n  - {k: \"v\"}");
    let block = at(text, child(&value, "end"));
    assert!(block.ends_with("two") && block.contains("one"), "{block:?}");
    let folded = at(text, child(&value, "last"));
    assert!(folded.ends_with('b') && folded.contains('ä'), "{folded:?}");
    assert_eq!(at(text, child(&value, "none")), "none");
    let ValueKind::Map(entries) = &value.kind else {
        unreachable!()
    };
    let keys: Vec<&str> = entries
        .iter()
        .map(|(k, _)| text.get(k.span.range()).unwrap_or(""))
        .collect();
    assert_eq!(keys, ["é", "\"ü\"", "list", "end", "last", "none"]);
}

#[test]
fn a_byte_order_mark_and_windows_lines_keep_places_right() {
    let text = "\u{feff}a: 1\r\nb: ü\r\nc: 3\r\n";
    let value = good(text);
    assert_eq!(at(text, child(&value, "b")), "ü");
    assert_eq!(at(text, child(&value, "c")), "3");
}

#[test]
fn syntax_error_is_at_the_place() {
    let text = "a: 1\nb: [1, 2\nc: 3\n";
    let (value, diagnostics) = parse(text);
    assert!(value.is_none());
    let [only] = diagnostics.as_slice() else {
        unreachable!("{diagnostics:?}")
    };
    assert_eq!(only.code, codes::YAML_SYNTAX);
    let start = only.primary.as_ref().map_or(0, |label| label.span.start);
    assert!(start >= 8, "{only:?}");
}

#[test]
fn duplicate_keys_name_both_places() {
    let text = "a: 1\nb: 2\na: 3\n";
    let (value, diagnostics) = parse(text);
    let [only] = diagnostics.as_slice() else {
        unreachable!("{diagnostics:?}")
    };
    assert_eq!(only.code, codes::YAML_DUPLICATE_KEY);
    assert_eq!(only.primary.as_ref().map(|l| l.span.start), Some(10));
    assert_eq!(only.related.first().map(|l| l.span.start), Some(0));
    let json = value.map(|v| v.to_json());
    assert_eq!(json, Some(serde_json::json!({"a": 1, "b": 2})));
}

#[test]
fn anchors_aliases_and_merge_keys() {
    let value = good("base: &b {x: 1, y: 2}\nuse: *b\nover: {<<: *b, y: 3, z: 4}\n");
    assert_eq!(
        value.to_json(),
        serde_json::json!({
            "base": {"x": 1, "y": 2},
            "use": {"x": 1, "y": 2},
            "over": {"y": 3, "z": 4, "x": 1},
        })
    );
}

#[test]
fn a_billion_laughs_are_refused() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for i in 1..12 {
        let list = vec![format!("*a{}", i - 1); 10].join(", ");
        text.push_str(&format!("a{i}: &a{i} [{list}]\n"));
    }
    let (_, diagnostics) = parse(&text);
    assert_eq!(
        diagnostics.first().map(|d| d.code),
        Some(codes::YAML_TOO_LARGE)
    );
}

#[test]
fn deep_nesting_is_refused() {
    for text in [
        "[".repeat(50_000),
        "- ".repeat(5_000),
        "{a: ".repeat(5_000),
        "? ".repeat(5_000),
    ] {
        let (value, diagnostics) = parse(&text);
        assert!(value.is_none());
        assert_eq!(diagnostics.len(), 1);
    }
}

#[test]
fn unquoted_jinja_gets_advice() {
    let (_, diagnostics) = parse("lake: {{ env_var('LAKE') }}\n");
    let helped = diagnostics
        .iter()
        .any(|d| d.help.iter().any(|h| h.contains("quotes")));
    assert!(helped, "{diagnostics:?}");
}

#[test]
fn a_second_document_is_refused() {
    let (_, diagnostics) = parse("a: 1\n---\nb: 2\n");
    assert_eq!(
        diagnostics.first().map(|d| d.code),
        Some(codes::YAML_UNSUPPORTED)
    );
}

fn check_ranges(text: &str) {
    let (value, diagnostics) = parse(text);
    assert!(value.is_some() || !diagnostics.is_empty());
    for diagnostic in &diagnostics {
        for label in diagnostic.primary.iter().chain(&diagnostic.related) {
            assert!(text.get(label.span.range()).is_some(), "{diagnostic:?}");
        }
    }
    if let Some(value) = value {
        walk(&value, &mut |v| {
            assert!(text.get(v.span.range()).is_some(), "{v:?} in {text:?}");
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_text_is_read_without_panic(text in any::<String>()) {
        check_ranges(&text);
    }

    #[test]
    fn yaml_like_text_is_read_without_panic(
        parts in prop::collection::vec(
            prop::sample::select(vec![
                "a", "b", ": ", ":", "- ", "\n", "\n  ", "\n    ", "[", "]", "{", "}", ", ", "'",
                "\"", "|\n", ">-\n", "&x ", "*x", "<<: ", "!!str ", "!t ", "---\n", "...\n", "# c",
                "é", "\t", "\r\n", "? ", "%YAML 1.2\n", "\\", "0x1", "~", "\u{feff}", "{{ x }}",
            ]),
            0..40,
        ),
    ) {
        check_ranges(&parts.concat());
    }

    #[test]
    fn quoted_text_comes_back(text in "[ -~äöü€]{0,40}") {
        let yaml = format!("k: {}\n", serde_json::Value::String(text.clone()));
        let value = good(&yaml);
        prop_assert_eq!(value.get("k").and_then(Value::as_str), Some(text.as_str()));
    }
}
