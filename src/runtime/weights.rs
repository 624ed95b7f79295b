//! Parameters in the layouts that steps need. They belong to the model and are shared by its sessions.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;

use super::bound_weight::BoundWeight;
use super::error::RunError;
use super::packed_weights::PackedWeights;
use super::params::ParamStore;
use crate::base::mmap::{HUGE_PAGE, collapse};
use crate::ir::ParamSource;
use crate::kernels::nchwc::{depthwise, pack};
use crate::kernels::{Aligned, winograd};
use crate::plan::{Weight, WeightLayout, WeightSource};

/// Packing this many floats takes less time than starting a thread.
const ALONE: usize = 1 << 16;

/// The weights bound so far, by name and layout, and those that were packed in advance.
#[derive(Debug, Default)]
pub(super) struct WeightCache {
    packed: Option<PackedWeights>,
    made: Mutex<BTreeMap<(String, WeightLayout), Arc<BoundWeight>>>,
}

impl WeightCache {
    /// An empty cache, optionally with weights that were packed in advance.
    pub fn new(packed: Option<PackedWeights>) -> WeightCache {
        WeightCache { packed, made: Mutex::default() }
    }

    /// The weights that were packed in advance.
    pub fn packed(&self) -> Option<&PackedWeights> {
        self.packed.as_ref()
    }

    /// The weights of a plan, in its order. Missing ones are taken from the packed weights, or made by `threads` threads, each
    /// working on one weight at a time.
    pub fn bind(&self, weights: &[Weight], params: &ParamStore, threads: usize) -> Result<Vec<Arc<BoundWeight>>, RunError> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let mut missing: Vec<&Weight> = Vec::new();
        for weight in weights {
            let key = key(weight);
            if made.contains_key(&key) {
                continue;
            }
            match self.packed.as_ref().and_then(|packed| packed.list.get(&key)) {
                Some(packed) => {
                    fits(weight, packed)?;
                    made.insert(key, Arc::clone(packed));
                }
                None => match self.stored(weight, params) {
                    Some(stored) => drop(made.insert(key, Arc::new(stored))),
                    None => missing.push(weight),
                },
            }
        }
        // largest first, so that the last ones to finish are small
        missing.sort_by_key(|w| std::cmp::Reverse(w.len()));
        for (weight, bound) in missing.iter().zip(make_all(&missing, params, threads)?) {
            made.insert(key(weight), Arc::new(bound?));
        }
        let bound = |weight: &Weight| {
            let missing = || RunError::Internal(format!("the weight `{}` was not made", weight.name));
            made.get(&key(weight)).map(Arc::clone).ok_or_else(missing)
        };
        weights.iter().map(bound).collect()
    }

    /// A parameter that can be used as stored. Large ones, such as the last layer's, are read from memory once in each run, which is
    /// much slower on small pages: those of a file are copied, unless it is an artifact, which is written for that.
    fn stored(&self, weight: &Weight, params: &ParamStore) -> Option<BoundWeight> {
        let WeightSource::Param(ParamSource::Named(name)) = &weight.source else { return None };
        let tensor = params.get(name).filter(|_| weight.layout == WeightLayout::Plain)?;
        let values = tensor.as_f32()?;
        if size_of_val(values) >= HUGE_PAGE {
            if tensor.is_mapped() && self.packed.is_none() {
                return None;
            }
            if !tensor.is_mapped() {
                collapse(values);
            }
        }
        // a wrong length is reported when the weight is made
        (values.len() == weight.len()).then(|| BoundWeight::Stored(tensor.clone()))
    }

    /// Bytes of the weights made here, and of the packed weights in use.
    pub fn bytes(&self) -> (usize, usize) {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.values().fold((0, 0), |(made, mapped), bound| match &**bound {
            BoundWeight::Made(values) => (made + size_of_val::<[f32]>(values), mapped),
            BoundWeight::Stored(_) => (made, mapped),
            BoundWeight::Mapped(_) => (made, mapped + size_of_val(bound.values())),
        })
    }
}

pub(super) fn key(weight: &Weight) -> (String, WeightLayout) {
    (weight.name.clone(), weight.layout)
}

/// Packed weights come from a file, which may be damaged.
pub(super) fn fits(weight: &Weight, packed: &BoundWeight) -> Result<(), RunError> {
    let (expected, got) = (weight.len(), packed.values().len());
    if got != expected {
        return Err(RunError::PackedWeight { name: weight.name.clone(), expected, got });
    }
    Ok(())
}

