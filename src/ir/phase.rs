//! The phases of a network, a type for each, so that a function takes only what it can handle:
//!
//! ```text
//! Checked ── Canonical::from ──> Canonical ─┬─ passes::inference ──> Optimized
//!                                           └─ grad::training ─────> TrainingStep ── passes::training ──> TrainingStep
//! ```
//!
//! A [`Checked`] network is as its source declares it: exporters, the decompiler and the viewer read it. What computes reads a
//! later phase, whose 1-D values are feature maps of height 1. Each phase reads as the [`ShapedNetwork`] it contains, and only the
//! function that makes a phase can construct it.

use std::ops::{Deref, DerefMut};

use super::{Graph, Network, NodeId, Op, Precisions, Rows, Shape, ShapeError, Types, Value, gem, one_dimensional};

/// A network in which every value has a type: what all phases have in common.
#[derive(Clone, Debug)]
pub struct ShapedNetwork {
    /// The network; every node's `params` are filled in.
    pub network: Network,
    /// The type of every value.
    pub types: Types,
    /// Whether 1-D values, `channels x length`, became feature maps of height 1: see [`Canonical`].
    lifted: bool,
}

impl ShapedNetwork {
    /// The network's name.
    pub fn name(&self) -> &str {
        &self.network.name
    }

    /// The graph.
    pub fn graph(&self) -> &Graph {
        &self.network.graph
    }

    /// The graph, mutably.
    pub fn graph_mut(&mut self) -> &mut Graph {
        &mut self.network.graph
    }

    /// Sets the precisions of all layers.
    pub fn set_precision(&mut self, precision: Precisions) {
        precision.assign(&mut self.network.graph);
        self.network.precision = precision;
    }

    /// The shape of a value.
    pub fn shape(&self, value: impl Into<Value>) -> &Shape {
        self.types.shape(value)
    }

    /// Infers the types of a node's results from those of its operands.
    pub fn infer(&mut self, node: NodeId) -> Result<(), ShapeError> {
        self.types.infer(&self.network.graph, node)
    }

    /// The types of a node's results, as dumps show them.
    pub fn results_text(&self, node: NodeId) -> String {
        self.types.results(node).iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }

    /// Whether 1-D values, `channels x length`, became feature maps of height 1.
    pub fn is_lifted(&self) -> bool {
        self.lifted
    }

    /// A shape as the network declares it: 1-D values have no height.
    pub fn declared_shape(&self, shape: &Shape) -> Shape {
        if self.lifted { one_dimensional::drop_height(shape) } else { shape.clone() }
    }

    /// The sizes of a value, after the batch size, as the network declares them.
    pub fn declared_sizes(&self, sizes: &[usize]) -> Vec<usize> {
        match *sizes {
            [batch, channels, 1, length] if self.lifted => vec![batch, channels, length],
            _ => sizes.to_vec(),
        }
    }

    /// Removes the softmax at the end of the main output if that is a vector of scores (not a feature map of them). Returns whether
    /// there was one.
    fn drop_softmax(&mut self) -> bool {
        let Some((_, value)) = self.graph().outputs().first().cloned() else { return false };
        let is_row = self.shape(value).dims().is_some_and(|dims| dims.len() == 1);
        let below = self.graph().operands(value.node).first().copied();
        let Some(below) = below.filter(|_| is_row && self.graph().node(value.node).op == Op::Softmax(None)) else { return false };
        let graph = self.graph_mut();
        for (at, (name, old)) in graph.take_outputs().into_iter().enumerate() {
            graph.add_output(name, if at == 0 { below } else { old });
        }
        if !graph.is_used(value.node) {
            graph.remove(value.node);
        }
        true
    }
}

/// A network as its source declares it, with inferred shapes: the result of [`crate::check::check`].
#[derive(Clone, Debug)]
pub struct Checked(ShapedNetwork);

impl Checked {
    /// A network with the type of every value. Its nodes have their parameters.
    pub fn new(network: Network, types: Types) -> Checked {
        Checked(ShapedNetwork { network, types, lifted: false })
    }

    /// The network in the form that passes, gradients and the interpreter read.
    pub fn canonical(&self) -> Canonical {
        Canonical::from(self.clone())
    }

    /// The network without the softmax at its end, if its main output is a vector of scores (not a feature map of them): losses of
    /// scores are exact where probabilities are rounded to 0. Returns whether there was one.
    pub fn scores(mut self) -> (Checked, bool) {
        let dropped = self.drop_softmax();
        (self, dropped)
    }
}

impl Deref for Checked {
    type Target = ShapedNetwork;

    fn deref(&self) -> &ShapedNetwork {
        &self.0
    }
}

/// A network as declared is free to edit; later phases are not.
impl DerefMut for Checked {
    fn deref_mut(&mut self) -> &mut ShapedNetwork {
        &mut self.0
    }
}

impl From<Checked> for ShapedNetwork {
    fn from(checked: Checked) -> ShapedNetwork {
        checked.0
    }
}

/// A network whose 1-D values are feature maps of height 1, so that one set of passes, kernels and gradients serves both, and whose
/// generalized-mean pools are powers, means and roots.
///
/// Parameters keep their sizes: a 1-D convolution's weight is `[filters, channels / groups, length]`.
#[derive(Clone, Debug)]
pub struct Canonical(ShapedNetwork);

impl Canonical {
    /// See [`Checked::scores`].
    pub fn scores(mut self) -> (Canonical, bool) {
        let dropped = self.0.drop_softmax();
        (self, dropped)
    }
}

impl From<Checked> for Canonical {
    fn from(Checked(mut network): Checked) -> Canonical {
        lift_all(&mut network);
        gem::expand_all(&mut network.network.graph, &mut network.types);
        Canonical(network)
    }
}

/// Turns every 1-D value into a feature map of height 1.
fn lift_all(network: &mut ShapedNetwork) {
    let graph = &mut network.network.graph;
    let ids: Vec<_> = graph.ids().collect();
    for id in ids {
        for result in network.types.results_mut(id) {
            if result.rows == Rows::PerBatch || !result.shape.is_1d() {
                continue;
            }
            result.shape = one_dimensional::lift(&result.shape);
            network.lifted = true;
            if let Op::Input(declared) = &mut graph.node_mut(id).op {
                declared.clone_from(&result.shape);
            }
        }
    }
}

impl From<Canonical> for ShapedNetwork {
    fn from(canonical: Canonical) -> ShapedNetwork {
        canonical.0
    }
}

impl Deref for Canonical {
    type Target = ShapedNetwork;

    fn deref(&self) -> &ShapedNetwork {
        &self.0
    }
}

mod sealed {
    /// Gives this crate access to a phase's network, and to no other crate. A rewrite must preserve what the phase promises.
    pub trait Rewrite {
        fn network_mut(&mut self) -> &mut super::ShapedNetwork;
    }
}

pub(crate) use sealed::Rewrite;

impl Rewrite for Canonical {
    fn network_mut(&mut self) -> &mut ShapedNetwork {
        &mut self.0
    }
}

/// What the reference interpreter can evaluate: every phase but [`Checked`].
pub trait Runnable: Rewrite + Deref<Target = ShapedNetwork> + Clone {}

impl Runnable for Canonical {}

/// What can be planned: [`Optimized`](crate::passes::Optimized) networks and [`TrainingStep`](crate::grad::TrainingStep)s.
pub trait Plannable: Runnable {}
