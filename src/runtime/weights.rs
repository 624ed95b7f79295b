//! Parameters in the forms that steps need. They belong to the model and are shared by its sessions.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::error::RunError;
use super::params::ParamStore;
use crate::base::tensor::Tensor;
use crate::ir::ParamSource;
use crate::kernels::blocked::pack;
use crate::kernels::{Aligned, winograd};
use crate::plan::{Form, Weight, WeightSource};

/// A parameter ready for its kernel.
#[derive(Debug)]
pub(super) enum BoundWeight {
    /// Derived or packed.
    Made(Aligned),
    /// Used as it is stored, without a copy.
    Stored(Tensor),
}

impl BoundWeight {
    /// The values.
    pub fn values(&self) -> &[f32] {
        match self {
            BoundWeight::Made(values) => values,
            // what is not stored as f32 was made
            BoundWeight::Stored(tensor) => tensor.as_f32().unwrap_or(&[]),
        }
    }
}

/// What has been made so far, by name and form.
#[derive(Debug, Default)]
pub(super) struct WeightCache {
    made: Mutex<BTreeMap<(String, Form), Arc<BoundWeight>>>,
}

impl WeightCache {
    /// The weights of a plan, in its order; those not there yet are made.
    pub fn bind(&self, weights: &[Weight], params: &ParamStore) -> Result<Vec<Arc<BoundWeight>>, RunError> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let mut list = Vec::with_capacity(weights.len());
        for weight in weights {
            let key = (weight.name.clone(), weight.form);
            let bound = match made.get(&key) {
                Some(bound) => Arc::clone(bound),
                None => {
                    let bound = Arc::new(make(weight, params)?);
                    made.insert(key, Arc::clone(&bound));
                    bound
                }
            };
            list.push(bound);
        }
        Ok(list)
    }

    /// Bytes of what was made.
    pub fn bytes(&self) -> usize {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let size = |bound: &Arc<BoundWeight>| match &**bound {
            BoundWeight::Made(values) => size_of_val::<[f32]>(values),
            BoundWeight::Stored(_) => 0,
        };
        made.values().map(size).sum()
    }
}

fn make(weight: &Weight, params: &ParamStore) -> Result<BoundWeight, RunError> {
    let channels = weight.shape.first().copied().unwrap_or(0);
    let values = match &weight.source {
        WeightSource::Param(source) => {
            let values = params.evaluate(source, &weight.shape)?;
            if let (ParamSource::Named(name), Cow::Borrowed(_), Form::Plain) = (source, &values, weight.form)
                && let Some(tensor) = params.get(name)
            {
                return Ok(BoundWeight::Stored(tensor.clone()));
            }
            values
        }
        WeightSource::NormScale { norm, eps } => narrow(params.norm(norm, *eps, channels)?.0),
        WeightSource::NormShift { norm, eps } => narrow(params.norm(norm, *eps, channels)?.1),
    };
    let made = match weight.form {
        Form::Plain => Aligned::from_weights(&values),
        Form::Filters { lanes, groups, plain } => pack::pack(lanes, four(&weight.shape), groups, plain, &values),
        Form::Channels { lanes } => pack::pack_channels(lanes, &values),
        Form::Winograd { lanes, size } => {
            let [filters, channels, ..] = four(&weight.shape);
            winograd::pack(lanes, [filters, channels], size, &values)
        }
    };
    let made = made.map_err(|_| RunError::Memory { bytes: size_of_val::<[f32]>(&values) })?;
    if let WeightSource::Param(source) = &weight.source {
        // a mapped file must not stay in memory beside what was made from it
        params.release(source);
    }
    Ok(BoundWeight::Made(made))
}

/// The sizes of a convolution's weight.
fn four(shape: &[usize]) -> [usize; 4] {
    [0, 1, 2, 3].map(|i| shape.get(i).copied().unwrap_or(1))
}

fn narrow(values: Vec<f64>) -> Cow<'static, [f32]> {
    values.into_iter().map(|v| v as f32).collect()
}
