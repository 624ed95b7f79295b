//! Images prepared in worker threads while the network computes, in their order; and what networks answer.

use std::ops::{ControlFlow, Range};
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use indicatif::{ProgressBar, ProgressStyle};
use ndarray::{ArrayD, ArrayViewD, IxDyn};

use super::output::Failure;
use crate::data::{self, Input, default_preprocess, prepare};
use crate::ir::{Dim, Op, Preprocess, Shape, ShapedNetwork};
use crate::runtime::{NotFinite, Session};

/// Samples that each worker prepares ahead.
pub(super) const AHEAD: usize = 8;

/// How a network takes images, and what its answer is.
pub(super) struct Reader {
    input: String,
    /// Of the input.
    pub shape: Shape,
    /// From an image to the input.
    pub how: Preprocess,
    /// Whether the network ends in a softmax, so that its output needs none.
    pub ends_in_softmax: bool,
}

impl Reader {
    /// Asks the network. Fails where it does not read one image.
    pub fn of(checked: &ShapedNetwork) -> Result<Reader, Failure> {
        let graph = checked.graph();
        let [id] = graph.inputs() else { return Err(Failure::Input("the network has several inputs: images fit one".into())) };
        let shape = checked.shape(*id).clone();
        if shape.dims().is_none_or(|d| d.len() != 3) {
            return Err(Failure::Input(format!(
                "the network reads {shape}, and an image is channels x height x width: use --input X.npy"
            )));
        }
        let how = checked.network.preprocess.clone().unwrap_or_else(|| default_preprocess(shape.channels().unwrap_or(3)));
        let ends_in_softmax = graph.outputs().first().is_some_and(|(_, v)| matches!(graph.node(v.node).op, Op::Softmax));
        Ok(Reader { input: graph.node(*id).name.clone(), shape, how, ends_in_softmax })
    }

    /// An image in a file, prepared.
    pub fn picture(&self, path: &Path) -> Result<Input, String> {
        let pixels = data::load(path).map_err(|e| e.to_string())?;
        prepare(pixels, &self.how, &self.shape).map_err(|e| format!("`{}`: {e}", path.display()))
    }

    /// The height and width of prepared images where the network leaves them free; `None` where they are the image's.
    pub fn free_size(&self) -> Option<[Option<usize>; 2]> {
        let [_, h, w] = self.shape.dims()? else { return None };
        let size = |dim: &Dim, axis: usize| match dim {
            Dim::Fixed(_) => Some(None),
            Dim::Free { .. } => self.how.crop.map(|crop| Some(crop[axis])),
        };
        Some([size(h, 0)?, size(w, 1)?])
    }

    /// The network's answers to prepared images of one size: a row of scores for each, which [`probabilities`] turns into what its
    /// name says unless the network ends in a softmax. A map of scores is averaged.
    pub fn scores(&self, session: &mut Session, pictures: &[&[f32]], size: [usize; 3]) -> Result<Vec<Vec<f32>>, Failure> {
        let values = pictures.concat();
        let shape = IxDyn(&[pictures.len(), size[0], size[1], size[2]]);
        let input = ArrayViewD::from_shape(shape, &values).map_err(Failure::input)?;
        let outputs = session.run(&[(&self.input, input)]).map_err(Failure::input)?;
        rows(outputs.main())
    }

    /// Why the answer to a prepared image is not finite.
    pub fn first_not_finite(
        &self,
        session: &mut Session,
        picture: &[f32],
        size: [usize; 3],
    ) -> Result<Option<NotFinite>, Failure> {
        let shape = IxDyn(&[1, size[0], size[1], size[2]]);
        let input = ArrayViewD::from_shape(shape, picture).map_err(Failure::input)?;
        session.first_not_finite(&[(&self.input, input)]).map_err(Failure::input)
    }

