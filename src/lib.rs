//! A compiler for a declarative language for residual networks, and a fast CPU runtime for the result.
//!
//! A `.resnet` file states stages, filter doubling and shortcuts, and reads like the tables of "Deep Residual Learning for Image
//! Recognition" (He et al. 2016). The `resnetc` command checks, trains, evaluates and converts such networks; this library runs
//! them in your program.
//!
//! - [`Classifier`]: an image in, named classes out.
//! - [`compile`] or [`Model::load`], then [`Model::session`] and [`Session::run`]: arrays in, arrays out.
//! - [`Network::open`]: shapes, parameters, multiply-adds and the graph as text, without weights.
//!
//! ```
//! use resnetc::Classifier;
//!
//! # #[cfg(feature = "image")]
//! # fn main() -> Result<(), resnetc::Error> {
//! let mut classifier = Classifier::load("models/fashion.resnet")?;
//! let best = classifier.classify_file("tests/data/ankle-boot.png", 1)?;
//! assert_eq!(best[0].class, "Ankle boot");
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "image"))]
//! # fn main() {}
//! ```
//!
//! Invalid external input (source, weights, artifact, image) returns an [`Error`], never a panic. The same input, instruction set and
//! thread count give the same bits.
//!
//! # Features
//!
//! - `image`: decoding of JPEG, PNG, WebP, GIF, BMP and TIFF.
//! - `onnx`: networks from and to ONNX files, for the command.
//! - `cli` (default): the `resnetc` command, with both.
//!
//! Without any, the core remains: parser, checker, planner, kernels, weights.

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
    pub mod elementwise;
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
    base, check, data, driver, elaborate, elementwise, formats, grad, infer, ir, kernels, passes, plan, runtime, syntax, train,
};
#[cfg(feature = "cli")]
use internal::{cli, decompile, eval, torch, view};

/// The crate of the input and output arrays, in the version that this crate is built with.
pub use ndarray;

pub use api::{
    Classifier, CompileOptions, Diagnostic, Error, ErrorKind, Image, LayerSummary, Model, Network, Prediction, Session,
    SessionOptions, Severity, Summary, Weights, compile,
};
pub use runtime::{OutputArray, Outputs};

/// The programs of the book are compiled and run as documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../docs/howto/rust.md")]
struct Book;
