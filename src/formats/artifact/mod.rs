//! The artifact, `.rnx`: a network with its weights and all that is needed to use it, in one file.
//!
//! ```text
//! 0   magic "RNXmodel"      8   length of the header, u64
//! 16  CRC-32 of bytes 0..16 and of the header, as u64          24  header, JSON
//!     zeros up to a multiple of 64                              then the tensors, each at a multiple of 64
//! ```
//!
//! All numbers are little-endian. The file is not trusted: the header is checksummed at load, every offset is checked against the
//! file's length, the graph's shapes are inferred anew, and a plan is made anew. The tensors' checksums are compared by
//! [`verify`] alone, so that loading maps them without reading them.

mod graph;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::base::diagnostic::Diagnostic;
use crate::base::file::write_atomically;
use crate::base::mmap::Bytes;
use crate::base::source::{SourceMap, Span};
use crate::base::tensor::{DType, Tensor};
use crate::check;
use crate::ir::{Checked, Network, Preprocess};
use crate::runtime::{Model, ParamStore};
use graph::StoredNode;

const MAGIC: &[u8; 8] = b"RNXmodel";
/// Where the header begins.
const HEADER: usize = 24;
/// The longest header, in bytes.
const MAX_HEADER: u64 = 256 << 20;
/// What tensors are aligned to, in bytes: a cache line, and the widest vector.
const ALIGN: usize = 64;
/// The version of the format.
const VERSION: u32 = 1;

/// Why an artifact was not read or written. Each names the file.
#[derive(Debug, Error)]
pub enum ArtifactError {
    /// The file system refused.
    #[error("cannot {what} `{}`: {source}", path.display())]
    Io {
        /// `read` or `write`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another kind of file.
    #[error("`{}` is no artifact of resnetc", path.display())]
    NotAnArtifact {
        /// The file.
        path: PathBuf,
    },
    /// Written by a later resnetc.
    #[error("`{}` is an artifact of version {found}; this resnetc reads version {VERSION}: compile the network again", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// Cut short or altered.
    #[error("`{}` is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not agree.
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
    tensors: Vec<StoredTensor>,
    /// Bytes from the first tensor to the end of the file.
    data: u64,
}

/// A file that the network was compiled from; kept for people, and never compiled again.
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
    /// From the first tensor's place.
    offset: u64,
    crc32: u32,
}

/// Whether a file begins as an artifact does, or is called as one.
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

/// Writes a checked network with its parameters, whole or not at all.
pub fn write(path: &Path, checked: &Checked, params: &ParamStore, sources: &SourceMap) -> Result<(), ArtifactError> {
    let damaged = |reason: String| ArtifactError::Damaged { path: path.to_path_buf(), reason };
    let (nodes, outputs) = graph::store(checked.graph()).map_err(damaged)?;
    let mut tensors = Vec::new();
    let mut offset = 0u64;
    for (name, tensor) in params.iter() {
        let bytes = tensor.to_le_bytes();
        tensors.push(StoredTensor {
            name: name.to_string(),
            dtype: tensor.dtype().name().to_string(),
            shape: tensor.shape().to_vec(),
            offset,
            crc32: crc32fast::hash(&bytes),
        });
        tensor.release();
        offset += (bytes.len() as u64).next_multiple_of(ALIGN as u64);
    }
    let header = Header {
        version: VERSION,
        compiler: env!("CARGO_PKG_VERSION").to_string(),
        network: checked.network.name.clone(),
        sources: sources.files().map(|(_, f)| StoredSource { name: f.name.clone(), text: f.text.to_string() }).collect(),
        nodes,
        outputs,
        preprocess: checked.network.preprocess.clone(),
        labels: checked.network.labels.clone(),
        tensors,
        data: offset,
    };
    let header = serde_json::to_vec(&header).map_err(|e| damaged(e.to_string()))?;
    let mut lead = [0u8; 16];
    lead[..8].copy_from_slice(MAGIC);
    lead[8..].copy_from_slice(&(header.len() as u64).to_le_bytes());
    let written = write_atomically(path, |out| {
        out.write_all(&lead)?;
        out.write_all(&checksum(&lead, &header).to_le_bytes())?;
        out.write_all(&header)?;
        pad(out, HEADER + header.len())?;
        for (_, tensor) in params.iter() {
            let bytes = tensor.to_le_bytes();
            out.write_all(&bytes)?;
            pad(out, bytes.len())?;
            tensor.release();
        }
        Ok::<(), io::Error>(())
    });
    written.map_err(|source| ArtifactError::Io { what: "write", path: path.to_path_buf(), source })
}

fn pad(out: &mut dyn Write, written: usize) -> io::Result<()> {
    out.write_all(&[0; ALIGN][..written.next_multiple_of(ALIGN) - written])
}

