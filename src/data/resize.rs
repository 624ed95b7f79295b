//! Antialiased bilinear resizing to the bit as PIL does it (`Resample.c`, 8 bits a channel), which is torchvision's default for
//! pictures: a triangle filter as wide as the reduction, in fixed point, across and then down.

use super::Pixels;

/// Fraction bits of a weight: 8 are taken by the value and 2 are left for sums.
const BITS: u32 = 32 - 8 - 2;

/// The weights of each output position: its first input position, and a weight for each from there.
fn weights(input: usize, output: usize) -> Vec<(usize, Vec<i32>)> {
    let scale = input as f64 / output as f64;
    let stretch = scale.max(1.0);
    let triangle = |x: f64| (1.0 - x.abs()).max(0.0);
    (0..output)
        .map(|i| {
            let center = (i as f64 + 0.5) * scale;
            // the casts cut towards zero, as C's do
            let first = ((center - stretch + 0.5) as i64).max(0) as usize;
            let last = ((center + stretch + 0.5) as i64).clamp(0, input as i64) as usize;
            let exact: Vec<f64> = (first..last).map(|x| triangle((x as f64 - center + 0.5) / stretch)).collect();
            let sum: f64 = exact.iter().sum();
            let fixed = exact.iter().map(|w| (w / sum * f64::from(1u32 << BITS) + 0.5) as i32).collect();
            (first, fixed)
        })
        .collect()
}

fn round(sum: i32) -> u8 {
    ((sum + (1 << (BITS - 1))) >> BITS).clamp(0, 255) as u8
}

/// The rows, resized to `width` pixels; `C` channels.
fn across<const C: usize>(image: &Pixels, width: usize) -> Vec<u8> {
    let weights = weights(image.width, width);
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

/// Resizes to `height` x `width` pixels, each at least 1.
pub fn resize(image: &Pixels, height: usize, width: usize) -> Pixels {
    let channels = image.channels;
    let across = if width == image.width {
        image.data.clone()
    } else {
        match channels {
            1 => across::<1>(image, width),
            _ => across::<3>(image, width),
        }
    };
    let data = if height == image.height {
        across
    } else {
        let row = width * channels;
        let mut out = Vec::with_capacity(height * row);
        let mut sums = vec![0i32; row];
        for (first, list) in weights(image.height, height) {
            sums.fill(0);
            for (k, w) in list.iter().enumerate() {
                let line = &across[(first + k) * row..][..row];
                sums.iter_mut().zip(line).for_each(|(sum, &v)| *sum += i32::from(v) * w);
            }
            out.extend(sums.iter().map(|&sum| round(sum)));
        }
        out
    };
    Pixels { width, height, channels, data }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers from PIL 13: `Image.frombytes("L", (5, 3), bytes(range(0, 225, 15))).resize((w, h), Image.BILINEAR)`.
    #[test]
    fn equals_pil() {
        let image = Pixels { width: 5, height: 3, channels: 1, data: (0..15).map(|i| i * 15).collect() };
        assert_eq!(resize(&image, 2, 2).data, PIL_2X2);
        assert_eq!(resize(&image, 4, 7).data, PIL_4X7);
    }

    #[test]
    fn the_same_size_is_the_same_picture() {
        let image = Pixels { width: 2, height: 1, channels: 3, data: vec![1, 2, 3, 4, 5, 6] };
        assert_eq!(resize(&image, 1, 2), image);
    }

    const PIL_2X2: [u8; 4] = [43, 73, 137, 167];
    const PIL_4X7: [u8; 28] = [
        0, 9, 19, 30, 41, 51, 60, 47, 56, 66, 77, 88, 98, 107, 103, 112, 122, 133, 144, 154, 163, 150, 159, 169, 180, 191, 201,
        210,
    ];
}
