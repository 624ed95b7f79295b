//! What is known of the values of a file while it is read.

use crate::base::tensor::{DType, Tensor};
use crate::ir::{Dim, Shape, Sides, Value};

/// The most elements of a list of whole numbers that is followed: shapes, axes, pads.
const MAX_LIST: usize = 64;

/// A value of the file.
#[derive(Clone, Debug)]
pub(super) enum Known {
    /// A value of the network.
    Value(Flow),
    /// A value of the network with so many of the least numbers around it: a part of the max pools behind it.
    Lowest(Flow, Sides),
    /// A constant, with the name of the initializer that it is.
    Tensor(String, Tensor),
    /// Whole numbers that come of shapes.
    Sizes(Vec<Size>, Rank),
    /// What comes of a node that cannot be said: it silences those behind it.
    Failed,
}

/// A value of the network.
#[derive(Clone, Debug)]
pub(super) struct Flow {
    /// Which.
    pub value: Value,
    /// Its shape behind the batch.
    pub shape: Shape,
    /// How many of its axes in the file are the batch.
    pub lead: usize,
}

impl Flow {
    pub fn dims(&self) -> &[Dim] {
        self.shape.dims().unwrap_or(&[])
    }

    /// Axes in the file.
    pub fn rank(&self) -> usize {
        self.lead + self.dims().len()
    }

    /// An axis counted from the front, where it is one.
    pub fn axis(&self, axis: i64) -> Result<usize, String> {
        let rank = self.rank() as i64;
        let counted = if axis < 0 { axis.checked_add(rank) } else { Some(axis) };
        counted.filter(|a| (0..=rank).contains(a)).map(|a| a as usize).ok_or_else(|| format!("it has no axis {axis}"))
    }
}

/// Whether numbers are a list or a single one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rank {
    One,
    List,
}

/// A whole number that may depend on the input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Size {
    /// Known.
    Number(i64),
    /// The size of an axis of the batch.
    Batch(usize),
    /// The size of an axis of a value behind the batch.
    Of { dim: Dim, value: Value, axis: usize },
}

impl Size {
    /// The number, where the input does not decide.
    pub fn number(self) -> Option<i64> {
        match self {
            Size::Number(n) => Some(n),
            Size::Batch(_) => None,
            Size::Of { dim, .. } => dim.fixed().and_then(|n| i64::try_from(n).ok()),
        }
    }
}

impl Known {
    /// Whole numbers, known or not.
    pub fn sizes(&self) -> Option<(Vec<Size>, Rank)> {
        match self {
            Known::Sizes(list, rank) => Some((list.clone(), *rank)),
            Known::Tensor(_, tensor) => {
                let rank = match tensor.shape() {
                    [] => Rank::One,
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
            Known::Value(_) | Known::Lowest(..) | Known::Failed => None,
        }
    }

    /// Whole numbers that are known.
    pub fn numbers(&self) -> Option<Vec<i64>> {
        self.sizes()?.0.into_iter().map(Size::number).collect()
    }
}

/// A constant as one number, or as one for each channel of a value.
pub(super) enum PerChannel {
    One(f32),
    Each(Vec<f32>),
}

impl PerChannel {
    /// One for each of so many channels.
    pub fn spread(self, channels: usize) -> Vec<f32> {
        match self {
            PerChannel::One(v) => vec![v; channels],
            PerChannel::Each(list) => list,
        }
    }
}

/// A constant that meets a value by ONNX's broadcasting; None where it has values for more than the channels.
pub(super) fn per_channel(tensor: &Tensor, x: &Flow) -> Option<PerChannel> {
    if !tensor.dtype().is_float() || tensor.shape().len() > x.rank() {
        return None;
    }
    let values = tensor.to_f32();
    if let [one] = values[..] {
        return Some(PerChannel::One(one));
    }
    // shapes meet at their last axes; of these the channels' alone may have more than one value
    let from_end = x.rank().checked_sub(x.lead + 1)?;
    let channels = x.shape.channels()?;
    let fits = tensor.shape().iter().rev().enumerate().all(|(i, &n)| if i == from_end { n == channels } else { n == 1 });
    (fits && values.len() == channels).then(|| PerChannel::Each(values.into_owned()))
}
