//! Translates expressions to elementwise programs. Called functions are inlined: a program shares what they have in common, and
//! a call with the same arguments is translated once.

use std::collections::{BTreeMap, HashMap};

use super::functions::Functions;
use super::primitive::{self, Primitive};
use super::term::{Condition, Term};
use crate::base::codes;
use crate::base::diagnostic::{Code, Diagnostic};
use crate::base::source::Span;
use crate::elaborate::eval::{Env, Eval};
use crate::elaborate::load::DefId;
use crate::elaborate::suggest::nearest;
use crate::elaborate::value::Value;
use crate::elementwise::{self, Binary, Builder, Comparison, MAX_INSTRUCTIONS, Program, Register, Unary};
use crate::syntax::ast::{BinaryOp, Expr, ExprKind, UnaryOp};

/// The maximum nesting depth of an expression, since translation is recursive. Called functions are part of it.
const MAX_DEPTH: usize = 600;
/// What a call adds to the depth: its translation takes more of the stack.
const DEPTH_OF_CALL: usize = 10;
/// The maximum number of translated expressions, since a long chain of functions can stand for a short program.
const MAX_STEPS: usize = 100_000;

/// The names that an expression can use.
#[derive(Debug)]
pub(super) struct Names<'n> {
    /// The module whose functions it can call.
    pub module: usize,
    /// The parameters of the function; of `apply`, `x`.
    pub own: BTreeMap<String, Term>,
    /// What surrounds an `apply`.
    pub env: Option<&'n Env>,
}

/// Translates one expression.
pub(super) struct Translator<'t, 'a> {
    pub functions: &'t mut Functions<'a>,
    builder: Builder,
    steps: usize,
    /// Whether translation has stopped at a limit.
    stopped: bool,
    /// How many branches around this expression are never taken.
    pub untaken: usize,
    /// Results of calls.
    pub calls: HashMap<(DefId, Vec<Option<Key>>), Term>,
}

/// An argument of a call, to compare it with those of other calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Number(u64),
    Value(Register),
}

impl<'t, 'a> Translator<'t, 'a> {
    pub fn new(functions: &'t mut Functions<'a>, operands: usize) -> Self {
        let builder = Builder::new(operands);
        Translator { functions, builder, steps: 0, stopped: false, untaken: 0, calls: HashMap::new() }
    }

    /// The value of an operand.
    pub fn operand(&mut self, slot: usize) -> Term {
        Term::Value(self.builder.operand(slot))
    }

    /// The program that computes `result`, the term of `expr`; `what` names it in messages.
    pub fn finish(mut self, result: Term, expr: &Expr, what: &str, at: Span) -> Option<Program> {
        let register = self.register(result, expr.span);
        let register = register.filter(|_| !self.stopped)?;
        match self.builder.finish(register) {
            Ok(program) => Some(program),
            Err(error) => {
                let message = match error {
                    elementwise::ProgramError::TooLong => format!("{what} is too long"),
                    _ => format!("{what} cannot be computed"),
                };
                let diag = Diagnostic::error(codes::FUNCTION_TOO_LONG, message, at, "needs more operations");
                self.functions.diags.push(diag.rule(format!(
                    "a function has at most {MAX_INSTRUCTIONS} operations, those of the functions that it calls included"
                )));
                None
            }
        }
    }

    pub fn fail(&mut self, code: Code, message: impl Into<String>, span: Span, label: impl Into<String>) -> Term {
        self.report(Diagnostic::error(code, message, span, label))
    }

    pub fn report(&mut self, diag: Diagnostic) -> Term {
        self.functions.diags.push(diag);
        Term::Unknown
    }

    /// An error in numbers that are known; a branch that is never taken has none.
    fn arithmetic(&mut self, message: impl Into<String>, span: Span, label: impl Into<String>) -> Term {
        if self.untaken > 0 {
            return Term::Unknown;
        }
        self.fail(codes::ARITHMETIC, message, span, label)
    }

    /// Translates what is never computed: it yields no code, and its arithmetic cannot fail.
    pub fn untaken<T>(&mut self, translate: impl FnOnce(&mut Self) -> T) -> T {
        self.untaken += 1;
        let result = translate(self);
        self.untaken -= 1;
        result
    }

