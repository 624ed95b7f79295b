//! The table of operators, with their keys and defaults. The reference in `docs/language.md`, completion
//! and "did you mean" suggestions are based on it.

use crate::syntax::prelude;
use crate::syntax::words::{self, RESERVED, STATEMENTS};

/// A key of an operator.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// As written.
    pub name: &'static str,
    /// Its value, in words.
    pub takes: &'static str,
    /// Its default, in words; `None` if it is required.
    pub default: Option<&'static str>,
}

/// An operator as a statement.
#[derive(Clone, Copy, Debug)]
pub struct Operator {
    /// The keyword.
    pub word: &'static str,
    /// The key of a first argument without one.
    pub positional: Option<&'static str>,
    /// Its keys.
    pub keys: &'static [Key],
    /// A one-line description.
    pub doc: &'static str,
}

const fn key(name: &'static str, takes: &'static str, default: Option<&'static str>) -> Key {
    Key { name, takes, default }
}

const STRIDE: Key = key("stride", "a size", Some("1"));
const PAD_CONV: Key =
    key("padding", "a size, or [top, bottom, left, right]", Some("dilation * (kernel - 1) / 2 for an odd kernel"));
const PAD_POOL: Key =
    key("padding", "a size, or [top, bottom, left, right]", Some("(kernel - 1) / 2 for an odd kernel, 0 for an even one"));
const PAD_MAX: Key = key(
    "padding",
    "a size, or [top, bottom, left, right]",
    Some("dilation * (kernel - 1) / 2 for an odd kernel, 0 for an even one"),
);
const CEIL: Key = key("ceil_mode", "true or false", Some("false"));

/// All operators, grouped by function.
pub const OPERATORS: &[Operator] = &[
    Operator {
        word: "conv",
        positional: Some("kernel"),
        keys: &[
            key("kernel", "a size", None),
            key("filters", "a whole number", None),
            STRIDE,
            PAD_CONV,
            key("dilation", "a size", Some("1")),
            key("groups", "a whole number", Some("1")),
            key("bias", "true or false", Some("false")),
        ],
        doc: "Convolution.",
    },
    Operator {
        word: "batchnorm",
        positional: None,
        keys: &[key("eps", "a number", Some("1e-5")), key("momentum", "a number", Some("0.1"))],
        doc: "Batch normalization (Ioffe and Szegedy 2015).",
    },
    Operator {
        word: "maxpool",
        positional: Some("kernel"),
        keys: &[
            key("kernel", "a size, or `global`", None),
            key("stride", "a size", Some("the kernel")),
            PAD_MAX,
            key("dilation", "a size", Some("1")),
            CEIL,
        ],
        doc: "Largest value of each window; padding never wins. Of the whole feature map with `global`.",
    },
    Operator {
        word: "avgpool",
        positional: Some("kernel"),
        keys: &[
            key("kernel", "a size, or `global`", Some("none, where `output_size` is given")),
            key("output_size", "a size", Some("none")),
            key("stride", "a size", Some("the kernel")),
            PAD_POOL,
            CEIL,
            key("count_include_pad", "true or false", Some("true")),
        ],
        doc: "Mean of each window; of the whole feature map with `global`; to a fixed size with `output_size`.",
    },
    Operator {
        word: "linear",
        positional: Some("features"),
        keys: &[key("features", "a whole number", None), key("bias", "true or false", Some("true"))],
        doc: "Fully connected; a feature map is flattened first.",
    },
    Operator { word: "flatten", positional: None, keys: &[], doc: "A feature map to a vector." },
    Operator {
        word: "softmax",
        positional: None,
        keys: &[],
        doc: "Softmax over the features, or the channels of a feature map.",
    },
    Operator {
        word: "dropout",
        positional: Some("rate"),
        keys: &[key("rate", "a number from 0 to 1", Some("0.5"))],
        doc: "Dropout; nothing in inference.",
    },
    Operator {
        word: "pad",
        positional: Some("sides"),
        keys: &[
            key("sides", "a size, or [top, bottom, left, right]", Some("0")),
            key("channels", "[before, after]", Some("[0, 0]")),
            key("mode", "zeros, reflect or replicate", Some("zeros")),
        ],
        doc: "Zeros around the feature map and the channels; or around the map its values reflected at the border (`reflect`), or the border's values repeated (`replicate`): PyTorch's `F.pad`.",
    },
    Operator {
        word: "subsample",
        positional: Some("stride"),
        keys: &[key("stride", "a size", None)],
        doc: "Every stride-th row and column, from the first.",
    },
    Operator {
        word: "upsample",
        positional: Some("mode"),
        keys: &[
            key("mode", "`nearest`", Some("nearest")),
            key("scale_factor", "a size", Some("none, where `like` is given")),
            key("like", "a label", Some("none")),
        ],
        doc: "A larger feature map: `scale_factor` times the rows and columns, or as many as another value has (PyTorch's `interpolate`).",
    },
    Operator {
        word: "add",
        positional: None,
        keys: &[key("project_from", "a label", Some("the block's input"))],
        doc: "`add shortcut`, or `add LABEL, …`: the sum of the current value and those.",
    },
    Operator {
        word: "mul",
        positional: None,
        keys: &[],
        doc: "`mul LABEL`: the product, element by element or channel by channel.",
    },
    Operator {
        word: "concat",
        positional: None,
        keys: &[],
        doc: "`concat LABEL, …`: the current value's channels, then theirs.",
    },
];

/// The operator with this keyword.
pub fn find(word: &str) -> Option<&'static Operator> {
    OPERATORS.iter().find(|op| op.word == word)
}

/// Whether the word is a join, which `join` builds.
pub(super) fn is_join(word: &str) -> bool {
    matches!(word, "add" | "mul" | "concat")
}

/// The activations that no block or function can replace, since every reader relies on what they mean.
const FIXED: [&str; 3] = ["clamp", "relu", "sigmoid"];

/// Whether a name is reserved, so that no block or parameter can have it.
pub fn is_reserved(name: &str) -> bool {
    find(name).is_some() || FIXED.contains(&name) || STATEMENTS.contains(&name) || words::is_reserved(name)
}

/// All words that can start a statement in a body.
pub(super) fn statement_words() -> impl Iterator<Item = &'static str> {
    let activations = prelude::activations().iter().map(|activation| activation.name);
    OPERATORS.iter().map(|op| op.word).chain(activations).chain(STATEMENTS.iter().chain(RESERVED).copied())
}
