//! The gradient of every operator, against central finite differences in f64.

use crate::common::{Build, noise};
use ndarray::ArrayD;
use resnetc::internal::base::tensor::Tensor;
use resnetc::internal::driver::Frontend;
use resnetc::internal::grad::{GradError, GradOptions, TrainingStep, training};
use resnetc::internal::ir::{
    Checked, Conv, ConvTranspose, Elementwise, Epilogue, Gem, Interpolation, Linear, NormOver, Op, Pad, PadMode, Pool, PoolKind,
    Rearrange, Reduction, SampleNorm, Shape, SquareOrder, Squares, Standardize, Target, Train, Upsample, Value,
};
use resnetc::internal::passes;
use resnetc::internal::runtime::init::init;
use resnetc::internal::runtime::{ParamStore, interp};

struct Case {
    step: TrainingStep,
    params: ParamStore,
    options: GradOptions,
    batch: usize,
    labels: Vec<f32>,
}

impl Case {
    fn outputs(&self, params: &ParamStore) -> Vec<(String, ArrayD<f64>)> {
        let inputs: Vec<(String, ArrayD<f32>)> = self
            .step
            .graph()
            .inputs()
            .iter()
            .enumerate()
            .map(|(i, &id)| {
                let node = self.step.graph().node(id);
                let sizes = [&[self.batch], &self.step.shape(id).sizes().unwrap()[..]].concat();
                let values = if node.name == "labels" {
                    ArrayD::from_shape_vec(sizes, self.labels.clone()).unwrap()
                } else {
                    noise(i as u64 + 7, &sizes)
                };
                (node.name.clone(), values)
            })
            .collect();
        let views: Vec<(&str, _)> = inputs.iter().map(|(n, a)| (n.as_str(), a.view())).collect();
        interp::run_exact(&self.step, params, &views).unwrap()
    }

    fn loss(&self, params: &ParamStore) -> f64 {
        self.outputs(params)[0].1.mean().unwrap()
    }

    /// The gradient of the mean loss by each element of a parameter, by central differences: `None` at a kink.
    fn difference(&self, name: &str, element: usize) -> Option<f64> {
        let at = |step: f32| {
            let mut moved = 0.0;
            let changed: ParamStore = self
                .params
                .iter()
                .map(|(n, t)| {
                    let mut values = t.to_f32().into_owned();
                    if n == name {
                        values[element] += step;
                        moved = f64::from(values[element]);
                    }
                    (n.to_owned(), Tensor::from_f32(t.shape().to_vec(), values).unwrap())
                })
                .collect();
            (moved, self.loss(&changed))
        };
        let slope = |h: f32| {
            let ((a, low), (b, high)) = (at(-h), at(h));
            (high - low) / (b - a)
        };
        let (wide, narrow) = (slope(4e-5), slope(2e-5));
        ((wide - narrow).abs() < 1e-4 * (1e-2 + narrow.abs())).then_some(narrow)
    }

    fn check(&self, what: &str) {
        let found = self.outputs(&self.params);
        let get = |name: &str| {
            &found
                .iter()
                .find(|(n, _)| n == name)
                .unwrap_or_else(|| panic!("{what}: no {name} among {:?}", found.iter().map(|f| &f.0).collect::<Vec<_>>()))
                .1
        };
        let (mut checked, mut kinks) = (0, 0);
        for (name, tensor) in self.params.iter() {
            let (layer, role) = name.rsplit_once('.').unwrap();
            if role.starts_with("running") || self.options.is_frozen(name) {
                continue;
            }
            let norm = found.iter().any(|(n, _)| *n == format!("grad.{layer}"));
            let len: usize = tensor.shape().iter().product();
            let gradient: Vec<f64> = match (norm, role) {
                (false, _) => get(&format!("grad.{name}")).iter().copied().collect(),
                (true, "weight") => get(&format!("grad.{layer}")).iter().copied().take(len).collect(),
                (true, _) => get(&format!("grad.{layer}")).iter().copied().skip(len).collect(),
            };
            assert_eq!(gradient.len(), len, "{what}: {name}");
            for element in (0..len).step_by(len.div_ceil(12)) {
                let Some(expected) = self.difference(name, element) else {
                    kinks += 1;
                    continue;
                };
                checked += 1;
                let found = gradient[element];
                assert!(
                    (found - expected).abs() < 2e-7 + 2e-6 * expected.abs(),
                    "{what}: {name}[{element}] is {found}, not {expected}"
                );
            }
        }
        assert!(checked > 0 && kinks * 4 <= checked, "{what}: {kinks} kinks among {checked}");
    }
}

