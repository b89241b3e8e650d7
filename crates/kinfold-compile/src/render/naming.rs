//! Under which relation each node writes.

use std::collections::BTreeMap;
use std::sync::Arc;

use kinfold_project::{Diagnostic, Located, MacroKind};
use minijinja::value::Value;
use serde_json::Value as Json;

use super::codes;
use super::config::NodeConfig;
use super::draft::Draft;
use super::failure::diagnostic;
use super::instrument::LOADER;
use super::macros::MacroValue;
use super::registry::{Resolved, lock};
use super::relation::{Companion, Relation};
use super::stage::Stage;

impl<'p> Stage<'p> {
    /// The relations of all nodes that write one, in the order of `drafts`.
    pub(super) fn resolve(
        &mut self,
        drafts: &[Draft<'p>],
        configs: &[NodeConfig],
    ) -> Vec<Resolved> {
        let mut resolved = Vec::new();
        for (draft, config) in drafts.iter().zip(configs) {
            if draft.resource.is_test() {
                continue;
            }
            let relation = match draft.fixed {
                Some((schema, name)) => Relation {
                    schema: schema.to_owned(),
                    name: name.to_owned(),
                },
                None => Relation {
                    schema: self.schema_name(draft, config),
                    name: self.alias_name(draft, config),
                },
            };
            let companions = config
                .materialized
                .value
                .companions()
                .iter()
                .map(|suffix| Companion {
                    suffix,
                    ref_name: format!("{}__{suffix}", draft.name),
                    relation: Relation {
                        schema: relation.schema.clone(),
                        name: format!("{}__{suffix}", relation.name),
                    },
                })
                .collect();
            resolved.push(Resolved {
                enabled: config.enabled,
                relation,
                companions,
                config: json_config(config),
            });
        }
        resolved
    }

    fn schema_name(&mut self, draft: &Draft<'p>, config: &NodeConfig) -> String {
        let custom = config.schema.as_ref();
        if let Some(name) = self.naming(draft, config, "generate_schema_name", custom) {
            return name;
        }
        match custom {
            None => self.registry.schema.clone(),
            Some(custom) if self.is_kinfold() => custom.value.clone(),
            // As in dbt.
            Some(custom) => format!("{}_{}", self.registry.schema, custom.value.trim()),
        }
    }

    fn alias_name(&mut self, draft: &Draft<'p>, config: &NodeConfig) -> String {
        let custom = config.alias.as_ref();
        if let Some(name) = self.naming(draft, config, "generate_alias_name", custom) {
            return name;
        }
        custom.map_or_else(
            || draft.name.to_owned(),
            |alias| alias.value.trim().to_owned(),
        )
    }

    /// Whether the project has a `kinfold.yml`, and so no history of dbt's names.
    fn is_kinfold(&self) -> bool {
        self.project
            .files
            .files()
            .iter()
            .any(|file| file.path.as_os_str() == "kinfold.yml")
    }

    /// A name that a macro of the root project makes, if it has one.
    fn naming(
        &mut self,
        draft: &Draft<'p>,
        config: &NodeConfig,
        name: &str,
        custom: Option<&Located<String>>,
    ) -> Option<String> {
        let index = self
            .registry
            .macro_in(&self.registry.project, name, MacroKind::Macro)?;
        let mut run = self.run(draft, custom.map_or(draft.place, |c| c.span));
        run.relation = Some(Relation {
            schema: self.registry.schema.clone(),
            name: draft.name.to_owned(),
        });
        run.config = config
            .extra
            .iter()
            .map(|(k, v)| (k.clone(), v.value.clone()))
            .collect();
        let custom = custom.map_or_else(|| Value::from(()), |c| Value::from(c.value.as_str()));
        run.vars
            .insert("kf_name".to_owned(), MacroValue::of(index, None));
        run.vars.insert("kf_custom".to_owned(), custom);
        let run = Arc::new(run);
        let template = format!("{LOADER}{{{{ kf_name(kf_custom, node) }}}}");
        let context = Value::from_dyn_object(Arc::clone(&run));
        let result = self.env.render_named_str("a name", &template, context);
        self.diagnostics.append(&mut lock(&run.records).diagnostics);
        match result {
            Ok(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
            Err(error) => {
                let problem = diagnostic(&run, &error);
                self.diagnostics.push(problem);
                None
            }
        }
    }

    /// Tells of nodes that write one relation.
    pub(super) fn same_relations(
        &mut self,
        drafts: &[Draft<'p>],
        configs: &[NodeConfig],
        resolved: &[Resolved],
    ) {
        let mut writers: BTreeMap<&Relation, &Draft<'p>> = BTreeMap::new();
        let nodes = drafts
            .iter()
            .zip(configs)
            .filter(|(draft, _)| !draft.resource.is_test())
            .zip(resolved)
            .filter(|((draft, _), found)| draft.fixed.is_none() && found.enabled);
        for ((draft, config), found) in nodes {
            let own = std::iter::once(&found.relation);
            for relation in own.chain(found.companions.iter().map(|c| &c.relation)) {
                let Some(other) = writers.insert(relation, draft) else {
                    continue;
                };
                // Loading has told it already: one name, so one relation too.
                if other.name == draft.name && other.package == draft.package {
                    continue;
                }
                let span = config
                    .alias
                    .as_ref()
                    .or(config.schema.as_ref())
                    .map_or(draft.place, |c| c.span);
                self.diagnostics.push(
                    Diagnostic::error(
                        codes::SAME_RELATION,
                        format!(
                            "`{}` and `{}` both write the relation `{}.{}`",
                            other.name, draft.name, relation.schema, relation.name
                        ),
                        span,
                    )
                    .with_related(other.place, "the other one")
                    .with_help("give one of them another `alias` or `schema`"),
                );
            }
        }
    }
}

/// The configuration as templates see it.
pub(super) fn json_config(config: &NodeConfig) -> BTreeMap<String, Json> {
    let mut json: BTreeMap<String, Json> = config
        .extra
        .iter()
        .map(|(key, value)| (key.clone(), value.value.clone()))
        .collect();
    let text = |value: &Option<Located<String>>| {
        value
            .as_ref()
            .map_or(Json::Null, |v| Json::from(v.value.clone()))
    };
    json.insert(
        "materialized".to_owned(),
        Json::from(config.materialized.value.as_str()),
    );
    json.insert("schema".to_owned(), text(&config.schema));
    json.insert("alias".to_owned(), text(&config.alias));
    json.insert("entity".to_owned(), text(&config.entity));
    json.insert("tags".to_owned(), Json::from(config.tags.clone()));
    json.insert("enabled".to_owned(), Json::from(config.enabled));
    json.insert("meta".to_owned(), Json::Object(config.meta.clone()));
    json
}
