//! The labels of layers and scopes in a recipe.

use super::labels::RecipeLabels;
use crate::base::codes;
use crate::base::diagnostic::Diagnostic;
use crate::base::source::Span;
use crate::ir::{Graph, Recipe};

/// A recipe whose labels are not yet resolved in the graph.
#[derive(Debug)]
pub(in crate::internal::elaborate) struct UnresolvedRecipe {
    pub(super) recipe: Recipe,
    pub(super) freeze: Vec<(String, Span)>,
    pub(super) except: Vec<(String, Span)>,
}

impl UnresolvedRecipe {
    /// The recipe, with labels resolved to full names of layers and scopes.
    pub fn resolved(self, graph: &Graph, diags: &mut Vec<Diagnostic>) -> Recipe {
        let layers = RecipeLabels::new(graph);
        let mut named = |labels: Vec<(String, Span)>| {
            let mut names: Vec<String> = Vec::new();
            for (label, span) in labels {
                match layers.of(&label) {
                    Ok(found) => names.extend(found),
                    Err(unknown) => {
                        let message = format!("the network has no layer or stage `{label}`");
                        let mut diag = Diagnostic::error(codes::UNKNOWN_LABEL, message, span, "named here");
                        if let Some(list) = unknown.list() {
                            diag = diag.note(list);
                        }
                        if let Some(near) = unknown.near {
                            diag = diag.fix(format!("did you mean `{near}`?"), span, near);
                        }
                        diags.push(diag);
                    }
                }
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
