//! The run over a dataset: images are prepared ahead, run in batches, and counted.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use ndarray::{Array2, ArrayD};

use super::ensemble::{Ensemble, Prepared, prepare};
use super::error::EvalError;
use super::measures::{Counts, Measures, NoAnswer, Probabilities};
use super::options::EvalOptions;
use super::state::{Resumed, State, facts};
use crate::data::Dataset;
use crate::infer::{Event, PREFETCH, Prefetch};

/// How far an evaluation is.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Progress {
    /// Images done, of [`Evaluator::end`].
    pub done: usize,
    /// The measures so far; `None` if no image could be read.
    pub measures: Option<Measures>,
}

/// Evaluates networks on a dataset.
pub struct Evaluator {
    pub(super) ensemble: Ensemble,
    pub(super) data: Arc<dyn Dataset>,
    pub(super) options: EvalOptions,
    pub(super) counts: Counts,
    /// The time that [`Evaluator::run`] took.
    pub(super) seconds: f64,
    /// Images that [`Evaluator::run`] evaluated.
    pub(super) evaluated: usize,
    state: Option<State>,
    /// The index after the last image.
    end: usize,
    /// Probabilities that are kept, with their images' indices.
    kept: Vec<(usize, Vec<f32>)>,
}

impl Evaluator {
    /// An evaluation from the first image on.
    ///
    /// # Errors
    /// A dataset of normalized samples does not fit the networks or the views.
    pub fn new(ensemble: Ensemble, data: Arc<dyn Dataset>, options: EvalOptions) -> Result<Evaluator, EvalError> {
        ensemble.check_data(&*data, &options.views)?;
        let end = options.limit.map_or(data.len(), |limit| data.len().min(limit));
        let counts = Counts::default();
        Ok(Evaluator { ensemble, data, options, counts, seconds: 0.0, evaluated: 0, state: None, end, kept: Vec::new() })
    }

