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

/// The largest period of two free dimensions that is searched for a size at which they are equal.
const MAX_PERIOD: i64 = 1 << 16;

/// One dimension of a value. The batch dimension is implicit and not included.
///
/// A free dimension is `times * floor((axis + add) / div) + plus`. With `times` 1, convolutions and pools of any kernel, stride and
/// padding preserve that form, since `floor((floor((v + a) / b) + c) / s) = floor((v + a + b c) / (b s))`. What enlarges a map by a
/// whole factor has a larger `times`, which strides that divide it, or that it divides, take back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Dim {
    /// Known.
    Fixed(usize),
    /// `times * floor((axis + add) / div) + plus`, where `div` and `times` are at least 1, and `plus` is 0 if `times` is 1.
    Free {
        /// The axis of the input.
        axis: Axis,
        /// Added to it.
        add: i64,
        /// The divisor; the quotient rounds down.
        div: i64,
        /// How many times the quotient.
        #[serde(default = "one", skip_serializing_if = "is_one")]
        times: i64,
        /// Added to that.
        #[serde(default, skip_serializing_if = "is_zero")]
        plus: i64,
    },
}

fn one() -> i64 {
    1
}

fn is_one(n: &i64) -> bool {
    *n == 1
}

fn is_zero(n: &i64) -> bool {
    *n == 0
}

impl Dim {
    /// The free axis itself.
    pub fn axis(axis: Axis) -> Dim {
        Dim::Free { axis, add: 0, div: 1, times: 1, plus: 0 }
    }

    /// The number, where known.
    pub fn fixed(self) -> Option<usize> {
        match self {
            Dim::Fixed(n) => Some(n),
            Dim::Free { .. } => None,
        }
    }

    /// `floor((self + add) / div) + plus`; `None` where a known result would be below 1 or overflow, or a free one has no such form.
    pub fn affine(self, add: i64, div: i64, plus: i64) -> Option<Dim> {
        match self {
            Dim::Fixed(n) => {
                let n = i64::try_from(n).ok()?.checked_add(add)?.div_euclid(div).checked_add(plus)?;
                (n >= 1).then_some(Dim::Fixed(n as usize))
            }
            Dim::Free { axis, add: a, div: b, times, plus: p } => {
                let more = p.checked_add(add)?;
                if times % div == 0 {
                    // whole multiples are left
                    return free(axis, a, b, times / div, more.div_euclid(div).checked_add(plus)?);
                }
                if div % times != 0 {
                    return None;
                }
                let (step, more) = (div / times, more.div_euclid(times));
                let (whole, rest) = (b.checked_mul(step)?, a.checked_add(b.checked_mul(more)?)?);
                free(axis, rest, whole, 1, plus)
            }
        }
    }

    /// This many times; `None` where it overflows.
    pub fn multiplied(self, by: usize) -> Option<Dim> {
        match self {
            Dim::Fixed(n) => n.checked_mul(by).map(Dim::Fixed),
            Dim::Free { axis, add, div, times, plus } => {
                let by = i64::try_from(by).ok().filter(|&by| by > 0)?;
                free(axis, add, div, times.checked_mul(by)?, plus.checked_mul(by)?)
            }
        }
    }

    /// Whether two dimensions are equal for infinitely many sizes of their axis. Such that grow alike repeat how they differ; with
    /// others they eventually diverge. `floor((v + a) / d)` and `floor((v + b) / d)` differ only where a multiple of `d` lies in
    /// between, so they agree unless `a` and `b` are `d` or more apart. A known and a free dimension, or two different axes, are
    /// equal only at isolated sizes, which does not count.
    pub fn agrees(self, other: Dim) -> bool {
        match (self, other) {
            (Dim::Free { axis: x, add: a, div: d, times: m, .. }, Dim::Free { axis: y, add: b, div: e, times: n, .. }) => {
                if (m, n, d) == (1, 1, e) {
                    return x == y && i128::from(a).abs_diff(b.into()) < u128::from(d.unsigned_abs());
                }
                let grow_alike = i128::from(m) * i128::from(e) == i128::from(n) * i128::from(d);
                let period = d.checked_mul(e).filter(|&period| period <= MAX_PERIOD);
                x == y && grow_alike && period.is_some_and(|period| (0..period).any(|v| self.value(v) == other.value(v)))
            }
            (Dim::Fixed(_), _) | (_, Dim::Fixed(_)) => self == other,
        }
    }

    /// The number at a given size of the free axis (unchanged where known); may be below 1.
    pub fn at(self, size: impl Fn(Axis) -> usize) -> i64 {
        match self {
            Dim::Fixed(n) => n as i64,
            Dim::Free { axis, .. } => self.value(i64::try_from(size(axis)).unwrap_or(i64::MAX)),
        }
    }

    fn value(self, axis: i64) -> i64 {
        match self {
            Dim::Fixed(n) => n as i64,
            Dim::Free { add, div, times, plus, .. } => {
                axis.saturating_add(add).div_euclid(div).saturating_mul(times).saturating_add(plus)
            }
        }
    }

    /// The smallest size of the axis at which a free dimension is at least 1.
    pub fn least_axis(self) -> Option<(Axis, i64)> {
        let Dim::Free { axis, add, div, times, plus } = self else { return None };
        // the quotient that is needed, rounded up
        let quotient = plus.saturating_sub(1).div_euclid(times).saturating_neg();
        Some((axis, quotient.saturating_mul(div).saturating_sub(add).max(1)))
    }
}

/// A free dimension in its only form.
fn free(axis: Axis, add: i64, div: i64, times: i64, plus: i64) -> Option<Dim> {
    if times != 1 {
        return Some(Dim::Free { axis, add, div, times, plus });
    }
    Some(Dim::Free { axis, add: add.checked_add(div.checked_mul(plus)?)?, div, times: 1, plus: 0 })
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Dim::Fixed(n) => write!(f, "{n}"),
            Dim::Free { axis, add: 0, div: 1, times: 1, .. } => write!(f, "{axis}"),
            Dim::Free { axis, add: 0, div, times: 1, .. } => write!(f, "{axis}/{div}"),
            Dim::Free { axis, add, div: 1, times: 1, .. } => write!(f, "({axis}{add:+})"),
            // ceil(v / d) reads better than floor((v + d - 1) / d)
            Dim::Free { axis, add, div, times: 1, .. } if add == div - 1 => write!(f, "ceil({axis}/{div})"),
            Dim::Free { axis, add, div, times: 1, .. } => write!(f, "({axis}{add:+})/{div}"),
            Dim::Free { axis, add, div, times, plus } => {
                let once = Dim::Free { axis, add, div, times: 1, plus: 0 };
                let once = if add == 0 && div != 1 { format!("({once})") } else { once.to_string() };
                if plus == 0 { write!(f, "{times}*{once}") } else { write!(f, "({times}*{once}{plus:+})") }
            }
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
