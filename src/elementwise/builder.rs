//! Builds programs: equal subexpressions are computed once, and those of constants when they are built.

use std::collections::HashMap;

use super::instruction::{Binary, Comparison, Instruction, Register, Unary, clamp};
use super::program::{MAX_INSTRUCTIONS, Program, ProgramError};

/// Builds a [`Program`]. Errors, such as too many instructions, are reported by [`Builder::finish`].
#[derive(Debug)]
pub struct Builder {
    operands: usize,
    instructions: Vec<Instruction>,
    known: HashMap<Key, Register>,
    error: Option<ProgramError>,
}

/// An instruction that can be looked up: constants by their bits, so that `-0.0` is not `0.0`.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Key {
    Operand(u8),
    Constant(u32),
    Unary(Unary, Register),
    Binary(Binary, Register, Register),
    Clamp(Register, u32, u32),
    Select(Comparison, [Register; 4]),
}

impl From<Instruction> for Key {
    fn from(instruction: Instruction) -> Key {
        match instruction {
            Instruction::Operand(slot) => Key::Operand(slot),
            Instruction::Constant(x) => Key::Constant(x.to_bits()),
            Instruction::Unary(op, x) => Key::Unary(op, x),
            Instruction::Binary(op, a, b) => Key::Binary(op, a, b),
            Instruction::Clamp { x, min, max } => Key::Clamp(x, min.to_bits(), max.to_bits()),
            Instruction::Select { test, left, right, then, otherwise } => Key::Select(test, [left, right, then, otherwise]),
        }
    }
}

impl Builder {
    /// A builder of a program with this many operands.
    pub fn new(operands: usize) -> Builder {
        Builder { operands, instructions: Vec::new(), known: HashMap::new(), error: None }
    }

    /// A program that is short and valid by construction: what `make` returns is its result.
    pub(super) fn build(operands: usize, make: impl FnOnce(&mut Builder) -> Register) -> Program {
        let mut builder = Builder::new(operands);
        let result = make(&mut builder);
        let zero = vec![Instruction::Constant(0.0)];
        // `unwrap_or` without a panic: the programs that the compiler knows are tested
        builder.finish(result).or_else(|_| Program::new(operands, zero)).unwrap_or_else(|_| Program::identity())
    }

    /// The value of an operand.
    pub fn operand(&mut self, slot: usize) -> Register {
        if slot >= self.operands {
            self.error.get_or_insert(ProgramError::Order { at: self.instructions.len() });
            return 0;
        }
        self.push(Instruction::Operand(slot as u8))
    }

    /// A constant.
    pub fn constant(&mut self, value: f32) -> Register {
        self.push(Instruction::Constant(value))
    }

    /// The constant in a register, if it is one.
    pub fn as_constant(&self, register: Register) -> Option<f32> {
        match self.instructions.get(usize::from(register)) {
            Some(Instruction::Constant(x)) => Some(*x),
            _ => None,
        }
    }

    /// A function of one value.
    pub fn unary(&mut self, op: Unary, x: Register) -> Register {
        if let Some(value) = self.as_constant(x).and_then(|x| folded(op.of(f64::from(x)))) {
            return self.constant(value);
        }
        if let (Unary::Neg, Some(&Instruction::Unary(Unary::Neg, inner))) = (op, self.instructions.get(usize::from(x))) {
            return inner;
        }
        self.push(Instruction::Unary(op, x))
    }

    /// A function of two values.
    pub fn binary(&mut self, op: Binary, a: Register, b: Register) -> Register {
        let (left, right) = (self.as_constant(a), self.as_constant(b));
        if let (Some(left), Some(right)) = (left, right)
            && let Some(value) = folded(op.of(f64::from(left), f64::from(right)))
        {
            return self.constant(value);
        }
        match op {
            // exact for every value, NaN and infinities included
            Binary::Mul if left == Some(1.0) => b,
            Binary::Mul | Binary::Div if right == Some(1.0) => a,
            Binary::Sub if right.is_some_and(|x| x.to_bits() == 0) => a,
            _ => self.push(Instruction::Binary(op, a, b)),
        }
    }

