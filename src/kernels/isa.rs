//! Instruction sets, and the kernels compiled for each.

use std::fmt;

use thiserror::Error;

use super::linear::DotsFn;
use super::microkernel::TileFn;
use super::nchwc::channelwise::Scaled;
use super::nchwc::convert::Squares;
use super::nchwc::depthwise::Taps;
use super::nchwc::pool::Windows;
use super::peak::Chains;
use super::train::conv_weight::depthwise::Products;
use super::train::conv_weight::outer_product::OuterFn;
use super::train::feature_maps::TrainKernels;
use super::winograd;

/// An instruction set for which kernels are compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Isa {
    /// Any processor: `matrixmultiply` (which has its own SSE, AVX and NEON code) on NCHW.
    Portable,
    /// x86-64 with AVX2 and FMA: blocks of 8 channels.
    Avx2,
    /// x86-64 with AVX-512 F: blocks of 16 channels.
    Avx512,
}

/// The environment variable that forces an instruction set.
pub const ISA_VARIABLE: &str = "RESNETC_ISA";

/// Why an instruction set cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum IsaError {
    /// Unknown name.
    #[error("there is no instruction set `{0}`: it is one of portable, avx2, avx512")]
    Unknown(String),
    /// This processor lacks it.
    #[error("this processor does not have {0}")]
    Missing(Isa),
}

impl Isa {
    /// All instruction sets, the simplest first.
    pub const ALL: [Isa; 3] = [Isa::Portable, Isa::Avx2, Isa::Avx512];

    /// The best one that this processor supports.
    pub fn best() -> Isa {
        Isa::ALL.into_iter().rev().find(|isa| isa.is_available()).unwrap_or(Isa::Portable)
    }

    /// The one named by `RESNETC_ISA`, or the best.
    pub fn chosen() -> Result<Isa, IsaError> {
        match std::env::var(ISA_VARIABLE) {
            Ok(name) if !name.is_empty() => Isa::named(&name)?.available(),
            _ => Ok(Isa::best()),
        }
    }

    /// Looks up an instruction set by name.
    pub fn named(name: &str) -> Result<Isa, IsaError> {
        Isa::ALL.into_iter().find(|isa| isa.name() == name).ok_or_else(|| IsaError::Unknown(name.to_owned()))
    }

    /// Returns `self` if this processor supports it.
    pub fn available(self) -> Result<Isa, IsaError> {
        if self.is_available() { Ok(self) } else { Err(IsaError::Missing(self)) }
    }

    /// Whether this processor supports it.
    pub fn is_available(self) -> bool {
        match self {
            Isa::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => is_x86_feature_detected!("avx512f"),
            #[cfg(not(target_arch = "x86_64"))]
            _ => false,
        }
    }

