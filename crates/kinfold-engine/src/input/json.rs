//! JSON values as columns of text, for the columns that a source has.
//!
//! A line is checked against the grammar of JSON first; what walks over it afterwards only looks for
//! the ends of values. Numbers keep the text that they have in the file, so a decimal loses nothing.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, ListArray, MapArray, StructArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use arrow::error::ArrowError;
use memchr::{memchr2, memchr3};

use super::raw::{Text, nulls};

/// Why a value cannot be in a column.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The column, with dots for fields; empty for the record itself.
    pub column: String,
    pub what: &'static str,
}

impl Refusal {
    fn new(what: &'static str) -> Self {
        Self {
            column: String::new(),
            what,
        }
    }

    fn below(mut self, name: &str) -> Self {
        if !self.column.is_empty() {
            self.column.insert(0, '.');
        }
        self.column.insert_str(0, name);
        self
    }

    /// The reason that the quarantine gives.
    pub fn reason(&self) -> String {
        if self.column.is_empty() {
            self.what.to_owned()
        } else {
            format!("column `{}` {}", self.column, self.what)
        }
    }
}

/// A column that is being filled with the text of its values.
#[derive(Debug)]
pub(super) enum Column {
    /// Everything that is not nested.
    Text(Text),
    /// Objects with known keys.
    Struct {
        names: HashMap<String, usize>,
        fields: Vec<(FieldRef, Column)>,
        valid: Vec<bool>,
    },
    /// Arrays.
    List {
        item: FieldRef,
        items: Box<Column>,
        offsets: Vec<i32>,
        valid: Vec<bool>,
    },
    /// Objects with any keys.
    Map {
        entries: FieldRef,
        keys: Text,
        values: Box<Column>,
        offsets: Vec<i32>,
        valid: Vec<bool>,
    },
}

impl Column {
    /// A column for values of a stored type.
    pub fn new(data_type: &DataType) -> Self {
        match data_type {
            DataType::Struct(fields) => Self::of_fields(fields),
            DataType::List(item) => Self::List {
                item: item.clone(),
                items: Box::new(Self::new(item.data_type())),
                offsets: vec![0],
                valid: Vec::new(),
            },
            DataType::Map(entries, _) => {
                let value = match entries.data_type() {
                    DataType::Struct(pair) => pair
                        .get(1)
                        .map_or(DataType::Utf8, |value| value.data_type().clone()),
                    _ => DataType::Utf8,
                };
                Self::Map {
                    entries: entries.clone(),
                    keys: Text::with_capacity(0),
                    values: Box::new(Self::new(&value)),
                    offsets: vec![0],
                    valid: Vec::new(),
                }
            }
            _ => Self::Text(Text::with_capacity(0)),
        }
    }

    /// A column of objects.
    pub fn of_fields(fields: &Fields) -> Self {
        Self::Struct {
            names: fields
                .iter()
                .enumerate()
                .map(|(at, field)| (field.name().clone(), at))
                .collect(),
            fields: fields
                .iter()
                .map(|field| (field.clone(), Self::new(field.data_type())))
                .collect(),
            valid: Vec::new(),
        }
    }

