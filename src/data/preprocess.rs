//! Turns an image into a network's input, like torchvision's `Resize`, `CenterCrop`, `ToTensor` and `Normalize`.

use thiserror::Error;

use super::{Pixels, resize};
use crate::ir::{Channels, Dim, Preprocess, Resampling, Shape};

/// The largest width or height after resizing.
const MAX_SIDE: usize = 1 << 16;
/// The largest number of pixels of an uncropped image: 640 x 13 107.
pub(super) const MAX_WHOLE: usize = 1 << 23;

/// Why an image cannot be turned into an input of the network.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PrepareError {
    /// The network does not read images.
    #[error("the network reads {0}, but an image is channels x height x width")]
    NotAnImage(String),
    /// The numbers of channels differ.
    #[error("the network reads {network} channels, but `preprocess` produces {preprocess}")]
    Channels {
        /// The channels of the network's input.
        network: usize,
        /// The channels of the preprocessed image.
        preprocess: usize,
    },
    /// A sample has another size than the batch.
    #[error("has shape {found:?}, but the batch has {expected:?} (channels, height, width)")]
    Size {
        /// The size of the sample.
        found: [usize; 3],
        /// The size of the samples in the batch.
        expected: [usize; 3],
    },
    /// The per-pixel mean has another size than the image.
    #[error("`preprocess` has a per-pixel mean of {mean} values, but the preprocessed image has {image}")]
    Mean {
        /// The number of values of the mean.
        mean: usize,
        /// The number of values of the image.
        image: usize,
    },
    /// The image is smaller than the ten crops.
    #[error("an image of {width} x {height} pixels is smaller than the crops of {} x {}", crop[1], crop[0])]
    TooSmall {
        /// The width of the image.
        width: usize,
        /// The height of the image.
        height: usize,
        /// Height and width of the crops.
        crop: [usize; 2],
    },
    /// The crop size is unknown.
    #[error("the size of the ten crops is unknown: the network reads images of any size, and `preprocess` has no `crop`")]
    NoCropSize,
    /// An uncropped image would need too much memory.
    #[error("an image of {width} x {height} pixels is too large without cropping: the limit is {MAX_WHOLE} pixels")]
    TooLarge {
        /// The width of the resized image.
        width: usize,
        /// The height of the resized image.
        height: usize,
    },
    /// The longer side would be too long after resizing.
    #[error("an image of {width} x {height} pixels cannot be resized to {size}: its longer side would exceed 65536 pixels")]
    TooLong {
        /// The width of the image.
        width: usize,
        /// The height of the image.
        height: usize,
        /// The requested length of the shorter side.
        size: usize,
    },
}

/// The preprocessing of a network without `preprocess`: values from 0 to 1; gray for one channel, RGB for three.
pub fn default_preprocess(channels: usize) -> Preprocess {
    let (order, n) = if channels == 1 { (Channels::Gray, 1) } else { (Channels::Rgb, 3) };
    Preprocess {
        resize: None,
        crop: None,
        interpolation: Resampling::Bilinear,
        channels: order,
        mean: vec![0.0; n],
        std: vec![1.0; n],
        mean_from: None,
    }
}

/// Preprocesses an image for an input of shape `channels x height x width`, where height and width may be free. Returns the values, channel by
/// channel, and their shape.
pub fn prepare(image: Pixels, how: &Preprocess, input: &Shape) -> Result<(Vec<f32>, [usize; 3]), PrepareError> {
    let colors = colors(how, input)?;
    inputs(&fit(image.convert(colors), how, fixed_size(input))?, how, &Tables::new(how))
}

/// The channels to convert an image to. Fails if `preprocess` does not produce as many channels as the input has.
pub(super) fn colors(how: &Preprocess, input: &Shape) -> Result<Channels, PrepareError> {
    let Some([Dim::Fixed(channels), _, _]) = input.dims() else { return Err(PrepareError::NotAnImage(input.to_string())) };
    let (colors, made) = if how.channels == Channels::Gray { (Channels::Gray, 1) } else { (Channels::Rgb, 3) };
    if made != *channels {
        return Err(PrepareError::Channels { network: *channels, preprocess: made });
    }
    Ok(colors)
}

