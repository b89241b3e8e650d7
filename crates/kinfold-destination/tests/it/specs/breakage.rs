//! Requests that are broken on purpose: a check that finds nothing would prove nothing.

use kinfold_destination::kit::RecordedRequest;
use serde_json::{Value, json};

use super::check::{Sent, Specifications, Verdict};
use super::finding::Finding;
use super::form;
use super::record::Tally;
use super::table::Entry;

/// Breaks a request in every way and counts which of them are found out.
pub fn try_all(specifications: &Specifications, entry: &Entry, sent: &Sent, tally: &mut Tally) {
    let judge = |request: &RecordedRequest| -> Option<Vec<Finding>> {
        match specifications.check(&request.method, request, &sent.answer) {
            Verdict::Checked {
                evidence: true,
                operation,
                request,
                ..
            } => {
                let left = request.into_iter().filter(|finding| {
                    let mut exceptions = entry.exceptions.iter();
                    !exceptions
                        .any(|exception| exception.covers(&sent.exchange, &operation, finding))
                });
                Some(left.collect())
            }
            _ => None,
        }
    };
    let Some(before) = judge(&sent.request) else {
        return;
    };
    let found_out = |request: &RecordedRequest| {
        // Out of what is described is found out too.
        judge(request).is_none_or(|after| after.iter().any(|finding| !before.contains(finding)))
    };
    for request in addresses(&sent.request) {
        tally.broken += 1;
        let found = usize::from(found_out(&request));
        tally.caught += found;
        tally.caught_addresses += found;
    }
    for request in queries(&sent.request)
        .into_iter()
        .chain(bodies(&sent.request))
    {
        tally.broken += 1;
        tally.caught += usize::from(found_out(&request));
    }
}

fn addresses(request: &RecordedRequest) -> Vec<RecordedRequest> {
    let (path, query) = request
        .url
        .split_once('?')
        .map_or((request.url.as_str(), String::new()), |(path, query)| {
            (path, format!("?{query}"))
        });
    vec![
        RecordedRequest {
            url: format!("{path}/no/such/operation{query}"),
            ..request.clone()
        },
        RecordedRequest {
            method: "TRACE".to_owned(),
            ..request.clone()
        },
    ]
}

/// Without each of the pairs, and with one more.
fn changed_pairs(text: &[u8]) -> Vec<String> {
    let pairs = form::pairs(text);
    let written = |pairs: &[(String, String)]| {
        let mut text = url::form_urlencoded::Serializer::new(String::new());
        text.extend_pairs(pairs).finish()
    };
    let mut all = Vec::new();
    for n in 0..pairs.len() {
        let mut changed = pairs.clone();
        changed.remove(n);
        all.push(written(&changed));
        let mut changed = pairs.clone();
        changed[n].0.push_str("_misspelt");
        all.push(written(&changed));
    }
    let mut changed = pairs;
    changed.push(("no_such_key".to_owned(), "1".to_owned()));
    all.push(written(&changed));
    all
}

fn queries(request: &RecordedRequest) -> Vec<RecordedRequest> {
    let (path, query) = request.url.split_once('?').unwrap_or((&request.url, ""));
    changed_pairs(query.as_bytes())
        .into_iter()
        .map(|query| RecordedRequest {
            url: format!("{path}?{query}"),
            ..request.clone()
        })
        .collect()
}

fn bodies(request: &RecordedRequest) -> Vec<RecordedRequest> {
    if request.body.is_empty() {
        return Vec::new();
    }
    let with = |body: Vec<u8>| RecordedRequest {
        body,
        ..request.clone()
    };
    let mut all = vec![with(Vec::new())];
    let form = request
        .headers
        .iter()
        .any(|(_, value)| value.starts_with("application/x-www-form-urlencoded"));
    if form {
        let changed = changed_pairs(&request.body);
        all.extend(changed.into_iter().map(|text| with(text.into_bytes())));
        return all;
    }
    let Ok(value) = serde_json::from_slice::<Value>(&request.body) else {
        return all;
    };
    let mut places = Vec::new();
    places_of(&value, String::new(), &mut places);
    let mut changed: Vec<Value> = Vec::new();
    for place in &places {
        let mut wrong = value.clone();
        if let Some(at) = wrong.pointer_mut(place) {
            *at = match at {
                Value::Object(_) | Value::Array(_) => json!("wrong"),
                _ => json!([{"wrong": [1]}]),
            };
        }
        changed.push(wrong);
        let mut less = value.clone();
        let (above, key) = place.rsplit_once('/').unwrap_or_default();
        match less.pointer_mut(above) {
            Some(Value::Object(map)) if !key.is_empty() => {
                map.shift_remove(&unescaped(key));
                changed.push(less);
            }
            _ => {}
        }
        let mut more = value.clone();
        if let Some(Value::Object(map)) = more.pointer_mut(place) {
            map.insert("no_such_key".to_owned(), json!(1));
            changed.push(more);
        }
    }
    all.extend(
        changed
            .into_iter()
            .map(|value| with(value.to_string().into_bytes())),
    );
    all
}

fn places_of(value: &Value, at: String, places: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, below) in map {
                let key = key.replace('~', "~0").replace('/', "~1");
                places_of(below, format!("{at}/{key}"), places);
            }
        }
        Value::Array(items) => {
            for (n, below) in items.iter().enumerate() {
                places_of(below, format!("{at}/{n}"), places);
            }
        }
        _ => {}
    }
    places.push(at);
}

fn unescaped(key: &str) -> String {
    key.replace("~1", "/").replace("~0", "~")
}
