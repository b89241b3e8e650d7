//! The batches and jobs that go on while the loop of a delivery does something else.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt};

use crate::Clock;
use crate::watch::Watched;
use crate::work::Sent;

/// What comes of a batch or a job.
pub(crate) enum Event {
    Sent(Sent),
    Watched(Watched),
}

/// Batches and jobs on their way.
pub(crate) struct Flight<S, W> {
    pub(crate) sending: FuturesUnordered<S>,
    pub(crate) watching: FuturesUnordered<W>,
    /// What has come of them and is not looked at yet.
    pub(crate) arrived: Vec<Event>,
}

impl<S, W> Flight<S, W>
where
    S: Future<Output = Sent>,
    W: Future<Output = Watched>,
{
    pub(crate) fn new() -> Self {
        Self {
            sending: FuturesUnordered::new(),
            watching: FuturesUnordered::new(),
            arrived: Vec::new(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sending.is_empty() && self.watching.is_empty() && self.arrived.is_empty()
    }

    /// The next event, or `None` if nothing is on its way.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        tokio::select! {
            biased;
            Some(sent) = self.sending.next() => Some(Event::Sent(sent)),
            Some(watched) = self.watching.next() => Some(Event::Watched(watched)),
            else => None,
        }
    }

    /// The same, or `Some(None)` if there is none within `wait`, where that is given.
    pub(crate) async fn next_within(
        &mut self,
        wait: Option<Duration>,
        clock: &dyn Clock,
    ) -> Option<Option<Event>> {
        let Some(wait) = wait else {
            return self.next().await.map(Some);
        };
        tokio::select! {
            biased;
            event = self.next() => event.map(Some),
            () = clock.sleep(wait) => Some(None),
        }
    }

    /// Awaits `work` while everything on its way goes on.
    pub(crate) async fn during<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            let on_its_way = !(self.sending.is_empty() && self.watching.is_empty());
            tokio::select! {
                biased;
                output = &mut work => return output,
                Some(event) = self.next(), if on_its_way => self.arrived.push(event),
            }
        }
    }
}
