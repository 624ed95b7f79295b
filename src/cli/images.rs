//! Samples decoded in worker threads while the network computes, in their order, and gathered into batches.

use std::fmt::Display;
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use indicatif::{ProgressBar, ProgressStyle};
use ndarray::{ArrayD, ArrayViewD, IxDyn};

use super::output::Failure;
use crate::data::{self, Dataset, Pixels, Sample, Transform, default_preprocess, prepare};
use crate::ir::{Dim, Op, Preprocess, Shape};
use crate::runtime::{Model, Session};

/// A prepared sample with its channels, height and width, or why it is none.
pub(super) type Prepared = Result<(Vec<f32>, [usize; 3]), String>;

/// Samples that each worker decodes ahead.
const AHEAD: usize = 8;

/// How a network takes pictures, and what its answer is.
pub(super) struct Reader {
    input: String,
    shape: Shape,
    how: Preprocess,
    /// Whether the network ends in a softmax, so that its output needs none.
    probabilities: bool,
}

impl Reader {
    /// Asks the model. Fails where it does not read one picture.
    pub fn of(model: &Model) -> Result<Reader, Failure> {
        let graph = model.checked().graph();
        let [id] = graph.inputs() else { return Err(Failure::Input("the network has several inputs: pictures fit one".into())) };
        let shape = model.checked().shape(*id).clone();
        if shape.dims().is_none_or(|d| d.len() != 3) {
            return Err(Failure::Input(format!(
                "the network reads {shape}, and a picture is channels x height x width: use --input X.npy"
            )));
        }
        let how = model.network().preprocess.clone().unwrap_or_else(|| default_preprocess(shape.channels().unwrap_or(3)));
        let probabilities = graph.outputs().first().is_some_and(|(_, v)| matches!(graph.node(v.node).op, Op::Softmax));
        Ok(Reader { input: graph.node(*id).name.clone(), shape, how, probabilities })
    }

    /// A picture in a file, prepared.
    pub fn picture(&self, path: &Path) -> Prepared {
        let pixels = data::load(path).map_err(|e| e.to_string())?;
        self.prepare(pixels, path.display())
    }

    /// A sample of a dataset, prepared.
    pub fn sample(&self, dataset: &dyn Dataset, index: usize) -> Prepared {
        match dataset.read(index).map_err(|e| e.to_string())? {
            Sample::Pixels(pixels) => self.prepare(pixels, dataset.name(index)),
            Sample::Values(values) => Ok((values.data, values.size)),
        }
    }

    fn prepare(&self, pixels: Pixels, name: impl Display) -> Prepared {
        prepare(pixels, &self.how, &self.shape).map_err(|e| format!("`{name}`: {e}"))
    }

    /// Fails where a dataset of normalised samples is of another size than the network reads; pictures are brought to it.
    pub fn holds(&self, dataset: &dyn Dataset) -> Result<(), Failure> {
        if dataset.is_normalised() {
            Transform::new(dataset, &self.shape, Some(&self.how), &[]).map_err(Failure::input)?;
        }
        Ok(())
    }

    /// The height and width of prepared pictures where the network leaves them free; `None` where they are the picture's.
    fn free_size(&self) -> Option<[Option<usize>; 2]> {
        let [_, h, w] = self.shape.dims()? else { return None };
        let size = |dim: &Dim, axis: usize| match dim {
            Dim::Fixed(_) => Some(None),
            Dim::Free { .. } => self.how.crop.map(|crop| Some(crop[axis])),
        };
        Some([size(h, 0)?, size(w, 1)?])
    }

    /// Runs `count` samples as `read` prepares them, in order, and hands `each` its index with the class probabilities, or with what is wrong with it.
    pub fn run(
        &self,
        session: &mut Session,
        count: usize,
        read: impl Fn(usize) -> Prepared + Sync,
        batch: usize,
        mut each: impl FnMut(usize, Result<&[f32], String>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let workers = session.threads().min(count).max(1);
        let read = &read;
        thread::scope(|scope| {
            // worker k reads samples k, k + workers, …: taken in turn they come in order
            let mut streams: Vec<Receiver<Prepared>> = Vec::new();
            for k in 0..workers {
                let (send, receive) = sync_channel(AHEAD);
                streams.push(receive);
                scope.spawn(move || {
                    for index in (k..count).step_by(workers) {
                        // the receiver is gone when the run has failed
                        if send.send(read(index)).is_err() {
                            return;
                        }
                    }
                });
            }
            // meanwhile
            if let (batch, Some(size)) = (batch.min(count), self.free_size()) {
                session.prepare(batch.max(1), size).map_err(Failure::input)?;
            }
            let mut gathered: Vec<(usize, Vec<f32>)> = Vec::new();
            let mut size = [0; 3];
            for index in 0..count {
                let prepared = streams[index % workers].recv().unwrap_or_else(|_| Err("the reading thread ended".into()));
                match prepared {
                    Ok((values, shape)) => {
                        if !gathered.is_empty() && (gathered.len() == batch || shape != size) {
                            self.batch(session, &mut gathered, size, &mut each)?;
                        }
                        size = shape;
                        gathered.push((index, values));
                    }
                    Err(why) => {
                        self.batch(session, &mut gathered, size, &mut each)?;
                        each(index, Err(why))?;
                    }
                }
            }
            self.batch(session, &mut gathered, size, &mut each)
        })
    }

    fn batch(
        &self,
        session: &mut Session,
        gathered: &mut Vec<(usize, Vec<f32>)>,
        size: [usize; 3],
        each: &mut impl FnMut(usize, Result<&[f32], String>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        if gathered.is_empty() {
            return Ok(());
        }
        let values: Vec<f32> = gathered.iter().flat_map(|(_, v)| v.iter().copied()).collect();
        let shape = IxDyn(&[gathered.len(), size[0], size[1], size[2]]);
        let input = ArrayViewD::from_shape(shape, &values).map_err(Failure::input)?;
        let outputs = session.run(&[(&self.input, input)]).map_err(Failure::input)?;
        let scores = classes(outputs.main())?;
        for ((index, _), row) in gathered.drain(..).zip(scores) {
            let row = if self.probabilities { row } else { softmax(&row) };
            each(index, Ok(&row))?;
        }
        Ok(())
    }
}

/// A row of scores for each sample. A map of scores (a fully convolutional head) is averaged.
fn classes(output: &ArrayD<f32>) -> Result<Vec<Vec<f32>>, Failure> {
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

fn softmax(row: &[f32]) -> Vec<f32> {
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
        assert_eq!(softmax(&[1000.0, 1000.0]), [0.5, 0.5]);
    }
}
