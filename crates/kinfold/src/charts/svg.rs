//! Writing SVG: shapes, text and the frame that makes a picture one that can also be read aloud.

use std::fmt::Write as _;

/// For what is found, and for what speaks for a pair. Dark in grey.
pub const DARK: &str = "#1f4e79";
/// For the other of two things. Light in grey.
pub const LIGHT: &str = "#f2b774";
/// For lines of the grid.
pub const GRID: &str = "#d0d0d0";
/// For text and axes.
pub const INK: &str = "#222222";

/// Where a text ends or begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// It begins at its point.
    Start,
    /// Its middle is its point.
    Middle,
    /// It ends at its point.
    End,
}

/// A picture in the making, in pixels from the left upper corner.
pub struct Svg {
    title: String,
    description: String,
    width: f64,
    height: f64,
    body: String,
}

impl Svg {
    /// An empty picture. The title says what it is; the description what can be seen in it.
    pub fn new(title: &str, description: &str, (width, height): (f64, f64)) -> Self {
        Self {
            title: title.to_owned(),
            description: description.to_owned(),
            width,
            height,
            body: String::new(),
        }
    }

    /// A filled rectangle with a dark edge, so that a light one is seen on white.
    pub fn rectangle(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), fill: &str) {
        let _ = writeln!(
            self.body,
            r#"<rect x="{}" y="{}" width="{}" height="{}" fill="{fill}" stroke="{INK}" stroke-width="0.5"/>"#,
            pixels(x),
            pixels(y),
            pixels(width.max(0.0)),
            pixels(height.max(0.0)),
        );
    }

    /// A line; dashed if it marks a value.
    pub fn line(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64), stroke: &str, dashed: bool) {
        let dash = if dashed {
            r#" stroke-dasharray="5 3""#
        } else {
            ""
        };
        let _ = writeln!(
            self.body,
            r#"<line x1="{}" y1="{}" x2="{}" y2="{}" stroke="{stroke}"{dash}/>"#,
            pixels(x1),
            pixels(y1),
            pixels(x2),
            pixels(y2),
        );
    }

    /// A line through points.
    pub fn path(&mut self, points: impl IntoIterator<Item = (f64, f64)>) {
        let points: Vec<String> = points
            .into_iter()
            .map(|(x, y)| format!("{},{}", pixels(x), pixels(y)))
            .collect();
        let _ = writeln!(
            self.body,
            r#"<polyline points="{}" fill="none" stroke="{DARK}" stroke-width="2"/>"#,
            points.join(" ")
        );
    }

    /// A mark on a point.
    pub fn dot(&mut self, (x, y): (f64, f64)) {
        let _ = writeln!(
            self.body,
            r#"<circle cx="{}" cy="{}" r="4.5" fill="{LIGHT}" stroke="{INK}"/>"#,
            pixels(x),
            pixels(y),
        );
    }

    /// A text on its base line.
    pub fn text(&mut self, (x, y): (f64, f64), anchor: Anchor, text: &str) {
        self.write(
            &format!(r#"x="{}" y="{}""#, pixels(x), pixels(y)),
            anchor,
            text,
        );
    }

    /// A text that is read from below.
    pub fn text_upwards(&mut self, (x, y): (f64, f64), text: &str) {
        let place = format!(
            r#"x="{x}" y="{y}" transform="rotate(-90 {x} {y})""#,
            x = pixels(x),
            y = pixels(y)
        );
        self.write(&place, Anchor::Middle, text);
    }

    fn write(&mut self, place: &str, anchor: Anchor, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let _ = writeln!(
            self.body,
            r#"<text {place} text-anchor="{anchor}">{}</text>"#,
            escaped(text)
        );
    }

    /// The file.
    pub fn finish(self) -> String {
        let Self {
            title,
            description,
            width,
            height,
            body,
        } = self;
        format!(
            concat!(
                r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w} {h}" width="{w}" height="{h}" "#,
                r#"role="img" aria-labelledby="title desc" font-family="sans-serif" font-size="12" fill="{ink}">"#,
                "\n<title id=\"title\">{title}</title>\n<desc id=\"desc\">{desc}</desc>\n",
                "<rect width=\"{w}\" height=\"{h}\" fill=\"#ffffff\"/>\n{body}</svg>\n"
            ),
            w = pixels(width),
            h = pixels(height),
            ink = INK,
            title = escaped(&title),
            desc = escaped(&description),
            body = body,
        )
    }
}

