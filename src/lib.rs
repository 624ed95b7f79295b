//! resnetc: a compiler for a declarative language of residual networks.
//!
//! Data flows one way, and the folders are its stations:
//!
//! ```text
//! source --syntax--> Ast --elaborate--> Network --check--> Checked --passes--> Checked --plan--> Plan --runtime--> tensors
//! ```

pub mod base;
pub mod check;
#[cfg(feature = "cli")]
pub mod cli;
pub mod data;
pub mod driver;
pub mod elaborate;
pub mod formats;
pub mod ir;
pub mod kernels;
pub mod passes;
pub mod plan;
pub mod runtime;
pub mod syntax;
