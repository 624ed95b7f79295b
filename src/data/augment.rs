//! Changes of training images.

use super::pixels::luminance;
use super::{Pixels, Rng};

/// The principal components of ImageNet's colors, red, green and blue of each, of values from 0 to 1, by falling variance; and the
/// deviations along them. As `fb.resnet.torch` computed them (`datasets/imagenet.lua`).
const COMPONENTS: [[f64; 3]; 3] = [[-0.5675, -0.5808, -0.5836], [0.7192, -0.0045, -0.6948], [0.4009, -0.8140, 0.4203]];
const DEVIATIONS: [f64; 3] = [0.2175, 0.0188, 0.0045];

/// What is added to red, green and blue, of values from 0 to 1: Krizhevsky et al. 2012, section 4.1.
pub(super) fn lighting(deviation: f32, rng: &mut Rng) -> [f32; 3] {
    let factors = DEVIATIONS.map(|along| along * f64::from(deviation) * rng.normal());
    std::array::from_fn(|color| COMPONENTS.iter().zip(factors).map(|(axis, factor)| axis[color] * factor).sum::<f64>() as f32)
}

/// Where a rectangle of that size begins, drawn evenly from the places within the image; one that is larger than the image is
/// drawn evenly from the places that contain it.
pub(super) fn place(picture: [usize; 2], crop: [usize; 2], rng: &mut Rng) -> [i64; 2] {
    std::array::from_fn(|axis| {
        let (size, crop) = (picture[axis], crop[axis]);
        let offset = rng.below(size.abs_diff(crop) + 1) as i64;
        if crop > size { -offset } else { offset }
    })
}

/// Top, left, height and width of a rectangle of random area and shape within an image: torchvision's
/// `RandomResizedCrop.get_params`.
pub(super) fn random_rectangle([height, width]: [usize; 2], scale: [f32; 2], ratio: [f32; 2], rng: &mut Rng) -> [usize; 4] {
    let area = height as f64 * width as f64;
    let [scale, ratio] = [scale, ratio].map(|pair| pair.map(f64::from));
    let logs = ratio.map(f64::ln);
    for _ in 0..10 {
        let target = area * rng.between(scale[0], scale[1]);
        let aspect = rng.between(logs[0], logs[1]).exp();
        let w = (target * aspect).sqrt().round_ties_even() as usize;
        let h = (target / aspect).sqrt().round_ties_even() as usize;
        if (1..=width).contains(&w) && (1..=height).contains(&h) {
            return [rng.below(height - h + 1), rng.below(width - w + 1), h, w];
        }
    }
    // none fits: the largest in the middle whose shape is allowed
    let shape = width as f64 / height as f64;
    let (h, w) = if shape < ratio[0] {
        ((width as f64 / ratio[0]).round_ties_even() as usize, width)
    } else if shape > ratio[1] {
        (height, (height as f64 * ratio[1]).round_ties_even() as usize)
    } else {
        (height, width)
    };
    let (h, w) = (h.clamp(1, height), w.clamp(1, width));
    [(height - h) / 2, (width - w) / 2, h, w]
}

/// Blends with black, with the mean gray and with the gray image, in random order, as torchvision's `ColorJitter` does with an image of
/// PIL's.
pub(super) fn jitter(image: &mut Pixels, [brightness, contrast, saturation]: [f32; 3], rng: &mut Rng) {
    let mut order = [(0, brightness), (1, contrast), (2, saturation)];
    rng.shuffle(&mut order);
    for (which, strength) in order {
        if strength <= 0.0 {
            continue;
        }
        let factor = rng.between(f64::from((1.0 - strength).max(0.0)), f64::from(1.0 + strength)) as f32;
        match which {
            0 => dim(image, 0, factor),
            1 => dim(image, mean_grey(image), factor),
            _ => saturate(image, factor),
        }
    }
}

/// PIL's `Image.blend` of a byte: from `a` towards `b`, and beyond where the factor is above 1. It cuts, and does not round.
fn blend(a: u8, b: u8, factor: f32) -> u8 {
    // the cast cuts towards zero and saturates
    (f32::from(a) + factor * (f32::from(b) - f32::from(a))) as u8
}

/// Blends with one gray.
fn dim(image: &mut Pixels, gray: u8, factor: f32) {
    let table: [u8; 256] = std::array::from_fn(|v| blend(gray, v as u8, factor));
    image.data.iter_mut().for_each(|v| *v = table[usize::from(*v)]);
}

/// The mean of the gray image, rounded: PIL's `ImageEnhance.Contrast`.
fn mean_grey(image: &Pixels) -> u8 {
    let sum: u64 = match image.channels {
        3 => image.data.as_chunks().0.iter().map(|pixel| u64::from(luminance(pixel))).sum(),
        _ => image.data.iter().map(|&v| u64::from(v)).sum(),
    };
    (sum as f64 / (image.width * image.height).max(1) as f64 + 0.5) as u8
}

