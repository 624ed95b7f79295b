//! Measures the strategies for each convolution on this machine, within the whole network, so that values and weights come from
//! the same caches, or memory, as in real use.

use std::collections::HashMap;
use std::time::Duration;

use ndarray::ArrayViewD;

use super::error::RunError;
use super::executor::SessionOptions;
use super::inputs::{self, Matched};
use super::model::Model;
use crate::plan::{ConvStrategy, PlanOptions, Settings, Tuned};

/// Runs per strategy; the first [`WARM_UP`] do not count.
const RUNS: usize = 8;
const WARM_UP: usize = 2;

/// Measures a model on `inputs` (their values do not matter, their batch size does) and returns its settings with the fastest
/// strategy for each convolution. `progress` receives the number of finished rounds and the total.
pub fn tune(
    model: &Model,
    options: SessionOptions,
    inputs: &[(&str, ArrayViewD<'_, f32>)],
    mut progress: impl FnMut(usize, usize),
) -> Result<Settings, RunError> {
    let Matched { batch, size, .. } = inputs::matched(model.optimized(), inputs)?;
    let session = model.session_with(options)?;
    let plan = PlanOptions::new(batch, session.threads(), session.isa());
    let candidates = model.alternatives(&plan, size)?;
    drop(session);
    let tuned = |name: &str, strategy: ConvStrategy| {
        let PlanOptions { batch, threads, isa } = plan;
        Tuned { name: name.to_owned(), batch, threads, isa, strategy }
    };
    let mut best: HashMap<&str, (Duration, ConvStrategy)> = HashMap::new();
    let rounds = candidates.iter().map(|(_, strategies)| strategies.len()).max().unwrap_or(0);
    for round in 0..rounds {
        progress(round, rounds);
        let nth = |strategies: &[ConvStrategy]| strategies.get(round % strategies.len().max(1)).copied();
        let trial: HashMap<&str, ConvStrategy> =
            candidates.iter().filter_map(|(name, strategies)| Some((name.as_str(), nth(strategies)?))).collect();
        let settings = Settings {
            max_packed_weights: u32::MAX,
            tuned: trial.iter().map(|(name, &strategy)| tuned(name, strategy)).collect(),
            ..model.settings().clone()
        };
        let mut session = model.clone().with_settings(settings).session_with(options)?;
        let mut times: HashMap<String, Duration> = HashMap::new();
        for run in 0..RUNS {
            session.run_timed(inputs, |step, time| {
                if run >= WARM_UP {
                    times.entry(step.name.clone()).and_modify(|t| *t = time.min(*t)).or_insert(time);
                }
            })?;
        }
        for (name, strategy) in trial {
            let Some(&time) = times.get(name) else { continue };
            best.entry(name).and_modify(|b| *b = if time < b.0 { (time, strategy) } else { *b }).or_insert((time, strategy));
        }
    }
    progress(rounds, rounds);
    // keep earlier measurements for other batch sizes, thread counts or instruction sets
    let is_other = |t: &&Tuned| (t.batch, t.threads, t.isa) != (plan.batch, plan.threads, plan.isa);
    let mut settings = model.settings().clone();
    settings.tuned = settings.tuned.iter().filter(is_other).cloned().collect();
    settings.tuned.extend(candidates.iter().filter_map(|(name, _)| Some(tuned(name, best.get(name.as_str())?.1))));
    Ok(settings)
}
