//! Imports pooling, padding and slicing, and the windows of convolutions.

use super::Importer;
use super::call::Call;
use super::dispatch::ImportResult;
use super::flow::Flow;
use super::values::Known;
use crate::ir::{Dim, Op, Pad, PadMode, Pair, Pool, PoolKind, Sides};

/// A sliding window.
pub(super) struct Window {
    pub kernel: Pair,
    pub stride: Pair,
    pub pad: Sides,
    pub dilation: Pair,
}

/// Ends of slices from this value on mean the end of the axis.
const FAR: i64 = 1 << 31;

impl Importer<'_> {
    pub(super) fn window(&self, call: &Call<'_>, x: &Flow, kernel: &[i64]) -> ImportResult<Window> {
        let axes = kernel.len();
        if !(1..=2).contains(&axes) {
            return Err(format!("its kernel has {axes} axes, but only 1 or 2 are supported"));
        }
        if x.dims().len() != axes + 1 {
            return Err(format!("its kernel has {axes} axes, but the operand is {}", x.shape));
        }
        let list = |name: &str, default: i64, len: usize| -> ImportResult<Vec<usize>> {
            let values = call.ints(name).filter(|list| !list.is_empty()).map_or_else(|| vec![default; len], <[i64]>::to_vec);
            if values.len() != len {
                return Err(format!("its {name} are {values:?}"));
            }
            values
                .iter()
                .map(|&n| usize::try_from(n).map_err(|_| format!("its {name} are {values:?}, but must not be negative")))
                .collect()
        };
        let sized = |values: &[usize], default: usize| match *values {
            [w] => [default, w],
            [h, w] => [h, w],
            _ => [default; 2],
        };
        let window: Vec<usize> = kernel
            .iter()
            .map(|&n| usize::try_from(n).map_err(|_| "its kernel size is negative".to_owned()))
            .collect::<Result<_, _>>()?;
        let kernel = sized(&window, 1);
        let stride = sized(&list("strides", 1, axes)?, 1);
        let dilation = sized(&list("dilations", 1, axes)?, 1);
        if kernel.contains(&0) || stride.contains(&0) || dilation.contains(&0) {
            return Err("its kernel, strides or dilations contain 0".to_owned());
        }
        let mut pad = [[0; 2]; 2];
        match call.text("auto_pad", "NOTSET") {
            "NOTSET" => {
                let pads = list("pads", 0, 2 * axes)?;
                let (before, after) = pads.split_at(axes);
                let (before, after) = (sized(before, 0), sized(after, 0));
                pad = [[before[0], after[0]], [before[1], after[1]]];
            }
            "VALID" => {}
            same @ ("SAME_UPPER" | "SAME_LOWER") => {
                for axis in 2 - axes..2 {
                    let size = x.dims()[axis + axes - 1];
                    let total = same_padding(size, kernel[axis], stride[axis], dilation[axis])?;
                    let less = total / 2;
                    pad[axis] = if same == "SAME_UPPER" { [less, total - less] } else { [total - less, less] };
                }
            }
            other => return Err(format!("its auto_pad is `{other}`")),
        }
        Ok(Window { kernel, stride, pad, dilation })
    }

    fn pool(&mut self, call: &Call<'_>, kind: impl Fn(Pair) -> ImportResult<PoolKind>) -> ImportResult<Flow> {
        let kernel = call.ints("kernel_shape").ok_or("it has no `kernel_shape`")?;
        let ceil = call.flag("ceil_mode");
        let (x, around) = match self.known(call, 0) {
            Some(Known::Lowest(x, around)) if call.node.op_type() == "MaxPool" => (x.clone(), *around),
            _ => (self.flow(call, 0)?, [[0; 2]; 2]),
        };
        if around != [[0; 2]; 2] && (ceil || call.text("auto_pad", "NOTSET").starts_with("SAME")) {
            return Err("its windows depend on the padding of a preceding `Pad`".to_owned());
        }
        let Window { kernel, stride, mut pad, dilation } = self.window(call, &x, kernel)?;
        for (pad, more) in pad.iter_mut().flatten().zip(around.iter().flatten()) {
            *pad = pad.saturating_add(*more);
        }
        let kind = kind(dilation)?;
        self.add(call, Op::Pool(Pool { kind, kernel, stride, pad, ceil }), &[&x])
    }

    pub(super) fn max_pool(&mut self, call: &Call<'_>) -> ImportResult<Flow> {
        self.pool(call, |dilation| Ok(PoolKind::Max { dilation }))
    }

    pub(super) fn average_pool(&mut self, call: &Call<'_>) -> ImportResult<Flow> {
        self.pool(call, |dilation| {
            if dilation != [1; 2] {
                return Err("it has dilations, which the language's `avgpool` does not support".to_owned());
            }
            Ok(PoolKind::Avg { count_pad: call.flag("count_include_pad") })
        })
    }

    pub(super) fn pad(&mut self, call: &Call<'_>) -> ImportResult<Known> {
        let mut x = self.flow(call, 0)?;
        let mode = match call.text("mode", "constant") {
            "constant" => PadMode::Zeros,
            "reflect" => PadMode::Reflect,
            "edge" => PadMode::Replicate,
            mode => return Err(format!("its padding mode is `{mode}`")),
        };
        let pads = self.list(call, "pads", 1)?.or_else(|| call.ints("paddings").map(<[i64]>::to_vec)).ok_or("it has no pads")?;
        let value = self.number(call, 2, "value")?.or(call.float("value")).unwrap_or(0.0);
        let axes = match self.list(call, "axes", 3)? {
            Some(axes) => axes.iter().map(|&axis| x.axis(axis)).collect::<Result<Vec<_>, _>>()?,
            None => (0..x.rank()).collect(),
        };
        if pads.len() != 2 * axes.len() || axes.iter().any(|&axis| axis >= x.rank()) {
            return Err(format!("it has {} pads for {} axes", pads.len(), axes.len()));
        }
        let (mut channels, mut sides, mut cropped) = ([0; 2], [[0; 2]; 2], [[0; 2]; 2]);
        for (i, &axis) in axes.iter().enumerate() {
            let around = [pads[i], pads[i + axes.len()]];
            if around == [0, 0] {
                continue;
            }
            let size = |n: i64| usize::try_from(n.max(0)).map_err(|_| "its pads are too large");
            let [before, after, off_before, off_after] =
                [around[0], around[1], around[0].saturating_neg(), around[1].saturating_neg()];
            let (more, less) = ([size(before)?, size(after)?], [size(off_before)?, size(off_after)?]);
            match axis.checked_sub(x.lead) {
                None => return Err("it pads the batch".to_owned()),
                Some(0) if less != [0, 0] => return Err("it crops the channels, by padding that is negative".to_owned()),
                Some(0) => channels = more,
                // the last axis is the width, also for 1-D inputs
                Some(own) => {
                    let own = own + 2 - x.dims().len().max(2);
                    (sides[own], cropped[own]) = (more, less);
                }
            }
        }
        if cropped != [[0; 2]; 2] {
            if mode != PadMode::Zeros {
                return Err("it crops one side and reflects or repeats another".to_owned());
            }
            x = self.add(call, Op::Crop(cropped), &[&x])?;
            if sides == [[0; 2]; 2] && channels == [0, 0] {
                return Ok(Known::Value(x));
            }
        }
        let op = Op::Pad(Pad { channels, sides, mode });
        if value == 0.0 || mode != PadMode::Zeros {
            return self.add(call, op, &[&x]).map(Known::Value);
        }
        if value <= f32::MIN && channels == [0, 0] {
            return Ok(Known::Lowest(x, sides));
        }
        if !value.is_finite() {
            return Err(format!("it pads with {value}"));
        }
        // shift so that the padding value is 0, and shift back
        let shifted = self.affine(call, &x, 1.0, -value)?;
        let padded = self.add(call, op, &[&shifted])?;
        self.affine(call, &padded, 1.0, value).map(Known::Value)
    }

    /// A slice of the channels, of rows and columns, or one that subsamples these.
    pub(super) fn slice(&mut self, call: &Call<'_>) -> ImportResult<Flow> {
        let x = self.flow(call, 0)?;
        let starts = self.list(call, "starts", 1)?.ok_or("it has no starts")?;
        let ends = self.list(call, "ends", 2)?.ok_or("it has no ends")?;
        let axes = self.list(call, "axes", 3)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
        let steps = self.list(call, "steps", 4)?.unwrap_or_else(|| vec![1; starts.len()]);
        if ends.len() != starts.len() || axes.len() != starts.len() || steps.len() != starts.len() {
            return Err("its starts, ends, axes and steps differ in length".to_owned());
        }
        let (mut stride, mut cropped, mut channels) = ([1; 2], [[0; 2]; 2], None);
        for (i, &axis) in axes.iter().enumerate() {
            let (axis, step) = (x.axis(axis)?, steps[i]);
            let own = axis.checked_sub(x.lead);
            let dim = own.and_then(|own| x.dims().get(own).copied());
            if step < 1 {
                return Err("it reverses an axis".to_owned());
            }
            let off = taken_off([starts[i], ends[i]], dim)?;
            match own {
                Some(own) if own > 0 => {
                    let at = own + 2 - x.dims().len().max(2);
                    (cropped[at], stride[at]) = (off, step as usize);
                }
                _ if step != 1 => return Err("it subsamples the channels or the batch".to_owned()),
                Some(_) if off != [0, 0] => channels = dim.and_then(Dim::fixed).map(|size| off[0]..size - off[1]),
                None if off != [0, 0] => return Err("it takes some samples of the batch".to_owned()),
                _ => {}
            }
        }
        let mut x = match channels {
            Some(range) => self.add(call, Op::Slice(range), &[&x])?,
            None => x,
        };
        if cropped != [[0; 2]; 2] {
            x = self.add(call, Op::Crop(cropped), &[&x])?;
        }
        if stride == [1; 2] { Ok(x) } else { self.add(call, Op::Subsample(stride), &[&x]) }
    }
}