fn case(seed: u64, smoothing: f64, build: impl FnOnce(&mut Build) -> Value) -> Case {
    let mut b = Build::new(seed);
    let y = build(&mut b);
    let classes = b.sizes(y)[0];
    let (checked, params) = b.finish(&[("output", y)]);
    let options = GradOptions { smoothing, ..GradOptions::default() };
    let step = training(&checked.canonical(), &options).unwrap();
    passes::verify(&step).unwrap();
    Case { step, params, options, batch: 3, labels: (0..3).map(|i| ((i * 5 + 1) % classes) as f32).collect() }
}

/// A layer before the operator, so that what flows back through it is seen, and a head behind.
fn between(seed: u64, size: [usize; 2], op: Op) -> Case {
    case(seed, 0.0, |b| {
        let x = b.input("x", Shape::fixed(&[2, size[0], size[1]]));
        let x = b.conv(x, 4, 3, 1, 1);
        let y = b.push(op, &[x]);
        let y = if b.sizes(y).len() == 3 { b.push(Op::Flatten, &[y]) } else { y };
        b.linear(y, 3)
    })
}

fn conv(filters: usize, kernel: [usize; 2]) -> Conv {
    Conv {
        filters,
        kernel,
        stride: [1, 1],
        pad: [[0; 2]; 2],
        dilation: [1, 1],
        groups: 1,
        bias: true,
        standardize: None,
        epilogue: Epilogue::default(),
    }
}

#[test]
fn convolutions() {
    between(1, [5, 6], Op::Conv(conv(3, [1, 1]))).check("pointwise");
    between(2, [6, 7], Op::Conv(Conv { stride: [2, 3], pad: [[1, 2], [0, 1]], ..conv(4, [3, 2]) }))
        .check("strided, unevenly padded");
    between(3, [7, 7], Op::Conv(Conv { dilation: [2, 1], groups: 2, pad: [[2, 2], [1, 1]], ..conv(6, [3, 3]) })).check("groups");
    between(4, [6, 5], Op::Conv(Conv { groups: 4, stride: [2, 2], pad: [[1; 2]; 2], ..conv(8, [3, 3]) })).check("depthwise");
    let standardized = |eps, gain| Some(Standardize { eps, gain });
    between(6, [5, 6], Op::Conv(Conv { standardize: standardized(1e-3, None), ..conv(3, [3, 2]) })).check("standardized");
    let scaled = Conv { standardize: standardized(1e-6, Some(1.7)), groups: 2, stride: [2, 2], ..conv(6, [3, 3]) };
    between(7, [7, 6], Op::Conv(scaled)).check("standardized, with gains");
    // padding beyond what taps reach, rows that no tap sees
    between(5, [7, 6], Op::Conv(Conv { stride: [3, 3], pad: [[3, 0], [2, 2]], ..conv(2, [2, 2]) })).check("sparse");
}

