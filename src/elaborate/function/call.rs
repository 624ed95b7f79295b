//! Calls in expressions: primitives, and functions, which are inlined.

use std::collections::BTreeMap;

use super::primitive::{self, Primitive};
use super::signature::{Role, Signature};
use super::term::Term;
use super::translate::{Key, Names, Translator};
use crate::base::codes;
use crate::base::diagnostic::Diagnostic;
use crate::base::source::Span;
use crate::elaborate::foreign;
use crate::elaborate::load::{Def, DefId, MAX_ARGUMENTS};
use crate::elaborate::suggest::nearest;
use crate::elementwise::Register;
use crate::syntax::ast::{Arg, Expr, Ident};
use crate::syntax::table;

impl Translator<'_, '_> {
    /// The result of a call.
    pub fn call(&mut self, name: &Ident, args: &[Arg], span: Span, names: &Names<'_>) -> Term {
        if let Some(extra) = args.get(MAX_ARGUMENTS) {
            let message = format!("more than {MAX_ARGUMENTS} arguments");
            return self.fail(codes::TOO_MANY_ARGUMENTS, message, extra.span, "one too many");
        }
        let primitive = Primitive::find(&name.node);
        if let Some(primitive) = primitive
            && args.len() == primitive.arity()
            && args.iter().all(|arg| arg.key.is_none())
        {
            return self.primitive(primitive, args, span, names);
        }
        if let Some(id) = self.functions.find(&name.node, names.module) {
            return self.function(id, name, args, span, names);
        }
        let terms = args.iter().map(|arg| self.term(&arg.value, names)).count();
        if let Some(primitive) = primitive {
            let (code, at, label) = match args.get(primitive.arity()) {
                Some(extra) => (codes::TOO_MANY_ARGUMENTS, extra.span, "one too many".to_owned()),
                None if terms == primitive.arity() => (codes::UNKNOWN_KEY, span, "its arguments have no keys".to_owned()),
                None => (codes::MISSING_ARGUMENT, span, format!("has {terms}")),
            };
            return self.fail(code, format!("`{}` takes {}", name.node, primitive.takes()), at, label);
        }
        let diag = self.unknown_function(name, names);
        self.report(diag)
    }

    fn unknown_function(&self, name: &Ident, names: &Names<'_>) -> Diagnostic {
        let word = &name.node;
        if let Some(kind) = self.functions.kind(word, names.module) {
            let message = format!("`{word}` is a {kind}, and an expression calls functions");
            return Diagnostic::error(codes::UNKNOWN_NAME, message, name.span, "not a function");
        }
        if names.own.contains_key(word) {
            let message = format!("`{word}` is a number, and cannot be called");
            return Diagnostic::error(codes::UNKNOWN_NAME, message, name.span, "not a function");
        }
        let message = format!("there is no function `{word}`");
        let known = self.functions.names(names.module);
        // `torch.exp`, `F.leaky_relu`
        if let Some(own) = known.iter().find(|known| table::plain(known) == table::plain(word)) {
            let message = format!("`{word}` is written `{own}` here");
            let diag = Diagnostic::error(codes::UNKNOWN_NAME, message, name.span, "another word");
            return diag.fix(format!("write `{own}`"), name.span, *own);
        }
        let missing = message.clone();
        if let Some(diag) = foreign::error("function", word, codes::UNKNOWN_NAME, name.span, missing) {
            return diag;
        }
        let diag = Diagnostic::error(codes::UNKNOWN_NAME, message, name.span, "not known");
        match nearest(word, known) {
            Some(near) => diag.fix(format!("did you mean `{near}`?"), name.span, near),
            None => {
                let list: Vec<_> = primitive::names().map(|name| format!("`{name}`")).collect();
                diag.note(format!("besides declared functions, there are {}", list.join(", ")))
            }
        }
    }

