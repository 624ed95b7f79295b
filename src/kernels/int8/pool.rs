//! Pooling of bytes.

use super::conv::Output;
use super::dot::{Dot, LANES, Limits};
use super::engine::{Engine, Loop, instance};
use super::floats::{self, FloatStrip, scatter};
use super::map::{Map, Quant, SLOT};
use super::tile::scaled;
use crate::kernels::nchwc::runs;
use crate::kernels::pool::{PoolKind, PoolShape, Window};
use crate::kernels::threads::{Disjoint, ThreadPool};

/// The largest window of an average: its sum fits in an i32.
pub const MAX_WINDOW: usize = i32::MAX as usize / 255;

/// The input as a map, and the output.
fn maps(shape: &PoolShape, batch: usize) -> [Map; 2] {
    let channels = shape.maps / batch.max(1);
    assert_eq!(channels * batch, shape.maps, "{batch} samples");
    [shape.input, shape.output].map(|size| Map { batch, channels, size })
}

/// The largest bytes of each window, which stand for the largest values: the output has the input's scale.
///
/// # Panics
/// If a slice has the wrong length, the pool is another one, or the processor lacks the instructions.
pub fn max(pool: &ThreadPool, engine: Engine, shape: &PoolShape, batch: usize, x: &[u8], out: &mut [u8]) {
    let [from, to] = maps(shape, batch);
    assert_eq!((Some(x.len()), Some(out.len())), (from.len(), to.len()));
    assert!(shape.kind == PoolKind::Max, "a pool of maxima");
    let kernel = instance::<MaxWindows<'_>>(engine);
    let out = Disjoint::new(out);
    runs(pool, from.blocks() * batch, shape.output[0], 1, |map, rows| {
        for row in rows {
            let window = Window::new(shape, 0, row);
            let plane = &x[map * from.pixels() * SLOT..][..from.pixels() * SLOT];
            let start = (map * to.pixels() + row * shape.output[1]) * SLOT;
            // SAFETY: a row of this task only
            let out = out.pointer(start, shape.output[1] * SLOT);
            // SAFETY: the processor has the instructions, and nobody else writes this row
            unsafe { kernel(&MaxWindows { shape, plane, window, out }) };
        }
    });
}

/// A row of maxima.
struct MaxWindows<'a> {
    shape: &'a PoolShape,
    plane: &'a [u8],
    window: Window,
    out: *mut u8,
}

impl Loop for MaxWindows<'_> {
    type Operands = Self;

    #[inline(always)]
    unsafe fn run<D: Dot>(m: &Self) {
        let width = m.shape.input[1];
        for column in 0..m.shape.output[1] {
            let across = Window::new(m.shape, 1, column);
            let mut most = [0u8; SLOT];
            for y in m.window.places() {
                for x in across.places() {
                    let from = &m.plane[(y * width + x) * SLOT..][..SLOT];
                    for i in 0..SLOT {
                        most[i] = most[i].max(from[i]);
                    }
                }
            }
            // SAFETY: inside the row, as guaranteed by the caller
            unsafe { m.out.add(column * SLOT).cast::<[u8; SLOT]>().write_unaligned(most) };
        }
    }
}

/// The averages of each window: the exact sum, then `scale / elements` times it in floats. Where padding counts, it counts as 0.
///
/// # Panics
/// If a slice has the wrong length, the pool is another one, a window is larger than [`MAX_WINDOW`], or the processor lacks the
/// instructions.
pub fn average(pool: &ThreadPool, engine: Engine, shape: &PoolShape, batch: usize, x: &[u8], from: Quant, out: Output<'_>) {
    let [map, to] = maps(shape, batch);
    assert_eq!(Some(x.len()), map.len());
    let PoolKind::Avg { count_pad } = shape.kind else { panic!("a pool of averages") };
    assert!(shape.kernel[0].checked_mul(shape.kernel[1]).is_some_and(|n| n <= MAX_WINDOW), "a window of {:?}", shape.kernel);
    let kernel = instance::<Average<'_>>(engine);
    let sizes = [batch, map.channels, to.size[0], to.size[1]];
    let (bytes, floats) = match out {
        Output::Bytes(out, quant) => {
            assert_eq!(Some(out.len()), to.len());
            (Some((Disjoint::new(out), quant)), None)
        }
        Output::Floats(out, layout) => {
            assert_eq!(Some(out.len()), layout.len(sizes));
            (None, Some((Disjoint::new(out), layout)))
        }
    };
    runs(pool, map.blocks() * batch, shape.output[0], 1, |plane, rows| {
        for row in rows {
            let plane_of = &x[plane * map.pixels() * SLOT..][..map.pixels() * SLOT];
            let first = plane * to.pixels() + row * shape.output[1];
            for column in 0..shape.output[1] {
                let mut values = [0.0; SLOT];
                let (out, quant) = match &bytes {
                    Some((out, quant)) => (out.pointer((first + column) * SLOT, SLOT), *quant),
                    None => (std::ptr::null_mut(), from),
                };
                let average = Average {
                    plane: plane_of,
                    width: shape.input[1],
                    down: Window::new(shape, 0, row),
                    across: Window::new(shape, 1, column),
                    count_pad,
                    from,
                    inverse: quant.inverse(),
                    limits: floats::limits(quant, [f32::NEG_INFINITY, f32::INFINITY]),
                    out,
                    floats: values.as_mut_ptr(),
                };
                // SAFETY: the processor has the instructions, and nobody else writes this pixel
                unsafe { kernel(&average) };
                if let Some((out, layout)) = &floats {
                    let (block, sample) = (plane / batch, plane % batch);
                    let pixel = sample * to.pixels() + row * shape.output[1] + column;
                    let channels = block * SLOT..map.channels.min((block + 1) * SLOT);
                    scatter(&values, *layout, sizes, &FloatStrip { pixels: pixel..pixel + 1, channels, pitch: SLOT }, out);
                }
            }
        }
    });
}

/// One average of 64 channels.
struct Average<'a> {
    plane: &'a [u8],
    width: usize,
    down: Window,
    across: Window,
    count_pad: bool,
    from: Quant,
    inverse: f32,
    limits: Limits,
    /// Null if floats are wanted.
    out: *mut u8,
    floats: *mut f32,
}

impl Loop for Average<'_> {
    type Operands = Self;

    #[inline(always)]
    unsafe fn run<D: Dot>(a: &Self) {
        let inside = a.down.count * a.across.count;
        // the window fits in an i32
        let mut sums = [-(i32::from(a.from.zero) * inside as i32); SLOT];
        for y in a.down.places() {
            for x in a.across.places() {
                let from = &a.plane[(y * a.width + x) * SLOT..][..SLOT];
                for i in 0..SLOT {
                    sums[i] += i32::from(from[i]);
                }
            }
        }
        let count = if a.count_pad { a.down.padded * a.across.padded } else { inside };
        // SAFETY: guaranteed by the caller
        unsafe {
            let factor = D::splat(a.from.scale / count.max(1) as f32);
            for at in (0..SLOT).step_by(LANES) {
                let v = D::times(D::float(D::load(sums.as_ptr().add(at))), factor);
                if a.out.is_null() {
                    D::store_floats(a.floats.add(at), v);
                } else {
                    D::store_bytes(a.out.add(at), scaled::<D>(v, a.inverse), &a.limits);
                }
            }
        }
    }
}
