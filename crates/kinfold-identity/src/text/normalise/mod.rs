//! One form for each of the many ways to write the same thing, to compare and to block on. What
//! cannot be such a thing gives `None`, never a guess.

mod address;
mod calling_codes;
mod email;
mod name;
mod phone;

pub use address::{Street, postcode, street};
pub use email::{EmailOptions, email};
pub use name::{Diacritics, fold_diacritics, name};
pub use phone::phone;
