//! resnetc: a compiler for a declarative language of residual networks.
//!
//! Data flows one way, and the folders are its stations:
//!
//! ```text
//! source --syntax--> Ast --elaborate--> Network --check--> Checked --passes--> Checked --plan--> Plan --runtime--> tensors
//! ```

pub mod base;
pub mod ir;
pub mod syntax;
pub mod elaborate;
pub mod check;
pub mod passes;
pub mod kernels;
pub mod plan;
pub mod runtime;
pub mod data;
pub mod formats;
#[cfg(feature = "cli")]
pub mod cli;
