//! Memory layouts.

/// The order of a value's elements. A feature vector is a 1x1 feature map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layout {
    /// Sample, channel, row, column.
    Nchw,
    /// Sample, block of `lanes` channels, row, column, channel within the block. The last block is padded with channels that do
    /// not affect results (they must be finite, since kernels multiply them by zero).
    Blocked {
        /// Channels per block: 16 for AVX-512, 8 for AVX2.
        lanes: usize,
    },
}

impl Layout {
    /// Floats of a value with these samples, channels, height and width; `None` if that overflows.
    pub fn len(self, [batch, channels, height, width]: [usize; 4]) -> Option<usize> {
        let product = |sizes: [usize; 4]| sizes.into_iter().try_fold(1usize, usize::checked_mul);
        match self {
            Layout::Nchw => product([batch, channels, height, width]),
            Layout::Blocked { lanes } => product([batch, channels.checked_next_multiple_of(lanes)?, height, width]),
        }
    }
}
