//! From source text to a spanned `Ast`. The only code that sees pest's `Rule`.
