//! Comparison with the definition in f64, and speed.

use super::*;
use crate::kernels::nchwc::pack::{pack, pack_channels};
use crate::kernels::reference::{Numbers, activations, blocked, conv_f64, max_error, plain};

/// Runs this kernel from and to NCHW values and compares with the definition in f64.
fn check(
    isa: Isa,
    shape: ConvShape,
    plan: DirectPlan,
    threads: usize,
    act: Option<Activation<'_>>,
    residual: usize,
    from_plain: bool,
) {
    let mut numbers = Numbers::new(shape.macs() + residual as u64);
    let lanes = isa.lanes();
    let x = numbers.take(shape.input_sizes().iter().product());
    let weight = numbers.take(shape.filters * shape.depth());
    let bias = numbers.take(shape.filters);
    let r = numbers.take(shape.output_sizes().iter().product());
    let expected = conv_f64(&shape, &x, &weight, Some(&bias), (residual > 0).then_some(&r[..]), act);

    let sizes = [shape.filters, shape.channels / shape.groups, shape.kernel[0], shape.kernel[1]];
    let packed = pack(lanes, sizes, shape.groups, from_plain, &weight).unwrap();
    let bias = pack_channels(lanes, &bias).unwrap();
    let (input, rest) = if from_plain {
        (x, blocked(&r, shape.output_sizes(), lanes))
    } else {
        (blocked(&x, shape.input_sizes(), lanes), blocked(&r, shape.output_sizes(), lanes))
    };
    let mut out = vec![f32::NAN; rest.len()];
    let residual = match residual {
        1 if !allows_residual_in_place(isa, from_plain, &shape) => Residual::From(&rest),
        0 => Residual::None,
        1 => {
            out.copy_from_slice(&rest);
            Residual::InPlace
        }
        _ => Residual::From(&rest),
    };
    let pool = ThreadPool::new(threads).unwrap();
    let mut scratch_memory = vec![f32::NAN; scratch(isa, from_plain, &shape, plan) * threads];
    let epilogue = Epilogue { bias: Some(&bias), residual, act };
    let operands = ConvOperands { x: &input, weight: &packed, epilogue };
    conv(&pool, isa, from_plain, &shape, plan, &operands, &mut scratch_memory, &mut out);
    assert!(out.iter().all(|v| v.is_finite()), "{isa} {shape:?} {plan:?}");
    let off = max_error(&plain(&out, shape.output_sizes(), lanes), &expected);
    assert!(off < 5e-5, "{isa} {shape:?} {plan:?}: {off}");
}

fn shape(n: &mut Numbers, groups: bool) -> ConvShape {
    let mut below = |most: usize| n.below(most);
    let kernel = [[1, 1], [3, 3], [7, 7], [5, 3], [1, 3], [2, 2]][below(6)];
    let stride = [[1, 1], [2, 2], [3, 3], [1, 2], [2, 1]][below(5)];
    let dilation = [1 + below(2), 1 + below(2)];
    let pad = [[below(kernel[0]), below(kernel[0])], [below(kernel[1]), below(kernel[1])]];
    let reach = [0, 1].map(|i| (kernel[i] - 1) * dilation[i] + 1);
    let input = [0, 1].map(|i| reach[i] + below(18));
    let output = [0, 1].map(|i| (input[i] + pad[i][0] + pad[i][1] - reach[i]) / stride[i] + 1);
    let groups = if groups { [2, 3, 8][below(3)] } else { 1 };
    let channels = groups * [1, 3, 4, 16, 20, 40][below(6)];
    let filters = groups * [1, 4, 5, 16, 33, 48][below(6)];
    ConvShape { batch: 1 + below(3), channels, input, filters, output, kernel, stride, pad, dilation, groups }
}

#[test]
fn agrees_with_the_definition() {
    for isa in Isa::ALL.into_iter().filter(|isa| isa.vector().is_some()) {
        let mut n = Numbers::new(7);
        for round in 0..120 {
            let shape = shape(&mut n, round % 4 == 3);
            let plan =
                DirectPlan { rows: 1 + n.below(20), samples: 1 + n.below(3), shares: 1 + n.below(3), exact: n.below(2) == 0 };
            let act = activations()[n.below(4)];
            let plain = shape.groups == 1 && n.below(3) == 0;
            check(isa, shape, plan, 1 + n.below(3), act, n.below(3), plain);
        }
    }
}

