//! Reads a statement's arguments as the attributes that an operator's schema declares.

use std::sync::Arc;

use super::eval::{Eval, number};
use super::foreign;
use super::suggest::nearest;
use super::value::{Bound, Value};
use crate::base::codes;
use crate::base::diagnostic::Diagnostic;
use crate::base::source::Span;
use crate::ir::ops::{AttrValue, Attribute, Attributes, DefaultValue, Invalid, Kind, Operator, Schema};
use crate::ir::{Op, Pair, Shape, Sides};
use crate::syntax::second_value;

/// The largest number allowed in an attribute.
const MAX_ATTR: i64 = 1 << 40;

/// An operator's arguments by key.
struct Reader<'a, 's, 'e> {
    schema: Schema<'s>,
    given: Vec<(&'s str, &'a Bound)>,
    call: Span,
    /// Whether its input is 1-D, where a size is one number; `None` if that is unknown.
    signal: Option<bool>,
    eval: &'a mut Eval<'e>,
    failed: bool,
    /// Whether a value is unknown, so that there is no operator, though no mistake either.
    unknown: bool,
}

/// Builds the operator of a statement from its arguments and the shape of its operand; `None` after a reported error. `call` is the
/// statement.
pub(super) fn operator(operator: &Operator, args: &[Bound], call: Span, x: &Shape, eval: &mut Eval<'_>) -> Option<Op> {
    let signal = x.dims().is_some().then(|| x.is_1d());
    let attributes = arguments(&operator.schema, args, call, signal, eval)?;
    read(operator, &attributes, std::slice::from_ref(x), call, eval)
}

/// Builds an operator from its attributes; `None` after a reported error.
pub(super) fn read(
    operator: &Operator,
    attributes: &Attributes<'_>,
    operands: &[Shape],
    call: Span,
    eval: &mut Eval<'_>,
) -> Option<Op> {
    match (operator.read)(attributes, operands) {
        Ok(op) => Some(op),
        Err(Invalid { code, message, label }) => {
            eval.diags.push(Diagnostic::error(code, message, call, label));
            None
        }
    }
}

/// The attributes of a statement, defaults included; `None` after a reported error. `signal` is whether the current value has one
/// spatial axis, if that is known.
pub(super) fn arguments<'s>(
    schema: &Schema<'s>,
    args: &[Bound],
    call: Span,
    signal: Option<bool>,
    eval: &mut Eval<'_>,
) -> Option<Attributes<'s>> {
    let given = keys(schema, args, eval);
    let failed = given.is_none();
    let mut reader = Reader { schema: *schema, given: given.unwrap_or_default(), call, signal, eval, failed, unknown: false };
    let attributes = reader.read();
    (!reader.failed && !reader.unknown).then_some(attributes)
}

/// Finds the key of each argument; `None` after a reported error.
fn keys<'b, 's>(schema: &Schema<'s>, args: &'b [Bound], eval: &mut Eval<'_>) -> Option<Vec<(&'s str, &'b Bound)>> {
    let mut given: Vec<(&str, &Bound)> = Vec::new();
    let mut fine = true;
    for (i, arg) in args.iter().enumerate() {
        if i > 0 && arg.key.is_none() {
            // the parser has reported every argument without a key but the first
            fine = false;
            continue;
        }
        let (name, span): (Arc<str>, Span) = match (&arg.key, schema.positional()) {
            (Some((key, span)), _) => (key.clone(), *span),
            (None, Some(positional)) => (positional.into(), arg.span),
            (None, None) if args.get(1).is_some_and(|second| second.key.is_none()) => {
                fine = false;
                continue;
            }
            (None, None) => {
                let takes = if schema.attributes.is_empty() { "nothing" } else { "its arguments by key" };
                eval.diags.push(Diagnostic::error(
                    codes::TOO_MANY_ARGUMENTS,
                    format!("`{}` takes {takes}", schema.word),
                    arg.span,
                    "not expected here",
                ));
                fine = false;
                continue;
            }
        };
        match schema.attribute(&name) {
            Some(key) if given.iter().any(|(k, _)| *k == key.key) => {
                eval.diags.push(Diagnostic::error(
                    codes::GIVEN_TWICE,
                    format!("`{name}` is given twice"),
                    span,
                    "the second time",
                ));
                fine = false;
            }
            Some(key) => given.push((key.key, arg)),
            None => {
                fine = false;
                let message = format!("`{}` has no `{name}`", schema.word);
                // `linear 512, classes`: a value rather than the short form of `classes: classes`
                let short = (i == 1 && span == arg.span && args[0].key.is_none())
                    .then(|| second_value(schema.word, args[0].span, span))
                    .flatten();
                if let Some((help, at, own)) = short {
                    let diag = Diagnostic::error(codes::UNKNOWN_KEY, message, span, format!("is short for `{name}: {name}`"));
                    eval.diags.push(diag.fix(help, at, own));
                    continue;
                }
                if let Some(diag) = foreign::error(schema.word, &name, codes::UNKNOWN_KEY, span, message.clone()) {
                    eval.diags.push(diag);
                    continue;
                }
                let mut diag = Diagnostic::error(codes::UNKNOWN_KEY, message, span, "not one of its keys");
                if let Some(near) = nearest(&name, schema.attributes.iter().map(|key| key.key)) {
                    diag = diag.fix(format!("did you mean `{near}`?"), span, near);
                } else if !schema.attributes.is_empty() {
                    let list: Vec<_> = schema.attributes.iter().map(|key| format!("`{}`", key.key)).collect();
                    diag = diag.note(format!("it takes {}", list.join(", ")));
                }
                eval.diags.push(diag);
            }
        }
    }
    fine.then_some(given)
}

