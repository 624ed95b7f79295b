//! Symbolic gradients: the program that multiplies the gradient of the result by the derivative in an operand.
//!
//! Where derivatives are not unique, at kinks and ties, they are PyTorch's.

use std::f32::consts::FRAC_2_SQRT_PI;

use super::builder::Builder;
use super::instruction::{Binary, Comparison, Instruction, Register, Unary};
use super::program::{MAX_OPERANDS, Program, ProgramError};

/// What an operand of a gradient's program is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// The gradient of the result: always the first operand.
    ResultGradient,
    /// The result.
    Result,
    /// An operand of the differentiated program.
    Operand(usize),
}

/// A gradient: a program, and what its operands are.
#[derive(Clone, Debug, PartialEq)]
pub struct Gradient {
    /// The program.
    pub program: Program,
    /// Its operands. Values that the gradient does not depend on are not read.
    pub reads: Vec<Read>,
}

impl Program {
    /// The gradient with respect to an operand. It reads the result instead of operands where it can: those of ReLU, sigmoid, tanh
    /// and exp need no operand.
    pub fn gradient(&self, slot: usize) -> Result<Gradient, ProgramError> {
        let operands = self.operands() + 2;
        if operands > MAX_OPERANDS {
            return Err(ProgramError::TooManyOperands);
        }
        let count = self.instructions().len();
        let mut reverse = Reverse {
            of: self,
            builder: Builder::new(operands),
            values: vec![None; count],
            adjoints: vec![Vec::new(); count],
            varies: self.varies(slot),
        };
        let dy = reverse.builder.operand(0);
        let total = reverse.run(dy, slot);
        let program = reverse.builder.finish(total)?;
        prune(&program)
    }

    /// For each instruction, whether it depends on an operand.
    fn varies(&self, slot: usize) -> Vec<bool> {
        let mut varies: Vec<bool> = Vec::with_capacity(self.instructions().len());
        for &instruction in self.instructions() {
            let does = match instruction {
                Instruction::Operand(s) => usize::from(s) == slot,
                _ => instruction.reads().any(|register| varies[usize::from(register)]),
            };
            varies.push(does);
        }
        varies
    }
}

/// Keeps the operands that a gradient reads, and always the gradient of the result.
fn prune(program: &Program) -> Result<Gradient, ProgramError> {
    let kept: Vec<usize> = (0..program.operands()).filter(|&slot| slot == 0 || program.reads(slot)).collect();
    let mut builder = Builder::new(kept.len());
    let mut arguments = vec![0; program.operands()];
    for (to, &from) in kept.iter().enumerate() {
        if program.reads(from) {
            arguments[from] = builder.operand(to);
        }
    }
    let result = builder.inline(program, &arguments);
    let reads = kept
        .into_iter()
        .map(|slot| match slot {
            0 => Read::ResultGradient,
            1 => Read::Result,
            _ => Read::Operand(slot - 2),
        })
        .collect();
    Ok(Gradient { program: builder.finish(result)?, reads })
}

/// Reverse-mode differentiation. The operands of the program under construction are the gradient of the result, the result, and the
/// operands.
struct Reverse<'a> {
    of: &'a Program,
    builder: Builder,
    /// The registers of the program's values, where they were needed.
    values: Vec<Option<Register>>,
    /// The contributions to each value's gradient so far.
    adjoints: Vec<Vec<Adjoint>>,
    /// Whether each value depends on the operand in question.
    varies: Vec<bool>,
}

/// A contribution to a gradient: a value where all masks hold, else 0.
///
/// Masks are applied last. What is computed from a branch that is not taken can be infinite or NaN, and 0 times that is not 0: the
/// gradient of `if x > 0 then x else exp(x)` at 100 would be NaN.
#[derive(Clone, Debug)]
struct Adjoint {
    value: Register,
    /// From the outermost selection on.
    masks: Vec<Mask>,
}

