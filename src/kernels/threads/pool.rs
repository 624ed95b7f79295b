//! A thread pool that lives as long as the session.
//!
//! A network has about fifty steps of a fraction of a millisecond each: starting or waking threads for each would cost more than
//! it gains. So workers spin for some microseconds after a step and sleep only if no other step follows.

use std::any::Any;
use std::cell::{Cell, UnsafeCell};
use std::io;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle, Thread};

use super::disjoint::Disjoint;

/// How often a worker polls for the next job before it sleeps: some tens of microseconds.
const SPINS: u32 = 2000;

/// A job: called once by each thread with the thread's index.
type Job = *const (dyn Fn(usize) + Sync);

/// Padding to a cache line (two, since lines are prefetched in pairs), against false sharing.
#[repr(align(128))]
struct CachePadded<T>(T);

struct Shared {
    /// Counts jobs; when a worker sees a new value, the next job is in `job`, unless it is withdrawn.
    epoch: CachePadded<AtomicU64>,
    /// Workers that have not finished the job.
    left: CachePadded<AtomicUsize>,
    /// For each worker, the last job that it began or that was withdrawn from it.
    begun: Vec<CachePadded<AtomicU64>>,
    job: UnsafeCell<Option<Job>>,
    asleep: Vec<AtomicBool>,
    /// The remaining tasks of each thread for [`ThreadPool::deal`]: the first in the low half, the end in the high half.
    left_over: Vec<CachePadded<AtomicU64>>,
    stop: AtomicBool,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

// SAFETY: only `job` is not `Sync`. The pool writes it before it increments `epoch`, workers read it after they see the
// increment and only if they have begun the job, and the pool does not write it again before each of these has decremented `left`.
unsafe impl Sync for Shared {}
// SAFETY: the pointer in `job` is to a `Sync` closure
unsafe impl Send for Shared {}

/// A thread pool; the calling thread is its first thread.
///
/// It can be sent to another thread but not shared: one job runs at a time.
pub struct ThreadPool {
    shared: Arc<Shared>,
    workers: Vec<(Thread, Option<JoinHandle<()>>)>,
    not_sync: PhantomData<Cell<()>>,
}

impl ThreadPool {
    /// Starts `threads - 1` workers; the caller is the remaining thread (0 counts as 1).
    pub fn new(threads: usize) -> io::Result<ThreadPool> {
        let count = threads.saturating_sub(1);
        let shared = Arc::new(Shared {
            epoch: CachePadded(AtomicU64::new(0)),
            left: CachePadded(AtomicUsize::new(0)),
            begun: (0..count).map(|_| CachePadded(AtomicU64::new(0))).collect(),
            job: UnsafeCell::new(None),
            asleep: (0..count).map(|_| AtomicBool::new(false)).collect(),
            left_over: (0..=count).map(|_| CachePadded(AtomicU64::new(0))).collect(),
            stop: AtomicBool::new(false),
            panic: Mutex::new(None),
        });
        let mut pool = ThreadPool { shared, workers: Vec::with_capacity(count), not_sync: PhantomData };
        for index in 0..count {
            let shared = Arc::clone(&pool.shared);
            let handle = thread::Builder::new().name(format!("resnetc-{}", index + 1)).spawn(move || work(&shared, index))?;
            pool.workers.push((handle.thread().clone(), Some(handle)));
        }
        Ok(pool)
    }

    /// Number of threads, including the caller.
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Calls `job` once on each thread, with the thread's index, and waits for all. A panic in any of them is resumed here.
    pub fn run(&self, job: &(dyn Fn(usize) + Sync)) {
        self.start(job, false);
    }

