//! Fully connected layers. The weight, `[features, inputs]`, is read as stored, each element once. Packing would not help: with
//! small batches this one pass over memory is all the work.

use std::ops::Range;

use super::conv::{Epilogue, Residual};
use super::dispatch::{Kernel, instance};
use super::elementwise::{Activation, apply};
use super::isa::{Isa, VectorIsa};
use super::simd::Simd;
use super::threads::{Disjoint, ThreadPool, share};

/// Batch size from which a matrix product pays off, for instruction sets without their own kernels.
const GEMM_BATCH: usize = 8;
/// Independent partial sums of a dot product, so that additions do not wait for each other.
const LANES: usize = 32;
/// Features computed together.
const ROWS: usize = 4;
/// Samples computed together.
const SAMPLES: usize = 8;
/// Inputs processed for all samples before the next chunk: the weights and samples of a chunk stay in the L1 cache, and nested
/// sums have smaller rounding errors.
const CHUNK: usize = 512;

/// Rows of a weight and samples to multiply.
struct Dots {
    /// The first sample; the others follow.
    x: *const f32,
    /// Number of samples, at most [`SAMPLES`].
    samples: usize,
    /// The first row of the weight; the others follow.
    weight: *const f32,
    /// Floats per row and per sample.
    inputs: usize,
    /// The results, `[samples][rows]`.
    sums: *mut f32,
}

/// The dot products of `R` rows with samples.
struct DotProducts<const R: usize>;

impl<const R: usize> Kernel for DotProducts<R> {
    type Operands = Dots;

    /// The dot products of each of `R` rows with each sample. A result does not depend on what else is computed with it.
    #[inline(always)]
    unsafe fn run<S: Simd>(d: &Dots) {
        let whole = d.inputs / S::LANES * S::LANES;
        // SAFETY: guaranteed by the caller, for every access below
        unsafe {
            let mut totals = [[S::zero(); R]; SAMPLES];
            // 4 x 4 sums use half of the registers of AVX-512, 4 x 2 sums half of those of AVX2 and NEON
            let most = if S::LANES == 16 { 4 } else { 2 };
            let passes = d.samples / most + d.samples % most / 2 + d.samples % 2;
            let fetch = R.div_ceil(passes.max(1));
            let mut start = 0;
            while start < whole {
                let len = CHUNK.min(whole - start);
                let weight = d.weight.add(start);
                // prefetched meanwhile, some rows per pass: the next chunk, or the start of the following rows
                let mut next = if start + len < whole { weight.wrapping_add(len) } else { d.weight.wrapping_add(R * d.inputs) };
                let (mut n, mut fetched) = (0, 0);
                while n < d.samples {
                    let left = d.samples - n;
                    let rows = fetch.min(R - fetched);
                    let x = d.x.add(n * d.inputs + start);
                    let totals = &mut totals[n..];
                    if left >= 4 && most == 4 {
                        products::<S, R, 4>(x, weight, d.inputs, len, next, rows, totals);
                        n += 4;
                    } else if left >= 2 {
                        products::<S, R, 2>(x, weight, d.inputs, len, next, rows, totals);
                        n += 2;
                    } else {
                        products::<S, R, 1>(x, weight, d.inputs, len, next, rows, totals);
                        n += 1;
                    }
                    next = next.wrapping_add(rows * d.inputs);
                    fetched += rows;
                }
                start += len;
            }
            for (n, totals) in totals.iter().enumerate().take(d.samples) {
                for (r, &total) in totals.iter().enumerate() {
                    let mut sum = S::sum(total);
                    for i in whole..d.inputs {
                        sum += *d.x.add(n * d.inputs + i) * *d.weight.add(r * d.inputs + i);
                    }
                    *d.sums.add(n * R + r) = sum;
                }
            }
        }
    }
}

