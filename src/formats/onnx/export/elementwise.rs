//! Exports elementwise functions: as the ONNX operator that computes the same, or their programs as nodes.

use super::super::activations::{Activation, limits};
use super::super::proto::{AttributeProto, DataType};
use super::ExportError;
use super::emit::{Emitter, float, int, text};
use crate::base::tensor::DType;
use crate::elementwise::{Binary, Comparison, Instruction, Program, Register, Unary};
use crate::ir::{Broadcast, Elementwise, NodeId, ParamRole};

impl Emitter<'_> {
    /// Emits an elementwise function on these values.
    pub(super) fn elementwise(&mut self, id: NodeId, function: &Elementwise, values: &[&str]) -> Result<String, ExportError> {
        let node = self.graph_node(id);
        let mut operands = vec![String::new(); function.operands.len()];
        for (slot, value) in function.values().zip(values) {
            (*value).clone_into(&mut operands[slot]);
        }
        let rank = self.rank(id);
        for slot in function.learned() {
            // one number per channel: aligned at the last axis, those of the map follow
            let axes = if matches!(function.operands[slot].broadcast, Broadcast::Parameter { .. }) { rank } else { 0 };
            operands[slot] = self.param_with_axes(node, ParamRole::Operand(slot as u8), axes)?;
        }
        Ok(self.function(&node.name, function, &operands))
    }

    /// Emits a function of one value that is fused into another operator.
    pub(super) fn activation(&mut self, name: &str, function: &Elementwise, x: &str) -> String {
        self.function(name, function, &[x.to_owned()])
    }

    /// Emits a function: as the operator that computes it, if the opset has one.
    fn function(&mut self, name: &str, function: &Elementwise, operands: &[String]) -> String {
        let values: Vec<&str> = operands.iter().map(String::as_str).collect();
        if function.is_sum() {
            return self.push(if values.len() == 2 { "Add" } else { "Sum" }, name, &values, Vec::new());
        }
        if let Some(activation) = Activation::of(function, self.opset()) {
            return self.push(activation.op, name, &values, attributes(activation, function));
        }
        // which gradient holds at the limits does not matter here
        match limits(function) {
            Some([min, max]) => self.program(name, &Program::clamp(min, max), operands),
            None => self.program(name, &function.program, operands),
        }
    }

    /// Emits a program as nodes; the last one has this name.
    fn program(&mut self, name: &str, program: &Program, operands: &[String]) -> String {
        let mut nodes = Nodes { emitter: self, name, values: Vec::new() };
        for (at, &instruction) in program.instructions().iter().enumerate() {
            let is_last = at == usize::from(program.result());
            let value = nodes.instruction(instruction, operands, is_last);
            nodes.values.push(value);
        }
        let result = nodes.values.pop().unwrap_or_default();
        match program.instructions().last() {
            Some(Instruction::Operand(_)) => self.push("Identity", name, &[&result], Vec::new()),
            Some(Instruction::Constant(_)) => self.spread(name, &result, operands),
            _ => result,
        }
    }

    /// A constant for each element of the first operand.
    fn spread(&mut self, name: &str, constant: &str, operands: &[String]) -> String {
        let like = operands.first().map(String::as_str).unwrap_or_default();
        let shape = self.push("Shape", &format!("{name}.shape"), &[like], Vec::new());
        self.push("Expand", name, &[constant, &shape], Vec::new())
    }
}

/// The nodes of a program.
struct Nodes<'e, 'a> {
    emitter: &'e mut Emitter<'a>,
    /// The name of the result; names of other nodes begin with it.
    name: &'e str,
    /// The value of each instruction so far.
    values: Vec<String>,
}

impl Nodes<'_, '_> {
    fn node(&mut self, op: &str, inputs: &[&str], is_last: bool) -> String {
        let name = if is_last { self.name.to_owned() } else { format!("{}.{}", self.name, op.to_ascii_lowercase()) };
        self.emitter.push(op, &name, inputs, Vec::new())
    }

    fn cast(&mut self, to: DType, x: &str, is_last: bool) -> String {
        let name = if is_last { self.name.to_owned() } else { format!("{}.cast", self.name) };
        self.emitter.push("Cast", &name, &[x], vec![int("to", DataType::from(to) as usize)])
    }

    fn constant(&mut self, value: f32) -> String {
        self.emitter.values(&format!("{}.constant", self.name), Vec::new(), vec![value])
    }

    fn value(&self, register: Register) -> String {
        self.values.get(usize::from(register)).cloned().unwrap_or_default()
    }

