//! Functions of vectors, with their error in units in the last place (ulp) of the result, subnormal results included.
//!
//! AVX2 and AVX-512 give the same bits. Scalars may differ from them in the last bit, within the same bounds: see
//! [`Simd::fused`](crate::kernels::simd::Simd::fused).

mod constants;
mod erf;
mod exp;
mod log;
#[cfg(test)]
mod tests;

pub(super) use erf::erf;
pub(super) use exp::{exp, expm1, sigmoid, softplus, tanh, tanh_softplus};
pub(super) use log::{log, log1p};
