//! The repository itself: its architecture, README and docs.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[path = "../common/command.rs"]
mod command;

mod architecture;
mod book;
mod docs;
mod imports;
mod public_api;
mod readme;
mod stability;
mod support;
