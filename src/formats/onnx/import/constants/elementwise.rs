//! Operators that compute each element of constants on its own.

use super::array::{Array, Kind, common};

/// The result of an operator on each element of one constant.
pub(super) fn unary(op: &str, x: &Array) -> Option<Array> {
    let (kind, of): (Kind, fn(f64) -> f64) = match op {
        "Neg" => (x.kind, |v| -v),
        "Abs" => (x.kind, f64::abs),
        "Sqrt" => (Kind::Float, f64::sqrt),
        "Exp" => (Kind::Float, f64::exp),
        "Log" => (Kind::Float, f64::ln),
        "Reciprocal" => (Kind::Float, |v| 1.0 / v),
        "Sigmoid" => (Kind::Float, |v| 1.0 / (1.0 + (-v).exp())),
        "Tanh" => (Kind::Float, f64::tanh),
        "Softplus" => (Kind::Float, |v| v.max(0.0) + (-v.abs()).exp().ln_1p()),
        "Relu" => (x.kind, |v| v.max(0.0)),
        "Floor" => (x.kind, f64::floor),
        "Ceil" => (x.kind, f64::ceil),
        "Round" => (x.kind, f64::round_ties_even),
        "Sign" => (x.kind, |v| {
            if v > 0.0 {
                1.0
            } else if v < 0.0 {
                -1.0
            } else {
                v
            }
        }),
        "Not" => (Kind::Bool, |v| f64::from(u8::from(v == 0.0))),
        _ => return None,
    };
    Array::new(kind, x.shape.clone(), x.values.iter().map(|&v| of(v)).collect())
}

/// The result of an operator on each element of two constants.
pub(super) fn binary(op: &str, a: &Array, b: &Array) -> Option<Array> {
    let kind = a.kind.max(b.kind);
    let truth = |holds: bool| f64::from(u8::from(holds));
    match op {
        "Add" | "Sum" => zip(kind, a, b, |x, y| x + y),
        "Sub" => zip(kind, a, b, |x, y| x - y),
        "Mul" => zip(kind, a, b, |x, y| x * y),
        "Div" if kind == Kind::Int && b.values.contains(&0.0) => None,
        "Div" if kind == Kind::Int => zip(kind, a, b, |x, y| (x / y).trunc()),
        "Div" => zip(kind, a, b, |x, y| x / y),
        "Mod" if b.values.contains(&0.0) => None,
        "Mod" => zip(kind, a, b, |x, y| x - y * (x / y).floor()),
        "Pow" => zip(a.kind, a, b, f64::powf),
        "Min" => zip(kind, a, b, f64::min),
        "Max" => zip(kind, a, b, f64::max),
        "Equal" => zip(Kind::Bool, a, b, |x, y| truth(x == y)),
        "Less" => zip(Kind::Bool, a, b, |x, y| truth(x < y)),
        "LessOrEqual" => zip(Kind::Bool, a, b, |x, y| truth(x <= y)),
        "Greater" => zip(Kind::Bool, a, b, |x, y| truth(x > y)),
        "GreaterOrEqual" => zip(Kind::Bool, a, b, |x, y| truth(x >= y)),
        "And" => zip(Kind::Bool, a, b, |x, y| truth(x != 0.0 && y != 0.0)),
        "Or" => zip(Kind::Bool, a, b, |x, y| truth(x != 0.0 || y != 0.0)),
        _ => None,
    }
}

/// `a` where the condition holds, `b` elsewhere.
pub(super) fn choice(condition: &Array, a: &Array, b: &Array) -> Option<Array> {
    let shape = common(&common(&condition.shape, &a.shape)?, &b.shape)?;
    let [condition, a, b] = [condition.broadcast(&shape)?, a.broadcast(&shape)?, b.broadcast(&shape)?];
    let values = condition.values.iter().zip(a.values.iter().zip(&b.values));
    let values = values.map(|(&holds, (&x, &y))| if holds != 0.0 { x } else { y }).collect();
    Array::new(a.kind.max(b.kind), shape, values)
}

/// The values as another kind; floats are cut off at the point.
pub(super) fn cast(x: &Array, kind: Kind) -> Array {
    let of = |v: f64| match kind {
        Kind::Float => v,
        Kind::Int => v.trunc(),
        Kind::Bool => f64::from(u8::from(v != 0.0)),
    };
    Array { kind, shape: x.shape.clone(), values: x.values.iter().map(|&v| of(v)).collect() }
}

fn zip(kind: Kind, a: &Array, b: &Array, of: impl Fn(f64, f64) -> f64) -> Option<Array> {
    let shape = common(&a.shape, &b.shape)?;
    let (a, b) = (a.broadcast(&shape)?, b.broadcast(&shape)?);
    Array::new(kind, shape, a.values.iter().zip(&b.values).map(|(&x, &y)| of(x, y)).collect())
}
