//! The tree as text for `--emit ast`: one indented line per node, with its starting line and column.

use std::fmt::Write;

use super::ast::{
    Arg, Block, Call, Entry, Expect, ExpectValue, Expr, ExprKind, File, Function, Ident, Item, Label, Network, Param, Split,
    Stage, Stmt, StmtKind, TemplatePart, UnaryOp, UnitRef, UsePath,
};

/// Renders a tree. `text` is its source, for lines and columns.
pub fn dump(file: &File, text: &str) -> String {
    let mut dump = Dump { out: String::new(), starts: vec![0], depth: 0 };
    dump.starts.extend(text.match_indices('\n').map(|(i, _)| i + 1));
    if let Some(version) = &file.version {
        dump.line(version.span.start, format_args!("version {}", version.node));
    }
    for item in &file.items {
        match item {
            Item::Use(item) => {
                let from = match &item.from {
                    UsePath::Std(name) => name.node.clone(),
                    UsePath::File(path) => format!("{:?}", path.node),
                };
                let names: Vec<&str> = item.names.iter().map(|n| n.node.as_str()).collect();
                dump.line(
                    item.span.start,
                    format_args!("use {from}{}{}", if names.is_empty() { "" } else { ": " }, names.join(", ")),
                );
            }
            Item::Block(block) => dump.block(block),
            Item::Network(network) => dump.network(network),
            Item::Function(function) => dump.function(function),
        }
    }
    if file.damaged {
        dump.out.push_str("(what did not parse is missing)\n");
    }
    dump.out
}

struct Dump {
    out: String,
    starts: Vec<usize>,
    depth: usize,
}

impl Dump {
    fn line(&mut self, at: u32, text: impl std::fmt::Display) {
        let line = self.starts.partition_point(|&start| start <= at as usize);
        let column = at as usize - self.starts[line.saturating_sub(1)] + 1;
        let place = format!("{line}:{column}");
        let _ = writeln!(self.out, "{place:>7}  {}{text}", "  ".repeat(self.depth));
    }

    fn doc(&mut self, doc: Option<&String>, at: u32) {
        for line in doc.iter().flat_map(|d| d.lines()) {
            self.line(at, format_args!("doc {line}"));
        }
    }

    fn block(&mut self, block: &Block) {
        self.doc(block.doc.as_ref(), block.span.start);
        self.line(block.span.start, format_args!("block {}{}", block.name.node, params(&block.params)));
        self.body(&block.body);
    }

    fn network(&mut self, network: &Network) {
        self.doc(network.doc.as_ref(), network.span.start);
        let base = network.base.as_ref().map_or(String::new(), |base| format!(" = {}", unit(base)));
        self.line(network.span.start, format_args!("network {}{}{base}", network.name.node, params(&network.params)));
        self.body(&network.body);
    }

    fn function(&mut self, function: &Function) {
        self.doc(function.doc.as_ref(), function.span.start);
        let value = function.value.as_ref().map_or(String::new(), |value| format!(" = {}", expr(value)));
        self.line(function.span.start, format_args!("elementwise {}{}{value}", function.name.node, params(&function.params)));
    }

    fn body(&mut self, body: &[Stmt]) {
        self.depth += 1;
        body.iter().for_each(|stmt| self.stmt(stmt));
        self.depth -= 1;
    }

    fn stmt(&mut self, stmt: &Stmt) {
        let at = stmt.span.start;
        match &stmt.kind {
            StmtKind::Input { name, dims } => {
                let name = name.as_ref().map_or(String::new(), |n| format!("{}: ", n.node));
                self.line(at, format_args!("input {name}{}", list(dims, " x ")));
            }
            StmtKind::Call(call) => self.line(at, call_text(call)),
            StmtKind::Apply { value, label } => self.line(at, format_args!("apply {}{}", expr(value), suffix(label.as_ref()))),
            StmtKind::Section { name, body } => self.nested(at, &name.node, body),
            StmtKind::Scope { name, body } => self.nested(at, &format!("scope {}", label(name)), body),
            StmtKind::Sequential { name, flat, body } => {
                let name = name.iter().map(|name| format!(" {}", label(name)));
                let flat = flat.then(|| " flat".to_owned());
                let words: Vec<String> = ["sequential".to_owned()].into_iter().chain(flat).chain(name).collect();
                self.nested(at, &words.concat(), body);
            }
            StmtKind::Joined { join, body, label } => {
                self.nested(at, &format!("{}{}", join.node, suffix(label.as_ref())), body);
            }
            StmtKind::Shortcut(policy) => self.line(at, format_args!("shortcut: {}", expr(policy))),
            StmtKind::Stage(stage) => self.line(at, stage_text(stage)),
            StmtKind::Branch { name, from, body } => {
                let name = name.as_ref().map_or(String::new(), |name| format!(" {}", name.node));
                self.nested(at, &format!("branch{name}{}", source(from.as_ref())), body)
            }
            StmtKind::Parallel { join, split, arms, label: name } => {
                let shares = |split: &Split| split.shares.as_ref().map_or(String::new(), |list| format!(": {}", expr(list)));
                let split = split.as_ref().map_or(String::new(), |split| format!(" split{}", shares(split)));
                self.line(at, format_args!("parallel {}{split}{}", join.node, suffix(name.as_ref())));
                self.depth += 1;
                for (name, body) in arms {
                    let at = match name {
                        Some(Label::Name(name)) => name.span.start,
                        Some(Label::Template(template)) => template.span.start,
                        None => body.first().map_or(at, |stmt| stmt.span.start),
                    };
                    let name = name.as_ref().map(|name| format!(" {}", label(name))).unwrap_or_default();
                    self.nested(at, &format!("arm{name}"), body);
                }
                self.depth -= 1;
            }
            StmtKind::If { cond, then, otherwise } => {
                self.nested(at, &format!("if {}", expr(cond)), then);
                if !otherwise.is_empty() {
                    self.nested(at, "else", otherwise);
                }
            }
            StmtKind::Let { name, value } => self.line(at, format_args!("let {} = {}", name.node, expr(value))),
            StmtKind::Output { name, from } => self.line(at, format_args!("output {}{}", name.node, source(from.as_ref()))),
            StmtKind::Expect(expect) => self.line(at, expect_text(expect)),
            StmtKind::Preprocess(list) => self.line(at, format_args!("preprocess {{ {} }}", args(list))),
            StmtKind::Labels(labels) => self.line(at, format_args!("labels {}", expr(labels))),
            StmtKind::Weights(path) => self.line(at, format_args!("weights {:?}", path.node)),
            StmtKind::Precision(entries) => {
                self.line(at, "precision");
                self.entries(entries);
            }
            StmtKind::Train(entries) => {
                self.line(at, "train");
                self.entries(entries);
            }
        }
    }