/// Adds the products of `R` rows with `N` samples over `len` inputs; meanwhile prefetches the same length of `fetch` rows
/// starting at `next`.
///
/// # Safety
/// As [`Kernel::run`].
#[inline(always)]
unsafe fn products<S: Simd, const R: usize, const N: usize>(
    x: *const f32,
    weight: *const f32,
    inputs: usize,
    len: usize,
    next: *const f32,
    fetch: usize,
    totals: &mut [[S::V; R]],
) {
    // SAFETY: guaranteed by the caller
    unsafe {
        let mut sums = [[S::zero(); R]; N];
        let mut i = 0;
        while i < len {
            let mut w = [S::zero(); R];
            for (r, w) in w.iter_mut().enumerate() {
                *w = S::load(weight.add(r * inputs + i));
            }
            for r in 0..fetch {
                S::prefetch(next.wrapping_add(r * inputs + i));
            }
            for (n, sums) in sums.iter_mut().enumerate() {
                let x = S::load(x.add(n * inputs + i));
                for (sum, &w) in sums.iter_mut().zip(&w) {
                    *sum = S::fma(x, w, *sum);
                }
            }
            i += S::LANES;
        }
        for (totals, sums) in totals.iter_mut().zip(&sums) {
            for (total, &sum) in totals.iter_mut().zip(sums) {
                *total = S::add(*total, sum);
            }
        }
    }
}

/// `out[n][f] = act(bias[f] + weight[f] . x[n])`; `weight` is `[features, inputs]` as stored. Each thread computes neighboring
/// features.
///
/// # Panics
/// If a slice has the wrong length, or the processor lacks the instruction set.
pub fn linear(
    pool: &ThreadPool,
    isa: Isa,
    sizes @ [batch, inputs, features]: [usize; 3],
    x: &[f32],
    weight: &[f32],
    epilogue: &Epilogue<'_>,
    out: &mut [f32],
) {
    assert_eq!((x.len(), weight.len(), out.len()), (batch * inputs, features * inputs, batch * features));
    match isa.vector() {
        Some(isa) => vector(pool, isa, sizes, x, weight, epilogue, out),
        None => portable(pool, sizes, x, weight, epilogue, out),
    }
}

fn vector(
    pool: &ThreadPool,
    isa: VectorIsa,
    [batch, inputs, features]: [usize; 3],
    x: &[f32],
    weight: &[f32],
    epilogue: &Epilogue<'_>,
    out: &mut [f32],
) {
    let (dots, dot) = (instance::<DotProducts<ROWS>>(isa), instance::<DotProducts<1>>(isa));
    let groups = features.div_ceil(ROWS);
    let features_of = |groups: Range<usize>| groups.start * ROWS..features.min(groups.end * ROWS);
    let threads = pool.threads();
    let out = Disjoint::new(out);
    pool.for_each(threads, |part, _| {
        for group in share(groups, threads, part) {
            let first = group * ROWS;
            let rows = ROWS.min(features - first);
            for sample in (0..batch).step_by(SAMPLES) {
                let samples = SAMPLES.min(batch - sample);
                let mut sums = [0.0; ROWS * SAMPLES];
                let x = &x[sample * inputs..][..samples * inputs];
                // the last group, if it has fewer rows, is processed row by row
                let (step, dots) = if rows == ROWS { (ROWS, dots) } else { (1, dot) };
                for row in (0..rows).step_by(step) {
                    let weight = &weight[(first + row) * inputs..][..step * inputs];
                    let sums = &mut sums[row * SAMPLES..][..step * samples];
                    let dots_of = Dots { x: x.as_ptr(), samples, weight: weight.as_ptr(), inputs, sums: sums.as_mut_ptr() };
                    // SAFETY: the processor supports `isa`; the slices have the required lengths
                    unsafe { dots(&dots_of) };
                }
                for n in 0..samples {
                    let at = (sample + n) * features + first;
                    // SAFETY: columns of this part only
                    let out = unsafe { out.slice(at, rows) };
                    for (row, out) in out.iter_mut().enumerate() {
                        let sum = if step == 1 { sums[row * SAMPLES + n] } else { sums[n * ROWS + row] };
                        finish(epilogue, first + row, at + row, sum, out);
                    }
                }
            }
        }
        activate(epilogue, isa.into(), features_of(share(groups, threads, part)), [batch, features], &out);
    });
}

