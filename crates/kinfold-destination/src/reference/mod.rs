//! The reference of the language, generated from the descriptions that the parser reads.

mod destination;
mod index;
mod page;
mod schema;
mod traits;

pub use destination::destination_page;
pub use index::{Checked, Listed, destinations_page};
pub use page::page;
pub use schema::schema;
