//! Kernels that are written once and compiled for each instruction set.
//!
//! A [`Kernel`] is generic over its vectors. [`instance`] gives the function for an instruction set: kernels look it up once per
//! call, outside of their loops.

use super::isa::VectorIsa;
use super::simd::Simd;
#[cfg(target_arch = "x86_64")]
use super::simd::avx2::Avx2;
#[cfg(target_arch = "x86_64")]
use super::simd::avx512::Avx512;
#[cfg(target_arch = "aarch64")]
use super::simd::neon::Neon;

/// An innermost loop, generic over the instruction set.
pub(super) trait Kernel {
    /// What it reads and writes.
    type Operands;

    /// Computes the results. Implementations are `#[inline(always)]`, so that they are compiled with the target features of
    /// their instance.
    ///
    /// # Safety
    /// The processor supports `S`, and all pointers in `operands` are valid for the sizes given there.
    unsafe fn run<S: Simd>(operands: &Self::Operands);
}

/// A kernel compiled for one instruction set.
pub(super) type Instance<Operands> = unsafe fn(&Operands);

/// The instance of a kernel for an instruction set.
pub(super) fn instance<K: Kernel>(isa: VectorIsa) -> Instance<K::Operands> {
    match isa {
        #[cfg(target_arch = "x86_64")]
        VectorIsa::Avx2 => avx2::<K>,
        #[cfg(target_arch = "x86_64")]
        VectorIsa::Avx512 => avx512::<K>,
        #[cfg(target_arch = "aarch64")]
        VectorIsa::Neon => neon::<K>,
    }
}

/// The instance for AVX2.
///
/// # Safety
/// See [`Kernel::run`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn avx2<K: Kernel>(operands: &K::Operands) {
    // SAFETY: this function has the features; the rest is guaranteed by the caller
    unsafe { K::run::<Avx2>(operands) }
}

/// The instance for AVX-512.
///
/// # Safety
/// See [`Kernel::run`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn avx512<K: Kernel>(operands: &K::Operands) {
    // SAFETY: as above
    unsafe { K::run::<Avx512>(operands) }
}

/// The instance for NEON.
///
/// # Safety
/// See [`Kernel::run`].
#[cfg(target_arch = "aarch64")]
#[target_feature(enable = "neon")]
pub(super) unsafe fn neon<K: Kernel>(operands: &K::Operands) {
    // SAFETY: as above
    unsafe { K::run::<Neon>(operands) }
}
