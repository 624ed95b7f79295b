//! What is known about the values of a file during the import.

use super::axes::Axes;
use super::flow::{Flow, Size};
use crate::base::tensor::{DType, Tensor};
use crate::elementwise::Comparison;
use crate::ir::Sides;

/// The maximum length of tracked integer lists: shapes, axes, pads.
pub(super) const MAX_LIST: usize = 64;

/// A reduction over one axis of a feature map that waits for the other one.
#[derive(Clone, Debug)]
pub(super) struct HalfReduced {
    pub x: Flow,
    pub op: String,
    /// The axis of the sample that is left: 1 for rows, 2 for columns.
    pub left: usize,
    pub keeps: bool,
}

/// A value of the file.
#[derive(Clone, Debug)]
pub(super) enum Known {
    /// A value that is computed by the network.
    Value(Flow),
    /// A value of the network whose axes are split or in another order.
    Axes(Axes),
    /// A value of the network, padded with the smallest number. The padding becomes part of the max pools that read it.
    Lowest(Flow, Sides),
    /// A feature map whose channels come last in the file; its shape has them first.
    ChannelsLast(Flow),
    /// A value whose channels are in this many groups in the file, each of them a channel of its own there.
    Grouped(Flow, usize),
    /// The Euclidean norm of a value's channels, or this number if that is larger.
    Norm(Flow, f32),
    /// A feature map that is reduced over one of its axes, before the other one.
    Half(HalfReduced),
    /// Powers of a value, or their mean.
    Powers(Powers),
    /// A constant, with the name of its initializer.
    Tensor(String, Tensor),
    /// Integers that are computed from shapes.
    Sizes(Vec<Size>, Rank),
    /// Whether comparisons hold for each element.
    Condition(Condition),
    /// The result of a node that cannot be expressed. Nodes that read it report no errors.
    Failed,
}

/// Powers of a value, or their mean, until a root makes a pool of them.
#[derive(Clone, Debug)]
pub(super) struct Powers {
    /// The value that is clipped from below.
    pub x: Flow,
    pub eps: f32,
    /// The exponent, and its name in the file.
    pub name: String,
    pub p: f32,
    pub is_mean: bool,
}

/// An operand of an elementwise node.
#[derive(Clone, Debug)]
pub(super) enum Term {
    /// A value of the network.
    Flow(Flow),
    /// A constant that is the same for all elements.
    Number(f32),
}

impl Term {
    /// The value, unless it is a constant.
    pub fn flow(&self) -> Option<&Flow> {
        match self {
            Term::Flow(flow) => Some(flow),
            Term::Number(_) => None,
        }
    }

    /// Where the value is in a list of values; `None` for a constant.
    pub fn slot(&self, flows: &[Flow]) -> Option<usize> {
        match self {
            Term::Flow(flow) => flows.iter().position(|other| other.value == flow.value),
            Term::Number(_) => None,
        }
    }
}

/// A condition on the elements of values.
#[derive(Clone, Debug)]
pub(super) enum Condition {
    /// A comparison.
    Compare(Comparison, Box<[Term; 2]>),
    /// The opposite.
    Not(Box<Condition>),
    /// Both.
    And(Box<[Condition; 2]>),
    /// Either.
    Or(Box<[Condition; 2]>),
}

/// Whether integers are a list or a scalar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rank {
    Scalar,
    List,
}

impl Known {
    /// The value of the network that it is, or is a view of.
    pub fn flow(&self) -> Option<&Flow> {
        match self {
            Known::Value(flow)
            | Known::ChannelsLast(flow)
            | Known::Grouped(flow, _)
            | Known::Norm(flow, _)
            | Known::Lowest(flow, _) => Some(flow),
            Known::Axes(axes) => Some(&axes.x),
            Known::Half(half) => Some(&half.x),
            Known::Powers(powers) => Some(&powers.x),
            Known::Tensor(..) | Known::Sizes(..) | Known::Condition(_) | Known::Failed => None,
        }
    }

    /// The value as integers, known or not.
    pub fn sizes(&self) -> Option<(Vec<Size>, Rank)> {
        match self {
            Known::Sizes(list, rank) => Some((list.clone(), *rank)),
            Known::Tensor(_, tensor) => {
                let rank = match tensor.shape() {
                    [] => Rank::Scalar,
                    [_] => Rank::List,
                    _ => return None,
                };
                let bytes = tensor.to_le_bytes();
                let numbers: Vec<i64> = match tensor.dtype() {
                    _ if tensor.len() > MAX_LIST => return None,
                    DType::I64 => bytes.as_chunks::<8>().0.iter().map(|&b| i64::from_le_bytes(b)).collect(),
                    DType::I32 => bytes.as_chunks::<4>().0.iter().map(|&b| i64::from(i32::from_le_bytes(b))).collect(),
                    _ => return None,
                };
                Some((numbers.into_iter().map(Size::Number).collect(), rank))
            }
            Known::Value(_)
            | Known::Axes(_)
            | Known::ChannelsLast(_)
            | Known::Grouped(..)
            | Known::Norm(..)
            | Known::Powers(_)
            | Known::Lowest(..)
            | Known::Half(_)
            | Known::Condition(_)
            | Known::Failed => None,
        }
    }

    /// The number, if it is a single one.
    pub fn single(&self) -> Option<f32> {
        match self {
            Known::Tensor(_, tensor) if tensor.len() == 1 => tensor.to_f32().first().copied(),
            Known::Sizes(list, _) => match list[..] {
                [size] => size.number().map(|n| n as f32),
                _ => None,
            },
            _ => None,
        }
    }

    /// The number of axes of a constant.
    pub fn rank(&self) -> usize {
        match self {
            Known::Tensor(_, tensor) => tensor.shape().len(),
            Known::Sizes(_, Rank::List) => 1,
            _ => 0,
        }
    }

    /// The value as known integers.
    pub fn numbers(&self) -> Option<Vec<i64>> {
        self.sizes()?.0.into_iter().map(Size::number).collect()
    }
}

/// A constant with a single value, or with one value per channel.
pub(super) enum PerChannel {
    One(f32),
    Each(Vec<f32>),
}

impl PerChannel {
    /// Expands to one value per channel.
    pub fn expand(self, channels: usize) -> Vec<f32> {
        match self {
            PerChannel::One(v) => vec![v; channels],
            PerChannel::Each(list) => list,
        }
    }
}

/// A constant that broadcasts to a value per channel; `None` if it varies along other axes.
pub(super) fn per_channel(tensor: &Tensor, x: &Flow) -> Option<PerChannel> {
    if !tensor.dtype().is_float() || tensor.shape().len() > x.rank() {
        return None;
    }
    let values = tensor.to_f32();
    if let [one] = values[..] {
        return Some(PerChannel::One(one));
    }
    // shapes are aligned at their last axes, and only the channel axis may have more than one value
    let from_end = x.rank().checked_sub(x.lead + 1)?;
    let channels = x.shape.channels()?;
    let fits = tensor.shape().iter().rev().enumerate().all(|(i, &n)| if i == from_end { n == channels } else { n == 1 });
    (fits && values.len() == channels).then(|| PerChannel::Each(values.into_owned()))
}
