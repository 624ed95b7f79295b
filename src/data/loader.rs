//! Prefetches the batches of an epoch in worker threads.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use super::{DataError, Dataset, Rng, Transform};
use crate::ir::OnError;

/// The memory for prefetched batches, in bytes. At least one batch per worker is prefetched.
const PREFETCH_BYTES: usize = 256 << 20;

/// The options of a [`Loader`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoaderOptions {
    /// Samples per batch; the last batch of an epoch may be smaller.
    pub batch: usize,
    /// The seed of everything random.
    pub seed: u64,
    /// Whether samples are shuffled in each epoch.
    pub shuffle: bool,
    /// What to do with samples that cannot be read.
    pub on_error: OnError,
    /// Threads that prefetch, one or two batches each. With 0, a batch is read when it is requested.
    pub workers: usize,
}

/// A batch read from a dataset.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples {
    /// Channels, height and width of a sample.
    pub size: [usize; 3],
    /// The values, sample by sample.
    pub values: Vec<f32>,
    /// The class label of each sample.
    pub labels: Vec<u32>,
    /// A message for each sample that was skipped because it could not be read.
    pub skipped: Vec<String>,
}

/// Reads a dataset in batches. The samples of a batch and their augmentation depend only on the seed, the epoch and the batch's index, not on the
/// number of threads. Dropping the loader stops its threads.
pub struct Loader {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    dataset: Arc<dyn Dataset>,
    transform: Transform,
    options: LoaderOptions,
    /// How many batches may be started before they are requested.
    prefetch: usize,
    state: Mutex<State>,
    /// Notifies workers of a batch to read, or of the shutdown.
    work: Condvar,
    /// Notifies the caller that a batch is ready.
    ready: Condvar,
}

#[derive(Default)]
struct State {
    /// The number of calls of `start`. Batches from before the last call are discarded.
    generation: u64,
    epoch: u64,
    /// The dataset indices of the epoch's samples, in order.
    order: Arc<[usize]>,
    /// The next batch that a worker starts.
    next: usize,
    /// The next batch that the caller receives.
    requested: usize,
    done: BTreeMap<usize, Result<Samples, DataError>>,
    shutdown: bool,
}

/// A batch to read.
struct Job {
    generation: u64,
    epoch: u64,
    order: Arc<[usize]>,
    batch: usize,
}

impl Loader {
    /// Reads nothing before [`Loader::start`]. A batch size of 0 is treated as 1.
    pub fn new(dataset: Arc<dyn Dataset>, transform: Transform, options: LoaderOptions) -> Loader {
        let options = LoaderOptions { batch: options.batch.max(1), ..options };
        let bytes = transform.size().iter().product::<usize>().saturating_mul(options.batch).saturating_mul(size_of::<f32>());
        let prefetch = (PREFETCH_BYTES / bytes.max(1)).clamp(options.workers, options.workers.saturating_mul(2)).max(1);
        let state = Mutex::new(State::default());
        let (work, ready) = (Condvar::new(), Condvar::new());
        let shared = Arc::new(Shared { dataset, transform, options, prefetch, state, work, ready });
        let worker = |k: usize| {
            let shared = Arc::clone(&shared);
            // if no thread can be started, the calling thread reads
            thread::Builder::new().name(format!("reader {k}")).spawn(move || shared.run_worker()).ok()
        };
        let threads = (0..options.workers.min(shared.dataset.len())).map_while(worker).collect();
        Loader { shared, threads }
    }

    /// The dataset.
    pub fn dataset(&self) -> &dyn Dataset {
        &*self.shared.dataset
    }

    /// Seeks to a batch of an epoch.
    pub fn start(&mut self, epoch: u64, batch: u64) {
        let LoaderOptions { seed, shuffle, .. } = self.shared.options;
        let mut order: Vec<usize> = (0..self.shared.dataset.len()).collect();
        if shuffle {
            Rng::of(&[seed, epoch]).shuffle(&mut order);
        }
        let batch = usize::try_from(batch).unwrap_or(usize::MAX);
        let mut state = self.shared.state();
        *state = State {
            generation: state.generation + 1,
            epoch,
            order: order.into(),
            next: batch,
            requested: batch,
            ..State::default()
        };
        drop(state);
        self.shared.work.notify_all();
    }
}

