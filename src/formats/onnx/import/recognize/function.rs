//! Which function of the library a program computes.

use std::sync::LazyLock;

use crate::elaborate::prelude;
use crate::elementwise::{Binary, Builder, Instruction, Program, Register, Unary};
use crate::ir::Elementwise;

/// Functions that limit their operand, which differ from `clamp` only in their gradients: a file does not tell them apart.
const LIMITS: [&str; 2] = ["clamp", "hardtanh"];

/// The functions with their default numbers, and their values at [`POINTS`].
static LIBRARY: LazyLock<Vec<(Elementwise, Vec<f64>)>> = LazyLock::new(|| {
    let known = prelude::functions().iter().filter(|function| !LIMITS.contains(&function.name.as_str()));
    known.filter(|function| function.is_unary()).map(|function| (function.clone(), values(&function.program))).collect()
});

/// Where two programs are compared: near kinks, in the tails, and where approximations differ most.
const POINTS: [f64; 26] = [
    0.0, 1e-3, 0.1, 0.3, 0.5, 0.7, 1.0, 1.3, 1.7, 2.0, 2.3, 2.7, 2.9, 3.0, 3.1, 3.7, 4.5, 5.3, 5.9, 6.1, 7.3, 9.0, 13.0, 19.0,
    21.0, 60.0,
];

/// How far two values may be apart, relative to the larger of them and 1: the numbers in a file are rounded to f32.
const ROUNDING: f64 = 1e-6;

/// The largest number of constants that are tried as a function's number.
const MAX_CONSTANTS: usize = 8;

/// The function that a program computes: the programs agree to within the rounding of their constants, in whatever order they
/// compute.
pub(super) fn of(program: &Program) -> Option<Elementwise> {
    let with_defaults = LIBRARY.iter().find(|(_, values)| agrees(program, values.iter().copied()));
    if let Some((function, _)) = with_defaults {
        return Some(function.clone());
    }
    let constants = constants(program);
    for (function, _) in LIBRARY.iter() {
        for number in &function.numbers {
            for &constant in &constants {
                let known = prelude::call(&function.name, &[(&number.key, constant)]);
                if let Some(known) = known.filter(|known| agrees(program, points().map(|x| known.program.evaluate(&[x])))) {
                    return Some(known);
                }
            }
        }
    }
    None
}

fn points() -> impl Iterator<Item = f64> {
    POINTS.into_iter().chain(POINTS.map(|x| -x)).chain([f64::NAN])
}

fn values(program: &Program) -> Vec<f64> {
    points().map(|x| program.evaluate(&[x])).collect()
}

fn agrees(program: &Program, values: impl Iterator<Item = f64>) -> bool {
    points().zip(values).all(|(x, expected)| {
        let found = program.evaluate(&[x]);
        let far = (found - expected).abs();
        far <= ROUNDING * expected.abs().max(1.0) || found == expected || found.is_nan() && expected.is_nan()
    })
}

/// The numbers of a program that makes a choice, with those that are written as a difference.
fn constants(program: &Program) -> Vec<f32> {
    let mut list: Vec<f32> = Vec::new();
    for instruction in program.instructions() {
        if let Instruction::Constant(x) = instruction
            && list.len() < MAX_CONSTANTS
            && x.is_finite()
        {
            list.extend([*x, -x]);
        }
    }
    list
}

/// A program that multiplies by numbers and adds numbers, as `a * x + b`; `None` if it does anything else.
pub(super) fn affine(program: &Program) -> Option<Program> {
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
