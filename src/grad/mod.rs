//! Automatic differentiation: [`training`] extends a network to the graph of a training step, with the loss and the
//! gradient of its batch mean with respect to each parameter. The planner and the runtime treat it like any other graph.
//!
//! It works in reverse mode: from the loss back, each node accumulates its operands' gradients by the chain rule. Values that
//! need no gradient get none: inputs, and everything before the first trained parameter.

mod channel_conv;
mod conv_transpose;
mod elementwise;
mod error;
mod kept_stats;
mod layers;
mod norm;
mod reduce;
mod shapes;

use std::collections::HashMap;
use std::ops::Deref;

pub use error::GradError;

use crate::elementwise::MAX_OPERANDS;
use crate::ir::{
    Canonical, Elementwise, Graph, Node, NodeId, Op, Param, ParamRole, ParamSource, Plannable, Pool, PoolKind, Precision,
    Precisions, Rewrite, Runnable, Shape, ShapedNetwork, Train, Value, is_within,
};

/// The name of the input for class indices.
pub const LABELS: &str = "labels";
/// The name of the loss output, one number per sample.
pub const LOSS: &str = "loss";
/// The name of the score output.
pub const SCORES: &str = "scores";
/// The prefix of batch statistics outputs: `stats.bn1`, `[2, C]`.
pub const STATS: &str = "stats.";
/// The prefix of gradient outputs, before a parameter's name (`grad.conv1.weight`) or a norm's: `grad.bn1` has the gradient
/// of its weight in the first row and of its bias in the second.
pub const GRAD: &str = "grad.";

/// Which parameters are trained, and how the loss is computed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GradOptions {
    /// Label smoothing of the cross-entropy.
    pub smoothing: f64,
    /// The loss weight of each further output with as many scores as the main one. If it is not 0, there must be
    /// such an output.
    pub auxiliary: f64,
    /// The probability that a sample skips the last block's path. It decays linearly towards 0 before the first block: Huang et
    /// al. 2016, equation 4. Paths that are kept are divided by their survival probability, like torchvision's `StochasticDepth`
    /// in mode `row`, so that inference changes nothing.
    pub stochastic_depth: f64,
    /// Frozen parameters and layers, by name or by a prefix up to a dot (`layer1`).
    pub frozen: Vec<String>,
    /// Whether the batch norms of frozen layers keep their running statistics, and normalize with them as in inference.
    pub keep_stats: bool,
    /// Computes only the loss, scores and batch statistics, without gradients.
    pub forward_only: bool,
}

impl GradOptions {
    /// Whether the parameter of this name is frozen.
    pub fn is_frozen(&self, name: &str) -> bool {
        self.frozen.iter().any(|f| is_within(name, f))
    }
}

/// The graph of a training step. Made by [`training`]; [`passes::training`](crate::passes::training) optimizes it.
#[derive(Clone, Debug)]
pub struct TrainingStep(ShapedNetwork);

impl Deref for TrainingStep {
    type Target = ShapedNetwork;

    fn deref(&self) -> &ShapedNetwork {
        &self.0
    }
}

impl Rewrite for TrainingStep {
    fn network_mut(&mut self) -> &mut ShapedNetwork {
        &mut self.0
    }
}

impl Runnable for TrainingStep {}
impl Plannable for TrainingStep {}

