//! The command, end to end.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[path = "../common/command.rs"]
mod command;
#[path = "../common/tiny.rs"]
mod tiny;

mod bad_input;
mod cifar;
mod convert;
mod eval;
mod files;
mod first_use;
mod messages;
mod precision;
mod profile;
mod resume;
mod run;
mod runs;
mod source;
mod train;
mod view;
