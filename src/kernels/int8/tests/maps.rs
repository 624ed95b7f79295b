//! Conversions, pooling, and what is done element by element.

use super::super::{Input, Map, Output, Quant, convert, maps, pool};
use super::{bytes, engines, plain, quant, stored};
use crate::kernels::pool::{PoolKind, PoolShape, Window};
use crate::kernels::reference::{self, Numbers, activations, blocked};
use crate::kernels::upsample::{Nearest, nearest};
use crate::kernels::{Isa, Layout, ThreadPool};

/// A random map.
fn map(numbers: &mut Numbers, most: usize) -> Map {
    Map::new([1 + numbers.below(3), 1 + numbers.below(most), 1 + numbers.below(9), 1 + numbers.below(9)])
}

fn sizes(map: &Map) -> [usize; 4] {
    [map.batch, map.channels, map.size[0], map.size[1]]
}

/// Bytes of a map in NCHW, and as it is stored.
fn filled(numbers: &mut Numbers, map: &Map) -> [Vec<u8>; 2] {
    let values = bytes(numbers, map.batch * map.channels * map.pixels());
    let map = stored(&values, map, Input::Map);
    [values, map]
}

#[test]
fn floats_become_bytes_and_bytes_floats() {
    let mut numbers = Numbers::new(2);
    for round in 0..40 {
        let image = round % 4 == 0;
        let map = map(&mut numbers, if image { 6 } else { 150 });
        let q = quant(&mut numbers, 0.01);
        let values = numbers.take(map.batch * map.channels * map.pixels());
        let pool = ThreadPool::new(1 + round % 3).unwrap();
        let expected: Vec<u8> = values.iter().map(|&v| q.byte(v)).collect();
        let back: Vec<f32> = expected.iter().map(|&b| q.value(b)).collect();
        for (engine, layout) in
            engines().flat_map(|e| [(e, Layout::Nchw), (e, Layout::Blocked { lanes: 8 }), (e, Layout::Blocked { lanes: 16 })])
        {
            let in_layout = |values: &[f32]| match layout {
                Layout::Nchw => values.to_vec(),
                Layout::Blocked { lanes } => blocked(values, sizes(&map), lanes),
            };
            let x = in_layout(&values);
            if image {
                let mut out = vec![9; map.image_len().unwrap()];
                convert::quantize(&pool, engine, &map, &x, layout, q, Input::Image, &mut out);
                assert_eq!(out, stored(&expected, &map, Input::Image), "{engine:?} {map:?}");
            }
            let mut out = vec![9; map.len().unwrap()];
            convert::quantize(&pool, engine, &map, &x, layout, q, Input::Map, &mut out);
            assert_eq!(plain(&out, &map), expected, "{engine:?} {map:?}");
            let mut floats = vec![9.0; x.len()];
            convert::dequantize(&pool, engine, &map, &out, q, layout, &mut floats);
            let mut wanted = in_layout(&back);
            if layout != Layout::Nchw {
                wanted.iter_mut().for_each(|v| *v = if *v == 3.5 { 0.0 } else { *v });
            }
            assert_eq!(floats, wanted, "{engine:?} {map:?}");
        }
    }
}

/// The bytes of the window of an output inside the input, and how many elements it has with padding.
fn window(shape: &PoolShape, x: &[u8], plane: usize, pixel: usize) -> (Vec<u8>, usize) {
    let [down, across] = [Window::new(shape, 0, pixel / shape.output[1]), Window::new(shape, 1, pixel % shape.output[1])];
    let places = down.places().flat_map(|y| across.places().map(move |x| (y, x)));
    let inside = places.map(|(y, c)| x[(plane * shape.input[0] + y) * shape.input[1] + c]).collect();
    (inside, down.padded * across.padded)
}

#[test]
fn pools_are_exact() {
    let mut numbers = Numbers::new(3);
    for round in 0..120 {
        let kind = [PoolKind::Max, PoolKind::Avg { count_pad: false }, PoolKind::Avg { count_pad: true }][round % 3];
        let (batch, channels) = (1 + numbers.below(3), 1 + numbers.below(140));
        let shape = match round % 5 {
            // of the whole map
            0 => {
                let [input, output] = [[1 + numbers.below(9), 1 + numbers.below(9)], [1, 1]];
                PoolShape { kind, maps: 0, input, output, kernel: input, stride: [1, 1], pad: [[0; 2]; 2], dilation: [1, 1] }
            }
            _ => numbers.pooling(kind, 0),
        };
        let shape = PoolShape { maps: batch * channels, ..shape };
        let [from, to] = [shape.input, shape.output].map(|size| Map { batch, channels, size });
        let [x, map] = filled(&mut numbers, &from);
        let (q, r) = (quant(&mut numbers, 0.03), quant(&mut numbers, 0.02));
        let all = (0..shape.maps).flat_map(|plane| (0..to.pixels()).map(move |pixel| (plane, pixel)));
        let windows: Vec<_> = all.map(|(plane, pixel)| window(&shape, &x, plane, pixel)).collect();
        let pool = ThreadPool::new(1 + round % 3).unwrap();
        for engine in engines() {
            let mut out = vec![0; to.len().unwrap()];
            let PoolKind::Avg { count_pad } = kind else {
                pool::max(&pool, engine, &shape, batch, &map, &mut out);
                let expected: Vec<u8> = windows.iter().map(|(inside, _)| inside.iter().copied().max().unwrap_or(0)).collect();
                assert_eq!(plain(&out, &to), expected, "{engine:?} {shape:?}");
                continue;
            };
            let value = |(inside, padded): &(Vec<u8>, usize)| {
                let sum: i32 = inside.iter().map(|&b| i32::from(b) - i32::from(q.zero)).sum();
                let count = if count_pad { *padded } else { inside.len() };
                sum as f32 * (q.scale / count.max(1) as f32)
            };
            let expected: Vec<f32> = windows.iter().map(value).collect();
            pool::average(&pool, engine, &shape, batch, &map, q, Output::Bytes(&mut out, r));
            let expected_bytes: Vec<u8> = expected.iter().map(|&v| r.byte(v)).collect();
            assert_eq!(plain(&out, &to), expected_bytes, "{engine:?} {shape:?}");
            let mut floats = vec![0.0; expected.len()];
            pool::average(&pool, engine, &shape, batch, &map, q, Output::Floats(&mut floats, Layout::Nchw));
            assert_eq!(floats, expected, "{engine:?} {shape:?}");
            let layout = Layout::Blocked { lanes: 8 };
            let mut floats = vec![0.0; layout.len(sizes(&to)).unwrap()];
            pool::average(&pool, engine, &shape, batch, &map, q, Output::Floats(&mut floats, layout));
            assert_eq!(reference::plain(&floats, sizes(&to), 8), expected, "{engine:?} {shape:?}");
        }
    }
}

