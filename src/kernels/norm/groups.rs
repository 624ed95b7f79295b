//! Group norm: the values of each group of channels; instance norm, where each channel is a group.
//!
//! The moments of every channel are computed apart, and joined for its group. In the plain layout, the lanes of a vector are
//! neighboring places of a channel.

use std::ops::Range;

use super::NormParams;
use crate::kernels::aligned::LINE;
use crate::kernels::dispatch::{self, Instance, Kernel};
use crate::kernels::elementwise::apply;
use crate::kernels::nchwc::runs;
use crate::kernels::simd::scalar::Scalar;
use crate::kernels::threads::Disjoint;
use crate::kernels::train::feature_maps::FeatureMaps;
use crate::kernels::train::norm::loops::{Affine, GradSums, Moments, PixelNorm, PixelNormGrad};
use crate::kernels::train::norm::{Welford, welford};
use crate::kernels::{Activation, Isa, Layout, ThreadPool};

/// Floats that are summed in single precision, in several partial sums.
const CHUNK: usize = 4096;

/// Numbers of a channel and sample in a list of pairs, which is `[samples][2][channels]`.
const PAIR: usize = 2;

/// A kernel for whole vectors, and for the floats of a channel that fill none.
struct Loops<Operands> {
    vectors: Instance<Operands>,
    singles: Instance<Operands>,
    lanes: usize,
}

impl<Operands> Loops<Operands> {
    fn new<K: Kernel<Operands = Operands>>(isa: Isa) -> Loops<Operands> {
        let vectors = isa.vector().map_or(K::run::<Scalar> as Instance<Operands>, dispatch::instance::<K>);
        Loops { vectors, singles: K::run::<Scalar>, lanes: isa.lanes() }
    }

    /// The kernels with the floats that each computes, and its lanes.
    fn of(&self, floats: Range<usize>) -> [(Instance<Operands>, Range<usize>, usize); 2] {
        let whole = floats.end - floats.len() % self.lanes;
        [(self.vectors, floats.start..whole, self.lanes), (self.singles, whole..floats.end, 1)]
    }
}

/// A value, and how its channels are grouped.
#[derive(Clone, Copy)]
struct Groups {
    maps: FeatureMaps,
    isa: Isa,
    groups: usize,
}

impl Groups {
    fn new(isa: Isa, layout: Layout, groups: usize, sizes: [usize; 4]) -> Groups {
        if let Layout::Blocked { lanes } = layout {
            assert_eq!(lanes, isa.lanes(), "blocks of {isa}");
        }
        Groups { maps: FeatureMaps::new(layout, sizes), isa, groups }
    }

    /// Floats of a feature map of each block.
    fn map(&self) -> usize {
        self.maps.plane * self.maps.lanes
    }

    /// A number of a channel in a list of pairs, of the sample of a feature map.
    fn number(&self, pairs: &[f32], map: usize, index: usize, channel: usize) -> f32 {
        pairs[(map / self.maps.blocks * PAIR + index) * self.maps.channels + channel]
    }

    /// A number of each lane: of its channel in a block, and of the only channel in the plain layout.
    fn lanes(&self, block: usize, of: impl Fn(usize) -> f32) -> [f32; LINE] {
        if self.maps.lanes == 1 { [of(block); LINE] } else { self.maps.of_block(block, of) }
    }

    /// The channels that the lanes of a kernel's results belong to, for a feature map.
    fn channel(&self, map: usize, lane: usize) -> Option<usize> {
        let (block, lanes) = (map % self.maps.blocks, self.maps.lanes);
        let channel = if lanes == 1 { block } else { block * lanes + lane };
        (channel < self.maps.channels).then_some(channel)
    }