impl<'s> Reader<'_, 's, '_> {
    fn read(&mut self) -> Attributes<'s> {
        let mut values = Attributes::default();
        let alone = self.alone();
        let may_be_alone = self.may_be_alone();
        for attribute in self.schema.attributes.iter().filter(|a| alone.is_none_or(|key| key == a.key)) {
            let value = match (self.get(attribute.key), attribute.default) {
                (Some((value, span)), _) => self.value(attribute, &value, span),
                (None, DefaultValue::Is(value)) => Some(value),
                (None, DefaultValue::Required | DefaultValue::RequiredUnless(_)) => {
                    if !may_be_alone {
                        self.missing(attribute.key, None);
                    }
                    None
                }
                (None, DefaultValue::Absent(_) | DefaultValue::Rule(_)) => None,
            };
            if let Some(value) = value {
                values.push(attribute.key, value);
            }
        }
        if alone.is_none() && !self.failed && !self.unknown {
            self.follow(&mut values);
        }
        values
    }

    /// Adds the defaults that follow from other attributes.
    fn follow(&mut self, values: &mut Attributes<'s>) {
        for attribute in self.schema.attributes {
            if let DefaultValue::Rule(rule) = attribute.default
                && values.value(attribute.key).is_none()
            {
                match (rule.value)(values) {
                    Some(value) => values.push(attribute.key, value),
                    None => self.missing(attribute.key, Some(rule.missing)),
                }
            }
        }
    }

    fn is_signal(&self) -> bool {
        self.signal == Some(true)
    }

    fn get(&self, key: &str) -> Option<(Value, Span)> {
        self.given.iter().find(|(k, _)| *k == key).map(|(_, bound)| (bound.value.clone(), bound.span))
    }

    fn missing(&mut self, key: &str, why: Option<&str>) {
        if !self.failed {
            let diag = Diagnostic::error(
                codes::MISSING_ARGUMENT,
                format!("`{}` needs `{key}`", self.schema.word),
                self.call,
                format!("`{key}` is not given"),
            );
            self.eval.diags.push(why.into_iter().fold(diag, Diagnostic::note));
        }
        self.failed = true;
    }

    fn refuse<T>(&mut self, message: String, span: Span, label: impl Into<String>) -> Option<T> {
        self.eval.diags.push(Diagnostic::error(codes::BAD_VALUE, message, span, label));
        self.failed = true;
        None
    }

    fn wrong<T>(&mut self, needed: &str, got: &Value, span: Span) -> Option<T> {
        self.eval.mismatch(needed, got, span);
        match got {
            Value::Unknown => self.unknown = true,
            _ => self.failed = true,
        }
        None
    }

    /// The attribute that is given and excludes all others, which are reported.
    fn alone(&mut self) -> Option<&'s str> {
        let is_given = |key: &str, word: Option<&str>| {
            let is = |value| word.is_none_or(|word| matches!(value, Value::Word(given) if *given == *word));
            self.get(key).is_some_and(|(value, _)| is(value))
        };
        let key = self.schema.alone.iter().find(|alone| is_given(alone.key, alone.word))?.key;
        if let Some((other, bound)) = self.given.iter().find(|(k, _)| *k != key) {
            let message = format!("this `{}` has a fixed result, and no `{other}`", self.schema.word);
            self.eval.diags.push(Diagnostic::error(codes::UNKNOWN_KEY, message, bound.span, "has no meaning here"));
            self.failed = true;
        }
        Some(key)
    }

    /// Whether an unknown value may be a word that excludes the other attributes.
    fn may_be_alone(&self) -> bool {
        self.schema.alone.iter().any(|alone| self.get(alone.key).is_some_and(|(value, _)| value == Value::Unknown))
    }

    /// The value of an attribute; `None` after a reported error.
    fn value(&mut self, attribute: &Attribute<'_>, value: &Value, span: Span) -> Option<AttrValue> {
        Some(match attribute.kind {
            Kind::Count => self.count(value, span)?.into(),
            Kind::WindowOr(word) if is_word(value, word) => word.into(),
            Kind::Size | Kind::Window | Kind::WindowOr(_) => self.size(value, span)?.into(),
            Kind::Sides => self.sides(value, span)?.into(),
            Kind::Ends => match value {
                Value::List(items) if items.len() == 2 => {
                    AttrValue::Ends([self.count(&items[0], span)?, self.count(&items[1], span)?])
                }
                other => return self.wrong("[before, after]", other, span),
            },
            Kind::Shape => AttrValue::Shape(self.shape(value, span)?),
            Kind::Factors => AttrValue::Factors(self.factors(attribute, value, span)?),
            Kind::Number | Kind::Probability => self.number(attribute, value, span)?.into(),
            Kind::Real => match number(value).map(|x| x as f32).filter(|x| x.is_finite()) {
                Some(x) => x.into(),
                None => return self.wrong("a number", value, span),
            },
            Kind::Flag => match value {
                Value::Bool(on) => (*on).into(),
                other => return self.wrong("true or false", other, span),
            },
            Kind::Word(words) => match words.iter().find(|word| is_word(value, word)) {
                Some(word) => AttrValue::Word(word),
                None => return self.wrong(&attribute.kind.takes(), value, span),
            },
            Kind::Label => return self.wrong("a label", value, span),
        })
    }

    fn count(&mut self, value: &Value, span: Span) -> Option<usize> {
        match value {
            Value::Int(n) if (0..=MAX_ATTR).contains(n) => Some(*n as usize),
            Value::Int(n) => {
                let label = if *n < 0 { "negative" } else { "more than 2^40" };
                self.refuse(format!("{n} is out of range here"), span, label)
            }
            other => self.wrong("a whole number", other, span),
        }
    }

    /// `2`, `1.5`, `2x3` or `[1.5, 2]`; one number is for the length of a 1-D input.
    fn factors(&mut self, attribute: &Attribute<'_>, value: &Value, span: Span) -> Option<[f64; 2]> {
        match value {
            Value::Size(h, w) => Some([*h as f64, *w as f64]),
            Value::List(items) if items.len() == 2 => {
                Some([self.number(attribute, &items[0], span)?, self.number(attribute, &items[1], span)?])
            }
            Value::List(_) => self.wrong(&attribute.kind.takes(), value, span),
            _ => self.number(attribute, value, span).map(|factor| [if self.is_signal() { 1.0 } else { factor }, factor]),
        }
    }

    fn number(&mut self, attribute: &Attribute<'_>, value: &Value, span: Span) -> Option<f64> {
        let key = attribute.key;
        match number(value) {
            Some(x) if !x.is_finite() || x < 0.0 => self.refuse(format!("`{key}` cannot be {value}"), span, "out of range"),
            Some(x) if x > 1.0 && attribute.kind == Kind::Probability => {
                self.refuse(format!("a {key} of {x}"), span, format!("a {key} is between 0 and 1"))
            }
            Some(x) => Some(x),
            None => self.wrong("a number", value, span),
        }
    }

    /// `[channels, height, width]`, one of which may be -1: what the others leave.
    fn shape(&mut self, value: &Value, span: Span) -> Option<[Option<usize>; 3]> {
        let Value::List(items) = value else { return self.wrong("[channels, height, width]", value, span) };
        let [channels, height, width] = &items[..] else { return self.wrong("[channels, height, width]", value, span) };
        let mut sizes = [None; 3];
        for (size, item) in sizes.iter_mut().zip([channels, height, width]) {
            *size = if *item == Value::Int(-1) { None } else { Some(self.count(item, span)?) };
        }
        if sizes.iter().filter(|size| size.is_none()).count() > 1 {
            return self.refuse("only one size can be -1: what the others leave".to_owned(), span, "more than one is open");
        }
        Some(sizes)
    }

    fn size(&mut self, value: &Value, span: Span) -> Option<Pair> {
        match value {
            Value::Size(h, w) => Some([self.count(&int(*h), span)?, self.count(&int(*w), span)?]),
            Value::Int(_) => self.count(value, span).map(|n| [if self.is_signal() { 1 } else { n }, n]),
            other => self.wrong("a size such as 3x3, or a whole number", other, span),
        }
    }

    /// `[top, bottom, left, right]` (`[left, right]` for a 1-D input), or the same on both sides of an axis.
    fn sides(&mut self, value: &Value, span: Span) -> Option<Sides> {
        if let Value::List(items) = value {
            let mut numbers = Vec::new();
            for item in items.iter().take(5) {
                numbers.push(self.count(item, span)?);
            }
            return match numbers[..] {
                [left, right] if self.signal != Some(false) => Some([[0; 2], [left, right]]),
                [top, bottom, left, right] => Some([[top, bottom], [left, right]]),
                _ => self.wrong("a size, or [top, bottom, left, right]", value, span),
            };
        }
        let sides = self.size(value, span)?.map(|n| [n; 2]);
        Some(if self.is_signal() && matches!(value, Value::Int(_)) { [[0; 2], sides[1]] } else { sides })
    }
}

fn is_word(value: &Value, word: &str) -> bool {
    matches!(value, Value::Word(given) if **given == *word)
}

fn int(n: u64) -> Value {
    Value::Int(i64::try_from(n).unwrap_or(i64::MAX))
}
