//! Codes of the problems in a destination's folder: `KF06xx`. Those of YAML itself are `kinfold-project`'s.

use kinfold_project::Code;

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $id:literal $words:literal;)+) => {
        $($(#[doc = $doc])+ pub const $name: Code = Code { id: $id, name: $words };)+
        /// All codes of this crate, in order.
        pub const ALL: &[Code] = &[$($name),+];
    };
}

pub use kinfold_project::codes::{
    FILE_NOT_READABLE, FILE_NOT_UTF8, INVALID_NAME, INVALID_VALUE, MISSING_KEY, UNKNOWN_KEY,
    WRONG_TYPE,
};

codes! {
    /// An expression that cannot be read, or whose types do not fit.
    EXPRESSION = "KF0601" "manifest-expression";
    /// A manifest of a version that this program does not know.
    VERSION = "KF0602" "manifest-version";
    /// Keys of which exactly one must be there, or that exclude each other.
    EXCLUSIVE = "KF0603" "manifest-exclusive-keys";
    /// A secret where it would be shown or stored.
    SECRET_EXPOSED = "KF0604" "manifest-secret-exposed";
    /// A rule that can never be reached.
    UNREACHABLE_RULE = "KF0605" "manifest-unreachable-rule";
    /// A verdict that means nothing where it stands.
    VERDICT = "KF0606" "manifest-verdict";
    /// Something that needs rows where there are none, or one row where there are many.
    ROWS = "KF0607" "manifest-rows";
    /// An operation that cannot be carried out as it is written.
    OPERATION = "KF0608" "manifest-operation";
    /// A limit that cannot be kept.
    LIMIT = "KF0609" "manifest-limit";
    /// A name that nothing uses.
    UNUSED = "KF0610" "manifest-unused";
    /// An address that is not one, or is not encrypted.
    ADDRESS = "KF0611" "manifest-address";
    /// A recorded exchange that does not fit its manifest.
    EXCHANGE = "KF0612" "manifest-exchange";
    /// The folder lacks something that a destination must have.
    INCOMPLETE = "KF0613" "manifest-incomplete";
    /// A description of an API that cannot be read, or a part of it.
    SPECIFICATION = "KF0614" "api-description";
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::ALL;

    #[test]
    fn ids_are_unique_and_in_the_range_of_this_crate() {
        let ids: HashSet<_> = ALL.iter().map(|code| code.id).collect();
        assert_eq!(ids.len(), ALL.len());
        assert!(ALL.iter().all(|code| code.id.starts_with("KF06")));
    }
}