/// Makes all weights, in the given order, beside each other in memory.
fn make_all(weights: &[&Weight], params: &ParamStore, threads: usize) -> Result<Vec<Result<BoundWeight, RunError>>, RunError> {
    let lens: Vec<usize> = weights.iter().map(|w| w.len()).collect();
    let floats = lens.iter().fold(0usize, |sum, &len| sum.saturating_add(len));
    let memory = |_| RunError::Memory { bytes: floats.saturating_mul(size_of::<f32>()) };
    let buffers = Aligned::zeroed_all(&lens).map_err(memory)?;
    if threads <= 1 || weights.len() <= 1 || floats <= ALONE {
        return Ok(weights.iter().zip(buffers).map(|(w, buffer)| make(w, params, buffer)).collect());
    }
    let work: Vec<Mutex<Option<Aligned>>> = buffers.into_iter().map(|buffer| Mutex::new(Some(buffer))).collect();
    let results: Vec<OnceLock<Result<BoundWeight, RunError>>> = weights.iter().map(|_| OnceLock::new()).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        while let index = next.fetch_add(1, Ordering::Relaxed)
            && let (Some(weight), Some(buffer), Some(result)) = (weights.get(index), work.get(index), results.get(index))
        {
            // each index is drawn only once
            let buffer = buffer.lock().unwrap_or_else(PoisonError::into_inner).take();
            let _ = buffer.map(|buffer| result.set(make(weight, params, buffer)));
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads.min(weights.len()) {
            // if a thread cannot be started, the others do its work
            let _ = thread::Builder::new().spawn_scoped(scope, work);
        }
        work();
    });
    let unmade = || Err(RunError::Internal("a weight was not made".to_owned()));
    Ok(results.into_iter().map(|result| result.into_inner().unwrap_or_else(unmade)).collect())
}

/// Makes a weight in `made`, which is zero and as long as the weight.
fn make(weight: &Weight, params: &ParamStore, mut made: Aligned) -> Result<BoundWeight, RunError> {
    let shape = four(&weight.shape);
    let [filters, channels, kh, kw] = shape;
    let of_norm = weight.shape.first().copied().unwrap_or(0);
    let values = match &weight.source {
        WeightSource::Param(source) => params.evaluate(source, &weight.shape)?,
        WeightSource::Transposed { param, groups } => {
            let values = params.evaluate(param, &weight.shape)?;
            let mut transposed = vec![0.0; values.len()];
            pack::Filters::transposed(&values, shape, *groups).copy_all(&mut transposed);
            Cow::Owned(transposed)
        }
        WeightSource::NormScale { norm, eps } => narrow(params.norm(norm, *eps, of_norm)?.0),
        WeightSource::NormShift { norm, eps } => narrow(params.norm(norm, *eps, of_norm)?.1),
    };
    match weight.layout {
        WeightLayout::Plain => made.copy_weights(&values),
        WeightLayout::Channels { .. } => made[..values.len()].copy_from_slice(&values),
        WeightLayout::Filters { lanes, groups, plain } => {
            pack::Units::new(lanes, shape, groups, plain).pack_all(&pack::Filters::stored(&values, shape, groups), &mut made);
        }
        WeightLayout::Depthwise { lanes } => {
            let stored = pack::Filters::stored(&values, shape, filters.max(1));
            depthwise::pack_into(lanes, &stored, [filters, kh * kw], &mut made);
        }
        WeightLayout::Winograd { lanes, size } => {
            let stored = pack::Filters::stored(&values, shape, 1);
            winograd::Units::new(lanes, [filters, channels], size).pack_all(&stored, &mut made);
        }
    }
    if let WeightSource::Param(source) = &weight.source {
        // the parameter's mapped file should not stay in memory next to the copy
        params.release(source);
    }
    Ok(BoundWeight::Made(made))
}

/// The sizes of a convolution's weight, with height 1 for 1-D convolutions.
pub(super) fn four(shape: &[usize]) -> [usize; 4] {
    match *shape {
        // the kernel elements of a 1-D convolution run along the width
        [filters, channels, kernel] => [filters, channels, 1, kernel],
        _ => [0, 1, 2, 3].map(|i| shape.get(i).copied().unwrap_or(1)),
    }
}

fn narrow(values: Vec<f64>) -> Cow<'static, [f32]> {
    values.into_iter().map(|v| v as f32).collect()
}
