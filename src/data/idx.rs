//! IDX files, the format of MNIST and Fashion-MNIST: one file of images and one of labels, with or without gzip compression.
//!
//! A file contains two zero bytes, the element type (8: bytes), the number of dimensions, each dimension as a big-endian 32-bit integer, and
//! the data: <https://yann.lecun.com/exdb/mnist>.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::labels::LabelRange;
use super::packed::{Packed, PackedFile, RecordLayout};
use super::{DataError, Split};
use crate::base::mmap::Bytes;

/// The largest uncompressed size of a compressed file, in bytes.
const MAX_UNPACKED: usize = 2 << 30;

const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The image and label files of a split in a folder, if it contains at least one of them. A missing file is returned by its usual name.
pub(super) fn find(folder: &Path, split: Split) -> Option<[PathBuf; 2]> {
    let prefixes: &[&str] = match split {
        Split::Train => &["train"],
        Split::Valid | Split::Test => &["t10k", "test"],
    };
    for prefix in prefixes {
        let [images, labels] = [("images", 3), ("labels", 1)].map(|(what, dims)| {
            // some unpackers put a dot where a dash was
            let names = ["-", "."].map(|sep| format!("{prefix}-{what}{sep}idx{dims}-ubyte"));
            let all = names.iter().flat_map(|name| [folder.join(name), folder.join(format!("{name}.gz"))]);
            all.clone().find(|path| path.is_file()).ok_or_else(|| folder.join(format!("{prefix}-{what}-idx{dims}-ubyte")))
        });
        match (images, labels) {
            (Err(_), Err(_)) => {}
            (images, labels) => return Some([images, labels].map(|found| found.unwrap_or_else(|usual| usual))),
        }
    }
    None
}

/// Opens images and their labels.
pub(super) fn open([images, labels]: [&Path; 2], range: LabelRange) -> Result<Packed, DataError> {
    let (classes, list) = read::<1>(labels, "labels")?;
    let (sizes, records) = read::<3>(images, "images")?;
    let ([labeled], [count, height, width]) = (classes, sizes);
    if labeled != count {
        return Err(DataError::Counts {
            samples_path: images.display().to_string(),
            samples: count,
            labels_path: labels.display().to_string(),
            labels: labeled,
        });
    }
    if count == 0 {
        return Err(DataError::Empty { path: images.display().to_string() });
    }
    if height == 0 || width == 0 {
        return Err(invalid(images, format!("declares images of {height} x {width} pixels")));
    }
    let list = range.check(labels.display(), list.iter().map(|&label| label.into()))?;
    let file = PackedFile { name: images.display().to_string(), records };
    Ok(Packed::new(RecordLayout { head: 0, size: [1, height, width] }, vec![file], list, Vec::new()))
}

fn invalid(path: &Path, reason: String) -> DataError {
    DataError::Invalid { path: path.display().to_string(), reason }
}

/// The dimensions and the data of a file.
fn read<const DIMS: usize>(path: &Path, what: &str) -> Result<([usize; DIMS], Bytes), DataError> {
    let io = |source: io::Error| match source.kind() {
        io::ErrorKind::UnexpectedEof => invalid(path, "is truncated inside its header".to_owned()),
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => invalid(path, format!("is damaged: {source}")),
        _ => DataError::Io { path: path.to_path_buf(), source },
    };
    let stored = Bytes::map(path).map_err(|source| DataError::Io { path: path.to_path_buf(), source })?;
    let start = 4 + 4 * DIMS;
    if !stored.starts_with(&GZIP) {
        let header = stored.get(..start).or_else(|| stored.get(..4)).unwrap_or(&stored);
        let (sizes, bytes) = sizes::<DIMS>(header).map_err(|reason| invalid(path, describe(reason, what)))?;
        let found = stored.len() - start;
        return match stored.slice(start..stored.len()) {
            Some(data) if found == bytes => Ok((sizes, data)),
            _ => Err(invalid(path, wrong_length(&sizes, bytes, found))),
        };
    }
    let mut unpacked = MultiGzDecoder::new(&*stored);
    let mut header = vec![0u8; 4];
    unpacked.read_exact(&mut header).map_err(io)?;
    header.resize(start, 0);
    if header.starts_with(&magic::<DIMS>()) {
        unpacked.read_exact(&mut header[4..]).map_err(io)?;
    }
    let (sizes, bytes) = sizes::<DIMS>(&header).map_err(|reason| invalid(path, describe(reason, what)))?;
    if bytes > MAX_UNPACKED {
        return Err(invalid(path, format!("declares {sizes:?} bytes, but at most {} MiB are unpacked", MAX_UNPACKED >> 20)));
    }
    // memory grows with the unpacked data, and one byte more than the header declares is enough to detect that it is wrong
    let mut data = Vec::new();
    match unpacked.take(bytes as u64 + 1).read_to_end(&mut data) {
        Ok(found) if found == bytes => Ok((sizes, data.into())),
        Ok(found) => Err(invalid(path, wrong_length(&sizes, bytes, found))),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Err(invalid(path, wrong_length(&sizes, bytes, data.len()))),
        Err(e) => Err(io(e)),
    }
}