#[test]
fn pools() {
    let pool =
        |kind, kernel, stride, pad: [usize; 2], ceil| Op::Pool(Pool { kind, kernel, stride, pad: pad.map(|p| [p; 2]), ceil });
    for (seed, ceil) in [(1, false), (2, true)] {
        between(seed, [7, 6], pool(PoolKind::MAX, [3, 2], [2, 2], [1, 1], ceil)).check("max");
        let dilated = PoolKind::Max { dilation: [2, 3] };
        between(seed, [7, 8], pool(dilated, [3, 2], [1, 2], [1, 1], ceil)).check("max of a window with holes");
        between(seed, [6, 7], pool(PoolKind::Avg { count_pad: true }, [3, 3], [2, 3], [1, 1], ceil)).check("average");
        between(seed, [6, 7], pool(PoolKind::Avg { count_pad: false }, [2, 3], [3, 2], [1, 1], ceil))
            .check("average without padding");
    }
    between(3, [5, 7], Op::AdaptiveAvgPool([2, 3])).check("adaptive");
    between(4, [5, 7], Op::AdaptiveAvgPool([1, 1])).check("global");
}

#[test]
fn norms_of_each_sample() {
    for (seed, over) in [(1, NormOver::Channels), (2, NormOver::All), (3, NormOver::Groups(2)), (4, NormOver::Places)] {
        for affine in [true, false] {
            let norm = Op::SampleNorm(SampleNorm { over, eps: 1e-3, affine });
            between(seed, [4, 5], norm.clone()).check(&format!("{over:?}"));
            if over != NormOver::Places {
                case(seed + 4, 0.0, |b| {
                    let x = b.input("x", Shape::fixed(&[5]));
                    let y = b.linear(x, 6);
                    let y = b.push(norm, &[y]);
                    b.linear(y, 3)
                })
                .check(&format!("{over:?} of a vector"));
            }
        }
    }
}

#[test]
fn what_becomes_of_the_channels_of_a_place() {
    for (seed, op) in [(1, Op::OverChannels(Reduction::Mean)), (2, Op::OverChannels(Reduction::Max)), (3, Op::L2Norm(1e-12))] {
        between(seed, [4, 5], op.clone()).check(op.word());
        case(seed + 3, 0.0, |b| {
            let x = b.input("x", Shape::fixed(&[5]));
            let y = b.linear(x, 6);
            let y = b.push(op.clone(), &[y]);
            b.linear(y, 3)
        })
        .check(op.word());
    }
}

