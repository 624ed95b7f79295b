//! The central micro-kernel: a batch-reduce matrix product that keeps a tile of the output in registers.
//!
//! A tile is `ROWS x P` pixels by `BLOCKS` vectors of output channels. For each block of input channels, each tap of the window
//! and each channel of the block, it loads `BLOCKS` vectors of weights and multiplies them by one number of every pixel.
//! The whole depth is summed in registers; the epilogue happens as they are stored. Blocked layouts make pixels `LANES` floats
//! apart; `KB` is the number of channels that lie together (`LANES`, or 1 where a plain map is read).
//!
//! Precision: a long sum rounds at the size of what it holds so far. So sums begin at zero, and what may be larger than the
//! products (bias, residual) joins last; and a long depth is summed in pieces ([`Tile::piece`]), some of whose sums make a total,
//! and these the sum.

use std::mem::MaybeUninit;

use super::aligned::LINE;
use super::simd::Simd;

/// Pieces of a total.
const PIECES: usize = 8;

/// What an epilogue applies last; a sigmoid is left to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Clamp {
    None,
    /// `max(x, 0)`.
    Relu,
}

/// Operands of the micro-kernel. Strides are in floats.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tile {
    /// The tile's first pixel, at the first kernel element of the first block.
    pub x: *const f32,
    /// Row stride of the tile.
    pub row: usize,
    /// Number of blocks of `KB` input channels.
    pub blocks: usize,
    /// Block stride.
    pub block: usize,
    /// Offsets of the kernel elements.
    pub taps: *const usize,
    /// Number of kernel elements.
    pub tap_count: usize,
    /// Weights, in order: `[blocks][kernel elements][KB][BLOCKS * LANES]`.
    pub weight: *const f32,
    /// Memory to prefetch; if there is none, memory that is already in cache.
    pub next: *const f32,
    /// Cache lines to prefetch per kernel element of each block.
    pub lines: usize,
    /// Floats from `x` to the input of the next tile, to prefetch it too; 0 for none.
    pub ahead: usize,
    /// Taps of blocks whose products are summed by themselves, before they join the total; at least 1.
    pub piece: usize,
    /// Whether the results hold a sum that this one goes on with.
    pub resumes: bool,
    /// `BLOCKS * LANES` numbers, added to the whole sum; null for none.
    pub bias: *const f32,
    /// The tile's first output.
    pub out: *mut f32,
    /// Row stride of the output.
    pub out_row: usize,
    /// Stride between blocks of output channels.
    pub out_block: usize,
    /// Added to that before the activation, laid out as the results (and may be they); null for none.
    pub residual: *const f32,
    /// Applied last.
    pub clamp: Clamp,
}

/// An instance of [`tile`] in a function compiled for its instruction set.
pub(super) type TileFn = unsafe fn(&Tile);

/// See the module documentation.
///
/// # Safety
/// The processor supports `S`; all pointers are valid for the given sizes.
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "iterators are not always inlined, and a call spills every accumulator")]
pub(super) unsafe fn tile<S: Simd, const ROWS: usize, const P: usize, const BLOCKS: usize, const KB: usize>(t: &Tile) {
    let pixel = if KB == 1 { 1 } else { S::LANES };
    // SAFETY: guaranteed by the caller, for every access below
    unsafe {
        let mut sums = [[[S::zero(); BLOCKS]; P]; ROWS];
        // the total of the last pieces, and that of those before them, where there are any
        let mut totals = MaybeUninit::<[[[[S::V; BLOCKS]; P]; ROWS]; 2]>::uninit();
        let total = totals.as_mut_ptr().cast::<f32>();
        let before = total.wrapping_add(ROWS * P * BLOCKS * S::LANES);
        let at = |r: usize, p: usize, o: usize| ((r * P + p) * BLOCKS + o) * S::LANES;
        let (mut left, mut pieces, mut has_before) = (t.piece, 0usize, false);
        // what will be written, and may be added to
        for o in 0..BLOCKS {
            for r in 0..ROWS {
                for p in 0..P {
                    S::prefetch(t.out.add(o * t.out_block + r * t.out_row + p * S::LANES));
                }
            }
        }
        let step = t.lines * LINE / KB;
        let (mut weight, mut next) = (t.weight, t.next);
        let mut block = t.x;
        for _ in 0..t.blocks {
            if t.ahead > 0 {
                // each block of the input is on a different page, so the hardware does not prefetch it in time
                for p in 0..(P * S::LANES).div_ceil(LINE) {
                    S::prefetch(block.wrapping_add(t.ahead + p * LINE));
                }
            }
            for tap in 0..t.tap_count {
                if left == 0 {
                    if pieces > 0 {
                        add_loaded::<S, ROWS, P, BLOCKS>(&mut sums, |r, p, o| total.wrapping_add(at(r, p, o)).cast_const());
                    }
                    pieces += 1;
                    let mut to = total;
                    if pieces == PIECES {
                        if has_before {
                            add_loaded::<S, ROWS, P, BLOCKS>(&mut sums, |r, p, o| before.wrapping_add(at(r, p, o)).cast_const());
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
                let x = block.add(*t.taps.add(tap));
                if !S::SPREAD {
                    for _ in 0..t.lines {
                        S::prefetch(next);
                        next = next.wrapping_add(LINE);
                    }
                }
                for k in 0..KB {
                    let mut w = [S::zero(); BLOCKS];
                    for o in 0..BLOCKS {
                        w[o] = S::load(weight.add((k * BLOCKS + o) * S::LANES));
                    }
                    for r in 0..ROWS {
                        for p in 0..P {
                            let v = S::splat(*x.add(r * t.row + p * pixel + k));
                            for o in 0..BLOCKS {
                                sums[r][p][o] = S::fma(v, w[o], sums[r][p][o]);
                            }
                        }
                    }
                    if S::SPREAD {
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
                t.out.wrapping_add(o * t.out_block + r * t.out_row + p * S::LANES).cast_const()
            });
        }
        if !t.bias.is_null() {
            add_loaded::<S, ROWS, P, BLOCKS>(&mut sums, |_, _, o| t.bias.wrapping_add(o * S::LANES));
        }
        for o in 0..BLOCKS {
            for r in 0..ROWS {
                for p in 0..P {
                    let at = o * t.out_block + r * t.out_row + p * S::LANES;
                    let mut v = sums[r][p][o];
                    if !t.residual.is_null() {
                        v = S::add(v, S::load(t.residual.add(at)));
                    }
                    if t.clamp == Clamp::Relu {
                        v = S::relu(v);
                    }
                    S::store(t.out.add(at), v);
                }
            }
        }
    }
}

/// Adds to each sum the vector that lies at its place.
///
/// # Safety
/// As [`tile`], of every place.
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "as in `tile`")]
unsafe fn add_loaded<S: Simd, const ROWS: usize, const P: usize, const BLOCKS: usize>(
    sums: &mut [[[S::V; BLOCKS]; P]; ROWS],
    place: impl Fn(usize, usize, usize) -> *const f32,
) {
    for r in 0..ROWS {
        for p in 0..P {
            for o in 0..BLOCKS {
                // SAFETY: the caller's
                sums[r][p][o] = unsafe { S::add(sums[r][p][o], S::load(place(r, p, o))) };
            }
        }
    }
}
