//! Instruction sets: their names, and which of them this processor supports.

use std::fmt;

use thiserror::Error;

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
    /// 64-bit Arm: blocks of 8 channels.
    Neon,
}

/// The environment variable that forces an instruction set.
pub const ISA_VARIABLE: &str = "RESNETC_ISA";

/// Why an instruction set cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum IsaError {
    /// Unknown name.
    #[error("there is no instruction set `{0}`: it is one of portable, avx2, avx512, neon")]
    Unknown(String),
    /// This processor lacks it.
    #[error("this processor does not have {0}")]
    Missing(Isa),
}

impl Isa {
    /// All instruction sets, those of an architecture from the simplest on.
    pub const ALL: [Isa; 4] = [Isa::Portable, Isa::Avx2, Isa::Avx512, Isa::Neon];

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
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => std::arch::is_aarch64_feature_detected!("neon"),
            _ => false,
        }
    }

    /// The name, such as `avx2`.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Portable => "portable",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
            Isa::Neon => "neon",
        }
    }

    /// Channels per block of the layout that its kernels use; 1 for NCHW.
    pub fn lanes(self) -> usize {
        match self {
            Isa::Portable => 1,
            Isa::Avx2 | Isa::Neon => 8,
            Isa::Avx512 => 16,
        }
    }

    /// The same instruction set, if it has vector kernels and the processor supports it.
    pub(super) fn vector(self) -> Option<VectorIsa> {
        match self {
            _ if !self.is_available() => None,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => Some(VectorIsa::Avx2),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => Some(VectorIsa::Avx512),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => Some(VectorIsa::Neon),
            _ => None,
        }
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An instruction set of this architecture for which vector kernels are compiled. A value, made by [`Isa::vector`], exists only on a processor that
/// supports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum VectorIsa {
    /// See [`Isa::Avx2`].
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// See [`Isa::Avx512`].
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// See [`Isa::Neon`].
    #[cfg(target_arch = "aarch64")]
    Neon,
}

impl VectorIsa {
    /// Floats per vector, and channels per block.
    pub fn lanes(self) -> usize {
        Isa::from(self).lanes()
    }
}

impl From<VectorIsa> for Isa {
    fn from(isa: VectorIsa) -> Isa {
        match isa {
            #[cfg(target_arch = "x86_64")]
            VectorIsa::Avx2 => Isa::Avx2,
            #[cfg(target_arch = "x86_64")]
            VectorIsa::Avx512 => Isa::Avx512,
            #[cfg(target_arch = "aarch64")]
            VectorIsa::Neon => Isa::Neon,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_unknown_ones_rejected() {
        for isa in Isa::ALL {
            assert_eq!(Isa::named(isa.name()), Ok(isa));
            assert_eq!(isa.available().is_ok(), isa.is_available());
        }
        assert!(Isa::named("AVX-2").unwrap_err().to_string().contains("portable, avx2, avx512, neon"));
        assert!(Isa::best().is_available());
        // every processor of these architectures has vectors that are used
        assert_eq!(cfg!(target_arch = "aarch64"), Isa::best() == Isa::Neon);
    }
}
