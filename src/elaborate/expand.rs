//! Expands statements into a graph from top to bottom: each takes the current value and yields the next one.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap, HashSet};

use super::attrs;
use super::eval::{Env, Eval, exhausted};
use super::foreign;
use super::load::{Def, Program, library_of};
use super::meta::Meta;
use super::naming::{MAX_NAME, Numbering, Scope};
use super::operators;
use super::policy::Policy;
use super::suggest::nearest;
use super::unknowns::Unknowns;
use super::value::Value;
use crate::base::codes;
use crate::base::diagnostic::Diagnostic;
use crate::base::source::Span;
use crate::ir::ops::{Kind, Schema};
use crate::ir::{self, FrameId, Graph, Node, Op, Origin, Precision, Shape, ShortcutUse, Types};
use crate::syntax::ast::{Call, Expr, ExprKind, Ident, Label, Spanned, Stmt, StmtKind};

/// The maximum number of nodes of a network. A fuzzer, which would mostly wait for the largest ones, gets smaller ones.
pub const MAX_NODES: usize = if cfg!(fuzzing) { 2_000 } else { 1_000_000 };
/// The maximum nesting depth of bodies: blocks, stage units, branches, conditions, scopes.
pub const MAX_DEPTH: usize = 64;
/// The maximum number of expanded statements, which also bounds blocks without nodes.
pub(super) const MAX_STEPS: usize = 8 * MAX_NODES;
/// The maximum total size of all names, in bytes.
const MAX_NAMES: usize = 256 << 20;
/// The maximum number of different errors of a network; more usually have a common cause.
const MAX_ERRORS: usize = 500;

/// Removes duplicate errors, since every instance of a stage repeats the errors of its unit.
pub(super) fn once(diags: &mut Vec<Diagnostic>) {
    let mut seen = HashSet::new();
    diags.retain(|d| seen.insert((d.code, d.span(), d.message.clone())));
}

/// A labeled value of a body.
#[derive(Clone, Debug)]
pub(super) struct Labeled {
    pub value: Option<ir::Value>,
    pub span: Span,
    /// Whether it is a branch, which must be joined; other labels may be unused.
    pub must_join: bool,
    pub used: bool,
}

/// The state of expansion in a body.
#[derive(Clone)]
pub(super) struct Cx {
    pub env: Env,
    pub frame: Option<FrameId>,
    /// The block's input: what `add shortcut` adds. `None` in a network's own body.
    pub x: Option<ir::Value>,
    /// Whether this is the body of a block.
    pub in_block: bool,
    /// The current value; `None` after an error.
    pub current: Option<ir::Value>,
    /// The product of the strides since the block's input.
    pub stride: [usize; 2],
    /// The current shortcut policy.
    pub policy: Policy,
    pub labels: BTreeMap<String, Labeled>,
    /// The `filters` of the previous stage, for `filters: double`.
    pub last_filters: Option<i64>,
    /// Whether it may be missing because of an error.
    pub filters_lost: bool,
    /// The final dilation of the previous stage, for `dilate: double`.
    pub last_dilation: i64,
}

impl Cx {
    /// Counts a stride on the path.
    pub fn strided(&mut self, step: [usize; 2]) {
        self.stride = [0, 1].map(|axis| self.stride[axis].saturating_mul(step[axis]));
    }
}

/// Duplicate names that are already reported, by each possible cause: the name, the statement, and the expansion that repeats the
/// names of another.
#[derive(Debug, Default)]
struct ReportedDuplicates {
    names: HashSet<String>,
    spans: HashSet<Span>,
    expansions: HashSet<FrameId>,
}

impl ReportedDuplicates {
    /// Whether a duplicate has a known cause: its name, its statement, or the outermost expansion that contains it.
    fn is_known(&mut self, name: &str, span: Span, expansion: Option<FrameId>) -> bool {
        let is_new = [
            self.names.insert(name.to_owned()),
            self.spans.insert(span),
            expansion.is_none_or(|expansion| self.expansions.insert(expansion)),
        ];
        is_new.contains(&false)
    }
}

