//! Guards: how much one run may change before a person has to look.

use std::collections::BTreeMap;

use kinfold_project::{Guard, Located};

/// What a guard looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Extent {
    /// Keys that the destination has confirmed.
    pub(super) acknowledged: u64,
    /// Rows of the model that can be sent or are there already.
    pub(super) present: u64,
    /// Rows to send that the model has.
    pub(super) sending: u64,
    /// Rows to send that left the model.
    pub(super) leaving: u64,
}

/// What is kept back, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Held {
    Nothing,
    Leaving(String),
    Everything(String),
}

/// Removals are held if there are too many of them, and always if the model is empty; everything is held if
/// there are too many changes. A share is one of the acknowledged keys; on a first run there are none, and
/// a share of `max_changes` limits nothing.
pub(super) fn held(guards: &BTreeMap<String, Located<Guard>>, extent: Extent) -> Held {
    let limit = |name: &str| guards.get(name).map(|guard| guard.value);
    let mut held = Held::Nothing;
    if extent.leaving > 0 && extent.present == 0 {
        held = Held::Leaving(format!(
            "the model is empty and {} rows were delivered: nothing is removed",
            extent.acknowledged
        ));
    } else if let Some(guard) = limit("max_removals")
        && extent.leaving > rows(guard, extent.acknowledged)
    {
        held = Held::Leaving(format!(
            "{} of {} delivered rows left the model, more than max_removals ({})",
            extent.leaving,
            extent.acknowledged,
            words(guard)
        ));
    }
    let changes = extent.sending
        + if held == Held::Nothing {
            extent.leaving
        } else {
            0
        };
    if let Some(guard) = limit("max_changes")
        && (extent.acknowledged > 0 || matches!(guard, Guard::Rows(_)))
        && changes > rows(guard, extent.acknowledged)
    {
        held = Held::Everything(format!(
            "{changes} changes are more than max_changes ({})",
            words(guard)
        ));
    }
    held
}

/// The most rows that a guard lets through.
fn rows(guard: Guard, acknowledged: u64) -> u64 {
    match guard {
        Guard::Rows(rows) => rows,
        // Counts are far below 2^53, and the cast saturates.
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a count"
        )]
        Guard::Share(share) => (share * acknowledged as f64).floor() as u64,
    }
}

fn words(guard: Guard) -> String {
    match guard {
        Guard::Rows(rows) => rows.to_string(),
        Guard::Share(share) => format!("{}%", (share * 10_000.0).round() / 100.0),
    }
}

#[cfg(test)]
mod tests {
    use kinfold_project::{FileId, Span};

    use super::*;

    fn guards(entries: &[(&str, Guard)]) -> BTreeMap<String, Located<Guard>> {
        let span = Span::new(FileId(0), 0, 0);
        entries
            .iter()
            .map(|(name, guard)| ((*name).to_owned(), Located::new(*guard, span)))
            .collect()
    }

    fn extent(acknowledged: u64, present: u64, sending: u64, leaving: u64) -> Extent {
        Extent {
            acknowledged,
            present,
            sending,
            leaving,
        }
    }

    #[test]
    fn an_empty_model_removes_nothing() {
        assert!(matches!(
            held(&guards(&[]), extent(10, 0, 0, 10)),
            Held::Leaving(_)
        ));
        assert_eq!(held(&guards(&[]), extent(10, 1, 0, 9)), Held::Nothing);
        assert_eq!(held(&guards(&[]), extent(0, 0, 0, 0)), Held::Nothing);
    }

    #[test]
    fn removals_up_to_the_limit_pass() {
        let share = guards(&[("max_removals", Guard::Share(0.1))]);
        assert_eq!(held(&share, extent(100, 90, 5, 10)), Held::Nothing);
        assert!(matches!(
            held(&share, extent(100, 89, 5, 11)),
            Held::Leaving(_)
        ));
        let rows = guards(&[("max_removals", Guard::Rows(0))]);
        assert!(matches!(
            held(&rows, extent(100, 99, 0, 1)),
            Held::Leaving(_)
        ));
    }

    #[test]
    fn held_removals_do_not_count_as_changes() {
        let both = guards(&[
            ("max_removals", Guard::Rows(1)),
            ("max_changes", Guard::Rows(5)),
        ]);
        assert!(matches!(
            held(&both, extent(100, 50, 5, 50)),
            Held::Leaving(_)
        ));
        assert!(matches!(
            held(&both, extent(100, 50, 6, 50)),
            Held::Everything(_)
        ));
    }

    #[test]
    fn a_share_of_changes_does_not_stop_the_first_run() {
        let share = guards(&[("max_changes", Guard::Share(0.5))]);
        assert_eq!(held(&share, extent(0, 10, 10, 0)), Held::Nothing);
        assert!(matches!(
            held(&share, extent(10, 16, 6, 0)),
            Held::Everything(_)
        ));
        let rows = guards(&[("max_changes", Guard::Rows(9))]);
        assert!(matches!(
            held(&rows, extent(0, 10, 10, 0)),
            Held::Everything(_)
        ));
    }
}
