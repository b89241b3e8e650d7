#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use datafusion::arrow::array::{
    BinaryArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int32Array, Int64Array,
    ListArray, StringArray, StructArray, TimestampMicrosecondArray, TimestampNanosecondArray,
    UInt64Array,
};
use datafusion::arrow::datatypes::Field;
use proptest::prelude::*;
use serde_json::Value;

use kinfold_sync::ObjectText;

use super::super::{payload_hash, text_hash};
use super::*;

/// The text of the first row of one column, and what became of it.
fn one(column: impl Array + 'static) -> (String, Cell) {
    let column: ArrayRef = Arc::new(column);
    let encoder = ObjectEncoder::new(&["x".to_owned()], &[column]).unwrap();
    let (mut text, mut cell) = (String::new(), Cell::Value);
    encoder.write(0, &mut text, |seen| cell = seen);
    let inner = text
        .strip_prefix("{\"x\":")
        .unwrap()
        .strip_suffix('}')
        .unwrap();
    (inner.to_owned(), cell)
}

fn text(column: impl Array + 'static) -> String {
    one(column).0
}

fn decimal(value: i128, precision: u8, scale: i8) -> String {
    text(
        Decimal128Array::from(vec![value])
            .with_precision_and_scale(precision, scale)
            .unwrap(),
    )
}

#[test]
fn numbers_have_one_spelling() {
    assert_eq!(text(Int32Array::from(vec![-7])), "-7");
    assert_eq!(
        text(Int64Array::from(vec![i64::MIN])),
        "-9223372036854775808"
    );
    assert_eq!(
        text(UInt64Array::from(vec![u64::MAX])),
        "18446744073709551615"
    );
    assert_eq!(text(Float64Array::from(vec![-0.0])), "0");
    assert_eq!(text(Float64Array::from(vec![1.0])), "1");
    assert_eq!(
        text(Float64Array::from(vec![0.1 + 0.2])),
        "0.30000000000000004"
    );
    assert_eq!(text(Float64Array::from(vec![1e21])), "1e21");
    assert_eq!(text(Float64Array::from(vec![5e-324])), "5e-324");
    assert_eq!(text(Float32Array::from(vec![0.1])), "0.1");
    assert_eq!(decimal(150, 10, 2), "1.5");
    assert_eq!(decimal(15, 10, 1), "1.5");
    assert_eq!(decimal(-5, 10, 2), "-0.05");
    assert_eq!(decimal(0, 10, 2), "0");
    assert_eq!(decimal(100, 10, 0), "100");
    assert_eq!(decimal(5, 10, -2), "500");
    assert_eq!(decimal(123_456_789_012_345, 38, 5), "1234567890.12345");
    assert_eq!(
        decimal(1_234_567_890_123_456, 38, 5),
        "\"12345678901.23456\""
    );
}

#[test]
fn what_json_cannot_say_is_not_said() {
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!(one(Float64Array::from(vec![bad])).1, Cell::NoForm);
    }
    assert_eq!(one(Date32Array::from(vec![i32::MAX])).1, Cell::NoForm);
    assert_eq!(
        one(TimestampMicrosecondArray::from(vec![i64::MAX])).1,
        Cell::NoForm
    );
    let inside = StructArray::from(vec![(
        Arc::new(Field::new("a", DataType::Float64, true)),
        Arc::new(Float64Array::from(vec![f64::NAN])) as ArrayRef,
    )]);
    assert_eq!(one(inside).1, Cell::NoForm);
}

#[test]
fn times_are_in_utc_with_the_digits_that_they_need() {
    let at = 1_700_000_000_123_456;
    assert_eq!(
        text(TimestampMicrosecondArray::from(vec![at])),
        "\"2023-11-14T22:13:20.123456Z\""
    );
    assert_eq!(
        text(TimestampMicrosecondArray::from(vec![at]).with_timezone("+02:00")),
        "\"2023-11-14T22:13:20.123456Z\""
    );
    assert_eq!(
        text(TimestampMicrosecondArray::from(vec![1_500_000])),
        "\"1970-01-01T00:00:01.5Z\""
    );
    assert_eq!(
        text(TimestampMicrosecondArray::from(vec![-1])),
        "\"1969-12-31T23:59:59.999999Z\""
    );
    assert_eq!(
        text(TimestampNanosecondArray::from(vec![-1])),
        "\"1969-12-31T23:59:59.999999Z\""
    );
    assert_eq!(text(Date32Array::from(vec![19_675])), "\"2023-11-14\"");
}

