//! Steps of training as they are run, operator by operator, against the definition: every instruction set, batch and thread count.

use crate::common::{Build, distance, noise};
use ndarray::{ArrayD, Axis, Ix4, Slice};
use resnetc::internal::grad::{GradOptions, training};
use resnetc::internal::ir::{
    Checked, Conv, ConvTranspose, Elementwise, Epilogue, Interpolation, Linear, Op, Pad, PadMode, Pool, PoolKind, Rearrange,
    Shape, Standardize, Target, Upsample, Value,
};
use resnetc::internal::kernels::Isa;
use resnetc::internal::runtime::SessionOptions;
use resnetc::internal::runtime::{ParamStore, interp};
use resnetc::internal::train::{Batch, Engine, EngineOptions, GraphEngine};

const CLASSES: usize = 5;

fn engine((checked, params): &(Checked, ParamStore), options: &GradOptions, isa: Isa, threads: usize) -> GraphEngine {
    let session = SessionOptions { threads, isa: Some(isa) };
    // the definition's dropout is that of seed 0 and step 0
    GraphEngine::new(checked, params, options, EngineOptions { session, seed: 0, precise: false }).unwrap()
}

fn labels(batch: usize) -> Vec<u32> {
    (0..batch).map(|i| (i * 3 % CLASSES) as u32).collect()
}

/// What the definition gives for the first samples: losses, gradients and statistics.
fn exact(checked: &Checked, params: &ParamStore, options: &GradOptions, images: &ArrayD<f32>) -> Vec<(String, ArrayD<f32>)> {
    let joint = training(&checked.canonical(), options).unwrap();
    let batch = images.shape()[0];
    let labels = ArrayD::from_shape_vec(vec![batch, 1], labels(batch).iter().map(|&l| l as f32).collect()).unwrap();
    let found = interp::run_exact(&joint, params, &[("x", images.view()), ("labels", labels.view())]).unwrap();
    found.into_iter().map(|(name, array)| (name, array.mapv(|v| v as f32))).collect()
}

/// Holds a network with one input `x`, whose last value are scores or a map, against the definition.
fn check_with(what: &str, input: [usize; 3], options: &GradOptions, build: impl FnOnce(&mut Build, Value) -> Value) {
    let mut b = Build::new(what.len() as u64);
    let x = b.input("x", Shape::fixed(&input));
    let mut y = build(&mut b, x);
    if b.sizes(y).len() == 3 {
        y = b.head(y, CLASSES);
    }
    let network = b.finish(&[("output", y)]);
    let all = noise(7, &[&[5], &input[..]].concat());
    for batch in [5, 1] {
        let images = all.slice_axis(Axis(0), Slice::from(..batch)).to_owned();
        let expected = exact(&network.0, &network.1, options, &images);
        let find = |name: &str| expected.iter().find(|(n, _)| n == name).map(|(_, a)| a);
        let (images, labels) = (images.into_dimensionality::<Ix4>().unwrap(), labels(batch));
        for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
            for threads in [1, 2] {
                let what = format!("{what}: batch {batch}, {isa}, {threads} threads");
                let mut engine = engine(&network, options, isa, threads);
                let before: Vec<Vec<f32>> = engine.running_stats().iter().map(|s| s.values.clone()).collect();
                let stats = engine.gradients(&Batch { images: images.view(), labels: &labels }, 1.0, 0).unwrap();
                let loss = f64::from(find("loss").unwrap().mean().unwrap());
                assert!((stats.loss() - loss).abs() < 2e-5 * (1.0 + loss), "{what}: loss {} for {loss}", stats.loss());
                for param in engine.parameters() {
                    let layer = param.name.rsplit_once('.').unwrap().0;
                    let whole = find(&format!("grad.{}", param.name)).cloned();
                    let row = usize::from(param.name.ends_with("bias"));
                    let own = whole.or_else(|| Some(find(&format!("grad.{layer}"))?.index_axis(Axis(0), row).to_owned()));
                    let Some(own) = own else {
                        assert!(param.gradient.is_empty(), "{what}: {} is not trained", param.name);
                        continue;
                    };
                    // a weight along one axis has its gradient as a map of height 1
                    let found = ArrayD::from_shape_vec(own.raw_dim(), param.gradient.clone()).unwrap();
                    let far = distance(&found, &own);
                    assert!(far < 2e-4, "{what}: {} is {far} off", param.name);
                }
                // PyTorch's rule: momentum 0.1, the unbiased variance
                for (s, before) in engine.running_stats().iter().zip(&before) {
                    let (layer, kind) = s.name.rsplit_once('.').unwrap();
                    let own = find(&format!("stats.{layer}"))
                        .unwrap()
                        .index_axis(Axis(0), usize::from(kind == "running_var"))
                        .to_owned();
                    let id = network.0.graph().ids().find(|&id| network.0.graph().node(id).name == layer).unwrap();
                    let count = batch * network.0.shape(id).sizes().unwrap()[1..].iter().product::<usize>();
                    let unbiased = if kind == "running_var" { count as f32 / (count - 1) as f32 } else { 1.0 };
                    for ((found, before), own) in s.values.iter().zip(before).zip(&own) {
                        let expected = 0.9 * before + 0.1 * own * unbiased;
                        assert!(
                            (found - expected).abs() < 1e-5 * (1.0 + expected.abs()),
                            "{what}: {} {found} {expected}",
                            s.name
                        );
                    }
                }
            }
        }
    }
}

