//! Elementwise functions, softmax, dropout.

use super::{Differentiation, GRAD, GradError};
use crate::elementwise::{Gradient, Program, Read};
use crate::ir::{Broadcast, Elementwise, NodeId, Op, Param, ParamRole, Rearrange, Train, Value};

impl Differentiation<'_> {
    /// The gradients of a function's operands: its symbolic gradient, summed over what a broadcast operand repeats.
    pub(super) fn elementwise(&mut self, id: NodeId, name: &str, function: &Elementwise, dy: Value) -> Result<(), GradError> {
        let values: Vec<Value> = self.network.graph().operands(id);
        for (x, slot) in values.iter().copied().zip(function.values()) {
            if self.needs(x) {
                let suffix = if slot == 0 { "x" } else { &function.operands[slot].name };
                let dx = self.of_operand(id, &format!("{name}.{suffix}.grad"), function, slot, dy)?;
                self.accumulate(x, dx);
            }
        }
        for slot in function.learned() {
            let role = ParamRole::Operand(slot as u8);
            if let Some(parameter) = self.trained(id, role) {
                let name = format!("{name}.{}.grad", function.operands[slot].name);
                let grad = self.of_operand(id, &name, function, slot, dy)?;
                self.parameter_gradient(id, format!("{GRAD}{parameter}"), grad)?;
            }
        }
        Ok(())
    }

    /// Adds the gradient of a parameter, which several functions may read.
    fn parameter_gradient(&mut self, id: NodeId, name: String, grad: Value) -> Result<(), GradError> {
        let Some(at) = self.outputs.iter().position(|(other, _)| *other == name) else {
            self.outputs.push((name, grad));
            return Ok(());
        };
        let before = self.outputs[at].1;
        self.outputs[at].1 = self.total(id, &format!("{name}.sum"), &[before, grad])?;
        Ok(())
    }

    /// The gradient of one operand, of its shape.
    fn of_operand(&mut self, id: NodeId, name: &str, function: &Elementwise, slot: usize, dy: Value) -> Result<Value, GradError> {
        let Gradient { program, reads } =
            function.program.gradient(slot).map_err(|error| GradError::Internal(format!("`{name}`: {error}")))?;
        let values: Vec<Value> = self.network.graph().operands(id);
        let value_of = |slot: usize| function.values().position(|s| s == slot).and_then(|at| values.get(at).copied());
        let broadcast = function.operands[slot].broadcast;
        if broadcast == Broadcast::Channel
            && program == Program::product()
            && let [Read::ResultGradient, Read::Operand(other)] = reads[..]
            && let (Broadcast::Full, Some(x)) = (function.operands[other].broadcast, value_of(other))
        {
            return self.train(id, name, Train::SumPlane, &[x, dy]);
        }
        let (mut operands, mut kinds, mut params) = (Vec::new(), Vec::new(), Vec::new());
        for (at, read) in reads.iter().enumerate() {
            match *read {
                Read::ResultGradient => operands.extend([dy]),
                Read::Result => operands.extend([Value::from(id)]),
                Read::Operand(slot) => {
                    operands.extend(value_of(slot));
                    let parameter = self.param(id, ParamRole::Operand(slot as u8));
                    params.extend(parameter.map(|param| Param { role: ParamRole::Operand(at as u8), ..param }));
                }
            }
            kinds.push(match *read {
                Read::ResultGradient | Read::Result => Broadcast::Full,
                Read::Operand(slot) => function.operands[slot].broadcast,
            });
        }
        let whole = if program.is_identity() {
            dy
        } else {
            let word = if program == Program::product() { "mul".to_owned() } else { format!("{}-grad", function.name) };
            let name = if broadcast == Broadcast::Full { name.to_owned() } else { format!("{name}.products") };
            self.add(id, &name, Elementwise::new(word, kinds, program).into(), &operands, params)?
        };
        match broadcast {
            Broadcast::Full => Ok(whole),
            Broadcast::Parameter { .. } => self.train(id, name, Train::BiasGrad, &[whole]),
            Broadcast::Channel | Broadcast::Pixel | Broadcast::Scalar | Broadcast::Shared { .. } => {
                self.train(id, name, Train::Reduce(broadcast), &[whole])
            }
        }
    }

    pub(super) fn softmax(&mut self, id: NodeId, name: &str, groups: Option<usize>, dy: Value) -> Result<(), GradError> {
        let x = self.operand(id, 0)?;
        let whole = format!("{name}.x.grad");
        let Some(groups) = groups else {
            let dx = self.train(id, &whole, Train::SoftmaxGrad, &[dy, id.into()])?;
            self.accumulate(x, dx);
            return Ok(());
        };
        // each group is one channel, whose elements are all of its channels
        let sizes = self.sizes(id);
        let split = Op::Rearrange(Rearrange::Reshape([Some(groups), None, Some(sizes.get(2).copied().unwrap_or(1))]));
        let y = self.add(id, &format!("{name}.split"), split.clone(), &[id.into()], Vec::new())?;
        let dy = self.add(id, &format!("{name}.split.grad"), split, &[dy], Vec::new())?;
        let dx = self.train(id, &format!("{name}.groups.grad"), Train::SoftmaxGrad, &[dy, y])?;
        let merged = match sizes[..] {
            [c, h, w] => Op::Rearrange(Rearrange::Reshape([Some(c), Some(h), Some(w)])),
            _ => Op::Flatten,
        };
        let dx = self.add(id, &whole, merged, &[dx], Vec::new())?;
        self.accumulate(x, dx);
        Ok(())
    }

    pub(super) fn dropout(&mut self, id: NodeId, name: &str, drop: &Train, dy: Value) -> Result<(), GradError> {
        let x = self.operand(id, 0)?;
        let dx = self.train(id, &format!("{name}.x.grad"), drop.clone(), &[dy])?;
        self.accumulate(x, dx);
        Ok(())
    }
}