    /// Runs images one by one as `read` prepares them, in order, and hands `each` its index with the class probabilities, or with
    /// what is wrong with it, which `name` names. Weights that are no numbers end it: so would be the answer to every image.
    pub fn run(
        &self,
        session: &mut Session,
        count: usize,
        read: impl Fn(usize) -> Result<Input, String> + Sync,
        name: impl Fn(usize) -> String,
        mut each: impl FnMut(usize, Result<&[f32], Unanswered>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let ahead = Ahead { range: 0..count, workers: session.threads(), depth: AHEAD };
        ahead.run(read, |event| {
            match event {
                Event::Begun => {
                    if let Some(size) = self.free_size() {
                        session.prepare(1, size).map_err(Failure::input)?;
                    }
                }
                Event::Sample(index, Ok((values, size))) => {
                    for row in self.scores(session, &[&values], size)? {
                        let row = if self.ends_in_softmax { row } else { probabilities(&row) };
                        if row.iter().all(|p| p.is_finite()) {
                            each(index, Ok(&row))?;
                            continue;
                        }
                        let cause = self.first_not_finite(session, &values, size)?;
                        let why = cause.as_ref().map_or_else(String::new, |cause| format!(": {cause}"));
                        let why = format!("`{}`: the network's scores are not finite{why}", name(index));
                        each(index, Err(Unanswered::NotFinite(why)))?;
                        if matches!(cause, Some(NotFinite::Weight { .. })) {
                            return Err(Failure::Said);
                        }
                    }
                }
                Event::Sample(index, Err(why)) => each(index, Err(Unanswered::Unread(why)))?,
            }
            Ok(ControlFlow::Continue(()))
        })
    }
}

/// Why an image has no answer, in words that name it.
pub(super) enum Unanswered {
    /// It cannot be read.
    Unread(String),
    /// The network's scores are not finite.
    NotFinite(String),
}

/// What [`Ahead::run`] tells of.
pub(super) enum Event<T> {
    /// The workers have begun: what needs no sample can be done meanwhile.
    Begun,
    /// A sample's index, and what was made of it, or why it could not be read.
    Sample(usize, Result<T, String>),
}

/// Samples that are read ahead.
pub(super) struct Ahead {
    /// Their indices.
    pub range: Range<usize>,
    /// Threads; at least one is taken.
    pub workers: usize,
    /// Samples that each has ready at most.
    pub depth: usize,
}

impl Ahead {
    /// Reads each sample in a worker, and hands them over in order, until that says to stop.
    pub fn run<T: Send>(
        self,
        read: impl Fn(usize) -> Result<T, String> + Sync,
        mut take: impl FnMut(Event<T>) -> Result<ControlFlow<()>, Failure>,
    ) -> Result<(), Failure> {
        let Ahead { range, workers, depth } = self;
        let workers = workers.min(range.len()).max(1);
        let read = &read;
        thread::scope(|scope| {
            // worker k reads samples k, k + workers, …: taken in turn they come in order
            let mut streams: Vec<Receiver<Result<T, String>>> = Vec::new();
            for k in 0..workers {
                let (send, receive) = sync_channel(depth);
                streams.push(receive);
                let own = range.clone().skip(k).step_by(workers);
                scope.spawn(move || {
                    for index in own {
                        // the receiver is gone when the run has ended
                        if send.send(read(index)).is_err() {
                            return;
                        }
                    }
                });
            }
            if take(Event::Begun)?.is_break() {
                return Ok(());
            }
            for (index, stream) in range.clone().zip((0..workers).cycle()) {
                let sample = streams[stream].recv().unwrap_or_else(|_| Err("the reading thread ended".into()));
                if take(Event::Sample(index, sample))?.is_break() {
                    break;
                }
            }
            Ok(())
        })
    }
}

/// A row of scores for each sample. A map of scores (a fully convolutional head) is averaged.
fn rows(output: &ArrayD<f32>) -> Result<Vec<Vec<f32>>, Failure> {
    let [batch, classes, rest @ ..] = output.shape() else {
        return Err(Failure::Input("the network's output has no classes".into()));
    };
    let places: usize = rest.iter().product();
    let values = output.as_standard_layout();
    let values = values.as_slice().unwrap_or(&[]);
    let mean = |chunk: &[f32]| chunk.iter().sum::<f32>() / places as f32;
    let rows = values.chunks_exact((classes * places).max(1)).take(*batch);
    Ok(rows.map(|row| row.chunks_exact(places.max(1)).map(mean).collect()).collect())
}

/// The logarithms of the softmax of a row of scores: exact where a probability would be rounded to 0.
pub(super) fn log_probabilities(row: &[f32]) -> Vec<f64> {
    let top = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = row.iter().map(|&x| (f64::from(x) - f64::from(top)).exp()).sum();
    row.iter().map(|&x| f64::from(x) - f64::from(top) - sum.ln()).collect()
}

/// The softmax of a row of scores.
pub(super) fn probabilities(row: &[f32]) -> Vec<f32> {
    let top = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exp: Vec<f32> = row.iter().map(|&x| (x - top).exp()).collect();
    let sum: f32 = exp.iter().sum();
    exp.into_iter().map(|x| x / sum).collect()
}

/// The `k` most probable classes, best first; of equals the lower index.
pub(super) fn top(row: &[f32], k: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..row.len()).collect();
    order.sort_by(|&a, &b| row[b].total_cmp(&row[a]).then(a.cmp(&b)));
    order.truncate(k);
    order
}

/// A progress bar on standard error, where that is a terminal and the work is long enough to need one.
pub(super) fn progress(len: usize) -> ProgressBar {
    let bar = if len < 8 { ProgressBar::hidden() } else { ProgressBar::new(len as u64) };
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {per_sec}, {eta} left {msg}") {
        bar.set_style(style);
    }
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_classes_come_first_and_equals_by_index() {
        assert_eq!(top(&[0.1, 0.4, 0.4, 0.1], 3), [1, 2, 0]);
        assert_eq!(top(&[0.5], 5), [0]);
        assert_eq!(top(&[f32::NAN, 1.0], 2), [0, 1]);
    }

    #[test]
    fn softmax_of_large_scores_does_not_overflow() {
        assert_eq!(probabilities(&[1000.0, 1000.0]), [0.5, 0.5]);
        assert_eq!(log_probabilities(&[1000.0, 1000.0]), [0.5f64.ln(); 2]);
        assert_eq!(log_probabilities(&[0.0, 1000.0]), [-1000.0, 0.0]);
        // a class that is ruled out leaves the others theirs
        assert_eq!(log_probabilities(&[f32::NEG_INFINITY, 0.0]), [f64::NEG_INFINITY, 0.0]);
        for bad in [f32::NAN, f32::INFINITY] {
            assert!(log_probabilities(&[0.0, bad]).iter().chain(&[f64::from(probabilities(&[0.0, bad])[0])]).all(|p| p.is_nan()));
        }
    }

    #[test]
    fn samples_come_in_order_until_no_more_are_wanted() {
        for workers in [1, 3, 8] {
            let mut seen = Vec::new();
            let ahead = Ahead { range: 2..40, workers, depth: 1 };
            let read = |index: usize| if index == 5 { Err("broken".to_owned()) } else { Ok(index) };
            let take = |event: Event<usize>| {
                let Event::Sample(index, sample) = event else { return Ok(ControlFlow::Continue(())) };
                assert_eq!(sample.ok(), (index != 5).then_some(index));
                seen.push(index);
                Ok(if index == 20 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            };
            ahead.run(read, take).unwrap();
            assert_eq!(seen, (2..=20).collect::<Vec<_>>(), "{workers}");
        }
    }
}
