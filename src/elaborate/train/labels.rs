//! The layers and scopes that a recipe names: in `freeze`, and in `except`.

use std::collections::BTreeSet;

use super::super::suggest::nearest;
use crate::ir::{Graph, Node, NodeId, is_within};

/// How many layers and stages a message lists.
const SHOWN: usize = 12;

/// What a network's last layer is called elsewhere.
const LAST: [&str; 7] = ["fc", "classifier", "head", "linear", "logits", "last_linear", "output"];

/// A label that means no layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownLayer {
    /// What may have been meant.
    pub near: Option<String>,
    /// The first layers and stages of the network, by their full names up to the first dot.
    known: Vec<String>,
    /// How many more there are.
    more: usize,
}

impl UnknownLayer {
    /// What the network has; `None` if it has no layers.
    pub fn list(&self) -> Option<String> {
        let more = if self.more > 0 { format!(" and {} more", self.more) } else { String::new() };
        (!self.known.is_empty()).then(|| format!("the network has {}{more}", self.known.join(", ")))
    }
}

/// Resolves labels in a graph.
pub struct RecipeLabels<'a> {
    graph: &'a Graph,
    order: Vec<NodeId>,
    /// The first and the last layer of all stages, by their places in the order.
    stages: Option<(usize, usize)>,
}

impl<'a> RecipeLabels<'a> {
    /// Of the layers of a graph.
    pub fn new(graph: &'a Graph) -> RecipeLabels<'a> {
        let order = graph.order();
        let in_stage = |i: &usize| {
            let mut frame = graph.node(order[*i]).origin.frame;
            while let Some(id) = frame {
                if graph.frame(id).instance.is_some() {
                    return true;
                }
                frame = graph.frame(id).parent;
            }
            false
        };
        let stages = (0..order.len()).find(in_stage).zip((0..order.len()).rev().find(in_stage));
        RecipeLabels { graph, order, stages }
    }

    /// The full names of the layers and scopes that a label means: itself, or for `stem` the layers before the first stage and for
    /// `head` those after the last.
    pub fn of(&self, label: &str) -> Result<Vec<String>, UnknownLayer> {
        self.found(label, &|node| node.op.is_norm() || node.op.is_weighted())
    }

    /// The same with layers that have no parameters: a section means all of its layers.
    pub fn nodes(&self, label: &str) -> Result<Vec<String>, UnknownLayer> {
        self.found(label, &|_| true)
    }

    fn found(&self, label: &str, is_meant: &dyn Fn(&Node) -> bool) -> Result<Vec<String>, UnknownLayer> {
        let name = |id: &NodeId| self.graph.node(*id).name.as_str();
        if self.order.iter().any(|id| is_within(name(id), label)) {
            return Ok(vec![label.to_owned()]);
        }
        let found = match (label, self.stages) {
            ("stem", Some((first, _))) => self.layers(0, first, is_meant),
            ("head", Some((_, last))) => self.layers(last + 1, self.order.len(), is_meant),
            _ => Vec::new(),
        };
        if !found.is_empty() {
            return Ok(found);
        }
        let all = self.layers(0, self.order.len(), is_meant);
        let mut seen = BTreeSet::new();
        let tops: Vec<&str> = all.iter().filter_map(|name| name.split('.').next()).filter(|top| seen.insert(*top)).collect();
        let known = tops.iter().take(SHOWN).map(|&top| top.to_owned()).collect();
        Err(UnknownLayer { near: self.near(label, &all, &tops), known, more: tops.len().saturating_sub(SHOWN) })
    }

    /// What a label may mean that means nothing: a name like it, the layer of a tensor, the one layer that ends with it, or the last layer.
    fn near(&self, label: &str, all: &[String], tops: &[&str]) -> Option<String> {
        let words = if self.stages.is_some() { &["stem", "head"][..] } else { &[] };
        let mut seen = BTreeSet::new();
        let scopes = all.iter().flat_map(|name| name.match_indices('.').map(|(dot, _)| &name[..dot])).filter(|s| seen.insert(*s));
        let names = tops.iter().copied().chain(words.iter().copied()).chain(scopes).chain(all.iter().map(String::as_str));
        if let Some(near) = nearest(label, names) {
            return Some(near.to_owned());
        }
        let mut above = label.rmatch_indices('.').map(|(dot, _)| &label[..dot]);
        if let Some(above) = above.find(|above| all.iter().any(|name| is_within(name, above))) {
            return Some(above.to_owned());
        }
        let mut ending = all.iter().filter(|name| name.strip_suffix(label).is_some_and(|scope| scope.ends_with('.')));
        if let (Some(only), None) = (ending.next(), ending.next()) {
            return Some(only.clone());
        }
        all.last().filter(|_| LAST.contains(&label)).cloned()
    }

    fn layers(&self, from: usize, to: usize, is_meant: &dyn Fn(&Node) -> bool) -> Vec<String> {
        let own = self.order.get(from..to).unwrap_or(&[]).iter().map(|&id| self.graph.node(id));
        own.filter(|node| is_meant(node)).map(|node| node.name.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::Frontend;

    #[test]
    fn a_label_that_means_nothing_is_answered_with_what_there_is() {
        let text = "resnet 1\nuse std.blocks: basic\nnetwork net {\n  input 3 x 32 x 32\n  stem {\n    conv 3x3, filters: 8\n    batchnorm\n  }\n  \
                    stage layer1: 2 of basic { filters: 8 }\n  scope neck {\n    conv 1x1, filters: 4 as mix\n  }\n  avgpool global\n  linear 10 as classes\n}\n";
        let mut front = Frontend::text("net.resnet", text);
        let checked = front.check("net", &[]).unwrap_or_else(|| panic!("{:?}", front.diagnostics));
        let layers = RecipeLabels::new(checked.graph());
        let near = |label: &str| layers.of(label).unwrap_err().near;
        for (label, meant) in [
            ("layer2", "layer1"),
            ("layer1.0.conv3", "layer1.0.conv1"),
            ("layer1.2", "layer1.0"),
            ("classes.weight", "classes"),
            ("layer1.nothing.like", "layer1"),
            ("mix", "neck.mix"),
            ("fc", "classes"),
            ("hed", "head"),
        ] {
            assert_eq!(near(label).as_deref(), Some(meant), "{label}");
        }
        // two layers end with `conv2`
        assert_eq!(near("conv2").as_deref(), Some("conv1"));
        let unknown = layers.of("encoder").unwrap_err();
        assert_eq!(unknown.near, None);
        assert_eq!(unknown.list().unwrap(), "the network has conv1, bn1, layer1, neck, classes");
        assert!(layers.of("layer1.1").is_ok() && layers.of("stem").is_ok());
    }
}
