//! Packages, projects and pages that come with the binary.

use kinfold_project::load::EmbeddedPackage;

include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

/// The standard package, `packages: [kinfold]`.
pub const PACKAGES: &[EmbeddedPackage] = &[EmbeddedPackage {
    name: "kinfold",
    files: STANDARD_PACKAGE,
}];
