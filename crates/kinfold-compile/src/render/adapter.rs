//! `adapter`, `api` and the functions by which templates ask about relations.

use std::sync::Arc;

use minijinja::value::Value;
use minijinja::{Error, ErrorKind, State};

use super::answers::AskedColumn;
use super::column::ColumnValue;
use super::macros::dispatch;
use super::registry::lock;
use super::relation::{Relation, RelationValue, quoted};
use super::run::{Args, Run};
use super::{codes, mark, table};

/// Methods of `adapter`.
pub(super) fn method(
    state: &mut State<'_, '_>,
    run: &Arc<Run>,
    method: &str,
    mut args: Args,
) -> Result<Value, Error> {
    match method {
        "dispatch" => dispatch(state, args),
        "quote" => {
            let name = args.text("adapter.quote", "identifier")?;
            Ok(Value::from(quoted(&name)))
        }
        "quote_as_configured" => {
            let name = args.text("adapter.quote_as_configured", "identifier")?;
            Ok(Value::from(quoted(&name)))
        }
        "type" => Ok(Value::from("datafusion")),
        "check_schema_exists" => Ok(Value::from(true)),
        "get_columns_in_relation" => columns(run, args),
        "get_missing_columns" => missing_columns(run, args),
        "get_relation" => get_relation(run, args),
        "load_relation" => load_relation(run, args),
        "create_schema" => Ok(Value::from("")),
        _ => Err(changes(run, &args, &format!("adapter.{method}"))),
    }
}

/// `adapter.get_columns_in_relation(relation)`.
pub(super) fn columns(run: &Arc<Run>, mut args: Args) -> Result<Value, Error> {
    let relation = relation(&mut args, "get_columns_in_relation", "relation")?;
    args_of_columns(run, &relation, args.call).map(|columns| {
        columns
            .into_iter()
            .map(ColumnValue::value)
            .collect::<Value>()
    })
}

fn args_of_columns(
    run: &Arc<Run>,
    relation: &Relation,
    call: Option<usize>,
) -> Result<Vec<AskedColumn>, Error> {
    if !run.execute {
        return Ok(vec![]);
    }
    let columns = run.columns_of(relation, call)?;
    Ok(columns.map(<[_]>::to_vec).unwrap_or_default())
}

/// The columns of the first relation that the second one lacks.
fn missing_columns(run: &Arc<Run>, mut args: Args) -> Result<Value, Error> {
    let from = relation(&mut args, "get_missing_columns", "from_relation")?;
    let to = relation(&mut args, "get_missing_columns", "to_relation")?;
    let from = args_of_columns(run, &from, args.call)?;
    let to = args_of_columns(run, &to, args.call)?;
    let missing = from
        .into_iter()
        .filter(|column| !to.iter().any(|other| other.name == column.name));
    Ok(missing.map(ColumnValue::value).collect())
}

/// `adapter.get_relation(database, schema, identifier)`: the relation, or none if there is none.
fn get_relation(run: &Arc<Run>, mut args: Args) -> Result<Value, Error> {
    let _ = args.take("database");
    let schema = args.text("adapter.get_relation", "schema")?;
    let name = args.text("adapter.get_relation", "identifier")?;
    existing(run, Relation { schema, name }, args.call)
}

/// `load_relation(relation)`: the same for a relation.
pub(super) fn load_relation(run: &Arc<Run>, mut args: Args) -> Result<Value, Error> {
    let relation = relation(&mut args, "load_relation", "relation")?;
    existing(run, relation, args.call)
}

fn existing(run: &Arc<Run>, relation: Relation, call: Option<usize>) -> Result<Value, Error> {
    if !run.execute {
        return Ok(Value::from(()));
    }
    let own = run.relation.as_ref() == Some(&relation);
    let there = if own {
        run.incremental
    } else {
        run.name_relation(&relation, call) || run.columns_of(&relation, call)?.is_some()
    };
    Ok(if there {
        RelationValue::value(relation)
    } else {
        Value::from(())
    })
}

/// The relation that an argument is.
fn relation(args: &mut Args, function: &str, name: &str) -> Result<Relation, Error> {
    let value = args.take(name).unwrap_or_default();
    match value.downcast_object_ref::<RelationValue>() {
        Some(value) => Ok(value.relation().clone()),
        None => Err(Error::new(
            ErrorKind::InvalidOperation,
            format!("the argument `{name}` of `{function}` must be a relation, as `ref` gives it"),
        )),
    }
}

