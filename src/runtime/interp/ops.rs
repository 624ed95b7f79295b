//! The operators of a network, each by its definition.

use std::ops::Range;

use super::array::Array;
use crate::ir::{BatchNorm, Conv, ConvTranspose, Epilogue, Linear, Pad, PadMode, Pool, PoolKind};

/// The statistics of a batch at a batch norm, one value per channel.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchStats {
    /// Mean.
    pub mean: Vec<f64>,
    /// Biased variance: the mean squared deviation from the mean.
    pub var: Vec<f64>,
    /// Values per channel; the unbiased variance is `var * count / (count - 1)`.
    pub count: usize,
}

pub(super) fn epilogue(epilogue: &Epilogue, sums: Vec<f64>, residual: Option<&Array>) -> Vec<f64> {
    let residual = residual.filter(|_| epilogue.residual);
    sums.into_iter()
        .enumerate()
        .map(|(i, sum)| {
            let sum = sum + residual.map_or(0.0, |r| r.data[i]);
            epilogue.act.as_ref().map_or(sum, |act| act.program.evaluate(&[sum]))
        })
        .collect()
}

/// The outputs along an axis whose kernel element at `offset` (element times dilation, minus padding) falls inside the input.
pub(super) fn inside(outputs: usize, inputs: usize, stride: usize, offset: isize) -> Range<usize> {
    let first = if offset >= 0 { 0 } else { offset.unsigned_abs().div_ceil(stride) };
    let left = inputs as isize - offset;
    let last = if left <= 0 { 0 } else { (left as usize).div_ceil(stride).min(outputs) };
    first.min(last)..last
}

pub(super) fn conv(c: &Conv, x: &Array, weight: &[f64], bias: Option<&[f64]>, shape: &[usize]) -> Vec<f64> {
    let [batch, channels, h, w] = x.map();
    let (oh, ow) = (shape[2], shape[3]);
    let [kh, kw] = c.kernel;
    let (per_group, filters_per_group) = (channels / c.groups, c.filters / c.groups);
    let mut out = vec![0f64; shape.iter().product()];
    for (index, sums) in out.chunks_mut(oh * ow).enumerate() {
        let (n, f) = (index / c.filters, index % c.filters);
        debug_assert!(n < batch);
        sums.fill(bias.map_or(0.0, |b| b[f]));
        for k in 0..per_group {
            let plane = &x.data[(n * channels + f / filters_per_group * per_group + k) * h * w..][..h * w];
            for tap in 0..kh * kw {
                let (ty, tx) = (tap / kw, tap % kw);
                let weight = weight[(f * per_group + k) * kh * kw + tap];
                let dy = (ty * c.dilation[0]) as isize - c.pad[0][0] as isize;
                let dx = (tx * c.dilation[1]) as isize - c.pad[1][0] as isize;
                let columns = inside(ow, w, c.stride[1], dx);
                if columns.is_empty() {
                    continue;
                }
                for y in inside(oh, h, c.stride[0], dy) {
                    let row = ((y * c.stride[0]) as isize + dy) as usize * w;
                    let from = row + ((columns.start * c.stride[1]) as isize + dx) as usize;
                    let sums = &mut sums[y * ow..][columns.clone()];
                    for (sum, &v) in sums.iter_mut().zip(plane[from..].iter().step_by(c.stride[1])) {
                        *sum += weight * v;
                    }
                }
            }
        }
    }
    out
}

/// The channels of each sample as a 1-D value.
pub(super) fn channel_conv(x: &Array, weight: &[f64]) -> Vec<f64> {
    let (channels, middle) = (x.shape[1], weight.len() / 2);
    let value = |i: usize| {
        let (sample, channel) = (i / channels * channels, i % channels);
        let seen = weight.iter().enumerate().filter_map(|(k, w)| {
            let neighbor = (channel + k).checked_sub(middle).filter(|&c| c < channels)?;
            Some(w * x.data[sample + neighbor])
        });
        seen.sum()
    };
    (0..x.data.len()).map(value).collect()
}

