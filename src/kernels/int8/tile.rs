//! The micro-kernel: a tile of sums stays in registers over a depth of products, and is then stored as what the reader wants.
//!
//! A tile is `ROWS x P` pixels by `BLOCKS` panels of 16 output channels. A depth is a list of [segments](super::dot::Segment): the channels of
//! a block at a kernel element, four bytes of each pixel at a time. What follows a sum is the same for all instruction sets, in
//! floats rounded one by one: scale and bias at once, residual, limits, zero point.
//!
//! A processor with tiles in hardware (AMX) needs its own loop over the segments: 16 pixels of 64 bytes are a tile of its left
//! operand, and a panel's weights of a segment one of its right operand; the epilogue is the one below, on sums from memory.

use super::dot::{Dot, LANES, Limits, Segment};
use super::engine::{Engine, Instance, Loop, instance};
use super::map::{MOST, SLOT};

/// What is done with complete sums.
#[derive(Clone, Copy, Debug)]
pub(super) struct Finish {
    /// `BLOCKS * 16` factors.
    pub scale: *const f32,
    /// `BLOCKS * 16` terms.
    pub bias: *const f32,
    /// Pixels from a row of outputs to the next one.
    pub row: usize,
    /// Bytes that are added, at the place of the output in a map; null for none.
    pub residual: *const u8,
    /// What those bytes mean: the scale and the zero point.
    pub residual_scale: f32,
    pub residual_zero: f32,
    /// Floats that are added, at the place of the output among floats; null for none.
    pub plus: *const f32,
    /// Where floats go, `[pixel][BLOCKS * 16]`; null if bytes are stored.
    pub floats: *mut f32,
    /// Where bytes go, in a map.
    pub bytes: *mut u8,
    /// The factor of bytes.
    pub inverse: f32,
    pub limits: Limits,
    /// The limits of floats.
    pub clamp: [f32; 2],
}

impl Finish {
    /// Goes on by some pixels, of `panels` panels.
    #[inline(always)]
    pub fn advance(&mut self, pixels: usize, panels: usize) {
        let floats = pixels * panels * LANES;
        self.bytes = if self.bytes.is_null() { self.bytes } else { self.bytes.wrapping_add(pixels * SLOT) };
        self.residual = if self.residual.is_null() { self.residual } else { self.residual.wrapping_add(pixels * SLOT) };
        self.floats = if self.floats.is_null() { self.floats } else { self.floats.wrapping_add(floats) };
        self.plus = if self.plus.is_null() { self.plus } else { self.plus.wrapping_add(floats) };
    }
}

/// Operands of the micro-kernel. Distances are in bytes, unless stated.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tile {
    /// Number of tiles, each to the right of the one before.
    pub count: usize,
    /// The first pixel of the first tile.
    pub x: *const u8,
    /// From a row of pixels to the next one.
    pub row: usize,
    pub segments: *const Segment,
    /// Number of segments.
    pub depth: usize,
    /// The weights of the first panel, 64 bytes for each step.
    pub weight: *const u8,
    /// From a panel to the next one.
    pub panel: usize,
    /// `BLOCKS * 16` integers at which sums begin; null if they continue those in `sums`.
    pub start: *const i32,
    /// The sums of all pixels of the tiles in turn, `BLOCKS * 16` each, if they begin or end here.
    pub sums: *mut i32,
    /// Whether sums are complete.
    pub last: bool,
    pub finish: Finish,
}

/// The micro-kernel for tiles of a size; see the module documentation.
struct Microkernel<const ROWS: usize, const P: usize, const BLOCKS: usize>;

impl<const ROWS: usize, const P: usize, const BLOCKS: usize> Loop for Microkernel<ROWS, P, BLOCKS> {
    type Operands = Tile;