    fn instruction(&mut self, instruction: Instruction, operands: &[String], is_last: bool) -> String {
        match instruction {
            Instruction::Operand(slot) => operands.get(usize::from(slot)).cloned().unwrap_or_default(),
            Instruction::Constant(x) => self.constant(x),
            Instruction::Unary(op, x) => self.unary(op, x, is_last),
            Instruction::Binary(op, a, b) => {
                let (a, b) = (self.value(a), self.value(b));
                self.node(binary(op), &[&a, &b], is_last)
            }
            Instruction::Clamp { x, min, max } => {
                let x = self.value(x);
                let mut limit = |value: f32| if value.is_finite() { self.constant(value) } else { String::new() };
                let (min, max) = (limit(min), limit(max));
                self.node("Clip", &[&x, &min, &max], is_last)
            }
            Instruction::Select { test, left, right, then, otherwise } => {
                let [left, right, then, otherwise] = [left, right, then, otherwise].map(|register| self.value(register));
                let mut condition = self.node(comparison(test), &[&left, &right], false);
                if test == Comparison::NotEqual {
                    condition = self.node("Not", &[&condition], false);
                }
                self.node("Where", &[&condition, &then, &otherwise], is_last)
            }
        }
    }

    fn unary(&mut self, op: Unary, x: Register, is_last: bool) -> String {
        let x = self.value(x);
        match op {
            Unary::Square => self.node("Mul", &[&x, &x], is_last),
            Unary::Expm1 => self.expm1(&x, is_last),
            Unary::Log1p => self.log1p(&x, is_last),
            Unary::Neg => self.node("Neg", &[&x], is_last),
            Unary::Abs => self.node("Abs", &[&x], is_last),
            Unary::Sqrt => self.node("Sqrt", &[&x], is_last),
            Unary::Exp => self.node("Exp", &[&x], is_last),
            Unary::Log => self.node("Log", &[&x], is_last),
            Unary::Tanh => self.node("Tanh", &[&x], is_last),
            Unary::Sigmoid => self.node("Sigmoid", &[&x], is_last),
            Unary::Erf => self.node("Erf", &[&x], is_last),
            Unary::Softplus => self.node("Softplus", &[&x], is_last),
            Unary::Floor => self.node("Floor", &[&x], is_last),
            Unary::RoundBf16 => {
                let rounded = self.cast(DType::BF16, &x, false);
                self.cast(DType::F32, &rounded, is_last)
            }
        }
    }

    /// `exp(x) - 1` as `tanh(x / 2) * (exp(x) + 1)`, which does not cancel: a few units in the last place everywhere.
    fn expm1(&mut self, x: &str, is_last: bool) -> String {
        let (half, one) = (self.constant(0.5), self.constant(1.0));
        let half = self.node("Mul", &[x, &half], false);
        let tanh = self.node("Tanh", &[&half], false);
        let exp = self.node("Exp", &[x], false);
        let sum = self.node("Add", &[&exp, &one], false);
        self.node("Mul", &[&tanh, &sum], is_last)
    }

    /// `log(1 + x)`, below 1/2 as `2 * atanh(x / (x + 2))`, which does not cancel: a few units in the last place everywhere.
    fn log1p(&mut self, x: &str, is_last: bool) -> String {
        let [half, one, two] = [0.5, 1.0, 2.0].map(|value| self.constant(value));
        let sum = self.node("Add", &[x, &two], false);
        let quotient = self.node("Div", &[x, &sum], false);
        let atanh = self.node("Atanh", &[&quotient], false);
        let near = self.node("Mul", &[&atanh, &two], false);
        let sum = self.node("Add", &[x, &one], false);
        let far = self.node("Log", &[&sum], false);
        let size = self.node("Abs", &[x], false);
        let is_near = self.node("Less", &[&size, &half], false);
        self.node("Where", &[&is_near, &near, &far], is_last)
    }
}

/// The attributes with which an operator computes a function.
fn attributes(activation: &Activation, function: &Elementwise) -> Vec<AttributeProto> {
    let value = |key: &str| function.numbers.iter().find(|number| number.key == key).map(|number| number.value);
    let numbers = activation.numbers.iter().filter_map(|(name, key, _)| Some(float(name, value(key)?)));
    let fixed = activation.fixed.iter().filter(|(_, _, is_default)| !is_default).map(|(name, value, _)| float(name, *value));
    let mode = activation.mode.filter(|(_, _, is_default)| !is_default).map(|(name, value, _)| text(name, value));
    numbers.chain(fixed).chain(mode).collect()
}

fn binary(op: Binary) -> &'static str {
    match op {
        Binary::Add => "Add",
        Binary::Sub => "Sub",
        Binary::Mul => "Mul",
        Binary::Div => "Div",
        Binary::Min => "Min",
        Binary::Max => "Max",
    }
}

/// The comparison; that of [`Comparison::NotEqual`] is negated.
fn comparison(test: Comparison) -> &'static str {
    match test {
        Comparison::Less => "Less",
        Comparison::LessEqual => "LessOrEqual",
        Comparison::Greater => "Greater",
        Comparison::GreaterEqual => "GreaterOrEqual",
        Comparison::Equal | Comparison::NotEqual => "Equal",
    }
}
