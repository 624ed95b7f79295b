//! Values of attributes, as printers and readers see them who do not know the operator.

use std::fmt;

use crate::base::codes;
use crate::base::diagnostic::Code;
use crate::ir::attrs::{Pair, Sides};
use crate::ir::rearrange::shape_text;

/// The value of an attribute.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum AttrValue {
    /// A whole number.
    Count(usize),
    /// Height and width.
    Size(Pair),
    /// Padding on each side.
    Sides(Sides),
    /// Before and after.
    Ends([usize; 2]),
    /// Channels, height and width; `None` is what the others leave.
    Shape([Option<usize>; 3]),
    /// Factors of height and width.
    Factors([f64; 2]),
    /// A real number.
    Number(f64),
    /// On or off.
    Flag(bool),
    /// One of the words that the attribute takes.
    Word(&'static str),
}

/// Why attributes, each of which is valid, make no operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The code of the error.
    pub code: Code,
    /// What is wrong.
    pub message: String,
    /// The same, beside the statement.
    pub label: String,
}

impl Invalid {
    /// Values that do not go together.
    pub fn new(message: impl Into<String>, label: impl Into<String>) -> Invalid {
        Invalid { code: codes::BAD_VALUE, message: message.into(), label: label.into() }
    }
}

/// The attributes of an operator by key.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attributes<'a>(Vec<(&'a str, AttrValue)>);

impl<'a> Attributes<'a> {
    /// The attribute of this key.
    pub fn value(&self, key: &str) -> Option<AttrValue> {
        self.0.iter().find(|(own, _)| *own == key).map(|(_, value)| *value)
    }

    /// The attribute of this key as a field of an operator; `None` if it is absent or of another kind.
    pub fn find<T: TryFrom<AttrValue>>(&self, key: &str) -> Option<T> {
        T::try_from(self.value(key)?).ok()
    }

    /// Like [`Attributes::find`], for an attribute that an operator needs.
    pub fn get<T: TryFrom<AttrValue>>(&self, key: &str) -> Result<T, Invalid> {
        self.find(key).ok_or_else(|| Invalid::new(format!("`{key}` is missing"), "incomplete"))
    }

    /// Adds an attribute.
    pub fn push(&mut self, key: &'a str, value: impl Into<AttrValue>) {
        self.0.push((key, value.into()));
    }

    /// The keys and values.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, AttrValue)> {
        self.0.iter().copied()
    }
}

impl<'a, const N: usize> From<[(&'a str, AttrValue); N]> for Attributes<'a> {
    fn from(list: [(&'a str, AttrValue); N]) -> Attributes<'a> {
        Attributes(list.into())
    }
}

/// Conversions between a field's type and the values that stand for it.
macro_rules! field {
    ($type:ty, $into:ident, $($from:ident)|+) => {
        impl From<$type> for AttrValue {
            fn from(value: $type) -> AttrValue {
                AttrValue::$into(value)
            }
        }

        impl TryFrom<AttrValue> for $type {
            type Error = ();

            fn try_from(value: AttrValue) -> Result<$type, ()> {
                match value {
                    $(AttrValue::$from(value) => Ok(value),)+
                    _ => Err(()),
                }
            }
        }
    };
}

field!(usize, Count, Count);
field!(Pair, Size, Size | Ends);
field!(Sides, Sides, Sides);
field!([Option<usize>; 3], Shape, Shape);
field!([f64; 2], Factors, Factors);
field!(f64, Number, Number);
field!(bool, Flag, Flag);
field!(&'static str, Word, Word);

impl From<f32> for AttrValue {
    /// The `f64` with the same shortest text.
    fn from(value: f32) -> AttrValue {
        AttrValue::Number(value.to_string().parse().unwrap_or(f64::from(value)))
    }
}

impl TryFrom<AttrValue> for f32 {
    type Error = ();

    fn try_from(value: AttrValue) -> Result<f32, ()> {
        f64::try_from(value).map(|value| value as f32)
    }
}

impl fmt::Display for AttrValue {
    /// As a source writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            AttrValue::Count(n) => write!(f, "{n}"),
            AttrValue::Size([h, w]) if h == w => write!(f, "{h}"),
            AttrValue::Size([h, w]) => write!(f, "{h}x{w}"),
            AttrValue::Sides([[t, b], [l, r]]) if t == b && l == r => write!(f, "{}", AttrValue::Size([t, l])),
            AttrValue::Sides([[t, b], [l, r]]) => write!(f, "[{t}, {b}, {l}, {r}]"),
            AttrValue::Ends([before, after]) => write!(f, "[{before}, {after}]"),
            AttrValue::Shape(sizes) => f.write_str(&shape_text(sizes)),
            AttrValue::Factors([h, w]) if h == w => write!(f, "{}", AttrValue::Number(h)),
            AttrValue::Factors([h, w]) if h.fract() == 0.0 && w.fract() == 0.0 => write!(f, "{h}x{w}"),
            AttrValue::Factors(factors) => write!(f, "[{}, {}]", AttrValue::Number(factors[0]), AttrValue::Number(factors[1])),
            // the shortest text that parses to the same number
            AttrValue::Number(x) if x == x.trunc() && x.abs() < 1e15 => write!(f, "{}", x as i64),
            AttrValue::Number(x) => write!(f, "{x:?}"),
            AttrValue::Flag(on) => write!(f, "{on}"),
            AttrValue::Word(word) => f.write_str(word),
        }
    }
}
