//! Imports sums, products and elementwise operators.

use super::Importer;
use super::call::Call;
use super::dispatch::ImportResult;
use super::values::{Flow, Known, PerChannel, per_channel};
use crate::base::tensor::Tensor;
use crate::ir::{Broadcast, Dim, Elementwise, Op};

/// The maximum number of copies for broadcasting along the channels.
const MAX_COPIES: usize = 64;

impl Importer<'_> {
    pub(super) fn sum(&mut self, call: &Call<'_>) -> ImportResult<Flow> {
        let count = call.node.input.len();
        if let (2, Some((slot, constant))) = (count, self.constant_operand(call)) {
            let x = self.flow(call, 1 - slot)?;
            if let Some(y) = self.bias(call, 1 - slot, &x, &constant)? {
                return Ok(y);
            }
            let shift = per_channel(&constant, &x).ok_or(NOT_PER_CHANNEL)?;
            return self.affine(call, 1 - slot, &x, PerChannel::One(1.0), shift);
        }
        let flows = (0..count).map(|slot| self.flow(call, slot)).collect::<Result<Vec<_>, _>>()?;
        let [first, rest @ ..] = &flows[..] else { return Err("it has no operand".to_owned()) };
        if rest.iter().all(|y| y.shape == first.shape) && !rest.is_empty() {
            let sum = Elementwise::add(flows.len()).ok_or("it has too many operands")?;
            return self.add(call, sum.into(), &flows.iter().collect::<Vec<_>>());
        }
        rest.iter().try_fold(first.clone(), |x, y| self.plus(call, x, y.clone()))
    }

    /// The sum of two values.
    pub(super) fn plus(&mut self, call: &Call<'_>, a: Flow, b: Flow) -> ImportResult<Flow> {
        let (a, b) = self.broadcast(call, a, b)?;
        let sum = Elementwise::add(2).ok_or("it has too many operands")?;
        self.add(call, sum.into(), &[&a, &b])
    }

    pub(super) fn sub(&mut self, call: &Call<'_>) -> ImportResult<Flow> {
        match self.constant_operand(call) {
            Some((1, constant)) => {
                let x = self.flow(call, 0)?;
                let shift = per_channel(&constant, &x).ok_or(NOT_PER_CHANNEL)?;
                self.affine(call, 0, &x, PerChannel::One(1.0), each(shift, |v| -v))
            }
            Some((_, constant)) => {
                let x = self.flow(call, 1)?;
                let shift = per_channel(&constant, &x).ok_or(NOT_PER_CHANNEL)?;
                self.affine(call, 1, &x, PerChannel::One(-1.0), shift)
            }
            None => {
                let (a, b) = (self.flow(call, 0)?, self.flow(call, 1)?);
                let b = self.affine(call, 1, &b, PerChannel::One(-1.0), PerChannel::One(0.0))?;
                self.plus(call, a, b)
            }
        }
    }

    pub(super) fn mul(&mut self, call: &Call<'_>) -> ImportResult<Flow> {
        if let Some((slot, constant)) = self.constant_operand(call) {
            let x = self.flow(call, 1 - slot)?;
            let scale = per_channel(&constant, &x).ok_or(NOT_PER_CHANNEL)?;
            return self.affine(call, 1 - slot, &x, scale, PerChannel::One(0.0));
        }
        let (a, b) = (self.flow(call, 0)?, self.flow(call, 1)?);
        // the operand with one value per channel comes second
        let (a, b) = if is_channel_mul(&a, &b) { (b, a) } else { (a, b) };
        if is_channel_mul(&b, &a) {
            return self.add(call, Elementwise::mul(Broadcast::Channel).into(), &[&a, &b]);
        }
        let (a, b) = self.broadcast(call, a, b)?;
        self.add(call, Elementwise::mul(Broadcast::Full).into(), &[&a, &b])
    }

    pub(super) fn div(&mut self, call: &Call<'_>) -> ImportResult<Flow> {
        let Some((1, constant)) = self.constant_operand(call) else {
            return Err("it divides by a value that is not constant".to_owned());
        };
        let x = self.flow(call, 0)?;
        let scale = per_channel(&constant, &x).ok_or(NOT_PER_CHANNEL)?;
        self.affine(call, 0, &x, each(scale, |v| 1.0 / v), PerChannel::One(0.0))
    }

    fn constant_operand(&self, call: &Call<'_>) -> Option<(usize, Tensor)> {
        (0..2).find_map(|slot| match self.known(call, slot) {
            Some(Known::Tensor(_, tensor)) => Some((slot, tensor.clone())),
            _ => None,
        })
    }

    /// Broadcasts two values to a common shape.
    fn broadcast(&mut self, call: &Call<'_>, a: Flow, b: Flow) -> ImportResult<(Flow, Flow)> {
        if a.dims().len() != b.dims().len() || a.dims().iter().zip(b.dims()).all(|(m, n)| m.agrees(*n)) {
            return Ok((a, b));
        }
        let a = self.broadcast_to(call, a, &b)?;
        let b = self.broadcast_to(call, b, &a)?;
        Ok((a, b))
    }

    /// Broadcasts a value to the shape of another: axes of size 1 are repeated.
    fn broadcast_to(&mut self, call: &Call<'_>, x: Flow, like: &Flow) -> ImportResult<Flow> {
        let mut x = x;
        let grows = |axis: usize, x: &Flow| x.dims()[axis] == Dim::Fixed(1) && like.dims()[axis] != Dim::Fixed(1);
        if (1..x.dims().len()).any(|axis| grows(axis, &x)) {
            let fits = (1..x.dims().len()).all(|axis| grows(axis, &x) || x.dims()[axis].agrees(like.dims()[axis]));
            if !fits {
                return Err(format!("it adds or multiplies values of shapes {} and {}", x.shape, like.shape));
            }
            x = self.add(call, Op::Upsample(None), &[&x, like])?;
        }
        if grows(0, &x) {
            let copies =
                like.shape.channels().filter(|&n| n <= MAX_COPIES).ok_or("it broadcasts a single channel to too many")?;
            x = self.add(call, Op::Concat, &vec![&x; copies])?;
        }
        Ok(x)
    }

    pub(super) fn hard_sigmoid(&mut self, call: &Call<'_>) -> ImportResult<Flow> {
        let x = self.flow(call, 0)?;
        let (alpha, beta) = (call.float("alpha").unwrap_or(0.2), call.float("beta").unwrap_or(0.5));
        let x = self.affine(call, 0, &x, PerChannel::One(alpha), PerChannel::One(beta))?;
        self.add(call, Elementwise::clamp(0.0, 1.0).into(), &[&x])
    }

    pub(super) fn hard_swish(&mut self, call: &Call<'_>) -> ImportResult<Flow> {
        let x = self.flow(call, 0)?;
        let gate = self.affine(call, 0, &x, PerChannel::One(1.0 / 6.0), PerChannel::One(0.5))?;
        let gate = self.add(call, Elementwise::clamp(0.0, 1.0).into(), &[&gate])?;
        self.add(call, Elementwise::mul(Broadcast::Full).into(), &[&x, &gate])
    }

    pub(super) fn clip(&mut self, call: &Call<'_>) -> ImportResult<Flow> {
        let x = self.flow(call, 0)?;
        let low = self.number(call, 1, "lower limit")?.or(call.float("min"));
        let high = self.number(call, 2, "upper limit")?.or(call.float("max"));
        let finite = |limit: Option<f32>, none: f32| limit.filter(|v| v.abs() < f32::MAX).unwrap_or(none);
        if low.is_some_and(f32::is_nan) || high.is_some_and(f32::is_nan) {
            return Err("a limit is NaN".to_owned());
        }
        let clamp = Elementwise::clamp(finite(low, f32::NEG_INFINITY), finite(high, f32::INFINITY));
        self.add(call, clamp.into(), &[&x])
    }

    pub(super) fn softmax(&mut self, call: &Call<'_>) -> ImportResult<Flow> {
        let x = self.flow(call, 0)?;
        let is_recent = self.opset >= 13;
        let axis = x.axis(call.int("axis").unwrap_or(if is_recent { -1 } else { 1 }))?;
        // before opset 13, softmax normalized over all axes from this one on
        let single = x.dims().get(1..).is_some_and(|map| map.iter().all(|d| *d == Dim::Fixed(1)));
        if axis != x.lead || !(is_recent || single) {
            return Err(format!(
                "it normalizes over axis {axis} of {}, but the language's `softmax` over the channels",
                x.rank()
            ));
        }
        self.add(call, Op::Softmax, &[&x])
    }
}

const NOT_PER_CHANNEL: &str = "its constant has more than one value per channel";

/// Whether `gate` has a single value for each channel of `x`, as in squeeze-and-excitation.
fn is_channel_mul(gate: &Flow, x: &Flow) -> bool {
    let (gate, x) = (gate.dims(), x.dims());
    gate.len() == x.len() && gate.len() > 1 && gate[0] == x[0] && gate[1..].iter().all(|d| *d == Dim::Fixed(1)) && gate != x
}

fn each(values: PerChannel, of: impl Fn(f32) -> f32) -> PerChannel {
    match values {
        PerChannel::One(v) => PerChannel::One(of(v)),
        PerChannel::Each(list) => PerChannel::Each(list.into_iter().map(of).collect()),
    }
}
