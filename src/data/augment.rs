//! Augmentation of training images.

use super::pixels::luminance;
use super::{Pixels, Rng};

/// The principal components of ImageNet's colors (red, green, blue; values from 0 to 1) by decreasing variance, and the standard deviations
/// along them, as in `fb.resnet.torch` (`datasets/imagenet.lua`).
const COMPONENTS: [[f64; 3]; 3] = [[-0.5675, -0.5808, -0.5836], [0.7192, -0.0045, -0.6948], [0.4009, -0.8140, 0.4203]];
const DEVIATIONS: [f64; 3] = [0.2175, 0.0188, 0.0045];

/// The offsets added to red, green and blue (values from 0 to 1): Krizhevsky et al. 2012, section 4.1.
pub(super) fn lighting(deviation: f32, rng: &mut Rng) -> [f32; 3] {
    let factors = DEVIATIONS.map(|along| along * f64::from(deviation) * rng.normal());
    std::array::from_fn(|color| COMPONENTS.iter().zip(factors).map(|(axis, factor)| axis[color] * factor).sum::<f64>() as f32)
}

/// The top left corner of a crop, drawn uniformly from all positions inside the image, or, for a crop larger than the image, from all
/// positions that contain the image.
pub(super) fn random_position(image: [usize; 2], crop: [usize; 2], rng: &mut Rng) -> [i64; 2] {
    std::array::from_fn(|axis| {
        let (size, crop) = (image[axis], crop[axis]);
        let offset = rng.below(size.abs_diff(crop) + 1) as i64;
        if crop > size { -offset } else { offset }
    })
}

/// Top, left, height and width of a rectangle of random area and aspect ratio inside an image: torchvision's
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
    // none fits: the largest centered rectangle with an allowed aspect ratio
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

/// Blends with black, with the mean gray and with the grayscale image, in random order, as torchvision's `ColorJitter` does on PIL images.
pub(super) fn jitter(image: &mut Pixels, [brightness, contrast, saturation]: [f32; 3], rng: &mut Rng) {
    let mut order = [(0, brightness), (1, contrast), (2, saturation)];
    rng.shuffle(&mut order);
    for (which, strength) in order {
        if strength <= 0.0 {
            continue;
        }
        let factor = rng.between(f64::from((1.0 - strength).max(0.0)), f64::from(1.0 + strength)) as f32;
        match which {
            0 => blend_gray(image, 0, factor),
            1 => blend_gray(image, mean_gray(image), factor),
            _ => saturate(image, factor),
        }
    }
}

/// PIL's `Image.blend` of a byte: from `a` toward `b`, and beyond `b` for factors above 1. It truncates instead of rounding.
fn blend(a: u8, b: u8, factor: f32) -> u8 {
    // the cast truncates toward zero and saturates
    (f32::from(a) + factor * (f32::from(b) - f32::from(a))) as u8
}

/// Blends with one gray value.
fn blend_gray(image: &mut Pixels, gray: u8, factor: f32) {
    let table: [u8; 256] = std::array::from_fn(|v| blend(gray, v as u8, factor));
    image.data.iter_mut().for_each(|v| *v = table[usize::from(*v)]);
}

/// The rounded mean of the grayscale image, as in PIL's `ImageEnhance.Contrast`.
fn mean_gray(image: &Pixels) -> u8 {
    let sum: u64 = match image.channels {
        3 => image.data.as_chunks().0.iter().map(|pixel| u64::from(luminance(pixel))).sum(),
        _ => image.data.iter().map(|&v| u64::from(v)).sum(),
    };
    (sum as f64 / (image.width * image.height).max(1) as f64 + 0.5) as u8
}

