//! Any bytes as a valid program, with operands of any broadcast.

use resnetc::internal::elementwise::{Binary, Comparison, Instruction, MAX_INSTRUCTIONS, Program, Register, Unary};

use super::bytes::Bytes;

/// What the values of an operand are shared by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Full,
    Channel,
    Pixel,
    Sample,
    Parameter,
    Shared,
}

impl Kind {
    pub const ALL: [Kind; 6] = [Kind::Full, Kind::Channel, Kind::Pixel, Kind::Sample, Kind::Parameter, Kind::Shared];

    /// The sizes of an operand next to a result of these sizes.
    pub fn sizes(self, [n, c, h, w]: [usize; 4]) -> [usize; 4] {
        match self {
            Kind::Full => [n, c, h, w],
            Kind::Channel => [n, c, 1, 1],
            Kind::Pixel => [n, 1, h, w],
            Kind::Sample => [n, 1, 1, 1],
            Kind::Parameter => [1, c, 1, 1],
            Kind::Shared => [1; 4],
        }
    }

    /// The index of the value that belongs to an element of the result.
    pub fn index(self, element: usize, sizes @ [_, c, h, w]: [usize; 4]) -> usize {
        let (pixel, map) = (element % (h * w), element / (h * w));
        let own = self.sizes(sizes);
        let at = [map / c, map % c, pixel / w, pixel % w];
        at.into_iter().zip(own).fold(0, |index, (at, size)| index * size + if size == 1 { 0 } else { at })
    }
}

/// A program and its operands, plain.
#[derive(Debug)]
pub struct Case {
    pub program: Program,
    pub kinds: Vec<Kind>,
    /// The operand that is in the output.
    pub in_place: Option<usize>,
    pub sizes: [usize; 4],
    pub values: Vec<Vec<f32>>,
}

impl Case {
    pub fn read(bytes: &mut Bytes<'_>) -> Case {
        let operands = 1 + bytes.below(4);
        let kinds: Vec<Kind> = (0..operands).map(|_| if bytes.flip() { Kind::Full } else { bytes.one_of(&Kind::ALL) }).collect();
        let in_place = Some(bytes.below(operands)).filter(|&slot| bytes.flip() && kinds[slot] == Kind::Full);
        let sizes = sizes(bytes);
        let program = program(bytes, operands);
        let values = kinds.iter().map(|kind| values(bytes, kind.sizes(sizes).iter().product())).collect();
        Case { program, kinds, in_place, sizes, values }
    }

    /// Elements of the result.
    pub fn len(&self) -> usize {
        self.sizes.iter().product()
    }

    /// The program's operands at an element.
    pub fn operands(&self, element: usize) -> Vec<f32> {
        let of = |(kind, values): (&Kind, &Vec<f32>)| values[kind.index(element, self.sizes)];
        self.kinds.iter().zip(&self.values).map(of).collect()
    }
}

/// Samples, channels, height and width, so that vectors and blocks are sometimes filled and sometimes not.
pub fn sizes(bytes: &mut Bytes<'_>) -> [usize; 4] {
    [1 + bytes.below(2), 1 + bytes.below(19), 1 + bytes.below(5), 1 + bytes.below(5)]
}

/// Some numbers, over and over.
pub fn values(bytes: &mut Bytes<'_>, count: usize) -> Vec<f32> {
    const MOST: usize = 8;
    let numbers: Vec<f32> = (0..count.min(MOST)).map(|_| bytes.float()).collect();
    // no period that is one of the result's
    (0..count).map(|at| numbers[(at + at / 3 + at / 17) % numbers.len()]).collect()
}

/// A program. It need not read all of its operands, nor use all that it computes.
pub fn program(bytes: &mut Bytes<'_>, operands: usize) -> Program {
    let mut list: Vec<Instruction> = Vec::new();
    if bytes.byte() < 224 {
        list.extend((0..operands).map(|slot| Instruction::Operand(slot as u8)));
    }
    let most = match bytes.byte() {
        count @ 0..240 => list.len() + usize::from(count) % 20,
        _ => MAX_INSTRUCTIONS,
    };
    while list.is_empty() || list.len() < most && !bytes.is_empty() {
        list.push(instruction(bytes, operands, list.len()));
    }
    Program::new(operands, list).unwrap()
}

/// An instruction after `len` others.
fn instruction(bytes: &mut Bytes<'_>, operands: usize, len: usize) -> Instruction {
    // the first one has nothing to read
    match if len == 0 { bytes.below(2) } else { bytes.below(16) } {
        0 => Instruction::Operand(bytes.below(operands) as u8),
        1 => Instruction::Constant(number(bytes)),
        2..=6 => Instruction::Unary(bytes.one_of(&Unary::ALL), register(bytes, len)),
        7..=11 => Instruction::Binary(bytes.one_of(&Binary::ALL), register(bytes, len), register(bytes, len)),
        12 => {
            let [min, max] = [number(bytes), number(bytes)];
            Instruction::Clamp { x: register(bytes, len), min: min.min(max), max: min.max(max) }
        }
        13 | 14 => Instruction::Select {
            test: bytes.one_of(&Comparison::ALL),
            left: register(bytes, len),
            right: register(bytes, len),
            then: register(bytes, len),
            otherwise: register(bytes, len),
        },
        // one value cut off at another, as in a ReLU
        _ => {
            let [x, limit] = [register(bytes, len), register(bytes, len)];
            let test = if bytes.flip() { Comparison::LessEqual } else { Comparison::GreaterEqual };
            Instruction::Select { test, left: x, right: limit, then: limit, otherwise: x }
        }
    }
}

fn number(bytes: &mut Bytes<'_>) -> f32 {
    let number = bytes.float();
    if number.is_nan() { 0.0 } else { number }
}

/// One of `len` registers: mostly a recent one, so that programs are deep.
fn register(bytes: &mut Bytes<'_>, len: usize) -> Register {
    let byte = usize::from(bytes.byte());
    (if byte < 160 { len - 1 - byte % len.min(5) } else { byte % len }) as Register
}
