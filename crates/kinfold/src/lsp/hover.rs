//! What is said of a thing when somebody points at it.

use std::fmt::Write as _;

use kinfold_compile::lineage::{ColumnGraph, Direction, EdgeKind, Point};
use kinfold_compile::relation::RelationKey;
use kinfold_project::{Column, Located, NodeId};

use super::analysis::pages;
use super::known::Known;
use super::text::scope::Origin;
use super::thing::Thing;
use crate::artifacts::description;

/// Columns that a text names before it says how many more there are.
const MOST: usize = 60;
/// Columns of sources that a text names.
const MOST_ORIGINS: usize = 12;

impl Known<'_> {
    /// A text about a thing, as Markdown.
    pub fn about(&self, thing: &Thing) -> Option<String> {
        match thing {
            Thing::Relation(key) => Some(self.about_relation(key)),
            Thing::Column(key, name) => Some(self.about_column(key, name)),
            Thing::Local(column) => Some(self.about_local(&column.name, &column.origin)),
            Thing::Named(name) => self.about_name(&name.text),
            Thing::Macro(path) => {
                let path: Vec<&str> = path.iter().map(String::as_str).collect();
                let found = self.makro(&path)?;
                let block = self.places.files.text(found.block);
                let (head, _) = block.split_once("%}")?;
                let head = head.trim_start_matches("{%").trim_matches(['-', ' ', '\n']);
                Some(format!(
                    "```jinja\n{head}\n```\n\npackage `{}`",
                    found.package
                ))
            }
            Thing::Var(name) => {
                let (_, value) = self.var(name)?;
                Some(format!("variable `{name}`: `{value}`"))
            }
            Thing::Docs(path) => {
                let path: Vec<&str> = path.iter().map(String::as_str).collect();
                Some(self.docs(&path)?.value.clone())
            }
            Thing::Function(name) => {
                let all = pages();
                let page = all.iter().find(|page| page.name == *name)?;
                let mut text = format!("```sql\n{}\n```\n\n{}\n", page.signature, page.description);
                for (argument, about) in &page.arguments {
                    let _ = write!(text, "\n- `{argument}`: {about}");
                }
                Some(text.trim_end().to_owned())
            }
            Thing::Connection(name) => {
                let mut connections = self.project().connections.iter();
                let found = connections.find(|connection| connection.name.value == *name)?;
                Some(format!("connection `{name}` to `{}`", found.kind_name()))
            }
        }
    }

    fn about_relation(&self, key: &RelationKey) -> String {
        let (kind, package, written) = self.what(&key.node);
        let mut text = format!("**{}** {kind}", short(key));
        if let Some(node) = self.node(&key.node)
            && self.model_of(&key.node).is_some()
        {
            let _ = write!(text, ", {}", node.config.materialized.value.as_str());
        }
        let about = description(self.project(), package, written);
        if key.companion.is_none() && !about.trim().is_empty() {
            let _ = write!(text, "\n\n{}", about.trim());
        }
        let Some(columns) = self.columns(key) else {
            return text
                + "\n\nits columns are not known: it has a problem, or what it reads has one";
        };
        text += "\n\n| column | type | |\n|---|---|---|";
        let described = self.described(&key.node);
        for column in columns.iter().take(MOST) {
            let about = match &key.companion {
                None => self.described_as(described, package, &column.name),
                Some(_) => String::new(),
            };
            let about = about.lines().next().unwrap_or("").replace('|', "\\|");
            let row = format!("\n| {} | {} | {about} |", column.name, column.data_type);
            text += &row.replace("|  |", "| |");
        }
        if columns.len() > MOST {
            let _ = write!(text, "\n\nand {} more", columns.len() - MOST);
        }
        text
    }

    fn about_column(&self, key: &RelationKey, name: &str) -> String {
        let columns = self.columns(key).unwrap_or_default();
        let column = columns.iter().find(|column| column.name == name);
        let data_type = column.map_or("", |column| column.data_type.as_str());
        let mut text = format!("**{name}** {data_type}").trim_end().to_owned();
        let _ = write!(text, ", of `{}`", short(key));
        if key.companion.is_none() {
            let (_, package, _) = self.what(&key.node);
            let about = self.described_as(self.described(&key.node), package, name);
            if !about.is_empty() {
                let _ = write!(text, "\n\n{about}");
            }
            let tests = self.tests_of(&key.node, name);
            if !tests.is_empty() {
                let _ = write!(text, "\n\ntests: {}", tests.join(", "));
            }
        }
        text + &self.origins(&Point::column(key, name))
    }

    /// A column that is made in this text: its type as far as the statement was bound, and where it comes from.
    fn about_local(&self, name: &str, origin: &Origin) -> String {
        let model = self.model();
        self.with_statement(self.text, |statement| {
            let made = statement.made(origin);
            if let Origin::Template { template, column } = &made
                && let Some(key) = self.template(self.text, template)
            {
                return self.about_column(&key, column);
            }
            let (Some(model), Origin::Item { name: at, item }) = (model, &made) else {
                return format!("**{name}**");
            };
            let own = statement.columns();
            let of = own
                .iter()
                .find(|column| statement.made(&column.origin) == made);
            if let Some(column) = of {
                let key = RelationKey::own(model.id.clone());
                return self.about_column(&key, &column.name);
            }
            // The common table expression that the item is in.
            let scope = statement.scope_at(item.start);
            let cte = scope
                .ctes()
                .find(|cte| cte.query.range.start <= item.start && item.end <= cte.query.range.end);
            let written = self.text.get(at.clone()).unwrap_or(name);
            let name = if at == item {
                name.to_owned()
            } else {
                written.trim_matches('"').to_lowercase()
            };
            let Some(cte) = cte else {
                return format!("**{name}**");
            };
            let columns = self
                .columns_in(&model.id, &cte.name.text)
                .unwrap_or_default();
            let column = columns.iter().find(|column| column.name == name);
            let data_type = column.map_or("", |column| column.data_type.as_str());
            let text = format!("**{name}** {data_type}").trim_end().to_owned();
            format!("{text}, of `{}`", cte.name.text)
        })
    }

    /// A common table expression, or an alias.
    fn about_name(&self, name: &str) -> Option<String> {
        let model = self.model()?;
        let known = self.columns_in(&model.id, name);
        let columns: Vec<(String, String)> = match known {
            Some(columns) => columns.into_iter().map(|c| (c.name, c.data_type)).collect(),
            // What the statement has never been bound with.
            None => self.with_statement(self.text, |statement| {
                let scope = statement
                    .query
                    .ctes
                    .iter()
                    .find(|cte| cte.name.text == name);
                let columns = scope
                    .map(|cte| statement.columns_of_cte(cte))
                    .unwrap_or_default();
                columns
                    .into_iter()
                    .map(|c| (c.name, String::new()))
                    .collect()
            }),
        };
        let mut text = format!("`{name}`\n\n| column | type |\n|---|---|");
        for (column, data_type) in columns.iter().take(MOST) {
            let _ = write!(text, "\n| {column} | {data_type} |");
        }
        Some(text)
    }

    /// What a node is, its package, and its description as it is written.
    fn what(&self, id: &NodeId) -> (&'static str, &str, Option<&Located<String>>) {
        if let Some(model) = self.model_of(id) {
            return ("model", &model.package, model.description.as_ref());
        }
        if let Some(seed) = self.seed_of(id) {
            return ("seed", &seed.package, seed.description.as_ref());
        }
        match self.source_of(id) {
            Some(source) => ("source", &source.package, source.description.as_ref()),
            None => ("node", "", None),
        }
    }

    fn described_as(&self, columns: &[Column], package: &str, name: &str) -> String {
        let column = columns.iter().find(|column| column.name.value == name);
        let written = column.and_then(|column| column.description.as_ref());
        let text = description(self.project(), package, written);
        text.trim().to_owned()
    }

    /// The data tests of a column.
    fn tests_of(&self, id: &NodeId, name: &str) -> Vec<String> {
        let nodes = self.read.bound.rendered.nodes.values();
        let tested = nodes.filter_map(|node| node.tested.as_ref());
        let own = tested.filter(|tested| {
            tested.node == *id && tested.column.as_ref().is_some_and(|c| c.value == name)
        });
        let mut tests: Vec<String> = own.map(|tested| tested.test.value.clone()).collect();
        tests.sort();
        tests.dedup();
        tests
    }

    /// What a column comes from: the columns one step back, and those of sources and seeds.
    fn origins(&self, point: &Point) -> String {
        let graph = ColumnGraph::of(&self.read.bound.compiled);
        let mut text = String::new();
        let named = |point: &Point| match &point.column {
            Some(column) => format!("`{}.{column}`", short(&point.relation)),
            None => format!("rows of `{}`", short(&point.relation)),
        };
        let mut say = |what: &str, mut names: Vec<String>| {
            names.sort();
            names.dedup();
            if names.is_empty() {
                return;
            }
            let more = names.len().saturating_sub(MOST_ORIGINS);
            names.truncate(MOST_ORIGINS);
            let more = if more > 0 {
                format!(", and {more} more")
            } else {
                String::new()
            };
            let _ = write!(text, "\n\n{what}: {}{more}", names.join(", "));
        };
        for (kind, what) in [
            (EdgeKind::Value, "made of"),
            (EdgeKind::Control, "controlled by"),
        ] {
            let direct = graph
                .origins(point)
                .filter(|(from, own)| *own == kind && from.relation != point.relation);
            say(what, direct.map(|(from, _)| named(from)).collect());
        }
        let walk = graph.walk(point, Direction::Up);
        for (kind, what) in [
            (EdgeKind::Value, "from sources"),
            (EdgeKind::Control, "controlled by sources"),
        ] {
            let reached = walk.reached.iter().filter(|reached| {
                reached.kind == kind
                    && reached.point.column.is_some()
                    && !graph.is_made(&reached.point.relation)
            });
            say(what, reached.map(|reached| named(&reached.point)).collect());
        }
        if !walk.incomplete.is_empty() {
            text += "\n\nnot all of what it comes from is understood, so too much is said";
        }
        text
    }
}

/// The name of a relation as a person says it: `orders`, `raw.orders`, `person__edges`.
pub fn short(key: &RelationKey) -> String {
    let id = key.node.as_str();
    let parts: Vec<&str> = id.split('.').collect();
    let name = parts
        .get(2..)
        .map_or_else(|| id.to_owned(), |parts| parts.join("."));
    match &key.companion {
        None => name,
        Some(suffix) => format!("{name}__{suffix}"),
    }
}
