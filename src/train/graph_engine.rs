//! The engine that plans and runs the graph of a training step.

use std::borrow::Cow;

use ndarray::ArrayViewD;

use super::{Batch, BatchStats, Engine, LayerKind, StateTensor, TrainError, TrainedParam};
use crate::base::tensor::Tensor;
use crate::grad::{self, GradOptions};
use crate::ir::{BatchNorm, Canonical, Checked, Op, ParamRole, ParamSource};
use crate::passes;
use crate::plan::Settings;
use crate::runtime::{Model, NotFinite, ParamStore, RunError, Session, SessionOptions, StepInputs, TrainSession};

/// A norm: its layer, its attributes, its elements a channel and sample, and where its running mean stands among the states (the
/// variance behind it).
struct Statistics {
    layer: String,
    norm: BatchNorm,
    plane: usize,
    state: usize,
}

/// Where a parameter's gradient stands in the step's outputs.
struct Source {
    output: String,
    /// First float: a norm's two gradients share an output.
    start: usize,
}

/// How an engine computes.
#[derive(Clone, Copy, Debug, Default)]
pub struct EngineOptions {
    /// Threads and instruction set.
    pub session: SessionOptions,
    /// The seed of what dropout drops.
    pub seed: u64,
    /// Without Winograd's convolutions, whose results are rounded differently.
    pub precise: bool,
}

/// Computes gradients by planning and running the graph that [`grad::training`] makes.
pub struct GraphEngine {
    network: Canonical,
    step: TrainSession,
    options: EngineOptions,
    params: Vec<TrainedParam>,
    sources: Vec<Option<Source>>,
    state: Vec<StateTensor>,
    norms: Vec<Statistics>,
    /// Whether the next gradients overwrite.
    cleared: bool,
    /// For evaluation, with the parameters as they were when it was made.
    inference: Option<Session>,
}

impl GraphEngine {
    /// For a network as the front end made it, beginning with these parameters.
    pub fn new(
        network: &Checked,
        store: &ParamStore,
        what: &GradOptions,
        options: EngineOptions,
    ) -> Result<GraphEngine, TrainError> {
        let network = network.canonical();
        let joint = grad::training(&network, what).map_err(|e| TrainError::Recipe(e.to_string()))?;
        let joint = passes::training(joint);
        let (mut params, mut sources, mut state, mut norms) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let graph = network.graph();
        for id in graph.order() {
            let node = graph.node(id);
            let layer = match &node.op {
                Op::BatchNorm(norm) => {
                    let plane = network.shape(id).sizes().map_or(1, |sizes| sizes[1..].iter().product());
                    norms.push(Statistics { layer: node.name.clone(), norm: *norm, plane, state: state.len() });
                    LayerKind::BatchNorm
                }
                Op::Linear(_) => LayerKind::Linear,
                _ => LayerKind::Conv,
            };
            for param in &node.params {
                let ParamSource::Named(name) = &param.source else { continue };
                let len = param.shape.iter().product();
                let values = store.values(name, len).map_err(RunError::from)?.into_owned();
                if !param.role.is_learned() {
                    state.push(StateTensor { name: name.clone(), values });
                    continue;
                }
                let source = (!what.is_frozen(name)).then(|| match (layer, param.role) {
                    (LayerKind::BatchNorm, ParamRole::Bias) => {
                        Source { output: format!("{}{}", grad::GRAD, node.name), start: len }
                    }
                    (LayerKind::BatchNorm, _) => Source { output: format!("{}{}", grad::GRAD, node.name), start: 0 },
                    (LayerKind::Conv | LayerKind::Linear, _) => Source { output: format!("{}{name}", grad::GRAD), start: 0 },
                });
                // a layer that the loss does not depend on stays as it is
                let source = source.filter(|s| joint.graph().outputs().iter().any(|(name, _)| *name == s.output));
                let gradient = if source.is_some() { vec![0.0; len] } else { Vec::new() };
                sources.push(source);
                let (name, role, shape) = (name.clone(), param.role, param.shape.clone());
                params.push(TrainedParam { name, role, layer, shape, values, gradient });
            }
        }
        let names = params.iter().map(|p: &TrainedParam| (p.name.clone(), p.values.len())).collect();
        let settings = Settings { precise: options.precise, winograd_f2_only: true, ..Settings::default() };
        let step = TrainSession::new(joint, names, settings, options.session)?;
        Ok(GraphEngine { network, step, options, params, sources, state, norms, cleared: true, inference: None })
    }

    /// The session that runs the steps.
    pub fn session(&mut self) -> &mut TrainSession {
        &mut self.step
    }

    /// The parameters and running statistics as they are.
    pub fn store(&self) -> Result<ParamStore, TrainError> {
        let tensor = |name: &str, shape: Vec<usize>, values: &[f32]| {
            let tensor = Tensor::from_f32(shape, values.to_vec());
            let tensor = tensor.ok_or_else(|| internal(format!("`{name}` does not fit its shape")))?;
            Ok((name.to_owned(), tensor))
        };
        let learned = self.params.iter().map(|p| tensor(&p.name, p.shape.clone(), &p.values));
        let state = self.state.iter().map(|s| tensor(&s.name, vec![s.values.len()], &s.values));
        learned.chain(state).collect()
    }

