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

/// The environment variable that forces an instruction set: `BASE`, or `BASE,+EXTENSION,-EXTENSION`, or extensions alone.
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
    /// Unknown name of an extension.
    #[error("there is no extension `{0}`: it is one of vnni, bf16, amx, after + or -, as in `avx512,-vnni`")]
    UnknownExtension(String),
    /// This processor lacks it, or the instruction set does not include it.
    #[error("{0} is not available on this processor with {1}: leave out `+{0}`")]
    MissingExtension(Extension, Isa),
    /// A name without a sign that is not the first one.
    #[error(
        "`{0}` does not say whether to use it: write `+{0}` or `-{0}`; an instruction set stands first, as in `avx512,-vnni`"
    )]
    Unsigned(String),
    /// An extension that is both demanded and forbidden, or a name that is given twice.
    #[error("`{0}` is given twice")]
    Twice(Extension),
}

impl Isa {
    /// All instruction sets, those of an architecture from the simplest on.
    pub const ALL: [Isa; 4] = [Isa::Portable, Isa::Avx2, Isa::Avx512, Isa::Neon];

    /// The best one that this processor supports.
    pub fn best() -> Isa {
        Isa::ALL.into_iter().rev().find(|isa| isa.is_available()).unwrap_or(Isa::Portable)
    }

    /// The one named by `RESNETC_ISA`, or the best: see [`Features::chosen`].
    pub fn chosen() -> Result<Isa, IsaError> {
        Features::chosen().map(Features::isa)
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

/// Instructions beyond those of an [`Isa`], for products of small numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Extension {
    /// Sums of products of bytes: AVX-512 VNNI, or AVX-VNNI with AVX2.
    Vnni,
    /// Sums of products of bf16: AVX-512 BF16.
    Bf16,
    /// Products of tiles of bytes and of bf16: AMX. Only used if it is asked for.
    Amx,
}

impl Extension {
    /// All extensions.
    pub const ALL: [Extension; 3] = [Extension::Vnni, Extension::Bf16, Extension::Amx];

    /// The name, such as `vnni`.
    pub fn name(self) -> &'static str {
        match self {
            Extension::Vnni => "vnni",
            Extension::Bf16 => "bf16",
            Extension::Amx => "amx",
        }
    }

    fn named(name: &str) -> Result<Extension, IsaError> {
        Extension::ALL.into_iter().find(|e| e.name() == name).ok_or_else(|| IsaError::UnknownExtension(name.to_owned()))
    }

    /// Whether this processor has it and the instruction set goes with it.
    pub fn is_available(self, isa: Isa) -> bool {
        match (self, isa) {
            #[cfg(target_arch = "x86_64")]
            (Extension::Vnni, Isa::Avx512) => {
                is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512vnni")
                    || Self::Vnni.is_available(Isa::Avx2)
            }
            #[cfg(target_arch = "x86_64")]
            (Extension::Vnni, Isa::Avx2) => is_x86_feature_detected!("avxvnni"),
            #[cfg(target_arch = "x86_64")]
            (Extension::Bf16, Isa::Avx512) => is_x86_feature_detected!("avx512bf16"),
            #[cfg(target_arch = "x86_64")]
            (Extension::Amx, Isa::Avx512) => has_amx(),
            _ => false,
        }
    }

    /// Whether it is used without being asked for.
    fn is_default(self) -> bool {
        self != Extension::Amx
    }
}

impl fmt::Display for Extension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whether the processor has AMX for bytes and bf16. The system's permission is a matter of each process.
#[cfg(target_arch = "x86_64")]
fn has_amx() -> bool {
    use std::arch::x86_64::{__cpuid, __cpuid_count};
    const BF16: u32 = 1 << 22;
    const TILE: u32 = 1 << 24;
    const INT8: u32 = 1 << 25;
    #[allow(unused_unsafe, reason = "safe from Rust 1.94 on")]
    // SAFETY: every x86-64 processor has CPUID, and leaf 7 is only read if there is one
    unsafe {
        __cpuid(0).eax >= 7 && __cpuid_count(7, 0).edx & (BF16 | TILE | INT8) == BF16 | TILE | INT8
    }
}

