//! Tensors of a file, their values in the file itself or in another beside it.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use super::super::error::OnnxError;
use super::super::proto::{DataType, TensorProto};
use crate::base::mmap::Bytes;
use crate::base::tensor::{DType, Tensor, count};

/// Reads tensors; maps each file of values once.
pub(super) struct TensorReader<'a> {
    file: &'a Bytes,
    folder: &'a Path,
    /// The folder of the file itself, where the ONNX file is a link.
    linked: Option<&'a Path>,
    /// By location: the file, and what it holds.
    beside: HashMap<String, (PathBuf, Bytes)>,
}

impl<'a> TensorReader<'a> {
    pub fn new(file: &'a Bytes, folder: &'a Path, linked: Option<&'a Path>) -> TensorReader<'a> {
        TensorReader { file, folder, linked, beside: HashMap::new() }
    }

    /// The files beside the ONNX file that values were read from.
    pub fn files(&self) -> Vec<PathBuf> {
        self.beside.values().map(|(path, _)| path.clone()).collect()
    }

    /// The tensor; sizes are checked before memory is taken.
    pub fn read(&mut self, proto: &TensorProto) -> Result<Tensor, OnnxError> {
        let name = proto.name();
        let damaged = |reason: String| OnnxError::Damaged { reason: format!("the tensor `{name}` {reason}") };
        let shape: Option<Vec<usize>> = proto.dims.iter().map(|&n| usize::try_from(n).ok()).collect();
        let shape = shape.ok_or_else(|| damaged(format!("has the sizes {:?}", proto.dims)))?;
        let dtype = match DataType::try_from(proto.data_type()) {
            Ok(kind) => element(kind),
            Err(_) => None,
        };
        let dtype = dtype.ok_or_else(|| damaged(format!("is of type {}, which is not read", proto.data_type())))?;
        let len = count(&shape).and_then(|n| n.checked_mul(dtype.size()));
        let len = len.ok_or_else(|| damaged(format!("would have more values than can be counted: {shape:?}")))?;
        let short = |got: usize, unit: &str| damaged(format!("has {got} {unit} for its sizes {shape:?} in {dtype}"));
        let bytes = if proto.data_location == Some(1) {
            self.external(proto, len)?
        } else if let Some(raw) = &proto.raw_data {
            if raw.len() != len {
                return Err(short(raw.len(), "bytes"));
            }
            self.within(raw)
        } else {
            let listed = listed(proto, dtype, len);
            listed.ok_or_else(|| short(values(proto, dtype), "values"))?
        };
        let got = bytes.len();
        Tensor::from_bytes(shape.clone(), dtype, bytes).ok_or_else(|| short(got, "bytes"))
    }

    /// The bytes as a part of the file, where they are one: nothing is copied then.
    fn within(&self, raw: &[u8]) -> Bytes {
        let start = (raw.as_ptr() as usize).checked_sub(self.file.as_ptr() as usize);
        let part = start.and_then(|start| self.file.slice(start..start.checked_add(raw.len())?));
        part.filter(|part| part.as_ptr() == raw.as_ptr()).unwrap_or_else(|| Bytes::from(raw.to_vec()))
    }

    fn external(&mut self, proto: &TensorProto, len: usize) -> Result<Bytes, OnnxError> {
        let get = |key: &str| proto.external_data.iter().find(|e| e.key() == key).map(|e| e.value());
        let location = get("location").unwrap_or_default();
        let refused =
            |reason: String| OnnxError::Outside { tensor: proto.name().to_owned(), location: location.to_owned(), reason };
        let number = |key: &str| match get(key) {
            None => Ok(None),
            Some(text) => text.trim().parse::<usize>().map(Some).map_err(|_| refused(format!("its {key} is `{text}`"))),
        };
        let start = number("offset")?.unwrap_or(0);
        if let Some(stated) = number("length")?
            && stated != len
        {
            return Err(refused(format!("{stated} bytes of it are named, and its sizes take {len}")));
        }
        if !self.beside.contains_key(location) {
            let path = beside(self.folder, self.linked, location).map_err(refused)?;
            let bytes = Bytes::map(&path).map_err(|source| OnnxError::Io { path: path.clone(), source })?;
            self.beside.insert(location.to_owned(), (path, bytes));
        }
        let (_, file) = self.beside.get(location).ok_or_else(|| refused("it is not there".to_owned()))?;
        let part = start.checked_add(len).and_then(|end| file.slice(start..end));
        part.ok_or_else(|| refused(format!("{len} bytes from {start} are named, and it has {}", file.len())))
    }
}

/// The file of that name in the folder or below it; the reason where it could be another. A link may lead into the folder of the file
/// itself, `linked` where the ONNX file is a link, or below: so a cache of Hugging Face has both in a folder of blobs.
fn beside(folder: &Path, linked: Option<&Path>, location: &str) -> Result<PathBuf, String> {
    const LEAVES: &str = "only files in the folder of the ONNX file are read";
    let relative = Path::new(location);
    if location.is_empty() || location.contains(['\\', '\0']) {
        return Err("that is no name of a file".to_owned());
    }
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let mut path = folder.to_owned();
    let mut has_link = false;
    for component in relative.components() {
        match component {
            Component::CurDir => continue,
            Component::Normal(part) => path.push(part),
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return Err(LEAVES.to_owned()),
        }
        has_link |= std::fs::symlink_metadata(&path).is_ok_and(|kind| kind.file_type().is_symlink());
    }
    if !has_link {
        // a link to an ONNX file leaves what lies beside that file where it is
        return match linked {
            Some(linked) if !path.exists() && linked.join(relative).exists() => beside(linked, Some(linked), location),
            _ => Ok(path),
        };
    }
    let real = |path: &Path| std::fs::canonicalize(path).map_err(|error| format!("it goes through a symbolic link: {error}"));
    // what the link leads to is what is opened: the link could be another by then
    let target = real(&path)?;
    let root = real(linked.unwrap_or(folder))?;
    if target.starts_with(&root) {
        return Ok(target);
    }
    Err(format!("it goes through a symbolic link to `{}`, and {LEAVES}", target.display()))
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

/// How many values the list of a type has.
fn values(proto: &TensorProto, dtype: DType) -> usize {
    match dtype {
        DType::F32 => proto.float_data.len(),
        DType::F64 => proto.double_data.len(),
        DType::I64 => proto.int64_data.len(),
        DType::F16 | DType::BF16 | DType::I32 | DType::I16 | DType::I8 | DType::U8 | DType::Bool => proto.int32_data.len(),
    }
}

/// The bytes of a list of values; `None` where they are not `len`.
fn listed(proto: &TensorProto, dtype: DType, len: usize) -> Option<Bytes> {
    if values(proto, dtype).checked_mul(dtype.size()) != Some(len) {
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
