//! The functions of the language's library that PyTorch has: as modules, and as functions of tensors.

use super::code::shortest;
use super::expr::{Arg, Expr, Role, Val};
use crate::elaborate::prelude;
use crate::ir::Elementwise;

/// A function of PyTorch. Its numbers are called as in the language.
struct Activation {
    /// The name in the language.
    name: &'static str,
    /// The module.
    module: &'static str,
    /// The function.
    function: &'static str,
    /// What both take besides the numbers.
    mode: Option<(&'static str, &'static str)>,
}

const fn activation(name: &'static str, module: &'static str, function: &'static str) -> Activation {
    Activation { name, module, function, mode: None }
}

const ACTIVATIONS: &[Activation] = &[
    activation("relu", "nn.ReLU", "F.relu"),
    activation("relu6", "nn.ReLU6", "F.relu6"),
    activation("leaky_relu", "nn.LeakyReLU", "F.leaky_relu"),
    activation("elu", "nn.ELU", "F.elu"),
    activation("celu", "nn.CELU", "F.celu"),
    activation("selu", "nn.SELU", "F.selu"),
    activation("gelu", "nn.GELU", "F.gelu"),
    Activation { mode: Some(("approximate", "\"tanh\"")), ..activation("gelu_tanh", "nn.GELU", "F.gelu") },
    activation("silu", "nn.SiLU", "F.silu"),
    activation("mish", "nn.Mish", "F.mish"),
    activation("sigmoid", "nn.Sigmoid", "torch.sigmoid"),
    activation("hardsigmoid", "nn.Hardsigmoid", "F.hardsigmoid"),
    activation("hardswish", "nn.Hardswish", "F.hardswish"),
    activation("tanh", "nn.Tanh", "torch.tanh"),
    activation("hardtanh", "nn.Hardtanh", "F.hardtanh"),
    activation("softplus", "nn.Softplus", "F.softplus"),
    activation("logsigmoid", "nn.LogSigmoid", "F.logsigmoid"),
    activation("softsign", "nn.Softsign", "F.softsign"),
    activation("tanhshrink", "nn.Tanhshrink", "F.tanhshrink"),
    activation("hardshrink", "nn.Hardshrink", "F.hardshrink"),
    activation("softshrink", "nn.Softshrink", "F.softshrink"),
];

/// The row of a call of the library.
fn row(function: &Elementwise) -> Option<&'static Activation> {
    ACTIVATIONS.iter().find(|row| row.name == function.name).filter(|_| prelude::contains(function))
}

/// The module that computes a function of one value; `None` if PyTorch has none.
pub(super) fn module(function: &Elementwise) -> Option<Expr> {
    let row = row(function)?;
    Some(Expr::call(row.module, row.arguments(function)))
}

/// The call that computes a function of one value; `None` if PyTorch has none.
pub(super) fn call(function: &Elementwise, x: Expr) -> Option<Expr> {
    let row = row(function)?;
    Some(Expr::call(row.function, [Arg::plain(x)].into_iter().chain(row.arguments(function)).collect()))
}

/// The module of a PReLU; `None` if a function is none.
pub(super) fn prelu(function: &Elementwise, channels: usize) -> Option<Expr> {
    let count = match function.name.as_str() {
        "prelu" => channels,
        "prelu_shared" => 1,
        _ => return None,
    };
    let slopes = Arg { key: None, value: Expr::channels("num_parameters", count), default: (count == 1).then_some(Val::Int(1)) };
    prelude::contains(function).then(|| Expr::call("nn.PReLU", vec![slopes]))
}

impl Activation {
    fn arguments(&self, function: &Elementwise) -> Vec<Arg> {
        let usual = prelude::call(self.name, &[]);
        let mut list: Vec<Arg> = prelude::keys(self.name)
            .filter_map(|key| {
                let value =
                    |of: &Elementwise| of.numbers.iter().find(|number| number.key == key).map(|number| shortest(number.value));
                let default = usual.as_ref().and_then(value)?;
                let number = Expr::number(Role::Other(key), key, Val::Float(value(function)?));
                Some(Arg { key: Some(key.to_owned()), value: number, default: Some(Val::Float(default)) })
            })
            .collect();
        list.extend(self.mode.map(|(key, value)| Arg::key(key, Expr::text(value))));
        list
    }
}
