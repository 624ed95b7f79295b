//! From an image to a network's input, as torchvision's `Resize`, `CenterCrop`, `ToTensor` and `Normalize` do it.

use thiserror::Error;

use super::{Pixels, resize};
use crate::ir::{Channels, Dim, Preprocess, Shape};

/// The largest side that an image is resized to.
const MAX_SIDE: usize = 1 << 16;
/// The most pixels that a network is shown at once, where it is shown whole pictures: 640 x 13 107.
pub(super) const MAX_WHOLE: usize = 1 << 23;

/// Why an image cannot become an input.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PrepareError {
    /// The network does not read images.
    #[error("the network reads {0}, and an image is channels x height x width")]
    NotAMap(String),
    /// The channels do not agree.
    #[error("the network reads {network} channels, and `preprocess` makes {preprocess}")]
    Channels {
        /// Of the input.
        network: usize,
        /// Of the prepared image.
        preprocess: usize,
    },
    /// A sample of another size than was agreed on when the dataset was opened.
    #[error("is {found:?}, and {wanted:?} (channels, height, width) is wanted")]
    Size {
        /// Of the sample.
        found: [usize; 3],
        /// Of the network's input.
        wanted: [usize; 3],
    },
    /// A per-pixel mean of another size.
    #[error("`preprocess` has a mean for each of {mean} values, and the prepared image has {picture}")]
    Mean {
        /// Values of the mean.
        mean: usize,
        /// Of the image.
        picture: usize,
    },
    /// An image that the ten crops are larger than.
    #[error("an image of {width} x {height} pixels is smaller than the crops of {} x {}", crop[1], crop[0])]
    Small {
        /// Of the image.
        width: usize,
        /// Of the image.
        height: usize,
        /// Height and width of the crops.
        crop: [usize; 2],
    },
    /// Crops that nothing gives a size.
    #[error("the network reads images of any size and `preprocess` has no `crop`: nothing says how large the ten crops are")]
    NoCrop,
    /// A whole image that would take the network too much memory.
    #[error("an image of {width} x {height} pixels is too long to be shown whole: at most {MAX_WHOLE} pixels are")]
    Whole {
        /// Of the resized image.
        width: usize,
        /// Of the resized image.
        height: usize,
    },
    /// Resizing would go beyond any image's size.
    #[error("an image of {width} x {height} pixels cannot be resized to {size}: its longer side would have more than 65536")]
    TooLong {
        /// Of the image.
        width: usize,
        /// Of the image.
        height: usize,
        /// Wanted for the shorter side.
        size: usize,
    },
}

/// What holds where a file has no `preprocess`: values from 0 to 1, gray for one channel and red, green, blue for three.
pub fn default_preprocess(channels: usize) -> Preprocess {
    let (order, n) = if channels == 1 { (Channels::Gray, 1) } else { (Channels::Rgb, 3) };
    Preprocess { resize: None, crop: None, channels: order, mean: vec![0.0; n], std: vec![1.0; n], mean_from: None }
}

/// Prepares an image for an input of shape `channels x height x width`, height and width possibly free. Yields the values, channel
/// by channel, and their sizes.
pub fn prepare(image: Pixels, how: &Preprocess, input: &Shape) -> Result<(Vec<f32>, [usize; 3]), PrepareError> {
    let colors = colors(how, input)?;
    inputs(&fit(image.convert(colors), how, fixed_size(input))?, how, &Tables::new(how))
}

/// The channels to decode to for an input: `preprocess` must make as many as it has.
pub(super) fn colors(how: &Preprocess, input: &Shape) -> Result<Channels, PrepareError> {
    let Some([Dim::Fixed(channels), _, _]) = input.dims() else { return Err(PrepareError::NotAMap(input.to_string())) };
    let (colors, made) = if how.channels == Channels::Gray { (Channels::Gray, 1) } else { (Channels::Rgb, 3) };
    if made != *channels {
        return Err(PrepareError::Channels { network: *channels, preprocess: made });
    }
    Ok(colors)
}

/// Height and width of an input where both are fixed.
pub(super) fn fixed_size(input: &Shape) -> Option<(usize, usize)> {
    let [_, h, w] = input.dims()? else { return None };
    h.fixed().zip(w.fixed())
}

/// The values of an image in the colors of [`colors`], and their sizes.
pub(super) fn inputs(image: &Pixels, how: &Preprocess, tables: &Tables) -> Result<(Vec<f32>, [usize; 3]), PrepareError> {
    let mut values = vec![0.0f32; image.width * image.height * image.channels];
    hold_mean(how, values.len())?;
    normalize(image, tables, &mut values);
    Ok((values, [image.channels, image.height, image.width]))
}

/// Resizes and crops as `how` says, to the `fixed` height and width where it says nothing of them.
pub(super) fn fit(image: Pixels, how: &Preprocess, fixed: Option<(usize, usize)>) -> Result<Pixels, PrepareError> {
    Ok(centered(resized(image, how, fixed)?, crop_size(how, fixed)))
}

/// Height and width of what is cut out, where anything says it.
pub(super) fn crop_size(how: &Preprocess, fixed: Option<(usize, usize)>) -> Option<(usize, usize)> {
    how.crop.map(|[h, w]| (h, w)).or(fixed)
}

