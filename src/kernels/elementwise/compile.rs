//! Compiles programs: [`steps`] chooses an action for each instruction, [`join`] makes one step of several, and registers are
//! assigned here.

use super::code::{Code, MAX_SOURCES, Operation, Source, Target};
use super::join::join;
use super::steps::{Step, Value, steps};
use crate::elementwise::{Program, Register};
use crate::kernels::aligned::LINE;

impl Code {
    /// Compiles a program.
    pub fn new(program: &Program) -> Code {
        let steps = join(steps(program)).numbered();
        Allocator::new(program, &steps).allocate(&steps)
    }
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
            let mut sources = [Source::Constant(0); MAX_SOURCES];
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
