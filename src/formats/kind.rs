//! Identifies files that are given as weights, ONNX or source files but are none of these, and says what to do. The kind is detected from the
//! contents.

use std::io::Read;
use std::path::Path;

use super::pth::legacy::is_legacy;
use super::safetensors;
use super::zip_archive::is_zip;
use crate::base::file::ARTIFACT_MAGIC;

/// The first bytes of other kinds of files, with a message. Text is compared case-insensitively.
const SIGNATURES: &[(&[u8], &str)] = &[
    (
        ARTIFACT_MAGIC,
        "is a compiled network (.rnx), which already contains its weights: use it instead of the source, without weights",
    ),
    (b"resnet ", "is a source file (.resnet), which describes a network and contains no weights"),
    (b"\x1f\x8b", "is compressed with gzip: decompress it first (`gunzip FILE.gz`, or `tar -xzf FILE.tar.gz` for an archive)"),
    (b"BZh", "is compressed with bzip2: decompress it first (`bunzip2 FILE.bz2`, or `tar -xjf FILE.tar.bz2` for an archive)"),
    (b"\xfd7zXZ\0", "is compressed with xz: decompress it first (`unxz FILE.xz`, or `tar -xJf FILE.tar.xz` for an archive)"),
    (b"\x28\xb5\x2f\xfd", "is compressed with zstd: decompress it first (`unzstd FILE.zst`)"),
    (b"7z\xbc\xaf\x27\x1c", "is a 7-Zip archive: unpack it first, and use the file in it"),
    (b"Rar!\x1a\x07", "is a RAR archive: unpack it first, and use the file in it"),
    (b"PK\x05\x06", "is an empty zip archive: save or download it again"),
    (
        HDF5,
        "is an HDF5 file (.h5, as written by Keras), which is not supported: save its arrays under the network's names with \
         numpy.savez(\"weights.npz\", **arrays)",
    ),
    (
        NUMPY,
        "is a single unnamed NumPy array (.npy): save arrays under the network's names with numpy.savez(\"weights.npz\", **arrays)",
    ),
    (b"version https://git-lfs", "is a Git LFS pointer, not the file itself: fetch the file with `git lfs pull`"),
    (b"<!doctype html", "is a web page instead of the file: open the download address in a browser to see what it says"),
    (b"<html", "is a web page instead of the file: open the download address in a browser to see what it says"),
    (b"<!--", "is a web page instead of the file: open the download address in a browser to see what it says"),
    (b"<?xml", "is an XML file: an error page instead of the download, or the description next to the weights (OpenVINO's .xml)"),
    (
        b"model_checkpoint_path:",
        "is the index of a TensorFlow checkpoint, which is not supported: save its arrays under the network's names with \
      numpy.savez(\"weights.npz\", **arrays)",
    ),
    (b"GGUF", "is a GGUF file, which is not supported: use the model's safetensors"),
    (b"\x89PNG\r\n", IMAGE),
    (b"\xff\xd8\xff", IMAGE),
];

const NUMPY: &[u8] = b"\x93NUMPY";
const HDF5: &[u8] = b"\x89HDF\r\n\x1a\n";

#[cfg(feature = "onnx")]
const TENSORFLOW_MODEL: &str = "is a TensorFlow file, not an ONNX file: convert it first, for example with tf2onnx";

const IMAGE: &str =
    "is an image, not a network or its weights: weights are read from safetensors, PyTorch's `.pth` or NumPy's `.npz`";

const TENSORFLOW: &str = "is a TensorFlow file, which is not supported: save its arrays under the network's names with \
                          numpy.savez(\"weights.npz\", **arrays)";

/// The last bytes of a LevelDB table, such as TensorFlow's `.index`.
const TABLE_END: [u8; 8] = 0xdb47_7524_8b80_fb57_u64.to_le_bytes();

