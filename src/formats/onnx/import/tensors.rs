//! Reads the tensors of a file, with values in the file or in external data files.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use super::super::error::OnnxError;
use super::super::proto::{DataType, TensorProto};
use crate::base::mmap::Bytes;
use crate::base::tensor::{DType, Tensor, count};

/// Reads tensors. Each external data file is mapped once.
pub(super) struct TensorReader<'a> {
    file: &'a Bytes,
    folder: &'a Path,
    /// The folder of the actual file, if the ONNX file is a symbolic link.
    linked: Option<&'a Path>,
    /// The path and the contents of external data files, by location.
    data_files: HashMap<String, (PathBuf, Bytes)>,
}

impl<'a> TensorReader<'a> {
    pub fn new(file: &'a Bytes, folder: &'a Path, linked: Option<&'a Path>) -> TensorReader<'a> {
        TensorReader { file, folder, linked, data_files: HashMap::new() }
    }

    /// The external data files that were read.
    pub fn files(&self) -> Vec<PathBuf> {
        self.data_files.values().map(|(path, _)| path.clone()).collect()
    }

    /// Reads a tensor. Sizes are checked before memory is allocated.
    pub fn read(&mut self, proto: &TensorProto) -> Result<Tensor, OnnxError> {
        let name = proto.name();
        let damaged = |reason: String| OnnxError::Damaged { reason: format!("the tensor `{name}` {reason}") };
        let shape: Option<Vec<usize>> = proto.dims.iter().map(|&n| usize::try_from(n).ok()).collect();
        let shape = shape.ok_or_else(|| damaged(format!("has the shape {:?}", proto.dims)))?;
        let dtype = match DataType::try_from(proto.data_type()) {
            Ok(kind) => element(kind),
            Err(_) => None,
        };
        let dtype = dtype.ok_or_else(|| damaged(format!("has type {}, which is not supported", proto.data_type())))?;
        let len = count(&shape).and_then(|n| n.checked_mul(dtype.size()));
        let len = len.ok_or_else(|| damaged(format!("has a shape that overflows: {shape:?}")))?;
        let short =
            |got: usize, unit: &str| damaged(format!("has {got} {unit}, which do not fit its shape {shape:?} in {dtype}"));
        let bytes = if proto.data_location == Some(1) {
            self.external(proto, len)?
        } else if let Some(raw) = &proto.raw_data {
            if raw.len() != len {
                return Err(short(raw.len(), "bytes"));
            }
            self.file_slice(raw)
        } else {
            let listed = listed(proto, dtype, len);
            listed.ok_or_else(|| short(list_len(proto, dtype), "values"))?
        };
        let got = bytes.len();
        Tensor::from_bytes(shape.clone(), dtype, bytes).ok_or_else(|| short(got, "bytes"))
    }

    /// The bytes as a slice of the file, without a copy, if they are one.
    fn file_slice(&self, raw: &[u8]) -> Bytes {
        let start = (raw.as_ptr() as usize).checked_sub(self.file.as_ptr() as usize);
        let part = start.and_then(|start| self.file.slice(start..start.checked_add(raw.len())?));
        part.filter(|part| part.as_ptr() == raw.as_ptr()).unwrap_or_else(|| Bytes::from(raw.to_vec()))
    }

    fn external(&mut self, proto: &TensorProto, len: usize) -> Result<Bytes, OnnxError> {
        let get = |key: &str| proto.external_data.iter().find(|e| e.key() == key).map(|e| e.value());
        let location = get("location").unwrap_or_default();
        let invalid =
            |reason: String| OnnxError::Outside { tensor: proto.name().to_owned(), location: location.to_owned(), reason };
        let number = |key: &str| match get(key) {
            None => Ok(None),
            Some(text) => text.trim().parse::<usize>().map(Some).map_err(|_| invalid(format!("its {key} is `{text}`"))),
        };
        let start = number("offset")?.unwrap_or(0);
        if let Some(stated) = number("length")?
            && stated != len
        {
            return Err(invalid(format!("{stated} bytes are stated, but its shape needs {len}")));
        }
        if !self.data_files.contains_key(location) {
            let path = resolve(self.folder, self.linked, location).map_err(invalid)?;
            let bytes = Bytes::map(&path).map_err(|source| match source.kind() {
                std::io::ErrorKind::NotFound => invalid(format!(
                    "there is no file `{}`: a file with external data consists of two files, which must lie in the same folder under their \
                     own names",
                    path.display()
                )),
                _ => OnnxError::Io { path: path.clone(), source },
            })?;
            self.data_files.insert(location.to_owned(), (path, bytes));
        }
        let (_, file) = self.data_files.get(location).ok_or_else(|| invalid("it is missing".to_owned()))?;
        let part = start.checked_add(len).and_then(|end| file.slice(start..end));
        part.ok_or_else(|| invalid(format!("{len} bytes at offset {start} are stated, but the file has {}", file.len())))
    }
}

/// Resolves a location to a file in the folder or below, or returns the reason why it is elsewhere. A symbolic link may lead into the folder of
/// the actual ONNX file (`linked`) or below: a Hugging Face cache has both files in a folder of blobs.
fn resolve(folder: &Path, linked: Option<&Path>, location: &str) -> Result<PathBuf, String> {
    const ONLY_IN_FOLDER: &str = "only files in the folder of the ONNX file are read";
    let relative = Path::new(location);
    if location.is_empty() || location.contains(['\\', '\0']) {
        return Err("this is not a file name".to_owned());
    }
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let mut path = folder.to_owned();
    let mut has_link = false;
    for component in relative.components() {
        match component {
            Component::CurDir => continue,
            Component::Normal(part) => path.push(part),
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return Err(ONLY_IN_FOLDER.to_owned()),
        }
        has_link |= std::fs::symlink_metadata(&path).is_ok_and(|kind| kind.file_type().is_symlink());
    }
    if !has_link {
        // the data files may be next to the file that the ONNX file links to
        return match linked {
            Some(linked) if !path.exists() && linked.join(relative).exists() => resolve(linked, Some(linked), location),
            _ => Ok(path),
        };
    }
    let real =
        |path: &Path| std::fs::canonicalize(path).map_err(|error| format!("its symbolic link cannot be resolved: {error}"));
    // open the target, because the link may change in the meantime
    let target = real(&path)?;
    let root = real(linked.unwrap_or(folder))?;
    if target.starts_with(&root) {
        return Ok(target);
    }
    Err(format!("it is a symbolic link to `{}`, but {ONLY_IN_FOLDER}", target.display()))
}

fn element(kind: DataType) -> Option<DType> {
    Some(match kind {
        DataType::Float => DType::F32,
        DataType::Double => DType::F64,
        DataType::Float16 => DType::F16,
        DataType::Bfloat16 => DType::BF16,
        DataType::Int64 => DType::I64,
        DataType::Int32 => DType::I32,
        DataType::Int16 => DType::I16,
        DataType::Int8 => DType::I8,
        DataType::Uint8 => DType::U8,
        DataType::Bool => DType::Bool,
        DataType::Undefined => return None,
    })
}

/// The number of values in the list for a type.
fn list_len(proto: &TensorProto, dtype: DType) -> usize {
    match dtype {
        DType::F32 => proto.float_data.len(),
        DType::F64 => proto.double_data.len(),
        DType::I64 => proto.int64_data.len(),
        DType::F16 | DType::BF16 | DType::I32 | DType::I16 | DType::I8 | DType::U8 | DType::Bool => proto.int32_data.len(),
    }
}

/// The bytes of the values in a list; `None` unless there are `len` bytes.
fn listed(proto: &TensorProto, dtype: DType, len: usize) -> Option<Bytes> {
    if list_len(proto, dtype).checked_mul(dtype.size()) != Some(len) {
        return None;
    }
    let ints = &proto.int32_data;
    let bytes: Vec<u8> = match dtype {
        DType::F32 => proto.float_data.iter().flat_map(|v| v.to_le_bytes()).collect(),
        DType::F64 => proto.double_data.iter().flat_map(|v| v.to_le_bytes()).collect(),
        DType::I64 => proto.int64_data.iter().flat_map(|v| v.to_le_bytes()).collect(),
        DType::I32 => ints.iter().flat_map(|v| v.to_le_bytes()).collect(),
        // the low bits
        DType::F16 | DType::BF16 | DType::I16 => ints.iter().flat_map(|v| (*v as u16).to_le_bytes()).collect(),
        DType::I8 | DType::U8 | DType::Bool => ints.iter().map(|v| *v as u8).collect(),
    };
    Some(bytes.into())
}
