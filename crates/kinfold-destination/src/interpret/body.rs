//! Bodies of requests as bytes.

use serde_json::{Map, Value};
use url::form_urlencoded;

use crate::expression::{Root, Scope, sha256_hex};
use crate::manifest::{Body, Content, Csv, Lists, Part};
use crate::template::{JwtError, scalar_text};

/// A body and its type.
pub(super) struct Rendered {
    pub(super) bytes: Vec<u8>,
    pub(super) content_type: String,
}

/// The body of a request; none if it has none.
pub(super) fn render(body: &Body, scope: &Scope<'_>) -> Result<Option<Rendered>, JwtError> {
    let of = |bytes: Vec<u8>, content_type: &str| {
        Some(Rendered {
            bytes,
            content_type: content_type.to_owned(),
        })
    };
    Ok(match body {
        Body::Empty => None,
        Body::Json(template) => {
            let text = template.render(scope)?.to_string();
            of(text.into_bytes(), "application/json")
        }
        Body::Form(template, lists) => {
            let text = form(&template.render(scope)?, *lists);
            of(text.into_bytes(), "application/x-www-form-urlencoded")
        }
        Body::Csv(csv) => of(lines(csv, scope)?, "text/csv"),
        Body::Ndjson(template) => of(ndjson(template.render(scope)?), "application/x-ndjson"),
        Body::Text(text) => {
            let text = text.render(scope).unwrap_or_default();
            of(text.into_bytes(), "text/plain; charset=utf-8")
        }
        Body::Multipart(parts) => Some(multipart(parts, scope)?),
    })
}

/// The pairs of a form; names are joined as in `a[b]`, null is an empty value.
fn form(value: &Value, lists: Lists) -> String {
    let mut pairs = Vec::new();
    if let Value::Object(map) = value {
        for (name, value) in map {
            flatten(name, value, lists, &mut pairs);
        }
    }
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
}

fn flatten(name: &str, value: &Value, lists: Lists, pairs: &mut Vec<(String, String)>) {
    match value {
        Value::Object(map) => {
            for (inner, value) in map {
                flatten(&format!("{name}[{inner}]"), value, lists, pairs);
            }
        }
        Value::Array(items) => {
            for (at, value) in items.iter().enumerate() {
                let item = match lists {
                    Lists::Indexed => format!("{name}[{at}]"),
                    Lists::Brackets => format!("{name}[]"),
                    Lists::Repeated => name.to_owned(),
                };
                flatten(&item, value, lists, pairs);
            }
        }
        scalar => pairs.push((name.to_owned(), scalar_text(scalar).unwrap_or_default())),
    }
}

fn ndjson(value: Value) -> Vec<u8> {
    let items = match value {
        Value::Array(items) => items,
        Value::Null => Vec::new(),
        other => vec![other],
    };
    let mut text = String::new();
    for item in items {
        text.push_str(&item.to_string());
        text.push('\n');
    }
    text.into_bytes()
}

/// One line for each row; the columns are the fields of all rows.
fn lines(csv: &Csv, scope: &Scope<'_>) -> Result<Vec<u8>, JwtError> {
    let mut rows: Vec<Map<String, Value>> = Vec::with_capacity(scope.rows().len());
    let mut columns: Vec<String> = Vec::new();
    let mut known = std::collections::HashSet::new();
    for row in scope.rows() {
        if let Value::Object(fields) = csv.row.render(&scope.with_row(row))? {
            for name in fields.keys() {
                if known.insert(name.clone()) {
                    columns.push(name.clone());
                }
            }
            rows.push(fields);
        }
    }
    let mut text = String::new();
    let mut line = |cells: &mut dyn Iterator<Item = String>| {
        for (at, cell) in cells.enumerate() {
            if at > 0 {
                text.push(',');
            }
            text.push_str(&quoted(&cell));
        }
        text.push_str(csv.line_end);
    };
    if csv.header {
        line(&mut columns.iter().cloned());
    }
    for row in &rows {
        line(&mut columns.iter().map(|column| match row.get(column) {
            None => String::new(),
            Some(Value::Null) => csv.null.clone(),
            Some(value) => scalar_text(value).unwrap_or_else(|| value.to_string()),
        }));
    }
    Ok(text.into_bytes())
}

