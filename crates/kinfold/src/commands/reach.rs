//! What a destination says of its audience, for people and programs.

use kinfold_sync::{Estimate, Reach};
use serde_json::{Value, json};

use crate::report::grouped;

/// As a line.
pub fn text(name: &str, reach: Option<&Reach>) -> String {
    let Some(reach) = reach else {
        return format!("sync {name}: the destination does not tell how many people it has found");
    };
    let mut parts = vec![];
    parts.extend(
        reach
            .size
            .map(|size| format!("{} people can be reached", people(size))),
    );
    parts.extend(
        reach
            .matched
            .map(|rows| format!("{} rows are matched", people(rows))),
    );
    parts.extend(
        reach
            .rate
            .map(|rate| format!("{} of the rows", percent(rate))),
    );
    parts.extend(reach.ready.map(|ready| {
        let word = if ready { "ready" } else { "not ready yet" };
        word.to_owned()
    }));
    parts.extend(reach.status.as_ref().map(|status| format!("`{status}`")));
    if parts.is_empty() {
        return format!("sync {name}: nothing is known of its audience yet");
    }
    format!("sync {name}: {}", parts.join(", "))
}

/// As `--output json` prints it. What is not told is not there.
pub fn json(name: &str, reach: Option<&Reach>) -> Value {
    let mut told = json!({"name": name, "success": true, "tells": reach.is_some()});
    let (Some(reach), Value::Object(fields)) = (reach, &mut told) else {
        return told;
    };
    let mut add = |key: &str, value: Option<Value>| {
        fields.extend(value.map(|value| (key.to_owned(), value)));
    };
    let whole = |found: Estimate<u64>| json!({"low": found.low, "high": found.high});
    add("size", reach.size.map(whole));
    add("matched", reach.matched.map(whole));
    let rate = reach.rate;
    add(
        "rate",
        rate.map(|rate| json!({"low": rate.low, "high": rate.high})),
    );
    add("ready", reach.ready.map(Value::from));
    add("status", reach.status.clone().map(Value::from));
    told
}

fn people(found: Estimate<u64>) -> String {
    if found.low == found.high {
        return grouped(found.low);
    }
    format!("{} to {}", grouped(found.low), grouped(found.high))
}

fn percent(rate: Estimate<f64>) -> String {
    let shown = |part: f64| format!("{:.1} %", part * 100.0);
    if rate.low == rate.high {
        return shown(rate.low);
    }
    format!("{} to {}", shown(rate.low), shown(rate.high))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_shown_and_nothing_else() {
        let reach = Reach {
            size: Some(Estimate {
                low: 4_900,
                high: 5_100,
            }),
            rate: Some(Estimate::exact(0.625)),
            ready: Some(false),
            ..Reach::default()
        };
        assert_eq!(
            text("vips", Some(&reach)),
            "sync vips: 4,900 to 5,100 people can be reached, 62.5 % of the rows, not ready yet"
        );
        assert_eq!(
            json("vips", Some(&reach)),
            json!({"name": "vips", "success": true, "tells": true, "size": {"low": 4900, "high": 5100},
                   "rate": {"low": 0.625, "high": 0.625}, "ready": false})
        );
        assert_eq!(
            json("vips", None),
            json!({"name": "vips", "success": true, "tells": false})
        );
        assert!(text("vips", Some(&Reach::default())).contains("nothing is known"));
    }
}
