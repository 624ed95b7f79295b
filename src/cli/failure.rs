//! Why a command failed, and its exit code.

use std::io;

use crate::infer::InferError;

/// The exit code after Ctrl-C: 128 plus the signal's number, as in shells.
pub(super) const STOPPED: u8 = 130;

/// Why a command failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// Invalid input, for this reason.
    Input(String),
    /// Invalid input, already reported.
    Said,
    /// Invalid arguments.
    Usage(String),
    /// Stopped by Ctrl-C, already reported.
    Stopped,
    /// The reader closed the pipe.
    Pipe,
}

impl Failure {
    /// An input failure from any error.
    pub fn input(error: impl std::fmt::Display) -> Failure {
        Failure::Input(error.to_string())
    }
}

impl From<InferError> for Failure {
    fn from(error: InferError) -> Failure {
        Failure::input(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        if error.kind() == io::ErrorKind::BrokenPipe { Failure::Pipe } else { Failure::Input(format!("cannot write: {error}")) }
    }
}

/// The result of a command.
pub(super) type Done = Result<(), Failure>;
