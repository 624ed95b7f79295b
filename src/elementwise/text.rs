//! Programs as expressions of the language.

use super::instruction::{Binary, Instruction, Register, Unary};
use super::program::Program;

/// How tightly an expression binds, from `if` to a name.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Strength {
    Condition,
    Sum,
    Product,
    Sign,
    Name,
}

impl Program {
    /// The program as an expression of the language, with these names for the operands; `None` if it would have more than `limit`
    /// operations, since an expression repeats what a program shares.
    pub fn text(&self, operands: &[&str], limit: usize) -> Option<String> {
        (self.size() <= limit).then(|| self.expression(self.result(), operands).0)
    }

    /// The number of operations when written as an expression; saturating.
    pub fn size(&self) -> usize {
        let mut sizes: Vec<usize> = Vec::with_capacity(self.instructions().len());
        for instruction in self.instructions() {
            let own = usize::from(!matches!(instruction, Instruction::Operand(_) | Instruction::Constant(_)));
            sizes.push(instruction.reads().map(|register| sizes[usize::from(register)]).fold(own, usize::saturating_add));
        }
        sizes.last().copied().unwrap_or(0)
    }

    fn expression(&self, register: Register, names: &[&str]) -> (String, Strength) {
        let full = |register: Register| self.expression(register, names).0;
        let at_least = |register: Register, strength: Strength| {
            let (text, own) = self.expression(register, names);
            if own < strength { format!("({text})") } else { text }
        };
        match self.instructions()[usize::from(register)] {
            Instruction::Operand(slot) => (names.get(usize::from(slot)).copied().unwrap_or("?").to_owned(), Strength::Name),
            Instruction::Constant(x) => number(x),
            Instruction::Unary(Unary::Neg, x) => (format!("-{}", at_least(x, Strength::Name)), Strength::Sign),
            Instruction::Unary(op, x) => (format!("{}({})", op.word(), full(x)), Strength::Name),
            Instruction::Binary(op, a, b) => {
                let own = match op {
                    Binary::Min | Binary::Max => return (format!("{}({}, {})", op.word(), full(a), full(b)), Strength::Name),
                    Binary::Add | Binary::Sub => Strength::Sum,
                    Binary::Mul | Binary::Div => Strength::Product,
                };
                let above = if own == Strength::Sum { Strength::Product } else { Strength::Sign };
                (format!("{} {} {}", at_least(a, own), op.word(), at_least(b, above)), own)
            }
            Instruction::Clamp { x, min, max } => {
                (format!("clamp({}, {}, {})", full(x), number(min).0, number(max).0), Strength::Name)
            }
            Instruction::Select { test, left, right, then, otherwise } => {
                let [left, right] = [left, right].map(|side| at_least(side, Strength::Sum));
                let then = at_least(then, Strength::Sum);
                // `else if` needs no parentheses
                (format!("if {left} {} {right} then {then} else {}", test.word(), full(otherwise)), Strength::Condition)
            }
        }
    }
}

/// The shortest text that is read as the same number.
fn number(x: f32) -> (String, Strength) {
    let strength = if x.is_sign_negative() { Strength::Sign } else { Strength::Name };
    let text =
        if x == x.trunc() && x.abs() < 1e9 && x.to_bits() != (-0.0f32).to_bits() { format!("{x}") } else { format!("{x:?}") };
    (text, strength)
}
