//! What makes a program from programs: composition, other operands, the way through a file, and through the language. Results are
//! the same bit by bit, if every instruction is rounded.

use resnetc::internal::driver::Frontend;
use resnetc::internal::elementwise::{Binary, Builder, Instruction, Program, Register};

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
    if let Some((text, read)) = written(&case.program) {
        for element in 0..case.len().min(16) {
            let operands = case.operands(element);
            let [before, after] = [&case.program, &read].map(|program| program.evaluate_rounded(&operands));
            assert!(same(before, after), "{before:e} before, {after:e} when read again: {text}\n{case:?}");
        }
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

/// The program as the language reads its text; `None` if it has none.
fn written(program: &Program) -> Option<(String, Program)> {
    const LONGEST: usize = 24;
    const NAMES: [&str; 4] = ["x", "x1", "x2", "x3"];
    let count = program.operands();
    let names = &NAMES[..count];
    // with constants as a builder computes them, and every operand, which a function must use
    let mut builder = Builder::new(count);
    let operands: Vec<Register> = (0..count).map(|slot| builder.operand(slot)).collect();
    let result = builder.inline(program, &operands);
    let program = builder.finish(result).ok()?;
    if (0..count).any(|slot| !program.reads(slot)) || !is_plain(&program) {
        return None;
    }
    let text = program.text(names, LONGEST)?;
    let parameters: Vec<String> = names
        .iter()
        .enumerate()
        .map(|(slot, name)| if slot == 0 { name.to_string() } else { format!("{name}: parameter = 0") })
        .collect();
    let source =
        format!("resnet 1\nelementwise f({}) = {text}\nnetwork net {{\n  input 2 x 3 x 3\n  f\n}}\n", parameters.join(", "));
    let mut front = Frontend::text("net.resnet", &source);
    let checked = front.check("net", &[]);
    let checked = checked.unwrap_or_else(|| panic!("{source}: {:?}\n{program:?}", front.diagnostics));
    let graph = checked.graph();
    let node = graph.outputs()[0].1.node;
    let read = &graph.node(node).op.as_elementwise().unwrap().program;
    assert_eq!(read.text(names, LONGEST).as_deref(), Some(&*text), "{program:?}\n{read:?}");
    Some((text, read.clone()))
}

/// Whether the language has all of its constants: neither infinity nor functions of constants, which are NaN; nothing is divided by 0.
fn is_plain(program: &Program) -> bool {
    let list = program.instructions();
    let is_constant = |register: Register| matches!(list[usize::from(register)], Instruction::Constant(_));
    list.iter().all(|instruction| match instruction {
        Instruction::Constant(x) => x.is_finite(),
        Instruction::Operand(_) => true,
        Instruction::Binary(Binary::Div, _, divisor) if matches!(list[usize::from(*divisor)], Instruction::Constant(0.0)) => {
            false
        }
        _ => !instruction.reads().all(is_constant),
    })
}
