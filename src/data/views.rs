//! Several views of one image, whose scores are averaged: ten crops, whole images at several sizes.

use super::preprocess::{
    MAX_WHOLE, Tables, centered, colors, crop_size, fixed_size, inputs, resized, shorter_side, shorter_side_size,
};
use super::{Pixels, PrepareError};
use crate::ir::{Preprocess, Shape};

/// What of an image one view shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cut {
    /// The center, cut as `preprocess` says.
    #[default]
    Center,
    /// The four corners and the center, and the same of the mirrored picture: the ten crops of Krizhevsky et al. 2012, section 4.1,
    /// where torchvision's `TenCrop` takes them.
    Ten,
    /// All of it: the network runs over the whole image (Simonyan and Zisserman 2015, section 3.2), and must take it at any size.
    Whole,
}

/// The views that a network is shown of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Views {
    /// What the shorter side is resized to, each in turn; where there is none, as `preprocess` says.
    pub scales: Vec<usize>,
    /// What is cut out at each size.
    pub cut: Cut,
    /// Whether the mirrored image is shown too; the ten crops have it in any case.
    pub mirrored: bool,
}

/// The values of a prepared image, channel by channel, with its channels, height and width.
pub type Input = (Vec<f32>, [usize; 3]);

impl Views {
    /// Whether there is but the one that `preprocess` describes.
    pub fn is_plain(&self) -> bool {
        *self == Views::default()
    }

    /// How many there are of an image; at least 1.
    pub fn count(&self) -> usize {
        let sides = if self.mirrored || self.cut == Cut::Ten { 2 } else { 1 };
        let cuts = if self.cut == Cut::Ten { 5 } else { 1 };
        self.scales.len().max(1) * sides * cuts
    }

    /// Prepares them for an input of shape `channels x height x width`, height and width possibly free. Scale by scale, the mirrored
    /// ones behind the others.
    pub fn prepare(&self, image: Pixels, how: &Preprocess, input: &Shape) -> Result<Vec<Input>, PrepareError> {
        let image = image.convert(colors(how, input)?);
        let (fixed, tables) = (fixed_size(input), Tables::new(how));
        let mut out = Vec::with_capacity(self.count());
        let mut show = |mut picture: Pixels| {
            let crop = crop_size(how, fixed);
            for mirrored in [false, true] {
                if mirrored {
                    if !self.mirrored && self.cut != Cut::Ten {
                        break;
                    }
                    picture.flip();
                }
                match self.cut {
                    Cut::Center => out.push(inputs(&centered(picture.clone(), crop), how, &tables)?),
                    Cut::Whole => out.push(inputs(&picture, how, &tables)?),
                    Cut::Ten => {
                        for part in five(&picture, crop.ok_or(PrepareError::NoCrop)?)? {
                            out.push(inputs(&part, how, &tables)?);
                        }
                    }
                }
            }
            Ok(())
        };
        match &self.scales[..] {
            [] if self.cut == Cut::Whole => {
                hold_whole(how.resize, &image)?;
                show(resized(image, how, None)?)?;
            }
            [] => show(resized(image, how, fixed)?)?,
            scales => {
                for &scale in scales {
                    if self.cut == Cut::Whole {
                        hold_whole(Some(scale), &image)?;
                    }
                    show(shorter_side(image.clone(), scale)?)?;
                }
            }
        }
        Ok(out)
    }
}

/// Fails where a whole image is more than is shown, before it is resized.
fn hold_whole(resize: Option<usize>, picture: &Pixels) -> Result<(), PrepareError> {
    let size = [picture.height, picture.width];
    let [height, width] = resize.map_or(Ok(size), |scale| shorter_side_size(size, scale))?;
    if height.saturating_mul(width) > MAX_WHOLE {
        return Err(PrepareError::Whole { width, height });
    }
    Ok(())
}

/// The corners, left before right and top before bottom, and the center.
fn five(picture: &Pixels, (height, width): (usize, usize)) -> Result<[Pixels; 5], PrepareError> {
    let (Some(bottom), Some(right)) = (picture.height.checked_sub(height), picture.width.checked_sub(width)) else {
        return Err(PrepareError::Small { width: picture.width, height: picture.height, crop: [height, width] });
    };
    let corner = |top: usize, left: usize| picture.crop(top as i64, left as i64, height, width);
    let center = centered(picture.clone(), Some((height, width)));
    Ok([corner(0, 0), corner(0, right), corner(bottom, 0), corner(bottom, right), center])
}

