//! The run over a dataset: images are prepared ahead, answered in whole runs, and counted.

use std::ops::ControlFlow;
use std::time::Instant;

use indicatif::ProgressBar;
use ndarray::{Array2, ArrayD};

use super::super::images::{AHEAD, Ahead, Event, progress};
use super::super::output::{Failure, Out};
use super::members::{Members, Shown};
use super::score::{Counts, Measures, NoAnswer, Row};
use super::state::State;
use super::{Args, Average};
use crate::data::{Dataset, Views};

/// What is to be done.
pub(super) struct Work<'a> {
    pub data: &'a dyn Dataset,
    pub views: &'a Views,
    pub average: Average,
    /// Images of the network's own size in a run.
    pub batch: usize,
    /// How many of the worst images are listed.
    pub worst: usize,
    /// Whether an image that cannot be read ends the run.
    pub fatal: bool,
    /// At most so many images.
    pub limit: Option<usize>,
    /// Whether each image's probabilities are kept.
    pub keep: bool,
}

/// The run, and what it has counted so far.
pub(super) struct Evaluator<'a> {
    pub work: Work<'a>,
    pub members: Members,
    pub counts: Counts,
    /// Of this process.
    pub seconds: f64,
    /// Images that were answered by this process.
    pub answered: usize,
    state: Option<State>,
    rows: Vec<(usize, Vec<f32>)>,
}

