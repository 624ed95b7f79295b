//! Reads the tensors of a `.caffemodel`: a `NetParameter` of Caffe's `caffe.proto`, whose layers have blobs. Their values are slices
//! of the file.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::super::layer_list::LayersError;
use super::super::protobuf::{Field, Fields, Wire};
use crate::base::mmap::Bytes;
use crate::base::tensor::{DType, Tensor};

/// The tensors of each layer.
pub(super) struct Weights {
    path: PathBuf,
    layers: HashMap<String, Vec<Tensor>>,
}

/// The numbers of a message's fields.
struct Numbers {
    layer: u64,
    name: u64,
    blobs: u64,
}

/// `LayerParameter` in `NetParameter.layer`.
const LAYER: Numbers = Numbers { layer: 100, name: 1, blobs: 7 };
/// `V1LayerParameter` in `NetParameter.layers`.
const FORMER: Numbers = Numbers { layer: 2, name: 4, blobs: 6 };

/// The most layers that are read, and the most blobs of all of them.
const MAX_LAYERS: usize = 200_000;

impl Weights {
    /// From the contents of a file.
    pub fn read(path: &Path, file: &Bytes) -> Result<Weights, LayersError> {
        let layers = layers(file).map_err(|reason| LayersError::Weights { path: path.to_owned(), reason })?;
        Ok(Weights { path: path.to_owned(), layers })
    }

    /// The tensors of a layer, which must be this many. They are handed out once, since several layers may have the same name.
    pub fn take(&mut self, layer: &str, count: usize) -> Result<Vec<Tensor>, String> {
        let found = self.layers.remove(layer).unwrap_or_default();
        if found.len() == count {
            return Ok(found);
        }
        Err(format!("it has {count} tensors, but `{}` has {} for it", self.path.display(), found.len()))
    }
}

fn layers(file: &Bytes) -> Result<HashMap<String, Vec<Tensor>>, String> {
    let mut found = HashMap::new();
    let mut fields = Fields::of(file);
    let mut tensors = 0;
    for field in fields.by_ref() {
        let Some(numbers) = [LAYER, FORMER].into_iter().find(|numbers| numbers.layer == field.number) else { continue };
        let (name, blobs) = layer(file, field.value.bytes(), &numbers)?;
        tensors += 1 + blobs.len();
        if tensors > MAX_LAYERS {
            return Err(format!("they have more than {MAX_LAYERS} layers and tensors"));
        }
        // of layers of the same name, Caffe reads each into the network's
        if !blobs.is_empty() {
            found.insert(name, blobs);
        }
    }
    if !fields.rest().is_empty() {
        return Err(format!("the file is no `.caffemodel`, or damaged: {} bytes at its end are no field", fields.rest().len()));
    }
    if found.is_empty() {
        return Err("the file is no `.caffemodel`, or has no tensors".to_owned());
    }
    Ok(found)
}

fn layer(file: &Bytes, message: &[u8], numbers: &Numbers) -> Result<(String, Vec<Tensor>), String> {
    let (mut name, mut blobs) = (String::new(), Vec::new());
    let mut fields = Fields::of(message);
    for field in fields.by_ref() {
        if field.number == numbers.name {
            name = String::from_utf8_lossy(field.value.bytes()).into_owned();
        } else if field.number == numbers.blobs {
            if blobs.len() >= MAX_BLOBS {
                return Err(format!("`{name}` has more than {MAX_BLOBS} tensors"));
            }
            blobs.push(blob(file, field.value.bytes()).map_err(|reason| format!("a tensor of `{name}`: {reason}"))?);
        }
    }
    if fields.rest().is_empty() { Ok((name, blobs)) } else { Err(format!("the layer `{name}` is damaged")) }
}

/// The most tensors of a layer.
const MAX_BLOBS: usize = 64;
/// The most axes of a tensor: Caffe's `kMaxBlobAxes`.
const MAX_AXES: usize = 32;

