//! From source text to a spanned [`ast`]. The only code that sees pest's `Rule`.

pub mod ast;
