//! The codes of every kind of problem, one table for all crates.
//!
//! `KF01xx` project files and YAML · `KF02xx` names and references. A code is never reused for
//! another meaning.

use crate::diagnostic::Code;

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $constant:ident = $id:literal $name:literal;)+) => {
        $($(#[doc = $doc])+ pub const $constant: Code = Code { id: $id, name: $name };)+

        /// Every code of this table, in its order.
        pub const ALL: &[Code] = &[$($constant),+];
    };
}

codes! {
    /// The folder has neither `kinfold.yml` nor `dbt_project.yml`.
    NO_PROJECT_FILE = "KF0101" "no-project-file";
    /// A file or folder cannot be opened.
    FILE_NOT_READABLE = "KF0102" "file-not-readable";
    /// A file is not UTF-8.
    FILE_NOT_UTF8 = "KF0103" "file-not-utf8";
    /// A file does not parse as YAML.
    YAML_SYNTAX = "KF0104" "yaml-syntax";
    /// A mapping has a key twice.
    YAML_DUPLICATE_KEY = "KF0105" "yaml-duplicate-key";
    /// A YAML file nests too deep or its aliases expand to too much.
    YAML_TOO_LARGE = "KF0106" "yaml-too-large";
    /// YAML that is valid but has no meaning here: a mapping as a key, an unknown tag, two documents.
    YAML_UNSUPPORTED = "KF0107" "yaml-unsupported";
    /// A key that does not exist.
    UNKNOWN_KEY = "KF0108" "unknown-key";
    /// A key that must be there is not.
    MISSING_KEY = "KF0109" "missing-key";
    /// A value of another type than its key takes.
    WRONG_TYPE = "KF0110" "wrong-type";
    /// A value that its key does not take.
    INVALID_VALUE = "KF0111" "invalid-value";
    /// A name with characters that names cannot have.
    INVALID_NAME = "KF0112" "invalid-name";
    /// Something dbt knows and kinfold does not (yet).
    UNSUPPORTED = "KF0113" "unsupported";
    /// The project has nothing in it.
    EMPTY_PROJECT = "KF0114" "empty-project";
    /// A symbolic link leads back to a folder above itself.
    SYMLINK_LOOP = "KF0115" "symlink-loop";
    /// A package that is not there.
    UNKNOWN_PACKAGE = "KF0116" "unknown-package";
    /// Jinja that does not end, or a block without a name, in a macro or docs file.
    JINJA_BLOCK = "KF0117" "jinja-block";
    /// A `{{ … }}` in a YAML value that is not `env_var` or `var`.
    TEMPLATE = "KF0118" "template";
    /// An environment variable that is not set and has no default.
    UNDEFINED_ENV_VAR = "KF0119" "undefined-env-var";
    /// A project variable that is not set and has no default.
    UNDEFINED_VAR = "KF0120" "undefined-var";
    /// A folder of a configuration tree that matches nothing.
    UNUSED_CONFIG_PATH = "KF0121" "unused-config-path";
    /// A configuration key that looks like a misspelling of a known one.
    UNKNOWN_CONFIG_KEY = "KF0122" "unknown-config-key";
    /// A file is larger than is read.
    FILE_TOO_LARGE = "KF0123" "file-too-large";
    /// A cron expression that means nothing.
    INVALID_CRON = "KF0124" "invalid-cron";
    /// Keys of a schedule that do not go together.
    INVALID_SCHEDULE = "KF0125" "invalid-schedule";
    /// A file with a secret that is not there, cannot be read or holds nothing that can be one.
    SECRET_FILE = "KF0126" "secret-file";
    /// A file with a secret that every user of the machine can read.
    SECRET_FILE_OPEN = "KF0127" "secret-file-open";
    /// A command that was to print a secret and did not.
    SECRET_COMMAND = "KF0128" "secret-command";

    /// Two things have the same name.
    DUPLICATE_NAME = "KF0201" "duplicate-name";
    /// Properties of something that does not exist.
    UNUSED_PROPERTIES = "KF0202" "unused-properties";
    /// A model, seed or source that does not exist.
    UNKNOWN_REFERENCE = "KF0203" "unknown-reference";
    /// A connection that does not exist.
    UNKNOWN_CONNECTION = "KF0204" "unknown-connection";
    /// A purpose that the project does not declare.
    UNKNOWN_PURPOSE = "KF0205" "unknown-purpose";
    /// A generic test that no package defines.
    UNKNOWN_TEST = "KF0206" "unknown-test";
    /// A destination field that is set twice.
    DUPLICATE_FIELD = "KF0207" "duplicate-field";
    /// A mode, key or rule that this kind of destination cannot carry out.
    INVALID_SYNC = "KF0208" "invalid-sync";
    /// A sync that names no purpose although the project declares purposes.
    MISSING_PURPOSE = "KF0209" "missing-purpose";
    /// A unit test of a mapping that does not hold.
    FAILED_MAPPING_TEST = "KF0210" "failed-mapping-test";
    /// A sync that does not exist.
    UNKNOWN_SYNC = "KF0211" "unknown-sync";
    /// A selector of `selectors.yml` that selects nothing that can be.
    INVALID_SELECTOR = "KF0212" "invalid-selector";
    /// A unit test of a model that cannot be run.
    INVALID_UNIT_TEST = "KF0213" "invalid-unit-test";
}

#[cfg(test)]
mod tests {
    use super::ALL;
    use std::collections::HashSet;

    #[test]
    fn ids_and_names_are_unique_and_well_formed() {
        let ids: HashSet<_> = ALL.iter().map(|code| code.id).collect();
        let names: HashSet<_> = ALL.iter().map(|code| code.name).collect();
        assert_eq!(ids.len(), ALL.len());
        assert_eq!(names.len(), ALL.len());
        assert!(ALL.iter().all(|code| code.id.len() == 6
            && code.id.starts_with("KF")
            && code.id.chars().skip(2).all(|c| c.is_ascii_digit())));
    }
}
