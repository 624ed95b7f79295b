//! Dimensions, known or free.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A spatial axis that a network may leave free (`input 3 x H x W`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Axis {
    /// Height.
    H,
    /// Width.
    W,
}

impl fmt::Display for Axis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Axis::H => "H",
            Axis::W => "W",
        })
    }
}

/// One dimension of a value. The batch dimension is implicit and not included.
///
/// A free dimension is `floor((axis + add) / div)`. Convolutions and pools of any kernel, stride and padding preserve that
/// form, since `floor((floor((v + a) / b) + c) / s) = floor((v + a + b c) / (b s))`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Dim {
    /// Known.
    Fixed(usize),
    /// `floor((axis + add) / div)`, `div >= 1`.
    Free {
        /// The axis of the input.
        axis: Axis,
        /// Added to it.
        add: i64,
        /// The divisor; the quotient rounds down.
        div: i64,
    },
}

impl Dim {
    /// The free axis itself.
    pub fn axis(axis: Axis) -> Dim {
        Dim::Free { axis, add: 0, div: 1 }
    }

    /// The number, where known.
    pub fn fixed(self) -> Option<usize> {
        match self {
            Dim::Fixed(n) => Some(n),
            Dim::Free { .. } => None,
        }
    }

    /// `floor((self + add) / div) + plus`; `None` where a known result would be below 1 or overflow.
    pub fn affine(self, add: i64, div: i64, plus: i64) -> Option<Dim> {
        match self {
            Dim::Fixed(n) => {
                let n = i64::try_from(n).ok()?.checked_add(add)?.div_euclid(div).checked_add(plus)?;
                (n >= 1).then_some(Dim::Fixed(n as usize))
            }
            Dim::Free { axis, add: a, div: b } => {
                let div = b.checked_mul(div)?;
                Some(Dim::Free { axis, add: a.checked_add(b.checked_mul(add)?)?.checked_add(div.checked_mul(plus)?)?, div })
            }
        }
    }

    /// Whether two dimensions are equal for infinitely many sizes of their axis. `floor((v + a) / d)` and `floor((v + b) / d)`
    /// differ only where a multiple of `d` lies in between, so they agree unless `a` and `b` are `d` or more apart. With
    /// different divisors they eventually diverge. A known and a free dimension, or two different axes, are equal only at
    /// isolated sizes, which does not count.
    pub fn agrees(self, other: Dim) -> bool {
        match (self, other) {
            (Dim::Free { axis: x, add: a, div: d }, Dim::Free { axis: y, add: b, div: e }) => {
                x == y && d == e && i128::from(a).abs_diff(b.into()) < u128::from(d.unsigned_abs())
            }
            (Dim::Fixed(_), _) | (_, Dim::Fixed(_)) => self == other,
        }
    }

    /// The number at a given size of the free axis (unchanged where known); may be below 1.
    pub fn at(self, size: impl Fn(Axis) -> usize) -> i64 {
        match self {
            Dim::Fixed(n) => n as i64,
            Dim::Free { axis, add, div } => i64::try_from(size(axis)).unwrap_or(i64::MAX).saturating_add(add).div_euclid(div),
        }
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Dim::Fixed(n) => write!(f, "{n}"),
            Dim::Free { axis, add: 0, div: 1 } => write!(f, "{axis}"),
            Dim::Free { axis, add: 0, div } => write!(f, "{axis}/{div}"),
            Dim::Free { axis, add, div: 1 } => write!(f, "({axis}{add:+})"),
            // ceil(v / d) reads better than floor((v + d - 1) / d)
            Dim::Free { axis, add, div } if add == div - 1 => write!(f, "ceil({axis}/{div})"),
            Dim::Free { axis, add, div } => write!(f, "({axis}{add:+})/{div}"),
        }
    }
}

/// The shape of a value, without the batch dimension: `[channels, height, width]` or `[features]`.
/// `Unknown` is the shape after an error; it suppresses follow-up errors.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Shape {
    /// Inferred.
    Known(Vec<Dim>),
    /// Could not be inferred; the reason is already reported.
    Unknown,
}

impl Shape {
    /// A shape whose sizes are all known.
    pub fn fixed(dims: &[usize]) -> Shape {
        Shape::Known(dims.iter().map(|&n| Dim::Fixed(n)).collect())
    }

    /// The dimensions, where known.
    pub fn dims(&self) -> Option<&[Dim]> {
        match self {
            Shape::Known(dims) => Some(dims),
            Shape::Unknown => None,
        }
    }

    /// All sizes, where every one is a number.
    pub fn sizes(&self) -> Option<Vec<usize>> {
        self.dims()?.iter().map(|d| d.fixed()).collect()
    }

    /// The size of the first dimension: channels of a feature map, features of a vector.
    pub fn channels(&self) -> Option<usize> {
        self.dims()?.first()?.fixed()
    }

    /// Whether it is `channels x length`.
    pub fn is_1d(&self) -> bool {
        self.dims().is_some_and(|dims| dims.len() == 2)
    }

    /// The dimensions after the channels.
    pub fn map(&self) -> Option<&[Dim]> {
        self.dims()?.get(1..)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Shape::Unknown => f.write_str("?"),
            Shape::Known(dims) => {
                for (i, dim) in dims.iter().enumerate() {
                    write!(f, "{}{dim}", if i > 0 { " x " } else { "" })?;
                }
                Ok(())
            }
        }
    }
}
