//! What the compiler knows about each operator beyond its meaning: how it is declared, a file for each family, and facts.

mod channel_conv;
mod conv;
mod conv_transpose;
mod elementwise;
mod facts;
mod linear;
mod norm;
mod pool;
mod rearrange;
mod reduce;
mod schema;
mod shape;
mod table;
mod train_facts;
mod upsample;
mod value;

pub use facts::Arity;
pub use schema::{Alone, Attribute, DefaultValue, Kind, Operands, Operator, Rule, Schema, Shown};
pub use table::{Given, find, operators};
pub use value::{AttrValue, Attributes, Invalid};
