//! The central micro-kernel: a batch-reduce matrix product that keeps a tile of the output in registers.
//!
//! A tile is `ROWS x P` pixels by `BLOCKS` vectors of output channels. For each block of input channels, each kernel element and
//! each channel of the block, it loads `BLOCKS` vectors of weights and multiplies them by one input value of every pixel. The sum
//! over the whole depth stays in registers; the epilogue is applied when it is stored. In blocked layouts pixels are `LANES`
//! floats apart; `KB` is the number of contiguous channels (`LANES`, or 1 for NCHW).
//!
//! Precision: the rounding error of an addition is relative to the magnitude of the sum so far. Therefore sums start at zero, and
//! terms that may be larger than the products (bias, residual) are added last. A long depth is summed in pieces ([`Tile::piece`]);
//! several pieces make a subtotal, and the subtotals make the sum.

use std::mem::MaybeUninit;

use super::aligned::LINE;
use super::clamp::Clamp;
use super::dispatch::{self, Instance, Kernel};
use super::isa::VectorIsa;
use super::simd::Simd;

/// Pieces per subtotal.
const PIECES: usize = 8;

/// Operands of the micro-kernel. Strides are in floats.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tile {
    /// Number of tiles, each to the right of the one before: what a tile costs beside its products is paid for once.
    pub count: usize,
    /// The first tile's first pixel, at the first kernel element of the first block.
    pub x: *const f32,
    /// Row stride of the tile.
    pub row: usize,
    /// Number of blocks of `KB` input channels.
    pub blocks: usize,
    /// Block stride.
    pub block: usize,
    /// Offsets of the kernel elements.
    pub offsets: *const usize,
    /// Number of kernel elements.
    pub elements: usize,
    /// Weights, in order: `[blocks][kernel elements][KB][BLOCKS * LANES]`.
    pub weight: *const f32,
    /// Memory to prefetch; if there is none, memory that is already in cache.
    pub next: *const f32,
    /// Cache lines to prefetch per kernel element of each block.
    pub lines: usize,
    /// Floats from `x` to the input of the next tile, to prefetch it too; 0 for none.
    pub ahead: usize,
    /// Kernel elements (over all blocks) per piece, whose products are summed before they are added to the subtotal; at least 1.
    pub piece: usize,
    /// Whether the output holds a partial sum to which this one is added.
    pub resumes: bool,
    /// `BLOCKS * LANES` values, added to the complete sum; null for none.
    pub bias: *const f32,
    /// The first tile's first output.
    pub out: *mut f32,
    /// Row stride of the output.
    pub out_row: usize,
    /// Stride between blocks of output channels.
    pub out_block: usize,
    /// Added before the activation, with the layout of the output (and possibly the output itself); null for none.
    pub residual: *const f32,
    /// Applied last.
    pub clamp: Clamp,
}

/// The micro-kernel for tiles of a size; see the module documentation.
struct Microkernel<const ROWS: usize, const P: usize, const BLOCKS: usize, const KB: usize>;

impl<const ROWS: usize, const P: usize, const BLOCKS: usize, const KB: usize> Kernel for Microkernel<ROWS, P, BLOCKS, KB> {
    type Operands = Tile;