/// `run_query(sql)`: the rows as a table.
pub(super) fn run_query(run: &Arc<Run>, mut args: Args) -> Result<Value, Error> {
    let sql = args.text("run_query", "sql")?;
    if !run.execute {
        return Ok(Value::from(()));
    }
    let rows = run.rows_of(sql.trim(), args.call)?;
    Ok(table::table(rows))
}

/// `{% call statement('name', fetch_result=true) %}…{% endcall %}`.
pub(super) fn statement(
    state: &mut State<'_, '_>,
    run: &Arc<Run>,
    mut args: Args,
) -> Result<Value, Error> {
    let name = args.take("name").map(|name| name.to_string());
    let fetch = args.take("fetch_result").is_some_and(|v| v.is_true());
    let caller = args.keyword("caller");
    if !run.execute {
        return Ok(Value::from(""));
    }
    let sql = match caller {
        Some(caller) => mark::strip(&caller.call(state, &[])?.to_string()),
        None => String::new(),
    };
    if !fetch {
        return Err(changes(run, &args, "statement"));
    }
    let result = table::result(run.rows_of(sql.trim(), args.call)?);
    if let Some(name) = name {
        lock(&run.records).results.insert(name, result);
    }
    Ok(Value::from(""))
}

/// `load_result('name')`: what a statement of that name gave.
pub(super) fn load_result(run: &Arc<Run>, mut args: Args) -> Result<Value, Error> {
    let name = args.text("load_result", "name")?;
    let found = lock(&run.records).results.get(&name).cloned();
    Ok(found.unwrap_or_else(|| Value::from(())))
}

/// What would change the lake while the project is compiled.
pub(super) fn changes(run: &Run, args: &Args, function: &str) -> Error {
    run.raise(
        codes::NOT_SUPPORTED,
        format!("`{function}` runs a statement for its effect, which is not supported"),
        args.call.map(|call| run.call_span(Some(call))),
        Some(
            "templates can ask for rows: `run_query`, or `statement` with `fetch_result=true`"
                .to_owned(),
        ),
    )
}

/// Methods of `api.Relation`.
pub(super) fn api_relation(run: &Arc<Run>, method: &str, mut args: Args) -> Result<Value, Error> {
    match method {
        "create" => {
            let _ = args.take("database");
            let text = |value: Option<Value>| {
                let value = value.filter(|v| !v.is_none() && !v.is_undefined());
                value.map(|v| mark::strip(&v.to_string()))
            };
            let schema = text(args.take("schema"));
            let name = text(args.take("identifier"));
            let relation = Relation {
                schema: schema.unwrap_or_else(|| run.registry.schema.clone()),
                name: name.unwrap_or_default(),
            };
            if run.execute && !relation.name.is_empty() {
                run.name_relation(&relation, args.call);
            }
            Ok(RelationValue::value(relation))
        }
        "add_ephemeral_prefix" => {
            let name = args.text("add_ephemeral_prefix", "name")?;
            Ok(Value::from(format!("__dbt__cte__{name}")))
        }
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    }
}

/// `api.Column(name, type)`.
pub(super) fn api_column(mut args: Args) -> Result<Value, Error> {
    let name = args.text("api.Column", "column")?;
    let data_type = args.text("api.Column", "dtype")?;
    Ok(ColumnValue::value(AskedColumn { name, data_type }))
}

/// Methods of `api.Column`.
pub(super) fn api_column_method(method: &str, mut args: Args) -> Result<Value, Error> {
    match method {
        "create" => api_column(args),
        "translate_type" => {
            let word = args.text("api.Column.translate_type", "dtype")?;
            Ok(Value::from(translated(&word)))
        }
        "string_type" | "numeric_type" => {
            let size: Vec<String> = args.positional.iter().map(Value::to_string).collect();
            let base = if method == "string_type" {
                "varchar"
            } else {
                "decimal"
            };
            Ok(Value::from(if size.is_empty() {
                base.to_owned()
            } else {
                format!("{base}({})", size.join(","))
            }))
        }
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    }
}

/// The type that a word of other databases means.
fn translated(word: &str) -> String {
    match word.to_uppercase().as_str() {
        "STRING" | "TEXT" => "varchar".to_owned(),
        "INTEGER" => "int".to_owned(),
        "FLOAT" => "double".to_owned(),
        "NUMERIC" => "decimal(28, 6)".to_owned(),
        _ => word.to_owned(),
    }
}
