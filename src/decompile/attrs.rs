//! An operator as a statement: its word, and its arguments with what the language takes where they are not written.

use std::fmt;

use crate::ir::{Dim, Op, PadMode, Pair, Pool, PoolKind, Shape, Sides};

/// The value of an argument.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Val {
    Int(i64),
    Size(Pair),
    Sides(Sides),
    Ends([usize; 2]),
    Float(f64),
    Bool(bool),
    /// A word of the language: `global`.
    Word(&'static str),
}

impl Val {
    pub fn int(n: usize) -> Val {
        Val::Int(i64::try_from(n).unwrap_or(i64::MAX))
    }

    /// A stride and the like: `2` for `2x2`.
    fn step([h, w]: Pair) -> Val {
        if h == w { Val::int(h) } else { Val::Size([h, w]) }
    }

    fn sides(sides: Sides) -> Val {
        match sides {
            [[t, b], [l, r]] if t == b && l == r => Val::step([t, l]),
            other => Val::Sides(other),
        }
    }

    pub fn as_int(&self) -> Option<i64> {
        match self {
            Val::Int(n) => Some(*n),
            _ => None,
        }
    }
}

impl fmt::Display for Val {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Val::Int(n) => write!(f, "{n}"),
            Val::Size([h, w]) => write!(f, "{h}x{w}"),
            Val::Sides([[t, b], [l, r]]) => write!(f, "[{t}, {b}, {l}, {r}]"),
            Val::Ends([a, b]) => write!(f, "[{a}, {b}]"),
            // the shortest text that reads as the same number
            Val::Float(x) if *x == x.trunc() && x.abs() < 1e15 => write!(f, "{}", *x as i64),
            Val::Float(x) => write!(f, "{x:?}"),
            Val::Bool(b) => write!(f, "{b}"),
            Val::Word(word) => f.write_str(word),
        }
    }
}

/// An argument.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Attr {
    pub key: &'static str,
    /// Whether it stands first, without its key.
    pub first: bool,
    pub value: Val,
    /// Whether the language takes this value where none is written.
    pub default: bool,
}

/// The word and the arguments of an operator. `signal` says that its operand has one spatial axis, where a size is one number.
pub(super) fn statement(op: &Op, signal: bool) -> (&'static str, Vec<Attr>) {
    let mut list = arguments(op);
    for attr in list.iter_mut().filter(|_| signal) {
        match attr.value {
            Val::Size([_, n]) => attr.value = Val::int(n),
            Val::Sides([_, ends]) => attr.value = Val::Ends(ends),
            _ => {}
        }
    }
    (op.word(), list)
}

