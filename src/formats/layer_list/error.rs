//! Errors of the importers of lists of layers.

use std::fmt;
use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why a list of layers cannot be imported.
#[derive(Debug, Error)]
pub enum LayersError {
    /// The file system reports an error.
    #[error("cannot read `{}`: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The text is not UTF-8.
    #[error("the file is no text")]
    NoText,
    /// A place in the text is wrong.
    #[error("line {line}, column {column}: {message}")]
    At {
        /// The line, from 1.
        line: usize,
        /// The column in characters, from 1.
        column: usize,
        /// What is wrong.
        message: String,
    },
    /// The network is no network.
    #[error("{0}")]
    Network(String),
    /// The language cannot express these layers, or they do not fit together.
    #[error("{0}")]
    Layers(LayerProblems),
    /// The mean image does not fit.
    #[error("the mean image `{}`: {reason}", path.display())]
    Mean {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The weights do not fit.
    #[error("the weights in `{}`: {reason}", path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// Why a layer cannot be imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerProblem {
    /// Its line, from 1.
    pub line: usize,
    /// Its name and type.
    pub layer: String,
    /// The reason.
    pub reason: String,
}

impl fmt::Display for LayerProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, {}: {}", self.line, self.layer, self.reason)
    }
}

/// Why layers cannot be imported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LayerProblems {
    /// The first ones.
    pub listed: Vec<LayerProblem>,
    /// The number of all of them.
    pub count: usize,
}

/// How many layers a message lists.
const LISTED: usize = 10;

impl LayerProblems {
    /// Adds a problem, which is only made if it is listed: to count lines takes time.
    pub(in super::super) fn add(&mut self, problem: impl FnOnce() -> LayerProblem) {
        self.count += 1;
        if self.listed.len() < LISTED {
            self.listed.push(problem());
        }
    }

    /// An error if there are any.
    pub(in super::super) fn none(self) -> Result<(), LayersError> {
        if self.count == 0 { Ok(()) } else { Err(LayersError::Layers(self)) }
    }
}

impl fmt::Display for LayerProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.count {
            1 => write!(f, "a layer cannot be imported:")?,
            count => write!(f, "{count} layers cannot be imported:")?,
        }
        for problem in &self.listed {
            write!(f, "\n  {problem}")?;
        }
        match self.count - self.listed.len() {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more"),
        }
    }
}
