//! Imports sums, differences, products and quotients.

use super::Importer;
use super::call::Call;
use super::dispatch::ImportResult;
use super::flow::Flow;
use super::pointwise::has_single_channel;
use super::values::{Known, PerChannel, Term, per_channel};
use crate::base::tensor::Tensor;
use crate::elementwise::{Binary, Builder, Register, Unary};
use crate::ir::{Broadcast, Dim, Elementwise, Op};

impl Importer<'_> {
    pub(super) fn sum(&mut self, call: &Call<'_>) -> ImportResult<Flow> {
        if let Some((slot, constant)) = self.list_operand(call) {
            let x = self.flow(call, 1 - slot)?;
            if let Some(y) = self.bias(call, 1 - slot, &x, &constant)? {
                return Ok(y);
            }
            if let Some(y) = self.norm_affine(call, 1 - slot, &x, &constant, true)? {
                return Ok(y);
            }
            if let Some(y) = self.learned(call, slot, &x, Binary::Add)? {
                return Ok(y);
            }
            let shift = per_channel(&constant, &x).ok_or(NOT_PER_CHANNEL)?;
            return self.per_channel(call, &x, PerChannel::One(1.0), shift);
        }
        if let Some(y) = self.learned_number(call, Binary::Add)? {
            return Ok(y);
        }
        let terms = self.terms(call)?;
        let flows: Option<Vec<&Flow>> = terms.iter().map(Term::flow).collect();
        match flows.as_deref() {
            Some([first, rest @ ..]) if !rest.is_empty() && rest.iter().all(|y| y.shape == first.shape) => {
                let sum = Elementwise::add(terms.len()).ok_or("it has too many operands")?;
                self.add(call, sum.into(), &[&[*first], rest].concat())
            }
            Some([first, rest @ ..]) if !rest.is_empty() => {
                rest.iter().try_fold((*first).clone(), |x, y| self.plus(call, x, (*y).clone()))
            }
            _ => self.pointwise(call, "sum", &terms, |b, x| chain(b, Binary::Add, x)),
        }
    }

    /// The sum of two values.
    pub(super) fn plus(&mut self, call: &Call<'_>, a: Flow, b: Flow) -> ImportResult<Flow> {
        let (a, b) = self.spread(call, a, b)?;
        if has_single_channel(&a, &b) {
            return self.pointwise(call, "sum", &[Term::Flow(a), Term::Flow(b)], |b, x| chain(b, Binary::Add, x));
        }
        let (a, b) = self.broadcast(call, a, b)?;
        let sum = Elementwise::add(2).ok_or("it has too many operands")?;
        self.add(call, sum.into(), &[&a, &b])
    }

    pub(super) fn sub(&mut self, call: &Call<'_>) -> ImportResult<Flow> {
        if let Some((slot, constant)) = self.list_operand(call) {
            let x = self.flow(call, 1 - slot)?;
            let values = per_channel(&constant, &x).ok_or(NOT_PER_CHANNEL)?;
            return match slot {
                0 => self.per_channel(call, &x, PerChannel::One(-1.0), values),
                _ => self.per_channel(call, &x, PerChannel::One(1.0), each(values, |v| -v)),
            };
        }
        let terms = self.terms(call)?;
        self.pointwise(call, "subtract", &terms, |b, x| chain(b, Binary::Sub, x))
    }

    pub(super) fn mul(&mut self, call: &Call<'_>) -> ImportResult<Flow> {
        if let Some((slot, constant)) = self.list_operand(call) {
            let x = self.flow(call, 1 - slot)?;
            if let Some(y) = self.norm_affine(call, 1 - slot, &x, &constant, false)? {
                return Ok(y);
            }
            if let Some(y) = self.learned(call, slot, &x, Binary::Mul)? {
                return Ok(y);
            }
            let scale = per_channel(&constant, &x).ok_or(NOT_PER_CHANNEL)?;
            return self.per_channel(call, &x, scale, PerChannel::One(0.0));
        }
        if let Some(y) = self.learned_number(call, Binary::Mul)? {
            return Ok(y);
        }
        let terms = self.terms(call)?;
        let [Term::Flow(a), Term::Flow(b)] = &terms[..] else {
            return self.pointwise(call, "multiply", &terms, |b, x| chain(b, Binary::Mul, x));
        };
        if a.value == b.value {
            return self.pointwise(call, "square", &terms[..1], |b, x| b.unary(Unary::Square, x.first().copied().unwrap_or(0)));
        }
        // the operand with one value per channel comes second
        for (x, gate) in [(a, b), (b, a)] {
            if is_gate(gate, x) {
                return self.add(call, Elementwise::mul(Broadcast::Channel).into(), &[x, gate]);
            }
        }
        let (a, b) = self.spread(call, a.clone(), b.clone())?;
        if has_single_channel(&a, &b) {
            let terms = [Term::Flow(a), Term::Flow(b)];
            return self.pointwise(call, "multiply", &terms, |b, x| chain(b, Binary::Mul, x));
        }
        let (a, b) = self.broadcast(call, a, b)?;
        self.add(call, Elementwise::mul(Broadcast::Full).into(), &[&a, &b])
    }

    pub(super) fn div(&mut self, call: &Call<'_>) -> ImportResult<Flow> {
        if let Some((1, constant)) = self.list_operand(call) {
            let x = self.flow(call, 0)?;
            let scale = per_channel(&constant, &x).ok_or(NOT_PER_CHANNEL)?;
            return self.per_channel(call, &x, each(scale, |v| 1.0 / v), PerChannel::One(0.0));
        }
        let terms = self.terms(call)?;
        self.pointwise(call, "divide", &terms, |b, x| chain(b, Binary::Div, x))
    }

    /// `a * x + b`.
    pub(super) fn affine(&mut self, call: &Call<'_>, x: &Flow, a: f32, b: f32) -> ImportResult<Flow> {
        let terms = [Term::Number(a), Term::Flow(x.clone()), Term::Number(b)];
        self.pointwise(call, "affine", &terms, |builder, registers| affine(builder, registers, [a, b]))
    }

    /// The one of two operands that is a constant with more than one value.
    fn list_operand(&self, call: &Call<'_>) -> Option<(usize, Tensor)> {
        (0..2).filter(|_| call.node.input.len() == 2).find_map(|slot| match self.known(call, slot) {
            Some(Known::Tensor(_, tensor)) if tensor.len() != 1 => Some((slot, tensor.clone())),
            _ => None,
        })
    }

    pub(super) fn softmax(&mut self, call: &Call<'_>) -> ImportResult<Known> {
        if let Some(Known::Axes(axes)) = self.known(call, 0) {
            let axes = axes.clone();
            return self.grouped_softmax(call, &axes);
        }
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
        self.add(call, Op::Softmax(None), &[&x]).map(Known::Value)
    }
}

