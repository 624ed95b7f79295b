use super::*;
use crate::kernels::nchwc::pack::pack_channels;
use crate::kernels::reference::{Numbers, activations, blocked, conv_f64, max_error, plain};
use crate::kernels::{Activation, Aligned, ConvOperands, ConvShape, Epilogue, Isa, Residual, ThreadPool};

const SIZES: [Size; 2] = [Size::F2, Size::F4];
const SPLITS: [Split; 3] = [Split::Tiles, Split::Filters, Split::Transform];

fn isas() -> impl Iterator<Item = Isa> {
    Isa::ALL.into_iter().filter(|isa| isa.vector().is_some())
}

fn shape(batch: usize, channels: usize, filters: usize, input: [usize; 2], pad: [[usize; 2]; 2]) -> ConvShape {
    let output = [0, 1].map(|i| input[i] + pad[i][0] + pad[i][1] - 2);
    let [kernel, stride, dilation] = [[3, 3], [1, 1], [1, 1]];
    ConvShape { batch, channels, input, filters, output, kernel, stride, pad, dilation, groups: 1 }
}

/// The operands of a test case.
struct Case {
    shape: ConvShape,
    x: Vec<f32>,
    weight: Vec<f32>,
    bias: Option<Vec<f32>>,
    residual: Vec<f32>,
    /// The residual: 0 none, 1 in place, 2 in another buffer.
    kind: usize,
    act: Option<Activation<'static>>,
}

impl Case {
    fn new(numbers: &mut Numbers, shape: ConvShape, bias: bool, kind: usize, act: Option<Activation<'static>>) -> Case {
        let x = numbers.take(shape.input_sizes().iter().product());
        let weight = numbers.take(shape.filters * shape.depth());
        let bias = bias.then(|| numbers.take(shape.filters));
        let residual = numbers.take(shape.output_sizes().iter().product());
        Case { shape, x, weight, bias, residual, kind, act }
    }

    fn expected(&self) -> Vec<f64> {
        let residual = (self.kind > 0).then_some(&self.residual[..]);
        conv_f64(&self.shape, &self.x, &self.weight, self.bias.as_deref(), residual, self.act)
    }

    /// The kernel's result, in blocked layout.
    fn run(&self, isa: Isa, plan: WinogradPlan, threads: usize) -> Vec<f32> {
        let (shape, lanes) = (&self.shape, isa.lanes());
        let packed = match plan.split {
            Split::Transform => {
                let sizes = [shape.filters, shape.channels, 3, 3];
                crate::kernels::nchwc::pack::pack(lanes, sizes, 1, false, &self.weight).unwrap()
            }
            Split::Tiles | Split::Filters => {
                let packed = pack(lanes, [shape.filters, shape.channels], plan.size, &self.weight).unwrap();
                assert_eq!(packed.len(), packed_len(lanes, [shape.filters, shape.channels], plan.size));
                packed
            }
        };
        let bias = self.bias.as_ref().map(|b| pack_channels(lanes, b).unwrap());
        let x = blocked(&self.x, shape.input_sizes(), lanes);
        let rest = blocked(&self.residual, shape.output_sizes(), lanes);
        let mut out = if self.kind == 1 { rest.clone() } else { vec![f32::NAN; rest.len()] };
        let residual = [Residual::None, Residual::InPlace, Residual::From(&rest)][self.kind];
        let epilogue = Epilogue { bias: bias.as_deref(), residual, act: self.act };
        let operands = ConvOperands { x: &x, weight: &packed, epilogue };
        let mut scratch_memory = vec![f32::NAN; scratch(isa, shape, plan).total(threads)];
        conv(&ThreadPool::new(threads).unwrap(), isa, shape, plan, &operands, &mut scratch_memory, &mut out);
        assert!(out.iter().all(|v| v.is_finite()), "{isa} {shape:?} {plan:?}");
        out
    }
}

