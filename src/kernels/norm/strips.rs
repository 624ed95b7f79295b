//! Layer norm: the values of a place are its channels, or those of a sample all its values.
//!
//! In blocks of channels, a place has one vector of each block; in the plain layout, a vector holds one channel of neighboring
//! places. A tile of places is read several times while it is in the L1 cache, and written once.

use std::ops::Range;

use super::NormParams;
use super::loops::{Forward, InputGrad, ParamSums};
use super::tiles::{PlaceStrip, Tiled, Tiles};
use crate::kernels::aligned::LINE;
use crate::kernels::dispatch::{Instance, Kernel, instance};
use crate::kernels::isa::VectorIsa;
use crate::kernels::nchwc::runs;
use crate::kernels::simd::scalar::Scalar;
use crate::kernels::threads::{Disjoint, share};
use crate::kernels::{Isa, Layout, ThreadPool};

/// What is normalized together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// The channels of each place.
    Channels,
    /// All values of each sample, in the plain layout.
    All,
}

/// Places of a run.
pub(super) const PLACES: usize = 256;

/// Places whose products are summed in single precision for a parameter's gradient.
const SUMMED: usize = 256;

/// The most sums of that many places.
const PARTS: usize = 64;

/// How a norm walks through a value.
#[derive(Clone, Copy)]
pub(super) struct Walk {
    pub samples: usize,
    /// Places of each sample.
    pub places: usize,
    /// Values of a place.
    values: usize,
    /// Vectors of a place, or vectors of neighboring places if those are in a vector.
    vectors: usize,
    /// Floats from a vector to the next one of the same places.
    step: usize,
    /// Floats from a place to the next one.
    pub place: usize,
    /// Floats from a sample to the next one.
    pub sample: usize,
    /// The instruction set of the vectors; none for single floats.
    isa: Option<VectorIsa>,
    /// Whether the lanes of a vector are values of one place; otherwise they are places.
    across: bool,
}

impl Walk {
    pub fn new(isa: Isa, layout: Layout, over: Over, [batch, channels, height, width]: [usize; 4]) -> Walk {
        let plane = height * width;
        let row = match over {
            Over::All => channels * plane,
            Over::Channels => channels,
        };
        match layout {
            Layout::Blocked { lanes } => {
                assert!(over == Over::Channels && lanes == isa.lanes(), "{over:?} in {layout:?}");
                let vectors = channels.div_ceil(lanes);
                let (step, sample) = (plane * lanes, vectors * plane * lanes);
                let isa = isa.vector();
                Walk { samples: batch, places: plane, values: channels, vectors, step, place: lanes, sample, isa, across: true }
            }
            // rows of neighboring values
            Layout::Nchw if over == Over::All || plane == 1 => {
                let isa = isa.vector().filter(|isa| row.is_multiple_of(isa.lanes()));
                let lanes = isa.map_or(1, VectorIsa::lanes);
                let vectors = row / lanes;
                Walk { samples: 1, places: batch, values: row, vectors, step: lanes, place: row, sample: 0, isa, across: true }
            }
            Layout::Nchw => {
                let (isa, sample) = (isa.vector(), channels * plane);
                let vectors = channels;
                Walk { samples: batch, places: plane, values: row, vectors, step: plane, place: 1, sample, isa, across: false }
            }
        }
    }

    fn lanes(&self) -> usize {
        self.isa.map_or(1, VectorIsa::lanes)
    }

    /// Places that are computed together at least, and how many of these a sample has.
    pub fn unit(&self) -> (usize, usize) {
        let unit = if self.across { 1 } else { self.lanes() };
        (unit, self.places.div_ceil(unit))
    }

    /// Floats of the value, those that fill the last block included.
    pub fn len(&self) -> usize {
        self.samples * self.vectors * self.places * if self.across { self.lanes() } else { 1 }
    }

    /// The lanes of the last vector that are values of a place, as factors.
    fn mask(&self) -> [f32; LINE] {
        let last = if self.across { self.values - (self.vectors - 1) * self.lanes() } else { LINE };
        std::array::from_fn(|lane| if lane < last { 1.0 } else { 0.0 })
    }

    /// The number of learned values that the kernels read.
    fn learned(&self) -> usize {
        self.vectors * if self.across { self.lanes() } else { 1 }
    }

    /// Checks that the slices have the sizes of the value.
    pub fn check(&self, params: &NormParams<'_>, values: &[Option<usize>]) {
        assert!(values.iter().flatten().all(|&len| len == self.len()), "{values:?} of {}", self.len());
        assert!([params.weight, params.bias].into_iter().flatten().all(|list| list.len() == self.learned()));
    }

    /// Calls a kernel for some units of a sample: with vectors, and with single floats for places that fill none. `operands` makes
    /// what it reads from the strip and from the index of its first float.
    pub fn run<K: Tiles>(
        &self,
        sample: usize,
        units: Range<usize>,
        params: &NormParams<'_>,
        operands: impl Fn(PlaceStrip, usize) -> K,
    ) {
        let (unit, _) = self.unit();
        let places = units.start * unit..(units.end * unit).min(self.places);
        let mask = self.mask();
        let call = |kernel: Instance<K>, first: usize, count: usize, between: usize| {
            let strip = PlaceStrip {
                vectors: self.vectors,
                step: self.step,
                count,
                between,
                values: self.values as f32,
                across: self.across,
                mask: mask.as_ptr(),
                eps: params.eps as f32,
                weight: pointer(params.weight),
            };
            // SAFETY: the processor supports the instruction set; the strip is inside the slices, whose lengths are checked
            unsafe { kernel(&operands(strip, sample * self.sample + first * self.place)) };
        };
        let (whole, rest) = (places.len() / unit, places.len() % unit);
        if whole > 0 {
            call(self.isa.map_or(Tiled::<K>::run::<Scalar>, instance::<Tiled<K>>), places.start, whole, unit * self.place);
        }
        if rest > 0 {
            call(Tiled::<K>::run::<Scalar>, places.start + whole * unit, rest, self.place);
        }
    }
}