fn arguments(op: &Op) -> Vec<Attr> {
    let first = |key, value| Attr { key, first: true, value, default: false };
    let attr = |key, value: Val, default: bool| Attr { key, first: false, value, default };
    match op {
        Op::Conv(c) => vec![
            first("kernel", Val::Size(c.kernel)),
            attr("filters", Val::int(c.filters), false),
            attr("stride", Val::step(c.stride), c.stride == [1, 1]),
            attr("padding", Val::sides(c.pad), Some(c.pad) == same(c.kernel, c.dilation)),
            attr("dilation", Val::step(c.dilation), c.dilation == [1, 1]),
            attr("groups", Val::int(c.groups), c.groups == 1),
            attr("bias", Val::Bool(c.bias), !c.bias),
        ],
        Op::BatchNorm(n) => {
            vec![attr("eps", Val::Float(n.eps), n.eps == 1e-5), attr("momentum", Val::Float(n.momentum), n.momentum == 0.1)]
        }
        Op::Pool(pool @ Pool { kind, kernel, stride, pad, ceil }) => {
            let mut list = vec![
                first("kernel", Val::Size(*kernel)),
                attr("stride", Val::step(*stride), stride == kernel),
                attr("padding", Val::sides(*pad), *pad == pool.default_pad()),
                attr("ceil_mode", Val::Bool(*ceil), !ceil),
            ];
            match kind {
                PoolKind::Max { dilation } => list.push(attr("dilation", Val::step(*dilation), *dilation == [1, 1])),
                PoolKind::Avg { count_pad } => list.push(attr("count_include_pad", Val::Bool(*count_pad), *count_pad)),
            }
            list
        }
        Op::AdaptiveAvgPool([1, 1]) => vec![first("kernel", Val::Word("global"))],
        Op::AdaptiveAvgPool(size) => vec![attr("output_size", Val::Size(*size), false)],
        Op::Linear(l) => vec![first("features", Val::int(l.features)), attr("bias", Val::Bool(l.bias), l.bias)],
        Op::Dropout(rate) => vec![Attr { default: *rate == 0.5, ..first("rate", Val::Float(*rate)) }],
        Op::Pad(p) => vec![
            Attr { default: p.sides == [[0; 2]; 2], ..first("sides", Val::sides(p.sides)) },
            attr("channels", Val::Ends(p.channels), p.channels == [0, 0]),
            attr("mode", Val::Word(p.mode.word()), p.mode == PadMode::Zeros),
        ],
        Op::Subsample(stride) => vec![first("stride", Val::step(*stride))],
        Op::GlobalMaxPool => vec![first("kernel", Val::Word("global"))],
        Op::Upsample(None) => vec![first("mode", Val::Word("nearest"))],
        Op::Upsample(Some(times)) => {
            vec![first("mode", Val::Word("nearest")), attr("scale_factor", Val::step(*times), false)]
        }
        Op::Clamp(clip) => {
            let limit = |key, limit: Option<f32>| limit.map(|x| attr(key, Val::Float(shortest(x)), false));
            [limit("min", clip.min), limit("max", clip.max)].into_iter().flatten().collect()
        }
        Op::Scale(s) => {
            vec![first("times", Val::Float(shortest(s.times))), attr("plus", Val::Float(shortest(s.plus)), s.plus == 0.0)]
        }
        Op::Act(_) | Op::Input(_) | Op::Add | Op::Mul | Op::Concat | Op::Flatten | Op::Softmax | Op::Train(_) => Vec::new(),
    }
}

/// The number whose shortest text is that of this one.
fn shortest(x: f32) -> f64 {
    x.to_string().parse().unwrap_or(f64::from(x))
}

/// The padding that a convolution has where none is written.
fn same(kernel: Pair, dilation: Pair) -> Option<Sides> {
    let mut pad = [[0; 2]; 2];
    for axis in 0..2 {
        if kernel[axis].is_multiple_of(2) {
            return None;
        }
        pad[axis] = [dilation[axis].checked_mul(kernel[axis] / 2)?; 2];
    }
    Some(pad)
}

/// By how much an operator makes the map smaller, as a shortcut's policy counts it.
pub(super) fn step(op: &Op) -> Pair {
    match op {
        Op::Conv(c) => c.stride,
        Op::Pool(p) => p.stride,
        Op::Subsample(s) => *s,
        Op::Input(_)
        | Op::BatchNorm(_)
        | Op::Act(_)
        | Op::Add
        | Op::Mul
        | Op::Concat
        | Op::AdaptiveAvgPool(_)
        | Op::Flatten
        | Op::Linear(_)
        | Op::Softmax
        | Op::Dropout(_)
        | Op::Pad(_)
        | Op::GlobalMaxPool
        | Op::Upsample(_)
        | Op::Clamp(_)
        | Op::Scale(_)
        | Op::Train(_) => [1, 1],
    }
}

/// Whether a shape is that of a signal.
pub(super) fn is_signal(shape: Option<&Shape>) -> bool {
    shape.and_then(Shape::dims).is_some_and(|dims| dims.len() == 2)
}

/// Whether a shape is that of a map, or of a signal.
pub(super) fn is_map(shape: &Shape) -> bool {
    shape.dims().is_some_and(|dims| dims.len() > 1)
}

/// The dimensions of an input as the language writes them; `None` where it has no word for them.
pub(super) fn input(shape: &Shape) -> Option<String> {
    let dims = shape.dims()?;
    let plain = |dim: &Dim| matches!(dim, Dim::Fixed(_) | Dim::Free { add: 0, div: 1, .. });
    dims.iter().all(plain).then(|| shape.to_string())
}
