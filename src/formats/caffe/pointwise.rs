//! Functions of each value.

use super::super::layer_list::{Flow, leaky_relu, library};
use super::importer::{Imported, Importer};
use super::net::Layer;
use crate::base::decimal::decimal;
use crate::base::tensor::Tensor;
use crate::elementwise::{Binary, Builder, Register, Unary};
use crate::ir::{Elementwise, Op};

impl Importer<'_> {
    /// A function of the library.
    pub(super) fn activation(&mut self, layer: &Layer<'_>) -> Imported<Flow> {
        let x = self.only(layer)?;
        let function = match layer.kind {
            "ReLU" => leaky_relu(layer.param("relu_param").float("negative_slope", 0.0)?)?,
            "ReLU6" => library("relu6", &[])?,
            "ELU" => library("elu", &[("alpha", layer.param("elu_param").float("alpha", 1.0)?)])?,
            "Sigmoid" => library("sigmoid", &[])?,
            "TanH" => library("tanh", &[])?,
            "BNLL" => library("softplus", &[])?,
            "Mish" => library("mish", &[])?,
            "Clip" => {
                let param = layer.param("clip_param");
                Elementwise::clamp(param.float("min", f32::NEG_INFINITY)?, param.float("max", f32::INFINITY)?)
            }
            _ => {
                let beta = layer.param("swish_param").float("beta", 1.0)?;
                if beta != 1.0 {
                    return self.build.compute("swish", layer.name, &[&x], |b, x| swish(b, x[0], beta));
                }
                library("silu", &[])?
            }
        };
        self.build.add(function, layer.name, &[&x])
    }

    /// A ReLU whose slope is a parameter: one for each channel, or one for all.
    pub(super) fn prelu(&mut self, layer: &Layer<'_>) -> Imported<Flow> {
        let x = self.only(layer)?;
        let is_shared = layer.param("prelu_param").flag("channel_shared", false)?;
        let (name, count) = if is_shared { ("prelu_shared", 1) } else { ("prelu", x.channels()) };
        let function = library(name, &[])?;
        let role = function.learned().next().map(|slot| function.operands[slot].name.clone()).unwrap_or_default();
        let y = self.build.add(function, layer.name, &[&x])?;
        let tensor: Option<Tensor> = self.tensors(layer, &[&[count]])?.and_then(|mut tensors| tensors.pop());
        if let Some(tensor) = tensor {
            self.build.store(&y, &role, tensor);
        }
        Ok(y)
    }

    /// `(shift + scale x) ^ power`
    pub(super) fn power(&mut self, layer: &Layer<'_>) -> Imported<Flow> {
        let x = self.only(layer)?;
        let param = layer.param("power_param");
        let (power, scale, shift) = (param.float("power", 1.0)?, param.float("scale", 1.0)?, param.float("shift", 0.0)?);
        let outer = match power {
            1.0 => None,
            2.0 => Some(Unary::Square),
            0.5 => Some(Unary::Sqrt),
            _ => return Err(format!("its `power` is {power}, but only 0.5, 1 and 2 are supported")),
        };
        if (outer, scale, shift) == (None, 1.0, 0.0) {
            return Ok(x);
        }
        self.build.compute("power", layer.name, &[&x], |b, x| {
            let inner = affine(b, x[0], scale, shift);
            outer.map_or(inner, |outer| b.unary(outer, inner))
        })
    }

    pub(super) fn absolute(&mut self, layer: &Layer<'_>) -> Imported<Flow> {
        let x = self.only(layer)?;
        self.build.compute("absolute", layer.name, &[&x], |b, x| b.unary(Unary::Abs, x[0]))
    }

    pub(super) fn dropout(&mut self, layer: &Layer<'_>) -> Imported<Flow> {
        let x = self.only(layer)?;
        let ratio = layer.param("dropout_param").float("dropout_ratio", 0.5)?;
        self.build.add(Op::Dropout(decimal(ratio)), layer.name, &[&x])
    }
}

/// `scale * x + shift`, without a factor of 1 or a summand of 0.
fn affine(b: &mut Builder, x: Register, scale: f32, shift: f32) -> Register {
    let mut result = x;
    if scale != 1.0 {
        let scale = b.constant(scale);
        result = b.binary(Binary::Mul, scale, result);
    }
    if shift != 0.0 {
        let shift = b.constant(shift);
        result = b.binary(Binary::Add, result, shift);
    }
    result
}

/// `x sigmoid(beta x)`
fn swish(b: &mut Builder, x: Register, beta: f32) -> Register {
    let product = affine(b, x, beta, 0.0);
    let gate = b.unary(Unary::Sigmoid, product);
    b.binary(Binary::Mul, x, gate)
}
