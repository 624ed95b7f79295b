//! Samples read ahead in worker threads, and returned in order.

use std::ops::{ControlFlow, Range};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

/// The samples that each worker reads ahead.
pub(crate) const PREFETCH: usize = 8;

/// What [`Prefetch::run`] reports.
pub(crate) enum Event<T> {
    /// The workers have started: work that needs no sample can be done meanwhile.
    Started,
    /// A sample's index, and what was read.
    Sample(usize, T),
}

/// Samples to read ahead.
pub(crate) struct Prefetch {
    /// Their indices.
    pub range: Range<usize>,
    /// Number of worker threads; at least one is started.
    pub workers: usize,
    /// How many samples each worker has ready at most.
    pub depth: usize,
}

impl Prefetch {
    /// Reads each sample in a worker, and passes the samples to `take` in order, until that breaks off or fails.
    pub fn run<T: Send, E>(
        self,
        read: impl Fn(usize) -> T + Sync,
        mut take: impl FnMut(Event<T>) -> Result<ControlFlow<()>, E>,
    ) -> Result<(), E> {
        let Prefetch { range, workers, depth } = self;
        let workers = workers.min(range.len()).max(1);
        let read = &read;
        thread::scope(|scope| {
            // worker k reads samples k, k + workers, …: taken in turn, they are in order
            let mut streams: Vec<Receiver<T>> = Vec::new();
            for k in 0..workers {
                let (send, receive) = sync_channel(depth);
                streams.push(receive);
                let own = range.clone().skip(k).step_by(workers);
                scope.spawn(move || {
                    for index in own {
                        // the receiver is gone once the run has ended
                        if send.send(read(index)).is_err() {
                            return;
                        }
                    }
                });
            }
            if take(Event::Started)?.is_break() {
                return Ok(());
            }
            for (index, stream) in range.clone().zip((0..workers).cycle()) {
                // only a worker that panicked sends nothing: the scope raises its panic here
                let Ok(sample) = streams[stream].recv() else { break };
                if take(Event::Sample(index, sample))?.is_break() {
                    break;
                }
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_come_in_order_until_no_more_are_wanted() {
        for workers in [1, 3, 8] {
            let mut seen = Vec::new();
            let prefetch = Prefetch { range: 2..40, workers, depth: 1 };
            let read = |index: usize| if index == 5 { Err("broken") } else { Ok(index) };
            let take = |event: Event<Result<usize, &str>>| {
                let Event::Sample(index, sample) = event else { return Ok::<_, ()>(ControlFlow::Continue(())) };
                assert_eq!(sample.ok(), (index != 5).then_some(index));
                seen.push(index);
                Ok(if index == 20 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            };
            prefetch.run(read, take).unwrap();
            assert_eq!(seen, (2..=20).collect::<Vec<_>>(), "{workers}");
        }
    }
}
