//! Names of layers: from the names of their tensors, which often are torchvision's, or else from the names of nodes.

use super::super::super::names::clean;
use crate::syntax::words;

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
    let mut parent = "";
    for segment in segments {
        // the children of a sequential have its own segment as a prefix
        let child = segment.strip_prefix(parent).and_then(|rest| rest.strip_prefix('.')).filter(|_| !parent.is_empty());
        if !name.is_empty() {
            name.push('.');
        }
        name.push_str(child.unwrap_or(segment));
        parent = segment;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_modules() {
        assert_eq!(of_node("/layer1/layer1.0/conv1/Conv", "Conv", "conv"), "layer1.0.conv1");
        assert_eq!(of_node("/layer2/layer2.0/downsample/downsample.0/Conv", "Conv", "conv"), "layer2.0.downsample.0");
        assert_eq!(of_node("/features/features.1/block/block.0/block.0.0/Conv", "Conv", "conv"), "features.1.block.0.0");
        assert_eq!(of_node("/features/features.0/features.0.0/Conv", "Conv", "conv"), "features.0.0");
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
}
