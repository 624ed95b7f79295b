//! The one table of diagnostic codes. `resnetc explain CODE` prints the page; a test holds that each code has one.

use super::diagnostic::Code;

/// A code with its title and page.
#[derive(Clone, Copy, Debug)]
pub struct CodeInfo {
    /// The code.
    pub code: Code,
    /// One line.
    pub title: &'static str,
    /// `docs/errors/CODE.md`.
    pub page: &'static str,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $title:literal;)*) => {
        $($(#[$doc])* #[doc = $title] pub const $name: Code = Code($code);)*

        /// Every code, in order.
        pub const ALL: &[CodeInfo] = &[
            $(CodeInfo {
                code: $name,
                title: $title,
                page: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/errors/", $code, ".md")),
            },)*
        ];
    };
}

codes! {
    // E00xx: reading and syntax
    SYNTAX = "E0001", "the text does not parse here";
}

/// The entry of a code, looked up by its text (`E0301`, in either case).
pub fn find(code: &str) -> Option<&'static CodeInfo> {
    ALL.iter().find(|info| info.code.0.eq_ignore_ascii_case(code))
}
