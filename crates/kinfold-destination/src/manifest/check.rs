//! What can be wrong with a manifest whose parts are each right.

use kinfold_project::Diagnostic;

use super::walk::{self, Node};
use super::{
    AnswerForm, Body, Call, Content, Counted, Limit, Manifest, Object, Operation, Part, Rule,
    Verdict,
};
use crate::codes;
use crate::expression::Root;
use crate::template::Reading;

/// Checks a manifest as a whole.
pub(super) fn whole(manifest: &Manifest, reading: &mut Reading<'_>) {
    let mut checker = Checker { manifest, reading };
    checker.addresses();
    checker.unused();
    checker.limits();
    checker.shadowed(&manifest.rules, &[]);
    checker.call_verdicts(&manifest.rules, true);
    if let Some(token) = &manifest.auth.token {
        checker.call(token, &[Verdict::Expired]);
    }
    for call in manifest.check.iter() {
        checker.call(call, &[]);
        checker.no_rows(call);
    }
    for object in &manifest.objects {
        checker.object(object);
    }
}

struct Checker<'a, 'b> {
    manifest: &'a Manifest,
    reading: &'a mut Reading<'b>,
}

/// Verdicts that only a question about a job can have.
const OF_JOBS: &[Verdict] = &[Verdict::Pending, Verdict::Failed, Verdict::Lost];

impl Checker<'_, '_> {
    fn addresses(&mut self) {
        let Some(base) = self.manifest.base_url.as_plain() else {
            return;
        };
        let loopback = ["http://127.0.0.1", "http://localhost"];
        let sound =
            base.starts_with("https://") || loopback.iter().any(|start| base.starts_with(start));
        if !sound {
            let message = format!("`base_url` must start with `https://`, this is `{base}`");
            let span = self.manifest.base_url_at;
            self.reading.error(codes::ADDRESS, message, span);
        }
    }

    fn root_span(&self) -> kinfold_project::Span {
        self.manifest.objects.first().map_or(
            kinfold_project::Span::new(kinfold_project::FileId(0), 0, 0),
            |object| kinfold_project::Span::new(object.span.file, 0, 1),
        )
    }

    /// Names that nothing in the file looks up. The text is searched, so that every way to use one counts.
    fn unused(&mut self) {
        let span = self.root_span();
        let text = self
            .reading
            .files
            .get(span.file)
            .map(|file| std::sync::Arc::clone(&file.text))
            .unwrap_or_default();
        let missing = |needle: &str| !text.contains(needle);
        let mut found: Vec<(String, kinfold_project::Span)> = Vec::new();
        for parameter in &self.manifest.parameters {
            if missing(&format!("connection.{}", parameter.name)) {
                found.push((
                    format!("the parameter `{}` is looked up nowhere", parameter.name),
                    span,
                ));
            }
        }
        for object in &self.manifest.objects {
            for argument in &object.arguments {
                if missing(&format!("object.{}", argument.name)) {
                    let message = format!("the argument `{}` is looked up nowhere", argument.name);
                    found.push((message, object.span));
                }
            }
            for identifier in &object.identifiers {
                if missing(&format!("identifiers.{}", identifier.name)) {
                    let message =
                        format!("the identifier `{}` is looked up nowhere", identifier.name);
                    found.push((message, object.span));
                }
            }
        }
        for (message, span) in found {
            self.reading
                .problems
                .push(Diagnostic::warning(codes::UNUSED, message, span));
        }
    }

    fn limits(&mut self) {
        let manifest = self.manifest;
        let calls: Vec<&Call> = all_calls(manifest).map(|(call, _)| call).collect();
        let groups: Vec<&str> = calls
            .iter()
            .filter_map(|call| call.group.as_deref())
            .collect();
        for limit in &manifest.limits {
            if let Some(group) = &limit.group
                && !groups.contains(&group.as_str())
            {
                let message = format!("no call is of the group `{group}`");
                self.reading.error(codes::LIMIT, message, limit.span);
            }
        }
        for call in &calls {
            if let Some(group) = &call.group
                && !manifest
                    .limits
                    .iter()
                    .any(|limit| limit.group.as_ref() == Some(group))
            {
                let message = format!("there is no limit for the group `{group}`");
                self.reading.error(codes::LIMIT, message, call.span);
            }
        }
        self.points(&calls);
        for (call, rows) in all_calls(manifest) {
            let too_few = manifest.limits.iter().find(|limit| match limit.most {
                Counted::Rows(most) => {
                    let applies = limit.group.is_none() || limit.group == call.group;
                    applies && usize::try_from(most).is_ok_and(|most| most < rows) && !call.reads
                }
                _ => false,
            });
            if let Some(limit) = too_few {
                let message =
                    format!("a request of {rows} rows can never be sent under this limit");
                self.reading.error(codes::LIMIT, message, limit.span);
                return;
            }
        }
    }

