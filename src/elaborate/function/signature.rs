//! What an elementwise function takes: its declaration, checked.

use crate::base::codes;
use crate::base::diagnostic::Diagnostic;
use crate::elaborate::suggest::nearest;
use crate::ir::Broadcast;
use crate::syntax::ast::{Expr, Function, Ident, Param};

/// The kinds of operands, as declared, with their meaning.
const KINDS: [(Broadcast, &str, &str); 6] = [
    (Broadcast::Full, "full", "of the size of the current value"),
    (Broadcast::Channel, "channel", "C x 1 x 1"),
    (Broadcast::Pixel, "pixel", "1 x H x W"),
    (Broadcast::Scalar, "scalar", "1 x 1 x 1"),
    (Broadcast::Parameter, "parameter", "learned, a number per channel"),
    (Broadcast::Shared, "shared", "learned, one number"),
];

/// The parameters of a function, after the current value.
#[derive(Debug)]
pub(in crate::internal::elaborate) struct Signature {
    /// What the current value is called inside.
    pub current: Ident,
    /// The other parameters, in order.
    pub parameters: Vec<Parameter>,
}

/// A parameter of a function.
#[derive(Debug)]
pub(in crate::internal::elaborate) struct Parameter {
    /// Its name.
    pub name: Ident,
    /// What it is.
    pub role: Role,
    /// A number's default, or a learned operand's initial value.
    pub default: Option<Expr>,
}

/// What a parameter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::internal::elaborate) enum Role {
    /// A value, which a call names by its label, or which is learned.
    Operand(Broadcast),
    /// A number that is known when the network is compiled.
    Number,
}

impl Parameter {
    /// Whether a statement can give it.
    pub fn is_given(&self) -> bool {
        match self.role {
            Role::Operand(kind) => !is_learned(kind),
            Role::Number => true,
        }
    }
}

impl Signature {
    /// Reads a declaration; `None` after a reported error.
    pub fn read(function: &Function, diags: &mut Vec<Diagnostic>) -> Option<Signature> {
        let errors = diags.len();
        let mut params = function.params.iter();
        let Some(first) = params.next() else {
            let name = &function.name;
            let message = format!("`{}` has no current value", name.node);
            let diag = Diagnostic::error(codes::FUNCTION, message, name.span, "reads nothing");
            diags.push(diag.rule("the first parameter of a function is the current value: `elementwise NAME(x) = …`"));
            return None;
        };
        is_current(first, diags);
        let parameters: Vec<_> = params.filter_map(|param| parameter(param, diags)).collect();
        (diags.len() == errors).then(|| Signature { current: first.name.clone(), parameters })
    }

    /// Finds a parameter.
    pub fn find(&self, name: &str) -> Option<&Parameter> {
        self.parameters.iter().find(|parameter| parameter.name.node == name)
    }
}

/// Reports a kind or default of the first parameter.
fn is_current(first: &Param, diags: &mut Vec<Diagnostic>) {
    let name = &first.name.node;
    let extra = match (&first.kind, &first.default) {
        (Some(kind), None) if kind.node == "full" => return,
        (Some(kind), _) => kind.span,
        (None, Some(default)) => default.span,
        (None, None) => return,
    };
    let message = format!("`{name}` is the current value, and has neither a kind nor a default");
    let mut all = first.name.span.to(extra);
    all.start = first.name.span.start;
    let diag = Diagnostic::error(codes::FUNCTION, message, extra, "not expected here");
    let diag = diag.rule("the first parameter of a function is the current value; operands and numbers follow it");
    diags.push(if first.default.is_none() { diag.fix(format!("write `{name}`"), all, name) } else { diag });
}

fn parameter(param: &Param, diags: &mut Vec<Diagnostic>) -> Option<Parameter> {
    let name = &param.name;
    let role = match (&param.kind, &param.default) {
        (Some(kind), _) => Role::Operand(broadcast(name, kind, diags)?),
        (None, Some(_)) => Role::Number,
        (None, None) => {
            let message = format!("`{}` has neither a kind nor a default", name.node);
            let diag = Diagnostic::error(codes::FUNCTION, message, name.span, "an operand or a number?");
            let diag = diag.rule(format!("an operand has a kind: {}", kinds()));
            diags.push(diag.rule(format!("a number has a default: `{} = 1`", name.node)));
            return None;
        }
    };
    if let (Role::Operand(kind), Some(default)) = (role, &param.default)
        && !is_learned(kind)
    {
        let message = format!("operand `{}` has a default, and is given by a label", name.node);
        let diag = Diagnostic::error(codes::FUNCTION, message, default.span, "not expected here");
        diags.push(diag.rule("a learned operand (`parameter`, `shared`) has an initial value; a number has no kind"));
        return None;
    }
    Some(Parameter { name: name.clone(), role, default: param.default.clone() })
}

fn broadcast(name: &Ident, kind: &Ident, diags: &mut Vec<Diagnostic>) -> Option<Broadcast> {
    if let Some((found, ..)) = KINDS.iter().find(|(_, word, _)| *word == kind.node) {
        return Some(*found);
    }
    let message = format!("operand `{}` cannot be `{}`", name.node, kind.node);
    let diag = Diagnostic::error(codes::FUNCTION, message, kind.span, "not a kind of operand");
    diags.push(match nearest(&kind.node, KINDS.iter().map(|(_, word, _)| *word)) {
        Some(near) => diag.fix(format!("did you mean `{near}`?"), kind.span, near),
        None => diag.rule(format!("the kinds are {}", kinds())),
    });
    None
}

/// Whether an operand is a tensor of the layer, rather than given by a label.
pub(in crate::internal::elaborate) fn is_learned(kind: Broadcast) -> bool {
    matches!(kind, Broadcast::Parameter | Broadcast::Shared)
}

/// All kinds with their meaning.
fn kinds() -> String {
    let list: Vec<String> = KINDS.iter().map(|(_, word, meaning)| format!("`{word}` ({meaning})")).collect();
    list.join(", ")
}
