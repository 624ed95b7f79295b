//! Weights that change in training: repacked in place after each step, by all threads.

use std::sync::{Mutex, PoisonError};

use super::error::RunError;
use super::weights::four;
use crate::ir::ParamSource;
use crate::kernels::nchwc::depthwise;
use crate::kernels::nchwc::pack::{self, Filters};
use crate::kernels::standardize::Standardization;
use crate::kernels::{Aligned, ThreadPool, winograd};
use crate::plan::{Plan, Weight, WeightId, WeightLayout, WeightSource};

/// The packed weights of a plan.
pub(super) struct TrainWeights {
    weights: Vec<Packed>,
}

/// One packed weight.
struct Packed {
    /// Index of the parameter that it is made from.
    param: usize,
    /// How the parameter is read.
    shape: [usize; 4],
    groups: usize,
    transposed: bool,
    standardized: Option<Standardized>,
    packing: Packing,
    /// Empty if the parameter is used as stored.
    values: Aligned,
}

/// A weight that is standardized before it is packed.
struct Standardized {
    of: Standardization,
    /// Index of the parameter with the gains.
    gains: Option<usize>,
    values: Aligned,
}

/// How a parameter is packed, and in which pieces.
#[derive(Clone, Copy)]
enum Packing {
    /// The parameter is used as stored.
    Stored,
    /// Copied in reading order, possibly padded with zeros.
    Copied,
    Filters(pack::Units),
    Winograd(winograd::Units),
    Depthwise {
        lanes: usize,
    },
}

impl Packed {
    /// Floats of the packed values, and of the standardized ones.
    fn lens(&self, weight: &Weight) -> [usize; 2] {
        let packed = if matches!(self.packing, Packing::Stored) { 0 } else { weight.len() };
        [packed, if self.standardized.is_some() { self.shape.iter().product() } else { 0 }]
    }
}

impl TrainWeights {
    /// For a plan. `find` returns the index and length of a parameter by its name.
    pub fn new(plan: &Plan, find: &dyn Fn(&str) -> Option<(usize, usize)>) -> Result<TrainWeights, RunError> {
        let mut weights = plan.weights.iter().map(|weight| packed(weight, find)).collect::<Result<Vec<_>, _>>()?;
        let lens: Vec<usize> = plan.weights.iter().zip(&weights).flat_map(|(weight, packed)| packed.lens(weight)).collect();
        let floats = lens.iter().fold(0usize, |sum, &len| sum.saturating_add(len));
        let memory = |_| RunError::Memory { bytes: floats.saturating_mul(size_of::<f32>()) };
        let mut buffers = Aligned::zeroed_all(&lens).map_err(memory)?.into_iter();
        for weight in &mut weights {
            weight.values = buffers.next().unwrap_or_default();
            let standardized = buffers.next().unwrap_or_default();
            if let Some(of) = &mut weight.standardized {
                of.values = standardized;
            }
        }
        Ok(TrainWeights { weights })
    }

    /// Repacks all weights from the parameters' values.
    pub fn pack(&mut self, pool: &ThreadPool, params: &[&[f32]]) {
        for Packed { param, standardized, .. } in &mut self.weights {
            if let Some(Standardized { of, gains, values }) = standardized {
                of.run(pool, params[*param], gains.map(|gains| params[gains]), values);
            }
        }
        let mut tasks: Vec<Mutex<Task<'_>>> = Vec::new();
        for weight in &mut self.weights {
            let Packed { param, shape, groups, transposed, standardized, packing, values } = weight;
            let used = standardized.as_ref().map_or(params[*param], |standardized| &standardized.values);
            let read = if *transposed { Filters::transposed } else { Filters::stored };
            let (packing, shape, from) = (*packing, *shape, read(used, *shape, *groups));
            let len = values.len();
            let mut rest: &mut [f32] = values;
            let mut cut = |unit: usize, len: usize| {
                let (to, others) = std::mem::take(&mut rest).split_at_mut(len);
                rest = others;
                tasks.push(Mutex::new(Task { packing, shape, unit, from, to }));
            };
            match packing {
                Packing::Stored => {}
                Packing::Copied | Packing::Depthwise { .. } => cut(0, len),
                Packing::Filters(units) => (0..units.count()).for_each(|unit| cut(unit, units.range(unit).len())),
                Packing::Winograd(units) => (0..units.count()).for_each(|unit| cut(unit, units.range(unit).len())),
            }
        }
        // each task runs on one thread, so the lock is never contended
        pool.for_each(tasks.len(), |index, _| tasks[index].lock().unwrap_or_else(PoisonError::into_inner).run());
    }