    fn primitive(&mut self, primitive: Primitive, args: &[Arg], span: Span, names: &Names<'_>) -> Term {
        let terms: Vec<Term> = args.iter().map(|arg| self.term(&arg.value, names)).collect();
        match (primitive, terms.as_slice()) {
            (Primitive::Unary(op), [Term::Number(x)]) => return self.number(op.of(*x), span),
            (Primitive::Binary(op), [Term::Number(x), Term::Number(y)]) => return self.number(op.of(*x, *y), span),
            (Primitive::Clamp, [x, min, max]) => return self.clamp(x, min, max, args, span),
            _ => {}
        }
        let registers: Vec<Option<Register>> =
            terms.into_iter().zip(args).map(|(term, arg)| self.register(term, arg.span)).collect();
        match (primitive, registers.as_slice()) {
            (Primitive::Unary(op), [Some(x)]) => self.value(|builder| builder.unary(op, *x)),
            (Primitive::Binary(op), [Some(x), Some(y)]) => self.value(|builder| builder.binary(op, *x, *y)),
            _ => Term::Unknown,
        }
    }

    fn clamp(&mut self, x: &Term, min: &Term, max: &Term, args: &[Arg], span: Span) -> Term {
        let mut limits = [0.0; 2];
        for (limit, (term, arg)) in limits.iter_mut().zip([(min, &args[1]), (max, &args[2])]) {
            match term {
                Term::Number(number) => *limit = *number,
                Term::Value(_) => {
                    let message = "the limits of `clamp` are numbers, not values";
                    let diag = Diagnostic::error(codes::BAD_VALUE, message, arg.span, "depends on values");
                    return self.report(diag.help("limits that are values are `min(max(x, low), high)`"));
                }
                other => {
                    self.register(other.clone(), arg.span);
                    return Term::Unknown;
                }
            }
        }
        let [low, high] = limits;
        if low > high {
            return match self.untaken {
                0 => self.fail(codes::BAD_VALUE, format!("nothing lies between {low} and {high}"), span, "`min` is above `max`"),
                _ => Term::Unknown,
            };
        }
        match x {
            Term::Number(x) => Term::Number(x.clamp(low, high)),
            other => match self.register(other.clone(), args[0].span) {
                Some(x) => self.value(|builder| builder.clamp(x, low as f32, high as f32)),
                None => Term::Unknown,
            },
        }
    }

    fn function(&mut self, id: DefId, name: &Ident, args: &[Arg], span: Span, names: &Names<'_>) -> Term {
        let mut signature = None;
        self.called(name.span, |this| {
            signature = this.functions.signature(id, name.span);
            Term::Unknown
        });
        let terms: Vec<(Term, &Arg)> = args.iter().map(|arg| (self.term(&arg.value, names), arg)).collect();
        let Some(signature) = signature else { return Term::Unknown };
        let Some(given) = self.arguments(&signature, id, name, terms, span) else { return Term::Unknown };
        let mut key = Vec::new();
        for term in &given {
            key.push(match term {
                Some(Term::Number(x)) => Some(Key::Number(x.to_bits())),
                Some(Term::Value(register)) => Some(Key::Value(*register)),
                Some(Term::Condition(_) | Term::Unknown) => return Term::Unknown,
                None => None,
            });
        }
        if let Some(known) = self.calls.get(&(id, key.clone())) {
            return known.clone();
        }
        let errors = self.functions.diags.len();
        let term = self.called(span, |this| this.body(id, &signature, given));
        self.functions.caused_by(span, errors);
        if self.untaken == 0 {
            self.calls.insert((id, key), term.clone());
        }
        term
    }

    /// The result of a function on arguments: the current value, then the parameters.
    pub fn body(&mut self, id: DefId, signature: &Signature, given: Vec<Option<Term>>) -> Term {
        let program = self.functions.program;
        let Def::Function(function) = program.def(id) else { return Term::Unknown };
        let Some(value) = &function.value else { return Term::Unknown };
        let mut given = given.into_iter();
        let current = given.next().flatten().unwrap_or(Term::Unknown);
        let mut own = BTreeMap::from([(signature.current.node.clone(), current)]);
        let module = program.module_of(id);
        for (parameter, given) in signature.parameters.iter().zip(given) {
            let term = match (given, &parameter.default) {
                (Some(term), _) => term,
                (None, Some(default)) => self.default(default, &Names { module, own: own.clone(), env: None }),
                (None, None) => Term::Unknown,
            };
            own.insert(parameter.name.node.clone(), term);
        }
        self.term(value, &Names { module, own, env: None })
    }

