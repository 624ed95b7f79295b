//! An engine that plans and runs the graph of a training step.

use std::borrow::Cow;
use std::time::Duration;

use ndarray::ArrayViewD;

use super::{Batch, BatchStats, Engine, LayerKind, RunningStat, TrainError, TrainedParam};
use crate::base::tensor::Tensor;
use crate::grad::{self, GradOptions};
use crate::ir::{BatchNorm, Canonical, Checked, Op, ParamRole, ParamSource};
use crate::passes;
use crate::plan::{Settings, Step};
use crate::runtime::{Model, NotFinite, ParamStore, RunError, Session, SessionOptions, StepInputs, TrainSession};

/// A batch norm whose running statistics are updated.
struct NormStats {
    layer: String,
    norm: BatchNorm,
    /// Elements per channel and sample.
    plane: usize,
    /// The index of the running mean in `running_stats`. The running variance follows it.
    index: usize,
}

/// The location of a parameter's gradient in the outputs of the step.
struct GradientSource {
    output: String,
    /// The offset of the first element: the two gradients of a norm share an output.
    start: usize,
}

/// Options of a [`GraphEngine`].
#[derive(Clone, Copy, Debug, Default)]
pub struct EngineOptions {
    /// Threads and instruction set.
    pub session: SessionOptions,
    /// The seed of dropout.
    pub seed: u64,
    /// Disables Winograd convolution, which rounds differently.
    pub precise: bool,
}

/// Computes gradients by planning and running the graph from [`grad::training`].
pub struct GraphEngine {
    network: Canonical,
    step: TrainSession,
    options: EngineOptions,
    params: Vec<TrainedParam>,
    sources: Vec<Option<GradientSource>>,
    running_stats: Vec<RunningStat>,
    norms: Vec<NormStats>,
    /// Whether the next gradients overwrite the current ones.
    cleared: bool,
    /// The session for evaluation. Dropped when parameters or running statistics change.
    inference: Option<Session>,
}

impl GraphEngine {
    /// Creates an engine for a checked network, with initial parameters.
    pub fn new(
        network: &Checked,
        store: &ParamStore,
        what: &GradOptions,
        options: EngineOptions,
    ) -> Result<GraphEngine, TrainError> {
        let network = network.canonical();
        let joint = grad::training(&network, what).map_err(|e| TrainError::Recipe(e.to_string()))?;
        let joint = passes::training(joint);
        let (mut params, mut sources, mut running_stats, mut norms) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let graph = network.graph();
        for id in graph.order() {
            let node = graph.node(id);
            let layer = match &node.op {
                Op::BatchNorm(norm) => {
                    let plane = network.shape(id).sizes().map_or(1, |sizes| sizes[1..].iter().product());
                    norms.push(NormStats { layer: node.name.clone(), norm: *norm, plane, index: running_stats.len() });
                    LayerKind::Norm
                }
                op if op.is_norm() => LayerKind::Norm,
                Op::Linear(_) => LayerKind::Linear,
                _ => LayerKind::Conv,
            };
            for param in &node.params {
                let ParamSource::Named(name) = &param.source else { continue };
                // two functions may read the same one
                if params.iter().any(|known: &TrainedParam| known.name == *name) {
                    continue;
                }
                let len = param.shape.iter().product();
                let values = store.values(name, len).map_err(RunError::from)?.into_owned();
                if !param.role.is_learned() {
                    running_stats.push(RunningStat { name: name.clone(), values });
                    continue;
                }
                let source = (!what.is_frozen(name)).then(|| match (layer, param.role) {
                    (LayerKind::Norm, ParamRole::Bias) => {
                        GradientSource { output: format!("{}{}", grad::GRAD, node.name), start: len }
                    }
                    (LayerKind::Norm, _) => GradientSource { output: format!("{}{}", grad::GRAD, node.name), start: 0 },
                    (LayerKind::Conv | LayerKind::Linear, _) => {
                        GradientSource { output: format!("{}{name}", grad::GRAD), start: 0 }
                    }
                });
                // a layer that does not affect the loss is not trained
                let source = source.filter(|s| joint.graph().outputs().iter().any(|(name, _)| *name == s.output));
                let gradient = if source.is_some() { vec![0.0; len] } else { Vec::new() };
                sources.push(source);
                let (name, role, shape) = (name.clone(), param.role, param.shape.clone());
                params.push(TrainedParam { name, role, layer, shape, values, gradient });
            }
        }
        // frozen norms may read their running statistics
        let kept = running_stats.iter().map(|s: &RunningStat| (s.name.clone(), s.values.len()));
        let names = params.iter().map(|p: &TrainedParam| (p.name.clone(), p.values.len())).chain(kept).collect();
        let settings = Settings { precise: options.precise, winograd_f2_only: true, ..Settings::default() };
        let step = TrainSession::new(joint, names, settings, options.session)?;
        Ok(GraphEngine { network, step, options, params, sources, running_stats, norms, cleared: true, inference: None })
    }

