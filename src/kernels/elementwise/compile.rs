//! Compiles programs: chooses an action for each instruction, or for a few that are one step on vectors, and assigns registers.

use super::code::{Action, Code, Operation, Source, Target};
use crate::elementwise::{Binary, Comparison, Instruction, Program, Register, Unary};
use crate::kernels::aligned::LINE;

/// What an action reads.
#[derive(Clone, Copy)]
enum Value {
    Operand(u8),
    Constant(f32),
    /// The result of the instruction in this register.
    Step(Register),
}

/// An action and the values that it reads.
#[derive(Clone)]
struct Step {
    action: Action,
    reads: Vec<Value>,
}

impl Code {
    /// Compiles a program.
    pub fn new(program: &Program) -> Code {
        let steps = needed(steps(program));
        Allocator::new(program, &steps).allocate(&steps)
    }
}

/// A step for each instruction. Operands and constants need none, unless they are the result.
fn steps(program: &Program) -> Vec<Option<Step>> {
    let instructions = program.instructions();
    let value = |register: Register| match instructions[usize::from(register)] {
        Instruction::Operand(slot) => Value::Operand(slot),
        Instruction::Constant(x) => Value::Constant(x),
        _ => Value::Step(register),
    };
    let step = |action: Action, reads: &[Register]| Step { action, reads: reads.iter().map(|&r| value(r)).collect() };
    let mut steps: Vec<Option<Step>> = instructions
        .iter()
        .map(|&instruction| match instruction {
            Instruction::Operand(_) | Instruction::Constant(_) => None,
            Instruction::Unary(Unary::Tanh, x) => Some(match instructions[usize::from(x)] {
                Instruction::Unary(Unary::Softplus, x) => step(Action::TanhSoftplus, &[x]),
                _ => step(Action::Unary(Unary::Tanh), &[x]),
            }),
            Instruction::Unary(op, x) => Some(step(Action::Unary(op), &[x])),
            Instruction::Binary(op, a, b) => Some(match product(program, instruction) {
                Some(reads) => step(Action::MulAdd, &reads),
                None => step(Action::Binary(op), &[a, b]),
            }),
            Instruction::Clamp { x, min, max } => {
                let mut step = step(Action::Clamp, &[x]);
                step.reads.extend([Value::Constant(min), Value::Constant(max)]);
                Some(step)
            }
            Instruction::Select { test, left, right, then, otherwise } => Some(match relu(program, instruction) {
                Some(x) => match instructions[usize::from(x)] {
                    sum @ Instruction::Binary(Binary::Add, a, b) if reads(program, x) == 2 => match product(program, sum) {
                        Some(reads) => step(Action::MulAddRelu, &reads),
                        None => step(Action::AddRelu, &[a, b]),
                    },
                    _ => step(Action::Relu, &[x]),
                },
                None => step(Action::Select(test), &[left, right, then, otherwise]),
            }),
        })
        .collect();
    if let (Some(last), result) = (steps.last_mut(), program.result()) {
        last.get_or_insert_with(|| step(Action::Copy, &[result]));
    }
    steps
}

/// The value whose ReLU an instruction is: `if x <= 0 then 0 else x`.
fn relu(program: &Program, instruction: Instruction) -> Option<Register> {
    match instruction {
        Instruction::Select { test: Comparison::LessEqual, left, right, then, otherwise }
            if left == otherwise && right == then =>
        {
            let zero = program.instructions()[usize::from(right)] == Instruction::Constant(0.0);
            zero.then_some(left)
        }
        _ => None,
    }
}

/// The factors and the summand of an instruction that adds to a product, if only it reads the product.
fn product(program: &Program, instruction: Instruction) -> Option<[Register; 3]> {
    let Instruction::Binary(Binary::Add, a, b) = instruction else { return None };
    [(a, b), (b, a)].into_iter().find_map(|(product, summand)| match program.instructions()[usize::from(product)] {
        Instruction::Binary(Binary::Mul, x, y) if reads(program, product) == 1 => Some([x, y, summand]),
        _ => None,
    })
}

/// How often instructions read a register.
fn reads(program: &Program, register: Register) -> usize {
    program.instructions().iter().flat_map(|i| i.reads()).filter(|&r| r == register).count()
}

/// The steps on which the last one depends, with the registers of their instructions.
fn needed(steps: Vec<Option<Step>>) -> Vec<(Register, Step)> {
    let mut is_needed = vec![false; steps.len()];
    if let Some(last) = is_needed.last_mut() {
        *last = true;
    }
    for at in (0..steps.len()).rev().filter(|&at| steps[at].is_some()) {
        if is_needed[at] {
            let reads = steps[at].iter().flat_map(|step| &step.reads);
            reads.for_each(|read| {
                if let Value::Step(register) = *read {
                    is_needed[usize::from(register)] = true
                }
            });
        }
    }
    let numbered = steps.into_iter().enumerate().filter(|&(at, _)| is_needed[at]);
    numbered.filter_map(|(at, step)| Some((at as Register, step?))).collect()
}

/// Assigns registers in the order of the steps. A register is free again when the last step that reads it has read it, so that
/// the same step can store its result there.
struct Allocator {
    code: Code,
    free: Vec<u8>,
    /// The register of the code for each of the program's registers.
    places: Vec<u8>,
    /// The last step that reads each of the program's registers.
    last: Vec<usize>,
}

impl Allocator {
    fn new(program: &Program, steps: &[(Register, Step)]) -> Allocator {
        let count = program.instructions().len();
        let mut last = vec![0; count];
        for (at, (_, step)) in steps.iter().enumerate() {
            step.reads.iter().for_each(|read| {
                if let Value::Step(register) = *read {
                    last[usize::from(register)] = at
                }
            });
        }
        let code = Code { operands: program.operands(), registers: 0, constants: Vec::new(), operations: Vec::new() };
        Allocator { code, free: Vec::new(), places: vec![0; count], last }
    }

    fn allocate(mut self, steps: &[(Register, Step)]) -> Code {
        for (at, (register, step)) in steps.iter().enumerate() {
            let mut sources = [Source::Constant(0); 4];
            for (source, &read) in sources.iter_mut().zip(&step.reads) {
                *source = self.source(read);
            }
            for read in &step.reads {
                if let Value::Step(register) = *read {
                    self.release(register, at);
                }
            }
            let is_result = at + 1 == steps.len();
            let target = if is_result { Target::Result } else { Target::Register(self.take(*register)) };
            self.code.operations.push(Operation { action: step.action, sources, target });
        }
        self.code
    }

    fn source(&mut self, read: Value) -> Source {
        match read {
            Value::Operand(slot) => Source::Operand(slot),
            Value::Step(register) => Source::Register(self.places[usize::from(register)]),
            Value::Constant(x) => {
                let known = self.code.constants.iter().position(|c| c[0].to_bits() == x.to_bits());
                let at = known.unwrap_or(self.code.constants.len());
                if known.is_none() {
                    self.code.constants.push([x; LINE]);
                }
                Source::Constant(at as u16)
            }
        }
    }

    fn release(&mut self, register: Register, at: usize) {
        let place = self.places[usize::from(register)];
        if self.last[usize::from(register)] == at && !self.free.contains(&place) {
            self.free.push(place);
        }
    }

    fn take(&mut self, register: Register) -> u8 {
        let place = self.free.pop().unwrap_or_else(|| {
            self.code.registers += 1;
            (self.code.registers - 1) as u8
        });
        self.places[usize::from(register)] = place;
        place
    }
}