    /// Runs what is given on a batch, a step of the graph at a time or all at once.
    fn on<T>(
        &mut self,
        batch: &Batch<'_>,
        step: u64,
        run: impl FnOnce(&mut TrainSession, &StepInputs<'_>) -> Result<T, RunError>,
    ) -> Result<T, TrainError> {
        let images = self.checked(batch)?;
        let labels: Vec<f32> = batch.labels.iter().map(|&label| label as f32).collect();
        let params: Vec<&[f32]> = self.params.iter().map(|p| &p.values[..]).collect();
        let noise = [self.options.seed, step];
        let inputs = StepInputs { batch: labels.len(), inputs: &[&images, &labels], params: &params, noise };
        Ok(run(&mut self.step, &inputs)?)
    }

    /// Holds a batch to the network; its images are copied where they do not lie one behind the other.
    fn checked<'a>(&self, batch: &'a Batch<'_>) -> Result<Cow<'a, [f32]>, TrainError> {
        let graph = self.network.graph();
        let classes = graph.outputs().first().and_then(|(_, v)| self.network.shape(v.node).sizes()).map_or(0, |s| s[0]);
        if let Some(label) = batch.labels.iter().find(|&&label| label as usize >= classes) {
            return Err(TrainError::Recipe(format!("the class {label} is not among the network's {classes}")));
        }
        let shape = batch.images.shape();
        let expected = graph.inputs().first().and_then(|&id| self.network.shape(id).sizes());
        if shape[0] != batch.labels.len() || shape[0] == 0 || expected.as_deref() != Some(&shape[1..]) {
            let expected = expected.map(|e| format!("{e:?}")).unwrap_or_default();
            let text = format!("a batch of {shape:?} with {} labels does not fit an input of {expected}", batch.labels.len());
            return Err(TrainError::Recipe(text));
        }
        Ok(batch.images.to_slice().map_or_else(|| batch.images.iter().copied().collect(), Cow::Borrowed))
    }

    /// Does something with the session that evaluates, on a batch. The network's main output is one of scores there, even where the
    /// network ends in a softmax.
    fn infer<T>(
        &mut self,
        batch: &Batch<'_>,
        run: impl FnOnce(&mut Session, &[(&str, ArrayViewD<'_, f32>)]) -> Result<T, RunError>,
    ) -> Result<T, TrainError> {
        let images = self.checked(batch)?;
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

    /// Takes over the gradients of the last run.
    fn take_gradients(&mut self, scale: f32) -> Result<(), TrainError> {
        for (param, source) in self.params.iter_mut().zip(&self.sources) {
            let Some(Source { output, start }) = source else { continue };
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

    /// Moves the running statistics by those of the last run: PyTorch's rule, with the unbiased variance.
    fn move_statistics(&mut self, batch: usize) {
        for Statistics { layer, norm, plane, state } in &self.norms {
            // a norm that the loss does not depend on is not computed
            let Some(stats) = self.step.output(&format!("{}{layer}", grad::STATS)) else { continue };
            let pair = self.state.get_mut(*state..state + 2).and_then(|s| <&mut [_; 2]>::try_from(s).ok());
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
        self.on(batch, step, TrainSession::run)?;
        self.take_gradients(scale)?;
        self.move_statistics(batch.labels.len());
        self.inference = None;
        let loss_sum = self.output(grad::LOSS)?.iter().map(|&v| f64::from(v)).sum();
        let correct = correct(self.output(grad::SCORES)?, batch.labels);
        Ok(BatchStats { loss_sum, correct, count: batch.labels.len() })
    }

    fn clear(&mut self) {
        self.cleared = true;
    }

    fn parameters(&mut self) -> &mut [TrainedParam] {
        self.inference = None;
        &mut self.params
    }

    fn state(&mut self) -> &mut [StateTensor] {
        self.inference = None;
        &mut self.state
    }

    fn evaluate(&mut self, batch: &Batch<'_>) -> Result<BatchStats, TrainError> {
        let outputs = self.infer(batch, |session, inputs| session.run(inputs))?;
        let scores: Vec<f32> = outputs.main().iter().copied().collect();
        let loss_sum = losses(&scores, batch.labels);
        Ok(BatchStats { loss_sum, correct: correct(&scores, batch.labels), count: batch.labels.len() })
    }

    fn first_not_finite(&mut self, batch: &Batch<'_>, step: u64) -> Option<NotFinite> {
        self.on(batch, step, TrainSession::first_not_finite).ok().flatten()
    }

    fn first_not_finite_evaluating(&mut self, batch: &Batch<'_>) -> Option<NotFinite> {
        self.infer(batch, |session, inputs| session.first_not_finite(inputs)).ok().flatten()
    }
}

fn internal(what: String) -> TrainError {
    TrainError::Run(RunError::Internal(what))
}

/// Samples whose highest score is their class's; none whose scores are no numbers.
fn correct(scores: &[f32], labels: &[u32]) -> usize {
    let classes = scores.len() / labels.len().max(1);
    let best = |scores: &[f32]| scores.iter().enumerate().fold(0, |best, (i, &v)| if v > scores[best] { i } else { best });
    let is_right = |(scores, label): (&[f32], &u32)| !scores.iter().any(|v| v.is_nan()) && best(scores) == *label as usize;
    scores.chunks(classes.max(1)).zip(labels).filter(|(scores, label)| is_right((scores, label))).count()
}

/// The sum of the samples' cross-entropies, as PyTorch's `log_softmax` has them: no probability is rounded on the way.
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
    fn scores_that_are_no_numbers_are_never_right_and_their_loss_is_none() {
        let scores = [f32::NAN, f32::NAN, f32::INFINITY, 0.0, 3.0, 1.0];
        assert_eq!(correct(&scores, &[0, 0, 0]), 2);
        assert!(losses(&scores[..2], &[0]).is_nan() && losses(&scores[2..4], &[0]).is_nan());
        // torch.nn.functional.cross_entropy of [0, 1000] and class 0
        assert_eq!(losses(&[0.0, 1000.0], &[0]), 1000.0);
        assert_eq!(losses(&[0.0, f32::NEG_INFINITY], &[1]), f64::INFINITY);
    }
}