    /// Calls with more points than a limit has, and points that nothing counts.
    fn points(&mut self, calls: &[&Call]) {
        for call in calls.iter().filter(|call| call.points > 1) {
            let applies = |limit: &&Limit| limit.group.is_none() || limit.group == call.group;
            let mut counting = (self.manifest.limits.iter().filter(applies))
                .filter_map(|limit| match limit.most {
                    Counted::Points(most) => Some((most, limit.span)),
                    _ => None,
                })
                .peekable();
            if counting.peek().is_none() {
                let message = "no limit of `points` applies to this call";
                self.reading.error(codes::LIMIT, message, call.span);
            }
            if let Some((most, span)) = counting.find(|(most, _)| *most < call.points) {
                let message = format!(
                    "a call of {} points can never be made under this limit of {most}",
                    call.points
                );
                self.reading.error(codes::LIMIT, message, span);
            }
        }
    }

    fn object(&mut self, object: &Object) {
        let reach = object.reach.iter().flat_map(|reach| &reach.calls);
        for call in object.prepare.iter().chain(&object.finish).chain(reach) {
            self.call(call, &[]);
            self.no_rows(call);
        }
        if let Some(discover) = object
            .fields
            .as_ref()
            .and_then(|fields| fields.discover.as_ref())
        {
            self.call(&discover.call, &[]);
            self.no_rows(&discover.call);
        }
        for key in object.keys.iter().filter(|key| key.is_empty()) {
            let _ = key;
            self.reading.error(
                codes::INVALID_VALUE,
                "a key has at least one field",
                object.span,
            );
        }
        for (_, forms) in &object.operations {
            self.forms(forms);
            for form in forms {
                self.operation(form);
            }
        }
    }

    /// A form that is never taken, and batches that no form takes.
    fn forms(&mut self, forms: &[Operation]) {
        let mut least: Option<usize> = None;
        for form in forms {
            if least.is_some_and(|least| form.min_rows >= least) {
                let message =
                    "this form is never taken: one before it takes every batch that it would";
                self.reading.error(codes::OPERATION, message, form.span);
            }
            least = Some(least.map_or(form.min_rows, |least| least.min(form.min_rows)));
        }
        if let (Some(least), Some(last)) = (least, forms.last())
            && least > 1
        {
            let message = format!("no form takes a batch of fewer than {least} rows");
            self.reading.error(codes::OPERATION, message, last.span);
        }
    }

    fn operation(&mut self, operation: &Operation) {
        if operation.min_rows > operation.rows {
            let message = "`min_rows` is more than `rows`";
            self.reading
                .error(codes::OPERATION, message, operation.span);
        }
        let speaks = operation.calls.iter().any(speaks_of_rows);
        if !speaks && !operation.calls.is_empty() {
            let message = "no call says anything of the rows";
            let problem = Diagnostic::error(codes::ROWS, message, operation.span);
            let help = "go through them with `$each: rows`, or set `rows: 1` and use `row`";
            self.reading.problems.push(problem.with_help(help));
        }
        for call in &operation.calls {
            self.call(call, &[]);
            self.call_verdicts(&call.rules, false);
        }
        let Some(job) = &operation.job else {
            return;
        };
        let named = operation
            .calls
            .iter()
            .any(|call| call.readings.is_empty() && !call.keep.is_empty());
        if !named {
            let message = "the calls of a job must keep its name for the batch";
            self.reading
                .error(codes::OPERATION, message, operation.span);
        }
        if operation.together.is_some() {
            let message = "a batch that becomes a job cannot be taken apart by `together`";
            self.reading
                .error(codes::OPERATION, message, operation.span);
        }
        for call in job.results.iter().chain([&job.poll]) {
            if call.when.is_some() {
                let message = "a job is asked as a whole, so `when` means nothing here";
                self.reading.error(codes::OPERATION, message, call.span);
            }
        }
        self.call(&job.poll, &[]);
        for call in &job.results {
            self.call(call, &[]);
            self.call_verdicts(&call.rules, false);
        }
        let ends = job.poll.rules.iter().chain(&self.manifest.rules);
        if !ends.clone().any(|rule| rule.is == Verdict::Pending) {
            let message = "no rule of `poll` says that the job is `pending`";
            self.reading.error(codes::VERDICT, message, job.poll.span);
        }
    }

