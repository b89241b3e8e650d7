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
use datafusion::common::{DataFusionError, internal_err};
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};
use kinfold_identity::text::normalise::{self, Diacritics, EmailOptions};
use kinfold_identity::text::similarity::{self, Scratch};
use kinfold_identity::text::{nicknames, phonetic};

/// All of them. One and the same each time, so that plans with them can be compared.
pub(crate) fn all() -> Vec<Arc<ScalarUDF>> {
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
            full_names(),
            share("jaro_similarity", similarity::jaro),
            share("jaro_winkler_similarity", similarity::jaro_winkler),
            share("jaccard", similarity::jaccard),
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
        Ok(ColumnarValue::Array(body(&texts)?))
    };
    create_udf(
        name,
        vec![DataType::Utf8; arguments],
        returns,
        Volatility::Immutable,
        Arc::new(body),
    )
}
