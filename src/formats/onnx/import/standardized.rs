//! Weights that the file standardizes itself, with the names of the file: the convolution standardizes them here too, so that the
//! state dict has what the network needs.

use super::Importer;
use super::call::Call;
use super::layers::Filters;
use super::values::Known;
use crate::base::tensor::Tensor;
use crate::ir::Standardize;

/// The numbers that are added to variances: the one that fits best is the file's.
const EPSILONS: [f64; 5] = [1e-5, 1e-6, 1e-8, 1e-4, 1e-3];

/// How far a weight may be from one that is standardized here, over its largest value.
const TOLERANCE: f64 = 1e-4;

/// A convolution's own weight, and how it is standardized.
pub(super) struct Standardized {
    pub name: String,
    pub weight: Tensor,
    pub how: Standardize,
    pub gain: Option<Tensor>,
}

impl Importer<'_> {
    /// Remembers which weight of the file the results of an evaluated node come from.
    pub(super) fn trace(&mut self, call: &Call<'_>) {
        if !self.keep_names {
            return;
        }
        let source = |slot: usize| match self.known(call, slot)? {
            Known::Tensor(name, _) if name.ends_with(".weight") && self.originals.contains_key(name.as_str()) => {
                Some(name.clone())
            }
            Known::Tensor(name, _) => self.weights.get(name).cloned(),
            _ => None,
        };
        let Some(source) = (0..call.node.input.len()).find_map(source) else { return };
        self.weights.extend(call.node.output.iter().map(|name| (name.clone(), source.clone())));
    }

    /// The weight that a computed one is the standardized form of; `None` if it is not.
    pub(super) fn standardized(&self, filters: &Filters) -> Option<Standardized> {
        let name = self.weights.get(&filters.name)?.clone();
        let weight = self.originals.get(name.as_str())?;
        let count = *filters.weight.shape().first()?;
        let gain = self.originals.get(format!("{}.gain", name.strip_suffix(".weight")?).as_str());
        if weight.shape() != filters.weight.shape() || count == 0 || gain.is_some_and(|gain| gain.len() != count) {
            return None;
        }
        let gains = gain.map(|gain| gain.to_f32().into_owned());
        let computed = filters.weight.to_f32();
        // gains of 0, as of the last layer of a path that begins as the identity, do not tell how the others are computed
        if gain.is_some() && computed.iter().all(|&v| v == 0.0) {
            let how = self.standardize?;
            return Some(Standardized { name, weight: weight.clone(), how, gain: gain.cloned() });
        }
        let fits = EPSILONS.iter().filter_map(|&eps| {
            let own = rows(&weight.to_f32(), count, gains.as_deref(), eps);
            let (scale, off) = scale(&computed, &own)?;
            Some((eps, scale, off))
        });
        let (eps, scale, off) = fits.min_by(|a, b| a.2.total_cmp(&b.2))?;
        let fan_in = (computed.len() / count) as f64;
        let gain_scale = gain.map(|_| (scale * fan_in.sqrt() * 1e6).round() / 1e6);
        if off > TOLERANCE || (gain.is_none() && (scale - 1.0).abs() > TOLERANCE) {
            return None;
        }
        let how = Standardize { eps, gain: gain_scale };
        Some(Standardized { name, weight: weight.clone(), how, gain: gain.cloned() })
    }
}

/// Filters with mean 0 and variance 1, times a number for each.
fn rows(weight: &[f32], count: usize, gains: Option<&[f32]>, eps: f64) -> Vec<f64> {
    let len = (weight.len() / count).max(1);
    let mut out = Vec::with_capacity(weight.len());
    for (filter, row) in weight.chunks(len).enumerate() {
        let mean = row.iter().map(|&v| f64::from(v)).sum::<f64>() / len as f64;
        let variance = row.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / len as f64;
        let gain = gains.and_then(|gains| gains.get(filter)).map_or(1.0, |&gain| f64::from(gain));
        let factor = gain / (variance + eps).sqrt();
        out.extend(row.iter().map(|&v| (f64::from(v) - mean) * factor));
    }
    out
}

/// The number that brings the second values closest to the first, and how far they are then, over the largest.
fn scale(computed: &[f32], own: &[f64]) -> Option<(f64, f64)> {
    let (mut product, mut square, mut largest) = (0.0, 0.0, 0.0f64);
    for (&a, &b) in computed.iter().zip(own) {
        product += f64::from(a) * b;
        square += b * b;
        largest = largest.max(f64::from(a).abs());
    }
    let scale = product / square;
    let off = computed.iter().zip(own).map(|(&a, b)| (f64::from(a) - scale * b).abs()).fold(0.0, f64::max);
    (scale.is_finite() && largest > 0.0).then(|| (scale, off / largest))
}