/// What the file is and what to do, as the rest of a sentence; `None` if it is unknown.
pub(super) fn of(bytes: &[u8]) -> Option<&'static str> {
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = if text.first().is_some_and(u8::is_ascii_whitespace) { text.trim_ascii_start() } else { text };
    let begins = |begin: &[u8]| text.get(..begin.len()).is_some_and(|first| first.eq_ignore_ascii_case(begin));
    if bytes.is_empty() {
        return Some("is empty: its download or copy is incomplete");
    }
    if let Some(&(_, found)) = SIGNATURES.iter().find(|(begin, _)| bytes.starts_with(begin) || begins(begin)) {
        return Some(found);
    }
    if bytes.get(257..262) == Some(b"ustar") {
        return Some("is a tar archive: unpack it first (`tar -xf FILE.tar`), and use the file in it");
    }
    if bytes.get(4..8) == Some(b"TFL3") || bytes.ends_with(&TABLE_END) {
        return Some(TENSORFLOW);
    }
    match bytes {
        // a TensorFlow SavedModel with schema version 1; a frozen graph, whose first node begins with its name
        [0x08, 0x01, 0x12, ..] => Some(TENSORFLOW),
        [0x0a, len, 0x0a, name, ..] if *len < 0x80 && name < len => Some(TENSORFLOW),
        _ if is_onnx(bytes) => {
            Some("is an ONNX file: `resnetc import FILE.onnx -o NET.resnet --weights-out WEIGHTS.safetensors` reads it")
        }
        _ => None,
    }
}

/// What a file is that is given as a source but is not one, as the rest of a sentence; `None` if it is unknown.
pub fn of_source(path: &Path) -> Option<&'static str> {
    const READ: u64 = 4096;
    let mut bytes = Vec::new();
    std::fs::File::open(path).ok()?.take(READ).read_to_end(&mut bytes).ok()?;
    if bytes.starts_with(b"resnet ") {
        return None; // a source that is too large or not entirely text
    }
    if is_zip(&bytes) || safetensors::is_magic(&bytes) || is_legacy(&bytes) {
        return Some("is a weight file or an archive, not a source (.resnet): pass weights with `--weights`");
    }
    of(&bytes)
}

/// Like [`of`], for a file that is given as an ONNX file; `None` if it may be one.
#[cfg(feature = "onnx")]
pub(super) fn of_model(bytes: &[u8]) -> Option<&'static str> {
    if is_zip(bytes) || safetensors::is_magic(bytes) || is_legacy(bytes) {
        return Some("is a weight file or an archive, not an ONNX file: pass weights with `--weights`");
    }
    match bytes {
        _ if is_onnx(bytes) => None,
        // what is said of these as weights is no help here
        _ if bytes.starts_with(NUMPY) => Some("is a NumPy array (.npy), not an ONNX file"),
        _ if bytes.starts_with(HDF5) => {
            Some("is an HDF5 file (.h5, as written by Keras), not an ONNX file: convert it first, for example with tf2onnx")
        }
        _ if bytes.starts_with(b"\x89PNG\r\n") || bytes.starts_with(b"\xff\xd8\xff") => Some("is an image, not an ONNX file"),
        _ if bytes.starts_with(b"resnet ") => Some("is a source file (.resnet) already: `resnetc check` checks it"),
        _ => of(bytes).map(|found| if found == TENSORFLOW { TENSORFLOW_MODEL } else { found }),
    }
}

/// Whether a file may be ONNX: it begins with the version of the format, followed by another field of a model.
fn is_onnx(bytes: &[u8]) -> bool {
    // producer, producer version, domain, model version, doc string, graph, opset imports, metadata
    matches!(bytes, [0x08, 0x01..=0x40, 0x12 | 0x1a | 0x22 | 0x28 | 0x32 | 0x3a | 0x42 | 0x72, ..])
}