fn check(what: &str, input: [usize; 3], build: impl FnOnce(&mut Build, Value) -> Value) {
    check_with(what, input, &GradOptions::default(), build);
}

/// Convolutions `first` and then `then`, with norms and activations, so that both gradients of `then` are needed.
fn behind(what: &str, input: [usize; 3], channels: usize, then: Conv) {
    check(what, input, |b, x| {
        let x = b.conv(x, channels, 3, 1, 1);
        let x = b.norm(x);
        let x = b.relu(x);
        let y = b.push(Op::Conv(then), &[x]);
        let y = b.norm(y);
        b.relu(y)
    });
}

fn conv(filters: usize, kernel: usize) -> Conv {
    let pad = [[kernel / 2; 2]; 2];
    let (stride, dilation, epilogue) = ([1; 2], [1; 2], Epilogue::default());
    Conv { filters, kernel: [kernel; 2], stride, pad, dilation, groups: 1, bias: false, standardize: None, epilogue }
}

#[test]
fn strided_convolutions() {
    for (channels, filters) in [(16, 32), (5, 19)] {
        for (kernel, map) in [(3, [9, 12]), (1, [9, 12]), (1, [8, 8]), (5, [11, 10])] {
            let what = format!("{kernel}x{kernel}/2, {channels} to {filters}, {map:?}");
            behind(&what, [3, map[0], map[1]], channels, Conv { stride: [2; 2], ..conv(filters, kernel) });
        }
    }
    behind("3x3/3x2", [2, 11, 10], 7, Conv { stride: [3, 2], ..conv(9, 3) });
    behind("rows that no window reaches", [2, 12, 13], 16, Conv { stride: [4; 2], pad: [[0; 2]; 2], ..conv(16, 3) });
}

#[test]
fn padding_beyond_the_window_dilation_and_odd_windows() {
    behind("1x1, pad 2", [2, 6, 7], 16, Conv { pad: [[2; 2]; 2], ..conv(16, 1) });
    behind("1x1/2, pad 1", [2, 7, 6], 5, Conv { pad: [[1; 2]; 2], stride: [2; 2], ..conv(8, 1) });
    behind("3x3, pad 4", [2, 6, 7], 5, Conv { pad: [[4; 2]; 2], ..conv(8, 3) });
    behind("3x3, pads of its sides", [2, 8, 7], 8, Conv { pad: [[0, 2], [3, 1]], ..conv(6, 3) });
    behind("dilation 2", [2, 9, 8], 16, Conv { dilation: [2; 2], pad: [[2; 2]; 2], ..conv(16, 3) });
    behind("dilation 2, stride 2", [2, 9, 8], 6, Conv { dilation: [2; 2], pad: [[2; 2]; 2], stride: [2; 2], ..conv(7, 3) });
    behind("3x1", [2, 8, 7], 8, Conv { kernel: [3, 1], pad: [[1; 2], [0; 2]], ..conv(6, 3) });
    behind("7x7", [2, 12, 11], 8, conv(8, 7));
}

