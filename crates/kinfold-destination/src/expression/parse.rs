//! Text → expression. The types are checked while reading, so that every problem has its place.

use std::ops::Range;

use kinfold_project::suggest;
use serde_json::Value;

use super::tokens::{Token, tokens};
use super::{Expression, Kind, Names, Operator, Path, Problem, Root, Step, Type, functions};

/// Parentheses inside parentheses.
const MAX_DEPTH: usize = 32;

type Found = Result<(Expression, Type, Range<usize>), Problem>;

pub(super) fn parse(text: &str, names: &Names<'_>) -> Result<(Expression, Type), Problem> {
    let mut parser = Parser {
        tokens: tokens(text)?,
        at: 0,
        end: text.len(),
        names,
        depth: 0,
    };
    if parser.tokens.is_empty() {
        return Err(Problem::new(0..text.len(), "this expression is empty"));
    }
    let (expression, kind, _) = parser.any()?;
    if parser.at < parser.tokens.len() {
        let problem = Problem::new(parser.place(), "the expression is over before this");
        return Err(problem.with_help("functions are called with `|`: `value | lower`"));
    }
    Ok((expression, kind))
}

struct Parser<'a> {
    tokens: Vec<(Token, Range<usize>)>,
    at: usize,
    end: usize,
    names: &'a Names<'a>,
    depth: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(token, _)| token)
    }

    fn place(&self) -> Range<usize> {
        self.tokens
            .get(self.at)
            .map_or(self.end..self.end, |(_, range)| range.clone())
    }

    fn next(&mut self) -> Option<(Token, Range<usize>)> {
        let token = self.tokens.get(self.at).cloned();
        self.at += usize::from(token.is_some());
        token
    }

    fn takes(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Sign(found)) if *found == sign);
        self.at += usize::from(found);
        found
    }

    fn takes_word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Name(found)) if found == word);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, sign: &str) -> Result<(), Problem> {
        if self.takes(sign) {
            return Ok(());
        }
        Err(Problem::new(
            self.place(),
            format!("`{sign}` is missing here"),
        ))
    }

    fn any(&mut self) -> Found {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Problem::new(self.place(), "this nests too deep"));
        }
        let first = self.all()?;
        let found = self.chain(first, "or", Self::all, Expression::Or);
        self.depth -= 1;
        found
    }

    fn all(&mut self) -> Found {
        let first = self.negated()?;
        self.chain(first, "and", Self::negated, Expression::And)
    }

    fn chain(
        &mut self,
        first: (Expression, Type, Range<usize>),
        word: &str,
        part: fn(&mut Self) -> Found,
        join: fn(Vec<Expression>) -> Expression,
    ) -> Found {
        if !matches!(self.peek(), Some(Token::Name(found)) if found == word) {
            return Ok(first);
        }
        let start = first.2.start;
        let mut parts = vec![condition(first)?];
        let mut end = start;
        while self.takes_word(word) {
            let found = part(self)?;
            end = found.2.end;
            parts.push(condition(found)?);
        }
        Ok((join(parts), Type::open(Kind::Bool), start..end))
    }

    fn negated(&mut self) -> Found {
        let start = self.place().start;
        if !self.takes_word("not") {
            return self.comparison();
        }
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Problem::new(self.place(), "this nests too deep"));
        }
        let found = self.negated()?;
        self.depth -= 1;
        let range = start..found.2.end;
        let expression = Expression::Not(Box::new(condition(found)?));
        Ok((expression, Type::open(Kind::Bool), range))
    }

    fn comparison(&mut self) -> Found {
        let (left, kind, range) = self.piped()?;
        if self.takes_word("in") {
            let list = self.literals()?;
            let range = range.start..self.before();
            let left = Box::new(left);
            return Ok((Expression::In { left, list }, Type::open(Kind::Bool), range));
        }
        let operators = [
            ("==", Operator::Equal),
            ("!=", Operator::NotEqual),
            ("<=", Operator::LessOrEqual),
            (">=", Operator::GreaterOrEqual),
            ("<", Operator::Less),
            (">", Operator::Greater),
        ];
        let Some((sign, operator)) = operators.into_iter().find(|(sign, _)| self.takes(sign))
        else {
            return Ok((left, kind, range));
        };
        let (right, other, end) = self.piped()?;
        let whole = range.start..end.end;
        let never = !kind.kind.fits(other.kind) && !other.kind.fits(kind.kind);
        let texts_of_numbers = matches!(
            (kind.kind, other.kind),
            (Kind::Number, Kind::Text) | (Kind::Text, Kind::Number)
        );
        if never || texts_of_numbers {
            return Err(Problem::new(
                whole,
                format!("{} is never {}", kind.kind.as_str(), other.kind.as_str()),
            )
            .with_help("turn one into the other with `| number` or `| text`"));
        }
        let ordered = !matches!(operator, Operator::Equal | Operator::NotEqual);
        let has_order =
            |kind: Kind| matches!(kind, Kind::Any | Kind::Number | Kind::Text | Kind::Time);
        if ordered && !(has_order(kind.kind) && has_order(other.kind)) {
            return Err(Problem::new(
                whole,
                format!("`{sign}` compares numbers, texts and times"),
            ));
        }
        let expression = Expression::Compare {
            left: Box::new(left),
            operator,
            right: Box::new(right),
        };
        Ok((expression, Type::open(Kind::Bool), whole))
    }

    fn before(&self) -> usize {
        self.at
            .checked_sub(1)
            .and_then(|at| self.tokens.get(at))
            .map_or(0, |(_, range)| range.end)
    }

    fn literals(&mut self) -> Result<Vec<Value>, Problem> {
        self.expect("[")?;
        let mut list = Vec::new();
        loop {
            let place = self.place();
            let found = self.primary()?;
            let Expression::Literal(value) = found.0 else {
                return Err(Problem::new(
                    place,
                    "a list holds texts, numbers, `true`, `false` and `null`",
                ));
            };
            list.push(value);
            if !self.takes(",") {
                break;
            }
        }
        self.expect("]")?;
        Ok(list)
    }

    fn piped(&mut self) -> Found {
        let (mut expression, mut kind, range) = self.primary()?;
        let start = range.start;
        let mut end = range.end;
        while self.takes("|") {
            let place = self.place();
            let Some((Token::Name(name), _)) = self.next() else {
                return Err(Problem::new(place, "the name of a function belongs here"));
            };
            let Some(function) = functions::find(&name) else {
                let problem = Problem::new(place, format!("there is no function `{name}`"));
                let known = functions::ALL.iter().map(|function| function.name);
                return Err(match suggest::did_you_mean(&name, known) {
                    Some(help) => problem.with_help(help),
                    None => problem,
                });
            };
            if !kind.kind.fits(function.input) {
                return Err(Problem::new(
                    start..place.end,
                    format!(
                        "`{name}` takes {}, this is {}",
                        function.input.as_str(),
                        kind.kind.as_str()
                    ),
                ));
            }
            let (arguments, secret) = self.arguments(function, &place)?;
            end = self.before();
            kind = Type {
                kind: function.output.unwrap_or(match kind.kind {
                    Kind::List | Kind::Null => Kind::Any,
                    other if function.name == "default" => {
                        default_kind(other, arguments.first().map(|(_, kind)| *kind))
                    }
                    other => other,
                }),
                secret: kind.secret || secret,
            };
            expression = Expression::Call {
                input: Box::new(expression),
                function,
                arguments: arguments.into_iter().map(|(found, _)| found).collect(),
            };
        }
        Ok((expression, kind, start..end))
    }

    fn arguments(
        &mut self,
        function: &functions::Function,
        place: &Range<usize>,
    ) -> Result<(Vec<(Expression, Kind)>, bool), Problem> {
        let mut arguments = Vec::new();
        let mut secret = false;
        if self.takes("(") && !self.takes(")") {
            loop {
                let (found, kind, range) = self.any()?;
                let repeated = function.arguments.last().filter(|_| function.repeats);
                let Some(wanted) = function.arguments.get(arguments.len()).or(repeated) else {
                    return Err(Problem::new(
                        range,
                        format!("`{}` does not take so many arguments", function.name),
                    ));
                };
                if !kind.kind.fits(wanted.kind) {
                    return Err(Problem::new(
                        range,
                        format!(
                            "`{}` of `{}` must be {}, this is {}",
                            wanted.name,
                            function.name,
                            wanted.kind.as_str(),
                            kind.kind.as_str()
                        ),
                    ));
                }
                secret |= kind.secret;
                arguments.push((found, kind.kind));
                if !self.takes(",") {
                    break;
                }
            }
            self.expect(")")?;
        }
        let needed = function
            .arguments
            .iter()
            .filter(|argument| argument.required);
        if arguments.len() < needed.count() {
            let names = function.arguments.iter().map(|argument| argument.name);
            return Err(Problem::new(
                place.clone(),
                format!(
                    "`{}` needs {} in parentheses",
                    function.name,
                    suggest::one_of(names).replace(" or ", " and ")
                ),
            ));
        }
        Ok((arguments, secret))
    }

    fn primary(&mut self) -> Found {
        let Some((token, range)) = self.next() else {
            return Err(Problem::new(self.end..self.end, "a value belongs here"));
        };
        let literal =
            |value: Value, kind| Ok((Expression::Literal(value), Type::open(kind), range.clone()));
        match token {
            Token::Text(text) => literal(Value::String(text), Kind::Text),
            Token::Number(number) => literal(Value::Number(number), Kind::Number),
            Token::Name(word) => match word.as_str() {
                "true" => literal(Value::Bool(true), Kind::Bool),
                "false" => literal(Value::Bool(false), Kind::Bool),
                "null" => literal(Value::Null, Kind::Null),
                _ => self.path(&word, range),
            },
            Token::Sign("$") => self.path("$", range),
            Token::Sign("(") => {
                let (expression, kind, _) = self.any()?;
                self.expect(")")?;
                Ok((expression, kind, range.start..self.before()))
            }
            Token::Sign(sign) => Err(Problem::new(
                range,
                format!("a value belongs here, not `{sign}`"),
            )),
        }
    }

    fn path(&mut self, word: &str, range: Range<usize>) -> Found {
        let Some(root) = Root::of(word) else {
            let problem = Problem::new(range, format!("there is nothing named `{word}` here"));
            let known = self.names.roots.iter().map(|root| root.as_str());
            let help = suggest::did_you_mean(word, known.clone()).unwrap_or_else(|| {
                format!(
                    "there is {}",
                    suggest::one_of(known).replace(" or ", " and ")
                )
            });
            return Err(problem.with_help(help));
        };
        let start = range.start;
        let mut places = Vec::new();
        let mut steps = Vec::new();
        loop {
            let place = self.place();
            if self.takes(".") {
                match self.next() {
                    Some((Token::Name(name), _)) => steps.push(Step::Field(name)),
                    _ => {
                        return Err(Problem::new(place, "a name belongs after the `.`")
                            .with_help("write a name with other characters as `['the name']`"));
                    }
                }
            } else if self.takes("[") {
                steps.push(match self.next() {
                    Some((Token::Text(name), _)) => Step::Field(name),
                    Some((Token::Sign("*"), _)) => Step::Each,
                    Some((Token::Number(number), range)) => {
                        let index = number
                            .as_u64()
                            .and_then(|index| usize::try_from(index).ok());
                        Step::Index(index.ok_or_else(|| {
                            Problem::new(range, "a position is a whole number from 0")
                        })?)
                    }
                    _ => {
                        return Err(Problem::new(
                            place,
                            "`[…]` takes a position, a name in quotes or `*`",
                        ));
                    }
                });
                self.expect("]")?;
            } else {
                break;
            }
            places.push(place.start..self.before());
        }
        if root == Root::Header
            && let Some(Step::Field(name)) = steps.first_mut()
        {
            name.make_ascii_lowercase();
        }
        let whole = start..places.last().map_or(range.end, |place| place.end);
        let mut kind = match self.names.type_of(root, &steps) {
            Ok(kind) => kind,
            Err(nowhere) => {
                let place = nowhere.step.and_then(|step| places.get(step)).cloned();
                let problem = Problem::new(place.unwrap_or_else(|| whole.clone()), nowhere.message);
                let missing = nowhere.step.and_then(|step| steps.get(step));
                let near = match missing {
                    Some(Step::Field(name)) => {
                        suggest::did_you_mean(name, nowhere.known.iter().copied())
                    }
                    _ => None,
                };
                let listed = (!nowhere.known.is_empty()).then(|| {
                    let known = suggest::one_of(nowhere.known.iter().copied());
                    format!("there is {}", known.replace(" or ", " and "))
                });
                return Err(match near.or(listed) {
                    Some(help) => problem.with_help(help),
                    None => problem,
                });
            }
        };
        if steps.contains(&Step::Each) {
            kind.kind = Kind::List;
        }
        Ok((Expression::Path(Path { root, steps }), kind, whole))
    }
}

