//! Why a network cannot be exported.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::options::{FIRST_OPSET, LAST_OPSET};
use crate::runtime::ParamError;

/// Why a network cannot be exported.
#[derive(Debug, Error)]
pub enum ExportError {
    /// The file system reports an error.
    #[error("cannot write `{}`: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A parameter is missing.
    #[error(transparent)]
    Param(#[from] ParamError),
    /// The opset is not supported.
    #[error("opset {got} is not supported: use {FIRST_OPSET} to {LAST_OPSET}")]
    Opset {
        /// The requested opset.
        got: i64,
    },
    /// ONNX cannot express a node.
    #[error("`{node}` cannot be expressed in ONNX: {reason}")]
    Unsupported {
        /// The node.
        node: String,
        /// The reason.
        reason: String,
    },
    /// The file name is not UTF-8, so it cannot refer to an external data file.
    #[error("the name of `{}` is not UTF-8, but the file of its weights is named after it", path.display())]
    Name {
        /// The file.
        path: PathBuf,
    },
}
