//! Weight standardization, by definition.

use super::array::Array;
use crate::ir::{Conv, ParamRole};
use crate::runtime::RunError;

type Needed<'a> = dyn Fn(ParamRole) -> Result<Vec<f64>, RunError> + 'a;

/// A filter that is shifted and scaled to mean 0 and variance 1, and the deviation by which it was divided.
fn normalized(filter: &[f64], eps: f64) -> (Vec<f64>, f64) {
    let count = filter.len() as f64;
    let mean = filter.iter().sum::<f64>() / count;
    let variance = filter.iter().map(|w| (w - mean) * (w - mean)).sum::<f64>() / count;
    let deviation = (variance + eps).sqrt();
    (filter.iter().map(|w| (w - mean) / deviation).collect(), deviation)
}

/// The factor of each filter.
fn factors(conv: &Conv, fan_in: usize, needed: &Needed<'_>) -> Result<Vec<f64>, RunError> {
    let Some(gamma) = conv.standardize.and_then(|standardize| standardize.gain) else { return Ok(vec![1.0; conv.filters]) };
    Ok(needed(ParamRole::Gain)?.into_iter().map(|gain| gain * gamma / (fan_in as f64).sqrt()).collect())
}

/// The weight that a convolution uses.
pub(super) fn used_weight(conv: &Conv, needed: &Needed<'_>) -> Result<Vec<f64>, RunError> {
    let weight = needed(ParamRole::Weight)?;
    let Some(standardize) = conv.standardize else { return Ok(weight) };
    let fan_in = weight.len() / conv.filters;
    let factors = factors(conv, fan_in, needed)?;
    let filters = weight.chunks(fan_in).zip(factors);
    Ok(filters.flat_map(|(filter, by)| normalized(filter, standardize.eps).0.into_iter().map(move |w| w * by)).collect())
}

/// The gradient of the weight, or of the gains, from that of the weight that was used.
pub(super) fn grad(conv: &Conv, gains: bool, used: &Array, needed: &Needed<'_>) -> Result<Vec<f64>, RunError> {
    let weight = needed(ParamRole::Weight)?;
    let fan_in = weight.len() / conv.filters;
    let eps = conv.standardize.map_or(0.0, |standardize| standardize.eps);
    let factors = factors(conv, fan_in, needed)?;
    let scale = conv.standardize.map_or(1.0, |standardize| standardize.scale(fan_in));
    let mut out = Vec::new();
    for ((filter, dy), by) in weight.chunks(fan_in).zip(used.data.chunks(fan_in)).zip(factors) {
        let (hat, deviation) = normalized(filter, eps);
        let product: f64 = hat.iter().zip(dy).map(|(hat, dy)| hat * dy).sum();
        if gains {
            out.push(product * scale);
            continue;
        }
        let count = fan_in as f64;
        let mean = dy.iter().sum::<f64>() / count;
        out.extend(hat.iter().zip(dy).map(|(hat, dy)| by / deviation * (dy - mean - hat * product / count)));
    }
    Ok(out)
}
