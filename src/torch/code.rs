//! Programs as tensor code.

use std::collections::HashMap;

use super::expr::{Arg, Expr, Role, Val};
use crate::elementwise::{Binary, Instruction, Program, Register, Unary};

/// How tightly Python code binds.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
pub(super) enum Strength {
    Comparison,
    Sum,
    Product,
    Sign,
    Name,
}

/// A program as tensor code.
pub(super) struct Code<'p> {
    pub program: &'p Program,
    pub operands: &'p [Expr],
    /// The variables of values that were assigned.
    pub variables: HashMap<Register, String>,
}

impl Code<'_> {
    /// The result.
    pub fn result(&self) -> Expr {
        let result = self.program.result();
        match self.program.instructions()[usize::from(result)] {
            Instruction::Constant(x) => {
                let like = self.operands.first().cloned().unwrap_or_else(|| Expr::text("None"));
                Expr::call("torch.full_like", vec![Arg::plain(like), Arg::plain(constant(x))])
            }
            _ => self.value(result).0,
        }
    }

    /// An operand of a function that only takes tensors.
    fn tensor(&self, register: Register) -> Arg {
        Arg::plain(match self.program.instructions()[usize::from(register)] {
            Instruction::Constant(x) => Expr::call("torch.tensor", vec![Arg::plain(constant(x))]),
            _ => self.value(register).0,
        })
    }

    fn at_least(&self, register: Register, strength: Strength) -> Expr {
        let (code, own) = self.value(register);
        if own < strength { Expr::Seq(vec![Expr::text("("), code, Expr::text(")")]) } else { code }
    }

    pub fn value(&self, register: Register) -> (Expr, Strength) {
        if let Some(variable) = self.variables.get(&register) {
            return (Expr::text(variable.clone()), Strength::Name);
        }
        let argument = |register: Register| Arg::plain(self.value(register).0);
        let call = |head: &str, args: Vec<Arg>| (Expr::call(head, args), Strength::Name);
        let infix = |a: Expr, word: &str, b: Expr| Expr::Seq(vec![a, Expr::text(format!(" {word} ")), b]);
        match self.program.instructions()[usize::from(register)] {
            Instruction::Operand(slot) => {
                let operand = self.operands.get(usize::from(slot)).cloned().unwrap_or_else(|| Expr::text("None"));
                let strength = if matches!(operand, Expr::Seq(_)) { Strength::Comparison } else { Strength::Name };
                (operand, strength)
            }
            Instruction::Constant(x) => {
                let strength = if x.is_sign_negative() { Strength::Sign } else { Strength::Name };
                (constant(x), strength)
            }
            Instruction::Unary(Unary::Neg, x) => {
                (Expr::Seq(vec![Expr::text("-"), self.at_least(x, Strength::Name)]), Strength::Sign)
            }
            Instruction::Unary(Unary::RoundBf16, x) => {
                let (rounded, _) = call("torch.Tensor.bfloat16", vec![argument(x)]);
                call("torch.Tensor.float", vec![Arg::plain(rounded)])
            }
            Instruction::Unary(op, x) => call(unary(op), vec![argument(x)]),
            Instruction::Binary(op, a, b) => {
                let own = match op {
                    Binary::Min => return call("torch.minimum", vec![self.tensor(a), self.tensor(b)]),
                    Binary::Max => return call("torch.maximum", vec![self.tensor(a), self.tensor(b)]),
                    Binary::Add | Binary::Sub => Strength::Sum,
                    Binary::Mul | Binary::Div => Strength::Product,
                };
                let above = if own == Strength::Sum { Strength::Product } else { Strength::Sign };
                (infix(self.at_least(a, own), op.word(), self.at_least(b, above)), own)
            }
            Instruction::Clamp { x, min, max } => {
                let limit = |key: &str, x: f32| x.is_finite().then(|| Arg::key(key, number("limit", Val::Float(shortest(x)))));
                let limits = [limit("min", min), limit("max", max)].into_iter().flatten();
                call("torch.clamp", [argument(x)].into_iter().chain(limits).collect())
            }
            Instruction::Select { test, left, right, then, otherwise } => {
                let condition = infix(self.at_least(left, Strength::Sum), test.word(), self.at_least(right, Strength::Sum));
                call("torch.where", vec![Arg::plain(condition), argument(then), argument(otherwise)])
            }
        }
    }
}

fn constant(x: f32) -> Expr {
    number("number", Val::Float(shortest(x)))
}

fn unary(op: Unary) -> &'static str {
    match op {
        Unary::Neg => "torch.neg",
        Unary::Abs => "torch.abs",
        Unary::Square => "torch.square",
        Unary::Sqrt => "torch.sqrt",
        Unary::Exp => "torch.exp",
        Unary::Expm1 => "torch.expm1",
        Unary::Log => "torch.log",
        Unary::Log1p => "torch.log1p",
        Unary::Tanh => "torch.tanh",
        Unary::Sigmoid => "torch.sigmoid",
        Unary::Erf => "torch.erf",
        Unary::Softplus => "F.softplus",
        Unary::Floor => "torch.floor",
        Unary::RoundBf16 => "torch.Tensor.bfloat16",
    }
}

fn number(role: &'static str, value: Val) -> Expr {
    Expr::number(Role::Other(role), role, value)
}

/// The number with the same shortest text.
pub(super) fn shortest(x: f32) -> f64 {
    x.to_string().parse().unwrap_or(f64::from(x))
}