/// The training step of a network.
///
/// Inputs: the network's, and [`LABELS`] of shape `[1]`, class indices. Outputs: [`LOSS`], [`SCORES`] (for a network that ends in
/// softmax, its input), the gradients (see [`GRAD`]) and the statistics of each norm (see [`STATS`]).
///
/// An optimized network has no gradient: its norms are folded and its dropout is gone.
///
/// ```compile_fail
/// # use resnetc::internal::grad::{GradError, GradOptions, TrainingStep, training};
/// # use resnetc::internal::{ir::Canonical, passes::Optimized};
/// fn step(network: &Optimized) -> Result<TrainingStep, GradError> {
///     training(network, &GradOptions::default())
/// }
/// ```
///
/// ```
/// # use resnetc::internal::grad::{GradError, GradOptions, TrainingStep, training};
/// # use resnetc::internal::{ir::Canonical, passes::Optimized};
/// fn step(network: &Canonical) -> Result<TrainingStep, GradError> {
///     training(network, &GradOptions::default())
/// }
/// ```
pub fn training(network: &Canonical, options: &GradOptions) -> Result<TrainingStep, GradError> {
    check_inputs(network)?;
    check_frozen(network.graph(), options)?;
    let mut network = ShapedNetwork::clone(network);
    // training computes in f32, whatever the network is to run in
    network.network.precision = Precisions::all(Precision::F32);
    network.network.precision.assign(&mut network.network.graph);
    if options.stochastic_depth > 0.0 {
        insert_stochastic_depth(&mut network, options.stochastic_depth)?;
    }
    let mut step = Differentiation::new(network, options);
    step.forward()?;
    step.loss()?;
    if !options.forward_only {
        step.backward()?;
    }
    Ok(step.finish())
}

/// All sizes must be fixed, all operators differentiable, and the name of the labels free.
fn check_inputs(network: &ShapedNetwork) -> Result<(), GradError> {
    let graph = network.graph();
    for id in graph.order() {
        let node = graph.node(id);
        if network.shape(id).sizes().is_none() {
            return Err(GradError::Free { node: node.name.clone(), shape: network.shape(id).to_string() });
        }
        if let Op::Custom(_) = node.op {
            return Err(GradError::NoGradient { node: node.name.clone(), op: node.op.word().to_owned() });
        }
        if let Op::Input(_) = node.op
            && node.name == LABELS
        {
            return Err(GradError::TakenName(node.name.clone()));
        }
    }
    Ok(())
}

/// `freeze` must name parameters, and leave some to train.
fn check_frozen(graph: &Graph, options: &GradOptions) -> Result<(), GradError> {
    let mut names = graph.ids().flat_map(|id| &graph.node(id).params).filter_map(name).collect::<Vec<_>>();
    if let Some(unknown) = options.frozen.iter().find(|f| !names.iter().any(|n| is_within(n, f))) {
        return Err(GradError::UnknownFrozen(unknown.clone()));
    }
    names.retain(|n| !options.is_frozen(n));
    if names.is_empty() { Err(GradError::NothingToTrain) } else { Ok(()) }
}

/// Inserts a per-sample dropout at the end of each block's path, before the shortcut is added.
fn insert_stochastic_depth(network: &mut ShapedNetwork, p: f64) -> Result<(), GradError> {
    let adds: Vec<NodeId> = network.network.shortcuts.iter().map(|s| s.add).collect();
    if adds.is_empty() {
        return Err(GradError::NoShortcuts);
    }
    for (index, &add) in adds.iter().enumerate() {
        let graph = network.graph_mut();
        // operand 0 is the path, operand 1 the shortcut
        let Some(&path) = graph.operands(add).first() else { continue };
        let origin = graph.node(add).origin;
        let op = Op::Train(Train::Dropout {
            p: p * (index + 1) as f64 / adds.len() as f64,
            per_sample: true,
            key: BLOCKS + index as u64,
        });
        let name = format!("{}.drop", graph.node(add).name);
        let drop = graph.add(Node { op, name, params: Vec::new(), precision: Precision::F32, origin }, &[path]);
        graph.set_operand(add, 0, drop.into());
        network.infer(drop).map_err(|error| GradError::Internal(error.to_string()))?;
    }
    Ok(())
}

/// The first key of stochastic depth, after those of dropouts.
const BLOCKS: u64 = 1 << 32;

