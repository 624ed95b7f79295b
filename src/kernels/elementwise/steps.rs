//! The steps of a program.

use super::code::Action;
use crate::elementwise::{Instruction, Program, Register};

/// What an action reads.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Value {
    Operand(u8),
    Constant(f32),
    /// The result of the instruction in this register.
    Step(Register),
}

/// An action and the values that it reads.
#[derive(Clone, PartialEq)]
pub(super) struct Step {
    pub action: Action,
    pub reads: Vec<Value>,
}

/// A step for each instruction that needs one.
pub(super) struct Steps(pub Vec<Option<Step>>);

/// A step for each instruction. Operands and constants need none, unless they are the result.
pub(super) fn steps(program: &Program) -> Steps {
    let instructions = program.instructions();
    let value = |register: Register| match instructions[usize::from(register)] {
        Instruction::Operand(slot) => Value::Operand(slot),
        Instruction::Constant(x) => Value::Constant(x),
        _ => Value::Step(register),
    };
    let step = |instruction: Instruction| {
        let mut reads: Vec<Value> = instruction.reads().map(value).collect();
        let action = match instruction {
            Instruction::Operand(_) | Instruction::Constant(_) => return None,
            Instruction::Unary(op, _) => Action::Unary(op),
            Instruction::Binary(op, ..) => Action::Binary(op),
            Instruction::Select { test, .. } => Action::Select(test),
            Instruction::Clamp { min, max, .. } => {
                reads.extend([min, max].map(Value::Constant));
                Action::Clamp
            }
        };
        Some(Step { action, reads })
    };
    let mut steps: Vec<Option<Step>> = instructions.iter().map(|&instruction| step(instruction)).collect();
    if let Some(last) = steps.last_mut() {
        last.get_or_insert_with(|| Step { action: Action::Copy, reads: vec![value(program.result())] });
    }
    Steps(steps)
}

impl Steps {
    /// The step that computes a value.
    pub fn of(&self, value: Value) -> Option<&Step> {
        match value {
            Value::Step(register) => self.0[usize::from(register)].as_ref(),
            _ => None,
        }
    }

    /// The step that computes a value which nothing else reads.
    pub fn only(&self, value: Value) -> Option<&Step> {
        let reads = self.0.iter().flatten().flat_map(|step| &step.reads).filter(|&&read| read == value);
        (reads.take(2).count() == 1).then(|| self.of(value)).flatten()
    }

    /// Removes the steps on which the last one does not depend.
    pub fn prune(&mut self) {
        let mut is_needed = vec![false; self.0.len()];
        if let Some(last) = is_needed.last_mut() {
            *last = true;
        }
        for at in (0..self.0.len()).rev() {
            if !is_needed[at] {
                self.0[at] = None;
            }
            for read in self.0[at].iter().flat_map(|step| &step.reads) {
                if let Value::Step(register) = *read {
                    is_needed[usize::from(register)] = true;
                }
            }
        }
    }

    /// The steps, with the registers of their instructions.
    pub fn numbered(self) -> Vec<(Register, Step)> {
        let numbered = self.0.into_iter().enumerate();
        numbered.filter_map(|(at, step)| Some((at as Register, step?))).collect()
    }
}
