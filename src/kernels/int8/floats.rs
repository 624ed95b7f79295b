//! Floats around integers: a strip of a kernel's results before they are rounded, and its order in other layouts.

use std::ops::Range;

use super::dot::{Dot, LANES, Limits};
use super::engine::Loop;
use super::map::{Quant, SLOT};
use super::tile::scaled;
use crate::kernels::Layout;
use crate::kernels::threads::Disjoint;

/// Some channels of neighboring pixels, counted over all samples: `[pixel][pitch]` floats.
pub(super) struct FloatStrip {
    pub pixels: Range<usize>,
    pub channels: Range<usize>,
    /// Floats from a pixel to the next one.
    pub pitch: usize,
}

/// Where a channel's pixel is, in floats.
fn place(layout: Layout, [_, channels, height, width]: [usize; 4], channel: usize, pixel: usize) -> usize {
    let plane = height * width;
    let (sample, pixel) = (pixel / plane, pixel % plane);
    match layout {
        Layout::Nchw => (sample * channels + channel) * plane + pixel,
        Layout::Blocked { lanes } => {
            ((sample * channels.div_ceil(lanes) + channel / lanes) * plane + pixel) * lanes + channel % lanes
        }
    }
}

/// Channels that are neighbors in a layout.
fn neighbors(layout: Layout) -> usize {
    match layout {
        Layout::Nchw => 1,
        Layout::Blocked { lanes } => lanes,
    }
}

/// The pixels of a strip, sample by sample: the first one, counted from the strip's start and over all samples, and their number.
fn runs(pixels: Range<usize>, plane: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    let start = pixels.start;
    let mut at = start;
    std::iter::from_fn(move || {
        let count = (plane - at % plane.max(1)).min(pixels.end - at);
        let run = (at - start, at, count);
        at += count;
        (count > 0).then_some(run)
    })
}

/// Some neighboring channels of a strip: the first one, and their number.
fn groups(channels: Range<usize>, lanes: usize) -> impl Iterator<Item = (usize, usize)> {
    let mut at = channels.start;
    std::iter::from_fn(move || {
        let group = (at, (lanes - at % lanes).min(channels.end - at));
        at += group.1;
        (group.1 > 0).then_some(group)
    })
}

/// Reads a strip of a value.
pub(super) fn gather(value: &[f32], layout: Layout, sizes: [usize; 4], strip: &FloatStrip, to: &mut [f32]) {
    let lanes = neighbors(layout);
    for (first, pixel, count) in runs(strip.pixels.clone(), sizes[2] * sizes[3]) {
        let to = &mut to[first * strip.pitch..][..count * strip.pitch];
        for (channel, len) in groups(strip.channels.clone(), lanes) {
            let from = &value[place(layout, sizes, channel, pixel)..][..(count - 1) * lanes + len];
            let to = &mut to[channel - strip.channels.start..];
            if lanes == 1 {
                to.iter_mut().step_by(strip.pitch).zip(from).for_each(|(to, &v)| *to = v);
            } else {
                to.chunks_mut(strip.pitch).zip(from.chunks(lanes)).for_each(|(to, v)| to[..len].copy_from_slice(&v[..len]));
            }
        }
        if strip.channels.len() < strip.pitch {
            to.chunks_exact_mut(strip.pitch).for_each(|to| to[strip.channels.len()..].fill(0.0));
        }
    }
}

/// Writes a strip of a value. Channels that a blocked layout has only for padding become 0.
pub(super) fn scatter(from: &[f32], layout: Layout, sizes: [usize; 4], strip: &FloatStrip, value: &Disjoint<'_>) {
    let lanes = neighbors(layout);
    for (first, pixel, count) in runs(strip.pixels.clone(), sizes[2] * sizes[3]) {
        let from = &from[first * strip.pitch..][..count * strip.pitch];
        for (channel, len) in groups(strip.channels.clone(), lanes) {
            // whoever writes the last channel writes the padding after it
            let all = if channel + len == sizes[1] { len + sizes[1].next_multiple_of(lanes) - sizes[1] } else { len };
            let at = place(layout, sizes, channel, pixel);
            let from = &from[channel - strip.channels.start..];
            for (i, from) in from.chunks(strip.pitch).take(count).enumerate() {
                // SAFETY: the caller's strips do not overlap
                let to = unsafe { value.slice(at + i * lanes, all) };
                to[..len].copy_from_slice(&from[..len]);
                to[len..].fill(0.0);
            }
        }
    }
}

/// The bytes between which values with these limits are: rounding does not change their order.
pub(super) fn limits(quant: Quant, [low, high]: [f32; 2]) -> Limits {
    Limits { zero: quant.zero.into(), low: quant.byte(low), high: quant.byte(high) }
}

/// Rounds floats to the bytes of a map.
pub(super) struct Store {
    /// `[pixel][panels * 16]`.
    pub floats: *const f32,
    pub pixels: usize,
    pub panels: usize,
    /// The first pixel's first channel.
    pub bytes: *mut u8,
    pub inverse: f32,
    pub limits: Limits,
}

impl Loop for Store {
    type Operands = Self;

    #[inline(always)]
    unsafe fn run<D: Dot>(s: &Self) {
        // SAFETY: guaranteed by the caller
        unsafe {
            for pixel in 0..s.pixels {
                for panel in 0..s.panels {
                    let v = D::load_floats(s.floats.add((pixel * s.panels + panel) * LANES));
                    D::store_bytes(s.bytes.add(pixel * SLOT + panel * LANES), scaled::<D>(v, s.inverse), &s.limits);
                }
            }
        }
    }
}

/// Makes floats of the bytes of a map.
pub(super) struct Load {
    /// The first pixel's first channel.
    pub bytes: *const u8,
    pub pixels: usize,
    pub panels: usize,
    /// What the bytes mean.
    pub scale: f32,
    pub zero: f32,
    /// `[pixel][panels * 16]`.
    pub floats: *mut f32,
}

impl Loop for Load {
    type Operands = Self;

    #[inline(always)]
    unsafe fn run<D: Dot>(l: &Self) {
        // SAFETY: guaranteed by the caller
        unsafe {
            let (scale, zero) = (D::splat(l.scale), D::splat(l.zero));
            for pixel in 0..l.pixels {
                for panel in 0..l.panels {
                    let v = D::bytes(l.bytes.add(pixel * SLOT + panel * LANES));
                    D::store_floats(l.floats.add((pixel * l.panels + panel) * LANES), D::times(D::minus(v, zero), scale));
                }
            }
        }
    }
}
