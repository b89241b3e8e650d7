//! Rewrites a template so that it means the same and tells where its output comes from.
//!
//! Besides the marks, the rewriting does what the template engine lacks: it gives traced calls
//! (`ref`, `config`, macros, …) a hidden first argument that names the place of the call, puts every
//! tag on one line (the engine reports spans only within a line), makes lists and dictionaries
//! mutable where a template mutates some, and turns `{% test %}` into `{% macro %}`. White space
//! control is already applied by [`super::template`].

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use kinfold_project::{FileId, Span};

use super::mark;
use super::template::{Piece, Tag, Token, TokenKind, Unclosed, pieces};

/// How much of a template is marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Marking {
    /// Nothing: for macros and included files in the rendering that gives the text.
    None,
    /// What is written straight into the output and so is invisible to every expression. The text
    /// of this rendering, without the marks, is the text of the node.
    Output,
    /// Everything. An expression may see marks and decide differently, so the result of this
    /// rendering only refines the map, where its text is the same.
    All,
}

/// Whose text a piece is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// The file of the node.
    Node,
    /// An included or imported file.
    File(Arc<str>),
    /// A macro.
    Macro(Arc<str>),
    /// A generic data test.
    Test(Arc<str>),
}

/// A marked piece.
#[derive(Clone, Debug)]
pub(super) struct Site {
    /// Where it is; `None` in templates that are no file of the user.
    pub span: Option<Span>,
    /// Whose text it is.
    pub owner: Owner,
    /// Its number among the pieces of the node's own template, if it is written straight into the
    /// output.
    pub top: Option<usize>,
    /// The first word of an expression: `column_name` in `{{ column_name }}`.
    pub word: String,
}

/// A traced call.
#[derive(Clone, Debug)]
pub(super) struct Call {
    /// From the name to the closing bracket.
    pub span: Option<Span>,
    /// Keyword arguments of the call: name, and where `name=value` is.
    pub keywords: Vec<(String, Span)>,
}

/// All marked pieces and traced calls of a project's templates.
#[derive(Debug, Default)]
pub(super) struct Sites {
    /// Marked pieces by their number.
    pub sites: Vec<Site>,
    /// Traced calls by their number.
    pub calls: Vec<Call>,
}

/// A template to rewrite.
#[derive(Clone, Debug)]
pub(super) struct Source<'t> {
    /// Its text.
    pub text: &'t str,
    /// Its file, if it is the user's, and where the text starts there.
    pub place: Option<(FileId, usize)>,
    /// Whose text it is.
    pub owner: Owner,
    /// Whether it is a node's own template.
    pub node: bool,
    /// How much is marked.
    pub marking: Marking,
}

/// A rewritten template.
#[derive(Clone, Debug, Default)]
pub(super) struct Instrumented {
    /// Its text.
    pub text: String,
    /// The file, where the template starts there, and the copied runs: (rewritten start, original
    /// start, length).
    pub place: Option<(FileId, usize)>,
    runs: Vec<(usize, usize, usize)>,
}

impl Instrumented {
    /// The place of a range of the rewritten text.
    pub fn span(&self, range: Range<usize>) -> Option<Span> {
        let (file, base) = self.place?;
        let start = self.original(range.start, false);
        let end = self.original(range.end, true).max(start);
        Some(Span::new(file, base + start, base + end))
    }

    fn original(&self, at: usize, end: bool) -> usize {
        let index = if end {
            self.runs.partition_point(|(out, _, _)| *out < at)
        } else {
            self.runs.partition_point(|(out, _, _)| *out <= at)
        };
        match index.checked_sub(1).and_then(|i| self.runs.get(i)) {
            Some((out, source, length)) if !end && at >= out + length => {
                // Inside something inserted: what follows it is the user's.
                self.runs.get(index).map_or(source + length, |run| run.1)
            }
            Some((out, source, length)) => source + (at - out).min(*length),
            None => self.runs.first().map_or(0, |run| run.1),
        }
    }
}

/// Written in front of a node's own template: loads the module of a macro on its first call, into
/// the state of the rendering that calls it.
pub(super) const LOADER: &str = "{% macro __kf_load(__kf_name) %}{% import __kf_name as __kf_module %}\
                      {% do __kf_keep(__kf_module) %}{% endmacro %}{% do __kf_start(__kf_load) %}";

