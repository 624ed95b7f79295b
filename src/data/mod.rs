//! Pictures and datasets: decoding, preprocessing, and what a dataset is.

mod dataset;
mod error;
pub mod folder;
#[cfg(feature = "image")]
mod image;
mod pixels;
mod preprocess;
mod random;
mod resize;

pub use dataset::{Dataset, Sample, Subset, Values};
pub use error::DataError;
#[cfg(feature = "image")]
pub use image::{ImageError, load};
pub use pixels::Pixels;
pub use preprocess::{PrepareError, default_preprocess, prepare};
pub use random::Rng;
pub use resize::resize;