const NOT_PER_CHANNEL: &str = "its constant has more than one value per channel";

/// `x0 + x1 + …`, or with another operation.
pub(super) fn chain(builder: &mut Builder, op: Binary, registers: &[Register]) -> Register {
    let (first, rest) = registers.split_first().map_or((0, registers), |(first, rest)| (*first, rest));
    rest.iter().fold(first, |x, &y| builder.binary(op, x, y))
}

/// `a * x + b`, without a factor of 1 or a summand of 0.
fn affine(builder: &mut Builder, registers: &[Register], [a, b]: [f32; 2]) -> Register {
    let &[factor, x, shift] = registers else { return 0 };
    let product = if a == 1.0 { x } else { builder.binary(Binary::Mul, factor, x) };
    if b == 0.0 { product } else { builder.binary(Binary::Add, product, shift) }
}

/// Whether `gate` has a single value for each channel of `x`, as in squeeze-and-excitation.
fn is_gate(gate: &Flow, x: &Flow) -> bool {
    let (gate, x) = (gate.dims(), x.dims());
    gate.len() == x.len() && gate.len() > 1 && gate[0] == x[0] && gate[1..].iter().all(|d| *d == Dim::Fixed(1)) && gate != x
}

fn each(values: PerChannel, of: impl Fn(f32) -> f32) -> PerChannel {
    match values {
        PerChannel::One(v) => PerChannel::One(of(v)),
        PerChannel::Each(list) => PerChannel::Each(list.into_iter().map(of).collect()),
    }
}