    /// The session that runs the steps.
    pub fn session(&mut self) -> &mut TrainSession {
        &mut self.step
    }

    /// The current parameters and running statistics.
    pub fn store(&self) -> Result<ParamStore, TrainError> {
        let tensor = |name: &str, shape: Vec<usize>, values: &[f32]| {
            let tensor = Tensor::from_f32(shape, values.to_vec());
            let tensor = tensor.ok_or_else(|| internal(format!("`{name}` does not fit its shape")))?;
            Ok((name.to_owned(), tensor))
        };
        let learned = self.params.iter().map(|p| tensor(&p.name, p.shape.clone(), &p.values));
        let stats = self.running_stats.iter().map(|s| tensor(&s.name, vec![s.values.len()], &s.values));
        learned.chain(stats).collect()
    }

    /// Like [`Engine::gradients`], and reports the time of each step of the plan.
    pub fn gradients_timed(
        &mut self,
        batch: &Batch<'_>,
        step: u64,
        observe: impl FnMut(&Step, Duration),
    ) -> Result<BatchStats, TrainError> {
        self.with_inputs(batch, step, |session, inputs| session.run_timed(inputs, observe))?;
        self.finish(batch, 1.0)
    }

    /// Takes what the last run computed.
    fn finish(&mut self, batch: &Batch<'_>, scale: f32) -> Result<BatchStats, TrainError> {
        self.take_gradients(scale)?;
        self.update_running_stats(batch.labels.len());
        self.inference = None;
        let loss_sum = self.output(grad::LOSS)?.iter().map(|&v| f64::from(v)).sum();
        let correct = correct(self.output(grad::SCORES)?, batch.labels);
        Ok(BatchStats { loss_sum, correct, count: batch.labels.len() })
    }

