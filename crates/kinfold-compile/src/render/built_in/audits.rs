//! The data tests that come with kinfold: dbt's four, and those of dbt_utils and dbt_expectations that projects
//! use most, for those that have not installed the packages.

/// Whether a data test is one of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum OfColumn {
    /// It needs one.
    Needs,
    /// It may have one.
    May,
    /// It is one of the relation as a whole.
    Never,
}

/// A data test of ours.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Audit {
    /// Its template, without the header.
    pub text: &'static str,
    /// Whether it is one of a column.
    pub of_column: OfColumn,
    /// Its arguments besides the relation and the column.
    pub arguments: &'static [&'static str],
    /// Those of them that must be there.
    pub required: &'static [&'static str],
}

macro_rules! audits {
    ($($package:literal $name:literal $file:literal $of_column:ident $arguments:expr, $required:expr;)+) => {
        &[$((
            $package,
            $name,
            include_str!(concat!("../../../../../sql/audit/", $file, ".sql")),
            OfColumn::$of_column,
            $arguments,
            $required,
        )),+]
    };
}

/// Package (dbt itself if empty), name, template, and what it takes.
type Row = (
    &'static str,
    &'static str,
    &'static str,
    OfColumn,
    &'static [&'static str],
    &'static [&'static str],
);

const AUDITS: &[Row] = audits! {
    "" "unique" "unique" Needs &[], &[];
    "" "not_null" "not_null" Needs &[], &[];
    "" "accepted_values" "accepted_values" Needs &["values", "quote"], &["values"];
    "" "relationships" "relationships" Needs &["to", "field"], &["to", "field"];
    "dbt_utils" "accepted_range" "dbt_utils/accepted_range" Needs &["min_value", "max_value", "inclusive"], &[];
    "dbt_utils" "at_least_one" "dbt_utils/at_least_one" Needs &["group_by_columns"], &[];
    "dbt_utils" "cardinality_equality" "dbt_utils/cardinality_equality" Needs &["to", "field"], &["to", "field"];
    "dbt_utils" "equal_rowcount" "dbt_utils/equal_rowcount" Never &["compare_model", "group_by_columns"], &["compare_model"];
    "dbt_utils" "equality" "dbt_utils/equality" Never &["compare_model", "compare_columns", "exclude_columns"], &["compare_model"];
    "dbt_utils" "expression_is_true" "dbt_utils/expression_is_true" May &["expression"], &["expression"];
    "dbt_utils" "fewer_rows_than" "dbt_utils/fewer_rows_than" Never &["compare_model", "group_by_columns"], &["compare_model"];
    "dbt_utils" "mutually_exclusive_ranges" "dbt_utils/mutually_exclusive_ranges" Never &["lower_bound_column", "upper_bound_column", "partition_by", "gaps", "zero_length_range_allowed"], &["lower_bound_column", "upper_bound_column"];
    "dbt_utils" "not_accepted_values" "dbt_utils/not_accepted_values" Needs &["values", "quote"], &["values"];
    "dbt_utils" "not_constant" "dbt_utils/not_constant" Needs &["group_by_columns"], &[];
    "dbt_utils" "not_empty_string" "dbt_utils/not_empty_string" Needs &["trim_whitespace"], &[];
    "dbt_utils" "not_null_proportion" "dbt_utils/not_null_proportion" Needs &["at_least", "at_most", "group_by_columns"], &["at_least"];
    "dbt_utils" "recency" "dbt_utils/recency" Never &["field", "datepart", "interval", "ignore_time_component", "group_by_columns"], &["field", "datepart", "interval"];
    "dbt_utils" "relationships_where" "dbt_utils/relationships_where" Needs &["to", "field", "from_condition", "to_condition"], &["to", "field"];
    "dbt_utils" "sequential_values" "dbt_utils/sequential_values" Needs &["interval", "datepart", "group_by_columns"], &[];
    "dbt_utils" "unique_combination_of_columns" "dbt_utils/unique_combination_of_columns" Never &["combination_of_columns", "quote_columns"], &["combination_of_columns"];
    "dbt_expectations" "expect_column_distinct_count_to_equal" "dbt_expectations/expect_column_distinct_count_to_equal" Needs &["value", "row_condition"], &["value"];
    "dbt_expectations" "expect_column_max_to_be_between" "dbt_expectations/expect_column_max_to_be_between" Needs &["min_value", "max_value", "strictly", "row_condition"], &[];
    "dbt_expectations" "expect_column_mean_to_be_between" "dbt_expectations/expect_column_mean_to_be_between" Needs &["min_value", "max_value", "strictly", "row_condition"], &[];
    "dbt_expectations" "expect_column_min_to_be_between" "dbt_expectations/expect_column_min_to_be_between" Needs &["min_value", "max_value", "strictly", "row_condition"], &[];
    "dbt_expectations" "expect_column_pair_values_A_to_be_greater_than_B" "dbt_expectations/expect_column_pair_values_a_to_be_greater_than_b" Never &["column_A", "column_B", "or_equal", "row_condition"], &["column_A", "column_B"];
    "dbt_expectations" "expect_column_sum_to_be_between" "dbt_expectations/expect_column_sum_to_be_between" Needs &["min_value", "max_value", "strictly", "row_condition"], &[];
    "dbt_expectations" "expect_column_to_exist" "dbt_expectations/expect_column_to_exist" Needs &[], &[];
    "dbt_expectations" "expect_column_unique_value_count_to_be_between" "dbt_expectations/expect_column_unique_value_count_to_be_between" Needs &["min_value", "max_value", "strictly", "row_condition"], &[];
    "dbt_expectations" "expect_column_value_lengths_to_be_between" "dbt_expectations/expect_column_value_lengths_to_be_between" Needs &["min_value", "max_value", "strictly", "row_condition"], &[];
    "dbt_expectations" "expect_column_value_lengths_to_equal" "dbt_expectations/expect_column_value_lengths_to_equal" Needs &["value", "row_condition"], &["value"];
    "dbt_expectations" "expect_column_values_to_be_between" "dbt_expectations/expect_column_values_to_be_between" Needs &["min_value", "max_value", "strictly", "row_condition"], &[];
    "dbt_expectations" "expect_column_values_to_be_in_set" "dbt_expectations/expect_column_values_to_be_in_set" Needs &["value_set", "quote_values", "row_condition"], &["value_set"];
    "dbt_expectations" "expect_column_values_to_be_null" "dbt_expectations/expect_column_values_to_be_null" Needs &["row_condition"], &[];
    "dbt_expectations" "expect_column_values_to_be_unique" "dbt_expectations/expect_column_values_to_be_unique" Needs &["row_condition"], &[];
    "dbt_expectations" "expect_column_values_to_match_like_pattern" "dbt_expectations/expect_column_values_to_match_like_pattern" Needs &["like_pattern", "row_condition"], &["like_pattern"];
    "dbt_expectations" "expect_column_values_to_match_regex" "dbt_expectations/expect_column_values_to_match_regex" Needs &["regex", "row_condition"], &["regex"];
    "dbt_expectations" "expect_column_values_to_not_be_in_set" "dbt_expectations/expect_column_values_to_not_be_in_set" Needs &["value_set", "quote_values", "row_condition"], &["value_set"];
    "dbt_expectations" "expect_column_values_to_not_be_null" "dbt_expectations/expect_column_values_to_not_be_null" Needs &["row_condition"], &[];
    "dbt_expectations" "expect_column_values_to_not_match_like_pattern" "dbt_expectations/expect_column_values_to_not_match_like_pattern" Needs &["like_pattern", "row_condition"], &["like_pattern"];
    "dbt_expectations" "expect_column_values_to_not_match_regex" "dbt_expectations/expect_column_values_to_not_match_regex" Needs &["regex", "row_condition"], &["regex"];
    "dbt_expectations" "expect_compound_columns_to_be_unique" "dbt_expectations/expect_compound_columns_to_be_unique" Never &["column_list", "row_condition"], &["column_list"];
    "dbt_expectations" "expect_row_values_to_have_recent_data" "dbt_expectations/expect_row_values_to_have_recent_data" Needs &["datepart", "interval", "row_condition"], &["datepart", "interval"];
    "dbt_expectations" "expect_table_row_count_to_be_between" "dbt_expectations/expect_table_row_count_to_be_between" Never &["min_value", "max_value", "strictly", "row_condition"], &[];
    "dbt_expectations" "expect_table_row_count_to_equal" "dbt_expectations/expect_table_row_count_to_equal" Never &["value", "row_condition"], &["value"];
    "dbt_expectations" "expect_table_row_count_to_equal_other_table" "dbt_expectations/expect_table_row_count_to_equal_other_table" Never &["compare_model", "row_condition", "compare_row_condition"], &["compare_model"];
    "dbt_expectations" "expression_is_true" "dbt_expectations/expression_is_true" Never &["expression", "row_condition"], &["expression"];
};