impl<'a> Evaluator<'a> {
    /// From the beginning, or from where the state ends.
    pub fn new(work: Work<'a>, members: Members, state: Option<State>) -> Evaluator<'a> {
        let counts = state.as_ref().map(|state| state.counts.clone()).unwrap_or_default();
        Evaluator { work, members, counts, seconds: 0.0, answered: 0, state, rows: Vec::new() }
    }

    /// Images whose answers are computed together. All results of a state are those of whole parts, counted from the first image
    /// on: what runs together is the same however often a run is interrupted, and so are the results, to the bit.
    fn part(&self) -> usize {
        (self.work.batch / self.work.views.count()).max(1)
    }

    /// The index behind the last image.
    pub fn end(&self) -> usize {
        let (all, part) = (self.work.data.len(), self.part());
        match (self.work.limit, &self.state) {
            (None, _) => all,
            (Some(limit), None) => all.min(limit),
            (Some(limit), Some(state)) => {
                all.min(state.counts.next.saturating_add(limit).checked_next_multiple_of(part).unwrap_or(all))
            }
        }
    }

    /// Runs to the end; says whether Ctrl-C ended it before.
    pub fn run(&mut self) -> Result<bool, Failure> {
        let (first, end, part) = (self.counts.next, self.end(), self.part());
        if first >= end {
            return Ok(false);
        }
        let start = Instant::now();
        let bar = progress(end);
        bar.set_position(first as u64);
        bar.reset_eta();
        let (data, views) = (self.work.data, self.work.views);
        let ways = self.members.ways().to_vec();
        let workers = self.members.list.first().map_or(1, |m| m.session.threads());
        let ahead = Ahead { range: first..end, workers, depth: (AHEAD / views.count()).max(1) };
        let mut pictures: Vec<(usize, Shown)> = Vec::new();
        let mut stopped = false;
        let result = ahead.run(
            |index| Members::show(&ways, views, data, index),
            |event| {
                let index = match event {
                    Event::Begun => {
                        self.prepare(part.min(end - first))?;
                        return Ok(ControlFlow::Continue(()));
                    }
                    Event::Sample(_, Err(why)) if self.work.fatal => return Err(Failure::Input(why)),
                    Event::Sample(index, Err(why)) => {
                        self.counts.broken(why);
                        index
                    }
                    Event::Sample(index, Ok(shown)) => {
                        pictures.push((index, shown));
                        index
                    }
                };
                if (index + 1) % part != 0 && index + 1 != end {
                    return Ok(ControlFlow::Continue(()));
                }
                self.answer(&mut pictures)?;
                self.counts.next = index + 1;
                bar.set_position(index as u64 + 1);
                self.say(&bar);
                if let Some(state) = &mut self.state {
                    stopped = state.is_stopped();
                    state.keep(&self.counts, stopped || index + 1 == end)?;
                }
                Ok(if stopped { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            },
        );
        bar.finish_and_clear();
        self.seconds = start.elapsed().as_secs_f64();
        result.map(|()| stopped && self.counts.next < end)
    }

    /// Plans for full runs while the first images are read.
    fn prepare(&mut self, pictures: usize) -> Result<(), Failure> {
        let batch = self.work.batch.min(pictures * self.work.views.count());
        self.members.list.iter_mut().try_for_each(|member| member.prepare(self.work.views, batch))
    }

    fn answer(&mut self, pictures: &mut Vec<(usize, Shown)>) -> Result<(), Failure> {
        if pictures.is_empty() {
            return Ok(());
        }
        let (indices, shown): (Vec<usize>, Vec<Shown>) = pictures.drain(..).unzip();
        let (batch, average) = (self.work.batch, self.work.average);
        let answers = self.members.list.iter_mut().map(|member| member.answer(&shown, batch, average));
        let answers: Vec<Vec<Row>> = answers.collect::<Result<_, _>>()?;
        for (i, index) in indices.into_iter().enumerate() {
            let mut rows: Vec<Row> = answers.iter().filter_map(|rows| rows.get(i).cloned()).collect();
            if let (None, Some(at)) = (&self.counts.no_answer, rows.iter().position(|row| !row.is_finite())) {
                let why = self.members.list[at].why_not_finite(&shown[i])?;
                self.counts.no_answer = Some(NoAnswer { index, why });
            }
            if rows.len() > 1 {
                rows.push(Row::mean(&rows));
            }
            let classes = rows.last().map_or(0, |row| row.p.len());
            let class = self.work.data.label(index) as usize;
            if class >= classes {
                return Err(Failure::Input(format!("the data has more classes than the network's {classes} outputs")));
            }
            self.answered += 1;
            self.counts.answer(index, class, &rows, self.work.worst);
            if let (true, Some(row)) = (self.work.keep, rows.pop()) {
                self.rows.push((index, row.p));
            }
        }
        Ok(())
    }

    /// The error so far, beside the bar.
    fn say(&self, bar: &ProgressBar) {
        if let Some(measures) = self.measures().last() {
            let bad = if measures.not_finite > 0 { format!(", {} not finite", measures.not_finite) } else { String::new() };
            bar.set_message(format!("top-1 error {:.2} %{bad}", 100.0 - measures.top1));
        }
    }

    /// The measures of each network, and, of several, of all together behind them; none where nothing was answered.
    pub fn measures(&self) -> Vec<Measures> {
        if self.counts.seen == 0 {
            return Vec::new();
        }
        self.counts.tallies.iter().map(|tally| tally.measures(self.counts.seen)).collect()
    }

    /// The error that scores which are not finite are, behind the report: they have no measure.
    pub fn hold_finite(&self) -> Result<(), Failure> {
        let Some(NoAnswer { index, why }) = &self.counts.no_answer else { return Ok(()) };
        let (seen, name) = (self.counts.seen, self.work.data.name(*index));
        let bad = self.measures().iter().map(|m| m.not_finite).max().unwrap_or(0);
        Err(Failure::Input(format!("the scores of {bad} of {seen} images are not finite, first those of `{name}`: {why}")))
    }

    /// Each image's probabilities, in the dataset's order; NaN of those that were not read.
    pub fn scores(&self) -> ArrayD<f32> {
        let mut all = Array2::from_elem((self.end(), self.members.classes()), f32::NAN);
        for (index, row) in &self.rows {
            all.row_mut(*index).iter_mut().zip(row).for_each(|(to, from)| *to = *from);
        }
        all.into_dyn()
    }

    /// Says what was read in vain and what was packed again.
    pub fn note(&self, args: &Args, out: &Out) {
        for member in &self.members.list {
            member.note(out);
        }
        for why in &self.counts.reasons {
            out.note(format_args!("warning: {why}"));
        }
        let more = self.counts.broken.saturating_sub(self.counts.reasons.len());
        if more > 0 {
            out.note(format_args!("warning: and {more} more broken files in `{}`", args.data));
        }
    }
}
