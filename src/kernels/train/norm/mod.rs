//! Batch normalization in training: the statistics of a batch, the normalized values, and their gradients.
//!
//! `xhat = (x - mean) / sqrt(variance + eps)` with the mean and biased variance over samples and pixels, per channel (Ioffe and
//! Szegedy 2015); `y = weight * xhat + bias`. Values have sizes `[samples, channels, height, width]`, in either layout; a feature
//! vector is a 1x1 feature map. Statistics and gradients of parameters are `[2, channels]`, without padding.
//!
//! Sums of a few thousand values are computed in single precision, and sums of those in double precision.

pub(in crate::internal::kernels) mod loops;
#[cfg(test)]
mod tests;

use std::ops::Range;

use self::loops::{Affine, GradSums, Moments, PixelNorm, PixelNormGrad};
use super::feature_maps::{FeatureMaps, join, split};
use super::instance::instance;
use crate::kernels::aligned::LINE;
use crate::kernels::dispatch::Instance;
use crate::kernels::elementwise::apply;
use crate::kernels::nchwc::runs;
use crate::kernels::threads::Disjoint;
use crate::kernels::{Activation, Isa, Layout, Residual, ThreadPool};

/// Parameters and statistics of a batch norm.
#[derive(Clone, Copy, Debug)]
pub struct BatchNormParams<'a> {
    /// `[2, channels]`: the batch's means, then its biased variances, as computed by [`stats`].
    pub stats: &'a [f32],
    /// Scales.
    pub weight: &'a [f32],
    /// Shifts.
    pub bias: &'a [f32],
    /// Added to the variance.
    pub eps: f64,
}

impl BatchNormParams<'_> {
    /// The reciprocal of a channel's standard deviation.
    fn inverse(&self, channel: usize) -> f64 {
        let variance = f64::from(self.stats[self.weight.len() + channel]);
        1.0 / (variance + self.eps).sqrt()
    }

    /// Means, scales and biases of a block's channels.
    fn of_block(&self, maps: &FeatureMaps, block: usize) -> [[f32; LINE]; 3] {
        [
            maps.of_block(block, |c| self.stats[c]),
            maps.of_block(block, |c| (f64::from(self.weight[c]) * self.inverse(c)) as f32),
            maps.of_block(block, |c| self.bias[c]),
        ]
    }

    fn check(&self, channels: usize) {
        assert_eq!((self.stats.len(), self.weight.len(), self.bias.len()), (2 * channels, channels, channels));
    }
}

fn affine([mean, scale, bias]: &[[f32; LINE]; 3]) -> Affine {
    Affine { mean: mean.as_ptr(), scale: scale.as_ptr(), bias: bias.as_ptr() }
}

/// Scratch floats for [`stats`] and [`grad_params`].
pub fn scratch(layout: Layout, sizes: [usize; 4]) -> usize {
    let maps = FeatureMaps::new(layout, sizes);
    maps.blocks * maps.parts() * maps.lanes * PARTIAL
}

/// Scratch floats per channel of a part: two numbers, see [`split`].
const PARTIAL: usize = 4;

/// Calls `sums(block, part)` for each part of each block and stores its results (a pair per lane) in `scratch`.
fn reduce(pool: &ThreadPool, maps: &FeatureMaps, scratch: &mut [f32], sums: impl Fn(usize, usize) -> [[f64; 2]; LINE] + Sync) {
    let parts = maps.parts();
    let len = maps.blocks * parts * maps.lanes * PARTIAL;
    assert!(scratch.len() >= len, "{} of {len} floats of scratch", scratch.len());
    pool.pieces(&mut scratch[..len], maps.lanes * PARTIAL, |task, scratch| {
        let sums = sums(task / parts, task % parts);
        for (to, [a, b]) in scratch.chunks_exact_mut(PARTIAL).zip(sums) {
            to[..2].copy_from_slice(&split(a));
            to[2..].copy_from_slice(&split(b));
        }
    });
}

/// The pairs of one channel in `scratch`, part by part.
fn partials(maps: &FeatureMaps, scratch: &[f32], channel: usize) -> impl Iterator<Item = [f64; 2]> {
    let (block, lane) = (channel / maps.lanes, channel % maps.lanes);
    let (parts, lanes) = (maps.parts(), maps.lanes);
    (0..parts).map(move |part| {
        let at = ((block * parts + part) * lanes + lane) * PARTIAL;
        [join([scratch[at], scratch[at + 1]]), join([scratch[at + 2], scratch[at + 3]])]
    })
}

