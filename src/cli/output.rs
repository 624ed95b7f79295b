//! Writing: standard output without panics on closed pipes, diagnostics in color or as JSON, failures and their exit codes.

use std::collections::HashSet;
use std::io::{self, BufWriter, IsTerminal, Stdout, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::args::{Color, Format, Global};
use crate::base::diagnostic::Diagnostic;
use crate::base::file::{probe, real_path, write_atomically};
use crate::base::render;
use crate::base::source::SourceMap;

/// The exit code of what Ctrl-C ended: 128 and the signal's number, as shells have it.
pub(super) const STOPPED: u8 = 130;

/// Writes a file that a command was asked for, whole or not at all.
pub(super) fn save(path: &Path, bytes: &[u8]) -> Done {
    write_atomically(path, |out| out.write_all(bytes))
        .map_err(|error: io::Error| Failure::Input(format!("cannot write `{}`: {error}", path.display())))
}

/// Holds, before any work, that files can be written, that they are different ones, and that none is among those that are read.
pub(super) fn writable<'a>(paths: impl IntoIterator<Item = &'a Path>, read: &[PathBuf]) -> Done {
    let read: HashSet<PathBuf> = read.iter().filter_map(|path| real_path(path)).collect();
    let mut written = HashSet::new();
    for path in paths {
        let real = real_path(path);
        if real.as_ref().is_some_and(|real| read.contains(real)) {
            return Err(Failure::Usage(format!("`{}` is what is read: name another file to write", path.display())));
        }
        if real.is_some_and(|real| !written.insert(real)) {
            return Err(Failure::Usage(format!("`{}` would be written twice: name another file", path.display())));
        }
        probe(path).map_err(|error| Failure::Input(format!("cannot write `{}`: {error}", path.display())))?;
    }
    Ok(())
}

/// Why a command ends early.
#[derive(Debug)]
pub(super) enum Failure {
    /// The input is wrong, for the reason given.
    Input(String),
    /// The input is wrong, and all is said.
    Said,
    /// The arguments do not go together.
    Usage(String),
    /// Ctrl-C ended it, and all is said.
    Stopped,
    /// Nobody reads what is written.
    Pipe,
}

impl Failure {
    /// An input failure from any error.
    pub fn input(error: impl std::fmt::Display) -> Failure {
        Failure::Input(error.to_string())
    }

    /// Says what is left to say, and gives the exit code.
    pub fn report(self, out: &Out) -> ExitCode {
        let (text, code) = match self {
            Failure::Input(text) => (text, 1),
            Failure::Usage(text) => (text, 2),
            Failure::Said => return ExitCode::from(1),
            Failure::Stopped => return ExitCode::from(STOPPED),
            Failure::Pipe => return ExitCode::SUCCESS,
        };
        let (start, end) = if out.color_err { ("\x1b[1;31m", "\x1b[0m") } else { ("", "") };
        // where standard error is closed there is nobody to tell
        let _ = writeln!(io::stderr(), "{start}error{end}: {text}");
        ExitCode::from(code)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        if error.kind() == io::ErrorKind::BrokenPipe { Failure::Pipe } else { Failure::Input(format!("cannot write: {error}")) }
    }
}

pub(super) type Done = Result<(), Failure>;

/// Standard output, and what is known of both streams.
pub(super) struct Out {
    stream: BufWriter<Stdout>,
    color_err: bool,
}

impl Out {
    pub fn new(global: &Global) -> Out {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
        let on = |terminal: bool| match global.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && !plain,
        };
        Out { stream: BufWriter::new(io::stdout()), color_err: on(io::stderr().is_terminal()) }
    }

    /// Writes a line.
    pub fn line(&mut self, text: impl std::fmt::Display) -> Done {
        Ok(writeln!(self.stream, "{text}")?)
    }

    /// Writes a text as it is.
    pub fn text(&mut self, text: &str) -> Done {
        Ok(self.stream.write_all(text.as_bytes())?)
    }

    /// Sends what was written.
    pub fn flush(&mut self) -> Done {
        Ok(self.stream.flush()?)
    }

    /// Says something that is no answer: to standard error.
    pub fn note(&self, text: impl std::fmt::Display) {
        let _ = writeln!(io::stderr(), "{text}");
    }

    /// Shows diagnostics: for people on standard error, as JSON lines on standard output.
    pub fn diagnostics(&mut self, diags: &[Diagnostic], sources: &SourceMap, format: Format) -> Done {
        match format {
            Format::Text => {
                if !diags.is_empty() {
                    self.flush()?;
                    let text = render::terminal(diags, sources, self.color_err);
                    let _ = io::stderr().write_all(text.as_bytes());
                }
            }
            Format::Json => {
                for line in render::json_lines(diags, sources) {
                    self.line(line)?;
                }
            }
        }
        Ok(())
    }
}
