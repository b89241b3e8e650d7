//! Models, seeds and data tests of `manifest.json`.

use std::path::Path;

use kinfold_compile::compile::{CompiledNode, Determinism, has_contract};
use kinfold_compile::render::{NodeConfig, RenderedNode, TestSeverity};
use kinfold_project::{GenericTest, Model, Project, ResourceType, Seed, SingularTest, TestTarget};
use serde_json::{Map, Value as Json, json};
use sha2::{Digest, Sha256};

use super::column::{columns, description};
use super::layout::{Place, patch_path};

/// Catalogue part of every relation's name, `database` in dbt's words.
pub(super) const DATABASE: &str = "kinfold";

/// What a node is declared by.
#[derive(Clone, Copy)]
pub(super) enum Declared<'p> {
    Model(&'p Model),
    Seed(&'p Seed),
    Singular(&'p SingularTest),
    Generic(&'p GenericTest),
}

/// A node with all that is known of it.
pub(super) struct Known<'p> {
    pub(super) project: &'p Project,
    pub(super) node: &'p RenderedNode,
    pub(super) declared: Declared<'p>,
    pub(super) place: &'p Place<'p>,
    pub(super) compiled: Option<&'p CompiledNode>,
    /// What its columns come from.
    pub(super) lineage: Option<Json>,
    /// The columns whose values are tested to be a key of it.
    pub(super) primary_key: Vec<String>,
    /// Time of the run, seconds since 1970.
    pub(super) created_at: i64,
    /// Schema of the environment, where tests are said to be.
    pub(super) schema: &'p str,
}

impl Known<'_> {
    /// The node's entry in `nodes`.
    pub(super) fn entry(&self) -> Json {
        let node = self.node;
        let (written, described, properties) = match self.declared {
            Declared::Model(m) => (m.description.as_ref(), m.columns.as_slice(), m.properties),
            Declared::Seed(s) => {
                let column = s.columns.first().map(|column| column.name.span);
                let place = s.description.as_ref().map(|text| text.span).or(column);
                (s.description.as_ref(), s.columns.as_slice(), place)
            }
            Declared::Singular(_) => (None, &[][..], None),
            Declared::Generic(t) => (t.description.as_ref(), &[][..], None),
        };
        let alias = match (&node.relation, self.declared) {
            (Some(relation), _) => &relation.name,
            (None, Declared::Generic(test)) => &test.alias,
            (None, _) => &node.name,
        };
        let schema = match &node.relation {
            Some(relation) => relation.schema.clone(),
            None => format!("{}_dbt_test__audit", self.schema),
        };
        let meta = self.meta();
        let mut entry = object(json!({
            "database": DATABASE,
            "schema": schema,
            "name": node.name,
            "resource_type": node.resource.as_str(),
            "package_name": node.package,
            "path": self.place.path,
            "original_file_path": self.place.original,
            "unique_id": node.id,
            "fqn": self.place.fqn(),
            "alias": alias,
            "checksum": self.checksum(),
            "config": self.config(&meta),
            "tags": node.config.tags,
            "description": description(self.project, &node.package, written),
            "columns": columns(self.project, &node.package, described),
            "meta": meta,
            "group": node.config.extra.get("group").and_then(|group| group.value.as_str()),
            "docs": docs(&node.config),
            "patch_path": patch_path(self.project, &node.package, properties),
            "build_path": null,
            "unrendered_config": {},
            "created_at": self.created_at,
            "relation_name": node.relation.as_ref().map(ToString::to_string),
            "raw_code": self.raw_code(),
        }));
        match self.declared {
            Declared::Seed(_) => {
                entry.insert("root_path".to_owned(), Json::Null);
                entry.insert("depends_on".to_owned(), json!({ "macros": [] }));
            }
            Declared::Model(_) => {
                self.add_sql(&mut entry);
                entry.insert("access".to_owned(), "protected".into());
                entry.insert("constraints".to_owned(), json!([]));
                entry.insert("primary_key".to_owned(), json!(self.primary_key));
                entry.insert("version".to_owned(), Json::Null);
                entry.insert("latest_version".to_owned(), Json::Null);
                entry.insert("deprecation_date".to_owned(), Json::Null);
            }
            Declared::Singular(_) => self.add_sql(&mut entry),
            Declared::Generic(test) => {
                self.add_sql(&mut entry);
                self.add_test(&mut entry, test);
            }
        }
        Json::Object(entry)
    }

    fn add_sql(&self, entry: &mut Map<String, Json>) {
        let node = self.node;
        let sql = node.sql.as_ref();
        let compiled_path = format!("target/{}", self.place.compiled().to_string_lossy());
        let nodes: Vec<&str> = node.depends_on.iter().map(|d| d.id.as_str()).collect();
        entry.extend(object(json!({
            "language": "sql",
            "refs": refs(&node.package, &nodes),
            "sources": sources(self.project, &nodes),
            "metrics": [],
            "depends_on": { "macros": node.macros, "nodes": nodes },
            "compiled_path": sql.map(|_| compiled_path),
            "compiled": sql.is_some(),
            "compiled_code": sql.map(|sql| &sql.text),
            "extra_ctes_injected": sql.is_some(),
            "extra_ctes": [],
            "contract": {
                "enforced": has_contract(node.resource, &node.config),
                "alias_types": true,
                "checksum": null,
            },
        })));
    }

    fn add_test(&self, entry: &mut Map<String, Json>, test: &GenericTest) {
        let (namespace, name) = match test.test.value.split_once('.') {
            Some((namespace, name)) => (Some(namespace), name),
            None => (None, test.test.value.as_str()),
        };
        let mut kwargs: Map<String, Json> = test
            .arguments
            .iter()
            .map(|(key, value)| (key.value.clone(), value.to_json()))
            .collect();
        let column = test.column.as_ref().map(|column| &column.value);
        if let Some(name) = test.column_name() {
            kwargs.insert("column_name".to_owned(), name.into());
        }
        let target = match &test.target {
            TestTarget::Ref(name) => format!("ref('{name}')"),
            TestTarget::Source(source, table) => format!("source('{source}', '{table}')"),
        };
        let model = format!("{{{{ get_where_subquery({target}) }}}}");
        kwargs.insert("model".to_owned(), model.into());
        let tested = self.node.tested.as_ref().map(|tested| tested.node.as_str());
        // dbt attaches tests to what it builds, not to sources.
        let attached = tested.filter(|id| !id.starts_with("source."));
        let section = match tested.and_then(|id| id.split_once('.')) {
            Some((resource, _)) => format!("{resource}s"),
            None => "models".to_owned(),
        };
        let key = match &test.target {
            TestTarget::Ref(name) => name,
            TestTarget::Source(source, _) => source,
        };
        entry.extend(object(json!({
            "column_name": column,
            "file_key_name": format!("{section}.{key}"),
            "attached_node": attached,
            "test_metadata": { "name": name, "kwargs": kwargs, "namespace": namespace },
        })));
    }

    fn config(&self, meta: &Map<String, Json>) -> Json {
        let config = &self.node.config;
        let mut all = object(json!({
            "enabled": config.enabled,
            "alias": config.alias.as_ref().map(|alias| &alias.value),
            "schema": config.schema.as_ref().map(|schema| &schema.value),
            "database": null,
            "tags": config.tags,
            "meta": meta,
            "group": null,
        }));
        all.extend(match self.node.resource {
            ResourceType::Test => test_config(config),
            _ => relation_config(self.node.resource, config),
        });
        for (key, value) in &config.extra {
            all.insert(key.clone(), value.value.clone());
        }
        if self.node.resource != ResourceType::Test {
            all.insert("docs".to_owned(), docs(config));
        }
        for (key, names) in HOOKS {
            let set = names.iter().filter_map(|name| config.extra.get(*name));
            let hooks: Vec<Json> = set.flat_map(|set| hooks(&set.value)).collect();
            if let Some(entry) = all.get_mut(key) {
                *entry = hooks.into();
            }
        }
        all.shift_remove("pre_hook");
        all.shift_remove("post_hook");
        Json::Object(all)
    }

    /// The user's `meta`, with what only kinfold knows below `kinfold`.
    fn meta(&self) -> Map<String, Json> {
        let mut own = Map::new();
        let companions = self.node.companions.iter().map(|companion| {
            let relation = companion.relation.to_string();
            (
                companion.ref_name.clone(),
                json!({ "relation_name": relation }),
            )
        });
        let companions: Map<String, Json> = companions.collect();
        if !companions.is_empty() {
            own.insert("companions".to_owned(), companions.into());
        }
        if let Some(entity) = &self.node.config.entity {
            own.insert("entity".to_owned(), entity.value.clone().into());
        }
        if let Some(compiled) = self.compiled {
            let determinism = match compiled.determinism {
                Determinism::Fixed => "fixed",
                Determinism::Clock => "clock",
                Determinism::Volatile => "volatile",
            };
            own.insert("determinism".to_owned(), determinism.into());
            own.insert(
                "fingerprint".to_owned(),
                compiled.fingerprint.to_string().into(),
            );
        }
        if let Some(lineage) = &self.lineage {
            own.insert("lineage".to_owned(), lineage.clone());
        }
        let mut meta = self.node.config.meta.clone();
        if !own.is_empty() {
            meta.insert("kinfold".to_owned(), own.into());
        }
        meta
    }

    /// The template without white space round it, as dbt stores it.
    fn raw_code(&self) -> String {
        let file = match self.declared {
            Declared::Model(model) => model.file,
            Declared::Singular(test) => test.file,
            Declared::Seed(_) => return String::new(),
            Declared::Generic(test) => {
                let (namespace, name) = match test.test.value.split_once('.') {
                    Some((namespace, name)) => (format!("{namespace}."), name),
                    None => (String::new(), test.test.value.as_str()),
                };
                return format!("{{{{ {namespace}test_{name}(**_dbt_generic_test_kwargs) }}}}");
            }
        };
        let file = self.project.files.get(file);
        file.map_or_else(String::new, |file| file.text.trim().to_owned())
    }

    /// SHA-256 of the SQL without white space round it, or of a seed's bytes: as dbt computes it.
    fn checksum(&self) -> Json {
        let digest = match self.declared {
            Declared::Model(_) | Declared::Singular(_) => {
                Some(Sha256::digest(self.raw_code().as_bytes()).to_vec())
            }
            Declared::Seed(Seed {
                embedded: Some(text),
                ..
            }) => Some(Sha256::digest(text.trim().as_bytes()).to_vec()),
            Declared::Seed(seed) => digest_of(&seed.path).ok(),
            Declared::Generic(_) => None,
        };
        match digest {
            Some(digest) => {
                let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
                json!({ "name": "sha256", "checksum": hex })
            }
            None => json!({ "name": "none", "checksum": "" }),
        }
    }
}

/// Statements around a model: dbt's key, and the names under which they are set.
const HOOKS: [(&str, [&str; 2]); 2] = [
    ("pre-hook", ["pre-hook", "pre_hook"]),
    ("post-hook", ["post-hook", "post_hook"]),
];

/// One statement or a list of them, as dbt lists them.
fn hooks(set: &Json) -> Vec<Json> {
    let hook = |hook: &Json| {
        let of = |key: &str| hook.get(key).cloned();
        let sql = match hook {
            Json::String(sql) => sql.as_str().into(),
            _ => of("sql").filter(Json::is_string)?,
        };
        let transaction = of("transaction").filter(Json::is_boolean);
        Some(
            json!({ "sql": sql, "transaction": transaction.unwrap_or(true.into()), "index": null }),
        )
    };
    match set {
        Json::Array(items) => items.iter().filter_map(hook).collect(),
        one => hook(one).into_iter().collect(),
    }
}

/// `docs` of a node: whether and in which colour a documentation site shows it.
fn docs(config: &NodeConfig) -> Json {
    let mut all = object(json!({ "show": true, "node_color": null }));
    if let Some(set) = config.extra.get("docs") {
        all.extend(object(set.value.clone()));
    }
    Json::Object(all)
}

fn test_config(config: &NodeConfig) -> Map<String, Json> {
    let severity = match config.severity {
        TestSeverity::Error => "ERROR",
        TestSeverity::Warn => "WARN",
    };
    object(json!({
        "materialized": "test",
        "severity": severity,
        "store_failures": config.store_failures.then_some(true),
        "store_failures_as": null,
        "where": config.filter.as_ref().map(|filter| &filter.value),
        "limit": config.limit.as_ref().map(|limit| limit.value),
        "fail_calc": config.fail_calc.value,
        "warn_if": config.warn_if.value,
        "error_if": config.error_if.value,
    }))
}

fn relation_config(resource: ResourceType, config: &NodeConfig) -> Map<String, Json> {
    let types: Map<String, Json> = config
        .column_types
        .iter()
        .map(|(column, sql_type)| (column.clone(), sql_type.value.clone().into()))
        .collect();
    let mut all = object(json!({
        "materialized": config.materialized.value.as_str(),
        "incremental_strategy": null,
        "persist_docs": {},
        "post-hook": [],
        "pre-hook": [],
        "quoting": {},
        "column_types": types,
        "full_refresh": null,
        "unique_key": null,
        "on_schema_change": "ignore",
        "on_configuration_change": "apply",
        "grants": {},
        "packages": [],
        "docs": { "show": true, "node_color": null },
        "contract": { "enforced": false, "alias_types": true },
    }));
    match resource {
        ResourceType::Seed => {
            let delimiter = config
                .delimiter
                .as_ref()
                .map_or(',', |d| char::from(d.value));
            all.insert("delimiter".to_owned(), delimiter.to_string().into());
            all.insert("quote_columns".to_owned(), config.quote_columns.into());
        }
        _ => {
            all.insert("access".to_owned(), "protected".into());
        }
    }
    all
}

/// `refs`: the models and seeds among what is read.
pub(super) fn refs(package: &str, nodes: &[&str]) -> Json {
    let refs = nodes.iter().filter_map(|id| {
        let mut parts = id.splitn(3, '.');
        let (resource, of, name) = (parts.next()?, parts.next()?, parts.next()?);
        matches!(resource, "model" | "seed").then(|| {
            let other = (of != package).then_some(of);
            json!({ "name": name, "package": other, "version": null })
        })
    });
    refs.collect()
}

/// `sources`: the tables of sources among what is read.
pub(super) fn sources(project: &Project, nodes: &[&str]) -> Json {
    let read = nodes.iter().filter_map(|id| {
        let source = project
            .sources
            .iter()
            .find(|source| source.id.as_str() == *id)?;
        Some(json!([source.source.value, source.table.value]))
    });
    read.collect()
}

/// SHA-256 of a file, without white space at its two ends if it is text: dbt reads seeds so.
fn digest_of(path: &Path) -> std::io::Result<Vec<u8>> {
    let bytes = std::fs::read(path)?;
    let stripped = match std::str::from_utf8(&bytes) {
        Ok(text) => text.trim().as_bytes(),
        Err(_) => &bytes,
    };
    Ok(Sha256::digest(stripped).to_vec())
}

/// The entries of an object; none of anything else.
pub(super) fn object(value: Json) -> Map<String, Json> {
    match value {
        Json::Object(entries) => entries,
        _ => Map::new(),
    }
}
