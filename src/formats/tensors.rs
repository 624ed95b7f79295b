//! Named tensors as a weight file holds them.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::base::tensor::Tensor;

/// The tensors of a weight file, by name.
#[derive(Clone, Debug, Default)]
pub struct Tensors {
    path: PathBuf,
    list: BTreeMap<String, Tensor>,
    unread: BTreeMap<String, Unread>,
}

/// What a file holds under a name that is not read: it matters only where a network needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// What it holds: `complex numbers`.
    pub holds: String,
    /// Whether these are numbers, as a layer's weights would be: then a network must have a place for it.
    pub is_tensor: bool,
}

impl Tensors {
    /// Tensors with the file they are said to come from, which reports name.
    pub fn new(path: impl Into<PathBuf>, list: impl IntoIterator<Item = (String, Tensor)>) -> Tensors {
        Tensors { path: path.into(), list: list.into_iter().collect(), unread: BTreeMap::new() }
    }

    /// The same, and what else the file holds.
    pub fn with_unread(mut self, unread: impl IntoIterator<Item = (String, Unread)>) -> Tensors {
        self.unread.extend(unread);
        self
    }

    /// What is not read, by name.
    pub fn unread(&self) -> impl Iterator<Item = (&str, &Unread)> {
        self.unread.iter().map(|(name, unread)| (name.as_str(), unread))
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The tensor of that name.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.list.get(name)
    }

    /// All, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.list.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

/// Why a weight file was not read or written.
#[derive(Debug, Error)]
pub enum WeightsError {
    /// The file system refused.
    #[error("cannot {what} `{}`: {source}", path.display())]
    Io {
        /// `read` or `write`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// None of the known formats, by its first bytes.
    #[error("`{}` {found}", path.display())]
    Unknown {
        /// The file.
        path: PathBuf,
        /// What it is and what to do, as the rest of a sentence.
        found: &'static str,
    },
    /// Damaged, or with sizes that do not agree.
    #[error("`{}` is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not agree, as a sentence.
        reason: String,
    },
    /// Sound as far as can be seen, but not what can be used here.
    #[error("`{}` {reason}", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What it holds, as the rest of a sentence.
        reason: String,
    },
    /// A pickle that asks for code to be run.
    #[error(
        "`{}` asks to call `{global}`, which a file of weights has no need of; nothing was run. \
         Save the state dict alone: torch.save(model.state_dict(), PATH)",
        path.display()
    )]
    Refused {
        /// The file.
        path: PathBuf,
        /// The function or class, with its module.
        global: String,
    },
}
