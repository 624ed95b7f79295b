//! The names of functions of numbers, and what they take.

/// A function of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NumberFunction {
    /// The largest whole number that is not larger.
    Floor,
    /// The smallest whole number that is not smaller.
    Ceil,
    /// The nearest multiple, at least 90 % of the number.
    RoundTo,
    /// The smallest of some numbers.
    Min,
    /// The largest of some numbers.
    Max,
}

impl NumberFunction {
    /// The function of this name.
    pub fn find(name: &str) -> Option<NumberFunction> {
        Some(match name {
            "floor" => NumberFunction::Floor,
            "ceil" => NumberFunction::Ceil,
            "round_to" => NumberFunction::RoundTo,
            "min" => NumberFunction::Min,
            "max" => NumberFunction::Max,
            _ => return None,
        })
    }

    /// The names of its arguments; empty if it takes any number of them.
    pub fn parameters(self) -> &'static [&'static str] {
        match self {
            NumberFunction::Floor | NumberFunction::Ceil => &["x"],
            NumberFunction::RoundTo => &["x", "divisor", "min_value", "round_limit"],
            NumberFunction::Min | NumberFunction::Max => &[],
        }
    }

    /// How many of its arguments must be given.
    pub fn required(self) -> usize {
        match self {
            NumberFunction::Floor | NumberFunction::Ceil => 1,
            NumberFunction::RoundTo | NumberFunction::Min | NumberFunction::Max => 2,
        }
    }

    pub fn example(self) -> &'static str {
        match self {
            NumberFunction::Floor => "floor(a / b)",
            NumberFunction::Ceil => "ceil(a / b)",
            NumberFunction::RoundTo => "round_to(a / b, 8)",
            NumberFunction::Min => "min(a, b)",
            NumberFunction::Max => "max(a, b)",
        }
    }

    pub fn rounds(self) -> bool {
        !matches!(self, NumberFunction::Min | NumberFunction::Max)
    }
}
