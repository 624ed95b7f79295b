//! Convolutions, pools and linear layers of ResNet-50 and VGG-19, on two threads: `cargo bench`.
#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use resnetc::internal::kernels::linear::linear;
use resnetc::internal::kernels::nchwc::direct::{self, DirectPlan};
use resnetc::internal::kernels::nchwc::{depthwise, pack, pool};
use resnetc::internal::kernels::pool::{PoolKind, PoolShape};
use resnetc::internal::kernels::train::conv_weight::{self, conv_weight};
use resnetc::internal::kernels::train::norm::{self, BatchNormParams};
use resnetc::internal::kernels::train::pool as pool_grad;
use resnetc::internal::kernels::winograd::{self, Size, Split, WinogradPlan};
use resnetc::internal::kernels::{Activation, Aligned, ConvOperands, ConvShape, Epilogue, Isa, Layout, Residual, ThreadPool};

const THREADS: usize = 2;

fn shape(channels: usize, map: usize, filters: usize, kernel: usize, stride: usize) -> ConvShape {
    let pad = kernel / 2;
    let output = [(map + 2 * pad - kernel) / stride + 1; 2];
    let (kernel, stride, pad) = ([kernel; 2], [stride; 2], [[pad; 2]; 2]);
    ConvShape { batch: 1, channels, input: [map; 2], filters, output, kernel, stride, pad, dilation: [1; 2], groups: 1 }
}

fn convolutions(c: &mut Criterion) {
    let isa = Isa::best();
    let lanes = isa.lanes();
    if lanes == 1 {
        return;
    }
    let pool = ThreadPool::new(THREADS).unwrap();
    let mut group = c.benchmark_group(format!("conv {isa}"));
    for (channels, map, filters, kernel, stride) in [
        (3, 224, 64, 7, 2),
        (64, 56, 256, 1, 1),
        (1024, 14, 256, 1, 1),
        (2048, 7, 512, 1, 1),
        (128, 56, 128, 3, 2),
        (64, 56, 64, 3, 1),
        (128, 28, 128, 3, 1),
        (256, 14, 256, 3, 1),
        (512, 7, 512, 3, 1),
    ] {
        let shape = shape(channels, map, filters, kernel, stride);
        let plain = channels == 3;
        let name = format!("{channels}x{map} to {filters} {kernel}x{kernel}/{stride}");
        let x = vec![0.5f32; if plain { channels } else { channels.next_multiple_of(lanes) } * map * map];
        let weight = vec![0.01f32; filters * shape.depth()];
        let mut y = vec![0f32; shape.output_sizes().iter().product()];
        let epilogue = Epilogue { bias: None, residual: Residual::None, act: Some(Activation::Relu) };
        group.throughput(Throughput::Elements(2 * shape.macs()));

        let packed = pack::pack(lanes, [filters, channels, kernel, kernel], 1, plain, &weight).unwrap();
        let rows = if shape.is_pointwise() { shape.pixels() } else { shape.output[0] };
        let plan = DirectPlan { rows: rows.div_ceil(8), samples: 1, shares: 1, exact: false };
        let mut scratch = vec![0f32; direct::scratch(isa, plain, &shape, plan) * THREADS];
        let operands = ConvOperands { x: &x, weight: &packed, epilogue };
        group.bench_function(format!("{name} direct"), |b| {
            b.iter(|| direct::conv(&pool, isa, plain, &shape, plan, &operands, &mut scratch, &mut y));
        });

        if winograd::supports(&shape) {
            for size in [Size::F2, Size::F4] {
                let packed = winograd::pack(lanes, [filters, channels], size, &weight).unwrap();
                let plan = WinogradPlan { size, tiles: 28, split: Split::Tiles };
                let mut scratch = vec![0f32; winograd::scratch(isa, &shape, plan).total(THREADS)];
                let operands = ConvOperands { x: &x, weight: &packed, epilogue };
                group.bench_function(format!("{name} winograd {0}x{0}", size.side()), |b| {
                    b.iter(|| winograd::conv(&pool, isa, &shape, plan, &operands, &mut scratch, &mut y));
                });
            }
        }
    }
    group.finish();
}

