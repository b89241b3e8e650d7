//! Tools for tests of kinfold: destinations that fail on command, plans and logs in memory, a clock that does
//! not wait, and real servers.
//!
//! Nothing here is part of the product. A server that cannot be started is an error with the name of the
//! package to install, never a test that is left out.

mod account;
pub mod clock;
pub mod faults;
pub mod loopback;
pub mod mariadb;
pub mod memory;
pub mod memory_jobs;
pub mod nats;
pub mod plan;
pub mod postgres;
pub mod s3;
pub mod smtp;
mod socket;
pub mod ssh;
pub mod vendor;

pub use clock::FakeClock;
pub use faults::{Fault, Script};
pub use loopback::{JobOptions, Loopback, ReceivedRequest, Rejection};
pub use mariadb::{MariaDbError, MariaDbServer};
pub use memory::{MemoryBehaviour, MemoryDestination, MemoryFault, MemoryState};
pub use memory_jobs::{JobBehaviour, MemoryJobDestination};
pub use nats::{NatsError, NatsServer};
pub use plan::{MemoryLog, MemorySource, change};
pub use postgres::{PostgresError, PostgresServer};
pub use smtp::{SmtpError, SmtpMode, SmtpServer};
pub use ssh::{SshError, SshServer, Wire};
pub use vendor::{Kind, Logged, RateCheck, Vendor, VendorAnswer, VendorApi, VendorRequest};
