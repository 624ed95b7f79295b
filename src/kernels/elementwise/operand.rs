//! Operands that are smaller than the result, and where their values are.

use super::run::Place;
use super::strip::Memory;
use crate::kernels::layout::Layout;

/// The sizes of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Its layout.
    pub layout: Layout,
    /// Samples, channels, height, width.
    pub sizes: [usize; 4],
}

/// An operand, by what its values are shared.
#[derive(Clone, Copy, Debug)]
pub enum Operand<'a> {
    /// A value for each element: what is in the output, which is overwritten.
    InPlace,
    /// A value for each element, in the layout of the result.
    Full(&'a [f32]),
    /// A value for each channel of each sample, in the layout of the result.
    Channel(&'a [f32]),
    /// A value for each pixel of each sample, in either layout.
    Pixel(&'a [f32]),
    /// A value for each sample, in either layout.
    Sample(&'a [f32]),
    /// A parameter: a value for each channel, without filler.
    Parameter(&'a [f32]),
    /// A parameter of one value.
    Shared(&'a [f32]),
}

impl Operand<'_> {
    /// Whether it is the same for every feature map, and has a value for each element or only one.
    fn is_flat(&self) -> bool {
        matches!(self, Operand::InPlace | Operand::Full(_) | Operand::Shared(_))
    }
}

/// How a result is walked over: positions of `group` floats, in maps, in samples.
#[derive(Clone, Copy, Debug)]
pub(super) struct Walk {
    pub samples: usize,
    pub maps: usize,
    pub positions: usize,
    /// 1, or the channels of a block.
    pub group: usize,
    /// Channels of a sample.
    pub channels: usize,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// As one row of floats.
    Flat,
    /// Maps of one pixel as a row of channels for each sample.
    Rows,
    Maps,
}

impl Walk {
    pub fn new(Geometry { layout, sizes: [samples, channels, height, width] }: Geometry, operands: &[Operand<'_>]) -> Walk {
        let group = match layout {
            Layout::Nchw => 1,
            Layout::Blocked { lanes } => lanes,
        };
        let (maps, positions) = (channels.div_ceil(group), height * width);
        if channels % group == 0 && operands.iter().all(Operand::is_flat) {
            let positions = samples * channels * positions;
            return Walk { samples: 1, maps: 1, positions, group: 1, channels, kind: Kind::Flat };
        }
        if group == 1 && positions == 1 {
            return Walk { samples, maps: 1, positions: channels, group, channels, kind: Kind::Rows };
        }
        Walk { samples, maps, positions, group, channels, kind: Kind::Maps }
    }

    /// Floats of the result.
    pub fn len(&self) -> usize {
        self.samples * self.maps * self.positions * self.group
    }

    /// The channels of a block that exist.
    pub fn channels_of(&self, map: usize) -> usize {
        if self.group == 1 { usize::MAX } else { self.channels - map * self.group }
    }
}

/// Where the values of an operand are.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    /// `None` if they are in the output.
    values: Option<&'a [f32]>,
    /// Floats from one sample to the next.
    sample: usize,
    /// Floats from one map to the next.
    map: usize,
    along: Along,
}

/// The values of an operand along a map.
#[derive(Clone, Copy)]
enum Along {
    /// A value for each float.
    Floats,
    /// One value.
    One,
    /// A value for each channel of a block.
    Block,
    /// A value for each position, this many floats apart.
    Positions(usize),
}

/// A run of positions of a map.
#[derive(Clone, Copy)]
pub(super) struct Run {
    pub sample: usize,
    pub map: usize,
    pub position: usize,
    pub count: usize,
}

impl<'a> View<'a> {
    /// # Panics
    /// If the operand has the wrong length.
    pub fn new(operand: Operand<'a>, walk: &Walk) -> View<'a> {
        let Walk { samples, maps, positions, group, channels, kind } = *walk;
        let full = |values: Option<&'a [f32]>| {
            assert!(values.is_none_or(|v| v.len() == walk.len()), "a full operand");
            View { values, sample: maps * positions * group, map: positions * group, along: Along::Floats }
        };
        let rows = kind == Kind::Rows;
        match operand {
            Operand::InPlace => full(None),
            Operand::Full(values) => full(Some(values)),
            Operand::Channel(values) if rows => full(Some(values)),
            Operand::Channel(values) => {
                assert_eq!(values.len(), samples * maps * group, "a value for each channel");
                let along = if group == 1 { Along::One } else { Along::Block };
                View { values: Some(values), sample: maps * group, map: group, along }
            }
            Operand::Pixel(values) if !rows => {
                let apart = apart(values.len(), samples * positions, group);
                let along = if group == 1 { Along::Floats } else { Along::Positions(apart) };
                View { values: Some(values), sample: positions * apart, map: 0, along }
            }
            Operand::Pixel(values) | Operand::Sample(values) => {
                let apart = apart(values.len(), samples, group);
                View { values: Some(values), sample: apart, map: 0, along: Along::One }
            }
            Operand::Parameter(values) => {
                assert_eq!(values.len(), channels, "a parameter for each channel");
                let along = match group {
                    1 if rows => Along::Floats,
                    1 => Along::One,
                    _ => Along::Block,
                };
                View { values: Some(values), sample: 0, map: group, along }
            }
            Operand::Shared(values) => {
                assert_eq!(values.len(), 1, "a shared parameter");
                View { values: Some(values), sample: 0, map: 0, along: Along::One }
            }
        }
    }

    /// The vectors of a run, which must be whole. `out` is the run's place in the output.
    pub fn vectors(&self, slot: usize, run: Run, walk: &Walk, lanes: usize, memory: &mut Memory, out: *const f32) -> Place {
        let Some(values) = self.values else { return Place { at: out, step: lanes, expand: false } };
        let values = &values[run.sample * self.sample + run.map * self.map..];
        let once = |at: *const f32| Place { at, step: 0, expand: false };
        match self.along {
            Along::Floats => {
                let at = values[run.position * walk.group..][..run.count * walk.group].as_ptr();
                Place { at, step: lanes, expand: false }
            }
            Along::One => once(memory.vector(slot, &[values[0]; 16][..lanes])),
            Along::Block if values.len() >= lanes => once(values.as_ptr()),
            Along::Block => once(memory.vector(slot, values)),
            Along::Positions(apart) => {
                let values = &values[run.position * apart..][..(run.count - 1) * apart + 1];
                Place { at: values.as_ptr(), step: apart, expand: true }
            }
        }
    }

    /// The vector of a run that is shorter than one.
    pub fn partial(&self, slot: usize, run: Run, lanes: usize, memory: &mut Memory, out: &[f32]) -> Place {
        let at = match (self.values, self.along) {
            (None, _) => memory.vector(slot, out),
            (Some(values), along) => {
                let values = &values[run.sample * self.sample + run.map * self.map..];
                match along {
                    Along::Floats => memory.vector(slot, &values[run.position..][..run.count]),
                    _ => memory.vector(slot, &[values[0]; 16][..lanes]),
                }
            }
        };
        Place { at, step: 0, expand: false }
    }
}

/// Floats between values of which there should be `count`: 1, or the channels of a block if they are in a blocked layout.
fn apart(len: usize, count: usize, group: usize) -> usize {
    let apart = if len == count { 1 } else { group };
    assert_eq!(len, count * apart, "values for pixels or samples");
    apart
}
