//! The layers and scopes that a recipe names: in `freeze`, and in `except`.

use super::super::suggest::nearest;
use crate::ir::{Graph, Node, NodeId, is_within};

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
    /// `head` those after the last. A label without layers gives a similar one, if there is one.
    pub fn of(&self, label: &str) -> Result<Vec<String>, Option<String>> {
        self.found(label, |node| node.op.is_norm() || node.op.is_weighted())
    }

    /// The same with layers that have no parameters: a section means all of its layers.
    pub fn nodes(&self, label: &str) -> Result<Vec<String>, Option<String>> {
        self.found(label, |_| true)
    }

    fn found(&self, label: &str, is_meant: impl Fn(&Node) -> bool) -> Result<Vec<String>, Option<String>> {
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
        let mut tops: Vec<&str> = self.order.iter().filter_map(|id| name(id).split('.').next()).chain(["stem", "head"]).collect();
        tops.dedup();
        let near = nearest(label, tops).map(str::to_owned);
        // `layer2.0.conv4`: another layer of the same block
        let of_block = || {
            let (block, _) = label.rsplit_once('.')?;
            let inside = self.order.iter().map(name).filter(|name| is_within(name, block));
            nearest(label, inside).map(str::to_owned)
        };
        Err(of_block().or(near.filter(|near| near != label)))
    }

    fn layers(&self, from: usize, to: usize, is_meant: impl Fn(&Node) -> bool) -> Vec<String> {
        let own = self.order.get(from..to).unwrap_or(&[]).iter().map(|&id| self.graph.node(id));
        own.filter(|node| is_meant(node)).map(|node| node.name.clone()).collect()
    }
}