/// The batches of an epoch; none before [`Loader::start`]. A batch is empty if all its samples were skipped.
impl Iterator for Loader {
    type Item = Result<Samples, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut state = self.shared.state();
        if self.threads.is_empty() {
            let job = self.shared.job(&mut state)?;
            state.requested += 1;
            drop(state);
            return Some(self.shared.batch(&job));
        }
        loop {
            let batch = state.requested;
            if batch >= state.order.len().div_ceil(self.shared.options.batch) {
                return None;
            }
            if let Some(samples) = state.done.remove(&batch) {
                state.requested += 1;
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
        self.shared.state().shutdown = true;
        self.shared.work.notify_all();
        for thread in self.threads.drain(..) {
            // workers catch panics of decoders
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// Ignores poisoning: no code panics while it holds the lock, and the state is consistent after every statement.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next batch to read, unless enough batches are prefetched.
    fn job(&self, state: &mut State) -> Option<Job> {
        let batch = state.next;
        if batch >= state.order.len().div_ceil(self.options.batch) || batch - state.requested >= self.prefetch {
            return None;
        }
        state.next += 1;
        Some(Job { generation: state.generation, epoch: state.epoch, order: Arc::clone(&state.order), batch })
    }

    /// The main loop of a worker.
    fn run_worker(&self) {
        let mut state = self.state();
        while !state.shutdown {
            let Some(job) = self.job(&mut state) else {
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            drop(state);
            let samples = self.batch(&job);
            state = self.state();
            if state.generation == job.generation {
                state.done.insert(job.batch, samples);
                self.ready.notify_one();
            }
        }
    }

    fn batch(&self, job: &Job) -> Result<Samples, DataError> {
        let start = job.batch.saturating_mul(self.options.batch).min(job.order.len());
        let end = start.saturating_add(self.options.batch).min(job.order.len());
        let indices = &job.order[start..end];
        let size = self.transform.size();
        let len = size.iter().product::<usize>();
        let mut samples = Samples { size, values: vec![0.0; indices.len() * len], labels: Vec::new(), skipped: Vec::new() };
        for &index in indices {
            let at = samples.labels.len() * len;
            match self.sample(index, job.epoch, &mut samples.values[at..at + len]) {
                Ok(()) => samples.labels.push(self.dataset.label(index)),
                Err(error) if self.options.on_error == OnError::Skip => samples.skipped.push(error.to_string()),
                Err(error) => return Err(error),
            }
        }
        samples.values.truncate(samples.labels.len() * len);
        Ok(samples)
    }

    fn sample(&self, index: usize, epoch: u64, out: &mut [f32]) -> Result<(), DataError> {
        // decoders are large: a panic must end neither the thread nor leave the caller waiting
        catch_unwind(AssertUnwindSafe(|| {
            let sample = self.dataset.read(index)?;
            let mut rng = Rng::of(&[self.options.seed, epoch, index as u64]);
            let prepared = self.transform.apply(sample, &mut rng, out);
            prepared.map_err(|source| DataError::Prepare { name: self.dataset.name(index), source })
        }))
        .unwrap_or_else(|_| Err(DataError::Invalid { path: self.dataset.name(index), reason: "crashes the decoder".to_owned() }))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::data::{Sample, Values};
    use crate::ir::{Augment, Shape};

    /// Samples `[[index, 100 + index]]`; reading one of them may fail, and one may panic.
    struct Numbers {
        len: usize,
        fails: Option<usize>,
        panics: Option<usize>,
    }

    fn numbers(len: usize) -> Numbers {
        Numbers { len, fails: None, panics: None }
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
            // some are slow, so that batches finish out of order
            if index % 7 == 3 {
                thread::sleep(Duration::from_micros(300));
            }
            assert!(self.panics != Some(index), "as a decoder might");
            if self.fails == Some(index) {
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

    fn loader(dataset: Numbers, workers: usize, on_error: OnError) -> Loader {
        let augment = [Augment::Flip { probability: 0.5 }];
        let transform = Transform::new(&dataset, &Shape::fixed(&[1, 1, 2]), None, &augment).unwrap();
        Loader::new(Arc::new(dataset), transform, LoaderOptions { batch: 8, seed: 3, shuffle: true, on_error, workers })
    }

    fn epoch(loader: &mut Loader, epoch: u64, batch: u64) -> Vec<Samples> {
        loader.start(epoch, batch);
        loader.map(Result::unwrap).collect()
    }

    #[test]
    fn the_number_of_workers_does_not_change_the_batches() {
        let mut serial = loader(numbers(101), 0, OnError::Fatal);
        let all = epoch(&mut serial, 5, 0);
        assert_eq!(all.iter().map(|s| s.labels.len()).collect::<Vec<_>>(), [vec![8; 12], vec![5]].concat());
        let mut labels: Vec<u32> = all.iter().flat_map(|s| s.labels.clone()).collect();
        assert_ne!(labels, (0..101).collect::<Vec<u32>>());
        labels.sort_unstable();
        assert_eq!(labels, (0..101).collect::<Vec<u32>>());
        let flipped = all.iter().flat_map(|s| s.values.as_chunks::<2>().0).filter(|v| v[0] > v[1]).count();
        assert!((25..76).contains(&flipped), "{flipped}");
        for workers in [1, 2, 5] {
            let mut loader = loader(numbers(101), workers, OnError::Fatal);
            assert_eq!(epoch(&mut loader, 5, 0), all);
            // another epoch, and one that is started in the middle of another
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
    fn a_sample_that_cannot_be_read_is_skipped_or_ends_the_epoch() {
        for workers in [0, 2] {
            let dataset = || Numbers { fails: Some(17), panics: Some(40), ..numbers(64) };
            let all = epoch(&mut loader(dataset(), workers, OnError::Skip), 0, 0);
            assert_eq!(all.iter().map(|s| s.labels.len()).sum::<usize>(), 62);
            assert!(all.iter().all(|s| s.values.len() == 2 * s.labels.len() && s.labels.len() + s.skipped.len() == 8));
            let mut named: Vec<String> = all.into_iter().flat_map(|s| s.skipped).collect();
            named.sort();
            assert_eq!(named, ["`number 17` contains no samples", "`number 40` crashes the decoder"]);
            let mut fatal = loader(dataset(), workers, OnError::Fatal);
            fatal.start(0, 0);
            let errors: Vec<_> = fatal.by_ref().filter_map(Result::err).collect();
            assert!((1..=2).contains(&errors.len()));
        }
    }

    #[test]
    fn large_batches_are_prefetched_less() {
        let prefetch = |batch, workers| {
            let dataset = numbers(8);
            let transform = Transform::new(&dataset, &Shape::fixed(&[1, 1, 2]), None, &[]).unwrap();
            let options = LoaderOptions { batch, seed: 0, shuffle: false, on_error: OnError::Skip, workers };
            Loader::new(Arc::new(dataset), transform, options).shared.prefetch
        };
        assert_eq!([prefetch(8, 0), prefetch(8, 3), prefetch(usize::MAX, 3), prefetch((256 << 20) / 32, 3)], [1, 6, 3, 4]);
    }

    #[test]
    fn prefetching_is_bounded_and_workers_end_with_the_loader() {
        let mut loader = loader(numbers(8 * 500), 2, OnError::Fatal);
        loader.start(0, 0);
        loader.next();
        let shared = Arc::clone(&loader.shared);
        let started = || shared.state().next;
        let deadline = Instant::now() + Duration::from_secs(10);
        while started() < 5 && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
        }
        thread::sleep(Duration::from_millis(20));
        assert_eq!(started(), 5);
        drop(loader);
        // the threads have dropped their references
        assert_eq!(Arc::strong_count(&shared), 1);
    }
}