/// What is left of a value that may be null when there is another in its place.
fn default_kind(kind: Kind, other: Option<Kind>) -> Kind {
    match other {
        Some(other) if other == kind => kind,
        _ => Kind::Any,
    }
}

fn condition(
    (expression, kind, range): (Expression, Type, Range<usize>),
) -> Result<Expression, Problem> {
    if kind.kind == Kind::Bool {
        return Ok(expression);
    }
    let problem = Problem::new(
        range,
        format!("this must be a condition and is {}", kind.kind.as_str()),
    );
    Err(problem.with_help("compare it with something: `… == true`, `… != null`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: Names<'_> = Names {
        roots: &[
            Root::Answer,
            Root::Row,
            Root::Status,
            Root::Header,
            Root::Now,
        ],
        parameters: &[],
        arguments: &[],
        auth: &[],
        kept: &[],
        identifiers: &[],
    };

    fn kind(text: &str) -> Result<Kind, String> {
        parse(text, &NAMES)
            .map(|(_, kind)| kind.kind)
            .map_err(|problem| {
                let place = text.get(problem.range).unwrap_or("?").to_owned();
                format!("{}: {place}", problem.message)
            })
    }

    #[test]
    fn expressions_have_types() {
        for (text, expected) in [
            ("'a'", Kind::Text),
            ("-1.5", Kind::Number),
            ("null", Kind::Null),
            ("$", Kind::Any),
            ("$.errors[*].code", Kind::List),
            ("$['x y'][0]", Kind::Any),
            ("row.key.email | lower | sha256", Kind::Text),
            (
                "$.a == 'x' and not (status in [200, 201] or $.b != null)",
                Kind::Bool,
            ),
            ("header['Retry-After'] | number", Kind::Number),
            ("now | epoch", Kind::Number),
            ("$.a | default('x')", Kind::Any),
            ("row.id | default('x')", Kind::Text),
            ("'it''s'", Kind::Text),
        ] {
            assert_eq!(kind(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (text, expected) in [
            ("", "this expression is empty: "),
            ("$.a ==", "a value belongs here: "),
            ("'abc", "this text does not end: 'abc"),
            ("rwo.id", "there is nothing named `rwo` here: rwo"),
            ("row.kye", "`row` has no `kye`: .kye"),
            ("row", "`row` needs the name of a member: row"),
            ("row.id.x", "`row.id` is text and has no members: .x"),
            (
                "now | lower",
                "`lower` takes text, this is a time: now | lower",
            ),
            ("$ | lowr", "there is no function `lowr`: lowr"),
            (
                "$.a and true",
                "this must be a condition and is anything: $.a",
            ),
            ("status == '200'", "a number is never text: status == '200'"),
            (
                "$ | lower extra",
                "the expression is over before this: extra",
            ),
            ("$ | join", "`join` needs `separator` in parentheses: join"),
            (
                "connection.key",
                "`connection` has no value here: connection.key",
            ),
            ("$.a & $.b", "`&` means nothing in an expression: &"),
            ("1.2.3", "this is not a number: 1.2.3"),
        ] {
            assert_eq!(kind(text), Err(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let deep = format!("{}true{}", "(".repeat(10_000), ")".repeat(10_000));
        assert!(kind(&deep).is_err());
        let nots = format!("{}true", "not ".repeat(10_000));
        assert!(kind(&nots).is_err());
    }
}