/// Height and width of an input, if both are fixed.
pub(super) fn fixed_size(input: &Shape) -> Option<(usize, usize)> {
    let [_, h, w] = input.dims()? else { return None };
    h.fixed().zip(w.fixed())
}

/// The normalized values of an image that was converted to [`colors`], and their shape.
pub(super) fn inputs(image: &Pixels, how: &Preprocess, tables: &Tables) -> Result<(Vec<f32>, [usize; 3]), PrepareError> {
    let mut values = vec![0.0f32; image.width * image.height * image.channels];
    check_mean(how, values.len())?;
    normalize(image, tables, &mut values);
    Ok((values, [image.channels, image.height, image.width]))
}

/// Resizes and crops as `how` specifies, or else to the `fixed` height and width.
pub(super) fn fit(image: Pixels, how: &Preprocess, fixed: Option<(usize, usize)>) -> Result<Pixels, PrepareError> {
    Ok(centered(resized(image, how, fixed)?, crop_size(how, fixed)))
}

/// Height and width of the crop, if specified.
pub(super) fn crop_size(how: &Preprocess, fixed: Option<(usize, usize)>) -> Option<(usize, usize)> {
    how.crop.map(|[h, w]| (h, w)).or(fixed)
}

/// The resizing step of [`fit`].
pub(super) fn resized(image: Pixels, how: &Preprocess, fixed: Option<(usize, usize)>) -> Result<Pixels, PrepareError> {
    match (how.resize, how.crop, fixed) {
        (Some(size), ..) => shorter_side(image, size, how.interpolation),
        (None, None, Some((height, width))) if (image.height, image.width) != (height, width) => {
            Ok(resize(&image, height, width, how.interpolation))
        }
        (None, ..) => Ok(image),
    }
}

/// Crops the center of an image, if a size is given. Smaller images are padded with black.
pub(super) fn centered(image: Pixels, size: Option<(usize, usize)>) -> Pixels {
    match size {
        Some((height, width)) if (image.height, image.width) != (height, width) => {
            let (top, left) = (center(image.height, height), center(image.width, width));
            image.crop(top, left, height, width)
        }
        _ => image,
    }
}

/// Height and width after resizing the shorter side to `size` pixels. The longer side is torchvision's `int(size * long / short)`.
pub(super) fn shorter_side_size([height, width]: [usize; 2], size: usize) -> Result<[usize; 2], PrepareError> {
    let (short, long) = (width.min(height), width.max(height));
    let long = (size as u128 * long as u128 / short.max(1) as u128).min(usize::MAX as u128) as usize;
    if long > MAX_SIDE {
        return Err(PrepareError::TooLong { width, height, size });
    }
    Ok(if width <= height { [long, size] } else { [size, long] })
}

/// Resizes the shorter side to `size` pixels.
pub(super) fn shorter_side(image: Pixels, size: usize, by: Resampling) -> Result<Pixels, PrepareError> {
    let [height, width] = shorter_side_size([image.height, image.width], size)?;
    Ok(if (height, width) == (image.height, image.width) { image } else { resize(&image, height, width, by) })
}

/// Fails if the preprocessing has a per-pixel mean with another number of values.
pub(super) fn check_mean(how: &Preprocess, values: usize) -> Result<(), PrepareError> {
    match how.mean_image() {
        Some(mean) if mean.len() != values => Err(PrepareError::Mean { mean: mean.len(), image: values }),
        _ => Ok(()),
    }
}

/// Lookup tables for normalization: for each channel of the network's input, the image channel and the normalized value of each byte.
#[derive(Clone, Debug)]
pub(super) struct Tables {
    channels: Vec<(usize, [f32; 256])>,
    /// With a per-pixel mean: the means, and the standard deviation of each channel.
    per_pixel: Option<(Vec<f32>, Vec<f32>)>,
}

