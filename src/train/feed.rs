//! What the loop reads: batches of an epoch, in its order.

use ndarray::Array4;

use super::{Batch, TrainError};

/// A batch as read.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Normalized: batch, channels, height, width.
    pub images: Array4<f32>,
    /// A class index for each.
    pub labels: Vec<u32>,
    /// What could not be read and is left out, in words.
    pub broken: Vec<String>,
}

impl Loaded {
    /// As the engine takes it.
    pub fn batch(&self) -> Batch<'_> {
        Batch { images: self.images.view(), labels: &self.labels }
    }
}

/// Reads the batches of a dataset. Which samples a batch holds, and how they are changed, depends on the seed, the epoch and the batch's
/// number alone.
pub trait Feed {
    /// Samples in an epoch; at least 1.
    fn samples(&self) -> usize;

    /// Goes to an epoch, and there to a batch.
    fn start(&mut self, epoch: u64, batch: u64) -> Result<(), TrainError>;

    /// The next batch; `None` behind the last of the epoch. The last may be smaller.
    fn next(&mut self) -> Result<Option<Loaded>, TrainError>;
}