#[test]
fn agrees_with_the_definition() {
    for isa in isas() {
        let mut n = Numbers::new(11);
        let mut off = [0f64; 2];
        for round in 0..160 {
            let input = [[1, 1], [7, 7], [13, 15], [14, 14], [4, 9], [2, 3], [20, 6]][n.below(7)];
            let mut pad = [[1, 1]; 2];
            if round % 3 == 0 {
                pad = pad.map(|_| [n.below(3), n.below(3)]);
            }
            for axis in 0..2 {
                // at least one result
                while input[axis] + pad[axis][0] + pad[axis][1] < 3 {
                    pad[axis][n.below(2)] = 2;
                }
            }
            let (channels, filters) = ([1, 16, 20, 48][n.below(4)], [16, 24, 40, 3, 64][n.below(5)]);
            let shape = shape(1 + n.below(3), channels, filters, input, pad);
            let act = activations()[n.below(4)];
            let (bias, kind) = (n.below(3) > 0, n.below(3));
            let case = Case::new(&mut n, shape, bias, kind, act);
            let expected = case.expected();
            for size in SIZES {
                let plan = WinogradPlan { size, tiles: 1 + n.below(60), split: SPLITS[n.below(3)] };
                let out = case.run(isa, plan, 1 + n.below(3));
                let error = max_error(&plain(&out, shape.output_sizes(), isa.lanes()), &expected);
                let most = &mut off[size as usize];
                *most = most.max(error);
                let bound = if size == Size::F2 { 2e-5 } else { 5e-5 };
                assert!(error < bound, "{isa} {shape:?} {plan:?}: {error}");
            }
        }
        println!("{isa}: F(2x2) {:.1e}, F(4x4) {:.1e}", off[0], off[1]);
    }
}

#[test]
fn deep_layers_stay_exact_enough() {
    for isa in isas() {
        let mut n = Numbers::new(5);
        let case = Case::new(&mut n, shape(1, 512, 48, [14, 14], [[1, 1]; 2]), true, 2, None);
        let expected = case.expected();
        for (size, bound) in [(Size::F2, 2e-5), (Size::F4, 5e-5)] {
            for split in [Split::Tiles, Split::Transform] {
                let out = case.run(isa, WinogradPlan { size, tiles: 28, split }, 2);
                let error = max_error(&plain(&out, case.shape.output_sizes(), isa.lanes()), &expected);
                println!("{isa} {size:?} {split:?} 512 channels: {error:.1e}");
                assert!(error < bound, "{isa} {size:?} {split:?}: {error}");
            }
        }
    }
}

#[test]
fn neither_threads_nor_splits_change_a_bit() {
    for isa in isas() {
        let mut n = Numbers::new(3);
        let case = Case::new(&mut n, shape(2, 20, 40, [13, 15], [[1, 1]; 2]), true, 2, Some(Activation::Relu));
        for size in SIZES {
            let first = case.run(isa, WinogradPlan { size, tiles: 28, split: Split::Tiles }, 1);
            let transformed = case.run(isa, WinogradPlan { size, tiles: 28, split: Split::Transform }, 1);
            for split in SPLITS {
                // weights that are transformed in f32 round differently
                let first = if split == Split::Transform { &transformed } else { &first };
                for (tiles, threads) in [(28, 1), (28, 3), (5, 2), (1000, 2)] {
                    assert_eq!(case.run(isa, WinogradPlan { size, tiles, split }, threads), *first, "{size:?} {split:?}");
                }
            }
        }
    }
}

/// With a unit impulse as input, `G g G^T`, the products and `A^T m A` reproduce the filter: every kernel element at its place.
#[test]
fn a_unit_impulse_gives_the_filter() {
    for isa in isas() {
        let shape = shape(1, 1, 1, [5, 5], [[1, 1]; 2]);
        let mut case = Case::new(&mut Numbers::new(1), shape, false, 0, None);
        case.weight = (1..10).map(|k| k as f32).collect();
        case.x = vec![0.0; 25];
        case.x[12] = 1.0;
        for (size, split) in SIZES.into_iter().flat_map(|size| [Split::Tiles, Split::Transform].map(|split| (size, split))) {
            let out = case.run(isa, WinogradPlan { size, tiles: 4, split }, 1);
            let out = plain(&out, shape.output_sizes(), isa.lanes());
            for (i, v) in out.into_iter().enumerate() {
                let (y, x) = (i / 5, i % 5);
                let inside = (1..4).contains(&y) && (1..4).contains(&x);
                let expected = if inside { (9 - ((y - 1) * 3 + x - 1)) as f32 } else { 0.0 };
                assert!((v - expected).abs() < 1e-5, "{isa} {size:?} {y} {x}: {v}");
            }
        }
    }
}