fn name(param: &Param) -> Option<&str> {
    match &param.source {
        ParamSource::Named(name) => param.role.is_learned().then_some(name.as_str()),
        ParamSource::FoldedWeight { .. }
        | ParamSource::FoldedBias { .. }
        | ParamSource::Standardized { .. }
        | ParamSource::Scaled { .. }
        | ParamSource::Bf16 { .. } => None,
    }
}

/// The training graph under construction.
struct Differentiation<'a> {
    network: ShapedNetwork,
    options: &'a GradOptions,
    /// The network's nodes in topological order.
    order: Vec<NodeId>,
    /// By node: whether its gradient is needed.
    needed: Vec<bool>,
    /// The contributions to the gradient of each value.
    parts: HashMap<Value, Vec<Value>>,
    /// By node: the statistics of a norm.
    stats: Vec<Option<Value>>,
    /// Gradients and statistics.
    outputs: Vec<(String, Value)>,
    dropouts: u64,
}

impl<'a> Differentiation<'a> {
    fn new(mut network: ShapedNetwork, options: &'a GradOptions) -> Differentiation<'a> {
        // the front end's metadata does not describe this graph
        network.network.stages.clear();
        network.network.shortcuts.clear();
        network.network.labeled.clear();
        network.network.expects.clear();
        let graph = network.graph();
        let (bound, order) = (graph.bound(), graph.order());
        let mut needed = vec![false; bound];
        for &id in &order {
            let node = graph.node(id);
            needed[id.index()] = node.params.iter().filter_map(name).any(|n| !options.is_frozen(n))
                || graph.operands(id).iter().any(|x| needed[x.node.index()]);
        }
        let (parts, stats) = (HashMap::new(), vec![None; bound]);
        Differentiation { network, options, order, needed, parts, stats, outputs: Vec::new(), dropouts: 0 }
    }

    /// Replaces norms and dropouts with their training versions.
    fn forward(&mut self) -> Result<(), GradError> {
        for id in self.order.clone() {
            let node = self.network.graph().node(id);
            match node.op {
                Op::BatchNorm(norm) if self.keeps_stats(&node.name) => self.keep_stats(id, norm),
                Op::BatchNorm(norm) => {
                    let name = node.name.clone();
                    let x = self.operand(id, 0)?;
                    let stats = self.add(id, &format!("{name}.stats"), Op::Train(Train::NormStats), &[x], Vec::new())?;
                    let graph = self.network.graph_mut();
                    graph.push_operand(id, stats);
                    let node = graph.node_mut(id);
                    node.op = Op::Train(Train::BatchNorm { norm, epilogue: Default::default() });
                    node.params.retain(|p| p.role.is_learned());
                    self.stats[id.index()] = Some(stats);
                    self.outputs.push((format!("{STATS}{name}"), stats));
                }
                Op::Dropout(p) => {
                    let key = self.dropouts;
                    self.dropouts += 1;
                    self.network.graph_mut().node_mut(id).op = Op::Train(Train::Dropout { p, per_sample: false, key });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Adds the loss, and starts its gradient.
    fn loss(&mut self) -> Result<(), GradError> {
        let graph = self.network.graph();
        let mut outputs = graph.outputs().iter().map(|(_, value)| *value).collect::<Vec<_>>();
        for scores in &mut outputs {
            if graph.node(scores.node).op == Op::Softmax(None) {
                // cross-entropy includes the softmax, so it takes the scores before it
                *scores = self.operand(scores.node, 0)?;
            }
        }
        let &scores = outputs.first().ok_or(GradError::NoOutput)?;
        let (graph, shape) = (self.network.graph(), self.network.shape(scores).clone());
        if shape.dims().is_none_or(|d| d.len() != 1) {
            return Err(GradError::NotScores { node: graph.node(scores.node).name.clone(), shape: shape.to_string() });
        }
        if !self.needed[scores.node.index()] {
            return Err(GradError::NothingToTrain);
        }
        let mut auxiliary = outputs.split_off(1);
        auxiliary.retain(|value| self.network.shape(*value) == &shape && self.needed[value.node.index()]);
        if self.options.auxiliary == 0.0 {
            auxiliary.clear();
        } else if auxiliary.is_empty() {
            return Err(GradError::NoAuxiliary);
        }
        let labels = self.add(scores.node, LABELS, Op::Input(Shape::fixed(&[1])), &[], Vec::new())?;
        let mut losses = Vec::new();
        for (index, &scores) in [scores].iter().chain(&auxiliary).enumerate() {
            let (smoothing, weight) = (self.options.smoothing, if index == 0 { 1.0 } else { self.options.auxiliary });
            let name = if index == 0 { LOSS.to_owned() } else { format!("{LOSS}.{index}") };
            let loss = Op::Train(Train::CrossEntropy { smoothing, weight });
            losses.push(self.add(scores.node, &name, loss, &[scores, labels], Vec::new())?);
            let grad = Op::Train(Train::CrossEntropyGrad { smoothing, weight });
            let grad = self.add(scores.node, &format!("{name}.grad"), grad, &[scores, labels], Vec::new())?;
            self.parts.entry(scores).or_default().push(grad);
        }
        let loss = match losses[..] {
            [loss] => loss,
            _ => self.total(scores.node, "loss.sum", &losses)?,
        };
        self.outputs.insert(0, (LOSS.to_owned(), loss));
        self.outputs.insert(1, (SCORES.to_owned(), scores));
        Ok(())
    }

    fn backward(&mut self) -> Result<(), GradError> {
        for id in self.order.clone().into_iter().rev() {
            // every operator with a gradient has one result
            let parts = self.parts.remove(&id.into()).unwrap_or_default();
            if !self.needed[id.index()] {
                continue;
            }
            let name = self.network.graph().node(id).name.clone();
            let dy = match parts[..] {
                // the loss does not depend on it
                [] => continue,
                [dy] => dy,
                _ => self.total(id, &format!("{name}.grad"), &parts)?,
            };
            self.node(id, &name, dy)?;
        }
        Ok(())
    }

    /// Computes the gradients of a node's operands and parameters from the gradient of its result.
    fn node(&mut self, id: NodeId, name: &str, dy: Value) -> Result<(), GradError> {
        let op = self.network.graph().node(id).op.clone();
        match &op {
            Op::Input(_) => Ok(()),
            Op::Conv(conv) => self.conv(id, name, conv, dy),
            Op::ChannelConv(kernel) => self.channel_conv(id, name, *kernel, dy),
            Op::ConvTranspose(conv) => self.conv_transpose(id, name, conv, dy),
            Op::Linear(linear) => self.linear(id, name, linear, dy),
            Op::Train(Train::BatchNorm { norm, .. }) => self.norm(id, name, *norm, dy),
            Op::Train(drop @ Train::Dropout { .. }) => self.dropout(id, name, drop, dy),
            Op::OverChannels(reduction) => self.over_channels(id, name, *reduction, dy),
            Op::L2Norm(eps) => self.l2_norm(id, name, *eps, dy),
            Op::SampleNorm(norm) => self.sample_norm(id, name, *norm, dy),
            Op::Elementwise(function) => self.elementwise(id, name, function, dy),
            Op::Softmax(groups) => self.softmax(id, name, *groups, dy),
            Op::Concat => self.concat(id, name, dy),
            Op::Pool(pool) => self.pool(id, name, pool, dy),
            Op::AdaptiveAvgPool(_) => self.adaptive(id, name, dy),
            Op::Flatten => self.flatten(id, name, dy),
            Op::Pad(pad) => self.pad(id, name, pad, dy),
            Op::Crop(sides) => self.crop(id, name, *sides, dy),
            Op::Subsample(stride) => self.subsample(id, name, *stride, dy),
            Op::GlobalMaxPool => {
                let [_, h, w] = self.map(self.operand(id, 0)?.node)?;
                let pool = Pool { kind: PoolKind::MAX, kernel: [h, w], stride: [1, 1], pad: [[0; 2]; 2], ceil: false };
                self.pool(id, name, &pool, dy)
            }
            Op::Upsample(upsample) => self.upsample(id, name, *upsample, dy),
            Op::Slice(range) => self.slice(id, name, range, dy),
            Op::Rearrange(rearrange) => self.rearrange(id, name, rearrange, dy),
            Op::BatchNorm(_) | Op::Dropout(_) | Op::Gem(_) | Op::Train(_) | Op::Custom(_) => {
                Err(GradError::Internal(format!("`{name}` has no gradient")))
            }
        }
    }

    fn operand(&self, id: NodeId, slot: usize) -> Result<Value, GradError> {
        let operand = self.network.graph().operands(id).get(slot).copied();
        operand.ok_or_else(|| GradError::Internal(format!("{id} has no operand {slot}")))
    }

    /// The sizes of a node's result.
    fn sizes(&self, id: NodeId) -> Vec<usize> {
        self.network.shape(id).sizes().unwrap_or_default()
    }

    /// The sizes of a feature map.
    fn map(&self, id: NodeId) -> Result<[usize; 3], GradError> {
        self.sizes(id).try_into().map_err(|_| GradError::Internal(format!("{id} is not a feature map")))
    }

    fn needs(&self, value: Value) -> bool {
        self.needed[value.node.index()]
    }

    /// Accumulates the gradient of an operand, if it is needed.
    fn accumulate(&mut self, x: Value, part: Value) {
        self.parts.entry(x).or_default().push(part);
    }

    /// Adds a node that originates from `from`.
    fn add(&mut self, from: NodeId, name: &str, op: Op, operands: &[Value], params: Vec<Param>) -> Result<Value, GradError> {
        let graph = self.network.graph_mut();
        let origin = graph.node(from).origin;
        let id = graph.add(Node { op, name: name.to_owned(), params, precision: Precision::F32, origin }, operands);
        self.network.infer(id).map_err(|e| GradError::Internal(format!("`{name}`: {e}")))?;
        Ok(id.into())
    }

    /// The sum of two or more values, in groups of as many as one function can add.
    fn total(&mut self, from: NodeId, name: &str, values: &[Value]) -> Result<Value, GradError> {
        let Some(sum) = Elementwise::add(values.len()) else {
            let (first, rest) = values.split_at(MAX_OPERANDS);
            let part = self.total(from, &format!("{name}.{}", rest.len()), first)?;
            return self.total(from, name, &[&[part], rest].concat());
        };
        self.add(from, name, sum.into(), values, Vec::new())
    }

    /// Adds a training operator without parameters.
    fn train(&mut self, from: NodeId, name: &str, op: Train, operands: &[Value]) -> Result<Value, GradError> {
        self.add(from, name, Op::Train(op), operands, Vec::new())
    }

    /// The layer's parameter in this role, if any.
    fn param(&self, id: NodeId, role: ParamRole) -> Option<Param> {
        self.network.graph().node(id).params.iter().find(|p| p.role == role).cloned()
    }

    /// The name of the layer's parameter in this role, if it is trained.
    fn trained(&self, id: NodeId, role: ParamRole) -> Option<String> {
        let param = self.param(id, role)?;
        name(&param).filter(|n| !self.options.is_frozen(n)).map(str::to_owned)
    }

    fn finish(mut self) -> TrainingStep {
        let graph = self.network.graph_mut();
        graph.take_outputs();
        for (name, value) in self.outputs {
            graph.add_output(name, value);
        }
        // drop everything that the outputs do not depend on
        for id in graph.order().into_iter().rev() {
            if !graph.is_used(id) && !matches!(graph.node(id).op, Op::Input(_)) {
                graph.remove(id);
            }
        }
        TrainingStep(self.network)
    }
}
