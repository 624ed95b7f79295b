//! The file, and the file of the weights where they do not fit into it.

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};

use prost::Message;
use prost::bytes::Bytes;

use super::super::proto::{DataType, ModelProto, StringStringEntryProto, TensorProto};
use super::ExportError;
use crate::base::file::write_atomically;

/// The largest file that protobuf's readers take, less room for what is no weight.
const MAX_FILE: u64 = (2 << 30) - (64 << 20);
/// What weights in a file of their own are aligned to, in bytes: a page, so that each can be mapped.
const ALIGN: u64 = 4096;

/// A tensor of the file.
pub(super) struct Weight {
    pub name: String,
    pub shape: Vec<usize>,
    pub kind: DataType,
    /// Little-endian.
    pub bytes: Bytes,
}

impl Weight {
    pub fn f32(name: String, shape: Vec<usize>, values: Cow<'_, [f32]>) -> Weight {
        let bytes = if cfg!(target_endian = "little") {
            Bytes::copy_from_slice(bytemuck::cast_slice(&values))
        } else {
            values.iter().flat_map(|v| v.to_le_bytes()).collect()
        };
        Weight { name, shape, kind: DataType::Float, bytes }
    }

    pub fn i64(name: String, values: &[i64]) -> Weight {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        Weight { name, shape: vec![values.len()], kind: DataType::Int64, bytes }
    }

    fn proto(&self) -> TensorProto {
        TensorProto {
            dims: self.shape.iter().map(|&n| i64::try_from(n).unwrap_or(i64::MAX)).collect(),
            data_type: Some(self.kind as i32),
            name: Some(self.name.clone()),
            ..TensorProto::default()
        }
    }
}

/// Writes the model with its tensors; the bytes of the file, and the file of the weights with its bytes.
pub(super) fn write(
    path: &Path,
    mut model: ModelProto,
    weights: Vec<Weight>,
    external: bool,
) -> Result<(u64, Option<(PathBuf, u64)>), ExportError> {
    let all: u64 = weights.iter().map(|w| w.bytes.len() as u64).sum();
    let mut data = None;
    let list = if external || all > MAX_FILE {
        let name = path.file_name().and_then(|n| n.to_str()).ok_or_else(|| ExportError::Name { path: path.to_owned() })?;
        let location = format!("{name}.data");
        let beside = path.with_file_name(&location);
        let (list, end) = outside(&location, &weights);
        let unwritten = |source| ExportError::Io { path: beside.clone(), source };
        // first: a model is never there without its weights
        write_atomically(&beside, |out| write_aligned(out, &weights)).map_err(unwritten)?;
        data = Some((beside.clone(), end));
        list
    } else {
        weights.into_iter().map(|w| TensorProto { raw_data: Some(w.bytes.clone()), ..w.proto() }).collect()
    };
    if let Some(graph) = &mut model.graph {
        graph.initializer = list;
    }
    let bytes = model.encode_to_vec();
    let unwritten = |source| ExportError::Io { path: path.to_owned(), source };
    write_atomically(path, |out| out.write_all(&bytes)).map_err(unwritten)?;
    Ok((bytes.len() as u64, data))
}

/// Whether a tensor goes into the other file: sizes and limits, which shape inference reads, stay.
fn is_outside(weight: &Weight) -> bool {
    weight.kind == DataType::Float && weight.bytes.len() >= 256
}

/// Tensors that say where their values lie, and the size of the other file.
fn outside(location: &str, weights: &[Weight]) -> (Vec<TensorProto>, u64) {
    let mut end = 0u64;
    let mut list = Vec::new();
    for weight in weights {
        let mut proto = weight.proto();
        if is_outside(weight) {
            let start = end.next_multiple_of(ALIGN);
            end = start + weight.bytes.len() as u64;
            let entry = |key: &str, value: String| StringStringEntryProto { key: Some(key.to_owned()), value: Some(value) };
            proto.data_location = Some(1);
            proto.external_data = vec![
                entry("location", location.to_owned()),
                entry("offset", start.to_string()),
                entry("length", weight.bytes.len().to_string()),
            ];
        } else {
            proto.raw_data = Some(weight.bytes.clone());
        }
        list.push(proto);
    }
    (list, end)
}

fn write_aligned(out: &mut dyn io::Write, weights: &[Weight]) -> io::Result<()> {
    let mut end = 0u64;
    for weight in weights.iter().filter(|w| is_outside(w)) {
        let start = end.next_multiple_of(ALIGN);
        out.write_all(&vec![0; (start - end) as usize])?;
        out.write_all(&weight.bytes)?;
        end = start + weight.bytes.len() as u64;
    }
    Ok(())
}
