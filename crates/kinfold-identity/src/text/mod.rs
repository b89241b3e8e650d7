//! Functions on single texts and on pairs of them that the matching of records needs.

pub mod similarity;