/// A `BlobProto`.
pub(super) fn blob(file: &Bytes, message: &[u8]) -> Result<Tensor, String> {
    let (mut sizes, mut former) = (None, [None; 4]);
    let (mut floats, mut doubles) = (Values::default(), Values::default());
    let mut fields = Fields::of(message);
    for field in fields.by_ref() {
        match field.number {
            7 => sizes = Some(shape(field.value.bytes())?),
            number @ 1..=4 => {
                let Wire::Varint(size) = field.value else { return Err("its sizes are no numbers".to_owned()) };
                former[number as usize - 1] = Some(size);
            }
            5 => floats.add(file, &field)?,
            8 => doubles.add(file, &field)?,
            _ => {}
        }
    }
    if !fields.rest().is_empty() {
        return Err("it is damaged".to_owned());
    }
    let sizes = match sizes {
        Some(sizes) => sizes,
        // the four axes that every tensor had; those that are not stated have size 1 in the files of tools other than Caffe
        None if former.iter().any(Option::is_some) => former.map(|size| size.unwrap_or(1)).to_vec(),
        None => Vec::new(),
    };
    let sizes: Vec<usize> =
        sizes.into_iter().map(usize::try_from).collect::<Result<_, _>>().map_err(|_| "its sizes are too large")?;
    let (dtype, values) = if doubles.is_empty() { (DType::F32, floats) } else { (DType::F64, doubles) };
    let count = values.bytes().len() / dtype.size();
    Tensor::from_bytes(sizes.clone(), dtype, values.bytes())
        .ok_or_else(|| format!("it has {count} values, but its sizes are {sizes:?}"))
}

/// A `BlobShape`.
fn shape(message: &[u8]) -> Result<Vec<u64>, String> {
    let mut sizes = Vec::new();
    let mut fields = Fields::of(message);
    for field in fields.by_ref().filter(|field| field.number == 1) {
        match field.value {
            Wire::Varint(size) => sizes.push(size),
            Wire::Bytes(packed) => sizes.extend(varints(packed)?),
            Wire::Fixed32(_) | Wire::Fixed64(_) => return Err("its sizes are no numbers".to_owned()),
        }
        if sizes.len() > MAX_AXES {
            return Err(format!("it has more than {MAX_AXES} axes"));
        }
    }
    Ok(sizes)
}

/// A packed list of sizes.
fn varints(mut packed: &[u8]) -> Result<Vec<u64>, String> {
    let mut sizes = Vec::new();
    while !packed.is_empty() && sizes.len() <= MAX_AXES {
        let end = packed.iter().take(10).position(|byte| byte & 0x80 == 0).ok_or("its sizes are damaged")?;
        let digits = packed.iter().take(end + 1).rev();
        sizes.push(digits.fold(0u64, |value, byte| (value << 7) | u64::from(byte & 0x7f)));
        packed = packed.get(end + 1..).unwrap_or(&[]);
    }
    Ok(sizes)
}

/// The values of a tensor: a slice of the file if they are a single packed list, as Caffe writes them.
#[derive(Default)]
struct Values {
    slice: Option<Bytes>,
    /// Values that came one by one.
    single: Vec<u8>,
}

impl Values {
    fn add(&mut self, file: &Bytes, field: &Field<'_>) -> Result<(), String> {
        match field.value {
            Wire::Bytes(packed) if self.slice.is_none() && self.single.is_empty() => {
                let start = packed.as_ptr().addr() - file.as_ptr().addr();
                self.slice = file.slice(start..start + packed.len());
            }
            Wire::Bytes(_) => return Err("its values are in several lists".to_owned()),
            Wire::Fixed32(bytes) => self.single.extend(bytes),
            Wire::Fixed64(bytes) => self.single.extend(bytes),
            Wire::Varint(_) => return Err("its values are no numbers".to_owned()),
        }
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.slice.is_none() && self.single.is_empty()
    }

    fn bytes(&self) -> Bytes {
        self.slice.clone().unwrap_or_else(|| self.single.clone().into())
    }
}
