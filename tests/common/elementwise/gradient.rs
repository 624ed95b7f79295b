//! Gradients against differences, by the mean value theorem: where a program is continuous between two points, the slope between
//! them is the derivative at some place between. The slope's range (in f64) and that of the gradient's program between the points
//! (which may round to f32) must overlap, however much either cancels.

use resnetc::internal::elementwise::{Instruction, Program, Read, Unary};

use super::case::Case;
use super::range::{Range, Rounding, evaluate, trace};

pub fn check(case: &Case) {
    for element in 0..case.len().min(8) {
        let operands = case.operands(element);
        for slot in 0..operands.len() {
            differences(&case.program, slot, &operands);
        }
    }
}

/// Whether the comparison says something: a finite slope and a narrow gradient.
pub fn differences(program: &Program, slot: usize, operands: &[f32]) -> bool {
    // an error if it is too long
    let Ok(gradient) = program.gradient(slot) else { return false };
    // whose constants are computed and rounded when it is built, as those of the gradient are
    let same: Vec<usize> = (0..operands.len()).collect();
    let Ok(program) = &program.with_operands(operands.len(), &same) else { return false };
    let ranges: Vec<Range> = operands.iter().map(|&x| Range::of(f64::from(x))).collect();
    let at = f64::from(operands[slot]);
    let width = at.abs().max(2f64.powi(-10)) * 2f64.powi(-17);
    let ends = [at - width, at + width];
    // the gradient of rounding is that of what is rounded, which the slope between two numbers is not
    if program.instructions().iter().any(|instruction| matches!(instruction, Instruction::Unary(Unary::RoundBf16, _))) {
        return false;
    }
    if !ends.iter().all(|x| x.is_finite()) {
        return false;
    }
    let with = |x: Range| {
        let mut ranges = ranges.clone();
        ranges[slot] = x;
        ranges
    };
    let between = with(Range::between(ends[0], ends[1]));
    let values = trace(program, &between, Rounding::Any);
    if values.iter().any(|value| value.jumps || !value.is_finite()) {
        return false;
    }
    let result = values[usize::from(program.result())];
    let reads: Vec<Range> = gradient
        .reads
        .iter()
        .map(|read| match *read {
            Read::ResultGradient => Range::of(1.0),
            Read::Result => result,
            Read::Operand(slot) => between[slot],
        })
        .collect();
    let derivative = evaluate(&gradient.program, &reads, Rounding::Any);
    let [low, high] = ends.map(|x| evaluate(program, &with(Range::of(x)), Rounding::Double));
    let run = ends[1] - ends[0];
    let slope = [(high.low - low.high) / run, (high.high - low.low) / run];
    let overlap = derivative.nan || derivative.low <= slope[1] && slope[0] <= derivative.high;
    assert!(
        overlap,
        "the slope in operand {slot} at {operands:?} is from {:e} to {:e}, the gradient from {:e} to {:e}\n{program:?}\n{gradient:?}",
        slope[0], slope[1], derivative.low, derivative.high
    );
    let size = derivative.low.abs().max(derivative.high.abs());
    !derivative.nan && size > 0.0 && derivative.high - derivative.low < 0.1 * size
}
