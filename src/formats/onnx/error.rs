//! Why a file does not come in.

use std::fmt;
use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why an ONNX file was not imported.
#[derive(Debug, Error)]
pub enum OnnxError {
    /// The file system refused.
    #[error("cannot read `{}`: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file of another kind.
    #[error("the file {found}")]
    Other {
        /// What it is and what to do, as the rest of a sentence.
        found: &'static str,
    },
    /// No ONNX file, or one that is cut short or altered.
    #[error("the ONNX file is damaged: {reason}")]
    Damaged {
        /// What does not agree.
        reason: String,
    },
    /// More than is read.
    #[error("the ONNX file is too large: {reason}")]
    TooLarge {
        /// What is too large.
        reason: String,
    },
    /// Values in a file that is not one beside it.
    #[error("the tensor `{tensor}` is said to lie in `{location}`: {reason}")]
    Outside {
        /// The tensor.
        tensor: String,
        /// The file, as stated.
        location: String,
        /// Why it is not read.
        reason: String,
    },
    /// What the language cannot say.
    #[error("{0}")]
    Unsupported(Unsupported),
}

/// All that the language cannot say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unsupported {
    /// A row for each operator and reason, the most frequent first.
    pub rows: Vec<UnsupportedRow>,
}

/// Nodes of one operator that cannot be said for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsupportedRow {
    /// ONNX's name of the operator.
    pub op: String,
    /// Why.
    pub reason: String,
    /// How many nodes.
    pub count: usize,
    /// The first of them by name.
    pub names: Vec<String>,
}

/// How many names a row keeps.
const NAMES: usize = 3;

impl Unsupported {
    pub(super) fn add(&mut self, op: &str, name: &str, reason: String) {
        match self.rows.iter_mut().find(|row| row.op == op && row.reason == reason) {
            Some(row) => {
                row.count += 1;
                if row.names.len() < NAMES {
                    row.names.push(name.to_owned());
                }
            }
            None => self.rows.push(UnsupportedRow { op: op.to_owned(), reason, count: 1, names: vec![name.to_owned()] }),
        }
    }

    pub(super) fn sorted(mut self) -> Unsupported {
        self.rows.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.op.cmp(&b.op)).then_with(|| a.reason.cmp(&b.reason)));
        self
    }
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count: usize = self.rows.iter().map(|row| row.count).sum();
        match count {
            1 => write!(f, "a node of the ONNX file cannot be said in the language:")?,
            _ => write!(f, "{count} nodes of the ONNX file cannot be said in the language:")?,
        }
        for row in &self.rows {
            let names: Vec<String> = row.names.iter().map(|name| format!("`{name}`")).collect();
            let more = if row.count > row.names.len() { ", …" } else { "" };
            write!(f, "\n  {} x {} ({}{more}): {}", row.count, row.op, names.join(", "), row.reason)?;
        }
        Ok(())
    }
}