/// How much of an axis a slice leaves out at both ends. Of one whose size is not known, that must not depend on it.
fn taken_off([start, end]: [i64; 2], dim: Option<Dim>) -> ImportResult<[usize; 2]> {
    if let Some(size) = dim.and_then(Dim::fixed) {
        let (from, to) = (counted(start, size), counted(end, size));
        return if from < to { Ok([from, size - to]) } else { Err("it yields nothing".to_owned()) };
    }
    let count = |n: i64| usize::try_from(n).ok();
    let after = if end >= FAR { Some(0) } else { count(end.saturating_neg()).filter(|&n| n > 0) };
    match (count(start), after) {
        (Some(before), Some(after)) => Ok([before, after]),
        _ => Err("it crops an axis whose size is free to a size of its own".to_owned()),
    }
}

/// The position of a slice's limit among `size` elements; a negative one counts from the end.
fn counted(limit: i64, size: usize) -> usize {
    let size = i64::try_from(size).unwrap_or(i64::MAX);
    let at = if limit < 0 { limit.saturating_add(size) } else { limit };
    usize::try_from(at.clamp(0, size)).unwrap_or(0)
}

/// The total padding of ONNX's `SAME` modes: the output size is the input size divided by the stride, rounded up.
fn same_padding(size: Dim, kernel: usize, stride: usize, dilation: usize) -> ImportResult<usize> {
    let extent = (kernel - 1).checked_mul(dilation).and_then(|n| n.checked_add(1)).ok_or("its kernel is too large")?;
    match size {
        Dim::Fixed(n) => {
            let outputs = n.div_ceil(stride);
            let covered = (outputs.saturating_sub(1)).checked_mul(stride).and_then(|m| m.checked_add(extent));
            Ok(covered.ok_or("its kernel is too large")?.saturating_sub(n))
        }
        Dim::Free { .. } if stride == 1 => Ok(extent - 1),
        Dim::Free { .. } => Err("its padding depends on the size of the input, which is free (auto_pad)".to_owned()),
    }
}
