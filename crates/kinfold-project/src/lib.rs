//! The files a user writes, turned into one typed, located, cross-checked [`Project`].
//!
//! This crate owns every file format, the identifiers of nodes, and [`Diagnostic`]. It opens files
//! of the project and nothing else: no async, no DataFusion, no network. A problem in a user's file
//! is never an `Err`: it is a [`Diagnostic`] among the others, so that one run reports them all.

pub mod codes;
pub mod diagnostic;
pub mod exposure;
pub mod freshness;
pub mod identity;
pub mod linkage;
pub mod load;
pub mod located;
pub mod mapping;
pub mod model;
pub mod node;
pub mod schedule;
pub mod secret;
pub mod selector;
pub mod suggest;
pub mod sync;
pub mod template;
pub mod unit_test;
pub mod yaml;

pub use diagnostic::{Code, Diagnostic, FileId, Label, Severity, SourceFile, SourceMap, Span};
pub use exposure::{Exposure, Group, Owner};
pub use freshness::{Freshness, LoadedAt, MaxAge, Period};
pub use identity::{
    IDENTITY_KEYS, IdentifierLimit, IdentifierRules, IdentityRules, Normalise, parse_limit,
};
pub use linkage::{
    Clustering, ComparisonParameters, ComparisonRule, KeyRule, LINKAGE_KEYS, LevelCondition,
    LevelParameters, LevelRule, LinkScope, LinkageParameters, LinkageRules,
};
pub use load::{
    EmbeddedPackage, LoadOptions, Loaded, Overlay, built_in_tests, identity_rules, keys,
    linkage_rules, load, load_overlaid,
};
pub use located::{Located, Value, ValueKind};
pub use mapping::{AllColumns, Expected, MappedField, MappedValue, Mapping, MappingTest, Nulls};
pub use model::{
    Column, ConfigLayer, Dispatch, Environment, GenericTest, Macro, MacroKind, Model, Package,
    Project, RecordedSource, Records, ResolvedEnvironment, Seed, SingularTest, Source,
    SourceFormat, SourceLocation, StorageOptions, StorageTemplate, TestTarget,
};
pub use node::{NodeId, ResourceType};
pub use schedule::{Alert, BuildSchedule, CatchUp, Cron, Overlap, Schedule, ThenSync, Trigger};
pub use secret::SecretSource;
pub use selector::{Selector, SelectorRule};
pub use sync::{
    COMMON_OPTIONS, Connection, ConnectionKind, FirstRun, Guard, LogPayload, ManifestSource,
    OnLeave, Reference, Resend, RetryWaits, Sync, SyncMode,
};
pub use unit_test::{UnitInput, UnitOverrides, UnitRows, UnitTest};
