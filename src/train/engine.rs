//! The interface between the training loop and whatever computes gradients.

use ndarray::ArrayView4;

use super::TrainError;
use crate::ir::ParamRole;
use crate::runtime::NotFinite;

/// Samples with their class labels.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// Normalized values: batch, channels, height, width.
    pub images: ArrayView4<'a, f32>,
    /// The class index of each sample.
    pub labels: &'a [u32],
}

/// Sums over a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BatchStats {
    /// The sum of the samples' losses.
    pub loss_sum: f64,
    /// The number of samples whose label has the highest score.
    pub correct: usize,
    /// The number of samples.
    pub count: usize,
}

impl BatchStats {
    /// Adds the sums of another batch.
    pub fn add(&mut self, other: BatchStats) {
        self.loss_sum += other.loss_sum;
        self.correct += other.correct;
        self.count += other.count;
    }

    /// The mean loss; 0 without samples.
    pub fn loss(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.loss_sum / self.count as f64 }
    }

    /// The fraction of samples that are classified wrongly, from 0 to 1; 0 without samples.
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
    Norm,
}

/// A trainable parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainedParam {
    /// Its full name: `layer1.0.conv1.weight`.
    pub name: String,
    /// Its role in the layer.
    pub role: ParamRole,
    /// The kind of its layer.
    pub layer: LayerKind,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its values, which the optimizer changes in place.
    pub values: Vec<f32>,
    /// The gradient, with the length of `values`. Empty for a frozen parameter, whose values do not change.
    pub gradient: Vec<f32>,
}

/// A running statistic of a batch norm.
#[derive(Clone, Debug, PartialEq)]
pub struct RunningStat {
    /// Its full name: `bn1.running_mean`.
    pub name: String,
    /// One value per channel.
    pub values: Vec<f32>,
}

/// Computes losses and gradients of a network, and owns its parameters. For a given thread count, the same calls give bit-identical results.
pub trait Engine {
    /// Runs the forward and backward pass on a batch in training mode, which also updates the running statistics. Adds the gradient of the
    /// batch's mean loss, times `scale`, to the parameters' gradients; the first call after [`Engine::clear`] overwrites them. Dropout depends on
    /// `step` and the engine's seed.
    fn gradients(&mut self, batch: &Batch<'_>, scale: f32, step: u64) -> Result<BatchStats, TrainError>;

    /// Clears the gradients: the next call of [`Engine::gradients`] overwrites them.
    fn clear(&mut self);

    /// The trainable parameters, in the order of the graph. The next call uses values changed here.
    fn parameters(&mut self) -> &mut [TrainedParam];

    /// The running statistics, in the order of the graph.
    fn running_stats(&mut self) -> &mut [RunningStat];

    /// Losses and correct predictions in inference mode: with running statistics, without dropout and label smoothing.
    fn evaluate(&mut self, batch: &Batch<'_>) -> Result<BatchStats, TrainError>;

    /// Finds why the loss of [`Engine::gradients`] on this batch is not finite: the first input, parameter or layer with a value that is not
    /// finite. May be slow.
    fn first_not_finite(&mut self, _batch: &Batch<'_>, _step: u64) -> Option<NotFinite> {
        None
    }

    /// The same for [`Engine::evaluate`].
    fn first_not_finite_in_evaluation(&mut self, _batch: &Batch<'_>) -> Option<NotFinite> {
        None
    }
}
