//! What the loop asks of whoever computes gradients.

use ndarray::ArrayView4;

use super::TrainError;
use crate::ir::ParamRole;
use crate::runtime::NotFinite;

/// Samples with their classes.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// Normalized: batch, channels, height, width.
    pub images: ArrayView4<'a, f32>,
    /// A class index for each.
    pub labels: &'a [u32],
}

/// Sums over a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BatchStats {
    /// The samples' losses.
    pub loss_sum: f64,
    /// Samples whose highest score is their class's.
    pub correct: usize,
    /// Samples.
    pub count: usize,
}

impl BatchStats {
    /// Adds another batch's.
    pub fn add(&mut self, other: BatchStats) {
        self.loss_sum += other.loss_sum;
        self.correct += other.correct;
        self.count += other.count;
    }

    /// The mean loss; 0 without samples.
    pub fn loss(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.loss_sum / self.count as f64 }
    }

    /// The part of the samples that is answered wrongly, from 0 to 1; 0 without samples.
    pub fn error(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.count.saturating_sub(self.correct) as f64 / self.count as f64 }
    }
}

/// The layer that a parameter belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerKind {
    /// A convolution.
    Conv,
    /// A linear layer.
    Linear,
    /// A norm.
    BatchNorm,
}

/// A learned parameter in training.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainedParam {
    /// Its full name: `layer1.0.conv1.weight`.
    pub name: String,
    /// What it is to its layer.
    pub role: ParamRole,
    /// Its layer.
    pub layer: LayerKind,
    /// Its sizes.
    pub shape: Vec<usize>,
    /// Its values, which the optimizer changes in place.
    pub values: Vec<f32>,
    /// The gradient, as long as the values. Of a frozen parameter it is empty, and the values stay.
    pub gradient: Vec<f32>,
}

/// A running statistic.
#[derive(Clone, Debug, PartialEq)]
pub struct StateTensor {
    /// Its full name: `bn1.running_mean`.
    pub name: String,
    /// One for each channel.
    pub values: Vec<f32>,
}

/// Computes losses and gradients of a network, and holds its parameters. With one thread count, the same calls give the same bits.
pub trait Engine {
    /// Forward and backward over a batch in training mode, which also moves the running statistics. The gradient of the batch's mean
    /// loss, times `scale`, is added to the parameters' gradients; the first call after [`Engine::clear`] overwrites them. `step`
    /// and the engine's seed decide what dropout drops.
    fn gradients(&mut self, batch: &Batch<'_>, scale: f32, step: u64) -> Result<BatchStats, TrainError>;

    /// The next call of [`Engine::gradients`] begins again.
    fn clear(&mut self);

    /// The learned parameters, in the graph's order. Values changed here are used from the next call on.
    fn parameters(&mut self) -> &mut [TrainedParam];

    /// The running statistics, in the graph's order.
    fn state(&mut self) -> &mut [StateTensor];

    /// Losses and correct answers in inference mode: with running statistics, without dropout. No label smoothing.
    fn evaluate(&mut self, batch: &Batch<'_>) -> Result<BatchStats, TrainError>;

    /// What made the loss of [`Engine::gradients`] on this batch no finite number: the first input, parameter or layer that is none.
    /// May be slow.
    fn first_not_finite(&mut self, _batch: &Batch<'_>, _step: u64) -> Option<NotFinite> {
        None
    }

    /// The same of [`Engine::evaluate`].
    fn first_not_finite_evaluating(&mut self, _batch: &Batch<'_>) -> Option<NotFinite> {
        None
    }
}