/// The statistics of a batch, `[2, channels]`: means, then biased variances. `scratch` needs [`scratch`] floats.
///
/// # Panics
/// If the processor lacks the instruction set of a blocked layout, or a slice has the wrong length.
pub fn stats(pool: &ThreadPool, isa: Isa, layout: Layout, sizes: [usize; 4], x: &[f32], scratch: &mut [f32], out: &mut [f32]) {
    let moments = instance::<Moments>(isa, layout);
    let maps = FeatureMaps::new(layout, sizes);
    assert_eq!((x.len(), out.len()), (maps.len(), 2 * maps.channels));
    let lanes = maps.lanes;
    reduce(pool, &maps, scratch, |block, part| {
        let (found, _) = welford(moments, lanes, x, maps.part(block, part));
        found.map(|found| [found.mean, found.squares])
    });
    let (means, variances) = out.split_at_mut(maps.channels);
    for (channel, (mean, variance)) in means.iter_mut().zip(variances).enumerate() {
        let (mut found, mut count) = (Welford::default(), 0.0);
        for (part, [mean, squares]) in partials(&maps, scratch, channel).enumerate() {
            let more = maps.part_len(part) as f64;
            found.join(count, Welford { mean, squares }, more);
            count += more;
        }
        (*mean, *variance) = (found.mean as f32, (found.squares / count) as f32);
    }
}

/// The moments of each lane of `lanes`, over these ranges of floats of `x`, and the number of values in each lane.
pub(in crate::internal::kernels) fn welford(
    moments: Instance<Moments>,
    lanes: usize,
    x: &[f32],
    ranges: impl Iterator<Item = Range<usize>>,
) -> ([Welford; LINE], f64) {
    let mut found = [Welford::default(); LINE];
    let mut count = 0.0;
    for range in ranges {
        let x = &x[range];
        let pixels = x.len() / lanes;
        let sum = |shift: &[f32; LINE]| {
            let mut sums = [0.0; 2 * LINE];
            let run = Moments { x: x.as_ptr(), pixels, shift: shift.as_ptr(), sums: sums.as_mut_ptr() };
            // SAFETY: the processor supports the instance's instruction set; all slices hold their vectors
            unsafe { moments(&run) };
            sums
        };
        // the mean so far is subtracted before summing, so that a mean that is large relative to the deviation costs no digits
        let mut shift = [0.0; LINE];
        if count == 0.0 {
            let sums = sum(&shift);
            shift.iter_mut().zip(&sums).take(lanes).for_each(|(s, sum)| *s = sum / pixels as f32);
        } else {
            shift.iter_mut().zip(&found).for_each(|(s, found)| *s = found.mean as f32);
        }
        let sums = sum(&shift);
        for (lane, found) in found[..lanes].iter_mut().enumerate() {
            let more = Welford::of(f64::from(shift[lane]), pixels as f64, f64::from(sums[lane]), f64::from(sums[lanes + lane]));
            found.join(count, more, pixels as f64);
        }
        count += pixels as f64;
    }
    (found, count)
}

/// Mean of some values, and the sum of their squared deviations.
#[derive(Clone, Copy, Default)]
pub(in crate::internal::kernels) struct Welford {
    pub mean: f64,
    pub squares: f64,
}

impl Welford {
    /// Of `count` values, from the sums of their differences from `shift` and of the squares of those.
    fn of(shift: f64, count: f64, sum: f64, squares: f64) -> Welford {
        let mean = sum / count;
        Welford { mean: shift + mean, squares: (squares - sum * mean).max(0.0) }
    }

    /// Merges `added` more values into `count` values (Chan, Golub and LeVeque 1979).
    pub fn join(&mut self, count: f64, more: Welford, added: f64) {
        let distance = more.mean - self.mean;
        let part = added / (count + added);
        self.mean += distance * part;
        self.squares += more.squares + distance * distance * count * part;
    }
}

/// `out = act(weight * xhat + bias + residual)`.
///
/// # Panics
/// Like [`stats`].
pub fn forward(
    pool: &ThreadPool,
    isa: Isa,
    layout: Layout,
    sizes: [usize; 4],
    params: &BatchNormParams<'_>,
    x: &[f32],
    residual: Residual<'_>,
    act: Option<Activation<'_>>,
    out: &mut [f32],
) {
    let normalize = instance::<PixelNorm>(isa, layout);
    let maps = FeatureMaps::new(layout, sizes);
    assert_eq!((x.len(), out.len()), (maps.len(), maps.len()));
    params.check(maps.channels);
    if let Residual::From(residual) = residual {
        assert_eq!(residual.len(), maps.len());
    }
    let out = Disjoint::new(out);
    runs(pool, maps.count(), maps.plane, maps.chunk(), |map, pixels| {
        let (start, len) = ((map * maps.plane + pixels.start) * maps.lanes, pixels.len() * maps.lanes);
        // SAFETY: pixels of this run only
        let out = unsafe { out.slice(start, len) };
        let of_block = params.of_block(&maps, map % maps.blocks);
        let to = out.as_mut_ptr();
        let run = PixelNorm {
            x: x[start..][..len].as_ptr(),
            pixels: pixels.len(),
            affine: affine(&of_block),
            residual: match residual {
                Residual::None => std::ptr::null(),
                Residual::InPlace => to,
                Residual::From(residual) => residual[start..][..len].as_ptr(),
            },
            clamp: Activation::clamp(act),
            out: to,
        };
        // SAFETY: the processor supports `isa`; all slices have the length of the run
        unsafe { normalize(&run) };
        if let Some(code) = Activation::program(act) {
            apply(if maps.lanes == 1 { Isa::Portable } else { isa }, code, maps.channels_of(map % maps.blocks), out);
        }
    });
}