/// Expansion of one network.
pub(super) struct Expander<'a> {
    pub program: &'a Program,
    pub diags: &'a mut Vec<Diagnostic>,
    pub graph: Graph,
    /// By node index.
    pub types: Types,
    pub scopes: Vec<Scope>,
    pub stages: Vec<ir::Stage>,
    pub shortcuts: Vec<ShortcutUse>,
    pub meta: Meta,
    /// Names that are taken, with the expansions that contain them.
    names: HashMap<String, Option<FrameId>>,
    /// Reported duplicates among them, so that one mistake is reported once.
    duplicates: ReportedDuplicates,
    outputs: HashSet<String>,
    name_bytes: usize,
    pub steps: usize,
    /// The current nesting depth of bodies.
    pub depth: usize,
    pub work: &'a Cell<usize>,
    /// Set when a limit is exceeded; expansion then stops.
    pub aborted: bool,
    no_input_reported: bool,
    /// In an expansion of a block that no network uses.
    pub unknowns: Option<Unknowns>,
}

impl<'a> Expander<'a> {
    pub fn new(program: &'a Program, diags: &'a mut Vec<Diagnostic>, work: &'a Cell<usize>, meta: Meta) -> Self {
        Expander {
            program,
            diags,
            graph: Graph::default(),
            types: Types::default(),
            scopes: vec![Scope::default()],
            stages: Vec::new(),
            shortcuts: Vec::new(),
            meta,
            names: HashMap::new(),
            duplicates: ReportedDuplicates::default(),
            outputs: HashSet::new(),
            name_bytes: 0,
            steps: 0,
            depth: 0,
            work,
            aborted: false,
            no_input_reported: false,
            unknowns: None,
        }
    }

    pub fn eval(&mut self, expr: &Expr, env: &Env) -> Value {
        self.evaluator().eval(expr, env)
    }

