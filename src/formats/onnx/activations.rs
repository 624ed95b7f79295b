//! The operators of ONNX that compute a function of the language's library.

use crate::elaborate::prelude;
use crate::ir::Elementwise;

/// An operator of ONNX, and the function that it computes.
pub(super) struct Activation {
    /// Its name in ONNX.
    pub op: &'static str,
    /// The opset from which on it exists.
    pub since: i64,
    /// The function's name in the language.
    pub function: &'static str,
    /// Its attributes that are numbers of the function: the names there and here, and the default there.
    pub numbers: &'static [(&'static str, &'static str, f32)],
    /// Its attributes with the values for which it computes the function, and whether that is the default.
    pub fixed: &'static [(&'static str, f32, bool)],
    /// Its attribute that is a text, and the value for which it computes the function.
    pub mode: Option<(&'static str, &'static str, bool)>,
}

const fn plain(op: &'static str, since: i64, function: &'static str) -> Activation {
    Activation { op, since, function, numbers: &[], fixed: &[], mode: None }
}

/// All of them.
pub(super) const ACTIVATIONS: &[Activation] = &[
    plain("Relu", 1, "relu"),
    plain("Sigmoid", 1, "sigmoid"),
    plain("Tanh", 1, "tanh"),
    plain("Softplus", 1, "softplus"),
    plain("Softsign", 1, "softsign"),
    plain("Mish", 18, "mish"),
    plain("HardSwish", 14, "hardswish"),
    plain("PRelu", 7, "prelu"),
    plain("PRelu", 7, "prelu_shared"),
    Activation { numbers: &[("alpha", "negative_slope", 0.01)], ..plain("LeakyRelu", 1, "leaky_relu") },
    Activation { numbers: &[("alpha", "alpha", 1.0)], ..plain("Elu", 1, "elu") },
    Activation { numbers: &[("alpha", "alpha", 1.0)], ..plain("Celu", 12, "celu") },
    Activation { fixed: &[("alpha", 1.673_263_2, true), ("gamma", 1.050_701, true)], ..plain("Selu", 6, "selu") },
    Activation { fixed: &[("alpha", 1.0 / 6.0, false), ("beta", 0.5, true)], ..plain("HardSigmoid", 6, "hardsigmoid") },
    Activation { fixed: &[("alpha", 1.0, true)], ..plain("Swish", 24, "silu") },
    Activation { mode: Some(("approximate", "none", true)), ..plain("Gelu", 20, "gelu") },
    Activation { mode: Some(("approximate", "tanh", false)), ..plain("Gelu", 20, "gelu_tanh") },
];

impl Activation {
    /// The operator that computes this function in an opset; `None` if there is none.
    pub fn of(function: &Elementwise, opset: i64) -> Option<&'static Activation> {
        if !prelude::contains(function) {
            return None;
        }
        let is_number = |a: &Activation, key: &str| a.numbers.iter().any(|(_, number, _)| *number == key);
        let fits = |a: &&Activation| function.given().all(|number| is_number(a, &number.key));
        ACTIVATIONS.iter().filter(|a| a.function == function.name && a.since <= opset).find(fits)
    }
}

/// The limits between which a function of the library keeps its operand.
pub(super) fn limits(function: &Elementwise) -> Option<[f32; 2]> {
    let number = |key: &str| function.numbers.iter().find(|number| number.key == key).map(|number| number.value);
    let limits = match function.name.as_str() {
        "relu6" => [0.0, 6.0],
        "hardtanh" => [number("min_val")?, number("max_val")?],
        _ => return None,
    };
    prelude::contains(function).then_some(limits)
}
