//! Elementwise operators: a program, and what the language says about it.

use serde::{Deserialize, Serialize};

use super::{Dim, Shape, one_dimensional};
use crate::elementwise::{Binary, Builder, MAX_OPERANDS, Program};

/// An elementwise operator: a function with its numbers filled in. The first operand is the current value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Elementwise {
    /// The function's name, which is its keyword: `relu`, `add`, `hardswish`; [`Elementwise::APPLY`] for an expression in place.
    pub name: String,
    /// Its numbers, in the order of their declaration.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub numbers: Vec<Number>,
    /// Its operands, by the program's slots.
    pub operands: Vec<Operand>,
    /// What it computes.
    pub program: Program,
}

/// A number of a function, known when compiled: `alpha: 0.5`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Number {
    /// Its key.
    pub key: String,
    /// Its value.
    #[serde(with = "crate::elementwise::number")]
    pub value: f32,
    /// Whether this is the default, which dumps leave out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_default: bool,
}

/// An operand of a function.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Operand {
    /// Its name in the function; that of a learned operand names its parameter.
    pub name: String,
    /// Its shape next to the first operand's.
    pub broadcast: Broadcast,
}

/// The shape of an operand, declared and never inferred: otherwise a sum of a map and a `C x 1 x 1` value would pass unnoticed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Broadcast {
    /// The shape of the first operand.
    Full,
    /// One value per sample and channel: `C x 1 x 1` next to `C x H x W`.
    Channel,
    /// One value per sample and pixel: `1 x H x W`.
    Pixel,
    /// One value per sample: `1 x 1 x 1`.
    Scalar,
    /// Learned, one number per channel: `[C]`.
    Parameter {
        /// Its initial value.
        init: f32,
    },
    /// Learned, one number for all channels: `[1]`.
    Shared {
        /// Its initial value.
        init: f32,
    },
}

impl Broadcast {
    /// Whether it is a parameter of the operator, rather than a value of the graph.
    pub fn is_learned(self) -> bool {
        matches!(self, Broadcast::Parameter { .. } | Broadcast::Shared { .. })
    }

    /// The kind of the second factor of a `mul`: one value per channel if its shape says so, else the shape of the first.
    pub fn of_factor(x: &Shape, factor: &Shape) -> Broadcast {
        let (x, factor) = (one_dimensional::lift(x), one_dimensional::lift(factor));
        match (x.dims(), factor.dims()) {
            (Some([c, h, w]), Some([channels, Dim::Fixed(1), Dim::Fixed(1)]))
                if c == channels && [*h, *w] != [Dim::Fixed(1); 2] =>
            {
                Broadcast::Channel
            }
            _ => Broadcast::Full,
        }
    }

    /// Its keyword.
    pub fn word(self) -> &'static str {
        match self {
            Broadcast::Full => "full",
            Broadcast::Channel => "channel",
            Broadcast::Pixel => "pixel",
            Broadcast::Scalar => "scalar",
            Broadcast::Parameter { .. } => "parameter",
            Broadcast::Shared { .. } => "shared",
        }
    }

    /// The shape that it stands for, in words.
    pub fn shape(self) -> &'static str {
        match self {
            Broadcast::Full => "the shape of the current value",
            Broadcast::Channel => "channels x 1 x 1",
            Broadcast::Pixel => "1 x height x width",
            Broadcast::Scalar => "1 x 1 x 1",
            Broadcast::Parameter { .. } => "one number per channel",
            Broadcast::Shared { .. } => "one number",
        }
    }

    /// The initial value of a learned operand.
    pub fn init(self) -> Option<f32> {
        match self {
            Broadcast::Parameter { init } | Broadcast::Shared { init } => Some(init),
            Broadcast::Full | Broadcast::Channel | Broadcast::Pixel | Broadcast::Scalar => None,
        }
    }
}

impl Elementwise {
    /// The name of an expression in place.
    pub const APPLY: &str = "apply";

