//! What is done to maps element by element, and what moves them.

use std::ops::Range;

use super::dot::{Dot, LANES, Limits};
use super::engine::{Engine, Instance, Loop, instance};
use super::floats;
use super::map::{Map, Quant, SLOT};
use super::tile::scaled;
use crate::kernels::clamp::Clamp;
use crate::kernels::nchwc::runs;
use crate::kernels::threads::{Disjoint, ThreadPool};
use crate::kernels::upsample::{Nearest, nearest};
use crate::kernels::{Activation, Isa};

/// Bytes that are processed together: their floats stay in the L1 cache.
const PIECE: usize = 2048;

/// The sum of two maps with scales of their own: `fma(b - zero, scale, (a - zero) * scale)`, then the activation.
///
/// # Panics
/// If the slices have different lengths, or not whole slots, or the processor lacks the instructions.
pub fn add(
    pool: &ThreadPool,
    engine: Engine,
    isa: Isa,
    [a, b]: [(&[u8], Quant); 2],
    act: Option<Activation<'_>>,
    to: Quant,
    out: &mut [u8],
) {
    assert_eq!((a.0.len(), b.0.len()), (out.len(), out.len()));
    sum(pool, engine, isa, a, Some(b), act, to, out);
}

/// The same values with another scale, after an activation.
///
/// # Panics
/// If the slices have different lengths, or not whole slots, or the processor lacks the instructions.
pub fn requantize(
    pool: &ThreadPool,
    engine: Engine,
    isa: Isa,
    x: (&[u8], Quant),
    act: Option<Activation<'_>>,
    to: Quant,
    out: &mut [u8],
) {
    assert_eq!(x.0.len(), out.len());
    if x.1 == to && act.is_none() {
        let out = Disjoint::new(out);
        runs(pool, 1, x.0.len().div_ceil(PIECE), 1, |_, pieces| {
            let bytes = pieces.start * PIECE..x.0.len().min(pieces.end * PIECE);
            // SAFETY: pieces do not overlap
            unsafe { out.slice(bytes.start, bytes.len()) }.copy_from_slice(&x.0[bytes]);
        });
        return;
    }
    match Activation::program(act) {
        Some(_) => apply(pool, &table(isa, x.1, act, to), x.0, out),
        None => sum(pool, engine, isa, x, None, act, to, out),
    }
}

/// What a function makes of each byte: the function of its value, rounded.
pub fn table(isa: Isa, from: Quant, act: Option<Activation<'_>>, to: Quant) -> [u8; 256] {
    let mut values: [f32; 256] = std::array::from_fn(|byte| from.value(byte as u8));
    if let Some(act) = act {
        act.apply(isa, &mut values);
    }
    values.map(|v| to.byte(v))
}

/// Looks up each byte in a [`table`].
///
/// # Panics
/// If the slices have different lengths.
pub fn apply(pool: &ThreadPool, table: &[u8; 256], x: &[u8], out: &mut [u8]) {
    assert_eq!(x.len(), out.len());
    let out = Disjoint::new(out);
    runs(pool, 1, x.len().div_ceil(PIECE), 1, |_, pieces| {
        let bytes = pieces.start * PIECE..x.len().min(pieces.end * PIECE);
        // SAFETY: pieces do not overlap
        let to = unsafe { out.slice(bytes.start, bytes.len()) };
        to.iter_mut().zip(&x[bytes]).for_each(|(to, &byte)| *to = table[usize::from(byte)]);
    });
}

fn sum(
    pool: &ThreadPool,
    engine: Engine,
    isa: Isa,
    (a, of_a): (&[u8], Quant),
    b: Option<(&[u8], Quant)>,
    act: Option<Activation<'_>>,
    to: Quant,
    out: &mut [u8],
) {
    assert!(out.len().is_multiple_of(SLOT), "whole slots");
    let (sum, store) = (instance::<Sum>(engine), instance::<floats::Store>(engine));
    let program = Activation::program(act);
    let clamp = match Activation::clamp(act) {
        Clamp::None => [f32::NEG_INFINITY, f32::INFINITY],
        Clamp::Relu => [0.0, f32::INFINITY],
        Clamp::Limits(limits) => limits,
    };
    let (limits, inverse) = (floats::limits(to, clamp), to.inverse());
    let all = Disjoint::new(out);
    runs(pool, 1, a.len().div_ceil(PIECE), 1, |_, pieces| {
        let bytes = pieces.start * PIECE..a.len().min(pieces.end * PIECE);
        let mut values = [0.0; PIECE];
        let out = all.pointer(bytes.start, bytes.len());
        let job = Sum {
            a: a[bytes.clone()].as_ptr(),
            of_a,
            b: b.map_or(std::ptr::null(), |(b, _)| b[bytes.clone()].as_ptr()),
            of_b: b.map_or(of_a, |(_, quant)| quant),
            vectors: bytes.len() / LANES,
            floats: if program.is_some() { values.as_mut_ptr() } else { std::ptr::null_mut() },
            out,
            inverse,
            limits,
        };
        // SAFETY: the processor has the instructions; the slices hold these bytes, which no other task writes
        unsafe { sum(&job) };
        if let Some(code) = program {
            crate::kernels::elementwise::apply(isa, code, usize::MAX, &mut values[..bytes.len()]);
            let pixels = bytes.len() / SLOT;
            let floats = values.as_ptr();
            // SAFETY: as above
            unsafe { store(&floats::Store { floats, pixels, panels: SLOT / LANES, bytes: out, inverse, limits }) };
        }
    });
}

