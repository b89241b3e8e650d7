//! What gives the same answer to the bit, whatever the order in which rows come.

use datafusion::arrow::datatypes::DataType;
use datafusion::logical_expr::{WindowFrame, WindowFrameBound, WindowFrameUnits};

use super::Certainty;

/// Whether a type has floating-point numbers in it.
pub(super) fn has_float(kind: &DataType) -> bool {
    match kind {
        DataType::Float16 | DataType::Float32 | DataType::Float64 => true,
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _)
        | DataType::Map(item, _) => has_float(item.data_type()),
        DataType::Struct(fields) => fields.iter().any(|field| has_float(field.data_type())),
        DataType::Dictionary(_, value) => has_float(value),
        DataType::Union(..) | DataType::RunEndEncoded(..) => true,
        _ => false,
    }
}

/// An aggregate, as far as its certainty goes.
pub(super) struct AggregateCall<'a> {
    pub(super) name: &'a str,
    /// Types of the arguments; none if one of them is not known.
    pub(super) arguments: Option<&'a [DataType]>,
    pub(super) distinct: bool,
    /// Whether rows that it sees at the same place of its order have the same arguments.
    pub(super) ordered: bool,
}

impl AggregateCall<'_> {
    /// What it gives however its input is divided and ordered. What is not named here may give anything.
    pub(super) fn certainty(&self) -> Certainty {
        let whole = |kinds: &[DataType]| {
            let exact = |kind: &DataType| kind.is_integer() || kind.is_decimal();
            kinds.iter().all(exact)
        };
        let decimal = |kinds: &[DataType]| kinds.iter().all(DataType::is_decimal);
        let comparable = |kinds: &[DataType]| !kinds.iter().any(has_float);
        let exact = match self.name {
            "count" | "bool_and" | "bool_or" | "bit_and" | "bit_or" | "bit_xor" | "grouping" => {
                true
            }
            "sum" => self.arguments.is_some_and(whole),
            "avg" => self.arguments.is_some_and(decimal),
            "min" | "max" => self.arguments.is_some_and(comparable),
            "array_agg" | "string_agg" | "first_value" | "last_value" => {
                self.ordered && !self.distinct && self.arguments.is_some_and(comparable)
            }
            _ => false,
        };
        match self.name {
            _ if exact => Certainty::Exact,
            "sum" | "avg" | "min" | "max" | "stddev" | "stddev_pop" | "var" | "var_pop"
            | "covar_samp" | "covar_pop" | "corr" => Certainty::Rounded,
            _ => Certainty::Chosen,
        }
    }
}

/// Whether a window function gives rows that are equal in its order the same value.
pub(super) fn equal_for_peers(name: &str) -> bool {
    matches!(name, "rank" | "dense_rank" | "percent_rank" | "cume_dist")
}

/// Whether a frame never ends between rows that are equal in its order.
pub(super) fn keeps_peers_together(frame: &WindowFrame) -> bool {
    let whole = |bound: &WindowFrameBound| bound.is_unbounded();
    match frame.units {
        WindowFrameUnits::Range | WindowFrameUnits::Groups => true,
        WindowFrameUnits::Rows => whole(&frame.start_bound) && whole(&frame.end_bound),
    }
}
