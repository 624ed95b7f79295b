//! Kernels against ranges, and against each other: the result of an element depends neither on the layout, on the number of threads,
//! on its place, nor on whether an operand is overwritten; AVX2 and AVX-512 agree bit by bit.

use std::collections::HashMap;

use resnetc::internal::kernels::elementwise::{Code, Geometry, Operand, elementwise};
use resnetc::internal::kernels::nchwc::convert::convert;
use resnetc::internal::kernels::{Isa, Layout, ThreadPool};

use super::case::{Case, Kind};
use super::range::{Range, Rounding, evaluate};

/// Pools of one and of two threads.
fn with_pools(run: impl FnOnce(&[ThreadPool; 2])) {
    thread_local! {
        static POOLS: [ThreadPool; 2] = [1, 2].map(|threads| ThreadPool::new(threads).unwrap());
    }
    POOLS.with(run);
}

pub fn check(case: &Case) {
    let ranges = ranges(case);
    let code = Code::new(&case.program);
    let mut vectors: Option<Vec<u32>> = None;
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
        let lanes = isa.lanes();
        let layouts = [Some(Layout::Nchw), Some(Layout::Blocked { lanes }).filter(|_| lanes > 1)];
        let mut first: Option<Vec<u32>> = None;
        for layout in layouts.into_iter().flatten() {
            with_pools(|pools| {
                for pool in pools {
                    for in_place in [None, case.in_place] {
                        let found = run(case, pool, isa, &code, layout, in_place);
                        let expected = first.get_or_insert_with(|| {
                            compare(case, isa, &ranges, &found);
                            bits(&found)
                        });
                        let how = format!("{isa} {layout:?}, {} threads, in place {in_place:?}", pool.threads());
                        assert!(bits(&found) == *expected, "{how}: other bits than plain on one thread\n{case:?}");
                    }
                }
            });
        }
        if lanes > 1 {
            let first = first.unwrap_or_default();
            assert!(*vectors.get_or_insert_with(|| first.clone()) == first, "instruction sets disagree\n{case:?}");
        }
    }
}

/// What each element may be: see [`allowed`]. Many have the same operands.
fn ranges(case: &Case) -> Vec<[Range; 2]> {
    let mut known: HashMap<Vec<u32>, [Range; 2]> = HashMap::new();
    let of = |element| {
        let bits = case.operands(element).into_iter().map(f32::to_bits).collect();
        *known.entry(bits).or_insert_with(|| allowed(case, element))
    };
    (0..case.len()).map(of).collect()
}

/// What an element may be from kernels, and what it may be from kernels or in f64.
fn allowed(case: &Case, element: usize) -> [Range; 2] {
    let operands = case.operands(element);
    let ranges: Vec<Range> = operands.iter().map(|&x| Range::of(f64::from(x))).collect();
    let [kernel, any] = [Rounding::Kernel, Rounding::Any].map(|rounding| evaluate(&case.program, &ranges, rounding));
    let exact = case.program.evaluate(&operands.iter().map(|&x| f64::from(x)).collect::<Vec<f64>>());
    assert!(any.contains(exact), "f64 gives {exact:e}, outside of {any:?}\n{case:?}");
    let rounded = case.program.evaluate_rounded(&operands);
    assert!(kernel.contains(f64::from(rounded)), "rounding gives {rounded:e}, outside of {kernel:?}\n{case:?}");
    [kernel, any]
}

fn compare(case: &Case, isa: Isa, ranges: &[[Range; 2]], found: &[f32]) {
    for (element, (&found, [kernel, any])) in found.iter().zip(ranges).enumerate() {
        let operands = || case.operands(element);
        let fits = kernel.contains(f64::from(found)) && any.contains(f64::from(found));
        assert!(fits, "{isa} gives {found:e} instead of {kernel:?} of {:?}\n{case:?}", operands());
    }
}

/// The bits of floats; any NaN is the same.
fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| if v.is_nan() { f32::NAN.to_bits() } else { v.to_bits() }).collect()
}

/// The result, plain.
fn run(case: &Case, pool: &ThreadPool, isa: Isa, code: &Code, layout: Layout, in_place: Option<usize>) -> Vec<f32> {
    let sizes = case.sizes;
    let stored: Vec<Vec<f32>> = case
        .kinds
        .iter()
        .zip(&case.values)
        .map(|(&kind, values)| match (layout, kind) {
            (Layout::Blocked { .. }, Kind::Full | Kind::Channel) => blocked(pool, isa, kind.sizes(sizes), values),
            _ => values.clone(),
        })
        .collect();
    let operands: Vec<Operand<'_>> = (0..stored.len())
        .map(|slot| match (case.kinds[slot], &stored[slot][..]) {
            (Kind::Full, _) if in_place == Some(slot) => Operand::InPlace,
            (Kind::Full, values) => Operand::Full(values),
            (Kind::Channel, values) => Operand::Channel(values),
            (Kind::Pixel, values) => Operand::Pixel(values),
            (Kind::Sample, values) => Operand::Sample(values),
            (Kind::Parameter, values) => Operand::Parameter(values),
            (Kind::Shared, values) => Operand::Shared(values),
        })
        .collect();
    let mut out = match in_place {
        Some(slot) => stored[slot].clone(),
        None => vec![f32::NAN; layout.len(sizes).unwrap()],
    };
    elementwise(pool, isa, code, Geometry { layout, sizes }, &operands, &mut out);
    if layout == Layout::Nchw {
        return out;
    }
    let found = plain(pool, isa, sizes, &out);
    // what is left of the blocks is zero
    assert!(bits(&blocked(pool, isa, sizes, &found)) == bits(&out), "{isa}: filler is not zero\n{case:?}");
    found
}

fn blocked(pool: &ThreadPool, isa: Isa, sizes: [usize; 4], values: &[f32]) -> Vec<f32> {
    let mut out = vec![0.0; Layout::Blocked { lanes: isa.lanes() }.len(sizes).unwrap()];
    convert(pool, isa, sizes, true, values, &mut out);
    out
}

fn plain(pool: &ThreadPool, isa: Isa, sizes: [usize; 4], values: &[f32]) -> Vec<f32> {
    let mut out = vec![0.0; sizes.iter().product()];
    convert(pool, isa, sizes, false, values, &mut out);
    out
}
