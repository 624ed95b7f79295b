//! `train.jsonl`: what happened, a line an event.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize};

use super::TrainError;
use crate::base::file::write_atomically;

/// The largest log that is read, in bytes.
const MAX_LOG: u64 = 1 << 30;

/// A line of the log. Losses are means over samples, errors parts of samples from 0 to 1, steps counted from 1: that of a line is the last
/// one made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Line {
    /// The run began.
    Start {
        /// The network's name.
        network: String,
        /// Training samples.
        samples: usize,
        /// Validation samples.
        valid_samples: usize,
        /// Steps in an epoch.
        epoch_steps: u64,
        /// Steps of the whole run.
        total_steps: u64,
    },
    /// A step was made.
    Step {
        /// Which.
        step: u64,
        /// The epoch, from 1.
        epoch: u64,
        /// Of its samples, before the step.
        loss: f64,
        /// Of its samples.
        error: f64,
        /// The learning rate.
        rate: f64,
        /// Samples a second.
        images_per_s: f64,
        /// Samples that could not be read.
        #[serde(default, skip_serializing_if = "is_zero")]
        broken: usize,
    },
    /// An epoch ended.
    Epoch {
        /// Which, from 1.
        epoch: u64,
        /// The last step.
        step: u64,
        /// Over the epoch's samples as they were met.
        loss: f64,
        /// The same.
        error: f64,
        /// Seconds since the run began, pauses left out.
        seconds: f64,
    },
    /// The validation data were measured.
    Valid {
        /// The epoch, from 1.
        epoch: u64,
        /// After this step.
        step: u64,
        /// The loss. JSON has no word for one that is not finite: it is written as `null`, and read as no number.
        #[serde(deserialize_with = "number")]
        loss: f64,
        /// The error.
        error: f64,
    },
}

fn is_zero(n: &usize) -> bool {
    *n == 0
}

fn number<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or(f64::NAN))
}

impl Line {
    /// The step after which it was written.
    pub fn step(&self) -> u64 {
        match self {
            Line::Start { .. } => 0,
            Line::Step { step, .. } | Line::Epoch { step, .. } | Line::Valid { step, .. } => *step,
        }
    }
}

/// The log of a run, being written.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    out: BufWriter<File>,
    /// All of it, for the report.
    lines: Vec<Line>,
}

impl Log {
    /// Continues a log behind a step; what was written later, by a run that was cut off, is dropped. Begins one where there is none.
    pub fn behind(path: &Path, step: u64) -> Result<Log, TrainError> {
        let file = |source| TrainError::File { path: path.to_owned(), what: "cannot write the log", source };
        let mut lines = if path.exists() { read(path)? } else { Vec::new() };
        lines.retain(|line| line.step() <= step);
        write_atomically(path, |out| lines.iter().try_for_each(|line| put(out, line))).map_err(file)?;
        let out = OpenOptions::new().append(true).open(path).map_err(file)?;
        Ok(Log { path: path.to_owned(), out: BufWriter::new(out), lines })
    }

    /// Adds a line.
    pub fn write(&mut self, line: Line) -> Result<(), TrainError> {
        put(&mut self.out, &line).map_err(|source| self.failed(source))?;
        self.lines.push(line);
        Ok(())
    }

    /// Sends what was written to the file.
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

/// The lines of a log. A last line that was cut off is left out.
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
                    why: format!("line {} is none of a log: {error}", i + 1),
                });
            }
        }
    }
    Ok(lines)
}