    /// Translates an expression.
    pub fn term(&mut self, expr: &Expr, names: &Names<'_>) -> Term {
        if self.stopped {
            return Term::Unknown;
        }
        self.steps += 1;
        if self.steps > MAX_STEPS {
            return self.endless(expr.span);
        }
        self.nested(1, expr.span, |this| this.term_of(expr, names))
    }

    /// Translates something at a greater depth, unless that would be too deep.
    fn nested(&mut self, levels: usize, span: Span, translate: impl FnOnce(&mut Self) -> Term) -> Term {
        if self.functions.depth + levels > MAX_DEPTH {
            return self.too_deep(span);
        }
        self.functions.depth += levels;
        let term = translate(self);
        self.functions.depth -= levels;
        term
    }

    /// Translates the body of a function.
    pub fn called(&mut self, span: Span, translate: impl FnOnce(&mut Self) -> Term) -> Term {
        self.nested(DEPTH_OF_CALL, span, translate)
    }

    fn endless(&mut self, span: Span) -> Term {
        self.stopped = true;
        let diag = Diagnostic::error(codes::FUNCTION_TOO_LONG, "the functions take too long to translate", span, "");
        self.report(diag.rule(format!("calls expand to at most {MAX_STEPS} expressions")))
    }

    fn too_deep(&mut self, span: Span) -> Term {
        self.stopped = true;
        let diag = Diagnostic::error(codes::TOO_DEEP, "functions call each other too deeply", span, "one call too many");
        self.report(diag.rule("a function calls others up to about 50 levels deep"))
    }

    fn term_of(&mut self, expr: &Expr, names: &Names<'_>) -> Term {
        match &expr.kind {
            ExprKind::Int(n) => Term::Number(*n as f64),
            ExprKind::Float(x) => Term::Number(*x),
            ExprKind::Bool(known) => Term::Condition(Condition::Known(*known)),
            ExprKind::Name(name) => self.name(name, expr, names),
            ExprKind::Call(name, args) => self.call(name, args, expr.span, names),
            ExprKind::Unary(UnaryOp::Neg, inner) => self.negated(inner, names),
            ExprKind::Unary(UnaryOp::Not, inner) => match self.condition(inner, names) {
                Some(condition) => Term::Condition(condition.negated()),
                None => Term::Unknown,
            },
            ExprKind::Binary(op, a, b) => self.binary(op.node, a, b, expr.span, names),
            ExprKind::If(condition, then, otherwise) => self.choice(condition, then, otherwise, names),
            ExprKind::Index(..) if names.env.is_some() => self.surrounding(expr, names),
            ExprKind::Str(_) => self.not_a_number("a text", expr.span),
            ExprKind::Size(..) => self.not_a_number("a size", expr.span),
            ExprKind::List(_) => self.not_a_number("a list", expr.span),
            ExprKind::Index(..) => self.not_a_number("an item of a list", expr.span),
        }
    }

    fn not_a_number(&mut self, what: &str, span: Span) -> Term {
        self.fail(codes::BAD_VALUE, format!("this needs a number, not {what}"), span, "not a number")
    }

    fn negated(&mut self, inner: &Expr, names: &Names<'_>) -> Term {
        match self.term(inner, names) {
            Term::Number(x) => Term::Number(-x),
            other => match self.register(other, inner.span) {
                Some(x) => self.value(|builder| builder.unary(Unary::Neg, x)),
                None => Term::Unknown,
            },
        }
    }

    pub fn value(&mut self, build: impl FnOnce(&mut Builder) -> Register) -> Term {
        Term::Value(if self.untaken > 0 { 0 } else { build(&mut self.builder) })
    }

    /// The register of a number; reports a condition.
    pub fn register(&mut self, term: Term, span: Span) -> Option<Register> {
        match term {
            Term::Value(register) => Some(register),
            Term::Number(x) => self.constant(x, span),
            Term::Condition(_) => {
                let diag = Diagnostic::error(codes::BAD_VALUE, "this needs a number, not a condition", span, "is a condition");
                self.report(diag.help("a condition chooses between numbers: `if x > 0 then x else 0`"));
                None
            }
            Term::Unknown => None,
        }
    }

