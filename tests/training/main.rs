//! Training: gradients, the training step, its operators and passes.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[path = "../common/mod.rs"]
mod common;

mod activations;
mod engine;
mod gradients;
mod operators;
mod passes;
mod rules;
