//! The interpreter's values.

/// A value with its batch axis: `[n, channels, height, width]` or `[n, features]`.
#[derive(Clone)]
pub(super) struct Array {
    pub shape: Vec<usize>,
    pub data: Vec<f64>,
}

impl Array {
    /// Samples, channels, and elements per channel.
    pub fn planes(&self) -> (usize, usize, usize) {
        (self.shape[0], self.shape.get(1).copied().unwrap_or(1), self.shape.iter().skip(2).product())
    }

    /// Samples, channels, height, width. The shape rule ensures rank 4.
    pub fn map(&self) -> [usize; 4] {
        [self.shape[0], self.shape[1], self.shape[2], self.shape[3]]
    }
}
