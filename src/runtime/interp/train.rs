//! The operators of a training step, each by its definition: losses, batch norms in training mode, and gradients as transposes of
//! linear maps.

use super::array::Array;
use super::elementwise::reduce;
use super::norm;
use super::ops::{self, batch_stats, inside, normalize, padded, softmax, window};
use super::resize;
use super::standardize::{self, used_weight};
use crate::ir::{BatchNorm, Conv, Node, ParamRole, Pool, PoolKind, Train};
use crate::kernels::train::dropout;
use crate::runtime::RunError;

type Needed<'a> = dyn Fn(ParamRole) -> Result<Vec<f64>, RunError> + 'a;

pub(super) fn evaluate(
    op: &Train,
    node: &Node,
    x: &[&Array],
    shape: &[usize],
    needed: &Needed<'_>,
) -> Result<Vec<f64>, RunError> {
    Ok(match op {
        Train::NormStats => {
            let stats = batch_stats(x[0]);
            [stats.mean, stats.var].concat()
        }
        Train::BatchNorm { norm, epilogue } => {
            let (weight, bias) = (needed(ParamRole::Weight)?, needed(ParamRole::Bias)?);
            let (mean, var) = x[1].data.split_at(weight.len());
            let y = normalize(norm, x[0], &weight, &bias, mean, var);
            ops::epilogue(epilogue, y, x.get(2).copied())
        }
        Train::NormGradParams { norm, relu } => {
            let hat = Hat::new(norm, x[0], x[2]);
            let dy = masked(*relu, &hat, x[1], needed)?;
            let channels = hat.channels;
            let mut sums = vec![0.0; 2 * channels];
            for (i, &dy) in dy.iter().enumerate() {
                let c = hat.channel(i);
                sums[c] += dy * hat.values[i];
                sums[channels + c] += dy;
            }
            sums
        }
        Train::NormGradInput { norm, relu } => {
            let hat = Hat::new(norm, x[0], x[2]);
            let dy = masked(*relu, &hat, x[1], needed)?;
            let weight = needed(ParamRole::Weight)?;
            let (by_weight, by_bias) = x[3].data.split_at(hat.channels);
            let count = (dy.len() / hat.channels) as f64;
            let dx = |(i, dy): (usize, f64)| {
                let c = hat.channel(i);
                weight[c] * hat.inverse[c] * (dy - by_bias[c] / count - hat.values[i] * by_weight[c] / count)
            };
            dy.into_iter().enumerate().map(dx).collect()
        }
        Train::L2NormGrad { eps } => norm::l2_norm_grad(*eps, x[0], &x[1].data),
        Train::MaxOverChannelsGrad => norm::max_grad(x[0], &x[1].data),
        Train::SampleNormGradParams(of) => norm::grad_params(of, x[0], &x[1].data, shape.iter().product()),
        Train::SampleNormGradInput(of) => {
            let weight = if of.affine { Some(needed(ParamRole::Weight)?) } else { None };
            let weighted = norm::weighted(of, x[0], &x[1].data, weight.as_deref());
            norm::Hat::new(of, x[0]).grad_input(&weighted)
        }
        Train::ConvGradInput { conv, .. } => {
            let weight = used_weight(conv, needed)?;
            let mut dx = x.get(1).map_or_else(|| vec![0.0; shape.iter().product()], |other| other.data.clone());
            pairs(conv, [shape[0], shape[1], shape[2], shape[3]], [x[0].shape[2], x[0].shape[3]], |x_at, w_at, y_at| {
                dx[x_at] += weight[w_at] * x[0].data[y_at];
            });
            dx
        }
        Train::ConvGradWeight(conv) => {
            let mut dw = vec![0.0; shape.iter().product()];
            pairs(conv, x[0].map(), [x[1].shape[2], x[1].shape[3]], |x_at, w_at, y_at| {
                dw[w_at] += x[0].data[x_at] * x[1].data[y_at];
            });
            dw
        }
        Train::StandardizeGrad { conv, gains, .. } => standardize::grad(conv, *gains, x[0], needed)?,
        Train::BiasGrad => {
            let (_, channels, plane) = x[0].planes();
            let mut sums = vec![0.0; channels];
            for (map, values) in x[0].data.chunks(plane).enumerate() {
                sums[map % channels] += values.iter().sum::<f64>();
            }
            sums
        }
        Train::LinearGradInput { inputs } => {
            let (weight, features) = (needed(ParamRole::Weight)?, x[0].shape[1]);
            let dot =
                |i: usize| (0..features).map(|f| x[0].data[i / inputs * features + f] * weight[f * inputs + i % inputs]).sum();
            (0..shape[0] * inputs).map(dot).collect()
        }
        Train::LinearGradWeight => {
            let (batch, inputs, features) = (x[0].shape[0], x[0].shape[1], x[1].shape[1]);
            let dot =
                |i: usize| (0..batch).map(|n| x[1].data[n * features + i / inputs] * x[0].data[n * inputs + i % inputs]).sum();
            (0..features * inputs).map(dot).collect()
        }
        Train::MaxPoolGrad(pool) => {
            let x_at = &x[0].data;
            windows(pool, shape, x[1], |dx, window, _, dy| {
                // the first maximum; NaN is greater than any number
                let mut best = None;
                for i in window {
                    if best.is_none_or(|b: usize| x_at[i] > x_at[b] || x_at[i].is_nan()) {
                        best = Some(i);
                    }
                }
                if let Some(best) = best {
                    dx[best] += dy;
                }
            })
        }
        Train::AvgPoolGrad { pool, .. } => windows(pool, shape, x[0], |dx, window, count, dy| {
            for i in window {
                dx[i] += dy / count as f64;
            }
        }),
        Train::AdaptiveAvgPoolGrad { input: [h, w] } => {
            let (oh, ow) = (x[0].shape[2], x[0].shape[3]);
            let share = |i: usize, outputs: usize, inputs: usize| i * inputs / outputs..((i + 1) * inputs).div_ceil(outputs);
            let mut dx = vec![0.0; shape.iter().product()];
            for (i, &dy) in x[0].data.iter().enumerate() {
                let (map, oy, ox) = (i / (oh * ow), i / ow % oh, i % ow);
                let (rows, columns) = (share(oy, oh, *h), share(ox, ow, *w));
                let count = (rows.len() * columns.len()) as f64;
                for y in rows {
                    for x in columns.clone() {
                        dx[(map * h + y) * w + x] += dy / count;
                    }
                }
            }
            dx
        }
        Train::Unpad(pad) => {
            let [_, channels, oh, ow] = x[0].map();
            let [h, w] = [shape[2], shape[3]];
            let mut out = vec![0.0; shape.iter().product()];
            for (map, out) in out.chunks_mut(h * w).enumerate() {
                let dy = map / shape[1] * channels + map % shape[1] + pad.channels[0];
                for (i, dy) in x[0].data[dy * oh * ow..][..oh * ow].iter().enumerate() {
                    if let (Some(y), Some(x)) = (padded(pad, 0, h, i / ow), padded(pad, 1, w, i % ow)) {
                        out[y * w + x] += dy;
                    }
                }
            }
            out
        }
        Train::SubsampleGrad { stride, input: [h, w] } => {
            let (oh, ow) = (x[0].shape[2], x[0].shape[3]);
            let mut dx = vec![0.0; shape.iter().product()];
            for (i, &dy) in x[0].data.iter().enumerate() {
                dx[(i / (oh * ow) * h + i / ow % oh * stride[0]) * w + i % ow * stride[1]] = dy;
            }
            dx
        }
        Train::UpsampleGrad { upsample, .. } => resize::upsample_grad(upsample, x[0], shape),
        Train::Reduce(broadcast) => reduce(*broadcast, x[0], shape),
        Train::SumPlane => {
            let plane = x[0].planes().2;
            let products = x[0].data.chunks(plane).zip(x[1].data.chunks(plane));
            products.map(|(a, b)| a.iter().zip(b).map(|(a, b)| a * b).sum()).collect()
        }
        Train::Unflatten(_) => x[0].data.clone(),
        Train::SoftmaxGrad => {
            let (batch, channels, plane) = x[0].planes();
            let (dy, y) = (&x[0].data, &x[1].data);
            let mut dx = vec![0.0; dy.len()];
            for pixel in 0..batch * plane {
                let at = |c: usize| (pixel / plane * channels + c) * plane + pixel % plane;
                let dot: f64 = (0..channels).map(|c| dy[at(c)] * y[at(c)]).sum();
                (0..channels).for_each(|c| dx[at(c)] = y[at(c)] * (dy[at(c)] - dot));
            }
            dx
        }
        Train::Dropout { p, per_sample, key } => {
            // like the kernel with seed 0 and step 0
            let key = dropout::key(0, 0, *key);
            let sample = x[0].data.len() / x[0].shape[0].max(1);
            let keep = |i: usize| dropout::is_kept(key, (if *per_sample { i / sample.max(1) } else { i }) as u64, *p);
            x[0].data.iter().enumerate().map(|(i, &v)| if keep(i) { v / (1.0 - p) } else { 0.0 }).collect()
        }
        Train::CrossEntropy { smoothing, weight } => {
            let classes = x[0].shape[1];
            let loss = |(scores, &label): (&[f64], &f64)| {
                let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let sum: f64 = scores.iter().map(|v| (v - largest).exp()).sum();
                let log = |v: f64| v - largest - sum.ln();
                let each: f64 = scores.iter().map(|&v| log(v)).sum();
                class(label, classes).map(|c| weight * (-(1.0 - smoothing) * log(scores[c]) - smoothing / classes as f64 * each))
            };
            let losses = x[0].data.chunks(classes).zip(&x[1].data).map(loss);
            losses.map(|loss| loss.ok_or_else(|| no_class(node))).collect::<Result<_, _>>()?
        }
        Train::CrossEntropyGrad { smoothing, weight } => {
            let (batch, classes) = (x[0].shape[0], x[0].shape[1]);
            let mut out = softmax(x[0], None);
            for (p, &label) in out.chunks_mut(classes).zip(&x[1].data) {
                let label = class(label, classes).ok_or_else(|| no_class(node))?;
                for (c, p) in p.iter_mut().enumerate() {
                    let target = smoothing / classes as f64 + if c == label { 1.0 - smoothing } else { 0.0 };
                    *p = weight * (*p - target) / batch as f64;
                }
            }
            out
        }
    })
}

