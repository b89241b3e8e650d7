//! How rows are added to what there is of an incremental model: the keys of dbt.

use kinfold_project::{Diagnostic, Located};
use serde_json::Value as Json;

use super::codes;
use super::config::{Materialization, Reader};
use super::reference::suggest;

/// What is done with rows of an incremental model that are there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IncrementalStrategy {
    /// Nothing: new rows are added.
    Append,
    /// Those that have the key of a new row go, and the new rows are added.
    DeleteInsert,
    /// The one that has the key of a new row becomes that row; others are added.
    Merge,
    /// Those of the partitions of new rows go, and the new rows are added.
    InsertOverwrite,
    /// Those of the intervals that are computed again go. Not supported: the whole model is built.
    Microbatch,
}

impl IncrementalStrategy {
    const ALL: [Self; 5] = [
        Self::Append,
        Self::DeleteInsert,
        Self::Merge,
        Self::InsertOverwrite,
        Self::Microbatch,
    ];

    /// The word for it in configuration, which is dbt's.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Append => "append",
            Self::DeleteInsert => "delete+insert",
            Self::Merge => "merge",
            Self::InsertOverwrite => "insert_overwrite",
            Self::Microbatch => "microbatch",
        }
    }
}

/// What happens to an incremental model whose columns are others than those of its table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnSchemaChange {
    /// It is built anew.
    #[default]
    Rebuild,
    /// It fails.
    Fail,
    /// New columns are added, and are null in rows that are there; columns that are gone are null in new rows.
    AppendNewColumns,
    /// The table gets the columns of the model; new ones are null in rows that are there.
    SyncAllColumns,
}

/// How an incremental model grows.
#[derive(Clone, Debug, PartialEq)]
pub struct IncrementalRules {
    /// What is done with rows that are there.
    pub strategy: IncrementalStrategy,
    /// The columns that tell rows apart (`unique_key`), or that make partitions (`partition_by`).
    pub key: Vec<Located<String>>,
    /// Of `merge`: the columns that an old row takes from a new one; none stands for all.
    pub update_columns: Option<Vec<Located<String>>>,
    /// Of `merge`: the columns that an old row keeps.
    pub exclude_columns: Vec<Located<String>>,
    /// What happens when the columns change.
    pub on_schema_change: OnSchemaChange,
    /// Whether it may be built anew: `false` keeps what there is, whatever changes.
    pub full_refresh: Option<bool>,
}

impl Reader {
    /// The rules of an incremental model. Its keys stay among the others, since they are part of what it means.
    pub(super) fn incremental(
        &mut self,
        materialized: &Located<Materialization>,
    ) -> Option<IncrementalRules> {
        if materialized.value != Materialization::Incremental {
            return None;
        }
        let strategy = self.strategy();
        let unique_key = self.names("unique_key");
        let update_columns = self.names("merge_update_columns");
        let exclude_columns = self.names("merge_exclude_columns").unwrap_or_default();
        if let (Some(_), Some(excluded)) = (&update_columns, exclude_columns.first()) {
            self.refuse(
                "`merge_update_columns` and `merge_exclude_columns` say the same thing twice",
                excluded.span,
            );
        }
        for key in ["incremental_predicates", "predicates"] {
            if let Some(span) = self.setting(key).map(|setting| setting.span) {
                let why = "files whose keys cannot match are left out by their statistics";
                self.warn(&format!("`{key}` has no effect: {why}"), span);
            }
        }
        let strategy = match strategy {
            Some(strategy) => strategy,
            // As dbt's adapters do that have no strategy of their own.
            None if unique_key.is_some() => {
                Located::new(IncrementalStrategy::DeleteInsert, materialized.span)
            }
            None => Located::new(IncrementalStrategy::Append, materialized.span),
        };
        let key = match strategy.value {
            IncrementalStrategy::InsertOverwrite => {
                // Elsewhere it is a layout, in a form of its own for each warehouse.
                let partition_by = self.names("partition_by");
                if partition_by.is_none() {
                    let why = "the columns whose values are replaced together";
                    let message = format!("`insert_overwrite` needs `partition_by`: {why}");
                    self.refuse(&message, strategy.span);
                }
                partition_by.unwrap_or_default()
            }
            IncrementalStrategy::Merge => {
                if unique_key.is_none() {
                    self.refuse(
                        "`merge` needs a `unique_key`: the columns that tell rows apart",
                        strategy.span,
                    );
                }
                unique_key.unwrap_or_default()
            }
            IncrementalStrategy::DeleteInsert => unique_key.unwrap_or_default(),
            IncrementalStrategy::Append => vec![],
            IncrementalStrategy::Microbatch => {
                self.warn(
                    "a `microbatch` model is built in full, as a table",
                    strategy.span,
                );
                vec![]
            }
        };
        Some(IncrementalRules {
            strategy: strategy.value,
            key,
            update_columns,
            exclude_columns,
            on_schema_change: self.on_schema_change(),
            full_refresh: self.full_refresh(),
        })
    }

