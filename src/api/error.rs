//! The one error type, and diagnostics as plain data.

use std::error::Error as StdError;
use std::fmt;

use crate::base::diagnostic;
use crate::base::render;
use crate::base::source::SourceMap;
#[cfg(feature = "image")]
use crate::data::ImageError;
use crate::driver::{CompileError, SelectError};
use crate::elaborate::ReadError;
use crate::formats::artifact::ArtifactError;
use crate::infer::{ClassifyError, InferError};
use crate::runtime::RunError;

/// What kind of failure an [`Error`] is. Use it to decide what to do; show the error itself to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A file cannot be read, or is not what its place requires.
    File,
    /// The source has errors, or has no such network: see [`Error::diagnostics`].
    Source,
    /// The weights are missing or do not fit the network.
    Weights,
    /// An input array or image does not fit the network.
    Input,
    /// The network's scores are NaN or infinite.
    NotFinite,
    /// Too little memory, or a thread that cannot be started.
    Resources,
    /// A bug in resnetc. Please report it.
    Internal,
}

/// Why an operation failed.
///
/// `Display` gives the message; for errors in a source it includes the lines concerned, as the command line shows them.
pub struct Error {
    kind: ErrorKind,
    diagnostics: Vec<Diagnostic>,
    inner: Box<dyn StdError + Send + Sync>,
}

impl Error {
    /// What kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The errors and warnings of the source. Empty for failures that do not concern one.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    pub(super) fn new(kind: ErrorKind, inner: impl Into<Box<dyn StdError + Send + Sync>>) -> Error {
        Error { kind, diagnostics: Vec::new(), inner: inner.into() }
    }

    pub(super) fn source(list: &[diagnostic::Diagnostic], sources: &SourceMap) -> Error {
        let rendered = render::terminal(list, sources, false);
        Error { diagnostics: Diagnostic::list(list, sources), ..Error::new(ErrorKind::Source, rendered) }
    }

    pub(super) fn read(error: ReadError) -> Error {
        match error {
            ReadError::Artifact { path } => {
                let hint = format!("`{}` is an artifact, not a source: load it with `Model::load`", path.display());
                Error::new(ErrorKind::File, hint)
            }
            error => Error::new(ErrorKind::File, error),
        }
    }

    /// An error while weights are read and bound.
    pub(super) fn weights(error: CompileError, sources: &SourceMap) -> Error {
        match error {
            CompileError::Source { diagnostics, .. } => {
                Error { kind: ErrorKind::Weights, ..Error::source(&diagnostics, sources) }
            }
            CompileError::Init(error) => Error::run(error),
            CompileError::Read(error) => Error::read(error),
            CompileError::Select(error) => Error::select(error),
            CompileError::Weights(_) | CompileError::NoWeights { .. } | CompileError::Param(_) => {
                Error::new(ErrorKind::Weights, error)
            }
        }
    }

    pub(super) fn classify(error: ClassifyError) -> Error {
        match error {
            ClassifyError::Infer(InferError::Run(error)) => Error::run(error),
            #[cfg(feature = "image")]
            ClassifyError::Image(error) => Error::image(error),
            ClassifyError::NotFinite(_) => Error::new(ErrorKind::NotFinite, error),
            error => Error::new(ErrorKind::Input, error),
        }
    }

    #[cfg(feature = "image")]
    pub(super) fn image(error: ImageError) -> Error {
        let kind = if let ImageError::Io { .. } = error { ErrorKind::File } else { ErrorKind::Input };
        Error::new(kind, error)
    }

    pub(super) fn artifact(error: ArtifactError) -> Error {
        match error {
            ArtifactError::NotAnArtifact { path } => {
                let hint = format!("`{}` is not an artifact: compile a source with `compile`", path.display());
                Error::new(ErrorKind::File, hint)
            }
            error => Error::new(ErrorKind::File, error),
        }
    }

    pub(super) fn select(error: SelectError) -> Error {
        match error {
            SelectError::Several { file, list } => {
                let message = format!("{file} has several networks; select one with `CompileOptions::network`: {list}");
                Error::new(ErrorKind::Source, message)
            }
            error => Error::new(ErrorKind::Source, error),
        }
    }

    pub(super) fn run(error: RunError) -> Error {
        let kind = match &error {
            RunError::UnknownInput { .. }
            | RunError::MissingInput { .. }
            | RunError::RepeatedInput { .. }
            | RunError::InputShape { .. }
            | RunError::Disagree { .. }
            | RunError::EmptyBatch { .. }
            | RunError::Size(_) => ErrorKind::Input,
            RunError::Isa(_) | RunError::Memory { .. } | RunError::ParamMemory { .. } | RunError::Threads(_) => {
                ErrorKind::Resources
            }
            RunError::Plan(_) => ErrorKind::Input,
            RunError::Param(_) | RunError::PackedWeight { .. } => ErrorKind::Weights,
            RunError::Panicked { .. } | RunError::Internal(_) => ErrorKind::Internal,
        };
        Error::new(kind, error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

/// As `Display`, so that an error that leaves `main` is readable.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.inner.source()
    }
}

/// How serious a diagnostic is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Severity {
    /// The source is rejected.
    Error,
    /// The source is accepted.
    Warning,
}

/// An error or a warning about a source.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// The stable code, such as `E0301`: `resnetc explain E0301` prints its page.
    pub code: &'static str,
    /// The problem, in one line.
    pub message: String,
    /// The file.
    pub file: String,
    /// Where the problem starts: the line, from 1.
    pub line: usize,
    /// Where the problem starts: the character in the line, from 1.
    pub column: usize,
    /// The diagnostic as the command line shows it, with lines of the source and proposed fixes.
    pub rendered: String,
}

impl Diagnostic {
    pub(super) fn list(list: &[diagnostic::Diagnostic], sources: &SourceMap) -> Vec<Diagnostic> {
        render::in_order(list).into_iter().map(|diag| Diagnostic::new(diag, sources)).collect()
    }

    fn new(diag: &diagnostic::Diagnostic, sources: &SourceMap) -> Diagnostic {
        let span = diag.span();
        let (line, column) = sources.line_column(span.file, span.start);
        Diagnostic {
            severity: match diag.severity {
                diagnostic::Severity::Error => Severity::Error,
                diagnostic::Severity::Warning => Severity::Warning,
            },
            code: diag.code.0,
            message: diag.message.clone(),
            file: sources.file(span.file).name.clone(),
            line,
            column,
            rendered: render::terminal(std::slice::from_ref(diag), sources, false),
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rendered)
    }
}