/// Parameters that every macro of Jinja has: the positional and the keyword arguments that it does
/// not declare. The engine has none of them, so they are declared where they are read.
pub(super) const IMPLICIT: [&str; 2] = ["varargs", "kwargs"];

/// What the macro of a macro's own template is called in it.
pub(super) const BLOCK_MACRO: &str = "kf_macro";

/// Names that every template knows, besides functions, macros and packages.
pub(super) const CONTEXT: [&str; 25] = [
    "context",
    "graph",
    "api",
    "this",
    "target",
    "model",
    "node",
    "execute",
    "schema",
    "database",
    "project_name",
    "invocation_id",
    "run_started_at",
    "flags",
    "exceptions",
    "adapter",
    "builtins",
    "modules",
    "loop",
    "caller",
    "varargs",
    "kwargs",
    "dbt_version",
    "column_name",
    "thread_id",
];

/// Methods that change a list or a dictionary in place.
const MUTATING: [&str; 10] = [
    "append",
    "extend",
    "insert",
    "pop",
    "remove",
    "update",
    "setdefault",
    "clear",
    "sort",
    "reverse",
];

/// Objects whose methods take the hidden argument.
const TRACED_OBJECTS: [&str; 5] = ["exceptions", "config", "builtins", "adapter", "dbt"];

/// Names that a project's templates know.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Functions and macros that take the hidden argument.
    pub traced: BTreeSet<String>,
    /// Packages.
    pub packages: BTreeSet<String>,
}

/// Rewrites a template.
pub(super) fn instrument(
    source: &Source<'_>,
    known: &Known,
    sites: &mut Sites,
) -> Result<Instrumented, Unclosed> {
    let pieces = pieces(source.text)?;
    let names = Names::of(&pieces, source.text, &source.owner);
    let mut writer = Writer {
        source,
        names,
        known,
        sites,
        out: Instrumented {
            text: String::with_capacity(source.text.len() * 2 + LOADER.len()),
            place: source.place,
            runs: Vec::new(),
        },
        owners: vec![source.owner.clone()],
        blocks: Vec::new(),
    };
    if source.node {
        writer.insert(LOADER);
    }
    if !matches!(source.owner, Owner::Macro(_) | Owner::Test(_)) {
        writer.conditional();
    }
    for (ordinal, piece) in pieces.iter().enumerate() {
        writer.piece(ordinal, piece);
    }
    Ok(writer.out)
}

/// Names that a template binds.
#[derive(Default)]
pub(super) struct Names {
    /// By `set`, `for`, `with` or as a parameter: calls of these are not traced.
    bound: BTreeSet<String>,
    /// Macros that the template defines or imports.
    macros: BTreeSet<String>,
    /// Modules that it imports.
    modules: BTreeSet<String>,
    /// Whether it changes a list or dictionary in place.
    mutates: bool,
    /// `varargs` and `kwargs`, as far as it reads them without declaring them.
    implicit: Vec<&'static str>,
    /// What it sets in a branch that may not be taken.
    conditional: BTreeSet<String>,
}

impl Names {
    /// The names of a template with this text.
    pub fn of(pieces: &[Piece], text: &str, owner: &Owner) -> Self {
        let mut names = Self::default();
        let own = usize::from(matches!(owner, Owner::Macro(_) | Owner::Test(_)));
        let (mut macros, mut branches) = (0_usize, 0_usize);
        for piece in pieces {
            let (Piece::Expression(tag) | Piece::Statement(tag)) = piece else {
                continue;
            };
            names.mutates |= tag.tokens.windows(3).any(|w| {
                matches!(w, [dot, name, open] if dot.is(b'.') && open.is(b'(')
                    && MUTATING.contains(&name.text(text)))
            });
            if matches!(piece, Piece::Statement(_)) {
                names.statement(tag, text);
                match tag.keyword(text) {
                    "macro" | "test" | "data_test" => macros += 1,
                    "endmacro" | "endtest" | "enddata_test" => macros = macros.saturating_sub(1),
                    "if" => branches += 1,
                    "endif" => branches = branches.saturating_sub(1),
                    "set" if macros == own && branches > 0 => {
                        names.conditional.extend(single_target(tag, text));
                    }
                    _ => {}
                }
            }
            for word in IMPLICIT {
                if !names.implicit.contains(&word)
                    && tag.tokens.iter().any(|token| token.text(text) == word)
                {
                    names.implicit.push(word);
                }
            }
        }
        names.implicit.retain(|word| !names.bound.contains(*word));
        names
    }