    fn strategy(&mut self) -> Option<Located<IncrementalStrategy>> {
        let word = self.word("incremental_strategy")?;
        // What an adapter would choose.
        if word.value == "default" {
            return None;
        }
        let known = IncrementalStrategy::ALL;
        if let Some(found) = known.iter().find(|known| known.as_str() == word.value) {
            return Some(Located::new(*found, word.span));
        }
        let names = known.iter().map(|strategy| strategy.as_str());
        let all: Vec<String> = names.clone().map(|name| format!("`{name}`")).collect();
        let problem = Diagnostic::error(
            codes::INVALID_CONFIG,
            format!("there is no incremental strategy `{}`", word.value),
            word.span,
        );
        let problem = suggest(problem, &word.value, names);
        self.report(problem.with_note(format!("there are {}", all.join(", "))));
        None
    }

    fn on_schema_change(&mut self) -> OnSchemaChange {
        let Some(word) = self.word("on_schema_change") else {
            return OnSchemaChange::default();
        };
        match word.value.as_str() {
            "ignore" => OnSchemaChange::Rebuild,
            "fail" => OnSchemaChange::Fail,
            "append_new_columns" => OnSchemaChange::AppendNewColumns,
            "sync_all_columns" => OnSchemaChange::SyncAllColumns,
            _ => {
                let words = "`ignore`, `fail`, `append_new_columns` or `sync_all_columns`";
                self.refuse(&format!("`on_schema_change` must be {words}"), word.span);
                OnSchemaChange::default()
            }
        }
    }

    fn full_refresh(&mut self) -> Option<bool> {
        let setting = self.setting("full_refresh")?;
        let (value, span) = (setting.value.clone(), setting.span);
        match value {
            Json::Bool(flag) => Some(flag),
            _ => {
                self.refuse("`full_refresh` must be `true` or `false`", span);
                None
            }
        }
    }

    /// One name or a list of them. An empty list is none.
    fn names(&mut self, key: &str) -> Option<Vec<Located<String>>> {
        let setting = self.setting(key)?;
        let (value, span) = (setting.value.clone(), setting.span);
        let mut names = Vec::new();
        for item in super::settings::list(value) {
            match item {
                Json::String(name) => names.push(Located::new(name, span)),
                _ => {
                    let wanted = "the name of a column or a list of names";
                    self.refuse(&format!("`{key}` must be {wanted}"), span);
                    return None;
                }
            }
        }
        Some(names).filter(|names| !names.is_empty())
    }

    fn word(&mut self, key: &str) -> Option<Located<String>> {
        let setting = self.setting(key)?;
        let (value, span) = (setting.value.clone(), setting.span);
        match value {
            Json::String(word) => Some(Located::new(word, span)),
            _ => {
                self.refuse(&format!("`{key}` must be text"), span);
                None
            }
        }
    }
}
