//! Convolution weights in the order in which the micro-kernel reads them.
//!
//! Output channels are processed in units of two blocks of `lanes`; the last unit has one block if their number is odd. A unit's
//! panel is `[blocks][kernel elements][channels of the block][channels of the unit]`, and panels are contiguous. With groups, a
//! unit reads only the blocks of input channels that its groups use; channels of other groups in those blocks have zero weights,
//! as does the tail of the last block.

use std::collections::TryReserveError;
use std::ops::Range;

use crate::kernels::{Aligned, ConvShape};

/// How the channels of a convolution are split into blocks and units. Winograd weights have points instead of kernel elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::internal::kernels) struct Panels {
    lanes: usize,
    filters: usize,
    channels: usize,
    groups: usize,
    elements: usize,
    /// Contiguous channels in the input: `lanes`, or 1 for NCHW.
    pub depth: usize,
    /// Number of input channel blocks that a unit reads.
    pub blocks: usize,
}

impl Panels {
    /// For a weight `[filters, channels / groups, kernel]`; `plain` if the input is NCHW.
    pub fn new(lanes: usize, filters: usize, channels: usize, groups: usize, elements: usize, plain: bool) -> Panels {
        let depth = if plain { 1 } else { lanes };
        let mut panels = Panels { lanes, filters, channels, groups, elements, depth, blocks: 0 };
        panels.blocks = (0..panels.units()).map(|unit| panels.reach(unit).len()).max().unwrap_or(0);
        panels
    }

    /// For the weight of a convolution.
    pub fn of(shape: &ConvShape, lanes: usize, plain: bool) -> Panels {
        let elements = shape.kernel[0] * shape.kernel[1];
        Panels::new(lanes, shape.filters, shape.channels, shape.groups, elements, plain)
    }

    /// Number of units of output channels.
    pub fn units(&self) -> usize {
        self.filters.div_ceil(2 * self.lanes)
    }

    /// Output channel blocks of a unit: 2 or 1.
    pub fn width(&self, unit: usize) -> usize {
        (self.filters.div_ceil(self.lanes) - 2 * unit).min(2)
    }

    /// Floats of a unit's panel.
    pub fn len(&self, unit: usize) -> usize {
        self.blocks * self.elements * self.depth * self.width(unit) * self.lanes
    }

    /// Offset of a unit's panel.
    pub fn start(&self, unit: usize) -> usize {
        unit * self.blocks * self.elements * self.depth * 2 * self.lanes
    }

    /// Floats of all panels.
    pub fn total(&self) -> usize {
        self.units().checked_sub(1).map_or(0, |last| self.start(last) + self.len(last))
    }

    /// The input channel blocks that a unit's groups use.
    fn reach(&self, unit: usize) -> Range<usize> {
        let (filters, channels) = (self.filters / self.groups, self.channels / self.groups);
        let first = unit * 2 * self.lanes / filters;
        let last = ((unit + 1) * 2 * self.lanes).min(self.filters).div_ceil(filters);
        first * channels / self.depth..(last * channels).div_ceil(self.depth)
    }

    /// The first input channel block that a unit reads.
    pub fn first_block(&self, unit: usize) -> usize {
        self.reach(unit).start.min(self.channels.div_ceil(self.depth) - self.blocks)
    }
}

/// Floats of a packed weight.
pub fn packed_len(lanes: usize, shape: [usize; 4], groups: usize, plain: bool) -> usize {
    let [filters, channels, kh, kw] = shape;
    Panels::new(lanes, filters, channels * groups, groups, kh * kw, plain).total()
}

/// The stored weight of a convolution, read in order or [transposed](Filters::transposed).
#[derive(Clone, Copy, Debug)]
pub struct Filters<'a> {
    values: &'a [f32],
    /// Filters, channels per group, kernel elements, in reading order.
    sizes: [usize; 3],
    groups: usize,
    transposed: bool,
}

