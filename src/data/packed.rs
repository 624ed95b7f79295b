//! Images of one size, stored byte by byte one behind the other, as IDX and CIFAR's binary files hold them.

use super::{DataError, Dataset, Pixels, Sample};
use crate::base::mmap::Bytes;

/// Records of one length: a head (labels, or nothing), and an image.
pub(super) struct Part {
    /// The file, as messages name it.
    pub name: String,
    /// Whole records.
    pub records: Bytes,
}

/// How a record is laid out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    /// Bytes before the image.
    pub head: usize,
    /// Channels (1 or 3), height and width. Three channels are stored one behind the other.
    pub size: [usize; 3],
}

impl Layout {
    /// Bytes of a record.
    pub fn record(self) -> usize {
        self.head + self.size.iter().product::<usize>()
    }
}

/// The images of one or several files.
pub(super) struct Packed {
    layout: Layout,
    parts: Vec<Part>,
    labels: Vec<u32>,
    classes: Vec<String>,
}

impl Packed {
    /// Images with their labels: as many as the parts have records.
    pub fn new(layout: Layout, parts: Vec<Part>, labels: Vec<u32>, classes: Vec<String>) -> Packed {
        Packed { layout, parts, labels, classes }
    }

    /// The part that a sample lies in, and its number there.
    fn at(&self, index: usize) -> Option<(&Part, usize)> {
        let record = self.layout.record().max(1);
        let mut left = index;
        for part in &self.parts {
            let count = part.records.len() / record;
            if left < count {
                return Some((part, left));
            }
            left -= count;
        }
        None
    }
}

impl Dataset for Packed {
    fn len(&self) -> usize {
        self.labels.len()
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn label(&self, index: usize) -> u32 {
        self.labels.get(index).copied().unwrap_or(0)
    }

    fn read(&self, index: usize) -> Result<Sample, DataError> {
        let Layout { head, size: [channels, height, width] } = self.layout;
        let record = self.layout.record();
        let bytes = self.at(index).and_then(|(part, i)| part.records.get(i * record + head..(i + 1) * record));
        let bytes = bytes.ok_or_else(|| super::error::beyond(self.name(index)))?;
        let data = match channels {
            1 => bytes.to_vec(),
            _ => {
                let (red, rest) = bytes.split_at(height * width);
                let (green, blue) = rest.split_at(height * width);
                red.iter().zip(green).zip(blue).flat_map(|((&r, &g), &b)| [r, g, b]).collect()
            }
        };
        Ok(Sample::Pixels(Pixels { width, height, channels, data }))
    }

    fn name(&self, index: usize) -> String {
        match self.at(index) {
            Some((part, index)) => format!("{}[{index}]", part.name),
            None => format!("sample {index}"),
        }
    }

    fn size(&self, _: usize) -> Result<[usize; 3], DataError> {
        Ok(self.layout.size)
    }

    fn common_size(&self) -> Option<[usize; 3]> {
        Some(self.layout.size)
    }
}