    /// A number as float32; `None` if it has none.
    pub fn float(&mut self, term: &Term, span: Span) -> Option<f32> {
        let Term::Number(x) = *term else { return None };
        let rounded = x as f32;
        let problem = match () {
            () if x.is_finite() && rounded.is_infinite() => "too large",
            () if x != 0.0 && rounded == 0.0 => "too small",
            () => return Some(rounded),
        };
        self.arithmetic(format!("{x:e} is {problem} for a value of the network"), span, "does not fit in float32");
        None
    }

    /// A number in a register.
    fn constant(&mut self, x: f64, span: Span) -> Option<Register> {
        if self.untaken > 0 {
            return Some(0);
        }
        let rounded = self.float(&Term::Number(x), span)?;
        Some(self.builder.constant(rounded))
    }

    fn condition(&mut self, expr: &Expr, names: &Names<'_>) -> Option<Condition> {
        match self.term(expr, names) {
            Term::Condition(condition) => Some(condition),
            Term::Unknown => None,
            Term::Number(_) | Term::Value(_) => {
                let diag = Diagnostic::error(codes::BAD_VALUE, "this needs a condition, not a number", expr.span, "is a number");
                self.report(diag.help("compare it: `x > 0`"));
                None
            }
        }
    }

    fn name(&mut self, name: &str, expr: &Expr, names: &Names<'_>) -> Term {
        if let Some(term) = names.own.get(name) {
            return term.clone();
        }
        if names.env.is_some_and(|env| env.get(name).is_some()) {
            return self.surrounding(expr, names);
        }
        if let Some(x) = primitive::constant(name) {
            return Term::Number(x);
        }
        let is_function = Primitive::find(name).is_some() || self.functions.find(name, names.module).is_some();
        let mut diag = Diagnostic::error(codes::UNKNOWN_NAME, format!("`{name}` names nothing here"), expr.span, "not known");
        let in_scope = || names.own.keys().map(String::as_str).chain(names.env.iter().flat_map(|env| env.names()));
        if is_function {
            diag = diag.help(format!("a function is called with its arguments: `{name}(x)`"));
        } else if let Some(near) = nearest(name, in_scope().chain(["inf", "pi"])) {
            diag = diag.fix(format!("did you mean `{near}`?"), expr.span, near);
        } else if names.env.is_some() {
            diag = diag.rule("`apply` computes from the current value `x` and from numbers: parameters and `let`s");
            diag = diag.help(format!(
                "a function can also read a labeled value: `elementwise NAME(x, {name}: full) = …`, called as `NAME LABEL`"
            ));
        } else {
            let list: Vec<_> = in_scope().map(|name| format!("`{name}`")).collect();
            diag = diag.note(format!("it can use its parameters, {}", list.join(", ")));
        }
        self.report(diag)
    }

    /// A number of the body around an `apply`.
    fn surrounding(&mut self, expr: &Expr, names: &Names<'_>) -> Term {
        let Some(env) = names.env else { return Term::Unknown };
        let Functions { program, diags, work, .. } = &mut *self.functions;
        let mut eval = Eval::new(program, diags, work);
        match eval.eval(expr, env) {
            Value::Int(n) => Term::Number(n as f64),
            Value::Float(x) => Term::Number(x),
            Value::Bool(known) => Term::Condition(Condition::Known(known)),
            other => {
                eval.mismatch("a number", &other, expr.span);
                Term::Unknown
            }
        }
    }

    fn choice(&mut self, condition: &Expr, then: &Expr, otherwise: &Expr, names: &Names<'_>) -> Term {
        let Some(condition) = self.condition(condition, names) else {
            // their own errors
            self.term(then, names);
            self.term(otherwise, names);
            return Term::Unknown;
        };
        if let Condition::Known(holds) = condition {
            let (taken, other) = if holds { (then, otherwise) } else { (otherwise, then) };
            let term = self.term(taken, names);
            self.untaken(|this| {
                let term = this.term(other, names);
                this.register(term, other.span)
            });
            return match term {
                Term::Condition(_) => self.register(term, taken.span).map_or(Term::Unknown, Term::Value),
                term => term,
            };
        }
        let [then, otherwise] = [then, otherwise].map(|branch| {
            let term = self.term(branch, names);
            self.register(term, branch.span)
        });
        match (then, otherwise) {
            (Some(then), Some(otherwise)) => Term::Value(self.select(&condition, then, otherwise)),
            _ => Term::Unknown,
        }
    }