    /// Values so far.
    pub fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Struct { valid, .. } | Self::List { valid, .. } | Self::Map { valid, .. } => {
                valid.len()
            }
        }
    }

    /// Takes back all values after the first `rows`, unfinished ones included.
    pub fn truncate(&mut self, rows: usize) {
        match self {
            Self::Text(text) => text.truncate(rows),
            Self::Struct { fields, valid, .. } => {
                fields
                    .iter_mut()
                    .for_each(|(_, column)| column.truncate(rows));
                valid.truncate(rows);
            }
            Self::List {
                items,
                offsets,
                valid,
                ..
            } => {
                items.truncate(cut(offsets, rows));
                valid.truncate(rows);
            }
            Self::Map {
                keys,
                values,
                offsets,
                valid,
                ..
            } => {
                let entries = cut(offsets, rows);
                keys.truncate(entries);
                values.truncate(entries);
                valid.truncate(rows);
            }
        }
    }

    pub fn append_null(&mut self) {
        match self {
            Self::Text(text) => text.append_null(),
            Self::Struct { fields, valid, .. } => {
                fields
                    .iter_mut()
                    .for_each(|(_, column)| column.append_null());
                valid.push(false);
            }
            Self::List { offsets, valid, .. } | Self::Map { offsets, valid, .. } => {
                offsets.push(offsets.last().copied().unwrap_or_default());
                valid.push(false);
            }
        }
    }

    /// Appends a JSON value, which must be valid and without spaces around it. After a refusal the
    /// column must be truncated.
    pub fn append(&mut self, json: &str) -> Result<(), Refusal> {
        if json == "null" {
            self.append_null();
            return Ok(());
        }
        match self {
            Self::Text(text) if json.starts_with('"') => {
                text.append_value(string(json)?.as_bytes())
            }
            Self::Text(text) => text.append_value(json.as_bytes()),
            Self::Struct {
                names,
                fields,
                valid,
            } => {
                let row = valid.len();
                members(json, |key, value| {
                    let key = string(key)?;
                    let Some((field, column)) =
                        names.get(key.as_ref()).and_then(|at| fields.get_mut(*at))
                    else {
                        return Ok(());
                    };
                    if column.len() > row {
                        return Err(Refusal::new("is there twice").below(field.name()));
                    }
                    column
                        .append(value)
                        .map_err(|refusal| refusal.below(field.name()))
                })?;
                fields
                    .iter_mut()
                    .filter(|(_, column)| column.len() == row)
                    .for_each(|(_, column)| column.append_null());
                valid.push(true);
            }
            Self::List {
                items,
                offsets,
                valid,
                ..
            } => {
                elements(json, |value| items.append(value))?;
                offsets.push(offset(items.len()));
                valid.push(true);
            }
            Self::Map {
                keys,
                values,
                offsets,
                valid,
                ..
            } => {
                members(json, |key, value| {
                    keys.append_value(string(key)?.as_bytes());
                    values.append(value)
                })?;
                offsets.push(offset(keys.len()));
                valid.push(true);
            }
        }
        Ok(())
    }

    /// The columns of a column of objects.
    pub fn into_columns(self) -> Result<Vec<ArrayRef>, ArrowError> {
        match self {
            Self::Struct { fields, .. } => Ok(finished(fields)?.1),
            other => Ok(vec![other.finish()?]),
        }
    }

    /// The values, text at every leaf.
    pub fn finish(self) -> Result<ArrayRef, ArrowError> {
        Ok(match self {
            Self::Text(text) => text.finish()?,
            Self::Struct { fields, valid, .. } => {
                let rows = valid.len();
                let (fields, columns) = finished(fields)?;
                let columns =
                    StructArray::try_new_with_length(fields, columns, nulls(valid), rows)?;
                Arc::new(columns)
            }
            Self::List {
                item,
                items,
                offsets,
                valid,
            } => {
                let items = items.finish()?;
                let item = retyped(&item, &items);
                Arc::new(ListArray::try_new(
                    item,
                    OffsetBuffer::new(offsets.into()),
                    items,
                    nulls(valid),
                )?)
            }
            Self::Map {
                entries,
                keys,
                values,
                offsets,
                valid,
            } => {
                let (keys, values) = (keys.finish()?, values.finish()?);
                let fields = Fields::from(vec![
                    Field::new("key", DataType::Utf8, false),
                    Field::new("value", values.data_type().clone(), true),
                ]);
                let pairs = StructArray::try_new(fields, vec![keys, values], None)?;
                let field = Arc::new(Field::new(
                    entries.name(),
                    datafusion::arrow::array::Array::data_type(&pairs).clone(),
                    false,
                ));
                Arc::new(MapArray::try_new(
                    field,
                    OffsetBuffer::new(offsets.into()),
                    pairs,
                    nulls(valid),
                    false,
                )?)
            }
        })
    }
}

/// The columns of a struct, finished.
fn finished(fields: Vec<(FieldRef, Column)>) -> Result<(Fields, Vec<ArrayRef>), ArrowError> {
    let mut finished = Vec::with_capacity(fields.len());
    let mut columns = Vec::with_capacity(fields.len());
    for (field, column) in fields {
        let column = column.finish()?;
        finished.push(retyped(&field, &column));
        columns.push(column);
    }
    Ok((finished.into(), columns))
}

fn retyped(field: &Field, column: &ArrayRef) -> FieldRef {
    Arc::new(Field::new(field.name(), column.data_type().clone(), true))
}

fn offset(length: usize) -> i32 {
    i32::try_from(length).unwrap_or(i32::MAX)
}

fn cut(offsets: &mut Vec<i32>, rows: usize) -> usize {
    offsets.truncate(rows + 1);
    usize::try_from(offsets.last().copied().unwrap_or_default()).unwrap_or_default()
}

