//! What is wrong with a manifest is said with a code, a place and help.

use kinfold_destination::{Folder, read};

const GOOD: &str = r#"version: 1
name: crm
title: CRM
about: A CRM.
parameters:
  key: {about: A key., secret: true}
base_url: https://a.example
auth: {headers: {authorization: "Bearer {{ connection.key }}"}}
rules:
  - {status: 429, is: throttled}
objects:
  contacts:
    about: Contacts.
    upsert:
      rows: 10
      calls:
        - post: /contacts
          json: {records: {$each: rows, $item: "{{ row.fields }}"}}
          rows: {items: $.errors, index: $.index, rules: [{is: rejected, message: $.message}]}
          unnamed: ok
"#;

/// Code, message and marked text of everything that is wrong.
fn problems(text: &str) -> Vec<(String, String, String)> {
    let folder: Folder = read([("manifest.yml", text)]);
    let errors = folder
        .diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.is_error() || diagnostic.code.id != "KF0613");
    errors
        .map(|diagnostic| {
            let marked = diagnostic
                .primary
                .as_ref()
                .map(|label| folder.files.text(label.span).to_owned());
            (
                diagnostic.code.id.to_owned(),
                diagnostic.message.clone(),
                marked.unwrap_or_default(),
            )
        })
        .collect()
}

#[test]
fn a_good_manifest_has_no_problem() {
    assert_eq!(problems(GOOD), []);
}

