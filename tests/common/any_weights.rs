//! What must hold for any bytes as a file of weights: they are refused, or become tensors that fit their sizes, take no memory out of
//! proportion, and are the same after they were written as safetensors. The fuzz targets `pth`, `safetensors` and `npy` and the tests on
//! random files call this.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::io::{Cursor, Write};
use std::path::Path;

use resnetc::internal::base::file_system::MemoryFiles;
use resnetc::internal::base::mmap::Bytes;
use resnetc::internal::base::tensor::Tensor;
use resnetc::internal::formats::{Tensors, npy, npz, pth, safetensors};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// The most memory that tensors may take, for each byte of the file and in all.
const MOST_MEMORY: [usize; 2] = [32, 16 << 20];
/// Tensors up to this size, in bytes, are written again.
const MOST_WRITTEN: usize = 1 << 20;

/// A file of PyTorch: as it is if it begins as one does, and otherwise the archive whose pickle the bytes make, as [`pickle`] says.
pub fn pth(bytes: &[u8]) {
    match bytes {
        [b'P', b'K', ..] | [0x80, ..] => pth_file(bytes.to_vec()),
        _ => pth_file(archive(&[("a/data.pkl", &pickle(bytes)), ("a/data/0", &STORAGE), ("a/data/1", &STORAGE)])),
    }
}

fn pth_file(bytes: Vec<u8>) {
    let (file, path) = (Bytes::from(bytes), Path::new("w.pth"));
    // a part of the file, or what a script would load
    for part in [None, Some("model")] {
        if let Ok(tensors) = pth::read(path, &file, part) {
            sound(&tensors, file.len());
        }
    }
}

/// A file of safetensors: as it is, or with these bytes as its header if they begin with a brace.
pub fn safetensors(bytes: &[u8]) {
    let file = match bytes {
        [b'{', ..] => [&(bytes.len() as u64).to_le_bytes(), bytes, &STORAGE].concat(),
        _ => bytes.to_vec(),
    };
    let len = file.len();
    if let Ok(tensors) = safetensors::read(Path::new("w.safetensors"), &Bytes::from(file)) {
        sound(&tensors, len);
    }
}

/// A file of NumPy, with one array or several: as it is, or with these bytes as the header of an array if they begin with a brace.
pub fn npy(bytes: &[u8]) {
    let array = match bytes {
        [b'P', b'K', ..] => return npz(bytes.to_vec()),
        [b'{', ..] => {
            let len = bytes.len().min(9999) as u16;
            [b"\x93NUMPY\x01\0", &len.to_le_bytes()[..], &bytes[..usize::from(len)], &STORAGE].concat()
        }
        _ => bytes.to_vec(),
    };
    let mut files = MemoryFiles::default();
    files.insert("a.npy", array.clone());
    let alone = npy::read_tensor_in(&files, Path::new("a.npy"));
    if let Ok(tensor) = &alone {
        is_sound("a", tensor, array.len());
    }
    // the same in an archive
    let found = npz::read(Path::new("w.npz"), &Bytes::from(archive(&[("a.npy", &array)])));
    match (alone, found.as_ref().ok().and_then(|tensors| tensors.get("a"))) {
        (Ok(alone), Some(tensor)) => assert!(same(&alone, tensor)),
        (Err(_), None) => {}
        (alone, tensor) => panic!("{alone:?} alone, and {tensor:?} in an archive"),
    }
}

fn npz(file: Vec<u8>) {
    let len = file.len();
    if let Ok(tensors) = npz::read(Path::new("w.npz"), &Bytes::from(file)) {
        sound(&tensors, len);
    }
}

fn is_sound(name: &str, tensor: &Tensor, file: usize) -> usize {
    let count = tensor.shape().iter().try_fold(1usize, |n, &size| n.checked_mul(size));
    assert_eq!(count, Some(tensor.len()), "{name}");
    let bytes = tensor.to_le_bytes().len();
    assert_eq!(bytes, tensor.len() * tensor.dtype().size(), "{name}");
    assert!(bytes <= file * MOST_MEMORY[0] + MOST_MEMORY[1], "`{name}` takes {bytes} bytes, and its file {file}");
    bytes
}

