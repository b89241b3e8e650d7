//! Axes with their labels, and what is drawn between them.

use super::svg::{Anchor, DARK, GRID, INK, Scale, Svg, number};

const SIZE: (f64, f64) = (640.0, 400.0);
const LEFT: f64 = 70.0;
const RIGHT: f64 = 620.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 340.0;

/// What an axis measures.
pub struct Axis<'a> {
    /// Its label.
    pub label: &'a str,
    /// The values at its ends.
    pub values: (f64, f64),
}

/// A picture with two axes.
pub struct Plot {
    svg: Svg,
    /// From values to pixels, to the right.
    pub x: Scale,
    /// From values to pixels, upwards.
    pub y: Scale,
}

impl Plot {
    /// Axes with a grid.
    pub fn new(title: &str, description: &str, x: &Axis<'_>, y: &Axis<'_>) -> Self {
        let mut plot = Self::bare(title, description, x, y);
        for tick in plot.y.ticks(6) {
            plot.y_tick(tick, &number(tick));
        }
        for tick in plot.x.ticks(8) {
            plot.x_tick(tick, &number(tick));
        }
        plot
    }

    /// Axes without ticks.
    fn bare(title: &str, description: &str, x: &Axis<'_>, y: &Axis<'_>) -> Self {
        let mut svg = Svg::new(title, description, SIZE);
        svg.text((LEFT, 24.0), Anchor::Start, title);
        svg.text(
            (LEFT.midpoint(RIGHT), SIZE.1 - 16.0),
            Anchor::Middle,
            x.label,
        );
        svg.text_upwards((18.0, TOP.midpoint(BOTTOM)), y.label);
        svg.line((LEFT, BOTTOM), (RIGHT, BOTTOM), INK, false);
        svg.line((LEFT, TOP), (LEFT, BOTTOM), INK, false);
        Self {
            svg,
            x: Scale {
                values: x.values,
                pixels: (LEFT, RIGHT),
            },
            y: Scale {
                values: y.values,
                pixels: (BOTTOM, TOP),
            },
        }
    }

    fn y_tick(&mut self, value: f64, text: &str) {
        let y = self.y.at(value);
        if y < BOTTOM {
            self.svg.line((LEFT, y), (RIGHT, y), GRID, false);
        }
        self.svg.text((LEFT - 6.0, y + 4.0), Anchor::End, text);
    }

    fn x_tick(&mut self, value: f64, text: &str) {
        let x = self.x.at(value);
        self.svg.line((x, BOTTOM), (x, BOTTOM + 4.0), INK, false);
        self.svg.text((x, BOTTOM + 18.0), Anchor::Middle, text);
    }

    /// A line through values.
    pub fn curve(&mut self, points: impl IntoIterator<Item = (f64, f64)>) {
        let (x, y) = (self.x, self.y);
        self.svg
            .path(points.into_iter().map(|(a, b)| (x.at(a), y.at(b))));
    }

    /// A mark with a word beside it.
    pub fn mark(&mut self, (x, y): (f64, f64), text: &str) {
        let (x, y) = (self.x.at(x), self.y.at(y));
        self.svg.dot((x, y));
        let right = x < LEFT.midpoint(RIGHT);
        let (at, anchor) = if right {
            (x + 9.0, Anchor::Start)
        } else {
            (x - 9.0, Anchor::End)
        };
        self.svg.text((at, y + 16.0), anchor, text);
    }

    /// A dashed line across, at a value of the axis to the right.
    pub fn upright(&mut self, value: f64, text: &str) {
        let x = self.x.at(value);
        self.svg.line((x, TOP), (x, BOTTOM), INK, true);
        self.svg.text((x, TOP - 5.0), Anchor::Middle, text);
    }

    /// The file.
    pub fn finish(self) -> String {
        self.svg.finish()
    }
}

/// Bars of counts side by side. The axis is logarithmic, because counts of one thing and of millions are both
/// worth seeing.
pub struct Bars<'a> {
    /// What the picture is.
    pub title: &'a str,
    /// What can be seen in it.
    pub description: &'a str,
    /// What stands below the bars.
    pub x_label: &'a str,
    /// What is counted.
    pub y_label: &'a str,
    /// The bars: a word, empty for none, and a count.
    pub bars: &'a [(String, u64)],
    /// A dashed line between bars: so many from the left, with a word.
    pub upright: Option<(f64, &'a str)>,
}

impl Bars<'_> {
    /// The file.
    pub fn draw(&self) -> String {
        let most = self.bars.iter().map(|bar| bar.1).max().unwrap_or_default();
        let mut top = 1_u64;
        let mut powers = 0_u32;
        while top < most {
            top = top.saturating_mul(10);
            powers += 1;
        }
        let count = u32::try_from(self.bars.len()).unwrap_or(u32::MAX);
        let axis = |label, values| Axis { label, values };
        let mut plot = Plot::bare(
            self.title,
            self.description,
            &axis(self.x_label, (0.0, f64::from(count))),
            // Half a power below one, so that a bar of one thing is seen.
            &axis(self.y_label, (-0.5, f64::from(powers.max(1)))),
        );
        let mut label = 1_u64;
        for power in 0..=powers.max(1) {
            plot.y_tick(f64::from(power), &crate::report::grouped(label));
            label = label.saturating_mul(10);
        }
        for (at, (word, count)) in (0_u32..).zip(self.bars) {
            let left = plot.x.at(f64::from(at));
            let right = plot.x.at(f64::from(at) + 1.0);
            if *count > 0 {
                let y = plot.y.at(logarithm(*count));
                plot.svg
                    .rectangle((left + 0.5, y), (right - left - 1.0, BOTTOM - y), DARK);
            }
            if !word.is_empty() {
                let middle = left.midpoint(right);
                plot.svg.text((middle, BOTTOM + 18.0), Anchor::Middle, word);
            }
        }
        if let Some((at, text)) = self.upright {
            plot.upright(at, text);
        }
        plot.finish()
    }
}

/// The decimal logarithm of a count.
fn logarithm(count: u64) -> f64 {
    // A count that needs more than 32 bits is known to one part in four thousand millions.
    let mut count = count;
    let mut doubled = 0.0;
    while count > u64::from(u32::MAX) {
        count /= 2;
        doubled += 1.0;
    }
    let count = f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    count.log10() + doubled * 2_f64.log10()
}
