//! True averages for norms: the mean and variance over training data, as He et al. computed them for their published models, in place of
//! running averages that remember the last few hundred batches.

use std::collections::BTreeMap;

use super::{Engine, Feed, TrainError};
use crate::ir::{Checked, Op};
use crate::runtime::all_finite;

/// Sums of one statistic over batches, a value for each channel.
#[derive(Clone, Debug, Default)]
struct Sums {
    first: Vec<f64>,
    second: Vec<f64>,
}

/// Replaces the running statistics by averages over at most `batches` batches of an epoch, with the parameters as they are; each sample
/// weighs the same. The mean is the mean of the batches' means; the variance that of their (unbiased) variances, and the variance of
/// their means besides. Gives back the batches read.
pub fn calibrate(
    checked: &Checked,
    engine: &mut dyn Engine,
    feed: &mut dyn Feed,
    batches: u64,
    tick: &mut dyn FnMut(usize),
) -> Result<u64, TrainError> {
    let graph = checked.graph();
    let momentum: BTreeMap<&str, f64> = graph
        .ids()
        .filter_map(|id| match &graph.node(id).op {
            Op::BatchNorm(norm) => Some((graph.node(id).name.as_str(), norm.momentum)),
            _ => None,
        })
        .collect();
    let of = |name: &str| name.rsplit_once('.').and_then(|(norm, _)| momentum.get(norm)).copied().filter(|&m| m > 0.0);
    let mut sums: BTreeMap<String, Sums> = BTreeMap::new();
    let (mut count, mut samples) = (0u64, 0.0);
    feed.start(0, 0)?;
    while count < batches {
        let Some(loaded) = feed.next()? else { break };
        if loaded.labels.is_empty() {
            continue;
        }
        // from 0, the running average becomes the batch's statistic times the momentum
        engine.state().iter_mut().for_each(|s| s.values.fill(0.0));
        engine.clear();
        engine.gradients(&loaded.batch(), 1.0, 0)?;
        if let Some(bad) = engine.state().iter().find(|s| !all_finite(&s.values)) {
            let name = bad.name.clone();
            let cause = engine.first_not_finite(&loaded.batch(), 0);
            return Err(TrainError::Statistics { batch: count + 1, name, cause });
        }
        // the last batch is smaller
        let weight = loaded.labels.len() as f64;
        samples += weight;
        for s in engine.state() {
            let Some(momentum) = of(&s.name) else { continue };
            let sum = sums.entry(s.name.clone()).or_default();
            sum.first.resize(s.values.len(), 0.0);
            sum.second.resize(s.values.len(), 0.0);
            for ((first, second), &value) in sum.first.iter_mut().zip(&mut sum.second).zip(&s.values) {
                let value = f64::from(value) / momentum;
                *first += weight * value;
                *second += weight * value * value;
            }
        }
        count += 1;
        tick(loaded.labels.len());
    }
    if count == 0 {
        return Err(TrainError::Recipe("no sample could be read".to_owned()));
    }
    for s in engine.state() {
        let Some(own) = sums.get(&s.name) else { continue };
        let means = s.name.strip_suffix("running_var").and_then(|norm| sums.get(&format!("{norm}running_mean")));
        for (i, value) in s.values.iter_mut().enumerate() {
            let between = means.map_or(0.0, |m| (m.second[i] / samples - (m.first[i] / samples).powi(2)).max(0.0));
            *value = (own.first[i] / samples + between) as f32;
        }
    }
    Ok(count)
}
