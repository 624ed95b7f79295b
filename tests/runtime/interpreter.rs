//! What is fast against the reference interpreter: every operator on random shapes, and random networks.

use std::sync::Arc;

use crate::common::{Build, Rng, distance, noise};
use ndarray::ArrayD;
use proptest::prelude::*;
use resnetc::internal::ir::{
    Checked, Conv, Elementwise, Epilogue, Gem, Interpolation, Linear, NormOver, Op, Pad, PadMode, Pool, PoolKind, Rearrange,
    Reduction, Shape, SquareOrder, Squares, Target, Upsample, Value,
};
use resnetc::internal::runtime::{Model, ParamStore, SessionOptions, interp};

/// What rounding may come to: Winograd's of a layer, magnified by a softmax over large numbers. A mistake is far above it.
const ROUNDING: f64 = 5e-4;

/// Runs both and compares every output.
fn agrees(checked: Checked, params: ParamStore, inputs: &[(&str, ArrayD<f32>)], threads: usize, tolerance: f64) {
    let views: Vec<_> = inputs.iter().map(|(name, x)| (*name, x.view())).collect();
    let expected = interp::run(&checked.canonical(), &params, &views).unwrap();
    let model = Model::new(checked, params).unwrap();
    let mut session = model.session_with(SessionOptions { threads, ..SessionOptions::default() }).unwrap();
    for round in 0..2 {
        let found = session.run(&views).unwrap();
        for ((name, a), (_, b)) in found.iter().zip(expected.iter()) {
            let d = distance(a, b);
            assert!(d <= tolerance, "{name} differs by {d} deviations in round {round}:\n{}", session.last_plan().unwrap());
        }
    }
}

fn side(rng: &mut Rng) -> [usize; 2] {
    [rng.range(1, 19), rng.range(1, 19)]
}