/// Adds each value of the operand, times the weight, to a window of the result.
pub(super) fn conv_transpose(c: &ConvTranspose, x: &Array, weight: &[f64], bias: Option<&[f64]>, shape: &[usize]) -> Vec<f64> {
    let [_, channels, h, w] = x.map();
    let (per_group, [kh, kw]) = (c.filters / c.groups, c.kernel);
    let plane = shape[2] * shape[3];
    let mut out: Vec<f64> =
        (0..shape[0] * c.filters * plane).map(|i| bias.map_or(0.0, |bias| bias[i / plane % c.filters])).collect();
    // where a kernel element lands along an axis, if it is not in the padding
    let place = |axis: usize, at: usize, tap: usize| {
        let place = (at * c.stride[axis] + tap * c.dilation[axis]).checked_sub(c.pad[axis][0])?;
        (place < shape[axis + 2]).then_some(place)
    };
    for (i, value) in x.data.iter().enumerate() {
        let (sample, channel, y, column) = (i / (channels * h * w), i / (h * w) % channels, i / w % h, i % w);
        let first = channel / (channels / c.groups) * per_group;
        for j in 0..per_group * kh * kw {
            let (filter, tap) = (first + j / (kh * kw), j % (kh * kw));
            if let (Some(row), Some(column)) = (place(0, y, tap / kw), place(1, column, tap % kw)) {
                let at = (sample * c.filters + filter) * plane + row * shape[3] + column;
                out[at] += value * weight[channel * per_group * kh * kw + j];
            }
        }
    }
    out
}

pub(super) fn linear(l: &Linear, x: &Array, weight: &[f64], bias: Option<&[f64]>) -> Vec<f64> {
    let inputs = x.shape[1];
    let mut out = Vec::with_capacity(x.shape[0] * l.features);
    for sample in x.data.chunks(inputs) {
        for f in 0..l.features {
            let dot: f64 = sample.iter().zip(&weight[f * inputs..]).map(|(&a, &b)| a * b).sum();
            out.push(dot + bias.map_or(0.0, |b| b[f]));
        }
    }
    out
}

pub(super) fn batch_stats(x: &Array) -> BatchStats {
    let (batch, channels, plane) = x.planes();
    let count = batch * plane;
    let each = |c: usize| (0..batch).flat_map(move |n| x.data[(n * channels + c) * plane..][..plane].iter().copied());
    let mean: Vec<f64> = (0..channels).map(|c| each(c).sum::<f64>() / count as f64).collect();
    let var = (0..channels).map(|c| each(c).map(|v| (v - mean[c]).powi(2)).sum::<f64>() / count as f64).collect();
    BatchStats { mean, var, count }
}

pub(super) fn normalize(norm: &BatchNorm, x: &Array, weight: &[f64], bias: &[f64], mean: &[f64], var: &[f64]) -> Vec<f64> {
    let (_, channels, plane) = x.planes();
    let mut out = Vec::with_capacity(x.data.len());
    for (index, values) in x.data.chunks(plane).enumerate() {
        let c = index % channels;
        let deviation = (var[c] + norm.eps).sqrt();
        out.extend(values.iter().map(|&v| (v - mean[c]) / deviation * weight[c] + bias[c]));
    }
    out
}

/// The rows and columns of the input that a pooling window covers, and its element count including padding.
pub(super) fn window(p: &Pool, map: [usize; 2], at: [usize; 2]) -> (Vec<usize>, Vec<usize>, usize) {
    let dilation = p.dilation();
    let seen = |axis: usize| -> (Vec<usize>, usize) {
        let [before, after] = p.pad[axis];
        // in padded coordinates; PyTorch clips the window at the end of the padding before it counts
        let places = (0..p.kernel[axis]).map(|i| at[axis] * p.stride[axis] + i * dilation[axis]);
        let padded = places.filter(|&i| i < before + map[axis] + after);
        let inside = padded.clone().filter_map(|i| i.checked_sub(before).filter(|&i| i < map[axis]));
        (inside.collect(), padded.count())
    };
    let ((rows, height), (columns, width)) = (seen(0), seen(1));
    (rows, columns, height * width)
}

pub(super) fn pool(p: &Pool, x: &Array, shape: &[usize]) -> Vec<f64> {
    let [_, _, h, w] = x.map();
    let mut out = Vec::with_capacity(shape.iter().product());
    for plane in x.data.chunks(h * w) {
        for i in 0..shape[2] * shape[3] {
            let (rows, columns, padded) = window(p, [h, w], [i / shape[3], i % shape[3]]);
            let window = rows.iter().flat_map(|y| columns.iter().map(move |x| plane[y * w + x]));
            out.push(match p.kind {
                PoolKind::Max { .. } => window.fold(f64::NEG_INFINITY, greater),
                PoolKind::Avg { count_pad } => {
                    let count = if count_pad { padded } else { rows.len() * columns.len() };
                    window.sum::<f64>() / count as f64
                }
            });
        }
    }
    out
}

/// The greater of two; NaN wins, as in PyTorch.
pub(super) fn greater(m: f64, v: f64) -> f64 {
    if v > m || v.is_nan() { v } else { m }
}

