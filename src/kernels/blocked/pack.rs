//! Weights of a convolution in the order in which the micro-kernel reads them.
//!
//! Output channels are taken in units: two blocks of `lanes` at a time, and one where the number of blocks is odd. A unit's panel
//! is `[blocks][taps][channels of the block][channels of the unit]`, and panels lie one behind the other. With groups a unit
//! reads only the blocks of input channels that its groups reach; what lies in those blocks and belongs to other groups meets
//! zeros, as does the tail of the last block.

use std::collections::TryReserveError;
use std::ops::Range;

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
    fn reach(&self, unit: usize) -> Range<usize> {
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

/// The weight of a convolution as it is stored, read as it is or [turned](Filters::turned).
#[derive(Clone, Copy, Debug)]
pub struct Filters<'a> {
    values: &'a [f32],
    /// Filters, channels of a group, taps, as they are read.
    sizes: [usize; 3],
    groups: usize,
    turned: bool,
}

impl<'a> Filters<'a> {
    /// As stored: `shape` is `[filters, channels / groups, height, width]`.
    ///
    /// # Panics
    /// Where there are not as many values.
    pub fn stored(values: &'a [f32], shape: [usize; 4], groups: usize) -> Filters<'a> {
        let [filters, channels, kh, kw] = shape;
        assert_eq!(values.len(), filters * channels * kh * kw);
        Filters { values, sizes: [filters, channels, kh * kw], groups, turned: false }
    }

    /// Filters and channels of each group change places, and taps are read from the last to the first: what makes of the gradient
    /// of a convolution's result that of its input. `shape` is that of what is read.
    ///
    /// # Panics
    /// Where there are not as many values.
    pub fn turned(values: &'a [f32], shape: [usize; 4], groups: usize) -> Filters<'a> {
        Filters { turned: true, ..Filters::stored(values, shape, groups) }
    }

    /// The taps of a filter and a channel of its group, in the order of storage.
    pub fn taps(&self, filter: usize, channel: usize) -> &'a [f32] {
        let [filters, channels, taps] = self.sizes;
        let of_group = filters / self.groups;
        let at = if self.turned {
            (filter / of_group * channels + channel) * of_group + filter % of_group
        } else {
            filter * channels + channel
        };
        &self.values[at * taps..][..taps]
    }

    /// Where a tap lies in [`Filters::taps`].
    pub fn place(&self, tap: usize) -> usize {
        if self.turned { self.sizes[2] - 1 - tap } else { tap }
    }

    /// A tap of a channel, for neighboring filters from `first` on: where they begin among [`Filters::values`], and how far they are
    /// apart. Of a weight without groups.
    fn line(&self, first: usize, channel: usize, tap: usize) -> (usize, usize) {
        let [filters, channels, taps] = self.sizes;
        let place = self.place(tap);
        if self.turned {
            ((channel * filters + first) * taps + place, taps)
        } else {
            ((first * channels + channel) * taps + place, channels * taps)
        }
    }

    /// Copies a tap of a channel, of the filters from `first` on. Of a weight without groups.
    pub(in crate::kernels) fn copy(&self, first: usize, channel: usize, tap: usize, to: &mut [f32]) {
        let (start, step) = self.line(first, channel, tap);
        let from = &self.values[start..];
        if step == 1 {
            to.iter_mut().zip(from).for_each(|(to, &v)| *to = flush(v));
        } else {
            to.iter_mut().zip(from.iter().step_by(step)).for_each(|(to, &v)| *to = flush(v));
        }
    }

    /// Writes the values in the order in which they are read; what `to` has behind them stays.
    pub fn each(&self, to: &mut [f32]) {
        let [filters, channels, taps] = self.sizes;
        let mut to = to.chunks_exact_mut(taps.max(1));
        for filter in 0..filters {
            for (channel, to) in (0..channels).zip(&mut to) {
                let values = self.taps(filter, channel);
                to.iter_mut().enumerate().for_each(|(tap, to)| *to = values[self.place(tap)]);
            }
        }
    }
}

/// What kernels multiply by: a subnormal number costs them a hundred cycles, and counts for nothing.
pub(in crate::kernels) fn flush(value: f32) -> f32 {
    if value.abs() < f32::MIN_POSITIVE { 0.0 } else { value }
}

/// PackedWeights a weight of `shape` `[filters, channels / groups, height, width]`; subnormal numbers become zero.
pub fn pack(lanes: usize, shape: [usize; 4], groups: usize, plain: bool, weight: &[f32]) -> Result<Aligned, TryReserveError> {
    let units = Units::new(lanes, shape, groups, plain);
    let mut packed = Aligned::zeroed(units.panels.total())?;
    let filters = Filters::stored(weight, shape, groups);
    for unit in 0..units.count() {
        units.pack(unit, &filters, &mut packed[units.range(unit)]);
    }
    Ok(packed)
}

/// The units of a packed weight, each of which is packed by itself.
#[derive(Clone, Copy, Debug)]
pub struct Units {
    panels: Panels,
}

impl Units {
    /// Of a weight of `shape` `[filters, channels / groups, height, width]`.
    pub fn new(lanes: usize, shape: [usize; 4], groups: usize, plain: bool) -> Units {
        let [filters, channels, kh, kw] = shape;
        Units { panels: Panels::new(lanes, filters, channels * groups, groups, kh * kw, plain) }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.panels.units()
    }

    /// The floats of one.
    pub fn range(&self, unit: usize) -> Range<usize> {
        let start = self.panels.start(unit);
        start..start + self.panels.len(unit)
    }

    /// PackedWeights one into memory that is zero, or where the same unit was packed before.
    pub fn pack(&self, unit: usize, weight: &Filters<'_>, panel: &mut [f32]) {
        let Panels { lanes, filters, channels, groups, taps, depth, .. } = self.panels;
        let width = self.panels.width(unit) * lanes;
        let first = self.panels.first_block(unit) * depth;
        let of_unit = unit * 2 * lanes..filters.min(unit * 2 * lanes + width);
        let (of_group, channels) = (filters / groups, channels / groups);
        let to = |at: usize, tap: usize| (at / depth * taps + tap) * depth * width + at % depth * width;
        if groups == 1 {
            // a row of the panel at a time, which lies together
            for channel in 0..channels {
                for tap in 0..taps {
                    weight.copy(of_unit.start, channel, tap, &mut panel[to(channel, tap)..][..of_unit.len()]);
                }
            }
            return;
        }
        for filter in of_unit {
            let (lane, group) = (filter - unit * 2 * lanes, filter / of_group * channels);
            for channel in 0..channels {
                let values = weight.taps(filter, channel);
                for tap in 0..taps {
                    panel[to(group + channel - first, tap) + lane] = flush(values[weight.place(tap)]);
                }
            }
        }
    }
}

/// Numbers by channel, filled up with zeros to a whole block.
pub fn pack_channels(lanes: usize, values: &[f32]) -> Result<Aligned, TryReserveError> {
    let mut packed = Aligned::zeroed(values.len().next_multiple_of(lanes))?;
    packed[..values.len()].copy_from_slice(values);
    Ok(packed)
}
