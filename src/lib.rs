//! resnetc: a compiler for a declarative language of residual networks, and a CPU runtime for what it compiles.
//!
//! A `.resnet` file states stages, filter doubling and shortcuts, and reads like the tables of "Deep Residual Learning for Image
//! Recognition" (He et al. 2016). Data flows one way, and the folders are its stations:
//!
//! ```text
//! source --syntax--> Ast --elaborate--> Network --check--> Checked --passes--> Checked --plan--> Plan --runtime--> tensors
//! ```
//!
//! - [`syntax`] reads the text; [`elaborate`] expands blocks and stages into a graph ([`ir`]).
//! - [`check`] infers every shape by the one rule ([`ir::infer`](ir::infer())), holds the design rules and the `expect` lines, and
//!   yields a side table: it changes no graph.
//! - [`passes`] fold and fuse; [`plan`] chooses a kernel and a place in memory for each node, as plain data.
//! - [`runtime`] binds parameters and runs plans. [`runtime::interp`] computes the same by definition, and is what all else is held
//!   against.
//! - [`decompile`] goes the other way: from a graph without structure to the source of one with it.
//! - [`torch`] writes PyTorch source, and the recipe as a script for it.
//! - [`formats`] reads weights and artifacts, [`data`] images; `view` makes a page of a network; [`driver`] is the way through all
//!   of them.
//!
//! Most programs need [`compile`] (or [`Model::load`]), [`Model::session`] and [`Session::run`].
//!
//! # Invariants
//!
//! A folder imports only from those before it in the flow. Nothing but the command line prints. Whatever comes from outside
//! (source, weights, artifact, image) is an `Err` when it is wrong, never a panic. The same input and thread count give the
//! same bits.
//!
//! # Features
//!
//! `cli` (default): the command `resnetc`. `image`: decoding JPEG and PNG. With neither, the core remains: parser, checker,
//! planner, kernels, weights.

pub mod base;
pub mod check;
#[cfg(feature = "cli")]
pub mod cli;
pub mod data;
pub mod decompile;
pub mod driver;
pub mod elaborate;
pub mod formats;
pub mod grad;
pub mod ir;
pub mod kernels;
pub mod passes;
pub mod plan;
pub mod runtime;
pub mod syntax;
pub mod torch;
pub mod train;
#[cfg(feature = "cli")]
pub mod view;

pub use driver::{CompileError, CompileOptions, Weights, compile};
pub use runtime::{Model, Outputs, Session, SessionOptions};