    /// Calls `run` with the inputs of a step for a batch.
    fn with_inputs<T>(
        &mut self,
        batch: &Batch<'_>,
        step: u64,
        run: impl FnOnce(&mut TrainSession, &StepInputs<'_>) -> Result<T, RunError>,
    ) -> Result<T, TrainError> {
        let images = self.check_batch(batch)?;
        let labels: Vec<f32> = batch.labels.iter().map(|&label| label as f32).collect();
        let kept = self.running_stats.iter().map(|s| &s.values[..]);
        let params: Vec<&[f32]> = self.params.iter().map(|p| &p.values[..]).chain(kept).collect();
        let noise = [self.options.seed, step];
        let inputs = StepInputs { batch: labels.len(), inputs: &[&images, &labels], params: &params, noise };
        Ok(run(&mut self.step, &inputs)?)
    }

    /// Checks that a batch fits the network. Copies its images if they are not contiguous.
    fn check_batch<'a>(&self, batch: &'a Batch<'_>) -> Result<Cow<'a, [f32]>, TrainError> {
        let graph = self.network.graph();
        let classes = graph.outputs().first().and_then(|(_, v)| self.network.shape(*v).sizes()).map_or(0, |s| s[0]);
        if let Some(label) = batch.labels.iter().find(|&&label| label as usize >= classes) {
            return Err(TrainError::Recipe(format!("class {label} is out of range: the network has {classes} classes")));
        }
        let shape = batch.images.shape();
        let expected = graph.inputs().first().and_then(|&id| self.network.shape(id).sizes());
        if shape[0] != batch.labels.len() || shape[0] == 0 || expected.as_deref() != Some(&shape[1..]) {
            let expected = expected.map(|e| format!("{e:?}")).unwrap_or_default();
            let text = format!(
                "a batch of shape {shape:?} with {} labels does not fit an input of shape {expected}",
                batch.labels.len()
            );
            return Err(TrainError::Recipe(text));
        }
        Ok(batch.images.to_slice().map_or_else(|| batch.images.iter().copied().collect(), Cow::Borrowed))
    }

    /// Calls `run` with the evaluation session for a batch. Its main output is the scores before a final softmax.
    fn infer<T>(
        &mut self,
        batch: &Batch<'_>,
        run: impl FnOnce(&mut Session, &[(&str, ArrayViewD<'_, f32>)]) -> Result<T, RunError>,
    ) -> Result<T, TrainError> {
        let images = self.check_batch(batch)?;
        let session = match &mut self.inference {
            Some(session) => session,
            None => {
                let network = self.network.clone().scores().0;
                let model = Model::new(network, self.store()?).map_err(RunError::from)?;
                self.inference.insert(model.session_with(self.options.session)?)
            }
        };
        let images = ArrayViewD::from_shape(self.network.declared_sizes(batch.images.shape()), &images)
            .map_err(|e| internal(e.to_string()))?;
        let graph = self.network.graph();
        let input = graph.inputs().first().map(|&id| graph.node(id).name.clone()).unwrap_or_default();
        Ok(run(session, &[(&input, images)])?)
    }

    /// Moves the gradients of the last run to the parameters.
    fn take_gradients(&mut self, scale: f32) -> Result<(), TrainError> {
        for (param, source) in self.params.iter_mut().zip(&self.sources) {
            let Some(GradientSource { output, start }) = source else { continue };
            let found = self.step.output(output).ok_or_else(|| internal(format!("the step has no output `{output}`")))?;
            if self.cleared && scale == 1.0 && found.len() == param.gradient.len() {
                std::mem::swap(found, &mut param.gradient);
                continue;
            }
            let found = found.get(*start..).unwrap_or(&[]);
            for (to, &v) in param.gradient.iter_mut().zip(found) {
                *to = if self.cleared { scale * v } else { *to + scale * v };
            }
        }
        self.cleared = false;
        Ok(())
    }

    /// Updates the running statistics with those of the last run: PyTorch's rule, with the unbiased variance.
    fn update_running_stats(&mut self, batch: usize) {
        for NormStats { layer, norm, plane, index } in &self.norms {
            // a norm that does not affect the loss is not computed
            let Some(stats) = self.step.output(&format!("{}{layer}", grad::STATS)) else { continue };
            let pair = self.running_stats.get_mut(*index..index + 2).and_then(|s| <&mut [_; 2]>::try_from(s).ok());
            let Some([mean, var]) = pair else { continue };
            let (means, vars) = stats.split_at(mean.values.len());
            let count = plane.saturating_mul(batch);
            let unbiased = if count > 1 { count as f64 / (count - 1) as f64 } else { 1.0 };
            let mix = |old: f32, new: f64| ((1.0 - norm.momentum) * f64::from(old) + norm.momentum * new) as f32;
            mean.values.iter_mut().zip(means).for_each(|(to, &v)| *to = mix(*to, f64::from(v)));
            var.values.iter_mut().zip(vars).for_each(|(to, &v)| *to = mix(*to, f64::from(v) * unbiased));
        }
    }

    fn output(&mut self, name: &str) -> Result<&[f32], TrainError> {
        let found = self.step.output(name).map(|v| &v[..]);
        found.ok_or_else(|| internal(format!("the step has no output `{name}`")))
    }
}

impl Engine for GraphEngine {
    fn gradients(&mut self, batch: &Batch<'_>, scale: f32, step: u64) -> Result<BatchStats, TrainError> {
        self.with_inputs(batch, step, TrainSession::run)?;
        self.finish(batch, scale)
    }

    fn clear(&mut self) {
        self.cleared = true;
    }

    fn parameters(&mut self) -> &mut [TrainedParam] {
        self.inference = None;
        &mut self.params
    }

    fn running_stats(&mut self) -> &mut [RunningStat] {
        self.inference = None;
        &mut self.running_stats
    }

    fn evaluate(&mut self, batch: &Batch<'_>) -> Result<BatchStats, TrainError> {
        let outputs = self.infer(batch, |session, inputs| session.run(inputs))?;
        let scores: Vec<f32> = outputs.main().iter().copied().collect();
        let loss_sum = losses(&scores, batch.labels);
        Ok(BatchStats { loss_sum, correct: correct(&scores, batch.labels), count: batch.labels.len() })
    }

    fn first_not_finite(&mut self, batch: &Batch<'_>, step: u64) -> Option<NotFinite> {
        self.with_inputs(batch, step, TrainSession::first_not_finite).ok().flatten()
    }

    fn first_not_finite_in_evaluation(&mut self, batch: &Batch<'_>) -> Option<NotFinite> {
        self.infer(batch, |session, inputs| session.first_not_finite(inputs)).ok().flatten()
    }
}

fn internal(what: String) -> TrainError {
    TrainError::Run(RunError::Internal(what))
}

/// The number of samples whose label has the highest score. Samples with a NaN score never count.
fn correct(scores: &[f32], labels: &[u32]) -> usize {
    let classes = scores.len() / labels.len().max(1);
    let best = |scores: &[f32]| scores.iter().enumerate().fold(0, |best, (i, &v)| if v > scores[best] { i } else { best });
    let is_correct = |(scores, label): (&[f32], &u32)| !scores.iter().any(|v| v.is_nan()) && best(scores) == *label as usize;
    scores.chunks(classes.max(1)).zip(labels).filter(|(scores, label)| is_correct((scores, label))).count()
}

/// The sum of the samples' cross-entropies, computed from the scores as in PyTorch's `log_softmax`, without rounding probabilities.
fn losses(scores: &[f32], labels: &[u32]) -> f64 {
    let classes = scores.len() / labels.len().max(1);
    let loss = |(scores, &label): (&[f32], &u32)| {
        let own = scores.get(label as usize).map_or(f64::NAN, |&v| f64::from(v));
        let largest = scores.iter().fold(f64::NEG_INFINITY, |m, &v| m.max(f64::from(v)));
        let sum: f64 = scores.iter().map(|&v| (f64::from(v) - largest).exp()).sum();
        largest + sum.ln() - own
    };
    scores.chunks(classes.max(1)).zip(labels).map(loss).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_scores_are_never_correct_and_their_loss_is_nan() {
        let scores = [f32::NAN, f32::NAN, f32::INFINITY, 0.0, 3.0, 1.0];
        assert_eq!(correct(&scores, &[0, 0, 0]), 2);
        assert!(losses(&scores[..2], &[0]).is_nan() && losses(&scores[2..4], &[0]).is_nan());
        // torch.nn.functional.cross_entropy of [0, 1000] and class 0
        assert_eq!(losses(&[0.0, 1000.0], &[0]), 1000.0);
        assert_eq!(losses(&[0.0, f32::NEG_INFINITY], &[1]), f64::INFINITY);
    }
}
