//! The `let`s of a body.

use crate::syntax::ast::{Ident, Stmt, StmtKind};

/// The names of all `let`s in a body, including nested bodies.
pub(super) fn gather_lets<'a>(body: &'a [Stmt], out: &mut Vec<&'a Ident>) {
    for stmt in body {
        match &stmt.kind {
            StmtKind::Let { name, .. } => out.push(name),
            StmtKind::Section { body, .. }
            | StmtKind::Scope { body, .. }
            | StmtKind::Sequential { body, .. }
            | StmtKind::Joined { body, .. }
            | StmtKind::Branch { body, .. } => gather_lets(body, out),
            StmtKind::Parallel { arms, .. } => arms.iter().for_each(|(_, body)| gather_lets(body, out)),
            StmtKind::If { then, otherwise, .. } => {
                gather_lets(then, out);
                gather_lets(otherwise, out);
            }
            StmtKind::Input { .. }
            | StmtKind::Call(_)
            | StmtKind::Apply { .. }
            | StmtKind::Shortcut(_)
            | StmtKind::Stage(_)
            | StmtKind::Output { .. }
            | StmtKind::Expect(_)
            | StmtKind::Preprocess(_)
            | StmtKind::Precision(_)
            | StmtKind::Labels(_)
            | StmtKind::Weights(_)
            | StmtKind::Train(_) => {}
        }
    }
}
