//! Whether exchanges and faults fit each other and their manifest.

use kinfold_project::{Diagnostic, Span};

use super::exchange::{Exchange, Fault, Result};
use crate::codes;
use crate::manifest::Manifest;

/// Whether exchanges and faults fit their manifest, as far as can be said without replaying them.
pub(crate) fn check(
    manifest: &Manifest,
    exchanges: &[Exchange],
    faults: &[Fault],
    problems: &mut Vec<Diagnostic>,
) {
    let mut wrong = |message: String, span: Span| {
        problems.push(Diagnostic::error(codes::EXCHANGE, message, span));
    };
    for exchange in exchanges {
        let name = exchange.object.split('/').next().unwrap_or_default();
        if manifest.object(name).is_none() {
            wrong(
                format!("the manifest has no object `{name}`"),
                exchange.span,
            );
        }
        if let Result::Rows(rows) = &exchange.result
            && rows.len() != exchange.rows.len()
        {
            let message = format!(
                "there are {} rows and {} outcomes",
                exchange.rows.len(),
                rows.len()
            );
            wrong(message, exchange.span);
        }
        let asks = matches!(exchange.result, Result::Reach(_) | Result::Check { .. });
        if exchange.rows.is_empty() && !asks {
            wrong("a batch has at least one row".to_owned(), exchange.span);
        }
        if asks && (exchange.finish || !exchange.rows.is_empty()) {
            let message =
                "`reach` and `check` are asked outside of runs: there are no rows and no end";
            wrong(message.to_owned(), exchange.span);
        }
    }
    for fault in faults {
        match exchanges
            .iter()
            .find(|exchange| exchange.name == fault.exchange)
        {
            None => wrong(
                format!("there is no exchange `{}`", fault.exchange),
                fault.span,
            ),
            Some(exchange) if fault.call >= exchange.calls.len() => {
                wrong(
                    format!("`{}` has no call {}", fault.exchange, fault.call + 1),
                    fault.span,
                );
            }
            Some(_) => {}
        }
    }
    for object in &manifest.objects {
        let of_object =
            |exchange: &&Exchange| exchange.object.split('/').next() == Some(object.name.as_str());
        let mut own = exchanges.iter().filter(of_object);
        if let Some(reach) = &object.reach
            && !own.any(|exchange| matches!(exchange.result, Result::Reach(_)))
        {
            let message = format!("no exchange shows `reach` of `{}`", object.name);
            problems.push(Diagnostic::warning(codes::INCOMPLETE, message, reach.span));
        }
        for (name, _) in &object.operations {
            let shown = exchanges.iter().any(|exchange| {
                let same = of_object(&exchange);
                let operation = exchange.rows.first().map(|row| {
                    let of_batch = kinfold_sync::BatchOperation::of(exchange.mode, row.operation);
                    crate::manifest::OperationName::of(of_batch, exchange.mode)
                });
                same && operation == Some(*name)
            });
            if !shown {
                let message = format!("no exchange shows `{}` of `{}`", name.as_str(), object.name);
                problems.push(Diagnostic::warning(codes::INCOMPLETE, message, object.span));
            }
        }
    }
}
