//! Lints that need no expansion: names that are imported or declared but never used.

use std::collections::HashSet;

use super::lets::gather_lets;
use super::load::{Def, Program};
use crate::base::codes;
use crate::base::diagnostic::Diagnostic;
use crate::syntax::ast::{Arg, ExpectValue, Expr, ExprKind, Label, Param, Stmt, StmtKind, TemplatePart, UnitRef};

/// Warns of unused imports and parameters in every file outside the standard library.
pub(super) fn run(program: &Program, diags: &mut Vec<Diagnostic>) {
    for module in program.modules.iter().filter(|m| !m.is_std) {
        let mut all = HashSet::new();
        let mut damaged = module.damaged;
        for &id in &module.own {
            let def = program.def(id);
            let used = names_of(def);
            let broken = def.is_damaged();
            damaged |= broken;
            if !broken {
                let mut lets = Vec::new();
                gather_lets(def.body(), &mut lets);
                for name in lets.into_iter().filter(|name| !used.contains(&name.node)) {
                    diags.push(
                        Diagnostic::warning(
                            codes::UNUSED_LET,
                            format!("`{}` is never used", name.node),
                            name.span,
                            "changes nothing",
                        )
                        .label(def.name().span, format!("in this {}", def.kind())),
                    );
                }
                // operands that are never used are errors
                let is_number =
                    |param: &Param| !matches!(def, Def::Function(_)) || (param.default.is_some() && param.kind.is_none());
                for param in def.params().iter().filter(|p| !used.contains(&p.name.node) && is_number(p)) {
                    diags.push(
                        Diagnostic::warning(
                            codes::UNUSED_PARAMETER,
                            format!("parameter `{}` is never used", param.name.node),
                            param.name.span,
                            "changes nothing",
                        )
                        .label(def.name().span, format!("in this {}", def.kind())),
                    );
                }
            }
            all.extend(used);
        }
        if !damaged {
            for name in module.imported.iter().filter(|n| !all.contains(&n.node)) {
                diags.push(Diagnostic::warning(
                    codes::UNUSED_IMPORT,
                    format!("`{}` is imported and never used", name.node),
                    name.span,
                    "not needed",
                ));
            }
        }
    }
}

/// The names in a definition.
pub(super) fn names_of(def: &Def) -> HashSet<String> {
    let mut used = HashSet::new();
    let mut names = Names { used: &mut used };
    names.params(def.params());
    match def {
        Def::Block(block) => names.body(&block.body),
        Def::Network(network) => {
            names.body(&network.body);
            network.base.iter().for_each(|base| names.unit(base));
        }
        Def::Function(function) => function.value.iter().for_each(|value| names.expr(value)),
    }
    used
}

/// The names in an expression.
pub(super) fn names(expr: &Expr) -> HashSet<String> {
    let mut used = HashSet::new();
    Names { used: &mut used }.expr(expr);
    used
}

/// Collects every name that is read.
struct Names<'a> {
    used: &'a mut HashSet<String>,
}

impl Names<'_> {
    fn params(&mut self, params: &[Param]) {
        params.iter().filter_map(|p| p.default.as_ref()).for_each(|e| self.expr(e));
    }

    fn args(&mut self, args: &[Arg]) {
        args.iter().for_each(|arg| self.expr(&arg.value));
    }

    fn unit(&mut self, unit: &UnitRef) {
        self.used.insert(unit.name.node.clone());
        self.args(&unit.args);
    }

    fn label(&mut self, label: Option<&Label>) {
        if let Some(Label::Template(template)) = label {
            for part in &template.parts {
                if let TemplatePart::Expr(expr) = part {
                    self.expr(expr);
                }
            }
        }
    }

    fn expr(&mut self, expr: &Expr) {
        match &expr.kind {
            ExprKind::Name(name) => {
                self.used.insert(name.clone());
            }
            ExprKind::List(items) => items.iter().for_each(|e| self.expr(e)),
            ExprKind::Index(a, b) | ExprKind::Binary(_, a, b) => {
                self.expr(a);
                self.expr(b);
            }
            ExprKind::Call(name, args) => {
                self.used.insert(name.node.clone());
                self.args(args);
            }
            ExprKind::Unary(_, a) => self.expr(a),
            ExprKind::If(a, b, c) => {
                self.expr(a);
                self.expr(b);
                self.expr(c);
            }
            ExprKind::Int(_) | ExprKind::Float(_) | ExprKind::Bool(_) | ExprKind::Str(_) | ExprKind::Size(..) => {}
        }
    }

    fn body(&mut self, body: &[Stmt]) {
        for stmt in body {
            match &stmt.kind {
                StmtKind::Input { dims, .. } => dims.iter().for_each(|e| self.expr(e)),
                StmtKind::Call(call) => {
                    self.used.insert(call.name.node.clone());
                    self.args(&call.args);
                    self.label(call.label.as_ref());
                }
                StmtKind::Apply { value, label } => {
                    // `x` is the current value, whatever else has the name
                    self.used.extend(names(value).into_iter().filter(|name| name != "x"));
                    self.label(label.as_ref());
                }
                StmtKind::Section { body, .. } | StmtKind::Branch { body, .. } => self.body(body),
                StmtKind::Scope { name, body } => {
                    self.label(Some(name));
                    self.body(body);
                }
                StmtKind::Sequential { name: label, body, .. } | StmtKind::Joined { label, body, .. } => {
                    self.label(label.as_ref());
                    self.body(body);
                }
                StmtKind::Shortcut(expr) | StmtKind::Labels(expr) => self.expr(expr),
                StmtKind::Stage(stage) => {
                    self.expr(&stage.count);
                    self.unit(&stage.unit);
                    self.label(stage.names.as_ref());
                    self.args(&stage.args);
                    self.args(&stage.first);
                }
                StmtKind::Parallel { split, arms, label, .. } => {
                    split.iter().flat_map(|split| &split.shares).for_each(|shares| self.expr(shares));
                    for (name, body) in arms {
                        self.label(name.as_ref());
                        self.body(body);
                    }
                    self.label(label.as_ref());
                }
                StmtKind::If { cond, then, otherwise } => {
                    self.expr(cond);
                    self.body(then);
                    self.body(otherwise);
                }
                StmtKind::Let { value, .. } => self.expr(value),
                StmtKind::Expect(expect) => {
                    if let ExpectValue::Shape(dims, _) = &expect.value {
                        dims.iter().for_each(|e| self.expr(e));
                    }
                }
                StmtKind::Preprocess(args) => self.args(args),
                StmtKind::Train(entries) | StmtKind::Precision(entries) => self.entries(entries),
                StmtKind::Output { .. } | StmtKind::Weights(_) => {}
            }
        }
    }

    fn entries(&mut self, entries: &[crate::syntax::ast::Entry]) {
        for entry in entries {
            self.args(&entry.args);
            self.entries(&entry.entries);
        }
    }
}