    /// `min(max(x, min), max)`.
    pub fn clamp(&mut self, x: Register, min: f32, max: f32) -> Register {
        if let Some(value) = self.as_constant(x).filter(|_| min <= max) {
            return self.constant(clamp(f64::from(value), f64::from(min), f64::from(max)) as f32);
        }
        if (min, max) == (f32::NEG_INFINITY, f32::INFINITY) {
            return x;
        }
        self.push(Instruction::Clamp { x, min, max })
    }

    /// `then` if a comparison holds, else `otherwise`.
    pub fn select(&mut self, test: Comparison, left: Register, right: Register, then: Register, otherwise: Register) -> Register {
        if then == otherwise {
            return then;
        }
        if let (Some(left), Some(right)) = (self.as_constant(left), self.as_constant(right)) {
            return if test.holds(f64::from(left), f64::from(right)) { then } else { otherwise };
        }
        self.push(Instruction::Select { test, left, right, then, otherwise })
    }

    /// The result of a program on these values, one per operand.
    pub fn inline(&mut self, program: &Program, arguments: &[Register]) -> Register {
        let mut registers: Vec<Register> = Vec::with_capacity(program.instructions().len());
        for &instruction in program.instructions() {
            let at = |register: Register| registers[usize::from(register)];
            let register = match instruction {
                Instruction::Operand(slot) => match arguments.get(usize::from(slot)) {
                    Some(&register) => register,
                    None => {
                        self.error.get_or_insert(ProgramError::Order { at: self.instructions.len() });
                        0
                    }
                },
                _ => self.instruction(instruction.on(at)),
            };
            registers.push(register);
        }
        registers.last().copied().unwrap_or(0)
    }

    /// An instruction on registers of this builder.
    pub(super) fn instruction(&mut self, instruction: Instruction) -> Register {
        match instruction {
            Instruction::Operand(slot) => self.operand(usize::from(slot)),
            Instruction::Constant(x) => self.constant(x),
            Instruction::Unary(op, x) => self.unary(op, x),
            Instruction::Binary(op, a, b) => self.binary(op, a, b),
            Instruction::Clamp { x, min, max } => self.clamp(x, min, max),
            Instruction::Select { test, left, right, then, otherwise } => self.select(test, left, right, then, otherwise),
        }
    }

    fn push(&mut self, instruction: Instruction) -> Register {
        if let Some(&register) = self.known.get(&Key::from(instruction)) {
            return register;
        }
        if self.instructions.len() == MAX_INSTRUCTIONS {
            self.error.get_or_insert(ProgramError::TooLong);
            return 0;
        }
        let register = self.instructions.len() as Register;
        self.instructions.push(instruction);
        self.known.insert(Key::from(instruction), register);
        register
    }

    /// The program with this result, without the instructions that it does not need. They are in the order in which an expression
    /// reads them, so that programs of the same operations are equal, however they were built.
    pub fn finish(self, result: Register) -> Result<Program, ProgramError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let mut places: Vec<Option<Register>> = vec![None; self.instructions.len()];
        let mut kept: Vec<Instruction> = Vec::new();
        if !self.instructions.is_empty() {
            self.keep(result, &mut places, &mut kept);
        }
        Program::new(self.operands, kept)
    }

    /// Appends an instruction after those that it reads, unless it is there already, and returns its place.
    fn keep(&self, register: Register, places: &mut [Option<Register>], kept: &mut Vec<Instruction>) -> Register {
        let at = usize::from(register);
        if let Some(place) = places[at] {
            return place;
        }
        let instruction = self.instructions[at];
        for read in instruction.reads() {
            self.keep(read, places, kept);
        }
        kept.push(instruction.on(|read| places[usize::from(read)].unwrap_or(0)));
        let place = (kept.len() - 1) as Register;
        places[at] = Some(place);
        place
    }
}

/// A value computed from constants, rounded to f32; `None` if it must fail at run time as it would there.
fn folded(value: f64) -> Option<f32> {
    let value = value as f32;
    (!value.is_nan()).then_some(value)
}
