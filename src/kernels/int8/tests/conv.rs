//! Convolution and linear layers.

use super::super::weights;
use super::super::{Conv, Engine, Input, Map, Operands, Output, Quant, Residual, Unsupported};
use super::{bytes, engines, plain, quant, stored};
use crate::kernels::reference::{Numbers, activations, blocked};
use crate::kernels::{Activation, ConvShape, Isa, Layout, ThreadPool};

/// A convolution's data on NCHW values.
struct Case {
    shape: ConvShape,
    input: Input,
    x: Vec<u8>,
    from: Quant,
    weight: Vec<i8>,
    scale: Vec<f32>,
    bias: Vec<f32>,
    residual: Option<(Vec<u8>, Quant)>,
    plus: Option<Vec<f32>>,
    to: Quant,
}

impl Case {
    fn new(numbers: &mut Numbers, shape: ConvShape, input: Input) -> Case {
        let terms = shape.depth();
        let from = quant(numbers, 0.02);
        let outputs = shape.batch * shape.filters * shape.pixels();
        let weight = bytes(numbers, shape.filters * terms).iter().map(|&b| (b.max(1)).wrapping_sub(128).cast_signed()).collect();
        let scale = numbers.take(shape.filters).iter().map(|s| from.scale * (s.abs() + 0.1) * 0.02).collect();
        let deviation = 128.0 * 70.0 * (terms as f32).sqrt() * from.scale * 0.01;
        let bias = numbers.take(shape.filters).iter().map(|b| b * deviation).collect();
        let residual = (numbers.below(3) == 0).then(|| (bytes(numbers, outputs), quant(numbers, deviation / 100.0)));
        let plus = (residual.is_none() && numbers.below(3) == 0).then(|| numbers.take(outputs));
        let x = bytes(numbers, shape.batch * shape.channels * shape.input[0] * shape.input[1]);
        Case { shape, input, x, from, weight, scale, bias, residual, plus, to: quant(numbers, deviation / 60.0) }
    }

    /// By definition: integers, then floats rounded one by one. The activation must be computed by `isa`, if it is a program.
    fn expected(&self, act: Option<Activation<'_>>, isa: Isa) -> Vec<f32> {
        let s = &self.shape;
        let (filters, channels) = (s.filters / s.groups, s.channels / s.groups);
        let [oh, ow] = s.output;
        let one = |i: usize| {
            let (pixel, map) = (i % (oh * ow), i / (oh * ow));
            let (sample, filter) = (map / s.filters, map % s.filters);
            let mut sum = 0i64;
            for c in 0..channels {
                let plane = (sample * s.channels + filter / filters * channels + c) * s.input[0] * s.input[1];
                for element in 0..s.kernel[0] * s.kernel[1] {
                    let (ky, kx) = (element / s.kernel[1], element % s.kernel[1]);
                    let y = (pixel / ow * s.stride[0] + ky * s.dilation[0]).wrapping_sub(s.pad[0][0]);
                    let x = (pixel % ow * s.stride[1] + kx * s.dilation[1]).wrapping_sub(s.pad[1][0]);
                    if y < s.input[0] && x < s.input[1] {
                        let w = self.weight[(filter * channels + c) * s.kernel[0] * s.kernel[1] + element];
                        sum += (i64::from(self.x[plane + y * s.input[1] + x]) - i64::from(self.from.zero)) * i64::from(w);
                    }
                }
            }
            let sum = i32::try_from(sum).unwrap();
            let v = (sum as f32).mul_add(self.scale[filter], self.bias[filter]);
            match (&self.residual, &self.plus) {
                (Some((r, q)), _) => f32::from(i16::from(r[i]) - i16::from(q.zero)).mul_add(q.scale, v),
                (_, Some(plus)) => v + plus[i],
                _ => v,
            }
        };
        let mut values: Vec<f32> = (0..s.batch * s.filters * oh * ow).map(one).collect();
        if let Some(act) = act {
            act.apply(isa, &mut values);
        }
        values
    }

