//! Recomputes the running statistics of batch norms as averages over training data, as He et al. did for their published models. The running
//! averages of training only cover the last few hundred batches.

use std::collections::BTreeMap;

use super::{Engine, Feed, TrainError};
use crate::ir::{Checked, Op};
use crate::runtime::all_finite;

/// Sums over batches of one statistic and of its square, per channel.
#[derive(Clone, Debug, Default)]
struct Sums {
    first: Vec<f64>,
    second: Vec<f64>,
}

/// Replaces the running statistics with averages over at most `batches` batches of an epoch, weighted by the number of samples. The mean is
/// the mean of the batch means. The variance is the mean of the (unbiased) batch variances plus the variance of the batch means. Returns the
/// number of batches read.
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
    let momentum_of = |name: &str| name.rsplit_once('.').and_then(|(norm, _)| momentum.get(norm)).copied().filter(|&m| m > 0.0);
    let mut sums: BTreeMap<String, Sums> = BTreeMap::new();
    let (mut count, mut samples) = (0u64, 0.0);
    feed.start(0, 0)?;
    while count < batches {
        let Some(loaded) = feed.next()? else { break };
        if loaded.labels.is_empty() {
            continue;
        }
        // starting at 0, the running average becomes the batch statistic times the momentum
        engine.running_stats().iter_mut().for_each(|s| s.values.fill(0.0));
        engine.clear();
        engine.gradients(&loaded.batch(), 1.0, 0)?;
        if let Some(bad) = engine.running_stats().iter().find(|s| !all_finite(&s.values)) {
            let name = bad.name.clone();
            let cause = engine.first_not_finite(&loaded.batch(), 0);
            return Err(TrainError::Statistics { batch: count + 1, name, cause });
        }
        // the last batch may be smaller
        let weight = loaded.labels.len() as f64;
        samples += weight;
        for s in engine.running_stats() {
            let Some(momentum) = momentum_of(&s.name) else { continue };
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
    for s in engine.running_stats() {
        let Some(own) = sums.get(&s.name) else { continue };
        let means = s.name.strip_suffix("running_var").and_then(|norm| sums.get(&format!("{norm}running_mean")));
        for (i, value) in s.values.iter_mut().enumerate() {
            let between = means.map_or(0.0, |m| (m.second[i] / samples - (m.first[i] / samples).powi(2)).max(0.0));
            *value = (own.first[i] / samples + between) as f32;
        }
    }
    Ok(count)
}
