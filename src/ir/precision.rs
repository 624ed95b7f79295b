//! The precision of a layer: how many digits it takes its operands in, and stores its result in.

use serde::{Deserialize, Serialize};

/// The numbers that a layer reads and stores. A layer takes its operands in its precision, and stores its result in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// IEEE 754 binary32, 24 bits of precision.
    #[default]
    F32,
    /// The upper half of a binary32, 8 bits of precision. Products are summed in f32, and the sum is rounded once.
    Bf16,
    /// Integers of 8 bits with a scale. Products are summed exactly.
    Int8,
}

impl Precision {
    /// All of them, the most precise first.
    pub const ALL: [Precision; 3] = [Precision::F32, Precision::Bf16, Precision::Int8];

    /// Its word in the language.
    pub fn word(self) -> &'static str {
        match self {
            Precision::F32 => "f32",
            Precision::Bf16 => "bf16",
            Precision::Int8 => "int8",
        }
    }

    /// The one with this word.
    pub fn named(word: &str) -> Option<Precision> {
        Precision::ALL.into_iter().find(|precision| precision.word() == word)
    }
}
