//! Imports functions of each element. Those of the language's library are called by name; others are programs.

use super::super::activations::{ACTIVATIONS, Activation};
use super::Importer;
use super::arithmetic::chain;
use super::call::Call;
use super::dispatch::ImportResult;
use super::flow::Flow;
use crate::base::tensor::Tensor;
use crate::elaborate::prelude;
use crate::elementwise::{Binary, Builder, Comparison, Register, Unary};
use crate::ir::Elementwise;

/// Builds the result from the registers of the operands.
type Make = Box<dyn FnOnce(&mut Builder, &[Register]) -> Register>;

impl Importer<'_> {
    /// An operator that computes a function of the library, or a function of one value with numbers.
    pub(super) fn activation(&mut self, call: &Call<'_>) -> ImportResult<Flow> {
        if let Some(function) = called(call) {
            let x = self.flow(call, 0)?;
            return self.add(call, function.into(), &[&x]);
        }
        let make = with_numbers(call).ok_or("its attributes are not supported")?;
        let x = self.term(call, 0)?;
        self.pointwise(call, "activation", &[x], make)
    }

    /// An operator that is one of a program's functions of one value.
    pub(super) fn unary(&mut self, call: &Call<'_>) -> ImportResult<Flow> {
        let x = self.term(call, 0)?;
        let op = call.node.op_type().to_owned();
        self.pointwise(call, "unary", &[x], move |b, x| of_one(b, &op, x.first().copied().unwrap_or(0)))
    }

    /// A minimum or maximum of two or more.
    pub(super) fn extreme(&mut self, call: &Call<'_>) -> ImportResult<Flow> {
        let (op, word) = if call.node.op_type() == "Min" { (Binary::Min, "minimum") } else { (Binary::Max, "maximum") };
        let terms = self.terms(call)?;
        self.pointwise(call, word, &terms, |b, x| chain(b, op, x))
    }

    pub(super) fn mean(&mut self, call: &Call<'_>) -> ImportResult<Flow> {
        let terms = self.terms(call)?;
        let count = terms.len() as f32;
        self.pointwise(call, "mean", &terms, |b, x| {
            let (sum, count) = (chain(b, Binary::Add, x), b.constant(count));
            b.binary(Binary::Div, sum, count)
        })
    }

    /// A power with a constant exponent: a whole or half number.
    pub(super) fn power(&mut self, call: &Call<'_>) -> ImportResult<Flow> {
        let exponent = self.number(call, 1, "exponent")?.ok_or("its exponent is missing")?;
        let halves = halves(exponent).ok_or_else(|| {
            format!("its exponent is {exponent}, but only whole and half ones up to {MAX_EXPONENT} are supported")
        })?;
        let x = self.term(call, 0)?;
        self.pointwise(call, "power", &[x], |b, x| {
            let x = x.first().copied().unwrap_or(0);
            power(b, x, halves)
        })
    }

    pub(super) fn clip(&mut self, call: &Call<'_>) -> ImportResult<Flow> {
        let x = self.flow(call, 0)?;
        let low = self.number(call, 1, "lower limit")?.or(call.float("min"));
        let high = self.number(call, 2, "upper limit")?.or(call.float("max"));
        let finite = |limit: Option<f32>, none: f32| limit.filter(|v| v.abs() < f32::MAX).unwrap_or(none);
        if low.is_some_and(f32::is_nan) || high.is_some_and(f32::is_nan) {
            return Err("a limit is NaN".to_owned());
        }
        let (low, high) = (finite(low, f32::NEG_INFINITY), finite(high, f32::INFINITY));
        // of the functions with these limits, the one that networks have
        let relu6 = (low == 0.0 && high == 6.0).then(|| prelude::call("relu6", &[])).flatten();
        self.add(call, relu6.unwrap_or_else(|| Elementwise::clamp(low, high)).into(), &[&x])
    }

    /// A PReLU, whose slope is a parameter: one for each channel, or one for all.
    pub(super) fn prelu(&mut self, call: &Call<'_>) -> ImportResult<Flow> {
        let x = self.flow(call, 0)?;
        let (name, slope) = self.weight(call, 1, "slope")?;
        let channels = x.shape.channels().unwrap_or(0);
        let axes = slope.shape().len();
        // the last axes are those of the map
        let map = x.dims().len() - 1;
        let is_list = |at: usize| at + map + 1 == axes;
        // early opsets have a list of slopes
        let is_early = self.opset < 7 && axes == 1;
        let fits = slope.shape().iter().enumerate().all(|(at, &n)| n == 1 || n == channels && (is_list(at) || is_early));
        let (function, count) = match slope.len() {
            1 => ("prelu_shared", 1),
            _ if fits => ("prelu", channels),
            _ => return Err(format!("its slope has the shape {:?}", slope.shape())),
        };
        let function = prelude::call(function, &[]).ok_or("the language has no PReLU")?;
        let slope = Tensor::from_f32(vec![count], slope.to_f32().into_owned()).ok_or("its slope does not fit the channels")?;
        let parameter = function.learned().next().map(|slot| function.operands[slot].name.clone()).unwrap_or_default();
        let layer = self.layer(call, &name, &function.name);
        let y = self.add_named(function.into(), layer, &[&x])?;
        self.store_operand(&y, &parameter, slope);
        Ok(y)
    }
}

