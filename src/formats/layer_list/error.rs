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
    #[error("{}", list(.0))]
    Layers(Vec<LayerProblem>),
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

/// How many layers a message lists.
const LISTED: usize = 10;

fn list(problems: &[LayerProblem]) -> String {
    let mut text = match problems.len() {
        1 => "a layer cannot be imported:".to_owned(),
        count => format!("{count} layers cannot be imported:"),
    };
    for problem in problems.iter().take(LISTED) {
        text.push_str(&format!("\n  {problem}"));
    }
    if problems.len() > LISTED {
        text.push_str(&format!("\n  and {} more", problems.len() - LISTED));
    }
    text
}