#[test]
fn supports_3x3_with_stride_1_and_one_group() {
    let whole = shape(1, 16, 16, [7, 7], [[1, 1]; 2]);
    assert!(supports(&whole));
    assert!(!supports(&ConvShape { stride: [2, 1], ..whole }));
    assert!(!supports(&ConvShape { dilation: [1, 2], ..whole }));
    assert!(!supports(&ConvShape { groups: 2, ..whole }));
    assert!(!supports(&ConvShape { kernel: [3, 1], ..whole }));
}

/// The fastest of several runs, in milliseconds: with warm weights, and with different weights in every run, more than the caches
/// hold.
fn time(isa: Isa, shape: &ConvShape, plan: WinogradPlan, pool: &ThreadPool, weights: &[Aligned]) -> [f64; 2] {
    let x = Aligned::from_weights(&Numbers::new(2).take(shape.input_sizes().iter().product())).unwrap();
    let mut out = Aligned::zeroed(shape.output_sizes().iter().product()).unwrap();
    let mut scratch_memory = Aligned::zeroed(scratch(isa, shape, plan).total(pool.threads())).unwrap();
    [1, weights.len()].map(|count| {
        let one = |weight: &Aligned| {
            let epilogue = Epilogue { bias: None, residual: Residual::None, act: Some(Activation::Relu) };
            let start = std::time::Instant::now();
            conv(pool, isa, shape, plan, &ConvOperands { x: &x, weight, epilogue }, &mut scratch_memory, &mut out);
            start.elapsed().as_secs_f64() * 1e3
        };
        weights[..count].iter().cycle().take(count.max(8)).map(one).fold(f64::MAX, f64::min)
    })
}

#[test]
#[ignore = "a measurement: cargo test --release --lib winograd::tests::speed -- --ignored --nocapture"]
fn speed() {
    let isa = Isa::chosen().unwrap();
    for (channels, map) in [(64, 56), (128, 28), (256, 14), (512, 7)] {
        for size in SIZES {
            let weight = Numbers::new(1).take(channels * channels * 9);
            let start = std::time::Instant::now();
            let packed = pack(isa.lanes(), [channels, channels], size, &weight).unwrap();
            println!("{isa} {channels}x{map} {size:?}: packed in {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
            let raw = crate::kernels::nchwc::pack::pack(isa.lanes(), [channels, channels, 3, 3], 1, false, &weight).unwrap();
            let copies = |packed: &Aligned| {
                let count = ((24 << 20) / packed.len() + 1).min(16);
                (0..count).map(|_| Aligned::from_weights(packed).unwrap()).collect::<Vec<_>>()
            };
            let (weights, raw) = (copies(&packed), copies(&raw));
            for (batch, threads) in [(1, 1), (1, 2), (8, 1), (8, 2)] {
                let pool = ThreadPool::new(threads).unwrap();
                let shape = shape(batch, channels, channels, [map; 2], [[1, 1]; 2]);
                let total = batch * map.div_ceil(size.side()).pow(2);
                let mut line = String::new();
                for split in SPLITS {
                    for aim in [14, 28, 56] {
                        let sets = total.div_ceil(aim).next_multiple_of(if split == Split::Tiles { threads } else { 1 });
                        let tiles = total.div_ceil(sets);
                        let plan = WinogradPlan { size, tiles, split };
                        let weights = if split == Split::Transform { &raw } else { &weights };
                        let [hot, cold] = time(isa, &shape, plan, &pool, weights);
                        let rate = 2e-6 * shape.macs() as f64 / hot;
                        line += &format!(" | {split:?} {tiles}: {hot:.3} {cold:.3} ms {rate:.0}");
                    }
                }
                println!("{isa} {channels}x{map} {size:?} b{batch} t{threads}{line}");
            }
        }
    }
}