    /// The means of the groups and the reciprocals of their deviations, for every channel.
    fn moments(&self, pool: &ThreadPool, x: &[f32], eps: f64, pairs: &mut [f32]) {
        let FeatureMaps { channels, plane, .. } = self.maps;
        let loops = Loops::new::<Moments>(self.isa);
        self.per_channel(pool, pairs, |map| {
            let mut found = [Welford::default(); LINE];
            let (mut count, start) = (0.0, map * self.map());
            for (kernel, floats, lanes) in loops.of(start..start + self.map()) {
                let (more, added) = welford(kernel, lanes, x, chunks(floats));
                if self.maps.lanes > 1 {
                    // nothing is left over of whole blocks
                    if added > 0.0 {
                        found = more;
                    }
                    continue;
                }
                for more in &more[..if added > 0.0 { lanes } else { 0 }] {
                    found[0].join(count, *more, added);
                    count += added;
                }
            }
            found.map(|found| [found.mean as f32, found.squares as f32])
        });
        let (size, plane) = (channels / self.groups.max(1), plane as f64);
        for sample in pairs.chunks_mut(PAIR * channels) {
            let (means, squares) = sample.split_at_mut(channels);
            for (means, squares) in means.chunks_mut(size).zip(squares.chunks_mut(size)) {
                let mut all = Welford::default();
                for (index, (mean, squares)) in means.iter().zip(&*squares).enumerate() {
                    let more = Welford { mean: f64::from(*mean), squares: f64::from(*squares) };
                    all.join(index as f64 * plane, more, plane);
                }
                let inverse = 1.0 / (all.squares / (size as f64 * plane) + eps).sqrt();
                means.fill(all.mean as f32);
                squares.fill(inverse as f32);
            }
        }
    }

    /// Pairs for every channel and sample, computed for each feature map.
    fn per_channel(&self, pool: &ThreadPool, pairs: &mut [f32], of: impl Fn(usize) -> [[f32; PAIR]; LINE] + Sync) {
        let FeatureMaps { blocks, channels, lanes, .. } = self.maps;
        let pairs = Disjoint::new(pairs);
        pool.for_each(self.maps.count(), |map, _| {
            for (lane, pair) in of(map).into_iter().enumerate().take(lanes) {
                let Some(channel) = self.channel(map, lane) else { break };
                for (index, number) in pair.into_iter().enumerate() {
                    // SAFETY: numbers of this channel only
                    unsafe { pairs.slice((map / blocks * PAIR + index) * channels + channel, 1)[0] = number };
                }
            }
        });
    }

    /// Calls `task(map, floats)` for runs of each feature map.
    fn runs(&self, pool: &ThreadPool, task: impl Fn(usize, Range<usize>) + Sync) {
        let FeatureMaps { plane, lanes, .. } = self.maps;
        // runs begin where a vector does, so that what fills none does not depend on the number of threads
        let unit = LINE / lanes;
        runs(pool, self.maps.count(), plane.div_ceil(unit), CHUNK / LINE, |map, units| {
            let pixels = units.start * unit..plane.min(units.end * unit);
            let start = map * plane;
            task(map, (start + pixels.start) * lanes..(start + pixels.end) * lanes);
        });
    }

    /// The two lists of pairs in the scratch memory.
    fn lists<'a>(&self, scratch: &'a mut [f32]) -> (&'a mut [f32], &'a mut [f32]) {
        let len = self.maps.batch * PAIR * self.maps.channels;
        let (first, rest) = scratch.split_at_mut(len);
        (first, &mut rest[..len])
    }
}

fn chunks(floats: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let end = floats.end;
    floats.step_by(CHUNK).map(move |start| start..(start + CHUNK).min(end))
}

fn value(of: Option<&[f32]>, channel: usize, otherwise: f32) -> f32 {
    of.map_or(otherwise, |list| list[channel])
}

fn affine([mean, scale, bias]: &[[f32; LINE]; 3]) -> Affine {
    Affine { mean: mean.as_ptr(), scale: scale.as_ptr(), bias: bias.as_ptr() }
}

/// Scratch floats for each function.
pub fn scratch(sizes: [usize; 4]) -> usize {
    2 * sizes[0] * PAIR * sizes[1]
}