/// Maps of several tiles, for the ways of computing that small ones do not take.
#[test]
fn larger_maps() {
    behind("3x3, 16 to 32", [3, 30, 27], 16, conv(32, 3));
    behind("3x3/2, 32 to 48", [3, 25, 30], 32, Conv { stride: [2; 2], ..conv(48, 3) });
    behind("1x1, 40 to 16", [3, 24, 25], 40, conv(16, 1));
}

#[test]
fn groups() {
    behind("2 groups of 16", [3, 8, 9], 32, Conv { groups: 2, ..conv(32, 3) });
    behind("3 groups of 5", [3, 8, 9], 15, Conv { groups: 3, ..conv(6, 3) });
    behind("4 groups, 1x1/2", [3, 8, 9], 16, Conv { groups: 4, stride: [2; 2], ..conv(8, 1) });
    behind("depthwise", [3, 8, 9], 24, Conv { groups: 24, ..conv(24, 3) });
    behind("depthwise/2", [3, 9, 8], 16, Conv { groups: 16, stride: [2; 2], ..conv(16, 3) });
    behind("depthwise, two filters a channel", [3, 8, 9], 9, Conv { groups: 9, ..conv(18, 3) });
}

#[test]
fn blocks_of_the_paper() {
    for (what, channels, bottleneck) in [("basic", 16, false), ("basic", 10, false), ("bottleneck", 8, true)] {
        check(&format!("{what}, {channels}"), [3, 10, 9], |b, x| {
            b.zeros = false;
            let x = b.conv(x, channels, 3, 1, 1);
            let x = b.norm(x);
            let x = b.relu(x);
            let x = b.block(x, channels, 1, bottleneck, 1);
            let x = b.block(x, 2 * channels, 2, bottleneck, 1);
            b.block(x, 2 * channels, 1, bottleneck, 1)
        });
    }
    check("option A", [3, 9, 8], |b, x| {
        let x = b.conv(x, 16, 3, 1, 1);
        let x = b.norm(x);
        let x = b.relu(x);
        let y = b.conv(x, 32, 3, 2, 1);
        let y = b.norm(y);
        let s = b.push(Op::Subsample([2; 2]), &[x]);
        let s = b.push(Op::Pad(Pad::channels([8, 8])), &[s]);
        let y = b.plus(y, s);
        b.relu(y)
    });
    let frozen = GradOptions { frozen: vec!["conv1".into(), "norm5".into()], smoothing: 0.1, ..GradOptions::default() };
    check_with("frozen in the middle", [3, 8, 8], &frozen, |b, x| {
        let x = b.conv(x, 12, 3, 1, 1);
        let x = b.norm(x);
        let x = b.relu(x);
        b.block(x, 12, 1, false, 1)
    });
}

#[test]
fn standardized_weights() {
    // no norm behind, for which the gains would not matter
    let standardized = |what: &str, channels: usize, then: Conv| {
        check(what, [2, 9, 7], |b, x| {
            let x = b.conv(x, channels, 3, 1, 1);
            let x = b.relu(x);
            let y = b.push(Op::Conv(then), &[x]);
            b.relu(y)
        });
    };
    for gain in [None, Some(1.7)] {
        let standardize = Some(Standardize { eps: 1e-5, gain });
        for channels in [16, 7] {
            standardized("strided", channels, Conv { standardize, stride: [2, 2], bias: true, ..conv(channels, 3) });
            standardized("every pixel", channels, Conv { standardize, ..conv(32, 3) });
            standardized("pointwise", channels, Conv { standardize, ..conv(16, 1) });
        }
        standardized("groups", 32, Conv { standardize, groups: 16, ..conv(32, 3) });
    }
}