    /// Checks all outputs of an engine.
    fn check(&self, engine: Engine, act: Option<Activation<'_>>, threads: usize) {
        let isa = Isa::best();
        let conv = Conv::new(engine, isa, self.shape, self.input, threads).unwrap();
        let map = Map::new(self.shape.input_sizes());
        let out = Map::new(self.shape.output_sizes());
        let x = stored(&self.x, &map, self.input);
        let weight = weights::pack(&self.shape, self.input, &self.weight);
        let residual = self.residual.as_ref().map(|(r, q)| (stored(r, &out, Input::Map), *q));
        let (scale, bias) = (weights::padded_values(&self.scale), weights::padded_values(&self.bias));
        let start = weights::starts(&self.weight, self.shape.filters, self.from.zero);
        let pool = ThreadPool::new(threads).unwrap();
        let mut scratch = vec![77; conv.scratch(threads)];
        let expected = self.expected(act, isa);
        let expected_bytes: Vec<u8> = expected.iter().map(|&v| self.to.byte(v)).collect();
        let lanes = Layout::Blocked { lanes: 8 };
        for layout in [Layout::Nchw, lanes] {
            let plus = self.plus.as_ref().map(|p| match layout {
                Layout::Nchw => p.clone(),
                Layout::Blocked { lanes } => blocked(p, self.shape.output_sizes(), lanes),
            });
            for in_place in [false, true] {
                let mut operands = Operands {
                    x: &x,
                    zero: self.from.zero,
                    weight: &weight,
                    start: &start,
                    scale: &scale,
                    bias: &bias,
                    residual: match (&residual, &plus) {
                        (Some((r, q)), _) => Residual::Bytes(r, *q),
                        (_, Some(plus)) => Residual::Floats(plus, layout),
                        _ => Residual::None,
                    },
                    act,
                };
                let mut bytes = vec![99; out.len().unwrap()];
                if let (true, Some((r, q))) = (in_place, &residual) {
                    bytes.copy_from_slice(r);
                    operands.residual = Residual::InPlace(*q);
                }
                conv.run(&pool, &operands, &mut scratch, Output::Bytes(&mut bytes, self.to));
                let found = plain(&bytes, &out);
                assert_eq!(found, expected_bytes, "{engine:?} {act:?} {threads} {:?} {:?}", self.shape, conv.split());
                if !in_place {
                    let mut floats = vec![5.0; layout.len(self.shape.output_sizes()).unwrap()];
                    conv.run(&pool, &operands, &mut scratch, Output::Floats(&mut floats, layout));
                    let mut wanted = expected.clone();
                    if let Layout::Blocked { lanes } = layout {
                        wanted = blocked(&expected, self.shape.output_sizes(), lanes);
                        wanted.iter_mut().for_each(|v| *v = if *v == 3.5 { 0.0 } else { *v });
                    }
                    let same = floats.iter().zip(&wanted).all(|(a, b)| a.to_bits() == b.to_bits());
                    assert!(same, "{engine:?} {act:?} {threads} {:?}", self.shape);
                }
            }
        }
    }
}

/// A random convolution; `kind` says which.
fn random(numbers: &mut Numbers, kind: usize) -> (ConvShape, Input) {
    let mut two = |most: usize| [numbers.below(most), numbers.below(most)];
    let (mut kernel, mut stride, mut dilation) = (two(4).map(|n| n + 1), two(3).map(|n| n + 1), two(2).map(|n| n + 1));
    let extra = two(11);
    let pads = [two(3), two(3)];
    let (mut batch, mut channels, mut filters) = (1 + numbers.below(3), 1 + numbers.below(150), 1 + numbers.below(80));
    let (mut groups, mut input, mut pad) = (1, Input::Map, pads);
    match kind {
        // pointwise, and with a stride
        0 => (kernel, stride, pad) = ([1, 1], [1, 1], [[0; 2]; 2]),
        1 => (kernel, pad) = ([1, 1], [[0; 2]; 2]),
        2 => (kernel, stride, dilation, pad) = ([3, 3], [1, 1], [1, 1], [[1; 2]; 2]),
        3 => {
            groups = 1 + numbers.below(5);
            (channels, filters) = (groups * (1 + numbers.below(40)), groups * (1 + numbers.below(30)));
        }
        4 => {
            groups = 2 + numbers.below(150);
            (channels, filters) = (groups, groups);
        }
        5 => {
            (input, channels) = (Input::Image, 1 + numbers.below(6));
            kernel = [1 + numbers.below(8), 1 + numbers.below((64 / channels).min(9))];
        }
        // a linear layer
        6 => {
            (kernel, stride, pad, batch) = ([1, 1], [1, 1], [[0; 2]; 2], 1 + numbers.below(9));
            (channels, filters) = (1 + numbers.below(700), 1 + numbers.below(200));
        }
        _ => {}
    }
    let extent = [0, 1].map(|i| (kernel[i] - 1) * dilation[i] + 1);
    let size =
        if kind == 6 { [1, 1] } else { [0, 1].map(|i| (extent[i] + extra[i]).saturating_sub(pad[i][0] + pad[i][1]).max(1)) };
    let output = [0, 1].map(|i| (size[i] + pad[i][0] + pad[i][1] - extent[i]) / stride[i] + 1);
    (ConvShape { batch, channels, input: size, filters, output, kernel, stride, pad, dilation, groups }, input)
}

