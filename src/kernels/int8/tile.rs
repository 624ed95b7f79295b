//! The micro-kernel: a tile of sums stays in registers over a depth of products, and is then stored as what the reader wants.
//!
//! A tile is `ROWS x P` pixels by `BLOCKS` panels of 16 output channels. A depth is a list of [segments](Segment): the channels of
//! a block at a kernel element, four bytes of each pixel at a time. What follows a sum is the same for all instruction sets, in
//! floats rounded one by one: scale and bias at once, residual, limits, zero point.
//!
//! A processor with tiles in hardware (AMX) needs its own loop over the segments: 16 pixels of 64 bytes are a tile of its left
//! operand, and a panel's weights of a segment one of its right operand; the epilogue is the one below, on sums from memory.

use super::dot::{Dot, LANES, Limits};
use super::engine::{Engine, Instance, Loop, instance};
use super::map::{MOST, SLOT};

/// Input channels at a kernel element: consecutive bytes of each pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// Bytes from the tile's first pixel.
    pub offset: usize,
    /// Steps of four bytes.
    pub steps: usize,
}

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
                let mut sums = [[[D::load(if t.start.is_null() { partial } else { t.start }); BLOCKS]; P]; ROWS];
                for r in 0..ROWS {
                    for p in 0..P {
                        for b in 0..BLOCKS {
                            let from = if t.start.is_null() { partial.add(at(r, p, b)) } else { t.start.add(b * LANES) };
                            sums[r][p][b] = D::load(from);
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
            let inverse = D::splat(f.inverse);
            let value = |r: usize, p: usize| {
                let mut v = D::fused(D::float(sums[r][p][b]), scale, bias);
                if !f.residual.is_null() {
                    let residual = D::bytes(f.residual.add((r * f.row + p) * SLOT + b * LANES));
                    v = D::fused(D::minus(residual, D::splat(f.residual_zero)), D::splat(f.residual_scale), v);
                }
                if !f.plus.is_null() {
                    v = D::plus(v, D::load_floats(f.plus.add(((r * f.row + p) * BLOCKS + b) * LANES)));
                }
                v
            };
            if f.floats.is_null() {
                let place = |r: usize, p: usize| f.bytes.add((r * f.row + p) * SLOT + b * LANES);
                let byte = |r: usize, p: usize| D::round(D::smaller(D::times(value(r, p), inverse), D::splat(MOST)));
                for r in 0..ROWS {
                    for half in 0..P / 2 {
                        let p = 2 * half;
                        D::store_two([place(r, p), place(r, p + 1)], [byte(r, p), byte(r, p + 1)], &f.limits);
                    }
                    if P % 2 == 1 {
                        D::store_bytes(place(r, P - 1), byte(r, P - 1), &f.limits);
                    }
                }
            } else {
                for r in 0..ROWS {
                    for p in 0..P {
                        let v = D::larger(D::splat(f.clamp[0]), value(r, p));
                        let v = D::smaller(D::splat(f.clamp[1]), v);
                        D::store_floats(f.floats.add(((r * f.row + p) * BLOCKS + b) * LANES), v);
                    }
                }
            }
        }
    }
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
