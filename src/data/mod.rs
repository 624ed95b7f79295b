//! Pictures and datasets: decoding, preprocessing, augmentation, and a loader that reads batches ahead.

mod dataset;
mod error;
pub mod folder;
#[cfg(feature = "image")]
mod image;
mod open;
mod pixels;
mod preprocess;
mod random;
mod resize;

pub use dataset::{Dataset, Sample, Subset, Values};
pub use error::DataError;
#[cfg(feature = "image")]
pub use image::{ImageError, load};
pub use open::{DatasetOptions, Split, open_dataset, open_test_part};
pub use pixels::Pixels;
pub use preprocess::{PrepareError, default_preprocess, prepare};
pub use random::Rng;
pub use resize::resize;
