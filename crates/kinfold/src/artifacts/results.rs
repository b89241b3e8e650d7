//! `run_results.json`.

use kinfold_compile::compile::CompiledProject;
use kinfold_engine::build::{NodeResult, NodeStatus};
use kinfold_project::NodeId;
use serde_json::{Value as Json, json};

use super::RunFacts;

/// A node of a run.
#[derive(Clone, Debug)]
pub struct RunResult {
    id: NodeId,
    status: &'static str,
    message: String,
    failures: Option<u64>,
    elapsed_ms: u64,
    rows: Option<u64>,
    table: Option<String>,
    version: Option<u64>,
    relation_name: Option<String>,
    compiled_code: Option<String>,
}

impl RunResult {
    /// The result of a node as dbt would say it.
    pub fn of(result: &NodeResult, compiled: &CompiledProject) -> Self {
        let node = compiled.nodes.get(&result.id);
        let is_test = matches!(result.kind.as_str(), "test" | "unit_test");
        let message = match result.status {
            NodeStatus::Skipped => format!("skipped: {}", result.reason),
            NodeStatus::Reused => format!("reused: {}", result.reason),
            _ => match &result.difference {
                Some(table) => format!("{}\n\n{table}\n", result.reason),
                None => result.reason.clone(),
            },
        };
        Self {
            id: result.id.clone(),
            status: status(result.status, is_test, result.rows),
            message,
            failures: result.rows.filter(|_| is_test),
            elapsed_ms: result.elapsed_ms,
            rows: result.rows.filter(|_| !is_test),
            table: result.table.clone(),
            version: result.version,
            relation_name: node.and_then(|node| Some(node.relation.as_ref()?.to_string())),
            compiled_code: node.and_then(|node| Some(node.sql.as_ref()?.text.clone())),
        }
    }
}

/// dbt's word. Its `skipped` means that something above failed; what is up to date is a success.
fn status(status: NodeStatus, is_test: bool, failures: Option<u64>) -> &'static str {
    match (status, is_test) {
        (NodeStatus::Blocked, _) => "skipped",
        (NodeStatus::Passed | NodeStatus::Proven, _) => "pass",
        (NodeStatus::Warned, _) => "warn",
        (NodeStatus::Built | NodeStatus::Reused | NodeStatus::Skipped, false) => "success",
        // A test that is up to date did not fail: failing rows only warned.
        (NodeStatus::Built | NodeStatus::Reused | NodeStatus::Skipped, true) => {
            if failures.unwrap_or(0) > 0 {
                "warn"
            } else {
                "pass"
            }
        }
        (NodeStatus::Failed, true) if failures.is_some() => "fail",
        (NodeStatus::Failed, _) => "error",
    }
}

/// The document. Sources are inputs to dbt, never nodes of a run, so they are left out.
pub(super) fn document(results: &[RunResult], run: &RunFacts, command: &str) -> Json {
    let nodes = || {
        results
            .iter()
            .filter(|result| !result.id.as_str().starts_with("source."))
    };
    let elapsed: u64 = results.iter().map(|result| result.elapsed_ms).sum();
    json!({
        "metadata": run.metadata("run-results/v6"),
        "results": nodes().map(entry).collect::<Vec<_>>(),
        "elapsed_time": seconds(elapsed),
        "args": {
            "which": command,
            "invocation_command": format!("kinfold {command}"),
            "target": run.environment,
        },
    })
}

fn entry(result: &RunResult) -> Json {
    let mut response = serde_json::Map::new();
    response.insert("_message".to_owned(), result.message.clone().into());
    if let Some(rows) = result.rows {
        response.insert("rows_affected".to_owned(), rows.into());
    }
    if let Some(table) = &result.table {
        response.insert("table".to_owned(), table.clone().into());
    }
    if let Some(version) = result.version {
        response.insert("version".to_owned(), version.into());
    }
    json!({
        "status": result.status,
        "timing": [],
        "thread_id": "main",
        "execution_time": seconds(result.elapsed_ms),
        "adapter_response": response,
        "message": result.message,
        "failures": result.failures,
        "unique_id": result.id,
        "compiled": result.compiled_code.is_some(),
        "compiled_code": result.compiled_code,
        "relation_name": result.relation_name,
    })
}

fn seconds(milliseconds: u64) -> f64 {
    std::time::Duration::from_millis(milliseconds).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_dbt() {
        let relation = |s| status(s, false, Some(3));
        assert_eq!(relation(NodeStatus::Built), "success");
        assert_eq!(relation(NodeStatus::Reused), "success");
        assert_eq!(relation(NodeStatus::Skipped), "success");
        assert_eq!(relation(NodeStatus::Failed), "error");
        assert_eq!(relation(NodeStatus::Blocked), "skipped");
        let test = |s, failures| status(s, true, failures);
        assert_eq!(test(NodeStatus::Passed, Some(0)), "pass");
        assert_eq!(test(NodeStatus::Warned, Some(2)), "warn");
        assert_eq!(test(NodeStatus::Failed, Some(2)), "fail");
        assert_eq!(test(NodeStatus::Failed, None), "error");
        assert_eq!(test(NodeStatus::Skipped, Some(0)), "pass");
        assert_eq!(test(NodeStatus::Skipped, Some(2)), "warn");
        assert_eq!(test(NodeStatus::Blocked, None), "skipped");
    }

    #[test]
    fn a_result_has_every_key_and_sources_are_left_out() {
        let result = |id: &str, kind: &str, status, rows| NodeResult {
            id: NodeId::from_text(id),
            kind: kind.to_owned(),
            status,
            reason: "same input versions".to_owned(),
            rows,
            table: Some("main/orders".to_owned()),
            version: Some(4),
            quarantined: None,
            alarms: None,
            difference: None,
            elapsed_ms: 1500,
        };
        let compiled = CompiledProject::default();
        let results = [
            result(
                "source.shop.raw.orders",
                "source",
                NodeStatus::Built,
                Some(9),
            ),
            result("model.shop.orders", "table", NodeStatus::Skipped, Some(7)),
            result("test.shop.t.0", "test", NodeStatus::Failed, Some(2)),
        ]
        .map(|r| RunResult::of(&r, &compiled));
        let run = RunFacts {
            invocation_id: "i".to_owned(),
            as_of: chrono::DateTime::UNIX_EPOCH,
            environment: "dev".to_owned(),
        };
        let document = document(&results, &run, "build");
        assert_eq!(
            document["results"],
            json!([
                {
                    "status": "success", "timing": [], "thread_id": "main", "execution_time": 1.5,
                    "adapter_response": {
                        "_message": "skipped: same input versions", "rows_affected": 7,
                        "table": "main/orders", "version": 4,
                    },
                    "message": "skipped: same input versions", "failures": null,
                    "unique_id": "model.shop.orders", "compiled": false, "compiled_code": null,
                    "relation_name": null,
                },
                {
                    "status": "fail", "timing": [], "thread_id": "main", "execution_time": 1.5,
                    "adapter_response": {
                        "_message": "same input versions", "table": "main/orders", "version": 4,
                    },
                    "message": "same input versions", "failures": 2,
                    "unique_id": "test.shop.t.0", "compiled": false, "compiled_code": null,
                    "relation_name": null,
                },
            ])
        );
        assert_eq!(document["elapsed_time"], json!(4.5));
        assert_eq!(
            document["metadata"]["generated_at"],
            json!("1970-01-01T00:00:00.000000Z")
        );
        assert_eq!(
            document["metadata"]["dbt_schema_version"],
            json!("https://schemas.getdbt.com/dbt/run-results/v6.json")
        );
    }
}
