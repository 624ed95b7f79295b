//! Layers, calls and expressions of Python with PyTorch or Keras: what is written in their place.
//!
//! `parse` makes a `tree` of the text; `layers` is the table of what each layer is here, whose values `value` writes in our notation;
//! `steps` puts the statements together.

mod activations;
mod joins;
mod layer;
mod layers;
mod modules;
mod parse;
mod respell;
mod rules;
mod steps;
#[cfg(test)]
mod tests;
mod tree;
mod value;

pub use joins::{Join, join};
pub use modules::advice;
pub use parse::whole;
pub use respell::respelled;
pub use steps::{VALUES, statements};
pub use tree::Expr;
pub use value::number_of as number;