#[test]
fn sums_and_other_scales_are_those_of_the_values() {
    let mut numbers = Numbers::new(5);
    for round in 0..60 {
        let map = map(&mut numbers, 200);
        let [[a, a_map], [b, b_map]] = [0, 1].map(|_| filled(&mut numbers, &map));
        let [of_a, of_b, to] = [0, 1, 2].map(|_| quant(&mut numbers, 0.05));
        let act = activations()[round % 4];
        let isa = Isa::best();
        let pool = ThreadPool::new(1 + round % 3).unwrap();
        let rounded = |mut values: Vec<f32>| -> Vec<u8> {
            if let Some(act) = act {
                act.apply(isa, &mut values);
            }
            values.into_iter().map(|v| to.byte(v)).collect()
        };
        let minus_zero = |byte: u8, q: Quant| f32::from(byte) - f32::from(q.zero);
        let sums = rounded(a.iter().zip(&b).map(|(&a, &b)| minus_zero(b, of_b).mul_add(of_b.scale, of_a.value(a))).collect());
        let others = rounded(a.iter().map(|&a| of_a.value(a)).collect());
        for engine in engines() {
            let mut out = vec![0; a_map.len()];
            maps::add(&pool, engine, isa, [(&a_map, of_a), (&b_map, of_b)], act, to, &mut out);
            assert_eq!(plain(&out, &map), sums, "{engine:?} {act:?}");
            maps::requantize(&pool, engine, isa, (&a_map, of_a), act, to, &mut out);
            assert_eq!(plain(&out, &map), others, "{engine:?} {act:?}");
            maps::requantize(&pool, engine, isa, (&a_map, of_a), None, of_a, &mut out);
            assert_eq!(plain(&out, &map), a);
        }
    }
}

#[test]
fn parts_of_a_concatenation_are_copied_with_their_scales() {
    let mut numbers = Numbers::new(6);
    for round in 0..60 {
        let [from, other] = [0, 1].map(|_| map(&mut numbers, 200));
        let mut start = numbers.below(from.channels);
        let mut count = numbers.below(from.channels - start + 1);
        let mut at = numbers.below(130);
        if round % 2 == 0 {
            (start, at) = (start / 64 * 64, at / 64 * 64);
            count = count.min(from.channels - start);
        }
        let to_map = Map { channels: at + count + numbers.below(70).max(1), ..from };
        let to_map = Map { channels: to_map.channels.max(other.channels), ..to_map };
        let [x, x_map] = filled(&mut numbers, &from);
        let [before, before_map] = filled(&mut numbers, &to_map);
        let q = quant(&mut numbers, 0.05);
        let to = if round % 3 == 0 { q } else { quant(&mut numbers, 0.05) };
        let pool = ThreadPool::new(1 + round % 3).unwrap();
        let mut expected = before.clone();
        let plane = from.pixels();
        for (sample, channel) in (0..from.batch).flat_map(|s| (0..count).map(move |c| (s, c))) {
            for pixel in 0..plane {
                let byte = x[(sample * from.channels + start + channel) * plane + pixel];
                expected[(sample * to_map.channels + at + channel) * plane + pixel] = to.byte(q.value(byte));
            }
        }
        for engine in engines() {
            let mut out = before_map.clone();
            maps::copy_channels(&pool, engine, (&x_map, &from, q), start..start + count, (&mut out, &to_map, to), at);
            assert_eq!(plain(&out, &to_map), expected, "{engine:?} {from:?} {start} {count} {at}");
        }
        // and to the nearest pixel
        let shape = Nearest {
            input: from.size,
            output: from.size.map(|n| 2 * n + 1),
            step: from.size.map(|n| n as f32 / (2 * n + 1) as f32),
            offset: 0.0,
        };
        let large = Map { size: shape.output, ..from };
        let mut out = vec![0; large.len().unwrap()];
        maps::upsample(&pool, &from, &shape, &x_map, &mut out);
        let at = |i: usize| {
            let (plane_of, pixel) = (i / large.pixels(), i % large.pixels());
            let y = nearest(pixel / shape.output[1], shape.input[0], shape.step[0], shape.offset);
            x[(plane_of * shape.input[0] + y) * shape.input[1]
                + nearest(pixel % shape.output[1], shape.input[1], shape.step[1], shape.offset)]
        };
        assert_eq!(plain(&out, &large), (0..large.batch * large.channels * large.pixels()).map(at).collect::<Vec<_>>());
    }
}
