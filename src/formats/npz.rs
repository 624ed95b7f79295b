//! NumPy's `.npz`: a zip archive of named `.npy` arrays (`numpy.savez`, `numpy.savez_compressed`).

use std::path::Path;

use super::fault::Fault;
use super::npy::{self, ArrayError};
use super::tensors::{Tensors, Unread, WeightsError};
use super::zip_archive::{bad_zip, contents, copies_allowed, opened, too_much};
use crate::base::mmap::Bytes;

/// The extension of the entries.
const EXTENSION: &str = ".npy";

/// Whether a zip archive has entries, and all of them are arrays.
pub(super) fn is_npz(bytes: &[u8]) -> bool {
    opened(bytes).is_ok_and(|zip| {
        let mut names = zip.file_names().peekable();
        names.peek().is_some() && names.all(|name| name.is_ok_and(|name| name.ends_with(EXTENSION)))
    })
}

/// Reads the arrays of a file by name; `path` is for messages. Arrays of strings, objects and unsupported numeric types are skipped.
pub fn read(path: &Path, bytes: &Bytes) -> Result<Tensors, WeightsError> {
    read_arrays(path, bytes).map_err(|fault| fault.at(path))
}

fn read_arrays(path: &Path, bytes: &Bytes) -> Result<Tensors, Fault> {
    let mut zip = opened(bytes)?;
    let names = zip.file_names().map(|name| Ok(name.map_err(bad_zip)?.into_owned())).collect::<Result<Vec<_>, Fault>>()?;
    let mut budget = copies_allowed(bytes.len());
    let mut list = Vec::with_capacity(names.len());
    let mut unread = Vec::new();
    for (index, name) in names.into_iter().enumerate() {
        let array = contents(&mut zip, bytes, index, &format!("array `{}`", name.escape_debug()), &mut budget)?;
        // at most one copy is made, to convert the byte order or column-major order
        budget = budget.checked_sub(array.len()).ok_or_else(too_much)?;
        let name = name.strip_suffix(EXTENSION).unwrap_or(&name).to_owned();
        match npy::parse(&array) {
            Ok(tensor) => list.push((name, tensor)),
            Err(ArrayError::Type { descr, is_number }) => {
                unread.push((name, Unread { contents: format!("elements of type {descr:?}"), is_tensor: is_number }));
            }
            Err(ArrayError::Other(reason)) => {
                return Err(Fault::Damaged(format!("the array `{}` {reason}", name.escape_debug())));
            }
        }
    }
    Ok(Tensors::new(path, list).with_unread(unread))
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use zip::write::SimpleFileOptions;

    use super::*;

    fn array(shape: &str, values: &[f32]) -> Vec<u8> {
        let dict = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
        let mut out = b"\x93NUMPY\x01\x00".to_vec();
        out.extend_from_slice(&(dict.len() as u16).to_le_bytes());
        out.extend_from_slice(dict.as_bytes());
        out.extend(values.iter().flat_map(|v| v.to_le_bytes()));
        out
    }

    fn archive(entries: &[(&str, &[u8])], method: zip::CompressionMethod) -> Vec<u8> {
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, data) in entries {
            zip.start_file(*name, SimpleFileOptions::default().compression_method(method)).unwrap();
            zip.write_all(data).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    #[test]
    fn stored_and_deflated_arrays_are_read_by_name() {
        let (a, b) = (array("(2, 2)", &[1.0, 2.0, 3.0, 4.0]), array("()", &[5.0]));
        for method in [zip::CompressionMethod::Stored, zip::CompressionMethod::Deflated] {
            let bytes = archive(&[("layer1.0.conv1.weight.npy", &a), ("scalar.npy", &b)], method);
            assert!(is_npz(&bytes));
            let tensors = read(Path::new("w.npz"), &bytes.into()).unwrap();
            let weight = tensors.get("layer1.0.conv1.weight").unwrap();
            assert_eq!((weight.shape(), &*weight.to_f32()), (&[2, 2][..], &[1.0, 2.0, 3.0, 4.0][..]));
            assert_eq!(tensors.get("scalar").unwrap().shape(), [0usize; 0]);
        }
    }

    #[test]
    fn arrays_of_strings_and_objects_are_skipped() {
        let a = array("(2,)", &[1.0, 2.0]);
        let of = |descr: &str| {
            let dict = format!("{{'descr': {descr}, 'fortran_order': False, 'shape': (2,), }}");
            [b"\x93NUMPY\x01\x00", &(dict.len() as u16).to_le_bytes()[..], dict.as_bytes(), &[0; 16]].concat()
        };
        for (descr, is_tensor) in [
            ("'<U2'", false),
            ("'|S8'", false),
            ("'|O'", false),
            ("'<M8[s]'", false),
            ("[('a', '<f4'), ('b', '<i4', (2,))]", false),
            ("'<u4'", true),
            ("'<c8'", true),
        ] {
            let other = of(descr);
            let bytes = archive(&[("w.npy", &a), ("names.npy", &other)], zip::CompressionMethod::Deflated);
            let tensors = read(Path::new("w.npz"), &bytes.into()).unwrap();
            assert_eq!((tensors.len(), &*tensors.get("w").unwrap().to_f32()), (1, &[1.0, 2.0][..]));
            let [(name, unread)] = tensors.unread().collect::<Vec<_>>()[..] else { panic!("{descr}") };
            assert_eq!((name, unread.is_tensor), ("names", is_tensor), "{descr}");
            assert!(unread.contents.contains(descr.trim_matches('\'')), "{}", unread.contents);
        }
        for descr in ["[", "[]]", "'<U2", "['"] {
            let bytes = archive(&[("w.npy", &of(descr))], zip::CompressionMethod::Stored);
            assert!(matches!(read(Path::new("w.npz"), &bytes.into()), Err(WeightsError::Damaged { .. })), "{descr}");
        }
    }

    #[test]
    fn invalid_archives_are_errors() {
        let a = array("(2,)", &[1.0, 2.0]);
        assert!(!is_npz(&archive(&[("a.npy", &a), ("data.pkl", b"x")], zip::CompressionMethod::Stored)));
        assert!(!is_npz(&archive(&[], zip::CompressionMethod::Stored)));
        let short = archive(&[("a.npy", &a[..a.len() - 1])], zip::CompressionMethod::Stored);
        let message = read(Path::new("w.npz"), &short.into()).unwrap_err().to_string();
        assert!(message.contains("the array `a` declares [2] elements"), "{message}");
        let whole = archive(&[("a.npy", &a)], zip::CompressionMethod::Deflated);
        for len in 0..whole.len() {
            assert!(read(Path::new("w.npz"), &whole[..len].to_vec().into()).is_err(), "cut to {len}");
        }
    }
}
