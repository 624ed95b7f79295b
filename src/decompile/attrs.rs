//! An operator as a statement: its keyword, and its arguments with the language's defaults.

use std::fmt;

use crate::ir::{BatchNorm, Conv, Dim, Op, PadMode, Pair, Pool, PoolKind, Shape, Sides};

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

    /// A stride or a similar pair: `2` for `2x2`.
    fn pair([h, w]: Pair) -> Val {
        if h == w { Val::int(h) } else { Val::Size([h, w]) }
    }

    fn sides(sides: Sides) -> Val {
        match sides {
            [[t, b], [l, r]] if t == b && l == r => Val::pair([t, l]),
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
            // the shortest text that parses to the same number
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
    pub key: String,
    /// Whether it is positional, written first and without its key.
    pub first: bool,
    pub value: Val,
    /// Whether this is the language's default, which is not written.
    pub default: bool,
}

/// An operator as a statement.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Statement {
    pub word: String,
    /// What an `apply` computes.
    pub expression: Option<String>,
    pub arguments: Vec<Attr>,
}

/// An operator as a statement. `signal`: whether its operand has one spatial axis, so that sizes are single numbers.
pub(super) fn statement(op: &Op, signal: bool) -> Statement {
    let mut arguments = arguments(op);
    for attr in arguments.iter_mut().filter(|_| signal) {
        match attr.value {
            Val::Size([_, n]) => attr.value = Val::int(n),
            Val::Sides([_, width]) => attr.value = Val::Ends(width),
            _ => {}
        }
    }
    let applied = op.as_elementwise().filter(|function| function.is_applied());
    Statement { word: op.word().to_owned(), expression: applied.and_then(|function| function.expression()), arguments }
}

fn arguments(op: &Op) -> Vec<Attr> {
    let first = |key: &str, value| Attr { key: key.to_owned(), first: true, value, default: false };
    let attr = |key: &str, value: Val, default: bool| Attr { key: key.to_owned(), first: false, value, default };
    match op {
        Op::Conv(c) => vec![
            first("kernel", Val::Size(c.kernel)),
            attr("filters", Val::int(c.filters), false),
            attr("stride", Val::pair(c.stride), c.stride == [1, 1]),
            attr("padding", Val::sides(c.pad), Some(c.pad) == Conv::default_padding(c.kernel, c.dilation)),
            attr("dilation", Val::pair(c.dilation), c.dilation == [1, 1]),
            attr("groups", Val::int(c.groups), c.groups == 1),
            attr("bias", Val::Bool(c.bias), !c.bias),
        ],
        Op::BatchNorm(n) => {
            let usual = BatchNorm::DEFAULT;
            vec![
                attr("eps", Val::Float(n.eps), n.eps == usual.eps),
                attr("momentum", Val::Float(n.momentum), n.momentum == usual.momentum),
            ]
        }
        Op::Pool(pool @ Pool { kind, kernel, stride, pad, ceil }) => {
            let mut list = vec![
                first("kernel", Val::Size(*kernel)),
                attr("stride", Val::pair(*stride), stride == kernel),
                attr("padding", Val::sides(*pad), *pad == pool.default_padding()),
                attr("ceil_mode", Val::Bool(*ceil), !ceil),
            ];
            match kind {
                PoolKind::Max { dilation } => list.push(attr("dilation", Val::pair(*dilation), *dilation == [1, 1])),
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
        Op::Subsample(stride) => vec![first("stride", Val::pair(*stride))],
        Op::GlobalMaxPool => vec![first("kernel", Val::Word("global"))],
        Op::Upsample(None) => vec![first("mode", Val::Word("nearest"))],
        Op::Upsample(Some(scale_factor)) => {
            vec![first("mode", Val::Word("nearest")), attr("scale_factor", Val::pair(*scale_factor), false)]
        }
        Op::Elementwise(function) => {
            function.numbers.iter().map(|n| attr(&n.key, Val::Float(shortest(n.value)), n.is_default)).collect()
        }
        Op::Input(_) | Op::Concat | Op::Flatten | Op::Softmax | Op::Train(_) => Vec::new(),
    }
}

/// The `f64` with the same shortest text.
fn shortest(x: f32) -> f64 {
    x.to_string().parse().unwrap_or(f64::from(x))
}

/// Whether a shape has one spatial axis (1-D inputs).
pub(super) fn is_signal(shape: Option<&Shape>) -> bool {
    shape.and_then(Shape::dims).is_some_and(|dims| dims.len() == 2)
}

/// Whether a shape has spatial axes.
pub(super) fn is_map(shape: &Shape) -> bool {
    shape.dims().is_some_and(|dims| dims.len() > 1)
}

/// The dimensions of an input in the language's notation; `None` if they cannot be written.
pub(super) fn input(shape: &Shape) -> Option<String> {
    let dims = shape.dims()?;
    let plain = |dim: &Dim| matches!(dim, Dim::Fixed(_) | Dim::Free { add: 0, div: 1, .. });
    dims.iter().all(plain).then(|| shape.to_string())
}
