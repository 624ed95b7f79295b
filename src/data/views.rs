//! Test-time augmentation: several views of an image, whose scores are averaged, such as ten crops, or uncropped images at several scales.

use super::preprocess::{
    MAX_WHOLE, Tables, centered, colors, crop_size, fixed_size, inputs, resized, shorter_side, shorter_side_size,
};
use super::{Pixels, PrepareError};
use crate::ir::{Preprocess, Shape};

/// The crops of a resized image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Crop {
    /// A center crop, as `preprocess` specifies.
    #[default]
    Center,
    /// The four corners and the center, of the image and of its horizontal flip: the ten crops of Krizhevsky et al. 2012, section 4.1,
    /// as in torchvision's `TenCrop`.
    Ten,
    /// No crop: the network runs over the whole image (Simonyan and Zisserman 2015, section 3.2), and must accept any size.
    Whole,
}

/// The views of an image that a network evaluates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Views {
    /// The lengths that the shorter side is resized to, one after the other. If empty, images are resized as `preprocess` specifies.
    pub scales: Vec<usize>,
    /// The crops at each scale.
    pub crop: Crop,
    /// Whether to add the horizontally flipped image. The ten crops always include it.
    pub flip: bool,
}

/// The values of a preprocessed image, channel by channel, with its channels, height and width.
pub type Input = (Vec<f32>, [usize; 3]);

impl Views {
    /// Whether there is only the view that `preprocess` describes.
    pub fn is_plain(&self) -> bool {
        *self == Views::default()
    }

    /// The number of views per image; at least 1.
    pub fn count(&self) -> usize {
        let flips = if self.flip || self.crop == Crop::Ten { 2 } else { 1 };
        let crops = if self.crop == Crop::Ten { 5 } else { 1 };
        self.scales.len().max(1) * flips * crops
    }

    /// Preprocesses the views for an input of shape `channels x height x width`, where height and width may be free. For each scale, flipped views
    /// come after the others.
    pub fn prepare(&self, image: Pixels, how: &Preprocess, input: &Shape) -> Result<Vec<Input>, PrepareError> {
        let image = image.convert(colors(how, input)?);
        let (fixed, tables) = (fixed_size(input), Tables::new(how));
        let mut out = Vec::with_capacity(self.count());
        let mut add = |mut image: Pixels| {
            let size = crop_size(how, fixed);
            for flip in [false, true] {
                if flip {
                    if !self.flip && self.crop != Crop::Ten {
                        break;
                    }
                    image.flip();
                }
                match self.crop {
                    Crop::Center => out.push(inputs(&centered(image.clone(), size), how, &tables)?),
                    Crop::Whole => out.push(inputs(&image, how, &tables)?),
                    Crop::Ten => {
                        for crop in five_crops(&image, size.ok_or(PrepareError::NoCropSize)?)? {
                            out.push(inputs(&crop, how, &tables)?);
                        }
                    }
                }
            }
            Ok(())
        };
        match &self.scales[..] {
            [] if self.crop == Crop::Whole => {
                check_pixels(how.resize, &image)?;
                add(resized(image, how, None)?)?;
            }
            [] => add(resized(image, how, fixed)?)?,
            scales => {
                for &scale in scales {
                    if self.crop == Crop::Whole {
                        check_pixels(Some(scale), &image)?;
                    }
                    add(shorter_side(image.clone(), scale, how.interpolation)?)?;
                }
            }
        }
        Ok(out)
    }
}

/// Fails if an uncropped image would be too large, before it is resized.
fn check_pixels(resize: Option<usize>, image: &Pixels) -> Result<(), PrepareError> {
    let size = [image.height, image.width];
    let [height, width] = resize.map_or(Ok(size), |scale| shorter_side_size(size, scale))?;
    if height.saturating_mul(width) > MAX_WHOLE {
        return Err(PrepareError::TooLarge { width, height });
    }
    Ok(())
}

/// The corners (top left, top right, bottom left, bottom right) and the center.
fn five_crops(image: &Pixels, (height, width): (usize, usize)) -> Result<[Pixels; 5], PrepareError> {
    let (Some(bottom), Some(right)) = (image.height.checked_sub(height), image.width.checked_sub(width)) else {
        return Err(PrepareError::TooSmall { width: image.width, height: image.height, crop: [height, width] });
    };
    let corner = |top: usize, left: usize| image.crop(top as i64, left as i64, height, width);
    let center = centered(image.clone(), Some((height, width)));
    Ok([corner(0, 0), corner(0, right), corner(bottom, 0), corner(bottom, right), center])
}

