//! The instructions of programs.

use half::bf16;
use serde::{Deserialize, Serialize};

/// The result of an instruction: its index in the program.
pub type Register = u8;

/// A function of one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unary {
    /// `-x`.
    Neg,
    /// `|x|`; its gradient at 0 is 0.
    Abs,
    /// `x * x`.
    Square,
    /// The square root.
    Sqrt,
    /// `e^x`.
    Exp,
    /// `e^x - 1`, exact near 0.
    Expm1,
    /// The natural logarithm.
    Log,
    /// `log(1 + x)`, exact near 0.
    Log1p,
    /// The hyperbolic tangent.
    Tanh,
    /// `1 / (1 + e^-x)`.
    Sigmoid,
    /// The error function.
    Erf,
    /// `log(1 + e^x)`, without overflow.
    Softplus,
    /// The largest integer that is not above `x`; its gradient is 0.
    Floor,
    /// The nearest number with the 8 bits of precision of a bf16, of two the even one. Its gradient is that of `x`.
    #[serde(rename = "round_bf16")]
    RoundBf16,
}

/// A function of two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Binary {
    /// Sum.
    Add,
    /// Difference.
    Sub,
    /// Product.
    Mul,
    /// Quotient.
    Div,
    /// The smaller value, NaN if either is (PyTorch's `minimum`); at ties, each gets half of the gradient.
    Min,
    /// The larger value, NaN if either is (PyTorch's `maximum`); at ties, each gets half of the gradient.
    Max,
}

/// A comparison of two values, as IEEE 754: with NaN all are false but [`Comparison::NotEqual`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Comparison {
    /// `<`.
    Less,
    /// `<=`.
    LessEqual,
    /// `>`.
    Greater,
    /// `>=`.
    GreaterEqual,
    /// `==`.
    Equal,
    /// `!=`.
    NotEqual,
}

/// An instruction. Registers are those of earlier instructions.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Instruction {
    /// The value of an operand, by its slot.
    Operand(u8),
    /// A constant; never NaN.
    Constant(#[serde(with = "number")] f32),
    /// A function of one value.
    Unary(Unary, Register),
    /// A function of two values.
    Binary(Binary, Register, Register),
    /// `min(max(x, min), max)`. NaN stays NaN. The gradient at the limits is 0, as that of PyTorch's `clamp` with numbers (2.15).
    Clamp {
        /// The value.
        x: Register,
        /// The lower limit; negative infinity for none.
        #[serde(with = "number")]
        min: f32,
        /// The upper limit, not below `min`; infinity for none.
        #[serde(with = "number")]
        max: f32,
    },
    /// `then` if the comparison of `left` with `right` holds, else `otherwise`.
    Select {
        /// The comparison.
        test: Comparison,
        /// Its left side.
        left: Register,
        /// Its right side.
        right: Register,
        /// The result if it holds.
        then: Register,
        /// The result if it does not.
        otherwise: Register,
    },
}

impl Unary {
    /// All of them.
    pub const ALL: [Unary; 14] = [
        Unary::Neg,
        Unary::Abs,
        Unary::Square,
        Unary::Sqrt,
        Unary::Exp,
        Unary::Expm1,
        Unary::Log,
        Unary::Log1p,
        Unary::Tanh,
        Unary::Sigmoid,
        Unary::Erf,
        Unary::Softplus,
        Unary::Floor,
        Unary::RoundBf16,
    ];

    /// Its name in the language; [`Unary::Neg`] is written `-x`.
    pub fn word(self) -> &'static str {
        match self {
            Unary::Neg => "neg",
            Unary::Abs => "abs",
            Unary::Square => "square",
            Unary::Sqrt => "sqrt",
            Unary::Exp => "exp",
            Unary::Expm1 => "expm1",
            Unary::Log => "log",
            Unary::Log1p => "log1p",
            Unary::Tanh => "tanh",
            Unary::Sigmoid => "sigmoid",
            Unary::Erf => "erf",
            Unary::Softplus => "softplus",
            Unary::Floor => "floor",
            Unary::RoundBf16 => "round_bf16",
        }
    }

    /// Its value in f64.
    pub fn of(self, x: f64) -> f64 {
        match self {
            Unary::Neg => -x,
            Unary::Abs => x.abs(),
            Unary::Square => x * x,
            Unary::Sqrt => x.sqrt(),
            Unary::Exp => x.exp(),
            Unary::Expm1 => x.exp_m1(),
            Unary::Log => x.ln(),
            Unary::Log1p => x.ln_1p(),
            Unary::Tanh => x.tanh(),
            Unary::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            Unary::Erf => libm::erf(x),
            Unary::Softplus if x.is_nan() => x,
            Unary::Softplus => x.max(0.0) + (-x.abs()).exp().ln_1p(),
            Unary::Floor => x.floor(),
            Unary::RoundBf16 => f64::from(bf16::from_f32(x as f32)),
        }
    }
}