#[test]
fn nested_values_are_objects_and_lists() {
    let list =
        ListArray::from_iter_primitive::<t::Int32Type, _, _>([Some([Some(1), None, Some(3)])]);
    assert_eq!(text(list), "[1,null,3]");
    let fields = StructArray::from(vec![
        (
            Arc::new(Field::new("z", DataType::Int32, true)),
            Arc::new(Int32Array::from(vec![1])) as ArrayRef,
        ),
        (
            Arc::new(Field::new("a", DataType::Utf8, true)),
            Arc::new(StringArray::from(vec!["x"])) as ArrayRef,
        ),
    ]);
    assert_eq!(text(fields), r#"{"a":"x","z":1}"#);
    assert_eq!(
        text(BinaryArray::from(vec![b"\x00\xff".as_slice()])),
        "\"00ff\""
    );
}

#[test]
fn null_blank_and_text_are_told_apart() {
    assert_eq!(
        one(StringArray::from(vec![None::<&str>])),
        ("null".to_owned(), Cell::Null)
    );
    assert_eq!(
        one(StringArray::from(vec![""])),
        ("\"\"".to_owned(), Cell::Blank)
    );
    assert_eq!(one(StringArray::from(vec![" \t\u{a0}"])).1, Cell::Blank);
    assert_eq!(
        one(StringArray::from(vec!["null"])),
        ("\"null\"".to_owned(), Cell::Value)
    );
}

#[test]
fn the_order_of_a_mapping_does_not_matter() {
    let (a, b): (ArrayRef, ArrayRef) = (
        Arc::new(Int32Array::from(vec![1])),
        Arc::new(Int32Array::from(vec![2])),
    );
    let written = |names: [&str; 2], columns: [ArrayRef; 2]| {
        let mut text = String::new();
        ObjectEncoder::new(&names.map(str::to_owned), &columns)
            .unwrap()
            .write(0, &mut text, |_| {});
        text
    };
    assert_eq!(
        written(["b", "a"], [b.clone(), a.clone()]),
        written(["a", "b"], [a, b])
    );
}

#[test]
fn hashes_are_the_documented_ones() {
    // The first 16 bytes of BLAKE3 of the two bytes `{}`.
    let mut expected = [0; 16];
    blake3::Hasher::new()
        .update(b"{}")
        .finalize_xof()
        .fill(&mut expected);
    assert_eq!(text_hash("{}"), expected);
    assert_ne!(text_hash("{}"), text_hash("{ }"));
    // `printf '{}' | sha256sum | cut -c 1-32`
    let hex: String = payload_hash("{}")
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    assert_eq!(hex, "44136fa355b3678a1146ad16f7e8649e");
}

#[test]
fn nulls_have_the_form_of_their_field() {
    let null: ArrayRef = Arc::new(StringArray::from(vec![None::<&str>]));
    let names = ["a", "b", "c", "d"].map(str::to_owned);
    let written = |forms: &[NullForm]| {
        let columns = vec![null.clone(); 4];
        let encoder = ObjectEncoder::with_nulls(&names, &columns, forms).unwrap();
        let mut text = String::new();
        encoder.write(0, &mut text, |cell| assert_eq!(cell, Cell::Null));
        (text, row_digest(&encoder, 0))
    };
    let empty = NullForm::Value(r#""""#.into());
    let mixed = [NullForm::Omit, NullForm::Null, NullForm::Omit, empty];
    let (text, digest) = written(&mixed);
    assert_eq!(text, r#"{"b":null,"d":""}"#);
    assert_eq!(
        written(&[
            NullForm::Omit,
            NullForm::Omit,
            NullForm::Omit,
            NullForm::Omit
        ])
        .0,
        "{}"
    );
    // What is sent differs, so the digest must.
    assert_ne!(digest, written(&[]).1);
}

fn digest_of(column: &ArrayRef, row: usize) -> [u8; 16] {
    let encoder = ObjectEncoder::new(&["x".to_owned()], std::slice::from_ref(column)).unwrap();
    row_digest(&encoder, row)
}

fn row_digest(encoder: &ObjectEncoder, row: usize) -> [u8; 16] {
    let mut found = vec![];
    // Among others, whose bytes must not get into it.
    let rows = [0, row, 0];
    encoder.digests(&rows, &mut DigestScratch::default(), |digest| {
        found.push(digest)
    });
    assert_eq!(found[0], found[2]);
    found[1]
}

fn text_of(column: &ArrayRef, row: usize) -> String {
    let encoder = ObjectEncoder::new(&["x".to_owned()], std::slice::from_ref(column)).unwrap();
    let mut text = String::new();
    encoder.write(row, &mut text, |_| {});
    text
}

proptest! {
    /// Numbers are spelled as `format!` spells them, but for the last digit where two are equally near.
    #[test]
    fn fast_floats_are_the_plain_ones(bits in any::<u64>(), small in -1_000_000_i32..1_000_000, scale in 0_i32..9) {
        for value in [f64::from_bits(bits), f64::from(small) / 10_f64.powi(scale)] {
            if value.is_finite() && value != 0.0 {
                let plain = if (1e-6..1e21).contains(&value.abs()) { format!("{value}") } else { format!("{value:e}") };
                let found = text(Float64Array::from(vec![value]));
                prop_assert_eq!(found.len(), plain.len(), "{} {}", found, plain);
                prop_assert_eq!(found.parse(), Ok(value));
            }
        }
    }

    /// Rows have equal digests exactly if their values are equal, so far as one type goes.
    #[test]
    fn equal_digests_mean_equal_json(
        texts in prop::collection::vec(prop::option::of("[a\u{0}\u{1}\"]{0,3}"), 2..20),
        numbers in prop::collection::vec(prop::option::of(-2_i64..3), 2..20),
        lists in prop::collection::vec(prop::option::of(prop::collection::vec(prop::option::of(0_i32..3), 0..3)), 2..20),
    ) {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(texts.clone())),
            Arc::new(StringViewArray::from_iter(texts)),
            Arc::new(Int64Array::from(numbers.clone())),
            Arc::new(Decimal128Array::from_iter(numbers.iter().map(|n| n.map(i128::from)))),
            Arc::new(Decimal128Array::from_iter(numbers.into_iter().map(|n| n.map(|n| i128::from(n) << 63)))),
            Arc::new(ListArray::from_iter_primitive::<t::Int32Type, _, _>(lists)),
        ];
        for column in &columns {
            for (a, b) in (0..column.len()).flat_map(|a| (0..column.len()).map(move |b| (a, b))) {
                let same = digest_of(column, a) == digest_of(column, b);
                prop_assert_eq!(same, text_of(column, a) == text_of(column, b));
            }
        }
    }

    /// Values of two columns never run into each other.
    #[test]
    fn digests_know_where_values_end(a in "[ab]{0,3}", b in "[ab]{0,3}", c in "[ab]{0,3}", d in "[ab]{0,3}") {
        let names = ["x".to_owned(), "y".to_owned()];
        let digest = |x: &str, y: &str| {
            let columns: [ArrayRef; 2] = [Arc::new(StringArray::from(vec![x])), Arc::new(StringArray::from(vec![y]))];
            row_digest(&ObjectEncoder::new(&names, &columns).unwrap(), 0)
        };
        prop_assert_eq!(digest(&a, &b) == digest(&c, &d), (a, b) == (c, d));
    }
}

proptest! {
    /// The destination gets exactly the number that the model has.
    #[test]
    fn every_float_survives(bits in any::<u64>()) {
        let value = f64::from_bits(bits);
        let (written, cell) = one(Float64Array::from(vec![value]));
        if value.is_finite() {
            let map = parsed(&format!("{{\"x\":{written}}}")).unwrap();
            let back = map.get("x").unwrap().as_f64().unwrap();
            prop_assert!(back == value, "{written} for {value:e}");
        } else {
            prop_assert_eq!(cell, Cell::NoForm);
        }
    }

    /// A number that is cast to another scale is the same number.
    #[test]
    fn a_decimal_does_not_depend_on_its_scale(value in -99_999_999_i128..99_999_999, scale in 0_i8..6, more in 0_i8..6) {
        let factor = 10_i128.pow(u32::try_from(more).unwrap());
        prop_assert_eq!(decimal(value, 38, scale), decimal(value * factor, 38, scale + more));
    }

    /// Whatever text: it is JSON, and comes back.
    #[test]
    fn every_text_survives(value in any::<String>(), name in any::<String>()) {
        let column: ArrayRef = Arc::new(StringArray::from(vec![value.as_str()]));
        let mut written = String::new();
        ObjectEncoder::new(std::slice::from_ref(&name), &[column]).unwrap().write(0, &mut written, |_| {});
        let general: serde_json::Map<String, Value> = serde_json::from_str(&written).unwrap();
        prop_assert_eq!(general.get(&name), Some(&Value::String(value)));
        prop_assert_eq!(parsed(&written), Some(general));
    }

    /// Nothing makes the parser stumble.
    #[test]
    fn any_text_is_an_object_or_none(text in "[\\[\\]{}\",:\\\\0-9a-z.e+-]{0,24}") {
        if let Some(map) = parsed(&text) {
            let again = serde_json::to_string(&map).unwrap();
            prop_assert_eq!(parsed(&again), Some(map));
        }
    }
}

fn parsed(text: &str) -> Option<serde_json::Map<String, serde_json::Value>> {
    ObjectText::new(text)?.parse()
}
