//! What a program may compute, as ranges: an interval for each instruction that contains every value which it may have, given the
//! error that the instruction is allowed. So the tolerance of a comparison follows from the program: it is nothing at all as long
//! as instructions are rounded correctly, and wide where a difference cancels or a comparison is undecided.

use resnetc::internal::elementwise::{Binary, Comparison, Instruction, Program, Register, Unary};

/// How instructions are rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// As the kernels do: to f32, functions with the errors that `kernels::elementwise::math` states.
    Kernel,
    /// As the kernels do, or not at all.
    Any,
    /// As f64.
    Double,
}

/// The values that a result may have: an interval, and perhaps NaN.
#[derive(Clone, Copy, Debug)]
pub struct Range {
    /// The smallest number; above `high` if the result is no number.
    pub low: f64,
    pub high: f64,
    pub nan: bool,
    /// Whether it is one value, and the sign of zero is known as well.
    exact: bool,
    /// Whether it may be discontinuous in what it is computed from: a step or an undecided comparison.
    pub jumps: bool,
}

impl Range {
    const NONE: Range = Range { low: f64::INFINITY, high: f64::NEG_INFINITY, nan: false, exact: false, jumps: false };

    /// One value.
    pub fn of(x: f64) -> Range {
        if x.is_nan() { Range { nan: true, ..Range::NONE } } else { Range { low: x, high: x, exact: true, ..Range::NONE } }
    }

    /// With an absolute error in addition.
    fn widened(self, error: f64) -> Range {
        Range { low: self.low - error, high: self.high + error, exact: false, ..self }
    }

    /// All numbers between two.
    pub fn between(low: f64, high: f64) -> Range {
        Range { low, high, ..Range::NONE }
    }

    pub fn contains(self, x: f64) -> bool {
        if x.is_nan() { self.nan } else { self.low <= x && x <= self.high }
    }

    /// Whether it consists of finite numbers.
    pub fn is_finite(self) -> bool {
        !self.nan && self.low.is_finite() && self.high.is_finite()
    }

    /// The same values, if the sign of a zero among them is not known.
    pub fn with_any_zero(self) -> Range {
        Range { exact: self.exact && self.low != 0.0, ..self }
    }

    /// Either of two results.
    pub fn or(self, other: Range) -> Range {
        Range {
            low: self.low.min(other.low),
            high: self.high.max(other.high),
            nan: self.nan || other.nan,
            exact: false,
            jumps: self.jumps || other.jumps,
        }
    }

    fn is_number(self) -> bool {
        self.low <= self.high
    }

    fn has_finite(self) -> bool {
        self.is_number() && self.low < f64::INFINITY && self.high > f64::NEG_INFINITY
    }

    fn is_infinite(self) -> bool {
        self.low == f64::NEG_INFINITY || self.high == f64::INFINITY
    }

    /// The image under an increasing function that is NaN below `least`.
    fn increasing(self, least: f64, of: impl Fn(f64) -> f64) -> Range {
        let (low, nan) = if self.is_number() && self.low < least { (least, true) } else { (self.low, self.nan) };
        let image = if low <= self.high {
            let ends = [of(low), of(self.high)];
            // f64's own rounding is not always monotonic
            if ends[0] <= ends[1] { Range::between(ends[0], ends[1]) } else { Range::between(ends[1], ends[0]) }
        } else {
            Range::NONE
        };
        Range { nan, exact: self.exact && image.is_number(), jumps: self.jumps, ..image }
    }

    /// The image under a function that is monotonic in each of its arguments.
    fn corners(self, other: Range, of: impl Fn(f64, f64) -> f64) -> Range {
        let mut image = Range { nan: self.nan || other.nan, jumps: self.jumps || other.jumps, ..Range::NONE };
        if !self.is_number() || !other.is_number() {
            return image;
        }
        for (a, b) in [(self.low, other.low), (self.low, other.high), (self.high, other.low), (self.high, other.high)] {
            let value = of(a, b);
            image = if value.is_nan() {
                Range { nan: true, ..image }
            } else {
                // the sign of a zero is that of the only corner
                Range {
                    low: if value <= image.low { value } else { image.low },
                    high: if value >= image.high { value } else { image.high },
                    ..image
                }
            };
        }
        Range { exact: self.exact && other.exact && image.is_number(), ..image }
    }

    /// The sum, or what else is like it.
    fn sum(self, other: Range) -> Range {
        let opposite = self.high == f64::INFINITY && other.low == f64::NEG_INFINITY
            || self.low == f64::NEG_INFINITY && other.high == f64::INFINITY;
        let sum = self.corners(other, |a, b| a + b);
        Range { nan: sum.nan || opposite, ..sum }
    }

