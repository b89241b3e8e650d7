//! How many people an audience reaches.

use kinfold_project::{Diagnostic, Value};

use super::super::fields::Fields;
use super::super::{Call, Reach, blocks};
use super::Known;
use super::call::{Place, calls};
use crate::codes;
use crate::expression::{Expression, Kind, Root};
use crate::template::Reading;

/// Keys of which one must be there: without one nothing would be told.
const FIGURES: [&str; 5] = ["size", "matched", "rate", "ready", "status"];

/// Reads `reach` of an object whose `prepare` has kept what `place` says.
pub(super) fn reach(
    value: &Value,
    place: &Place,
    prepare: &[Call],
    remember: &[String],
    known: &Known,
    reading: &mut Reading<'_>,
) -> Option<Reach> {
    let fields = Fields::of(value, &blocks::REACH, reading)?;
    let mut place = place.clone();
    // It is asked outside of runs.
    place.roots.retain(|root| *root != Root::Run);
    let made = calls(&fields, "calls", &mut place, known, reading);
    if made.len() != fields.blocks("calls", reading).len() {
        return None;
    }
    if made.is_empty() && fields.get("calls").is_some() {
        reading.error(codes::INCOMPLETE, "`reach` needs a call", fields.span);
    }
    for call in made.iter().filter(|call| !call.reads) {
        let message = "a call of `reach` changes nothing";
        let problem = Diagnostic::error(codes::OPERATION, message, call.span);
        let help = "use `get`, or set `reads: true` if it only asks";
        reading.problems.push(problem.with_help(help));
    }
    // Before the first run only what `prepare` looks up is known, for nothing may be made here.
    let always = prepare
        .iter()
        .find(|call| !call.reads && call.when.is_none());
    if let Some(call) = always
        && remember.is_empty()
    {
        let message = "`reach` could never be asked: this call changes something every time";
        let problem = Diagnostic::error(codes::OPERATION, message, call.span);
        let help =
            "`remember` what it makes, or look it up before and make it `when` it is not there";
        reading.problems.push(problem.with_help(help));
    }
    let names = place.names(known, &place.roots);
    let mut figure = |key: &str, kinds: &[Kind], what: &str| -> Option<Expression> {
        let (expression, kind) = fields.expression(key, &names, reading)?;
        let fits = kind.kind == Kind::Any || kinds.contains(&kind.kind);
        if !fits {
            let message = format!("`{key}` must be {what} and is {}", kind.kind.as_str());
            reading.error(codes::EXPRESSION, message, fields.span_of(key));
        }
        crate::manifest::fields::refuse_secret(kind, key, fields.span_of(key), reading);
        fits.then_some(expression)
    };
    let number = "a number, or a list of the lowest and the highest";
    let numbers = [Kind::Number, Kind::List];
    let (size, matched) = (
        figure("size", &numbers, number),
        figure("matched", &numbers, number),
    );
    let rate = figure("rate", &numbers, number);
    let ready = figure("ready", &[Kind::Bool], "a condition");
    let status = figure("status", &[Kind::Text, Kind::Number], "text");
    if FIGURES.iter().all(|key| fields.get(key).is_none()) {
        let known = kinfold_project::suggest::one_of(FIGURES);
        let message = format!("`reach` needs at least one of {known}");
        reading.error(codes::INCOMPLETE, message, fields.span);
    }
    Some(Reach {
        about: fields.text("about", reading),
        calls: made,
        size,
        matched,
        rate,
        ready,
        status,
        span: fields.span,
    })
}
