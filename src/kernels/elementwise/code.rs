//! Programs compiled for strips of vectors.

use crate::elementwise::{Binary, Comparison, Unary};
use crate::kernels::aligned::LINE;

/// A compiled [`Program`](crate::elementwise::Program): a list of operations, each of which is carried out on a strip of values before the next one. Their
/// results are kept in registers: buffers of the length of a strip, few enough to stay in the L1 cache.
#[derive(Clone, Debug, PartialEq)]
pub struct Code {
    /// Number of operands.
    pub(super) operands: usize,
    /// Number of registers.
    pub(super) registers: usize,
    /// Vectors of one number each.
    pub(super) constants: Vec<[f32; LINE]>,
    /// In order; the last one's target is the result.
    pub(super) operations: Vec<Operation>,
}

/// The most sources that an action has.
pub(super) const MAX_SOURCES: usize = 6;

/// An operation on strips.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Operation {
    pub action: Action,
    /// As many as the action has; the others are not read.
    pub sources: [Source; MAX_SOURCES],
    pub target: Target,
}

/// What an operation computes of its sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Copy,
    Unary(Unary),
    Binary(Binary),
    /// The second source if the first one is below it, the third one if it is above that.
    Clamp,
    /// The third source if the comparison of the first two holds, else the fourth.
    Select(Comparison),
    /// `max(x, 0)`, of a single value.
    Relu,
    /// `tanh(softplus(x))`, in one step.
    TanhSoftplus,
    /// An operation on the first two sources, and one on its result and the sources that follow.
    Pair(First, Second),
    /// `max(a * b + c, 0)`: the end of a block with a gate.
    MulAddRelu,
    /// `sigmoid(a) * b`.
    SigmoidTimes,
    /// `tanh(softplus(a)) * b`.
    TanhSoftplusTimes,
    /// `(1 + erf(a * b)) * (c * d)`: GELU.
    ErfGate,
    /// `clamp(a + b, min, max) * c / d`: hardswish.
    ClampGate,
}

/// The first operation of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum First {
    Add,
    Sub,
    Mul,
}

/// The second operation of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Second {
    Add,
    Sub,
    Mul,
    Div,
    Clamp,
    Relu,
}

/// Where an operation finds a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Operand(u8),
    Constant(u16),
    Register(u8),
}

/// Where an operation stores its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Register(u8),
    Result,
}

impl Code {
    /// Number of operands.
    pub fn operands(&self) -> usize {
        self.operands
    }

    /// The limits, if all that it does is to limit its operand: `clamp`, and functions such as `relu6`.
    pub fn as_clamp(&self) -> Option<[f32; 2]> {
        let [Operation { action: Action::Clamp, sources, .. }] = &self.operations[..] else { return None };
        match sources[..3] {
            [Source::Operand(0), Source::Constant(min), Source::Constant(max)] => {
                Some([min, max].map(|index| self.constants[usize::from(index)][0]))
            }
            _ => None,
        }
    }
}
