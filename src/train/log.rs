//! `train.jsonl`: the log of a run, one event per line.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize};

use super::TrainError;
use crate::base::file::write_atomically;

/// The largest log that is read, in bytes.
const MAX_LOG: u64 = 1 << 30;

/// A line of the log. Losses are means over samples. Errors are fractions of samples, from 0 to 1. Steps are counted from 1; the step of a line
/// is the last completed one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Line {
    /// The run started.
    Start {
        /// The network's name.
        network: String,
        /// The number of training samples.
        samples: usize,
        /// The number of validation samples.
        valid_samples: usize,
        /// Steps per epoch.
        epoch_steps: u64,
        /// Steps of the run.
        total_steps: u64,
    },
    /// A step was completed.
    Step {
        /// The step.
        step: u64,
        /// The epoch, from 1.
        epoch: u64,
        /// The loss of its samples before the update.
        loss: f64,
        /// The error of its samples.
        error: f64,
        /// The learning rate.
        #[serde(alias = "rate")]
        lr: f64,
        /// Samples per second.
        images_per_s: f64,
        /// Samples that were skipped because they could not be read.
        #[serde(default, alias = "broken", skip_serializing_if = "is_zero")]
        skipped: usize,
    },
    /// An epoch ended.
    Epoch {
        /// The epoch, from 1.
        epoch: u64,
        /// The last step.
        step: u64,
        /// The mean of the losses of its steps.
        loss: f64,
        /// The mean of the errors of its steps.
        error: f64,
        /// Training time in seconds, without pauses.
        seconds: f64,
    },
    /// Validation ran.
    Valid {
        /// The epoch, from 1.
        epoch: u64,
        /// The last step before it.
        step: u64,
        /// The loss. JSON cannot represent values that are not finite: they are written as `null` and read as NaN.
        #[serde(deserialize_with = "number_or_nan")]
        loss: f64,
        /// The error.
        error: f64,
    },
}

fn is_zero(n: &usize) -> bool {
    *n == 0
}

fn number_or_nan<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or(f64::NAN))
}

impl Line {
    /// The last step before the event.
    pub fn step(&self) -> u64 {
        match self {
            Line::Start { .. } => 0,
            Line::Step { step, .. } | Line::Epoch { step, .. } | Line::Valid { step, .. } => *step,
        }
    }
}

/// The log of a run that is being written.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    out: BufWriter<File>,
    /// All lines, for the report.
    lines: Vec<Line>,
}

impl Log {
    /// Continues a log after a step. Later lines, from an interrupted run, are dropped. Creates the log if there is none.
    pub fn continue_after(path: &Path, step: u64) -> Result<Log, TrainError> {
        let file = |source| TrainError::File { path: path.to_owned(), what: "cannot write the log", source };
        let mut lines = if path.exists() { read(path)? } else { Vec::new() };
        lines.retain(|line| line.step() <= step);
        write_atomically(path, |out| lines.iter().try_for_each(|line| put(out, line))).map_err(file)?;
        let out = OpenOptions::new().append(true).open(path).map_err(file)?;
        Ok(Log { path: path.to_owned(), out: BufWriter::new(out), lines })
    }

    /// Appends a line.
    pub fn write(&mut self, line: Line) -> Result<(), TrainError> {
        put(&mut self.out, &line).map_err(|source| self.failed(source))?;
        self.lines.push(line);
        Ok(())
    }

    /// Replaces the first line of a log that was written before.
    pub fn begin_with(&mut self, line: Line) -> Result<(), TrainError> {
        self.flush()?;
        match self.lines.first_mut() {
            Some(first @ Line::Start { .. }) => *first = line,
            _ => self.lines.insert(0, line),
        }
        let lines = &self.lines;
        write_atomically(&self.path, |out| lines.iter().try_for_each(|line| put(out, line))).map_err(|e| self.failed(e))?;
        let out = OpenOptions::new().append(true).open(&self.path).map_err(|source| self.failed(source))?;
        self.out = BufWriter::new(out);
        Ok(())
    }

    /// Flushes to the file.
    pub fn flush(&mut self) -> Result<(), TrainError> {
        self.out.flush().map_err(|source| self.failed(source))
    }

    /// All lines so far.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    fn failed(&self, source: io::Error) -> TrainError {
        TrainError::File { path: self.path.clone(), what: "cannot write the log", source }
    }
}

fn put(out: &mut (impl Write + ?Sized), line: &Line) -> io::Result<()> {
    let mut text = serde_json::to_string(line).map_err(io::Error::other)?;
    text.push('\n');
    out.write_all(text.as_bytes())
}

/// Reads the lines of a log. An incomplete last line is ignored.
pub fn read(path: &Path) -> Result<Vec<Line>, TrainError> {
    let file = |source| TrainError::File { path: path.to_owned(), what: "cannot read the log", source };
    if std::fs::metadata(path).map_err(file)?.len() > MAX_LOG {
        return Err(TrainError::Damaged { path: path.to_owned(), why: format!("is larger than {MAX_LOG} bytes") });
    }
    let text = std::fs::read(path).map_err(file)?;
    let mut lines = Vec::new();
    let all: Vec<&[u8]> = text.split_inclusive(|&b| b == b'\n').collect();
    for (i, line) in all.iter().enumerate() {
        match serde_json::from_slice(line) {
            Ok(line) => lines.push(line),
            Err(_) if i + 1 == all.len() => {}
            Err(error) => {
                return Err(TrainError::Damaged {
                    path: path.to_owned(),
                    why: format!("line {} is not a log line: {error}", i + 1),
                });
            }
        }
    }
    Ok(lines)
}
