//! Which function of the library a program computes.

use std::sync::LazyLock;

use crate::elaborate::prelude;
use crate::elementwise::{Builder, Instruction, Program, Unary};
use crate::ir::Elementwise;

/// Functions that limit their operand, which differ from `clamp` only in their gradients: a file does not tell them apart.
const LIMITS: [&str; 2] = ["clamp", "hardtanh"];

/// The functions with their default numbers, then the operations, and their values at [`POINTS`].
static LIBRARY: LazyLock<Vec<(Elementwise, Vec<f64>)>> = LazyLock::new(|| {
    let known = prelude::functions().iter().filter(|function| !LIMITS.contains(&function.name.as_str()));
    let exact = EXACT.into_iter().filter_map(|op| {
        let mut builder = Builder::new(1);
        let x = builder.operand(0);
        let y = builder.unary(op, x);
        Some(Elementwise::unary(Elementwise::APPLY, builder.finish(y).ok()?))
    });
    let all = known.filter(|function| function.is_unary()).cloned().chain(exact);
    all.map(|function| (function.clone(), values(&function.program))).collect()
});

/// Operations that exporters without them compute by others: `exp(x) - 1`.
const EXACT: [Unary; 2] = [Unary::Expm1, Unary::Log1p];

/// Where two programs are compared: near kinks, in the tails, and where approximations differ most.
const POINTS: [f64; 26] = [
    0.0, 1e-3, 0.1, 0.3, 0.5, 0.7, 1.0, 1.3, 1.7, 2.0, 2.3, 2.7, 2.9, 3.0, 3.1, 3.7, 4.5, 5.3, 5.9, 6.1, 7.3, 9.0, 13.0, 19.0,
    21.0, 60.0,
];

/// How far two values may be apart, relative to the larger of them and 1: the numbers in a file are rounded to f32.
const ROUNDING: f64 = 1e-6;

/// The largest number of constants that are tried as a function's numbers.
const MAX_CONSTANTS: usize = 12;

/// The most calls with numbers that are tried for a file.
const MAX_TRIES: usize = 100_000;

/// Finds functions of the library.
#[derive(Default)]
pub(in super::super) struct Library {
    /// How many calls with numbers were tried.
    tries: usize,
}

impl Library {
    /// The function that a program computes: the programs agree to within the rounding of their constants, in whatever order they
    /// compute.
    pub(super) fn find(&mut self, program: &Program) -> Option<Elementwise> {
        let with_defaults = LIBRARY.iter().find(|(_, values)| agrees(program, values.iter().copied()));
        if let Some((function, _)) = with_defaults {
            return Some(function.clone());
        }
        let constants = constants(program);
        for (function, _) in LIBRARY.iter() {
            let keys: Vec<&str> = function.numbers.iter().map(|number| number.key.as_str()).collect();
            for (i, &key) in keys.iter().enumerate() {
                for &x in &constants {
                    let others = keys[i + 1..].iter().flat_map(|&other| constants.iter().map(move |&y| [(key, x), (other, y)]));
                    let alone = self.call(function, &[(key, x)], program);
                    if let Some(known) = alone.or_else(|| others.into_iter().find_map(|pair| self.call(function, &pair, program)))
                    {
                        return Some(known);
                    }
                }
            }
        }
        None
    }

    /// The call of a function with these numbers, if a program computes it.
    fn call(&mut self, function: &Elementwise, numbers: &[(&str, f32)], program: &Program) -> Option<Elementwise> {
        self.tries += 1;
        if self.tries > MAX_TRIES {
            return None;
        }
        let known = prelude::call(&function.name, numbers)?;
        agrees(program, points().map(|x| known.program.evaluate(&[x]))).then_some(known)
    }
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

/// The numbers of a program, with both signs: a function may subtract what the program adds.
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
