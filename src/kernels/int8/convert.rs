//! From floats to bytes and back.

use super::dot::LANES;
use super::engine::{Engine, instance};
use super::floats::{FloatStrip, Load, Store, gather, limits, scatter};
use super::map::{Map, Quant, SLOT};
use super::weights::Input;
use crate::kernels::Layout;
use crate::kernels::nchwc::runs;
use crate::kernels::threads::{Disjoint, ThreadPool};

/// Pixels that are converted together: their floats stay in the L1 cache.
const PIXELS: usize = 32;

/// The sizes of a map.
fn sizes(map: &Map) -> [usize; 4] {
    [map.batch, map.channels, map.size[0], map.size[1]]
}

/// Rounds floats to a map of bytes or to an image.
///
/// # Panics
/// If a slice has the wrong length, an image more than 64 channels, or the processor lacks the instructions.
pub fn quantize(
    pool: &ThreadPool,
    engine: Engine,
    map: &Map,
    x: &[f32],
    layout: Layout,
    to: Quant,
    input: Input,
    out: &mut [u8],
) {
    assert_eq!(Some(x.len()), layout.len(sizes(map)), "input");
    let len = if input == Input::Image { map.image_len() } else { map.len() };
    assert_eq!(Some(out.len()), len, "output");
    assert!(input == Input::Map || map.channels <= SLOT, "an image of {} channels", map.channels);
    let store = instance::<Store>(engine);
    let limits = limits(to, [f32::NEG_INFINITY, f32::INFINITY]);
    let out = Disjoint::new(out);
    runs(pool, map.blocks(), map.batch * map.pixels(), PIXELS, |block, pixels| {
        let channels = block * SLOT..map.channels.min((block + 1) * SLOT);
        let panels = channels.len().div_ceil(LANES);
        let mut floats = [0.0; PIXELS * SLOT];
        let strip = FloatStrip { pixels: pixels.clone(), channels, pitch: panels * LANES };
        gather(x, layout, sizes(map), &strip, &mut floats);
        let (floats, inverse) = (floats.as_ptr(), to.inverse());
        match input {
            Input::Map => {
                let place = block * map.block_len() + pixels.start * SLOT;
                let bytes = out.pointer(place, (pixels.len() - 1) * SLOT + panels * LANES);
                // SAFETY: the processor has the instructions; the strip holds these pixels, which no other task writes
                unsafe { store(&Store { floats, pixels: pixels.len(), panels, bytes, inverse, limits }) };
            }
            Input::Image => {
                let mut slots = [0u8; PIXELS * SLOT];
                // SAFETY: the same, on the stack
                unsafe { store(&Store { floats, pixels: pixels.len(), panels, bytes: slots.as_mut_ptr(), inverse, limits }) };
                // SAFETY: pixels of this task only
                let to = unsafe { out.slice(pixels.start * map.channels, pixels.len() * map.channels) };
                for (to, from) in to.chunks_exact_mut(map.channels).zip(slots.chunks_exact(SLOT)) {
                    to.copy_from_slice(&from[..map.channels]);
                }
            }
        }
    });
}

/// The floats that the bytes of a map stand for.
///
/// # Panics
/// If a slice has the wrong length, or the processor lacks the instructions.
pub fn dequantize(pool: &ThreadPool, engine: Engine, map: &Map, x: &[u8], from: Quant, layout: Layout, out: &mut [f32]) {
    assert_eq!(Some(x.len()), map.len(), "input");
    assert_eq!(Some(out.len()), layout.len(sizes(map)), "output");
    let load = instance::<Load>(engine);
    let out = Disjoint::new(out);
    runs(pool, map.blocks(), map.batch * map.pixels(), PIXELS, |block, pixels| {
        let channels = block * SLOT..map.channels.min((block + 1) * SLOT);
        let panels = channels.len().div_ceil(LANES);
        let mut floats = [0.0; PIXELS * SLOT];
        let bytes = x[block * map.block_len() + pixels.start * SLOT..][..pixels.len() * SLOT].as_ptr();
        let (scale, zero, floats_to) = (from.scale, f32::from(from.zero), floats.as_mut_ptr());
        // SAFETY: the processor has the instructions; the strip holds these pixels
        unsafe { load(&Load { bytes, pixels: pixels.len(), panels, scale, zero, floats: floats_to }) };
        scatter(&floats, layout, sizes(map), &FloatStrip { pixels, channels, pitch: panels * LANES }, &out);
    });
}
