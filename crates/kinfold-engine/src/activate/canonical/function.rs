//! The canonical form as functions of DataFusion, so that it is computed where the rows are.

use std::sync::Arc;

use datafusion::arrow::array::cast::AsArray;
use datafusion::arrow::array::{Array, ArrayRef, BinaryBuilder, StringBuilder};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use super::{Cell, ObjectEncoder};

/// Canonical JSON of the arguments as an object; null if it cannot be used.
///
/// A payload cannot be used if a value has no JSON form, a key also not if a part of it is null or blank.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct JsonObject {
    names: Vec<String>,
    is_key: bool,
    signature: Signature,
}

impl JsonObject {
    /// A key with these fields; the function takes their values in this order.
    #[must_use]
    pub fn key(names: Vec<String>) -> Self {
        Self {
            names,
            is_key: true,
            signature: Signature::variadic_any(Volatility::Immutable),
        }
    }

    /// A payload with these fields; the function takes their values in this order.
    #[must_use]
    pub fn payload(names: Vec<String>) -> Self {
        Self {
            names,
            is_key: false,
            signature: Signature::variadic_any(Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for JsonObject {
    fn name(&self) -> &str {
        if self.is_key {
            "key_text"
        } else {
            "payload_text"
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let columns: Vec<ArrayRef> = args
            .args
            .iter()
            .map(|a| a.to_array(rows))
            .collect::<Result<_>>()?;
        if columns.len() != self.names.len() {
            return Err(DataFusionError::Plan(format!(
                "{} takes {} arguments",
                self.name(),
                self.names.len()
            )));
        }
        let encoder = ObjectEncoder::new(&self.names, &columns)?;
        let mut texts = StringBuilder::with_capacity(rows, rows * 32);
        let mut text = String::new();
        for row in 0..rows {
            text.clear();
            let mut usable = true;
            encoder.write(row, &mut text, |cell| {
                usable &= match cell {
                    Cell::Value => true,
                    Cell::Null | Cell::Blank => !self.is_key,
                    Cell::NoForm => false,
                };
            });
            if usable {
                texts.append_value(&text);
            } else {
                texts.append_null();
            }
        }
        Ok(ColumnarValue::Array(Arc::new(texts.finish())))
    }
}

/// The first 128 bits of BLAKE3 over a text.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct PayloadHash {
    signature: Signature,
}

impl PayloadHash {
    /// The function `payload_hash(text)`.
    #[must_use]
    pub fn new() -> Self {
        Self {
            signature: Signature::exact(vec![DataType::Utf8], Volatility::Immutable),
        }
    }

    /// The hash of one payload.
    #[must_use]
    pub fn of(payload: &str) -> [u8; 16] {
        let mut hash = [0; 16];
        let mut hasher = blake3::Hasher::new();
        hasher.update(payload.as_bytes());
        hasher.finalize_xof().fill(&mut hash);
        hash
    }
}

impl Default for PayloadHash {
    fn default() -> Self {
        Self::new()
    }
}

impl ScalarUDFImpl for PayloadHash {
    fn name(&self) -> &str {
        "payload_hash"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Binary)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(argument) = args.args.first() else {
            return Err(DataFusionError::Plan(
                "payload_hash takes one argument".to_owned(),
            ));
        };
        let texts = argument.to_array(args.number_rows)?;
        let texts = texts.as_string::<i32>();
        let mut hashes = BinaryBuilder::with_capacity(texts.len(), texts.len() * 16);
        for text in texts {
            hashes.append_option(text.map(Self::of));
        }
        Ok(ColumnarValue::Array(Arc::new(hashes.finish())))
    }
}