#[test]
fn every_engine_computes_the_same_bits() {
    let mut numbers = Numbers::new(21);
    for round in 0..160 {
        let (shape, input) = random(&mut numbers, round % 8);
        let case = Case::new(&mut numbers, shape, input);
        let act = activations()[numbers.below(4)];
        for engine in engines() {
            case.check(engine, act, 1 + numbers.below(3));
        }
    }
}

#[test]
fn deep_and_wide_layers_too() {
    let mut numbers = Numbers::new(4);
    for (channels, filters, size, kernel) in
        [(256, 40, 7, 3), (520, 33, 3, 3), (64, 64, 56, 1), (40, 20, 30, 5), (1030, 16, 2, 1)]
    {
        let pad = [[kernel / 2; 2]; 2];
        let (input, output) = ([size, size + 1], [size, size + 1]);
        let (kernel, stride, dilation) = ([kernel; 2], [1, 1], [1, 1]);
        let shape = ConvShape { batch: 2, channels, input, filters, output, kernel, stride, pad, dilation, groups: 1 };
        let case = Case::new(&mut numbers, shape, Input::Map);
        for engine in engines() {
            case.check(engine, Some(Activation::Relu), 2);
        }
    }
}

/// The largest products of all: none saturates, and the sum fits.
#[test]
fn extreme_values_do_not_saturate() {
    let mut numbers = Numbers::new(1);
    let channels = 1 << 14;
    for weight in [127, -127] {
        let shape = ConvShape {
            batch: 1,
            channels,
            input: [2, 2],
            filters: 1,
            output: [1, 1],
            kernel: [2, 2],
            stride: [1, 1],
            pad: [[0; 2]; 2],
            dilation: [1, 1],
            groups: 1,
        };
        let mut case = Case::new(&mut numbers, shape, Input::Map);
        case.x.fill(255);
        case.weight.fill(weight);
        (case.from.zero, case.residual, case.plus) = (0, None, None);
        for engine in engines() {
            case.check(engine, None, 1);
        }
    }
}

#[test]
fn sizes_that_cannot_be_computed_are_refused() {
    let shape = ConvShape {
        batch: 1,
        channels: 64,
        input: [8, 8],
        filters: 8,
        output: [8, 8],
        kernel: [3, 3],
        stride: [1, 1],
        pad: [[1; 2]; 2],
        dilation: [1, 1],
        groups: 1,
    };
    let refused = |shape, input| Conv::new(Engine::Portable, Isa::Portable, shape, input, 1).unwrap_err();
    assert!(Conv::new(Engine::Portable, Isa::Portable, shape, Input::Map, 1).is_ok());
    let deep = ConvShape { channels: 7368, ..shape };
    assert_eq!(refused(deep, Input::Map), Unsupported::Overflow(66_312));
    assert!(Conv::new(Engine::Portable, Isa::Portable, ConvShape { channels: 7367, ..shape }, Input::Map, 1).is_ok());
    assert!(refused(deep, Input::Map).to_string().contains("at most 66311"));
    assert_eq!(refused(shape, Input::Image), Unsupported::Image);
    let huge = usize::MAX / 2;
    for wrong in [
        ConvShape { groups: 3, ..shape },
        ConvShape { output: [9, 8], ..shape },
        ConvShape { channels: 0, ..shape },
        ConvShape { stride: [0, 1], ..shape },
        ConvShape { batch: huge, ..shape },
        ConvShape { input: [huge, 8], ..shape },
        ConvShape { pad: [[huge; 2]; 2], ..shape },
        ConvShape { batch: 1 << 30, input: [1 << 30, 8], ..shape },
        ConvShape { filters: 1 << 30, output: [1 << 20, 1 << 20], input: [1 << 20, 1 << 20], ..shape },
    ] {
        assert_eq!(refused(wrong, Input::Map), Unsupported::Sizes, "{wrong:?}");
    }
}

#[test]
fn weights_are_rounded_to_their_filter_s_scale() {
    let weight = [0.5, -1.27, 0.0, 0.004_99, 0.0, 0.0, 0.0, 0.0];
    let scales = weights::scales(&weight, 2);
    assert_eq!(scales, [1.27 / 127.0, 1.0]);
    assert_eq!(weights::quantize(&weight, &scales), [50, -127, 0, 0, 0, 0, 0, 0]);
    // scales of a calibration may be smaller
    assert_eq!(weights::quantize(&weight[..2], &[0.001]), [127, -127]);
    assert_eq!(&weights::starts(&[1, 2, -3, -4], 2, 10)[..3], [-30, 70, 0]);
}
