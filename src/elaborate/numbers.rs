//! Functions of the numbers of a source, in any expression: `floor(a / b)`, `round_to(width * 0.75, 8)`, `max(a, b)`.
//!
//! The elementwise functions of the same names, which work on the values of a network, are in [`super::function`].

use super::eval::{Env, Eval, number};
use super::number_function::NumberFunction;
use super::suggest::nearest;
use super::value::Value;
use crate::base::codes;
use crate::base::diagnostic::Diagnostic;
use crate::base::source::Span;
use crate::syntax::ast::{Arg, Ident};

/// The largest number that is rounded: above it, not every whole number is a decimal.
const MAX_ROUNDED: f64 = 9_007_199_254_740_992.0; // 2^53

impl Eval<'_> {
    /// The value of a call at `name`; `Unknown` after a reported error.
    pub fn number_function(&mut self, function: NumberFunction, name: &Ident, args: &[Arg], env: &Env) -> Value {
        let exact = self.exact;
        // what is rounded may be a fraction: 9 / 2 is 4.5 in `floor(9 / 2)`
        self.exact &= !function.rounds();
        let given = self.given(function, name, args, env);
        self.exact = exact;
        let Some(given) = given else { return Value::Unknown };
        match (function, &given[..]) {
            (NumberFunction::Floor, [Some(x), ..]) => self.whole(x, f64::floor),
            (NumberFunction::Ceil, [Some(x), ..]) => self.whole(x, f64::ceil),
            (NumberFunction::RoundTo, [Some(x), Some(divisor), min_value, round_limit]) => {
                self.round_to(x, divisor, min_value.as_ref(), round_limit.as_ref()).unwrap_or(Value::Unknown)
            }
            (NumberFunction::Min, given) => extreme(given, |a, b| a < b),
            (NumberFunction::Max, given) => extreme(given, |a, b| a > b),
            _ => Value::Unknown,
        }
    }

    /// The arguments by parameter; `None` after a reported error.
    fn given(&mut self, function: NumberFunction, name: &Ident, args: &[Arg], env: &Env) -> Option<Vec<Option<(Value, Span)>>> {
        let parameters = function.parameters();
        let mut given: Vec<Option<(Value, Span)>> = vec![None; parameters.len()];
        let mut fine = true;
        for (i, bound) in self.args(args, env).into_iter().enumerate() {
            let place = match &bound.key {
                None if parameters.is_empty() => {
                    given.push(None);
                    Some(given.len() - 1)
                }
                None => Some(i).filter(|i| *i < parameters.len()),
                Some((key, _)) => parameters.iter().position(|parameter| **parameter == **key),
            };
            match place {
                Some(place) => given[place] = Some((bound.value.clone(), bound.span)),
                None => {
                    self.misplaced(function, name, bound.key.as_ref().map(|(key, at)| (&**key, *at)), bound.span);
                    fine = false;
                    continue;
                }
            }
            if number(&bound.value).is_none() {
                self.mismatch("a number", &bound.value, bound.span);
                fine = false;
            }
        }
        let count = given.iter().take_while(|given| given.is_some()).count();
        if fine && count < function.required() {
            let message = format!("`{}` needs {} arguments", name.node, function.required());
            let message = if function.required() == 1 { format!("`{}` needs a number", name.node) } else { message };
            let diag = Diagnostic::error(codes::MISSING_ARGUMENT, message, name.span, "too few are given");
            let last = args.last().filter(|_| function == NumberFunction::RoundTo);
            self.diags.push(match last {
                Some(last) => {
                    let end = Span { start: last.span.end, ..last.span };
                    diag.fix("name the divisor, such as 8: the result is a multiple of it", end, ", 8")
                }
                None => diag.help(format!("write `{}`", function.example())),
            });
            fine = false;
        }
        fine.then_some(given)
    }

    fn misplaced(&mut self, function: NumberFunction, name: &Ident, key: Option<(&str, Span)>, span: Span) {
        let diag = match key {
            None => {
                let message = format!("`{}` takes {} arguments", name.node, function.parameters().len());
                let message =
                    if function.parameters().len() == 1 { format!("`{}` takes one number", name.node) } else { message };
                Diagnostic::error(codes::TOO_MANY_ARGUMENTS, message, span, "one too many")
            }
            Some((key, at)) => {
                let message = format!("`{}` has no `{key}`", name.node);
                let diag = Diagnostic::error(codes::UNKNOWN_KEY, message, at, "not one of its keys");
                match nearest(key, function.parameters().iter().copied()) {
                    Some(near) => diag.fix(format!("did you mean `{near}`?"), at, near),
                    None => diag.help(format!("write `{}`", function.example())),
                }
            }
        };
        self.diags.push(diag);
    }

    /// A rounded number as a whole one.
    fn whole(&mut self, (value, span): &(Value, Span), round: impl Fn(f64) -> f64) -> Value {
        match value {
            Value::Int(_) => value.clone(),
            value => match number(value).map(round) {
                Some(x) if x.abs() <= MAX_ROUNDED => Value::Int(x as i64),
                _ => self.too_large(*span),
            },
        }
    }

    fn too_large(&mut self, span: Span) -> Value {
        self.diags.push(Diagnostic::error(codes::ARITHMETIC, "the number is too large", span, "cannot be rounded"));
        Value::Unknown
    }

    /// torchvision's `_make_divisible(v, divisor, min_value)` (`models/_utils.py`, after MobileNet's TensorFlow code) and timm's
    /// `make_divisible(v, divisor, min_value, round_limit)` (`layers/helpers.py`): the nearest multiple of `divisor`, at least
    /// `min_value`; one more where rounding down would lose more than `1 - round_limit` of the number.
    fn round_to(
        &mut self,
        (x, at): &(Value, Span),
        (divisor, divisor_at): &(Value, Span),
        min_value: Option<&(Value, Span)>,
        round_limit: Option<&(Value, Span)>,
    ) -> Option<Value> {
        let divisor = self.count(divisor, *divisor_at, 1)?;
        let least = match min_value {
            Some((value, span)) => self.count(value, *span, 0)?,
            None => divisor,
        };
        let limit = round_limit.and_then(|(value, _)| number(value)).unwrap_or(0.9);
        let x = number(x)?;
        if x.abs() > MAX_ROUNDED {
            return Some(self.too_large(*at));
        }
        let nearest = ((x + divisor as f64 / 2.0) as i64).div_euclid(divisor) * divisor;
        let rounded = nearest.max(least);
        Some(Value::Int(if (rounded as f64) < limit * x { rounded + divisor } else { rounded }))
    }

    /// A whole number of at least `least` that can be calculated with.
    fn count(&mut self, value: &Value, span: Span, least: i64) -> Option<i64> {
        match value {
            Value::Int(n) if *n >= least && (*n as f64) <= MAX_ROUNDED => Some(*n),
            Value::Int(n) => {
                let message = format!("{n} is out of range here");
                let label = if *n < least { format!("less than {least}") } else { "too large".to_owned() };
                self.diags.push(Diagnostic::error(codes::BAD_VALUE, message, span, label));
                None
            }
            other => {
                self.mismatch("a whole number", other, span);
                None
            }
        }
    }
}

/// The first value that every later one is not `better` than.
fn extreme(given: &[Option<(Value, Span)>], better: impl Fn(f64, f64) -> bool) -> Value {
    let mut best: Option<(&Value, f64)> = None;
    for (value, _) in given.iter().flatten() {
        let Some(x) = number(value) else { return Value::Unknown };
        if best.is_none_or(|(_, y)| better(x, y)) {
            best = Some((value, x));
        }
    }
    best.map_or(Value::Unknown, |(value, _)| value.clone())
}
