//! Threads that live as long as the session, and wait for its steps.
//!
//! A network has some fifty steps of a fraction of a millisecond: starting or waking threads for each would cost more than
//! it gains. So workers spin for a few microseconds after a step, and sleep only when no next one comes.

use std::any::Any;
use std::cell::{Cell, UnsafeCell};
use std::io;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle, Thread};

/// How often a worker looks for the next job before it sleeps: some tens of microseconds.
const SPINS: u32 = 2000;

/// A job: called once by each thread with the thread's index.
type Job = *const (dyn Fn(usize) + Sync);

/// On a cache line of its own (two, since lines are fetched in pairs).
#[repr(align(128))]
struct Apart<T>(T);

struct Shared {
    /// Counts jobs; a worker that sees it move finds the next one in `job`.
    epoch: Apart<AtomicU64>,
    /// Workers that have not finished the job.
    left: Apart<AtomicUsize>,
    job: UnsafeCell<Option<Job>>,
    asleep: Vec<AtomicBool>,
    /// The tasks that each thread has left, of the job that deals some out: the first in the low half, the end in the high.
    left_over: Vec<Apart<AtomicU64>>,
    stop: AtomicBool,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

// SAFETY: `job` alone is not `Sync`. The pool writes it before it moves `epoch`, workers read it after they saw that, and
// the pool does not write again before every worker has counted itself off `left`.
unsafe impl Sync for Shared {}
// SAFETY: the pointer in `job` is to a `Sync` closure
unsafe impl Send for Shared {}

/// A pool of threads; the thread that calls it is the first of them.
///
/// It can be sent to another thread, but not shared: one job runs at a time.
pub struct Pool {
    shared: Arc<Shared>,
    workers: Vec<(Thread, Option<JoinHandle<()>>)>,
    not_sync: PhantomData<Cell<()>>,
}

impl Pool {
    /// Starts `threads - 1` workers (the caller is the remaining one; 0 counts as 1).
    pub fn new(threads: usize) -> io::Result<Pool> {
        let count = threads.saturating_sub(1);
        let shared = Arc::new(Shared {
            epoch: Apart(AtomicU64::new(0)),
            left: Apart(AtomicUsize::new(0)),
            job: UnsafeCell::new(None),
            asleep: (0..count).map(|_| AtomicBool::new(false)).collect(),
            left_over: (0..=count).map(|_| Apart(AtomicU64::new(0))).collect(),
            stop: AtomicBool::new(false),
            panic: Mutex::new(None),
        });
        let mut pool = Pool { shared, workers: Vec::with_capacity(count), not_sync: PhantomData };
        for index in 0..count {
            let shared = Arc::clone(&pool.shared);
            let handle = thread::Builder::new().name(format!("resnetc-{}", index + 1)).spawn(move || work(&shared, index))?;
            pool.workers.push((handle.thread().clone(), Some(handle)));
        }
        Ok(pool)
    }

