//! Weights of a convolution in the order in which the micro-kernel reads them.
//!
//! Output channels are taken in units: two blocks of `lanes` at a time, and one where the number of blocks is odd. A unit's panel
//! is `[blocks][taps][channels of the block][channels of the unit]`, and panels lie one behind the other. With groups a unit
//! reads only the blocks of input channels that its groups reach; what lies in those blocks and belongs to other groups meets
//! zeros, as does the tail of the last block.

use std::collections::TryReserveError;

use crate::kernels::{Aligned, ConvShape};

/// How the channels of a convolution fall into blocks and units. Winograd's weights have points in place of taps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kernels) struct Panels {
    lanes: usize,
    filters: usize,
    channels: usize,
    groups: usize,
    taps: usize,
    /// Channels that lie together in the input: `lanes`, or 1 where it is a plain map.
    pub depth: usize,
    /// Blocks of input channels that a unit reads.
    pub blocks: usize,
}

impl Panels {
    /// For a weight `[filters, channels / groups, kernel]`; `plain` where the input is a plain map.
    pub fn new(lanes: usize, filters: usize, channels: usize, groups: usize, taps: usize, plain: bool) -> Panels {
        let depth = if plain { 1 } else { lanes };
        let mut panels = Panels { lanes, filters, channels, groups, taps, depth, blocks: 0 };
        panels.blocks = (0..panels.units()).map(|unit| panels.reach(unit).len()).max().unwrap_or(0);
        panels
    }

    /// For the convolution.
    pub fn of(shape: &ConvShape, lanes: usize, plain: bool) -> Panels {
        let taps = shape.kernel[0] * shape.kernel[1];
        Panels::new(lanes, shape.filters, shape.channels, shape.groups, taps, plain)
    }

    /// Units of output channels.
    pub fn units(&self) -> usize {
        self.filters.div_ceil(2 * self.lanes)
    }

    /// Blocks of output channels of a unit: 2, or 1.
    pub fn width(&self, unit: usize) -> usize {
        (self.filters.div_ceil(self.lanes) - 2 * unit).min(2)
    }

    /// Floats of a unit's panel.
    pub fn len(&self, unit: usize) -> usize {
        self.blocks * self.taps * self.depth * self.width(unit) * self.lanes
    }

    /// Where it begins.
    pub fn start(&self, unit: usize) -> usize {
        unit * self.blocks * self.taps * self.depth * 2 * self.lanes
    }

    /// Floats of all panels.
    pub fn total(&self) -> usize {
        self.units().checked_sub(1).map_or(0, |last| self.start(last) + self.len(last))
    }

    /// The blocks of input channels that a unit's groups reach.
    fn reach(&self, unit: usize) -> std::ops::Range<usize> {
        let (filters, channels) = (self.filters / self.groups, self.channels / self.groups);
        let first = unit * 2 * self.lanes / filters;
        let last = ((unit + 1) * 2 * self.lanes).min(self.filters).div_ceil(filters);
        first * channels / self.depth..(last * channels).div_ceil(self.depth)
    }

    /// The first block of input channels that a unit reads.
    pub fn first_block(&self, unit: usize) -> usize {
        self.reach(unit).start.min(self.channels.div_ceil(self.depth) - self.blocks)
    }
}

/// Floats of a packed weight.
pub fn packed_len(lanes: usize, shape: [usize; 4], groups: usize, plain: bool) -> usize {
    let [filters, channels, kh, kw] = shape;
    Panels::new(lanes, filters, channels * groups, groups, kh * kw, plain).total()
}

/// Packs a weight of `shape` `[filters, channels / groups, height, width]`; subnormal numbers become zero.
pub fn pack(lanes: usize, shape: [usize; 4], groups: usize, plain: bool, weight: &[f32]) -> Result<Aligned, TryReserveError> {
    let [filters, channels, kh, kw] = shape;
    let taps = kh * kw;
    let panels = Panels::new(lanes, filters, channels * groups, groups, taps, plain);
    let mut packed = Aligned::zeroed(panels.total())?;
    let of_group = filters / groups;
    for unit in 0..panels.units() {
        let width = panels.width(unit) * lanes;
        let first = panels.first_block(unit) * panels.depth;
        let panel = &mut packed[panels.start(unit)..][..panels.len(unit)];
        for filter in unit * 2 * lanes..filters.min(unit * 2 * lanes + width) {
            let lane = filter - unit * 2 * lanes;
            let group = filter / of_group * channels;
            for (c, values) in weight[filter * channels * taps..][..channels * taps].chunks_exact(taps).enumerate() {
                let at = group + c - first;
                let (block, k) = (at / panels.depth, at % panels.depth);
                let mut to = ((block * taps) * panels.depth + k) * width + lane;
                for &value in values {
                    panel[to] = if value.is_subnormal() { 0.0 } else { value };
                    to += panels.depth * width;
                }
            }
        }
    }
    Ok(packed)
}

/// Numbers by channel, filled up with zeros to a whole block.
pub fn pack_channels(lanes: usize, values: &[f32]) -> Result<Aligned, TryReserveError> {
    let mut packed = Aligned::zeroed(values.len().next_multiple_of(lanes))?;
    packed[..values.len()].copy_from_slice(values);
    Ok(packed)
}