/// The sum of one or two runs of bytes.
struct Sum {
    a: *const u8,
    of_a: Quant,
    /// Null for none.
    b: *const u8,
    of_b: Quant,
    /// Vectors of 16 bytes.
    vectors: usize,
    /// Where floats go; null if bytes are stored.
    floats: *mut f32,
    out: *mut u8,
    inverse: f32,
    limits: Limits,
}

impl Loop for Sum {
    type Operands = Self;

    #[inline(always)]
    unsafe fn run<D: Dot>(s: &Self) {
        // SAFETY: guaranteed by the caller
        unsafe {
            for i in 0..s.vectors / 2 {
                let at = i * 2 * LANES;
                let (one, two) = (value::<D>(s, at), value::<D>(s, at + LANES));
                if s.floats.is_null() {
                    let to = [s.out.add(at), s.out.add(at + LANES)];
                    D::store_two(to, [scaled::<D>(one, s.inverse), scaled::<D>(two, s.inverse)], &s.limits);
                } else {
                    D::store_floats(s.floats.add(at), one);
                    D::store_floats(s.floats.add(at + LANES), two);
                }
            }
        }
    }
}

/// The values of 16 bytes.
///
/// # Safety
/// As [`Loop::run`].
#[inline(always)]
unsafe fn value<D: Dot>(s: &Sum, at: usize) -> D::F {
    // SAFETY: guaranteed by the caller
    unsafe {
        let a = D::minus(D::bytes(s.a.add(at)), D::splat(s.of_a.zero.into()));
        let v = D::times(a, D::splat(s.of_a.scale));
        if s.b.is_null() {
            return v;
        }
        let b = D::minus(D::bytes(s.b.add(at)), D::splat(s.of_b.zero.into()));
        D::fused(b, D::splat(s.of_b.scale), v)
    }
}

/// Copies channels of a map to others of another one with as many pixels, whose scale may differ: a part of a concatenation, or
/// of what is split.
///
/// # Panics
/// If a slice has the wrong length, a range is beyond its map, or the processor lacks the instructions.
pub fn copy_channels(
    pool: &ThreadPool,
    engine: Engine,
    (x, map, of): (&[u8], &Map, Quant),
    channels: Range<usize>,
    (out, to_map, to): (&mut [u8], &Map, Quant),
    at: usize,
) {
    assert_eq!((Some(x.len()), Some(out.len())), (map.len(), to_map.len()));
    assert_eq!((map.batch, map.size), (to_map.batch, to_map.size));
    assert!(
        channels.start <= channels.end && channels.end <= map.channels && channels.len() <= to_map.channels.saturating_sub(at)
    );
    let places = map.batch * map.pixels();
    let sum: Instance<Sum> = instance::<Sum>(engine);
    // the same bytes if the scales are equal
    let bytes: [u8; 256] = if of == to { std::array::from_fn(|byte| byte as u8) } else { table(Isa::Portable, of, None, to) };
    let limits = floats::limits(to, [f32::NEG_INFINITY, f32::INFINITY]);
    let out = Disjoint::new(out);
    // the channels that a block of the output receives
    let blocks = at / SLOT..(at + channels.len()).div_ceil(SLOT);
    runs(pool, if channels.is_empty() { 0 } else { blocks.len() }, places, PIECE / SLOT, |block, pixels| {
        let block = blocks.start + block;
        let first = at.max(block * SLOT);
        let last = (at + channels.len()).min((block + 1) * SLOT);
        let from = channels.start + first - at;
        let to_start = (block * places + pixels.start) * SLOT;
        if from.is_multiple_of(SLOT) && last - first == SLOT {
            let a = &x[(from / SLOT * places + pixels.start) * SLOT..][..pixels.len() * SLOT];
            if of == to {
                // SAFETY: pixels of this task only
                unsafe { out.slice(to_start, a.len()) }.copy_from_slice(a);
                return;
            }
            let out = out.pointer(to_start, a.len());
            let vectors = a.len() / LANES;
            let floats = std::ptr::null_mut();
            let job = Sum {
                a: a.as_ptr(),
                of_a: of,
                b: std::ptr::null(),
                of_b: of,
                vectors,
                floats,
                out,
                inverse: to.inverse(),
                limits,
            };
            // SAFETY: the processor has the instructions; pixels of this task only
            unsafe { sum(&job) };
            return;
        }
        for (i, pixel) in pixels.enumerate() {
            // SAFETY: as above; other channels of the block may be of other parts, which are copied at other times
            let to = unsafe { out.slice(to_start + i * SLOT + first % SLOT, last - first) };
            for (to, channel) in to.iter_mut().zip(from..) {
                *to = bytes[usize::from(x[(channel / SLOT * places + pixel) * SLOT + channel % SLOT])];
            }
        }
    });
}

/// Upsampling to the nearest pixel.
///
/// # Panics
/// If a slice has the wrong length.
pub fn upsample(pool: &ThreadPool, map: &Map, shape: &Nearest, x: &[u8], out: &mut [u8]) {
    let Nearest { input: [h, w], output: [oh, ow], step, offset } = *shape;
    let to = Map { size: shape.output, ..*map };
    assert_eq!((Some(x.len()), Some(out.len()), map.size), (map.len(), to.len(), shape.input));
    let out = Disjoint::new(out);
    runs(pool, map.blocks() * map.batch, oh, 1, |plane, rows| {
        for row in rows {
            let from = &x[(plane * h + nearest(row, h, step[0], offset)) * w * SLOT..][..w * SLOT];
            // SAFETY: a row of this task only
            let to = unsafe { out.slice((plane * oh + row) * ow * SLOT, ow * SLOT) };
            for (x, to) in to.chunks_exact_mut(SLOT).enumerate() {
                to.copy_from_slice(&from[nearest(x, w, step[1], offset) * SLOT..][..SLOT]);
            }
        }
    });
}