/// A comparison of two registers, and whether it must hold.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Mask {
    test: Comparison,
    left: Register,
    right: Register,
    holds: bool,
}

impl Mask {
    fn is_opposite(self, other: Mask) -> bool {
        self == Mask { holds: !other.holds, ..other }
    }
}

impl Adjoint {
    /// Another value under the same masks.
    fn with(&self, value: Register) -> Adjoint {
        Adjoint { value, masks: self.masks.clone() }
    }

    /// The same value where another mask holds, too.
    fn masked(&self, mask: Mask) -> Adjoint {
        Adjoint { value: self.value, masks: self.masks.iter().copied().chain([mask]).collect() }
    }
}

/// Whether two contributions have the same masks, or are those of two branches of one selection.
fn is_same_or_opposite(a: &Adjoint, b: &Adjoint) -> bool {
    match (a.masks.as_slice(), b.masks.as_slice()) {
        ([a @ .., last], [b @ .., other]) => a == b && (last == other || last.is_opposite(*other)),
        (a, b) => a.is_empty() && b.is_empty(),
    }
}

impl Reverse<'_> {
    fn run(&mut self, dy: Register, slot: usize) -> Register {
        let reads_operand = |instruction: &Instruction| matches!(*instruction, Instruction::Operand(s) if usize::from(s) == slot);
        let first = self.of.instructions().iter().position(reads_operand).unwrap_or(0);
        self.adjoints[usize::from(self.of.result())] = vec![Adjoint { value: dy, masks: Vec::new() }];
        for at in (0..self.of.instructions().len()).rev().filter(|&at| self.varies[at]).collect::<Vec<_>>() {
            let Some(adjoint) = self.sum(at) else { continue };
            let instruction = self.of.instructions()[at];
            if at == first {
                return self.applied(&adjoint, 0);
            } else if reads_operand(&instruction) {
                // a program from a file may read an operand more than once
                self.add(first as Register, adjoint);
            } else {
                self.propagate(at as Register, instruction, &adjoint);
            }
        }
        self.builder.constant(0.0)
    }

    /// The value of a register. The result is read, everything else is computed again.
    fn value(&mut self, register: Register) -> Register {
        if let Some(value) = self.values[usize::from(register)] {
            return value;
        }
        let value = match self.of.instructions()[usize::from(register)] {
            Instruction::Operand(slot) => self.builder.operand(usize::from(slot) + 2),
            Instruction::Constant(x) => self.builder.constant(x),
            _ if register == self.of.result() => self.builder.operand(1),
            instruction => {
                let registers: Vec<Register> = instruction.reads().collect();
                for &register in &registers {
                    self.value(register);
                }
                let values = &self.values;
                let instruction = instruction.on(|register| values[usize::from(register)].unwrap_or(0));
                self.builder.instruction(instruction)
            }
        };
        self.values[usize::from(register)] = Some(value);
        value
    }

    fn add(&mut self, register: Register, part: Adjoint) {
        self.adjoints[usize::from(register)].push(part);
    }

    /// The sum of the contributions to a value's gradient. Those of two branches of a selection become a selection.
    fn sum(&mut self, at: usize) -> Option<Adjoint> {
        let mut parts = std::mem::take(&mut self.adjoints[at]);
        while parts.len() > 1 {
            let pairs = || (0..parts.len()).flat_map(|i| (0..i).map(move |j| (j, i)));
            let pair = pairs().find(|&(j, i)| is_same_or_opposite(&parts[j], &parts[i])).unwrap_or((0, 1));
            let second = parts.remove(pair.1);
            parts[pair.0] = self.sum_of_two(&parts[pair.0], &second);
        }
        parts.pop()
    }

    fn sum_of_two(&mut self, a: &Adjoint, b: &Adjoint) -> Adjoint {
        let common = a.masks.iter().zip(&b.masks).take_while(|(a, b)| a == b).count();
        let masks = a.masks[..common].to_vec();
        let value = match (&a.masks[common..], &b.masks[common..]) {
            ([mask], [other]) if mask.is_opposite(*other) => {
                let (then, otherwise) = if mask.holds { (a.value, b.value) } else { (b.value, a.value) };
                self.builder.select(mask.test, mask.left, mask.right, then, otherwise)
            }
            _ => {
                let (a, b) = (self.applied(a, common), self.applied(b, common));
                self.binary(Binary::Add, a, b)
            }
        };
        Adjoint { value, masks }
    }

    /// The value of a contribution with the masks from this one on applied.
    fn applied(&mut self, adjoint: &Adjoint, from: usize) -> Register {
        adjoint.masks[from..].iter().rev().fold(adjoint.value, |value, mask| {
            let zero = self.builder.constant(0.0);
            let (then, otherwise) = if mask.holds { (value, zero) } else { (zero, value) };
            self.builder.select(mask.test, mask.left, mask.right, then, otherwise)
        })
    }

    fn varies(&self, register: Register) -> bool {
        self.varies[usize::from(register)]
    }

    fn binary(&mut self, op: Binary, a: Register, b: Register) -> Register {
        self.builder.binary(op, a, b)
    }

    fn unary(&mut self, op: Unary, x: Register) -> Register {
        self.builder.unary(op, x)
    }

    /// Adds the contributions of an instruction with this gradient to the gradients of what it reads.
    fn propagate(&mut self, at: Register, instruction: Instruction, adjoint: &Adjoint) {
        let dy = adjoint.value;
        match instruction {
            Instruction::Operand(_) | Instruction::Constant(_) => {}
            Instruction::Unary(op, x) => {
                if let Some(part) = self.of_unary(at, op, x, dy) {
                    self.add(x, adjoint.with(part));
                }
            }
            Instruction::Binary(op, a, b) => {
                for (slot, register) in [a, b].into_iter().enumerate() {
                    if self.varies(register) {
                        let part = self.of_binary(at, op, [a, b], slot, dy);
                        self.add(register, adjoint.with(part));
                    }
                }
            }
            Instruction::Clamp { x, min, max } => {
                let (value, zero) = (self.value(x), self.builder.constant(0.0));
                let mut part = dy;
                for (limit, test) in [(max, Comparison::Less), (min, Comparison::Greater)] {
                    if limit.is_finite() {
                        let limit = self.builder.constant(limit);
                        part = self.builder.select(test, value, limit, part, zero);
                    }
                }
                self.add(x, adjoint.with(part));
            }
            Instruction::Select { test, left, right, then, otherwise } => {
                let (left, right) = self.test(at, test, [left, right], [then, otherwise]);
                for (branch, holds) in [(then, true), (otherwise, false)] {
                    if self.varies(branch) {
                        self.add(branch, adjoint.masked(Mask { test, left, right, holds }));
                    }
                }
            }
        }
    }

    /// The sides of a selection's test. If the result is `x` cut off at a constant, as ReLU is, it tells the test as well as `x`
    /// does, and `x` need not be kept.
    fn test(
        &mut self,
        at: Register,
        test: Comparison,
        [left, right]: [Register; 2],
        [then, otherwise]: [Register; 2],
    ) -> (Register, Register) {
        let is_cut = matches!(test, Comparison::LessEqual | Comparison::GreaterEqual)
            && left == otherwise
            && right == then
            && matches!(self.of.instructions()[usize::from(right)], Instruction::Constant(_));
        let left = if is_cut && at == self.of.result() { at } else { left };
        (self.value(left), self.value(right))
    }

    /// The contribution to the operand of a function of one value; `None` if its derivative is 0 everywhere.
    fn of_unary(&mut self, at: Register, op: Unary, x: Register, dy: Register) -> Option<Register> {
        let one = |this: &mut Self| this.builder.constant(1.0);
        Some(match op {
            Unary::Neg => self.unary(Unary::Neg, dy),
            Unary::Abs => {
                let (x, zero, minus) = (self.value(x), self.builder.constant(0.0), self.unary(Unary::Neg, dy));
                let below = self.builder.select(Comparison::Less, x, zero, minus, zero);
                self.builder.select(Comparison::Greater, x, zero, dy, below)
            }
            Unary::Square => {
                let (x, two) = (self.value(x), self.builder.constant(2.0));
                let twice = self.binary(Binary::Mul, x, two);
                self.binary(Binary::Mul, dy, twice)
            }
            Unary::Sqrt => {
                let (y, two) = (self.value(at), self.builder.constant(2.0));
                let twice = self.binary(Binary::Mul, y, two);
                self.binary(Binary::Div, dy, twice)
            }
            Unary::Exp => {
                let y = self.value(at);
                self.binary(Binary::Mul, dy, y)
            }
            Unary::Expm1 => {
                let (y, one) = (self.value(at), one(self));
                let exp = self.binary(Binary::Add, y, one);
                self.binary(Binary::Mul, dy, exp)
            }
            Unary::Log => {
                let x = self.value(x);
                self.binary(Binary::Div, dy, x)
            }
            Unary::Log1p => {
                let (x, one) = (self.value(x), one(self));
                let sum = self.binary(Binary::Add, x, one);
                self.binary(Binary::Div, dy, sum)
            }
            Unary::Tanh => {
                let (y, one) = (self.value(at), one(self));
                let square = self.unary(Unary::Square, y);
                let rest = self.binary(Binary::Sub, one, square);
                self.binary(Binary::Mul, dy, rest)
            }
            Unary::Sigmoid => {
                let (y, one) = (self.value(at), one(self));
                let rest = self.binary(Binary::Sub, one, y);
                let product = self.binary(Binary::Mul, dy, rest);
                self.binary(Binary::Mul, product, y)
            }
            Unary::Erf => {
                let (x, factor) = (self.value(x), self.builder.constant(FRAC_2_SQRT_PI));
                let square = self.unary(Unary::Square, x);
                let minus = self.unary(Unary::Neg, square);
                let exp = self.unary(Unary::Exp, minus);
                let derivative = self.binary(Binary::Mul, factor, exp);
                self.binary(Binary::Mul, dy, derivative)
            }
            Unary::Softplus => {
                let x = self.value(x);
                let sigmoid = self.unary(Unary::Sigmoid, x);
                self.binary(Binary::Mul, dy, sigmoid)
            }
            Unary::RoundBf16 => dy,
            Unary::Floor => return None,
        })
    }

    /// The contribution to an operand of a function of two values.
    fn of_binary(&mut self, at: Register, op: Binary, operands: [Register; 2], slot: usize, dy: Register) -> Register {
        let [own, other] = [operands[slot], operands[1 - slot]];
        match (op, slot) {
            (Binary::Add, _) | (Binary::Sub, 0) => dy,
            (Binary::Sub, _) => self.unary(Unary::Neg, dy),
            (Binary::Mul, _) => {
                let other = self.value(other);
                self.binary(Binary::Mul, dy, other)
            }
            (Binary::Div, 0) => {
                let other = self.value(other);
                self.binary(Binary::Div, dy, other)
            }
            (Binary::Div, _) => {
                let (y, own) = (self.value(at), self.value(own));
                let ratio = self.binary(Binary::Div, y, own);
                let minus = self.unary(Unary::Neg, dy);
                self.binary(Binary::Mul, minus, ratio)
            }
            (Binary::Min | Binary::Max, _) => {
                let (own, other) = (self.value(own), self.value(other));
                let (half, zero) = (self.builder.constant(0.5), self.builder.constant(0.0));
                let halved = self.binary(Binary::Mul, dy, half);
                let loses = if op == Binary::Max { Comparison::Less } else { Comparison::Greater };
                // with NaN neither loses, and both get the gradient
                let tied = self.builder.select(Comparison::Equal, own, other, halved, dy);
                self.builder.select(loses, own, other, zero, tied)
            }
        }
    }
}