fn class(label: f64, classes: usize) -> Option<usize> {
    (label >= 0.0 && label < classes as f64 && label.fract() == 0.0).then_some(label as usize)
}

fn no_class(node: &Node) -> RunError {
    RunError::Internal(format!("`{}` got a label outside of the classes", node.name))
}

/// The normalized values of a batch norm, before scale and shift.
struct Hat {
    channels: usize,
    plane: usize,
    inverse: Vec<f64>,
    values: Vec<f64>,
}

impl Hat {
    fn new(norm: &BatchNorm, x: &Array, stats: &Array) -> Hat {
        let (_, channels, plane) = x.planes();
        let (mean, var) = stats.data.split_at(channels);
        let inverse: Vec<f64> = var.iter().map(|v| 1.0 / (v + norm.eps).sqrt()).collect();
        let hat = |(i, v): (usize, &f64)| (v - mean[i / plane % channels]) * inverse[i / plane % channels];
        let values = x.data.iter().enumerate().map(hat).collect();
        Hat { channels, plane, inverse, values }
    }

    fn channel(&self, element: usize) -> usize {
        element / self.plane % self.channels
    }
}

/// The gradient before a batch norm's activation, from the gradient after it.
fn masked(relu: bool, hat: &Hat, dy: &Array, needed: &Needed<'_>) -> Result<Vec<f64>, RunError> {
    if !relu {
        return Ok(dy.data.clone());
    }
    let (weight, bias) = (needed(ParamRole::Weight)?, needed(ParamRole::Bias)?);
    let one = |(i, &dy): (usize, &f64)| {
        let c = hat.channel(i);
        if weight[c] * hat.values[i] + bias[c] <= 0.0 { 0.0 } else { dy }
    };
    Ok(dy.data.iter().enumerate().map(one).collect())
}

