//! The command line: one file a subcommand. Only this folder prints, reads arguments or exits.
#![allow(clippy::print_stdout, clippy::print_stderr)] // the command's own output

use std::process::ExitCode;

/// Runs the command named by the process's arguments, and returns its exit code.
pub fn main() -> ExitCode {
    ExitCode::from(2)
}
