//! Direct convolution of NCHW, one kernel element at a time, for groups with few filters (depthwise), where a matrix product
//! would spend its time packing.

use crate::kernels::conv::{ConvOperands, ConvShape, Residual, range_inside};
use crate::kernels::isa::Isa;
use crate::kernels::threads::ThreadPool;

/// Convolution of NCHW values, with the weight as stored. A task is one feature map of the output.
///
/// # Panics
/// If the residual is in the output, which holds intermediate sums.
pub fn conv(pool: &ThreadPool, isa: Isa, shape: &ConvShape, operands: &ConvOperands<'_>, out: &mut [f32]) {
    let ConvOperands { x, weight, epilogue } = *operands;
    assert!(!matches!(epilogue.residual, Residual::InPlace), "a residual in place");
    let [h, w] = shape.input;
    let [oh, ow] = shape.output;
    let [kh, kw] = shape.kernel;
    let (filters, channels) = (shape.filters / shape.groups, shape.channels / shape.groups);
    pool.pieces(out, oh * ow, |index, sums| {
        let (sample, filter) = (index / shape.filters, index % shape.filters);
        sums.fill(0.0);
        let first = sample * shape.channels + filter / filters * channels;
        let elements = &weight[filter * shape.depth()..][..shape.depth()];
        for (k, &weight) in elements.iter().enumerate() {
            let (channel, element) = (k / (kh * kw), k % (kh * kw));
            let plane = &x[(first + channel) * h * w..][..h * w];
            let dy = (element / kw * shape.dilation[0]) as isize - shape.pad[0][0] as isize;
            let dx = (element % kw * shape.dilation[1]) as isize - shape.pad[1][0] as isize;
            let columns = range_inside(0, ow, w, shape.stride[1], dx);
            if columns.is_empty() {
                continue;
            }
            let from = ((columns.start * shape.stride[1]) as isize + dx) as usize;
            for y in range_inside(0, oh, h, shape.stride[0], dy) {
                let row = ((y * shape.stride[0]) as isize + dy) as usize * w;
                let sums = &mut sums[y * ow..][columns.clone()];
                let row = &plane[row + from..row + w];
                if shape.stride[1] == 1 {
                    sums.iter_mut().zip(row).for_each(|(s, &v)| *s += weight * v);
                } else {
                    sums.iter_mut().zip(row.iter().step_by(shape.stride[1])).for_each(|(s, &v)| *s += weight * v);
                }
            }
        }
        epilogue.finish(isa, filter, index * oh * ow, sums);
    });
}
