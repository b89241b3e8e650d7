//! Templates → values.

use serde_json::{Map, Value, json};

use super::{Each, Entry, JwtError, Over, Part, Template, Text, jwt};
use crate::expression::{Root, Scope};

impl Text {
    /// The text; `None` if an expression in it is null, a list or an object.
    #[must_use]
    pub fn render(&self, scope: &Scope<'_>) -> Option<String> {
        self.render_with(scope, |text| text)
    }

    /// The same, with every value (not what stands between them) changed first.
    pub(crate) fn render_with(
        &self,
        scope: &Scope<'_>,
        change: impl Fn(String) -> String,
    ) -> Option<String> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Plain(plain) => text.push_str(plain),
                Part::Expression(expression) => {
                    text.push_str(&change(scalar_text(&expression.evaluate(scope))?));
                }
            }
        }
        Some(text)
    }
}

/// The text of a value that has one.
pub(crate) fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

impl Template {
    /// The value.
    ///
    /// # Errors
    /// A token cannot be signed. Nothing else can fail.
    pub fn render(&self, scope: &Scope<'_>) -> Result<Value, JwtError> {
        Ok(match self {
            Self::Literal(value) => value.clone(),
            Self::Text(text) => text.render(scope).map_or(Value::Null, Value::String),
            Self::Expression(expression) => expression.evaluate(scope).into_owned(),
            Self::Map(entries) => Value::Object(map(entries, scope)?),
            Self::List(items) => {
                let mut list = Vec::with_capacity(items.len());
                for item in items {
                    match item {
                        Self::Each(each) if each.is_list() => list.extend(each.items(scope)?),
                        other => list.push(other.render(scope)?),
                    }
                }
                Value::Array(list)
            }
            Self::Each(each) if each.name.is_some() => Value::Object(each.fields(scope)?),
            Self::Each(each) => {
                let items = each.items(scope)?;
                match &each.join {
                    None => Value::Array(items),
                    Some(separator) => {
                        let texts: Vec<String> = items.iter().filter_map(scalar_text).collect();
                        Value::String(texts.join(separator))
                    }
                }
            }
            Self::Json(inner) => Value::String(inner.render(scope)?.to_string()),
            Self::Concat(inner) => match inner.render(scope)? {
                Value::Array(items) => {
                    let texts: Option<Vec<String>> = items.iter().map(scalar_text).collect();
                    texts.map_or(Value::Null, |texts| Value::String(texts.concat()))
                }
                other => scalar_text(&other).map_or(Value::Null, Value::String),
            },
            Self::Jwt(token) => Value::String(jwt::sign(token, scope)?),
        })
    }
}

fn map(entries: &[Entry], scope: &Scope<'_>) -> Result<Map<String, Value>, JwtError> {
    let mut map = Map::new();
    for entry in entries {
        match entry {
            Entry::Field {
                name,
                optional,
                value,
            } => {
                let value = value.render(scope)?;
                if let Some(name) = name.render(scope)
                    && !(*optional && value.is_null())
                {
                    map.insert(name, value);
                }
            }
            Entry::Spread(fields) => {
                if let Value::Object(fields) = fields.render(scope)? {
                    map.extend(fields);
                }
            }
        }
    }
    Ok(map)
}

impl Each {
    /// Whether it makes a list.
    fn is_list(&self) -> bool {
        self.join.is_none() && self.name.is_none()
    }

    fn items(&self, scope: &Scope<'_>) -> Result<Vec<Value>, JwtError> {
        let mut items = Vec::new();
        self.through(scope, |scope| {
            items.push(self.item.render(scope)?);
            Ok(())
        })?;
        Ok(items)
    }

    fn fields(&self, scope: &Scope<'_>) -> Result<Map<String, Value>, JwtError> {
        let mut fields = Map::new();
        self.through(scope, |scope| {
            if let Some(name) = self.name.as_ref().and_then(|name| name.render(scope)) {
                fields.insert(name, self.item.render(scope)?);
            }
            Ok(())
        })?;
        Ok(fields)
    }

    fn through(
        &self,
        scope: &Scope<'_>,
        mut one: impl FnMut(&Scope<'_>) -> Result<(), JwtError>,
    ) -> Result<(), JwtError> {
        let counts = |scope: &Scope<'_>| {
            let filter = self.filter.as_ref();
            filter.is_none_or(|filter| filter.holds(scope))
        };
        match &self.over {
            Over::Rows => {
                for row in scope.rows() {
                    let scope = scope.with_row(row);
                    if counts(&scope) {
                        one(&scope)?;
                    }
                }
            }
            Over::Items(expression) => {
                let list = entries(expression.evaluate(scope).into_owned());
                for item in &list {
                    let scope = scope.with(Root::Item, item);
                    if counts(&scope) {
                        one(&scope)?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// What an `$each` goes through: the items of a list, the fields of an object, nothing for null, and any other
/// value by itself.
fn entries(value: Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items,
        Value::Object(map) => map
            .into_iter()
            .map(|(name, value)| json!({"name": name, "value": value}))
            .collect(),
        Value::Null => Vec::new(),
        other => vec![other],
    }
}
