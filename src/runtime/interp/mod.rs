//! The reference interpreter: evaluates each operator by its definition, in f64, over a graph without passes. It is slow on purpose
//! and shares no arithmetic with the kernels; everything fast is tested against it.

mod array;
mod elementwise;
mod ops;
mod train;

use ndarray::{ArrayD, ArrayViewD};

use super::error::RunError;
use super::inputs;
use super::outputs::Outputs;
use super::params::ParamStore;
use crate::check::SizeError;
use crate::ir::{Node, NodeId, Op, Param, ParamRole, Runnable, Shape, ShapedNetwork, infer};
use array::Array;
pub use ops::BatchStats;
use ops::{adaptive, batch_stats, conv, epilogue, greater, linear, normalize, pad, pool, softmax, upsample};

/// The statistics that batch norms use.
enum Stats<'a> {
    /// The running statistics in the store.
    Running,
    /// The statistics of the batch, which are also reported.
    Batch(&'a mut dyn FnMut(&str, &BatchStats)),
}

/// Runs the graph on named inputs; the first axis of each is the batch. Free sizes are taken from the inputs.
pub fn run(network: &impl Runnable, params: &ParamStore, inputs: &[(&str, ArrayViewD<'_, f32>)]) -> Result<Outputs, RunError> {
    rounded(interpret(network, params, inputs, Stats::Running, true)?)
}

/// Runs the graph in training mode: each batch norm uses the biased statistics of its batch, and `record` receives them with the
/// name of the batch norm. The store needs no running statistics.
pub fn run_with_batch_stats(
    network: &impl Runnable,
    params: &ParamStore,
    inputs: &[(&str, ArrayViewD<'_, f32>)],
    record: &mut dyn FnMut(&str, &BatchStats),
) -> Result<Outputs, RunError> {
    rounded(interpret(network, params, inputs, Stats::Batch(record), true)?)
}

/// Like [`run`], without rounding between operators, as finite differences need.
pub fn run_exact(
    network: &impl Runnable,
    params: &ParamStore,
    inputs: &[(&str, ArrayViewD<'_, f32>)],
) -> Result<Vec<(String, ArrayD<f64>)>, RunError> {
    interpret(network, params, inputs, Stats::Running, false)
}

fn rounded(outputs: Vec<(String, ArrayD<f64>)>) -> Result<Outputs, RunError> {
    Ok(Outputs::new(outputs.into_iter().map(|(name, array)| (name, array.mapv(|v| v as f32))).collect()))
}

/// A value's shape in the graph, which has no batch axis.
fn value_shape(network: &ShapedNetwork, id: NodeId, array: &Array) -> Shape {
    Shape::fixed(&array.shape[usize::from(network.graph().node(id).op.is_batched())..])
}

fn interpret(
    network: &ShapedNetwork,
    params: &ParamStore,
    given: &[(&str, ArrayViewD<'_, f32>)],
    mut stats: Stats<'_>,
    round: bool,
) -> Result<Vec<(String, ArrayD<f64>)>, RunError> {
    let matched = inputs::matched(network, given)?;
    let graph = network.graph();
    let mut values: Vec<Option<Array>> = vec![None; graph.bound()];
    let mut uses: Vec<usize> = vec![0; graph.bound()];
    for (_, value) in graph.outputs() {
        uses[value.node.index()] += 1;
    }
    for id in graph.ids() {
        uses[id.index()] += graph.users(id).len();
    }
    for (slot, &id) in graph.inputs().iter().enumerate() {
        let array = &given[matched.order[slot]].1;
        let shape = match *array.shape() {
            // a 1-D input becomes a feature map of height 1
            [batch, channels, length] => vec![batch, channels, 1, length],
            _ => array.shape().to_vec(),
        };
        values[id.index()] = Some(Array { shape, data: array.iter().map(|&v| f64::from(v)).collect() });
    }
    for id in graph.order() {
        let node = graph.node(id);
        if matches!(node.op, Op::Input(_)) {
            continue;
        }
        let operands = graph.operands(id);
        let shapes: Vec<Shape> = operands
            .iter()
            .map(|v| values[v.node.index()].as_ref().map_or(Shape::Unknown, |a| value_shape(network, v.node, a)))
            .collect();
        let [height, width] = matched.size.map(|n| n.unwrap_or(0));
        let refused = |error| SizeError { height, width, node: node.name.clone(), error };
        let shape = infer(&node.op, &shapes).map_err(refused)?;
        let sizes = shape.sizes().ok_or_else(|| RunError::Internal(format!("`{}` has no shape", node.name)))?;
        let x: Vec<&Array> = operands.iter().filter_map(|v| values[v.node.index()].as_ref()).collect();
        let batch: &[usize] = if node.op.is_batched() { &[matched.batch] } else { &[] };
        let mut out = Array { shape: [batch, &sizes[..]].concat(), data: Vec::new() };
        out.data = evaluate(node, params, &x, &out.shape, &mut stats)?;
        if round {
            out.data.iter_mut().for_each(|v| *v = f64::from(*v as f32));
        }
        values[id.index()] = Some(out);
        for operand in operands {
            let left = &mut uses[operand.node.index()];
            *left -= 1;
            if *left == 0 {
                values[operand.node.index()] = None;
            }
        }
    }
    let mut outputs = Vec::new();
    for (name, value) in graph.outputs() {
        let array = values[value.node.index()].clone();
        let array = array.and_then(|a| ArrayD::from_shape_vec(network.declared_sizes(&a.shape), a.data).ok());
        outputs.push((name.clone(), array.ok_or_else(|| RunError::Internal(format!("the output `{name}` has no value")))?));
    }
    if outputs.is_empty() {
        return Err(RunError::Internal("the network has no output".to_owned()));
    }
    Ok(outputs)
}

fn evaluate(
    node: &Node,
    params: &ParamStore,
    x: &[&Array],
    shape: &[usize],
    stats: &mut Stats<'_>,
) -> Result<Vec<f64>, RunError> {
    let param = |role: ParamRole| -> Result<Option<Vec<f64>>, RunError> {
        let Some(Param { source, shape, .. }) = node.params.iter().find(|p| p.role == role) else { return Ok(None) };
        Ok(Some(params.evaluate(source, shape)?.iter().map(|&v| f64::from(v)).collect()))
    };
    let needed = |role: ParamRole| {
        param(role)?.ok_or_else(|| RunError::Internal(format!("`{}` has no {}", node.name, node.op.param_name(role))))
    };
    Ok(match &node.op {
        Op::Input(_) => return Err(RunError::Internal("an input in the operator list".to_owned())),
        Op::Conv(c) => {
            let (weight, bias) = (needed(ParamRole::Weight)?, if c.bias { Some(needed(ParamRole::Bias)?) } else { None });
            let sums = conv(c, x[0], &weight, bias.as_deref(), shape);
            epilogue(&c.epilogue, sums, x.get(1).copied())
        }
        Op::Linear(l) => {
            let (weight, bias) = (needed(ParamRole::Weight)?, if l.bias { Some(needed(ParamRole::Bias)?) } else { None });
            let sums = linear(l, x[0], &weight, bias.as_deref());
            epilogue(&l.epilogue, sums, x.get(1).copied())
        }
        Op::BatchNorm(norm) => {
            let (weight, bias) = (needed(ParamRole::Weight)?, needed(ParamRole::Bias)?);
            let (mean, var) = match stats {
                Stats::Running => (needed(ParamRole::RunningMean)?, needed(ParamRole::RunningVar)?),
                Stats::Batch(record) => {
                    let found = batch_stats(x[0]);
                    record(&node.name, &found);
                    (found.mean, found.var)
                }
            };
            normalize(norm, x[0], &weight, &bias, &mean, &var)
        }
        Op::Elementwise(function) => {
            let learned = function.learned().map(|slot| needed(ParamRole::Operand(slot as u8))).collect::<Result<Vec<_>, _>>()?;
            elementwise::evaluate(function, x, &learned)
        }
        Op::Concat => {
            let mut out = Vec::with_capacity(shape.iter().product());
            for n in 0..shape[0] {
                for a in x {
                    let sample = a.data.len() / shape[0];
                    out.extend_from_slice(&a.data[n * sample..][..sample]);
                }
            }
            out
        }
        Op::Pool(p) => pool(p, x[0], shape),
        Op::AdaptiveAvgPool(_) => adaptive(x[0], shape),
        Op::Flatten | Op::Dropout(_) => x[0].data.clone(),
        Op::GlobalMaxPool => {
            let plane = x[0].planes().2;
            x[0].data.chunks(plane).map(|map| map.iter().copied().fold(f64::NEG_INFINITY, greater)).collect()
        }
        Op::Upsample(_) => upsample(x[0], shape),
        Op::Softmax => softmax(x[0]),
        Op::Pad(p) => pad(p, x[0], shape),
        Op::Train(op) => train::evaluate(op, node, x, shape, &needed)?,
        Op::Subsample(stride) => {
            let [_, _, h, w] = x[0].map();
            let mut out = Vec::with_capacity(shape.iter().product());
            for plane in x[0].data.chunks(h * w) {
                for row in plane.chunks(w).step_by(stride[0]) {
                    out.extend(row.iter().step_by(stride[1]));
                }
            }
            out
        }
    })
}
