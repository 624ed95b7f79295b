//! The measured peak performance of this machine in integers, as a reference for kernels: see [`crate::kernels::peak`].

use std::hint::black_box;

use super::dot::{Dot, LANES};
use super::engine::{Engine, Loop, instance};
use crate::kernels::peak::best;
use crate::kernels::threads::ThreadPool;

/// Independent sums: with two registers each, enough for any latency.
const SUMS: usize = 6;
/// Steps per sum in a run: about a millisecond.
const ROUNDS: usize = 1 << 18;

/// Arguments of the measured loop.
struct Chains {
    rounds: usize,
    /// Four bytes of activations for each sum. A pointer, so that they may have changed after each fence.
    x: *const u8,
    /// 64 bytes of weights.
    weight: *const u8,
    /// Receives 16 sums.
    out: *mut i32,
}

impl Loop for Chains {
    type Operands = Self;

    #[inline(always)]
    unsafe fn run<D: Dot>(c: &Self) {
        // SAFETY: guaranteed by the caller
        unsafe {
            let w = D::weights(c.weight);
            let mut sums = [D::load(c.out); SUMS];
            for _ in 0..c.rounds {
                // read again after each fence, so that the products are computed again
                for (i, sum) in sums.iter_mut().enumerate() {
                    *sum = D::step(*sum, D::pixel(c.x.add(4 * i)), w);
                }
                D::fence();
            }
            let mut all = D::load(c.out);
            for sum in sums {
                all = D::add(all, sum);
            }
            D::store(c.out, all);
        }
    }
}

/// The highest GOP/s (a multiply-add is two operations) that all threads of the pool reach together on bytes. Takes tens of
/// milliseconds.
///
/// # Panics
/// If the processor lacks the instructions.
pub fn gops(pool: &ThreadPool, engine: Engine) -> f64 {
    // a step takes four bytes of a strip
    let products = ROUNDS * SUMS * LANES * 4 / engine.width();
    let ops = best(pool, 2 * products as u64, &|_| {
        let (mut out, weight, x) = ([0i32; LANES], black_box([0u8; 4 * LANES]), black_box([1u8; 4 * SUMS]));
        // SAFETY: the processor has the instructions, and the arrays their lengths
        unsafe {
            instance::<Chains>(engine)(&Chains { rounds: ROUNDS, x: x.as_ptr(), weight: weight.as_ptr(), out: out.as_mut_ptr() })
        };
        black_box(out);
    });
    ops / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No core reaches 20 000 GOP/s without tiles, so a loop that was optimized away would be noticed.
    #[test]
    fn every_engine_has_a_peak() {
        let pool = ThreadPool::new(1).unwrap();
        for engine in Engine::ALL.into_iter().filter(|engine| engine.is_available()) {
            let peak = gops(&pool, engine);
            assert!(peak > 0.0 && peak < 20_000.0, "{engine:?}: {peak}");
        }
    }
}
