//! What an elementwise function takes: its declaration, checked.

use crate::base::codes;
use crate::base::diagnostic::Diagnostic;
use crate::elaborate::suggest::nearest;
use crate::ir::Broadcast;
use crate::syntax::ast::{Expr, Function, Ident, Param};

/// The initial value of a learned operand that states none: neutral where it is a factor.
const INIT: f32 = 1.0;

/// The kinds of operands.
const KINDS: [Broadcast; 6] = [
    Broadcast::Full,
    Broadcast::Channel,
    Broadcast::Pixel,
    Broadcast::Scalar,
    Broadcast::Parameter { init: INIT },
    Broadcast::Shared { init: INIT },
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
#[derive(Clone, Copy, Debug, PartialEq)]
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
            Role::Operand(kind) => !kind.is_learned(),
            Role::Number => true,
        }
    }

    /// Whether a statement gives it by a label.
    pub fn is_label(&self) -> bool {
        self.is_given() && self.role != Role::Number
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
        && !kind.is_learned()
    {
        let message = format!("operand `{}` has a default, and is given by a label", name.node);
        let diag = Diagnostic::error(codes::FUNCTION, message, default.span, "not expected here");
        diags.push(diag.rule("a learned operand (`parameter`, `shared`) has an initial value; a number has no kind"));
        return None;
    }
    Some(Parameter { name: name.clone(), role, default: param.default.clone() })
}

fn broadcast(name: &Ident, kind: &Ident, diags: &mut Vec<Diagnostic>) -> Option<Broadcast> {
    if let Some(found) = KINDS.into_iter().find(|known| known.word() == kind.node) {
        return Some(found);
    }
    let message = format!("operand `{}` cannot be `{}`", name.node, kind.node);
    let diag = Diagnostic::error(codes::FUNCTION, message, kind.span, "not a kind of operand");
    diags.push(match nearest(&kind.node, KINDS.map(Broadcast::word)) {
        Some(near) => diag.fix(format!("did you mean `{near}`?"), kind.span, near),
        None => diag.rule(format!("the kinds are {}", kinds())),
    });
    None
}

/// All kinds with their meaning.
fn kinds() -> String {
    let list = KINDS.map(|kind| match kind.is_learned() {
        true => format!("`{}` (learned, {})", kind.word(), kind.shape()),
        false => format!("`{}` ({})", kind.word(), kind.shape()),
    });
    list.join(", ")
}
