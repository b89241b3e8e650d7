//! How many people an audience reaches, as the destination tells it.

use std::borrow::Cow;

use kinfold_sync::{Estimate, Reach};
use serde_json::{Map, Value};

use super::destination::ManifestDestination;
use super::judge::Judged;
use crate::expression::{Expression, Root, Scope};
use crate::manifest;
use crate::template::scalar_text;

impl ManifestDestination {
    /// Asks for the reach of the object, if its manifest says how. Changes nothing.
    pub(super) async fn ask_reach(&self) -> Result<Option<Reach>, Judged> {
        let Some(reach) = &self.object().reach else {
            return Ok(None);
        };
        let found = self.found().await?.into_owned();
        let kept = Value::Object(self.sequence(&reach.calls, found).await?);
        let now = self.account().now();
        let scope = self.scope(&now).with(Root::Kept, &kept);
        Ok(Some(self.told(reach, &scope)))
    }

    /// What `prepare` has kept or would look up, without anything that it would make.
    async fn found(&self) -> Result<Cow<'_, Map<String, Value>>, Judged> {
        if let Some(prepared) = self.preparation().get() {
            return Ok(Cow::Borrowed(prepared));
        }
        if let Some(remembered) = self.remembered().await? {
            return Ok(Cow::Owned(remembered));
        }
        self.look_up(&self.object().prepare).await.map(Cow::Owned)
    }

    fn told(&self, reach: &manifest::Reach, scope: &Scope<'_>) -> Reach {
        let figure = |expression: &Option<Expression>| {
            let value = expression.as_ref()?.evaluate(scope).into_owned();
            bounds(&value)
        };
        let value = |expression: &Option<Expression>| {
            Some(expression.as_ref()?.evaluate(scope).into_owned())
        };
        Reach {
            size: figure(&reach.size).and_then(people),
            matched: figure(&reach.matched).and_then(people),
            rate: figure(&reach.rate).and_then(rate),
            ready: value(&reach.ready).and_then(|value| value.as_bool()),
            status: value(&reach.status)
                .as_ref()
                .and_then(scalar_text)
                .map(|words| self.account().redact(&words, &[])),
        }
    }
}

/// The lowest and the highest of some numbers, which may be texts.
fn bounds(value: &Value) -> Option<(f64, f64)> {
    let number = |value: &Value| match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse::<f64>().ok(),
        _ => None,
    };
    let numbers: Vec<f64> = match value {
        Value::Array(items) => items.iter().filter_map(number).collect(),
        other => number(other).into_iter().collect(),
    };
    let sound = !numbers.is_empty() && numbers.iter().all(|number| number.is_finite());
    sound.then(|| {
        let low = numbers.iter().copied().fold(f64::INFINITY, f64::min);
        let high = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        (low, high)
    })
}

/// A count of people. A destination that does not know it may say -1.
fn people((low, high): (f64, f64)) -> Option<Estimate<u64>> {
    let whole = |number: f64| format!("{:.0}", number.trunc()).parse::<u64>().ok();
    Some(Estimate {
        low: whole(low)?,
        high: whole(high)?,
    })
}

fn rate((low, high): (f64, f64)) -> Option<Estimate<f64>> {
    let is_rate = |number: f64| (0.0..=1.0).contains(&number);
    (is_rate(low) && is_rate(high)).then_some(Estimate { low, high })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn figures_are_numbers_or_their_bounds() {
        let count = |value: Value| {
            let found = bounds(&value).and_then(people);
            found.map(|found| (found.low, found.high))
        };
        assert_eq!(count(json!(7)), Some((7, 7)));
        assert_eq!(count(json!("5100")), Some((5100, 5100)));
        assert_eq!(count(json!([5100, "4900"])), Some((4900, 5100)));
        assert_eq!(count(json!(["1000"])), Some((1000, 1000)));
        for nothing in [
            json!(null),
            json!([]),
            json!(-1),
            json!([-1, -1]),
            json!("many"),
            json!({}),
            json!("NaN"),
            json!("inf"),
            json!(1e300),
        ] {
            assert_eq!(count(nothing.clone()), None, "{nothing}");
        }
    }

    #[test]
    fn a_rate_is_between_0_and_1() {
        let rate_of = |value: Value| {
            let found = bounds(&value).and_then(rate);
            found.map(|found| (found.low, found.high))
        };
        assert_eq!(rate_of(json!(0.57)), Some((0.57, 0.57)));
        assert_eq!(rate_of(json!([0.2, 0.4])), Some((0.2, 0.4)));
        assert_eq!(rate_of(json!(0)), Some((0.0, 0.0)));
        for nothing in [json!(57), json!(-0.1), json!([0.5, 1.5]), json!(null)] {
            assert_eq!(rate_of(nothing.clone()), None, "{nothing}");
        }
    }
}
