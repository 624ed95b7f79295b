//! Expressions: checked integer arithmetic, comparison, conditions. Evaluation always terminates: there are no loops, every
//! recursion is bounded by the text, and all work is counted against [`MAX_WORK`].

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::foreign;
use super::function::primitive::Primitive;
use super::load::{Def, MAX_ARGUMENTS, Program};
use super::number_function::NumberFunction;
use super::suggest::nearest;
use super::value::{Bound, List, MAX_VALUE_DEPTH, Unit, Value};
use crate::base::codes;
use crate::base::diagnostic::Diagnostic;
use crate::base::source::Span;
use crate::syntax::ast::{Arg, BinaryOp, Expr, ExprKind, UnaryOp};

/// What an argument without a key is.
const BARE: &str = "after the first argument, a bare name is short for `name: name`";

/// The maximum length of a list.
const MAX_LIST: usize = 100_000;
/// The maximum number of values that the expansion of a network computes, compares or binds. A million layers take about 20
/// million. More than that means a long list evaluated for each of very many blocks, which would take minutes.
const MAX_WORK: usize = if cfg!(fuzzing) { 100_000 } else { 50_000_000 };

/// What to write where a division leaves a remainder.
const ROUNDING: &str = "`floor(a / b)` rounds down, `ceil(a / b)` up, and `round_to(a / b, 8)` to a multiple of 8";

/// The names visible to an expression.
#[derive(Clone, Debug)]
pub(super) struct Env {
    /// The module that contains it.
    pub module: usize,
    /// Parameters and `let`s.
    pub vars: BTreeMap<String, Value>,
    /// In a block: the number of channels of its input, which the name `in_channels` has unless a parameter takes it.
    pub in_channels: Option<Value>,
}

/// The name of the number of channels of a block's input.
const IN_CHANNELS: &str = "in_channels";

impl Env {
    /// Only what a module itself defines.
    pub fn of_module(module: usize) -> Env {
        Env { module, vars: BTreeMap::new(), in_channels: None }
    }

    /// The value of a name that is known here.
    pub fn get(&self, name: &str) -> Option<&Value> {
        let own = || self.in_channels.as_ref().filter(|_| name == IN_CHANNELS);
        self.vars.get(name).or_else(own)
    }

    /// Every such name.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.vars.keys().map(String::as_str).chain(self.in_channels.iter().map(|_| IN_CHANNELS))
    }
}

/// Evaluates expressions of a program.
pub(super) struct Eval<'a> {
    pub program: &'a Program,
    pub diags: &'a mut Vec<Diagnostic>,
    /// The work done for this network so far.
    pub work: &'a Cell<usize>,
    /// Whether a division of whole numbers must not leave a remainder.
    pub exact: bool,
}

/// Whether the work limit is exceeded, so that evaluation must stop.
pub(super) fn exhausted(work: &Cell<usize>) -> bool {
    work.get() > MAX_WORK
}