#[test]
fn each_mistake_is_found_at_its_place() {
    // What is replaced, by what, and the code, a part of the message and the place of the problem.
    let cases = [
        (
            "title: CRM",
            "titel: CRM",
            "KF0108",
            "no key `titel`",
            "titel",
        ),
        ("title: CRM\n", "", "KF0109", "needs `title`", "version"),
        (
            "version: 1",
            "version: 2",
            "KF0602",
            "version 1 of manifests only",
            "version",
        ),
        (
            "name: crm",
            "name: My CRM",
            "KF0112",
            "cannot be the name",
            "name",
        ),
        (
            "connection.key }}\"}}",
            "connection.kye }}\"}}",
            "KF0601",
            "`connection` has no `kye`",
            ".kye",
        ),
        (
            "https://a.example",
            "http://a.example",
            "KF0611",
            "must start with `https://`",
            "http://a.example",
        ),
        (
            "rows: 10\n",
            "rows: 0\n",
            "KF0110",
            "a whole number above 0",
            "0",
        ),
        (
            "- post: /contacts",
            "- post: /contacts\n          put: /x",
            "KF0603",
            "exactly one of",
            "put",
        ),
        (
            "          json:",
            "          text: x\n          json:",
            "KF0603",
            "cannot have both",
            "json",
        ),
        (
            "row.fields }}",
            "rwo.fields }}",
            "KF0601",
            "nothing named `rwo`",
            "rwo",
        ),
        (
            "$each: rows",
            "$eahc: rows",
            "KF0108",
            "no marker `$eahc`",
            "$eahc",
        ),
        (
            "index: $.index",
            "indx: $.index",
            "KF0108",
            "no key `indx`",
            "indx",
        ),
        (
            "index: $.index",
            "item: $.id",
            "KF0109",
            "`item` needs `row`",
            "items",
        ),
        (
            "          unnamed: ok\n",
            "",
            "KF0109",
            "`rows` needs `unnamed`",
            "rows",
        ),
        (
            "unnamed: ok",
            "unnamed: fine",
            "KF0111",
            "`fine` is no value of `unnamed`",
            "fine",
        ),
        (
            "is: rejected",
            "is: rejcted",
            "KF0111",
            "`rejcted` is no value of `is`",
            "rejcted",
        ),
        (
            "is: throttled",
            "is: pending",
            "KF0606",
            "`pending` is a verdict of the `poll`",
            "status",
        ),
        (
            "is: throttled",
            "is: expired",
            "KF0606",
            "no token that could be renewed",
            "status",
        ),
        (
            "is: throttled}",
            "is: temporary, wait: 3}",
            "KF0606",
            "does not wait",
            "wait",
        ),
        (
            "is: throttled}",
            "is: throttled}\n  - {status: [429], is: temporary}",
            "KF0605",
            "never reached",
            "status",
        ),
        (
            "is: rejected, message: $.message}",
            "is: rejected}, {if: $.a == 1, is: conflict}",
            "KF0605",
            "never reached",
            "if",
        ),
        (
            "message: $.message",
            "message: connection.key",
            "KF0604",
            "this is secret",
            "message",
        ),
        (
            "unnamed: ok",
            "unnamed: ok\n          keep: {k: connection.key}",
            "KF0604",
            "this is secret",
            "connection.key",
        ),
        (
            "{$each: rows, $item: \"{{ row.fields }}\"}",
            "1",
            "KF0607",
            "no call says anything of the rows",
            "rows",
        ),
        (
            "{records: {$each: rows, $item: \"{{ row.fields }}\"}}",
            "{id: \"{{ row.id }}\"}",
            "KF0601",
            "`row` has no value here",
            "row.id",
        ),
        (
            "      rows: 10\n",
            "      rows: 10\n      min_rows: 5\n",
            "KF0608",
            "no form takes a batch of fewer than 5",
            "rows",
        ),
        (
            "rules:\n  - {status: 429",
            "limits:\n  - {rows: 5, per: 1s}\nrules:\n  - {status: 429",
            "KF0609",
            "10 rows can never be sent",
            "rows",
        ),
        (
            "rules:\n  - {status: 429",
            "limits:\n  - {calls: 5, per: 1s, group: x}\nrules:\n  - {status: 429",
            "KF0609",
            "no call is of the group `x`",
            "calls",
        ),
        (
            "rules:\n  - {status: 429",
            "limits:\n  - {calls: 5}\nrules:\n  - {status: 429",
            "KF0109",
            "needs `per`",
            "calls",
        ),
        (
            "rules:\n  - {status: 429",
            "limits:\n  - {calls: 5, per: 10}\nrules:\n  - {status: 429",
            "KF0111",
            "must be a time",
            "10",
        ),
        (
            "- post: /contacts",
            "- post: /contacts\n          group: x",
            "KF0609",
            "no limit for the group `x`",
            "post",
        ),
        (
            "about: Contacts.\n",
            "about: Contacts.\n    prepare:\n      - get: /x\n        query: {a: {$each: rows, $item: 1}}\n",
            "KF0607",
            "no rows here",
            "get",
        ),
        (
            "about: Contacts.\n",
            "about: Contacts.\n    remember: [id]\n",
            "KF0610",
            "`prepare` keeps no `id`",
            "remember",
        ),
        (
            "    upsert:",
            "    upset:",
            "KF0108",
            "no key `upset`",
            "upset",
        ),
        (
            "secret: true}",
            "secret: true, default: x}",
            "KF0604",
            "a secret has no default",
            "about",
        ),
        (
            "      rows: 10\n",
            "      rows: 10\n      bytes: 4 mb\n",
            "KF0111",
            "must be a size",
            "4 mb",
        ),
        (
            "unnamed: ok",
            "unnamed: ok\n          when: row.fields.a",
            "KF0601",
            "must be a condition",
            "row.fields.a",
        ),
        (
            "\"{{ row.fields }}\"",
            "\"{{ now }}\"",
            "KF0601",
            "many forms",
            "\"{{ now }}\"",
        ),
        (
            "      rows: 10\n",
            "      rows: 10\n      job:\n        poll: {get: /jobs, when: row.fields.a == 1}\n",
            "KF0608",
            "`when` means nothing here",
            "get",
        ),
        (
            "about: Contacts.\n",
            "about: Contacts.\n    reach: {calls: [{post: /count}], ready: true}\n",
            "KF0608",
            "a call of `reach` changes nothing",
            "post",
        ),
        (
            "about: Contacts.\n",
            "about: Contacts.\n    reach: {calls: [{get: /count}]}\n",
            "KF0613",
            "at least one of `size`",
            "calls",
        ),
        (
            "about: Contacts.\n",
            "about: Contacts.\n    reach: {calls: [{get: /count}], size: run.number}\n",
            "KF0601",
            "`run` has no value here",
            "run.number",
        ),
        (
            "about: Contacts.\n",
            "about: Contacts.\n    reach: {calls: [{get: /count}], size: sync.name}\n",
            "KF0601",
            "must be a number, or a list of the lowest and the highest and is text",
            "size",
        ),
        (
            "about: Contacts.\n",
            "about: Contacts.\n    reach: {calls: [{get: /count}], status: connection.key}\n",
            "KF0604",
            "`status` is shown or stored",
            "status",
        ),
        (
            "about: Contacts.\n",
            "about: Contacts.\n    prepare: [{post: /session, keep: {id: $.id}}]\n    reach: {calls: [{get: \"/{{ kept.id }}\", keep: {n: $.n}}], size: kept.n}\n",
            "KF0608",
            "`reach` could never be asked",
            "post",
        ),
        (
            "about: Contacts.\n",
            "about: Contacts.\n    reach: {calls: [{get: /count, query: {a: {$each: rows, $item: 1}}}], ready: true}\n",
            "KF0607",
            "no rows here",
            "get",
        ),
        (
            "about: Contacts.\n",
            "about: Contacts.\n    refuse: [{if: row.key.a, message: no}]\n",
            "KF0601",
            "must be a condition",
            "row.key.a",
        ),
        (
            "about: Contacts.\n",
            "about: Contacts.\n    refuse: [{if: row.key.a == 1}]\n",
            "KF0109",
            "a refusal needs `message`",
            "if",
        ),
        (
            "      rows: 10\n",
            "      rows: 10\n      refuse: [{if: batch.count == 1, message: no}]\n",
            "KF0601",
            "`batch` has no value here",
            "batch.count",
        ),
        (
            "      rows: 10\n",
            "      rows: 10\n      refuse: [{if: row.key.a == 1, message: \"{{ connection.key }}\"}]\n",
            "KF0604",
            "this is secret",
            "message",
        ),
        (
            "- post: /contacts",
            "- post: /contacts\n          lists: repeated",
            "KF0610",
            "`lists` means nothing without `form`",
            "lists",
        ),
        (
            "- post: /contacts",
            "- post: /contacts\n          points: 3",
            "KF0609",
            "no limit of `points` applies",
            "post",
        ),
        (
            "rules:\n  - {status: 429, is: throttled}",
            "limits: [{points: 2, per: 1s}]\ncheck: {get: /, points: 3}",
            "KF0609",
            "3 points can never be made under this limit of 2",
            "points",
        ),
        (
            "is: throttled}",
            "is: throttled}\n  - {status: 400, is: ok, unnamed: ok}",
            "KF0610",
            "belongs to the rules of the call",
            "status",
        ),
        (
            "- post: /contacts",
            "- post: /contacts\n          rules: [{status: 400, is: rejected, unnamed: ok}]",
            "KF0606",
            "reads no rows",
            "unnamed",
        ),
        (
            "          rows: {items: $.errors, index: $.index, rules: [{is: rejected, message: $.message}]}\n          unnamed: ok\n",
            "          rules: [{status: 400, is: ok, unnamed: ok}]\n",
            "KF0610",
            "means nothing for a call without `rows`",
            "status",
        ),
        (
            "$item: \"{{ row.fields }}\"",
            "$item: \"{{ row.id }}\", $join: ',', $name: \"{{ row.id }}\"",
            "KF0603",
            "one text or one object, not both",
            "\"{{ row.id }}\"",
        ),
        (
            "$item: \"{{ row.fields }}\"",
            "$name: \"{{ row.fields }}\", $item: 1",
            "KF0601",
            "cannot be a part of a text",
            "\"{{ row.fields }}\"",
        ),
        (
            "\"{{ row.fields }}\"",
            "\"x {{ row.fields }}\"",
            "KF0601",
            "cannot be a part of a text",
            "\"x {{ row.fields }}\"",
        ),
    ];
    for (old, new, code, message, marked) in cases {
        assert!(GOOD.contains(old), "{old}");
        let text = GOOD.replacen(old, new, 1);
        let found = problems(&text);
        let hit = found
            .iter()
            .any(|(id, said, place)| id == code && said.contains(message) && place == marked);
        assert!(hit, "{new}\n{found:#?}");
    }
}

