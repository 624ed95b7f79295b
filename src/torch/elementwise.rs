//! Elementwise functions in terms of PyTorch: its own functions where it has the same, else their programs as tensor code.

use super::expr::{Arg, Expr, Val};
use super::op::number;
use crate::elementwise::{Binary, Instruction, Program, Register, Unary};
use crate::ir::Elementwise;

/// The module that computes a function; `None` if PyTorch has none.
pub(super) fn module(function: &Elementwise) -> Option<Expr> {
    let program = &function.program;
    let head = if program.is_relu() {
        "nn.ReLU"
    } else if *program == Program::sigmoid() {
        "nn.Sigmoid"
    } else if program.as_clamp() == Some([0.0, 6.0]) {
        "nn.ReLU6"
    } else {
        return None;
    };
    Some(Expr::call(head, Vec::new()))
}

/// The expression for a function of these operands.
pub(super) fn result(function: &Elementwise, operands: Vec<Expr>) -> Expr {
    let program = &function.program;
    if program.is_relu() {
        return Expr::call("F.relu", operands.into_iter().map(Arg::plain).collect());
    }
    let code = Code { program, operands: &operands };
    code.value(program.result()).0
}

/// How tightly Python code binds.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Strength {
    Comparison,
    Sum,
    Product,
    Sign,
    Name,
}

/// A program as tensor code.
struct Code<'p> {
    program: &'p Program,
    operands: &'p [Expr],
}

impl Code<'_> {
    fn at_least(&self, register: Register, strength: Strength) -> Expr {
        let (code, own) = self.value(register);
        if own < strength { Expr::Seq(vec![Expr::text("("), code, Expr::text(")")]) } else { code }
    }

    fn value(&self, register: Register) -> (Expr, Strength) {
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
                (number("number", Val::Float(shortest(x))), strength)
            }
            Instruction::Unary(Unary::Neg, x) => {
                (Expr::Seq(vec![Expr::text("-"), self.at_least(x, Strength::Name)]), Strength::Sign)
            }
            Instruction::Unary(op, x) => call(unary(op), vec![argument(x)]),
            Instruction::Binary(op, a, b) => {
                let own = match op {
                    Binary::Min => return call("torch.minimum", vec![argument(a), argument(b)]),
                    Binary::Max => return call("torch.maximum", vec![argument(a), argument(b)]),
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

/// The number with the same shortest text.
fn shortest(x: f32) -> f64 {
    x.to_string().parse().unwrap_or(f64::from(x))
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
    }
}
