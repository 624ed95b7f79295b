//! The gradient of a convolution's weight: for each filter, channel and kernel element, the sum over samples and pixels of the
//! output's gradient times the input value that the kernel element reads.

pub(in crate::kernels) mod depthwise;
mod nchw;
mod nchwc;
pub(in crate::kernels) mod outer_product;
pub(in crate::kernels) mod winograd;

use crate::kernels::isa::Kernels;
use crate::kernels::nchwc::depthwise::serves as is_depthwise;
use crate::kernels::{ConvShape, Isa, ThreadPool};

/// The available methods.
enum Way {
    Portable,
    Depthwise(&'static Kernels),
    Blocked(&'static Kernels),
    Winograd(&'static Kernels),
}

impl Way {
    fn choose(isa: Isa, plain: bool, precise: bool, shape: &ConvShape) -> Way {
        match isa.kernels() {
            None => Way::Portable,
            Some(kernels) if is_depthwise(shape) && !plain => Way::Depthwise(kernels),
            Some(kernels) if !plain && !precise && winograd::serves(shape, kernels.lanes) => Way::Winograd(kernels),
            Some(kernels) => Way::Blocked(kernels),
        }
    }
}

/// Whether there is nothing to sum.
fn is_empty(shape: &ConvShape) -> bool {
    [shape.input_sizes(), shape.output_sizes()].as_flattened().contains(&0) || shape.depth() == 0
}

/// Scratch floats that [`conv_weight`] needs for a thread count.
pub fn scratch(isa: Isa, plain: bool, precise: bool, shape: &ConvShape, threads: usize) -> usize {
    if is_empty(shape) {
        return 0;
    }
    match Way::choose(isa, plain, precise, shape) {
        Way::Portable => nchw::scratch(shape, threads),
        Way::Depthwise(kernels) => depthwise::scratch(kernels.lanes, shape, threads),
        Way::Blocked(kernels) => nchwc::scratch(kernels.lanes, plain, shape, threads),
        Way::Winograd(kernels) => winograd::scratch(kernels.lanes, shape, threads),
    }
}

/// The gradient `dw` of a convolution's weight, `[filters, channels / groups, kernel]` as stored, from the convolution's input
/// `x` and the gradient `dy` of its output; `shape` is the convolution's shape. `dy` is blocked with the instruction set's lanes,
/// and so is `x`, unless `plain`: then it is NCHW. With the portable instruction set both are NCHW. With `precise`, products are
/// computed without Winograd transforms, which cost about one digit. `scratch` needs [`scratch`] floats. The bits are the same
/// for every thread count up to four, and always for the same thread count.
///
/// # Panics
/// If a slice has the wrong length.
pub fn conv_weight(
    pool: &ThreadPool,
    isa: Isa,
    plain: bool,
    precise: bool,
    shape: &ConvShape,
    x: &[f32],
    dy: &[f32],
    scratch: &mut [f32],
    dw: &mut [f32],
) {
    let way = Way::choose(isa, plain, precise, shape);
    let lanes = match &way {
        Way::Portable => 1,
        Way::Depthwise(kernels) | Way::Blocked(kernels) | Way::Winograd(kernels) => kernels.lanes,
    };
    let len =
        |[batch, channels, height, width]: [usize; 4], lanes: usize| batch * channels.next_multiple_of(lanes) * height * width;
    assert_eq!(x.len(), len(shape.input_sizes(), if plain { 1 } else { lanes }), "input");
    assert_eq!(dy.len(), len(shape.output_sizes(), lanes), "gradient of the output");
    assert_eq!(dw.len(), shape.filters * shape.depth(), "gradient of the weight");
    if is_empty(shape) {
        return dw.fill(0.0);
    }
    match way {
        Way::Portable => nchw::conv_weight(pool, shape, x, dy, scratch, dw),
        Way::Depthwise(kernels) => depthwise::conv_weight(pool, kernels, shape, x, dy, scratch, dw),
        Way::Blocked(kernels) => nchwc::conv_weight(pool, kernels, plain, shape, x, dy, scratch, dw),
        Way::Winograd(kernels) => winograd::conv_weight(pool, kernels, shape, x, dy, scratch, dw),
    }
}

#[cfg(test)]
mod tests;