impl Tables {
    /// `(v / 255 - mean) / std`, bit-exact with torchvision.
    pub fn new(how: &Preprocess) -> Tables {
        let from: &[usize] = match how.channels {
            Channels::Gray => &[0],
            Channels::Rgb => &[0, 1, 2],
            Channels::Bgr => &[2, 1, 0],
        };
        let per_pixel = how.mean_image().map(|mean| (mean.to_vec(), how.std.clone()));
        let table = |c: usize| {
            let of = |list: &[f32], neutral| if per_pixel.is_some() { neutral } else { list.get(c).copied().unwrap_or(neutral) };
            let (mean, std) = (of(&how.mean, 0.0), of(&how.std, 1.0));
            std::array::from_fn(|v| (v as f32 / 255.0 - mean) / std)
        };
        Tables { channels: from.iter().enumerate().map(|(c, &from)| (from, table(c))).collect(), per_pixel }
    }
}

/// Normalizes a gray or RGB image, channel by channel in the network's order.
pub(super) fn normalize(image: &Pixels, tables: &Tables, out: &mut [f32]) {
    let plane = image.width * image.height;
    for (out, (from, table)) in out.chunks_exact_mut(plane.max(1)).zip(&tables.channels) {
        match image.channels {
            3 => {
                let pixels = image.data.as_chunks::<3>().0;
                out.iter_mut().zip(pixels).for_each(|(value, pixel)| *value = table[usize::from(pixel[*from])]);
            }
            _ => out.iter_mut().zip(&image.data).for_each(|(value, &v)| *value = table[usize::from(v)]),
        }
    }
    if let Some((means, stds)) = &tables.per_pixel {
        let planes = out.chunks_exact_mut(plane.max(1)).zip(means.chunks_exact(plane.max(1))).zip(stds);
        for ((out, means), std) in planes {
            out.iter_mut().zip(means).for_each(|(value, mean)| *value = (*value - mean) / std);
        }
    }
}

/// The offset of a center crop: torchvision's `int(round((size - crop) / 2.0))`, which rounds half to even. A negative offset means that the image
/// is smaller and is padded, by `(crop - size) // 2` before it.
pub(super) fn center(size: usize, crop: usize) -> i64 {
    let (size, crop) = (size as i64, crop as i64);
    if crop > size {
        return -((crop - size) / 2);
    }
    let half = (size - crop) / 2;
    if (size - crop) % 2 == 1 && half % 2 == 1 { half + 1 } else { half }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(width: usize, height: usize) -> Pixels {
        Pixels { width, height, channels: 3, data: (0..width * height * 3).map(|i| (i % 251) as u8).collect() }
    }

    #[test]
    fn center_crops_match_torchvision() {
        assert_eq!([256, 257, 259, 261].map(|size| center(size, 256)), [0, 0, 2, 2]);
        assert_eq!(center(200, 224), -12);
    }

    #[test]
    fn the_shorter_side_is_resized_and_the_center_cropped() {
        let how = Preprocess { resize: Some(8), crop: Some([6, 4]), ..default_preprocess(3) };
        let (values, shape) = prepare(image(31, 16), &how, &Shape::fixed(&[3, 6, 4])).unwrap();
        assert_eq!((values.len(), shape), (72, [3, 6, 4]));
    }

    #[test]
    fn an_image_of_the_input_size_is_only_normalized() {
        let how = Preprocess { mean: vec![0.5; 3], std: vec![0.25; 3], ..default_preprocess(3) };
        let (values, _) = prepare(image(4, 2), &how, &Shape::fixed(&[3, 2, 4])).unwrap();
        // the green value of the second pixel: byte 4
        assert_eq!(values[8 + 1], (4.0 / 255.0 - 0.5) / 0.25);
    }

    #[test]
    fn mismatched_channels_are_an_error() {
        let error = prepare(image(4, 4), &default_preprocess(3), &Shape::fixed(&[1, 4, 4]));
        assert_eq!(error, Err(PrepareError::Channels { network: 1, preprocess: 3 }));
    }
}
