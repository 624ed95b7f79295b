//! Writes the ONNX file, and the external data file if the weights do not fit.

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};

use prost::Message;
use prost::bytes::Bytes;

use super::super::proto::{DataType, ModelProto, StringStringEntryProto, TensorProto};
use super::ExportError;
use crate::base::file::write_atomically;

/// The largest file that protobuf readers accept, minus space for the structure.
const MAX_FILE: u64 = (2 << 30) - (64 << 20);
/// The alignment of external data in bytes: a page, so that each tensor can be mapped.
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

/// Writes the model with its tensors. Returns the size of the file, and the external data file with its size.
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
        let data_path = path.with_file_name(&location);
        let (list, end) = external_tensors(&location, &weights);
        let write_error = |source| ExportError::Io { path: data_path.clone(), source };
        // written first, so that a model never exists without its weights
        write_atomically(&data_path, |out| write_aligned(out, &weights)).map_err(write_error)?;
        data = Some((data_path.clone(), end));
        list
    } else {
        weights.into_iter().map(|w| TensorProto { raw_data: Some(w.bytes.clone()), ..w.proto() }).collect()
    };
    if let Some(graph) = &mut model.graph {
        graph.initializer = list;
    }
    let bytes = model.encode_to_vec();
    let write_error = |source| ExportError::Io { path: path.to_owned(), source };
    write_atomically(path, |out| out.write_all(&bytes)).map_err(write_error)?;
    Ok((bytes.len() as u64, data))
}

/// Whether a tensor is stored externally. Small constants stay, because shape inference reads them.
fn is_external(weight: &Weight) -> bool {
    weight.kind == DataType::Float && weight.bytes.len() >= 256
}

/// The tensors with the locations of their values, and the size of the external file.
fn external_tensors(location: &str, weights: &[Weight]) -> (Vec<TensorProto>, u64) {
    let mut end = 0u64;
    let mut list = Vec::new();
    for weight in weights {
        let mut proto = weight.proto();
        if is_external(weight) {
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
    for weight in weights.iter().filter(|w| is_external(w)) {
        let start = end.next_multiple_of(ALIGN);
        out.write_all(&vec![0; (start - end) as usize])?;
        out.write_all(&weight.bytes)?;
        end = start + weight.bytes.len() as u64;
    }
    Ok(())
}
