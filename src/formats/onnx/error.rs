//! Errors of the ONNX import.

use std::fmt;
use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why an ONNX file cannot be imported.
#[derive(Debug, Error)]
pub enum OnnxError {
    /// The file system reports an error.
    #[error("cannot read `{}`: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file has another format.
    #[error("the file {found}")]
    Other {
        /// What it is and what to do, as the rest of a sentence.
        found: &'static str,
    },
    /// The file is not ONNX, truncated or altered.
    #[error("the ONNX file is damaged: {reason}")]
    Damaged {
        /// What is wrong.
        reason: String,
    },
    /// The file exceeds a limit.
    #[error("the ONNX file is too large: {reason}")]
    TooLarge {
        /// What is too large.
        reason: String,
    },
    /// The values of a tensor are in an external file that cannot be read.
    #[error("the values of the tensor `{tensor}` are in `{location}`: {reason}")]
    Outside {
        /// The tensor.
        tensor: String,
        /// The location in the ONNX file.
        location: String,
        /// Why it cannot be read.
        reason: String,
    },
    /// No node computes a value that was asked for.
    #[error("the ONNX file has no value `{name}`{}", hint.as_ref().map_or_else(String::new, |hint| format!("; {hint}")))]
    NoValue {
        /// The name.
        name: String,
        /// A similar name, or the outputs.
        hint: Option<String>,
    },
    /// The language cannot express the network.
    #[error("{0}")]
    Unsupported(Unsupported),
}

/// Everything that the language cannot express.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unsupported {
    /// A row for each operator and reason, the most frequent first.
    pub rows: Vec<UnsupportedRow>,
}

/// Nodes of an operator that cannot be expressed, for the same reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsupportedRow {
    /// The ONNX name of the operator.
    pub op: String,
    /// The reason.
    pub reason: String,
    /// The number of nodes.
    pub count: usize,
    /// The names of the first nodes.
    pub names: Vec<String>,
}

/// The maximum number of names in a row.
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
            1 => write!(f, "a node of the ONNX file cannot be expressed in the language:")?,
            _ => write!(f, "{count} nodes of the ONNX file cannot be expressed in the language:")?,
        }
        for row in &self.rows {
            let names: Vec<String> = row.names.iter().map(|name| format!("`{name}`")).collect();
            let more = if row.count > row.names.len() { ", …" } else { "" };
            write!(f, "\n  {} x {} ({}{more}): {}", row.count, row.op, names.join(", "), row.reason)?;
        }
        Ok(())
    }
}
