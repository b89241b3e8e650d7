//! Expressions → values. Nothing here can fail.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::Value;

use super::{Expression, Operator, Path, Root, Scope, Step};

const NULL: &Value = &Value::Null;

impl Expression {
    /// The value of the expression.
    #[must_use]
    pub fn evaluate<'a>(&'a self, scope: &Scope<'a>) -> Cow<'a, Value> {
        match self {
            Self::Literal(value) => Cow::Borrowed(value),
            Self::Path(path) => path.find(scope),
            Self::Call {
                input,
                function,
                arguments,
            } => {
                let input = input.evaluate(scope);
                let arguments: Vec<Cow<'_, Value>> = arguments
                    .iter()
                    .map(|argument| argument.evaluate(scope))
                    .collect();
                let any_null =
                    input.is_null() || arguments.iter().any(|argument| argument.is_null());
                if any_null && !function.takes_null {
                    return Cow::Borrowed(NULL);
                }
                let arguments: Vec<&Value> = arguments.iter().map(AsRef::as_ref).collect();
                Cow::Owned((function.run)(&input, &arguments).unwrap_or(Value::Null))
            }
            Self::Compare { .. } | Self::In { .. } | Self::And(_) | Self::Or(_) | Self::Not(_) => {
                Cow::Owned(Value::Bool(self.holds(scope)))
            }
        }
    }

    /// Whether a condition holds. Anything but `true` does not.
    #[must_use]
    pub fn holds(&self, scope: &Scope<'_>) -> bool {
        match self {
            Self::Compare {
                left,
                operator,
                right,
            } => compare(&left.evaluate(scope), *operator, &right.evaluate(scope)),
            Self::In { left, list } => {
                let left = left.evaluate(scope);
                list.iter().any(|item| equal(&left, item))
            }
            Self::And(parts) => parts.iter().all(|part| part.holds(scope)),
            Self::Or(parts) => parts.iter().any(|part| part.holds(scope)),
            Self::Not(part) => !part.holds(scope),
            Self::Literal(_) | Self::Path(_) | Self::Call { .. } => {
                *self.evaluate(scope) == Value::Bool(true)
            }
        }
    }
}

impl Path {
    fn find<'a>(&'a self, scope: &Scope<'a>) -> Cow<'a, Value> {
        if self.root == Root::Kept
            && let Some(of_row) = scope.row_kept()
        {
            let found = walk(of_row, &self.steps);
            if !found.is_null() {
                return found;
            }
        }
        walk(scope.get(self.root).unwrap_or(NULL), &self.steps)
    }
}

fn walk<'a>(from: &'a Value, steps: &[Step]) -> Cow<'a, Value> {
    let mut at = from;
    for (number, step) in steps.iter().enumerate() {
        let next = match step {
            Step::Field(name) => at.get(name.as_str()),
            Step::Index(index) => at.get(*index),
            Step::Each => {
                let rest = steps.get(number + 1..).unwrap_or_default();
                return Cow::Owned(each(at, rest));
            }
        };
        match next {
            Some(next) => at = next,
            None => return Cow::Borrowed(NULL),
        }
    }
    Cow::Borrowed(at)
}

/// The rest of the way from every item. A list that comes of one is not put into another, so that
/// `$.groups[*].errors[*]` is one list.
fn each(list: &Value, rest: &[Step]) -> Value {
    let Some(items) = list.as_array() else {
        return Value::Null;
    };
    let flat = rest.contains(&Step::Each);
    let mut found = Vec::with_capacity(items.len());
    for item in items {
        match walk(item, rest).into_owned() {
            Value::Null => {}
            Value::Array(inner) if flat => found.extend(inner),
            value => found.push(value),
        }
    }
    Value::Array(found)
}

fn compare(left: &Value, operator: Operator, right: &Value) -> bool {
    match operator {
        Operator::Equal => equal(left, right),
        Operator::NotEqual => !equal(left, right),
        Operator::Less => order(left, right) == Some(Ordering::Less),
        Operator::LessOrEqual => order(left, right).is_some_and(Ordering::is_le),
        Operator::Greater => order(left, right) == Some(Ordering::Greater),
        Operator::GreaterOrEqual => order(left, right).is_some_and(Ordering::is_ge),
    }
}

/// Numbers are equal whatever their spelling: an API that begins to send `1.0` for `1` has not changed.
fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(_), Value::Number(_)) => order(left, right) == Some(Ordering::Equal),
        _ => left == right,
    }
}

fn order(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => {
            if let (Some(left), Some(right)) = (left.as_i64(), right.as_i64()) {
                return Some(left.cmp(&right));
            }
            if let (Some(left), Some(right)) = (left.as_u64(), right.as_u64()) {
                return Some(left.cmp(&right));
            }
            left.as_f64()?.partial_cmp(&right.as_f64()?)
        }
        (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use serde_json::json;

    use super::super::{Names, Row};
    use super::*;

    fn value(text: &str, answer: &Value) -> Value {
        let names = Names {
            roots: &Root::ALL,
            kept: &["id".to_owned(), "job".to_owned()],
            ..Names::default()
        };
        let (expression, _) = Expression::parse(text, &names).unwrap();
        let row = Row {
            value: json!({"key": {"email": "A@x.org"}}),
            kept: json!({"id": 7}),
        };
        let kept = json!({"id": 1, "job": "j"});
        let scope = Scope::default()
            .with(Root::Answer, answer)
            .with(Root::Kept, &kept)
            .with_row(&row);
        expression.evaluate(&scope).into_owned()
    }

    #[test]
    fn paths_lead_to_values_or_to_null() {
        let answer = json!({"a": [{"b": 1, "c": [1, 2]}, {"b": 2, "c": [3]}, {}], "x y": true});
        for (text, expected) in [
            ("$.a[1].b", json!(2)),
            ("$.a[9].b", json!(null)),
            ("$.a.b", json!(null)),
            ("$.a[*].b", json!([1, 2])),
            ("$.a[*].c[*]", json!([1, 2, 3])),
            ("$.a[*].c", json!([[1, 2], [3]])),
            ("$.b[*]", json!(null)),
            ("$['x y']", json!(true)),
            ("row.key.email", json!("A@x.org")),
            ("kept.id", json!(7)),
            ("kept.job", json!("j")),
            ("header['a']", json!(null)),
        ] {
            assert_eq!(value(text, &answer), expected, "{text}");
        }
    }

    #[test]
    fn comparisons_are_total() {
        let answer = json!({"code": "606", "n": 1.0, "big": u64::MAX});
        for (text, expected) in [
            ("$.code == '606'", true),
            ("$.code in ['606', '615']", true),
            ("$.code == 606", false),
            ("$.n == 1", true),
            ("$.n in [1, 2]", true),
            ("$.n < 2", true),
            ("$.big > 1", true),
            ("$.missing > 1", false),
            ("$.missing <= 1", false),
            ("$.missing == null", true),
            ("not ($.missing == null)", false),
            ("$.code == '606' and $.n == 2 or $.n == 1", true),
            ("$.code > '605'", true),
        ] {
            assert_eq!(value(text, &answer), json!(expected), "{text}");
        }
    }
}