/// A cell of CSV (RFC 4180).
fn quoted(cell: &str) -> String {
    let special = |c: char| matches!(c, ',' | '"' | '\n' | '\r');
    let spaced = cell.starts_with(char::is_whitespace) || cell.ends_with(char::is_whitespace);
    if cell.contains(special) || spaced {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

/// The files first, so that the other parts can look at them. The boundary is made of the content: the same
/// body is the same bytes.
fn multipart(parts: &[(String, Part)], scope: &Scope<'_>) -> Result<Rendered, JwtError> {
    let mut files = Map::new();
    for (name, part) in parts {
        if let Part::File { content, .. } = part {
            let bytes = match content {
                Content::Csv(csv) => lines(csv, scope)?,
                Content::Ndjson(template) => ndjson(template.render(scope)?),
                Content::Text(template) => {
                    let text = scalar_text(&template.render(scope)?);
                    text.unwrap_or_default().into_bytes()
                }
            };
            let text = String::from_utf8_lossy(&bytes).into_owned();
            files.insert(name.clone(), Value::String(text));
        }
    }
    let files = Value::Object(files);
    let scope = scope.with(Root::Files, &files);
    let mut rendered: Vec<(String, String)> = Vec::new();
    for (name, part) in parts {
        match part {
            Part::Field(template) => {
                let value = template.render(&scope)?;
                if !value.is_null() {
                    let text = scalar_text(&value).unwrap_or_else(|| value.to_string());
                    let head =
                        format!("Content-Disposition: form-data; name=\"{}\"", escaped(name));
                    rendered.push((head, text));
                }
            }
            Part::File {
                name: file,
                content_type,
                ..
            } => {
                let file = file.render(&scope).unwrap_or_else(|| name.clone());
                let head = format!(
                    "Content-Disposition: form-data; name=\"{}\"; filename=\"{}\"\r\nContent-Type: {content_type}",
                    escaped(name),
                    escaped(&file)
                );
                let text = files.get(name).and_then(Value::as_str).unwrap_or_default();
                rendered.push((head, text.to_owned()));
            }
        }
    }
    let whole: String = rendered
        .iter()
        .flat_map(|(head, text)| [head.as_str(), text.as_str()])
        .collect();
    let boundary: String = sha256_hex(whole.as_bytes()).chars().take(32).collect();
    let mut text = String::new();
    for (head, content) in &rendered {
        text.push_str(&format!("--{boundary}\r\n{head}\r\n\r\n{content}\r\n"));
    }
    text.push_str(&format!("--{boundary}--\r\n"));
    Ok(Rendered {
        bytes: text.into_bytes(),
        content_type: format!("multipart/form-data; boundary={boundary}"),
    })
}

/// A name in a header of a part.
fn escaped(name: &str) -> String {
    name.replace('"', "%22").replace(['\r', '\n'], " ")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use serde_json::json;

    use super::*;
    use crate::expression::Row;
    use crate::template::Template;

    #[test]
    fn forms_are_flat() {
        let value = json!({"a": {"b c": 1, "n": null}, "l": ["x", {"y": true}], "t": "ä&"});
        assert_eq!(
            form(&value, Lists::Indexed),
            "a%5Bb+c%5D=1&a%5Bn%5D=&l%5B0%5D=x&l%5B1%5D%5By%5D=true&t=%C3%A4%26"
        );
    }

    #[test]
    fn lists_in_forms_are_written_in_three_ways() {
        let value = json!({"to": ["a", "b"], "v": {"x": [1, [2]]}, "none": []});
        for (lists, expected) in [
            (Lists::Indexed, "to[0]=a&to[1]=b&v[x][0]=1&v[x][1][0]=2"),
            (Lists::Brackets, "to[]=a&to[]=b&v[x][]=1&v[x][][]=2"),
            (Lists::Repeated, "to=a&to=b&v[x]=1&v[x]=2"),
        ] {
            let plain = form(&value, lists).replace("%5B", "[").replace("%5D", "]");
            assert_eq!(plain, expected);
        }
    }

    #[test]
    fn csv_has_the_columns_of_all_rows() {
        let (expression, _) = crate::expression::Expression::parse(
            "row.fields",
            &crate::expression::Names {
                roots: &[Root::Row],
                ..crate::expression::Names::default()
            },
        )
        .unwrap();
        let csv = Csv {
            row: Template::Expression(expression),
            null: "#N/A".to_owned(),
            line_end: "\n",
            header: true,
        };
        let rows = [
            Row::new(json!({"fields": {"a": "x,\"y\"", "b": null}})),
            Row::new(json!({"fields": {"c": 1.5, "a": " z"}})),
            Row::new(json!({"fields": {}})),
        ];
        let bytes = lines(&csv, &Scope::default().with_rows(&rows)).unwrap();
        assert_eq!(
            String::from_utf8_lossy(&bytes),
            "a,b,c\n\"x,\"\"y\"\"\",#N/A,\n\" z\",,1.5\n,,\n"
        );
    }
}