/// A length without digits that nobody sees.
fn pixels(length: f64) -> String {
    let text = format!("{length:.1}");
    match text.strip_suffix(".0") {
        Some("-0") => "0".to_owned(),
        Some(whole) => whole.to_owned(),
        None => text,
    }
}

/// Text as XML writes it. Characters that XML does not know become a replacement.
pub fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\t' | '\n' | '\r' => escaped.push(' '),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {
                escaped.push('\u{fffd}');
            }
            c => escaped.push(c),
        }
    }
    escaped
}

/// From values to pixels.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// The values at both ends.
    pub values: (f64, f64),
    /// Their pixels.
    pub pixels: (f64, f64),
}

impl Scale {
    /// Where a value is; one beyond an end is at it.
    pub fn at(self, value: f64) -> f64 {
        let (low, high) = self.values;
        let width = high - low;
        let share = if width > 0.0 {
            (value - low) / width
        } else {
            0.0
        };
        let share = if share.is_nan() {
            0.0
        } else {
            share.clamp(0.0, 1.0)
        };
        self.pixels.0 + share * (self.pixels.1 - self.pixels.0)
    }

    /// Round values to mark, about so many.
    pub fn ticks(self, about: u32) -> Vec<f64> {
        let (low, high) = self.values;
        let width = high - low;
        if width <= 0.0 || !width.is_finite() {
            return vec![low];
        }
        let raw = width / f64::from(about.max(1));
        let power = 10_f64.powf(raw.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0]
            .into_iter()
            .map(|factor| factor * power)
            .find(|step| *step >= raw)
            .unwrap_or(raw);
        let mut ticks = Vec::new();
        let mut at = (low / step).ceil();
        while at * step <= high + step * 1e-9 && ticks.len() < 100 {
            ticks.push(at * step);
            at += 1.0;
        }
        ticks
    }
}

/// A number as an axis writes it: no more digits than it needs.
pub fn number(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    if value.abs() >= 0.001 {
        let text = format!("{value:.3}");
        let text = text.trim_end_matches('0').trim_end_matches('.');
        return text.to_owned();
    }
    format!("{value:.0e}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_leave_its_element() {
        assert_eq!(
            escaped("</text><script a=\"b\">'&\u{7}\n"),
            "&lt;/text&gt;&lt;script a=&quot;b&quot;&gt;&#39;&amp;\u{fffd} "
        );
    }

    #[test]
    fn ticks_are_round_and_within_the_scale() {
        let ticks = |low, high| {
            let scale = Scale {
                values: (low, high),
                pixels: (0.0, 1.0),
            };
            let ticks: Vec<String> = scale.ticks(5).into_iter().map(number).collect();
            ticks.join(" ")
        };
        assert_eq!(ticks(0.0, 1.0), "0 0.2 0.4 0.6 0.8 1");
        assert_eq!(ticks(-12.0, 31.0), "-10 0 10 20 30");
        assert_eq!(ticks(0.0, 0.000_04), "0 1e-5 2e-5 3e-5 4e-5");
        assert_eq!(ticks(3.0, 3.0), "3");
    }

    #[test]
    fn values_beyond_the_scale_are_at_its_ends() {
        let scale = Scale {
            values: (0.0, 10.0),
            pixels: (100.0, 0.0),
        };
        assert_eq!(
            [-5.0, 0.0, 2.5, 99.0, f64::NAN].map(|v| pixels(scale.at(v))),
            ["100", "100", "75", "0", "100"]
        );
    }
}
