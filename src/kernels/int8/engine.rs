//! Which instructions compute sums of products of bytes, and what is compiled for each.

#[cfg(target_arch = "x86_64")]
use super::dot::avx2::{Avx2, AvxVnni};
#[cfg(target_arch = "x86_64")]
use super::dot::avx512::Avx512Vnni;
use super::dot::{Dot, portable::Portable};
use crate::kernels::isa::{Features, Isa};

/// An instruction set with integer kernels. All of them compute the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Engine {
    /// Any processor: plain Rust.
    Portable,
    /// AVX2: products of 16 bits.
    Avx2,
    /// AVX2 with AVX-VNNI: `vpdpbusd` on 32 bytes.
    AvxVnni,
    /// AVX-512 with VNNI: `vpdpbusd` on 64 bytes.
    Avx512Vnni,
}

impl Engine {
    /// All of them, from the simplest on.
    pub const ALL: [Engine; 4] = [Engine::Portable, Engine::Avx2, Engine::AvxVnni, Engine::Avx512Vnni];

    /// The best one among some features of this processor.
    pub fn of(features: Features) -> Engine {
        let wanted: &[Engine] = match features.isa() {
            Isa::Avx512 if features.vnni() => &[Engine::Avx512Vnni, Engine::AvxVnni, Engine::Avx2],
            Isa::Avx2 if features.vnni() => &[Engine::AvxVnni, Engine::Avx2],
            Isa::Avx2 | Isa::Avx512 => &[Engine::Avx2],
            Isa::Portable | Isa::Neon => &[],
        };
        wanted.iter().copied().find(|engine| engine.is_available()).unwrap_or(Engine::Portable)
    }

    /// Whether this processor has the instructions.
    pub fn is_available(self) -> bool {
        match self {
            Engine::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Engine::Avx2 => Isa::Avx2.is_available(),
            #[cfg(target_arch = "x86_64")]
            Engine::AvxVnni => Isa::Avx2.is_available() && is_x86_feature_detected!("avxvnni"),
            #[cfg(target_arch = "x86_64")]
            Engine::Avx512Vnni => {
                Isa::Avx512.is_available() && is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512vnni")
            }
            #[allow(unreachable_patterns, reason = "on x86-64 there are no others")]
            _ => false,
        }
    }

    /// The name, such as `avx512-vnni`.
    pub fn name(self) -> &'static str {
        match self {
            Engine::Portable => "portable",
            Engine::Avx2 => "avx2",
            Engine::AvxVnni => "avx-vnni",
            Engine::Avx512Vnni => "avx512-vnni",
        }
    }

    /// Bytes of an activation in a strip.
    pub(super) fn width(self) -> usize {
        if self == Engine::Avx2 { 2 } else { 1 }
    }

    /// Pixels and panels of the largest tile.
    pub(super) fn tile(self) -> (usize, usize) {
        match self {
            Engine::Portable => (4, 1),
            Engine::Avx2 | Engine::AvxVnni => (6, 1),
            Engine::Avx512Vnni => (14, 2),
        }
    }
}

/// An innermost loop, generic over the instructions.
pub(super) trait Loop {
    /// What it reads and writes.
    type Operands;

    /// Computes the results. Implementations are `#[inline(always)]`, so that they are compiled with the target features of
    /// their instance.
    ///
    /// # Safety
    /// The processor supports `D`, and all pointers in `operands` are valid for the sizes given there.
    unsafe fn run<D: Dot>(operands: &Self::Operands);
}

/// A loop compiled for one instruction set.
pub(super) type Instance<Operands> = unsafe fn(&Operands);

/// The instance of a loop for an instruction set.
///
/// # Panics
/// If the processor lacks it.
pub(super) fn instance<L: Loop>(engine: Engine) -> Instance<L::Operands> {
    // its tiles and loop nests are tested everywhere
    #[cfg(test)]
    if !engine.is_available() && engine.width() == 1 {
        return L::run::<Portable>;
    }
    assert!(engine.is_available(), "this processor has no {}", engine.name());
    match engine {
        #[cfg(target_arch = "x86_64")]
        Engine::Avx2 => avx2::<L>,
        #[cfg(target_arch = "x86_64")]
        Engine::AvxVnni => avx_vnni::<L>,
        #[cfg(target_arch = "x86_64")]
        Engine::Avx512Vnni => avx512_vnni::<L>,
        _ => L::run::<Portable>,
    }
}

/// The instance for AVX2.
///
/// # Safety
/// See [`Loop::run`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2<L: Loop>(operands: &L::Operands) {
    // SAFETY: this function has the features; the rest is guaranteed by the caller
    unsafe { L::run::<Avx2>(operands) }
}

/// The instance for AVX-VNNI.
///
/// # Safety
/// See [`Loop::run`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,avxvnni")]
unsafe fn avx_vnni<L: Loop>(operands: &L::Operands) {
    // SAFETY: as above
    unsafe { L::run::<AvxVnni>(operands) }
}

/// The instance for AVX-512 with VNNI.
///
/// # Safety
/// See [`Loop::run`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn avx512_vnni<L: Loop>(operands: &L::Operands) {
    // SAFETY: as above
    unsafe { L::run::<Avx512Vnni>(operands) }
}
