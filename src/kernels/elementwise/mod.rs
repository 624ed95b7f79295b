//! Elementwise programs: any function of the elements of some values, computed in one pass over memory.
//!
//! A [`Program`](crate::elementwise::Program) is compiled to [`Code`] once. Code runs on strips that stay in the L1 cache, one
//! operation after the other, with the vectors of the instruction set. Operations are rounded one by one, as IEEE 754 demands:
//! a product and a sum are never contracted. Functions such as `exp` are polynomials, whose errors `math` states. An element's
//! result does not depend on its place, so that it does not depend on the number of threads either.
//!
//! Several instructions may be carried out as one step. That gives the same bits, except for limits, which keep `-0`, and for
//! `tanh(softplus(x))`, and products of `sigmoid(x)` and of `1 + erf(x)`, whose error `math` states too.

mod activation;
mod code;
mod compile;
mod copy;
mod join;
mod math;
mod operand;
mod run;
mod steps;
mod strip;
#[cfg(test)]
mod tests;

pub use activation::Activation;
pub use code::Code;
pub use copy::copy;
pub(super) use copy::fill;
pub use operand::{Geometry, Operand};
pub(crate) use strip::apply;

use operand::{Run, View, Walk};
use strip::{Memory, Runner, mask};

use super::aligned::LINE;
use super::isa::Isa;
use super::layout::Layout;
use super::threads::{Disjoint, ThreadPool, share};
use crate::elementwise::MAX_OPERANDS;

/// Maximum number of floats per task, so that they stay in the L1 cache.
const PIECE: usize = 4096;

/// Results of at least this many floats are written past the caches, as C libraries do in `memcpy`: what does not fit in any
/// cache would first be read from memory before it is overwritten, which costs half as much again.
const STREAM: usize = (32 << 20) / size_of::<f32>();

/// Computes the program for each element of the output. Channels that a blocked layout has only for padding become 0, so that
/// they are finite in any case.
///
/// # Panics
/// If there are not as many operands as in the program, a slice has the wrong length, or the layout has blocks of another
/// instruction set.
pub fn elementwise(pool: &ThreadPool, isa: Isa, code: &Code, geometry: Geometry, operands: &[Operand<'_>], out: &mut [f32]) {
    let walk = Walk::new(geometry, operands);
    assert_eq!((operands.len(), out.len()), (code.operands(), walk.len()));
    let runner = Runner::new(isa, code);
    assert!(geometry.layout == Layout::Nchw || geometry.layout == Layout::Blocked { lanes: runner.lanes }, "blocks of {isa}");
    // what is there already is in the caches, or read in any case
    let in_place = operands.iter().any(|operand| matches!(operand, Operand::InPlace));
    let stream = out.len() >= STREAM && isa.vector().is_some() && !in_place;
    let job = Job { runner, walk, operands, stream, out: Disjoint::new(out) };
    let (units, tasks) = (job.units(), walk.len().div_ceil(PIECE * pool.threads()) * pool.threads());
    pool.for_each(tasks, |task, _| job.run(share(units, tasks, task)));
}

/// What all tasks share.
struct Job<'a> {
    runner: Runner<'a>,
    walk: Walk,
    operands: &'a [Operand<'a>],
    stream: bool,
    out: Disjoint<'a>,
}

impl Job<'_> {
    /// Positions that belong to one task: a cache line of floats.
    fn unit(&self) -> usize {
        LINE / self.walk.group
    }

    /// All units. Those at the end of maps may be smaller.
    fn units(&self) -> usize {
        self.walk.samples * self.walk.maps * self.walk.positions.div_ceil(self.unit())
    }

    /// Computes a range of units, map by map.
    fn run(&self, units: std::ops::Range<usize>) {
        let Walk { maps, positions, .. } = self.walk;
        let per_map = positions.div_ceil(self.unit());
        let mut memory = Memory::new();
        let mut at = units.start;
        while at < units.end {
            let (map, first) = (at / per_map, at % per_map);
            let end = per_map.min(first + units.end - at);
            let position = first * self.unit();
            let count = positions.min(end * self.unit()) - position;
            self.part(Run { sample: map / maps, map: map % maps, position, count }, &mut memory);
            at += end - first;
        }
    }

    /// Computes a run of positions.
    fn part(&self, run: Run, memory: &mut Memory) {
        let (walk, lanes) = (&self.walk, self.runner.lanes);
        let start = ((run.sample * walk.maps + run.map) * walk.positions + run.position) * walk.group;
        // SAFETY: tasks have different units, which do not overlap
        let out = unsafe { self.out.slice(start, run.count * walk.group) };
        let (whole, rest) = out.split_at_mut(out.len() / lanes * lanes);
        if !whole.is_empty() {
            let at = whole.as_mut_ptr();
            let run = Run { count: whole.len() / walk.group, ..run };
            for (slot, &operand) in self.operands.iter().enumerate() {
                let place = View::new(operand, walk).vectors(slot, run, walk, lanes, memory, at);
                memory.put(slot, place);
            }
            let mask = mask(lanes, walk.channels_of(run.map));
            let stream = self.stream && (at as usize).is_multiple_of(lanes * size_of::<f32>());
            // SAFETY: the places are those of all operands, which hold the run's vectors as checked, and so does `whole`
            unsafe { self.runner.run(memory, whole.len() / lanes, mask.as_ref(), stream, at) };
        }
        if !rest.is_empty() {
            let done = whole.len() / walk.group;
            let run = Run { position: run.position + done, count: run.count - done, ..run };
            for (slot, &operand) in self.operands.iter().enumerate() {
                let place = View::new(operand, walk).partial(slot, run, lanes, memory, rest);
                memory.put(slot, place);
            }
            let at = memory.vector(MAX_OPERANDS, &[]);
            // SAFETY: every operand is a vector, and `at` is one
            unsafe {
                self.runner.run(memory, 1, None, false, at);
                rest.copy_from_slice(std::slice::from_raw_parts(at, rest.len()));
            }
        }
    }
}