    /// Whether the template binds this name, in whatever way.
    pub fn defines(&self, name: &str) -> bool {
        self.bound.contains(name) || self.macros.contains(name) || self.modules.contains(name)
    }

    fn statement(&mut self, tag: &Tag, text: &str) {
        let rest = tag.tokens.get(1..).unwrap_or_default();
        let name = |t: &Token| (t.kind == TokenKind::Name).then(|| t.text(text).to_owned());
        match tag.keyword(text) {
            "set" | "with" => {
                let targets = rest.iter().take_while(|t| !t.is(b'='));
                self.bound.extend(targets.filter_map(name));
            }
            "for" => {
                let targets = rest.iter().take_while(|t| t.text(text) != "in");
                self.bound.extend(targets.filter_map(name));
            }
            "macro" | "test" | "data_test" => {
                self.macros.extend(rest.first().and_then(name));
                self.bound.extend(parameters(rest, text));
            }
            "call" if rest.first().is_some_and(|t| t.is(b'(')) => {
                self.bound.extend(parameters(rest, text));
            }
            "import" => self.modules.extend(rest.last().and_then(name)),
            "from" => {
                let imported = rest.iter().skip_while(|t| t.text(text) != "import").skip(1);
                self.macros.extend(imported.filter_map(name));
            }
            _ => {}
        }
    }
}

/// The name that a `set` sets, if it is one name.
fn single_target(tag: &Tag, text: &str) -> Option<String> {
    let name = tag.tokens.get(1).filter(|t| t.kind == TokenKind::Name)?;
    let alone = tag.tokens.get(2).is_none_or(|t| !t.is(b'.') && !t.is(b','));
    alone.then(|| name.text(text).to_owned())
}

/// Names right after the first opening bracket or a comma beside it.
fn parameters(tokens: &[Token], text: &str) -> Vec<String> {
    let mut depth = 0_i32;
    let mut found = Vec::new();
    let mut before = None;
    for token in tokens {
        match token.kind {
            TokenKind::Punctuation(b'(' | b'[' | b'{') => depth += 1,
            TokenKind::Punctuation(b')' | b']' | b'}') => {
                depth -= 1;
                if depth == 0 {
                    break;
                }
            }
            TokenKind::Name if depth == 1 && matches!(before, Some(b'(' | b',')) => {
                found.push(token.text(text).to_owned());
            }
            _ => {}
        }
        before = match token.kind {
            TokenKind::Punctuation(p) => Some(p),
            _ => None,
        };
    }
    found
}

/// A block that captures its body.
struct Block {
    end: &'static str,
    /// Whether its output is bracketed by marks.
    marked: bool,
    /// The macro that it defines.
    defines: Option<String>,
}

struct Writer<'t, 's> {
    source: &'t Source<'t>,
    names: Names,
    known: &'t Known,
    sites: &'s mut Sites,
    out: Instrumented,
    owners: Vec<Owner>,
    blocks: Vec<Block>,
}

impl Writer<'_, '_> {
    fn insert(&mut self, text: &str) {
        self.out.text.push_str(text);
    }

    fn copy(&mut self, range: Range<usize>) {
        let text = self.source.text.get(range.clone()).unwrap_or("");
        self.out
            .runs
            .push((self.out.text.len(), range.start, range.len()));
        self.out.text.push_str(text);
    }

    /// Copies white space of a tag, without line ends.
    fn copy_space(&mut self, range: Range<usize>) {
        let start = self.out.text.len();
        self.copy(range);
        let space = self.out.text.split_off(start);
        let space = space.replace(['\n', '\r'], " ");
        self.out.text.push_str(&space);
    }