    /// A default or initial value, which earlier numbers can be part of.
    pub fn default(&mut self, default: &Expr, names: &Names<'_>) -> Term {
        match self.term(default, names) {
            Term::Number(x) => Term::Number(x),
            Term::Unknown => Term::Unknown,
            term @ Term::Condition(_) => {
                self.register(term, default.span);
                Term::Unknown
            }
            Term::Value(_) => {
                let message = "a default is a number, and this depends on values";
                self.fail(codes::BAD_VALUE, message, default.span, "not known when the network is compiled")
            }
        }
    }

    /// The arguments of a call, for the current value and each parameter; `None` after a reported error.
    fn arguments(
        &mut self,
        signature: &Signature,
        id: DefId,
        name: &Ident,
        terms: Vec<(Term, &Arg)>,
        span: Span,
    ) -> Option<Vec<Option<Term>>> {
        let called = &name.node;
        let all: Vec<&str> = std::iter::once(&signature.current)
            .chain(signature.parameters.iter().map(|p| &p.name))
            .map(|n| n.node.as_str())
            .collect();
        let declared = self.functions.program.def(id).name().span;
        let mut given: Vec<Option<Term>> = vec![None; all.len()];
        let mut fine = true;
        for (position, (term, arg)) in terms.into_iter().enumerate() {
            let (slot, at) = match &arg.key {
                Some(key) => (all.iter().position(|known| *known == key.node), key.span),
                None => (Some(position).filter(|&slot| slot < all.len()), arg.span),
            };
            let Some(slot) = slot else {
                fine = false;
                let diag = match &arg.key {
                    Some(key) => {
                        let message = format!("function `{called}` has no parameter `{}`", key.node);
                        let diag = Diagnostic::error(codes::UNKNOWN_KEY, message, key.span, "not one of its parameters");
                        match nearest(&key.node, all.iter().copied()) {
                            Some(near) => diag.fix(format!("did you mean `{near}`?"), key.span, near),
                            None => diag,
                        }
                    }
                    None => {
                        let count = if all.len() == 1 { "1 argument".to_owned() } else { format!("{} arguments", all.len()) };
                        Diagnostic::error(codes::TOO_MANY_ARGUMENTS, format!("`{called}` takes {count}"), at, "one too many")
                    }
                };
                self.report(diag.label(declared, "declared here"));
                continue;
            };
            if given[slot].is_some() {
                self.fail(codes::GIVEN_TWICE, format!("`{}` is given twice", all[slot]), at, "the second time");
                fine = false;
                continue;
            }
            let is_number = slot.checked_sub(1).is_some_and(|i| signature.parameters[i].role == Role::Number);
            if is_number && matches!(term, Term::Value(_)) {
                let message = format!("`{}` of `{called}` is a number, and this depends on values", all[slot]);
                let diag = Diagnostic::error(codes::BAD_VALUE, message, arg.value.span, "not known when the network is compiled");
                self.report(diag.label(declared, "declared here"));
                fine = false;
            } else if matches!(term, Term::Condition(_)) {
                self.register(term, arg.value.span);
                fine = false;
                given[slot] = Some(Term::Unknown);
                continue;
            }
            given[slot] = Some(term);
        }
        for (slot, name) in all.iter().enumerate().filter(|&(slot, _)| given[slot].is_none()) {
            let parameter = slot.checked_sub(1).map(|i| &signature.parameters[i]);
            if parameter.is_some_and(|parameter| parameter.role == Role::Number) {
                continue;
            }
            let message = format!("function `{called}` needs `{name}`");
            let mut diag = Diagnostic::error(codes::MISSING_ARGUMENT, message, span, format!("`{name}` is not given"));
            diag = diag.label(declared, "declared here");
            if parameter.is_some_and(|parameter| !parameter.is_given()) {
                diag = diag.rule("a statement learns it; an expression passes it on: declare an operand of the same kind for it");
            }
            self.report(diag);
            fine = false;
        }
        fine.then_some(given)
    }
}
