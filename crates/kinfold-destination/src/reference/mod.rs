//! The reference of the language, generated from the descriptions that the parser reads.

mod destination;
mod page;
mod schema;

pub use destination::destination_page;
pub use page::page;
pub use schema::schema;
