//! The function at the end of another kernel's epilogue.

use super::code::Code;
use super::strip::apply;
use crate::kernels::clamp::Clamp;
use crate::kernels::isa::Isa;

/// An elementwise function that a kernel applies last.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation<'a> {
    /// `max(x, 0)`; NaN stays NaN.
    Relu,
    /// `min(max(x, limits[0]), limits[1])`; NaN stays NaN.
    Clamp([f32; 2]),
    /// A program of one operand.
    Program(&'a Code),
}

impl<'a> Activation<'a> {
    /// What a kernel does to its values in registers.
    pub(in crate::internal::kernels) fn clamp(act: Option<Activation<'_>>) -> Clamp {
        match act {
            Some(Activation::Relu) => Clamp::Relu,
            Some(Activation::Clamp(limits)) => Clamp::Limits(limits),
            Some(Activation::Program(_)) | None => Clamp::None,
        }
    }

    /// What it does to its values when they are stored: see [`apply`].
    pub(in crate::internal::kernels) fn program(act: Option<Activation<'a>>) -> Option<&'a Code> {
        match act {
            Some(Activation::Program(code)) => Some(code),
            _ => None,
        }
    }

    /// Applied to each value.
    pub(in crate::internal::kernels) fn apply(self, isa: Isa, values: &mut [f32]) {
        Activation::clamp(Some(self)).apply_to(values);
        if let Activation::Program(code) = self {
            apply(isa, code, usize::MAX, values);
        }
    }
}
