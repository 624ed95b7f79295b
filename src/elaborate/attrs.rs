//! Converts a statement's arguments to an operator's typed attributes.

use std::sync::Arc;

use super::eval::{Eval, number};
use super::foreign;
use super::operators::Operator;
use super::suggest::nearest;
use super::value::{Bound, Value};
use crate::base::codes;
use crate::base::diagnostic::Diagnostic;
use crate::base::source::Span;
use crate::ir::{self, Op, PadMode, Pair, PoolKind, Sides};
use crate::syntax::second_value;

/// The largest number allowed in an attribute.
const MAX_ATTR: i64 = 1 << 40;

/// An operator's arguments by key.
struct Attrs<'a, 'e> {
    operator: &'static Operator,
    given: Vec<(&'static str, &'a Bound)>,
    call: Span,
    /// Whether its input is 1-D, where a size is one number.
    signal: bool,
    eval: &'a mut Eval<'e>,
    failed: bool,
}

/// Builds the operator of a statement; `None` after a reported error. `call` is the statement; `signal` is whether the
/// current value has one spatial axis.
pub(super) fn operator(operator: &'static Operator, args: &[Bound], call: Span, signal: bool, eval: &mut Eval<'_>) -> Option<Op> {
    let given = keys(operator, args, eval);
    let failed = given.is_none();
    let mut attrs = Attrs { operator, given: given.unwrap_or_default(), call, signal, eval, failed };
    let op = attrs.build();
    if attrs.failed { None } else { op }
}

