//! Codes of the problems that binding finds: `KF04xx`.

use kinfold_project::Code;

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $id:literal $words:literal;)+) => {
        $($(#[doc = $doc])+ pub const $name: Code = Code { id: $id, name: $words };)+
        /// All codes of this crate's binder, in order.
        pub const ALL: &[Code] = &[$($name),+];
    };
}

codes! {
    /// The text is not SQL.
    SYNTAX = "KF0401" "sql-syntax";
    /// No column of that name is in scope.
    UNKNOWN_COLUMN = "KF0402" "unknown-column";
    /// More than one column of that name is in scope.
    AMBIGUOUS_COLUMN = "KF0403" "ambiguous-column";
    /// Two columns of a result have the same name.
    DUPLICATE_COLUMN = "KF0404" "duplicate-column";
    /// No relation of that name.
    UNKNOWN_RELATION = "KF0405" "unknown-relation";
    /// No function of that name.
    UNKNOWN_FUNCTION = "KF0406" "unknown-function";
    /// Types that do not go together.
    TYPE_MISMATCH = "KF0407" "type-mismatch";
    /// A column that is neither grouped nor aggregated.
    NOT_GROUPED = "KF0408" "not-grouped";
    /// SQL that the engine knows and cannot run.
    NOT_SUPPORTED = "KF0409" "sql-not-supported";
    /// Any other reason why the planner refuses.
    CANNOT_BIND = "KF0410" "cannot-bind";
    /// A clause that the planner would drop without a word.
    IGNORED_CLAUSE = "KF0411" "clause-without-effect";
    /// A join that would silently be a cross join.
    JOIN_WITHOUT_CONDITION = "KF0412" "join-without-condition";
    /// A relation named without `ref` or `source`.
    BARE_RELATION = "KF0413" "relation-without-ref";
    /// A statement that is not a query, or more than one.
    NOT_A_QUERY = "KF0414" "not-a-query";
    /// A column that its materialization needs is missing or of another type.
    CONTRACT = "KF0415" "materialization-columns";
    /// A type or name that a Delta table cannot hold.
    NOT_STORABLE = "KF0416" "not-storable";
    /// A materialization that the engine cannot run yet.
    MATERIALIZATION_NOT_SUPPORTED = "KF0418" "materialization-not-supported";
    /// An outer join with `USING` whose column would be that of one side only.
    OUTER_JOIN_USING = "KF0419" "outer-join-using";
    /// A model whose columns are not those of its contract.
    BROKEN_CONTRACT = "KF0440" "contract-broken";
    /// A constraint of a contract without a data test that means the same.
    CONSTRAINT_NOT_ENFORCED = "KF0441" "constraint-not-enforced";
}
