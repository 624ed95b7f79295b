//! The interface between the training loop and the data.

use ndarray::Array4;

use super::{Batch, TrainError};

/// A batch that was read.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Normalized values: batch, channels, height, width.
    pub images: Array4<f32>,
    /// The class index of each sample.
    pub labels: Vec<u32>,
    /// A message for each sample that was skipped because it could not be read.
    pub skipped: Vec<String>,
}

impl Loaded {
    /// A view of the batch, for an engine.
    pub fn batch(&self) -> Batch<'_> {
        Batch { images: self.images.view(), labels: &self.labels }
    }
}

/// Reads the batches of a dataset. The samples of a batch and their augmentation depend only on the seed, the epoch and the batch's index.
pub trait Feed {
    /// The number of samples in an epoch; at least 1.
    fn samples(&self) -> usize;

    /// Seeks to a batch of an epoch.
    fn start(&mut self, epoch: u64, batch: u64) -> Result<(), TrainError>;

    /// The next batch; `None` after the last of the epoch, which may be smaller.
    fn next(&mut self) -> Result<Option<Loaded>, TrainError>;
}