impl<'a> Eval<'a> {
    pub fn new(program: &'a Program, diags: &'a mut Vec<Diagnostic>, work: &'a Cell<usize>) -> Eval<'a> {
        Eval { program, diags, work, exact: true }
    }

    /// Counts work. Returns `false` if the limit is exceeded, and reports it the first time.
    fn charge(&mut self, amount: usize, span: Span) -> bool {
        let before = exhausted(self.work);
        self.work.set(self.work.get().saturating_add(amount));
        let after = exhausted(self.work);
        if after && !before {
            self.diags.push(
                Diagnostic::error(codes::TOO_LARGE, "the network takes too long to compute", span, "expansion stopped here")
                    .rule(format!("a network computes at most {MAX_WORK} values")),
            );
        }
        !after
    }

    fn fail(
        &mut self,
        code: crate::base::diagnostic::Code,
        message: impl Into<String>,
        span: Span,
        label: impl Into<String>,
    ) -> Value {
        self.diags.push(Diagnostic::error(code, message, span, label));
        Value::Unknown
    }

    /// The value of an expression; `Unknown` after a reported error.
    pub fn eval(&mut self, expr: &Expr, env: &Env) -> Value {
        if !self.charge(1, expr.span) {
            return Value::Unknown;
        }
        match &expr.kind {
            ExprKind::Int(n) => Value::Int(*n),
            ExprKind::Float(x) => Value::Float(*x),
            ExprKind::Bool(b) => Value::Bool(*b),
            ExprKind::Str(s) => Value::Str(s.as_str().into()),
            ExprKind::Size(a, b) => Value::Size(*a, *b),
            ExprKind::Name(name) => self.name(name, env),
            ExprKind::List(items) => {
                if items.len() > MAX_LIST {
                    return self.fail(codes::BAD_VALUE, format!("a list of more than {MAX_LIST} items"), expr.span, "too long");
                }
                match List::new(items.iter().map(|item| self.eval(item, env)).collect()) {
                    Some(list) => Value::List(list),
                    None => self.too_deep(expr.span),
                }
            }
            ExprKind::Index(list, index) => self.index(list, index, env),
            ExprKind::Call(name, args) => self.call(name, args, env),
            ExprKind::Unary(op, a) => {
                let value = self.eval(a, env);
                match (op, value) {
                    (_, Value::Unknown) => Value::Unknown,
                    (UnaryOp::Neg, Value::Int(n)) => match n.checked_neg() {
                        Some(n) => Value::Int(n),
                        None => self.fail(codes::ARITHMETIC, "the number is too large", expr.span, "overflows"),
                    },
                    (UnaryOp::Neg, Value::Float(x)) => Value::Float(-x),
                    (UnaryOp::Not, Value::Bool(b)) => Value::Bool(!b),
                    (UnaryOp::Neg, value) => self.mismatch("a number", &value, a.span),
                    (UnaryOp::Not, value) => self.mismatch("true or false", &value, a.span),
                }
            }
            ExprKind::Binary(op, a, b) => self.binary(op.node, a, b, expr.span, env),
            ExprKind::If(cond, then, otherwise) => match self.eval(cond, env) {
                Value::Bool(true) => self.eval(then, env),
                Value::Bool(false) => self.eval(otherwise, env),
                Value::Unknown => Value::Unknown,
                value => self.mismatch("true or false", &value, cond.span),
            },
        }
    }

    /// Reports a value of the wrong kind.
    pub fn mismatch(&mut self, needed: &str, got: &Value, span: Span) -> Value {
        match got {
            Value::Unknown => Value::Unknown,
            Value::Word(word) => {
                let message = format!("`{word}` is not {needed}");
                if let Some(diag) = foreign::error("value", word, codes::UNKNOWN_NAME, span, message) {
                    self.diags.push(diag);
                    return Value::Unknown;
                }
                self.fail(codes::UNKNOWN_NAME, format!("`{word}` names nothing here"), span, format!("{needed} is needed"))
            }
            _ => {
                let kind = match got {
                    Value::Unit(unit) => format!("a {}", self.program.def(unit.def).kind()),
                    _ => got.kind().to_owned(),
                };
                let message = format!("this needs {needed}, not {kind}");
                if let Some(word) = self.called_function(got) {
                    let message = format!("`{word}` works on the values of a network, and this is a number of the source");
                    let diag = Diagnostic::error(codes::BAD_VALUE, message, span, format!("{needed} is needed"));
                    self.diags.push(diag.rule("functions are called in `elementwise NAME(x) = …` and in `apply`"));
                    return Value::Unknown;
                }
                let is = match got {
                    Value::Float(x) => format!("is {x:?}"), // 16.0, which is no whole number
                    _ => format!("is {got}"),
                };
                let diag = Diagnostic::error(codes::BAD_VALUE, message, span, is);
                self.diags.push(match got {
                    Value::Float(_) if needed.starts_with("a whole number") => diag
                        .help("`floor(x)` rounds down, `ceil(x)` up, and `round_to(x, 8)` to a multiple of 8, as MobileNets do"),
                    Value::Str(text) if needed.contains("number") && text.parse::<f64>().is_ok() => {
                        diag.fix("numbers are written without quotes", span, &**text)
                    }
                    _ => diag,
                });
                Value::Unknown
            }
        }
    }

    /// The name of an elementwise function, if a value is a call of it.
    fn called_function(&self, value: &Value) -> Option<Arc<str>> {
        match value {
            Value::WordCall(word, _) if Primitive::find(word).is_some() || self.program.prelude(word).is_some() => {
                Some(word.clone())
            }
            Value::Unit(unit) if matches!(self.program.def(unit.def), Def::Function(_)) => Some(unit.name.clone()),
            _ => None,
        }
    }

    fn too_deep(&mut self, span: Span) -> Value {
        self.fail(codes::TOO_DEEP, format!("a value nests more than {MAX_VALUE_DEPTH} deep"), span, "one level too many")
    }

    fn name(&mut self, name: &str, env: &Env) -> Value {
        if let Some(value) = env.get(name) {
            return value.clone();
        }
        if let Some(&def) = self.program.modules[env.module].scope.get(name) {
            return Value::Unit(Arc::new(Unit { def, name: name.into(), args: Vec::new(), depth: 0 }));
        }
        Value::Word(name.into())
    }

    /// A word that is called or passed on as a block would be, as a function that every file has.
    pub fn with_prelude(&self, value: Value) -> Value {
        let (word, args) = match &value {
            Value::Word(word) => (word, Vec::new()),
            Value::WordCall(word, args) => (word, args.to_vec()),
            _ => return value,
        };
        match self.program.prelude(word) {
            Some(def) => Value::Unit(Arc::new(Unit { def, name: word.clone(), args, depth: 0 })),
            None => value,
        }
    }

    fn index(&mut self, list: &Expr, index: &Expr, env: &Env) -> Value {
        match (self.eval(list, env), self.eval(index, env)) {
            (Value::Unknown, _) | (_, Value::Unknown) => Value::Unknown,
            (Value::List(items), Value::Int(i)) => match usize::try_from(i).ok().and_then(|i| items.get(i)) {
                Some(value) => value.clone(),
                None => {
                    let holds = if items.len() == 1 { "1 item".to_string() } else { format!("{} items", items.len()) };
                    self.fail(codes::BAD_INDEX, format!("the list has {holds}, and no number {i}"), index.span, "counted from 0")
                }
            },
            (Value::List(_), other) => self.mismatch("a whole number", &other, index.span),
            (other, _) => self.mismatch("a list", &other, list.span),
        }
    }

    fn call(&mut self, name: &crate::syntax::ast::Ident, args: &[Arg], env: &Env) -> Value {
        let called = self.name(&name.node, env);
        if let Value::Word(word) = &called
            && let Some(function) = NumberFunction::find(word)
        {
            return self.number_function(function, name, args, env);
        }
        let bound = self.args(args, env);
        match called {
            Value::Unit(unit) => {
                let mut unit = (*unit).clone();
                let params = self.program.def(unit.def).params();
                let mut position = 0;
                for mut arg in bound {
                    if arg.key.is_none() {
                        // positional: the next parameter that is not yet given
                        while params.get(position).is_some_and(|p| has(&unit.args, &p.name.node)) {
                            position += 1;
                        }
                        match params.get(position) {
                            Some(param) => arg.key = Some((param.name.node.as_str().into(), arg.span)),
                            None => {
                                return self.fail(
                                    codes::TOO_MANY_ARGUMENTS,
                                    format!("`{}` takes {} arguments", name.node, params.len()),
                                    arg.span,
                                    "one too many",
                                );
                            }
                        }
                    }
                    let key = arg.key.as_ref().map(|(k, _)| k.clone()).unwrap_or_default();
                    unit.args.retain(|a| a.key.as_ref().is_none_or(|(k, _)| *k != key));
                    unit.args.push(arg);
                }
                unit.depth = unit.args.iter().map(|a| a.value.depth()).max().unwrap_or(0).saturating_add(1);
                if unit.args.len() > MAX_ARGUMENTS || !self.charge(unit.args.len(), name.span) {
                    return Value::Unknown;
                }
                if unit.depth > MAX_VALUE_DEPTH {
                    return self.too_deep(name.span);
                }
                Value::Unit(Arc::new(unit))
            }
            Value::Word(word) => {
                if let Some(diag) = foreign::number_function(&word, name.span) {
                    self.diags.push(diag);
                    return Value::Unknown;
                }
                if let Some(inner) = bound.iter().find(|a| matches!(a.value, Value::WordCall(..))) {
                    let (value, span) = (inner.value.clone(), inner.span);
                    return self.mismatch("a plain value", &value, span);
                }
                Value::WordCall(word, bound.into())
            }
            other => self.mismatch("a block or a word", &other, name.span),
        }
    }

    /// Evaluates arguments in order.
    pub fn args(&mut self, args: &[Arg], env: &Env) -> Vec<Bound> {
        if let Some(extra) = args.get(MAX_ARGUMENTS) {
            let message = format!("more than {MAX_ARGUMENTS} arguments");
            self.fail(codes::TOO_MANY_ARGUMENTS, message, extra.span, "one too many");
        }
        let mut list: Vec<Bound> = Vec::with_capacity(args.len().min(MAX_ARGUMENTS));
        for arg in args.iter().take(MAX_ARGUMENTS) {
            let key: Option<(Arc<str>, Span)> = arg.key.as_ref().map(|k| (k.node.as_str().into(), k.span));
            if let Some((name, span)) = &key
                && has(&list, name)
            {
                self.fail(codes::GIVEN_TWICE, format!("`{name}` is given twice"), *span, "the second time");
                continue;
            }
            list.push(Bound { key, value: self.eval(&arg.value, env), span: arg.value.span });
        }
        list
    }

    fn binary(&mut self, op: BinaryOp, a: &Expr, b: &Expr, span: Span, env: &Env) -> Value {
        let left = self.eval(a, env);
        // `and` and `or` short-circuit
        match (op, &left) {
            (BinaryOp::And, Value::Bool(false)) => return Value::Bool(false),
            (BinaryOp::Or, Value::Bool(true)) => return Value::Bool(true),
            _ => {}
        }
        let errors = self.diags.len();
        let right = self.eval(b, env);
        use BinaryOp as B;
        if left == Value::Unknown && matches!(op, B::And | B::Or) {
            // the left one may decide, so that the right one is never computed
            self.diags.truncate(errors);
        }
        match (op, &left, &right) {
            (B::And, Value::Unknown, Value::Bool(false)) | (B::Or, Value::Unknown, Value::Bool(true)) => right,
            (_, Value::Unknown, _) | (_, _, Value::Unknown) => Value::Unknown,
            (B::And | B::Or, Value::Bool(_), Value::Bool(right)) => Value::Bool(*right),
            (B::And | B::Or, Value::Bool(_), other) => self.mismatch("true or false", other, b.span),
            (B::And | B::Or, other, _) => self.mismatch("true or false", other, a.span),
            (B::Add | B::Sub | B::Mul | B::Div | B::Rem, Value::Int(x), Value::Int(y)) => self.arithmetic(op, *x, *y, span),
            (B::Eq | B::Ne, x, y) => {
                let equal = self.equal(x, y, span);
                if exhausted(self.work) || x.is_partly_unknown() || y.is_partly_unknown() {
                    Value::Unknown
                } else {
                    Value::Bool(equal == (op == B::Eq))
                }
            }
            (B::Lt, Value::Int(x), Value::Int(y)) => Value::Bool(x < y),
            (B::Le, Value::Int(x), Value::Int(y)) => Value::Bool(x <= y),
            (B::Gt, Value::Int(x), Value::Int(y)) => Value::Bool(x > y),
            (B::Ge, Value::Int(x), Value::Int(y)) => Value::Bool(x >= y),
            (_, x, y) => match (number(x), number(y)) {
                (Some(x), Some(y)) => match op {
                    B::Lt => Value::Bool(x < y),
                    B::Le => Value::Bool(x <= y),
                    B::Gt => Value::Bool(x > y),
                    B::Ge => Value::Bool(x >= y),
                    B::Add => Value::Float(x + y),
                    B::Sub => Value::Float(x - y),
                    B::Mul => Value::Float(x * y),
                    B::Div => Value::Float(x / y),
                    B::Rem => Value::Float(x % y),
                    B::Eq | B::Ne | B::And | B::Or => Value::Unknown,
                },
                (None, _) => self.mismatch("a number", x, a.span),
                (_, None) => self.mismatch("a number", y, b.span),
            },
        }
    }

    /// Whether two values are equal; integers and decimals are compared by value. Shared parts are counted as often as they
    /// are visited.
    pub fn equal(&mut self, x: &Value, y: &Value, span: Span) -> bool {
        if !self.charge(1, span) {
            return false;
        }
        match (x, y) {
            (Value::List(a), Value::List(b)) => a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| self.equal(a, b, span)),
            (Value::Unit(a), Value::Unit(b)) => a.def == b.def && self.equal_args(&a.args, &b.args, span),
            (Value::WordCall(a, x), Value::WordCall(b, y)) => a == b && self.equal_args(x, y, span),
            (Value::Int(x), Value::Int(y)) => x == y,
            _ => match (number(x), number(y)) {
                (Some(x), Some(y)) => x == y,
                _ => x == y,
            },
        }
    }

