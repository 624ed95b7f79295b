//! The language: what parses, what is checked, what is reported, and the networks of `models/`.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[path = "../common/source.rs"]
mod source;

mod cases;
mod models;
mod parser;
mod rendered;
mod sizes;
mod suggestions;
