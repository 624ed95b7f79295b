use super::*;
use crate::kernels::reference::{Numbers, blocked, max_error};

/// The gradient by definition, in f64, on NCHW values.
fn definition(s: &ConvShape, x: &[f32], dy: &[f32]) -> Vec<f64> {
    let (filters, channels) = (s.filters / s.groups, s.channels / s.groups);
    let elements = s.kernel[0] * s.kernel[1];
    let one = |i: usize| {
        let (element, channel, filter) = (i % elements, i / elements % channels, i / s.depth());
        let mut sum = 0.0;
        for sample in 0..s.batch {
            let plane = (sample * s.channels + filter / filters * channels + channel) * s.input[0] * s.input[1];
            for pixel in 0..s.pixels() {
                let y = (pixel / s.output[1] * s.stride[0] + element / s.kernel[1] * s.dilation[0]).wrapping_sub(s.pad[0][0]);
                let xx = (pixel % s.output[1] * s.stride[1] + element % s.kernel[1] * s.dilation[1]).wrapping_sub(s.pad[1][0]);
                if y < s.input[0] && xx < s.input[1] {
                    let dy = dy[(sample * s.filters + filter) * s.pixels() + pixel];
                    sum += f64::from(dy) * f64::from(x[plane + y * s.input[1] + xx]);
                }
            }
        }
        sum
    };
    (0..s.filters * s.depth()).map(one).collect()
}

/// Compares with the definition for one to three threads, twice each.
fn check(isa: Isa, plain: bool, precise: bool, shape: &ConvShape) {
    let lanes = isa.lanes();
    let mut n = Numbers::new(shape.macs() + shape.filters as u64);
    let x = n.take(shape.input_sizes().iter().product());
    let dy = n.take(shape.output_sizes().iter().product());
    let expected = definition(shape, &x, &dy);
    let in_layout = |values: Vec<f32>, sizes: [usize; 4], lanes: usize| {
        if lanes == 1 { values } else { blocked(&values, sizes, lanes) }
    };
    let x = in_layout(x, shape.input_sizes(), if plain { 1 } else { lanes });
    let dy = in_layout(dy, shape.output_sizes(), lanes);
    for threads in [1, 2, 3] {
        let pool = ThreadPool::new(threads).unwrap();
        let mut first = None;
        for _ in 0..2 {
            let mut scratch_memory = vec![f32::NAN; scratch(isa, plain, precise, shape, threads)];
            let mut dw = vec![f32::NAN; shape.filters * shape.depth()];
            conv_weight(&pool, isa, plain, precise, shape, &x, &dy, &mut scratch_memory, &mut dw);
            assert!(dw.iter().all(|v| v.is_finite()), "{isa} {plain} {shape:?}");
            let off = max_error(&dw, &expected);
            assert!(off < 5e-5, "{isa} plain: {plain} {shape:?}: {off}");
            assert_eq!(*first.get_or_insert(dw.clone()), dw, "{isa} {plain} {shape:?}");
        }
    }
}

fn shape(n: &mut Numbers, groups: bool) -> ConvShape {
    let mut below = |most: usize| n.below(most);
    let kernel = [[1, 1], [3, 3], [7, 7], [5, 3], [1, 3], [2, 2]][below(6)];
    let stride = [[1, 1], [2, 2], [3, 3], [1, 2], [2, 1]][below(5)];
    let dilation = [1 + below(2), 1 + below(2)];
    let reach = [0, 1].map(|i| (kernel[i] - 1) * dilation[i] + 1);
    let pad = [0, 1].map(|i| [below(reach[i] + 2), below(reach[i] + 2)]);
    let input = [0, 1].map(|i| (reach[i] + below(18)).saturating_sub(pad[i][0]).max(1));
    let output = [0, 1].map(|i| (input[i] + pad[i][0] + pad[i][1]).saturating_sub(reach[i]) / stride[i] + 1);
    let groups = if groups { [2, 3, 8, 20][below(4)] } else { 1 };
    let channels = groups * [1, 3, 4, 16, 20, 40][below(if groups == 1 { 6 } else { 3 })];
    let filters = groups * [1, 4, 5, 16, 33, 48][below(if groups == 1 { 6 } else { 3 })];
    ConvShape { batch: 1 + below(3), channels, input, filters, output, kernel, stride, pad, dilation, groups }
}