pub(super) fn adaptive(x: &Array, shape: &[usize]) -> Vec<f64> {
    let [_, _, h, w] = x.map();
    let (oh, ow) = (shape[2], shape[3]);
    let window = |i: usize, outputs: usize, inputs: usize| i * inputs / outputs..((i + 1) * inputs).div_ceil(outputs);
    let mut out = Vec::with_capacity(shape.iter().product());
    for plane in x.data.chunks(h * w) {
        for oy in 0..oh {
            for ox in 0..ow {
                let (rows, columns) = (window(oy, oh, h), window(ox, ow, w));
                let count = rows.len() * columns.len();
                let sum: f64 = rows.flat_map(|y| plane[y * w..][columns.clone()].iter()).copied().sum();
                out.push(sum / count as f64);
            }
        }
    }
    out
}

/// Softmax over the channels, or over groups of them: then each group counts as a channel with all values of its own.
pub(super) fn softmax(x: &Array, groups: Option<usize>) -> Vec<f64> {
    let (batch, all, plane) = x.planes();
    let channels = groups.unwrap_or(all);
    let plane = all / channels * plane;
    let mut out = vec![0f64; x.data.len()];
    for n in 0..batch {
        for i in 0..plane {
            let at = |c: usize| (n * channels + c) * plane + i;
            let max = (0..channels).map(|c| x.data[at(c)]).fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = (0..channels).map(|c| (x.data[at(c)] - max).exp()).sum();
            for c in 0..channels {
                out[at(c)] = (x.data[at(c)] - max).exp() / sum;
            }
        }
    }
    out
}

/// The index along an axis of `len` values that a position of the padded axis reads; `None` for zeros.
pub(super) fn padded(p: &Pad, axis: usize, len: usize, at: usize) -> Option<usize> {
    let [at, len] = [at as isize - p.sides[axis][0] as isize, len as isize];
    let last = len - 1;
    let from = match p.mode {
        PadMode::Zeros => at,
        PadMode::Replicate => at.clamp(0, last),
        PadMode::Reflect => last - (last - at.abs()).abs(),
    };
    usize::try_from(from).ok().filter(|&from| from < len as usize)
}

