//! The reference interpreter: evaluates each operator by its definition, in f64, over a graph without passes. It is slow on purpose
//! and shares no arithmetic with the kernels; everything fast is tested against it.

mod array;
mod elementwise;
mod norm;
mod ops;
mod rearrange;
mod resize;
mod standardize;
mod train;

use std::collections::HashMap;
use std::rc::Rc;

use ndarray::{ArrayD, ArrayViewD};

use super::error::RunError;
use super::inputs::{self, Matched};
use super::outputs::{OutputArray, Outputs};
use super::params::ParamStore;
use crate::base::tensor::DType;
use crate::check::SizeError;
use crate::ir::{Node, Op, Param, ParamRole, Reference, Rows, Runnable, Shape, ShapedNetwork, TensorType, Value, infer, units};
use crate::plan::PlanError;
use array::Array;
use norm::sample_norm;
pub use ops::BatchStats;
use ops::{adaptive, batch_stats, channel_conv, conv, conv_transpose, epilogue, greater, linear, normalize, pad, pool, softmax};
use standardize::used_weight;

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
    let outputs = interpret(network, params, inputs, Stats::Running, false)?;
    Ok(outputs.into_iter().map(|output| (output.name, output.values)).collect())
}

/// An output, in f64 whatever its type.
struct Output {
    name: String,
    dtype: DType,
    values: ArrayD<f64>,
}

fn rounded(outputs: Vec<Output>) -> Result<Outputs, RunError> {
    let round = |(index, Output { name, dtype, values }): (usize, Output)| {
        let array = match dtype {
            dtype if index == 0 && dtype != DType::F32 => return Err(PlanError::OutputType { name, dtype }),
            DType::F32 => OutputArray::F32(values.mapv(|v| v as f32)),
            DType::I64 => OutputArray::I64(values.mapv(|v| v as i64)),
            DType::I32 => OutputArray::I32(values.mapv(|v| v as i32)),
            _ => return Err(PlanError::OutputType { name, dtype }),
        };
        Ok((name, array))
    };
    let list = outputs.into_iter().enumerate().map(round).collect::<Result<_, _>>()?;
    Outputs::new(list).ok_or_else(|| RunError::Internal("the main output is not f32".to_owned()))
}

/// A value of a run, with its type at the sizes of the run.
struct Known {
    of: TensorType,
    array: Array,
    /// The number of rows of each sample, if they are counted.
    counts: Option<Rc<[usize]>>,
}

impl Known {
    /// Rounded to the precision of its type: integers are exact.
    fn rounded(mut self) -> Known {
        if self.of.dtype == DType::F32 {
            self.array.data.iter_mut().for_each(|v| *v = f64::from(*v as f32));
        }
        self
    }

    fn reference(&self) -> Reference<'_> {
        Reference { shape: &self.array.shape, data: &self.array.data, counts: self.counts.as_deref() }
    }
}

/// The number of rows of each sample in the loop over counted rows that an operator begins or belongs to.
fn counts(op: &Op, x: &[&Known]) -> Option<Rc<[usize]>> {
    let given = || {
        let counts = x.get(op.counts()?)?;
        Some(counts.array.data.iter().map(|&count| count as usize).collect())
    };
    x.iter().find_map(|known| known.counts.clone()).or_else(given)
}

