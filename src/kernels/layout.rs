//! How a value lies in memory.

/// The order of a value's elements. A vector of features is a map of 1 x 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layout {
    /// Sample, channel, row, column.
    Nchw,
    /// Sample, block of `lanes` channels, row, column, channel within the block; channels are filled up with zeros to a
    /// whole block, and a border of `halo` zeros lies around each map, so that padding needs no condition.
    Blocked {
        /// Channels in a block: 16 for AVX-512, 8 for AVX2.
        lanes: usize,
        /// Width of the border, on every side.
        halo: usize,
    },
}

impl Layout {
    /// Floats of a value with those samples, channels, height and width; `None` where that overflows.
    pub fn len(self, [batch, channels, height, width]: [usize; 4]) -> Option<usize> {
        let product = |sizes: [usize; 4]| sizes.into_iter().try_fold(1usize, usize::checked_mul);
        match self {
            Layout::Nchw => product([batch, channels, height, width]),
            Layout::Blocked { lanes, halo } => {
                let around = |n: usize| n.checked_add(halo.checked_mul(2)?);
                product([batch, channels.checked_next_multiple_of(lanes)?, around(height)?, around(width)?])
            }
        }
    }
}