#[test]
fn pools() {
    let pool = |kind, kernel, stride, pad: usize, ceil| Pool {
        kind,
        kernel: [kernel; 2],
        stride: [stride; 2],
        pad: [[pad; 2]; 2],
        ceil,
    };
    for channels in [16, 7] {
        for (what, op) in [
            ("max 3/2", Op::Pool(pool(PoolKind::MAX, 3, 2, 1, false))),
            ("max 2/2, up", Op::Pool(pool(PoolKind::MAX, 2, 2, 0, true))),
            ("average 3/2", Op::Pool(pool(PoolKind::Avg { count_pad: false }, 3, 2, 1, false))),
            ("average 3/1 with zeros", Op::Pool(pool(PoolKind::Avg { count_pad: true }, 3, 1, 1, false))),
            ("average 2/2, up", Op::Pool(pool(PoolKind::Avg { count_pad: true }, 2, 2, 0, true))),
            ("average to 2 x 3", Op::AdaptiveAvgPool([2, 3])),
            ("zeros around", Op::Pad(Pad { channels: [1, 2], ..Pad::zeros([[1, 0], [2, 3]]) })),
            ("mirrored", Op::Pad(Pad { mode: PadMode::Reflect, ..Pad::zeros([[1, 0], [2, 3]]) })),
            ("repeated", Op::Pad(Pad { mode: PadMode::Replicate, ..Pad::zeros([[1, 0], [2, 3]]) })),
            ("max 3/1 with holes", Op::Pool(pool(PoolKind::Max { dilation: [2, 2] }, 3, 1, 2, false))),
            ("every third", Op::Subsample([3, 2])),
            ("cropped", Op::Crop([[1, 0], [0, 2]])),
            ("twice and thrice", Op::Upsample(Upsample::nearest(Target::Factor([2.0, 3.0])))),
            (
                "bilinear",
                Op::Upsample(Upsample {
                    mode: Interpolation::Bilinear,
                    target: Target::Factor([2.0, 1.5]),
                    align_corners: false,
                }),
            ),
            (
                "bicubic",
                Op::Upsample(Upsample { mode: Interpolation::Bicubic, target: Target::Size([13, 5]), align_corners: true }),
            ),
            ("limits", Op::from(Elementwise::clamp(0.1, 0.7))),
            ("scale", Op::from(Elementwise::affine(-1.0, 1.0))),
        ] {
            check(&format!("{what}, {channels} channels"), [2, 9, 7], |b, x| {
                let x = b.conv(x, channels, 3, 1, 1);
                let x = b.norm(x);
                let x = b.relu(x);
                let x = b.push(op, &[x]);
                b.conv(x, 6, 3, 1, 1)
            });
        }
    }
}

#[test]
fn pools_of_maps_smaller_than_a_window() {
    for channels in [16, 7] {
        for kind in [PoolKind::MAX, PoolKind::Avg { count_pad: true }, PoolKind::Avg { count_pad: false }] {
            for (stride, pad) in [(2, 0), (3, 0), (3, 1)] {
                let op = Op::Pool(Pool { kind, kernel: [2, 3], stride: [stride; 2], pad: [[pad.min(1); 2]; 2], ceil: true });
                check(&format!("{kind:?} by {stride}, padded by {pad}, {channels} channels"), [2, 1, 2], |b, x| {
                    let x = b.conv(x, channels, 3, 1, 1);
                    let x = b.push(op, &[x]);
                    b.conv(x, 6, 3, 1, 1)
                });
            }
        }
    }
}

