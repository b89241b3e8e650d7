//! A batch as requests: groups, and halves of those that are refused.

use std::collections::VecDeque;
use std::sync::Arc;

use kinfold_sync::{Batch, FailureClass, Outcome, SendResult};
use serde_json::Value;

use super::destination::ManifestDestination;
use super::group::GroupEnd;
use crate::expression::Row;
use crate::manifest::Operation;

impl ManifestDestination {
    /// The rows by themselves, each group at most as large as a request may be: positions in the batch.
    fn groups(&self, form: &Operation, rows: &[(usize, Row)]) -> VecDeque<Vec<usize>> {
        let now = self.account().now();
        let scope = self.scope(&now);
        let mut groups: Vec<(Value, Vec<usize>)> = Vec::new();
        for (at, (_, row)) in rows.iter().enumerate() {
            let value = form.together.as_ref().map_or(Value::Null, |together| {
                together.evaluate(&scope.with_row(row)).into_owned()
            });
            let open = groups
                .iter_mut()
                .rev()
                .find(|(known, group)| *known == value && group.len() < form.rows);
            match open {
                Some((_, group)) => group.push(at),
                None => groups.push((value, vec![at])),
            }
        }
        groups.into_iter().map(|(_, group)| group).collect()
    }

    /// Sends a batch, in as many requests as it takes.
    pub(super) async fn send_all(&self, form: &Operation, batch: &Batch) -> SendResult {
        let (rows, refused) = self.rows_and_refused(batch);
        let mut outcomes = refused;
        let open = outcomes
            .iter()
            .enumerate()
            .filter(|(_, outcome)| outcome.is_none());
        let open: Vec<usize> = open.map(|(at, _)| at).collect();
        let rows: Vec<(usize, Row)> = open.into_iter().zip(rows).collect();
        // The rest of a batch has no place beside the name of a job: the batch is halved until it is one group.
        if form.job.is_some() && rows.len() > form.rows {
            return SendResult::Rejected {
                class: FailureClass::TooLarge,
                message: "a job takes fewer rows than the batch has".to_owned(),
            };
        }
        let mut queue = self.groups(form, &rows);
        // What was refused here is refused again, so only what was sent counts.
        let mut settled_any = false;
        while let Some(group) = queue.pop_front() {
            let alone = queue.is_empty() && group.len() == batch.changes.len();
            let picked: Vec<&(usize, Row)> = group.iter().filter_map(|at| rows.get(*at)).collect();
            let part = if alone {
                batch.clone()
            } else {
                let changes = picked
                    .iter()
                    .filter_map(|(at, _)| batch.changes.get(*at).cloned());
                Batch::new(Arc::clone(&batch.run), batch.operation, changes.collect())
            };
            let own: Vec<Row> = picked.iter().map(|(_, row)| row.clone()).collect();
            let positions: Vec<usize> = picked.iter().map(|(at, _)| *at).collect();
            match self.send_group(form, &part, own).await {
                GroupEnd::Rows(found) => {
                    settled_any = true;
                    fill(&mut outcomes, positions.into_iter().zip(found));
                }
                GroupEnd::Job(job) => return SendResult::Accepted { job, after: None },
                GroupEnd::TooLarge if form.job.is_none() => halve(group, &mut queue),
                GroupEnd::TooLarge => {
                    return SendResult::Rejected {
                        class: FailureClass::TooLarge,
                        message: "the request would be too large".to_owned(),
                    };
                }
                GroupEnd::Whole(result) if alone && !settled_any => return result,
                // Of two halves only one could be the job of this batch.
                GroupEnd::Whole(result @ SendResult::Rejected { .. }) if form.job.is_some() => {
                    return result;
                }
                GroupEnd::Whole(SendResult::Rejected { .. }) if group.len() > 1 => {
                    halve(group, &mut queue)
                }
                GroupEnd::Whole(result) => {
                    let lasting = !form.repeatable;
                    match result {
                        SendResult::Unknown { class, message } if lasting => {
                            settled_any = true;
                            let unknown = Outcome::Unknown { class, message };
                            fill(
                                &mut outcomes,
                                positions.into_iter().map(|at| (at, unknown.clone())),
                            );
                        }
                        // Everything again, which does no harm.
                        SendResult::Unknown { .. } => return result,
                        other if !settled_any => return other,
                        other => {
                            let again = retryable(other);
                            let mut left = positions;
                            let waiting = queue.iter().flatten().filter_map(|at| rows.get(*at));
                            left.extend(waiting.map(|(at, _)| *at));
                            fill(
                                &mut outcomes,
                                left.into_iter().map(|at| (at, again.clone())),
                            );
                            queue.clear();
                        }
                    }
                }
            }
        }
        let missing = || Outcome::Retryable {
            class: FailureClass::NotSent,
            message: "the row was not sent".to_owned(),
        };
        SendResult::Rows(
            outcomes
                .into_iter()
                .map(|outcome| outcome.unwrap_or_else(missing))
                .collect(),
        )
    }
}

fn fill(outcomes: &mut [Option<Outcome>], found: impl IntoIterator<Item = (usize, Outcome)>) {
    for (at, outcome) in found {
        if let Some(slot) = outcomes.get_mut(at) {
            *slot = Some(outcome);
        }
    }
}

fn halve(mut group: Vec<usize>, queue: &mut VecDeque<Vec<usize>>) {
    let second = group.split_off(group.len() / 2);
    queue.push_front(second);
    queue.push_front(group);
}

/// Rows that a failure of others has kept from being sent, or that failed for a reason that passes.
fn retryable(result: SendResult) -> Outcome {
    let (class, message) = match result {
        SendResult::RateLimited { .. } => (
            FailureClass::RateLimited,
            "the destination limits the rate".to_owned(),
        ),
        SendResult::Transient { class, message }
        | SendResult::Fatal { class, message }
        | SendResult::Rejected { class, message }
        | SendResult::Unknown { class, message } => (class, message),
        SendResult::Rows(_) | SendResult::Accepted { .. } => {
            (FailureClass::NotSent, "the row was not sent".to_owned())
        }
    };
    Outcome::Retryable { class, message }
}
