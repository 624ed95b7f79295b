//! The artifact, `.rnx`: a network with its weights and everything else that is needed to run it, in a single file.
//!
//! ```text
//! 0   magic "RNXmodel"      8   length of the header, u64
//! 16  CRC-32 of bytes 0..16 and of the header, as u64          24  header, JSON
//!     zeros up to a page                                        then the tensors, each aligned to 64 bytes
//!     zeros up to a page                                        then the packed weights, each aligned to 64 bytes
//! ```
//!
//! All numbers are little-endian. The packed weights are those that a plan for the compiling machine derives from the tensors
//! (batch norms folded, channels in blocks), so a run on this machine maps them without reading the tensors; other plans pack the tensors again.
//! The file is not trusted: loading verifies the checksum of the header and all offsets, infers all shapes again, plans again, and uses a
//! packed weight only if its length fits the layout in the plan. Only [`verify`] compares the checksums of tensors and packed weights, so
//! loading maps them without reading them.

mod graph;
mod op;
mod write;

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::base::diagnostic::Diagnostic;
use crate::base::file::ARTIFACT_MAGIC as MAGIC;
use crate::base::mmap::Bytes;
use crate::base::source::{SourceMap, Span};
use crate::base::tensor::{DType, Tensor};
use crate::check;
use crate::ir::{Checked, Network, Precisions, Preprocess};
use crate::kernels::Isa;
use crate::plan::{PlanOptions, Settings, WeightLayout};
use crate::runtime::{Model, PackedWeights, ParamStore, SessionOptions};
use graph::StoredNode;
pub use write::{Contents, Written, write};

/// Where the header begins.
const HEADER: usize = 24;
/// The largest header, in bytes.
const MAX_HEADER: u64 = 256 << 20;
/// The alignment of tensors in bytes: a cache line, and the widest vector.
const ALIGN: usize = 64;
/// The alignment of the tensor and packed-weight sections, in bytes.
const PAGE: usize = 4096;
/// The version of the format.
const VERSION: u32 = 6;
/// The oldest version that is read, which artifacts of f32 networks are still written in: only version 6 has precisions.
const OLDEST: u32 = 5;
/// The version of the settings; settings of another version are ignored.
const SETTINGS: u32 = 1;
/// The maximum number of measured choices.
const MAX_CHOICES: usize = 100_000;

/// Why an artifact cannot be read or written. Every message names the file.
#[derive(Debug, Error)]
pub enum ArtifactError {
    /// The file system reports an error.
    #[error("cannot {what} `{}`: {source}", path.display())]
    Io {
        /// `read` or `write`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file is not an artifact.
    #[error("`{}` is not an artifact of resnetc", path.display())]
    NotAnArtifact {
        /// The file.
        path: PathBuf,
    },
    /// The artifact was written by an earlier or later version of resnetc.
    #[error("`{}` is an artifact of version {found}; this resnetc reads versions {OLDEST} and {VERSION}: compile the network again", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// The artifact is truncated or altered.
    #[error("`{}` is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

#[derive(Serialize, Deserialize)]
struct Header {
    version: u32,
    compiler: String,
    network: String,
    sources: Vec<StoredSource>,
    nodes: Vec<StoredNode>,
    outputs: Vec<(String, usize)>,
    preprocess: Option<Preprocess>,
    labels: Vec<String>,
    /// Left out if all layers are f32.
    #[serde(default, skip_serializing_if = "Precisions::is_f32")]
    precision: Precisions,
    tensors: Vec<StoredTensor>,
    packs: Option<StoredPacks>,
    settings: Option<StoredSettings>,
    /// Bytes from the first tensor to the end of the file.
    data: u64,
}

/// A source file of the network. For people: it is never compiled again.
#[derive(Serialize, Deserialize)]
struct StoredSource {
    name: String,
    text: String,
}

#[derive(Serialize, Deserialize)]
struct StoredTensor {
    name: String,
    dtype: String,
    shape: Vec<usize>,
    /// Offset from the first tensor.
    offset: u64,
    crc32: u32,
}

/// The weights as packed for a plan on the compiling machine.
#[derive(Serialize, Deserialize)]
struct StoredPacks {
    isa: Isa,
    list: Vec<StoredPack>,
}

#[derive(Serialize, Deserialize)]
struct StoredPack {
    /// The name of the weight in the plan.
    name: String,
    #[serde(rename = "form")]
    layout: WeightLayout,
    /// Offset from the first tensor.
    offset: u64,
    /// The number of f32 values.
    len: u64,
    crc32: u32,
}

/// The settings of the planner; of another version, any JSON.
#[derive(Serialize, Deserialize)]
struct StoredSettings {
    version: u32,
    settings: serde_json::Value,
}

/// Whether a file begins like an artifact, or has its extension.
pub fn is_artifact(path: &Path) -> bool {
    let mut first = [0u8; 8];
    let begins = std::fs::File::open(path).and_then(|mut f| io::Read::read_exact(&mut f, &mut first)).is_ok() && &first == MAGIC;
    begins || path.extension().is_some_and(|e| e == "rnx")
}

fn checksum(lead: &[u8], header: &[u8]) -> u64 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(lead);
    crc.update(header);
    u64::from(crc.finalize())
}

impl StoredSettings {
    fn new(settings: &Settings) -> StoredSettings {
        StoredSettings { version: SETTINGS, settings: serde_json::json!(settings) }
    }