    pub fn evaluator(&mut self) -> Eval<'_> {
        Eval::new(self.program, self.diags, self.work)
    }

    pub fn error(&mut self, diag: Diagnostic) {
        self.diags.push(diag);
    }

    pub fn shape(&self, value: ir::Value) -> &Shape {
        self.types.shape(value)
    }

    pub fn scope(&mut self) -> &mut Scope {
        if self.scopes.is_empty() {
            self.scopes.push(Scope::default());
        }
        let last = self.scopes.len() - 1;
        &mut self.scopes[last]
    }

    /// Counts one step, and returns whether a limit is exceeded.
    pub fn step(&mut self, span: Span) -> bool {
        self.steps += 1;
        if exhausted(self.work) {
            self.aborted = true; // already reported
        }
        if !self.aborted && self.diags.len() > 2 * MAX_ERRORS {
            once(self.diags);
            if self.diags.len() > MAX_ERRORS {
                self.aborted = true;
                let message = format!("more than {MAX_ERRORS} errors");
                self.error(Diagnostic::error(codes::TOO_LARGE, message, span, "expansion stopped here"));
            }
        }
        if !self.aborted && (self.graph.len() > MAX_NODES || self.steps > self.most_steps() || self.name_bytes > MAX_NAMES) {
            self.aborted = true;
            self.diags.push(
                Diagnostic::error(codes::TOO_LARGE, "the network is too large", span, "expansion stopped here")
                    .rule(format!("a network has at most {MAX_NODES} nodes")),
            );
        }
        self.aborted
    }

    /// Adds a node with these operands and infers its shape. A failed shape is `Unknown` here; the checker reports it.
    pub fn node(&mut self, op: Op, name: String, span: Span, frame: Option<FrameId>, operands: &[ir::Value]) -> ir::Value {
        if name.len() > MAX_NAME {
            self.error(Diagnostic::error(codes::BAD_NAME, format!("a name of more than {MAX_NAME} bytes"), span, "too long"));
            self.aborted = true;
        } else if let Some(first) = self.names.get(&name).copied() {
            // the outermost expansion, if it differs from that of the first
            let expansion = frame.filter(|_| first != frame).and_then(|_| self.graph.frames(frame).last()).map(|(id, _)| id);
            if !self.duplicates.is_known(&name, span, expansion) {
                self.error(
                    Diagnostic::error(
                        codes::DUPLICATE_NODE,
                        format!("two layers would be called `{name}`"),
                        span,
                        "the second one",
                    )
                    .rule("a layer's name is the name of its tensors in a weights file, so it must be unique")
                    .help("give the call a label (`as NAME`), or put it into a `scope`"),
                );
            }
        } else {
            self.names.insert(name.clone(), frame);
        }
        self.name_bytes += name.len();
        let id = self
            .graph
            .add(Node { op, name, params: Vec::new(), precision: Precision::F32, origin: Origin { span, frame } }, operands);
        // the checker infers again, and reports errors
        let _ = self.types.infer(&self.graph, id);
        id.into()
    }

    /// Expands the statements of a body.
    pub fn body(&mut self, stmts: &[Stmt], cx: &mut Cx) {
        let Some(first) = stmts.first() else { return };
        if self.depth > MAX_DEPTH {
            return self.too_deep(first.span, None);
        }
        self.depth += 1;
        for stmt in stmts {
            if self.step(stmt.span) {
                break;
            }
            cx.current = cx.current.or_else(|| self.unknown_value());
            self.stmt(stmt, cx);
        }
        self.depth -= 1;
    }

    /// Stops expansion before the stack overflows.
    pub fn too_deep(&mut self, span: Span, block: Option<Span>) {
        if !self.aborted {
            self.aborted = true;
            let message = format!("blocks nest more than {MAX_DEPTH} deep");
            let mut diag = Diagnostic::error(codes::TOO_DEEP, message, span, "expansion stopped here");
            if let Some(block) = block {
                diag = diag.label(block, "this block, among others");
            }
            self.error(diag.rule("a block cannot use itself, so that expansion always terminates"));
        }
    }

    fn stmt(&mut self, stmt: &Stmt, cx: &mut Cx) {
        match &stmt.kind {
            StmtKind::Input { name, dims } => self.input(name.as_ref(), dims, stmt.span, cx),
            StmtKind::Call(call) => self.call(call, stmt.span, cx),
            StmtKind::Apply { value, label } => self.apply(value, label.as_ref(), stmt.span, cx),
            StmtKind::Section { body, .. } => self.body(body, cx),
            StmtKind::Scope { name, body } => self.scoped(Some(name), Numbering::Counted, body, cx),
            StmtKind::Sequential { name, flat, body } => {
                let numbering = if *flat { Numbering::Flat } else { Numbering::Sequential };
                self.scoped(name.as_ref(), numbering, body, cx);
            }
            StmtKind::Shortcut(expr) => {
                // a derived network's statement overrides its base's
                if cx.in_block || self.meta.shortcut.is_none() {
                    cx.policy = self.policy(expr, &cx.env);
                }
            }
            StmtKind::Stage(stage) => self.stage(stage, stmt.span, cx),
            StmtKind::Branch { name, from, body } => self.branch(name.as_ref(), from.as_ref(), body, stmt.span, cx),
            StmtKind::Joined { join, body, label } => self.joined_at_once(join, body, label.as_ref(), stmt.span, cx),
            StmtKind::Parallel { join, split, arms, label } => {
                self.parallel(join, split.as_ref(), arms, label.as_ref(), stmt.span, cx);
            }
            StmtKind::If { cond, then, otherwise } => match self.eval(cond, &cx.env) {
                Value::Bool(true) => self.body(then, cx),
                Value::Bool(false) => self.body(otherwise, cx),
                Value::Unknown if self.unknowns.is_some() => self.either(then, otherwise, cx),
                value => {
                    self.evaluator().mismatch("true or false", &value, cond.span);
                    cx.current = None;
                }
            },
            StmtKind::Let { name, value } => {
                let value = self.eval(value, &cx.env);
                if cx.env.vars.contains_key(&name.node) {
                    self.error(
                        Diagnostic::error(
                            codes::DUPLICATE_NAME,
                            format!("`{}` is defined twice", name.node),
                            name.span,
                            "defined again",
                        )
                        .rule("values are immutable: there is no assignment"),
                    );
                }
                cx.env.vars.insert(name.node.clone(), value);
            }
            StmtKind::Output { name, from } => {
                let value = match from {
                    Some(label) => self.label(label, cx),
                    None => self.current(stmt.span, cx),
                };
                if !self.outputs.insert(name.node.clone()) {
                    self.error(Diagnostic::error(
                        codes::DUPLICATE_NAME,
                        format!("two outputs are called `{}`", name.node),
                        name.span,
                        "the second one",
                    ));
                } else if let Some(value) = value {
                    self.graph.add_output(name.node.clone(), value);
                }
            }
            StmtKind::Expect(_)
            | StmtKind::Preprocess(_)
            | StmtKind::Precision(_)
            | StmtKind::Labels(_)
            | StmtKind::Weights(_)
            | StmtKind::Train(_) => {
                if cx.in_block {
                    self.error(
                        Diagnostic::error(codes::MISPLACED, "this belongs to a network, not to a block", stmt.span, "not here")
                            .rule("a block holds operators, blocks, branches and conditions"),
                    );
                }
                // `meta` gathers those of a network
            }
        }
    }

    /// Makes the last value the main output, which comes first.
    pub fn main_output(&mut self, value: ir::Value, span: Span) {
        if self.outputs.contains("output") {
            self.error(
                Diagnostic::error(codes::DUPLICATE_NAME, "two outputs are called `output`", span, "in this network")
                    .rule("the last value is the output `output`, unless it is given another name"),
            );
            return;
        }
        let named = self.graph.take_outputs();
        self.graph.add_output("output", value);
        for (name, value) in named {
            self.graph.add_output(name, value);
        }
    }

    /// The current value. Reports a missing `input` once.
    pub fn current(&mut self, span: Span, cx: &Cx) -> Option<ir::Value> {
        if cx.current.is_none() && self.graph.inputs().is_empty() && !self.no_input_reported {
            self.no_input_reported = true;
            self.error(
                Diagnostic::error(codes::NO_INPUT, "there is no input yet", span, "reads a value, but there is none")
                    .help("begin with `input 3 x 224 x 224`"),
            );
        }
        cx.current
    }

    /// A `scope` or `sequential`, which is one statement of a `sequential` around it.
    fn scoped(&mut self, name: Option<&Label>, numbering: Numbering, body: &[Stmt], cx: &mut Cx) {
        let name = match name.map(|name| self.label_text(name, &cx.env)) {
            Some(None) => {
                cx.current = None;
                return;
            }
            Some(Some((name, _))) => Some(name),
            None if self.scope().is_flat() => return self.body(body, cx),
            None => self.scope().number(),
        };
        let prefix = match name {
            Some(name) => {
                self.scope().skip();
                self.scope().full(&name)
            }
            None => self.scope().prefix.clone(),
        };
        self.in_prefix(prefix, numbering, |this| this.body(body, cx));
    }

    /// Runs `inside` within a scope of its own.
    pub fn in_scope<T>(&mut self, name: &str, inside: impl FnOnce(&mut Self) -> T) -> T {
        let prefix = self.scope().full(name);
        self.in_prefix(prefix, Numbering::Counted, inside)
    }

    /// Runs what is one statement: in the scope of its label; without one in that of its number, where it has one, or else in the
    /// scope around it.
    pub fn in_statement<T>(&mut self, label: Option<&str>, inside: impl FnOnce(&mut Self) -> T) -> T {
        let number = self.scope().number();
        match label.map(str::to_owned).or(number) {
            Some(name) => {
                self.scope().skip();
                self.in_scope(&name, inside)
            }
            None => inside(self),
        }
    }

    fn in_prefix<T>(&mut self, prefix: String, numbering: Numbering, inside: impl FnOnce(&mut Self) -> T) -> T {
        self.scopes.push(Scope::new(prefix, numbering));
        let out = inside(self);
        self.scopes.pop();
        out
    }

    fn call(&mut self, call: &Call, span: Span, cx: &mut Cx) {
        if let Some(operator) = operators::find(&call.name.node) {
            let schema = &operator.schema;
            if schema.is_join() {
                return self.join(operator, call, span, cx);
            }
            if let Some((key, label)) = labeled(schema, call) {
                return self.with_labeled(operator, call, (key, &label), span, cx);
            }
            if let Some(diag) = foreign::product(schema, &call.args) {
                self.error(diag);
                cx.current = None;
                return;
            }
            let args = self.evaluator().args(&call.args, &cx.env);
            let x = cx.current.map_or(Shape::Unknown, |value| self.shape(value).clone());
            let op = attrs::operator(operator, &args, span, &x, &mut self.evaluator());
            let name = self.statement_name(schema.word, call.label.as_ref(), cx);
            let current = self.current(span, cx);
            let (Some(op), Some(name), Some(mut operand)) = (op, name, current) else {
                cx.current = None;
                return self.remember(call.label.as_ref(), cx);
            };
            if matches!(op, Op::Linear(_)) && self.shape(operand).dims().is_some_and(|d| d.len() > 1) {
                let flatten = self.scope().count("flatten");
                operand = self.node(Op::Flatten, flatten, span, cx.frame, &[operand]);
            }
            let step = op.stride();
            let value = self.node(op, name, span, cx.frame, &[operand]);
            cx.strided(step);
            cx.current = Some(value);
            self.remember(call.label.as_ref(), cx);
            return;
        }
        let called = self.eval(&Expr { kind: ExprKind::Name(call.name.node.clone()), span: call.name.span }, &cx.env);
        match self.evaluator().with_prelude(called) {
            Value::Unit(unit) if matches!(self.program.def(unit.def), Def::Block(_)) => self.block_call(&unit, call, span, cx),
            Value::Unit(unit) if matches!(self.program.def(unit.def), Def::Function(_)) => {
                self.function_call(&unit, call, span, cx)
            }
            Value::Unknown => {
                self.read_labels(call, cx);
                cx.current = None;
                self.remember(call.label.as_ref(), cx);
            }
            Value::Word(word) | Value::WordCall(word, _) => {
                let diag = self.unknown_statement(call, &word, cx);
                self.error(diag);
                cx.current = None;
            }
            other => {
                self.error(Diagnostic::error(
                    codes::UNKNOWN_OPERATOR,
                    format!("`{}` is not a block: it is {}", call.name.node, other.kind()),
                    call.name.span,
                    "cannot be a statement",
                ));
                cx.current = None;
            }
        }
    }

    /// The error for a statement whose word is no operator, block or function.
    fn unknown_statement(&self, call: &Call, word: &str, cx: &Cx) -> Diagnostic {
        let module = &self.program.modules[cx.env.module];
        let mut known: Vec<&str> = operators::statement_words().collect();
        known.extend(module.scope.keys().map(String::as_str));
        let message = format!("there is no operator or block `{word}`");
        let span = call.name.span;
        // a block of the library can be called like an operator of elsewhere
        let library = library_of(word);
        if let Some(diag) = foreign::statement(call, message.clone()).filter(|_| library.is_none()) {
            return diag;
        }
        let diag = Diagnostic::error(codes::UNKNOWN_OPERATOR, message, span, "not known");
        let own = foreign::block(word).unwrap_or(word);
        if known.contains(&own) {
            return diag.fix(format!("write `{own}`"), span, own);
        }
        match (library_of(own), nearest(word, known)) {
            (Some(library), _) => diag.help(format!("it is in the standard library: `use {library}: {own}`")),
            (None, Some(near)) => diag.fix(format!("did you mean `{near}`?"), span, near),
            (None, None) => diag,
        }
    }

    /// The name of a statement's node: its label in this scope, or the next automatic name.
    pub fn statement_name(&mut self, word: &str, label: Option<&Label>, cx: &Cx) -> Option<String> {
        match label {
            Some(label) => {
                let (text, _) = self.label_text(label, &cx.env)?;
                self.scope().skip();
                Some(self.scope().full(&text))
            }
            None => Some(self.scope().next(word)),
        }
    }

    /// Records the current value under a statement's label.
    pub fn remember(&mut self, label: Option<&Label>, cx: &mut Cx) {
        if let Some(label) = label
            && let Some((name, span)) = self.label_text(label, &cx.env)
        {
            cx.labels.insert(name, Labeled { value: cx.current, span, must_join: false, used: false });
        }
    }
}

/// The key and the label of an argument that names another value.
fn labeled(schema: &Schema<'static>, call: &Call) -> Option<(&'static str, Ident)> {
    let keys = schema.attributes.iter().filter(|attribute| attribute.kind == Kind::Label).map(|attribute| attribute.key);
    keys.into_iter().find_map(|key| {
        let arg = call.args.iter().find(|arg| arg.key.as_ref().is_some_and(|own| own.node == key))?;
        match &arg.value.kind {
            ExprKind::Name(name) => Some((key, Spanned { node: name.clone(), span: arg.value.span })),
            _ => None,
        }
    })
}