#[test]
fn a_pair_is_the_sum_of_two_convolutions() {
    for isa in Isa::ALL.into_iter().filter(|isa| isa.vector().is_some()) {
        let mut n = Numbers::new(11);
        let lanes = isa.lanes();
        for round in 0..60 {
            let [batch, filters] = [1 + n.below(3), [1, 16, 40, 70][n.below(4)]];
            let output = [1 + n.below(9), 1 + n.below(17)];
            let stride = [[1, 1], [2, 2], [1, 3]][n.below(3)];
            let shape = |channels, stride: [usize; 2], input: [usize; 2]| ConvShape {
                batch,
                channels,
                input,
                filters,
                output,
                kernel: [1, 1],
                stride,
                pad: [[0; 2]; 2],
                dilation: [1; 2],
                groups: 1,
            };
            let one = shape([3, 16, 40, 300][n.below(4)], [1, 1], output);
            let larger = [0, 1].map(|i| (output[i] - 1) * stride[i] + 1 + n.below(stride[i]));
            let two = shape([4, 32, 50, 520][n.below(4)], stride, larger);
            let act = activations()[round % 4];
            let mut made = [one, two].map(|s| {
                let x = n.take(s.input_sizes().iter().product());
                let (weight, bias) = (n.take(s.filters * s.depth()), n.take(s.filters));
                let packed = pack(lanes, [s.filters, s.channels, 1, 1], 1, false, &weight).unwrap();
                let sum = conv_f64(&s, &x, &weight, Some(&bias), None, None);
                (blocked(&x, s.input_sizes(), lanes), packed, pack_channels(lanes, &bias).unwrap(), sum)
            });
            let expected: Vec<f32> = made[0].3.iter().zip(&made[1].3).map(|(a, b)| (a + b) as f32).collect();
            let mut expected = expected;
            if let Some(act) = act {
                act.apply(isa, &mut expected);
            }
            let [(x, weight, bias, _), (x2, weight2, bias2, _)] = &mut made;
            let plan =
                DirectPlan { rows: 1 + n.below(9), samples: 1 + n.below(3), shares: 1 + n.below(3), exact: n.below(2) == 0 };
            let threads = 1 + n.below(3);
            let mut scratch_memory = vec![f32::NAN; scratch(isa, false, &two, plan) * threads];
            let mut out = vec![f32::NAN; batch * filters.next_multiple_of(lanes) * output[0] * output[1]];
            let epilogue = Epilogue { bias: Some(bias), residual: Residual::None, act };
            let operands = ConvOperands { x, weight, epilogue };
            let second = Second { shape: &two, x: x2, weight: weight2, bias: Some(bias2) };
            let pool = ThreadPool::new(threads).unwrap();
            pair(&pool, isa, &one, plan, &operands, &second, &mut scratch_memory, &mut out);
            let got = plain(&out, one.output_sizes(), lanes);
            let off = got.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(off < 1e-3 && got.iter().all(|v| v.is_finite()), "{isa} {one:?} {two:?} {plan:?}: {off}");
        }
    }
}

#[test]
#[ignore = "a measurement: cargo test --release --lib direct::tests::speed -- --ignored --nocapture"]
fn speed() {
    for isa in Isa::ALL.into_iter().filter(|isa| isa.vector().is_some()) {
        for (channels, map, filters, kernel, stride) in [
            (64, 56, 64, 3, 1),
            (128, 28, 128, 3, 1),
            (256, 14, 256, 3, 1),
            (512, 7, 512, 3, 1),
            (3, 224, 64, 7, 2),
            (128, 56, 128, 3, 2),
            (64, 56, 256, 1, 1),
            (256, 56, 64, 1, 1),
            (512, 28, 128, 1, 1),
            (128, 28, 512, 1, 1),
            (1024, 14, 256, 1, 1),
            (256, 14, 1024, 1, 1),
            (2048, 7, 512, 1, 1),
            (512, 7, 2048, 1, 1),
            (1024, 14, 2048, 1, 2),
        ] {
            for batch in [1, 8] {
                let pad = kernel / 2;
                let out = (map + 2 * pad - kernel) / stride + 1;
                let shape = ConvShape {
                    batch,
                    channels,
                    input: [map; 2],
                    filters,
                    output: [out; 2],
                    kernel: [kernel; 2],
                    stride: [stride; 2],
                    pad: [[pad; 2]; 2],
                    dilation: [1; 2],
                    groups: 1,
                };
                let plain = channels == 3;
                let x = vec![0.5f32; batch * channels.next_multiple_of(if plain { 1 } else { 16 }) * map * map];
                let weight =
                    pack(isa.lanes(), [filters, channels, kernel, kernel], 1, plain, &vec![0.5; filters * shape.depth()])
                        .unwrap();
                let mut y = vec![0f32; shape.output_sizes().iter().product()];
                let mut line = String::new();
                for threads in [1, 2] {
                    let pool = ThreadPool::new(threads).unwrap();
                    let lines = if shape.is_pointwise() { out * out } else { out };
                    let mut best: (f64, DirectPlan) = (f64::MAX, DirectPlan { rows: 1, samples: 1, shares: 1, exact: false });
                    for pieces in [1, 2, 4, 8, 16] {
                        for samples in [1, 2, 4, 8] {
                            for shares in [1, 2, 4] {
                                if pieces > 1 && samples > 1 || samples > batch || pieces * 2 > out {
                                    continue;
                                }
                                let plan = DirectPlan { rows: lines.div_ceil(pieces), samples, shares, exact: false };
                                let mut scratch_memory = vec![0f32; scratch(isa, plain, &shape, plan) * threads];
                                let epilogue = Epilogue { bias: None, residual: Residual::None, act: Some(Activation::Relu) };
                                let operands = ConvOperands { x: &x, weight: &weight, epilogue };
                                for _ in 0..5 {
                                    let start = std::time::Instant::now();
                                    conv(&pool, isa, plain, &shape, plan, &operands, &mut scratch_memory, &mut y);
                                    let t = start.elapsed().as_secs_f64();
                                    if t < best.0 {
                                        best = (t, plan)
                                    }
                                }
                            }
                        }
                    }
                    line += &format!("  {:8.1} GFLOP/s {:?}", 2e-9 * shape.macs() as f64 / best.0, best.1);
                }
                eprintln!("{isa} {channels}x{map} -> {filters} {kernel}x{kernel}/{stride} b{batch}: {line}");
            }
        }
    }
}