    fn call(&mut self, call: &Call, never: &[Verdict]) {
        self.shadowed(&call.rules, &self.manifest.rules);
        for rule in call.rules.iter().filter(|rule| never.contains(&rule.is)) {
            let message = format!("`{}` means nothing here", rule.is.as_str());
            self.reading.error(codes::VERDICT, message, rule.span);
        }
        let expires = call
            .rules
            .iter()
            .chain(&self.manifest.rules)
            .find(|rule| rule.is == Verdict::Expired);
        if let Some(rule) = expires
            && self.manifest.auth.token.is_none()
        {
            let message = "there is no token that could be renewed";
            self.reading.error(codes::VERDICT, message, rule.span);
        }
        for reading in &call.readings {
            self.shadowed(&reading.rules, &[]);
        }
        if call.answer == AnswerForm::Text && !call.readings.is_empty() {
            let message = "a text has no items that could speak of rows";
            self.reading.error(codes::EXCLUSIVE, message, call.span);
        }
        if call.method == "GET" && !matches!(call.body, Body::Empty) {
            self.reading
                .error(codes::EXCLUSIVE, "a GET has no body", call.span);
        }
    }

    /// Verdicts of jobs where there is none. In the rules of the manifest they are for all jobs.
    fn call_verdicts(&mut self, rules: &[Rule], for_all: bool) {
        let any_job = self
            .manifest
            .objects
            .iter()
            .flat_map(|object| &object.operations)
            .flat_map(|(_, forms)| forms)
            .any(|form| form.job.is_some());
        for rule in rules.iter().filter(|rule| OF_JOBS.contains(&rule.is)) {
            if !(for_all && any_job) {
                let message = format!("`{}` is a verdict of the `poll` of a job", rule.is.as_str());
                self.reading.error(codes::VERDICT, message, rule.span);
            }
        }
    }

    fn no_rows(&mut self, call: &Call) {
        if speaks_of_rows(call) {
            let message = "there are no rows here to go through";
            self.reading.error(codes::ROWS, message, call.span);
        }
    }

    /// Rules that others before them leave nothing for.
    fn shadowed(&mut self, rules: &[Rule], after: &[Rule]) {
        for (at, rule) in rules.iter().enumerate() {
            let before = rules.get(..at).unwrap_or_default();
            if let Some(first) = before.iter().find(|first| covers(first, rule)) {
                let problem = Diagnostic::error(
                    codes::UNREACHABLE_RULE,
                    "this rule is never reached",
                    rule.span,
                );
                self.reading
                    .problems
                    .push(problem.with_related(first.span, "this one fits first"));
            }
        }
        let all = rules
            .iter()
            .find(|rule| rule.condition.is_none() && rule.statuses.is_empty());
        if let Some(rule) = all
            && !after.is_empty()
        {
            let message =
                "this rule fits every answer, so that no rule of the manifest is ever reached";
            self.reading
                .error(codes::UNREACHABLE_RULE, message, rule.span);
        }
    }
}

/// Every call, and the rows that it may have.
fn all_calls(manifest: &Manifest) -> impl Iterator<Item = (&Call, usize)> {
    let once = manifest.check.iter().chain(&manifest.auth.token);
    let of_objects = manifest.objects.iter().flat_map(|object| {
        let reach = object.reach.iter().flat_map(|reach| &reach.calls);
        let around = object.prepare.iter().chain(&object.finish).chain(reach);
        let forms = object.operations.iter().flat_map(|(_, forms)| forms);
        let calls = forms.flat_map(|form| {
            let jobs = form
                .job
                .iter()
                .flat_map(|job| job.results.iter().chain([&job.poll]));
            let writes = form.calls.iter().map(|call| (call, form.rows));
            writes.chain(jobs.map(|call| (call, 0)))
        });
        around.map(|call| (call, 0)).chain(calls)
    });
    once.map(|call| (call, 0)).chain(of_objects)
}

/// Whether whatever fits the second rule fits the first.
fn covers(first: &Rule, second: &Rule) -> bool {
    if first.condition.is_some() {
        return false;
    }
    let all_of = |range: &super::StatusRange| {
        (range.from..=range.to)
            .all(|status| first.statuses.iter().any(|known| known.contains(status)))
    };
    first.statuses.is_empty() || (!second.statuses.is_empty() && second.statuses.iter().all(all_of))
}

/// Whether a request says anything of rows.
pub(crate) fn speaks_of_rows(call: &Call) -> bool {
    let csv = match &call.body {
        Body::Csv(_) => true,
        Body::Multipart(parts) => parts.iter().any(|(_, part)| {
            let content = match part {
                Part::Field(_) => None,
                Part::File { content, .. } => Some(content),
            };
            matches!(content, Some(Content::Csv(_)))
        }),
        _ => false,
    };
    csv || walk::call(call, &|node| match node {
        Node::Template(template) => template.goes_through_rows(),
        Node::Expression(expression) => expression.uses(Root::Row),
    })
}
