//! Weights as integers, the sums that they begin with, and their order in memory.
//!
//! All processors share one order. The output channels are split into panels of 16; a panel is `[block of 64 input
//! channels][kernel element][four channels][16 output channels][4]`, and only has the input channels that its outputs read, which
//! matters for groups. The weights of a whole block and a kernel element are a tile of AMX: 16 rows of 64 bytes. A panel of a
//! depthwise convolution is `[two kernel elements][16 channels][2]`.

use thiserror::Error;

use super::dot::LANES;
use super::map::SLOT;
use crate::kernels::ConvShape;

/// Why a convolution cannot be computed in integers.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unsupported {
    /// The sum might be larger than an i32.
    #[error("a sum of {0} products of bytes may exceed 32 bits: at most {MAX_TERMS} can be summed")]
    Overflow(usize),
    /// Sizes that contradict each other or overflow.
    #[error("the sizes of the convolution do not fit together")]
    Sizes,
    /// A row of the kernel over an image's channels is at most 64 bytes, and there are no groups.
    #[error("only a convolution without groups whose kernel has up to 64 columns times channels reads an image")]
    Image,
}

/// The largest weight.
pub const MAX_WEIGHT: i8 = 127;

/// The most products whose sum fits in an i32, with the zero point's part: `255 * 127` each.
pub const MAX_TERMS: usize = i32::MAX as usize / (255 * MAX_WEIGHT as usize);

/// Checks that a sum of this many products, less the zero point's part, fits in an i32 at any time.
pub fn check_terms(terms: usize) -> Result<(), Unsupported> {
    if terms <= MAX_TERMS { Ok(()) } else { Err(Unsupported::Overflow(terms)) }
}

/// How a convolution reads its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// A [map](super::Map::len).
    Map,
    /// An [image](super::Map::image_len). The columns of the kernel times the channels are at most 64.
    Image,
}

/// A scale for each filter, so that its largest weight becomes 127: 1 where all are 0. The weight is `[filters, ...]`.
///
/// # Panics
/// If the weights cannot be split into `filters` equal parts.
pub fn scales(weight: &[f32], filters: usize) -> Vec<f32> {
    let each = parts(weight.len(), filters);
    let scale = |w: &[f32]| {
        let most = w.iter().fold(0.0f32, |most, w| most.max(w.abs())) / f32::from(MAX_WEIGHT);
        if most.is_normal() { most } else { 1.0 }
    };
    (0..filters).map(|k| scale(&weight[k * each..][..each])).collect()
}

/// The weights as integers: the nearest multiples of their filter's scale, at most 127.
///
/// # Panics
/// If there is not one scale for each filter.
pub fn quantize(weight: &[f32], scales: &[f32]) -> Vec<i8> {
    let each = parts(weight.len(), scales.len());
    let most = f32::from(MAX_WEIGHT);
    // limited before it is converted
    let one = |(i, &w): (usize, &f32)| (w / scales[i / each]).round_ties_even().clamp(-most, most) as i8;
    weight.iter().enumerate().map(one).collect()
}

/// Elements of each of `count` equal parts.
fn parts(len: usize, count: usize) -> usize {
    let each = len / count.max(1);
    assert_eq!(each * count, len, "{count} filters");
    each
}

/// What a filter's sum begins with: minus the sum of its weights times the input's zero point, so that padding, and any other byte
/// at the zero point, counts as 0. Padded to whole panels, as kernels expect it.
///
/// # Panics
/// If the weights cannot be split into `filters` equal parts, or a sum exceeds 32 bits, which [`check_terms`] excludes.
pub fn starts(weight: &[i8], filters: usize, zero: u8) -> Vec<i32> {
    let each = parts(weight.len(), filters);
    let start = |w: &[i8]| -i32::from(zero) * w.iter().map(|&w| i32::from(w)).sum::<i32>();
    let mut starts: Vec<i32> = (0..filters).map(|k| start(&weight[k * each..][..each])).collect();
    starts.resize(padded(filters), 0);
    starts
}

/// One value for each filter, padded to whole panels with zeros, as kernels expect it.
pub fn padded_values(values: &[f32]) -> Vec<f32> {
    let mut values = values.to_vec();
    values.resize(padded(values.len()), 0.0);
    values
}

/// The number of filters, padded to pairs of panels.
pub fn padded(filters: usize) -> usize {
    filters.next_multiple_of(2 * LANES)
}

/// Whether each filter reads one channel, and there are as many.
pub(super) fn is_depthwise(shape: &ConvShape) -> bool {
    shape.groups == shape.channels && shape.filters == shape.channels && shape.groups > 1
}

/// Elements of the kernel, of which each reads a part of every pixel: rows if the input is an image, since a row of it is in one
/// slot.
pub(super) fn taps(shape: &ConvShape, input: Input) -> usize {
    match input {
        Input::Map => shape.kernel[0] * shape.kernel[1],
        Input::Image => shape.kernel[0],
    }
}

/// The groups of four input channels that a panel reads; for an image, those of the columns of the kernel in turn.
pub(super) fn quads(shape: &ConvShape, input: Input, panel: usize) -> std::ops::Range<usize> {
    if input == Input::Image {
        return 0..(shape.kernel[1] * shape.channels).div_ceil(4);
    }
    let (filters, channels) = (shape.filters / shape.groups, shape.channels / shape.groups);
    let first = panel * LANES / filters;
    let last = (shape.filters.min((panel + 1) * LANES) - 1) / filters;
    first * channels / 4..((last + 1) * channels).div_ceil(4)
}

/// Panels of weights.
pub(super) fn panels(shape: &ConvShape) -> usize {
    shape.filters.div_ceil(LANES)
}