#[test]
fn agrees_with_the_definition() {
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
        let mut n = Numbers::new(11);
        for round in 0..80 {
            let mut shape = shape(&mut n, round % 4 == 3);
            if round % 8 == 5 {
                // depthwise
                (shape.filters, shape.groups) = (shape.channels, shape.channels);
            }
            check(isa, isa.vector().is_some() && n.below(3) == 0, n.below(4) == 0, &shape);
        }
    }
}

#[test]
fn many_samples_and_large_feature_maps_are_split_into_ranges() {
    let base = ConvShape {
        batch: 1,
        channels: 16,
        input: [1, 1],
        filters: 20,
        output: [1, 1],
        kernel: [3, 3],
        stride: [1, 1],
        pad: [[1, 1], [1, 1]],
        dilation: [1, 1],
        groups: 1,
    };
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
        for (batch, map, stride, channels) in [(37, 4, 1, 16), (2, 90, 1, 16), (3, 60, 2, 3), (1, 90, 1, 3), (40, 7, 2, 100)] {
            let output = [(map - 1) / stride + 1; 2];
            let shape = ConvShape { batch, input: [map; 2], output, stride: [stride; 2], channels, ..base };
            let plain = channels == 3 && isa.vector().is_some();
            check(isa, plain, false, &shape);
            check(isa, plain, true, &shape);
        }
    }
}

#[test]
fn winograd_agrees_with_the_direct_method_in_chunks_and_ranges() {
    for isa in Isa::ALL.into_iter().filter(|isa| isa.vector().is_some()) {
        let lanes = isa.lanes();
        // per-task sums in several ranges, shared sums in one and in several chunks, and feature maps that are not a multiple of
        // the tile size
        for (batch, channels, filters, map) in [(9, 16, 33, 16), (2, 60, 64, 30), (3, 160, 130, 7), (4, 128, 128, 56)] {
            let (input, kernel, pad) = ([map; 2], [3; 2], [[1; 2]; 2]);
            let (stride, dilation) = ([1; 2], [1; 2]);
            let shape = ConvShape { batch, channels, input, filters, output: input, kernel, stride, pad, dilation, groups: 1 };
            assert!(winograd::supports(&shape, lanes), "{shape:?}");
            let mut n = Numbers::new(shape.macs());
            let x = n.take(batch * channels.next_multiple_of(lanes) * map * map);
            let dy = n.take(batch * filters.next_multiple_of(lanes) * map * map);
            let mut expected = vec![0.0; filters * shape.depth()];
            for (threads, precise) in [(2, true), (1, false), (2, false), (3, false)] {
                let pool = ThreadPool::new(threads).unwrap();
                let mut scratch_memory = vec![f32::NAN; scratch(isa, false, precise, &shape, threads)];
                let mut dw = vec![f32::NAN; expected.len()];
                conv_weight(&pool, isa, false, precise, &shape, &x, &dy, &mut scratch_memory, &mut dw);
                if precise {
                    expected = dw.iter().map(|&v| f64::from(v)).collect();
                }
                let off = max_error(&dw, &expected);
                assert!(off < 3e-5, "{isa} {shape:?}: {off}");
            }
        }
    }
}

#[test]
fn nothing_to_sum_is_zero() {
    let shape = ConvShape {
        batch: 0,
        channels: 2,
        input: [3, 3],
        filters: 2,
        output: [3, 3],
        kernel: [1, 1],
        stride: [1, 1],
        pad: [[0; 2]; 2],
        dilation: [1, 1],
        groups: 1,
    };
    let mut dw = [1.0; 4];
    conv_weight(&ThreadPool::new(1).unwrap(), Isa::best(), false, false, &shape, &[], &[], &mut [], &mut dw);
    assert_eq!(dw, [0.0; 4]);
}