    /// One selection per comparison.
    fn select(&mut self, condition: &Condition, then: Register, otherwise: Register) -> Register {
        if self.untaken > 0 {
            return 0;
        }
        match condition {
            Condition::Known(true) => then,
            Condition::Known(false) => otherwise,
            Condition::Compare(test, left, right) => self.builder.select(*test, *left, *right, then, otherwise),
            Condition::And(a, b) => {
                let inner = self.select(b, then, otherwise);
                self.select(a, inner, otherwise)
            }
            Condition::Or(a, b) => {
                let inner = self.select(b, then, otherwise);
                self.select(a, then, inner)
            }
            Condition::Not(inner) => self.select(inner, otherwise, then),
        }
    }

    fn binary(&mut self, op: BinaryOp, a: &Expr, b: &Expr, span: Span, names: &Names<'_>) -> Term {
        if matches!(op, BinaryOp::And | BinaryOp::Or) {
            let (left, right) = (self.condition(a, names), self.condition(b, names));
            return match (left, right) {
                (Some(left), Some(right)) if op == BinaryOp::And => Term::Condition(left.and(right)),
                (Some(left), Some(right)) => Term::Condition(left.or(right)),
                _ => Term::Unknown,
            };
        }
        let (left, right) = (self.term(a, names), self.term(b, names));
        if let (Some(test), Term::Condition(_)) = (comparison(op), &left)
            && matches!(&a.kind, ExprKind::Binary(inner, ..) if comparison(inner.node).is_some())
        {
            let diag = Diagnostic::error(codes::BAD_VALUE, "comparisons cannot be chained", span, "compares a condition");
            return self.report(diag.help(format!("join them: `a {0} b and b {0} c`", test.word())));
        }
        if let (Term::Number(x), Term::Number(y)) = (&left, &right) {
            return self.numbers(op, *x, *y, span);
        }
        if op == BinaryOp::Div && matches!(right, Term::Number(0.0)) {
            return self.arithmetic("division by zero", span, "the divisor is 0");
        }
        let (Some(x), Some(y)) = (self.register(left, a.span), self.register(right, b.span)) else { return Term::Unknown };
        if let Some(test) = comparison(op) {
            return Term::Condition(Condition::Compare(test, x, y));
        }
        match instruction(op) {
            Some(op) => self.value(|builder| builder.binary(op, x, y)),
            None => {
                let diag = Diagnostic::error(codes::BAD_VALUE, "`%` works on numbers, not on values", span, "depends on values");
                self.report(diag.help("the remainder of a division by n is `x - n * floor(x / n)`"))
            }
        }
    }

    /// An operation on numbers that are known.
    fn numbers(&mut self, op: BinaryOp, x: f64, y: f64, span: Span) -> Term {
        if let Some(test) = comparison(op) {
            return Term::Condition(Condition::Known(test.holds(x, y)));
        }
        if y == 0.0 && matches!(op, BinaryOp::Div | BinaryOp::Rem) {
            return self.arithmetic("division by zero", span, format!("{x} {} 0", op.symbol()));
        }
        let result = instruction(op).map_or(x % y, |op| op.of(x, y));
        self.number(result, span)
    }

    pub fn number(&mut self, result: f64, span: Span) -> Term {
        if result.is_nan() {
            return self.arithmetic("the result is not a number", span, "has no value");
        }
        Term::Number(result)
    }
}

fn comparison(op: BinaryOp) -> Option<Comparison> {
    Some(match op {
        BinaryOp::Lt => Comparison::Less,
        BinaryOp::Le => Comparison::LessEqual,
        BinaryOp::Gt => Comparison::Greater,
        BinaryOp::Ge => Comparison::GreaterEqual,
        BinaryOp::Eq => Comparison::Equal,
        BinaryOp::Ne => Comparison::NotEqual,
        BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul | BinaryOp::Div | BinaryOp::Rem | BinaryOp::And | BinaryOp::Or => {
            return None;
        }
    })
}

fn instruction(op: BinaryOp) -> Option<Binary> {
    match op {
        BinaryOp::Add => Some(Binary::Add),
        BinaryOp::Sub => Some(Binary::Sub),
        BinaryOp::Mul => Some(Binary::Mul),
        BinaryOp::Div => Some(Binary::Div),
        _ => None,
    }
}