/// The value of a JSON string.
fn string(json: &str) -> Result<Cow<'_, str>, Refusal> {
    let inside = json
        .get(1..json.len().saturating_sub(1))
        .unwrap_or_default();
    if !inside.contains('\\') {
        return Ok(Cow::Borrowed(inside));
    }
    // The grammar allows half a surrogate pair, which is not a character.
    serde_json::from_str(json)
        .map(Cow::Owned)
        .map_err(|_| Refusal::new("has an escape that is not a character"))
}

fn members(
    json: &str,
    mut member: impl FnMut(&str, &str) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    if !json.starts_with('{') {
        return Err(Refusal::new("is not an object"));
    }
    let mut walk = Walk { json, at: 1 };
    while let Some(key) = walk.next_value() {
        let value = walk.next_value().unwrap_or_default();
        member(key, value)?;
    }
    Ok(())
}

fn elements(
    json: &str,
    mut element: impl FnMut(&str) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    if !json.starts_with('[') {
        return Err(Refusal::new("is not an array"));
    }
    let mut walk = Walk { json, at: 1 };
    while let Some(value) = walk.next_value() {
        element(value)?;
    }
    Ok(())
}

/// Walks over valid JSON.
struct Walk<'a> {
    json: &'a str,
    at: usize,
}

impl<'a> Walk<'a> {
    fn rest(&self) -> &'a [u8] {
        self.json.as_bytes().get(self.at..).unwrap_or_default()
    }

    /// The next key or value of the object or array that the walk is in.
    fn next_value(&mut self) -> Option<&'a str> {
        let first = loop {
            match self.rest().first()? {
                b' ' | b'\t' | b'\r' | b'\n' | b',' | b':' => self.at += 1,
                first => break first,
            }
        };
        let start = self.at;
        match first {
            b'}' | b']' => return None,
            b'"' => self.string(),
            b'{' => self.nested(b'{', b'}'),
            b'[' => self.nested(b'[', b']'),
            _ => {
                // A number or a word ends with its object, its array or a comma, spaces aside.
                let rest = self.rest();
                let value = rest.get(..memchr3(b',', b'}', b']', rest).unwrap_or(rest.len()));
                self.at += value.map_or(0, |value| value.trim_ascii_end().len());
            }
        }
        self.json.get(start..self.at)
    }

    fn string(&mut self) {
        self.at += 1;
        while let Some(at) = memchr2(b'"', b'\\', self.rest()) {
            let quote = self.rest().get(at) == Some(&b'"');
            self.at += at + if quote { 1 } else { 2 };
            if quote {
                return;
            }
        }
        self.at = self.json.len();
    }

    /// Walks to the end of an object or array. Only its own kind of bracket counts, because the
    /// other kind is balanced inside it.
    fn nested(&mut self, open: u8, close: u8) {
        let mut depth = 0_usize;
        while let Some(at) = memchr3(b'"', open, close, self.rest()) {
            let found = self.rest().get(at).copied().unwrap_or_default();
            self.at += at;
            if found == b'"' {
                self.string();
                continue;
            }
            self.at += 1;
            if found == open {
                depth += 1;
            } else {
                depth = depth.saturating_sub(1);
            }
            if depth == 0 {
                return;
            }
        }
        self.at = self.json.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walks_over_every_kind_of_value() {
        let json = r#"{"a": 1.50,"b\"":[{"c":"]}"},[ ]] , "d":"x\\","e":null,"f":{},"g":true}"#;
        let mut seen = Vec::new();
        let walked = members(json, |key, value| {
            seen.push((key.to_owned(), value.to_owned()));
            Ok(())
        });
        assert_eq!(walked, Ok(()));
        let expected = [
            (r#""a""#, "1.50"),
            (r#""b\"""#, r#"[{"c":"]}"},[ ]]"#),
            (r#""d""#, r#""x\\""#),
            (r#""e""#, "null"),
            (r#""f""#, "{}"),
            (r#""g""#, "true"),
        ];
        assert_eq!(
            seen,
            expected.map(|(key, value)| (key.to_owned(), value.to_owned()))
        );
    }

    #[test]
    fn half_a_character_is_refused() {
        assert_eq!(string(r#""\ud83d\ude00""#).as_deref(), Ok("😀"));
        assert!(string(r#""\ud83d""#).is_err());
    }
}
