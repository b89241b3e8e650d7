//! `kinfold explain`: the page of a code.

use kinfold_project::{Code, suggest};
use serde_json::{Value, json};

use super::{CommandError, Done};
use crate::pages::{Page, codes, stage};
use crate::report::Output;

/// What an unknown word was taken for.
pub const CODE: &str = "code of a diagnostic";

/// Prints the page of a code, or the list of all.
pub fn run(word: Option<&str>, output: &Output) -> Result<Done, CommandError> {
    match word {
        Some(word) => one(find(word)?, output),
        None => all(output),
    }
    Ok(Done { success: true })
}

fn one(code: Code, output: &Output) {
    let page = Page::of(code);
    if output.is_json() {
        let mut value = described(code);
        if let (Some(value), Some(page)) = (value.as_object_mut(), page) {
            value.insert("success".to_owned(), Value::Bool(true));
            value.insert("markdown".to_owned(), page.markdown.into());
        }
        output.json(&value);
    } else {
        let text = page.map_or_else(|| format!("# {} {}\n", code.id, code.name), Page::text);
        output.data(text.as_bytes());
    }
}

fn all(output: &Output) {
    if output.is_json() {
        let codes: Vec<Value> = codes().map(described).collect();
        output.json(&json!({"success": true, "codes": codes}));
        return;
    }
    let widest = codes().map(|code| code.name.len()).max().unwrap_or(0);
    let mut before = "";
    for code in codes() {
        if stage(code) != before {
            let gap = if before.is_empty() { "" } else { "\n" };
            before = stage(code);
            output.line(&format!("{gap}{}", output.paint(before, "1")));
        }
        let summary = Page::of(code).map(Page::summary).unwrap_or_default();
        output.line(&format!("  {}  {:<widest$}  {summary}", code.id, code.name));
    }
}

fn described(code: Code) -> Value {
    json!({
        "code": code.id,
        "name": code.name,
        "stage": stage(code),
        "summary": Page::of(code).map(Page::summary),
    })
}

/// The code of this number or name, in letters of any case; the number alone will do.
fn find(word: &str) -> Result<Code, CommandError> {
    let word = word.trim();
    let number = word.chars().all(|c| c.is_ascii_digit());
    let id = if number {
        format!("KF{word:0>4}")
    } else {
        word.to_ascii_uppercase()
    };
    let name = word.to_ascii_lowercase().replace([' ', '_'], "-");
    codes()
        .find(|code| code.id == id || code.name == name)
        .ok_or_else(|| {
            let ids = codes().map(|code| code.id);
            let close = suggest::closest(&name, codes().map(|code| code.name))
                .or_else(|| suggest::closest(&id, ids));
            CommandError::Unknown {
                kind: CODE,
                name: word.to_owned(),
                close: close.map(str::to_owned),
            }
        })
}