    /// Keeps the state in a file, and continues from it if it exists. A limit then counts from there, and is rounded up to whole runs.
    /// `also` are further facts, as key and value, that must be the same in both.
    ///
    /// # Errors
    /// The file cannot be read, or holds the state of another evaluation.
    pub fn resume(&mut self, path: &Path, also: &[(&str, String)]) -> Result<Resumed, EvalError> {
        let mut of = facts(&self.ensemble, &*self.data, &self.options);
        of.extend(also.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        let (state, counts, resumed) = State::open(path, of, self.ensemble.threads(), self.data.len())?;
        self.state = Some(state);
        self.counts = counts;
        if let Some(limit) = self.options.limit {
            let (all, next) = (self.data.len(), self.counts.next);
            self.end = all.min(next.saturating_add(limit).checked_next_multiple_of(self.chunk()).unwrap_or(all));
        }
        Ok(resumed)
    }

    /// Images that are run together. Chunks are counted from the first image, and a state is that after a whole chunk: so the batches,
    /// and with them the results to the bit, do not depend on how often a run is interrupted.
    fn chunk(&self) -> usize {
        (self.options.batch / self.options.views.count()).max(1)
    }

    /// Where the run starts: the number of images done before.
    pub fn start(&self) -> usize {
        self.counts.next
    }

    /// Where the run ends: a number of images.
    pub fn end(&self) -> usize {
        self.end
    }

    /// The networks.
    pub fn ensemble(&self) -> &Ensemble {
        &self.ensemble
    }

    /// The options.
    pub fn options(&self) -> &EvalOptions {
        &self.options
    }

    /// Runs to the end, or until `progress`, which is called after each chunk of images, breaks off. Returns whether images are left.
    ///
    /// # Errors
    /// A run fails, an image cannot be read where that is an error, or the state cannot be written.
    pub fn run(&mut self, mut progress: impl FnMut(Progress) -> ControlFlow<()>) -> Result<bool, EvalError> {
        let (first, end, chunk) = (self.counts.next, self.end, self.chunk());
        if first >= end {
            return Ok(false);
        }
        let start = Instant::now();
        let data = Arc::clone(&self.data);
        let (views, preparations) = (self.options.views.clone(), self.ensemble.preparations().to_vec());
        let depth = (PREFETCH / views.count()).max(1);
        let prefetch = Prefetch { range: first..end, workers: self.ensemble.threads(), depth };
        let mut images: Vec<(usize, Prepared)> = Vec::new();
        let mut is_stopped = false;
        let result = prefetch.run(
            |index| prepare(&preparations, &views, &*data, index),
            |event| {
                let index = match event {
                    Event::Started => {
                        self.plan(chunk.min(end - first))?;
                        return Ok(ControlFlow::Continue(()));
                    }
                    Event::Sample(_, Err(error)) if self.options.fail_on_broken => return Err(error.into()),
                    Event::Sample(index, Err(error)) => {
                        self.counts.count_broken(error.to_string());
                        index
                    }
                    Event::Sample(index, Ok(prepared)) => {
                        images.push((index, prepared));
                        index
                    }
                };
                let done = index + 1;
                if done % chunk != 0 && done != end {
                    return Ok(ControlFlow::Continue(()));
                }
                self.evaluate(std::mem::take(&mut images))?;
                self.counts.next = done;
                let flow = progress(Progress { done, measures: self.measures().pop() });
                is_stopped = flow.is_break();
                if let Some(state) = &mut self.state {
                    state.keep(&self.counts, is_stopped || done == end)?;
                }
                Ok(flow)
            },
        );
        self.seconds = start.elapsed().as_secs_f64();
        result.map(|()| is_stopped && self.counts.next < end)
    }

    /// Plans for full runs while the first images are read.
    fn plan(&mut self, images: usize) -> Result<(), EvalError> {
        let views = &self.options.views;
        let batch = self.options.batch.min(images * views.count());
        self.ensemble.members_mut().iter_mut().try_for_each(|member| member.prepare(views, batch))
    }

    /// Runs the networks on a chunk of images, and counts them.
    fn evaluate(&mut self, images: Vec<(usize, Prepared)>) -> Result<(), EvalError> {
        if images.is_empty() {
            return Ok(());
        }
        let (indices, prepared): (Vec<usize>, Vec<Prepared>) = images.into_iter().unzip();
        let options = &self.options;
        let members = self.ensemble.members_mut().iter_mut();
        let answers: Vec<Vec<Probabilities>> = members.map(|member| member.run(&prepared, options)).collect::<Result<_, _>>()?;
        for (i, (index, prepared)) in indices.into_iter().zip(&prepared).enumerate() {
            let answers = answers.iter().filter_map(|list| list.get(i).cloned()).collect();
            self.count(index, prepared, answers)?;
        }
        Ok(())
    }

    /// Counts an image with the probabilities of each network.
    fn count(&mut self, index: usize, prepared: &Prepared, mut answers: Vec<Probabilities>) -> Result<(), EvalError> {
        if let (None, Some(at)) = (&self.counts.no_answer, answers.iter().position(|answer| !answer.is_finite())) {
            let why = self.ensemble.members_mut()[at].why_not_finite(prepared)?;
            self.counts.no_answer = Some(NoAnswer { index, why });
        }
        if answers.len() > 1 {
            answers.push(Probabilities::mean(&answers));
        }
        let classes = answers.last().map_or(0, |answer| answer.p.len());
        let class = self.data.label(index) as usize;
        if class >= classes {
            return Err(EvalError::Labels { classes });
        }
        self.evaluated += 1;
        self.counts.count(index, class, &answers, self.options.worst);
        if let (true, Some(answer)) = (self.options.keep_scores, answers.pop()) {
            self.kept.push((index, answer.p));
        }
        Ok(())
    }

    /// The measures of each network and, of several, those of the ensemble at the end; empty if no image was evaluated.
    pub(super) fn measures(&self) -> Vec<Measures> {
        if self.counts.seen == 0 {
            return Vec::new();
        }
        self.counts.tallies.iter().map(|tally| tally.measures(self.counts.seen)).collect()
    }

    /// Fails if a network's scores are not finite for an image: the measures then mean little.
    pub fn check_finite(&self) -> Result<(), EvalError> {
        let Some(NoAnswer { index, why }) = &self.counts.no_answer else { return Ok(()) };
        let count = self.measures().iter().map(|measures| measures.not_finite).max().unwrap_or(0);
        Err(EvalError::NotFinite { count, images: self.counts.seen, name: self.data.name(*index), why: why.clone() })
    }

    /// Each image's probabilities, in the dataset's order; NaN for those that could not be read.
    pub fn scores(&self) -> ArrayD<f32> {
        let mut all = Array2::from_elem((self.end, self.ensemble.classes()), f32::NAN);
        for (index, row) in &self.kept {
            all.row_mut(*index).iter_mut().zip(row).for_each(|(to, from)| *to = *from);
        }
        all.into_dyn()
    }
}