/// An instruction set with extensions, all of which this processor supports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Features {
    isa: Isa,
    extensions: [bool; 3],
}

impl Features {
    /// What this processor supports of an instruction set and its extensions, but for those that must be asked for.
    pub fn of(isa: Isa) -> Result<Features, IsaError> {
        let isa = isa.available()?;
        Ok(Features { isa, extensions: Extension::ALL.map(|e| e.is_default() && e.is_available(isa)) })
    }

    /// Those named by `RESNETC_ISA`, or all.
    pub fn chosen() -> Result<Features, IsaError> {
        Features::named(&std::env::var(ISA_VARIABLE).unwrap_or_default())
    }

    /// Reads `avx512`, `avx512,-amx,-vnni` or `+amx`: an instruction set (the best one if there is none), and what to use or leave
    /// out beyond what is used anyway.
    pub fn named(text: &str) -> Result<Features, IsaError> {
        let mut words = text.split(',').map(str::trim).filter(|word| !word.is_empty()).peekable();
        let base = words.next_if(|word| !word.starts_with(['+', '-']));
        if let Some(word) = base.filter(|word| Extension::named(word).is_ok()) {
            return Err(IsaError::Unsigned(word.to_owned()));
        }
        let mut features = Features::of(base.map_or(Ok(Isa::best()), Isa::named)?)?;
        let mut given = [false; 3];
        for word in words {
            let (wanted, name) = match word.split_at_checked(1) {
                Some(("+", name)) => (true, name.trim()),
                Some(("-", name)) => (false, name.trim()),
                _ => return Err(IsaError::Unsigned(word.to_owned())),
            };
            let extension = Extension::named(name)?;
            let at = extension as usize;
            if std::mem::replace(&mut given[at], true) {
                return Err(IsaError::Twice(extension));
            }
            if wanted && !extension.is_available(features.isa) {
                return Err(IsaError::MissingExtension(extension, features.isa));
            }
            features.extensions[at] = wanted;
        }
        Ok(features)
    }

    /// The instruction set.
    pub fn isa(self) -> Isa {
        self.isa
    }

    /// Whether an extension is used.
    pub fn has(self, extension: Extension) -> bool {
        self.extensions[extension as usize]
    }

    /// Whether VNNI is used.
    pub fn vnni(self) -> bool {
        self.has(Extension::Vnni)
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
    fn extensions_are_read_after_an_instruction_set() {
        let best = Features::of(Isa::best()).unwrap();
        assert_eq!(Features::named(""), Ok(best));
        assert_eq!(Features::named("portable").map(Features::isa), Ok(Isa::Portable));
        for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
            let without = Features::named(&format!("{isa}, -amx, -vnni,-bf16")).unwrap();
            assert_eq!((without.isa(), without.extensions), (isa, [false; 3]));
            for extension in Extension::ALL {
                let found = Features::named(&format!("{isa},+{extension}"));
                if extension.is_available(isa) {
                    assert!(found.unwrap().has(extension));
                } else {
                    assert_eq!(found, Err(IsaError::MissingExtension(extension, isa)));
                }
            }
        }
        // without an instruction set, the best one
        let without = Features::named("-vnni").unwrap();
        assert_eq!((without.isa(), without.vnni()), (Isa::best(), false));
        // AMX must be asked for
        assert!(!best.has(Extension::Amx));
        let message = |text: &str| Features::named(text).unwrap_err().to_string();
        assert!(message("+vnmi").contains("`vnmi`") && message("+vnmi").contains("vnni, bf16, amx"));
        assert!(message("portable,vnni").contains("`+vnni` or `-vnni`"));
        assert!(message("vnni").contains("`+vnni`") && message("-vnni,portable").contains("stands first"));
        assert!(message("-vnni,+vnni").contains("twice"));
        assert!(message("portable,+vnni").contains("vnni is not available on this processor with portable"));
        assert!(message("sse9,-vnni").contains("portable, avx2, avx512, neon"));
        // a sign alone, or before a character of several bytes
        assert!(message("+").contains("``") && message("-é").contains("`é`") && message("portable,é").contains("`+é`"));
    }

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
