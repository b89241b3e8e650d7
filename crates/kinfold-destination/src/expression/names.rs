//! The names that exist where an expression stands.

use super::{Kind, Root, Step, Type};

/// What an expression may look up, and of what type it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Names<'a> {
    /// The roots that have a value.
    pub roots: &'a [Root],
    /// Parameters of the connection, and whether each is secret.
    pub parameters: &'a [(String, bool)],
    /// Arguments of the object.
    pub arguments: &'a [String],
    /// What the call for a token keeps.
    pub auth: &'a [String],
    /// What calls before keep.
    pub kept: &'a [String],
    /// Identifiers of the object.
    pub identifiers: &'a [String],
}

/// The members of roots that have the same ones everywhere.
const SYNC: &[(&str, Kind)] = &[
    ("name", Kind::Text),
    ("mode", Kind::Text),
    ("key", Kind::Text),
    ("keys", Kind::List),
    ("fields", Kind::List),
];
const RUN: &[(&str, Kind)] = &[("id", Kind::Text), ("number", Kind::Number)];
const BATCH: &[(&str, Kind)] = &[
    ("id", Kind::Text),
    ("count", Kind::Number),
    ("operation", Kind::Text),
];
const ROW: &[(&str, Kind)] = &[
    ("key", Kind::Object),
    ("fields", Kind::Object),
    ("key_value", Kind::Any),
    ("id", Kind::Text),
    ("index", Kind::Number),
    ("identifiers", Kind::Object),
];
const REQUEST: &[(&str, Kind)] = &[
    ("method", Kind::Text),
    ("path", Kind::Text),
    ("query", Kind::Text),
    ("body", Kind::Text),
];

/// Why a path leads nowhere: which of its steps, and the names that there are.
pub(super) struct Nowhere<'a> {
    pub(super) step: Option<usize>,
    pub(super) message: String,
    pub(super) known: Vec<&'a str>,
}

impl<'a> Names<'a> {
    /// The same names at other roots.
    #[must_use]
    pub fn at(self, roots: &'a [Root]) -> Self {
        Self { roots, ..self }
    }

    /// The type of a path.
    pub(super) fn type_of(&self, root: Root, steps: &[Step]) -> Result<Type, Nowhere<'a>> {
        if !self.roots.contains(&root) {
            return Err(Nowhere {
                step: None,
                message: format!("`{}` has no value here", root.as_str()),
                known: self.roots.iter().map(|root| root.as_str()).collect(),
            });
        }
        let first = match steps.first() {
            Some(Step::Field(name)) => Some(name.as_str()),
            _ => None,
        };
        let rest = steps.get(1..).unwrap_or_default();
        let kinds = |members: &[(&'static str, Kind)]| -> Vec<(&'a str, Type)> {
            members
                .iter()
                .map(|(name, kind)| (*name, Type::open(*kind)))
                .collect()
        };
        let texts = |names: &'a [String], kind: Kind| -> Vec<(&'a str, Type)> {
            names
                .iter()
                .map(|name| (name.as_str(), Type::open(kind)))
                .collect()
        };
        let members: Vec<(&'a str, Type)> = match root {
            Root::Answer | Root::Item | Root::Files => return Ok(Type::open(Kind::Any)),
            Root::Status | Root::Position => return scalar(root, steps, Kind::Number),
            Root::Now => return scalar(root, steps, Kind::Time),
            Root::Header => {
                return match steps {
                    [Step::Field(_)] => Ok(Type::open(Kind::Text)),
                    _ => Err(Nowhere {
                        step: None,
                        message: "`header` needs the name of a header".to_owned(),
                        known: Vec::new(),
                    }),
                };
            }
            Root::Connection => self
                .parameters
                .iter()
                .map(|(name, secret)| {
                    let kind = Kind::Text;
                    (
                        name.as_str(),
                        Type {
                            kind,
                            secret: *secret,
                        },
                    )
                })
                .collect(),
            Root::Auth => self
                .auth
                .iter()
                .map(|name| (name.as_str(), Type::secret()))
                .collect(),
            Root::Object => {
                let mut members = vec![("name", Type::open(Kind::Text))];
                members.extend(texts(self.arguments, Kind::Text));
                members
            }
            Root::Kept => texts(self.kept, Kind::Any),
            Root::Sync => kinds(SYNC),
            Root::Run => kinds(RUN),
            Root::Batch => kinds(BATCH),
            Root::Request => kinds(REQUEST),
            Root::Row => kinds(ROW),
        };
        let known = |members: &[(&'a str, Type)]| members.iter().map(|(name, _)| *name).collect();
        let Some(first) = first else {
            return Err(Nowhere {
                step: None,
                message: format!("`{}` needs the name of a member", root.as_str()),
                known: known(&members),
            });
        };
        let Some((_, found)) = members.iter().find(|(name, _)| *name == first) else {
            return Err(Nowhere {
                step: Some(0),
                message: format!("`{}` has no `{first}`", root.as_str()),
                known: known(&members),
            });
        };
        if root == Root::Row
            && first == "identifiers"
            && let Some(Step::Field(name)) = rest.first()
            && !self.identifiers.contains(name)
        {
            return Err(Nowhere {
                step: Some(1),
                message: format!("the object has no identifier `{name}`"),
                known: self.identifiers.iter().map(String::as_str).collect(),
            });
        }
        if rest.is_empty() {
            return Ok(*found);
        }
        match found.kind {
            Kind::Any | Kind::Object | Kind::List => Ok(Type {
                kind: Kind::Any,
                ..*found
            }),
            kind => Err(Nowhere {
                step: Some(1),
                message: format!(
                    "`{}.{first}` is {} and has no members",
                    root.as_str(),
                    kind.as_str()
                ),
                known: Vec::new(),
            }),
        }
    }
}

fn scalar<'a>(root: Root, steps: &[Step], kind: Kind) -> Result<Type, Nowhere<'a>> {
    if steps.is_empty() {
        return Ok(Type::open(kind));
    }
    Err(Nowhere {
        step: Some(0),
        message: format!(
            "`{}` is {} and has no members",
            root.as_str(),
            kind.as_str()
        ),
        known: Vec::new(),
    })
}
