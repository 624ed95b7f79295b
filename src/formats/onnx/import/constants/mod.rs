//! Evaluates nodes whose operands are all constants: exporters leave whole computations in a file, of padding and of weights that
//! are standardized.

mod array;
mod elementwise;
mod layout;
mod reduce;

use super::Importer;
use super::call::Call;
use super::dispatch::ImportResult;
use super::values::Known;
use array::{Array, Kind};
use layout::Slices;

/// The maximum number of values that the constants of a file read and write while they are evaluated.
const MAX_WORK: usize = 1 << 30;

/// The integers that an operand or an attribute states.
fn ints(call: &Call<'_>, operands: &[Option<Array>], attribute: &str, slot: usize) -> Option<Vec<i64>> {
    let operand = operands.get(slot).and_then(Option::as_ref).map(Array::list);
    operand.or_else(|| call.ints(attribute).map(<[i64]>::to_vec))
}

impl Importer<'_> {
    /// The results of a node whose operands are all constants; `None` if it is not evaluated.
    pub(super) fn evaluated(&mut self, call: &Call<'_>) -> ImportResult<Option<Vec<Known>>> {
        let Some(operands) = self.arrays(call) else { return Ok(None) };
        let opset = self.opset;
        let Some(results) = evaluate(call, &operands, opset) else { return Ok(None) };
        let values = operands.iter().flatten().chain(&results).map(|array| array.values.len());
        self.work = values.fold(self.work, usize::saturating_add);
        if self.work > MAX_WORK {
            return Err("the constants of the file take too long to evaluate".to_owned());
        }
        self.trace(call);
        // a weight that only has another shape is still that weight
        let own = match self.known(call, 0) {
            Some(Known::Tensor(name, _)) if KEEP_NAME.contains(&call.node.op_type()) => Some(name.clone()),
            _ => None,
        };
        let known = |(i, array): (usize, &Array)| {
            let name = own.clone().or_else(|| call.node.output.get(i).cloned()).unwrap_or_default();
            Some(Known::Tensor(name, array.tensor()?))
        };
        Ok(results.iter().enumerate().map(known).collect())
    }

    /// The operands, if all are constants.
    fn arrays(&self, call: &Call<'_>) -> Option<Vec<Option<Array>>> {
        let array = |slot: usize| match self.known(call, slot) {
            None if !call.has(slot) => Some(None),
            Some(Known::Tensor(_, tensor)) => Some(Some(Array::of(tensor))),
            Some(known @ Known::Sizes(..)) => {
                let list = Array::integers(&known.numbers()?);
                Some(Some(if known.rank() == 0 { list.with_shape(Vec::new())? } else { list }))
            }
            _ => None,
        };
        (0..call.node.input.len()).map(array).collect()
    }
}