/// Finds the key of each argument; `None` after a reported error.
fn keys<'b>(operator: &'static Operator, args: &'b [Bound], eval: &mut Eval<'_>) -> Option<Vec<(&'static str, &'b Bound)>> {
    let mut given: Vec<(&'static str, &Bound)> = Vec::new();
    let mut fine = true;
    for (i, arg) in args.iter().enumerate() {
        if i > 0 && arg.key.is_none() {
            // the parser has reported every argument without a key but the first
            fine = false;
            continue;
        }
        let (name, span): (Arc<str>, Span) = match (&arg.key, operator.positional) {
            (Some((key, span)), _) => (key.clone(), *span),
            (None, Some(positional)) => (positional.into(), arg.span),
            (None, None) if args.get(1).is_some_and(|second| second.key.is_none()) => {
                fine = false;
                continue;
            }
            (None, None) => {
                let takes = if operator.keys.is_empty() { "nothing" } else { "its arguments by key" };
                eval.diags.push(Diagnostic::error(
                    codes::TOO_MANY_ARGUMENTS,
                    format!("`{}` takes {takes}", operator.word),
                    arg.span,
                    "not expected here",
                ));
                fine = false;
                continue;
            }
        };
        match operator.keys.iter().find(|key| *key.name == *name) {
            Some(key) if given.iter().any(|(k, _)| *k == key.name) => {
                eval.diags.push(Diagnostic::error(
                    codes::GIVEN_TWICE,
                    format!("`{name}` is given twice"),
                    span,
                    "the second time",
                ));
                fine = false;
            }
            Some(key) => given.push((key.name, arg)),
            None => {
                fine = false;
                let message = format!("`{}` has no `{name}`", operator.word);
                // `linear 512, classes`: a value rather than the short form of `classes: classes`
                let short = (i == 1 && span == arg.span && args[0].key.is_none())
                    .then(|| second_value(operator.word, args[0].span, span))
                    .flatten();
                if let Some((help, at, own)) = short {
                    let diag = Diagnostic::error(codes::UNKNOWN_KEY, message, span, format!("is short for `{name}: {name}`"));
                    eval.diags.push(diag.fix(help, at, own));
                    continue;
                }
                if let Some(diag) = foreign::error(operator.word, &name, codes::UNKNOWN_KEY, span, message.clone()) {
                    eval.diags.push(diag);
                    continue;
                }
                let mut diag = Diagnostic::error(codes::UNKNOWN_KEY, message, span, "not one of its keys");
                if let Some(near) = nearest(&name, operator.keys.iter().map(|key| key.name)) {
                    diag = diag.fix(format!("did you mean `{near}`?"), span, near);
                } else if !operator.keys.is_empty() {
                    let list: Vec<_> = operator.keys.iter().map(|key| format!("`{}`", key.name)).collect();
                    diag = diag.note(format!("it takes {}", list.join(", ")));
                }
                eval.diags.push(diag);
            }
        }
    }
    fine.then_some(given)
}

impl Attrs<'_, '_> {
    fn get(&self, key: &str) -> Option<(&Value, Span)> {
        self.given.iter().find(|(k, _)| *k == key).map(|(_, bound)| (&bound.value, bound.span))
    }

    fn missing(&mut self, key: &str) {
        if !self.failed {
            self.eval.diags.push(Diagnostic::error(
                codes::MISSING_ARGUMENT,
                format!("`{}` needs `{key}`", self.operator.word),
                self.call,
                format!("`{key}` is not given"),
            ));
        }
        self.failed = true;
    }

    fn wrong<T>(&mut self, needed: &str, got: &Value, span: Span) -> Option<T> {
        let got = got.clone();
        self.eval.mismatch(needed, &got, span);
        self.failed = true;
        None
    }

    fn count(&mut self, value: &Value, span: Span) -> Option<usize> {
        match value {
            Value::Int(n) if (0..=MAX_ATTR).contains(n) => Some(*n as usize),
            Value::Int(n) => {
                let label = if *n < 0 { "negative" } else { "more than 2^40" };
                self.eval.diags.push(Diagnostic::error(codes::BAD_VALUE, format!("{n} is out of range here"), span, label));
                self.failed = true;
                None
            }
            other => self.wrong("a whole number", other, span),
        }
    }

    fn int(&mut self, key: &'static str, default: Option<usize>) -> Option<usize> {
        match self.get(key).map(|(v, s)| (v.clone(), s)) {
            Some((value, span)) => self.count(&value, span),
            None if default.is_some() => default,
            None => {
                self.missing(key);
                None
            }
        }
    }

    fn flag(&mut self, key: &'static str, default: bool) -> bool {
        match self.get(key).map(|(v, s)| (v.clone(), s)) {
            Some((Value::Bool(b), _)) => b,
            Some((other, span)) => self.wrong("true or false", &other, span).unwrap_or(default),
            None => default,
        }
    }

    fn float(&mut self, key: &'static str, default: f64) -> f64 {
        match self.get(key).map(|(v, s)| (v.clone(), s)) {
            Some((value, span)) => match number(&value) {
                Some(x) if x.is_finite() && x >= 0.0 => x,
                Some(_) => {
                    self.eval.diags.push(Diagnostic::error(
                        codes::BAD_VALUE,
                        format!("`{key}` cannot be {value}"),
                        span,
                        "out of range",
                    ));
                    self.failed = true;
                    default
                }
                None => self.wrong("a number", &value, span).unwrap_or(default),
            },
            None => default,
        }
    }

    fn pair_of(&mut self, value: &Value, span: Span) -> Option<Pair> {
        match value {
            Value::Size(h, w) => Some([self.count(&int(*h), span)?, self.count(&int(*w), span)?]),
            Value::Int(_) => self.count(value, span).map(|n| [if self.signal { 1 } else { n }, n]),
            other => self.wrong("a size such as 3x3, or a whole number", other, span),
        }
    }

    fn pair(&mut self, key: &'static str, default: Option<Pair>) -> Option<Pair> {
        match self.get(key).map(|(v, s)| (v.clone(), s)) {
            Some((value, span)) => self.pair_of(&value, span),
            None if default.is_some() => default,
            None => {
                self.missing(key);
                None
            }
        }
    }

    /// `[top, bottom, left, right]` (`[left, right]` for a 1-D input), or the same on both sides of an axis.
    fn sides(&mut self, key: &'static str, default: Option<Sides>) -> Option<Sides> {
        let (value, span) = match self.get(key) {
            Some((value, span)) => (value.clone(), span),
            None => return default,
        };
        if let Value::List(items) = &value {
            let mut numbers = Vec::new();
            for item in items.iter().take(5) {
                numbers.push(self.count(item, span)?);
            }
            return match numbers[..] {
                [left, right] if self.signal => Some([[0; 2], [left, right]]),
                [top, bottom, left, right] => Some([[top, bottom], [left, right]]),
                _ => self.wrong("a size, or [top, bottom, left, right]", &value, span),
            };
        }
        let sides = self.pair_of(&value, span).map(|[h, w]| [[h, h], [w, w]])?;
        Some(if self.signal && matches!(value, Value::Int(_)) { [[0; 2], sides[1]] } else { sides })
    }

    fn build(&mut self) -> Option<Op> {
        Some(match self.operator.word {
            "conv" => {
                let kernel = self.pair("kernel", None);
                let filters = self.int("filters", None);
                let stride = self.pair("stride", Some([1; 2]))?;
                let dilation = self.pair("dilation", Some([1; 2]))?;
                let kernel = kernel?;
                let pad = match self.sides("padding", ir::Conv::default_padding(kernel, dilation)) {
                    Some(pad) => pad,
                    None => {
                        if !self.failed {
                            self.missing("padding");
                            if let Some(diag) = self.eval.diags.last_mut() {
                                diag.notes.push(
                                    "note: no symmetric padding of an even kernel keeps the size, so `padding` must be given"
                                        .into(),
                                );
                            }
                        }
                        return None;
                    }
                };
                let groups = self.int("groups", Some(1));
                let bias = self.flag("bias", false);
                let epilogue = ir::Epilogue::default();
                Op::Conv(ir::Conv { filters: filters?, kernel, stride, pad, dilation, groups: groups?, bias, epilogue })
            }
            "batchnorm" => {
                let usual = ir::BatchNorm::DEFAULT;
                Op::BatchNorm(ir::BatchNorm {
                    eps: self.float("eps", usual.eps),
                    momentum: self.float("momentum", usual.momentum),
                })
            }
            "maxpool" => {
                if self.is_global() {
                    self.alone("kernel")?;
                    return Some(Op::GlobalMaxPool);
                }
                let dilation = self.pair("dilation", Some([1, 1]))?;
                self.pool(PoolKind::Max { dilation })?
            }
            "avgpool" => {
                if self.is_global() {
                    self.alone("kernel")?;
                    return Some(Op::AdaptiveAvgPool([1, 1]));
                }
                if self.get("output_size").is_some() {
                    self.alone("output_size")?;
                    return self.pair("output_size", None).map(Op::AdaptiveAvgPool);
                }
                let count_pad = self.flag("count_include_pad", true);
                self.pool(PoolKind::Avg { count_pad })?
            }
            "linear" => {
                let features = self.int("features", None)?;
                Op::Linear(ir::Linear { features, bias: self.flag("bias", true), epilogue: ir::Epilogue::default() })
            }
            "flatten" => Op::Flatten,
            "softmax" => Op::Softmax,
            "dropout" => {
                let rate = self.float("rate", 0.5);
                if rate > 1.0 {
                    let span = self.get("rate").map_or(self.call, |(_, span)| span);
                    self.eval.diags.push(Diagnostic::error(
                        codes::BAD_VALUE,
                        format!("a rate of {rate}"),
                        span,
                        "a rate is between 0 and 1",
                    ));
                    self.failed = true;
                }
                Op::Dropout(rate)
            }
            "pad" => {
                let sides = self.sides("sides", Some([[0; 2]; 2]))?;
                let channels = match self.get("channels").map(|(v, s)| (v.clone(), s)) {
                    None => [0, 0],
                    Some((Value::List(items), span)) if items.len() == 2 => {
                        [self.count(&items[0], span)?, self.count(&items[1], span)?]
                    }
                    Some((other, span)) => return self.wrong("[before, after]", &other, span),
                };
                let mode = self.word("mode", &[PadMode::Zeros, PadMode::Reflect, PadMode::Replicate].map(|m| (m.word(), m)))?;
                Op::Pad(ir::Pad { channels, sides, mode: mode.unwrap_or_default() })
            }
            "subsample" => Op::Subsample(self.pair("stride", None)?),
            "upsample" => {
                self.word("mode", &[("nearest", ())])?;
                if self.get("like").is_some() {
                    let (value, span) = self.get("like").map(|(v, s)| (v.clone(), s))?;
                    return self.wrong("a label", &value, span);
                }
                Op::Upsample(Some(self.pair("scale_factor", None)?))
            }
            // `add`, `mul` and `concat` join values: `expand::join` builds them
            _ => return None,
        })
    }

    /// One of several words, if given.
    fn word<T: Copy>(&mut self, key: &'static str, words: &[(&str, T)]) -> Option<Option<T>> {
        let Some((value, span)) = self.get(key).map(|(v, s)| (v.clone(), s)) else { return Some(None) };
        let found = words.iter().find(|(word, _)| matches!(&value, Value::Word(given) if **given == **word));
        match found {
            Some((_, meaning)) => Some(Some(*meaning)),
            None => {
                let list: Vec<String> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
                let needed = match &list[..] {
                    [others @ .., last] if !others.is_empty() => format!("{} or {last}", others.join(", ")),
                    _ => list.concat(),
                };
                self.wrong(&needed, &value, span)
            }
        }
    }

    fn is_global(&self) -> bool {
        self.get("kernel").is_some_and(|(value, _)| matches!(value, Value::Word(w) if **w == *"global"))
    }

    /// Reports other keys beside one that excludes them.
    fn alone(&mut self, key: &str) -> Option<()> {
        let other = self.given.iter().find(|(k, _)| *k != key).map(|(k, bound)| (*k, bound.span));
        match other {
            None => Some(()),
            Some((other, span)) => {
                self.eval.diags.push(Diagnostic::error(
                    codes::UNKNOWN_KEY,
                    format!("this `{}` has a fixed result, and no `{other}`", self.operator.word),
                    span,
                    "has no meaning here",
                ));
                self.failed = true;
                None
            }
        }
    }

    fn pool(&mut self, kind: PoolKind) -> Option<Op> {
        let kernel = self.pair("kernel", None)?;
        let stride = self.pair("stride", Some(kernel))?;
        let ceil = self.flag("ceil_mode", false);
        let pool = ir::Pool { kind, kernel, stride, pad: [[0; 2]; 2], ceil };
        let pad = self.sides("padding", Some(pool.default_padding()))?;
        Some(Op::Pool(ir::Pool { pad, ..pool }))
    }
}

fn int(n: u64) -> Value {
    Value::Int(i64::try_from(n).unwrap_or(i64::MAX))
}