/// `out = act(weight * xhat + bias)`, for `groups` groups of channels. `x` is `None` if it is already in `out`. `scratch` needs
/// [`scratch`] floats.
///
/// # Panics
/// If the processor lacks the instruction set of a blocked layout, or a slice has the wrong length.
#[allow(clippy::too_many_arguments, reason = "each is an operand of the one kernel")]
pub fn forward(
    pool: &ThreadPool,
    isa: Isa,
    layout: Layout,
    groups: usize,
    sizes: [usize; 4],
    params: &NormParams<'_>,
    x: Option<&[f32]>,
    act: Option<Activation<'_>>,
    scratch: &mut [f32],
    out: &mut [f32],
) {
    let of = Groups::new(isa, layout, groups, sizes);
    assert!(out.len() == of.maps.len() && x.is_none_or(|x| x.len() == out.len()));
    let (moments, _) = of.lists(scratch);
    of.moments(pool, x.unwrap_or(out), params.eps, moments);
    let loops = Loops::new::<PixelNorm>(isa);
    let out = Disjoint::new(out);
    of.runs(pool, |map, floats| {
        let block = map % of.maps.blocks;
        let of_block = [
            of.lanes(block, |c| of.number(moments, map, 0, c)),
            of.lanes(block, |c| of.number(moments, map, 1, c) * value(params.weight, c, 1.0)),
            of.lanes(block, |c| value(params.bias, c, 0.0)),
        ];
        for (kernel, floats, lanes) in loops.of(floats.clone()) {
            let to = out.pointer(floats.start, floats.len());
            let run = PixelNorm {
                x: x.map_or(to.cast_const(), |x| x[floats.clone()].as_ptr()),
                pixels: floats.len() / lanes,
                affine: affine(&of_block),
                residual: std::ptr::null(),
                clamp: Activation::clamp(act),
                out: to,
            };
            // SAFETY: the processor supports the instruction set; all slices have the length of the run
            unsafe { kernel(&run) };
        }
        if let Some(code) = Activation::program(act) {
            // SAFETY: floats of this run only
            let out = unsafe { out.slice(floats.start, floats.len()) };
            let channels = if of.maps.lanes == 1 { usize::MAX } else { of.maps.channels_of(block) };
            apply(isa, code, channels, out);
        }
    });
}

impl Groups {
    /// The moments of `x`, and per sample and channel the sums of `dy * (x - mean)` and of `dy`.
    fn grad_sums(&self, pool: &ThreadPool, x: &[f32], dy: &[f32], eps: f64, moments: &mut [f32], sums: &mut [f32]) {
        assert!(x.len() == self.maps.len() && dy.len() == x.len());
        self.moments(pool, x, eps, moments);
        let loops = Loops::new::<GradSums>(self.isa);
        self.per_channel(pool, sums, |map| {
            let (block, start) = (map % self.maps.blocks, map * self.map());
            let of_block = [self.lanes(block, |c| self.number(moments, map, 0, c)), [0.0; LINE], [0.0; LINE]];
            let mut found = [[0f64; 2]; LINE];
            for (kernel, floats, lanes) in loops.of(start..start + self.map()) {
                for range in chunks(floats) {
                    let mut sums = [0.0; 2 * LINE];
                    let (x, dy) = (&x[range.clone()], &dy[range]);
                    let run = GradSums {
                        x: x.as_ptr(),
                        dy: dy.as_ptr(),
                        pixels: x.len() / lanes,
                        affine: affine(&of_block),
                        relu: false,
                        sums: sums.as_mut_ptr(),
                    };
                    // SAFETY: the processor supports the instruction set; all slices hold their vectors
                    unsafe { kernel(&run) };
                    for lane in 0..lanes {
                        let to = &mut found[if self.maps.lanes == 1 { 0 } else { lane }];
                        to[0] += f64::from(sums[lanes + lane]);
                        to[1] += f64::from(sums[lane]);
                    }
                }
            }
            found.map(|pair| pair.map(|v| v as f32))
        });
    }
}

