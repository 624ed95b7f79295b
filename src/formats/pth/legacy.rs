//! PyTorch's format before version 1.6: five pickles (a magic number, the protocol, the machine, the object, the keys of the storages), then
//! the number of elements and the elements of each storage. Source: `torch.serialization._legacy_save`.

use std::collections::HashMap;

use super::pickle::{Heap, Object, StorageRef, Value, interpret_first};
use crate::base::mmap::Bytes;
use crate::formats::fault::Fault;

/// The magic number 0x1950a86a20f9469cfc6c in a pickle of any protocol.
const MAGIC: &[u8] = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
/// The number of bytes in which the magic number must occur.
const MAGIC_WITHIN: usize = 32;

/// The version of the format.
const PROTOCOL: i64 = 1001;

fn damaged(reason: &str) -> Fault {
    Fault::Damaged(reason.to_owned())
}

/// Whether a file that begins with these bytes is a bare pickle: PyTorch's format before 1.6, which begins with a pickled magic number, or any
/// other.
pub(in crate::internal::formats) fn is_legacy(bytes: &[u8]) -> bool {
    matches!(bytes, [0x80, 2..=5, ..])
}

/// The result of the object's pickle, and the values of the storages by key.
pub(super) fn read(bytes: &Bytes) -> Result<(Heap<'_>, HashMap<String, Bytes>), Fault> {
    let head = &bytes[..bytes.len().min(MAGIC_WITHIN)];
    let Some(start) = head.windows(MAGIC.len()).position(|window| window == MAGIC) else {
        return Err(Fault::Unsupported(
            "is a pickle, but not one written by `torch.save`: save its arrays under the network's names with \
             numpy.savez(\"weights.npz\", **arrays)"
                .into(),
        ));
    };
    let mut at = start + MAGIC.len();
    let mut next = || {
        let (heap, len) = interpret_first(bytes.get(at..).unwrap_or_default())?;
        at += len;
        Ok::<_, Fault>(heap)
    };
    if !matches!(next()?.root, Value::Int(PROTOCOL)) {
        return Err(Fault::Unsupported(format!("has a version of PyTorch's legacy format other than {PROTOCOL}")));
    }
    let machine = next()?;
    let Some(Object::Dict(entries)) = machine.get(machine.root) else {
        return Err(damaged("does not state the machine that it was written on"));
    };
    if entries.iter().any(|entry| matches!(entry, (Value::Str("little_endian"), Value::Bool(false)))) {
        return Err(Fault::Unsupported("was written on a big-endian machine, which is not supported".into()));
    }
    let heap = next()?;
    let keys = next()?;
    let Some(Object::List(keys)) = keys.get(keys.root) else { return Err(damaged("has no list of storages")) };
    let described: HashMap<&str, &StorageRef<'_>> = heap.storages().map(|storage| (storage.key, storage)).collect();
    let mut storages = HashMap::new();
    for key in keys {
        let Value::Str(key) = *key else { return Err(damaged("has a storage whose key is not a string")) };
        let Some(storage) = described.get(key) else {
            return Err(Fault::Damaged(format!("has the storage `{}`, which no tensor uses", key.escape_debug())));
        };
        let len = bytes.get(at..).and_then(|rest| rest.first_chunk()).map(|&len| u64::from_le_bytes(len));
        let len = len.and_then(|len| usize::try_from(len).ok()).filter(|&len| len == storage.len);
        let size = len.and_then(|len| len.checked_mul(storage.element.size())).ok_or_else(|| {
            Fault::Damaged(format!("the length of the storage `{}` does not match its tensors", key.escape_debug()))
        })?;
        at += size_of::<u64>();
        let values = at.checked_add(size).and_then(|end| bytes.slice(at..end));
        let values = values.ok_or_else(|| Fault::Damaged(format!("is truncated inside the storage `{}`", key.escape_debug())))?;
        at += size;
        storages.insert(key.to_owned(), values);
    }
    Ok((heap, storages))
}