#[test]
fn norms_activations_and_what_moves_values() {
    let norm = resnetc::internal::ir::BatchNorm { eps: 1e-3, momentum: 0.1 };
    between(1, [4, 5], Op::BatchNorm(norm)).check("batchnorm");
    between(2, [4, 5], Op::relu()).check("relu");
    between(3, [4, 5], Op::from(Elementwise::sigmoid())).check("sigmoid");
    between(4, [4, 5], Op::Softmax(None)).check("softmax over a map");
    between(5, [4, 5], Op::Dropout(0.4)).check("dropout");
    between(6, [3, 4], Op::Pad(Pad { channels: [1, 2], ..Pad::zeros([[1, 0], [2, 1]]) })).check("pad");
    for (seed, mode) in [(8, PadMode::Reflect), (9, PadMode::Replicate)] {
        between(seed, [3, 4], Op::Pad(Pad { mode, ..Pad::zeros([[1, 2], [3, 0]]) })).check(mode.word());
    }
    between(7, [5, 6], Op::Subsample([2, 3])).check("subsample");
    between(7, [5, 6], Op::Crop([[1, 0], [2, 1]])).check("crop");
    let exact = Upsample { mode: Interpolation::NearestExact, ..Upsample::nearest(Target::Size([2, 7])) };
    between(7, [5, 6], Op::Upsample(exact)).check("upsample by centers");
    between(10, [3, 4], Op::Upsample(Upsample::nearest(Target::Factor([2.0, 3.0])))).check("upsample");
    for (mode, align_corners) in
        [(Interpolation::Bilinear, false), (Interpolation::Bilinear, true), (Interpolation::Bicubic, false)]
    {
        for target in [Target::Factor([1.5, 2.0]), Target::Size([2, 7])] {
            between(10, [3, 4], Op::Upsample(Upsample { mode, target, align_corners })).check(mode.word());
        }
    }
    between(10, [1, 1], Op::ChannelConv(3)).check("over channels");
    let transposed = ConvTranspose {
        filters: 4,
        kernel: [3, 2],
        stride: [2, 1],
        pad: [[1, 0], [0, 1]],
        output_padding: [1, 0],
        dilation: [1, 2],
        groups: 2,
        bias: true,
    };
    between(10, [3, 4], Op::ConvTranspose(transposed.clone())).check("transposed convolution");
    let room = ConvTranspose { stride: [1, 2], output_padding: [0, 3], dilation: [2, 4], ..transposed.clone() };
    between(10, [3, 2], Op::ConvTranspose(room)).check("transposed convolution with more output padding than a stride");
    let cut = ConvTranspose { kernel: [1, 1], stride: [2, 3], pad: [[0, 1], [1, 0]], ..transposed };
    between(10, [3, 3], Op::ConvTranspose(cut)).check("transposed convolution with more padding than it reaches");
    case(19, 0.0, |b| {
        let x = b.input("x", Shape::fixed(&[5]));
        let y = b.linear(x, 4);
        let y = b.push(Op::ChannelConv(5), &[y]);
        b.linear(y, 3)
    })
    .check("over the features of a vector");
    between(11, [5, 4], Op::from(Elementwise::clamp(-0.3, 0.4))).check("clip");
    between(14, [5, 4], Op::from(Elementwise::affine(-1.5, 1.0))).check("scale");
    for (seed, range) in [(15, 0..3), (16, 1..2), (17, 2..4)] {
        between(seed, [5, 4], Op::Slice(range)).check("slice");
    }
    case(18, 0.0, |b| {
        let x = b.input("x", Shape::fixed(&[5]));
        let y = b.linear(x, 4);
        let y = b.push(Op::Slice(1..4), &[y]);
        b.linear(y, 3)
    })
    .check("slice of a vector");
    for (seed, order) in [(19, SquareOrder::ByPixel), (20, SquareOrder::ByChannel)] {
        let squares = Squares { side: 2, order };
        between(seed, [4, 6], Op::Rearrange(Rearrange::SpaceToDepth(squares))).check("space to depth");
        between(seed, [3, 5], Op::Rearrange(Rearrange::DepthToSpace(squares))).check("depth to space");
    }
    between(21, [3, 5], Op::Rearrange(Rearrange::Shuffle(2))).check("shuffle");
    for (seed, name) in [(22, "hwc"), (23, "wch"), (24, "cwh")] {
        between(seed, [3, 5], Op::Rearrange(Rearrange::transpose(name).unwrap())).check(name);
    }
    between(25, [3, 4], Op::Rearrange(Rearrange::Reshape([Some(2), Some(8), None]))).check("reshape");
    between(26, [3, 4], Op::Softmax(Some(2))).check("softmax over groups");
    case(27, 0.0, |b| {
        let x = b.input("x", Shape::fixed(&[5]));
        let y = b.linear(x, 12);
        let y = b.push(Op::Softmax(Some(3)), &[y]);
        let y = b.push(Op::Rearrange(Rearrange::Reshape([Some(3), Some(2), None])), &[y]);
        let y = b.conv(y, 4, 1, 1, 1);
        let y = b.push(Op::Flatten, &[y]);
        b.linear(y, 3)
    })
    .check("softmax over groups, and a reshape, of a vector");
    between(12, [5, 4], Op::GlobalMaxPool).check("global maximum");
    case(21, 0.0, |b| {
        let x = b.input("x", Shape::fixed(&[2, 5, 4]));
        let x = b.conv(x, 4, 3, 1, 1);
        let x = b.sigmoid(x);
        let y = b.push(Op::Gem(Gem { p: 3.0, eps: 1e-6 }), &[x]);
        let y = b.push(Op::Flatten, &[y]);
        b.linear(y, 3)
    })
    .check("generalized mean");
    case(13, 0.0, |b| {
        let x = b.input("x", Shape::fixed(&[2, 5, 7]));
        let x = b.conv(x, 3, 3, 1, 1);
        let small = b.conv(x, 4, 3, 2, 1);
        let y = b.push(Op::Upsample(Upsample::nearest(Target::Like)), &[small, x]);
        let y = b.push(Op::Flatten, &[y]);
        b.linear(y, 3)
    })
    .check("upsample like another");
    between(8, [4, 4], Op::Flatten).check("flatten");
    case(9, 0.0, |b| {
        let x = b.input("x", Shape::fixed(&[5]));
        let y = b.linear(x, 4);
        let y = b.push(Op::BatchNorm(norm), &[y]);
        let y = b.push(Op::Linear(Linear { features: 3, bias: false, epilogue: Epilogue::default() }), &[y]);
        let y = b.push(Op::Flatten, &[y]);
        b.push(Op::Softmax(None), &[y])
    })
    .check("norm of a vector, and a softmax at the end");
}

