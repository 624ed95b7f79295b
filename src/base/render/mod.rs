//! Diagnostics shown: to people with the source printed around them, to programs as a line of JSON.

mod json;
mod terminal;

pub use json::json;
pub use terminal::terminal;