/// The part of [`fit`] that resizes.
pub(super) fn resized(image: Pixels, how: &Preprocess, fixed: Option<(usize, usize)>) -> Result<Pixels, PrepareError> {
    match (how.resize, how.crop, fixed) {
        (Some(size), ..) => shorter_side(image, size),
        (None, None, Some((height, width))) if (image.height, image.width) != (height, width) => {
            Ok(resize(&image, height, width))
        }
        (None, ..) => Ok(image),
    }
}

/// The middle of an image, where a size is given; where it is smaller, with black around it.
pub(super) fn centered(image: Pixels, size: Option<(usize, usize)>) -> Pixels {
    match size {
        Some((height, width)) if (image.height, image.width) != (height, width) => {
            let (top, left) = (center(image.height, height), center(image.width, width));
            image.crop(top, left, height, width)
        }
        _ => image,
    }
}

/// Height and width with the shorter side of `size` pixels: torchvision's `int(size * long / short)` for the longer one.
pub(super) fn shorter_side_size([height, width]: [usize; 2], size: usize) -> Result<[usize; 2], PrepareError> {
    let (short, long) = (width.min(height), width.max(height));
    let long = (size as u128 * long as u128 / short.max(1) as u128).min(usize::MAX as u128) as usize;
    if long > MAX_SIDE {
        return Err(PrepareError::TooLong { width, height, size });
    }
    Ok(if width <= height { [long, size] } else { [size, long] })
}

/// Resizes so that the shorter side has `size` pixels.
pub(super) fn shorter_side(image: Pixels, size: usize) -> Result<Pixels, PrepareError> {
    let [height, width] = shorter_side_size([image.height, image.width], size)?;
    Ok(if (height, width) == (image.height, image.width) { image } else { resize(&image, height, width) })
}

/// Fails where the preprocessing has a mean for each value, and not for so many.
pub(super) fn hold_mean(how: &Preprocess, values: usize) -> Result<(), PrepareError> {
    match how.mean_image() {
        Some(mean) if mean.len() != values => Err(PrepareError::Mean { mean: mean.len(), picture: values }),
        _ => Ok(()),
    }
}

/// The normalized value of each byte, for each channel that a network reads, and the image's channel that it comes from.
#[derive(Clone, Debug)]
pub(super) struct Tables {
    channels: Vec<(usize, [f32; 256])>,
    /// Where each value has a mean of its own: the means and the channels' deviations.
    each: Option<(Vec<f32>, Vec<f32>)>,
}

impl Tables {
    /// `(v / 255 - mean) / std`, to the bit what torchvision computes.
    pub fn new(how: &Preprocess) -> Tables {
        let from: &[usize] = match how.channels {
            Channels::Gray => &[0],
            Channels::Rgb => &[0, 1, 2],
            Channels::Bgr => &[2, 1, 0],
        };
        let each = how.mean_image().map(|mean| (mean.to_vec(), how.std.clone()));
        let table = |c: usize| {
            let of = |list: &[f32], neutral| if each.is_some() { neutral } else { list.get(c).copied().unwrap_or(neutral) };
            let (mean, std) = (of(&how.mean, 0.0), of(&how.std, 1.0));
            std::array::from_fn(|v| (v as f32 / 255.0 - mean) / std)
        };
        Tables { channels: from.iter().enumerate().map(|(c, &from)| (from, table(c))).collect(), each }
    }
}

/// The values of a gray image, or of one in red, green and blue, channel by channel in the network's order.
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
    if let Some((means, stds)) = &tables.each {
        let planes = out.chunks_exact_mut(plane.max(1)).zip(means.chunks_exact(plane.max(1))).zip(stds);
        for ((out, means), std) in planes {
            out.iter_mut().zip(means).for_each(|(value, mean)| *value = (*value - mean) / std);
        }
    }
}

/// Where a center crop begins: torchvision's `int(round((size - crop) / 2.0))`, which rounds halves to even. Below 0, the image
/// is smaller and is padded: by `(crop - size) // 2` in front.
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
    fn centre_crops_where_torchvision_does() {
        assert_eq!([256, 257, 259, 261].map(|size| center(size, 256)), [0, 0, 2, 2]);
        assert_eq!(center(200, 224), -12);
    }

    #[test]
    fn the_shorter_side_is_resized_and_the_centre_cropped() {
        let how = Preprocess { resize: Some(8), crop: Some([6, 4]), ..default_preprocess(3) };
        let (values, shape) = prepare(image(31, 16), &how, &Shape::fixed(&[3, 6, 4])).unwrap();
        assert_eq!((values.len(), shape), (72, [3, 6, 4]));
    }

    #[test]
    fn a_picture_of_the_input_s_size_is_only_normalized() {
        let how = Preprocess { mean: vec![0.5; 3], std: vec![0.25; 3], ..default_preprocess(3) };
        let (values, _) = prepare(image(4, 2), &how, &Shape::fixed(&[3, 2, 4])).unwrap();
        // the second pixel's green: byte 4
        assert_eq!(values[8 + 1], (4.0 / 255.0 - 0.5) / 0.25);
    }

    #[test]
    fn channels_that_do_not_agree_are_an_error() {
        let error = prepare(image(4, 4), &default_preprocess(3), &Shape::fixed(&[1, 4, 4]));
        assert_eq!(error, Err(PrepareError::Channels { network: 1, preprocess: 3 }));
    }
}