    fn read(self) -> Result<Option<Settings>, String> {
        if self.version != SETTINGS {
            return Ok(None);
        }
        let settings: Settings =
            serde_json::from_value(self.settings).map_err(|e| format!("its settings cannot be read: {e}"))?;
        if settings.tuned.len() > MAX_CHOICES {
            return Err(format!("it has more than {MAX_CHOICES} measured choices"));
        }
        Ok(Some(settings))
    }
}

/// A verified header, with the data after it.
struct Opened {
    header: Header,
    /// From the first tensor to the end.
    data: Bytes,
}

fn open(path: &Path) -> Result<Opened, ArtifactError> {
    let bytes = Bytes::map(path).map_err(|source| ArtifactError::Io { what: "read", path: path.to_path_buf(), source })?;
    let damaged = |reason: &str| ArtifactError::Damaged { path: path.to_path_buf(), reason: reason.to_string() };
    let number = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    if bytes.get(..8).is_none_or(|magic| magic != MAGIC) {
        let short = bytes.len() < 8 && MAGIC.starts_with(&bytes);
        return Err(if short { damaged("it is truncated") } else { ArtifactError::NotAnArtifact { path: path.to_path_buf() } });
    }
    let (Some(len), Some(sum)) = (number(8), number(16)) else { return Err(damaged("it is truncated")) };
    if len > MAX_HEADER {
        return Err(damaged("its header claims an impossible length"));
    }
    let end = HEADER + len as usize;
    let Some(text) = bytes.get(HEADER..end) else { return Err(damaged("it is truncated inside its header")) };
    if checksum(&bytes[..16], text) != sum {
        return Err(damaged("the checksum of its header is wrong"));
    }
    // check the version first, because other versions may have another header
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    let json = |e: serde_json::Error| damaged(&format!("its header cannot be read: {e}"));
    let Version { version } = serde_json::from_slice(text).map_err(json)?;
    if !(OLDEST..=VERSION).contains(&version) {
        return Err(ArtifactError::Version { path: path.to_path_buf(), found: version });
    }
    let header: Header = serde_json::from_slice(text).map_err(json)?;
    let start = end.next_multiple_of(PAGE);
    if (bytes.len() as u64).checked_sub(start as u64) != Some(header.data) {
        return Err(damaged("its length does not match its header: it is truncated, or data was appended"));
    }
    let data = bytes.slice(start..bytes.len()).ok_or_else(|| damaged("it is truncated"))?;
    Ok(Opened { header, data })
}

impl Opened {
    fn bytes(&self, offset: u64, len: usize) -> Option<Bytes> {
        let start = usize::try_from(offset).ok().filter(|s| s.is_multiple_of(ALIGN))?;
        self.data.slice(start..start.checked_add(len)?)
    }

    fn tensor(&self, stored: &StoredTensor) -> Option<Tensor> {
        let dtype = DType::from_name(&stored.dtype)?;
        let len = crate::base::tensor::count(&stored.shape)?.checked_mul(dtype.size())?;
        Tensor::from_bytes(stored.shape.clone(), dtype, self.bytes(stored.offset, len)?)
    }

    fn pack(&self, stored: &StoredPack) -> Option<Tensor> {
        let len = usize::try_from(stored.len).ok()?;
        Tensor::from_bytes(vec![len], DType::F32, self.bytes(stored.offset, len.checked_mul(size_of::<f32>())?)?)
    }

