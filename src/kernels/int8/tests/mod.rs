//! Every engine of this machine, and any number of threads, against definitions: equal bits.

mod conv;
mod maps;

use super::map::{Map, Quant, SLOT};
use super::{Engine, Input};
use crate::kernels::reference::Numbers;

/// The engines that this machine has, and the tiles and loop nests of those that it lacks, emulated.
fn engines() -> impl Iterator<Item = Engine> {
    Engine::ALL.into_iter().filter(|engine| engine.is_available() || engine.width() == 1)
}

/// Random bytes; often the smallest and the largest.
fn bytes(numbers: &mut Numbers, count: usize) -> Vec<u8> {
    (0..count)
        .map(|_| match numbers.below(8) {
            0 => 0,
            1 => 255,
            _ => numbers.below(256) as u8,
        })
        .collect()
}

/// A random scale near `near`, and a zero point that often is 0.
fn quant(numbers: &mut Numbers, near: f32) -> Quant {
    let zero = [0, 128, numbers.below(256)][numbers.below(3)] as u8;
    Quant { scale: near * (1.5 + numbers.take(1)[0]), zero }
}

/// A map, or an image, of NCHW values; what is between the channels is filled with numbers that must not matter.
fn stored(values: &[u8], map: &Map, input: Input) -> Vec<u8> {
    let (pixels, channels) = (map.pixels(), map.channels);
    let mut stored = match input {
        Input::Map => vec![201; map.len().unwrap()],
        Input::Image => vec![0; map.image_len().unwrap()],
    };
    for (i, &v) in values.iter().enumerate() {
        let (sample, channel, pixel) = (i / pixels / channels, i / pixels % channels, i % pixels);
        let at = sample * pixels + pixel;
        stored[match input {
            Input::Map => place(map, sample, channel, pixel),
            Input::Image => at * channels + channel,
        }] = v;
    }
    stored
}

/// Where a map holds a byte.
fn place(map: &Map, sample: usize, channel: usize, pixel: usize) -> usize {
    channel / SLOT * map.block_len() + (sample * map.pixels() + pixel) * SLOT + channel % SLOT
}

/// The NCHW values of a map.
fn plain(stored: &[u8], map: &Map) -> Vec<u8> {
    let (pixels, channels) = (map.pixels(), map.channels);
    (0..map.batch * channels * pixels)
        .map(|i| stored[place(map, i / pixels / channels, i / pixels % channels, i % pixels)])
        .collect()
}
