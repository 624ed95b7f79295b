//! The input of a network, and how images become it.

use super::options::Options;
use crate::ir::{Channels, Preprocess, Resampling};

/// What `[net]` says of the input, and a `[crop]` that follows it: its center crop and its scaling are preprocessing here.
pub(super) struct Images {
    /// The sizes of the input.
    pub sizes: Vec<usize>,
    /// How Darknet validates a classifier: images of three channels from 0 to 1, and the center of the square of this size.
    pub preprocess: Option<Preprocess>,
}

impl Images {
    pub fn of(net: &Options<'_>, crop: Option<&Options<'_>>) -> Result<Images, String> {
        let [channels, height, width] = ["channels", "height", "width"].map(|key| net.size(key));
        let stated = [channels?, height?, width?].map(|size| size.filter(|&n| n > 0));
        let [Some(channels), Some(height), Some(width)] = stated else {
            return match net.size("inputs")? {
                Some(inputs) if inputs > 0 => Ok(Images { sizes: vec![inputs], preprocess: None }),
                _ => Err("`[net]` does not state the `channels`, `height` and `width` of the input".to_owned()),
            };
        };
        let (mut size, mut mean, mut std) = ([height, width], 0.0, 1.0);
        if let Some(crop) = crop {
            size = [crop.positive("crop_height", 1)?, crop.positive("crop_width", 1)?];
            // `forward_crop_layer`: 2 x - 1, unless `noadjust`
            (mean, std) = if crop.flag("noadjust")? { (0.0, 1.0) } else { (0.5, 0.5) };
        }
        let is_square = height == width && size[0] == size[1];
        let preprocess = (channels == 3).then(|| Preprocess {
            resize: is_square.then_some(width),
            crop: is_square.then_some(size),
            interpolation: Resampling::Bilinear,
            channels: Channels::Rgb,
            mean: vec![mean; 3],
            std: vec![std; 3],
            mean_from: None,
        });
        Ok(Images { sizes: vec![channels, size[0], size[1]], preprocess })
    }
}
