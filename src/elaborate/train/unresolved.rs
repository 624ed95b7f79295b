//! The labels of layers and scopes in a recipe.

use super::super::suggest::nearest;
use crate::base::codes;
use crate::base::diagnostic::Diagnostic;
use crate::base::source::Span;
use crate::ir::{Graph, Recipe, is_within};

/// A recipe whose labels are not yet resolved in the graph.
#[derive(Debug)]
pub(in crate::internal::elaborate) struct UnresolvedRecipe {
    pub(super) recipe: Recipe,
    pub(super) freeze: Vec<(String, Span)>,
    pub(super) except: Vec<(String, Span)>,
}

impl UnresolvedRecipe {
    /// The recipe, with labels resolved to full names of layers and scopes. `stem` means the layers before the first stage,
    /// `head` for those after the last.
    pub fn resolved(self, graph: &Graph, diags: &mut Vec<Diagnostic>) -> Recipe {
        let order = graph.order();
        let in_stage = |i: usize| {
            let mut frame = graph.node(order[i]).origin.frame;
            while let Some(id) = frame {
                if graph.frame(id).instance.is_some() {
                    return true;
                }
                frame = graph.frame(id).parent;
            }
            false
        };
        let first = (0..order.len()).find(|&i| in_stage(i));
        let last = (0..order.len()).rev().find(|&i| in_stage(i));
        let layers = |from: usize, to: usize| {
            let own = order.get(from..to).unwrap_or(&[]).iter().map(|&id| graph.node(id));
            own.filter(|node| node.op.is_norm() || node.op.is_weighted()).map(|n| n.name.clone()).collect()
        };
        let mut named = |labels: Vec<(String, Span)>| {
            let mut names: Vec<String> = Vec::new();
            for (label, span) in labels {
                let found: Vec<String> = if order.iter().any(|&id| is_within(&graph.node(id).name, &label)) {
                    vec![label.clone()]
                } else {
                    match (&*label, first, last) {
                        ("stem", Some(first), _) => layers(0, first),
                        ("head", _, Some(last)) => layers(last + 1, order.len()),
                        _ => Vec::new(),
                    }
                };
                if found.is_empty() {
                    let mut tops: Vec<&str> =
                        order.iter().filter_map(|&id| graph.node(id).name.split('.').next()).chain(["stem", "head"]).collect();
                    tops.dedup();
                    let message = format!("the network has no layer or stage `{label}`");
                    let mut diag = Diagnostic::error(codes::UNKNOWN_LABEL, message, span, "named here");
                    if let Some(near) = nearest(&label, tops) {
                        diag = diag.fix(format!("did you mean `{near}`?"), span, near);
                    }
                    diags.push(diag);
                }
                names.extend(found);
            }
            names
        };
        let mut recipe = self.recipe;
        recipe.freeze = named(self.freeze);
        let except = named(self.except);
        if let Some(from) = &mut recipe.from {
            from.except = except;
        }
        recipe
    }
}
