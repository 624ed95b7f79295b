//! Convolutions and pools.

use super::super::layer_list::Flow;
use super::fields::Fields;
use super::importer::{Imported, Importer};
use super::net::Layer;
use crate::ir::{Conv, ConvTranspose, Epilogue, Op, Pair, Pool, PoolKind, Sides};

/// The window of a layer.
struct Window {
    kernel: Pair,
    stride: Pair,
    pad: Pair,
    dilation: Pair,
}

impl Window {
    fn of(fields: Fields<'_>) -> Imported<Window> {
        let window = Window {
            kernel: fields.pair("kernel_size", "kernel", 0)?,
            stride: fields.pair("stride", "stride", 1)?,
            pad: fields.pair("pad", "pad", 0)?,
            dilation: fields.pair("dilation", "dilation", 1)?,
        };
        match window {
            Window { kernel, .. } if kernel.contains(&0) => Err("it has no `kernel_size`, or one of 0".to_owned()),
            Window { stride, dilation, .. } if stride.contains(&0) || dilation.contains(&0) => {
                Err("its `stride` or `dilation` is 0".to_owned())
            }
            _ => Ok(window),
        }
    }

    fn sides(&self) -> Sides {
        self.pad.map(|pad| [pad; 2])
    }
}

impl Importer<'_> {
    /// A convolution. In forks of Caffe, `DepthwiseConvolution` has as many groups as channels.
    pub(super) fn conv(&mut self, layer: &Layer<'_>) -> Imported<Flow> {
        let x = self.only(layer)?;
        let param = layer.param("convolution_param");
        let (filters, groups, bias) = filters(param, &x, layer.kind != "Convolution" && layer.kind != "Deconvolution")?;
        let window = Window::of(param)?;
        let (kernel, stride, pad, dilation) = (window.kernel, window.stride, window.sides(), window.dilation);
        let [kh, kw] = kernel;
        let (op, weight) = if layer.kind == "Deconvolution" {
            let op = ConvTranspose { filters, kernel, stride, pad, output_padding: [0; 2], dilation, groups, bias };
            (Op::ConvTranspose(op), [x.channels(), filters / groups, kh, kw])
        } else {
            let (standardize, epilogue) = (None, Epilogue::default());
            let op = Conv { filters, kernel, stride, pad, dilation, groups, bias, standardize, epilogue };
            (Op::Conv(op), [filters, x.channels() / groups, kh, kw])
        };
        let y = self.build.add(op, layer.name, &[&x])?;
        self.weight_and_bias(layer, &y, &weight, bias.then_some(filters))?;
        Ok(y)
    }

    /// Stores the weight of a layer, and the bias if it has one.
    pub(super) fn weight_and_bias(&mut self, layer: &Layer<'_>, y: &Flow, weight: &[usize], bias: Option<usize>) -> Imported<()> {
        let bias = bias.map(|count| [count]);
        let sizes: Vec<&[usize]> = std::iter::once(weight).chain(bias.as_ref().map(|sizes| &sizes[..])).collect();
        for (tensor, role) in self.tensors(layer, &sizes)?.into_iter().flatten().zip(["weight", "bias"]) {
            self.build.store(y, role, tensor);
        }
        Ok(())
    }

    /// A pool. Caffe rounds the size up, and leaves out a last window that would begin in the padding.
    pub(super) fn pool(&mut self, layer: &Layer<'_>) -> Imported<Flow> {
        let x = self.only(layer)?;
        let param = layer.param("pooling_param");
        let map = x.map().ok_or_else(|| format!("it pools {}, which has no height and width", x.shown()))?;
        let kind = match param.word("pool").unwrap_or("MAX") {
            "MAX" | "0" => PoolKind::MAX,
            // padding counts, as far as it is stated
            "AVE" | "1" => PoolKind::Avg { count_pad: true },
            other => return Err(format!("its `pool` is `{other}`, but only `MAX` and `AVE` are supported")),
        };
        let whole = if kind == PoolKind::MAX { Op::GlobalMaxPool } else { Op::AdaptiveAvgPool([1, 1]) };
        if param.flag("global_pooling", false)? {
            return self.build.add(whole, layer.name, &[&x]);
        }
        let window = Window::of(param)?;
        if window.kernel == map && window.pad == [0; 2] {
            return self.build.add(whole, layer.name, &[&x]);
        }
        let rounds_up = match param.word("round_mode").unwrap_or("CEIL") {
            "CEIL" | "0" => true,
            "FLOOR" | "1" => false,
            other => return Err(format!("its `round_mode` is `{other}`, but must be `CEIL` or `FLOOR`")),
        };
        let ceil = rounds_up && window.stride != [1; 2];
        if ceil && (0..2).any(|axis| has_empty_window(&window, map, axis)) {
            return Err(
                "its last window would be outside of the map, where Caffe yields no number: the stride is larger than the \
                        kernel"
                    .to_owned(),
            );
        }
        let op = Op::Pool(Pool { kind, kernel: window.kernel, stride: window.stride, pad: window.sides(), ceil });
        self.build.add(op, layer.name, &[&x])
    }
}

/// The number of filters, the number of groups, and whether there is a bias.
fn filters(param: Fields<'_>, x: &Flow, depthwise: bool) -> Imported<(usize, usize, bool)> {
    let filters = param.size("num_output")?.filter(|&n| n > 0).ok_or("it has no `num_output`")?;
    let groups = if depthwise { x.channels() } else { param.size("group")?.unwrap_or(1) };
    if param.int("axis", 1)? != 1 || x.map().is_none() {
        return Err(format!("it convolves {}, but must convolve channels x height x width", x.shown()));
    }
    if groups == 0 || !x.channels().is_multiple_of(groups) || filters % groups != 0 {
        return Err(format!("its {groups} groups do not divide {} channels and {filters} filters", x.channels()));
    }
    Ok((filters, groups, param.flag("bias_term", true)?))
}

/// Whether a window without padding begins behind the map: Caffe leaves it out only where there is padding.
fn has_empty_window(window: &Window, map: Pair, axis: usize) -> bool {
    let (kernel, stride, size) = (window.kernel[axis], window.stride[axis], map[axis]);
    window.pad == [0; 2] && size >= kernel && (size - kernel).div_ceil(stride).saturating_mul(stride) >= size
}