    fn nested(&mut self, at: u32, head: &str, body: &[Stmt]) {
        self.line(at, head);
        self.body(body);
    }

    fn entries(&mut self, entries: &[Entry]) {
        self.depth += 1;
        for entry in entries {
            let words = args(&entry.args);
            self.line(entry.span.start, format_args!("{}{}{words}", entry.key.node, if words.is_empty() { "" } else { " " }));
            self.entries(&entry.entries);
        }
        self.depth -= 1;
    }
}

fn params(list: &[Param]) -> String {
    if list.is_empty() {
        return String::new();
    }
    let one = |p: &Param| {
        let kind = p.kind.as_ref().map_or(String::new(), |kind| format!(": {}", kind.node));
        let default = p.default.as_ref().map_or(String::new(), |default| format!(" = {}", expr(default)));
        format!("{}{kind}{default}", p.name.node)
    };
    format!("({})", list.iter().map(one).collect::<Vec<_>>().join(", "))
}

fn unit(unit: &UnitRef) -> String {
    if unit.args.is_empty() { unit.name.node.clone() } else { format!("{}({})", unit.name.node, args(&unit.args)) }
}

fn args(list: &[Arg]) -> String {
    let one = |arg: &Arg| match &arg.key {
        Some(key) => format!("{}: {}", key.node, expr(&arg.value)),
        None => expr(&arg.value),
    };
    list.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn source(from: Option<&Ident>) -> String {
    from.map_or(String::new(), |from| format!(" from {}", from.node))
}

fn suffix(name: Option<&Label>) -> String {
    name.map_or(String::new(), |name| format!(" as {}", label(name)))
}

fn label(name: &Label) -> String {
    match name {
        Label::Name(name) => name.node.clone(),
        Label::Template(template) => {
            let part = |part: &TemplatePart| match part {
                TemplatePart::Text(text) => text.clone(),
                TemplatePart::Expr(value) => format!("{{{}}}", expr(value)),
            };
            format!("\"{}\"", template.parts.iter().map(part).collect::<String>())
        }
    }
}

fn call_text(call: &Call) -> String {
    let args = args(&call.args);
    format!("{}{}{args}{}", call.name.node, if args.is_empty() { "" } else { " " }, suffix(call.label.as_ref()))
}

fn stage_text(stage: &Stage) -> String {
    let word = if stage.is_stage { "stage" } else { "repeat" };
    let label = stage.label.as_ref().map(|l| l.node.clone()).or_else(|| stage.names.as_ref().map(label));
    let label = label.map_or(String::new(), |label| format!(" {label}:"));
    let first = stage.first.iter().map(|arg| format!(" first {}", args(std::slice::from_ref(arg))));
    let allows: String = first.chain(stage.allows.iter().map(|a| format!(" allow {}", a.node))).collect();
    let keys = if stage.args.is_empty() { String::new() } else { format!(" {{ {} }}", args(&stage.args)) };
    format!("{word}{label} {} of {}{keys}{allows}", expr(&stage.count), unit(&stage.unit))
}

fn expect_text(expect: &Expect) -> String {
    let value = match &expect.value {
        ExpectValue::Number(text) => text.node.clone(),
        ExpectValue::Shape(dims, _) => list(dims, " x "),
    };
    format!("expect {}{} {value}", expect.metric.node, if expect.about { " ~=" } else { ":" })
}

fn list(items: &[Expr], between: &str) -> String {
    items.iter().map(expr).collect::<Vec<_>>().join(between)
}

/// An expression with parentheses around every operation, which shows precedence.
fn expr(value: &Expr) -> String {
    match &value.kind {
        ExprKind::Int(n) => n.to_string(),
        ExprKind::Float(x) => format!("{x:?}"),
        ExprKind::Bool(b) => b.to_string(),
        ExprKind::Str(text) => format!("{text:?}"),
        ExprKind::Size(h, w) => format!("{h}x{w}"),
        ExprKind::Name(name) => name.clone(),
        ExprKind::List(items) => format!("[{}]", list(items, ", ")),
        ExprKind::Index(of, index) => format!("{}[{}]", expr(of), expr(index)),
        ExprKind::Call(name, list) => format!("{}({})", name.node, args(list)),
        ExprKind::Unary(UnaryOp::Neg, of) => format!("(-{})", expr(of)),
        ExprKind::Unary(UnaryOp::Not, of) => format!("(not {})", expr(of)),
        ExprKind::Binary(op, a, b) => format!("({} {} {})", expr(a), op.node.symbol(), expr(b)),
        ExprKind::If(cond, then, otherwise) => format!("(if {} then {} else {})", expr(cond), expr(then), expr(otherwise)),
    }
}