    fn span(&self, range: &Range<usize>) -> Option<Span> {
        let (file, base) = self.source.place?;
        Some(Span::new(file, base + range.start, base + range.end))
    }

    fn marked(&self) -> bool {
        match self.source.marking {
            Marking::None => false,
            Marking::Output => self.blocks.is_empty(),
            Marking::All => true,
        }
    }

    fn site(&mut self, mark: char, ordinal: usize, range: &Range<usize>, word: &str) {
        let top = (self.source.node && self.blocks.is_empty()).then_some(ordinal);
        let span = self.span(range);
        let owner = self
            .owners
            .last()
            .cloned()
            .unwrap_or_else(|| self.source.owner.clone());
        mark::push(&mut self.out.text, mark, self.sites.sites.len());
        self.sites.sites.push(Site {
            span,
            owner,
            top,
            word: word.to_owned(),
        });
    }

    fn piece(&mut self, ordinal: usize, piece: &Piece) {
        match piece {
            Piece::Text { range } => {
                if self.marked() {
                    self.site(mark::TEXT, ordinal, range, "");
                }
                let text = self.source.text.get(range.clone()).unwrap_or("");
                let raw = text.ends_with('{')
                    || ["{{", "{%", "{#"]
                        .iter()
                        .any(|opener| text.contains(opener));
                if raw {
                    self.insert("{% raw %}");
                }
                self.copy(range.clone());
                if raw {
                    self.insert("{% endraw %}");
                }
            }
            Piece::Expression(tag) => {
                let marked = self.marked();
                if marked {
                    let word = tag.tokens.first().map_or("", |t| t.text(self.source.text));
                    self.site(mark::OPEN, ordinal, &tag.outer, word);
                }
                self.tag(tag, "{{", "}}");
                if marked {
                    self.out.text.push(mark::CLOSE);
                }
            }
            Piece::Statement(tag) => self.statement(ordinal, tag),
        }
    }

    fn statement(&mut self, ordinal: usize, tag: &Tag) {
        let keyword = tag.keyword(self.source.text);
        let marked = self.marked();
        let block = |end, marked| Block {
            end,
            marked,
            defines: None,
        };
        match keyword {
            "include" => {
                if marked {
                    self.site(mark::OPEN, ordinal, &tag.outer, keyword);
                }
                self.tag(tag, "{%", "%}");
                if marked {
                    self.out.text.push(mark::CLOSE);
                }
            }
            "call" | "filter" => {
                if marked {
                    self.site(mark::OPEN, ordinal, &tag.outer, keyword);
                }
                self.tag(tag, "{%", "%}");
                let end = if keyword == "call" {
                    "endcall"
                } else {
                    "endfilter"
                };
                self.blocks.push(block(end, marked));
            }
            "set" if is_block_set(tag) => {
                self.tag(tag, "{%", "%}");
                self.blocks.push(block("endset", false));
            }
            "macro" | "test" | "data_test" => {
                let name = tag.tokens.get(1).map_or("", |t| t.text(self.source.text));
                let block = self.is_block(tag, "{%");
                self.tag(tag, "{%", "%}");
                if block {
                    self.conditional();
                }
                let local = !matches!(self.source.owner, Owner::Macro(_) | Owner::Test(_));
                if local {
                    self.owners.push(Owner::Macro(name.into()));
                }
                self.blocks.push(Block {
                    end: "endmacro",
                    marked: false,
                    defines: local.then(|| name.to_owned()),
                });
            }
            "endcall" | "endfilter" | "endset" | "endmacro" | "endtest" | "enddata_test" => {
                self.tag(tag, "{%", "%}");
                let end = renamed(keyword).unwrap_or(keyword);
                if self.blocks.last().is_some_and(|b| b.end == end)
                    && let Some(block) = self.blocks.pop()
                {
                    self.close(block);
                }
            }
            _ => self.tag(tag, "{%", "%}"),
        }
    }

    fn close(&mut self, block: Block) {
        if block.marked {
            self.out.text.push(mark::CLOSE);
        }
        if let Some(name) = block.defines {
            self.owners.pop();
            // A macro of the template itself returns, nests and is traced like any other.
            let wrap = format!("{{% set {name} = __kf_local({name}) %}}");
            self.insert(&wrap);
        }
    }

