//! Kernels on bytes: convolution, linear layers, pooling, and what stands between them.
//!
//! **Values.** An activation is a byte `q` that stands for `(q - zero) * scale` ([`Quant`]); a weight is an integer from -127 to 127
//! with a scale for its filter. A sum of products is an exact i32, which [`weights::check_terms`] guarantees to fit. Everything after it is in
//! f32, one operation after the other: `fma(sum, scale, bias)`, `fma(residual - zero, scale, value)`, limits or another function,
//! then the nearest byte (ties to even). So all processors, and any number of threads, compute the same bits.
//!
//! **Layout.** A [`Map`] is `[block of 64 channels][sample][row][column][64]`: the pixels of a block are cache lines, and 16 of them a
//! tile of AMX. Samples stand inside blocks, so that small maps of a batch are one long row of pixels. An image of few channels is
//! `[sample][row][column][channel]`. Maps are dense; halos, orders of columns for strides, and 16-bit copies for AVX2 exist in
//! strips (`strip.rs`) only, which a thread copies to its scratch memory.
//!
//! **Instructions.** An [`Engine`] is what computes sums of products: AVX-512 VNNI, AVX-VNNI, AVX2, or plain Rust. Loop nests and
//! epilogues are written once over the trait of `dot`; weights are [packed](weights::pack) in one order for all.
//!
//! **Use.** [`weights::scales`], [`weights::quantize`], [`weights::starts`] and [`weights::pack`] prepare weights; [`Conv::new`]
//! checks sizes and chooses how the work is split; [`Conv::run`] computes. [`convert`] goes from floats to bytes and back,
//! [`pool`] and [`maps`] have what is no convolution.

pub mod conv;
pub mod convert;
mod depthwise;
mod dot;
pub mod engine;
mod floats;
pub mod map;
pub mod maps;
pub mod peak;
pub mod pool;
mod strip;
#[cfg(test)]
mod tests;
mod tile;
pub mod weights;

pub use conv::{Conv, Operands, Output, Residual, Split};
pub use engine::Engine;
pub use map::{Map, Quant, SLOT};
pub use weights::{Input, Unsupported};