/// A network of one operator on a random value (and what it needs beside it).
fn single(seed: u64, which: usize) -> (Checked, ParamStore, Vec<(&'static str, ArrayD<f32>)>) {
    let mut b = Build::new(seed);
    let batch = b.rng.range(1, 10);
    let groups = b.rng.one_of(&[1, 1, 2, 3]);
    let channels = groups * b.rng.range(1, 9);
    let [h, w] = side(&mut b.rng);
    let x = b.input("x", Shape::fixed(&[channels, h, w]));
    let mut inputs = vec![("x", noise(seed, &[batch, channels, h, w]))];
    let mut other = |b: &mut Build, sizes: &[usize]| {
        inputs.push(("other", noise(seed + 1, &[&[batch], sizes].concat())));
        b.input("other", Shape::fixed(sizes))
    };
    // a convolution before them, so that operators meet values in blocks of channels as well
    let x = if which > 1 && b.rng.flip() { b.conv(x, channels, 1, 1, 1) } else { x };
    let y = match which {
        0 => {
            let r = &mut b.rng;
            let (kernel, dilation) = ([r.range(1, 4), r.range(1, 4)], [r.range(1, 2), r.range(1, 2)]);
            let mut pad = [[0; 2]; 2];
            for axis in 0..2 {
                let extent = (kernel[axis] - 1) * dilation[axis] + 1;
                let missing = extent.saturating_sub([h, w][axis]);
                pad[axis] = [missing + r.range(0, 2), r.range(0, 2)];
            }
            let depthwise = r.range(0, 3) == 0;
            let conv = Conv {
                filters: if depthwise { channels } else { groups * r.range(1, 20) },
                kernel,
                stride: [r.range(1, 3), r.range(1, 3)],
                pad,
                dilation,
                groups: if depthwise { channels } else { groups },
                bias: r.flip(),
                standardize: None,
                epilogue: Epilogue {
                    residual: r.flip(),
                    act: r.one_of(&[None, Some(Arc::new(Elementwise::relu())), Some(Arc::new(Elementwise::sigmoid()))]),
                },
            };
            let plain = Conv { epilogue: Epilogue::default(), ..conv.clone() };
            let shape = resnetc::internal::ir::infer_shape(&Op::Conv(plain), &[b.shape(x).clone()]).unwrap().sizes().unwrap();
            let mut operands = vec![x];
            if conv.epilogue.residual {
                operands.push(other(&mut b, &shape));
            }
            b.push(Op::Conv(conv), &operands)
        }
        1 => {
            let x = b.push(Op::Flatten, &[x]);
            let linear = Linear { features: b.rng.range(1, 70), bias: b.rng.flip(), epilogue: Epilogue::default() };
            b.push(Op::Linear(linear), &[x])
        }
        2 => b.norm(x),
        3 => b.sigmoid(x),
        4 => {
            let o = other(&mut b, &[channels, h, w]);
            let operands: Vec<Value> = (0..b.rng.range(2, 20)).map(|_| if b.rng.flip() { x } else { o }).collect();
            b.sum(&operands)
        }
        5 => {
            let o = other(&mut b, &[channels, h, w]);
            b.times(x, o)
        }
        6 => {
            let o = other(&mut b, &[channels, 1, 1]);
            b.times(x, o)
        }
        7 => {
            let c = b.rng.range(1, 5);
            let o = other(&mut b, &[c, h, w]);
            b.push(Op::Concat, &[x, o, x])
        }
        8 => {
            let r = &mut b.rng;
            let (ceil, stride) = (r.flip(), [r.range(1, 4), r.range(1, 4)]);
            // rounding up, a window may lack less than a stride
            let kernel = [0, 1].map(|axis| r.range(1, ([h, w][axis] + if ceil { stride[axis] - 1 } else { 0 }).min(4)));
            let pad = kernel.map(|k| [r.range(0, k / 2), r.range(0, k / 2)]);
            // holes as far as the map is large enough for them
            let holes = [0, 1].map(|axis| ([h, w][axis] - 1) / (kernel[axis] - 1).max(1));
            let dilation = holes.map(|most| r.range(1, most.clamp(1, 3)));
            let kind =
                r.one_of(&[PoolKind::Max { dilation }, PoolKind::Avg { count_pad: true }, PoolKind::Avg { count_pad: false }]);
            let pool = Pool { kind, kernel, stride, pad, ceil };
            b.push(Op::Pool(pool), &[x])
        }
        9 => {
            let size = if b.rng.flip() { [1, 1] } else { side(&mut b.rng) };
            b.push(Op::AdaptiveAvgPool(size), &[x])
        }
        10 => {
            let x = if b.rng.flip() { b.push(Op::Flatten, &[x]) } else { x };
            b.push(Op::Softmax(None), &[x])
        }
        11 => {
            let r = &mut b.rng;
            let mut some = || [r.range(0, 3), r.range(0, 3)];
            let (channels, sides) = (some(), [some(), some()]);
            let pad = match r.range(0, 2) {
                0 => Pad { channels, ..Pad::zeros(sides) },
                1 => Pad { mode: PadMode::Replicate, ..Pad::zeros(sides) },
                _ => {
                    let sides = [0, 1].map(|axis| sides[axis].map(|n| n.min([h, w][axis] - 1)));
                    Pad { mode: PadMode::Reflect, ..Pad::zeros(sides) }
                }
            };
            b.push(Op::Pad(pad), &[x])
        }
        12 => b.push(Op::GlobalMaxPool, &[x]),
        13 => {
            let target = if b.rng.flip() {
                Target::Factor([0; 2].map(|_| b.rng.one_of(&[1.0, 1.5, 2.0, 2.7, 3.0, 4.0])))
            } else {
                Target::Size(side(&mut b.rng))
            };
            let upsample = upsample(&mut b, target);
            b.push(Op::Upsample(upsample), &[x])
        }
        14 => {
            // smaller or larger
            let [oh, ow] = side(&mut b.rng);
            let like = other(&mut b, &[2, oh, ow]);
            let upsample = upsample(&mut b, Target::Like);
            b.push(Op::Upsample(upsample), &[x, like])
        }
        15 => {
            let min = b.rng.flip().then_some(-0.25);
            let max = b.rng.flip().then_some(0.5);
            b.push(Elementwise::clamp(min.unwrap_or(f32::NEG_INFINITY), max.unwrap_or(f32::INFINITY)).into(), &[x])
        }
        16 => b.push(Op::from(Elementwise::affine(-1.5, 1.0)), &[x]),
        17 => {
            let x = if b.rng.flip() { b.push(Op::Flatten, &[x]) } else { x };
            let all = b.sizes(x)[0];
            let start = b.rng.range(0, all - 1);
            let end = b.rng.range(start + 1, all);
            b.push(Op::Slice(start..end), &[x])
        }
        18 => b.push(Op::Rearrange(Rearrange::Shuffle(groups)), &[x]),
        19 => {
            let side = b.rng.range(1, 3);
            let squares = Squares { side, order: b.rng.one_of(&[SquareOrder::ByPixel, SquareOrder::ByChannel]) };
            let channels = b.rng.range(1, 4);
            let x = b.conv(x, channels * side * side, 1, 1, 1);
            let wide = b.push(Op::Rearrange(Rearrange::DepthToSpace(squares)), &[x]);
            let narrow = b.conv(wide, 3, 1, 1, 1);
            b.push(Op::Rearrange(Rearrange::SpaceToDepth(squares)), &[narrow])
        }
        20 => {
            let name = b.rng.one_of(Rearrange::PERMUTATIONS);
            b.push(Op::Rearrange(Rearrange::transpose(name).unwrap()), &[x])
        }
        21 => {
            let x = if b.rng.flip() { b.push(Op::Flatten, &[x]) } else { x };
            let y = b.push(Op::Rearrange(Rearrange::Reshape([Some(h), None, Some(channels)])), &[x]);
            b.sigmoid(y)
        }
        22 => {
            let x = if b.rng.flip() { b.push(Op::AdaptiveAvgPool([1, 1]), &[x]) } else { x };
            let x = if b.rng.flip() { b.push(Op::Flatten, &[x]) } else { x };
            b.push(Op::Softmax(Some(groups)), &[x])
        }
        23 => {
            let x = b.push(Op::AdaptiveAvgPool([1, 1]), &[x]);
            let x = if b.rng.flip() { b.push(Op::Flatten, &[x]) } else { x };
            let kernel = 2 * b.rng.range(0, 4) + 1;
            b.push(Op::ChannelConv(kernel), &[x])
        }
        24 => {
            let stride = [b.rng.range(1, 4), b.rng.range(1, 4)];
            b.push(Op::Subsample(stride), &[x])
        }
        25 => {
            let r = &mut b.rng;
            let sides = [h, w].map(|size| {
                let before = r.range(0, size - 1);
                [before, r.range(0, size - 1 - before)]
            });
            b.push(Op::Crop(sides), &[x])
        }
        26 => {
            let op = [
                Op::Gem(Gem { p: 3.0, eps: 1e-6 }),
                Op::OverChannels(Reduction::Mean),
                Op::OverChannels(Reduction::Max),
                Op::L2Norm(1e-12),
            ];
            let op = b.rng.one_of(&op);
            let takes_vectors = !matches!(op, Op::Gem(_));
            let x = if takes_vectors && b.rng.flip() { b.push(Op::Flatten, &[x]) } else { x };
            b.push(op, &[x])
        }
        _ => {
            let over = b.rng.one_of(&[NormOver::Channels, NormOver::All, NormOver::Groups(groups), NormOver::Places]);
            let x = if over != NormOver::Places && b.rng.flip() { b.push(Op::Flatten, &[x]) } else { x };
            let y = b.sample_norm(x, over);
            if b.rng.flip() { b.relu(y) } else { y }
        }
    };
    let (checked, params) = b.finish(&[("y", y)]);
    (checked, params, inputs)
}

/// An upsampling in any mode.
fn upsample(b: &mut Build, target: Target) -> Upsample {
    let all = [Interpolation::Nearest, Interpolation::NearestExact, Interpolation::Bilinear, Interpolation::Bicubic];
    let mode = b.rng.one_of(&all);
    Upsample { mode, target, align_corners: !mode.copies() && b.rng.flip() }
}

/// A network of random blocks, pre-activations, gates, branches and outputs.
fn random(seed: u64) -> (Checked, ParamStore, Vec<(&'static str, ArrayD<f32>)>) {
    let mut b = Build::new(seed);
    let batch = b.rng.range(1, 4);
    let size = b.rng.range(5, 20);
    let x = b.input("x", Shape::fixed(&[3, size, size]));
    let filters = 2 * b.rng.range(1, 6);
    let mut v = b.conv(x, filters, 3, 1, 1);
    let mut outputs = Vec::new();
    for _ in 0..b.rng.range(1, 5) {
        let channels = b.sizes(v)[0];
        v = match b.rng.range(0, 6) {
            0 | 1 => {
                let (stride, bottleneck) = (b.rng.range(1, 2), b.rng.flip());
                b.block(v, filters, stride, bottleneck, 2)
            }
            // pre-activation: a norm that cannot be folded
            2 => {
                let n = b.norm(v);
                let n = b.relu(n);
                let c = b.conv(n, channels, 3, 1, 1);
                let n = b.norm(c);
                let n = b.relu(n);
                let c = b.conv(n, channels, 3, 1, 1);
                b.plus(c, v)
            }
            // squeeze and excitation
            3 => {
                let g = b.push(Op::AdaptiveAvgPool([1, 1]), &[v]);
                let g = b.conv(g, 2, 1, 1, 1);
                let g = b.relu(g);
                let g = b.conv(g, channels, 1, 1, 1);
                let g = b.sigmoid(g);
                b.times(v, g)
            }
            4 => {
                let a = b.conv(v, 4, 1, 1, 1);
                let c = b.conv(v, 6, 3, 1, 2);
                let c = b.norm(c);
                b.push(Op::Concat, &[a, v, c])
            }
            5 => {
                outputs.push(v);
                let d = b.push(Op::Dropout(0.5), &[v]);
                b.plus(d, v)
            }
            _ => {
                let a = b.conv(v, channels, 3, 1, channels);
                b.sum(&[a, v, a])
            }
        };
    }
    let y = b.head(v, 11);
    let p = b.push(Op::Softmax(None), &[y]);
    let mut named = vec![("p", p), ("y", y), ("again", y), ("x", x)];
    named.extend(outputs.iter().zip(["a", "b", "c", "d", "e"]).map(|(&v, n)| (n, v)));
    let (checked, params) = b.finish(&named);
    let inputs = vec![("x", noise(seed, &[batch, 3, size, size]))];
    (checked, params, inputs)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_operator_agrees_with_the_oracle(seed in any::<u64>(), which in 0usize..28, threads in 1usize..4) {
        let (checked, params, inputs) = single(seed >> 1, which);
        agrees(checked, params, &inputs, threads, ROUNDING);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_networks_agree_with_the_oracle(seed in any::<u64>(), threads in 1usize..4) {
        let (checked, params, inputs) = random(seed >> 1);
        agrees(checked, params, &inputs, threads, ROUNDING);
    }
}

#[test]
fn resnets_agree_with_the_oracle() {
    for bottleneck in [false, true] {
        let (checked, params) = crate::common::resnet([2, 2, 2, 2], bottleneck, 64);
        agrees(checked, params, &[("input", noise(3, &[2, 3, 64, 64]))], 2, 1e-4);
    }
}

/// The features of a flattened feature map are in its order, whatever the layout of the map.
#[test]
fn flattened_maps_are_read_in_order() {
    for which in 0..6 {
        let mut b = Build::new(7);
        let x = b.input("x", Shape::fixed(&[3, 9, 9]));
        let x = b.conv(x, 30, 3, 1, 1);
        let v = b.push(Op::Flatten, &[x]);
        let y = match which {
            0 => b.push(Op::Slice(100..600), &[v]),
            1 => b.push(Op::Concat, &[v, v]),
            2 => b.relu(v),
            3 => b.norm(v),
            4 => b.sum(&[v, v]),
            _ => {
                let y = b.relu(v);
                b.linear(y, 7)
            }
        };
        let (checked, params) = b.finish(&[("y", y)]);
        agrees(checked, params, &[("x", noise(5, &[3, 3, 9, 9]))], 2, 1e-4);
    }
}

/// Features of whole blocks lie the same way in both layouts, those beside them do not.
#[test]
fn vectors_of_either_layout_are_joined() {
    for swap in [false, true] {
        let mut b = Build::new(7);
        let x = b.input("x", Shape::fixed(&[3, 9, 9]));
        let wide = b.conv(x, 48, 3, 1, 1);
        let features = b.push(Op::Flatten, &[wide]);
        let features = b.linear(features, 16);
        let narrow = b.conv(x, 10, 3, 1, 1);
        let narrow = b.push(Op::AdaptiveAvgPool([1, 1]), &[narrow]);
        let narrow = b.push(Op::Flatten, &[narrow]);
        let operands = if swap { [narrow, features] } else { [features, narrow] };
        let y = b.push(Op::Concat, &operands);
        let (checked, params) = b.finish(&[("y", y)]);
        agrees(checked, params, &[("x", noise(5, &[3, 3, 9, 9]))], 2, 1e-4);
    }
}