/// The function of the library that an operator computes.
fn called(call: &Call<'_>) -> Option<Elementwise> {
    let op = call.node.op_type();
    ACTIVATIONS.iter().filter(|activation| activation.op == op).find_map(|activation| library(call, activation))
}

/// The largest exponent of a power.
const MAX_EXPONENT: f32 = 16.0;

/// How exactly an attribute states a number: exporters round in their own ways.
const ROUNDING: f32 = 1e-6;

/// The function that an operator computes with its attributes, if it is one of the library.
fn library(call: &Call<'_>, activation: &Activation) -> Option<Elementwise> {
    let is_fixed = |(name, value, is_default): &(&str, f32, bool)| match call.float(name) {
        Some(stated) => (stated - value).abs() <= ROUNDING * value.abs(),
        None => *is_default,
    };
    let is_mode = |(name, value, is_default): (&str, &str, bool)| match call.text(name, "") {
        "" => is_default,
        stated => stated == value,
    };
    if !activation.fixed.iter().all(is_fixed) || !activation.mode.is_none_or(is_mode) {
        return None;
    }
    let numbers = activation.numbers.iter().map(|(attribute, key, default)| (*key, call.float(attribute).unwrap_or(*default)));
    prelude::call(activation.function, &numbers.collect::<Vec<_>>())
}

/// The program of an operator with numbers that no function of the library has.
fn with_numbers(call: &Call<'_>) -> Option<Make> {
    let number = |name: &str, default: f32| call.float(name).unwrap_or(default);
    let first = |x: &[Register]| x.first().copied().unwrap_or(0);
    Some(match call.node.op_type() {
        "HardSigmoid" => {
            let (alpha, beta) = (number("alpha", 0.2), number("beta", 0.5));
            Box::new(move |b, x| {
                let sum = scaled(b, alpha, first(x), beta);
                b.clamp(sum, 0.0, 1.0)
            })
        }
        "Selu" => {
            let (alpha, gamma) = (number("alpha", 1.673_263_2), number("gamma", 1.050_701));
            Box::new(move |b, x| {
                let (x, zero, alpha, gamma) = (first(x), b.constant(0.0), b.constant(alpha), b.constant(gamma));
                let below = b.unary(Unary::Expm1, x);
                let below = b.binary(Binary::Mul, alpha, below);
                let elu = b.select(Comparison::Greater, x, zero, x, below);
                b.binary(Binary::Mul, gamma, elu)
            })
        }
        "Swish" => {
            let alpha = number("alpha", 1.0);
            Box::new(move |b, x| {
                let (x, alpha) = (first(x), b.constant(alpha));
                let product = b.binary(Binary::Mul, alpha, x);
                let gate = b.unary(Unary::Sigmoid, product);
                b.binary(Binary::Mul, x, gate)
            })
        }
        "ThresholdedRelu" => {
            let alpha = number("alpha", 1.0);
            Box::new(move |b, x| {
                let (x, alpha, zero) = (first(x), b.constant(alpha), b.constant(0.0));
                b.select(Comparison::Greater, x, alpha, x, zero)
            })
        }
        "Shrink" => {
            let (limit, bias) = (number("lambd", 0.5), number("bias", 0.0));
            Box::new(move |b, x| {
                let (x, low, high, bias, zero) =
                    (first(x), b.constant(-limit), b.constant(limit), b.constant(bias), b.constant(0.0));
                let (below, above) = (b.binary(Binary::Add, x, bias), b.binary(Binary::Sub, x, bias));
                let above = b.select(Comparison::Greater, x, high, above, zero);
                b.select(Comparison::Less, x, low, below, above)
            })
        }
        _ => return None,
    })
}