    #[inline(always)]
    #[allow(clippy::needless_range_loop, reason = "iterators are not always inlined, and a call spills every sum")]
    unsafe fn run<D: Dot>(t: &Tile) {
        let pixel = SLOT * D::WIDTH;
        // SAFETY: guaranteed by the caller, for every access below
        unsafe {
            let (mut x, mut partial, mut end) = (t.x, t.sums, t.finish);
            for _ in 0..t.count {
                let at = |r: usize, p: usize, b: usize| ((r * P + p) * BLOCKS + b) * LANES;
                let resumes = t.start.is_null();
                let from = if resumes { partial.cast_const() } else { t.start };
                let mut sums = [[[D::load(from); BLOCKS]; P]; ROWS];
                for r in 0..ROWS {
                    for p in 0..P {
                        for b in 0..BLOCKS {
                            sums[r][p][b] = D::load(from.wrapping_add(if resumes { at(r, p, b) } else { b * LANES }));
                        }
                    }
                }
                let mut weight = t.weight;
                for segment in 0..t.depth {
                    let segment = *t.segments.add(segment);
                    let mut from = x.add(segment.offset);
                    for _ in 0..segment.steps {
                        let mut w = [D::weights(weight); BLOCKS];
                        for b in 1..BLOCKS {
                            w[b] = D::weights(weight.add(b * t.panel));
                        }
                        for r in 0..ROWS {
                            for p in 0..P {
                                let v = D::pixel(from.add(r * t.row + p * pixel));
                                for b in 0..BLOCKS {
                                    sums[r][p][b] = D::step(sums[r][p][b], v, w[b]);
                                }
                            }
                        }
                        D::fence();
                        from = from.add(4);
                        weight = weight.add(4 * LANES);
                    }
                }
                if t.last {
                    finish::<D, ROWS, P, BLOCKS>(&sums, &end);
                    end.advance(P, BLOCKS);
                } else {
                    for r in 0..ROWS {
                        for p in 0..P {
                            for b in 0..BLOCKS {
                                D::store(partial.add(at(r, p, b)), sums[r][p][b]);
                            }
                        }
                    }
                }
                x = x.wrapping_add(P * pixel);
                partial = partial.wrapping_add(ROWS * P * BLOCKS * LANES);
            }
        }
    }
}

/// Finishes and stores the sums of a tile.
///
/// # Safety
/// As [`Loop::run`].
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "as above")]
pub(super) unsafe fn finish<D: Dot, const ROWS: usize, const P: usize, const BLOCKS: usize>(
    sums: &[[[D::V; BLOCKS]; P]; ROWS],
    f: &Finish,
) {
    // SAFETY: guaranteed by the caller
    unsafe {
        for b in 0..BLOCKS {
            let (scale, bias) = (D::load_floats(f.scale.add(b * LANES)), D::load_floats(f.bias.add(b * LANES)));
            for r in 0..ROWS {
                // no closures, which would be compiled without the instructions
                for half in 0..P / 2 {
                    let (first, second) = (r * f.row + 2 * half, r * f.row + 2 * half + 1);
                    let one = value::<D>(sums[r][2 * half][b], scale, bias, f, first * SLOT, (first * BLOCKS + b) * LANES, b);
                    let two =
                        value::<D>(sums[r][2 * half + 1][b], scale, bias, f, second * SLOT, (second * BLOCKS + b) * LANES, b);
                    if f.floats.is_null() {
                        let to = [f.bytes.add(first * SLOT + b * LANES), f.bytes.add(second * SLOT + b * LANES)];
                        D::store_two(to, [scaled::<D>(one, f.inverse), scaled::<D>(two, f.inverse)], &f.limits);
                    } else {
                        D::store_floats(f.floats.add((first * BLOCKS + b) * LANES), limited::<D>(one, f.clamp));
                        D::store_floats(f.floats.add((second * BLOCKS + b) * LANES), limited::<D>(two, f.clamp));
                    }
                }
                if P % 2 == 1 {
                    let last = r * f.row + P - 1;
                    let one = value::<D>(sums[r][P - 1][b], scale, bias, f, last * SLOT, (last * BLOCKS + b) * LANES, b);
                    if f.floats.is_null() {
                        D::store_bytes(f.bytes.add(last * SLOT + b * LANES), scaled::<D>(one, f.inverse), &f.limits);
                    } else {
                        D::store_floats(f.floats.add((last * BLOCKS + b) * LANES), limited::<D>(one, f.clamp));
                    }
                }
            }
        }
    }
}