    #[inline(always)]
    #[allow(clippy::needless_range_loop, reason = "iterators are not always inlined, and a call spills every accumulator")]
    unsafe fn run<S: Simd>(t: &Tile) {
        let pixel = if KB == 1 { 1 } else { S::LANES };
        // SAFETY: guaranteed by the caller, for every access below
        unsafe {
            let (mut x, mut out, mut residual, mut next) = (t.x, t.out, t.residual, t.next);
            let step = t.lines * LINE / KB;
            for _ in 0..t.count {
                let mut sums = [[[S::zero(); BLOCKS]; P]; ROWS];
                // the current subtotal, and the sum of earlier ones if there are any
                let mut totals = MaybeUninit::<[[[[S::V; BLOCKS]; P]; ROWS]; 2]>::uninit();
                let total = totals.as_mut_ptr().cast::<f32>();
                let before = total.wrapping_add(ROWS * P * BLOCKS * S::LANES);
                let at = |r: usize, p: usize, o: usize| ((r * P + p) * BLOCKS + o) * S::LANES;
                let (mut left, mut pieces, mut has_before) = (t.piece, 0usize, false);
                // prefetch the output, which is written and may be added to
                for o in 0..BLOCKS {
                    for r in 0..ROWS {
                        for p in 0..P {
                            S::prefetch(out.add(o * t.out_block + r * t.out_row + p * S::LANES));
                        }
                    }
                }
                let mut weight = t.weight;
                let mut block = x;
                for _ in 0..t.blocks {
                    if t.ahead > 0 {
                        // each block of the input is on a different page, so the hardware does not prefetch it in time
                        for p in 0..(P * S::LANES).div_ceil(LINE) {
                            S::prefetch(block.wrapping_add(t.ahead + p * LINE));
                        }
                    }
                    for element in 0..t.elements {
                        if left == 0 {
                            if pieces > 0 {
                                add_loaded::<S, ROWS, P, BLOCKS>(&mut sums, |r, p, o| {
                                    total.wrapping_add(at(r, p, o)).cast_const()
                                });
                            }
                            pieces += 1;
                            let mut to = total;
                            if pieces == PIECES {
                                if has_before {
                                    add_loaded::<S, ROWS, P, BLOCKS>(&mut sums, |r, p, o| {
                                        before.wrapping_add(at(r, p, o)).cast_const()
                                    });
                                }
                                (to, pieces, has_before) = (before, 0, true);
                            }
                            for r in 0..ROWS {
                                for p in 0..P {
                                    for o in 0..BLOCKS {
                                        S::store(to.wrapping_add(at(r, p, o)), sums[r][p][o]);
                                        sums[r][p][o] = S::zero();
                                    }
                                }
                            }
                            left = t.piece;
                        }
                        left -= 1;
                        let from = block.add(*t.offsets.add(element));
                        if !S::PREFETCH_PER_CHANNEL {
                            for _ in 0..t.lines {
                                S::prefetch(next);
                                next = next.wrapping_add(LINE);
                            }
                        }
                        let quads = S::FACTORS > 1 && KB.is_multiple_of(S::FACTORS);
                        // the values of several channels of each pixel stay in registers: block by block, few weights do
                        for quad in 0..if quads { KB / S::FACTORS } else { 0 } {
                            let mut v = [[S::factors(from); P]; ROWS];
                            for r in 0..ROWS {
                                for p in 0..P {
                                    v[r][p] = S::factors(from.add(r * t.row + p * pixel + quad * S::FACTORS));
                                }
                            }
                            for k in 0..S::FACTORS {
                                for o in 0..BLOCKS {
                                    let w = S::load(weight.add(((quad * S::FACTORS + k) * BLOCKS + o) * S::LANES));
                                    for r in 0..ROWS {
                                        for p in 0..P {
                                            sums[r][p][o] = S::fma_factor(v[r][p], k, w, sums[r][p][o]);
                                        }
                                    }
                                    S::fence();
                                }
                            }
                        }
                        for k in 0..if quads { 0 } else { KB } {
                            let mut w = [S::zero(); BLOCKS];
                            for o in 0..BLOCKS {
                                w[o] = S::load(weight.add((k * BLOCKS + o) * S::LANES));
                            }
                            for r in 0..ROWS {
                                for p in 0..P {
                                    let v = S::splat(*from.add(r * t.row + p * pixel + k));
                                    for o in 0..BLOCKS {
                                        sums[r][p][o] = S::fma(v, w[o], sums[r][p][o]);
                                    }
                                }
                            }
                            if S::PREFETCH_PER_CHANNEL {
                                S::prefetch(next);
                                next = next.wrapping_add(step);
                            }
                            S::fence();
                        }
                        weight = weight.add(KB * BLOCKS * S::LANES);
                    }
                    block = block.wrapping_add(t.block);
                }
                if pieces > 0 {
                    add_loaded::<S, ROWS, P, BLOCKS>(&mut sums, |r, p, o| total.wrapping_add(at(r, p, o)).cast_const());
                }
                if has_before {
                    add_loaded::<S, ROWS, P, BLOCKS>(&mut sums, |r, p, o| before.wrapping_add(at(r, p, o)).cast_const());
                }
                if t.resumes {
                    add_loaded::<S, ROWS, P, BLOCKS>(&mut sums, |r, p, o| {
                        out.wrapping_add(o * t.out_block + r * t.out_row + p * S::LANES).cast_const()
                    });
                }
                if !t.bias.is_null() {
                    add_loaded::<S, ROWS, P, BLOCKS>(&mut sums, |_, _, o| t.bias.wrapping_add(o * S::LANES));
                }
                if !residual.is_null() {
                    add_loaded::<S, ROWS, P, BLOCKS>(&mut sums, |r, p, o| {
                        residual.wrapping_add(o * t.out_block + r * t.out_row + p * S::LANES)
                    });
                }
                if t.clamp != Clamp::None {
                    clamp_sums::<S, ROWS, P, BLOCKS>(&mut sums, t.clamp);
                }
                for o in 0..BLOCKS {
                    for r in 0..ROWS {
                        for p in 0..P {
                            S::store(out.add(o * t.out_block + r * t.out_row + p * S::LANES), sums[r][p][o]);
                        }
                    }
                }
                x = x.wrapping_add(P * pixel);
                out = out.wrapping_add(P * S::LANES);
                if !residual.is_null() {
                    residual = residual.wrapping_add(P * S::LANES);
                }
            }
        }
    }
}