    /// All tensors and packed weights, in the order of the header. Checks that each is inside the file, and that none overlap.
    fn sections(&self) -> Result<Sections, String> {
        let mut sections = Sections::default();
        let mut ranges = Vec::new();
        let mut add = |name: &str, offset: u64, tensor: &Tensor| ranges.push((offset, tensor.byte_len() as u64, name.to_owned()));
        for stored in &self.header.tensors {
            let tensor = self.tensor(stored).ok_or_else(|| format!("the tensor `{}` is not inside the file", stored.name))?;
            add(&stored.name, stored.offset, &tensor);
            sections.tensors.push(tensor);
        }
        for stored in self.header.packs.iter().flat_map(|packs| &packs.list) {
            let tensor =
                self.pack(stored).ok_or_else(|| format!("the packed weight `{}` is not inside the file", stored.name))?;
            add(&stored.name, stored.offset, &tensor);
            sections.packs.push(tensor);
        }
        ranges.sort();
        for pair in ranges.windows(2) {
            if let [(start, len, first), (next, _, second)] = pair
                && start + len > *next
            {
                return Err(format!("`{first}` and `{second}` overlap"));
            }
        }
        Ok(sections)
    }
}

/// The data after the header.
#[derive(Default)]
struct Sections {
    tensors: Vec<Tensor>,
    packs: Vec<Tensor>,
}

/// An artifact that was read.
#[derive(Debug)]
pub struct Artifact {
    /// The network, checked again.
    pub checked: Checked,
    /// Its parameters, memory-mapped.
    pub params: ParamStore,
    /// Its packed weights, memory-mapped.
    pub packs: Option<PackedWeights>,
    /// The settings of the planner, if they are not the defaults.
    pub settings: Option<Settings>,
    /// Its source files.
    pub sources: SourceMap,
}

/// Reads an artifact.
pub fn read(path: &Path) -> Result<Artifact, ArtifactError> {
    let damaged = |reason: String| ArtifactError::Damaged { path: path.to_path_buf(), reason };
    let opened = open(path)?;
    let sections = opened.sections().map_err(damaged)?;
    let params = opened.header.tensors.iter().map(|t| t.name.clone()).zip(sections.tensors).collect();
    let packs = opened.header.packs.as_ref().map(|stored| {
        let mut packs = PackedWeights::new(stored.isa);
        for (pack, values) in stored.list.iter().zip(sections.packs) {
            // packed weights that cannot be used are packed again
            packs.insert(pack.name.clone(), pack.layout, values);
        }
        packs
    });
    let header = opened.header;
    let mut sources = SourceMap::default();
    for source in header.sources {
        sources.add_text(source.name, source.text);
    }
    let span = Span::new(sources.add_text(path.display().to_string(), ""), 0..0);
    let graph = graph::restore(&header.nodes, &header.outputs, span).map_err(damaged)?;
    if let Some(how) = &header.preprocess {
        let channels = if how.channels == crate::ir::Channels::Gray { 1 } else { 3 };
        // a per-pixel mean is checked against the input below
        if how.std.len() != channels || (how.mean.len() != channels && how.mean_image().is_none()) {
            return Err(damaged("its preprocessing does not fit its channels".into()));
        }
    }
    let network = Network {
        name: header.network,
        span,
        graph,
        stages: Vec::new(),
        shortcuts: Vec::new(),
        labeled: Vec::new(),
        expects: Vec::new(),
        preprocess: header.preprocess,
        labels: header.labels,
        weights: None,
        precision: header.precision,
        recipe: None,
    };
    let mut diags: Vec<Diagnostic> = Vec::new();
    let checked = check::check(network, &mut diags);
    let why = || diags.first().map_or_else(String::new, |d| d.message.clone());
    let checked = checked.ok_or_else(|| damaged(format!("its graph is invalid: {}", why())))?;
    let settings = header.settings.map_or(Ok(None), StoredSettings::read).map_err(damaged)?;
    Ok(Artifact { checked, params, packs, settings, sources })
}

/// What [`verify`] verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The network's name.
    pub network: String,
    /// The number of tensors.
    pub tensors: usize,
    /// The number of packed weights.
    pub packs: usize,
    /// The size of both in bytes.
    pub bytes: u64,
}

/// Reads an artifact completely and verifies all checksums.
pub fn verify(path: &Path) -> Result<Verified, ArtifactError> {
    let opened = open(path)?;
    let damaged = |reason: String| ArtifactError::Damaged { path: path.to_path_buf(), reason };
    let sections = opened.sections().map_err(damaged)?;
    let header = &opened.header;
    let packs =
        header.packs.iter().flat_map(|packs| &packs.list).map(|p| ("packed weight", &p.name, p.crc32)).zip(&sections.packs);
    let tensors = header.tensors.iter().map(|t| ("tensor", &t.name, t.crc32)).zip(&sections.tensors);
    let mut bytes = 0;
    for ((what, name, crc32), tensor) in tensors.chain(packs) {
        let values = tensor.to_le_bytes();
        if crc32fast::hash(&values) != crc32 {
            return Err(damaged(format!("the checksum of the {what} `{name}` is wrong")));
        }
        bytes += values.len() as u64;
        tensor.release();
    }
    let model = Model::load(path)?;
    if let Some(isa) = model.packed_weights().map(PackedWeights::isa).filter(|isa| isa.is_available())
        && let Ok(plan) = model.plan(&PlanOptions::new(1, SessionOptions::default().threads, isa), [None; 2])
    {
        model.check_packed_weights(&plan).map_err(|e| damaged(e.to_string()))?;
    }
    let (tensors, packs) = (sections.tensors.len(), sections.packs.len());
    Ok(Verified { network: opened.header.network, tensors, packs, bytes })
}

impl Model {
    /// Loads an artifact from `resnetc compile -o` or [`write()`]. Its weights are memory-mapped, not read.
    pub fn load(path: impl AsRef<Path>) -> Result<Model, ArtifactError> {
        let path = path.as_ref();
        let Artifact { checked, params, packs, settings, .. } = read(path)?;
        let damaged = |reason: String| ArtifactError::Damaged { path: path.to_path_buf(), reason };
        Model::with_packed_weights(checked, params, packs, settings).map_err(|e| damaged(e.to_string()))
    }
}

#[cfg(test)]
mod tests;
