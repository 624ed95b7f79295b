//! Elementwise functions as programs: straight-line code over scalars, in static single assignment form.
//!
//! A [`Program`] computes one value from the values of its operands at one element. It is a list, not a tree: a tree in which a
//! function uses its argument twice would double with every composition. Programs are made by a [`Builder`], which shares equal
//! subexpressions, and can be composed ([`Builder::inline`]), differentiated ([`Program::gradient`]), written as expressions
//! ([`Program::text`]) and evaluated in f64 ([`Program::evaluate`]). The kernels compile them for vectors.

mod builder;
mod compose;
mod gradient;
mod instruction;
mod program;
mod text;

pub use builder::Builder;
pub use gradient::{Gradient, Read};
pub(crate) use instruction::number;
pub use instruction::{Binary, Comparison, Instruction, Register, Unary};
pub use program::{MAX_INSTRUCTIONS, MAX_OPERANDS, Program, ProgramError};

/// Programs that the compiler knows.
impl Program {
    /// The operand itself.
    pub fn identity() -> Program {
        Builder::build(1, |b| b.operand(0))
    }

    /// `max(x, 0)`; NaN stays NaN, and the gradient at 0 is 0, as in PyTorch.
    pub fn relu() -> Program {
        Builder::build(1, |b| {
            let (x, zero) = (b.operand(0), b.constant(0.0));
            b.select(Comparison::LessEqual, x, zero, zero, x)
        })
    }

    /// The nearest bf16.
    pub fn round_bf16() -> Program {
        Builder::build(1, |b| {
            let x = b.operand(0);
            b.unary(Unary::RoundBf16, x)
        })
    }

    /// `1 / (1 + exp(-x))`.
    pub fn sigmoid() -> Program {
        Builder::build(1, |b| {
            let x = b.operand(0);
            b.unary(Unary::Sigmoid, x)
        })
    }

    /// `min(max(x, min), max)`; infinite limits are none.
    pub fn clamp(min: f32, max: f32) -> Program {
        Builder::build(1, |b| {
            let x = b.operand(0);
            b.clamp(x, min, max)
        })
    }

    /// The sum of operands, from the first on; at most [`MAX_OPERANDS`].
    pub fn sum(operands: usize) -> Program {
        Program::chain(Binary::Add, operands)
    }

    /// The product of two operands.
    pub fn product() -> Program {
        Program::chain(Binary::Mul, 2)
    }

    fn chain(op: Binary, operands: usize) -> Program {
        let operands = operands.clamp(1, MAX_OPERANDS);
        Builder::build(operands, |b| {
            let first = b.operand(0);
            (1..operands).fold(first, |sum, slot| {
                let next = b.operand(slot);
                b.binary(op, sum, next)
            })
        })
    }
}

#[cfg(test)]
mod tests;