    fn tag(&mut self, tag: &Tag, opener: &str, closer: &str) {
        self.copy_delimiter(tag.outer.start..tag.inner.start, opener);
        let mut at = tag.inner.start;
        let mut closing: Vec<Option<&'static str>> = Vec::new();
        for (i, token) in tag.tokens.iter().enumerate() {
            self.copy_space(at..token.range.start);
            at = token.range.end;
            let keyword = if i == 0 && opener == "{%" {
                renamed(token.text(self.source.text))
            } else {
                None
            };
            let literal = self.names.mutates && starts_literal(&tag.tokens, i, self.source.text);
            if literal {
                self.insert("(");
            }
            if token.is(b')') && closing.len() == 1 && self.is_block(tag, opener) {
                let empty = tag
                    .tokens
                    .get(i.saturating_sub(1))
                    .is_some_and(|t| t.is(b'('));
                self.implicit_parameters(empty);
            }
            match keyword {
                Some(word) => self.insert(word),
                // Its own name must mean what it means elsewhere: see `macros`.
                None if i == 1 && self.is_block(tag, opener) => self.insert(BLOCK_MACRO),
                None => self.copy(token.range.clone()),
            }
            match token.kind {
                TokenKind::Punctuation(b'(') => {
                    closing.push(None);
                    if self.is_traced(&tag.tokens, i, opener == "{%") {
                        self.call(&tag.tokens, i);
                    }
                }
                TokenKind::Punctuation(b'[' | b'{') => {
                    closing.push(literal.then_some("|__kf_mutable)"));
                }
                TokenKind::Punctuation(b')' | b']' | b'}') => {
                    if let Some(Some(end)) = closing.pop() {
                        self.insert(end);
                    }
                }
                _ => {}
            }
        }
        self.copy_space(at..tag.inner.end);
        self.copy_delimiter(tag.inner.end..tag.outer.end, closer);
    }

    /// What is set in a branch only is undefined without it, and prints as nothing, as in Jinja.
    fn conditional(&mut self) {
        for name in std::mem::take(&mut self.names.conditional) {
            let global = CONTEXT.contains(&name.as_str())
                || self.known.traced.contains(&name)
                || self.known.packages.contains(&name);
            if !global {
                self.insert(&format!(
                    "{{% if {name} is undefined %}}{{% set {name} = (0 if false) %}}{{% endif %}}"
                ));
            }
        }
    }

    fn implicit_parameters(&mut self, empty: bool) {
        let mut separator = if empty { "" } else { ", " };
        for word in self.names.implicit.clone() {
            let default = if word == "kwargs" { "={}" } else { "=[]" };
            for text in [separator, word, default] {
                self.insert(text);
            }
            separator = ", ";
        }
    }

    /// Whether this opens the block of a macro that is a template of its own.
    fn is_block(&self, tag: &Tag, opener: &str) -> bool {
        opener == "{%"
            && self.blocks.is_empty()
            && matches!(self.source.owner, Owner::Macro(_) | Owner::Test(_))
            && matches!(
                tag.keyword(self.source.text),
                "macro" | "test" | "data_test"
            )
    }

    /// A delimiter of the same length as the user's, without white space control.
    fn copy_delimiter(&mut self, range: Range<usize>, plain: &str) {
        self.out
            .runs
            .push((self.out.text.len(), range.start, range.len()));
        let extra = if range.len() > plain.len() { " " } else { "" };
        if plain.starts_with('{') {
            self.out.text.push_str(plain);
            self.out.text.push_str(extra);
        } else {
            self.out.text.push_str(extra);
            self.out.text.push_str(plain);
        }
    }