fn sound(tensors: &Tensors, file: usize) {
    let mut total = 0usize;
    for (name, tensor) in tensors.iter() {
        total = total.saturating_add(is_sound(name, tensor, file));
    }
    for (name, unread) in tensors.unread() {
        assert!(!unread.contents.is_empty(), "{name}");
    }
    if tensors.is_empty() || total > MOST_WRITTEN {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    safetensors::write(&path, tensors.iter()).unwrap();
    let again = safetensors::read(&path, &Bytes::from(std::fs::read(&path).unwrap())).unwrap();
    assert_eq!(again.len(), tensors.len());
    for (name, tensor) in tensors.iter() {
        assert!(again.get(name).is_some_and(|other| same(tensor, other)), "`{name}` comes back as something else");
    }
}

fn same(a: &Tensor, b: &Tensor) -> bool {
    a.shape() == b.shape() && a.dtype() == b.dtype() && a.to_le_bytes() == b.to_le_bytes()
}

/// The values that a file made here has: 12 of f32.
const STORAGE: [u8; 48] = [63; 48];

fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, data) in entries {
        zip.start_file(*name, SimpleFileOptions::default().compression_method(CompressionMethod::Stored)).unwrap();
        zip.write_all(data).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// Pieces of pickles, one for each byte from 0xc0, which begins no instruction.
const PIECES: [&[u8]; 30] = [
    // a tensor of 12 values, of 3 x 4, and one without its sizes
    b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x0ctQK\0K\x0c\x85K\x01\x85\x89NtR",
    b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nHalfStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x18tQK\0K\x03K\x04\x86K\x04K\x01\x86\x89NtR",
    b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x001X\x03\0\0\0cpuK\x0ctQ",
    b"\x89NtR",
    b"ctorch._utils\n_rebuild_parameter\n",
    b"ctorch._utils\n_rebuild_tensor_v2\n",
    b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x0ctQ",
    b"(X\x07\0\0\0storagectorch\nLongStorage\nX\x01\0\0\x001X\x03\0\0\0cpuK\x06tQ",
    b"ccollections\nOrderedDict\n)R",
    b"ccollections\ndefaultdict\nc__builtin__\nlist\n\x85R",
    b"ccollections\nCounter\n}\x85R",
    b"cargparse\nNamespace\n)\x81}b",
    b"cpathlib\nPosixPath\n",
    b"cnumpy.core.multiarray\nscalar\n",
    b"c_codecs\nencode\n",
    b"cposix\nsystem\n",
    b"ctorch.nn.modules.conv\nConv2d\n)\x81",
    b"cos.path\njoin\n",
    b"X\x0b\0\0\0_parametersX\x08\0\0\0_buffersX\x08\0\0\0_modules",
    b"X\x06\0\0\0weight",
    b"X\x04\0\0\0bias",
    b"X\x05\0\0\0model",
    b"X\x0a\0\0\0state_dict",
    b"X\x09\0\0\0model_ema",
    b"X\x06\0\0\0module",
    b"}(",
    b"u.",
    b"K\x02\x8a\x09\xff\xff\xff\xff\xff\xff\xff\xff\0J\xff\xff\xff\xff",
    b"cc10\nScalarType\n",
    b"ctorch._tensor\n_rebuild_from_type_v2\n",
];

/// The pickle that bytes make: a byte stands for itself, or for a piece of instructions that go together.
fn pickle(bytes: &[u8]) -> Vec<u8> {
    let mut out = b"\x80\x02".to_vec();
    for &byte in bytes {
        match usize::from(byte).checked_sub(0xc0).and_then(|piece| PIECES.get(piece)) {
            Some(piece) => out.extend_from_slice(piece),
            None => out.push(byte),
        }
    }
    out.push(b'.');
    out
}
