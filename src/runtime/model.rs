//! A network with its parameters, ready to be run by any number of sessions.

use std::sync::Arc;

use super::error::RunError;
use super::params::{ParamError, ParamStore};
use super::session::{Session, SessionOptions};
use super::weights::{BoundWeight, WeightCache};
use crate::check::at_size;
use crate::ir::{Checked, Network};
use crate::passes;
use crate::plan::{Plan, PlanOptions, plan};

/// A compiled network with its parameters. Cheap to clone, `Send` and `Sync`: sessions share its weights.
#[derive(Clone, Debug)]
pub struct Model {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    checked: Checked,
    params: ParamStore,
    weights: WeightCache,
}

impl Model {
    /// Optimises a checked network for inference. Fails where the store lacks one of its parameters.
    pub fn new(checked: Checked, params: ParamStore) -> Result<Model, ParamError> {
        for id in checked.graph().ids() {
            for param in &checked.graph().node(id).params {
                params.has(&param.source, &param.shape)?;
            }
        }
        let checked = passes::inference(checked);
        Ok(Model { inner: Arc::new(Inner { checked, params, weights: WeightCache::default() }) })
    }

    /// A session with as many threads as the process may use.
    pub fn session(&self) -> Result<Session, RunError> {
        self.session_with(SessionOptions::default())
    }

    /// A session.
    pub fn session_with(&self, options: SessionOptions) -> Result<Session, RunError> {
        Session::new(self.clone(), options)
    }

    /// The network: its optimised graph, labels, and how to prepare an image.
    pub fn network(&self) -> &Network {
        &self.inner.checked.network
    }

    /// The optimised network with its shapes.
    pub fn checked(&self) -> &Checked {
        &self.inner.checked
    }

    /// The parameters as they were given.
    pub fn params(&self) -> &ParamStore {
        &self.inner.params
    }

    /// Bytes of the weights that were derived or packed so far; those used as stored are not among them.
    pub fn packed_bytes(&self) -> usize {
        self.inner.weights.bytes()
    }

    /// The plan for a batch, a thread count, and a height and width where the network leaves them free.
    pub fn plan(&self, options: &PlanOptions, size: [Option<usize>; 2]) -> Result<Plan, RunError> {
        match size {
            [None, None] => Ok(plan(&self.inner.checked, options)?),
            size => Ok(plan(&at_size(&self.inner.checked, size.map(|n| n.unwrap_or(1)))?, options)?),
        }
    }

    pub(super) fn bind(&self, plan: &Plan) -> Result<Vec<Arc<BoundWeight>>, RunError> {
        self.inner.weights.bind(&plan.weights, &self.inner.params)
    }
}