#[test]
fn an_unused_parameter_is_a_warning() {
    let text = GOOD.replacen(
        "  key: {",
        "  other: {about: Nothing., optional: true}\n  key: {",
        1,
    );
    let folder = read([("manifest.yml", text.as_str())]);
    assert!(folder.manifest.is_some() && !folder.has_errors());
    assert!(
        folder
            .diagnostics
            .iter()
            .any(|diagnostic| diagnostic.code.id == "KF0610")
    );
}

#[test]
fn text_that_is_anything_never_panics() {
    let mut texts: Vec<String> = vec![
        String::new(),
        "[]".to_owned(),
        "a: &a [*a]".to_owned(),
        "\u{feff}".to_owned(),
    ];
    // Each line left out, and each line made something else.
    let lines: Vec<&str> = GOOD.lines().collect();
    for at in 0..lines.len() {
        let mut without = lines.clone();
        without.remove(at);
        texts.push(without.join("\n"));
        let mut list = lines.clone();
        let indent = list[at].len() - list[at].trim_start().len();
        let key = list[at].split(':').next().unwrap_or_default();
        let other = format!("{key}: [1, {{a: 2}}]");
        let null = format!("{}{}:", " ".repeat(indent), key.trim_start());
        list[at] = &other;
        texts.push(list.join("\n"));
        list[at] = &null;
        texts.push(list.join("\n"));
    }
    for text in texts {
        let _ = problems(&text);
    }
}
