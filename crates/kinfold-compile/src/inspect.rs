//! What people who write models want to know of the engine: its functions, and the columns inside a plan.

use std::collections::VecDeque;

use datafusion::execution::SessionState;
use datafusion::logical_expr::{Documentation, LogicalPlan};

use crate::compile::asked_columns;
use crate::render::AskedColumn;

/// What is known of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionPage {
    /// Its name.
    pub name: String,
    /// How it is called: `substr(str, start_pos[, length])`. Only the name, if nobody has written it down.
    pub signature: String,
    /// What it does; may be empty.
    pub description: String,
    /// Its arguments and what they are.
    pub arguments: Vec<(String, String)>,
}

/// The functions of a session, each by every name that it has, in the order of the names.
#[must_use]
pub fn functions(session: &SessionState) -> Vec<FunctionPage> {
    let scalar = session.scalar_functions().iter();
    let aggregate = session.aggregate_functions().iter();
    let window = session.window_functions().iter();
    let mut pages: Vec<FunctionPage> = scalar
        .map(|(name, function)| page(name, function.documentation()))
        .chain(aggregate.map(|(name, function)| page(name, function.documentation())))
        .chain(window.map(|(name, function)| page(name, function.documentation())))
        .collect();
    pages.sort_by(|a, b| a.name.cmp(&b.name));
    // Some aggregates are window functions as well.
    pages.dedup_by(|later, earlier| later.name == earlier.name);
    pages
}

fn page(name: &str, written: Option<&Documentation>) -> FunctionPage {
    let signature = written.map(|page| page.syntax_example.trim().to_owned());
    FunctionPage {
        name: name.to_owned(),
        signature: signature
            .filter(|signature| !signature.is_empty())
            .unwrap_or_else(|| format!("{name}(…)")),
        description: written.map_or_else(String::new, |page| page.description.trim().to_owned()),
        arguments: written
            .and_then(|page| page.arguments.clone())
            .unwrap_or_default(),
    }
}

/// The columns of what a plan calls `name`: a common table expression, or a relation by its alias. The outermost of
/// that name; `None` if there is none.
#[must_use]
pub fn aliased(plan: &LogicalPlan, name: &str) -> Option<Vec<AskedColumn>> {
    let mut left = VecDeque::from([plan]);
    while let Some(plan) = left.pop_front() {
        if let LogicalPlan::SubqueryAlias(alias) = plan
            && alias.alias.table() == name
        {
            return Some(asked_columns(alias.schema.as_arrow()));
        }
        left.extend(plan.inputs());
    }
    None
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::bind::Binder;
    use crate::session::{SessionOptions, session_state};
    use std::sync::Arc;

    fn session() -> SessionState {
        let options = SessionOptions {
            as_of: chrono::DateTime::UNIX_EPOCH,
            target_partitions: 1,
            spilling_joins: false,
        };
        session_state(&options, Arc::default())
    }

    #[test]
    fn functions_say_how_they_are_called() {
        let pages = functions(&session());
        let page = |name: &str| pages.iter().find(|page| page.name == name).unwrap();
        assert!(page("substr").signature.starts_with("substr("));
        assert!(!page("substr").description.is_empty());
        // By its other name.
        assert_eq!(page("substring").signature, page("substr").signature);
        assert!(page("sum").signature.starts_with("sum("));
        assert!(page("row_number").signature.starts_with("row_number"));
        assert!(pages.len() > 200, "{}", pages.len());
        assert!(pages.is_sorted_by(|a, b| a.name < b.name));
    }

    #[test]
    fn columns_of_a_name_in_a_plan_are_those_of_the_outermost() {
        let sql = "WITH t AS (SELECT 1 AS a), u AS (SELECT a + 0.5 AS b FROM t) SELECT b, t.c FROM u CROSS JOIN (SELECT 'x' AS c) t";
        let plan = Binder::new(session()).bind(sql).unwrap();
        let columns = |name: &str| {
            let columns = aliased(&plan, name)?.into_iter();
            let columns = columns.map(|column| format!("{} {}", column.name, column.data_type));
            Some(columns.collect::<Vec<_>>().join(","))
        };
        assert_eq!(columns("u").as_deref(), Some("b double"));
        assert_eq!(columns("t").as_deref(), Some("c varchar"));
        assert_eq!(columns("v"), None);
    }
}
