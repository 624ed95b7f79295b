//! Images and datasets: decoding, preprocessing, augmentation, and a prefetching loader.

#[cfg(feature = "image")]
mod archive;
mod arrays;
mod augment;
mod cifar;
mod classes;
mod dataset;
mod error;
pub mod folder;
mod idx;
#[cfg(feature = "image")]
mod image;
#[cfg(feature = "image")]
mod images;
#[cfg(feature = "image")]
mod jpeg;
mod labels;
mod loader;
mod open;
mod options;
mod packed;
mod pixels;
mod preprocess;
mod published;
mod random;
mod resize;
mod sizes;
#[cfg(test)]
#[cfg(feature = "image")]
mod tests;
mod transform;
mod views;

pub use dataset::{Dataset, Sample, Subset, Values};
pub use error::{DataError, FolderError};
#[cfg(feature = "image")]
pub use image::{ImageError, decode, load};
pub use loader::{Loader, LoaderOptions, Samples};
pub use open::{Part, check_exists, open_dataset, open_part, open_valid_split};
pub use options::{DatasetOptions, Split};
pub use pixels::Pixels;
pub use preprocess::{PrepareError, default_preprocess, prepare};
pub use published::{Published, PublishedError};
pub use random::Rng;
pub use resize::resize;
pub use transform::Transform;
pub use views::{Crop, Input, Views};