pub(super) fn pad(p: &Pad, x: &Array, shape: &[usize]) -> Vec<f64> {
    let [batch, channels, h, w] = x.map();
    let (oc, oh, ow) = (shape[1], shape[2], shape[3]);
    let mut out = vec![0f64; shape.iter().product()];
    for n in 0..batch {
        for c in 0..channels {
            let from = &x.data[(n * channels + c) * h * w..][..h * w];
            let to = &mut out[(n * oc + c + p.channels[0]) * oh * ow..][..oh * ow];
            for (i, to) in to.iter_mut().enumerate() {
                if let (Some(y), Some(x)) = (padded(p, 0, h, i / ow), padded(p, 1, w, i % ow)) {
                    *to = from[y * w + x];
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    //! Expected values are from PyTorch (2.x, CPU), printed by `torch.nn.functional` for the same sequence.

    use super::*;
    use crate::ir::{Op, Shape, infer_shape};

    /// `((7 i + 3) mod 11 - 5) / 2`: neighbors differ, and all values are exact in f32.
    fn sequence(shape: &[usize]) -> Array {
        let len = shape.iter().product();
        Array { shape: shape.to_vec(), data: (0..len).map(|i| (((i * 7 + 3) % 11) as f64 - 5.0) / 2.0).collect() }
    }

    fn shape(op: &Op, x: &Array) -> Vec<usize> {
        let sizes = infer_shape(op, &[Shape::fixed(&x.shape[1..])]).unwrap().sizes().unwrap();
        [&x.shape[..1], &sizes[..]].concat()
    }

    fn close(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (i, (a, b)) in found.iter().zip(expected).enumerate() {
            assert!((a - b).abs() < 1e-5, "{i}: {a}, not {b}");
        }
    }

    #[test]
    fn pools_round_up_and_count_as_torch_does() {
        let x = sequence(&[1, 2, 5, 6]);
        let case = |kind, kernel, stride, pad: [usize; 2], sizes: [usize; 2], expected: &[f64]| {
            let p = Pool { kind, kernel, stride, pad: pad.map(|p| [p; 2]), ceil: true };
            let shape = shape(&Op::Pool(p), &x);
            assert_eq!(shape[2..], sizes);
            close(&pool(&p, &x, &shape), expected);
        };
        #[rustfmt::skip]
        case(PoolKind::MAX, [3, 3], [2, 2], [1, 1], [3, 4], &[
            2.5, 2.5, 2.0, 0.0, 2.5, 2.0, 2.5, 2.5, 1.5, 2.0, 2.5, 2.5, 2.0, 2.0, 2.5, 0.5, 2.0, 2.5, 2.5, -0.5, 2.0, 2.5, 2.0, 2.0,
        ]);
        #[rustfmt::skip]
        case(PoolKind::Avg { count_pad: true }, [3, 3], [2, 2], [1, 1], [3, 4], &[
            0.11111, 0.0, -0.22222, -0.16667, 0.38889, -0.27778, 0.0, -0.08333, 0.0, -0.16667, 0.22222, 0.66667,
            -0.27778, -0.27778, 0.11111, 0.0, 0.11111, 0.22222, -0.11111, -0.75, 0.22222, 0.16667, -0.05556, -0.08333,
        ]);
        #[rustfmt::skip]
        case(PoolKind::Avg { count_pad: false }, [2, 3], [2, 2], [1, 1], [3, 4], &[
            0.75, 0.5, 0.16667, 0.0, 0.625, -0.08333, -0.41667, -1.5, 0.0, -0.25, 0.33333, 2.0,
            -1.5, -0.83333, 0.66667, 0.5, -0.25, 0.41667, 0.08333, -1.0, 0.5, 0.25, -0.08333, -0.25,
        ]);
        let last = [0.25, -0.25, 0.0, -0.5, -0.625, 0.25, 0.5, 0.0];
        case(PoolKind::Avg { count_pad: true }, [2, 2], [3, 3], [0, 0], [2, 2], &last);
    }

    #[test]
    fn adaptive_pools_share_rows_as_torch_does() {
        let x = sequence(&[1, 2, 5, 6]);
        let expected = [
            0.66667, 0.5, 0.16667, 0.0, 0.5, -0.58333, 0.0, -0.16667, -0.66667, 0.08333, 0.66667, 0.5, 0.08333, -0.08333, 0.5,
            -0.58333,
        ];
        close(&adaptive(&x, &[1, 2, 2, 4]), &expected);
    }

    #[test]
    fn convolutions_with_groups_strides_and_dilation() {
        let (x, weight, bias) = (sequence(&[1, 4, 4, 5]), sequence(&[4, 2, 3, 2]), sequence(&[4]));
        let c = Conv {
            filters: 4,
            kernel: [3, 2],
            stride: [2, 1],
            pad: [[1; 2]; 2],
            dilation: [1, 2],
            groups: 2,
            bias: true,
            standardize: None,
            epilogue: Epilogue::default(),
        };
        let shape = shape(&Op::Conv(c.clone()), &x);
        assert_eq!(shape, [1, 4, 2, 5]);
        let found = conv(&c, &x, &weight.data, Some(&bias.data), &shape);
        #[rustfmt::skip]
        close(&epilogue(&c.epilogue, found, None), &[
            -9.25, 0.0, -4.25, -3.0, -6.0, 6.25, 2.75, -6.25, -9.75, 7.25, 17.5, 8.75, -10.25, 17.5, 0.5, -7.75, 15.25, 7.5, -8.5, 0.0,
            2.75, -1.5, -2.25, 8.0, -0.75, 6.5, -6.75, -5.0, -0.5, 7.0, -4.25, 8.5, -4.25, -6.0, 2.25, -7.25, -15.75, 14.75, -9.75, -8.25,
        ]);
    }

    #[test]
    fn norms_by_the_statistics_of_the_batch() {
        let x = sequence(&[2, 4, 1, 3]);
        let stats = batch_stats(&x);
        close(&stats.mean, &[0.58333, 0.08333, -0.41667, 0.0]);
        close(&stats.var, &[2.36806, 2.36806, 2.36806, 2.75]);
        assert_eq!(stats.count, 6);
        let shift = sequence(&[4]).data;
        let scale: Vec<f64> = shift.iter().map(|v| 1.0 + v / 10.0).collect();
        let norm = BatchNorm { eps: 1e-5, momentum: 0.1 };
        #[rustfmt::skip]
        close(&normalize(&norm, &x, &scale, &shift, &stats.mean, &stats.var), &[
            -1.92601, 0.12097, -1.04874, 1.21387, 4.0569, 2.43231, -0.58035, 1.80779, 0.44314, -2.78142, -0.98743, -2.01257,
            0.12097, -1.04874, -2.21844, 4.0569, 2.43231, 0.80772, 1.80779, 0.44314, -0.92151, -0.98743, -2.01257, -0.21858,
        ]);
    }

    #[test]
    fn softmax_over_groups_adds_up_to_one_over_the_groups() {
        let wave: Vec<f64> = (0..8).map(|i| f64::from(i).sin()).collect();
        let y = softmax(&Array { shape: vec![1, 4, 1, 2], data: wave }, Some(2));
        // PyTorch's, as `x.reshape(1, 2, 2, 1, 2).softmax(1)`
        close(&y, &[0.68066, 0.8582, 0.76651, 0.37382, 0.31934, 0.1418, 0.23349, 0.62618]);
    }

    #[test]
    fn softmax_goes_over_the_channels_of_a_map() {
        close(&softmax(&sequence(&[1, 3, 1, 2]), None), &[0.03911, 0.90876, 0.17529, 0.01664, 0.7856, 0.0746]);
    }
}
