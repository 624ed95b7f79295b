//! Reads the batches of an epoch ahead, in worker threads.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use super::{DataError, Dataset, Rng, Transform};
use crate::ir::OnBroken;

/// Bytes of batches that lie ready, where that leaves each worker one.
const AHEAD: usize = 256 << 20;

/// How a loader goes through a dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoaderOptions {
    /// Samples of a batch; the last of an epoch may have fewer.
    pub batch: usize,
    /// Of all that is random.
    pub seed: u64,
    /// Whether each epoch has an order of its own; else samples come in the dataset's.
    pub shuffle: bool,
    /// What becomes of samples that cannot be read.
    pub broken: OnBroken,
    /// Threads that read ahead, each one or two batches; with 0 a batch is read when it is asked for.
    pub workers: usize,
}

/// A batch as read.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples {
    /// Channels, height and width of a sample.
    pub size: [usize; 3],
    /// Sample by sample.
    pub values: Vec<f32>,
    /// A class for each.
    pub labels: Vec<u32>,
    /// What could not be read and is left out, in words.
    pub broken: Vec<String>,
}

/// Reads a dataset in batches. Which samples a batch holds, and how they are changed, depends on the seed, the epoch and the batch's number
/// alone, not on the threads. Dropping it ends its threads.
pub struct Loader {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    dataset: Arc<dyn Dataset>,
    transform: Transform,
    options: LoaderOptions,
    /// Batches that are begun before they are asked for.
    ahead: usize,
    state: Mutex<State>,
    /// Something to read, or the end.
    work: Condvar,
    /// Something was read.
    ready: Condvar,
}

#[derive(Default)]
struct State {
    /// Counts the calls of `start`: what was begun before is thrown away.
    turn: u64,
    epoch: u64,
    /// The samples of the epoch in its order, as indices of the dataset.
    order: Arc<[usize]>,
    /// The next batch that a worker takes.
    next: usize,
    /// The next batch that is handed out.
    wanted: usize,
    done: BTreeMap<usize, Result<Samples, DataError>>,
    end: bool,
}

/// A batch to be read.
struct Job {
    turn: u64,
    epoch: u64,
    order: Arc<[usize]>,
    number: usize,
}

impl Loader {
    /// Begins nothing before [`Loader::start`]. A batch of 0 samples is taken for one of 1.
    pub fn new(dataset: Arc<dyn Dataset>, transform: Transform, options: LoaderOptions) -> Loader {
        let options = LoaderOptions { batch: options.batch.max(1), ..options };
        let bytes = transform.size().iter().product::<usize>().saturating_mul(options.batch).saturating_mul(size_of::<f32>());
        let ahead = (AHEAD / bytes.max(1)).clamp(options.workers, options.workers.saturating_mul(2)).max(1);
        let state = Mutex::new(State::default());
        let (work, ready) = (Condvar::new(), Condvar::new());
        let shared = Arc::new(Shared { dataset, transform, options, ahead, state, work, ready });
        let worker = |k: usize| {
            let shared = Arc::clone(&shared);
            // a machine that has no thread to spare reads in the caller's
            thread::Builder::new().name(format!("reader {k}")).spawn(move || shared.work()).ok()
        };
        let threads = (0..options.workers.min(shared.dataset.len())).map_while(worker).collect();
        Loader { shared, threads }
    }

    /// The dataset.
    pub fn dataset(&self) -> &dyn Dataset {
        &*self.shared.dataset
    }

    /// Goes to an epoch, and there to a batch.
    pub fn start(&mut self, epoch: u64, batch: u64) {
        let LoaderOptions { seed, shuffle, .. } = self.shared.options;
        let mut order: Vec<usize> = (0..self.shared.dataset.len()).collect();
        if shuffle {
            Rng::of(&[seed, epoch]).shuffle(&mut order);
        }
        let batch = usize::try_from(batch).unwrap_or(usize::MAX);
        let mut state = self.shared.state();
        *state = State { turn: state.turn + 1, epoch, order: order.into(), next: batch, wanted: batch, ..State::default() };
        drop(state);
        self.shared.work.notify_all();
    }
}

