//! Uncompressed images of one size, stored one after the other: IDX files and CIFAR's binary files.

use super::{DataError, Dataset, Pixels, Sample};
use crate::base::mmap::Bytes;

/// A file of fixed-length records: a head (labels, or nothing) followed by an image.
pub(super) struct PackedFile {
    /// The name of the file in messages.
    pub name: String,
    /// The records.
    pub records: Bytes,
}

/// The layout of a record.
#[derive(Clone, Copy, Debug)]
pub(super) struct RecordLayout {
    /// Bytes before the image.
    pub head: usize,
    /// Channels (1 or 3), height and width. Channels are stored one after the other.
    pub size: [usize; 3],
}

impl RecordLayout {
    /// The length of a record in bytes.
    pub fn record(self) -> usize {
        self.head + self.size.iter().product::<usize>()
    }
}

/// The images of one or more files.
pub(super) struct Packed {
    layout: RecordLayout,
    files: Vec<PackedFile>,
    labels: Vec<u32>,
    classes: Vec<String>,
}

impl Packed {
    /// Images with their labels. There must be as many labels as records.
    pub fn new(layout: RecordLayout, files: Vec<PackedFile>, labels: Vec<u32>, classes: Vec<String>) -> Packed {
        Packed { layout, files, labels, classes }
    }

    /// The file that contains a sample, and the index in that file.
    fn at(&self, index: usize) -> Option<(&PackedFile, usize)> {
        let record = self.layout.record().max(1);
        let mut left = index;
        for file in &self.files {
            let count = file.records.len() / record;
            if left < count {
                return Some((file, left));
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
        let RecordLayout { head, size: [channels, height, width] } = self.layout;
        let record = self.layout.record();
        let bytes = self.at(index).and_then(|(file, i)| file.records.get(i * record + head..(i + 1) * record));
        let bytes = bytes.ok_or_else(|| super::error::out_of_range(self.name(index)))?;
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
            Some((file, index)) => format!("{}[{index}]", file.name),
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
