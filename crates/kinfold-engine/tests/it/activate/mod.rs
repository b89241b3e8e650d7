//! Stage *activate*.

mod ahead;
mod choices;
mod crash;
mod deliver;
mod exact;
mod files;
mod oracle;
mod postgres;
mod properties;
mod receiver;
mod setting;