/// `a * x + b`.
fn scaled(builder: &mut Builder, a: f32, x: Register, b: f32) -> Register {
    let (a, b) = (builder.constant(a), builder.constant(b));
    let product = builder.binary(Binary::Mul, a, x);
    builder.binary(Binary::Add, product, b)
}

/// A function of one value without attributes.
fn of_one(b: &mut Builder, op: &str, x: Register) -> Register {
    let zero = |b: &mut Builder| b.constant(0.0);
    match op {
        "Neg" => b.unary(Unary::Neg, x),
        "Abs" => b.unary(Unary::Abs, x),
        "Sqrt" => b.unary(Unary::Sqrt, x),
        "Exp" => b.unary(Unary::Exp, x),
        "Log" => b.unary(Unary::Log, x),
        "Erf" => b.unary(Unary::Erf, x),
        "Floor" => b.unary(Unary::Floor, x),
        "Ceil" => {
            let floor = b.unary(Unary::Neg, x);
            let floor = b.unary(Unary::Floor, floor);
            b.unary(Unary::Neg, floor)
        }
        "Atanh" => {
            let (minus, half) = (b.unary(Unary::Neg, x), b.constant(0.5));
            let (above, below) = (b.unary(Unary::Log1p, x), b.unary(Unary::Log1p, minus));
            let difference = b.binary(Binary::Sub, above, below);
            b.binary(Binary::Mul, half, difference)
        }
        "Reciprocal" => {
            let one = b.constant(1.0);
            b.binary(Binary::Div, one, x)
        }
        // NaN and zeros stay as they are
        "Sign" => {
            let (zero, one, minus) = (zero(b), b.constant(1.0), b.constant(-1.0));
            let below = b.select(Comparison::Less, x, zero, minus, x);
            b.select(Comparison::Greater, x, zero, one, below)
        }
        _ => x,
    }
}

/// Twice an exponent, if that is a whole number and not too large.
fn halves(exponent: f32) -> Option<i32> {
    let twice = exponent * 2.0;
    (twice.fract() == 0.0 && exponent.abs() <= MAX_EXPONENT).then_some(twice as i32)
}

/// `x` to the power of `halves / 2`.
fn power(b: &mut Builder, x: Register, halves: i32) -> Register {
    let mut result = None;
    if halves % 2 != 0 {
        result = Some(b.unary(Unary::Sqrt, x));
    }
    let mut square = x;
    let mut rest = halves.unsigned_abs() / 2;
    while rest > 0 {
        if rest % 2 == 1 {
            result = Some(result.map_or(square, |y| b.binary(Binary::Mul, y, square)));
        }
        rest /= 2;
        if rest > 0 {
            square = b.unary(Unary::Square, square);
        }
    }
    let one = b.constant(1.0);
    match result {
        None => one,
        Some(y) if halves < 0 => b.binary(Binary::Div, one, y),
        Some(y) => y,
    }
}
