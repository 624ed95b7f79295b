//! Depthwise convolution, one vector of channels and one kernel element at a time.

mod borders;
mod padded;
mod row;

use std::collections::TryReserveError;
use std::ops::Range;

use borders::{complete, inside};
use padded::{Padded, Scratch};
use row::Row;

use super::pack::{Filters, flush};
use super::{runs, vector};
use crate::kernels::dispatch::{Instance, instance};
use crate::kernels::elementwise::apply;
use crate::kernels::isa::Isa;
use crate::kernels::threads::{Disjoint, ThreadPool};
use crate::kernels::{Activation, Aligned, ConvOperands, ConvShape, Residual};

/// Floats of output rows to which a function that does not fit in registers is applied at a time.
const WITH_PROGRAM: usize = 2048;

/// Whether this kernel supports the convolution.
pub fn supports(shape: &ConvShape) -> bool {
    shape.groups == shape.channels && shape.groups == shape.filters
}

/// Packs a weight `[channels, 1, height, width]` to `[block][height][width][lanes]`; subnormal numbers become zero.
pub fn pack_depthwise(lanes: usize, channels: usize, weight: &[f32]) -> Result<Aligned, TryReserveError> {
    let elements = weight.len() / channels.max(1);
    let mut packed = Aligned::zeroed(channels.next_multiple_of(lanes) * elements)?;
    pack_into(lanes, &Filters::stored(weight, [channels, 1, elements, 1], channels.max(1)), [channels, elements], &mut packed);
    Ok(packed)
}

/// Like [`pack_depthwise`], for a number of channels and kernel elements, into memory that is zero or already contains the same
/// weight.
pub fn pack_into(lanes: usize, weight: &Filters<'_>, [channels, elements]: [usize; 2], packed: &mut [f32]) {
    for channel in 0..channels {
        let values = weight.kernel(channel, 0);
        for element in 0..elements {
            packed[(channel / lanes * elements + element) * lanes + channel % lanes] = flush(values[weight.index(element)]);
        }
    }
}

/// Convolution from blocked to blocked layout. The weight is packed by [`pack_depthwise`], the bias is padded to whole blocks.
///
/// # Panics
/// If the instruction set has no kernels, the convolution is not supported (see [`supports`]), or a slice has the wrong length.
pub fn conv(pool: &ThreadPool, isa: Isa, shape: &ConvShape, operands: &ConvOperands<'_>, out: &mut [f32]) {
    assert!(supports(shape));
    let isa = vector(isa);
    let lanes = isa.lanes();
    let conv_row = instance::<Row>(isa);
    let ConvOperands { x, weight, epilogue } = *operands;
    let ([h, w], [oh, ow], [kh, kw]) = (shape.input, shape.output, shape.kernel);
    let blocks = shape.channels.div_ceil(lanes);
    let maps = shape.batch * blocks;
    assert_eq!((x.len(), out.len()), (maps * h * w * lanes, maps * oh * ow * lanes));
    assert_eq!(weight.len(), blocks * kh * kw * lanes);
    assert!(epilogue.bias.is_none_or(|b| b.len() == blocks * lanes));
    if let Residual::From(r) = epilogue.residual {
        assert_eq!(r.len(), out.len());
    }
    let job = Job { shape, operands, conv_row, isa: isa.into(), lanes, blocks, out: Disjoint::new(out) };
    match Padded::new(shape, lanes) {
        Some(padded) => runs(pool, maps, oh, padded.lines, |map, lines| job.padded(padded, map, lines)),
        None => runs(pool, maps, oh, 1, |map, line| job.line(map, line.start)),
    }
}

/// What all tasks share.
struct Job<'a> {
    shape: &'a ConvShape,
    operands: &'a ConvOperands<'a>,
    conv_row: Instance<Row>,
    isa: Isa,
    lanes: usize,
    /// Blocks of channels.
    blocks: usize,
    out: Disjoint<'a>,
}