#[test]
fn a_value_used_several_times() {
    case(1, 0.1, |b| {
        let x = b.input("x", Shape::fixed(&[2, 5, 4]));
        let x = b.conv(x, 4, 3, 1, 1);
        let a = b.conv(x, 2, 1, 1, 1);
        let joined = b.push(Op::Concat, &[a, x, a]);
        let gate = b.push(Op::AdaptiveAvgPool([1, 1]), &[joined]);
        let gate = b.sigmoid(gate);
        let y = b.times(joined, gate);
        let square = b.times(y, y);
        let y = b.sum(&[y, square, y]);
        b.head(y, 5)
    })
    .check("concat, gates, sums, label smoothing");
}

#[test]
fn operands_that_are_repeated() {
    case(7, 0.1, |b| {
        let x = b.input("x", Shape::fixed(&[2, 5, 4]));
        let y = b.each_kind(x, 3);
        b.head(y, 5)
    })
    .check("an operand of each kind");
}

#[test]
fn residual_blocks() {
    for seed in 0..3 {
        case(seed, 0.0, |b| {
            let x = b.input("x", Shape::fixed(&[3, 8, 8]));
            let x = b.conv(x, 4, 3, 1, 1);
            let x = b.norm(x);
            let x = b.relu(x);
            let x = b.block(x, 4, 1, false, 1);
            let x = b.block(x, 8, 2, false, 2);
            b.head(x, 4)
        })
        .check("a small residual network");
    }
}

#[test]
fn paths_of_blocks_are_dropped_by_sample() {
    let source = "resnet 1\nuse std.blocks: basic\nnetwork tiny {\n input 3 x 8 x 8\n conv 3x3, filters: 4\n batchnorm\n relu\n shortcut: pad\n \
                  stage layer1: 2 of basic { filters: 4 }\n stage layer2: 2 of basic { filters: double, map: halve }\n \
                  head { avgpool global\n linear 4 as fc }\n}\n";
    let network = Frontend::text("tiny.resnet", source).check("tiny", &[]).unwrap();
    let params = init(&network, 3).unwrap();
    let options = GradOptions { stochastic_depth: 0.8, ..GradOptions::default() };
    let step = training(&network.canonical(), &options).unwrap();
    passes::verify(&step).unwrap();
    let drops = |step: &TrainingStep| -> Vec<f64> {
        let graph = step.graph();
        let forward = graph.order().into_iter().filter(|&id| graph.node(id).name.ends_with(".drop"));
        let p = forward.map(|id| match graph.node(id).op {
            Op::Train(Train::Dropout { p, per_sample: true, .. }) => p,
            ref other => panic!("{other:?}"),
        });
        p.collect()
    };
    assert_eq!(drops(&step), [0.2, 0.4, 0.8 * 3.0 / 4.0, 0.8]);
    let case = Case { step, params, options, batch: 5, labels: vec![0.0, 1.0, 2.0, 3.0, 1.0] };
    case.check("stochastic depth");
    // something went, and something stayed
    let whole = training(&network.canonical(), &GradOptions::default()).unwrap();
    assert!(drops(&whole).is_empty());
    let loss = case.loss(&case.params);
    let whole = Case { step: whole, options: GradOptions::default(), ..case };
    assert_ne!(whole.loss(&whole.params), loss);
    let plain =
        Frontend::text("plain.resnet", "resnet 1\nnetwork plain {\n input 4\n linear 2 as fc\n}\n").check("plain", &[]).unwrap();
    let refused = training(&plain.canonical(), &GradOptions { stochastic_depth: 0.1, ..GradOptions::default() });
    assert_eq!(refused.err(), Some(GradError::NoShortcuts));
}

