//! The `Dataset` trait, its samples, and subsets.

use std::sync::Arc;

use super::{DataError, Pixels};

/// A sample as stored in a dataset.
#[derive(Clone, Debug, PartialEq)]
pub enum Sample {
    /// An image that is not normalized yet.
    Pixels(Pixels),
    /// Values that are already normalized.
    Values(Values),
}

/// Normalized values, channel by channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Values {
    /// Channels, height, width.
    pub size: [usize; 3],
    /// Channel by channel, row by row; its length is the product of `size`.
    pub data: Vec<f32>,
}

impl Values {
    /// The rectangle whose top left element is (`top`, `left`). Elements outside are 0, which is the mean.
    pub fn crop(&self, top: i64, left: i64, [height, width]: [usize; 2]) -> Values {
        let [channels, from_height, from_width] = self.size;
        let mut data = vec![0.0; channels * height * width];
        let first = left.max(0);
        let last = left.saturating_add_unsigned(width as u64).min(from_width as i64);
        if first < last && from_height > 0 {
            let count = (last - first) as usize;
            let planes = self.data.chunks_exact(from_height * from_width).zip(data.chunks_exact_mut((height * width).max(1)));
            for (from, to) in planes {
                for (y, row) in to.chunks_exact_mut(width).enumerate() {
                    let Some(from_y) = usize::try_from(top + y as i64).ok().filter(|&y| y < from_height) else { continue };
                    let at = (first - left) as usize;
                    row[at..at + count].copy_from_slice(&from[from_y * from_width + first as usize..][..count]);
                }
            }
        }
        Values { size: [channels, height, width], data }
    }

    /// Flips horizontally.
    pub fn flip(&mut self) {
        self.data.chunks_exact_mut(self.size[2].max(1)).for_each(<[f32]>::reverse);
    }
}

/// Labeled samples. Several threads may read them at once, in any order.
pub trait Dataset: Send + Sync {
    /// The number of samples; at least 1.
    fn len(&self) -> usize;

    /// Whether there are no samples; never true for a dataset that was opened.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The class names, by index; empty if the dataset has no names.
    fn classes(&self) -> &[String];

    /// The class label of a sample; 0 if the index is out of range.
    fn label(&self, index: usize) -> u32;

    /// Reads a sample, and decodes it if necessary. Reading an index twice yields the same sample.
    fn read(&self, index: usize) -> Result<Sample, DataError>;

    /// The name of a sample in messages: its file's path, or that path with its index in the file.
    fn name(&self, index: usize) -> String;

    /// Channels, height and width of a sample, without decoding it. Datasets with images of any size read its header.
    fn size(&self, index: usize) -> Result<[usize; 3], DataError>;

    /// The size of all samples, if the format has a single one.
    fn common_size(&self) -> Option<[usize; 3]>;

    /// Whether samples are [`Sample::Values`].
    fn is_normalized(&self) -> bool {
        false
    }
}

/// A subset of a dataset.
pub struct Subset {
    all: Arc<dyn Dataset>,
    indices: Vec<usize>,
}

impl Subset {
    /// The samples with these indices, in this order. Indices out of range are left out.
    pub fn new(all: Arc<dyn Dataset>, indices: impl IntoIterator<Item = usize>) -> Subset {
        let len = all.len();
        Subset { indices: indices.into_iter().filter(|&i| i < len).collect(), all }
    }

    fn at(&self, index: usize) -> usize {
        self.indices.get(index).copied().unwrap_or(usize::MAX)
    }
}

impl Dataset for Subset {
    fn len(&self) -> usize {
        self.indices.len()
    }

    fn classes(&self) -> &[String] {
        self.all.classes()
    }

    fn label(&self, index: usize) -> u32 {
        self.all.label(self.at(index))
    }

    fn read(&self, index: usize) -> Result<Sample, DataError> {
        self.all.read(self.at(index))
    }

    fn name(&self, index: usize) -> String {
        self.all.name(self.at(index))
    }

    fn size(&self, index: usize) -> Result<[usize; 3], DataError> {
        self.all.size(self.at(index))
    }

    fn common_size(&self) -> Option<[usize; 3]> {
        self.all.common_size()
    }

    fn is_normalized(&self) -> bool {
        self.all.is_normalized()
    }
}