/// What a zip archive with these entries is, if it is neither PyTorch's nor only contains arrays, as the rest of a sentence.
pub(super) fn of_zip<'n>(names: impl Iterator<Item = &'n str> + Clone) -> String {
    const WEIGHTS: [&str; 8] = [".safetensors", ".pth", ".pt", ".th", ".bin", ".ckpt", ".npz", ".onnx"];
    const SHOWN: usize = 100;
    let any = |end: &str| names.clone().any(|name| name.ends_with(end));
    if any("model.weights.h5") {
        return "is a Keras model (.keras), which is not supported: save its arrays under the network's names with \
                numpy.savez(\"weights.npz\", **arrays)"
            .to_owned();
    }
    // torch.export does not write a pickle at the top level
    if any("archive_format") || any("models/model.json") || any("serialized_exported_program.json") {
        return "is a torch.export program (.pt2), and programs are not run; save the state dict instead: \
                torch.save(torch.export.load(PATH).state_dict, NEW)"
            .to_owned();
    }
    let inner = names.clone().find(|name| WEIGHTS.iter().any(|end| name.to_ascii_lowercase().ends_with(end)));
    match inner.filter(|name| name.len() <= SHOWN) {
        Some(inner) => format!("is a zip archive that contains `{}`: unpack it first, and use that file", inner.escape_debug()),
        None => {
            "is a zip archive without `data.pkl`, so `torch.save` did not write it, and it is not a NumPy archive (.npz) either"
                .to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_other_kinds_are_identified_by_their_contents() {
        let mut tar = vec![0; 1024];
        tar[..5].copy_from_slice(b"a.npy");
        tar[257..262].copy_from_slice(b"ustar");
        let mut table = vec![0; 48];
        table[40..].copy_from_slice(&TABLE_END);
        for (bytes, words) in [
            (&b""[..], "is empty"),
            (b"RNXmodel\x10\0\0\0\0\0\0\0", "a compiled network (.rnx)"),
            (b"resnet 1\nnetwork a {}", "a source file (.resnet)"),
            (b"\x1f\x8b\x08\0", "gunzip"),
            (b"BZh91AY", "bunzip2"),
            (b"\xfd7zXZ\0", "unxz"),
            (b"\x28\xb5\x2f\xfd\0", "unzstd"),
            (&tar, "tar -xf"),
            (b"\x89HDF\r\n\x1a\n\0", "Keras"),
            (b"\x93NUMPY\x01\0", "single unnamed NumPy array"),
            (b"version https://git-lfs.github.com/spec/v1\noid", "git lfs pull"),
            (b"\n  <!DOCTYPE html>", "web page"),
            (b"\xef\xbb\xbf<HTML lang=en>", "web page"),
            (b"<?xml version=\"1.0\"?>", "XML"),
            (b"\x1c\0\0\0TFL3", "TensorFlow"),
            (b"\x08\x01\x12\x20", "TensorFlow"),
            (b"\x0a\x20\x0a\x05input\x12", "TensorFlow"),
            (&table, "TensorFlow"),
            // written by PyTorch, with a producer; by hand, with the graph or the opset imports right after the version
            (b"\x08\x08\x12\x07pytorch", "resnetc import"),
            (b"\x08\x0a\x3a\x20\x0a", "resnetc import"),
            (b"\x08\x07\x42\x04\x0a\0\x10\x0d", "resnetc import"),
        ] {
            let found = of(bytes).unwrap_or_else(|| panic!("{words}"));
            assert!(found.contains(words), "{words}: {found}");
        }
        for bytes in [&b"# Weights\n"[..], b"{\"a\": 1}", b"\x80\x02}.", &[0; 600]] {
            assert_eq!(of(bytes), None);
        }
    }

    #[cfg(feature = "onnx")]
    #[test]
    fn what_is_said_of_a_file_that_should_be_onnx_is_about_that() {
        for bytes in [&b"\x93NUMPY\x01\0"[..], b"\x89HDF\r\n\x1a\n\0", b"\x89PNG\r\n", b"\x1c\0\0\0TFL3"] {
            let found = of_model(bytes).unwrap();
            assert!(found.contains("not an ONNX file") && !found.contains("savez"), "{found}");
        }
        assert!(of_model(b"resnet 1\n").unwrap().contains("check"));
        assert_eq!(of_model(b"\x08\x08\x12\x07pytorch"), None);
    }

    #[test]
    fn zip_archives_are_identified_by_their_entries() {
        let of = |names: &[&str]| of_zip(names.iter().copied());
        assert!(of(&["config.json", "model.weights.h5"]).contains("Keras"));
        assert!(of(&["p/archive_format", "p/data/weights/weight_0"]).contains("torch.export"));
        assert!(of(&["README", "best/model.PTH"]).contains("contains `best/model.PTH`: unpack it first"));
        assert!(of(&["mimetype"]).contains("without `data.pkl`"));
        assert!(of(&[]).contains("without `data.pkl`"));
    }
}
