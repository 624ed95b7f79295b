//! Programs of programs.

use super::builder::Builder;
use super::instruction::Register;
use super::program::{Program, ProgramError};

impl Program {
    /// The program with each operand replaced by the one at `slots[slot]`, of `operands` in total.
    pub fn with_operands(&self, operands: usize, slots: &[usize]) -> Result<Program, ProgramError> {
        let mut builder = Builder::new(operands);
        let arguments: Vec<Register> = slots.iter().map(|&slot| builder.operand(slot)).collect();
        let result = builder.inline(self, &arguments);
        builder.finish(result)
    }

    /// This program, with an operand computed by another program. The operands of `inner` follow those of this program that
    /// remain.
    pub fn compose(&self, slot: usize, inner: &Program) -> Result<Program, ProgramError> {
        let rest = self.operands() - 1;
        let mut builder = Builder::new(rest + inner.operands());
        let arguments: Vec<Register> = (0..inner.operands()).map(|slot| builder.operand(rest + slot)).collect();
        let value = builder.inline(inner, &arguments);
        let arguments: Vec<Register> = (0..self.operands())
            .map(|other| if other == slot { value } else { builder.operand(other - usize::from(other > slot)) })
            .collect();
        let result = builder.inline(self, &arguments);
        builder.finish(result)
    }
}
