//! Checks before the first step that all samples have the size that the network needs.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::{DataError, Dataset, Transform};

const TRAIN_HINT: &str =
    "resize with `preprocess { resize: … }`, or sample the size with `scale` or `random_resized_crop` in `augment`";
const EVAL_HINT: &str = "resize with `preprocess { resize: … }`";

impl Transform {
    /// Checks the size in the header of every image, if images are not resized. `skip_unreadable` ignores headers that cannot be read. Of several
    /// errors, the first in the order of the dataset is returned.
    pub fn check_sizes(&self, dataset: &dyn Dataset, skip_unreadable: bool, workers: usize) -> Result<(), DataError> {
        let Some((expected, or_larger)) = self.required_size() else { return Ok(()) };
        let hint = if self.augments() { TRAIN_HINT } else { EVAL_HINT };
        let fits = |[_, height, width]: [usize; 3]| match or_larger {
            true => height >= expected[0] && width >= expected[1],
            false => [height, width] == expected,
        };
        let check = |index: usize| match dataset.size(index) {
            Ok(size) if fits(size) => Ok(()),
            Ok([_, height, width]) => Err(DataError::Size { name: dataset.name(index), height, width, expected, hint }),
            Err(_) if skip_unreadable => Ok(()),
            Err(error) => Err(error),
        };
        if dataset.is_normalized() {
            return Ok(());
        }
        if dataset.common_size().is_some() {
            return check(0);
        }
        each(dataset.len(), workers, check)
    }
}

/// Calls `f` for each index, from several threads, until one fails. Returns the error of the lowest index that failed.
fn each(len: usize, workers: usize, f: impl Fn(usize) -> Result<(), DataError> + Sync) -> Result<(), DataError> {
    const CHUNK: usize = 64;
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let first_error: Mutex<Option<(usize, DataError)>> = Mutex::new(None);
    let work = || {
        // chunks are assigned in order, so when one fails, all lower indices are already assigned
        while !failed.load(Ordering::Relaxed) {
            let start = next.fetch_add(CHUNK, Ordering::Relaxed);
            if start >= len {
                return;
            }
            for index in start..(start + CHUNK).min(len) {
                if let Err(error) = f(index) {
                    failed.store(true, Ordering::Relaxed);
                    let mut first_error = first_error.lock().unwrap_or_else(PoisonError::into_inner);
                    if first_error.as_ref().is_none_or(|(first, _)| index < *first) {
                        *first_error = Some((index, error));
                    }
                    break;
                }
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..workers.min(len.div_ceil(CHUNK)) {
            scope.spawn(work);
        }
        work();
    });
    first_error.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), |(_, error)| Err(error))
}
