//! How a network is trained, as data: what its `train` block says.

use serde::{Deserialize, Serialize};

/// A change of a training picture, drawn anew each time that the picture is read. A recipe lists them, and they are applied in that
/// order, except that [`Augment::Lighting`] adds to the finished picture as it is normalised, and [`Augment::Cutout`] comes last.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Augment {
    /// Pads all sides with black, then cuts out a rectangle at a place drawn evenly: torchvision's
    /// `RandomCrop(crop, padding=pad)`. He et al. 2016, section 4.2: 4 pixels, 32 x 32.
    PadCrop {
        /// Pixels on each side.
        pad: usize,
        /// Height and width of what is cut out.
        crop: [usize; 2],
    },
    /// Mirrors left and right: torchvision's `RandomHorizontalFlip`.
    Flip {
        /// How often, from 0 to 1.
        probability: f32,
    },
    /// Resizes the shorter side to a size drawn evenly, then cuts out a rectangle at a place drawn evenly: Simonyan and Zisserman
    /// 2015, section 3.1; He et al. 2016, section 3.4, with 256 to 480 pixels and 224 x 224.
    ScaleJitter {
        /// The least size of the shorter side, in pixels.
        min: usize,
        /// The greatest, included.
        max: usize,
        /// Height and width of what is cut out.
        crop: [usize; 2],
    },
    /// Cuts out a rectangle of random area and shape and resizes it: torchvision's `RandomResizedCrop`, after Szegedy et al. 2015,
    /// section 6. Its defaults there: scale 0.08 to 1, ratio 3/4 to 4/3.
    RandomResizedCrop {
        /// Height and width of the result.
        size: [usize; 2],
        /// The area cut out, as a part of the picture's: drawn evenly between these.
        scale: [f32; 2],
        /// Its width divided by its height: the logarithm is drawn evenly between these two's.
        ratio: [f32; 2],
    },
    /// Adds a multiple of each principal component of ImageNet's colours to all pixels: Krizhevsky et al. 2012, section 4.1, with
    /// the components of `fb.resnet.torch`. Colour pictures alone.
    Lighting {
        /// Of the normal factors; 0.1 in the paper.
        deviation: f32,
    },
    /// Blends with black, with the mean grey and with the grey picture, in random order: torchvision's
    /// `ColorJitter(brightness, contrast, saturation)`. Each factor is drawn evenly from `max(0, 1 - x)` to `1 + x`; 0 leaves out.
    ColorJitter {
        /// Of the blend with black.
        brightness: f32,
        /// Of the blend with the mean grey.
        contrast: f32,
        /// Of the blend with the grey picture; nothing happens to a grey picture.
        saturation: f32,
    },
    /// Sets a square to 0 after normalisation, its centre drawn evenly within the picture, so that it may reach over the edge:
    /// DeVries and Taylor 2017, section 3.
    Cutout {
        /// The square's side, in pixels.
        size: usize,
    },
}

impl Augment {
    /// As a `train` block names it.
    pub fn name(&self) -> &'static str {
        match self {
            Augment::PadCrop { .. } => "pad and crop",
            Augment::Flip { .. } => "flip",
            Augment::ScaleJitter { .. } => "scale jitter",
            Augment::RandomResizedCrop { .. } => "random resized crop",
            Augment::Lighting { .. } => "lighting",
            Augment::ColorJitter { .. } => "colour jitter",
            Augment::Cutout { .. } => "cutout",
        }
    }
}

/// What becomes of a picture that cannot be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnBroken {
    /// It is named, counted and left out of its batch.
    Skip,
    /// It ends the run.
    #[default]
    Fatal,
}
