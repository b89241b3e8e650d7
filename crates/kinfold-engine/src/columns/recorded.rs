//! Columns of sources as they were recorded in the project, against those that they have.

use std::str::FromStr;

use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::execution::SessionState;
use kinfold_lake::storable_schema;
use kinfold_project::{Code, Diagnostic, RecordedSource, Source};

use crate::EngineError;
use crate::input::{sql_name, sql_type};

/// The columns of a source are not those that are recorded of it.
pub const SOURCE_DRIFT: Code = Code {
    id: "KF0504",
    name: "source-drift",
};

/// The text of a type in `sources.lock.yml`: its name in SQL, or in Arrow where SQL has none.
///
/// `None` if neither can be read back.
#[must_use]
pub fn recorded_type(data_type: &DataType, session: &SessionState) -> Option<String> {
    let texts = [sql_name(data_type), data_type.to_string()];
    texts
        .into_iter()
        .find(|text| parsed(text, session).as_ref() == Some(data_type))
}

/// What a text of [`recorded_type`] means.
fn parsed(text: &str, session: &SessionState) -> Option<DataType> {
    let read = sql_type("", text, session)
        .ok()
        .or_else(|| DataType::from_str(text).ok())?;
    let stored = storable_schema(&Schema::new(vec![Field::new("a", read, true)])).ok()?;
    Some(stored.fields().first()?.data_type().clone())
}

/// The recorded columns.
///
/// # Errors
/// The first type that is none.
pub(crate) fn schema(
    recorded: &RecordedSource,
    session: &SessionState,
) -> Result<Schema, EngineError> {
    let fields = recorded.columns.iter().map(|(name, written)| {
        let unknown = || sql_type(&name.value, &written.value, session).err();
        match (parsed(&written.value, session), unknown) {
            (Some(data_type), _) => Ok(Field::new(&name.value, data_type, true)),
            (None, unknown) => Err(unknown().map_or_else(
                || EngineError::TableMissing(name.value.clone()),
                EngineError::from,
            )),
        }
    });
    Ok(Schema::new(fields.collect::<Result<Vec<_>, _>>()?))
}

/// What differs between the columns that a source has and those that are recorded of it.
pub(crate) fn drift(
    source: &Source,
    recorded: &RecordedSource,
    now: &Schema,
    session: &SessionState,
) -> Vec<Diagnostic> {
    let name = format!("{}.{}", source.source.value, source.table.value);
    let mut found = vec![];
    let told = |message: String, span| {
        Diagnostic::warning(SOURCE_DRIFT, message, span)
            .with_help("`kinfold source snapshot` writes `sources.lock.yml` anew")
    };
    for field in now.fields() {
        let before = recorded.columns.iter();
        let mut before = before.filter(|(column, _)| column.value == *field.name());
        match before.next() {
            None => found.push(told(
                format!(
                    "`{name}` has a column `{}` that is not recorded",
                    field.name()
                ),
                recorded.place,
            )),
            Some((_, written)) => {
                if parsed(&written.value, session).as_ref() != Some(field.data_type()) {
                    found.push(told(
                        format!(
                            "column `{}` of `{name}` is {} now",
                            field.name(),
                            sql_name(field.data_type())
                        ),
                        written.span,
                    ));
                }
            }
        }
    }
    for (column, _) in &recorded.columns {
        if now.field_with_name(&column.value).is_err() {
            found.push(told(
                format!("`{name}` has no column `{}` any more", column.value),
                column.span,
            ));
        }
    }
    found
}

/// What properties files say of the columns of a source and its record does not.
pub(crate) fn undeclared(
    source: &Source,
    recorded: &RecordedSource,
    session: &SessionState,
) -> Vec<Diagnostic> {
    let mut found = vec![];
    for column in &source.columns {
        let before = recorded.columns.iter();
        let mut before = before.filter(|(name, _)| name.value == column.name.value);
        let Some((_, written)) = before.next() else {
            let message = format!(
                "the recorded columns of `{}.{}` have no `{}`",
                source.source.value, source.table.value, column.name.value
            );
            found.push(
                Diagnostic::warning(SOURCE_DRIFT, message, column.name.span)
                    .with_related(recorded.place, "recorded here"),
            );
            continue;
        };
        let Some(declared) = &column.data_type else {
            continue;
        };
        // A type that is none is told where sources are read.
        let Some(wanted) = parsed(&declared.value, session) else {
            continue;
        };
        if parsed(&written.value, session).is_some_and(|recorded| recorded != wanted) {
            let message = format!(
                "column `{}` is declared as {} and recorded as {}",
                column.name.value, declared.value, written.value
            );
            found.push(
                Diagnostic::warning(SOURCE_DRIFT, message, declared.span)
                    .with_related(written.span, "recorded here"),
            );
        }
    }
    found
}