/// Operators whose result has the name of their operand.
const KEEP_NAME: &[&str] = &["Cast", "DequantizeLinear", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"];

/// The results of a node; `None` for an operator that is not evaluated.
fn evaluate(call: &Call<'_>, operands: &[Option<Array>], opset: i64) -> Option<Vec<Array>> {
    let operand = |slot: usize| operands.get(slot).and_then(Option::as_ref);
    let list = |attribute: &str, slot: usize| ints(call, operands, attribute, slot);
    let op = call.node.op_type();
    let one = match op {
        "ConstantOfShape" => return Some(vec![constant_of_shape(call, operand(0)?)?]),
        "Range" => return Some(vec![range(operand(0)?, operand(1)?, operand(2)?)?]),
        "Where" => elementwise::choice(operand(0)?, operand(1)?, operand(2)?),
        "Concat" => {
            let parts = operands.iter().cloned().collect::<Option<Vec<Array>>>()?;
            layout::concat(&parts, call.int("axis")?)
        }
        "Split" => return split(call, operand(0)?, list("split", 1)),
        "Sum" | "Min" | "Max" => {
            let mut parts = operands.iter().flatten();
            let first = parts.next()?.clone();
            parts.try_fold(first, |all, part| elementwise::binary(op, &all, part))
        }
        _ => {
            let x = operand(0)?;
            match op {
                "Identity" => Some(x.clone()),
                "Cast" => Some(elementwise::cast(x, kind(call.int("to")?)?)),
                "Size" => Array::new(Kind::Int, Vec::new(), vec![x.values.len() as f64]),
                "Shape" => {
                    let sizes: Vec<i64> = x.shape.iter().map(|&n| n as i64).collect();
                    let (start, end) = (call.int("start").unwrap_or(0), call.int("end").unwrap_or(i64::MAX));
                    layout::slice(&Array::integers(&sizes), &Slices { starts: &[start], ends: &[end], axes: None, steps: None })
                }
                "Clip" => clip(call, x, operand(1), operand(2)),
                "Reshape" => layout::reshaped(x, &list("shape", 1)?, !call.flag("allowzero")),
                "Flatten" => flatten(x, call.int("axis").unwrap_or(1)),
                "Squeeze" => layout::squeezed(x, list("axes", 1).as_deref()),
                "Unsqueeze" => layout::unsqueezed(x, &list("axes", 1)?),
                "Transpose" => {
                    let reversed = || (0..x.rank() as i64).rev().collect();
                    let order = call.ints("perm").map_or_else(reversed, <[i64]>::to_vec);
                    x.transposed(&order.iter().map(|&axis| x.axis(axis)).collect::<Option<Vec<usize>>>()?)
                }
                "Expand" => {
                    let sizes =
                        operand(1)?.list().into_iter().map(|n| usize::try_from(n).ok()).collect::<Option<Vec<usize>>>()?;
                    x.broadcast(&array::common(&x.shape, &sizes)?)
                }
                "Gather" => layout::gather(x, operand(1)?, x.axis(call.int("axis").unwrap_or(0))?),
                "Slice" => layout::slice(
                    x,
                    &Slices {
                        starts: &list("starts", 1)?,
                        ends: &list("ends", 2)?,
                        axes: list("axes", 3).as_deref(),
                        steps: list("steps", 4).as_deref(),
                    },
                ),
                "BatchNormalization" => batch_norm(call, operands, call.flag("training_mode") && opset >= 14),
                "InstanceNormalization" => instance_norm(call, operands),
                "LayerNormalization" => layer_norm(call, operands),
                // what is rounded to integers comes back from them
                "QuantizeLinear" => None,
                "DequantizeLinear" => dequantized(call, x, operand(1)?, operand(2)),
                "MatMul" => matmul(x, operand(1)?),
                _ if op.starts_with("Reduce") => {
                    let axes = list("axes", 1).unwrap_or_default();
                    let axes = axes.into_iter().map(|axis| x.axis(axis)).collect::<Option<Vec<usize>>>()?;
                    reduce::reduce(op, x, &axes, call.int("keepdims") != Some(0))
                }
                _ => match operand(1) {
                    Some(y) => elementwise::binary(op, x, y),
                    None => elementwise::unary(op, x),
                },
            }
        }
    };
    Some(vec![one?])
}

/// What a type in ONNX's numbers is here.
fn kind(data_type: i64) -> Option<Kind> {
    match data_type {
        1 | 10 | 11 | 16 => Some(Kind::Float),
        2..=7 | 12 | 13 => Some(Kind::Int),
        9 => Some(Kind::Bool),
        _ => None,
    }
}

/// The same value everywhere: zeros, unless the node states another.
fn constant_of_shape(call: &Call<'_>, sizes: &Array) -> Option<Array> {
    let shape = sizes.list().into_iter().map(|n| usize::try_from(n).ok()).collect::<Option<Vec<usize>>>()?;
    let Some(value) = call.attribute("value").and_then(|a| a.t.as_ref()) else {
        return Array::filled(Kind::Float, shape, 0.0);
    };
    let raw = value.raw_data.as_deref().unwrap_or_default();
    let number = match value.data_type() {
        1 => {
            value.float_data.first().map(|&v| f64::from(v)).or_else(|| Some(f64::from(f32::from_le_bytes(raw.try_into().ok()?))))
        }
        7 => value.int64_data.first().copied().or_else(|| Some(i64::from_le_bytes(raw.try_into().ok()?))).map(|n| n as f64),
        6 => value.int32_data.first().copied().or_else(|| Some(i32::from_le_bytes(raw.try_into().ok()?))).map(f64::from),
        9 => value.int32_data.first().copied().or_else(|| raw.first().map(|&v| i32::from(v))).map(f64::from),
        _ => None,
    };
    Array::filled(kind(i64::from(value.data_type()))?, shape, number?)
}

fn range(start: &Array, limit: &Array, step: &Array) -> Option<Array> {
    const MAX_LEN: f64 = 65536.0;
    let (from, to, by) = (start.single()?, limit.single()?, step.single().filter(|&by| by != 0.0)?);
    let len = ((to - from) / by).ceil();
    if len.is_nan() || len > MAX_LEN {
        return None;
    }
    let values: Vec<f64> = (0..len as usize).map(|i| from + i as f64 * by).collect();
    Array::new(start.kind, vec![values.len()], values)
}

fn clip(call: &Call<'_>, x: &Array, low: Option<&Array>, high: Option<&Array>) -> Option<Array> {
    let limit = |operand: Option<&Array>, attribute: &str, none: f64| match operand {
        Some(array) => array.single(),
        None => Some(call.float(attribute).map_or(none, f64::from)),
    };
    let (low, high) = (limit(low, "min", f64::NEG_INFINITY)?, limit(high, "max", f64::INFINITY)?);
    Array::new(x.kind, x.shape.clone(), x.values.iter().map(|v| v.max(low).min(high)).collect())
}

fn flatten(x: &Array, axis: i64) -> Option<Array> {
    let axis = if axis == x.rank() as i64 { x.rank() } else { x.axis(axis)? };
    let rows = x.shape[..axis].iter().product();
    x.with_shape(vec![rows, x.shape[axis..].iter().product()])
}

/// The parts that an axis is split in.
fn split(call: &Call<'_>, x: &Array, counts: Option<Vec<i64>>) -> Option<Vec<Array>> {
    let axis = call.int("axis").unwrap_or(0);
    let size = i64::try_from(x.shape[x.axis(axis)?]).ok()?;
    let outputs = i64::try_from(call.node.output.len()).ok().filter(|&n| n > 0)?;
    let each = (size + outputs - 1) / outputs;
    let counts = counts.unwrap_or_else(|| vec![each; call.node.output.len()]);
    let mut start = 0i64;
    let part = |count: i64| {
        let from = start;
        start = start.checked_add(count.max(0))?;
        layout::slice(x, &Slices { starts: &[from], ends: &[start], axes: Some(&[axis]), steps: None })
    };
    counts.into_iter().map(part).collect()
}

/// A batch norm, which PyTorch's weight standardization is. In training mode it normalizes with the statistics of its operand.
fn batch_norm(call: &Call<'_>, operands: &[Option<Array>], is_training: bool) -> Option<Array> {
    let [Some(x), Some(scale), Some(shift), Some(mean), Some(variance)] = operands else { return None };
    if is_training {
        let order: Vec<usize> = [1, 0].into_iter().chain(2..x.rank()).collect();
        let by_channel = x.transposed(&order)?;
        let normal = reduce::normalized(&by_channel, 1, epsilon(call))?;
        return reduce::affine(&normal, 0, scale, shift)?.transposed(&order);
    }
    let deviation = variance.values.iter().map(|v| (v + epsilon(call)).sqrt()).collect();
    let deviation = Array::new(Kind::Float, variance.shape.clone(), deviation)?;
    let factor = elementwise::binary("Div", scale, &deviation)?;
    let moved = elementwise::binary("Mul", mean, &factor)?;
    reduce::affine(x, 1, &factor, &elementwise::binary("Sub", shift, &moved)?)
}

fn instance_norm(call: &Call<'_>, operands: &[Option<Array>]) -> Option<Array> {
    let [Some(x), Some(scale), Some(shift)] = operands else { return None };
    reduce::affine(&reduce::normalized(x, 2, epsilon(call))?, 1, scale, shift)
}

/// A layer norm over the last axis.
fn layer_norm(call: &Call<'_>, operands: &[Option<Array>]) -> Option<Array> {
    let (x, scale) = (operands.first()?.as_ref()?, operands.get(1)?.as_ref()?);
    let last = x.rank().checked_sub(1)?;
    if x.axis(call.int("axis").unwrap_or(-1))? != last {
        return None;
    }
    let zeros = Array::filled(Kind::Float, scale.shape.clone(), 0.0)?;
    let shift = operands.get(2).and_then(Option::as_ref).unwrap_or(&zeros);
    reduce::affine(&reduce::normalized(x, last, epsilon(call))?, last, scale, shift)
}

/// The numbers that quantized values stand for: for the whole tensor, or for each index of an axis.
fn dequantized(call: &Call<'_>, x: &Array, scale: &Array, zero: Option<&Array>) -> Option<Array> {
    if x.kind == Kind::Float {
        // it was not rounded
        return Some(x.clone());
    }
    let zeros = Array::filled(Kind::Float, scale.shape.clone(), 0.0)?;
    let zero = zero.unwrap_or(&zeros);
    if let (Some(scale), Some(zero)) = (scale.single(), zero.single()) {
        return Array::new(Kind::Float, x.shape.clone(), x.values.iter().map(|v| (v - zero) * scale).collect());
    }
    let shift = elementwise::unary("Neg", &elementwise::binary("Mul", scale, zero)?)?;
    reduce::affine(x, x.axis(call.int("axis").unwrap_or(1))?, scale, &shift)
}

fn epsilon(call: &Call<'_>) -> f64 {
    call.float("epsilon").map_or(1e-5, crate::base::decimal::decimal)
}

/// The product of two matrices of moderate size.
fn matmul(a: &Array, b: &Array) -> Option<Array> {
    const MAX_PRODUCTS: usize = 1 << 26;
    let (&[rows, inner], &[other, columns]) = (&a.shape[..], &b.shape[..]) else { return None };
    let products = rows.checked_mul(inner)?.checked_mul(columns)?;
    if inner != other || products > MAX_PRODUCTS {
        return None;
    }
    let mut values = vec![0.0; rows.checked_mul(columns)?];
    for row in 0..rows {
        for k in 0..inner {
            let factor = a.values[row * inner + k];
            for column in 0..columns {
                values[row * columns + column] += factor * b.values[k * columns + column];
            }
        }
    }
    Array::new(a.kind, vec![rows, columns], values)
}
