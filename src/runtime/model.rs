//! A network with its parameters, ready to be run by any number of sessions.

use std::sync::Arc;

use super::error::RunError;
use super::packs::PackedWeights;
use super::params::{ParamError, ParamStore};
use super::session::{Session, SessionOptions};
use super::weights::{self, BoundWeight, WeightCache};
use crate::check::at_size;
use crate::ir::{Checked, Network};
use crate::passes;
use crate::plan::{ConvStrategy, Plan, PlanOptions, Settings, alternatives, plan};

/// A compiled network with its parameters. Cheap to clone, `Send` and `Sync`: sessions share its weights.
#[derive(Clone, Debug)]
pub struct Model {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    checked: Checked,
    params: ParamStore,
    weights: Arc<WeightCache>,
    settings: Settings,
}

impl Model {
    /// Optimizes a checked network for inference. Fails where the store lacks one of its parameters.
    pub fn new(checked: Checked, params: ParamStore) -> Result<Model, ParamError> {
        Model::with_packs(checked, params, None, None)
    }

    /// As [`Model::new`], with weights that were packed before, and what the planner is asked for.
    pub fn with_packs(
        checked: Checked,
        params: ParamStore,
        packs: Option<PackedWeights>,
        settings: Option<Settings>,
    ) -> Result<Model, ParamError> {
        for id in checked.graph().ids() {
            for param in &checked.graph().node(id).params {
                params.has(&param.source, &param.shape)?;
            }
        }
        let checked = passes::inference(checked.lifted());
        let settings = settings.unwrap_or_default();
        Ok(Model { inner: Arc::new(Inner { checked, params, weights: Arc::new(WeightCache::new(packs)), settings }) })
    }

    /// The same model, planned in another way; what was packed already is shared.
    pub fn with_settings(self, settings: Settings) -> Model {
        let Inner { checked, params, weights, .. } = &*self.inner;
        let inner = Inner { checked: checked.clone(), params: params.clone(), weights: Arc::clone(weights), settings };
        Model { inner: Arc::new(inner) }
    }

    /// What the planner is asked for.
    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// A session with as many threads as the process may use.
    pub fn session(&self) -> Result<Session, RunError> {
        self.session_with(SessionOptions::default())
    }

    /// A session.
    pub fn session_with(&self, options: SessionOptions) -> Result<Session, RunError> {
        Session::new(self.clone(), options)
    }

    /// The network: its optimized graph, labels, and how to prepare an image.
    pub fn network(&self) -> &Network {
        &self.inner.checked.network
    }

    /// The optimized network with its shapes.
    pub fn checked(&self) -> &Checked {
        &self.inner.checked
    }

    /// The parameters as they were given.
    pub fn params(&self) -> &ParamStore {
        &self.inner.params
    }

    /// Bytes of the weights that were derived or packed so far; those used as they are stored are not among them.
    pub fn packed_bytes(&self) -> usize {
        self.inner.weights.bytes().0
    }

    /// Bytes of the artifact's packed weights that are in use so far.
    pub fn mapped_bytes(&self) -> usize {
        self.inner.weights.bytes().1
    }

    /// The packed weights that the model came with.
    pub fn packs(&self) -> Option<&PackedWeights> {
        self.inner.weights.packs()
    }

    /// The weights that a plan derives or packs, to be kept in an artifact.
    pub fn pack(&self, plan: &Plan) -> Result<PackedWeights, RunError> {
        let mut packs = PackedWeights::new(plan.options.isa);
        for (weight, bound) in plan.weights.iter().zip(self.bind(plan)?) {
            if !matches!(*bound, BoundWeight::Stored(_)) {
                packs.list.insert((weight.name.clone(), weight.form), bound);
            }
        }
        Ok(packs)
    }

    /// Whether the packed weights that a plan would use are as long as they must be.
    pub fn check_packs(&self, plan: &Plan) -> Result<(), RunError> {
        let packed = |name: &str, form| self.packs().and_then(|packs| packs.list.get(&(name.to_owned(), form)));
        plan.weights.iter().try_for_each(|w| packed(&w.name, w.form).map_or(Ok(()), |packed| weights::fits(w, packed)))
    }

    /// The plan for a batch, a thread count, and a height and width where the network leaves them free.
    pub fn plan(&self, options: &PlanOptions, size: [Option<usize>; 2]) -> Result<Plan, RunError> {
        match size {
            [None, None] => Ok(plan(&self.inner.checked, options, &self.inner.settings)?),
            size => Ok(plan(&at_size(&self.inner.checked, size.map(|n| n.unwrap_or(1)))?, options, &self.inner.settings)?),
        }
    }

    /// The ways to compute each convolution that are worth measuring: see [`alternatives`].
    pub(super) fn alternatives(
        &self,
        options: &PlanOptions,
        size: [Option<usize>; 2],
    ) -> Result<Vec<(String, Vec<ConvStrategy>)>, RunError> {
        let Inner { checked, settings, .. } = &*self.inner;
        match size {
            [None, None] => Ok(alternatives(checked, options, settings)?),
            size => Ok(alternatives(&at_size(checked, size.map(|n| n.unwrap_or(1)))?, options, settings)?),
        }
    }

    pub(super) fn bind(&self, plan: &Plan) -> Result<Vec<Arc<BoundWeight>>, RunError> {
        self.inner.weights.bind(&plan.weights, &self.inner.params, plan.options.threads)
    }
}
