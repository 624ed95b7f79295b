//! Limits of a source, and the version of the language.

/// The maximum size of a source, in bytes.
pub const MAX_SOURCE: usize = 4 << 20;

/// The maximum nesting depth of brackets.
pub const MAX_NESTING: usize = 64;

/// The maximum number of tokens in a source. The tree takes a few hundred bytes for each.
pub const MAX_TOKENS: usize = 500_000;

/// The maximum number of operators in an expression, which bounds the recursion depth of traversals.
pub const MAX_OPERATORS: usize = 512;

/// Parsing stops after this many errors.
pub const MAX_ERRORS: usize = 100;

/// The version of the language.
pub const VERSION: u64 = 1;
