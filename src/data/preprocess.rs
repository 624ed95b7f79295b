//! From a picture to a network's input, as torchvision's `Resize`, `CenterCrop`, `ToTensor` and `Normalize` do it.

use thiserror::Error;

use super::{Pixels, resize};
use crate::ir::{Channels, Dim, Preprocess, Shape};

/// The largest side that a picture is resized to.
const MAX_SIDE: usize = 1 << 16;

/// Why a picture cannot become an input.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PrepareError {
    /// The network does not read pictures.
    #[error("the network reads {0}, and a picture is channels x height x width")]
    NotAMap(String),
    /// The channels do not agree.
    #[error("the network reads {network} channels, and `preprocess` makes {preprocess}")]
    Channels {
        /// Of the input.
        network: usize,
        /// Of the prepared picture.
        preprocess: usize,
    },
    /// Resizing would go beyond any picture's size.
    #[error("a picture of {width} x {height} pixels cannot be resized to {size}: its longer side would have more than 65536")]
    TooLong {
        /// Of the picture.
        width: usize,
        /// Of the picture.
        height: usize,
        /// Wanted for the shorter side.
        size: usize,
    },
}

/// What holds where a file has no `preprocess`: values from 0 to 1, grey for one channel and red, green, blue for three.
pub fn default_preprocess(channels: usize) -> Preprocess {
    let (order, n) = if channels == 1 { (Channels::Gray, 1) } else { (Channels::Rgb, 3) };
    Preprocess { resize: None, crop: None, channels: order, mean: vec![0.0; n], std: vec![1.0; n] }
}

/// Prepares a picture for an input of shape `channels x height x width`, height and width possibly free. Yields the values, channel
/// by channel, and their sizes.
pub fn prepare(image: Pixels, how: &Preprocess, input: &Shape) -> Result<(Vec<f32>, [usize; 3]), PrepareError> {
    let Some([Dim::Fixed(channels), h, w]) = input.dims() else { return Err(PrepareError::NotAMap(input.to_string())) };
    let made = if how.channels == Channels::Gray { 1 } else { 3 };
    if made != *channels {
        return Err(PrepareError::Channels { network: *channels, preprocess: made });
    }
    let mut image = image.convert(how.channels);
    let fixed = h.fixed().zip(w.fixed());
    let crop = how.crop.map(|[h, w]| (h, w));
    match how.resize {
        Some(size) => {
            let (short, long) = (image.width.min(image.height), image.width.max(image.height));
            // torchvision: int(size * long / short)
            let long = (size as u128 * long as u128 / short.max(1) as u128).min(usize::MAX as u128) as usize;
            if long > MAX_SIDE {
                return Err(PrepareError::TooLong { width: image.width, height: image.height, size });
            }
            let (height, width) = if image.width <= image.height { (long, size) } else { (size, long) };
            image = resize(&image, height, width);
        }
        None => {
            if let (None, Some((height, width))) = (crop, fixed)
                && (image.height, image.width) != (height, width)
            {
                image = resize(&image, height, width);
            }
        }
    }
    if let Some((height, width)) = crop.or(fixed)
        && (image.height, image.width) != (height, width)
    {
        let (top, left) = (centre(image.height, height), centre(image.width, width));
        image = image.crop(top, left, height, width);
    }
    let plane = image.width * image.height;
    let mut values = vec![0.0f32; plane * made];
    for c in 0..made {
        let (mean, std) = (how.mean.get(c).copied().unwrap_or(0.0), how.std.get(c).copied().unwrap_or(1.0));
        let prepared: [f32; 256] = std::array::from_fn(|v| (v as f32 / 255.0 - mean) / std);
        for (value, pixel) in values[c * plane..][..plane].iter_mut().zip(image.data.chunks_exact(made)) {
            *value = prepared[usize::from(pixel[c])];
        }
    }
    Ok((values, [made, image.height, image.width]))
}

/// Where a centre crop begins: torchvision's `int(round((size - crop) / 2.0))`, which rounds halves to even. Below 0, the picture
/// is smaller and is padded: by `(crop - size) // 2` in front.
fn centre(size: usize, crop: usize) -> i64 {
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
        assert_eq!([256, 257, 259, 261].map(|size| centre(size, 256)), [0, 0, 2, 2]);
        assert_eq!(centre(200, 224), -12);
    }

    #[test]
    fn the_shorter_side_is_resized_and_the_centre_cropped() {
        let how = Preprocess { resize: Some(8), crop: Some([6, 4]), ..default_preprocess(3) };
        let (values, shape) = prepare(image(31, 16), &how, &Shape::fixed(&[3, 6, 4])).unwrap();
        assert_eq!((values.len(), shape), (72, [3, 6, 4]));
    }

    #[test]
    fn a_picture_of_the_input_s_size_is_only_normalised() {
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
