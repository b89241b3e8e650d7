//! Progress on a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use kinfold_engine::build::{NodeResult, Progress};
use kinfold_project::NodeId;

use super::node_line;

/// A bar below the lines of the nodes that are done.
pub struct Bars {
    bar: ProgressBar,
    color: bool,
}

impl Bars {
    /// A bar that is hidden until the first node.
    pub fn new(color: bool) -> Self {
        let bar = ProgressBar::new(0);
        // The template is ours; the default is a bar too.
        if let Ok(style) =
            ProgressStyle::with_template("{spinner} {pos}/{len} {wide_msg} {elapsed}")
        {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(120));
        Self { bar, color }
    }
}

impl Progress for Bars {
    fn started(&self, id: &NodeId, position: usize, total: usize) {
        self.bar.set_length(total as u64);
        self.bar.set_position(position.saturating_sub(1) as u64);
        self.bar.set_message(id.to_string());
    }

    fn finished(&self, result: &NodeResult) {
        self.bar.println(node_line(result, self.color));
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