/// The batches of an epoch; none before [`Loader::start`]. All samples of a batch may be broken.
impl Iterator for Loader {
    type Item = Result<Samples, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut state = self.shared.state();
        if self.threads.is_empty() {
            let job = self.shared.job(&mut state)?;
            state.wanted += 1;
            drop(state);
            return Some(self.shared.batch(&job));
        }
        loop {
            let wanted = state.wanted;
            if wanted >= state.order.len().div_ceil(self.shared.options.batch) {
                return None;
            }
            if let Some(samples) = state.done.remove(&wanted) {
                state.wanted += 1;
                drop(state);
                self.shared.work.notify_one();
                return Some(samples);
            }
            state = self.shared.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.shared.state().end = true;
        self.shared.work.notify_all();
        for thread in self.threads.drain(..) {
            // a worker catches what the decoder panics with
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// No one panics while holding the lock, and what it guards is whole between any two statements.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next batch to read, where it is not too far behind the one that is asked for next.
    fn job(&self, state: &mut State) -> Option<Job> {
        let number = state.next;
        if number >= state.order.len().div_ceil(self.options.batch) || number - state.wanted >= self.ahead {
            return None;
        }
        state.next += 1;
        Some(Job { turn: state.turn, epoch: state.epoch, order: Arc::clone(&state.order), number })
    }

    /// A worker's life.
    fn work(&self) {
        let mut state = self.state();
        while !state.end {
            let Some(job) = self.job(&mut state) else {
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            drop(state);
            let samples = self.batch(&job);
            state = self.state();
            if state.turn == job.turn {
                state.done.insert(job.number, samples);
                self.ready.notify_one();
            }
        }
    }

    fn batch(&self, job: &Job) -> Result<Samples, DataError> {
        let start = job.number.saturating_mul(self.options.batch).min(job.order.len());
        let end = start.saturating_add(self.options.batch).min(job.order.len());
        let picked = &job.order[start..end];
        let size = self.transform.size();
        let len = size.iter().product::<usize>();
        let mut samples = Samples { size, values: vec![0.0; picked.len() * len], labels: Vec::new(), broken: Vec::new() };
        for &index in picked {
            let at = samples.labels.len() * len;
            match self.sample(index, job.epoch, &mut samples.values[at..at + len]) {
                Ok(()) => samples.labels.push(self.dataset.label(index)),
                Err(error) if self.options.broken == OnBroken::Skip => samples.broken.push(error.to_string()),
                Err(error) => return Err(error),
            }
        }
        samples.values.truncate(samples.labels.len() * len);
        Ok(samples)
    }

    fn sample(&self, index: usize, epoch: u64, out: &mut [f32]) -> Result<(), DataError> {
        // decoders of images are large: one that panics is to end neither the thread nor the wait for it
        catch_unwind(AssertUnwindSafe(|| {
            let sample = self.dataset.read(index)?;
            let mut rng = Rng::of(&[self.options.seed, epoch, index as u64]);
            let prepared = self.transform.apply(sample, &mut rng, out);
            prepared.map_err(|source| DataError::Prepare { name: self.dataset.name(index), source })
        }))
        .unwrap_or_else(|_| {
            Err(DataError::Invalid { path: self.dataset.name(index), reason: "brings the decoder down".to_owned() })
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::data::{Sample, Values};
    use crate::ir::{Augment, Shape};

    /// Samples `[[index, 100 + index]]`; some broken, some that panic.
    struct Numbers {
        len: usize,
        broken: Option<usize>,
        panics: Option<usize>,
    }

    fn numbers(len: usize) -> Numbers {
        Numbers { len, broken: None, panics: None }
    }

    impl Dataset for Numbers {
        fn len(&self) -> usize {
            self.len
        }
        fn classes(&self) -> &[String] {
            &[]
        }
        fn label(&self, index: usize) -> u32 {
            index as u32
        }
        fn read(&self, index: usize) -> Result<Sample, DataError> {
            // some are slow, so that threads overtake each other
            if index % 7 == 3 {
                thread::sleep(Duration::from_micros(300));
            }
            assert!(self.panics != Some(index), "as a decoder might");
            if self.broken == Some(index) {
                return Err(DataError::Empty { path: self.name(index) });
            }
            Ok(Sample::Values(Values { size: [1, 1, 2], data: vec![index as f32, index as f32 + 100.0] }))
        }
        fn name(&self, index: usize) -> String {
            format!("number {index}")
        }
        fn size(&self, _: usize) -> Result<[usize; 3], DataError> {
            Ok([1, 1, 2])
        }
        fn common_size(&self) -> Option<[usize; 3]> {
            Some([1, 1, 2])
        }
        fn is_normalized(&self) -> bool {
            true
        }
    }

    fn loader(dataset: Numbers, workers: usize, broken: OnBroken) -> Loader {
        let augment = [Augment::Flip { probability: 0.5 }];
        let transform = Transform::new(&dataset, &Shape::fixed(&[1, 1, 2]), None, &augment).unwrap();
        Loader::new(Arc::new(dataset), transform, LoaderOptions { batch: 8, seed: 3, shuffle: true, broken, workers })
    }

    fn epoch(loader: &mut Loader, epoch: u64, batch: u64) -> Vec<Samples> {
        loader.start(epoch, batch);
        loader.map(Result::unwrap).collect()
    }

    #[test]
    fn the_number_of_workers_changes_nothing() {
        let mut alone = loader(numbers(101), 0, OnBroken::Fatal);
        let all = epoch(&mut alone, 5, 0);
        assert_eq!(all.iter().map(|s| s.labels.len()).collect::<Vec<_>>(), [vec![8; 12], vec![5]].concat());
        let mut labels: Vec<u32> = all.iter().flat_map(|s| s.labels.clone()).collect();
        assert_ne!(labels, (0..101).collect::<Vec<u32>>());
        labels.sort_unstable();
        assert_eq!(labels, (0..101).collect::<Vec<u32>>());
        let flipped = all.iter().flat_map(|s| s.values.as_chunks::<2>().0).filter(|v| v[0] > v[1]).count();
        assert!((25..76).contains(&flipped), "{flipped}");
        for workers in [1, 2, 5] {
            let mut loader = loader(numbers(101), workers, OnBroken::Fatal);
            assert_eq!(epoch(&mut loader, 5, 0), all);
            // another epoch, in the middle of which another begins
            let other = epoch(&mut loader, 6, 0);
            assert_ne!(other, all);
            loader.start(6, 0);
            loader.next();
            assert_eq!(epoch(&mut loader, 5, 4), all[4..]);
            assert!(loader.next().is_none());
            assert!(epoch(&mut loader, 5, 13).is_empty() && epoch(&mut loader, 5, u64::MAX).is_empty());
        }
    }

    #[test]
    fn a_broken_sample_is_left_out_or_ends_the_epoch() {
        for workers in [0, 2] {
            let broken = || Numbers { broken: Some(17), panics: Some(40), ..numbers(64) };
            let all = epoch(&mut loader(broken(), workers, OnBroken::Skip), 0, 0);
            assert_eq!(all.iter().map(|s| s.labels.len()).sum::<usize>(), 62);
            assert!(all.iter().all(|s| s.values.len() == 2 * s.labels.len() && s.labels.len() + s.broken.len() == 8));
            let mut named: Vec<String> = all.into_iter().flat_map(|s| s.broken).collect();
            named.sort();
            assert_eq!(named, ["`number 17` holds no samples", "`number 40` brings the decoder down"]);
            let mut fatal = loader(broken(), workers, OnBroken::Fatal);
            fatal.start(0, 0);
            let errors: Vec<_> = fatal.by_ref().filter_map(Result::err).collect();
            assert!((1..=2).contains(&errors.len()));
        }
    }

    #[test]
    fn large_batches_are_not_stacked() {
        let ahead = |batch, workers| {
            let dataset = numbers(8);
            let transform = Transform::new(&dataset, &Shape::fixed(&[1, 1, 2]), None, &[]).unwrap();
            let options = LoaderOptions { batch, seed: 0, shuffle: false, broken: OnBroken::Skip, workers };
            Loader::new(Arc::new(dataset), transform, options).shared.ahead
        };
        assert_eq!([ahead(8, 0), ahead(8, 3), ahead(usize::MAX, 3), ahead((256 << 20) / 32, 3)], [1, 6, 3, 4]);
    }

    #[test]
    fn workers_read_a_bounded_way_ahead_and_end_with_the_loader() {
        let mut loader = loader(numbers(8 * 500), 2, OnBroken::Fatal);
        loader.start(0, 0);
        loader.next();
        let shared = Arc::clone(&loader.shared);
        let taken = || shared.state().next;
        let deadline = Instant::now() + Duration::from_secs(10);
        while taken() < 5 && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
        }
        thread::sleep(Duration::from_millis(20));
        assert_eq!(taken(), 5);
        drop(loader);
        // the threads' shares are gone
        assert_eq!(Arc::strong_count(&shared), 1);
    }
}