#[cfg(test)]
mod tests {
    use super::super::{default_preprocess, prepare};
    use super::*;
    use crate::ir::{Axis, Dim};

    /// A gray image with pixels `10 * row + column`.
    fn image(height: usize, width: usize) -> Pixels {
        let data = (0..height * width).map(|i| (10 * (i / width) + i % width) as u8).collect();
        Pixels { width, height, channels: 1, data }
    }

    fn any_size() -> Shape {
        Shape::Known(vec![Dim::Fixed(1), Dim::axis(Axis::H), Dim::axis(Axis::W)])
    }

    /// The bytes of each view.
    fn view_bytes(views: &Views, image: Pixels, how: &Preprocess, input: &Shape) -> Vec<Vec<u8>> {
        let list = views.prepare(image, how, input).unwrap();
        assert_eq!(list.len(), views.count());
        list.iter().map(|(values, _)| values.iter().map(|v| (v * 255.0).round() as u8).collect()).collect()
    }

    #[test]
    fn ten_crops_are_the_corners_and_the_center_and_their_flips() {
        let how = Preprocess { crop: Some([2, 2]), ..default_preprocess(1) };
        let views = Views { crop: Crop::Ten, ..Views::default() };
        let all = view_bytes(&views, image(4, 5), &how, &any_size());
        // the center has 1.5 columns on each side, rounded to the even 2, also in the flipped image
        let expected = [
            [0, 1, 10, 11],
            [3, 4, 13, 14],
            [20, 21, 30, 31],
            [23, 24, 33, 34],
            [12, 13, 22, 23],
            [4, 3, 14, 13],
            [1, 0, 11, 10],
            [24, 23, 34, 33],
            [21, 20, 31, 30],
            [12, 11, 22, 21],
        ];
        assert_eq!(all, expected);
    }

    #[test]
    fn uncropped_images_keep_their_aspect_ratio() {
        let views = Views { scales: vec![2, 4], crop: Crop::Whole, flip: true };
        let list = views.prepare(image(4, 5), &default_preprocess(1), &any_size()).unwrap();
        let sizes: Vec<[usize; 3]> = list.iter().map(|(_, size)| *size).collect();
        assert_eq!(sizes, [[1, 2, 2], [1, 2, 2], [1, 4, 5], [1, 4, 5]]);
        assert_eq!(list[3].0[0], 4.0 / 255.0);
        let long = Pixels { width: 60_000, height: 2, channels: 1, data: vec![0; 120_000] };
        let views = Views { scales: vec![2], ..views };
        assert!(views.prepare(long.clone(), &default_preprocess(1), &any_size()).is_ok());
        // an error before any memory is allocated
        let scaled =
            |scale, pixels| Views { scales: vec![scale], ..views.clone() }.prepare(pixels, &default_preprocess(1), &any_size());
        assert!(matches!(scaled(200, long), Err(PrepareError::TooLong { .. })));
        let wide = Pixels { width: 1000, height: 6, channels: 1, data: vec![0; 6000] };
        assert!(matches!(scaled(240, wide), Err(PrepareError::TooLarge { width: 40_000, height: 240 })));
    }

    #[test]
    fn the_plain_view_matches_preprocess() {
        let how = Preprocess { resize: Some(3), crop: Some([2, 2]), ..default_preprocess(1) };
        for (how, input) in [(how, any_size()), (default_preprocess(1), Shape::fixed(&[1, 3, 3]))] {
            assert!(Views::default().is_plain());
            let views = Views::default().prepare(image(4, 5), &how, &input).unwrap();
            assert_eq!(views, [prepare(image(4, 5), &how, &input).unwrap()]);
            // and at another scale
            let scaled = Views { scales: vec![4], ..Views::default() }.prepare(image(4, 5), &how, &input).unwrap();
            let other = Preprocess { resize: Some(4), ..how };
            assert_eq!(scaled, [prepare(image(4, 5), &other, &input).unwrap()]);
        }
    }

    #[test]
    fn crops_need_a_size_and_a_large_enough_image() {
        let views = Views { crop: Crop::Ten, ..Views::default() };
        assert_eq!(views.prepare(image(4, 5), &default_preprocess(1), &any_size()), Err(PrepareError::NoCropSize));
        let how = Preprocess { crop: Some([5, 5]), ..default_preprocess(1) };
        let small = views.prepare(image(4, 5), &how, &any_size());
        assert_eq!(small, Err(PrepareError::TooSmall { width: 5, height: 4, crop: [5, 5] }));
    }
}
