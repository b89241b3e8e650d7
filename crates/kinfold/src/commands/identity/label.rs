//! `kinfold identity label`.

use kinfold_compile::render::Materialization;
use serde_json::json;

use super::super::{CommandError, Done};
use super::{JudgeError, Opened, failed, write_new};
use crate::cli::{Global, LabelArguments};
use crate::report::{Output, grouped};

pub(super) async fn run(
    global: &Global,
    arguments: &LabelArguments,
    output: &Output,
) -> Result<Done, CommandError> {
    let opened = Opened::new(global).await?;
    let node = opened.model(&arguments.model, "linkage", &[Materialization::Linkage])?;
    // Before the work, and once more when the file is written.
    if arguments.to.exists() {
        return Err(CommandError::FileExists(arguments.to.clone()));
    }
    let judged = opened.judged(node).await?;
    let sample = judged.label(arguments.pairs, arguments.seed);
    let sample = sample.map_err(|error| failed(node, error))?;
    if sample.pairs == 0 {
        return Err(JudgeError::NoPairs(node.name.clone()).into());
    }
    write_new(&arguments.to, &sample.text)?;
    if output.is_json() {
        output.json(&json!({
            "success": true,
            "model": node.name,
            "file": arguments.to.display().to_string(),
            "pairs": sample.pairs,
            "seed": arguments.seed,
            "strata": sample.strata,
        }));
        return Ok(Done { success: true });
    }
    output.say(&format!(
        "wrote {} pairs of {} that are compared to {}",
        grouped(sample.pairs),
        grouped(sample.strata.iter().map(|stratum| stratum.pairs).sum()),
        arguments.to.display()
    ));
    output.say(
        "The file holds values of people: keep it where they may be, and out of version control.",
    );
    output.say(&format!(
        "Fill in `is_match` (1 one person, 0 two, empty if you cannot tell), then: kinfold identity evaluate {} --labels {}",
        node.name,
        arguments.to.display()
    ));
    Ok(Done { success: true })
}