impl Binary {
    /// All of them.
    pub const ALL: [Binary; 6] = [Binary::Add, Binary::Sub, Binary::Mul, Binary::Div, Binary::Min, Binary::Max];

    /// Its operator or name in the language.
    pub fn word(self) -> &'static str {
        match self {
            Binary::Add => "+",
            Binary::Sub => "-",
            Binary::Mul => "*",
            Binary::Div => "/",
            Binary::Min => "min",
            Binary::Max => "max",
        }
    }

    /// Its value in f64.
    pub fn of(self, a: f64, b: f64) -> f64 {
        match self {
            Binary::Add => a + b,
            Binary::Sub => a - b,
            Binary::Mul => a * b,
            Binary::Div => a / b,
            Binary::Min | Binary::Max if a.is_nan() || b.is_nan() => f64::NAN,
            Binary::Min => a.min(b),
            Binary::Max => a.max(b),
        }
    }

    /// Whether the operands can be exchanged.
    pub fn is_commutative(self) -> bool {
        matches!(self, Binary::Add | Binary::Mul | Binary::Min | Binary::Max)
    }
}

impl Comparison {
    /// All of them.
    pub const ALL: [Comparison; 6] = [
        Comparison::Less,
        Comparison::LessEqual,
        Comparison::Greater,
        Comparison::GreaterEqual,
        Comparison::Equal,
        Comparison::NotEqual,
    ];

    /// Its operator in the language.
    pub fn word(self) -> &'static str {
        match self {
            Comparison::Less => "<",
            Comparison::LessEqual => "<=",
            Comparison::Greater => ">",
            Comparison::GreaterEqual => ">=",
            Comparison::Equal => "==",
            Comparison::NotEqual => "!=",
        }
    }

    /// Whether it holds.
    pub fn holds(self, left: f64, right: f64) -> bool {
        match self {
            Comparison::Less => left < right,
            Comparison::LessEqual => left <= right,
            Comparison::Greater => left > right,
            Comparison::GreaterEqual => left >= right,
            Comparison::Equal => left == right,
            Comparison::NotEqual => left != right,
        }
    }
}

impl Instruction {
    /// The registers that it reads.
    pub fn reads(self) -> impl Iterator<Item = Register> {
        let list: [Option<Register>; 4] = match self {
            Instruction::Operand(_) | Instruction::Constant(_) => [None; 4],
            Instruction::Unary(_, x) | Instruction::Clamp { x, .. } => [Some(x), None, None, None],
            Instruction::Binary(_, a, b) => [Some(a), Some(b), None, None],
            Instruction::Select { left, right, then, otherwise, .. } => [left, right, then, otherwise].map(Some),
        };
        list.into_iter().flatten()
    }

    /// The same instruction on other registers.
    pub fn on(self, map: impl Fn(Register) -> Register) -> Instruction {
        match self {
            Instruction::Operand(_) | Instruction::Constant(_) => self,
            Instruction::Unary(op, x) => Instruction::Unary(op, map(x)),
            Instruction::Binary(op, a, b) => Instruction::Binary(op, map(a), map(b)),
            Instruction::Clamp { x, min, max } => Instruction::Clamp { x: map(x), min, max },
            Instruction::Select { test, left, right, then, otherwise } => {
                Instruction::Select { test, left: map(left), right: map(right), then: map(then), otherwise: map(otherwise) }
            }
        }
    }
}

/// `min(max(x, low), high)`; NaN stays NaN.
pub(super) fn clamp(x: f64, low: f64, high: f64) -> f64 {
    if x < low {
        low
    } else if x > high {
        high
    } else {
        x
    }
}

/// Numbers in JSON, which has no infinity.
pub(crate) mod number {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Number {
        Finite(f32),
        Word(String),
    }

    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub fn serialize<S: Serializer>(x: &f32, to: S) -> Result<S::Ok, S::Error> {
        let number = if x.is_finite() { Number::Finite(*x) } else { Number::Word(x.to_string()) };
        number.serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f32, D::Error> {
        match Number::deserialize(from)? {
            Number::Finite(x) => Ok(x),
            Number::Word(word) => word.parse().map_err(|_| serde::de::Error::custom(format!("`{word}` is not a number"))),
        }
    }
}