/// A header that was read and checked, with the bytes behind it.
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
        return Err(if short { damaged("it is cut short") } else { ArtifactError::NotAnArtifact { path: path.to_path_buf() } });
    }
    let (Some(len), Some(sum)) = (number(8), number(16)) else { return Err(damaged("it is cut short")) };
    if len > MAX_HEADER {
        return Err(damaged("its header claims an impossible length"));
    }
    let end = HEADER + len as usize;
    let Some(text) = bytes.get(HEADER..end) else { return Err(damaged("it is cut short in its header")) };
    if checksum(&bytes[..16], text) != sum {
        return Err(damaged("its header does not have the checksum that it was written with"));
    }
    // the version first: a later format may have another header
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    let json = |e: serde_json::Error| damaged(&format!("its header cannot be read: {e}"));
    let Version { version } = serde_json::from_slice(text).map_err(json)?;
    if version != VERSION {
        return Err(ArtifactError::Version { path: path.to_path_buf(), found: version });
    }
    let header: Header = serde_json::from_slice(text).map_err(json)?;
    let start = end.next_multiple_of(ALIGN);
    if (bytes.len() as u64).checked_sub(start as u64) != Some(header.data) {
        return Err(damaged("it is not as long as its header says: cut short, or more was written behind it"));
    }
    let data = bytes.slice(start..bytes.len()).ok_or_else(|| damaged("it is cut short"))?;
    Ok(Opened { header, data })
}

impl Opened {
    fn tensor(&self, stored: &StoredTensor) -> Option<Tensor> {
        let dtype = DType::from_name(&stored.dtype)?;
        let len = crate::base::tensor::count(&stored.shape)?.checked_mul(dtype.size())?;
        let start = usize::try_from(stored.offset).ok().filter(|s| s.is_multiple_of(ALIGN))?;
        Tensor::from_bytes(stored.shape.clone(), dtype, self.data.slice(start..start.checked_add(len)?)?)
    }
}

/// Reads an artifact: the network, checked anew, and its parameters, mapped.
pub fn read(path: &Path) -> Result<(Checked, ParamStore), ArtifactError> {
    let damaged = |reason: String| ArtifactError::Damaged { path: path.to_path_buf(), reason };
    let opened = open(path)?;
    let mut store = Vec::new();
    for stored in &opened.header.tensors {
        let tensor =
            opened.tensor(stored).ok_or_else(|| damaged(format!("the tensor `{}` does not lie within it", stored.name)))?;
        store.push((stored.name.clone(), tensor));
    }
    let header = opened.header;
    let mut sources = SourceMap::default();
    let span = Span::new(sources.add_text(path.display().to_string(), ""), 0..0);
    let graph = graph::restore(&header.nodes, &header.outputs, span).map_err(damaged)?;
    if let Some(how) = &header.preprocess {
        let channels = if how.channels == crate::ir::Channels::Gray { 1 } else { 3 };
        if how.mean.len() != channels || how.std.len() != channels {
            return Err(damaged("its preprocessing does not agree with its channels".into()));
        }
    }
    let network = Network {
        name: header.network,
        span,
        graph,
        stages: Vec::new(),
        shortcuts: Vec::new(),
        labelled: Vec::new(),
        expects: Vec::new(),
        preprocess: header.preprocess,
        labels: header.labels,
        weights: None,
    };
    let mut diags: Vec<Diagnostic> = Vec::new();
    let checked = check::check(network, &mut diags);
    let why = || diags.first().map_or_else(String::new, |d| d.message.clone());
    let checked = checked.ok_or_else(|| damaged(format!("its graph does not check: {}", why())))?;
    Ok((checked, store.into_iter().collect()))
}

/// What [`verify`] counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The network's name.
    pub network: String,
    /// Tensors whose checksums hold.
    pub tensors: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// Reads all of an artifact and compares every checksum.
pub fn verify(path: &Path) -> Result<Verified, ArtifactError> {
    let opened = open(path)?;
    let damaged = |reason: String| ArtifactError::Damaged { path: path.to_path_buf(), reason };
    let mut bytes = 0;
    for stored in &opened.header.tensors {
        let tensor =
            opened.tensor(stored).ok_or_else(|| damaged(format!("the tensor `{}` does not lie within it", stored.name)))?;
        let values = tensor.to_le_bytes();
        if crc32fast::hash(&values) != stored.crc32 {
            return Err(damaged(format!("the tensor `{}` does not have the checksum that it was written with", stored.name)));
        }
        bytes += values.len() as u64;
    }
    read(path)?;
    Ok(Verified { network: opened.header.network, tensors: opened.header.tensors.len(), bytes })
}

impl Model {
    /// Loads an artifact that `resnetc compile -o` or [`write`] wrote. Its weights are mapped, not read.
    pub fn load(path: impl AsRef<Path>) -> Result<Model, ArtifactError> {
        let path = path.as_ref();
        let (checked, params) = read(path)?;
        Model::new(checked, params).map_err(|e| ArtifactError::Damaged { path: path.to_path_buf(), reason: e.to_string() })
    }
}

#[cfg(test)]
mod tests;
