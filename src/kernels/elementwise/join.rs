//! Makes one step of several where vectors can compute them together. The result is that of the separate steps, bit by bit,
//! except that limits keep the sign of zero, and for `tanh(softplus(x))`, `1 + erf(x)` and products of `sigmoid(x)`.

use super::code::{Action, First, Second};
use super::steps::{Step, Steps, Value};
use crate::elementwise::{Binary, Comparison, Unary};

/// Joins steps.
pub(super) fn join(mut steps: Steps) -> Steps {
    for at in 0..steps.0.len() {
        let better = steps.0[at].as_ref().and_then(|step| alone(step, &steps));
        if better.is_some() {
            steps.0[at] = better;
        }
    }
    // what is not needed any more does not keep others from being joined
    steps.prune();
    for at in 0..steps.0.len() {
        if let Some(joined) = steps.0[at].as_ref().and_then(|step| with_others(step, &steps)) {
            steps.0[at] = Some(joined);
            steps.prune();
        }
    }
    steps
}

/// A better action for a step, whose operands may still be needed elsewhere.
fn alone(step: &Step, steps: &Steps) -> Option<Step> {
    match (step.action, &step.reads[..]) {
        (Action::Unary(Unary::Tanh), &[x]) => steps
            .of(x)
            .filter(|inner| inner.action == Action::Unary(Unary::Softplus))
            .map(|softplus| Step { action: Action::TanhSoftplus, reads: softplus.reads.clone() }),
        (Action::Select(test), &[x, Value::Constant(limit), Value::Constant(then), otherwise])
            if limit.to_bits() == then.to_bits() =>
        {
            limits(test, x, limit, otherwise, steps)
        }
        _ => None,
    }
}

/// `if x <= limit then limit else otherwise`, or with `>=`, if `otherwise` is `x`, perhaps limited on the other side.
fn limits(test: Comparison, x: Value, limit: f32, otherwise: Value, steps: &Steps) -> Option<Step> {
    let (mut min, mut max) = (f32::NEG_INFINITY, f32::INFINITY);
    if otherwise != x {
        let inner = steps.of(otherwise).filter(|inner| inner.reads[0] == x)?;
        match (inner.action, &inner.reads[..]) {
            (Action::Relu, _) => min = 0.0,
            (Action::Clamp, &[_, Value::Constant(low), Value::Constant(high)]) => (min, max) = (low, high),
            _ => return None,
        }
    }
    match test {
        Comparison::Less | Comparison::LessEqual if min == f32::NEG_INFINITY => min = limit,
        Comparison::Greater | Comparison::GreaterEqual if max == f32::INFINITY => max = limit,
        _ => return None,
    }
    if min.to_bits() == 0 && max == f32::INFINITY {
        return Some(Step { action: Action::Relu, reads: vec![x] });
    }
    (min <= max).then(|| Step { action: Action::Clamp, reads: vec![x, Value::Constant(min), Value::Constant(max)] })
}

/// A step joined with others whose results only it reads.
fn with_others(step: &Step, steps: &Steps) -> Option<Step> {
    match (step.action, &step.reads[..]) {
        (Action::Binary(Binary::Mul), &[a, b]) => erf_gate(a, b, steps)
            .or_else(|| erf_gate(b, a, steps))
            .or_else(|| product(a, b, steps))
            .or_else(|| product(b, a, steps))
            .or_else(|| pair(Second::Mul, a, &[b], steps))
            .or_else(|| pair(Second::Mul, b, &[a], steps)),
        (Action::Binary(Binary::Add), &[a, b]) => pair(Second::Add, a, &[b], steps).or_else(|| pair(Second::Add, b, &[a], steps)),
        (Action::Binary(Binary::Sub), &[a, b]) => pair(Second::Sub, a, &[b], steps),
        (Action::Binary(Binary::Div), &[a, b]) => clamp_gate(a, b, steps).or_else(|| pair(Second::Div, a, &[b], steps)),
        (Action::Relu, &[x]) => gate_relu(x, steps).or_else(|| pair(Second::Relu, x, &[], steps)),
        (Action::Clamp, &[x, min, max]) => pair(Second::Clamp, x, &[min, max], steps),
        _ => None,
    }
}

/// An operation on the result of a sum, difference or product.
fn pair(second: Second, inner: Value, others: &[Value], steps: &Steps) -> Option<Step> {
    let step = steps.only(inner)?;
    let first = match step.action {
        Action::Binary(Binary::Add) => First::Add,
        Action::Binary(Binary::Sub) => First::Sub,
        Action::Binary(Binary::Mul) => First::Mul,
        _ => return None,
    };
    let reads = step.reads.iter().chain(others).copied().collect();
    Some(Step { action: Action::Pair(first, second), reads })
}

/// The ReLU of a product and a sum that are joined already.
fn gate_relu(inner: Value, steps: &Steps) -> Option<Step> {
    let step = steps.only(inner).filter(|step| step.action == Action::Pair(First::Mul, Second::Add))?;
    Some(Step { action: Action::MulAddRelu, reads: step.reads.clone() })
}

/// The product of a function that is often multiplied with something.
fn product(inner: Value, other: Value, steps: &Steps) -> Option<Step> {
    let step = steps.only(inner)?;
    let action = match step.action {
        Action::Unary(Unary::Sigmoid) => Action::SigmoidTimes,
        Action::TanhSoftplus => Action::TanhSoftplusTimes,
        _ => return None,
    };
    Some(Step { action, reads: vec![step.reads[0], other] })
}

/// `(1 + erf(a * b)) * (c * d)`, where the sum is `inner`; factors that are not there are 1.
fn erf_gate(inner: Value, other: Value, steps: &Steps) -> Option<Step> {
    let sum = steps.only(inner).filter(|step| step.action == Action::Binary(Binary::Add))?;
    let erf = match sum.reads[..] {
        [Value::Constant(1.0), erf] | [erf, Value::Constant(1.0)] => erf,
        _ => return None,
    };
    let erf = steps.only(erf).filter(|step| step.action == Action::Unary(Unary::Erf))?;
    let factors = |value| match steps.only(value) {
        Some(Step { action: Action::Binary(Binary::Mul), reads }) => [reads[0], reads[1]],
        _ => [value, Value::Constant(1.0)],
    };
    Some(Step { action: Action::ErfGate, reads: [factors(erf.reads[0]), factors(other)].concat() })
}

/// `clamp(a + b, min, max) * c / d`, where the product is `inner`.
fn clamp_gate(inner: Value, divisor: Value, steps: &Steps) -> Option<Step> {
    let product = steps.only(inner).filter(|step| step.action == Action::Binary(Binary::Mul))?;
    let clamp = |value| steps.only(value).filter(|step| step.action == Action::Pair(First::Add, Second::Clamp));
    let (clamp, factor) = match (clamp(product.reads[0]), clamp(product.reads[1])) {
        (Some(clamp), _) => (clamp, product.reads[1]),
        (None, Some(clamp)) => (clamp, product.reads[0]),
        (None, None) => return None,
    };
    Some(Step { action: Action::ClampGate, reads: clamp.reads.iter().copied().chain([factor, divisor]).collect() })
}