/// Blends with the grayscale image.
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

    fn image() -> Pixels {
        let data = (0..36usize).map(|i| ((i * 37 + i * i * 11) % 256) as u8).collect();
        Pixels { width: 4, height: 3, channels: 3, data }
    }

    /// Numbers from torchvision 0.29's `functional.adjust_brightness`, `adjust_contrast` and `adjust_saturation` of
    /// `Image.frombytes("RGB", (4, 3), bytes((i * 37 + i * i * 11) % 256 for i in range(36)))`: the first twelve bytes.
    #[test]
    fn color_changes_match_torchvision() {
        let first = |change: &dyn Fn(&mut Pixels)| {
            let mut image = image();
            change(&mut image);
            image.data[..12].to_vec()
        };
        assert_eq!(first(&|p| blend_gray(p, 0, 0.6)), [0, 28, 70, 126, 40, 122, 63, 18, 139, 120, 114, 121]);
        assert_eq!(first(&|p| blend_gray(p, 0, 1.7)), [0, 81, 200, 255, 115, 255, 180, 51, 255, 255, 255, 255]);
        assert_eq!(first(&|p| blend_gray(p, mean_gray(p), 0.55)), [57, 83, 122, 172, 94, 169, 115, 73, 184, 167, 161, 168]);
        assert_eq!(first(&|p| blend_gray(p, mean_gray(p), 1.45)), [0, 12, 113, 247, 41, 238, 96, 0, 255, 232, 218, 235]);
        assert_eq!(first(&|p| saturate(p, 0.3)), [29, 43, 64, 151, 108, 149, 85, 62, 122, 195, 192, 196]);
        assert_eq!(first(&|p| saturate(p, 1.9)), [0, 53, 186, 255, 15, 255, 133, 0, 255, 205, 186, 209]);
        let mut gray = Pixels { channels: 1, data: image().data[..12].to_vec(), ..image() };
        let mean = mean_gray(&gray);
        blend_gray(&mut gray, mean, 1.45);
        assert_eq!(gray.data, [0, 9, 110, 244, 38, 235, 93, 0, 255, 229, 215, 232]);
        saturate(&mut gray, 0.3);
        assert_eq!(gray.data[1], 9);
    }

    #[test]
    fn jitter_draws_factors_and_their_order() {
        let draw = |strengths, seed| {
            let mut image = image();
            jitter(&mut image, strengths, &mut Rng::of(&[seed]));
            image
        };
        assert_eq!(draw([0.0; 3], 1), image());
        assert_ne!(draw([0.4; 3], 1), draw([0.4; 3], 2));
        // only brightness: between 0.6 and 1.4 times each byte
        for seed in 0..50 {
            let drawn = draw([0.4, 0.0, 0.0], seed);
            let bounds = |v: u8| (f32::from(v) * 0.6 - 1.0)..(f32::from(v) * 1.4 + 0.01);
            assert!(drawn.data.iter().zip(image().data).all(|(&new, old)| new == 255 || bounds(old).contains(&f32::from(new))));
        }
    }

    #[test]
    fn rectangles_have_the_requested_area_and_aspect_ratio() {
        let mut rng = Rng::of(&[1]);
        let mut areas = Vec::new();
        for _ in 0..2000 {
            let [top, left, h, w] = random_rectangle([200, 300], [0.08, 1.0], [0.75, 4.0 / 3.0], &mut rng);
            assert!(top + h <= 200 && left + w <= 300);
            let (area, ratio) = (h as f64 * w as f64 / 6e4, w as f64 / h as f64);
            assert!((0.078..=1.0).contains(&area) && (0.73..1.36).contains(&ratio), "{area} {ratio}");
            areas.push(area);
        }
        // rectangles that do not fit are drawn again, so the mean is below the midpoint; torchvision draws 0.391
        let mean = areas.iter().sum::<f64>() / 2000.0;
        assert!((0.37..0.41).contains(&mean), "{mean}");
        // numbers from `torchvision.transforms.RandomResizedCrop.get_params` with an area that never fits
        let fallback = |size| random_rectangle(size, [5.0, 6.0], [0.75, 4.0 / 3.0], &mut Rng::of(&[2]));
        assert_eq!([[3, 100], [100, 3], [40, 50]].map(fallback), [[0, 48, 3, 4], [48, 0, 4, 3], [0, 0, 40, 50]]);
    }

    #[test]
    fn every_position_occurs_and_none_is_outside() {
        let mut rng = Rng::of(&[4]);
        let mut counts = [[0usize; 5]; 3];
        for _ in 0..15_000 {
            let [top, left] = random_position([12, 14], [10, 10], &mut rng);
            counts[top as usize][left as usize] += 1;
        }
        // 1000 +- 31 each
        assert!(counts.iter().flatten().all(|n| n.abs_diff(1000) < 160), "{counts:?}");
        let larger: std::collections::BTreeSet<i64> = (0..100).map(|_| random_position([3, 3], [5, 3], &mut rng)[0]).collect();
        assert_eq!(larger, [-2, -1, 0].into());
    }

    /// The covariance of the drawn offsets is that of the components.
    #[test]
    fn lighting_varies_as_imagenets_colors() {
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