/// Calls `each` for every product of a convolution, with the indices of its elements in `x`, in the weight and in the result.
fn pairs(c: &Conv, [batch, channels, h, w]: [usize; 4], [oh, ow]: [usize; 2], mut each: impl FnMut(usize, usize, usize)) {
    let [kh, kw] = c.kernel;
    let (per_group, filters_per_group) = (channels / c.groups, c.filters / c.groups);
    for map in 0..batch * c.filters {
        let (n, f) = (map / c.filters, map % c.filters);
        for k in 0..per_group {
            let channel = n * channels + f / filters_per_group * per_group + k;
            for tap in 0..kh * kw {
                let weight = (f * per_group + k) * kh * kw + tap;
                let dy = (tap / kw * c.dilation[0]) as isize - c.pad[0][0] as isize;
                let dx = (tap % kw * c.dilation[1]) as isize - c.pad[1][0] as isize;
                for y in inside(oh, h, c.stride[0], dy) {
                    for x in inside(ow, w, c.stride[1], dx) {
                        let row = ((y * c.stride[0]) as isize + dy) as usize;
                        let column = ((x * c.stride[1]) as isize + dx) as usize;
                        each((channel * h + row) * w + column, weight, (map * oh + y) * ow + x);
                    }
                }
            }
        }
    }
}

/// Visits the windows of a pool. `each` receives the gradient of the operand, the window's elements in it in row-major order, the
/// divisor of an average, and the gradient of the window's result.
fn windows(
    pool: &Pool,
    shape: &[usize],
    dy: &Array,
    mut each: impl FnMut(&mut [f64], &mut dyn Iterator<Item = usize>, usize, f64),
) -> Vec<f64> {
    let (h, w) = (shape[2], shape[3]);
    let (oh, ow) = (dy.shape[2], dy.shape[3]);
    let mut dx = vec![0.0; shape.iter().product()];
    for (i, &dy) in dy.data.iter().enumerate() {
        let (map, oy, ox) = (i / (oh * ow), i / ow % oh, i % ow);
        let (rows, columns, padded) = window(pool, [h, w], [oy, ox]);
        let count = match pool.kind {
            PoolKind::Avg { count_pad: true } => padded,
            PoolKind::Avg { count_pad: false } | PoolKind::Max { .. } => rows.len() * columns.len(),
        };
        let mut elements = rows.iter().flat_map(|y| columns.iter().map(move |x| (map * h + y) * w + x));
        each(&mut dx, &mut elements, count, dy);
    }
    dx
}