/// Bytes of packed weights.
pub fn packed_len(shape: &ConvShape, input: Input) -> usize {
    if is_depthwise(shape) {
        return panels(shape) * depthwise_pairs(shape) * 2 * LANES;
    }
    (0..panels(shape)).map(|panel| quads(shape, input, panel).len() * taps(shape, input) * 4 * LANES).sum()
}

/// Pairs of kernel elements of a depthwise convolution.
pub(super) fn depthwise_pairs(shape: &ConvShape) -> usize {
    (shape.kernel[0] * shape.kernel[1]).div_ceil(2)
}

/// Puts weights, `[filters, channels / groups, kernel]`, in the order of the kernels.
///
/// # Panics
/// If the weights have the wrong length.
pub fn pack(shape: &ConvShape, input: Input, weight: &[i8]) -> Vec<i8> {
    assert_eq!(weight.len(), shape.filters * shape.depth(), "weights");
    let mut packed = vec![0; packed_len(shape, input)];
    let [kh, kw] = shape.kernel;
    let (filters, channels) = (shape.filters / shape.groups, shape.channels / shape.groups);
    if is_depthwise(shape) {
        // `[panel][pair of kernel elements][channel][2]`
        let pairs = depthwise_pairs(shape);
        for (i, &w) in weight.iter().enumerate() {
            let (channel, element) = (i / (kh * kw), i % (kh * kw));
            packed[((channel / LANES * pairs + element / 2) * LANES + channel % LANES) * 2 + element % 2] = w;
        }
        return packed;
    }
    let mut at = 0;
    for panel in 0..panels(shape) {
        for (tap, quad) in order(shape, input, panel) {
            for (lane, byte) in (0..LANES).flat_map(|lane| (0..4).map(move |byte| (lane, byte))) {
                let filter = panel * LANES + lane;
                let (channel, element, is_inside) = match input {
                    Input::Map => (quad * 4 + byte, tap, true),
                    Input::Image => {
                        let column = (quad * 4 + byte) / channels;
                        ((quad * 4 + byte) % channels, tap * kw + column, column < kw)
                    }
                };
                let first = filter / filters * channels;
                if is_inside && filter < shape.filters && (first..first + channels).contains(&channel) {
                    packed[at] = weight[(filter * channels + channel - first) * kh * kw + element];
                }
                at += 1;
            }
        }
    }
    packed
}

/// The kernel elements and groups of four channels of a panel, in their order.
fn order(shape: &ConvShape, input: Input, panel: usize) -> impl Iterator<Item = (usize, usize)> {
    let (range, taps) = (quads(shape, input, panel), taps(shape, input));
    in_blocks(range).flat_map(move |quads| (0..taps).flat_map(move |tap| quads.clone().map(move |quad| (tap, quad))))
}

/// A range of groups of four channels, block by block.
pub(super) fn in_blocks(range: std::ops::Range<usize>) -> impl Iterator<Item = std::ops::Range<usize>> {
    const EACH: usize = SLOT / 4;
    (range.start / EACH..range.end.div_ceil(EACH)).map(move |b| range.start.max(b * EACH)..range.end.min((b + 1) * EACH))
}

/// Checks a convolution's sizes, so that nothing overflows.
pub(super) fn check(shape: &ConvShape, input: Input) -> Result<(), Unsupported> {
    let all = [shape.batch, shape.channels, shape.filters, shape.groups].into_iter();
    let all = all.chain(shape.input).chain(shape.output).chain(shape.kernel).chain(shape.stride).chain(shape.dilation);
    let small = all.clone().all(|n| (1..1 << 31).contains(&n)) && shape.pad.iter().flatten().all(|&n| n < 1 << 31);
    let divides = small && shape.channels.is_multiple_of(shape.groups) && shape.filters.is_multiple_of(shape.groups);
    if !divides {
        return Err(Unsupported::Sizes);
    }
    let terms = (shape.channels / shape.groups).checked_mul(shape.kernel[0]).and_then(|n| n.checked_mul(shape.kernel[1]));
    check_terms(terms.unwrap_or(usize::MAX))?;
    if input == Input::Image && (terms.is_none_or(|n| n / shape.kernel[0] > SLOT) || shape.groups > 1) {
        return Err(Unsupported::Image);
    }
    for axis in 0..2 {
        // all sizes are below 2^31, so that the products fit in 64 bits
        let read = (shape.output[axis] as u64 - 1) * shape.stride[axis] as u64;
        let extent = (shape.kernel[axis] as u64 - 1) * shape.dilation[axis] as u64 + 1;
        let [before, after] = shape.pad[axis].map(|n| n as u64);
        if read + extent > shape.input[axis] as u64 + before + after {
            return Err(Unsupported::Sizes);
        }
    }
    let map = |channels: usize, size: [usize; 2]| super::map::Map { batch: shape.batch, channels, size }.len();
    // strips with padding, in bytes or pairs of them, and sums of 32 bits
    let padded = [0, 1]
        .map(|axis| shape.input[axis] + shape.pad[axis][0] + shape.pad[axis][1] + shape.dilation[axis] * shape.kernel[axis]);
    let fits = |len: Option<usize>| len.and_then(|len| len.checked_mul(64)).is_some();
    let weights =
        shape.filters.checked_next_multiple_of(64).and_then(|n| n.checked_mul(terms.unwrap_or(usize::MAX).checked_add(64)?));
    if fits(map(shape.channels, padded)) && fits(map(shape.filters, shape.output)) && fits(weights) {
        Ok(())
    } else {
        Err(Unsupported::Sizes)
    }
}