    fn equal_args(&mut self, a: &[Bound], b: &[Bound], span: Span) -> bool {
        let key = |bound: &Bound| bound.key.as_ref().map(|(k, _)| k.clone());
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| key(a) == key(b) && self.equal(&a.value, &b.value, span))
    }

    fn arithmetic(&mut self, op: BinaryOp, x: i64, y: i64, span: Span) -> Value {
        let result = match op {
            BinaryOp::Add => x.checked_add(y),
            BinaryOp::Sub => x.checked_sub(y),
            BinaryOp::Mul => x.checked_mul(y),
            BinaryOp::Div | BinaryOp::Rem if y == 0 => {
                return self.fail(codes::ARITHMETIC, "division by zero", span, format!("{x} {} 0", op.symbol()));
            }
            BinaryOp::Div => match x.checked_rem(y) {
                Some(0) => x.checked_div(y),
                Some(_) if !self.exact => return Value::Float(x as f64 / y as f64),
                Some(rest) => {
                    let message = format!("{x} / {y} leaves a remainder of {rest}");
                    let diag = Diagnostic::error(codes::ARITHMETIC, message, span, "integer division must be exact");
                    self.diags.push(diag.help(ROUNDING));
                    return Value::Unknown;
                }
                None => None,
            },
            BinaryOp::Rem => x.checked_rem(y),
            _ => None,
        };
        match result {
            Some(n) => Value::Int(n),
            None => self.fail(
                codes::ARITHMETIC,
                "the number is too large",
                span,
                format!("{x} {} {y} overflows 64 bits", op.symbol()),
            ),
        }
    }

    /// Binds arguments to the parameters of a block or network: given ones, then defaults, which can refer to earlier parameters.
    /// Reports unknown and missing keys. `in_channels` is that of a block's input.
    pub fn bind(&mut self, def: super::load::DefId, args: &[Bound], call: Span, in_channels: Option<Value>) -> Env {
        let program = self.program;
        let declared = program.def(def);
        let params = declared.params();
        self.charge(params.len() * (args.len() + 1), call);
        let mut env = Env { in_channels, ..Env::of_module(program.module_of(def)) };
        let is_given = |name: &str| has(args, name);
        let mut missing: Vec<&str> =
            params.iter().filter(|p| p.default.is_none() && !is_given(&p.name.node)).map(|p| p.name.node.as_str()).collect();
        let mut taken: Vec<&str> = Vec::new();
        for arg in args {
            let Some((key, span)) = &arg.key else { continue };
            if !params.iter().any(|p| p.name.node == **key) {
                let name = &declared.name().node;
                let mut diag = Diagnostic::error(
                    codes::UNKNOWN_KEY,
                    format!("{} `{name}` has no parameter `{key}`", declared.kind()),
                    *span,
                    "not one of its parameters",
                )
                .label(declared.name().span, "declared here");
                // a bare name is short for `name: name`
                let is_bare = *span == arg.span;
                let is_value = is_bare && !matches!(arg.value, Value::Word(_));
                let fixed = |param: &str| if is_value { format!("{param}: {key}") } else { param.to_owned() };
                if let Some(near) = nearest(key, params.iter().map(|p| p.name.node.as_str())) {
                    missing.retain(|param| *param != near);
                    diag = diag.fix(format!("did you mean `{}`?", fixed(near)), *span, fixed(near));
                } else if let Some(&first) = missing.first().filter(|_| is_value || !is_bare) {
                    missing.remove(0);
                    diag = diag.fix(format!("`{first}` is not given: did you mean `{}`?", fixed(first)), *span, fixed(first));
                    if is_bare {
                        diag = diag.rule(BARE);
                    }
                } else if is_bare {
                    let open = params.iter().map(|p| p.name.node.as_str()).find(|name| !is_given(name) && !taken.contains(name));
                    diag = match open {
                        Some(open) => {
                            taken.push(open);
                            diag.help(format!("to give it to another parameter, write its key: `{open}: {key}`")).rule(BARE)
                        }
                        None => diag.rule(BARE),
                    };
                } else if let Def::Network(network) = declared
                    && let Some(base) = &network.base
                    && let Some(&below) = program.modules[program.module_of(def)].scope.get(&base.name.node)
                    && program.def(below).params().iter().any(|p| p.name.node == **key)
                {
                    let base = &base.name.node;
                    diag = diag.help(format!("`{base}`, which it derives from, has it: `network NAME = {base}(…, {key}: …)`"));
                }
                self.diags.push(diag);
            }
        }
        for param in params {
            let name = &param.name.node;
            let given = args.iter().find(|a| a.key.as_ref().is_some_and(|(k, _)| **k == **name));
            let value = match (given, &param.default) {
                (Some(arg), _) => arg.value.clone(),
                (None, Some(default)) => self.eval(default, &env),
                (None, None) => {
                    // of a key that is none of the parameters, this one may have been meant, and that is said
                    if missing.contains(&name.as_str()) {
                        let kind = declared.kind();
                        let diag = Diagnostic::error(
                            codes::MISSING_ARGUMENT,
                            format!("{kind} `{}` needs `{name}`", declared.name().node),
                            call,
                            format!("`{name}` is not given"),
                        )
                        .label(param.name.span, "and has no default");
                        self.diags.push(diag);
                    }
                    Value::Unknown
                }
            };
            env.vars.insert(name.clone(), value);
        }
        env
    }
}

fn has(args: &[Bound], name: &str) -> bool {
    args.iter().any(|a| a.key.as_ref().is_some_and(|(k, _)| **k == *name))
}

/// An integer or decimal as a float, for comparison.
pub(super) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Int(n) => Some(*n as f64),
        Value::Float(x) => Some(*x),
        Value::Bool(_)
        | Value::Str(_)
        | Value::Size(..)
        | Value::List(_)
        | Value::Unit(_)
        | Value::Word(_)
        | Value::WordCall(..)
        | Value::Unknown => None,
    }
}
