//! The names of classes and functions in a pickle: those that weights are made of, those that are not needed, and those that a weight file
//! has no honest use for.

use crate::base::tensor::DType;

/// The names that have a meaning here: those that `torch.load(weights_only=True)` allows, and Python's plain types.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Global {
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
    /// A type of 8-bit floating-point numbers.
    Float8,
    Storage(Element),
}

/// The elements of a storage.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Element {
    Read(DType),
    /// An unsupported type, with its size in bytes.
    Unread(&'static str, usize),
}

impl Element {
    /// The size of an element in bytes.
    pub fn size(self) -> usize {
        match self {
            Element::Read(dtype) => dtype.size(),
            Element::Unread(_, size) => size,
        }
    }
}

impl Global {
    /// `None` if the name has no meaning here.
    pub fn find(module: &str, name: &str) -> Option<Global> {
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
            ("torch", name) if name.starts_with("float8_") => Global::Float8,
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
        _ if name.starts_with("float4_") => true,
        _ => ["float", "bfloat", "int", "uint", "complex", "qint", "quint", "bits"]
            .iter()
            .any(|kind| name.strip_prefix(kind).is_some_and(|rest| digits(rest) || matches!(rest, "4x2" | "2x4" | "1x8"))),
    }
}

/// Whether a name would run commands or code in a reader that calls it. It is not called here, but whoever has such a file should know.
pub fn runs_code(module: &str, name: &str) -> bool {
    const MODULES: [&str; 12] =
        ["os", "posix", "nt", "subprocess", "sys", "shutil", "socket", "runpy", "pty", "importlib", "ctypes", "webbrowser"];
    let package = module.split('.').next().unwrap_or(module);
    match package {
        "builtins" | "__builtin__" => {
            matches!(name, "eval" | "exec" | "execfile" | "compile" | "open" | "input" | "__import__" | "breakpoint")
        }
        _ => MODULES.contains(&package),
    }
}
