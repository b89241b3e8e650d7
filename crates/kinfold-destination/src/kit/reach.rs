//! What an object must tell of its reach.

use kinfold_project::{Value, ValueKind};
use kinfold_sync::{DestinationError, Estimate, FailureClass, Reach};

use super::blocks;
use crate::codes;
use crate::manifest::fields::Fields;
use crate::template::Reading;

/// The reach that an exchange expects. What is not written must not be told.
pub(super) fn read(value: &Value, reading: &mut Reading<'_>) -> Option<Reach> {
    let fields = Fields::of(value, &blocks::REACH, reading)?;
    let mut figure = |key: &str| -> Option<Estimate<f64>> {
        let value = fields.get(key)?;
        let found = match &value.kind {
            ValueKind::List(items) => match items.as_slice() {
                [low, high] => number(low).zip(number(high)),
                _ => None,
            },
            _ => number(value).map(|number| (number, number)),
        };
        if found.is_none() {
            let message = format!("`{key}` is a number, or a list of the lowest and the highest");
            reading.error(codes::INVALID_VALUE, message, value.span);
        }
        found.map(|(low, high)| Estimate { low, high })
    };
    let (size, matched, rate) = (figure("size"), figure("matched"), figure("rate"));
    Some(Reach {
        size: size.and_then(people),
        matched: matched.and_then(people),
        rate,
        ready: fields.flag("ready", reading),
        status: fields.text("status", reading),
    })
}

fn number(value: &Value) -> Option<f64> {
    value.to_json().as_f64()
}

fn people(found: Estimate<f64>) -> Option<Estimate<u64>> {
    let whole = |number: f64| number.to_string().parse().ok();
    Some(Estimate {
        low: whole(found.low)?,
        high: whole(found.high)?,
    })
}

/// The reach in words.
pub(super) fn shown(reach: &Reach) -> String {
    let mut parts = Vec::new();
    let people = [("size", &reach.size), ("matched", &reach.matched)];
    for (name, found) in people {
        parts.extend(found.map(|found| format!("{name} {} to {}", found.low, found.high)));
    }
    let rate = reach.rate;
    parts.extend(rate.map(|found| format!("rate {} to {}", found.low, found.high)));
    parts.extend(reach.ready.map(|ready| format!("ready {ready}")));
    parts.extend(
        reach
            .status
            .as_ref()
            .map(|status| format!("status {status}")),
    );
    if parts.is_empty() {
        return "nothing".to_owned();
    }
    parts.join(", ")
}

/// The word and the class of an error that is about no rows.
pub(super) fn word_of(error: &DestinationError) -> (&'static str, FailureClass) {
    match error {
        DestinationError::Unreachable { .. } => ("temporary", FailureClass::Unreachable),
        DestinationError::Unavailable { .. } => ("temporary", FailureClass::Unavailable),
        DestinationError::Unauthorized { .. } => ("fatal", FailureClass::Unauthorized),
        DestinationError::Incomplete { .. } => ("incomplete", FailureClass::Misconfigured),
        _ => ("fatal", FailureClass::Misconfigured),
    }
}