/// The data test of ours of that name, of a package or of dbt itself (`dbt`, or none).
pub(in super::super) fn audit(package: Option<&str>, name: &str) -> Option<Audit> {
    let package = package.filter(|package| *package != "dbt").unwrap_or("");
    let found = AUDITS
        .iter()
        .find(|row| row.0 == package && row.1 == name)?;
    let (_, _, text, of_column, arguments, required) = *found;
    Some(Audit {
        text: body(text),
        of_column,
        arguments,
        required,
    })
}

/// A statement without its header of comment lines.
fn body(text: &str) -> &str {
    let mut rest = text;
    while rest.starts_with("--") {
        rest = rest.split_once('\n').map_or("", |(_, after)| after);
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_statement_says_what_it_takes() {
        for (package, name, text, of_column, arguments, required) in AUDITS {
            assert!(text.starts_with("-- name: "), "{name}");
            let header: String = text.lines().take_while(|l| l.starts_with("--")).collect();
            assert!(
                required.iter().all(|word| arguments.contains(word)),
                "{name}"
            );
            for argument in *arguments {
                assert!(header.contains(argument), "{name}: {argument}");
                assert!(body(text).contains(argument), "{name}: {argument}");
            }
            let names_column = body(text).contains("column_name");
            assert_eq!(*of_column != OfColumn::Never, names_column, "{name}");
            let known = kinfold_project::built_in_tests();
            let whole = if package.is_empty() {
                (*name).to_owned()
            } else {
                format!("{package}.{name}")
            };
            assert!(known.contains(&whole.as_str()), "{whole}");
        }
        assert_eq!(AUDITS.len(), kinfold_project::built_in_tests().len());
    }
}