/// Depthwise convolutions of MobileNet and ConvNeXt.
fn depthwise_convolutions(c: &mut Criterion) {
    let isa = Isa::best();
    let lanes = isa.lanes();
    if lanes == 1 {
        return;
    }
    let pool = ThreadPool::new(THREADS).unwrap();
    let mut group = c.benchmark_group(format!("depthwise {isa}"));
    for (channels, map, kernel, stride) in [(96, 112, 3, 2), (144, 56, 3, 1), (384, 14, 3, 1), (96, 56, 7, 1)] {
        let shape = ConvShape { groups: channels, ..shape(channels, map, channels, kernel, stride) };
        let x = vec![0.5f32; channels * map * map];
        let weight = depthwise::pack_depthwise(lanes, channels, &vec![0.01; channels * kernel * kernel]).unwrap();
        let mut y = vec![0f32; shape.output_sizes().iter().product()];
        let epilogue = Epilogue { bias: None, residual: Residual::None, act: Some(Activation::Relu) };
        let operands = ConvOperands { x: &x, weight: &weight, epilogue };
        group.throughput(Throughput::Elements(2 * shape.macs()));
        group.bench_function(format!("{channels}x{map} {kernel}x{kernel}/{stride}"), |b| {
            b.iter(|| depthwise::conv(&pool, isa, &shape, &operands, &mut y));
        });
    }
    group.finish();
}

fn pools(c: &mut Criterion) {
    let isa = Isa::best();
    if isa.lanes() == 1 {
        return;
    }
    let threads = ThreadPool::new(THREADS).unwrap();
    let mut group = c.benchmark_group(format!("pool {isa}"));
    for (channels, map, kernel, stride, pad, kind) in [
        (64, 112, 3, 2, 1, PoolKind::Max),
        (64, 224, 2, 2, 0, PoolKind::Max),
        (256, 56, 2, 2, 0, PoolKind::Avg { count_pad: true }),
    ] {
        let output = [(map + 2 * pad - kernel) / stride + 1; 2];
        let (kernel, stride) = ([kernel; 2], [stride; 2]);
        let (pad, dilation) = ([[pad; 2]; 2], [1, 1]);
        let shape = PoolShape { kind, maps: channels, input: [map; 2], output, kernel, stride, pad, dilation };
        let x = vec![0.5f32; channels * map * map];
        let mut y = vec![0f32; channels * output[0] * output[1]];
        let name = if kind == PoolKind::Max { "max" } else { "mean" };
        group.throughput(Throughput::Bytes(4 * (x.len() + y.len()) as u64));
        group.bench_function(format!("{channels}x{map} {name} {}x{}/{}", kernel[0], kernel[1], stride[0]), |b| {
            b.iter(|| pool::pool(&threads, isa, &shape, &x, &mut y));
        });
    }
    let (x, mut y) = (vec![0.5f32; 2048 * 7 * 7], vec![0f32; 2048]);
    group.throughput(Throughput::Bytes(4 * (x.len() + y.len()) as u64));
    group.bench_function("2048x7 global mean", |b| {
        b.iter(|| pool::adaptive_avg(&threads, isa, 1, 2048, [7; 2], [1; 2], &x, &mut y));
    });
    group.finish();
}

fn linears(c: &mut Criterion) {
    let isa = Isa::best();
    let pool = ThreadPool::new(THREADS).unwrap();
    let mut group = c.benchmark_group(format!("linear {isa}"));
    for [inputs, features] in [[512, 1000], [2048, 1000], [4096, 4096]] {
        let weight = vec![0.01f32; inputs * features];
        for batch in [1, 8] {
            let (x, mut y) = (vec![0.5f32; batch * inputs], vec![0f32; batch * features]);
            let epilogue = Epilogue { bias: None, residual: Residual::None, act: None };
            group.throughput(Throughput::Elements(2 * (batch * inputs * features) as u64));
            group.bench_function(format!("{inputs} to {features}, batch {batch}"), |b| {
                b.iter(|| linear(&pool, isa, [batch, inputs, features], &x, &weight, &epilogue, &mut y));
            });
        }
    }
    group.finish();
}