    fn product(self, other: Range) -> Range {
        let undefined = self.contains(0.0) && other.is_infinite() || self.is_infinite() && other.contains(0.0);
        let mut product = self.corners(other, |a, b| a * b);
        // no corner has it
        if undefined && self.has_finite() && other.has_finite() {
            product = product.or(Range::of(0.0).with_any_zero());
        }
        Range { nan: product.nan || self.is_number() && other.is_number() && undefined, ..product }
    }

    fn quotient(self, other: Range) -> Range {
        let undefined = self.contains(0.0) && other.contains(0.0) || self.is_infinite() && other.is_infinite();
        let quotient = self.corners(other, |a, b| a / b);
        let nan = quotient.nan || self.is_number() && other.is_number() && undefined;
        let quotient = if undefined && self.has_finite() && other.is_infinite() {
            quotient.or(Range::of(0.0).with_any_zero())
        } else {
            quotient
        };
        if other.contains(0.0) && !(self.exact && other.exact) && self.is_number() {
            return Range { nan, jumps: true, ..Range::between(f64::NEG_INFINITY, f64::INFINITY) };
        }
        Range { nan, ..quotient }
    }

    /// Whether a comparison may hold, and whether it may fail.
    fn compare(self, test: Comparison, other: Range) -> [bool; 2] {
        let (a, b) = (self, other);
        let [holds, fails] = match test {
            Comparison::Less => [a.low < b.high, a.high >= b.low],
            Comparison::LessEqual => [a.low <= b.high, a.high > b.low],
            Comparison::Greater => return b.compare(Comparison::Less, a),
            Comparison::GreaterEqual => return b.compare(Comparison::LessEqual, a),
            Comparison::Equal => [a.low <= b.high && b.low <= a.high, !(a.low == a.high && b.low == b.high && a.low == b.low)],
            Comparison::NotEqual => {
                let [holds, fails] = a.compare(Comparison::Equal, b);
                return [fails, holds];
            }
        };
        let numbers = a.is_number() && b.is_number();
        [numbers && holds, numbers && fails || a.nan || b.nan]
    }

    /// The range with the error of a result, in units in the last place; `None` if the result is one of the arguments or exact.
    fn rounded(self, rounding: Rounding, errors: Option<f64>) -> Range {
        let Some(errors) = errors.filter(|_| self.is_number()) else { return self };
        let double = || {
            let slack = |x: f64| if x.is_finite() { x.abs() / 2f64.powi(49) + 1e-300 } else { 0.0 };
            Range { low: self.low - slack(self.low), high: self.high + slack(self.high), exact: false, ..self }
        };
        match rounding {
            Rounding::Kernel => self.rounded_by_kernels(errors),
            Rounding::Double => double(),
            Rounding::Any => self.rounded_by_kernels(errors).or(double()),
        }
    }

    fn rounded_by_kernels(self, errors: f64) -> Range {
        if errors <= 0.5 {
            // correct rounding is monotonic
            return Range { low: f64::from(self.low as f32), high: f64::from(self.high as f32), ..self };
        }
        // between the ends of an interval, units may be twice as large as at the end
        let errors = if self.low == self.high { errors } else { 2.0 * errors };
        let [mut low, mut high] = [self.low - errors * unit(self.low), self.high + errors * unit(self.high)];
        // no function has the wrong sign
        if self.low >= 0.0 {
            low = low.max(0.0);
        }
        if self.high <= 0.0 {
            high = high.min(0.0);
        }
        Range { low: below(low), high: above(high), exact: false, ..self }
    }
}

/// A unit in the last place of a number, as f32; subnormal numbers have that of the smallest normal one.
fn unit(x: f64) -> f64 {
    if x.is_infinite() {
        return 0.0;
    }
    let exponent = ((x.abs().to_bits() >> 52) as i32 - 1023).max(-126);
    2f64.powi(exponent - 23)
}

/// The largest f32 that is not above.
fn below(x: f64) -> f64 {
    let nearest = x as f32;
    f64::from(if f64::from(nearest) > x { nearest.next_down() } else { nearest })
}

/// The smallest f32 that is not below.
fn above(x: f64) -> f64 {
    -below(-x)
}

/// The values that the instructions of a program may have, in order.
pub fn trace(program: &Program, operands: &[Range], rounding: Rounding) -> Vec<Range> {
    let mut values: Vec<Range> = Vec::with_capacity(program.instructions().len());
    for &instruction in program.instructions() {
        let value = step(program, instruction, operands, &values, rounding);
        values.push(value);
    }
    values
}

/// The values that a program's result may have.
pub fn evaluate(program: &Program, operands: &[Range], rounding: Rounding) -> Range {
    let result = usize::from(program.result());
    trace(program, operands, rounding)[result]
}

