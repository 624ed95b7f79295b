//! Elementwise functions as steps compute them.

use std::sync::Arc;

use crate::ir::{Broadcast, Elementwise};
use crate::kernels::Activation;
use crate::kernels::elementwise::Code;

/// A function of one value that a step applies last, before it stores its result.
#[derive(Clone, Debug, PartialEq)]
pub enum FusedFunction {
    /// `max(x, 0)`, in the registers of the kernel.
    Relu,
    /// `min(max(x, low), high)`, likewise.
    Clamp {
        /// Its name.
        name: String,
        /// Low and high.
        limits: [f32; 2],
    },
    /// Any other, while the result is in the cache.
    Code {
        /// Its name.
        name: String,
        /// Its program.
        code: Arc<Code>,
    },
}

impl FusedFunction {
    /// A function of one value.
    pub(super) fn new(function: &Elementwise) -> FusedFunction {
        if function.program.is_relu() {
            return FusedFunction::Relu;
        }
        let (name, code) = (function.name.clone(), Code::new(&function.program));
        match code.as_clamp() {
            Some(limits) => FusedFunction::Clamp { name, limits },
            None => FusedFunction::Code { name, code: Arc::new(code) },
        }
    }

    /// As kernels take it.
    pub fn activation(&self) -> Activation<'_> {
        match self {
            FusedFunction::Relu => Activation::Relu,
            FusedFunction::Clamp { limits, .. } => Activation::Clamp(*limits),
            FusedFunction::Code { code, .. } => Activation::Program(code),
        }
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        match self {
            FusedFunction::Relu => "relu",
            FusedFunction::Clamp { name, .. } | FusedFunction::Code { name, .. } => name,
        }
    }
}

/// A step that computes an elementwise function. Its inputs are the operands that are values, its weights those that are learned,
/// in order.
#[derive(Clone, Debug, PartialEq)]
pub struct ElementwiseKernel {
    /// The function's name.
    pub name: String,
    /// Its program.
    pub code: Arc<Code>,
    /// Its operands.
    pub operands: Vec<Broadcast>,
}

impl ElementwiseKernel {
    pub(super) fn new(function: &Elementwise) -> ElementwiseKernel {
        ElementwiseKernel {
            name: function.name.clone(),
            code: Arc::new(Code::new(&function.program)),
            operands: function.operands.iter().map(|operand| operand.broadcast).collect(),
        }
    }

    /// The kind of an input of the step.
    pub(super) fn input(&self, index: usize) -> Option<Broadcast> {
        self.operands.iter().copied().filter(|operand| !operand.is_learned()).nth(index)
    }

    /// Whether an input has as many elements as the result.
    pub(super) fn is_full(&self, index: usize) -> bool {
        self.input(index) == Some(Broadcast::Full)
    }

    /// Whether an input is a feature map in the layout of the result. Values with one channel are plain.
    pub(super) fn has_result_layout(&self, index: usize) -> bool {
        matches!(self.input(index), Some(Broadcast::Full | Broadcast::Channel))
    }
}
