//! Laws, rules and known cases of the identity graph.

mod batches;
mod explain;
mod incremental;
mod laws;
mod part;
mod rule_scenarios;
mod rules;
mod scenarios;
mod support;
mod take;
mod undo;