/// Computes the output of a feature at index `at` from its sum, except for a program.
fn finish(epilogue: &Epilogue<'_>, feature: usize, at: usize, sum: f32, out: &mut f32) {
    let residual = match epilogue.residual {
        Residual::None => 0.0,
        Residual::InPlace => *out,
        Residual::From(r) => r[at],
    };
    let v = sum + epilogue.bias.map_or(0.0, |b| b[feature]) + residual;
    *out = Activation::clamp(epilogue.act).of(v);
}

/// Applies the program of an epilogue to some features of all samples.
fn activate(epilogue: &Epilogue<'_>, isa: Isa, mine: Range<usize>, [batch, features]: [usize; 2], out: &Disjoint<'_>) {
    if let Some(code) = Activation::program(epilogue.act) {
        for sample in 0..batch {
            // SAFETY: columns of one thread only
            apply(isa, code, usize::MAX, unsafe { out.slice(sample * features + mine.start, mine.len()) });
        }
    }
}

/// For instruction sets without their own kernels: `matrixmultiply`, or an auto-vectorized dot product.
fn portable(
    pool: &ThreadPool,
    [batch, inputs, features]: [usize; 3],
    x: &[f32],
    weight: &[f32],
    epilogue: &Epilogue<'_>,
    out: &mut [f32],
) {
    let out = Disjoint::new(out);
    let threads = pool.threads();
    pool.for_each(threads, |part, _| {
        let mine = share(features, threads, part);
        if mine.is_empty() {
            return;
        }
        let rows = &weight[mine.start * inputs..mine.end * inputs];
        // the matrix product stores intermediate sums in the output
        if batch >= GEMM_BATCH && inputs > 0 && !matches!(epilogue.residual, Residual::InPlace) {
            let c = out.pointer(mine.start, (batch - 1) * features + mine.len());
            // SAFETY: the slices hold these rows and columns, as asserted above; each part writes its own columns
            unsafe {
                matrixmultiply::sgemm(
                    batch,
                    inputs,
                    mine.len(),
                    1.0,
                    x.as_ptr(),
                    inputs as isize,
                    1,
                    rows.as_ptr(),
                    1,
                    inputs as isize,
                    0.0,
                    c,
                    features as isize,
                    1,
                );
            }
            for n in 0..batch {
                for f in mine.clone() {
                    let at = n * features + f;
                    // SAFETY: a column of this part only
                    let out = &mut unsafe { out.slice(at, 1) }[0];
                    finish(epilogue, f, at, *out, out);
                }
            }
            activate(epilogue, Isa::Portable, mine, [batch, features], &out);
            return;
        }
        for f in mine.clone() {
            let row = &weight[f * inputs..][..inputs];
            for n in 0..batch {
                let at = n * features + f;
                let sum = plain_dot(row, &x[n * inputs..][..inputs]);
                // SAFETY: a column of this part only
                finish(epilogue, f, at, sum, &mut unsafe { out.slice(at, 1) }[0]);
            }
        }
        activate(epilogue, Isa::Portable, mine, [batch, features], &out);
    });
}

