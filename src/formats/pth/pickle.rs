//! A pickle interpreter that runs no code: the instructions of protocols 2 to 5 that `torch.save` emits, on plain data.
//!
//! [`MAX_INSTRUCTIONS`] limits the memory: an instruction creates at most one value and one object. Objects refer to others by index into a
//! single heap, so deeply nested or cyclic pickles need no recursion, here or when they are dropped.

use std::collections::HashMap;

use crate::base::tensor::DType;
use crate::formats::fault::Fault;

/// The maximum number of instructions: a ResNet-1202 with optimizer state needs a fifth of it.
const MAX_INSTRUCTIONS: usize = 4_000_000;

/// The maximum number of dimensions of a tensor.
const MAX_RANK: usize = 16;

/// A value on the stack.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    /// None.
    None,
    /// A value that weights do not need (bytes, floats, huge integers).
    Inert,
    Bool(bool),
    Int(i64),
    Str(&'a str),
    Global(Global),
    Object(usize),
}

/// The names that a pickle may use: those that `torch.load(weights_only=True)` allows, and Python's plain types.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Global {
    OrderedDict,
    /// A dictionary with a default factory, which is never called.
    DefaultDict,
    /// A dictionary of counts, which `MultiStepLR` uses for its milestones.
    Counter,
    /// A type that is read as a list: list, tuple, set, frozenset.
    Collection,
    Dict,
    RebuildTensor,
    /// A wrapper around another tensor: a parameter, or a copy for a device.
    RebuildFromTensor,
    RebuildFromType,
    /// A tensor whose values are not read, with a description.
    RebuildUnread(&'static str),
    Parameter,
    Size,
    /// A plain value that weights do not need: a number, bytes, a device, a dtype. Its arguments are ignored.
    Plain,
    Storage(Element),
}

/// The elements of a storage.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Element {
    Read(DType),
    /// An unsupported type, with its size in bytes.
    Unread(&'static str, usize),
}

impl Element {
    /// The size of an element in bytes.
    pub(super) fn size(self) -> usize {
        match self {
            Element::Read(dtype) => dtype.size(),
            Element::Unread(_, size) => size,
        }
    }
}

impl Global {
    fn find(module: &str, name: &str) -> Option<Global> {
        Some(match (module, name) {
            ("collections", "OrderedDict") => Global::OrderedDict,
            ("collections", "defaultdict") => Global::DefaultDict,
            ("collections", "Counter") => Global::Counter,
            // protocol 2 uses Python 2's name
            ("builtins" | "__builtin__", name) => match name {
                "list" | "tuple" | "set" | "frozenset" => Global::Collection,
                "dict" => Global::Dict,
                "int" | "long" | "float" | "complex" | "bool" | "str" | "unicode" | "bytes" | "bytearray" => Global::Plain,
                _ => return None,
            },
            ("_codecs", "encode") | ("torch", "device") | ("torch.serialization", "_get_layout") => Global::Plain,
            ("torch._utils", name) => match name {
                "_rebuild_tensor" | "_rebuild_tensor_v2" => Global::RebuildTensor,
                "_rebuild_parameter" | "_rebuild_parameter_with_state" | "_rebuild_device_tensor_from_cpu_tensor" => {
                    Global::RebuildFromTensor
                }
                "_rebuild_tensor_v3" => Global::RebuildUnread("elements of an unsupported type"),
                "_rebuild_qtensor" => Global::RebuildUnread("quantized values"),
                "_rebuild_sparse_tensor" | "_rebuild_sparse_csr_tensor" => Global::RebuildUnread("a sparse tensor"),
                "_rebuild_nested_tensor" => Global::RebuildUnread("a nested tensor"),
                "_rebuild_meta_tensor_no_storage" => Global::RebuildUnread("a tensor on the meta device, which has no values"),
                "_rebuild_device_tensor_from_numpy" => Global::RebuildUnread("a tensor on another device"),
                "_rebuild_wrapper_subclass" => Global::RebuildUnread("a tensor of a custom class"),
                _ => return None,
            },
            ("torch._tensor", "_rebuild_from_type_v2") => Global::RebuildFromType,
            ("torch.nn.parameter", "Parameter" | "Buffer") | ("torch", "Tensor") => Global::Parameter,
            ("torch", "Size") => Global::Size,
            ("torch" | "torch.storage", storage) if storage.ends_with("Storage") => Global::Storage(match storage {
                "DoubleStorage" => Element::Read(DType::F64),
                "FloatStorage" => Element::Read(DType::F32),
                "HalfStorage" => Element::Read(DType::F16),
                "BFloat16Storage" => Element::Read(DType::BF16),
                "LongStorage" => Element::Read(DType::I64),
                "IntStorage" => Element::Read(DType::I32),
                "ShortStorage" => Element::Read(DType::I16),
                "CharStorage" => Element::Read(DType::I8),
                "ByteStorage" => Element::Read(DType::U8),
                "BoolStorage" => Element::Read(DType::Bool),
                "ComplexFloatStorage" => Element::Unread("complex numbers", 8),
                "ComplexDoubleStorage" => Element::Unread("complex numbers", 16),
                "QInt8Storage" | "QUInt8Storage" | "QUInt4x2Storage" | "QUInt2x4Storage" => {
                    Element::Unread("quantized values", 1)
                }
                "QInt32Storage" => Element::Unread("quantized values", 4),
                "UntypedStorage" => Element::Unread("untyped bytes", 1),
                _ => return None,
            }),
            ("torch", name) if is_plain(name) => Global::Plain,
            _ => return None,
        })
    }
}

