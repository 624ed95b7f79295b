//! Parameters by name, stored outside of the graph, and parameters that passes derive from them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use half::bf16;
use thiserror::Error;

use crate::base::tensor::Tensor;
use crate::ir::{FilterAxis, ParamRole, ParamSource};
use crate::kernels::standardize::Standardization;

/// Why a parameter is unavailable.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ParamError {
    /// Not in the store.
    #[error("the parameter `{name}` is missing")]
    Missing {
        /// Its full name.
        name: String,
    },
    /// A layer is int8.
    #[error("`{name}` is int8, in which no layer can run yet: choose bf16 or f32")]
    Uncalibrated {
        /// The layer.
        name: String,
    },
    /// The number of values differs from the graph's.
    #[error("the parameter `{name}` has {got} values where the network needs {expected}")]
    Size {
        /// Its full name.
        name: String,
        /// Product of the sizes in the graph.
        expected: usize,
        /// Number of values in the store.
        got: usize,
    },
}

/// Tensors by full name (`layer1.0.conv1.weight`). Cheap to clone: the tensors are shared.
#[derive(Clone, Debug, Default)]
pub struct ParamStore {
    tensors: Arc<BTreeMap<String, Tensor>>,
}

impl ParamStore {
    /// Looks up a tensor.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.tensors.get(name)
    }

    /// All tensors, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// Number of tensors.
    pub fn len(&self) -> usize {
        self.tensors.len()
    }

    /// Whether there are no tensors.
    pub fn is_empty(&self) -> bool {
        self.tensors.is_empty()
    }

    /// The values of a tensor as f32, borrowed if stored as f32; fails unless there are `len` of them.
    pub fn values(&self, name: &str, len: usize) -> Result<Cow<'_, [f32]>, ParamError> {
        Ok(self.tensor(name, len)?.to_f32())
    }

    fn tensor(&self, name: &str, len: usize) -> Result<&Tensor, ParamError> {
        let tensor = self.get(name).ok_or_else(|| ParamError::Missing { name: name.to_owned() })?;
        let got = tensor.shape().iter().product();
        if got != len {
            return Err(ParamError::Size { name: name.to_owned(), expected: len, got });
        }
        Ok(tensor)
    }

    /// Checks, without reading values, that everything a parameter of shape `shape` is made from exists and fits.
    pub fn has(&self, source: &ParamSource, shape: &[usize]) -> Result<(), ParamError> {
        let len = shape.iter().product();
        let norm = |norm: &str, filters: usize| {
            [ParamRole::Weight, ParamRole::Bias, ParamRole::RunningMean, ParamRole::RunningVar]
                .into_iter()
                .try_for_each(|role| self.tensor(&format!("{norm}.{}", role.suffix()), filters).map(|_| ()))
        };
        match source {
            ParamSource::Named(name) => self.tensor(name, len).map(|_| ()),
            ParamSource::FoldedWeight { conv, norm: n, axis, .. } => {
                self.tensor(&format!("{conv}.weight"), len)?;
                norm(n, filters(*axis, shape))
            }
            ParamSource::Standardized { weight, gain, filters, .. } => {
                self.tensor(weight, len)?;
                gain.as_ref().map_or(Ok(()), |gain| self.tensor(gain, *filters).map(|_| ()))
            }
            ParamSource::FoldedBias { conv, conv_bias, norm: n, .. } => {
                if *conv_bias {
                    self.tensor(&format!("{conv}.bias"), len)?;
                }
                norm(n, len)
            }
            ParamSource::Bf16 { stored, .. } if self.get(stored).is_some() => self.tensor(stored, len).map(|_| ()),
            ParamSource::Bf16 { of, .. } => self.has(of, shape),
            ParamSource::Scaled { of, factor, .. } => {
                self.has(of, shape)?;
                self.has(&factor.source, &factor.shape)
            }
        }
    }

    /// The values of a graph parameter of shape `shape`: borrowed if named and stored as f32; derived ones are computed in f64
    /// and rounded once.
    pub fn evaluate(&self, source: &ParamSource, shape: &[usize]) -> Result<Cow<'_, [f32]>, ParamError> {
        let len = shape.iter().product();
        match source {
            ParamSource::Named(name) => self.values(name, len),
            ParamSource::FoldedWeight { conv, norm, eps, axis } => {
                let weight = self.values(&format!("{conv}.weight"), len)?;
                let scale = self.norm(norm, *eps, filters(*axis, shape))?.0;
                Ok(Cow::Owned(scaled(&weight, &scale, *axis)))
            }
            ParamSource::Standardized { weight, gain, filters, eps, scale } => {
                let weight = self.values(weight, len)?;
                let gains = gain.as_ref().map(|gain| self.values(gain, *filters)).transpose()?;
                let of = Standardization { fan_in: len / (*filters).max(1), eps: *eps, scale: *scale };
                let mut out = vec![0.0; len];
                for (filter, (from, to)) in weight.chunks(of.fan_in.max(1)).zip(out.chunks_mut(of.fan_in.max(1))).enumerate() {
                    of.filter(from, of.factor(gains.as_deref(), filter), to);
                }
                Ok(Cow::Owned(out))
            }
            ParamSource::FoldedBias { conv, conv_bias, norm, eps } => {
                let (scale, shift) = self.norm(norm, *eps, len)?;
                let own = if *conv_bias { Some(self.values(&format!("{conv}.bias"), len)?) } else { None };
                let folded =
                    (0..len).map(|i| (shift[i] + own.as_ref().map_or(0.0, |b| f64::from(b[i])) * scale[i]) as f32).collect();
                Ok(Cow::Owned(folded))
            }
            ParamSource::Bf16 { stored, of } => {
                // what is stored is rounded already, unless the file says otherwise
                let stored = if self.get(stored).is_some() { Some(self.values(stored, len)?) } else { None };
                let values = stored.map_or_else(|| self.evaluate(of, shape), Ok)?;
                Ok(values.iter().map(|&value| bf16::from_f32(value).to_f32()).collect())
            }
            ParamSource::Scaled { of, factor, axis } => {
                let (values, factors) = (self.evaluate(of, shape)?, self.evaluate(&factor.source, &factor.shape)?);
                let factors: Vec<f64> = factors.iter().map(|&factor| f64::from(factor)).collect();
                // one factor for all
                let axis = if factors.len() == 1 { FilterAxis::First } else { *axis };
                Ok(Cow::Owned(scaled(&values, &factors, axis)))
            }
        }
    }

    /// Hints that the weight behind a parameter will not be read soon: see [`Tensor::release`].
    pub(super) fn release(&self, source: &ParamSource) {
        let tensor = match source {
            ParamSource::Named(name) => self.get(name),
            ParamSource::FoldedWeight { conv, .. } => self.get(&format!("{conv}.weight")),
            ParamSource::Standardized { weight, .. } => self.get(weight),
            ParamSource::Scaled { of, .. } => return self.release(of),
            ParamSource::Bf16 { stored, of } => match self.get(stored) {
                Some(stored) => Some(stored),
                None => return self.release(of),
            },
            // only a few floats per filter
            ParamSource::FoldedBias { .. } => None,
        };
        if let Some(tensor) = tensor {
            tensor.release();
        }
    }

    /// A batch norm in inference as `y = scale * x + shift`, with one pair per channel.
    pub fn norm(&self, norm: &str, eps: f64, channels: usize) -> Result<(Vec<f64>, Vec<f64>), ParamError> {
        let get = |role: ParamRole| self.values(&format!("{norm}.{}", role.suffix()), channels);
        let (weight, bias) = (get(ParamRole::Weight)?, get(ParamRole::Bias)?);
        let (mean, var) = (get(ParamRole::RunningMean)?, get(ParamRole::RunningVar)?);
        let scale: Vec<f64> = weight.iter().zip(var.iter()).map(|(&w, &v)| f64::from(w) / (f64::from(v) + eps).sqrt()).collect();
        let shift = (0..channels).map(|i| f64::from(bias[i]) - f64::from(mean[i]) * scale[i]).collect();
        Ok((scale, shift))
    }
}

impl FromIterator<(String, Tensor)> for ParamStore {
    fn from_iter<I: IntoIterator<Item = (String, Tensor)>>(tensors: I) -> Self {
        ParamStore { tensors: Arc::new(tensors.into_iter().collect()) }
    }
}

/// The number of filters of a weight of this shape.
fn filters(axis: FilterAxis, shape: &[usize]) -> usize {
    match axis {
        FilterAxis::First => shape.first().copied().unwrap_or(0),
        FilterAxis::Second { filters, .. } => filters,
    }
}

/// A weight times a factor for each filter.
fn scaled(weight: &[f32], factors: &[f64], axis: FilterAxis) -> Vec<f32> {
    let run = axis.run(weight.len(), factors.len()).max(1);
    let runs = weight.len() / run;
    let of_filter = |(at, values): (usize, &[f32])| {
        let factor = factors.get(axis.filter(at, runs)).copied().unwrap_or(1.0);
        values.iter().map(move |&value| (f64::from(value) * factor) as f32).collect::<Vec<f32>>()
    };
    weight.chunks(run).enumerate().flat_map(of_filter).collect()
}