/// Adds to each sum the vector at its position.
///
/// # Safety
/// As [`Kernel::run`], for every position.
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "as above")]
unsafe fn add_loaded<S: Simd, const ROWS: usize, const P: usize, const BLOCKS: usize>(
    sums: &mut [[[S::V; BLOCKS]; P]; ROWS],
    place: impl Fn(usize, usize, usize) -> *const f32,
) {
    for r in 0..ROWS {
        for p in 0..P {
            for o in 0..BLOCKS {
                // SAFETY: guaranteed by the caller
                sums[r][p][o] = unsafe { S::add(sums[r][p][o], S::load(place(r, p, o))) };
            }
        }
    }
}

/// Limits each sum.
///
/// # Safety
/// As [`Kernel::run`].
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "as above")]
unsafe fn clamp_sums<S: Simd, const ROWS: usize, const P: usize, const BLOCKS: usize>(
    sums: &mut [[[S::V; BLOCKS]; P]; ROWS],
    clamp: Clamp,
) {
    // SAFETY: guaranteed by the caller
    unsafe {
        match clamp {
            Clamp::None => {}
            Clamp::Relu => {
                for r in 0..ROWS {
                    for p in 0..P {
                        for o in 0..BLOCKS {
                            sums[r][p][o] = S::relu(sums[r][p][o]);
                        }
                    }
                }
            }
            Clamp::Limits([low, high]) => {
                let (low, high) = (S::splat(low), S::splat(high));
                for r in 0..ROWS {
                    for p in 0..P {
                        for o in 0..BLOCKS {
                            sums[r][p][o] = S::min(high, S::max(low, sums[r][p][o]));
                        }
                    }
                }
            }
        }
    }
}

/// Pixels of the widest tile.
pub(super) fn widest(isa: VectorIsa) -> usize {
    match isa {
        #[cfg(target_arch = "x86_64")]
        VectorIsa::Avx2 => 6,
        #[cfg(target_arch = "x86_64")]
        VectorIsa::Avx512 => 14,
        // 24 sums, 6 quadruples of pixels and 2 of weights: all 32 registers
        #[cfg(target_arch = "aarch64")]
        VectorIsa::Neon => 6,
    }
}

/// The micro-kernel for `rows` (1 or 2) of `pixels`, and `blocks` (1 or 2) of output channels; `wide` reads blocks of channels,
/// otherwise NCHW. `None` if there is no kernel of this size.
pub(super) fn choose(isa: VectorIsa, rows: usize, pixels: usize, blocks: usize, wide: bool) -> Option<Instance<Tile>> {
    /// The instances for the listed sizes.
    #[allow(unused_macros, reason = "an architecture may have none")]
    macro_rules! sizes {
        ($instance:ident, $lanes:literal, [$($rows:literal x $pixels:literal),* $(,)?]) => {
            match (rows, pixels, blocks, wide) {
                $(
                    ($rows, $pixels, 1, true) => Some(dispatch::$instance::<Microkernel<$rows, $pixels, 1, $lanes>>),
                    ($rows, $pixels, 2, true) => Some(dispatch::$instance::<Microkernel<$rows, $pixels, 2, $lanes>>),
                    ($rows, $pixels, 1, false) => Some(dispatch::$instance::<Microkernel<$rows, $pixels, 1, 1>>),
                    ($rows, $pixels, 2, false) => Some(dispatch::$instance::<Microkernel<$rows, $pixels, 2, 1>>),
                )*
                _ => None,
            }
        };
    }
    match isa {
        #[cfg(target_arch = "x86_64")]
        VectorIsa::Avx2 => sizes!(avx2, 8, [1 x 1, 1 x 2, 1 x 3, 1 x 4, 1 x 5, 1 x 6, 2 x 2, 2 x 3]),
        #[cfg(target_arch = "x86_64")]
        VectorIsa::Avx512 => sizes!(
            avx512, 16,
            [
                1 x 1, 1 x 2, 1 x 3, 1 x 4, 1 x 5, 1 x 6, 1 x 7, 1 x 8, 1 x 9, 1 x 10, 1 x 11, 1 x 12, 1 x 13, 1 x 14,
                2 x 4, 2 x 5, 2 x 6, 2 x 7,
            ]
        ),
        #[cfg(target_arch = "aarch64")]
        VectorIsa::Neon => sizes!(neon, 8, [1 x 1, 1 x 2, 1 x 3, 1 x 4, 1 x 5, 1 x 6, 2 x 2, 2 x 3]),
    }
}
