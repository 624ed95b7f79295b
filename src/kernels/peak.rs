//! The measured peak performance of this machine, as a reference for kernels.
//!
//! Clock rates change with temperature, load and instruction mix, so the peak from a data sheet is of little use. This measures a
//! loop of fused multiply-adds on registers; for an instruction set without its own kernels, the matrix product used for it, on
//! operands that stay in cache.

use std::hint::black_box;
use std::time::Instant;

use super::dispatch::{Kernel, instance};
use super::isa::Isa;
use super::simd::Simd;
use super::threads::ThreadPool;

/// Independent sums: more than two FMA units times a latency of four or five cycles.
const SUMS: usize = 12;
/// Multiply-adds per sum in a run: about a millisecond.
const ROUNDS: usize = 1 << 18;
/// Number of runs; the best one counts.
const RUNS: usize = 16;
/// Rows and columns of the matrices.
const SIDE: usize = 256;

/// Arguments of the measured loop.
struct Chains {
    /// Multiply-adds per sum.
    rounds: usize,
    /// `sum = sum * by + plus`, with `by` below 1 so that sums stay finite.
    by: f32,
    /// See `by`.
    plus: f32,
    /// Receives the sums, so that they are not optimized away: one vector of floats.
    out: *mut f32,
}

impl Kernel for Chains {
    type Operands = Self;

    /// Multiplies and adds in registers.
    #[inline(always)]
    unsafe fn run<S: Simd>(c: &Self) {
        // SAFETY: guaranteed by the caller
        unsafe {
            let (by, plus) = (S::splat(c.by), S::splat(c.plus));
            let mut sums = [S::zero(); SUMS];
            for _ in 0..c.rounds {
                for sum in &mut sums {
                    *sum = S::fma(*sum, by, plus);
                }
            }
            let mut all = S::zero();
            for sum in sums {
                all = S::add(all, sum);
            }
            S::store(c.out, all);
        }
    }
}

/// The highest GFLOP/s (a multiply-add is two operations) that all threads of the pool reach together, in f32. Takes tens of
/// milliseconds.
pub fn gflops(pool: &ThreadPool, isa: Isa) -> f64 {
    let flops = match isa.vector() {
        Some(isa) => best(pool, 2 * (SUMS * ROUNDS * isa.lanes()) as u64, &|_| {
            let mut out = [0.0f32; 16];
            let (by, plus) = black_box((0.999, 0.5));
            // SAFETY: the processor supports `isa`; no vector has more than 16 floats
            unsafe { instance::<Chains>(isa)(&Chains { rounds: ROUNDS, by, plus, out: out.as_mut_ptr() }) };
            black_box(out);
        }),
        None => {
            let (a, b) = (vec![0.5f32; SIDE * SIDE], vec![0.25f32; SIDE * SIDE]);
            best(pool, 2 * (SIDE * SIDE * SIDE) as u64, &|_| {
                let mut c = vec![0.0f32; SIDE * SIDE];
                let (n, row) = (SIDE, SIDE as isize);
                // SAFETY: three contiguous row-major matrices with SIDE rows and columns
                unsafe {
                    matrixmultiply::sgemm(n, n, n, 1.0, a.as_ptr(), row, 1, b.as_ptr(), row, 1, 0.0, c.as_mut_ptr(), row, 1)
                };
                black_box(c);
            })
        }
    };
    flops / 1e9
}

/// Operations per second in the best run of a job that does `flops` operations on each thread.
pub(super) fn best(pool: &ThreadPool, flops: u64, job: &(dyn Fn(usize) + Sync)) -> f64 {
    let shortest = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            pool.run(job);
            start.elapsed()
        })
        .min()
        .unwrap_or_default();
    (flops * pool.threads() as u64) as f64 / shortest.as_secs_f64().max(1e-9)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No core reaches 2000 GFLOP/s, so a loop that was optimized away would be noticed. Emulated processors may be arbitrarily
    /// slow.
    #[test]
    fn every_instruction_set_has_a_peak() {
        let pool = ThreadPool::new(1).unwrap();
        for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
            let peak = gflops(&pool, isa);
            assert!(peak > 0.0 && peak < 2000.0, "{isa}: {peak}");
        }
    }

    #[test]
    fn the_loop_computes_its_sums() {
        for isa in Isa::ALL {
            let Some(vector) = isa.vector() else { continue };
            let mut out = [0.0f32; 16];
            // SAFETY: the processor has the instruction set, and `out` holds the widest vector
            unsafe { instance::<Chains>(vector)(&Chains { rounds: 3, by: 0.5, plus: 1.0, out: out.as_mut_ptr() }) };
            assert!(out[..vector.lanes()].iter().all(|&v| v == SUMS as f32 * 1.75), "{isa}: {out:?}");
        }
    }
}