fn magic<const DIMS: usize>() -> [u8; 4] {
    [0, 0, 8, DIMS as u8]
}

/// Why a header is invalid.
enum HeaderError {
    Truncated,
    Magic(u32),
    Overflow,
}

fn describe(header: HeaderError, what: &str) -> String {
    match header {
        HeaderError::Truncated => "is truncated inside its header".to_owned(),
        HeaderError::Magic(0x0801) => format!("contains labels (magic number 2049), but {what} are expected"),
        HeaderError::Magic(0x0803) => format!("contains images (magic number 2051), but {what} are expected"),
        HeaderError::Magic(found) => format!("is not an IDX file of {what}: its magic number is {found:#010x}"),
        HeaderError::Overflow => "declares a size that no file can have".to_owned(),
    }
}

/// The dimensions that a header declares, and their product.
fn sizes<const DIMS: usize>(header: &[u8]) -> Result<([usize; DIMS], usize), HeaderError> {
    let (first, rest) = header.split_first_chunk().ok_or(HeaderError::Truncated)?;
    if *first != magic::<DIMS>() {
        return Err(HeaderError::Magic(u32::from_be_bytes(*first)));
    }
    let numbers = rest.as_chunks().0;
    let mut out = [0; DIMS];
    for (i, size) in out.iter_mut().enumerate() {
        *size = u32::from_be_bytes(*numbers.get(i).ok_or(HeaderError::Truncated)?) as usize;
    }
    let bytes = out.iter().try_fold(1usize, |n, &size| n.checked_mul(size)).ok_or(HeaderError::Overflow)?;
    Ok((out, bytes))
}