/// Weight gradients of ResNet-20 and ResNet-50.
fn weight_gradients(c: &mut Criterion) {
    let isa = Isa::best();
    let lanes = isa.lanes();
    if lanes == 1 {
        return;
    }
    let pool = ThreadPool::new(THREADS).unwrap();
    let mut group = c.benchmark_group(format!("weight gradient {isa}"));
    for (batch, channels, map, filters, kernel, stride) in [
        (128, 3, 32, 16, 3, 1),
        (128, 16, 32, 16, 3, 1),
        (128, 32, 16, 64, 3, 2),
        (128, 64, 8, 64, 3, 1),
        (8, 3, 224, 64, 7, 2),
        (8, 64, 56, 64, 3, 1),
        (8, 128, 28, 128, 3, 1),
        (8, 256, 14, 256, 3, 1),
        (8, 512, 7, 512, 3, 1),
        (8, 128, 56, 128, 3, 2),
        (8, 64, 56, 256, 1, 1),
        (8, 1024, 14, 256, 1, 1),
        (8, 2048, 7, 512, 1, 1),
        (8, 1024, 14, 2048, 1, 2),
    ] {
        let shape = ConvShape { batch, ..shape(channels, map, filters, kernel, stride) };
        let plain = channels == 3;
        let mut x = Aligned::zeroed(shape.input_sizes().iter().product()).unwrap();
        let mut dy = Aligned::zeroed(shape.output_sizes().iter().product()).unwrap();
        x.fill(0.5);
        dy.fill(0.5);
        let mut dw = vec![0f32; filters * shape.depth()];
        group.throughput(Throughput::Elements(2 * shape.macs()));
        for precise in [false, true] {
            let mut scratch = Aligned::zeroed(conv_weight::scratch(isa, plain, precise, &shape, THREADS)).unwrap();
            let suffix = if precise { " precise" } else { "" };
            group.bench_function(format!("{batch} of {channels}x{map} to {filters} {kernel}x{kernel}/{stride}{suffix}"), |b| {
                b.iter(|| conv_weight(&pool, isa, plain, precise, &shape, &x, &dy, &mut scratch, &mut dw));
            });
        }
    }
    group.finish();
}

/// Operators of a training step other than convolutions, by bytes read and written.
fn training_operators(c: &mut Criterion) {
    let isa = Isa::best();
    if isa.lanes() == 1 {
        return;
    }
    let layout = Layout::Blocked { lanes: isa.lanes() };
    let pool = ThreadPool::new(THREADS).unwrap();
    let mut group = c.benchmark_group(format!("training {isa}"));
    for sizes @ [batch, channels, h, w] in [[128, 16, 32, 32], [16, 64, 56, 56]] {
        let name = |what: &str| format!("{batch} of {channels}x{h} {what}");
        let len = layout.len(sizes).unwrap();
        let values = || {
            let mut values = Aligned::zeroed(len).unwrap();
            values.iter_mut().enumerate().for_each(|(i, v)| *v = (i % 17) as f32 - 8.0);
            values
        };
        let (x, dy, mut out) = (values(), values(), values());
        let mut scratch = Aligned::zeroed(norm::scratch(layout, sizes)).unwrap();
        let (mut stats, mut sums) = (vec![0f32; 2 * channels], vec![0f32; 2 * channels]);
        let (weight, bias) = (vec![1f32; channels], vec![0f32; channels]);
        let bytes = |maps: usize| Throughput::Bytes((4 * maps * len) as u64);

        group.throughput(bytes(1));
        group.bench_function(name("statistics"), |b| {
            b.iter(|| norm::stats(&pool, isa, layout, sizes, &x, &mut scratch, &mut stats));
        });
        let params = BatchNormParams { stats: &stats, weight: &weight, bias: &bias, eps: 1e-5 };
        let relu = Some(Activation::Relu);
        group.throughput(bytes(2));
        group.bench_function(name("batchnorm"), |b| {
            b.iter(|| norm::forward(&pool, isa, layout, sizes, &params, &x, Residual::None, relu, &mut out));
        });
        group.bench_function(name("batch norm parameter gradient"), |b| {
            b.iter(|| norm::grad_params(&pool, isa, layout, sizes, &params, true, &x, &dy, &mut scratch, &mut sums));
        });
        group.throughput(bytes(3));
        group.bench_function(name("batch norm input gradient"), |b| {
            b.iter(|| norm::grad_input(&pool, isa, layout, sizes, &params, true, &sums, Some(&x), None, &mut out));
        });
        let output = [h, w].map(|side| (side - 1) / 2 + 1);
        let (kind, maps, pad) = (PoolKind::Max, batch * channels, [[1; 2]; 2]);
        let shape = PoolShape { kind, maps, input: [h, w], output, kernel: [3; 2], stride: [2; 2], pad, dilation: [1; 2] };
        let pooled = layout.len([batch, channels, output[0], output[1]]).unwrap();
        group.throughput(Throughput::Bytes(4 * (2 * len + pooled) as u64));
        group.bench_function(name("max pool gradient"), |b| {
            b.iter(|| pool_grad::pool_grad(&pool, isa, layout, [batch, channels], &shape, Some(&x), &dy[..pooled], &mut out));
        });
    }
    group.finish();
}

criterion_group!(benches, convolutions, depthwise_convolutions, pools, linears, weight_gradients, training_operators);
criterion_main!(benches);