/// Whether PyTorch has a dtype or a quantization scheme with this name.
fn is_plain(name: &str) -> bool {
    let digits = |rest: &str| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit());
    match name {
        "half" | "float" | "double" | "short" | "int" | "long" | "bool" | "cfloat" | "cdouble" | "chalf" => true,
        "per_tensor_affine"
        | "per_tensor_symmetric"
        | "per_channel_affine"
        | "per_channel_symmetric"
        | "per_channel_affine_float_qparams" => true,
        _ if name.starts_with("float8_") || name.starts_with("float4_") => true,
        _ => ["float", "bfloat", "int", "uint", "complex", "qint", "quint", "bits"]
            .iter()
            .any(|kind| name.strip_prefix(kind).is_some_and(|rest| digits(rest) || matches!(rest, "4x2" | "2x4" | "1x8"))),
    }
}

/// A storage as the pickle describes it.
#[derive(Debug)]
pub(super) struct StorageRef<'a> {
    pub element: Element,
    pub key: &'a str,
    pub len: usize,
}

/// A tensor as the pickle describes it. It has as many strides as dimensions, in elements.
#[derive(Debug)]
pub(super) struct TensorRef {
    storage: usize,
    pub offset: usize,
    pub shape: Vec<usize>,
    pub strides: Vec<usize>,
}

#[derive(Debug)]
pub(super) enum Object<'a> {
    Tuple(Vec<Value<'a>>),
    List(Vec<Value<'a>>),
    Dict(Vec<(Value<'a>, Value<'a>)>),
    Storage(StorageRef<'a>),
    Tensor(TensorRef),
    /// A tensor whose values are not read, with a description.
    Unread(&'static str),
}

/// The result of a pickle.
#[derive(Debug)]
pub(super) struct Heap<'a> {
    objects: Vec<Object<'a>>,
    pub root: Value<'a>,
}

impl<'a> Heap<'a> {
    pub(super) fn get(&self, value: Value<'a>) -> Option<&Object<'a>> {
        match value {
            Value::Object(index) => self.objects.get(index),
            _ => None,
        }
    }

    /// All storages in the pickle.
    pub(super) fn storages(&self) -> impl Iterator<Item = &StorageRef<'a>> {
        self.objects.iter().filter_map(|object| if let Object::Storage(storage) = object { Some(storage) } else { None })
    }

    pub(super) fn storage(&self, tensor: &TensorRef) -> Option<&StorageRef<'a>> {
        match self.objects.get(tensor.storage) {
            Some(Object::Storage(storage)) => Some(storage),
            _ => None,
        }
    }
}

fn damaged(reason: &str) -> Fault {
    Fault::Damaged(format!("its pickle {reason}"))
}

struct Interpreter<'a> {
    program: &'a [u8],
    at: usize,
    stack: Vec<Value<'a>>,
    marks: Vec<usize>,
    memo: HashMap<u32, Value<'a>>,
    objects: Vec<Object<'a>>,
}

