//! Programs: their rules, and their values in f64.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::instruction::{Comparison, Instruction, Register, clamp};

/// The largest number of instructions of a program.
pub const MAX_INSTRUCTIONS: usize = 256;

/// The largest number of operands of a program: their sum still fits.
pub const MAX_OPERANDS: usize = MAX_INSTRUCTIONS / 2;

/// Straight-line code that computes one value from those of its operands; the last instruction is the result. Always valid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Program {
    operands: u8,
    instructions: Vec<Instruction>,
}

/// A program as read from a file.
#[derive(Deserialize)]
struct Unchecked {
    operands: u8,
    instructions: Vec<Instruction>,
}

/// Why a list of instructions is not a program.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProgramError {
    /// Too many instructions.
    #[error("an elementwise function has at most {MAX_INSTRUCTIONS} operations")]
    TooLong,
    /// Too many operands.
    #[error("an elementwise function has at most {MAX_OPERANDS} operands")]
    TooManyOperands,
    /// No instructions.
    #[error("an elementwise function needs an operation")]
    Empty,
    /// An instruction reads a register that is not before it, or an operand that does not exist.
    #[error("operation {at} of an elementwise function reads a value that is not before it")]
    Order {
        /// The index of the instruction.
        at: usize,
    },
    /// A constant that is NaN, or limits of a clamp that cross.
    #[error("operation {at} of an elementwise function has a constant that is not a number, or limits that cross")]
    Constant {
        /// The index of the instruction.
        at: usize,
    },
}

impl TryFrom<Unchecked> for Program {
    type Error = ProgramError;

    fn try_from(Unchecked { operands, instructions }: Unchecked) -> Result<Program, ProgramError> {
        Program::new(usize::from(operands), instructions)
    }
}

impl Program {
    /// A program of these instructions.
    pub fn new(operands: usize, instructions: Vec<Instruction>) -> Result<Program, ProgramError> {
        if operands > MAX_OPERANDS {
            return Err(ProgramError::TooManyOperands);
        }
        if instructions.len() > MAX_INSTRUCTIONS {
            return Err(ProgramError::TooLong);
        }
        if instructions.is_empty() {
            return Err(ProgramError::Empty);
        }
        for (at, instruction) in instructions.iter().enumerate() {
            let fits = match *instruction {
                Instruction::Operand(slot) => usize::from(slot) < operands,
                _ => instruction.reads().all(|register| usize::from(register) < at),
            };
            if !fits {
                return Err(ProgramError::Order { at });
            }
            let is_number = match *instruction {
                Instruction::Constant(x) => !x.is_nan(),
                // written so that NaN fails
                Instruction::Clamp { min, max, .. } => min <= max,
                _ => true,
            };
            if !is_number {
                return Err(ProgramError::Constant { at });
            }
        }
        Ok(Program { operands: operands as u8, instructions })
    }

    /// The number of operands.
    pub fn operands(&self) -> usize {
        usize::from(self.operands)
    }

    /// The instructions; the last one is the result.
    pub fn instructions(&self) -> &[Instruction] {
        &self.instructions
    }

    /// The register of the result.
    pub fn result(&self) -> Register {
        (self.instructions.len() - 1) as Register
    }

    /// Whether the program reads an operand.
    pub fn reads(&self, slot: usize) -> bool {
        self.instructions.iter().any(|i| matches!(i, Instruction::Operand(s) if usize::from(*s) == slot))
    }

    /// Its value in f64, with an operand for each slot.
    pub fn evaluate(&self, operands: &[f64]) -> f64 {
        self.evaluate_with(|slot| operands.get(slot).copied().unwrap_or(f64::NAN), |value| value)
    }

    /// Its value if the result of each instruction is rounded to f32: what kernels compute, up to the errors of their functions.
    pub fn evaluate_rounded(&self, operands: &[f32]) -> f32 {
        let operand = |slot| f64::from(operands.get(slot).copied().unwrap_or(f32::NAN));
        self.evaluate_with(operand, |value| f64::from(value as f32)) as f32
    }

    fn evaluate_with(&self, operand: impl Fn(usize) -> f64, round: impl Fn(f64) -> f64) -> f64 {
        let mut values = [0.0; MAX_INSTRUCTIONS];
        for (at, &instruction) in self.instructions.iter().enumerate() {
            let value = |register: Register| values[usize::from(register)];
            values[at] = round(match instruction {
                Instruction::Operand(slot) => operand(usize::from(slot)),
                Instruction::Constant(x) => f64::from(x),
                Instruction::Unary(op, x) => op.of(value(x)),
                Instruction::Binary(op, a, b) => op.of(value(a), value(b)),
                Instruction::Clamp { x, min, max } => clamp(value(x), f64::from(min), f64::from(max)),
                Instruction::Select { test, left, right, then, otherwise } => {
                    value(if test.holds(value(left), value(right)) { then } else { otherwise })
                }
            });
        }
        values[self.instructions.len() - 1]
    }

    /// Whether it is [`Program::relu`].
    pub fn is_relu(&self) -> bool {
        let [x, zero, Instruction::Select { test: Comparison::LessEqual, left, right, then, otherwise }] = self.instructions[..]
        else {
            return false;
        };
        let is = |register: Register, instruction: Instruction| self.instructions[usize::from(register)] == instruction;
        let (operand, zero_constant) = (Instruction::Operand(0), Instruction::Constant(0.0));
        [x, zero].contains(&operand)
            && is(left, operand)
            && is(otherwise, operand)
            && is(right, zero_constant)
            && is(then, zero_constant)
    }

    /// The limits, if it clamps its operand.
    pub fn as_clamp(&self) -> Option<[f32; 2]> {
        match self.instructions[..] {
            [Instruction::Operand(0), Instruction::Clamp { x: 0, min, max }] => Some([min, max]),
            _ => None,
        }
    }

    /// Whether it is the operand itself.
    pub fn is_identity(&self) -> bool {
        self.instructions == [Instruction::Operand(0)]
    }
}
