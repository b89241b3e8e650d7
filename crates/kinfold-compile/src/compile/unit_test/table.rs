//! Unit tests of what an incremental model holds after a build.

use datafusion::logical_expr::LogicalPlan;
use kinfold_project::{Diagnostic, Span, codes as project_codes};

use super::super::Compiler;
use crate::growth::{grown, in_columns_of};
use crate::render::{IncrementalStrategy, RenderedUnitTest, UNIT_TEST_SCHEMA};
use crate::session::CATALOG;

impl Compiler<'_> {
    /// The rows of the table once the rows of the query have come to those of `this`.
    pub(super) fn after_the_build(
        &mut self,
        test: &RenderedUnitTest,
        query: LogicalPlan,
        asked: Span,
    ) -> Option<LogicalPlan> {
        let model = self.done.nodes.get(&test.model)?;
        let rules = model.config.incremental.clone();
        let rules = rules.filter(|rules| rules.strategy != IncrementalStrategy::Microbatch);
        let (Some(rules), Some(schema)) = (rules, model.schema.clone()) else {
            let name = &test.declared.model.value;
            let message = format!("the rows of the model `{name}` come to no others");
            let help = "only incremental models have other rows after a build than their query";
            return self.refuse_unit_test(message, asked, help);
        };
        let own = model.relation.as_ref();
        let mut inputs = test.inputs.iter();
        let this = inputs.find(|(original, _)| Some(original) == own);
        let Some((_, stands)) = this else {
            let message = "what the table held before is not given".to_owned();
            return self.refuse_unit_test(message, asked, "add `input: this` to `given`");
        };
        let name = stands.name.replace('"', "\"\"");
        let sql = format!("SELECT * FROM \"{CATALOG}\".\"{UNIT_TEST_SCHEMA}\".\"{name}\"");
        let there = self.binder.bind(&sql).ok()?;
        let plan = in_columns_of(query, &schema)
            .and_then(|new| grown(in_columns_of(there, &schema)?, new, &rules, &schema));
        match plan {
            Ok(plan) => Some(plan),
            Err(error) => {
                let message = format!("the rows do not fit the table: {}", error.strip_backtrace());
                self.refuse_unit_test(message, asked, "both have the columns of the model")
            }
        }
    }

    fn refuse_unit_test<T>(&mut self, message: String, span: Span, help: &str) -> Option<T> {
        let problem = Diagnostic::error(project_codes::INVALID_UNIT_TEST, message, span);
        self.found.push(problem.with_help(help));
        None
    }
}