/// Further outputs of scores add their loss, as the auxiliary classifiers of Szegedy et al. 2015 do.
#[test]
fn auxiliary_classifiers() {
    let network = |classes: usize| {
        let mut b = Build::new(5);
        let x = b.input("x", Shape::fixed(&[2, 5, 4]));
        let x = b.conv(x, 4, 3, 1, 1);
        let x = b.sigmoid(x);
        let aux = b.head(x, classes);
        let aux = b.push(Op::Softmax(None), &[aux]);
        let y = b.conv(x, 3, 3, 1, 1);
        let y = b.head(y, 3);
        b.finish(&[("output", y), ("aux", aux), ("map", x)])
    };
    let of = |(checked, params): (Checked, ParamStore), auxiliary| {
        let options = GradOptions { auxiliary, ..GradOptions::default() };
        let step = training(&checked.canonical(), &options).unwrap();
        Case { step, params, options, batch: 3, labels: vec![1.0, 0.0, 2.0] }
    };
    let (main, both) = (of(network(3), 0.0), of(network(3), 0.3));
    both.check("auxiliary");
    assert!(both.loss(&both.params) > main.loss(&main.params));
    assert_eq!(training(&network(4).0.canonical(), &both.options).unwrap_err(), GradError::NoAuxiliary);
}

#[test]
fn what_is_frozen_has_no_gradient_and_nothing_is_computed_for_it() {
    let mut b = Build::new(1);
    let x = b.input("x", Shape::fixed(&[3, 8, 8]));
    let x = b.conv(x, 4, 3, 1, 1);
    let x = b.norm(x);
    let x = b.conv(x, 4, 3, 1, 1);
    let y = b.head(x, 4);
    let (checked, _) = b.finish(&[("output", y)]);
    let with = |names: &[&str]| {
        let frozen = names.iter().map(|n| (*n).to_owned()).collect();
        training(&checked.canonical(), &GradOptions { frozen, ..GradOptions::default() })
    };
    fn words(step: &TrainingStep) -> Vec<&str> {
        step.graph().ids().map(|id| step.graph().node(id).op.word()).collect()
    }
    let all = with(&[]).unwrap();
    // no gradient of the network's own input
    assert_eq!(words(&all).iter().filter(|w| **w == "conv-grad-input").count(), 1);
    let some = with(&["conv1", "norm2"]).unwrap();
    assert!(!words(&some).contains(&"conv-grad-input") && !words(&some).contains(&"norm-grad-input"));
    let names: Vec<&str> = some.graph().outputs().iter().map(|(n, _)| n.as_str()).collect();
    assert!(names.contains(&"grad.conv3.weight") && !names.contains(&"grad.conv1.weight") && !names.contains(&"grad.norm2"));
    assert_eq!(with(&["conv"]).unwrap_err(), GradError::UnknownFrozen("conv".to_owned()));
    assert_eq!(with(&["conv1", "norm2", "conv3", "linear6"]).unwrap_err(), GradError::NothingToTrain);
}

#[test]
fn networks_that_give_no_scores_are_refused() {
    let mut b = Build::new(1);
    let x = b.input("x", Shape::fixed(&[3, 8, 8]));
    let y = b.conv(x, 4, 3, 1, 1);
    let (checked, _) = b.finish(&[("output", y)]);
    let error = training(&checked.canonical(), &GradOptions::default()).unwrap_err();
    assert!(error.to_string().contains("a vector of class scores"), "{error}");
}