    /// Threads, the caller among them.
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Calls `job` once on each thread, with the thread's index, and waits for all. A panic in one is raised again here.
    pub fn run(&self, job: &(dyn Fn(usize) + Sync)) {
        if self.workers.is_empty() {
            return job(0);
        }
        // SAFETY: only the lifetime changes. Every worker is done with the job when this function returns or unwinds,
        // for it waits for `left` to reach 0 before either.
        let job_ptr: Job = unsafe { std::mem::transmute::<&(dyn Fn(usize) + Sync), &'static (dyn Fn(usize) + Sync)>(job) };
        self.shared.left.0.store(self.workers.len(), Ordering::Relaxed);
        // SAFETY: no worker reads between the last job's end and the next move of `epoch`
        unsafe { *self.shared.job.get() = Some(job_ptr) };
        self.publish();
        let own = catch_unwind(AssertUnwindSafe(|| job(0)));
        let mut spins = 0;
        while self.shared.left.0.load(Ordering::Acquire) != 0 {
            spins += 1;
            if spins < SPINS { std::hint::spin_loop() } else { thread::yield_now() }
        }
        if let Err(panic) = own {
            resume_unwind(panic);
        }
        let panic = self.shared.panic.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }

    /// Calls `task(index, thread)` for each index below `count`: see [`Pool::deal`].
    pub fn for_each(&self, count: usize, task: impl Fn(usize, usize) + Sync) {
        self.deal(count, |thread, tasks| tasks.for_each(|index| task(index, thread)));
    }

    /// Deals out the indices below `count` and calls `work(thread, tasks)` once on each thread. A thread draws neighboring
    /// indices, which keep it to its part of memory, and, when it has none left, the last of another's: so that none waits
    /// long for one that the system took away. Who draws an index must not matter for what is computed.
    pub fn deal(&self, count: usize, work: impl Fn(usize, &mut Tasks<'_>) + Sync) {
        let threads = self.threads();
        let Some(last) = u32::try_from(count).ok().filter(|&n| n > 1 && threads > 1) else {
            return work(0, &mut Tasks { from: &[], thread: 0, rest: 0..count });
        };
        for (thread, own) in self.shared.left_over.iter().enumerate() {
            let part = share(last as usize, threads, thread);
            // the job is published after this, and the last one has ended
            own.0.store((part.end as u64) << 32 | part.start as u64, Ordering::Relaxed);
        }
        let from = &self.shared.left_over[..];
        self.run(&|thread| work(thread, &mut Tasks { from, thread, rest: 0..0 }));
    }

    /// Cuts `out` into pieces of `piece` floats (the last may be shorter) and calls `task(index, piece)` for each.
    pub fn pieces(&self, out: &mut [f32], piece: usize, task: impl Fn(usize, &mut [f32]) + Sync) {
        if piece == 0 {
            return;
        }
        let all = Disjoint::new(out);
        self.for_each(all.len.div_ceil(piece), |index, _| {
            let start = index * piece;
            // SAFETY: pieces of different indices do not overlap, and each index is visited once
            task(index, unsafe { all.slice(start, piece.min(all.len - start)) });
        });
    }

    fn publish(&self) {
        self.shared.epoch.0.fetch_add(1, Ordering::SeqCst);
        for ((thread, _), asleep) in self.workers.iter().zip(&self.shared.asleep) {
            // a worker says that it sleeps before it looks at `epoch` for the last time: one of the two is seen
            if asleep.swap(false, Ordering::SeqCst) {
                thread.unpark();
            }
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.publish();
        for (_, handle) in &mut self.workers {
            if let Some(handle) = handle.take() {
                // a worker catches the panics of its jobs: it has none of its own to report
                let _ = handle.join();
            }
        }
    }
}

/// The indices that a thread draws of a job that was dealt out.
pub struct Tasks<'a> {
    /// What each thread has left; nothing where one thread does all.
    from: &'a [Apart<AtomicU64>],
    thread: usize,
    rest: std::ops::Range<usize>,
}

impl Iterator for Tasks<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        if self.from.is_empty() {
            return self.rest.next();
        }
        let count = self.from.len();
        (0..count).find_map(|step| {
            let victim = (self.thread + step) % count;
            let mut drawn = 0;
            let draw = |left: u64| {
                let (first, end) = (left & u64::from(u32::MAX), left >> 32);
                // the owner draws the first, others the last
                let (first, rest, task) = if step == 0 {
                    (first, (first + 1, end), first)
                } else {
                    (first, (first, end.wrapping_sub(1)), end.wrapping_sub(1))
                };
                (first < end).then(|| {
                    drawn = task;
                    rest.1 << 32 | rest.0
                })
            };
            self.from[victim].0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, draw).ok()?;
            Some(drawn as usize)
        })
    }
}

/// The indices below `count` that one of `threads` takes: neighbors, so that it keeps to its part of memory.
pub fn share(count: usize, threads: usize, thread: usize) -> std::ops::Range<usize> {
    count * thread / threads..count * (thread + 1) / threads
}

fn work(shared: &Shared, index: usize) {
    let mut seen = 0;
    loop {
        let mut spins = 0;
        loop {
            let epoch = shared.epoch.0.load(Ordering::SeqCst);
            if epoch != seen {
                seen = epoch;
                break;
            }
            spins += 1;
            if spins < SPINS {
                std::hint::spin_loop();
                continue;
            }
            shared.asleep[index].store(true, Ordering::SeqCst);
            if shared.epoch.0.load(Ordering::SeqCst) == seen {
                thread::park();
            }
            shared.asleep[index].store(false, Ordering::SeqCst);
        }
        if shared.stop.load(Ordering::SeqCst) {
            return;
        }
        // SAFETY: `epoch` moved, so the job was written before, and stays until this thread counts itself off `left`
        let job = unsafe { *shared.job.get() };
        if let Some(job) = job {
            // SAFETY: `Pool::run` keeps the closure alive until `left` is 0
            let result = catch_unwind(AssertUnwindSafe(|| unsafe { (*job)(index + 1) }));
            if let Err(panic) = result {
                *shared.panic.lock().unwrap_or_else(PoisonError::into_inner) = Some(panic);
            }
        }
        shared.left.0.fetch_sub(1, Ordering::Release);
    }
}

/// A slice that several threads write, each its own parts.
#[derive(Clone, Copy)]
pub(crate) struct Disjoint<'a> {
    start: *mut f32,
    len: usize,
    lifetime: PhantomData<&'a mut [f32]>,
}