#[cfg(test)]
mod tests {
    use super::super::{default_preprocess, prepare};
    use super::*;
    use crate::ir::{Axis, Dim};

    /// Gray, each pixel its row and column: `10 row + column`.
    fn picture(height: usize, width: usize) -> Pixels {
        let data = (0..height * width).map(|i| (10 * (i / width) + i % width) as u8).collect();
        Pixels { width, height, channels: 1, data }
    }

    fn any_size() -> Shape {
        Shape::Known(vec![Dim::Fixed(1), Dim::axis(Axis::H), Dim::axis(Axis::W)])
    }

    /// The bytes of each view.
    fn shown(views: &Views, picture: Pixels, how: &Preprocess, input: &Shape) -> Vec<Vec<u8>> {
        let list = views.prepare(picture, how, input).unwrap();
        assert_eq!(list.len(), views.count());
        list.iter().map(|(values, _)| values.iter().map(|v| (v * 255.0).round() as u8).collect()).collect()
    }

    #[test]
    fn ten_crops_are_the_corners_and_the_centre_and_their_mirror_images() {
        let how = Preprocess { crop: Some([2, 2]), ..default_preprocess(1) };
        let views = Views { cut: Cut::Ten, ..Views::default() };
        let all = shown(&views, picture(4, 5), &how, &any_size());
        // 1.5 columns are left on each side of the center, rounded to the even 2, in the mirrored image too
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
    fn whole_pictures_have_their_own_sizes() {
        let views = Views { scales: vec![2, 4], cut: Cut::Whole, mirrored: true };
        let list = views.prepare(picture(4, 5), &default_preprocess(1), &any_size()).unwrap();
        let sizes: Vec<[usize; 3]> = list.iter().map(|(_, size)| *size).collect();
        assert_eq!(sizes, [[1, 2, 2], [1, 2, 2], [1, 4, 5], [1, 4, 5]]);
        assert_eq!(list[3].0[0], 4.0 / 255.0);
        let long = Pixels { width: 60_000, height: 2, channels: 1, data: vec![0; 120_000] };
        let views = Views { scales: vec![2], ..views };
        assert!(views.prepare(long.clone(), &default_preprocess(1), &any_size()).is_ok());
        // refused before memory is taken for them
        let scaled =
            |scale, pixels| Views { scales: vec![scale], ..views.clone() }.prepare(pixels, &default_preprocess(1), &any_size());
        assert!(matches!(scaled(200, long), Err(PrepareError::TooLong { .. })));
        let wide = Pixels { width: 1000, height: 6, channels: 1, data: vec![0; 6000] };
        assert!(matches!(scaled(240, wide), Err(PrepareError::Whole { width: 40_000, height: 240 })));
    }

    #[test]
    fn the_plain_view_is_that_of_preprocess() {
        let how = Preprocess { resize: Some(3), crop: Some([2, 2]), ..default_preprocess(1) };
        for (how, input) in [(how, any_size()), (default_preprocess(1), Shape::fixed(&[1, 3, 3]))] {
            assert!(Views::default().is_plain());
            let views = Views::default().prepare(picture(4, 5), &how, &input).unwrap();
            assert_eq!(views, [prepare(picture(4, 5), &how, &input).unwrap()]);
            // and at another size
            let scaled = Views { scales: vec![4], ..Views::default() }.prepare(picture(4, 5), &how, &input).unwrap();
            let other = Preprocess { resize: Some(4), ..how };
            assert_eq!(scaled, [prepare(picture(4, 5), &other, &input).unwrap()]);
        }
    }

    #[test]
    fn crops_need_a_size_and_room() {
        let views = Views { cut: Cut::Ten, ..Views::default() };
        assert_eq!(views.prepare(picture(4, 5), &default_preprocess(1), &any_size()), Err(PrepareError::NoCrop));
        let how = Preprocess { crop: Some([5, 5]), ..default_preprocess(1) };
        let small = views.prepare(picture(4, 5), &how, &any_size());
        assert_eq!(small, Err(PrepareError::Small { width: 5, height: 4, crop: [5, 5] }));
    }
}