#[test]
fn joins_and_gates() {
    check("concat", [2, 6, 7], |b, x| {
        let one = b.conv(x, 5, 3, 1, 1);
        let two = b.conv(x, 16, 1, 1, 1);
        let two = b.relu(two);
        let three = b.push(Op::Concat, &[two, one, two]);
        let y = b.norm(three);
        b.conv(y, 8, 3, 1, 1)
    });
    check("gate", [2, 6, 7], |b, x| {
        let x = b.conv(x, 16, 3, 1, 1);
        let x = b.norm(x);
        let g = b.push(Op::AdaptiveAvgPool([1, 1]), &[x]);
        let g = b.push(Op::Conv(Conv { bias: true, ..conv(4, 1) }), &[g]);
        let g = b.relu(g);
        let g = b.push(Op::Conv(Conv { bias: true, ..conv(16, 1) }), &[g]);
        let g = b.sigmoid(g);
        let y = b.times(x, g);
        let y = b.plus(y, x);
        b.relu(y)
    });
    for channels in [16, 7] {
        check("channel attention", [2, 6, 7], |b, x| {
            let x = b.conv(x, channels, 3, 1, 1);
            let g = b.push(Op::AdaptiveAvgPool([1, 1]), &[x]);
            let g = b.push(Op::ChannelConv(3), &[g]);
            let g = b.sigmoid(g);
            b.times(x, g)
        });
    }
    for (channels, groups) in [(16, 2), (6, 1), (5, 5)] {
        check("transposed convolutions", [2, 6, 7], |b, x| {
            let x = b.conv(x, channels, 3, 1, 1);
            let up = ConvTranspose {
                filters: 10,
                kernel: [3, 2],
                stride: [2, 1],
                pad: [[1, 1], [0, 1]],
                output_padding: [1, 0],
                dilation: [1, 2],
                groups,
                bias: true,
            };
            let x = b.push(Op::ConvTranspose(up.clone()), &[x]);
            let x = b.relu(x);
            let one =
                ConvTranspose { kernel: [1, 1], stride: [1, 2], pad: [[0; 2]; 2], dilation: [1, 1], groups: 1, ..up.clone() };
            let x = b.push(Op::ConvTranspose(ConvTranspose { output_padding: [0, 1], bias: false, ..one }), &[x]);
            // output padding of a stride, and more padding than the kernel reaches
            let last =
                ConvTranspose { dilation: [3, 1], pad: [[0, 9], [0, 1]], output_padding: [2, 0], groups: 1, filters: 4, ..up };
            b.push(Op::ConvTranspose(last), &[x])
        });
    }
    check("an operand of each kind", [2, 6, 7], |b, x| {
        let x = b.conv(x, 9, 3, 1, 1);
        b.each_kind(x, 18)
    });
    check("a pyramid's way down, and the global maximum", [2, 9, 7], |b, x| {
        let x = b.conv(x, 16, 3, 1, 1);
        let x = b.relu(x);
        let top = b.conv(x, 16, 3, 2, 1);
        let top = b.push(Op::Upsample(Upsample::nearest(Target::Like)), &[top, x]);
        let y = b.plus(top, x);
        let max = b.push(Op::GlobalMaxPool, &[y]);
        b.times(y, max)
    });
    check("products, and a value that several use", [2, 6, 7], |b, x| {
        let x = b.conv(x, 9, 3, 1, 1);
        let s = b.sigmoid(x);
        let y = b.times(x, s);
        let y = b.plus(y, x);
        let y = b.sum(&[y, s, y]);
        b.times(y, y)
    });
}

#[test]
fn layers_without_norms_and_ends() {
    let linear = |features, bias| Op::Linear(Linear { features, bias, epilogue: Epilogue::default() });
    check("biases and linear layers", [2, 7, 6], |b, x| {
        let x = b.push(Op::Conv(Conv { bias: true, ..conv(20, 3) }), &[x]);
        let x = b.relu(x);
        let x = b.push(Op::Conv(Conv { bias: true, stride: [2; 2], ..conv(7, 3) }), &[x]);
        let x = b.push(Op::Flatten, &[x]);
        let x = b.push(linear(33, true), &[x]);
        let x = b.relu(x);
        let x = b.push(linear(17, false), &[x]);
        let x = b.sigmoid(x);
        b.push(linear(CLASSES, true), &[x])
    });
    let smooth = GradOptions { smoothing: 0.2, ..GradOptions::default() };
    check_with("softmax at the end", [2, 5, 6], &smooth, |b, x| {
        let x = b.conv(x, 6, 3, 1, 1);
        let x = b.norm(x);
        let x = b.relu(x);
        let x = b.head(x, CLASSES);
        b.push(Op::Softmax(None), &[x])
    });
    check("softmax in the middle, norm of features", [2, 5, 6], |b, x| {
        let x = b.conv(x, 6, 3, 1, 1);
        let x = b.push(Op::Softmax(None), &[x]);
        b.conv(x, 8, 1, 1, 1)
    });
    check("rearranged values", [2, 4, 6], |b, x| {
        let x = b.conv(x, 24, 3, 1, 1);
        let x = b.push(Op::Rearrange(Rearrange::Shuffle(2)), &[x]);
        let x = b.conv(x, 24, 1, 1, 1);
        let x = b.push(Op::Softmax(Some(2)), &[x]);
        let x = b.conv(x, 24, 1, 1, 1);
        let x = b.push(Op::Rearrange(Rearrange::transpose("whc").unwrap()), &[x]);
        let x = b.conv(x, 8, 3, 1, 1);
        let x = b.norm(x);
        b.relu(x)
    });
    check("dropout", [2, 5, 6], |b, x| {
        let x = b.conv(x, 21, 3, 1, 1);
        let x = b.push(Op::Dropout(0.3), &[x]);
        let x = b.relu(x);
        let x = b.push(Op::AdaptiveAvgPool([1, 1]), &[x]);
        let x = b.push(Op::Flatten, &[x]);
        let x = b.push(Op::Dropout(0.6), &[x]);
        b.push(linear(CLASSES, true), &[x])
    });
}

