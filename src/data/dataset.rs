//! What a dataset is.

use std::sync::Arc;

use super::{DataError, Pixels};

/// A sample as a dataset holds it.
#[derive(Clone, Debug, PartialEq)]
pub enum Sample {
    /// An image, still to be normalized.
    Pixels(Pixels),
    /// Values that are normalized already.
    Values(Values),
}

/// Normalized values, channel by channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Values {
    /// Channels, height, width.
    pub size: [usize; 3],
    /// As many as the sizes' product.
    pub data: Vec<f32>,
}

impl Values {
    /// The rectangle whose first element is (`top`, `left`); what lies outside is 0, which is the mean.
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

    /// Mirrors left and right.
    pub fn flip(&mut self) {
        self.data.chunks_exact_mut(self.size[2].max(1)).for_each(<[f32]>::reverse);
    }
}

/// Labeled samples, read from several threads at once, in any order.
pub trait Dataset: Send + Sync {
    /// How many samples there are; at least 1.
    fn len(&self) -> usize;

    /// Whether there is none: never, for what was opened.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The names of the classes by their index; empty where the dataset names none.
    fn classes(&self) -> &[String];

    /// The class of a sample; 0 for an index beyond the last.
    fn label(&self, index: usize) -> u32;

    /// A sample, decoded where need be. Reading the same index twice yields the same.
    fn read(&self, index: usize) -> Result<Sample, DataError>;

    /// What messages call a sample: its file's path, or its file's and its number there.
    fn name(&self, index: usize) -> String;

    /// Channels, height and width of a sample, without decoding it: by its header where the dataset holds images of any size.
    fn size(&self, index: usize) -> Result<[usize; 3], DataError>;

    /// The one size of all samples, where the format has but one.
    fn common_size(&self) -> Option<[usize; 3]>;

    /// Whether samples are [`Sample::Values`].
    fn is_normalized(&self) -> bool {
        false
    }
}

/// Some samples of a dataset.
pub struct Subset {
    all: Arc<dyn Dataset>,
    indices: Vec<usize>,
}

impl Subset {
    /// The samples of these indices, in their order; those beyond the dataset's end are left out.
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