/// Blends with the gray image.
fn saturate(image: &mut Pixels, factor: f32) {
    if image.channels == 3 {
        for pixel in image.data.as_chunks_mut::<3>().0 {
            let gray = luminance(pixel);
            *pixel = pixel.map(|v| blend(gray, v, factor));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture() -> Pixels {
        let data = (0..36usize).map(|i| ((i * 37 + i * i * 11) % 256) as u8).collect();
        Pixels { width: 4, height: 3, channels: 3, data }
    }

    /// Numbers from torchvision 0.29's `functional.adjust_brightness`, `adjust_contrast` and `adjust_saturation` of
    /// `Image.frombytes("RGB", (4, 3), bytes((i * 37 + i * i * 11) % 256 for i in range(36)))`: the first twelve bytes.
    #[test]
    fn colors_change_as_torchvision_changes_them() {
        let first = |change: &dyn Fn(&mut Pixels)| {
            let mut image = picture();
            change(&mut image);
            image.data[..12].to_vec()
        };
        assert_eq!(first(&|p| dim(p, 0, 0.6)), [0, 28, 70, 126, 40, 122, 63, 18, 139, 120, 114, 121]);
        assert_eq!(first(&|p| dim(p, 0, 1.7)), [0, 81, 200, 255, 115, 255, 180, 51, 255, 255, 255, 255]);
        assert_eq!(first(&|p| dim(p, mean_grey(p), 0.55)), [57, 83, 122, 172, 94, 169, 115, 73, 184, 167, 161, 168]);
        assert_eq!(first(&|p| dim(p, mean_grey(p), 1.45)), [0, 12, 113, 247, 41, 238, 96, 0, 255, 232, 218, 235]);
        assert_eq!(first(&|p| saturate(p, 0.3)), [29, 43, 64, 151, 108, 149, 85, 62, 122, 195, 192, 196]);
        assert_eq!(first(&|p| saturate(p, 1.9)), [0, 53, 186, 255, 15, 255, 133, 0, 255, 205, 186, 209]);
        let mut gray = Pixels { channels: 1, data: picture().data[..12].to_vec(), ..picture() };
        let mean = mean_grey(&gray);
        dim(&mut gray, mean, 1.45);
        assert_eq!(gray.data, [0, 9, 110, 244, 38, 235, 93, 0, 255, 229, 215, 232]);
        saturate(&mut gray, 0.3);
        assert_eq!(gray.data[1], 9);
    }

    #[test]
    fn jitter_draws_its_factors_and_their_order() {
        let draw = |strengths, seed| {
            let mut image = picture();
            jitter(&mut image, strengths, &mut Rng::of(&[seed]));
            image
        };
        assert_eq!(draw([0.0; 3], 1), picture());
        assert_ne!(draw([0.4; 3], 1), draw([0.4; 3], 2));
        // brightness alone: between 0.6 and 1.4 of each byte
        for seed in 0..50 {
            let image = draw([0.4, 0.0, 0.0], seed);
            let bounds = |v: u8| (f32::from(v) * 0.6 - 1.0)..(f32::from(v) * 1.4 + 0.01);
            assert!(image.data.iter().zip(picture().data).all(|(&new, old)| new == 255 || bounds(old).contains(&f32::from(new))));
        }
    }

    #[test]
    fn rectangles_have_the_area_and_shape_that_are_asked_for() {
        let mut rng = Rng::of(&[1]);
        let mut areas = Vec::new();
        for _ in 0..2000 {
            let [top, left, h, w] = random_rectangle([200, 300], [0.08, 1.0], [0.75, 4.0 / 3.0], &mut rng);
            assert!(top + h <= 200 && left + w <= 300);
            let (area, ratio) = (h as f64 * w as f64 / 6e4, w as f64 / h as f64);
            assert!((0.078..=1.0).contains(&area) && (0.73..1.36).contains(&ratio), "{area} {ratio}");
            areas.push(area);
        }
        // what does not fit is drawn again, so that the mean lies below the middle; torchvision draws 0.391
        let mean = areas.iter().sum::<f64>() / 2000.0;
        assert!((0.37..0.41).contains(&mean), "{mean}");
        // numbers from `torchvision.transforms.RandomResizedCrop.get_params` with an area that never fits
        let fallback = |size| random_rectangle(size, [5.0, 6.0], [0.75, 4.0 / 3.0], &mut Rng::of(&[2]));
        assert_eq!([[3, 100], [100, 3], [40, 50]].map(fallback), [[0, 48, 3, 4], [48, 0, 4, 3], [0, 0, 40, 50]]);
    }

    #[test]
    fn every_place_comes_up_and_none_lies_outside() {
        let mut rng = Rng::of(&[4]);
        let mut counts = [[0usize; 5]; 3];
        for _ in 0..15_000 {
            let [top, left] = place([12, 14], [10, 10], &mut rng);
            counts[top as usize][left as usize] += 1;
        }
        // 1000 +- 31 each
        assert!(counts.iter().flatten().all(|n| n.abs_diff(1000) < 160), "{counts:?}");
        let larger: std::collections::BTreeSet<i64> = (0..100).map(|_| place([3, 3], [5, 3], &mut rng)[0]).collect();
        assert_eq!(larger, [-2, -1, 0].into());
    }

    /// The drawn colors' variances along and between channels are those of the components.
    #[test]
    fn light_varies_as_imagenets_colors() {
        let mut rng = Rng::of(&[9]);
        let mut sums = [[0.0f64; 3]; 3];
        for _ in 0..50_000 {
            let light = lighting(0.1, &mut rng);
            for (row, a) in sums.iter_mut().zip(light) {
                row.iter_mut().zip(light).for_each(|(sum, b)| *sum += f64::from(a) * f64::from(b) / 5e4);
            }
        }
        for a in 0..3 {
            for b in 0..3 {
                let exact: f64 = (0..3).map(|k| COMPONENTS[k][a] * COMPONENTS[k][b] * (0.1 * DEVIATIONS[k]).powi(2)).sum();
                assert!((sums[a][b] - exact).abs() < 0.03 * exact, "{a} {b}: {} for {exact}", sums[a][b]);
            }
        }
    }
}