fn interpret(
    network: &ShapedNetwork,
    params: &ParamStore,
    given: &[(&str, ArrayViewD<'_, f32>)],
    mut stats: Stats<'_>,
    round: bool,
) -> Result<Vec<Output>, RunError> {
    let matched = inputs::matched(network, given)?;
    // only to refuse what cannot be computed: here, no memory is saved
    units(network).map_err(PlanError::from)?;
    let graph = network.graph();
    let mut values: HashMap<Value, Known> = HashMap::new();
    let mut uses: HashMap<Value, usize> = HashMap::new();
    let operands = graph.ids().flat_map(|id| graph.operands(id));
    for value in operands.chain(graph.outputs().iter().map(|(_, value)| *value)) {
        *uses.entry(value).or_default() += 1;
    }
    for (slot, &id) in graph.inputs().iter().enumerate() {
        let array = &given[matched.order[slot]].1;
        let shape = match *array.shape() {
            // a 1-D input becomes a feature map of height 1
            [batch, channels, length] => vec![batch, channels, 1, length],
            _ => array.shape().to_vec(),
        };
        let of = TensorType::per_sample(Shape::fixed(&shape[1..]));
        values.insert(
            id.into(),
            Known { of, array: Array { shape, data: array.iter().map(|&v| f64::from(v)).collect() }, counts: None },
        );
    }
    for id in graph.order() {
        let node = graph.node(id);
        if matches!(node.op, Op::Input(_)) {
            continue;
        }
        let operands = graph.operands(id);
        let x: Vec<&Known> = operands.iter().filter_map(|value| values.get(value)).collect();
        for (port, known) in results(node, params, &x, &matched, &mut stats)?.into_iter().enumerate() {
            values.insert(Value { node: id, port: port as u8 }, if round { known.rounded() } else { known });
        }
        for operand in operands {
            let left = uses.entry(operand).or_default();
            *left -= 1;
            if *left == 0 {
                values.remove(&operand);
            }
        }
    }
    let mut outputs = Vec::new();
    for (name, value) in graph.outputs() {
        let missing = || RunError::Internal(format!("the output `{name}` has no value"));
        let Known { of, array, .. } = values.get(value).ok_or_else(missing)?;
        let values = ArrayD::from_shape_vec(network.declared_sizes(&array.shape), array.data.clone());
        outputs.push(Output { name: name.clone(), dtype: of.dtype, values: values.map_err(|_| missing())? });
    }
    if outputs.is_empty() {
        return Err(RunError::Internal("the network has no output".to_owned()));
    }
    Ok(outputs)
}

/// The results of an operator.
fn results(
    node: &Node,
    params: &ParamStore,
    x: &[&Known],
    matched: &Matched,
    stats: &mut Stats<'_>,
) -> Result<Vec<Known>, RunError> {
    let [height, width] = matched.size.map(|n| n.unwrap_or(0));
    let refused = |error| SizeError { height, width, node: node.name.clone(), error };
    let types: Vec<TensorType> = x.iter().map(|known| known.of.clone()).collect();
    let types = infer(&node.op, &types).map_err(refused)?;
    let counts = counts(&node.op, x);
    let mut shapes = Vec::new();
    for of in &types {
        let sizes = of.shape.sizes().ok_or_else(|| RunError::Internal(format!("`{}` has no shape", node.name)))?;
        let rows = match of.rows {
            Rows::PerSample => vec![matched.batch],
            Rows::PerBatch => Vec::new(),
            Rows::Counted(_) => vec![counts.iter().flat_map(|counts| counts.iter()).sum()],
        };
        shapes.push([rows, sizes].concat());
    }
    let data = match (&node.op, &shapes[..]) {
        (Op::Custom(op), _) => op.0.evaluate(&x.iter().map(|known| known.reference()).collect::<Vec<_>>()),
        // there is no row
        (_, [shape]) if shape.contains(&0) => vec![Vec::new()],
        (_, [shape]) => vec![evaluate(node, params, &x.iter().map(|known| &known.array).collect::<Vec<_>>(), shape, stats)?],
        _ => Vec::new(),
    };
    let fits = |(shape, data): (&Vec<usize>, &Vec<f64>)| shape.iter().product::<usize>() == data.len();
    if data.len() != shapes.len() || !shapes.iter().zip(&data).all(fits) {
        return Err(RunError::Internal(format!("`{}` has results of other sizes than inferred", node.name)));
    }
    let known = |((of, shape), data): ((TensorType, Vec<usize>), Vec<f64>)| {
        let counts = counts.clone().filter(|_| matches!(of.rows, Rows::Counted(_)));
        Known { of, array: Array { shape, data }, counts }
    };
    Ok(types.into_iter().zip(shapes).zip(data).map(known).collect())
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
            let (weight, bias) = (used_weight(c, &needed)?, if c.bias { Some(needed(ParamRole::Bias)?) } else { None });
            let sums = conv(c, x[0], &weight, bias.as_deref(), shape);
            epilogue(&c.epilogue, sums, x.get(1).copied())
        }
        Op::ConvTranspose(c) => {
            let (weight, bias) = (needed(ParamRole::Weight)?, if c.bias { Some(needed(ParamRole::Bias)?) } else { None });
            conv_transpose(c, x[0], &weight, bias.as_deref(), shape)
        }
        Op::ChannelConv(_) => channel_conv(x[0], &needed(ParamRole::Weight)?),
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
        Op::Gem(_) => return Err(RunError::Internal(format!("`{}` is not in terms of powers", node.name))),
        Op::OverChannels(reduction) => norm::over_channels(*reduction, x[0]),
        Op::L2Norm(eps) => norm::l2_norm(*eps, x[0]),
        Op::SampleNorm(norm) => {
            let (weight, bias) = (param(ParamRole::Weight)?, param(ParamRole::Bias)?);
            sample_norm(norm, x[0], weight.as_deref(), bias.as_deref())
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
        Op::Upsample(upsample) => resize::upsample(upsample, x[0], shape),
        Op::Softmax(groups) => softmax(x[0], *groups),
        Op::Pad(p) => pad(p, x[0], shape),
        Op::Crop([rows, columns]) => {
            let [_, _, h, w] = x[0].map();
            let kept = |row: &[f64]| row[columns[0]..w - columns[1]].to_vec();
            x[0].data.chunks(h * w).flat_map(|map| map[rows[0] * w..(h - rows[1]) * w].chunks(w).flat_map(kept)).collect()
        }
        Op::Slice(range) => {
            let (_, channels, plane) = x[0].planes();
            let samples = x[0].data.chunks(channels * plane);
            samples.flat_map(|sample| &sample[range.start * plane..range.end * plane]).copied().collect()
        }
        Op::Rearrange(rearrange) => rearrange::rearranged(rearrange, x[0]),
        Op::Train(op) => train::evaluate(op, node, x, shape, &needed)?,
        Op::Custom(_) => return Err(RunError::Internal("a custom operator in the list of the language's".to_owned())),
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
