//! Names of layers: from the names of their tensors, which often are torchvision's, or else from the names of nodes.

use std::collections::HashMap;

use crate::ir::Elementwise;
use crate::syntax::words;

/// The names in use, each with the next suffix to try.
#[derive(Default)]
pub(super) struct Names(HashMap<String, usize>);

impl Names {
    /// The name, or a similar unused one.
    pub fn fresh(&mut self, like: String) -> String {
        let Some(mut count) = self.0.get(&like).copied() else {
            self.0.insert(like.clone(), 2);
            return like;
        };
        loop {
            let name = format!("{like}_{count}");
            count += 1;
            if !self.0.contains_key(&name) {
                self.0.insert(name.clone(), 2);
                self.0.insert(like, count);
                return name;
            }
        }
    }
}

/// Names of functions of several values, which the library does not have.
#[derive(Default)]
pub(super) struct Functions(Vec<Elementwise>);

impl Functions {
    /// The function with a name that no other function has.
    pub fn named(&mut self, function: &Elementwise) -> Elementwise {
        let mut function = function.clone();
        // as in mathematics: x, y, z
        for (operand, name) in function.operands.iter_mut().zip(["x", "y", "z"]) {
            name.clone_into(&mut operand.name);
        }
        let same = |known: &&Elementwise| known.operands == function.operands && known.program == function.program;
        if let Some(known) = self.0.iter().find(same) {
            return known.clone();
        }
        let stem = function.name.clone();
        let mut number = 1;
        while self.0.iter().any(|known| known.name == function.name) {
            number += 1;
            function.name = format!("{stem}{number}");
        }
        self.0.push(function.clone());
        function
    }
}

/// The layer of a tensor: `layer1.0.conv1` for `layer1.0.conv1.weight`. `None` if the name contains no layer.
pub(super) fn of_tensor(tensor: &str) -> Option<String> {
    const SUFFIXES: [&str; 3] = [".weight", ".gamma", ".scale"];
    let layer = SUFFIXES.iter().find_map(|suffix| tensor.strip_suffix(suffix))?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
    let is_valid = !layer.is_empty() && layer.chars().all(plain) && layer.split('.').all(|part| !part.is_empty());
    is_valid.then(|| layer.to_owned())
}

/// The layer and the parameter that a tensor is, other than a layer's weight: `blocks.0.gamma` is a layer of that name and its
/// parameter `gamma`, and `norm.weight` a layer `norm`. `None` if the name is none of PyTorch's.
pub(super) fn of_parameter(tensor: &str) -> Option<(String, String)> {
    let (layer, own) = tensor.rsplit_once('.')?;
    let is_valid = clean(tensor) == tensor && words::is_name(own) && !words::is_reserved(own) && own != "x";
    let layer = if matches!(own, "weight" | "bias") { layer } else { tensor };
    is_valid.then(|| (layer.to_owned(), own.to_owned()))
}

/// The module in a node name of PyTorch's exporter: `layer1.0.conv1` for `/layer1/layer1.0/conv1/Conv`. Other names are used unchanged, except
/// for invalid characters.
pub(super) fn of_node(node: &str, op: &str, word: &str) -> String {
    let Some(path) = node.strip_prefix('/') else {
        let name = clean(node.strip_prefix("node_").unwrap_or(node));
        return if name.is_empty() { word.to_owned() } else { name };
    };
    let mut segments: Vec<&str> = path.split('/').collect();
    let is_op =
        |last: &&str| last.strip_prefix(op).is_some_and(|rest| rest.trim_start_matches('_').chars().all(|c| c.is_ascii_digit()));
    segments.pop_if(|last| is_op(last));
    let mut name = String::new();
    for segment in segments {
        let last = name.rsplit('.').next().unwrap_or("");
        // the children of a sequential have its name as a prefix
        let child = segment.strip_prefix(last).and_then(|rest| rest.strip_prefix('.')).filter(|_| !last.is_empty());
        if !name.is_empty() {
            name.push('.');
        }
        name.push_str(child.unwrap_or(segment));
    }
    let name = clean(&name);
    let last = name.rsplit('.').next().unwrap_or("").to_ascii_lowercase();
    let is_module = last.starts_with(word) || matches!(word, "conv" | "linear" | "batchnorm" | "prelu" | "prelu_shared");
    match (name.is_empty(), is_module) {
        (true, _) => word.to_owned(),
        (false, true) => name,
        (false, false) => format!("{name}.{word}"),
    }
}

/// Replaces all characters except letters, digits, underscores and dots, and removes empty components.
pub(super) fn clean(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '.') { c } else { '_' };
    let name: String = name.chars().map(plain).collect();
    name.split('.').filter(|part| !part.is_empty()).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_modules() {
        assert_eq!(of_node("/layer1/layer1.0/conv1/Conv", "Conv", "conv"), "layer1.0.conv1");
        assert_eq!(of_node("/layer2/layer2.0/downsample/downsample.0/Conv", "Conv", "conv"), "layer2.0.downsample.0");
        assert_eq!(of_node("/layer1/layer1.0/relu_1/Relu", "Relu", "relu"), "layer1.0.relu_1");
        assert_eq!(of_node("/layer1/layer1.0/Add", "Add", "add"), "layer1.0.add");
        assert_eq!(of_node("/Flatten", "Flatten", "flatten"), "flatten");
        assert_eq!(of_node("node_relu_1", "Relu", "relu"), "relu_1");
        assert_eq!(of_node("", "Relu", "relu"), "relu");
        assert_eq!(of_node("a//..b c", "Relu", "relu"), "a__.b_c");
    }

    #[test]
    fn layers_of_tensors() {
        assert_eq!(of_tensor("layer1.0.conv1.weight").as_deref(), Some("layer1.0.conv1"));
        for other in ["onnx::Conv_497", "val_3", ".weight", "a..b.weight", "x/y.weight"] {
            assert_eq!(of_tensor(other), None, "{other}");
        }
    }

    #[test]
    fn used_names_get_a_suffix() {
        let mut names = Names::default();
        let three: Vec<String> = (0..3).map(|_| names.fresh("relu".into())).collect();
        assert_eq!(three, ["relu", "relu_2", "relu_3"]);
    }
}
