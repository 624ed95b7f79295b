//! resnetc: a compiler for a declarative language for residual networks, and a CPU runtime for the result.
//!
//! A `.resnet` file states stages, filter doubling and shortcuts, and reads like the tables of "Deep Residual Learning for
//! Image Recognition" (He et al. 2016). Data flows in one direction through the modules:
//!
//! ```text
//! source --syntax--> Ast --elaborate--> Network --check--> Checked --passes--> Optimized --plan--> Plan --runtime--> tensors
//! ```
//!
//! - [`syntax`] parses the text; [`elaborate`] expands blocks and stages into a graph ([`ir`]).
//! - [`check`] infers every shape with the one shape rule ([`ir::infer`](ir::infer())), checks the design rules and `expect`
//!   lines, and returns a side table; it never changes the graph.
//! - [`ir::Canonical`] is what [`passes`] and [`grad`] start from: each later phase of a network has its own type. Passes fold and fuse
//!   nodes; [`plan`] chooses a kernel and a memory location for each node, as plain data.
//! - [`runtime`] binds parameters and runs plans. [`runtime::interp`] is the reference interpreter: it evaluates operators by
//!   their definition, and everything else is tested against it.
//! - [`decompile`] works in reverse: from a graph without structure to structured source.
//! - [`torch`] generates PyTorch source, and the recipe as a training script for it.
//! - [`formats`] reads weights and artifacts, [`data`] reads images; `view` renders a network as a web page; [`driver`]
//!   connects all of them.
//! - [`infer`] classifies images; [`eval`] measures accuracy over a dataset.
//!
//! Most programs need [`Classifier`], or [`compile`] (or [`Model::load`]), [`Model::session`] and [`Session::run`].
//!
//! # Invariants
//!
//! A module only imports modules before it in the flow. Only the command line prints. Invalid external input (source, weights,
//! artifact, image) returns an `Err`, never a panic. The same input and thread count give the same bits.
//!
//! # Features
//!
//! `cli` (default): the `resnetc` command. `image`: JPEG and PNG decoding. Without either, the core remains: parser, checker,
//! planner, kernels, weights.

mod api;

/// The parts of the compiler, for the command line, tests and benchmarks. Not part of the public API: anything here may change in
/// any release.
#[doc(hidden)]
#[path = "."]
pub mod internal {
    pub mod base;
    pub mod check;
    #[cfg(feature = "cli")]
    pub mod cli;
    pub mod data;
    pub mod decompile;
    pub mod driver;
    pub mod elaborate;
    pub mod eval;
    pub mod formats;
    pub mod grad;
    pub mod infer;
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
}

// within the crate, `crate::ir` is `crate::internal::ir`
use internal::{
    base, check, data, decompile, driver, elaborate, eval, formats, grad, infer, ir, kernels, passes, plan, runtime, syntax,
    torch, train,
};
#[cfg(feature = "cli")]
use internal::{cli, view};

/// The crate of the input and output arrays, in the version that this crate is built with.
pub use ndarray;

pub use api::{
    Classifier, CompileOptions, Diagnostic, Error, ErrorKind, Image, LayerSummary, Model, Network, Prediction, Session,
    SessionOptions, Severity, Summary, Weights, compile,
};
pub use runtime::Outputs;

/// The programs of the book are compiled and run as documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../docs/howto/rust.md")]
struct Book;