    /// Calls `job` on each thread and waits. If `withdraw`, workers that have not begun when this thread is done do not begin.
    fn start(&self, job: &(dyn Fn(usize) + Sync), withdraw: bool) {
        if self.workers.is_empty() {
            return job(0);
        }
        // SAFETY: only the lifetime changes. No worker has the job any more when this function returns or unwinds, since it first
        // waits for all that have begun, and others cannot begin a job that was withdrawn.
        let job_ptr: Job = unsafe { std::mem::transmute::<&(dyn Fn(usize) + Sync), &'static (dyn Fn(usize) + Sync)>(job) };
        self.shared.left.0.store(self.workers.len(), Ordering::Relaxed);
        // SAFETY: no worker reads between the end of the last job and the next increment of `epoch`
        unsafe { *self.shared.job.get() = Some(job_ptr) };
        let number = self.publish();
        let own = catch_unwind(AssertUnwindSafe(|| job(0)));
        let withdrawn = if withdraw { self.shared.begun.iter().filter(|begun| begin(begun, number)).count() } else { 0 };
        let mut spins = 0;
        while self.shared.left.0.load(Ordering::Acquire) != withdrawn {
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

    /// Calls `task(index, thread)` for each index below `count`: see [`ThreadPool::deal`].
    pub fn for_each(&self, count: usize, task: impl Fn(usize, usize) + Sync) {
        self.deal(count, |thread, tasks| tasks.for_each(|index| task(index, thread)));
    }

    /// Distributes the indices below `count` and calls `work(thread, tasks)` on each thread. A thread draws neighboring
    /// indices, which keep it within its part of memory, and then steals the last ones of other threads, so that nobody waits
    /// long for a preempted thread, nor at all for one that wakes up when all is done: for that one, `work` may not be called.
    /// The result must not depend on which thread draws an index.
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
        self.start(&|thread| work(thread, &mut Tasks { from, thread, rest: 0..0 }), true);
    }

    /// Splits `out` into pieces of `piece` floats (the last may be shorter) and calls `task(index, piece)` for each.
    pub fn pieces(&self, out: &mut [f32], piece: usize, task: impl Fn(usize, &mut [f32]) + Sync) {
        if piece == 0 {
            return;
        }
        let all = Disjoint::new(out);
        self.for_each(all.len().div_ceil(piece), |index, _| {
            let start = index * piece;
            // SAFETY: pieces with different indices do not overlap, and each index is visited once
            task(index, unsafe { all.slice(start, piece.min(all.len() - start)) });
        });
    }

    /// Lets workers see a new job, and returns its number.
    fn publish(&self) -> u64 {
        let number = self.shared.epoch.0.fetch_add(1, Ordering::SeqCst) + 1;
        for ((thread, _), asleep) in self.workers.iter().zip(&self.shared.asleep) {
            // a worker sets `asleep` before its last look at `epoch`, so either this sees the flag or the worker sees the epoch
            if asleep.swap(false, Ordering::SeqCst) {
                thread.unpark();
            }
        }
        number
    }
}

/// Begins a job on behalf of a worker, or withdraws it: whoever is first. Every job is either begun or withdrawn before the next.
fn begin(begun: &CachePadded<AtomicU64>, number: u64) -> bool {
    begun.0.compare_exchange(number - 1, number, Ordering::AcqRel, Ordering::Acquire).is_ok()
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.publish();
        for (_, handle) in &mut self.workers {
            if let Some(handle) = handle.take() {
                // workers catch the panics of their jobs, so joining reports nothing new
                let _ = handle.join();
            }
        }
    }
}

/// The indices that a thread draws from a distributed job.
pub struct Tasks<'a> {
    /// The remaining indices of each thread; empty if one thread does everything.
    from: &'a [CachePadded<AtomicU64>],
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
                // the owner draws the first index, others the last
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

/// The indices below `count` for one of `threads` threads: neighbors, so that it stays within its part of memory.
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
        if !begin(&shared.begun[index], seen) {
            continue;
        }
        // SAFETY: `epoch` changed, so the job was written before, and it was not withdrawn, so it remains until this thread
        // decrements `left`
        let job = unsafe { *shared.job.get() };
        if let Some(job) = job {
            // SAFETY: `ThreadPool::run` keeps the closure alive until `left` is 0
            let result = catch_unwind(AssertUnwindSafe(|| unsafe { (*job)(index + 1) }));
            if let Err(panic) = result {
                *shared.panic.lock().unwrap_or_else(PoisonError::into_inner) = Some(panic);
            }
        }
        shared.left.0.fetch_sub(1, Ordering::Release);
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
    fn runs_many_jobs_on_every_thread_even_after_sleeping() {
        let pool = ThreadPool::new(3).unwrap();
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
    fn each_task_runs_once_and_is_stolen_from_slow_threads() {
        for threads in 1..5 {
            let pool = ThreadPool::new(threads).unwrap();
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
    fn nobody_waits_for_a_thread_that_has_not_begun() {
        let pool = ThreadPool::new(3).unwrap();
        let (mut without, sum) = (0, AtomicUsize::new(0));
        for round in 0..2000 {
            let called = AtomicUsize::new(0);
            pool.deal(3, |_, tasks| {
                called.fetch_add(1, Ordering::Relaxed);
                sum.fetch_add(tasks.map(|task| task + round).sum::<usize>(), Ordering::Relaxed);
            });
            without += usize::from(called.into_inner() < 3);
            if round % 20 == 0 {
                // long enough for workers to fall asleep
                thread::sleep(Duration::from_millis(1));
            }
        }
        assert_eq!(sum.into_inner(), (0..2000).map(|round| 3 * round + 3).sum::<usize>());
        assert!(without > 0);
        // and those that were passed over still work
        let hits = AtomicUsize::new(0);
        pool.run(&|_| {
            hits.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(hits.into_inner(), 3);
    }

    #[test]
    fn pieces_write_the_whole_slice() {
        for threads in 1..4 {
            let pool = ThreadPool::new(threads).unwrap();
            let mut out = vec![0f32; 1003];
            pool.pieces(&mut out, 100, |index, piece| piece.fill(index as f32 + 1.0));
            assert!(out.iter().enumerate().all(|(i, &v)| v == (i / 100) as f32 + 1.0));
        }
    }

    #[test]
    fn a_panic_in_a_worker_is_resumed_in_the_caller_and_the_pool_survives() {
        let pool = ThreadPool::new(2).unwrap();
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
