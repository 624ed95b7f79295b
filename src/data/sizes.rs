//! Whether all samples have the size that the network needs, asked before the first step.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::{DataError, Dataset, Transform};

const TRAINING: &str = "resize with `preprocess { resize: … }`, or draw the size with `scale` or `random_resized_crop` in `augment`";
const MEASURING: &str = "resize with `preprocess { resize: … }`";

impl Transform {
    /// Holds the size of every image, by its header, against what is wanted where nothing resizes it. Headers that cannot be read are
    /// passed over where broken images are skipped. Of several errors the first in the dataset's order is told.
    pub fn hold(&self, dataset: &dyn Dataset, skip_broken: bool, workers: usize) -> Result<(), DataError> {
        let Some((expected, or_larger)) = self.wanted() else { return Ok(()) };
        let hint = if self.changes() { TRAINING } else { MEASURING };
        let fits = |[_, height, width]: [usize; 3]| match or_larger {
            true => height >= expected[0] && width >= expected[1],
            false => [height, width] == expected,
        };
        let hold = |index: usize| match dataset.size(index) {
            Ok(size) if fits(size) => Ok(()),
            Ok([_, height, width]) => Err(DataError::Size { name: dataset.name(index), height, width, expected, hint }),
            Err(_) if skip_broken => Ok(()),
            Err(error) => Err(error),
        };
        if dataset.is_normalized() {
            return Ok(());
        }
        if dataset.common_size().is_some() {
            return hold(0);
        }
        each(dataset.len(), workers, hold)
    }
}

/// Calls `f` for each index, from several threads, until one fails; the error of the lowest index that failed.
fn each(len: usize, workers: usize, f: impl Fn(usize) -> Result<(), DataError> + Sync) -> Result<(), DataError> {
    const PIECE: usize = 64;
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let worst: Mutex<Option<(usize, DataError)>> = Mutex::new(None);
    let work = || {
        // pieces are handed out in order: whoever fails leaves lower indices to those who took them before
        while !failed.load(Ordering::Relaxed) {
            let start = next.fetch_add(PIECE, Ordering::Relaxed);
            if start >= len {
                return;
            }
            for index in start..(start + PIECE).min(len) {
                if let Err(error) = f(index) {
                    failed.store(true, Ordering::Relaxed);
                    let mut worst = worst.lock().unwrap_or_else(PoisonError::into_inner);
                    if worst.as_ref().is_none_or(|(first, _)| index < *first) {
                        *worst = Some((index, error));
                    }
                    break;
                }
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..workers.min(len.div_ceil(PIECE)) {
            scope.spawn(work);
        }
        work();
    });
    worst.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), |(_, error)| Err(error))
}
