//! Kernels for the blocked layout ([`super::Layout::Blocked`]), for instruction sets with their own kernels.

use std::ops::Range;

use super::isa::{Isa, VectorIsa};
use super::threads::{ThreadPool, share};

pub mod channelwise;
pub mod convert;
pub mod depthwise;
pub mod direct;
pub mod movement;
pub mod pack;
pub mod pool;
pub mod shuffle;

/// Parts of the work for each thread: several, so that others can take over from a thread that is preempted.
const PARTS: usize = 4;

/// An instruction set that must have kernels for the blocked layout.
///
/// # Panics
/// If it has none, or the processor lacks it.
pub(super) fn vector(isa: Isa) -> VectorIsa {
    isa.vector().unwrap_or_else(|| panic!("no kernels for {isa}"))
}

/// Distributes the `places` (pixels or rows) of `maps` feature maps in equal parts, in runs of at most `most` neighboring places
/// of one feature map. Few large feature maps are distributed as evenly as many small ones. Calls `task(map, places)` for each
/// run.
pub(super) fn runs(pool: &ThreadPool, maps: usize, places: usize, most: usize, task: impl Fn(usize, Range<usize>) + Sync) {
    runs_with_thread(pool, maps, places, most, |map, places, _| task(map, places));
}

/// Like [`runs`]; the task also gets the number of its thread.
pub(super) fn runs_with_thread(
    pool: &ThreadPool,
    maps: usize,
    places: usize,
    most: usize,
    task: impl Fn(usize, Range<usize>, usize) + Sync,
) {
    let walk = |part: Range<usize>, thread: usize| {
        let mut at = part.start;
        while at < part.end {
            let (map, first) = (at / places, at % places);
            let count = (part.end - at).min(places - first).min(most);
            task(map, first..first + count, thread);
            at += count;
        }
    };
    let total = maps * places;
    let parts = if pool.threads() == 1 { 1 } else { total.min(PARTS * pool.threads()) };
    pool.for_each(parts, |part, thread| walk(share(total, parts, part), thread));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn runs_cover_each_place_once_in_equal_shares() {
        for threads in 1..4 {
            let pool = ThreadPool::new(threads).unwrap();
            for (maps, places, most) in [(0, 5, 2), (1, 10, 3), (3, 7, 100), (5, 1, 1), (4, 0, 1)] {
                let seen = Mutex::new(Vec::new());
                runs(&pool, maps, places, most, |map, run| {
                    assert!(run.len() <= most && run.end <= places);
                    seen.lock().unwrap().extend(run.map(|place| map * places + place));
                });
                let mut seen = seen.into_inner().unwrap();
                seen.sort_unstable();
                assert_eq!(seen, (0..maps * places).collect::<Vec<_>>());
            }
        }
    }
}
