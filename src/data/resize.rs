//! Antialiased resizing, bit-exact with PIL 13 (8 bits per channel), as torchvision and timm resize images: a filter that is scaled with the
//! reduction, in fixed point, in two passes that each round to bytes.

use super::Pixels;
use crate::ir::Resampling;

/// Fraction bits of a weight: 8 bits are for the value, and 2 for the sum.
const BITS: u32 = 32 - 8 - 2;

/// A filter of PIL (`libImaging/Resample.c`): how far it reaches, and its value at a distance.
fn filter(by: Resampling) -> (f64, fn(f64) -> f64) {
    const A: f64 = -0.5;
    match by {
        Resampling::Bilinear => (1.0, |x| (1.0 - x.abs()).max(0.0)),
        Resampling::Bicubic => (2.0, |x| match x.abs() {
            x if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
            x if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
            _ => 0.0,
        }),
    }
}

/// For each output position, the first input position and the weights from there on.
fn weights(input: usize, output: usize, by: Resampling) -> Vec<(usize, Vec<i32>)> {
    let scale = input as f64 / output as f64;
    let (reach, filter) = filter(by);
    let stretch = scale.max(1.0);
    let reach = reach * stretch;
    (0..output)
        .map(|i| {
            let center = (i as f64 + 0.5) * scale;
            // the casts truncate toward zero, as in C
            let first = ((center - reach + 0.5) as i64).max(0) as usize;
            let last = ((center + reach + 0.5) as i64).clamp(0, input as i64) as usize;
            let exact: Vec<f64> = (first..last).map(|x| filter((x as f64 - center + 0.5) * (1.0 / stretch))).collect();
            let sum: f64 = exact.iter().sum();
            let fixed = exact.iter().map(|w| w / sum * f64::from(1u32 << BITS));
            let fixed = fixed.map(|w| (w + 0.5f64.copysign(w)) as i32).collect();
            (first, fixed)
        })
        .collect()
}

fn round(sum: i32) -> u8 {
    ((sum + (1 << (BITS - 1))) >> BITS).clamp(0, 255) as u8
}

/// Resizes each row to `width` pixels.
fn horizontal(image: &Pixels, width: usize, by: Resampling) -> Pixels {
    let data = if image.channels == 1 { rows::<1>(image, width, by) } else { rows::<3>(image, width, by) };
    Pixels { data, width, ..*image }
}

/// Like [`horizontal`], for `C` channels.
fn rows<const C: usize>(image: &Pixels, width: usize, by: Resampling) -> Vec<u8> {
    let weights = weights(image.width, width, by);
    let mut out = Vec::with_capacity(image.height * width * C);
    for row in image.data.chunks_exact(image.width * C) {
        let row = row.as_chunks::<C>().0;
        for (first, list) in &weights {
            let mut sums = [0i32; C];
            for (pixel, w) in row[*first..].iter().zip(list) {
                sums.iter_mut().zip(pixel).for_each(|(sum, &v)| *sum += i32::from(v) * w);
            }
            out.extend(sums.map(round));
        }
    }
    out
}

/// Resizes each column to `height` pixels.
fn vertical(image: &Pixels, height: usize, by: Resampling) -> Pixels {
    let row = image.width * image.channels;
    let mut data = Vec::with_capacity(height * row);
    let mut sums = vec![0i32; row];
    for (first, list) in weights(image.height, height, by) {
        sums.fill(0);
        for (k, w) in list.iter().enumerate() {
            let line = &image.data[(first + k) * row..][..row];
            sums.iter_mut().zip(line).for_each(|(sum, &v)| *sum += i32::from(v) * w);
        }
        data.extend(sums.iter().map(|&sum| round(sum)));
    }
    Pixels { data, height, ..*image }
}

/// Whether PIL 13 runs the vertical pass first (python-pillow/Pillow#9549): if the height shrinks by more than twice as many pixels as the width.
/// PIL 12 always ran the horizontal pass first. The order matters because each pass rounds.
fn is_vertical_first(image: &Pixels, height: usize, width: usize) -> bool {
    let [rows, columns] = [(image.height, height), (image.width, width)].map(|(old, new)| old as i64 - new as i64);
    rows > 0 && rows > 2 * columns
}

/// Resizes to `height` x `width` pixels, each at least 1.
pub fn resize(image: &Pixels, height: usize, width: usize, by: Resampling) -> Pixels {
    match (height == image.height, width == image.width) {
        (true, true) => image.clone(),
        (true, false) => horizontal(image, width, by),
        (false, true) => vertical(image, height, by),
        (false, false) if is_vertical_first(image, height, width) => horizontal(&vertical(image, height, by), width, by),
        (false, false) => vertical(&horizontal(image, width, by), height, by),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers from PIL 13: `Image.frombytes("L", (5, 3), bytes(range(0, 225, 15))).resize((w, h), Image.BILINEAR)`, and `Image.BICUBIC`.
    #[test]
    fn matches_pil() {
        let image = Pixels { width: 5, height: 3, channels: 1, data: (0..15).map(|i| i * 15).collect() };
        assert_eq!(resize(&image, 2, 2, Resampling::Bilinear).data, PIL_2X2);
        assert_eq!(resize(&image, 4, 7, Resampling::Bilinear).data, PIL_4X7);
        assert_eq!(resize(&image, 2, 2, Resampling::Bicubic).data, PIL_CUBIC_2X2);
        assert_eq!(resize(&image, 4, 7, Resampling::Bicubic).data, PIL_CUBIC_4X7);
    }

    #[test]
    fn the_same_size_is_the_same_image() {
        let image = Pixels { width: 2, height: 1, channels: 3, data: vec![1, 2, 3, 4, 5, 6] };
        assert!([Resampling::Bilinear, Resampling::Bicubic].iter().all(|&by| resize(&image, 1, 2, by) == image));
    }

    const PIL_2X2: [u8; 4] = [43, 73, 137, 167];
    const PIL_CUBIC_2X2: [u8; 4] = [36, 70, 140, 174];
    const PIL_CUBIC_4X7: [u8; 28] = [
        0, 3, 15, 26, 37, 49, 57, 41, 49, 61, 72, 83, 95, 103, 107, 115, 127, 138, 149, 161, 169, 153, 161, 173, 184, 195, 207,
        215,
    ];
    const PIL_4X7: [u8; 28] = [
        0, 9, 19, 30, 41, 51, 60, 47, 56, 66, 77, 88, 98, 107, 103, 112, 122, 133, 144, 154, 163, 150, 159, 169, 180, 191, 201,
        210,
    ];
}