/// The gradients of the parameters, `[2, channels]`: of the weights (the sums of `dy * xhat`), then of the biases (the sums of
/// `dy`).
///
/// # Panics
/// Like [`forward`].
#[allow(clippy::too_many_arguments, reason = "each is an operand of the one kernel")]
pub fn grad_params(
    pool: &ThreadPool,
    isa: Isa,
    layout: Layout,
    groups: usize,
    sizes: [usize; 4],
    eps: f64,
    x: &[f32],
    dy: &[f32],
    scratch: &mut [f32],
    out: &mut [f32],
) {
    let of = Groups::new(isa, layout, groups, sizes);
    let (moments, sums) = of.lists(scratch);
    of.grad_sums(pool, x, dy, eps, moments, sums);
    let FeatureMaps { batch, channels, blocks, .. } = of.maps;
    let (weights, biases) = out.split_at_mut(channels);
    for (channel, (weight, bias)) in weights.iter_mut().zip(biases).enumerate() {
        let number = |pairs, sample, index| f64::from(of.number(pairs, sample * blocks, index, channel));
        *weight = (0..batch).map(|sample| number(sums, sample, 0) * number(moments, sample, 1)).sum::<f64>() as f32;
        *bias = (0..batch).map(|sample| number(sums, sample, 1)).sum::<f64>() as f32;
    }
}

/// The gradient of the values. `x` or `dy` is `None` if it is already in `out`.
///
/// # Panics
/// Like [`forward`].
#[allow(clippy::too_many_arguments, reason = "each is an operand of the one kernel")]
pub fn grad_input(
    pool: &ThreadPool,
    isa: Isa,
    layout: Layout,
    groups: usize,
    sizes: [usize; 4],
    params: &NormParams<'_>,
    x: Option<&[f32]>,
    dy: Option<&[f32]>,
    scratch: &mut [f32],
    out: &mut [f32],
) {
    let of = Groups::new(isa, layout, groups, sizes);
    let (moments, sums) = of.lists(scratch);
    of.grad_sums(pool, x.unwrap_or(out), dy.unwrap_or(out), params.eps, moments, sums);
    let channels = of.maps.channels;
    let size = channels / groups.max(1);
    let count = (size * of.maps.plane) as f64;
    // with g = weight * dy: inverse * (g - mean(g) - xhat * mean(g * xhat)), as a slope and a constant of each group
    for (sums, moments) in sums.chunks_mut(PAIR * channels).zip(moments.chunks(PAIR * channels)) {
        for first in (0..channels).step_by(size.max(1)) {
            let group = first..first + size;
            let inverse = f64::from(moments[channels + first]);
            let sum = |index: usize| {
                let term = |c: usize| f64::from(value(params.weight, c, 1.0)) * f64::from(sums[index * channels + c]);
                group.clone().map(term).sum::<f64>()
            };
            let (slope, constant) = (-inverse.powi(3) * sum(0) / count, -inverse * sum(1) / count);
            sums[group.clone()].fill(slope as f32);
            sums[channels..][group].fill(constant as f32);
        }
    }
    let loops = Loops::new::<PixelNormGrad>(isa);
    let out = Disjoint::new(out);
    of.runs(pool, |map, floats| {
        let block = map % of.maps.blocks;
        let of_block = [
            of.lanes(block, |c| of.number(moments, map, 0, c)),
            of.lanes(block, |c| of.number(moments, map, 1, c) * value(params.weight, c, 1.0)),
            [0.0; LINE],
        ];
        let [slope, constant] = [0, 1].map(|index| of.lanes(block, |c| of.number(sums, map, index, c)));
        for (kernel, floats, lanes) in loops.of(floats) {
            let to = out.pointer(floats.start, floats.len());
            let from = |operand: Option<&[f32]>| operand.map_or(to.cast_const(), |operand| operand[floats.clone()].as_ptr());
            let run = PixelNormGrad {
                x: from(x),
                dy: from(dy),
                pixels: floats.len() / lanes,
                affine: affine(&of_block),
                relu: false,
                slope: slope.as_ptr(),
                constant: constant.as_ptr(),
                out: to,
            };
            // SAFETY: the processor supports the instruction set; all slices have the length of the run
            unsafe { kernel(&run) };
        }
    });
}