// SAFETY: it gives access through `unsafe` functions alone, whose callers see to it that parts do not overlap
unsafe impl Sync for Disjoint<'_> {}
// SAFETY: as above
unsafe impl Send for Disjoint<'_> {}

impl<'a> Disjoint<'a> {
    pub(crate) fn new(slice: &'a mut [f32]) -> Self {
        Disjoint { start: slice.as_mut_ptr(), len: slice.len(), lifetime: PhantomData }
    }

    /// The floats from `start` on.
    ///
    /// # Safety
    /// While the result lives, no other thread or slice touches its floats.
    ///
    /// # Panics
    /// Where the range leaves the slice.
    pub(crate) unsafe fn slice(&self, start: usize, len: usize) -> &'a mut [f32] {
        assert!(start <= self.len && len <= self.len - start, "{start}..+{len} of {}", self.len);
        // SAFETY: inside the slice that `new` borrowed for `'a`; the caller vouches for the rest
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), len) }
    }

    /// A pointer to the float at `start`.
    ///
    /// # Panics
    /// Where `start..start + len` leaves the slice.
    pub(crate) fn pointer(&self, start: usize, len: usize) -> *mut f32 {
        assert!(start <= self.len && len <= self.len - start, "{start}..+{len} of {}", self.len);
        self.start.wrapping_add(start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn shares_cover_each_index_once_and_differ_by_one_at_most() {
        for count in 0..40 {
            for threads in 1..9 {
                let parts: Vec<_> = (0..threads).map(|t| share(count, threads, t)).collect();
                let joined: Vec<usize> = parts.iter().cloned().flatten().collect();
                assert_eq!(joined, (0..count).collect::<Vec<_>>());
                let sizes: Vec<_> = parts.iter().map(std::ops::Range::len).collect();
                assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1);
            }
        }
    }

    #[test]
    fn runs_many_jobs_on_every_thread_also_after_sleeping() {
        let pool = Pool::new(3).unwrap();
        for round in 0..300u64 {
            let hits: Vec<AtomicUsize> = (0..3).map(|_| AtomicUsize::new(0)).collect();
            pool.run(&|thread| {
                hits[thread].fetch_add(1, Ordering::Relaxed);
            });
            assert!(hits.iter().all(|h| h.load(Ordering::Relaxed) == 1), "round {round}");
            if round % 100 == 0 {
                thread::sleep(Duration::from_millis(20));
            }
        }
    }

    #[test]
    fn tasks_are_dealt_out_once_each_and_taken_over_from_slow_threads() {
        for threads in 1..5 {
            let pool = Pool::new(threads).unwrap();
            for count in [0, 1, 2, 7, 100] {
                let hits: Vec<AtomicUsize> = (0..count).map(|_| AtomicUsize::new(0)).collect();
                let drawn: Vec<AtomicUsize> = (0..threads).map(|_| AtomicUsize::new(0)).collect();
                pool.deal(count, |thread, tasks| {
                    for task in tasks {
                        hits[task].fetch_add(1, Ordering::Relaxed);
                        drawn[thread].fetch_add(1, Ordering::Relaxed);
                        if thread == 0 && threads > 1 && count == 100 {
                            thread::sleep(Duration::from_millis(20));
                        }
                    }
                });
                assert!(hits.iter().all(|h| h.load(Ordering::Relaxed) == 1), "{threads} {count}");
                if threads > 1 && count == 100 {
                    assert!(drawn[0].load(Ordering::Relaxed) < 100 / threads, "{threads}");
                }
            }
        }
    }

    #[test]
    fn pieces_write_the_whole_slice() {
        for threads in 1..4 {
            let pool = Pool::new(threads).unwrap();
            let mut out = vec![0f32; 1003];
            pool.pieces(&mut out, 100, |index, piece| piece.fill(index as f32 + 1.0));
            assert!(out.iter().enumerate().all(|(i, &v)| v == (i / 100) as f32 + 1.0));
        }
    }

    #[test]
    fn a_panic_in_a_worker_is_raised_in_the_caller_and_the_pool_lives_on() {
        let pool = Pool::new(2).unwrap();
        for thread in 0..2 {
            let caught = catch_unwind(AssertUnwindSafe(|| pool.run(&|t| assert_ne!(t, thread, "as planned"))));
            assert!(caught.is_err());
        }
        let sum = AtomicUsize::new(0);
        pool.for_each(10, |i, _| {
            sum.fetch_add(i, Ordering::Relaxed);
        });
        assert_eq!(sum.into_inner(), 45);
    }
}
