//! The precisions of a network's layers.

use serde::{Deserialize, Serialize};

use super::{Graph, NodeId, Op, Precision, is_within};

/// The precisions of a network's layers, as declared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Precisions {
    /// That of layers that are not listed.
    pub default: Precision,
    /// By the full names of layers and of scopes; the innermost one applies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<(String, Precision)>,
}

impl Precisions {
    /// The same precision for all layers.
    pub fn all(default: Precision) -> Precisions {
        Precisions { default, layers: Vec::new() }
    }

    /// Whether every layer is f32.
    pub fn is_f32(&self) -> bool {
        self.default == Precision::F32 && self.layers.iter().all(|(_, precision)| *precision == Precision::F32)
    }

    /// What is declared for a layer, with the length of the name that declares it; 0 for the default.
    fn declared(&self, name: &str) -> (usize, Precision) {
        let within = self.layers.iter().filter(|(scope, _)| is_within(name, scope));
        within.map(|(scope, precision)| (scope.len(), *precision)).max_by_key(|(len, _)| *len).unwrap_or((0, self.default))
    }

    /// Sets the precision of every node. Inputs are f32. What belongs to a convolution or linear layer, its norm, addition and activation,
    /// follows it unless a name that is as long declares another precision for them.
    pub fn assign(&self, graph: &mut Graph) {
        if self.is_f32() {
            graph.ids().collect::<Vec<_>>().into_iter().for_each(|id| graph.node_mut(id).precision = Precision::F32);
            return;
        }
        // of a layer and of what belongs to it: the length of the name that declares its precision
        let mut belongs: Vec<Option<usize>> = vec![None; graph.bound()];
        for id in graph.order() {
            let node = graph.node(id);
            let (mut len, mut precision) = self.declared(&node.name);
            if node.op.is_weighted() {
                belongs[id.index()] = Some(len);
            } else if let Some((layer, of_layer)) =
                layer_before(graph, id).and_then(|layer| Some((layer, belongs[layer.index()]?)))
            {
                if len < of_layer {
                    (len, precision) = (of_layer, graph.node(layer).precision);
                }
                belongs[id.index()] = Some(len);
            }
            if matches!(node.op, Op::Input(_)) {
                precision = Precision::F32;
            }
            graph.node_mut(id).precision = precision;
        }
    }
}

/// The node before a norm, an addition or an activation that only it reads.
fn layer_before(graph: &Graph, id: NodeId) -> Option<NodeId> {
    let op = &graph.node(id).op;
    let follows = op.is_norm() || op.is_activation() || op.is_add();
    let first = *graph.operands(id).first().filter(|_| follows)?;
    (graph.users(first).len() == 1 && !graph.is_output(first)).then_some(first.node)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::Frontend;

    const NET: &str = "resnet 1\nnetwork net {\n  input 3 x 8 x 8\n  conv 3x3, filters: 4 as conv1\n  batchnorm as bn1\n  relu as relu1\n  \
                       conv 3x3, filters: 4 as conv2\n  relu as relu2\n  avgpool global\n  linear 2 as fc\n}\n";

    /// The nodes of a precision.
    fn of(layers: &[(&str, Precision)], default: Precision, wanted: Precision) -> Vec<String> {
        let mut graph = Frontend::text("net.resnet", NET).check("net", &[]).unwrap().graph().clone();
        let layers = layers.iter().map(|(name, precision)| ((*name).to_owned(), *precision)).collect();
        Precisions { default, layers }.assign(&mut graph);
        let nodes = graph.order().into_iter().map(|id| graph.node(id));
        nodes.filter(|node| node.precision == wanted).map(|node| node.name.clone()).collect()
    }

    #[test]
    fn a_layer_takes_its_norm_and_activation_along() {
        use Precision::{Bf16, F32};
        assert_eq!(of(&[("conv1", F32)], Bf16, F32), ["input", "conv1", "bn1", "relu1"]);
        assert_eq!(of(&[("conv1", F32), ("relu1", Bf16)], Bf16, F32), ["input", "conv1", "bn1"]);
        assert_eq!(of(&[("fc", Bf16)], F32, Bf16), ["fc"]);
    }

    #[test]
    fn inputs_stay_f32() {
        assert_eq!(of(&[], Precision::Bf16, Precision::F32), ["input"]);
        assert!(of(&[], Precision::F32, Precision::Bf16).is_empty());
    }
}
