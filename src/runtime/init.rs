//! Random parameters: He initialization (He et al. 2015), and running statistics from one batch of noise.
//!
//! Without these statistics every block would add its branch to the shortcut at full strength, and a deep network would overflow.

use std::collections::BTreeMap;

use ndarray::{ArrayD, IxDyn};

use super::error::RunError;
use super::interp::{BatchStats, run_with_batch_stats};
use super::params::ParamStore;
use crate::base::tensor::Tensor;
use crate::ir::{Axis, Canonical, Checked, Dim, Init, Initial, NodeId, Op, ParamSource, Shape};

/// Number of noise samples.
const BATCH: usize = 4;
/// Weight of the layer's mean variance when a channel's variance is shrunk toward it, in values. On a small feature map a channel
/// has so few values that its own variance may be near zero by chance, and dividing by its square root would make the channel
/// explode.
const SHRINK: f64 = 16.0;
/// Height and width of the noise, if the network accepts them; the statistics hardly depend on the size, but the time does.
const SIZE: usize = 64;

/// Initializes all parameters of a network.
///
/// They are distributed as [`Init::HeFanOut`] describes. The same seed gives the same values on every machine, regardless of layer order.
pub fn init(checked: &Checked, seed: u64) -> Result<ParamStore, RunError> {
    let graph = checked.graph();
    let mut tensors: BTreeMap<String, Tensor> = BTreeMap::new();
    check_memory(graph.ids().flat_map(|id| &graph.node(id).params).map(|param| &param.shape[..]))?;
    for id in graph.ids() {
        let node = graph.node(id);
        for param in &node.params {
            let ParamSource::Named(name) = &param.source else { continue };
            let len: usize = param.shape.iter().product();
            let values = match Init::HeFanOut.of(&node.op, param) {
                Initial::Normal { deviation } => normal(seed, name, len, deviation),
                Initial::Constant(value) => vec![value; len],
            };
            let tensor = Tensor::from_f32(param.shape.clone(), values);
            tensors.insert(name.clone(), tensor.ok_or_else(|| RunError::Internal(format!("`{name}` has no size")))?);
        }
    }
    if graph.ids().any(|id| matches!(graph.node(id).op, Op::BatchNorm(_))) {
        let statistics = statistics(checked, &tensors.clone().into_iter().collect(), seed)?;
        for (name, stats) in statistics {
            let count = stats.count as f64;
            let unbiased = count / (count - 1.0).max(1.0);
            let typical = stats.var.iter().sum::<f64>() / stats.var.len().max(1) as f64;
            let shrunk = |v: f64| (count * v + SHRINK * typical) / (count + SHRINK) * unbiased;
            for (suffix, values) in [
                ("running_mean", stats.mean.iter().map(|&m| m as f32).collect::<Vec<f32>>()),
                ("running_var", stats.var.iter().map(|&v| shrunk(v) as f32).collect()),
            ] {
                let key = format!("{name}.{suffix}");
                if let Some(tensor) = Tensor::from_f32(vec![values.len()], values) {
                    tensors.insert(key, tensor);
                }
            }
        }
    }
    Ok(tensors.into_iter().collect())
}

/// Checks that there is memory for all tensors of these shapes together: a source may request any size.
fn check_memory<'a>(shapes: impl Iterator<Item = &'a [usize]>) -> Result<(), RunError> {
    let floats = |shape: &[usize]| shape.iter().try_fold(1u64, |n, &size| n.checked_mul(size as u64));
    let bytes = shapes.fold(0u64, |sum, shape| sum.saturating_add(floats(shape).unwrap_or(u64::MAX).saturating_mul(4)));
    let mut all: Vec<u8> = Vec::new();
    all.try_reserve_exact(usize::try_from(bytes).unwrap_or(usize::MAX)).map_err(|_| RunError::ParamMemory { bytes })
}

/// The batch statistics of every batch norm on a batch of noise.
fn statistics(checked: &Checked, params: &ParamStore, seed: u64) -> Result<Vec<(String, BatchStats)>, RunError> {
    let network = shrunk(checked, SIZE).map_or_else(|| checked.canonical(), Canonical::from);
    let graph = network.graph();
    let mut inputs: Vec<(String, ArrayD<f32>)> = Vec::new();
    for &id in graph.inputs() {
        let dims = network.shape(id).dims().unwrap_or(&[]);
        let sizes: Vec<usize> = std::iter::once(BATCH).chain(dims.iter().map(|d| d.fixed().unwrap_or(SIZE))).collect();
        let sizes = network.declared_sizes(&sizes);
        let name = &graph.node(id).name;
        let values = normal(seed, &format!("noise for {name}"), sizes.iter().product(), 1.0);
        let array = ArrayD::from_shape_vec(IxDyn(&sizes), values).map_err(|e| RunError::Internal(e.to_string()))?;
        inputs.push((name.clone(), array));
    }
    let views: Vec<_> = inputs.iter().map(|(name, x)| (name.as_str(), x.view())).collect();
    let mut list = Vec::new();
    run_with_batch_stats(&network, params, &views, &mut |name, stats| list.push((name.to_string(), stats.clone())))?;
    Ok(list)
}

/// The network at a smaller input, if every shape remains valid and no parameter changes its shape.
fn shrunk(checked: &Checked, size: usize) -> Option<Checked> {
    let mut small = checked.clone();
    let ids: Vec<NodeId> = small.graph().order();
    for id in ids {
        if let Op::Input(Shape::Known(dims)) = &mut small.graph_mut().node_mut(id).op
            && dims.len() > 1
        {
            for dim in &mut dims[1..] {
                *dim = Dim::Fixed(usize::try_from(dim.at(|_: Axis| size)).unwrap_or(size).min(size));
            }
        }
        let node = small.graph().node(id);
        let operands = small.types.operand_shapes(small.graph(), id);
        let same = node.op.params(&operands).iter().map(|(_, shape)| shape).eq(node.params.iter().map(|p| &p.shape));
        if !same {
            return None;
        }
        small.infer(id).ok()?;
    }
    Some(small)
}

/// Normal values with mean 0: the Box-Muller transform of SplitMix64, seeded by the seed and the name.
fn normal(seed: u64, name: &str, len: usize, deviation: f64) -> Vec<f32> {
    // FNV-1a, so that a tensor's values depend on its name but not on its position
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    let mut state = hash ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut next = move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        // in (0, 1], so that the logarithm is finite
        (((z ^ (z >> 31)) >> 11) as f64 + 1.0) / (1u64 << 53) as f64
    };
    let mut values = Vec::with_capacity(len + 1);
    while values.len() < len {
        let (radius, angle) = ((-2.0 * next().ln()).sqrt() * deviation, std::f64::consts::TAU * next());
        values.push((radius * angle.cos()) as f32);
        values.push((radius * angle.sin()) as f32);
    }
    values.truncate(len);
    values
}

#[cfg(test)]
mod tests {
    use super::normal;

    #[test]
    fn noise_is_normal_and_depends_on_seed_and_name() {
        let values = normal(7, "conv1.weight", 100_001, 0.5);
        assert_eq!(values.len(), 100_001);
        let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / 1e5;
        let var = values.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / 1e5;
        assert!(mean.abs() < 0.01 && (var - 0.25).abs() < 0.01, "{mean} {var}");
        assert_eq!(values[..8], normal(7, "conv1.weight", 8, 0.5));
        assert_ne!(values[..8], normal(8, "conv1.weight", 8, 0.5));
        assert_ne!(values[..8], normal(7, "conv2.weight", 8, 0.5));
    }
}