    /// The name, such as `avx2`.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Portable => "portable",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
        }
    }

    /// Channels per block of the layout that its kernels use; 1 for NCHW.
    pub fn lanes(self) -> usize {
        match self {
            Isa::Portable => 1,
            Isa::Avx2 => 8,
            Isa::Avx512 => 16,
        }
    }

    /// Its kernels; `None` if it has none, or the processor lacks the instruction set.
    pub(super) fn kernels(self) -> Option<&'static Kernels> {
        if !self.is_available() {
            return None;
        }
        match self {
            Isa::Portable => None,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => Some(&x86::AVX2),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => Some(&x86::AVX512),
            #[cfg(not(target_arch = "x86_64"))]
            _ => None,
        }
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The kernels compiled for one instruction set. A reference exists only on a processor that supports it.
pub(super) struct Kernels {
    /// Channels per block.
    pub lanes: usize,
    /// Pixels of the widest tile.
    pub pixels: usize,
    /// Whether weights must come from the L1 cache: with narrow vectors, weights are consumed faster than the L2 cache delivers
    /// them.
    pub sliced: bool,
    /// The micro-kernel for `rows` (1 or 2) of `pixels`, and `blocks` (1 or 2) of output channels; `wide` reads blocks of
    /// channels, otherwise NCHW. `None` if there is no kernel of this size.
    pub tile: fn(rows: usize, pixels: usize, blocks: usize, wide: bool) -> Option<TileFn>,
    /// Transposes squares of channels and pixels.
    pub turn: unsafe fn(&Squares),
    /// Pools windows.
    pub windows: unsafe fn(&Windows),
    /// Scales pixels.
    pub scaled: unsafe fn(&Scaled),
    /// Convolves channel by channel.
    pub depthwise: unsafe fn(&Taps),
    /// The products of four rows of a matrix with some vectors.
    pub dots: DotsFn,
    /// The products of one row.
    pub dot: DotsFn,
    /// Sums outer products of `rows` values and `blocks` (1 or 2) vectors; `rows * blocks` is at most `lanes`, else `None`.
    pub outer: fn(rows: usize, blocks: usize) -> Option<OuterFn>,
    /// Sums products channel by channel.
    pub products: unsafe fn(&Products),
    /// Transforms weights for Winograd convolution.
    pub spread: unsafe fn(&winograd::Spread<'_>),
    /// Multiplies and adds at full speed, to measure the peak.
    pub chains: unsafe fn(&Chains),
    /// The transforms of Winograd convolution.
    pub winograd: fn(winograd::Size) -> winograd::transform::Transforms,
    /// The loops of training.
    pub train: TrainKernels,
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::super::linear::{Dots, dot, dots};
    use super::super::microkernel::{Tile, TileFn, tile};
    use super::super::nchwc::channelwise::{Scaled, scaled};
    use super::super::nchwc::convert::{Squares, turn};
    use super::super::nchwc::depthwise::{Taps, depthwise};
    use super::super::nchwc::pool::{Windows, windows};
    use super::super::peak::{Chains, chains};
    use super::super::simd::avx2::Avx2;
    use super::super::simd::avx512::Avx512;
    use super::super::train::channel_mul::{Dot, plane_dot};
    use super::super::train::conv_weight::depthwise::{Products, products};
    use super::super::train::conv_weight::outer_product::{Outer, OuterFn, outer};
    use super::super::train::conv_weight::winograd::transform::{Sums, gradient, taps};
    use super::super::train::feature_maps::TrainKernels;
    use super::super::train::norm::loops::{Back, GradSums, Moments, Normalize, back, grad_sums, moments, normalize};
    use super::super::train::pool::{MaxSpread, MeanSpread, max_spread, mean_spread};
    use super::super::winograd::transform::{F2, F4, InputTile, OutputTile, Points, Transforms, input, output};
    use super::super::winograd::{Size, Spread, spread};
    use super::Kernels;

    /// Kernels with one instance per instruction set.
    macro_rules! leaves {
        ($simd:ty, $feature:literal, $($leaf:ident($args:ty)),* $(,)?) => {
            $(
                #[target_feature(enable = $feature)]
                pub(super) unsafe fn $leaf(args: &$args) {
                    // SAFETY: this function has the features; the rest is the caller's
                    unsafe { super::$leaf::<$simd>(args) }
                }
            )*
        };
    }

    /// The kernels of one instruction set, with the micro-kernel for each of the listed sizes.
    macro_rules! kernels {
        ($name:ident, $module:ident, $simd:ty, $lanes:literal, $feature:literal, $most:literal, [$($rows:literal x $pixels:literal),* $(,)?], [$($outer_rows:literal x $outer_blocks:literal),* $(,)?]) => {
            mod $module {
                use super::*;

                leaves!($simd, $feature, turn(Squares), windows(Windows), scaled(Scaled), depthwise(Taps), dots(Dots), dot(Dots), chains(Chains), products(Products), spread(Spread<'_>));
                leaves!(
                    $simd, $feature, moments(Moments), normalize(Normalize), grad_sums(GradSums), back(Back), plane_dot(Dot),
                    max_spread(MaxSpread), mean_spread(MeanSpread), gradient(InputTile), taps(Sums),
                );

                #[target_feature(enable = $feature)]
                unsafe fn one<const ROWS: usize, const P: usize, const BLOCKS: usize, const KB: usize>(t: &Tile) {
                    // SAFETY: this function enables the features; the rest is guaranteed by the caller
                    unsafe { tile::<$simd, ROWS, P, BLOCKS, KB>(t) }
                }

                pub(super) fn choose(rows: usize, pixels: usize, blocks: usize, wide: bool) -> Option<TileFn> {
                    match (rows, pixels, blocks, wide) {
                        $(
                            ($rows, $pixels, 1, true) => Some(one::<$rows, $pixels, 1, $lanes>),
                            ($rows, $pixels, 2, true) => Some(one::<$rows, $pixels, 2, $lanes>),
                            ($rows, $pixels, 1, false) => Some(one::<$rows, $pixels, 1, 1>),
                            ($rows, $pixels, 2, false) => Some(one::<$rows, $pixels, 2, 1>),
                        )*
                        _ => None,
                    }
                }

                #[target_feature(enable = $feature)]
                unsafe fn sums<const R: usize, const BLOCKS: usize>(o: &Outer) {
                    // SAFETY: as above
                    unsafe { outer::<$simd, R, BLOCKS>(o) }
                }

                pub(super) fn choose_outer(rows: usize, blocks: usize) -> Option<OuterFn> {
                    match (rows, blocks) {
                        $(($outer_rows, $outer_blocks) => Some(sums::<$outer_rows, $outer_blocks>),)*
                        _ => None,
                    }
                }

                #[target_feature(enable = $feature)]
                unsafe fn winograd_input<P: Points<M, T>, const M: usize, const T: usize>(t: &InputTile) {
                    // SAFETY: as above
                    unsafe { input::<$simd, P, M, T>(t) }
                }

                #[target_feature(enable = $feature)]
                unsafe fn winograd_output<P: Points<M, T>, const M: usize, const T: usize>(t: &OutputTile) {
                    // SAFETY: as above
                    unsafe { output::<$simd, P, M, T>(t) }
                }

                pub(super) fn winograd(size: Size) -> Transforms {
                    match size {
                        Size::F2 => Transforms { input: winograd_input::<F2, 2, 4>, output: winograd_output::<F2, 2, 4> },
                        Size::F4 => Transforms { input: winograd_input::<F4, 4, 6>, output: winograd_output::<F4, 4, 6> },
                    }
                }
            }

            pub(super) static $name: Kernels = Kernels {
                lanes: $lanes,
                pixels: $most,
                sliced: $lanes < 16,
                tile: $module::choose,
                turn: $module::turn,
                windows: $module::windows,
                scaled: $module::scaled,
                depthwise: $module::depthwise,
                dots: $module::dots,
                dot: $module::dot,
                outer: $module::choose_outer,
                products: $module::products,
                spread: $module::spread,
                chains: $module::chains,
                winograd: $module::winograd,
                train: TrainKernels {
                    moments: $module::moments,
                    normalize: $module::normalize,
                    grad_sums: $module::grad_sums,
                    back: $module::back,
                    plane_dot: $module::plane_dot,
                    max_spread: $module::max_spread,
                    mean_spread: $module::mean_spread,
                    gradient: $module::gradient,
                    taps: $module::taps,
                },
            };
        };
    }

    kernels!(
        AVX512, avx512, Avx512, 16, "avx512f", 14,
        [
            1 x 1, 1 x 2, 1 x 3, 1 x 4, 1 x 5, 1 x 6, 1 x 7, 1 x 8, 1 x 9, 1 x 10, 1 x 11, 1 x 12, 1 x 13, 1 x 14,
            2 x 4, 2 x 5, 2 x 6, 2 x 7,
        ],
        [
            1 x 1, 2 x 1, 3 x 1, 4 x 1, 5 x 1, 6 x 1, 7 x 1, 8 x 1, 9 x 1, 10 x 1, 11 x 1, 12 x 1, 13 x 1, 14 x 1, 15 x 1, 16 x 1,
            1 x 2, 2 x 2, 3 x 2, 4 x 2, 5 x 2, 6 x 2, 7 x 2, 8 x 2,
        ]
    );
    kernels!(
        AVX2, avx2, Avx2, 8, "avx2,fma", 6,
        [1 x 1, 1 x 2, 1 x 3, 1 x 4, 1 x 5, 1 x 6, 2 x 2, 2 x 3],
        [1 x 1, 2 x 1, 3 x 1, 4 x 1, 5 x 1, 6 x 1, 7 x 1, 8 x 1, 1 x 2, 2 x 2, 3 x 2, 4 x 2]
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_unknown_ones_refused() {
        for isa in Isa::ALL {
            assert_eq!(Isa::named(isa.name()), Ok(isa));
            assert_eq!(isa.available().is_ok(), isa.is_available());
        }
        assert!(Isa::named("AVX-2").unwrap_err().to_string().contains("portable, avx2, avx512"));
        assert!(Isa::best().is_available());
    }
}
