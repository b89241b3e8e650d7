//! The same work on several parts, on all cores.

use std::num::NonZero;
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::bind::STACK_BYTES;

/// Items that are not worth a thread.
const FEW: usize = 100;

/// How many of `items` go into a part, so that each core has one.
pub(super) fn part_size(items: usize) -> usize {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    items.div_ceil(cores).max(FEW)
}

/// What `work` makes of each part, in their order.
pub(super) fn side_by_side<I: Send, O: Send>(
    parts: Vec<I>,
    work: impl Fn(I) -> O + Sync,
) -> Vec<O> {
    let places: Vec<Mutex<Place<I, O>>> = parts
        .into_iter()
        .map(|part| {
            Mutex::new(Place {
                part: Some(part),
                made: None,
            })
        })
        .collect();
    let run = |place: &Mutex<Place<I, O>>| {
        let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(part) = place.part.take() {
            place.made = Some(work(part));
        }
    };
    thread::scope(|scope| {
        for place in places.iter().skip(1) {
            // What gets no thread is done by this one.
            let _ = thread::Builder::new()
                .stack_size(STACK_BYTES)
                .spawn_scoped(scope, || run(place));
        }
        if let Some(first) = places.first() {
            run(first);
        }
    });
    places.iter().for_each(run);
    places
        .into_iter()
        .filter_map(|place| {
            place
                .into_inner()
                .unwrap_or_else(PoisonError::into_inner)
                .made
        })
        .collect()
}

struct Place<I, O> {
    part: Option<I>,
    made: Option<O>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_parts_are_done_in_their_order() {
        let made = side_by_side((0..10).collect(), |part| part * part);
        assert_eq!(made, (0..10).map(|part| part * part).collect::<Vec<_>>());
        assert_eq!(
            side_by_side(Vec::<u8>::new(), |part| part),
            Vec::<u8>::new()
        );
    }
}
