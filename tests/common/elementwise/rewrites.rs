//! What makes a program from programs: composition, other operands, and the way through a file. Results are the same bit by bit,
//! if every instruction is rounded.

use resnetc::internal::elementwise::Program;

use super::bytes::Bytes;
use super::case::{Case, program, values};

pub fn check(case: &Case, bytes: &mut Bytes<'_>) {
    stored(&case.program);
    let slot = bytes.below(case.program.operands());
    let operands = 1 + bytes.below(3);
    let inner = program(bytes, operands);
    let arguments = values(bytes, inner.operands());
    for element in 0..case.len().min(16) {
        let outer = case.operands(element);
        composed(case, slot, &inner, &outer, &arguments);
        reordered(&case.program, &outer);
    }
}

/// Zeros may differ in their sign where a minimum or maximum chooses one.
fn same(a: f32, b: f32) -> bool {
    a == b || a.is_nan() && b.is_nan()
}

fn stored(program: &Program) {
    let text = serde_json::to_string(program).unwrap();
    let read: Program = serde_json::from_str(&text).unwrap();
    assert_eq!(read, *program);
    // equal in the sign of zeros too
    assert_eq!(serde_json::to_string(&read).unwrap(), text);
}

fn composed(case: &Case, slot: usize, inner: &Program, outer: &[f32], arguments: &[f32]) {
    // an error if it is too long
    let Ok(composed) = case.program.compose(slot, inner) else { return };
    let mut apart = outer.to_vec();
    apart[slot] = inner.evaluate_rounded(arguments);
    let mut together = outer.to_vec();
    together.remove(slot);
    together.extend(arguments);
    let [apart, together] = [case.program.evaluate_rounded(&apart), composed.evaluate_rounded(&together)];
    assert!(same(apart, together), "{apart:e} apart, {together:e} in one program\n{case:?}\n{inner:?}\n{composed:?}");
}

/// The operands in reverse, after one that is not read.
fn reordered(program: &Program, operands: &[f32]) {
    let count = program.operands();
    let slots: Vec<usize> = (1..=count).rev().collect();
    let Ok(reordered) = program.with_operands(count + 1, &slots) else { return };
    let mut values = vec![f32::NAN];
    values.extend(operands.iter().rev());
    let [before, after] = [program.evaluate_rounded(operands), reordered.evaluate_rounded(&values)];
    assert!(same(before, after), "{before:e} before, {after:e} with other operands\n{program:?}\n{reordered:?}");
}
