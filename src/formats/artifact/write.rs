//! Writes an artifact.

use std::io::{self, Write};
use std::path::Path;

use super::{ALIGN, ArtifactError, HEADER, Header, MAGIC, OLDEST, PAGE, VERSION, graph};
use super::{StoredPack, StoredPacks, StoredSettings, StoredSource, StoredTensor, checksum};
use crate::base::file::write_atomically;
use crate::base::source::SourceMap;
use crate::ir::Checked;
use crate::passes;
use crate::plan::Settings;
use crate::runtime::{PackedWeights, ParamStore, lowered};

/// The contents of an artifact.
#[derive(Clone, Copy, Debug)]
pub struct Contents<'a> {
    /// The checked network, before passes.
    pub checked: &'a Checked,
    /// Its parameters.
    pub params: &'a ParamStore,
    /// Its source files.
    pub sources: &'a SourceMap,
    /// The weights as packed for a plan ([`crate::runtime::Model::pack`]).
    pub packs: Option<&'a PackedWeights>,
    /// The settings of the planner, if they are not the defaults.
    pub settings: Option<&'a Settings>,
}

impl<'a> Contents<'a> {
    /// Only a network and its parameters.
    pub fn new(checked: &'a Checked, params: &'a ParamStore, sources: &'a SourceMap) -> Contents<'a> {
        Contents { checked, params, sources, packs: None, settings: None }
    }
}

/// The sizes of an artifact in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// The size of the parameters.
    pub params: u64,
    /// The size of the packed weights.
    pub packs: u64,
    /// The size of the file.
    pub file: u64,
}

/// Writes an artifact, atomically.
pub fn write(path: &Path, contents: &Contents<'_>) -> Result<Written, ArtifactError> {
    let damaged = |reason: String| ArtifactError::Damaged { path: path.to_path_buf(), reason };
    let Contents { checked, params, sources, packs, settings } = *contents;
    let precision = &checked.network.precision;
    let lowered = if precision.is_f32() { None } else { Some(lowered(&passes::inference(checked.canonical()), params)) };
    let lowered = lowered.transpose().map_err(|error| damaged(error.to_string()))?;
    let params = lowered.as_ref().unwrap_or(params);
    let (nodes, outputs) = graph::store(checked.graph()).map_err(damaged)?;
    let mut end = 0u64;
    let mut tensors = Vec::new();
    for (name, tensor) in params.iter() {
        let bytes = tensor.to_le_bytes();
        tensors.push(StoredTensor {
            name: name.to_string(),
            dtype: tensor.dtype().name().to_string(),
            shape: tensor.shape().to_vec(),
            offset: end,
            crc32: crc32fast::hash(&bytes),
        });
        tensor.release();
        end += (bytes.len() as u64).next_multiple_of(ALIGN as u64);
    }
    let raw = end;
    end = end.next_multiple_of(PAGE as u64);
    let packs_at = end;
    let stored_packs = packs.map(|packs| {
        let mut list = Vec::new();
        for (name, layout, values) in packs.iter() {
            let len = values.len() as u64;
            list.push(StoredPack { name: name.to_string(), layout, offset: end, len, crc32: crc32fast::hash(&le_bytes(values)) });
            end += (len * size_of::<f32>() as u64).next_multiple_of(ALIGN as u64);
        }
        StoredPacks { isa: packs.isa(), list }
    });
    if stored_packs.is_none() {
        end = raw;
    }
    let header = Header {
        version: if precision.is_f32() { OLDEST } else { VERSION },
        compiler: env!("CARGO_PKG_VERSION").to_string(),
        network: checked.network.name.clone(),
        sources: sources.files().map(|(_, f)| StoredSource { name: f.name.clone(), text: f.text.to_string() }).collect(),
        nodes,
        outputs,
        preprocess: checked.network.preprocess.clone(),
        labels: checked.network.labels.clone(),
        precision: precision.clone(),
        tensors,
        packs: stored_packs,
        settings: settings.map(StoredSettings::new),
        data: end,
    };
    let header = serde_json::to_vec(&header).map_err(|e| damaged(e.to_string()))?;
    let mut lead = [0u8; 16];
    lead[..8].copy_from_slice(MAGIC);
    lead[8..].copy_from_slice(&(header.len() as u64).to_le_bytes());
    let written = write_atomically(path, |out| {
        out.write_all(&lead)?;
        out.write_all(&checksum(&lead, &header).to_le_bytes())?;
        out.write_all(&header)?;
        pad(out, HEADER + header.len(), PAGE)?;
        for (_, tensor) in params.iter() {
            let bytes = tensor.to_le_bytes();
            out.write_all(&bytes)?;
            pad(out, bytes.len(), ALIGN)?;
            tensor.release();
        }
        if let Some(packs) = packs {
            out.write_all(&vec![0; (packs_at - raw) as usize])?;
            for (_, _, values) in packs.iter() {
                let bytes = le_bytes(values);
                out.write_all(&bytes)?;
                pad(out, bytes.len(), ALIGN)?;
            }
        }
        Ok::<(), io::Error>(())
    });
    written.map_err(|source| ArtifactError::Io { what: "write", path: path.to_path_buf(), source })?;
    let file = (HEADER + header.len()).next_multiple_of(PAGE) as u64 + end;
    Ok(Written { params: raw, packs: end - packs_at.min(end), file })
}

fn le_bytes(values: &[f32]) -> std::borrow::Cow<'_, [u8]> {
    if cfg!(target_endian = "little") {
        return bytemuck::cast_slice(values).into();
    }
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn pad(out: &mut dyn Write, written: usize, to: usize) -> io::Result<()> {
    out.write_all(&vec![0; written.next_multiple_of(to) - written])
}
