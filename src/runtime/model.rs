//! A network with its parameters, ready to run in any number of sessions.

use std::sync::Arc;

use super::bound_weight::BoundWeight;
use super::error::RunError;
use super::packed_weights::PackedWeights;
use super::params::{ParamError, ParamStore};
use super::weights::{self, WeightCache};
use crate::check::at_size;
use crate::ir::{Canonical, Network, Precision, ShapedNetwork};
use crate::passes::{self, Optimized};
use crate::plan::{ConvStrategy, Plan, PlanOptions, Settings, alternatives, plan};

/// A compiled network with its parameters. Cheap to clone, `Send` and `Sync`; sessions share its weights.
#[derive(Clone, Debug)]
pub struct Model {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    network: Optimized,
    params: ParamStore,
    weights: Arc<WeightCache>,
    settings: Settings,
}

/// Checks that a network's parameters are there.
fn has_all(network: &ShapedNetwork, params: &ParamStore) -> Result<(), ParamError> {
    let graph = network.graph();
    graph.ids().flat_map(|id| &graph.node(id).params).try_for_each(|param| params.has(&param.source, &param.shape))
}

impl Model {
    /// Optimizes a network for inference. Fails if the store lacks one of its parameters.
    pub fn new(network: impl Into<Canonical>, params: ParamStore) -> Result<Model, ParamError> {
        Model::with_packed_weights(network, params, None, None)
    }

    /// Like [`Model::new`], with weights that are already packed and with planner settings.
    pub fn with_packed_weights(
        network: impl Into<Canonical>,
        params: ParamStore,
        packed: Option<PackedWeights>,
        settings: Option<Settings>,
    ) -> Result<Model, ParamError> {
        let network = network.into();
        // weights of layers with less precision may be stored without what they are made from
        if network.network.precision.is_f32() {
            has_all(&network, &params)?;
        }
        let network = passes::inference(network);
        let graph = network.graph();
        if let Some(id) = graph.ids().find(|&id| graph.node(id).precision == Precision::Int8) {
            return Err(ParamError::Uncalibrated { name: graph.node(id).name.clone() });
        }
        has_all(&network, &params)?;
        let settings = settings.unwrap_or_default();
        Ok(Model { inner: Arc::new(Inner { network, params, weights: Arc::new(WeightCache::new(packed)), settings }) })
    }

    /// The same model with other planner settings; weights that are already packed are shared.
    pub fn with_settings(self, settings: Settings) -> Model {
        let Inner { network, params, weights, .. } = &*self.inner;
        let inner = Inner { network: network.clone(), params: params.clone(), weights: Arc::clone(weights), settings };
        Model { inner: Arc::new(inner) }
    }

    /// The planner settings.
    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// The network: its optimized graph, labels, and preprocessing.
    pub fn network(&self) -> &Network {
        &self.inner.network.network
    }

    /// The optimized network with its shapes.
    pub fn optimized(&self) -> &Optimized {
        &self.inner.network
    }

    /// Whether it has bf16 layers that this machine computes in f32 and rounds.
    pub fn emulates_bf16(&self) -> bool {
        let graph = self.inner.network.graph();
        graph.ids().any(|id| graph.node(id).precision == Precision::Bf16)
    }

    /// The original parameters.
    pub fn params(&self) -> &ParamStore {
        &self.inner.params
    }

    /// Bytes of the weights derived or packed so far, without those used as stored.
    pub fn packed_bytes(&self) -> usize {
        self.inner.weights.bytes().0
    }

    /// Bytes of the artifact's packed weights in use so far.
    pub fn mapped_bytes(&self) -> usize {
        self.inner.weights.bytes().1
    }

    /// The packed weights that the model was created with.
    pub fn packed_weights(&self) -> Option<&PackedWeights> {
        self.inner.weights.packed()
    }

    /// The weights that a plan derives or packs, to be stored in an artifact.
    pub fn pack(&self, plan: &Plan) -> Result<PackedWeights, RunError> {
        let mut packed = PackedWeights::new(plan.options.isa);
        for (weight, bound) in plan.weights.iter().zip(self.bind(plan)?) {
            if !matches!(*bound, BoundWeight::Stored(_)) {
                packed.list.insert((weight.name.clone(), weight.layout), bound);
            }
        }
        Ok(packed)
    }

    /// Checks that the packed weights used by a plan have the right length.
    pub fn check_packed_weights(&self, plan: &Plan) -> Result<(), RunError> {
        let Some(packed) = self.packed_weights() else { return Ok(()) };
        let mut used = plan.weights.iter().filter_map(|w| Some((w, packed.list.get(&weights::key(w))?)));
        used.try_for_each(|(weight, values)| weights::fits(weight, values))
    }

    /// The plan for a batch, a thread count, and a height and width where the network leaves them free.
    pub fn plan(&self, options: &PlanOptions, size: [Option<usize>; 2]) -> Result<Plan, RunError> {
        let Inner { network, settings, .. } = &*self.inner;
        match size {
            [None, None] => Ok(plan(network, options, settings)?),
            size => Ok(plan(&at_size(network, size.map(|n| n.unwrap_or(1)))?, options, settings)?),
        }
    }

    /// The strategies worth measuring for each convolution: see [`alternatives`].
    pub(super) fn alternatives(
        &self,
        options: &PlanOptions,
        size: [Option<usize>; 2],
    ) -> Result<Vec<(String, Vec<ConvStrategy>)>, RunError> {
        let Inner { network, settings, .. } = &*self.inner;
        match size {
            [None, None] => Ok(alternatives(network, options, settings)?),
            size => Ok(alternatives(&at_size(network, size.map(|n| n.unwrap_or(1)))?, options, settings)?),
        }
    }

    pub(super) fn bind(&self, plan: &Plan) -> Result<Vec<Arc<BoundWeight>>, RunError> {
        self.inner.weights.bind(&plan.weights, &self.inner.params, plan.options.threads)
    }
}
