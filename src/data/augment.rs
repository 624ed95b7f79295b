//! Changes of training pictures.

use super::pixels::luminance;
use super::{Pixels, Rng};

/// The principal components of ImageNet's colours, red, green and blue of each, of values from 0 to 1, by falling variance; and the
/// deviations along them. As `fb.resnet.torch` computed them (`datasets/imagenet.lua`).
const COMPONENTS: [[f64; 3]; 3] = [[-0.5675, -0.5808, -0.5836], [0.7192, -0.0045, -0.6948], [0.4009, -0.8140, 0.4203]];
const DEVIATIONS: [f64; 3] = [0.2175, 0.0188, 0.0045];

/// What is added to red, green and blue, of values from 0 to 1: Krizhevsky et al. 2012, section 4.1.
pub(super) fn lighting(deviation: f32, rng: &mut Rng) -> [f32; 3] {
    let factors = DEVIATIONS.map(|along| along * f64::from(deviation) * rng.normal());
    std::array::from_fn(|colour| COMPONENTS.iter().zip(factors).map(|(axis, factor)| axis[colour] * factor).sum::<f64>() as f32)
}

/// Where a rectangle of that size begins, drawn evenly from the places within the picture; one that is larger than the picture is
/// drawn evenly from the places that contain it.
pub(super) fn place(picture: [usize; 2], crop: [usize; 2], rng: &mut Rng) -> [i64; 2] {
    std::array::from_fn(|axis| {
        let (size, crop) = (picture[axis], crop[axis]);
        let offset = rng.below(size.abs_diff(crop) + 1) as i64;
        if crop > size { -offset } else { offset }
    })
}

/// Top, left, height and width of a rectangle of random area and shape within a picture: torchvision's
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

/// Blends with black, with the mean grey and with the grey picture, in random order, as torchvision's `ColorJitter` does with a picture of
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

/// Blends with one grey.
fn dim(image: &mut Pixels, grey: u8, factor: f32) {
    let table: [u8; 256] = std::array::from_fn(|v| blend(grey, v as u8, factor));
    image.data.iter_mut().for_each(|v| *v = table[usize::from(*v)]);
}

/// The mean of the grey picture, rounded: PIL's `ImageEnhance.Contrast`.
fn mean_grey(image: &Pixels) -> u8 {
    let sum: u64 = match image.channels {
        3 => image.data.as_chunks().0.iter().map(|pixel| u64::from(luminance(pixel))).sum(),
        _ => image.data.iter().map(|&v| u64::from(v)).sum(),
    };
    (sum as f64 / (image.width * image.height).max(1) as f64 + 0.5) as u8
}

/// Blends with the grey picture.
fn saturate(image: &mut Pixels, factor: f32) {
    if image.channels == 3 {
        for pixel in image.data.as_chunks_mut::<3>().0 {
            let grey = luminance(pixel);
            *pixel = pixel.map(|v| blend(grey, v, factor));
        }
    }
}