/// The gradients of a batch norm's parameters, `[2, channels]`: of the weight (the sum of `dy * xhat`), then of the bias (the sum
/// of `dy`). With `relu` a ReLU follows, and `dy` is the gradient of its output: it counts where the batch norm's output, which
/// is recomputed, is above 0. `scratch` needs [`scratch`] floats.
///
/// # Panics
/// Like [`stats`].
#[allow(clippy::too_many_arguments, reason = "each is an operand of the one kernel")]
pub fn grad_params(
    pool: &ThreadPool,
    isa: Isa,
    layout: Layout,
    sizes: [usize; 4],
    params: &BatchNormParams<'_>,
    relu: bool,
    x: &[f32],
    dy: &[f32],
    scratch: &mut [f32],
    out: &mut [f32],
) {
    let grad_sums = instance::<GradSums>(isa, layout);
    let maps = FeatureMaps::new(layout, sizes);
    assert_eq!((x.len(), dy.len(), out.len()), (maps.len(), maps.len(), 2 * maps.channels));
    params.check(maps.channels);
    let lanes = maps.lanes;
    reduce(pool, &maps, scratch, |block, part| {
        let of_block = params.of_block(&maps, block);
        let mut found = [[0.0; 2]; LINE];
        for range in maps.part(block, part) {
            let (x, dy) = (&x[range.clone()], &dy[range]);
            let mut sums = [0.0; 2 * LINE];
            let run = GradSums {
                x: x.as_ptr(),
                dy: dy.as_ptr(),
                pixels: x.len() / lanes,
                affine: affine(&of_block),
                relu,
                sums: sums.as_mut_ptr(),
            };
            // SAFETY: the processor supports `isa`; all slices hold their vectors
            unsafe { grad_sums(&run) };
            for (lane, found) in found[..lanes].iter_mut().enumerate() {
                found[0] += f64::from(sums[lane]);
                found[1] += f64::from(sums[lanes + lane]);
            }
        }
        found
    });
    let (weights, biases) = out.split_at_mut(maps.channels);
    for (channel, (weight, bias)) in weights.iter_mut().zip(biases).enumerate() {
        let sums = partials(&maps, scratch, channel).fold([0.0; 2], |[a, b], [c, d]| [a + c, b + d]);
        (*weight, *bias) = ((sums[1] * params.inverse(channel)) as f32, sums[0] as f32);
    }
}

/// The gradient of a batch norm's input, `weight / deviation * (dy - mean(dy) - xhat * mean(dy * xhat))`; `sums` are the
/// gradients of the parameters, as computed by [`grad_params`], and `relu` is the same. `x` or `dy` is `None` if it is already in
/// `out`.
///
/// # Panics
/// Like [`stats`].
#[allow(clippy::too_many_arguments, reason = "each is an operand of the one kernel")]
pub fn grad_input(
    pool: &ThreadPool,
    isa: Isa,
    layout: Layout,
    sizes: [usize; 4],
    params: &BatchNormParams<'_>,
    relu: bool,
    sums: &[f32],
    x: Option<&[f32]>,
    dy: Option<&[f32]>,
    out: &mut [f32],
) {
    let input_grad = instance::<PixelNormGrad>(isa, layout);
    let maps = FeatureMaps::new(layout, sizes);
    assert_eq!((out.len(), sums.len()), (maps.len(), 2 * maps.channels));
    assert!([x, dy].iter().flatten().all(|operand| operand.len() == maps.len()));
    params.check(maps.channels);
    let count = (maps.batch * maps.plane) as f64;
    // weight / deviation / count
    let factor = |channel: usize| -f64::from(params.weight[channel]) * params.inverse(channel) / count;
    let out = Disjoint::new(out);
    runs(pool, maps.count(), maps.plane, maps.chunk(), |map, pixels| {
        let (start, len) = ((map * maps.plane + pixels.start) * maps.lanes, pixels.len() * maps.lanes);
        // SAFETY: pixels of this run only
        let to = unsafe { out.slice(start, len) }.as_mut_ptr();
        let block = map % maps.blocks;
        let of_block = params.of_block(&maps, block);
        let slope = maps.of_block(block, |c| (factor(c) * params.inverse(c) * f64::from(sums[c])) as f32);
        let constant = maps.of_block(block, |c| (factor(c) * f64::from(sums[maps.channels + c])) as f32);
        let from = |operand: Option<&[f32]>| operand.map_or(to.cast_const(), |operand| operand[start..][..len].as_ptr());
        let run = PixelNormGrad {
            x: from(x),
            dy: from(dy),
            pixels: pixels.len(),
            affine: affine(&of_block),
            relu,
            slope: slope.as_ptr(),
            constant: constant.as_ptr(),
            out: to,
        };
        // SAFETY: the processor supports `isa`; all slices have the length of the run
        unsafe { input_grad(&run) };
    });
}
