//! What is wrong with a weight file, before its path is known.

use std::path::Path;

use super::tensors::WeightsError;

/// Errors of the formats in this folder. The path is added by [`Fault::at`].
#[derive(Debug)]
pub(super) enum Fault {
    Damaged(String),
    Unsupported(String),
    Refused(String),
}

impl Fault {
    pub(super) fn at(self, path: &Path) -> WeightsError {
        let path = path.to_owned();
        match self {
            Fault::Damaged(reason) => WeightsError::Damaged { path, reason },
            Fault::Unsupported(reason) => WeightsError::Unsupported { path, reason },
            Fault::Refused(global) => WeightsError::Refused { path, global },
        }
    }
}