fn wrong_length(sizes: &[usize], declared: usize, found: usize) -> String {
    let sizes = sizes.iter().map(usize::to_string).collect::<Vec<_>>().join(" x ");
    if found < declared {
        format!("is truncated: its header declares {sizes} = {declared} bytes, but there are only {found}")
    } else {
        format!("has more than the {sizes} = {declared} bytes that its header declares")
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;
    use crate::data::{Dataset, Sample};

    fn file(sizes: &[u32], data: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, 8, sizes.len() as u8];
        bytes.extend(sizes.iter().flat_map(|s| s.to_be_bytes()));
        bytes.extend_from_slice(data);
        bytes
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut out = GzEncoder::new(Vec::new(), Compression::fast());
        out.write_all(bytes).unwrap();
        out.finish().unwrap()
    }

    fn open_bytes(images: &[u8], labels: &[u8]) -> Result<Packed, DataError> {
        let dir = tempfile::tempdir().unwrap();
        let paths = ["x", "y"].map(|name| dir.path().join(name));
        std::fs::write(&paths[0], images).unwrap();
        std::fs::write(&paths[1], labels).unwrap();
        open([&paths[0], &paths[1]], LabelRange::of(Some(10)))
    }

    fn images() -> Vec<u8> {
        file(&[3, 2, 5], &(0..30).collect::<Vec<u8>>())
    }

    #[test]
    fn plain_and_compressed_files_are_read() {
        let labels = file(&[3], &[9, 0, 4]);
        for (x, y) in [(images(), labels.clone()), (gzip(&images()), gzip(&labels)), (images(), gzip(&labels))] {
            let data = open_bytes(&x, &y).unwrap();
            assert_eq!((data.len(), data.label(0), data.label(2), data.common_size()), (3, 9, 4, Some([1, 2, 5])));
            let Sample::Pixels(p) = data.read(1).unwrap() else { panic!("images") };
            assert_eq!((p.height, p.width, p.data), (2, 5, (10..20).collect()));
            assert!(data.read(3).is_err());
        }
    }

    #[test]
    fn files_are_found_by_their_published_names() {
        let dir = tempfile::tempdir().unwrap();
        assert!(find(dir.path(), Split::Train).is_none());
        for name in ["train-images-idx3-ubyte.gz", "train-labels.idx1-ubyte", "t10k-labels-idx1-ubyte"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let names = |split| find(dir.path(), split).unwrap().map(|p| p.file_name().unwrap().to_string_lossy().into_owned());
        assert_eq!(names(Split::Train), ["train-images-idx3-ubyte.gz", "train-labels.idx1-ubyte"]);
        // the path of the missing file is returned, so that opening it fails
        assert_eq!(names(Split::Test), ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"]);
    }

    #[test]
    fn a_truncated_file_is_an_error() {
        let (x, y) = (images(), file(&[3], &[1, 2, 3]));
        for len in 0..x.len() {
            assert!(open_bytes(&x[..len], &y).is_err(), "images cut to {len}");
        }
        for len in 0..y.len() {
            assert!(open_bytes(&x, &y[..len]).is_err(), "labels cut to {len}");
        }
        let (x, y) = (gzip(&x), gzip(&y));
        for len in 0..x.len() - 8 {
            assert!(open_bytes(&x[..len], &y).is_err(), "compressed images cut to {len}");
        }
        for at in 0..x.len() {
            for bit in 0..8 {
                let mut damaged = x.clone();
                damaged[at] ^= 1 << bit;
                if let Ok(data) = open_bytes(&damaged, &y) {
                    assert_eq!(data.len(), 3);
                }
            }
        }
        let message = open_bytes(&images()[..40], &y).err().unwrap().to_string();
        assert!(message.contains("is truncated: its header declares 3 x 2 x 5 = 30 bytes, but there are only 24"), "{message}");
    }

    #[test]
    fn headers_are_not_trusted() {
        let labels = file(&[3], &[1, 2, 3]);
        let message = |x: &[u8], y: &[u8]| open_bytes(x, y).err().unwrap().to_string();
        let huge = file(&[u32::MAX, u32::MAX, u32::MAX], &[0; 30]);
        assert!(message(&huge, &labels).contains("declares a size that no file can have"));
        assert!(message(&gzip(&huge), &labels).contains("declares a size that no file can have"));
        let large = file(&[3, 1 << 16, 1 << 16], &[]);
        assert!(message(&large, &labels).contains("is truncated"));
        assert!(message(&gzip(&large), &labels).contains("at most 2048 MiB are unpacked"));
        // 100 MiB of zeros in a few bytes: no more is unpacked than the header declares
        assert!(message(&gzip(&file(&[3, 2, 5], &vec![0; 100 << 20])), &labels).contains("has more than"));
        assert!(message(&labels, &labels).contains("contains labels (magic number 2049), but images are expected"));
        assert!(message(b"\x89PNG\r\n", &labels).contains("its magic number is 0x89504e47"));
        assert!(message(&images(), &file(&[4], &[0; 4])).contains("3 samples, but"));
        assert!(message(&images(), &file(&[3], &[0, 10, 0])).contains("sample 1 has label 10, but the network has 10 classes"));
        assert!(message(&file(&[0, 2, 5], &[]), &file(&[0], &[])).contains("no samples"));
        assert!(message(&file(&[3, 0, 5], &[]), &labels).contains("0 x 5 pixels"));
    }
}
