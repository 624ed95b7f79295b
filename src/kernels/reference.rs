//! References for kernel tests: convolution by definition in f64, elementwise layout conversion, random numbers.

use std::sync::LazyLock;

use super::elementwise::Code;
use super::pad::{Edge, PadShape};
use super::pool::{PoolKind, PoolShape};
use super::{Activation, ConvShape};
use crate::elementwise::{Program, Unary};

/// Reproducible random numbers (xorshift64*), roughly uniform in -1..1.
pub(super) struct Numbers(u64);

impl Numbers {
    pub fn new(seed: u64) -> Numbers {
        Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn bits(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33
    }

    pub fn below(&mut self, most: usize) -> usize {
        self.bits() as usize % most
    }

    fn two(&mut self, most: usize) -> [usize; 2] {
        [self.below(most), self.below(most)]
    }

    /// A random pool over `maps` feature maps. Sometimes its output size is rounded up, if the last window still starts before
    /// the padding after the input; max pools sometimes have dilation.
    pub fn pooling(&mut self, kind: PoolKind, maps: usize) -> PoolShape {
        let kernel = self.two(4).map(|k| k + 1);
        let dilated = kind == PoolKind::Max && self.below(2) == 0;
        let dilation = if dilated { self.two(3).map(|d| d + 1) } else { [1, 1] };
        let extent = [0, 1].map(|i| (kernel[i] - 1) * dilation[i] + 1);
        let pad = extent.map(|e| self.two(e));
        let stride = self.two(3).map(|s| s + 1);
        let input = extent.map(|e| e + self.below(14));
        let output = [0, 1].map(|i| {
            let steps = input[i] + pad[i][0] + pad[i][1] - extent[i];
            let up = steps.div_ceil(stride[i]);
            if self.below(2) == 0 && up * stride[i] < input[i] + pad[i][0] { up + 1 } else { steps / stride[i] + 1 }
        });
        PoolShape { kind, maps, input, output, kernel, stride, pad, dilation }
    }

    /// Random padding for a value of these sizes, with zeros or values of the input.
    pub fn padding(&mut self, input: [usize; 4]) -> PadShape {
        let sides = [self.two(3), self.two(3)];
        let edge = [Edge::Zeros, Edge::Reflect, Edge::Replicate][self.below(3)];
        match edge {
            Edge::Zeros => PadShape { input, channels: self.two(20), sides, edge },
            Edge::Replicate => PadShape { input, channels: [0, 0], sides, edge },
            // reflection needs sides smaller than the feature map
            Edge::Reflect => {
                let sides = [0, 1].map(|axis| sides[axis].map(|n| n.min(input[axis + 2] - 1)));
                PadShape { input, channels: [0, 0], sides, edge }
            }
        }
    }

    pub fn take(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.bits() as f32 / (1u64 << 30) as f32 - 1.0).collect()
    }
}

/// Converts NCHW to blocked; the tail of the last block is filled with numbers that must not affect the result.
pub(super) fn blocked(x: &[f32], [n, c, h, w]: [usize; 4], lanes: usize) -> Vec<f32> {
    let blocks = c.div_ceil(lanes);
    let mut out = vec![3.5; n * blocks * lanes * h * w];
    for (i, &v) in x.iter().enumerate() {
        let (pixel, map) = (i % (h * w), i / (h * w));
        let (sample, channel) = (map / c, map % c);
        out[((sample * blocks + channel / lanes) * h * w + pixel) * lanes + channel % lanes] = v;
    }
    out
}

/// Converts blocked to NCHW.
pub(super) fn plain(x: &[f32], [n, c, h, w]: [usize; 4], lanes: usize) -> Vec<f32> {
    let blocks = c.div_ceil(lanes);
    let at = |i: usize| {
        let (pixel, map) = (i % (h * w), i / (h * w));
        let (sample, channel) = (map / c, map % c);
        x[((sample * blocks + channel / lanes) * h * w + pixel) * lanes + channel % lanes]
    };
    (0..n * c * h * w).map(at).collect()
}

/// Convolution by definition, in f64, on NCHW values.
pub(super) fn conv_f64(
    s: &ConvShape,
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    residual: Option<&[f32]>,
    act: Option<Activation<'_>>,
) -> Vec<f64> {
    let (filters, channels) = (s.filters / s.groups, s.channels / s.groups);
    let [oh, ow] = s.output;
    let one = |i: usize| {
        let (pixel, map) = (i % (oh * ow), i / (oh * ow));
        let (sample, filter) = (map / s.filters, map % s.filters);
        let mut sum = bias.map_or(0.0, |b| f64::from(b[filter])) + residual.map_or(0.0, |r| f64::from(r[i]));
        for c in 0..channels {
            let plane = (sample * s.channels + filter / filters * channels + c) * s.input[0] * s.input[1];
            for element in 0..s.kernel[0] * s.kernel[1] {
                let (ky, kx) = (element / s.kernel[1], element % s.kernel[1]);
                let y = (pixel / ow * s.stride[0] + ky * s.dilation[0]).wrapping_sub(s.pad[0][0]);
                let xx = (pixel % ow * s.stride[1] + kx * s.dilation[1]).wrapping_sub(s.pad[1][0]);
                if y < s.input[0] && xx < s.input[1] {
                    let w = weight[(filter * channels + c) * s.kernel[0] * s.kernel[1] + element];
                    sum += f64::from(w) * f64::from(x[plane + y * s.input[1] + xx]);
                }
            }
        }
        activate_f64(act, sum)
    };
    (0..s.output_sizes().iter().product()).map(one).collect()
}

/// The maximum difference, relative to the standard deviation of the expected values (at least 0.1).
pub(super) fn max_error(found: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let count = expected.len().max(1) as f64;
    let mean = expected.iter().sum::<f64>() / count;
    let deviation = (expected.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / count).sqrt();
    found.iter().zip(expected).map(|(&a, &b)| (f64::from(a) - b).abs()).fold(0.0, f64::max) / deviation.max(0.1)
}

/// The distance of two floats from each other, in units in the last place of the exact result, which are at least subnormal.
pub(super) fn ulps(found: f32, exact: f64) -> f64 {
    let nearest = exact as f32;
    if nearest.is_nan() || nearest.is_infinite() || found.is_nan() {
        let same = if nearest.is_nan() { found.is_nan() } else { found == nearest };
        // at the limit of the range, the neighbor of infinity is as good
        let near = nearest.is_infinite() && found == f32::MAX.copysign(nearest);
        return if same || near { 0.0 } else { f64::INFINITY };
    }
    if found.is_infinite() {
        return if nearest.abs() == f32::MAX { 0.0 } else { f64::INFINITY };
    }
    let exponent = ((exact.abs().to_bits() >> 52) as i32 - 1023).max(-126);
    (f64::from(found) - exact).abs() / 2f64.powi(exponent - 23)
}

/// Each kind of activation; the program is sigmoid.
pub(super) fn activations() -> [Option<Activation<'static>>; 4] {
    static SIGMOID: LazyLock<Code> = LazyLock::new(|| Code::new(&Program::sigmoid()));
    [None, Some(Activation::Relu), Some(Activation::Clamp([-1.0, 6.0])), Some(Activation::Program(&SIGMOID))]
}

/// The value of one of [`activations`] in f64.
pub(super) fn activate_f64(act: Option<Activation<'_>>, x: f64) -> f64 {
    match act {
        None => x,
        Some(Activation::Relu) => x.max(0.0),
        Some(Activation::Clamp([low, high])) => x.max(f64::from(low)).min(f64::from(high)),
        Some(Activation::Program(_)) => Unary::Sigmoid.of(x),
    }
}