fn pointer(list: Option<&[f32]>) -> *const f32 {
    list.map_or(std::ptr::null(), <[f32]>::as_ptr)
}

/// `out = weight * xhat + bias`. `x` is `None` if it is already in `out`. In blocks of channels, weight and bias are filled with
/// zeros up to whole blocks.
///
/// # Panics
/// If the processor lacks the instruction set of a blocked layout, or a slice has the wrong length.
pub fn forward(
    pool: &ThreadPool,
    isa: Isa,
    layout: Layout,
    over: Over,
    sizes: [usize; 4],
    params: &NormParams<'_>,
    x: Option<&[f32]>,
    out: &mut [f32],
) {
    let walk = Walk::new(isa, layout, over, sizes);
    walk.check(params, &[x.map(<[f32]>::len), Some(out.len())]);
    let out = Disjoint::new(out);
    runs(pool, walk.samples, walk.unit().1, PLACES, |sample, units| {
        // threads write other places, which may be between these
        let to = out.pointer(0, walk.len());
        walk.run::<Forward>(sample, units, params, |strip, at| Forward {
            strip,
            x: x.map_or(to.cast_const(), <[f32]>::as_ptr).wrapping_add(at),
            bias: pointer(params.bias),
            out: to.wrapping_add(at),
        });
    });
}

/// The gradient of the values. `x` or `dy` is `None` if it is already in `out`.
///
/// # Panics
/// Like [`forward`].
pub fn grad_input(
    pool: &ThreadPool,
    isa: Isa,
    layout: Layout,
    over: Over,
    sizes: [usize; 4],
    params: &NormParams<'_>,
    x: Option<&[f32]>,
    dy: Option<&[f32]>,
    out: &mut [f32],
) {
    let walk = Walk::new(isa, layout, over, sizes);
    walk.check(params, &[x.map(<[f32]>::len), dy.map(<[f32]>::len), Some(out.len())]);
    let out = Disjoint::new(out);
    runs(pool, walk.samples, walk.unit().1, PLACES, |sample, units| {
        let to = out.pointer(0, walk.len());
        let from = |operand: Option<&[f32]>, at| operand.map_or(to.cast_const(), <[f32]>::as_ptr).wrapping_add(at);
        walk.run::<InputGrad>(sample, units, params, |strip, at| InputGrad {
            strip,
            x: from(x, at),
            dy: from(dy, at),
            out: to.wrapping_add(at),
        });
    });
}

/// The number of parts whose sums are computed apart. It depends only on sizes, so that the bits of the result do not depend on
/// the thread count.
fn parts(walk: &Walk) -> usize {
    (walk.samples * walk.places).div_ceil(SUMMED).clamp(1, PARTS)
}

/// Scratch floats for [`grad_params`].
pub fn scratch(isa: Isa, layout: Layout, over: Over, sizes: [usize; 4]) -> usize {
    let walk = Walk::new(isa, layout, over, sizes);
    parts(&walk) * 2 * walk.vectors * walk.lanes()
}

/// The gradients of the parameters: those of the weights (the sums of `dy * xhat`), then those of the biases (the sums of `dy`).
/// `scratch` needs [`scratch`] floats.
///
/// # Panics
/// Like [`forward`].
#[allow(clippy::too_many_arguments, reason = "each is an operand of the one kernel")]
pub fn grad_params(
    pool: &ThreadPool,
    isa: Isa,
    layout: Layout,
    over: Over,
    sizes: [usize; 4],
    eps: f64,
    x: &[f32],
    dy: &[f32],
    scratch: &mut [f32],
    out: &mut [f32],
) {
    let walk = Walk::new(isa, layout, over, sizes);
    let params = NormParams { weight: None, bias: None, eps };
    walk.check(&params, &[Some(x.len()), Some(dy.len())]);
    assert_eq!(out.len(), 2 * walk.values);
    let (parts, lanes, (_, units)) = (parts(&walk), walk.lanes(), walk.unit());
    let part = 2 * walk.vectors * lanes;
    let scratch = &mut scratch[..parts * part];
    pool.pieces(scratch, part, |index, sums| {
        sums.fill(0.0);
        let Range { start: mut at, end } = share(walk.samples * units, parts, index);
        while at < end {
            let (sample, first) = (at / units, at % units);
            let count = (end - at).min(units - first);
            let to = sums.as_mut_ptr();
            walk.run::<ParamSums>(sample, first..first + count, &params, |strip, at| ParamSums {
                strip,
                x: x.as_ptr().wrapping_add(at),
                dy: dy.as_ptr().wrapping_add(at),
                sums: to,
                lanes,
            });
            at += count;
        }
    });
    let (weights, biases) = out.split_at_mut(walk.values);
    for (half, list) in [weights, biases].into_iter().enumerate() {
        for (value, sum) in list.iter_mut().enumerate() {
            // the lanes of a vector are values, or all belong to one
            let (from, count) = if walk.across { (value, 1) } else { (value * lanes, lanes) };
            let of_part = |index| &scratch[index * part + half * walk.vectors * lanes + from..][..count];
            *sum = (0..parts).flat_map(of_part).map(|&v| f64::from(v)).sum::<f64>() as f32;
        }
    }
}
