//! Codes of the problems that rendering finds: `KF03xx`.

use kinfold_project::Code;

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $id:literal $words:literal;)+) => {
        $($(#[doc = $doc])+ pub const $name: Code = Code { id: $id, name: $words };)+
        /// All codes of this stage, in order.
        pub const ALL: &[Code] = &[$($name),+];
    };
}

codes! {
    /// The text is not a Jinja template.
    JINJA_SYNTAX = "KF0301" "jinja-syntax";
    /// A variable that has no value.
    UNDEFINED = "KF0302" "undefined-variable";
    /// No function or macro of that name.
    UNKNOWN_MACRO = "KF0303" "unknown-macro";
    /// No filter or Jinja test of that name.
    UNKNOWN_FILTER = "KF0304" "unknown-filter";
    /// A value has no method of that name.
    UNKNOWN_METHOD = "KF0305" "unknown-method";
    /// A call with too many, too few or wrong arguments.
    WRONG_ARGUMENTS = "KF0306" "wrong-arguments";
    /// The template takes too many steps or nests too deep.
    TOO_MUCH_WORK = "KF0307" "template-without-end";
    /// An included or imported file that is not in the project.
    UNKNOWN_FILE = "KF0308" "unknown-included-file";
    /// Any other reason why an expression fails.
    JINJA = "KF0309" "jinja-error";
    /// The template itself raised an error or a warning.
    RAISED = "KF0310" "raised-by-template";
    /// No model, seed or companion relation of that name.
    UNKNOWN_REF = "KF0311" "unknown-ref";
    /// No table of a source of that name.
    UNKNOWN_SOURCE = "KF0312" "unknown-source";
    /// The node that is read is switched off.
    DISABLED_REF = "KF0313" "disabled-ref";
    /// Packages have nodes of the same name.
    AMBIGUOUS_REF = "KF0314" "ambiguous-ref";
    /// A project variable that is not set and has no default.
    UNSET_VAR = "KF0315" "unset-var";
    /// An environment variable that is not set and has no default.
    UNSET_ENV_VAR = "KF0316" "unset-env-var";
    /// A secret would become part of SQL.
    SECRET_IN_SQL = "KF0317" "secret-in-sql";
    /// No materialization of that name.
    UNKNOWN_MATERIALIZATION = "KF0318" "unknown-materialization";
    /// A configuration value of another type or out of its range.
    INVALID_CONFIG = "KF0319" "invalid-config";
    /// Nodes that read each other in a circle.
    CYCLE = "KF0320" "cycle";
    /// Jinja of dbt that kinfold does not run.
    NOT_SUPPORTED = "KF0321" "jinja-not-supported";
    /// A character that templates cannot contain.
    RESERVED_CHARACTER = "KF0322" "reserved-character";
    /// Two nodes write the same relation.
    SAME_RELATION = "KF0324" "same-relation";
    /// No docs block of that name.
    UNKNOWN_DOC = "KF0325" "unknown-doc";
    /// A configuration of dbt that kinfold does not act upon (yet).
    CONFIG_WITHOUT_EFFECT = "KF0326" "config-without-effect";
    /// A question of a template that cannot be answered here.
    NOT_ANSWERED = "KF0327" "question-not-answered";
}
