//! The gradient of a convolution's weight: for each filter, channel and kernel element, the sum over samples and pixels of the
//! output's gradient times the input value that the kernel element reads.

mod depthwise;
mod nchw;
mod nchwc;
mod outer_product;
mod winograd;

use crate::kernels::isa::VectorIsa;
use crate::kernels::nchwc::depthwise::supports as is_depthwise;
use crate::kernels::{ConvShape, Isa, ThreadPool};

/// The available methods.
#[derive(Clone, Copy)]
enum Method {
    Nchw,
    Depthwise(VectorIsa),
    Nchwc(VectorIsa),
    Winograd(VectorIsa),
}

impl Method {
    fn choose(isa: Isa, plain: bool, precise: bool, shape: &ConvShape) -> Method {
        match isa.vector() {
            None => Method::Nchw,
            Some(isa) if is_depthwise(shape) && !plain => Method::Depthwise(isa),
            Some(isa) if !plain && !precise && winograd::supports(shape, isa.lanes()) => Method::Winograd(isa),
            Some(isa) => Method::Nchwc(isa),
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
    match Method::choose(isa, plain, precise, shape) {
        Method::Nchw => nchw::scratch(shape, threads),
        Method::Depthwise(isa) => depthwise::scratch(isa.lanes(), shape, threads),
        Method::Nchwc(isa) => nchwc::scratch(isa.lanes(), plain, shape, threads),
        Method::Winograd(isa) => winograd::scratch(isa.lanes(), shape, threads),
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
    let method = Method::choose(isa, plain, precise, shape);
    let lanes = match method {
        Method::Nchw => 1,
        Method::Depthwise(isa) | Method::Nchwc(isa) | Method::Winograd(isa) => isa.lanes(),
    };
    let len =
        |[batch, channels, height, width]: [usize; 4], lanes: usize| batch * channels.next_multiple_of(lanes) * height * width;
    assert_eq!(x.len(), len(shape.input_sizes(), if plain { 1 } else { lanes }), "input");
    assert_eq!(dy.len(), len(shape.output_sizes(), lanes), "gradient of the output");
    assert_eq!(dw.len(), shape.filters * shape.depth(), "gradient of the weight");
    if is_empty(shape) {
        return dw.fill(0.0);
    }
    match method {
        Method::Nchw => nchw::conv_weight(pool, shape, x, dy, scratch, dw),
        Method::Depthwise(isa) => depthwise::conv_weight(pool, isa, shape, x, dy, scratch, dw),
        Method::Nchwc(isa) => nchwc::conv_weight(pool, isa, plain, shape, x, dy, scratch, dw),
        Method::Winograd(isa) => winograd::conv_weight(pool, isa, shape, x, dy, scratch, dw),
    }
}

#[cfg(test)]
mod tests;