    /// A function of these operands without numbers.
    pub fn new(name: impl Into<String>, operands: Vec<Broadcast>, program: Program) -> Elementwise {
        let name_of = |slot| if slot == 0 { "x".to_owned() } else { format!("x{slot}") };
        let operands =
            operands.into_iter().enumerate().map(|(slot, broadcast)| Operand { name: name_of(slot), broadcast }).collect();
        Elementwise { name: name.into(), numbers: Vec::new(), operands, program }
    }

    /// A function of one operand.
    pub fn unary(name: impl Into<String>, program: Program) -> Elementwise {
        Elementwise::new(name, vec![Broadcast::Full], program)
    }

    /// `max(x, 0)`.
    pub fn relu() -> Elementwise {
        Elementwise::unary("relu", Program::relu())
    }

    /// `1 / (1 + exp(-x))`.
    pub fn sigmoid() -> Elementwise {
        Elementwise::unary("sigmoid", Program::sigmoid())
    }

    /// `min(max(x, min), max)`. Limits that are infinite are none; where they cross, the result is `max`, as in PyTorch.
    pub fn clamp(min: f32, max: f32) -> Elementwise {
        let min = min.min(max);
        let number = |key: &str, value: f32| Number { key: key.to_owned(), value, is_default: value.is_infinite() };
        Elementwise {
            numbers: vec![number("min", min), number("max", max)],
            ..Elementwise::unary("clamp", Program::clamp(min, max))
        }
    }

    /// `times * x + plus`, as an expression in place.
    pub fn affine(times: f32, plus: f32) -> Elementwise {
        let mut builder = Builder::new(1);
        let x = builder.operand(0);
        let factor = builder.constant(times);
        let mut value = builder.binary(Binary::Mul, factor, x);
        if plus != 0.0 {
            let constant = builder.constant(plus);
            value = builder.binary(Binary::Add, value, constant);
        }
        Elementwise::unary(Elementwise::APPLY, builder.finish(value).unwrap_or_else(|_| Program::identity()))
    }

    /// The sum of values of equal shape; `None` for more than a program has room for.
    pub fn add(operands: usize) -> Option<Elementwise> {
        let fits = (2..=MAX_OPERANDS).contains(&operands);
        fits.then(|| Elementwise::new("add", vec![Broadcast::Full; operands], Program::sum(operands)))
    }

    /// The product of two values, the second of equal shape or with one value per channel.
    pub fn mul(second: Broadcast) -> Elementwise {
        let mut mul = Elementwise::new("mul", vec![Broadcast::Full, second], Program::product());
        mul.operands[1].name = "gate".to_owned();
        mul
    }

    /// The slots of operands that are values of the graph, in the order of the node's operands.
    pub fn values(&self) -> impl Iterator<Item = usize> {
        self.slots(false)
    }

    /// The slots of operands that are parameters.
    pub fn learned(&self) -> impl Iterator<Item = usize> {
        self.slots(true)
    }

    fn slots(&self, learned: bool) -> impl Iterator<Item = usize> {
        self.operands.iter().enumerate().filter(move |(_, o)| o.broadcast.is_learned() == learned).map(|(slot, _)| slot)
    }

    /// Whether it is a function of one value and nothing else, which another operator's epilogue can compute.
    pub fn is_unary(&self) -> bool {
        self.operands.len() == 1
    }

    /// Whether it is an expression in place.
    pub fn is_applied(&self) -> bool {
        self.name == Elementwise::APPLY
    }

    /// Whether it is the sum of its operands.
    pub fn is_sum(&self) -> bool {
        self.operands.len() > 1 && self.program == Program::sum(self.operands.len())
    }

    /// The numbers that are not defaults.
    pub fn given(&self) -> impl Iterator<Item = &Number> {
        self.numbers.iter().filter(|number| !number.is_default)
    }

    /// The program as an expression with the names of its operands; `None` for one longer than a line.
    pub fn expression(&self) -> Option<String> {
        const LINE: usize = 24;
        let names: Vec<&str> = self.operands.iter().map(|operand| operand.name.as_str()).collect();
        self.program.text(&names, LINE)
    }
}
