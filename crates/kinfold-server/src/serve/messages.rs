//! Messages on their way: one after the other to each receiver, never waited for.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::ports::Alerts;
use crate::schedule::{Event, Message};

/// Sends messages, each receiver's in their order. What is under way ends with this value.
pub(super) struct Messages {
    alerts: Arc<dyn Alerts>,
    events: mpsc::UnboundedSender<Event>,
    receivers: HashMap<String, mpsc::UnboundedSender<Message>>,
    tasks: JoinSet<()>,
}

impl Messages {
    /// `events` hears of what arrived.
    pub(super) fn new(alerts: Arc<dyn Alerts>, events: mpsc::UnboundedSender<Event>) -> Self {
        Self {
            alerts,
            events,
            receivers: HashMap::new(),
            tasks: JoinSet::new(),
        }
    }

    pub(super) fn send(&mut self, message: Message) {
        let key = message.receiver.clone();
        let Self {
            alerts,
            events,
            receivers,
            tasks,
        } = self;
        let receiver = receivers.entry(key).or_insert_with(|| {
            // The schedule bounds the messages that have not arrived, and so this queue.
            let (sender, queue) = mpsc::unbounded_channel();
            tasks.spawn(deliver(queue, Arc::clone(alerts), events.clone()));
            sender
        });
        // The task ends only with this value.
        let _ = receiver.send(message);
    }
}

async fn deliver(
    mut queue: mpsc::UnboundedReceiver<Message>,
    alerts: Arc<dyn Alerts>,
    events: mpsc::UnboundedSender<Event>,
) {
    while let Some(message) = queue.recv().await {
        match alerts.send(&message).await {
            Ok(()) => {
                let _ = events.send(Event::Delivered {
                    id: message.id,
                    receiver: message.receiver,
                });
            }
            Err(error) => tracing::warn!(
                job = %message.job,
                message = %message.id,
                error = %error,
                "an alert did not arrive; it is sent again when the server starts again"
            ),
        }
    }
}