fn step(program: &Program, instruction: Instruction, operands: &[Range], values: &[Range], rounding: Rounding) -> Range {
    let of = |register: Register| values[usize::from(register)];
    match instruction {
        Instruction::Operand(slot) => operands[usize::from(slot)],
        Instruction::Constant(x) => Range::of(f64::from(x)),
        Instruction::Unary(op, x) => {
            let errors = match op {
                Unary::Neg | Unary::Abs | Unary::Floor | Unary::RoundBf16 => None,
                Unary::Square | Unary::Sqrt => Some(0.5),
                Unary::Exp | Unary::Log => Some(1.0),
                // may be computed as one function of the softplus's argument
                Unary::Tanh => Some(3.0),
                // a product of it may be computed as a quotient
                Unary::Sigmoid => Some(3.0),
                Unary::Expm1 | Unary::Log1p | Unary::Erf | Unary::Softplus => Some(2.0),
            };
            unary(op, of(x)).rounded(rounding, errors)
        }
        Instruction::Binary(op, a, b) => {
            let (a, b) = (of(a), of(b));
            match op {
                Binary::Add if is_one_plus_erf(program, instruction) && rounding != Rounding::Double => {
                    a.sum(b).rounded(rounding, Some(0.5)).widened(1.4e-7)
                }
                Binary::Add => a.sum(b).rounded(rounding, Some(0.5)),
                Binary::Sub => a.sum(unary(Unary::Neg, b)).rounded(rounding, Some(0.5)),
                // a quotient whose divisor overflows
                Binary::Mul if is_gate(program, instruction) && rounding != Rounding::Double => {
                    let size = [a.low, a.high, b.low, b.high].into_iter().fold(0.0, |most, end| end.abs().max(most));
                    a.product(b).rounded(rounding, Some(0.5)).widened((size * 3e-39).min(f64::from(f32::MAX)))
                }
                Binary::Mul => a.product(b).rounded(rounding, Some(0.5)),
                Binary::Div => a.quotient(b).rounded(rounding, Some(0.5)),
                Binary::Min => a.corners(b, f64::min).with_any_zero(),
                Binary::Max => a.corners(b, f64::max).with_any_zero(),
            }
        }
        Instruction::Clamp { x, min, max } => {
            let (min, max) = (f64::from(min), f64::from(max));
            of(x).increasing(f64::NEG_INFINITY, |x| x.max(min).min(max)).with_any_zero()
        }
        Instruction::Select { test, left, right, then, otherwise } => {
            let is_relu = test == Comparison::LessEqual
                && left == otherwise
                && right == then
                && program.instructions()[usize::from(right)] == Instruction::Constant(0.0);
            let chosen = match of(left).compare(test, of(right)) {
                [true, false] => of(then),
                [false, true] => of(otherwise),
                _ => Range { jumps: true, ..of(then).or(of(otherwise)) },
            };
            // as a maximum, which keeps either zero
            if is_relu { chosen.with_any_zero() } else { chosen }
        }
    }
}

/// Whether it is a product of a sigmoid.
fn is_gate(program: &Program, product: Instruction) -> bool {
    let mut reads = product.reads().map(|register| program.instructions()[usize::from(register)]);
    reads.any(|read| matches!(read, Instruction::Unary(Unary::Sigmoid, _)))
}

/// Whether it may be computed as one function of the argument of `erf`, whose error is absolute.
fn is_one_plus_erf(program: &Program, sum: Instruction) -> bool {
    let reads: Vec<Instruction> = sum.reads().map(|register| program.instructions()[usize::from(register)]).collect();
    reads.contains(&Instruction::Constant(1.0)) && reads.iter().any(|read| matches!(read, Instruction::Unary(Unary::Erf, _)))
}

fn unary(op: Unary, x: Range) -> Range {
    let any = f64::NEG_INFINITY;
    match op {
        Unary::Neg => Range { low: -x.high, high: -x.low, ..x },
        Unary::Abs | Unary::Square => {
            let ends = x.corners(Range::of(0.0), |x, _| op.of(x));
            Range { low: if x.contains(0.0) { 0.0 } else { ends.low }, ..ends }
        }
        Unary::Sqrt => x.increasing(0.0, |x| op.of(x)),
        Unary::Log => x.increasing(0.0, |x| op.of(x)),
        Unary::Log1p => x.increasing(-1.0, |x| op.of(x)),
        Unary::Floor | Unary::RoundBf16 => {
            let floor = x.increasing(any, |x| op.of(x));
            Range { jumps: floor.jumps || floor.low != floor.high, ..floor }
        }
        Unary::Exp | Unary::Expm1 | Unary::Tanh | Unary::Sigmoid | Unary::Erf | Unary::Softplus => {
            x.increasing(any, |x| op.of(x))
        }
    }
}
