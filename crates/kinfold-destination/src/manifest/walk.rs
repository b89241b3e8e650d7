//! Going through everything that a call sends.

use super::{Body, Call, Content, Part};
use crate::expression::Expression;
use crate::template::{Entry, Over, Part as TextPart, Template, Text};

/// Something that stands in a request.
#[derive(Clone, Copy)]
pub(crate) enum Node<'a> {
    /// A template, before what is in it.
    Template(&'a Template),
    /// An expression; those within it are its own business.
    Expression(&'a Expression),
}

/// What is asked of every node.
pub(crate) type Holds<'h> = &'h dyn Fn(Node<'_>) -> bool;

/// Whether something holds for anything that a call sends.
pub(crate) fn call(call: &Call, holds: Holds<'_>) -> bool {
    text(&call.url, holds)
        || call.query.iter().any(|(_, value)| template(value, holds))
        || call.headers.iter().any(|(_, value)| text(value, holds))
        || match &call.body {
            Body::Empty => false,
            Body::Json(body) | Body::Form(body, _) | Body::Ndjson(body) => template(body, holds),
            Body::Csv(csv) => template(&csv.row, holds),
            Body::Multipart(parts) => parts.iter().any(|(_, part)| match part {
                Part::Field(value) => template(value, holds),
                Part::File { name, content, .. } => {
                    text(name, holds)
                        || match content {
                            Content::Csv(csv) => template(&csv.row, holds),
                            Content::Ndjson(value) | Content::Text(value) => template(value, holds),
                        }
                }
            }),
            Body::Text(body) => text(body, holds),
        }
}

/// The same of a text.
pub(crate) fn text(of: &Text, holds: Holds<'_>) -> bool {
    of.parts.iter().any(|part| match part {
        TextPart::Plain(_) => false,
        TextPart::Expression(expression) => holds(Node::Expression(expression)),
    })
}

/// The same of a template.
pub(crate) fn template(of: &Template, holds: Holds<'_>) -> bool {
    holds(Node::Template(of))
        || match of {
            Template::Literal(_) => false,
            Template::Text(inner) => text(inner, holds),
            Template::Expression(expression) => holds(Node::Expression(expression)),
            Template::Map(entries) => entries.iter().any(|entry| match entry {
                Entry::Field { name, value, .. } => text(name, holds) || template(value, holds),
                Entry::Spread(value) => template(value, holds),
            }),
            Template::List(items) => items.iter().any(|item| template(item, holds)),
            Template::Each(each) => {
                matches!(&each.over, Over::Items(items) if holds(Node::Expression(items)))
                    || each
                        .filter
                        .as_ref()
                        .is_some_and(|filter| holds(Node::Expression(filter)))
                    || each.name.as_ref().is_some_and(|name| text(name, holds))
                    || template(&each.item, holds)
            }
            Template::Json(inner) | Template::Concat(inner) => template(inner, holds),
            Template::Jwt(jwt) => {
                text(&jwt.key, holds)
                    || template(&jwt.header, holds)
                    || template(&jwt.claims, holds)
            }
        }
}
