//! Exports a network as readable PyTorch source: classes for its blocks, torchvision's parameter names, and no dependency other
//! than `torch`. A network can thus be defined here, trained on many machines with PyTorch, and deployed here.
//!
//! ```text
//! Checked --scope--> modules --body--> code --class--> classes --text--> source
//! ```
//!
//! - `scope` derives modules from layer names, and determines which are called as a whole.
//! - `body` writes the code of each module (`forward`, `loops`) with its numbers kept separate (`expr`); `builder` knows
//!   how modules are constructed, and `op` maps operators to PyTorch.
//! - `class` turns modules that differ only in numbers into one class with parameters.
//! - `activations` lists the functions that PyTorch has too; `functions` defines the others, as tensor code (`code`).
//! - `script` writes the training script.

mod activations;
mod body;
mod builder;
mod class;
mod code;
mod convolutions;
mod error;
mod expr;
mod forward;
mod functions;
mod loops;
mod names;
mod norms;
mod op;
mod rearrange;
mod resize;
mod scope;
mod script;
mod text;

use std::collections::HashMap;

use crate::ir::Checked;
use builder::Builder;
pub use error::TorchError;
use functions::Functions;
use scope::Tree;
pub use script::{MEAN_EXTENSION, Script, mean_file, script};
use text::Text;

/// Python source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The contents of a Python file.
    pub text: String,
    /// The name of the network's class.
    pub class: String,
}

