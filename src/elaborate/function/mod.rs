//! Elementwise functions: `elementwise NAME(x, …) = EXPRESSION`, and the expression of an `apply`.
//!
//! A function is checked where it is declared ([`check`]). Its [`signature`] says what a call gives; [`translate`] makes a program
//! of its expression, with the numbers of the call, and inlines the functions that it calls.

mod call;
mod check;
mod functions;
pub(super) mod primitive;
pub(super) mod signature;
mod term;
mod translate;

pub(super) use check::{Compiled, all};
pub(super) use functions::Functions;
pub(super) use signature::{Parameter, Role, Signature};