    /// A weight's values in its packed layout.
    pub fn values<'a>(&'a self, id: WeightId, params: &[&'a [f32]]) -> &'a [f32] {
        let weight = &self.weights[id.0];
        match weight.packing {
            Packing::Stored => weight.standardized.as_ref().map_or(params[weight.param], |standardized| &standardized.values),
            _ => &weight.values,
        }
    }

    /// Bytes of all packed values.
    pub fn bytes(&self) -> usize {
        let standardized = |w: &Packed| w.standardized.as_ref().map_or(0, |s| size_of_val::<[f32]>(&s.values));
        self.weights.iter().map(|w| size_of_val::<[f32]>(&w.values) + standardized(w)).sum()
    }
}

/// A unit of a weight, packed by one thread.
struct Task<'a> {
    packing: Packing,
    shape: [usize; 4],
    unit: usize,
    from: Filters<'a>,
    to: &'a mut [f32],
}

impl Task<'_> {
    fn run(&mut self) {
        let Task { packing, shape: [filters, _, kh, kw], unit, from, to } = self;
        match packing {
            Packing::Stored => {}
            Packing::Copied => from.copy_all(to),
            Packing::Filters(units) => units.pack(*unit, from, to),
            Packing::Winograd(units) => units.pack(*unit, from, to),
            Packing::Depthwise { lanes } => depthwise::pack_into(*lanes, from, [*filters, *kh * *kw], to),
        }
    }
}

/// How a weight is made; the memory for its values is still missing.
fn packed(weight: &Weight, find: &dyn Fn(&str) -> Option<(usize, usize)>) -> Result<Packed, RunError> {
    let broken = |what: &str| RunError::Internal(format!("the weight `{}` {what}", weight.name));
    let (source, own_groups, transposed) = match &weight.source {
        WeightSource::Param(source) => (source, 1, false),
        WeightSource::Transposed { param, groups } => (param, *groups, true),
        WeightSource::NormScale { .. } | WeightSource::NormShift { .. } => return Err(broken("is only used in inference")),
    };
    let name = match source {
        ParamSource::Named(name) | ParamSource::Standardized { weight: name, .. } => name,
        _ => return Err(broken("is derived")),
    };
    let (param, len) = find(name).ok_or_else(|| broken("has no parameter"))?;
    let shape = four(&weight.shape);
    if len != shape.iter().product::<usize>() {
        return Err(broken("does not have the length of its parameter"));
    }
    let [filters, channels, ..] = shape;
    let (packing, groups) = match weight.layout {
        WeightLayout::Plain if transposed => (Packing::Copied, own_groups),
        WeightLayout::Plain => (Packing::Stored, 1),
        WeightLayout::Channels { .. } => (Packing::Copied, 1),
        WeightLayout::Filters { lanes, groups, plain } => {
            (Packing::Filters(pack::Units::new(lanes, shape, groups, plain)), groups)
        }
        WeightLayout::Winograd { lanes, size } => (Packing::Winograd(winograd::Units::new(lanes, [filters, channels], size)), 1),
        WeightLayout::Depthwise { lanes } => (Packing::Depthwise { lanes }, filters),
    };
    let standardized = match source {
        ParamSource::Standardized { gain, filters, eps, scale, .. } => {
            let gains = gain.as_ref().map(|gain| find(gain).ok_or_else(|| broken("has no gains"))).transpose()?;
            if gains.is_some_and(|(_, gains)| gains != *filters) {
                return Err(broken("does not have a gain for each filter"));
            }
            let of = Standardization { fan_in: len / (*filters).max(1), eps: *eps, scale: *scale };
            Some(Standardized { of, gains: gains.map(|(index, _)| index), values: Aligned::default() })
        }
        _ => None,
    };
    Ok(Packed { param, shape, groups, transposed, standardized, packing, values: Aligned::default() })
}