/// Interprets a pickle; data after its end is ignored.
pub(super) fn interpret(program: &[u8]) -> Result<Heap<'_>, Fault> {
    Ok(interpret_first(program)?.0)
}

/// Interprets the pickle at the beginning, and returns its length too.
pub(super) fn interpret_first(program: &[u8]) -> Result<(Heap<'_>, usize), Fault> {
    let mut interpreter =
        Interpreter { program, at: 0, stack: Vec::new(), marks: Vec::new(), memo: HashMap::new(), objects: Vec::new() };
    for _ in 0..MAX_INSTRUCTIONS {
        if let Some(root) = interpreter.step()? {
            return Ok((Heap { objects: interpreter.objects, root }, interpreter.at));
        }
    }
    Err(Fault::Unsupported(format!("has a pickle of more than {MAX_INSTRUCTIONS} instructions")))
}

impl<'a> Interpreter<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], Fault> {
        let end = self.at.checked_add(len);
        let bytes = end.and_then(|end| self.program.get(self.at..end)).ok_or_else(|| damaged("is truncated"))?;
        self.at += len;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let bytes = self.take(N)?;
        bytes.try_into().map_err(|_| damaged("is truncated"))
    }

    fn byte(&mut self) -> Result<usize, Fault> {
        Ok(self.array::<1>()?[0].into())
    }

    fn u32(&mut self) -> Result<u32, Fault> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn length(&mut self) -> Result<usize, Fault> {
        usize::try_from(u64::from_le_bytes(self.array()?)).map_err(|_| damaged("is truncated"))
    }

    fn line(&mut self) -> Result<&'a str, Fault> {
        let rest = self.program.get(self.at..).unwrap_or_default();
        let len = rest.iter().position(|&b| b == b'\n').ok_or_else(|| damaged("is truncated"))?;
        let line = self.take(len)?;
        self.at += 1;
        std::str::from_utf8(line).map_err(|_| damaged("has a name that is not text"))
    }

    fn text(&mut self, len: usize) -> Result<Value<'a>, Fault> {
        let text = std::str::from_utf8(self.take(len)?).map_err(|_| damaged("has a string that is not UTF-8"))?;
        Ok(Value::Str(text))
    }

    fn push(&mut self, value: Value<'a>) {
        self.stack.push(value);
    }

    fn make(&mut self, object: Object<'a>) {
        self.objects.push(object);
        self.stack.push(Value::Object(self.objects.len() - 1));
    }

    fn pop(&mut self) -> Result<Value<'a>, Fault> {
        // values below a mark belong to the enclosing object
        if self.stack.len() <= self.marks.last().copied().unwrap_or(0) {
            return Err(damaged("pops from an empty stack"));
        }
        self.stack.pop().ok_or_else(|| damaged("pops from an empty stack"))
    }

    fn pop_mark(&mut self) -> Result<Vec<Value<'a>>, Fault> {
        let mark = self.marks.pop().ok_or_else(|| damaged("lacks a mark"))?;
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }

    fn pop_many(&mut self, n: usize) -> Result<Vec<Value<'a>>, Fault> {
        let mut list = Vec::with_capacity(n);
        for _ in 0..n {
            list.push(self.pop()?);
        }
        list.reverse();
        Ok(list)
    }

    fn top(&mut self) -> Result<&mut Object<'a>, Fault> {
        match self.stack.last() {
            Some(&Value::Object(index)) => self.objects.get_mut(index).ok_or_else(|| damaged("has an invalid reference")),
            _ => Err(damaged("fills a value that is neither a list nor a dictionary")),
        }
    }

    fn put(&mut self, index: u32) -> Result<(), Fault> {
        let value = *self.stack.last().ok_or_else(|| damaged("memoizes from an empty stack"))?;
        self.memo.insert(index, value);
        Ok(())
    }

    fn recall(&mut self, index: u32) -> Result<(), Fault> {
        let value = *self.memo.get(&index).ok_or_else(|| damaged("reads an unknown memo entry"))?;
        self.push(value);
        Ok(())
    }

    fn append(&mut self, items: Vec<Value<'a>>) -> Result<(), Fault> {
        match self.top()? {
            Object::List(list) => list.extend(items),
            _ => return Err(damaged("appends to a value that is not a list")),
        }
        Ok(())
    }

    fn set_items(&mut self, items: Vec<Value<'a>>) -> Result<(), Fault> {
        let (pairs, rest) = items.as_chunks::<2>();
        match self.top()? {
            Object::Dict(dict) if rest.is_empty() => dict.extend(pairs.iter().map(|&[key, value]| (key, value))),
            _ => return Err(damaged("sets items of a value that is not a dictionary")),
        }
        Ok(())
    }

    fn global(&mut self, module: &str, name: &str) -> Result<(), Fault> {
        let global =
            Global::find(module, name).ok_or_else(|| Fault::Refused(format!("{module}.{name}").escape_debug().to_string()))?;
        self.push(Value::Global(global));
        Ok(())
    }

    /// Runs an instruction; returns the result after the last one.
    fn step(&mut self) -> Result<Option<Value<'a>>, Fault> {
        match self.array::<1>()?[0] {
            b'.' => return self.pop().map(Some),
            0x80 => {
                let protocol = self.byte()?;
                if !(2..=5).contains(&protocol) {
                    return Err(Fault::Unsupported(format!("has a pickle with protocol {protocol}; only 2 to 5 are supported")));
                }
            }
            0x95 => drop(self.take(8)?), // FRAME
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_mark()?),
            b'2' => {
                let value = self.pop()?;
                self.push(value);
                self.push(value);
            }
            b'N' => self.push(Value::None),
            code @ (0x88 | 0x89) => self.push(Value::Bool(code == 0x88)),
            b'K' => {
                let n = self.byte()? as i64;
                self.push(Value::Int(n));
            }
            b'M' => {
                let n = u16::from_le_bytes(self.array()?);
                self.push(Value::Int(n.into()));
            }
            b'J' => {
                let n = i32::from_le_bytes(self.array()?);
                self.push(Value::Int(n.into()));
            }
            0x8a => {
                let len = self.byte()?;
                let value = long(self.take(len)?);
                self.push(value);
            }
            b'G' => {
                self.take(8)?;
                self.push(Value::Inert);
            }
            b'X' => {
                let len = self.u32()? as usize;
                let text = self.text(len)?;
                self.push(text);
            }
            0x8c => {
                let len = self.byte()?;
                let text = self.text(len)?;
                self.push(text);
            }
            b'U' => {
                // a Python 2 string, which may be bytes
                let len = self.byte()?;
                let text = std::str::from_utf8(self.take(len)?);
                self.push(text.map_or(Value::Inert, Value::Str));
            }
            0x8d => {
                let len = self.length()?;
                let text = self.text(len)?;
                self.push(text);
            }
            b'C' => {
                let len = self.byte()?;
                self.take(len)?;
                self.push(Value::Inert);
            }
            b'B' | b'T' => {
                let len = self.u32()? as usize;
                self.take(len)?;
                self.push(Value::Inert);
            }
            0x8e | 0x96 => {
                let len = self.length()?;
                self.take(len)?;
                self.push(Value::Inert);
            }
            b')' => self.make(Object::Tuple(Vec::new())),
            b't' => {
                let items = self.pop_mark()?;
                self.make(Object::Tuple(items));
            }
            code @ 0x85..=0x87 => {
                let items = self.pop_many(usize::from(code - 0x84))?;
                self.make(Object::Tuple(items));
            }
            b']' | 0x8f => self.make(Object::List(Vec::new())), // a set is read as a list
            b'l' | 0x91 => {
                let items = self.pop_mark()?;
                self.make(Object::List(items));
            }
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])?;
            }
            b'e' | 0x90 => {
                let items = self.pop_mark()?;
                self.append(items)?;
            }
            b'}' => self.make(Object::Dict(Vec::new())),
            b's' => {
                let items = self.pop_many(2)?;
                self.set_items(items)?;
            }
            b'u' => {
                let items = self.pop_mark()?;
                self.set_items(items)?;
            }
            b'q' => {
                let index = self.byte()? as u32;
                self.put(index)?;
            }
            b'r' => {
                let index = self.u32()?;
                self.put(index)?;
            }
            0x94 => {
                let index = u32::try_from(self.memo.len()).map_err(|_| damaged("has too many memo entries"))?;
                self.put(index)?;
            }
            b'h' => {
                let index = self.byte()? as u32;
                self.recall(index)?;
            }
            b'j' => {
                let index = self.u32()?;
                self.recall(index)?;
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.global(module, name)?;
            }
            0x93 => match self.pop_many(2)?[..] {
                [Value::Str(module), Value::Str(name)] => self.global(module, name)?,
                _ => return Err(damaged("has a name that is not a string")),
            },
            b'Q' => {
                let id = self.pop()?;
                self.storage(id)?;
            }
            b'R' | 0x81 => {
                let args = self.pop()?;
                let callable = self.pop()?;
                self.call(callable, args)?;
            }
            b'b' => {
                // the state of an ordered dictionary is version metadata; that of a tensor or parameter is Python attributes
                self.pop()?;
                let object = self.pop()?;
                if !matches!(object, Value::Object(_) | Value::Inert) {
                    return Err(damaged("sets the state of a value that has none"));
                }
                self.push(object);
            }
            b'i' => {
                let (module, name) = (self.line()?, self.line()?);
                return Err(Fault::Refused(format!("{module}.{name}").escape_debug().to_string()));
            }
            b'I' | b'L' | b'F' | b'S' | b'V' | b'P' => {
                return Err(Fault::Unsupported(
                    "was saved with pickle protocol 0 or 1; save it again without `pickle_protocol`".to_owned(),
                ));
            }
            other => {
                return Err(Fault::Damaged(format!(
                    "its pickle has the instruction {other:#04x}, which torch.save does not write"
                )));
            }
        }
        Ok(None)
    }

    fn tuple(&self, value: Value<'a>) -> Result<&[Value<'a>], Fault> {
        match value {
            Value::Object(index) => match self.objects.get(index) {
                Some(Object::Tuple(items) | Object::List(items)) => Ok(items),
                _ => Err(damaged("lacks a tuple where one is needed")),
            },
            _ => Err(damaged("lacks a tuple where one is needed")),
        }
    }

    /// `('storage', torch.FloatStorage, '0', 'cpu', 432)`. The format before 1.6 has a sixth entry, for storages that are views of another.
    fn storage(&mut self, id: Value<'a>) -> Result<(), Fault> {
        let &[Value::Str("storage"), Value::Global(Global::Storage(element)), Value::Str(key), _, Value::Int(len), ref view @ ..] =
            self.tuple(id)?
        else {
            return Err(damaged("has an unknown description of a storage"));
        };
        if !matches!(view, [] | [Value::None, ..]) {
            return Err(Fault::Unsupported(
                "has storages that are views of others, as written by PyTorch before 0.4; save it again".into(),
            ));
        }
        let len = usize::try_from(len).map_err(|_| damaged("has a storage of negative length"))?;
        self.make(Object::Storage(StorageRef { element, key, len }));
        Ok(())
    }

    /// The result of calling a known name, which depends only on its arguments.
    fn call(&mut self, callable: Value<'a>, args: Value<'a>) -> Result<(), Fault> {
        let Value::Global(global) = callable else { return Err(damaged("calls a value that is not callable")) };
        match (global, self.tuple(args)?) {
            (Global::OrderedDict | Global::Counter | Global::Dict, []) => self.make(Object::Dict(Vec::new())),
            (Global::DefaultDict, [] | [_]) => self.make(Object::Dict(Vec::new())),
            // a counter is built from a dictionary that nothing else uses
            (Global::Counter | Global::Dict, &[Value::Object(dict)])
                if matches!(self.objects.get(dict), Some(Object::Dict(_))) =>
            {
                self.push(Value::Object(dict));
            }
            (Global::OrderedDict | Global::Dict, &[list]) => {
                let pairs: Result<Vec<_>, _> = self.tuple(list)?.iter().map(|&pair| self.pair(pair)).collect();
                self.make(Object::Dict(pairs?));
            }
            (Global::Collection, []) => self.make(Object::List(Vec::new())),
            (Global::Collection, &[list]) => {
                self.tuple(list)?;
                self.push(list);
            }
            // a lazy view, whose values differ from those in the storage
            (Global::RebuildTensor, &[_, _, _, _, _, _, metadata, ..]) if self.is_lazy(metadata) => {
                self.make(Object::Unread("a lazily negated or conjugated view (save `tensor.resolve_neg().resolve_conj()`)"));
            }
            (Global::RebuildTensor, &[storage, offset, shape, strides, ..]) => self.tensor(storage, offset, shape, strides)?,
            (Global::RebuildFromTensor, &[tensor, ..]) => self.push(tensor),
            (Global::RebuildUnread(what), _) => self.make(Object::Unread(what)),
            // recurses only once, because the inner call may not be of this kind
            (Global::RebuildFromType, &[Value::Global(inner), _, args, ..]) if inner != Global::RebuildFromType => {
                self.call(Value::Global(inner), args)?;
            }
            (Global::Size, &[sizes]) => self.push(sizes),
            (Global::Plain, _) => self.push(Value::Inert),
            (other, _) => return Err(Fault::Damaged(format!("its pickle calls {other:?} with unexpected arguments"))),
        }
        Ok(())
    }

    /// Whether a tensor's metadata sets a flag, such as PyTorch's negative bit.
    fn is_lazy(&self, metadata: Value<'a>) -> bool {
        let Value::Object(index) = metadata else { return false };
        match self.objects.get(index) {
            Some(Object::Dict(items)) => items.iter().any(|(_, flag)| matches!(flag, Value::Bool(true))),
            _ => false,
        }
    }

    fn pair(&self, pair: Value<'a>) -> Result<(Value<'a>, Value<'a>), Fault> {
        match *self.tuple(pair)? {
            [key, value] => Ok((key, value)),
            _ => Err(damaged("builds a dictionary from values that are not pairs")),
        }
    }

    fn sizes(&self, value: Value<'a>) -> Result<Vec<usize>, Fault> {
        let items = self.tuple(value)?;
        if items.len() > MAX_RANK {
            return Err(Fault::Unsupported(format!("has a tensor of {} dimensions; the limit is {MAX_RANK}", items.len())));
        }
        let size = |&item| match item {
            Value::Int(n) => usize::try_from(n).map_err(|_| damaged("has a tensor with a negative size or stride")),
            _ => Err(damaged("has a tensor with a size that is not an integer")),
        };
        items.iter().map(size).collect()
    }

    fn tensor(&mut self, storage: Value<'a>, offset: Value<'a>, shape: Value<'a>, strides: Value<'a>) -> Result<(), Fault> {
        let (shape, strides) = (self.sizes(shape)?, self.sizes(strides)?);
        let (Value::Object(storage), Value::Int(offset)) = (storage, offset) else {
            return Err(damaged("has a tensor without storage"));
        };
        if shape.len() != strides.len() || !matches!(self.objects.get(storage), Some(Object::Storage(_))) {
            return Err(damaged("has a tensor with an inconsistent description"));
        }
        let offset = usize::try_from(offset).map_err(|_| damaged("has a tensor with a negative offset"))?;
        self.make(Object::Tensor(TensorRef { storage, offset, shape, strides }));
        Ok(())
    }
}

/// A little-endian integer of any length; inert if it has more than 64 bits.
fn long(bytes: &[u8]) -> Value<'static> {
    if bytes.len() > 8 {
        return Value::Inert;
    }
    let negative = bytes.last().is_some_and(|b| b & 0x80 != 0);
    let mut wide = [if negative { 0xff } else { 0 }; 8];
    wide[..bytes.len()].copy_from_slice(bytes);
    Value::Int(i64::from_le_bytes(wide))
}
