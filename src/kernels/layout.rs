//! How a value lies in memory.

/// The order of a value's elements. A vector of features is a map of 1 x 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layout {
    /// Sample, channel, row, column.
    Nchw,
    /// Sample, block of `lanes` channels, row, column, channel within the block; the last block is filled up with channels
    /// that nothing reads (finite numbers: kernels multiply them by zero).
    Blocked {
        /// Channels in a block: 16 for AVX-512, 8 for AVX2.
        lanes: usize,
    },
}

impl Layout {
    /// Floats of a value with those samples, channels, height and width; `None` where that overflows.
    pub fn len(self, [batch, channels, height, width]: [usize; 4]) -> Option<usize> {
        let product = |sizes: [usize; 4]| sizes.into_iter().try_fold(1usize, usize::checked_mul);
        match self {
            Layout::Nchw => product([batch, channels, height, width]),
            Layout::Blocked { lanes } => product([batch, channels.checked_next_multiple_of(lanes)?, height, width]),
        }
    }
}
