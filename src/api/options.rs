//! Options of compilation and of sessions.

use std::path::PathBuf;

use super::error::{Error, ErrorKind};
use crate::driver;
use crate::runtime;

/// The maximum number of threads of a session.
const MAX_THREADS: usize = 1024;

/// Where the parameters of a network come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Weights {
    /// The file that the source names (`weights "…"`).
    #[default]
    Named,
    /// A safetensors, PyTorch or NumPy file.
    File(PathBuf),
    /// Random parameters by He initialization, with a seed. The same seed gives the same values.
    Init(u64),
}

/// Options of [`compile`](crate::compile) and [`Network::open`](crate::Network::open).
///
/// ```
/// use resnetc::{CompileOptions, Weights};
///
/// let options = CompileOptions::default().network("resnet20").set("classes", "100").weights(Weights::Init(1));
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct CompileOptions {
    /// Which network, if the file has several.
    pub network: Option<String>,
    /// Values for parameters of the network, as expressions of the language: `("classes", "10")`.
    pub set: Vec<(String, String)>,
    /// Where the parameters come from.
    pub weights: Weights,
    /// Other names for tensors of the weight file, as `--rename OLD=NEW` gives them: `("fc.1", "fc")`.
    pub rename: Vec<(String, String)>,
}

impl CompileOptions {
    /// Selects a network of the file.
    #[must_use]
    pub fn network(mut self, name: impl Into<String>) -> Self {
        self.network = Some(name.into());
        self
    }

    /// Gives a parameter of the network a value, written as in the language. May be repeated.
    #[must_use]
    pub fn set(mut self, parameter: impl Into<String>, value: impl Into<String>) -> Self {
        self.set.push((parameter.into(), value.into()));
        self
    }

    /// Selects where the parameters come from.
    #[must_use]
    pub fn weights(mut self, weights: Weights) -> Self {
        self.weights = weights;
        self
    }

    /// Renames a tensor of the weight file, and all whose names begin with `old` and a dot: `("fc.1", "fc")` makes `fc.weight` of
    /// `fc.1.weight`. May be repeated.
    #[must_use]
    pub fn rename(mut self, old: impl Into<String>, new: impl Into<String>) -> Self {
        self.rename.push((old.into(), new.into()));
        self
    }
}

impl Weights {
    pub(super) fn lower(&self) -> driver::Weights {
        match self {
            Weights::Named => driver::Weights::Named,
            Weights::File(path) => driver::Weights::File(path.clone()),
            Weights::Init(seed) => driver::Weights::Init(*seed),
        }
    }
}

/// Options of [`Model::session_with`](crate::Model::session_with).
///
/// ```
/// use resnetc::SessionOptions;
///
/// let options = SessionOptions::default().threads(1);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionOptions {
    /// Number of threads, including the calling one, from 1 to 1024. By default as many as the process may use: CPU affinity and cgroup limits
    /// are respected.
    pub threads: Option<usize>,
}

impl SessionOptions {
    /// Sets the number of threads, including the calling one, from 1 to 1024.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads);
        self
    }

    pub(super) fn lower(self) -> Result<runtime::SessionOptions, Error> {
        let defaults = runtime::SessionOptions::default();
        match self.threads {
            None => Ok(defaults),
            Some(threads @ 1..=MAX_THREADS) => Ok(runtime::SessionOptions { threads, ..defaults }),
            Some(threads) => {
                let message = format!("a session has 1 to {MAX_THREADS} threads, not {threads}");
                Err(Error::new(ErrorKind::Resources, message))
            }
        }
    }
}
