//! Output: standard output without panics on closed pipes, diagnostics in color or as JSON, and errors.

use std::collections::HashSet;
use std::io::{self, BufWriter, IsTerminal, Stdout, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::args::{Color, Format, Global};
use super::failure::{Done, Failure, STOPPED};
use crate::base::diagnostic::Diagnostic;
use crate::base::file::{probe, real_path, write_atomically};
use crate::base::render;
use crate::base::source::SourceMap;

/// Writes a file atomically.
pub(super) fn save(path: &Path, bytes: &[u8]) -> Done {
    write_atomically(path, |out| out.write_all(bytes))
        .map_err(|error: io::Error| Failure::Input(format!("cannot write `{}`: {error}", path.display())))
}

/// Checks, before the long work starts, that files are writable, distinct, and not among the files that are read.
pub(super) fn writable<'a>(paths: impl IntoIterator<Item = &'a Path>, read: &[PathBuf]) -> Done {
    let read: HashSet<PathBuf> = read.iter().filter_map(|path| real_path(path)).collect();
    let mut written = HashSet::new();
    for path in paths {
        let real = real_path(path);
        if real.as_ref().is_some_and(|real| read.contains(real)) {
            return Err(Failure::Usage(format!("`{}` is also an input: name another output file", path.display())));
        }
        if real.is_some_and(|real| !written.insert(real)) {
            return Err(Failure::Usage(format!("`{}` would be written twice: name different output files", path.display())));
        }
        probe(path).map_err(|error| Failure::Input(format!("cannot write `{}`: {error}", path.display())))?;
    }
    Ok(())
}

/// Standard output, and whether messages on standard error are colored.
pub(super) struct Out {
    stream: BufWriter<Stdout>,
    color_err: bool,
    /// Whether messages are lines of JSON too.
    json: bool,
}

impl Out {
    pub fn new(global: &Global, format: Format) -> Out {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
        let on = |terminal: bool| match global.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && !plain,
        };
        Out { stream: BufWriter::new(io::stdout()), color_err: on(io::stderr().is_terminal()), json: format == Format::Json }
    }

    /// Writes a line.
    pub fn line(&mut self, text: impl std::fmt::Display) -> Done {
        Ok(writeln!(self.stream, "{text}")?)
    }

    /// Writes text without adding a newline.
    pub fn text(&mut self, text: &str) -> Done {
        Ok(self.stream.write_all(text.as_bytes())?)
    }

    /// Flushes the buffer.
    pub fn flush(&mut self) -> Done {
        Ok(self.stream.flush()?)
    }

    /// Writes a line to standard error.
    pub fn note(&self, text: impl std::fmt::Display) {
        let text = text.to_string();
        let _ = match self.json {
            true => writeln!(io::stderr(), "{}", json_line(&text)),
            false => writeln!(io::stderr(), "{text}"),
        };
    }

    /// Prints an error unless it was already reported, and returns the exit code.
    pub fn failure(&self, failure: Failure) -> ExitCode {
        let (text, code) = match failure {
            Failure::Input(text) => (text, 1),
            Failure::Usage(text) => (text, 2),
            Failure::Said => return ExitCode::from(1),
            Failure::Stopped => return ExitCode::from(STOPPED),
            Failure::Pipe => return ExitCode::SUCCESS,
        };
        if self.json {
            self.note(format_args!("error: {text}"));
            return ExitCode::from(code);
        }
        let (start, end) = if self.color_err { ("\x1b[1;31m", "\x1b[0m") } else { ("", "") };
        // fails only if standard error is closed: then nothing can be reported
        let _ = writeln!(io::stderr(), "{start}error{end}: {text}");
        ExitCode::from(code)
    }

    /// Shows diagnostics on standard error; where they are the command's result in JSON, on standard output.
    pub fn diagnostics(&mut self, diags: &[Diagnostic], sources: &SourceMap, format: Format) -> Done {
        match format {
            Format::Text if self.json => {
                self.flush()?;
                for line in render::json_lines(diags, sources) {
                    let _ = writeln!(io::stderr(), "{line}");
                }
            }
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

/// A message as a line of JSON: an error, a warning or a note, as its first word says.
pub(super) fn json_line(text: &str) -> String {
    let (level, message) = ["error", "warning", "note"]
        .into_iter()
        .find_map(|level| Some((level, text.strip_prefix(level)?.strip_prefix(": ")?)))
        .unwrap_or(("note", text));
    render::json_message(level, message, text)
}
