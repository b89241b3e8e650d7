//! What uses models outside of the project, and who is answerable for models: `exposures:` and `groups:`.

use serde_json::{Map, Value as Json};

use crate::located::Located;
use crate::sync::Reference;

/// A dashboard, a notebook or something else that is made of models (`exposures:`).
#[derive(Clone, Debug)]
pub struct Exposure {
    /// Its package.
    pub package: String,
    /// Its name.
    pub name: Located<String>,
    /// `dashboard`, `notebook`, `analysis`, `ml` or `application`.
    pub kind: String,
    /// Who is answerable for it.
    pub owner: Owner,
    /// Its title.
    pub label: Option<String>,
    /// Where it can be seen.
    pub url: Option<String>,
    /// `low`, `medium` or `high`.
    pub maturity: Option<String>,
    /// What it means; may contain `{{ doc('…') }}`.
    pub description: Option<Located<String>>,
    /// What it is made of.
    pub depends_on: Vec<Located<Reference>>,
    /// Its tags.
    pub tags: Vec<String>,
    /// Its `meta`.
    pub meta: Map<String, Json>,
    /// Whether it takes part.
    pub enabled: bool,
}

/// Who is answerable for a part of the models (`groups:`).
#[derive(Clone, Debug)]
pub struct Group {
    /// Its package.
    pub package: String,
    /// Its name.
    pub name: Located<String>,
    /// Who it is.
    pub owner: Owner,
    /// What it means.
    pub description: Option<Located<String>>,
}

/// Somebody who is answerable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// The name.
    pub name: Option<String>,
    /// The addresses.
    pub emails: Vec<String>,
}
