//! The destinations that are part of the program.

use crate::load::{Folder, read};

/// A destination that is part of the program: its folder as files.
#[derive(Clone, Copy, Debug)]
pub struct Shipped {
    /// Its name.
    pub name: &'static str,
    /// Its files: path in the folder, and text.
    pub files: &'static [(&'static str, &'static str)],
}

macro_rules! folder {
    ($name:literal: $($file:literal),+ $(,)?) => {
        Shipped {
            name: $name,
            files: &[$(($file, include_str!(concat!("../destinations/", $name, "/", $file)))),+],
        }
    };
}

/// Every destination that is part of the program, in order. A test compares the list with the folders.
pub const SHIPPED: &[Shipped] = &[
    folder!("braze":
        "manifest.yml",
        "faults.yml",
        "exchanges/delete.yml",
        "exchanges/events.yml",
        "exchanges/purchases.yml",
        "exchanges/update_existing.yml",
        "exchanges/upsert_one_of_two_refused.yml",
    ),
    folder!("hubspot":
        "manifest.yml",
        "faults.yml",
        "exchanges/delete.yml",
        "exchanges/record_delete.yml",
        "exchanges/record_upsert.yml",
        "exchanges/update.yml",
        "exchanges/update_missing.yml",
        "exchanges/upsert_207.yml",
        "exchanges/whole_batch_refused.yml",
    ),
    folder!("klaviyo":
        "manifest.yml",
        "faults.yml",
        "exchanges/event.yml",
        "exchanges/list_add.yml",
        "exchanges/list_remove.yml",
        "exchanges/upsert_one_refused.yml",
    ),
    folder!("marketo":
        "manifest.yml",
        "faults.yml",
        "exchanges/delete.yml",
        "exchanges/insert.yml",
        "exchanges/list_add.yml",
        "exchanges/list_remove.yml",
        "exchanges/token_renewed.yml",
        "exchanges/update.yml",
        "exchanges/upsert_statuses.yml",
    ),
    folder!("slack":
        "manifest.yml",
        "faults.yml",
        "exchanges/message.yml",
        "exchanges/refused.yml",
    ),
];

/// The shipped destination of a name, read and checked.
#[must_use]
pub fn shipped(name: &str) -> Option<Folder> {
    let found = SHIPPED.iter().find(|shipped| shipped.name == name)?;
    Some(read(found.files.iter().copied()))
}
