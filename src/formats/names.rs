//! Names for what an importer adds to a graph.

use std::collections::HashMap;

use crate::ir::Elementwise;

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
    fn used_names_get_a_suffix() {
        let mut names = Names::default();
        let three: Vec<String> = (0..3).map(|_| names.fresh("relu".into())).collect();
        assert_eq!(three, ["relu", "relu_2", "relu_3"]);
    }
}