/// Functions and modules that PyTorch lacks; a file contains those that it uses.
const HELPERS: &[(&str, &str)] = &[
    (
        "drop_path(",
        r#"def drop_path(x, p, training):
    """Drops a sample's path with probability p, and divides the remaining ones by 1 - p (Huang et al. 2016, "Deep Networks with
    Stochastic Depth")."""
    if not training or p == 0.0:
        return x
    keep = torch.rand([x.shape[0]] + [1] * (x.dim() - 1), device=x.device) >= p
    return x * keep.to(x.dtype) / (1.0 - p)
"#,
    ),
    (
        "ceil_mode_padding(",
        r#"def ceil_mode_padding(x, kernel_size, stride, pad, dilation=1):
    """How far the last windows extend past the padding with `ceil_mode`."""
    padding = []
    for axis in range(len(pad) // 2):
        size, before, after = x.shape[-1 - axis], pad[2 * axis], pad[2 * axis + 1]
        kernel = kernel_size[-1 - axis] if isinstance(kernel_size, tuple) else kernel_size
        spacing = dilation[-1 - axis] if isinstance(dilation, tuple) else dilation
        kernel = (kernel - 1) * spacing + 1
        step = stride[-1 - axis] if isinstance(stride, tuple) else stride
        last = -(-(size + before + after - kernel) // step) * step
        if last >= size + before:
            last -= step
        padding += [0, last + kernel - size - before - after]
    return padding
"#,
    ),
    (
        "max_pool_ceil(",
        r#"def max_pool_ceil(x, kernel_size, stride, pad, dilation=1):
    """A max pool with different padding on each side and `ceil_mode`."""
    pool = F.max_pool1d if x.dim() == 3 else F.max_pool2d
    x = F.pad(F.pad(x, pad, value=float("-inf")), ceil_mode_padding(x, kernel_size, stride, pad, dilation), value=float("-inf"))
    return pool(x, kernel_size, stride, dilation=dilation)
"#,
    ),
    (
        "avg_pool(",
        r#"def avg_pool(x, kernel_size, stride, pad, ceil_mode, count_include_pad):
    """An average pool with different padding on each side."""
    pool = F.avg_pool1d if x.dim() == 3 else F.avg_pool2d
    ones = F.pad(torch.ones_like(x[:1, :1]), pad, value=float(count_include_pad))
    rest = ceil_mode_padding(x, kernel_size, stride, pad) if ceil_mode else [0, 0] * (len(pad) // 2)
    x, ones = F.pad(F.pad(x, pad), rest), F.pad(ones, rest)
    return pool(x, kernel_size, stride) / pool(ones, kernel_size, stride)
"#,
    ),
    (
        "StandardizedWeight,",
        r#"class StandardizedWeight:
    """A convolution whose filters are shifted and scaled to mean 0 and variance 1 (Qiao et al. 2019). With `gamma`, each is then
    multiplied by a learned gain, and by gamma over the square root of its size (Brock et al. 2021)."""

    def __init__(self, *args, eps=1e-6, gamma=None, **kwargs):
        super().__init__(*args, **kwargs)
        self.eps = eps
        self.gamma = gamma
        if gamma is not None:
            self.gain = nn.Parameter(torch.ones(self.out_channels, *[1] * (self.weight.dim() - 1)))

    def forward(self, x):
        filters = self.weight.flatten(1)
        var, mean = torch.var_mean(filters, dim=1, correction=0, keepdim=True)
        filters = (filters - mean) / torch.sqrt(var + self.eps)
        if self.gamma is not None:
            filters = filters * self.gain.flatten(1) * (self.gamma / filters.shape[1] ** 0.5)
        return self._conv_forward(x, filters.view_as(self.weight), self.bias)
"#,
    ),
    (
        "StdConv1d(",
        r#"class StdConv1d(StandardizedWeight, nn.Conv1d):
    pass
"#,
    ),
    (
        "StdConv2d(",
        r#"class StdConv2d(StandardizedWeight, nn.Conv2d):
    pass
"#,
    ),
    (
        "GeM(",
        r#"class GeM(nn.Module):
    """Generalized-mean pooling of the whole feature map (Radenovic et al. 2018)."""

    def __init__(self, p=3.0, eps=1e-06):
        super().__init__()
        self.p = nn.Parameter(torch.full((1,), p))
        self.eps = eps

    def forward(self, x):
        powers = x.clamp(min=self.eps).pow(self.p)
        return powers.mean(tuple(range(2, x.dim())), keepdim=True).pow(1.0 / self.p)
"#,
    ),
    (
        "LayerNorm2d(",
        r#"class LayerNorm2d(nn.LayerNorm):
    """Layer normalization of the channels at every place."""

    def forward(self, x):
        x = F.layer_norm(x.movedim(1, -1), self.normalized_shape, self.weight, self.bias, self.eps)
        return x.movedim(-1, 1)
"#,
    ),
    (
        "Subsample(",
        r#"class Subsample(nn.Module):
    """Every stride-th row and column, starting with the first."""

    def __init__(self, stride):
        super().__init__()
        self.stride = stride

    def forward(self, x):
        if x.dim() == 3:
            return x[:, :, :: self.stride]
        h, w = self.stride if isinstance(self.stride, tuple) else (self.stride, self.stride)
        return x[:, :, ::h, ::w]
"#,
    ),
    (
        "PadChannels(",
        r#"class PadChannels(nn.Module):
    """Zero channels before and after."""

    def __init__(self, before, after):
        super().__init__()
        self.before = before
        self.after = after

    def forward(self, x):
        return F.pad(x, [0, 0] * (x.dim() - 2) + [self.before, self.after])
"#,
    ),
    (
        "Scope(",
        r#"class Scope(nn.Module):
    """Holds modules under names that are not valid attributes."""

    def __init__(self, modules):
        super().__init__()
        self._modules.update(modules)
"#,
    ),
];

/// Writes a checked network, before passes. `doc` is the docstring of its class.
pub fn write(checked: &Checked, doc: Option<&str>) -> Result<Source, TorchError> {
    let tree = Tree::of(checked)?;
    let mut builder = Builder::new(&tree, drops(checked), Functions::of(checked)?);
    let classes = class::classes(&mut builder, &checked.network.name, doc)?;
    let mut body = Text::default();
    builder.functions.write(&mut body);
    for class in &classes {
        body.line("");
        body.line("");
        class.write(&mut body);
    }
    let body = body.out;
    let mut head = Text::default();
    let name = classes.last().map_or("Net", |class| class.name());
    head.line(&format!("\"\"\"The network `{}`, written by `resnetc export torch`.\"\"\"", checked.network.name));
    head.line("");
    if body.contains("OrderedDict(") {
        head.line("from collections import OrderedDict");
        head.line("");
    }
    // a helper may need another one, which is placed before it
    let mut functions: Vec<&str> = Vec::new();
    for (call, text) in HELPERS.iter().rev() {
        if calls(&body, call) || functions.iter().any(|other| calls(other, call)) {
            functions.insert(0, text);
        }
    }
    let uses = |word: &str| body.contains(word) || functions.iter().any(|text| text.contains(word));
    if uses("torch.") {
        head.line("import torch");
    }
    if uses("F.") {
        head.line("import torch.nn.functional as F");
    }
    head.line("from torch import nn");
    let mut text = head.out;
    for function in functions {
        text.push_str("\n\n");
        text.push_str(function);
    }
    text.push_str(&body);
    text.push_str(&format!(
        "\n\nif __name__ == \"__main__\":\n    model = {name}()\n    \
         print(sum(p.numel() for p in model.parameters()), \"parameters\")\n"
    ));
    Ok(Source { text, class: name.to_owned() })
}

/// Whether a text calls this function itself, not a method or a function whose name has the same ending.
fn calls(text: &str, call: &str) -> bool {
    text.match_indices(call).any(|(at, _)| !text[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.'))
}

/// The probability of dropping each block's path, keyed by its addition: see [`crate::grad::GradOptions`].
fn drops(checked: &Checked) -> HashMap<crate::ir::NodeId, f64> {
    let p = checked.network.recipe.as_ref().map_or(0.0, |recipe| recipe.stochastic_depth);
    if p == 0.0 {
        return HashMap::new();
    }
    let blocks = checked.network.shortcuts.len() as f64;
    checked.network.shortcuts.iter().enumerate().map(|(i, s)| (s.add, p * (i + 1) as f64 / blocks)).collect()
}
