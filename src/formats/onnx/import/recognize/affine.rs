//! Products with numbers and sums with numbers.

use crate::elementwise::{Binary, Builder, Instruction, Program, Register, Unary};

/// A program that multiplies by numbers and adds numbers, as `a * x + b`; `None` if it does anything else.
pub(super) fn normal(program: &Program) -> Option<Program> {
    let mut terms: Vec<[f64; 2]> = Vec::new();
    for instruction in program.instructions() {
        let at = |register: u8| terms.get(usize::from(register)).copied();
        terms.push(match *instruction {
            Instruction::Operand(_) => [1.0, 0.0],
            Instruction::Constant(x) => [0.0, f64::from(x)],
            Instruction::Unary(Unary::Neg, x) => at(x)?.map(|v| -v),
            Instruction::Binary(op, x, y) => {
                let ([a, b], [c, d]) = (at(x)?, at(y)?);
                match op {
                    Binary::Add => [a + c, b + d],
                    Binary::Sub => [a - c, b - d],
                    Binary::Mul if a == 0.0 => [b * c, b * d],
                    Binary::Mul if c == 0.0 => [a * d, b * d],
                    Binary::Div if c == 0.0 => [a / d, b / d],
                    _ => return None,
                }
            }
            _ => return None,
        });
    }
    let [a, b] = terms.last()?.map(|v| v as f32);
    let mut builder = Builder::new(1);
    let result = sum(&mut builder, a, b);
    builder.finish(result).ok()
}

/// `a * x + b`, as one writes it: `2 * x`, `1 - x`, `x - 1`.
fn sum(builder: &mut Builder, a: f32, b: f32) -> Register {
    let x = builder.operand(0);
    if a == -1.0 && b != 0.0 {
        let b = builder.constant(b);
        return builder.binary(Binary::Sub, b, x);
    }
    let product = match a {
        1.0 => x,
        -1.0 => builder.unary(Unary::Neg, x),
        _ => {
            let a = builder.constant(a);
            builder.binary(Binary::Mul, a, x)
        }
    };
    let (op, b) = if b < 0.0 { (Binary::Sub, -b) } else { (Binary::Add, b) };
    if b == 0.0 {
        return product;
    }
    let b = builder.constant(b);
    builder.binary(op, product, b)
}
