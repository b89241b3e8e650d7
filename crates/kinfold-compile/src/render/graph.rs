//! The order in which nodes can be built.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use kinfold_project::{Diagnostic, NodeId, Reference, ResourceType, Span};

use super::{Relation, RenderedProject, codes};

impl RenderedProject {
    /// All nodes, each after those that it reads; nodes that are free to go first are in the order
    /// of their ids. (Kahn 1962, "Topological sorting of large networks".) Nodes that are read but
    /// missing here, because they failed, are left out.
    ///
    /// Nodes that read each other, and what reads those, have no place in the order: there is one
    /// diagnostic for each group, with the shortest circle in it.
    #[must_use]
    pub fn order(&self) -> (Vec<NodeId>, Vec<Diagnostic>) {
        let mut waiting: BTreeMap<&NodeId, usize> = BTreeMap::new();
        let mut readers: BTreeMap<&NodeId, Vec<&NodeId>> = BTreeMap::new();
        for (id, node) in &self.nodes {
            let inputs = node.depends_on.iter().map(|d| &d.id);
            let known: Vec<_> = inputs.filter(|id| self.nodes.contains_key(*id)).collect();
            waiting.insert(id, known.len());
            for input in known {
                readers.entry(input).or_default().push(id);
            }
        }
        let mut free: BTreeSet<&NodeId> = waiting
            .iter()
            .filter(|(_, inputs)| **inputs == 0)
            .map(|(id, _)| *id)
            .collect();
        let mut order = Vec::with_capacity(self.nodes.len());
        while let Some(id) = free.pop_first() {
            waiting.remove(id);
            order.push(id.clone());
            for reader in readers.get(id).into_iter().flatten() {
                if let Some(inputs) = waiting.get_mut(reader) {
                    *inputs -= 1;
                    if *inputs == 0 {
                        free.insert(reader);
                    }
                }
            }
        }
        let mut left: BTreeSet<&NodeId> = waiting.into_keys().collect();
        let mut diagnostics = Vec::new();
        while let Some(id) = left.first().copied() {
            let inputs = |id: &NodeId| self.inputs(id);
            let outputs = |id: &NodeId| readers.get(id).cloned().unwrap_or_default();
            let ahead = reached(id, &left, inputs);
            let behind = reached(id, &left, outputs);
            let group: BTreeSet<&NodeId> = ahead.intersection(&behind).copied().collect();
            diagnostics.extend(self.cycle(id, &group));
            left.remove(id);
            left.retain(|other| !group.contains(other));
        }
        (order, diagnostics)
    }

    /// The node and the relation that a reference in a properties file means, as for the `from:` of
    /// a sync in `package`. `None` if it is missing, disabled, or failed to render.
    #[must_use]
    pub fn resolve(&self, package: &str, reference: &Reference) -> Option<(NodeId, Relation)> {
        let own_first = |found: Vec<(&str, NodeId, Relation)>| {
            let own = found.iter().position(|(of, _, _)| *of == package);
            let (_, id, relation) = found.into_iter().nth(own.unwrap_or(0))?;
            Some((id, relation))
        };
        match reference {
            Reference::Source { source, table } => {
                let suffix = format!(".{source}.{table}");
                own_first(
                    self.nodes
                        .values()
                        .filter(|node| node.resource == ResourceType::Source)
                        .filter(|node| node.id.as_str().ends_with(&suffix))
                        .filter_map(|node| {
                            Some((
                                node.package.as_str(),
                                node.id.clone(),
                                node.relation.clone()?,
                            ))
                        })
                        .collect(),
                )
            }
            Reference::Model {
                package: wanted,
                name,
            } => {
                let nodes = self.nodes.values().filter(|node| {
                    matches!(node.resource, ResourceType::Model | ResourceType::Seed)
                        && wanted.as_ref().is_none_or(|p| *p == node.package)
                });
                own_first(
                    nodes
                        .filter_map(|node| {
                            let relation = if node.name == *name {
                                node.relation.clone()
                            } else {
                                let mut companions = node.companions.iter();
                                let found = companions.find(|c| c.ref_name == *name);
                                found.map(|c| c.relation.clone())
                            };
                            Some((node.package.as_str(), node.id.clone(), relation?))
                        })
                        .collect(),
                )
            }
        }
    }

    fn inputs(&self, id: &NodeId) -> Vec<&NodeId> {
        self.nodes
            .get(id)
            .into_iter()
            .flat_map(|node| node.depends_on.iter().map(|d| &d.id))
            .collect()
    }

    /// The shortest circle from a node back to itself, among the nodes of a group.
    fn cycle(&self, start: &NodeId, group: &BTreeSet<&NodeId>) -> Option<Diagnostic> {
        let mut came_from: BTreeMap<&NodeId, &NodeId> = BTreeMap::new();
        let mut queue: VecDeque<&NodeId> = VecDeque::from([start]);
        let mut last = None;
        'search: while let Some(id) = queue.pop_front() {
            for input in self.inputs(id) {
                if input == start {
                    last = Some(id);
                    break 'search;
                }
                if group.contains(input) && !came_from.contains_key(input) {
                    came_from.insert(input, id);
                    queue.push_back(input);
                }
            }
        }
        let mut path = vec![start];
        let mut at = last?;
        while at != start {
            path.insert(1, at);
            at = came_from.get(at)?;
        }
        path.push(start);
        let names: Vec<String> = path
            .iter()
            .filter_map(|id| self.nodes.get(*id))
            .map(|node| format!("`{}`", node.name))
            .collect();
        let mut places = path.windows(2).filter_map(|pair| match pair {
            [reader, input] => self.place_of(reader, input),
            _ => None,
        });
        let first = places.next()?;
        let diagnostic = Diagnostic::error(
            codes::CYCLE,
            format!("nodes read each other in a circle: {}", names.join(" → ")),
            first,
        )
        .with_help("remove one of these reads");
        Some(places.fold(diagnostic, |d, span| d.with_related(span, "and here")))
    }

    fn place_of(&self, reader: &NodeId, input: &NodeId) -> Option<Span> {
        let node = self.nodes.get(reader)?;
        let found = node.depends_on.iter().find(|d| d.id == *input)?;
        Some(found.span)
    }
}

/// The nodes of `among` that can be reached from `start`, itself included.
fn reached<'g>(
    start: &'g NodeId,
    among: &BTreeSet<&'g NodeId>,
    next: impl Fn(&NodeId) -> Vec<&'g NodeId>,
) -> BTreeSet<&'g NodeId> {
    let mut found = BTreeSet::from([start]);
    let mut queue = vec![start];
    while let Some(id) = queue.pop() {
        for other in next(id) {
            if among.contains(other) && found.insert(other) {
                queue.push(other);
            }
        }
    }
    found
}
