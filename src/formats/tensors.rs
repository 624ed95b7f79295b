//! The named tensors of a weight file.

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
    state_dicts: StateDicts,
    notes: Vec<String>,
}

/// Which state dict of a file was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct StateDicts {
    /// The keys that lead to it, with dots between; empty if it is the file itself.
    pub taken: String,
    /// The keys of the others.
    pub others: Vec<String>,
    /// Whether it is where scripts put the weights, or was asked for.
    pub is_usual: bool,
    /// Whether it is the part that was asked for.
    pub is_part: bool,
}

/// An entry of a file that is not read. This is an error only if a network needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// What it contains: `complex numbers`.
    pub contents: String,
    /// Whether it is a numeric tensor, so that a network without this name does not fit.
    pub is_tensor: bool,
}

impl Tensors {
    /// Tensors, with the path of their file for messages.
    pub fn new(path: impl Into<PathBuf>, list: impl IntoIterator<Item = (String, Tensor)>) -> Tensors {
        Tensors { path: path.into(), list: list.into_iter().collect(), ..Tensors::default() }
    }

    /// Adds the entries that are not read.
    pub fn with_unread(mut self, unread: impl IntoIterator<Item = (String, Unread)>) -> Tensors {
        self.unread.extend(unread);
        self
    }

    /// Adds which state dict these tensors are.
    pub(super) fn with_state_dicts(self, state_dicts: StateDicts) -> Tensors {
        Tensors { state_dicts, ..self }
    }

    /// Which state dict of the file these tensors are.
    pub(super) fn state_dicts(&self) -> &StateDicts {
        &self.state_dicts
    }

    /// Adds a choice that a user should know of, as a sentence without a period.
    pub(super) fn with_note(mut self, note: String) -> Tensors {
        self.notes.push(note);
        self
    }

    /// The choices that were made in reading, which a user should know of.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The tensors whose names begin with a prefix, without it.
    pub(super) fn under(self, prefix: &str) -> Tensors {
        fn inner<T>(list: BTreeMap<String, T>, prefix: &str) -> BTreeMap<String, T> {
            list.into_iter().filter_map(|(name, value)| Some((name.strip_prefix(prefix)?.to_owned(), value))).collect()
        }
        Tensors { list: inner(self.list, prefix), unread: inner(self.unread, prefix), ..self }
    }

    /// The same tensors, with another path for messages.
    pub(super) fn at(self, path: impl Into<PathBuf>) -> Tensors {
        Tensors { path: path.into(), ..self }
    }

    /// The entries that are not read, by name.
    pub fn unread(&self) -> impl Iterator<Item = (&str, &Unread)> {
        self.unread.iter().map(|(name, unread)| (name.as_str(), unread))
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The tensor with this name.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.list.get(name)
    }

    /// All tensors, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.list.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// The number of tensors.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are no tensors.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

/// Why a weight file cannot be read or written.
#[derive(Debug, Error)]
pub enum WeightsError {
    /// The file system reports an error.
    #[error("cannot {what} `{}`: {source}", path.display())]
    Io {
        /// `read` or `write`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file has none of the supported formats.
    #[error("`{}` {found}", path.display())]
    Unknown {
        /// The file.
        path: PathBuf,
        /// What it is and what to do, as the rest of a sentence.
        found: &'static str,
    },
    /// The file is damaged.
    #[error("`{}` is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong, as a sentence.
        reason: String,
    },
    /// The file appears valid, but is not supported.
    #[error("`{}` {reason}", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// Why, as the rest of a sentence that begins with the path.
        reason: String,
    },
    /// A pickle tries to run code.
    #[error(
        "`{}` calls `{global}`, which weight files do not need; nothing was run. \
         Save only the state dict: torch.save(model.state_dict(), PATH)",
        path.display()
    )]
    Refused {
        /// The file.
        path: PathBuf,
        /// The function or class, with its module.
        global: String,
    },
}
