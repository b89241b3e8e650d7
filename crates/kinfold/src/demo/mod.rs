//! The example shop: its files, its data, and somewhere to deliver to.

pub mod generate;
pub mod receiver;
