//! Reads a statement's arguments as the attributes that an operator's schema declares.

use super::eval::{Eval, number};
use super::keys;
use super::value::{Bound, Value};
use crate::base::codes;
use crate::base::diagnostic::Diagnostic;
use crate::base::source::Span;
use crate::ir::ops::{AttrValue, Attribute, Attributes, DefaultValue, Invalid, Kind, Operator, Schema};
use crate::ir::{Op, Pair, Shape, Sides};

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
    let given = keys::of_arguments(schema, args, eval);
    let failed = given.is_none();
    let mut reader = Reader { schema: *schema, given: given.unwrap_or_default(), call, signal, eval, failed, unknown: false };
    let attributes = reader.read();
    (!reader.failed && !reader.unknown).then_some(attributes)
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

    /// Reports what is none of an attribute's words: a number that another attribute takes, or a word in quotes.
    fn wrong_word<T>(&mut self, attribute: &Attribute<'_>, words: &[&str], value: &Value, span: Span) -> Option<T> {
        let needed = attribute.kind.takes();
        let diag = |message| Diagnostic::error(codes::BAD_VALUE, message, span, format!("is {value}"));
        let of_number = self.schema.attributes.iter().find(|other| other.kind == Kind::Factors);
        let found = match (value, of_number) {
            (Value::Str(text), _) if words.contains(&&**text) => diag(format!("`{}` takes a word", attribute.key)).fix(
                format!("words are written without quotes: `{text}`"),
                span,
                &**text,
            ),
            (Value::Int(_) | Value::Float(_) | Value::Size(..), Some(other)) => {
                let own = format!("{}: ", other.key);
                diag(format!("this needs {needed}, not a number")).fix(
                    format!("write `{own}{value}`"),
                    Span { end: span.start, ..span },
                    own,
                )
            }
            (Value::Int(_), None) if words.contains(&"channels") => diag(format!("this needs {needed}, not a number"))
                .help("PyTorch's `dim=1` is `channels` here: all axes have names"),
            _ => return self.wrong(&needed, value, span),
        };
        self.eval.diags.push(found);
        self.failed = true;
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
                None => return self.wrong_word(attribute, words, value, span),
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
            Value::List(items) if items.len() == 2 => Some([self.count(&items[0], span)?, self.count(&items[1], span)?]),
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
