//! What the compiler knows about each operator beyond its attributes.

mod facts;
mod train_facts;

pub use facts::Arity;
