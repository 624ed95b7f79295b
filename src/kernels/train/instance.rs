//! The instances of training kernels, which work in either layout.

use crate::kernels::dispatch::{self, Instance, Kernel};
use crate::kernels::nchwc::vector;
use crate::kernels::simd::scalar::Scalar;
use crate::kernels::{Isa, Layout};

/// The instance of a kernel for values in a layout: compiled for the instruction set for the blocked layout, and with scalars
/// instead of vectors for NCHW, which is a blocked layout with one channel per block.
///
/// # Panics
/// If the layout is blocked but is not the instruction set's layout, or the processor lacks the instruction set.
pub(super) fn instance<K: Kernel>(isa: Isa, layout: Layout) -> Instance<K::Operands> {
    match layout {
        Layout::Nchw => K::run::<Scalar>,
        Layout::Blocked { lanes } => {
            let isa = vector(isa);
            assert_eq!(isa.lanes(), lanes, "blocks of {isa:?}");
            dispatch::instance::<K>(isa)
        }
    }
}