fn plain_dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0f32; LANES];
    let (a, b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f32 = a.remainder().iter().zip(b.remainder()).map(|(&a, &b)| a * b).sum();
    for (a, b) in a.zip(b) {
        for i in 0..LANES {
            sums[i] += a[i] * b[i];
        }
    }
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            sums[i] += sums[i + width];
        }
        width /= 2;
    }
    sums[0] + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::reference::{Numbers, activate_f64, activations, max_error};

    fn expected(
        [batch, inputs, features]: [usize; 3],
        x: &[f32],
        w: &[f32],
        bias: &[f32],
        residual: &[f32],
        act: Option<Activation<'_>>,
    ) -> Vec<f64> {
        let one = |i: usize| {
            let (n, f) = (i / features, i % features);
            let products = (0..inputs).map(|k| f64::from(x[n * inputs + k]) * f64::from(w[f * inputs + k]));
            let sum = products.sum::<f64>() + f64::from(bias[f]) + f64::from(residual[i]);
            activate_f64(act, sum)
        };
        (0..batch * features).map(one).collect()
    }

    #[test]
    fn agrees_with_the_definition() {
        for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
            let mut n = Numbers::new(19);
            for round in 0..80 {
                let sizes @ [batch, inputs, features] =
                    [1 + n.below(19), n.below(if round % 9 == 0 { 3000 } else { 200 }), 1 + n.below(30)];
                let (x, w) = (n.take(batch * inputs), n.take(features * inputs));
                let (bias, residual) = (n.take(features), n.take(batch * features));
                let act = activations()[n.below(4)];
                let pool = ThreadPool::new(1 + n.below(3)).unwrap();
                let mut out = residual.clone();
                let from = if round % 2 == 0 { Residual::InPlace } else { Residual::From(&residual) };
                linear(&pool, isa, sizes, &x, &w, &Epilogue { bias: Some(&bias), residual: from, act }, &mut out);
                let off = max_error(&out, &expected(sizes, &x, &w, &bias, &residual, act));
                assert!(off < 2e-5, "{isa} {sizes:?}: {off}");
            }
        }
    }

    #[test]
    fn a_sample_has_the_same_bits_in_any_batch_and_for_any_threads() {
        for isa in Isa::ALL.into_iter().filter(|isa| isa.vector().is_some()) {
            let (batch, inputs, features) = (13, 1500, 27);
            let mut n = Numbers::new(23);
            let (x, w) = (n.take(batch * inputs), n.take(features * inputs));
            let epilogue = Epilogue { bias: None, residual: Residual::None, act: None };
            let mut all = vec![0.0; batch * features];
            linear(&ThreadPool::new(1).unwrap(), isa, [batch, inputs, features], &x, &w, &epilogue, &mut all);
            for threads in 1..4 {
                let pool = ThreadPool::new(threads).unwrap();
                for (x, expected) in x.chunks(inputs).zip(all.chunks(features)) {
                    let mut one = vec![0.0; features];
                    linear(&pool, isa, [1, inputs, features], x, &w, &epilogue, &mut one);
                    assert_eq!(one, expected, "{isa} {threads}");
                }
            }
        }
    }

    #[test]
    #[ignore = "a measurement: cargo test --release --lib linear::tests::speed -- --ignored --nocapture"]
    fn speed() {
        for (inputs, features) in [(512, 1000), (2048, 1000), (4096, 4096), (25088, 4096)] {
            let w = crate::kernels::Aligned::zeroed(inputs * features).unwrap();
            for batch in [1, 2, 4, 8, 16, 64] {
                let x = vec![0.5; batch * inputs];
                let mut out = vec![0.0; batch * features];
                let epilogue = Epilogue { bias: None, residual: Residual::None, act: None };
                let mut line = String::new();
                for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
                    for threads in [1, 2] {
                        let pool = ThreadPool::new(threads).unwrap();
                        let mut best = f64::MAX;
                        for _ in 0..6 {
                            let start = std::time::Instant::now();
                            linear(&pool, isa, [batch, inputs, features], &x, &w, &epilogue, &mut out);
                            best = best.min(start.elapsed().as_secs_f64());
                        }
                        let numbers = (inputs * features) as f64 * 1e-9 / best;
                        line += &format!(
                            "  {isa} {threads}: {:6.1} GB/s {:6.1} GFLOP/s",
                            4.0 * numbers,
                            2.0 * batch as f64 * numbers
                        );
                    }
                }
                eprintln!("{inputs} -> {features} b{batch}: {line}");
            }
        }
    }
}
