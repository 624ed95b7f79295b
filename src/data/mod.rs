//! Images, preprocessing, datasets.

pub mod folder;
#[cfg(feature = "image")]
mod image;
mod pixels;
mod preprocess;
mod resize;

#[cfg(feature = "image")]
pub use image::{ImageError, load};
pub use pixels::Pixels;
pub use preprocess::{PrepareError, default_preprocess, prepare};
pub use resize::resize;
