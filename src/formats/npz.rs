//! NumPy's `.npz`: a zip archive of `.npy` arrays, each under its name (`numpy.savez`, `numpy.savez_compressed`).

use std::io::Cursor;
use std::path::Path;

use zip::ZipArchive;

use super::npy;
use super::pth::archive::{bad_zip, contents, too_much};
use super::pth::{Fault, copies_allowed};
use super::tensors::{Tensors, WeightsError};
use crate::base::mmap::Bytes;
use crate::base::tensor::Tensor;

/// What names of entries end with.
const EXTENSION: &str = ".npy";

/// Whether a zip archive is one of arrays: it has entries, and all are.
pub(super) fn is_npz(bytes: &[u8]) -> bool {
    ZipArchive::new(Cursor::new(bytes)).is_ok_and(|zip| {
        let mut names = zip.file_names().peekable();
        names.peek().is_some() && names.all(|name| name.is_ok_and(|name| name.ends_with(EXTENSION)))
    })
}

/// The arrays of a file whose bytes these are, by name; `path` is for messages.
pub fn read(path: &Path, bytes: &Bytes) -> Result<Tensors, WeightsError> {
    let list = read_list(bytes).map_err(|fault| fault.at(path))?;
    Ok(Tensors::new(path, list))
}

fn read_list(bytes: &Bytes) -> Result<Vec<(String, Tensor)>, Fault> {
    let mut zip = ZipArchive::new(Cursor::new(&**bytes)).map_err(bad_zip)?;
    let names = zip.file_names().map(|name| Ok(name.map_err(bad_zip)?.into_owned())).collect::<Result<Vec<_>, Fault>>()?;
    let mut budget = copies_allowed(bytes.len());
    let mut list = Vec::with_capacity(names.len());
    for (index, name) in names.into_iter().enumerate() {
        let array = contents(&mut zip, bytes, index, &format!("array `{}`", name.escape_debug()), &mut budget)?;
        // at most one copy is made of it: of other byte order, or column by column
        budget = budget.checked_sub(array.len()).ok_or_else(too_much)?;
        let name = name.strip_suffix(EXTENSION).unwrap_or(&name).to_owned();
        let tensor =
            npy::parse(&array).map_err(|reason| Fault::Damaged(format!("the array `{}` {reason}", name.escape_debug())))?;
        list.push((name, tensor));
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

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
    fn arrays_have_their_names_stored_or_deflated() {
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
    fn what_is_no_archive_of_arrays_is_an_error() {
        let a = array("(2,)", &[1.0, 2.0]);
        assert!(!is_npz(&archive(&[("a.npy", &a), ("data.pkl", b"x")], zip::CompressionMethod::Stored)));
        assert!(!is_npz(&archive(&[], zip::CompressionMethod::Stored)));
        let short = archive(&[("a.npy", &a[..a.len() - 1])], zip::CompressionMethod::Stored);
        let said = read(Path::new("w.npz"), &short.into()).unwrap_err().to_string();
        assert!(said.contains("the array `a` states [2] elements"), "{said}");
        let whole = archive(&[("a.npy", &a)], zip::CompressionMethod::Deflated);
        for len in 0..whole.len() {
            assert!(read(Path::new("w.npz"), &whole[..len].to_vec().into()).is_err(), "cut to {len}");
        }
    }
}
