//! SQL functions beside those of DataFusion: names, addresses and numbers in a form that can be compared, how words
//! sound, and how much they are alike.
//!
//! Names are those of PostgreSQL and DuckDB where they have such a function. All of them give null for null.

use std::cell::RefCell;
use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::builder::{ListBuilder, StringBuilder};
use datafusion::arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray};
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::cast::as_string_array;
use datafusion::common::{DataFusionError, ScalarValue, internal_err};
use datafusion::execution::{FunctionRegistry, SessionState};
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};
use kinfold_identity::text::normalise::{self, Diacritics, EmailOptions};
use kinfold_identity::text::similarity::{self, Scratch};
use kinfold_identity::text::{nicknames, phonetic};

/// The session with all of them.
pub(crate) fn with_functions(mut state: SessionState) -> SessionState {
    for function in all() {
        // Only a registry that cannot be written to refuses, and this is not one.
        let known = state.register_udf(function);
        debug_assert!(known.is_ok_and(|before| before.is_none()));
    }
    state
}

/// All of them. One and the same each time, so that plans with them can be compared.
fn all() -> Vec<Arc<ScalarUDF>> {
    static ALL: LazyLock<Vec<Arc<ScalarUDF>>> = LazyLock::new(|| {
        [
            words("soundex", phonetic::soundex),
            words("dmetaphone", |text| {
                phonetic::double_metaphone(text).map(|codes| codes.primary)
            }),
            words("dmetaphone_alt", |text| {
                phonetic::double_metaphone(text)
                    .map(|codes| codes.alternate.unwrap_or(codes.primary))
            }),
            words("normalise_name", |text| {
                Some(normalise::name(text, Diacritics::Fold)).filter(|name| !name.is_empty())
            }),
            words("normalise_email", |text| {
                normalise::email(text, EmailOptions::default())
            }),
            words("normalise_postcode", normalise::postcode),
            words("normalise_street", |text| {
                normalise::street(text).map(|street| street.name)
            }),
            words("house_number", |text| {
                normalise::street(text).and_then(|street| street.house_number)
            }),
            phone(),
            words("nickname_root", nickname_root),
            full_names(),
            share("jaro_similarity", similarity::jaro),
            share("jaro_winkler_similarity", similarity::jaro_winkler),
            share("jaccard", similarity::jaccard),
            share("levenshtein_similarity", levenshtein_similarity),
            edits("damerau_levenshtein", similarity::damerau),
        ]
        .into_iter()
        .map(Arc::new)
        .collect()
    });
    ALL.clone()
}

/// Text to text.
fn words(name: &str, form: fn(&str) -> Option<String>) -> ScalarUDF {
    function(name, 1, DataType::Utf8, move |columns| {
        let [text] = columns else {
            return internal_err!("one argument was declared");
        };
        let formed = text.iter().map(|text| text.and_then(form));
        Ok(Arc::new(formed.collect::<StringArray>()))
    })
}

/// A telephone number and the country of numbers without a prefix.
fn phone() -> ScalarUDF {
    function("normalise_phone", 2, DataType::Utf8, |columns| {
        let [text, country] = columns else {
            return internal_err!("two arguments were declared");
        };
        let numbers = text.iter().zip(country.iter());
        let formed = numbers.map(|(text, country)| normalise::phone(text?, country));
        Ok(Arc::new(formed.collect::<StringArray>()))
    })
}

/// The full names that a given name may stand for.
fn full_names() -> ScalarUDF {
    let item = Field::new_list_field(DataType::Utf8, true);
    function("full_names", 1, DataType::List(Arc::new(item)), |columns| {
        let [text] = columns else {
            return internal_err!("one argument was declared");
        };
        let mut lists = ListBuilder::new(StringBuilder::new());
        for text in text.iter() {
            if let Some(text) = text {
                for name in nicknames::full_names(text) {
                    lists.values().append_value(name);
                }
            }
            lists.append(text.is_some());
        }
        Ok(Arc::new(lists.finish()))
    })
}

/// The one full name that a given name may stand for; the name itself if there are several or none.
fn nickname_root(text: &str) -> Option<String> {
    let mut names = nicknames::full_names(text).into_iter();
    match (names.next(), names.next()) {
        (Some(only), None) => Some(only),
        (None, _) => None,
        _ => Some(normalise::name(text, Diacritics::Fold)),
    }
}

/// The share of the characters of the longer text that no edit touches.
fn levenshtein_similarity(scratch: &mut Scratch, left: &str, right: &str) -> f64 {
    let longer = left.chars().count().max(right.chars().count());
    let edits = similarity::levenshtein(scratch, left, right);
    if longer == 0 {
        return 1.0;
    }
    1.0 - edits as f64 / longer as f64
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch::new());
}

/// Two texts to a share of 1.
fn share(name: &str, measure: fn(&mut Scratch, &str, &str) -> f64) -> ScalarUDF {
    function(name, 2, DataType::Float64, move |columns| {
        let measured: Float64Array = pairs(columns, measure)?.into_iter().collect();
        Ok(Arc::new(measured))
    })
}

/// Two texts to a number of edits.
fn edits(name: &str, measure: fn(&mut Scratch, &str, &str) -> usize) -> ScalarUDF {
    function(name, 2, DataType::Int64, move |columns| {
        let counted = pairs(columns, measure)?.into_iter();
        // No text has so many characters.
        let counted = counted.map(|count| count.and_then(|count| i64::try_from(count).ok()));
        Ok(Arc::new(counted.collect::<Int64Array>()))
    })
}

fn pairs<T>(
    columns: &[&StringArray],
    measure: fn(&mut Scratch, &str, &str) -> T,
) -> Result<Vec<Option<T>>, DataFusionError> {
    let [left, right] = columns else {
        return internal_err!("two arguments were declared");
    };
    SCRATCH.with_borrow_mut(|scratch| {
        let pairs = left.iter().zip(right.iter());
        let measured = pairs.map(|(left, right)| Some(measure(scratch, left?, right?)));
        Ok(measured.collect())
    })
}

/// A function of texts whose result hangs on nothing else.
fn function(
    name: &str,
    arguments: usize,
    returns: DataType,
    body: impl Fn(&[&StringArray]) -> Result<ArrayRef, DataFusionError> + Send + Sync + 'static,
) -> ScalarUDF {
    let body = move |given: &[ColumnarValue]| {
        let arrays = ColumnarValue::values_to_arrays(given)?;
        let texts: Vec<&StringArray> = arrays
            .iter()
            .map(|array| as_string_array(array))
            .collect::<Result<_, _>>()?;
        let result = body(&texts)?;
        let constant = |value: &ColumnarValue| matches!(value, ColumnarValue::Scalar(_));
        if given.iter().all(constant) {
            return ScalarValue::try_from_array(&result, 0).map(ColumnarValue::Scalar);
        }
        Ok(ColumnarValue::Array(result))
    };
    create_udf(
        name,
        vec![DataType::Utf8; arguments],
        returns,
        Volatility::Immutable,
        Arc::new(body),
    )
}