/// The gradient of a linear layer's weight is its input times a number: it shows what dropout let through.
#[test]
fn dropout_is_drawn_by_seed_step_and_place() {
    let mut b = Build::new(1);
    let x = b.input("x", Shape::fixed(&[4, 20, 25]));
    let y = b.push(Op::Flatten, &[x]);
    let y = b.push(Op::Dropout(0.3), &[y]);
    let y = b.linear(y, CLASSES);
    let network = b.finish(&[("output", y)]);
    let images = ArrayD::ones(vec![1, 4, 20, 25]).into_dimensionality::<Ix4>().unwrap();
    let mask = |seed: u64, step: u64, threads: usize| {
        let session = SessionOptions { threads, isa: None };
        let options = EngineOptions { session, seed, precise: false };
        let mut engine = GraphEngine::new(&network.0, &network.1, &GradOptions::default(), options).unwrap();
        engine.gradients(&Batch { images: images.view(), labels: &[2] }, 1.0, step).unwrap();
        let [weight, bias] = engine.parameters() else { panic!("a linear layer") };
        weight.gradient[..2000].iter().map(|g| g / bias.gradient[0]).collect::<Vec<f32>>()
    };
    let first = mask(5, 9, 2);
    assert!(first.iter().all(|&v| v == 0.0 || (v - 1.0 / 0.7).abs() < 1e-5));
    let gone = |mask: &[f32]| mask.iter().filter(|&&v| v == 0.0).count();
    // 600 of 2000, with a deviation of 20
    assert!(gone(&first).abs_diff(600) < 90, "{}", gone(&first));
    assert_eq!(first, mask(5, 9, 1));
    for (seed, step) in [(5, 10), (6, 9)] {
        let other = mask(seed, step, 2);
        let both = first.iter().zip(&other).filter(|(a, b)| **a == 0.0 && **b == 0.0).count();
        assert!(gone(&other).abs_diff(600) < 90 && both.abs_diff(180) < 60, "{both}");
    }
}

#[test]
fn the_same_calls_give_the_same_bits() {
    let mut b = Build::new(3);
    let x = b.input("x", Shape::fixed(&[3, 19, 17]));
    let x = b.conv(x, 16, 3, 1, 1);
    let x = b.norm(x);
    let x = b.relu(x);
    let x = b.block(x, 16, 1, false, 1);
    let x = b.block(x, 24, 2, false, 2);
    let x = b.push(Op::Dropout(0.2), &[x]);
    let y = b.head(x, CLASSES);
    let network = b.finish(&[("output", y)]);
    let images = noise(3, &[7, 3, 19, 17]).into_dimensionality::<Ix4>().unwrap();
    let labels = labels(7);
    let run = |isa, threads| {
        let mut engine = engine(&network, &GradOptions::default(), isa, threads);
        let mut bits = Vec::new();
        for step in 0..3 {
            // the last of an epoch is smaller
            let count = if step == 1 { 4 } else { 7 };
            let images = images.slice_axis(Axis(0), Slice::from(..count));
            engine.clear();
            let stats = engine.gradients(&Batch { images, labels: &labels[..count] }, 1.0, step).unwrap();
            bits.push(stats.loss_sum.to_bits());
            for param in engine.parameters() {
                bits.extend(param.gradient.iter().map(|g| u64::from(g.to_bits())));
                param.values.iter_mut().zip(&param.gradient).for_each(|(v, g)| *v -= 0.01 * g);
            }
        }
        bits.extend(engine.running_stats().iter().flat_map(|s| &s.values).map(|v| u64::from(v.to_bits())));
        bits
    };
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
        for threads in [1, 2] {
            let first = run(isa, threads);
            for _ in 0..3 {
                assert!(first == run(isa, threads), "{isa}, {threads} threads");
            }
        }
    }
}
