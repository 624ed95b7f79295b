//! Helpers for tests of these kernels: every layout with kernels for this processor, random sizes and thread counts.

use crate::kernels::reference::{Numbers, blocked, plain};
use crate::kernels::{Isa, Layout, ThreadPool};

/// Calls `check` for `rounds` random sizes in each layout, with one to three threads.
pub(super) fn cases(seed: u64, rounds: usize, check: impl Fn(&mut Numbers, &ThreadPool, Isa, Layout, [usize; 4])) {
    let pools: Vec<ThreadPool> = (1..=3).map(|threads| ThreadPool::new(threads).unwrap()).collect();
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
        let layout = if isa.lanes() == 1 { Layout::Nchw } else { Layout::Blocked { lanes: isa.lanes() } };
        let mut n = Numbers::new(seed);
        for round in 0..rounds {
            let side = [1, 9, 20][n.below(3)];
            let sizes = [1 + n.below(5), 1 + n.below(40), 1 + n.below(side), 1 + n.below(side)];
            check(&mut n, &pools[round % pools.len()], isa, layout, sizes);
        }
    }
}

/// Converts an NCHW value to a layout; padding is filled with values that would show in results.
pub(super) fn from_plain(layout: Layout, sizes: [usize; 4], x: &[f32]) -> Vec<f32> {
    match layout {
        Layout::Nchw => x.to_vec(),
        Layout::Blocked { lanes } => blocked(x, sizes, lanes),
    }
}

/// Converts back to NCHW.
pub(super) fn to_plain(layout: Layout, sizes: [usize; 4], x: &[f32]) -> Vec<f32> {
    match layout {
        Layout::Nchw => x.to_vec(),
        Layout::Blocked { lanes } => plain(x, sizes, lanes),
    }
}
