//! The one JSON form of a value: what is hashed, stored as key, and sent.
//!
//! The rules are in `docs/reference/payloads.md`. Two payloads have equal text exactly if a destination
//! receives equal JSON, so a row is sent again only if that changed: fields are ordered by name, a number
//! has one spelling (the ECMAScript idea of RFC 8785, "JSON Canonicalization Scheme"), a time one zone.
//! Text is taken as it is: it is not Unicode-normalised, because the destination would see the difference.

mod hash;
mod layout;
mod text;
mod value;

use datafusion::arrow::datatypes::DataType;

pub(super) use hash::earlier_payload_hash;
pub use hash::{payload_hash, text_hash};
pub(super) use layout::Layout;
pub use value::{Cell, DigestScratch, NullForm, ObjectEncoder};

/// The canonical object that empties each of these fields: null, or what its form of nulls says instead.
pub(super) fn cleared(fields: &[String], nulls: &[NullForm]) -> String {
    let mut members: Vec<(&String, &str)> = vec![];
    for (at, field) in fields.iter().enumerate() {
        let value = match nulls.get(at) {
            Some(NullForm::Value(value)) => value,
            _ => "null",
        };
        members.push((field, value));
    }
    members.sort_unstable();
    let mut object = String::from("{");
    for (at, (field, value)) in members.into_iter().enumerate() {
        object.push_str(if at == 0 { "" } else { "," });
        text::write_text(field, &mut object);
        object.push(':');
        object.push_str(value);
    }
    object.push('}');
    object
}

/// Whether values of a type have a JSON form.
#[must_use]
pub fn is_sendable(data_type: &DataType) -> bool {
    use DataType as T;
    match data_type {
        T::Duration(_) | T::Interval(_) | T::Union(..) | T::RunEndEncoded(..) => false,
        T::List(f)
        | T::LargeList(f)
        | T::FixedSizeList(f, _)
        | T::ListView(f)
        | T::LargeListView(f) => is_sendable(f.data_type()),
        T::Map(entries, _) => match entries.data_type() {
            T::Struct(fields) => {
                fields.first().is_some_and(|key| is_text(key.data_type()))
                    && fields.iter().all(|f| is_sendable(f.data_type()))
            }
            _ => false,
        },
        T::Struct(fields) => fields.iter().all(|f| is_sendable(f.data_type())),
        T::Dictionary(_, values) => is_sendable(values),
        _ => true,
    }
}

/// What kind of JSON value a key has, as a word that is stored with the state: a key that changes its kind
/// names other rows. `None` for types that cannot be keys.
#[must_use]
pub fn key_kind(data_type: &DataType) -> Option<&'static str> {
    use DataType as T;
    Some(match data_type {
        T::Boolean => "boolean",
        T::Decimal32(..) | T::Decimal64(..) | T::Decimal128(..) | T::Decimal256(..) => "decimal",
        T::Date32 | T::Date64 => "date",
        T::Timestamp(..) => "timestamp",
        T::Dictionary(_, values) => return key_kind(values),
        integer if integer.is_integer() => "integer",
        text if is_text(text) => "text",
        _ => return None,
    })
}

fn is_text(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
    )
}