impl<'a> Filters<'a> {
    /// In stored order: `shape` is `[filters, channels / groups, height, width]`.
    ///
    /// # Panics
    /// If the number of values does not match.
    pub fn stored(values: &'a [f32], shape: [usize; 4], groups: usize) -> Filters<'a> {
        let [filters, channels, kh, kw] = shape;
        assert_eq!(values.len(), filters * channels * kh * kw);
        Filters { values, sizes: [filters, channels, kh * kw], groups, transposed: false }
    }

    /// Transposed: swaps the filters and channels of each group and flips the kernel, as the gradient of a convolution's input
    /// needs. `shape` is the shape after transposition.
    ///
    /// # Panics
    /// If the number of values does not match.
    pub fn transposed(values: &'a [f32], shape: [usize; 4], groups: usize) -> Filters<'a> {
        Filters { transposed: true, ..Filters::stored(values, shape, groups) }
    }

    /// The kernel elements of a filter and a channel of its group, in stored order.
    pub fn kernel(&self, filter: usize, channel: usize) -> &'a [f32] {
        let [filters, channels, elements] = self.sizes;
        let of_group = filters / self.groups;
        let at = if self.transposed {
            (filter / of_group * channels + channel) * of_group + filter % of_group
        } else {
            filter * channels + channel
        };
        &self.values[at * elements..][..elements]
    }

    /// The index of a kernel element in [`Filters::kernel`].
    pub fn index(&self, element: usize) -> usize {
        if self.transposed { self.sizes[2] - 1 - element } else { element }
    }

    /// For one kernel element of a channel and neighboring filters starting at `first`: the start in `values`, and the stride.
    /// Only for weights without groups.
    fn line(&self, first: usize, channel: usize, element: usize) -> (usize, usize) {
        let [filters, channels, elements] = self.sizes;
        let index = self.index(element);
        if self.transposed {
            ((channel * filters + first) * elements + index, elements)
        } else {
            ((first * channels + channel) * elements + index, channels * elements)
        }
    }

    /// Copies one kernel element of a channel for the filters starting at `first`. Only for weights without groups.
    pub(in crate::internal::kernels) fn copy(&self, first: usize, channel: usize, element: usize, to: &mut [f32]) {
        let (start, step) = self.line(first, channel, element);
        let from = &self.values[start..];
        if step == 1 {
            to.iter_mut().zip(from).for_each(|(to, &v)| *to = flush(v));
        } else {
            to.iter_mut().zip(from.iter().step_by(step)).for_each(|(to, &v)| *to = flush(v));
        }
    }

    /// Writes the values in reading order; the rest of `to` is unchanged.
    pub fn copy_all(&self, to: &mut [f32]) {
        let [filters, channels, elements] = self.sizes;
        let mut to = to.chunks_exact_mut(elements.max(1));
        for filter in 0..filters {
            for (channel, to) in (0..channels).zip(&mut to) {
                let values = self.kernel(filter, channel);
                to.iter_mut().enumerate().for_each(|(element, to)| *to = values[self.index(element)]);
            }
        }
    }
}

/// Flushes subnormal numbers, which are negligible but cost a hundred cycles per operation.
pub(in crate::internal::kernels) fn flush(value: f32) -> f32 {
    if value.abs() < f32::MIN_POSITIVE { 0.0 } else { value }
}

/// Packs a weight of `shape` `[filters, channels / groups, height, width]`; subnormal numbers become zero.
pub fn pack(lanes: usize, shape: [usize; 4], groups: usize, plain: bool, weight: &[f32]) -> Result<Aligned, TryReserveError> {
    let mut packed = Aligned::zeroed(packed_len(lanes, shape, groups, plain))?;
    Units::new(lanes, shape, groups, plain).pack_all(&Filters::stored(weight, shape, groups), &mut packed);
    Ok(packed)
}

/// The units of a packed weight, which can be packed independently.
#[derive(Clone, Copy, Debug)]
pub struct Units {
    panels: Panels,
}

impl Units {
    /// For a weight of `shape` `[filters, channels / groups, height, width]`.
    pub fn new(lanes: usize, shape: [usize; 4], groups: usize, plain: bool) -> Units {
        let [filters, channels, kh, kw] = shape;
        Units { panels: Panels::new(lanes, filters, channels * groups, groups, kh * kw, plain) }
    }

    /// Number of units.
    pub fn count(&self) -> usize {
        self.panels.units()
    }

    /// The range of a unit in the packed weight.
    pub fn range(&self, unit: usize) -> Range<usize> {
        let start = self.panels.start(unit);
        start..start + self.panels.len(unit)
    }

    /// Packs all units into memory that is zero.
    ///
    /// # Panics
    /// If it has another length.
    pub fn pack_all(&self, weight: &Filters<'_>, packed: &mut [f32]) {
        assert_eq!(packed.len(), self.panels.total());
        (0..self.count()).for_each(|unit| self.pack(unit, weight, &mut packed[self.range(unit)]));
    }

    /// Packs a unit into memory that is zero or already contains the same unit.
    pub fn pack(&self, unit: usize, weight: &Filters<'_>, panel: &mut [f32]) {
        let Panels { lanes, filters, channels, groups, elements, depth, .. } = self.panels;
        let width = self.panels.width(unit) * lanes;
        let first = self.panels.first_block(unit) * depth;
        let of_unit = unit * 2 * lanes..filters.min(unit * 2 * lanes + width);
        let (of_group, channels) = (filters / groups, channels / groups);
        let to = |at: usize, element: usize| (at / depth * elements + element) * depth * width + at % depth * width;
        if groups == 1 {
            // one row of the panel at a time, which is contiguous
            for channel in 0..channels {
                for element in 0..elements {
                    weight.copy(of_unit.start, channel, element, &mut panel[to(channel, element)..][..of_unit.len()]);
                }
            }
            return;
        }
        for filter in of_unit {
            let (lane, group) = (filter - unit * 2 * lanes, filter / of_group * channels);
            for channel in 0..channels {
                let values = weight.kernel(filter, channel);
                for element in 0..elements {
                    panel[to(group + channel - first, element) + lane] = flush(values[weight.index(element)]);
                }
            }
        }
    }
}

/// Values per channel, padded with zeros to a whole block.
pub fn pack_channels(lanes: usize, values: &[f32]) -> Result<Aligned, TryReserveError> {
    let mut packed = Aligned::zeroed(values.len().next_multiple_of(lanes))?;
    packed[..values.len()].copy_from_slice(values);
    Ok(packed)
}