impl Job<'_> {
    /// A feature map of the input.
    fn plane(&self, map: usize) -> &[f32] {
        let len = self.shape.input.iter().product::<usize>() * self.lanes;
        &self.operands.x[map * len..][..len]
    }

    /// A row that reads every kernel element, with everything that does not depend on the input.
    fn row(&self, map: usize, line: usize) -> Row {
        let (shape, lanes, epilogue) = (self.shape, self.lanes, self.operands.epilogue);
        let ([oh, ow], [kh, kw]) = (shape.output, shape.kernel);
        let block = map % self.blocks;
        let start = (map * oh + line) * ow * lanes;
        // SAFETY: an output row that belongs to this run only
        let out = unsafe { self.out.slice(start, ow * lanes) }.as_mut_ptr();
        Row {
            x: std::ptr::null(),
            step: shape.stride[1] * lanes,
            elements: [kh, kw],
            strides: [0, shape.dilation[1] * lanes],
            weight: self.operands.weight[block * kh * kw * lanes..][..kh * kw * lanes].as_ptr(),
            weight_row: kw * lanes,
            bias: epilogue.bias.map_or(std::ptr::null(), |bias| bias[block * lanes..][..lanes].as_ptr()),
            residual: match epilogue.residual {
                Residual::None => std::ptr::null(),
                Residual::InPlace => out.cast_const(),
                Residual::From(residual) => residual[start..][..ow * lanes].as_ptr(),
            },
            clamp: Activation::clamp(epilogue.act),
            out,
            count: ow,
        }
    }

    /// Computes an output row from the feature map itself. Outputs that miss kernel elements outside of it are computed one by one.
    fn line(&self, map: usize, line: usize) {
        let (shape, lanes) = (self.shape, self.lanes);
        let ([_, w], [_, ow]) = (shape.input, shape.output);
        let plane = self.plane(map);
        let whole = self.row(map, line);
        let (rows, y) = inside(shape, 0, line);
        let run = |ox: usize, count: usize| {
            let (columns, x) = inside(shape, 1, ox);
            let row = Row {
                x: plane[(y * w + x) * lanes..].as_ptr(),
                elements: [rows.len(), columns.len()],
                strides: [shape.dilation[0] * w * lanes, whole.strides[1]],
                weight: whole.weight.wrapping_add(rows.start * whole.weight_row + columns.start * lanes),
                residual: if whole.residual.is_null() { whole.residual } else { whole.residual.wrapping_add(ox * lanes) },
                out: whole.out.wrapping_add(ox * lanes),
                count,
                ..whole
            };
            // SAFETY: the processor supports `isa`; `inside` drops kernel elements outside of the
            // feature map, and those of `first..last` are all inside; weight, bias, residual and row have the asserted lengths
            unsafe { (self.conv_row)(&row) };
        };
        let Range { start: first, end: last } = complete(shape);
        (0..first).for_each(|ox| run(ox, 1));
        if first < last {
            run(first, last - first);
        }
        (last..ow).for_each(|ox| run(ox, 1));
        self.finish(map, line..line + 1);
    }

    /// Computes output rows from a copy of what they read, with zeros around it.
    fn padded(&self, padded: Padded, map: usize, lines: Range<usize>) {
        let mut copy = Scratch::new();
        padded.copy(self.shape, self.plane(map), &lines, self.lanes, &mut copy);
        // several rows at a time, which are still in the L1 cache
        let most = (WITH_PROGRAM / (self.shape.output[1] * self.lanes)).max(1);
        let (end, mut finished) = (lines.end, lines.start);
        for (index, line) in lines.enumerate() {
            let whole = self.row(map, line);
            let row = Row {
                x: copy.at(index * self.shape.stride[0] * padded.width * self.lanes),
                strides: [self.shape.dilation[0] * padded.width * self.lanes, whole.strides[1]],
                ..whole
            };
            // SAFETY: as above, and the copy holds all that these rows read
            unsafe { (self.conv_row)(&row) };
            if line + 1 - finished == most || line + 1 == end {
                self.finish(map, finished..line + 1);
                finished = line + 1;
            }
        }
    }

    /// Applies a function that does not fit in the registers of the kernel.
    fn finish(&self, map: usize, lines: Range<usize>) {
        if let Some(code) = Activation::program(self.operands.epilogue.act) {
            let ([oh, ow], lanes) = (self.shape.output, self.lanes);
            // SAFETY: output rows that belong to this run only
            let out = unsafe { self.out.slice((map * oh + lines.start) * ow * lanes, lines.len() * ow * lanes) };
            apply(self.isa, code, self.shape.channels - map % self.blocks * lanes, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Epilogue;
    use crate::kernels::nchwc::pack::pack_channels;
    use crate::kernels::reference::{Numbers, activations, blocked, conv_f64, max_error, plain};

    #[test]
    fn agrees_with_the_definition() {
        for isa in Isa::ALL.into_iter().filter(|isa| isa.vector().is_some()) {
            let lanes = isa.lanes();
            let mut n = Numbers::new(31);
            for round in 0..120 {
                let mut below = |most: usize| n.below(most);
                let kernel = [[3, 3], [3, 3], [5, 5], [7, 7], [1, 4], [2, 1]][below(6)];
                let stride = [1 + below(3), 1 + below(3)];
                let dilation = [1 + below(2), 1 + below(2)];
                let reach = [0, 1].map(|i| (kernel[i] - 1) * dilation[i] + 1);
                let pad = [0, 1].map(|i| [below(reach[i] + 1), below(reach[i] + 1)]);
                let input = [0, 1].map(|i| (reach[i] + below(20)).saturating_sub(pad[i][0]).max(1));
                let output = [0, 1].map(|i| (input[i] + pad[i][0] + pad[i][1]).saturating_sub(reach[i]) / stride[i] + 1);
                let (batch, channels) = (1 + below(3), 1 + below(40));
                let shape = ConvShape {
                    batch,
                    channels,
                    input,
                    filters: channels,
                    output,
                    kernel,
                    stride,
                    pad,
                    dilation,
                    groups: channels,
                };
                let act = activations()[below(4)];
                let x = n.take(shape.input_sizes().iter().product());
                let weight = n.take(shape.filters * shape.depth());
                let bias = n.take(channels);
                let r = n.take(shape.output_sizes().iter().product());
                let expected = conv_f64(&shape, &x, &weight, Some(&bias), (round % 3 > 0).then_some(&r[..]), act);
                let residual = blocked(&r, shape.output_sizes(), lanes);
                let mut out = if round % 3 == 1 { residual.clone() } else { vec![f32::NAN; residual.len()] };
                let weight = pack_depthwise(lanes, channels, &weight).unwrap();
                let bias = pack_channels(lanes, &bias).unwrap();
                let residual = [Residual::None, Residual::InPlace, Residual::From(&residual)][round % 3];
                let epilogue = Epilogue { bias: Some(&bias), residual, act };
                let x = blocked(&x, shape.input_sizes(), lanes);
                let pool = ThreadPool::new(1 + n.below(3)).unwrap();
                conv(&pool, isa, &shape, &ConvOperands { x: &x, weight: &weight, epilogue }, &mut out);
                assert!(out.iter().all(|v| v.is_finite()), "{isa} {shape:?}");
                let off = max_error(&plain(&out, shape.output_sizes(), lanes), &expected);
                assert!(off < 2e-5, "{isa} {shape:?}: {off}");
            }
        }
    }
}
