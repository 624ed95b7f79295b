//! The peak of this machine, measured: what kernels are held against.
//!
//! Clocks drift with temperature, load and the instructions themselves, so a peak from a data sheet says little. Measured
//! is a loop of fused multiply-adds over registers alone; where an instruction set has no kernels of its own, the matrix
//! product that serves it, on operands that stay in the cache.

use std::hint::black_box;
use std::time::Instant;

use super::isa::Isa;
use super::pool::Pool;
use super::simd::Simd;

/// Sums that are independent of each other: more than two units times a latency of four or five cycles.
const SUMS: usize = 12;
/// Multiply-adds of each sum in a run: about a millisecond.
const ROUNDS: usize = 1 << 18;
/// Runs, of which the best counts.
const RUNS: usize = 16;
/// Rows and columns of the matrices.
const SIDE: usize = 256;

/// What a run of the loop is told.
pub(super) struct Chains {
    /// Multiply-adds of each sum.
    pub rounds: usize,
    /// `sum = sum * by + plus`; below 1, so that sums stay finite.
    pub by: f32,
    /// See `by`.
    pub plus: f32,
    /// Where the sums go, so that they are computed: as many floats as a vector has.
    pub out: *mut f32,
}

/// Multiplies and adds in registers.
///
/// # Safety
/// The processor has `S`; `out` is valid for `S::LANES` floats.
#[inline(always)]
pub(super) unsafe fn chains<S: Simd>(c: &Chains) {
    // SAFETY: the caller's
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

/// The most GFLOP/s (a multiply-add is two operations) that all threads of the pool reach at once, in f32. Takes some tens
/// of milliseconds.
pub fn gflops(pool: &Pool, isa: Isa) -> f64 {
    let flops = match isa.kernels() {
        Some(kernels) => best(pool, 2 * (SUMS * ROUNDS * kernels.lanes) as u64, &|_| {
            let mut out = [0.0f32; 16];
            let (by, plus) = black_box((0.999, 0.5));
            // SAFETY: whoever has `kernels` runs on a processor that has the instruction set; no vector has more than 16
            unsafe { (kernels.chains)(&Chains { rounds: ROUNDS, by, plus, out: out.as_mut_ptr() }) };
            black_box(out);
        }),
        None => {
            let (a, b) = (vec![0.5f32; SIDE * SIDE], vec![0.25f32; SIDE * SIDE]);
            best(pool, 2 * (SIDE * SIDE * SIDE) as u64, &|_| {
                let mut c = vec![0.0f32; SIDE * SIDE];
                let (n, row) = (SIDE, SIDE as isize);
                // SAFETY: three matrices of SIDE rows and columns, one row behind the other
                unsafe {
                    matrixmultiply::sgemm(n, n, n, 1.0, a.as_ptr(), row, 1, b.as_ptr(), row, 1, 0.0, c.as_mut_ptr(), row, 1)
                };
                black_box(c);
            })
        }
    };
    flops / 1e9
}

/// Operations a second of the best run of a job that does `flops` on each thread.
fn best(pool: &Pool, flops: u64, job: &(dyn Fn(usize) + Sync)) -> f64 {
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

    /// No core does 2000 GFLOP/s: a loop that was optimized away would show. An emulated one may be as slow as it likes.
    #[test]
    fn every_instruction_set_has_a_peak() {
        let pool = Pool::new(1).unwrap();
        for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
            let peak = gflops(&pool, isa);
            assert!(peak > 0.0 && peak < 2000.0, "{isa}: {peak}");
        }
    }

    #[test]
    fn the_loop_computes_what_it_says() {
        for isa in Isa::ALL {
            let Some(kernels) = isa.kernels() else { continue };
            let mut out = [0.0f32; 16];
            // SAFETY: the processor has it; room for the widest vector
            unsafe { (kernels.chains)(&Chains { rounds: 3, by: 0.5, plus: 1.0, out: out.as_mut_ptr() }) };
            assert!(out[..kernels.lanes].iter().all(|&v| v == SUMS as f32 * 1.75), "{isa}: {out:?}");
        }
    }
}