/// What a sum stands for, and what is added to it: a byte at `slot` of panel `b`, or a float at `float`.
///
/// # Safety
/// As [`Loop::run`].
#[inline(always)]
unsafe fn value<D: Dot>(sum: D::V, scale: D::F, bias: D::F, f: &Finish, slot: usize, float: usize, b: usize) -> D::F {
    // SAFETY: guaranteed by the caller
    unsafe {
        let mut v = D::fused(D::float(sum), scale, bias);
        if !f.residual.is_null() {
            let residual = D::bytes(f.residual.add(slot + b * LANES));
            v = D::fused(D::minus(residual, D::splat(f.residual_zero)), D::splat(f.residual_scale), v);
        }
        if !f.plus.is_null() {
            v = D::plus(v, D::load_floats(f.plus.add(float)));
        }
        v
    }
}

/// A value as an integer before the zero point is added.
///
/// # Safety
/// As [`Loop::run`].
#[inline(always)]
pub(super) unsafe fn scaled<D: Dot>(value: D::F, inverse: f32) -> D::V {
    // SAFETY: guaranteed by the caller
    unsafe { D::round(D::smaller(D::times(value, D::splat(inverse)), D::splat(MOST))) }
}

/// A value within limits; NaN stays NaN.
///
/// # Safety
/// As [`Loop::run`].
#[inline(always)]
unsafe fn limited<D: Dot>(value: D::F, [low, high]: [f32; 2]) -> D::F {
    // SAFETY: guaranteed by the caller
    unsafe { D::smaller(D::splat(high), D::larger(D::splat(low), value)) }
}

/// The micro-kernel for `rows` (1 or 2) of `pixels`, and `panels` (1 or 2) of output channels. `None` if there is none of this size.
pub(super) fn choose(engine: Engine, rows: usize, pixels: usize, panels: usize) -> Option<Instance<Tile>> {
    /// The instances for the listed sizes.
    macro_rules! sizes {
        ($([$rows:literal x $pixels:literal x $panels:literal])*) => {
            match (rows, pixels, panels) {
                $(($rows, $pixels, $panels) => Some(instance::<Microkernel<$rows, $pixels, $panels>>(engine)),)*
                _ => None,
            }
        };
    }
    match engine {
        Engine::Portable => sizes!([1 x 1 x 1] [1 x 2 x 1] [1 x 3 x 1] [1 x 4 x 1] [2 x 1 x 1] [2 x 2 x 1]),
        Engine::Avx2 | Engine::AvxVnni => {
            sizes!([1 x 1 x 1] [1 x 2 x 1] [1 x 3 x 1] [1 x 4 x 1] [1 x 5 x 1] [1 x 6 x 1] [2 x 2 x 1] [2 x 3 x 1])
        }
        Engine::Avx512Vnni => sizes!(
            [1 x 1 x 1] [1 x 2 x 1] [1 x 3 x 1] [1 x 4 x 1] [1 x 5 x 1] [1 x 6 x 1] [1 x 7 x 1] [1 x 8 x 1] [1 x 9 x 1] [1 x 10 x 1]
            [1 x 11 x 1] [1 x 12 x 1] [1 x 13 x 1] [1 x 14 x 1] [2 x 4 x 1] [2 x 5 x 1] [2 x 6 x 1] [2 x 7 x 1]
            [1 x 1 x 2] [1 x 2 x 2] [1 x 3 x 2] [1 x 4 x 2] [1 x 5 x 2] [1 x 6 x 2] [1 x 7 x 2] [1 x 8 x 2] [1 x 9 x 2] [1 x 10 x 2]
            [1 x 11 x 2] [1 x 12 x 2] [1 x 13 x 2] [1 x 14 x 2] [2 x 4 x 2] [2 x 5 x 2] [2 x 6 x 2] [2 x 7 x 2]
        ),
    }
}