    /// Whether the bracket at `open` opens the arguments of a traced call.
    fn is_traced(&self, tokens: &[Token], open: usize, statement: bool) -> bool {
        let text = self.source.text;
        let before = |n: usize| open.checked_sub(n).and_then(|i| tokens.get(i));
        let Some(name) = before(1).filter(|t| t.kind == TokenKind::Name) else {
            return false;
        };
        let name = name.text(text);
        match before(2) {
            Some(dot) if dot.is(b'.') => {
                let Some(object) = before(3).filter(|t| t.kind == TokenKind::Name) else {
                    return false;
                };
                let object = object.text(text);
                !before(4).is_some_and(|t| t.is(b'.'))
                    && !self.names.bound.contains(object)
                    && (TRACED_OBJECTS.contains(&object)
                        || self.known.packages.contains(object)
                        || self.names.modules.contains(object))
            }
            Some(other) if other.is(b'|') || other.text(text) == "is" => false,
            Some(other)
                if statement
                    && open == 2
                    && matches!(other.text(text), "macro" | "test" | "data_test") =>
            {
                false
            }
            _ => {
                !self.names.bound.contains(name)
                    && (self.known.traced.contains(name) || self.names.macros.contains(name))
            }
        }
    }

    /// Writes the hidden first argument of the call whose arguments `open` opens.
    fn call(&mut self, tokens: &[Token], open: usize) {
        let text = self.source.text;
        let mut depth = 0_i32;
        let mut end = open;
        let mut keywords: Vec<(String, Range<usize>)> = Vec::new();
        let mut current: Option<(String, Range<usize>)> = None;
        for (i, token) in tokens.iter().enumerate().skip(open) {
            end = i;
            match token.kind {
                TokenKind::Punctuation(b'(' | b'[' | b'{') => depth += 1,
                TokenKind::Punctuation(b')' | b']' | b'}') => depth -= 1,
                TokenKind::Punctuation(b',') if depth == 1 => keywords.extend(current.take()),
                TokenKind::Name if depth == 1 && tokens.get(i + 1).is_some_and(|t| t.is(b'=')) => {
                    current = Some((token.text(text).to_owned(), token.range.clone()));
                }
                _ => {}
            }
            if depth == 0 {
                break;
            }
            if let Some((_, range)) = &mut current {
                range.end = token.range.end;
            }
        }
        keywords.extend(current);
        let mut first = open.saturating_sub(1);
        while first >= 2 && tokens.get(first - 1).is_some_and(|t| t.is(b'.')) {
            first -= 2;
        }
        let from = tokens.get(first).map_or(0, |t| t.range.start);
        let to = tokens.get(end).map_or(from, |t| t.range.end);
        let id = self.sites.calls.len();
        let call = Call {
            span: self.span(&(from..to)),
            keywords: keywords
                .into_iter()
                .filter_map(|(name, range)| Some((name, self.span(&range)?)))
                .collect(),
        };
        self.sites.calls.push(call);
        self.insert("'");
        mark::push(&mut self.out.text, mark::CALL, id);
        let empty = tokens.get(open + 1).is_some_and(|t| t.is(b')'));
        self.insert(if empty { "'" } else { "'," });
    }
}

/// The engine's word for a statement of dbt.
fn renamed(keyword: &str) -> Option<&'static str> {
    match keyword {
        "test" | "data_test" => Some("macro"),
        "endtest" | "enddata_test" => Some("endmacro"),
        _ => None,
    }
}

/// Whether a `set` captures a body: it has no `=` outside brackets.
fn is_block_set(tag: &Tag) -> bool {
    let mut depth = 0_i32;
    !tag.tokens.iter().any(|token| {
        match token.kind {
            TokenKind::Punctuation(b'(' | b'[' | b'{') => depth += 1,
            TokenKind::Punctuation(b')' | b']' | b'}') => depth -= 1,
            _ => {}
        }
        depth == 0 && token.is(b'=')
    })
}

/// Whether the token at `at` opens a list or a dictionary, rather than an index.
fn starts_literal(tokens: &[Token], at: usize, text: &str) -> bool {
    let Some(token) = tokens.get(at) else {
        return false;
    };
    if token.is(b'{') {
        return true;
    }
    if !token.is(b'[') {
        return false;
    }
    match at.checked_sub(1).and_then(|i| tokens.get(i)) {
        None => true,
        Some(before) => match before.kind {
            TokenKind::Name => matches!(
                before.text(text),
                "in" | "and" | "or" | "not" | "if" | "elif" | "else" | "is" | "do"
            ),
            TokenKind::String => false,
            TokenKind::Operator => true,
            TokenKind::Punctuation(p) => !matches!(p, b')' | b']' | b'}' | b'0'),
        },
    }
}
