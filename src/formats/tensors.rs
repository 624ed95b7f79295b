//! The named tensors of a weight file.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::optimizer_state::optimized;
use super::rename::{self, Rename};
use crate::base::tensor::Tensor;

/// The tensors of a weight file, by name.
#[derive(Clone, Debug, Default)]
pub struct Tensors {
    path: PathBuf,
    list: BTreeMap<String, Tensor>,
    unread: BTreeMap<String, Unread>,
    state_dicts: StateDicts,
    notes: Vec<String>,
    /// The place of each name in the file, if that means something.
    order: BTreeMap<String, usize>,
    /// The names in the file, of what was renamed.
    original: BTreeMap<String, String>,
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

    /// Adds the order of the names in the file: that of a network's layers.
    pub(super) fn in_order(self, order: Vec<String>) -> Tensors {
        Tensors { order: order.into_iter().enumerate().map(|(at, name)| (name, at)).collect(), ..self }
    }

    /// The place of a name in the file; `None` if that means nothing.
    pub(super) fn position(&self, name: &str) -> Option<usize> {
        self.order.get(name).copied()
    }

    /// The name of a tensor in the file.
    pub(super) fn original<'n>(&'n self, name: &'n str) -> &'n str {
        self.original.get(name).map_or(name, String::as_str)
    }

    /// The same tensors under other names.
    pub fn renamed(mut self, renames: &[Rename]) -> Result<Tensors, WeightsError> {
        if renames.is_empty() {
            return Ok(self);
        }
        let names: Vec<&str> = self.list.keys().chain(self.unread.keys()).map(String::as_str).collect();
        let found = rename::renamed(&names, renames);
        let found = found.map_err(|reason| WeightsError::Unsupported { path: self.path.clone(), reason })?;
        let mut new: BTreeMap<String, String> = found.into_iter().map(|(old, new)| (old.to_owned(), new)).collect();
        // the optimizer's state follows its parameter
        let state = |name: &&str| {
            let of = optimized(name).filter(|_| !new.contains_key(*name))?;
            Some(((*name).to_owned(), format!("{}{}", name.strip_suffix(of)?, new.get(of)?)))
        };
        let states: Vec<(String, String)> = names.iter().filter_map(state).collect();
        new.extend(states);
        let of = |old: String| new.get(&old).cloned().unwrap_or(old);
        self.list = self.list.into_iter().map(|(name, tensor)| (of(name), tensor)).collect();
        self.unread = self.unread.into_iter().map(|(name, unread)| (of(name), unread)).collect();
        self.order = self.order.into_iter().map(|(name, at)| (of(name), at)).collect();
        self.original = new.into_iter().map(|(old, new)| (new, old)).collect();
        Ok(self)
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
        Tensors { list: inner(self.list, prefix), unread: inner(self.unread, prefix), order: inner(self.order, prefix), ..self }
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
