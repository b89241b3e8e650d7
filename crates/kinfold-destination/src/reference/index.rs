//! The table of all destinations, generated from their folders.

use std::collections::BTreeSet;

use super::destination::limit_text;
use super::traits;
use crate::load::Folder;
use crate::manifest::{Manifest, Object, Operation, OperationName, Reaches};

/// A destination of the table.
#[derive(Debug)]
pub struct Listed<'a> {
    /// Its folder.
    pub folder: &'a Folder,
    /// What its requests were checked against, if they were.
    pub checked: Option<Checked>,
}

/// How the recorded requests of a folder fared with the vendor's own specification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// Which one.
    pub specification: String,
    /// Requests that were checked.
    pub requests: u64,
    /// Those that it does not allow.
    pub invalid: u64,
}

/// The table as Markdown. `native` are the kinds of connections that are written in Rust, `adaptors` the number of
/// destinations in the table that have Rust of their own.
#[must_use]
pub fn destinations_page(listed: &[Listed<'_>], native: &[&str], adaptors: usize) -> String {
    let known: Vec<(&Manifest, &Listed<'_>)> = listed
        .iter()
        .filter_map(|listed| Some((listed.folder.manifest.as_ref()?, listed)))
        .collect();
    let exchanges: usize = known.iter().map(|(_, l)| l.folder.exchanges.len()).sum();
    let faults: usize = known.iter().map(|(_, l)| l.folder.faults.len()).sum();
    let live = known.iter().filter(|(m, _)| m.verified.is_some()).count();
    let mut page = format!(
        "# Destinations\n\n\
        <!-- Generated from the folders of the destinations. Change those, not this page. -->\n\n\
        {} destinations are folders of the program. They are proved by {exchanges} recorded exchanges and {faults} \
        faults; {live} of them were run against the live service, and {adaptors} have Rust of their own. {} kinds are \
        written in Rust, since they are no HTTP API of a vendor: {}.\n\n\
        How to read the table:\n\n\
        - **objects**: what can be written to, and the [modes](../reference/syncs.md) of a sync to it. Of `mirror` it \
        says what can happen to rows that leave: *for good* is a record that is gone, *restorable* one that an archive \
        or a trash keeps; else a membership ends. An *audience* has members and no fields.\n\
        - **rows, size**: most rows of a request in any operation, and the largest body and row where there is a limit.\n\
        - **refused rows**: how an answer says which rows it refuses: by their *index* in the request, a *pointer* into \
        it, an *echo* of a value, or a *result file*. Where it only *counts* them or says nothing (*none*), a refused \
        batch is halved until the row at fault is alone.\n\
        - **jobs**: operations that are accepted first and asked about later.\n\
        - **fields**: whether those of the account are looked up before anything is sent.\n\
        - **proved by**: recorded exchanges, faults, and requests that were checked against a specification of the \
        vendor.\n\n",
        known.len(),
        native.len(),
        native
            .iter()
            .map(|kind| format!("[`{kind}`](../reference/{kind}-destination.md)"))
            .collect::<Vec<_>>()
            .join(", ")
    );
    page.push_str(
        "| destination | objects | rows | size | limits | credentials | refused rows | jobs | fields | proved by | live |\n\
        |---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for (manifest, listed) in known {
        row(&mut page, manifest, listed);
    }
    page
}

fn row(page: &mut String, manifest: &Manifest, listed: &Listed<'_>) {
    let forms = || {
        let operations = manifest
            .objects
            .iter()
            .flat_map(|object| &object.operations);
        operations.flat_map(|(_, forms)| forms)
    };
    let objects: Vec<String> = manifest.objects.iter().map(modes).collect();
    let limits: Vec<String> = manifest.limits.iter().map(limit_text).collect();
    let attribution: BTreeSet<&str> = forms().flat_map(traits::attribution).collect();
    let cells = [
        format!("[{}]({}.md)", manifest.title, manifest.name),
        objects.join("<br>"),
        numbers(forms().map(|form| form.rows)),
        sizes(&forms().collect::<Vec<_>>()),
        limits.join("<br>"),
        traits::auth(manifest).join(", "),
        attribution.into_iter().collect::<Vec<_>>().join(", "),
        jobs(manifest),
        discovered(manifest),
        proof(listed),
        manifest
            .verified
            .clone()
            .unwrap_or_else(|| "not run".to_owned()),
    ];
    // A cell ends at a bar.
    let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    page.push_str(&format!("| {} |\n", cells.join(" | ")));
}

/// `contacts: upsert, mirror (delete)`.
fn modes(object: &Object) -> String {
    let can = |name| object.operation(name).is_some();
    let mut leaving = vec!["keep"];
    if can(OperationName::Update) {
        leaving.push("clear");
    }
    if can(OperationName::Delete) {
        let reaches = object.removal.as_ref().map(|removal| removal.reaches);
        leaving.push(match reaches {
            Some(Reaches::Final) => "delete for good",
            Some(Reaches::Restorable) => "delete, restorable",
            _ => "delete",
        });
    }
    let words: Vec<String> = object
        .modes()
        .into_iter()
        .map(|mode| match mode.as_str() {
            "mirror" => format!("mirror ({})", leaving.join(", ")),
            word => word.to_owned(),
        })
        .collect();
    let audience = if traits::is_audience(object) {
        " (audience)"
    } else {
        ""
    };
    format!("`{}`{audience}: {}", object.name, words.join(", "))
}

/// Different numbers in their order.
fn numbers(of: impl Iterator<Item = usize>) -> String {
    let numbers: BTreeSet<usize> = of.collect();
    let texts: Vec<String> = numbers.iter().map(usize::to_string).collect();
    texts.join(", ")
}

fn sizes(forms: &[&Operation]) -> String {
    let distinct = |of: fn(&Operation) -> Option<usize>| -> BTreeSet<usize> {
        forms.iter().filter_map(|form| of(form)).collect()
    };
    let bodies = distinct(|form| form.bytes).into_iter().map(size);
    let rows = distinct(|form| form.row_bytes)
        .into_iter()
        .map(|bytes| format!("{} a row", size(bytes)));
    bodies.chain(rows).collect::<Vec<_>>().join(", ")
}

/// A number of bytes in the largest unit that makes it whole.
fn size(bytes: usize) -> String {
    for (unit, name) in [
        (1 << 20, "MiB"),
        (1_000_000, "MB"),
        (1 << 10, "KiB"),
        (1_000, "KB"),
    ] {
        if bytes >= unit && bytes.is_multiple_of(unit) {
            return format!("{} {name}", bytes / unit);
        }
    }
    format!("{bytes} B")
}

fn jobs(manifest: &Manifest) -> String {
    let mut found = Vec::new();
    for object in &manifest.objects {
        let names: Vec<&str> = object
            .operations
            .iter()
            .filter(|(_, forms)| forms.iter().any(|form| form.job.is_some()))
            .map(|(name, _)| name.as_str())
            .collect();
        if !names.is_empty() {
            found.push(format!("`{}`: {}", object.name, names.join(", ")));
        }
    }
    found.join("<br>")
}

fn discovered(manifest: &Manifest) -> String {
    let objects = manifest.objects.iter().filter(|object| {
        let fields = object.fields.as_ref();
        fields.is_some_and(|fields| fields.discover.is_some())
    });
    let names: Vec<String> = objects.map(|object| format!("`{}`", object.name)).collect();
    names.join(", ")
}

fn proof(listed: &Listed<'_>) -> String {
    let counted = |count: usize, word: &str| match count {
        1 => format!("1 {word}"),
        _ => format!("{count} {word}s"),
    };
    let mut text = format!(
        "{}, {}",
        counted(listed.folder.exchanges.len(), "exchange"),
        counted(listed.folder.faults.len(), "fault")
    );
    if let Some(checked) = &listed.checked {
        text.push_str(&format!(
            "; {} requests against {}, {} invalid",
            checked.requests, checked.specification, checked.invalid
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_are_whole_numbers() {
        assert_eq!(size(4 << 20), "4 MiB");
        assert_eq!(size(5_000_000), "5 MB");
        assert_eq!(size(32 << 10), "32 KiB");
        assert_eq!(size(900_000), "900 KB");
        assert_eq!(size(1_234), "1234 B");
    }
}
