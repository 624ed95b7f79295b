//! Convolutions as ResNet-50 has them, direct and by Winograd, on two threads: `cargo bench`.
#![allow(clippy::unwrap_used, missing_docs, reason = "a measurement")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use resnetc::kernels::blocked::direct::{self, DirectPlan};
use resnetc::kernels::blocked::pack;
use resnetc::kernels::winograd::{self, Size, Split, WinogradPlan};
use resnetc::kernels::{Activation, ConvOperands, ConvShape, Epilogue, Isa, Pool, Residual};

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
    let pool = Pool::new(THREADS).unwrap();
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
        let plan = DirectPlan { rows: rows.div_ceil(8), samples: 1, shares: 1 };
        let mut room = vec![0f32; direct::scratch(isa, plain, &shape, plan) * THREADS];
        let operands = ConvOperands { x: &x, weight: &packed, epilogue };
        group.bench_function(format!("{name} direct"), |b| {
            b.iter(|| direct::conv(&pool, isa, plain, &shape, plan, &operands, &mut room, &mut y));
        });

        if winograd::serves(&shape) {
            for size in [Size::F2, Size::F4] {
                let packed = winograd::pack(lanes, [filters, channels], size, &weight).unwrap();
                let plan = WinogradPlan { size, tiles: 28, split: Split::Tiles };
                let mut room = vec![0f32; winograd::scratch(isa, &shape, plan).total(THREADS)];
                let operands = ConvOperands { x: &x, weight: &packed, epilogue };
                group.bench_function(format!("{name} winograd {0}x{0}", size.side()), |b| {
                    b.iter(|| winograd::conv(&pool, isa, &shape, plan, &operands, &mut room, &mut y));
                });
            }
        }
    }
    group.finish();
}

criterion_group!(benches, convolutions);
criterion_main!(benches);
