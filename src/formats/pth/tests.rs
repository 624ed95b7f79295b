use std::io::Write;

use zip::write::SimpleFileOptions;

use super::super::safetensors;
use super::*;

fn fixture(name: &str) -> Bytes {
    Bytes::map(Path::new(&format!("tests/fixtures/{name}"))).unwrap()
}

fn parse(bytes: impl Into<Bytes>) -> Result<Tensors, WeightsError> {
    read(Path::new("w.pth"), &bytes.into())
}

fn archive(entries: &[(&str, &[u8])], method: zip::CompressionMethod) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, data) in entries {
        zip.start_file(*name, SimpleFileOptions::default().compression_method(method)).unwrap();
        zip.write_all(data).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn stored(pickle: &[u8], data: &[u8]) -> Vec<u8> {
    archive(&[("a/data.pkl", pickle), ("a/data/0", data)], zip::CompressionMethod::Stored)
}

/// A pickle of `{"w": tensor}` over storage 0 of float32.
fn one_tensor(storage: u8, offset: u8, shape: &[u8], strides: &[u8]) -> Vec<u8> {
    let ints = |list: &[u8]| [b"(".to_vec(), list.iter().flat_map(|&n| [b'K', n]).collect(), b"t".to_vec()].concat();
    let mut out = b"\x80\x02}X\x01\0\0\0wctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nFloatStorage\n".to_vec();
    out.extend_from_slice(b"X\x01\0\0\x000X\x03\0\0\0cpu");
    out.extend_from_slice(&[b'K', storage, b't', b'Q', b'K', offset]);
    out.extend(ints(shape));
    out.extend(ints(strides));
    out.extend_from_slice(b"\x89NtRs.");
    out
}

fn floats(values: impl IntoIterator<Item = u8>) -> Vec<u8> {
    values.into_iter().flat_map(|v| f32::from(v).to_le_bytes()).collect()
}

#[test]
fn torchs_file_holds_what_the_safetensors_file_holds() {
    let expected = safetensors::read(Path::new("t"), &fixture("tiny.safetensors")).unwrap();
    for (name, prefix) in [("tiny.pth", ""), ("tiny-module.pth", "module.")] {
        let tensors = parse(fixture(name)).unwrap();
        let mut seen = 0;
        for (name, tensor) in tensors.iter() {
            let plain = name.strip_prefix(prefix).unwrap();
            if plain.ends_with("num_batches_tracked") {
                assert_eq!((tensor.shape(), &*tensor.to_f32()), (&[][..], &[7.0][..]));
                continue;
            }
            seen += 1;
            let other = expected.get(plain).unwrap();
            assert_eq!((tensor.shape(), tensor.to_f32()), (other.shape(), other.to_f32()), "{name}");
        }
        assert_eq!(seen, expected.len());
    }
}

#[test]
fn a_call_is_refused_by_name() {
    let error = parse(fixture("malicious.pth")).unwrap_err();
    assert!(matches!(&error, WeightsError::Refused { global, .. } if global == "posix.system"), "{error}");
    // the same with the name taken from the stack (protocol 4), and by the old instruction INST
    for program in
        [&b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R."[..], b"\x80\x02(X\x04\0\0\0trueiposix\nsystem\n."]
    {
        let error = parse(stored(program, b"")).unwrap_err();
        assert!(matches!(&error, WeightsError::Refused { global, .. } if global == "posix.system"), "{error}");
    }
}

#[test]
fn strides_are_honoured() {
    let data = floats(0..6);
    let values = |shape: &[u8], strides: &[u8], offset| {
        parse(stored(&one_tensor(6, offset, shape, strides), &data)).map(|t| t.get("w").unwrap().to_f32().into_owned())
    };
    assert_eq!(values(&[2, 3], &[3, 1], 0).unwrap(), [0., 1., 2., 3., 4., 5.]);
    assert_eq!(values(&[3, 2], &[1, 3], 0).unwrap(), [0., 3., 1., 4., 2., 5.]);
    assert_eq!(values(&[2], &[2], 1).unwrap(), [1., 3.]);
    assert_eq!(values(&[1, 2], &[77, 1], 4).unwrap(), [4., 5.]);
    assert_eq!(values(&[4], &[0], 5).unwrap(), [5.; 4]);
    assert!(values(&[0, 3], &[3, 1], 6).unwrap().is_empty());
    assert_eq!(values(&[], &[], 2).unwrap(), [2.]);
    for (shape, strides, offset) in
        [(&[7][..], &[1][..], 0), (&[2], &[1], 5), (&[2, 2], &[4, 2], 0), (&[2, 3], &[1], 0), (&[255; 17], &[1; 17], 0)]
    {
        assert!(values(shape, strides, offset).is_err(), "{shape:?} {strides:?} {offset}");
    }
    // every product overflows somewhere
    assert!(values(&[255; 16], &[255; 16], 255).is_err());
}

#[test]
fn a_storage_of_another_length_is_refused() {
    assert!(parse(stored(&one_tensor(6, 0, &[6], &[1]), &floats(0..5))).is_err());
    assert!(parse(stored(&one_tensor(6, 0, &[6], &[1]), &floats(0..7))).is_err());
}

#[test]
fn deflated_entries_are_read_and_bombs_are_not() {
    let deflated =
        |pickle: &[u8], data: &[u8]| archive(&[("a/data.pkl", pickle), ("a/data/0", data)], zip::CompressionMethod::Deflated);
    let tensors = parse(deflated(&one_tensor(6, 0, &[6], &[1]), &floats(0..6))).unwrap();
    assert_eq!(*tensors.get("w").unwrap().to_f32(), [0., 1., 2., 3., 4., 5.]);
    let mut pickle = one_tensor(0, 0, &[1], &[1]);
    let at = pickle.windows(4).position(|w| w == [b'K', 0, b't', b'Q']).unwrap();
    pickle.splice(at..at + 2, [b"J".to_vec(), (10u32 << 20).to_le_bytes().to_vec()].concat());
    let bomb = deflated(&pickle, &vec![0; 40 << 20]);
    assert!(bomb.len() < 1 << 20);
    assert!(parse(bomb).unwrap_err().to_string().contains("far more than its own size"));
}

#[test]
fn hostile_pickles_end() {
    let run = |program: &[u8]| parse(stored(program, b"")).map(|t| t.len());
    let nest = [&b"\x80\x02)"[..], &vec![0x85; 1 << 20], b"."].concat();
    assert!(run(&nest).is_err());
    let endless = [&b"\x80\x02"[..], &vec![b'N'; 5 << 20], b"."].concat();
    assert!(run(&endless).unwrap_err().to_string().contains("instructions"));
    // a dictionary that holds itself under the wrapper's name
    let cycle = b"\x80\x02}q\0X\x05\0\0\0modelh\0s.";
    assert!(run(cycle).unwrap_err().to_string().contains("wraps"));
    assert!(run(b"\x80\x02}.").unwrap_err().to_string().contains("empty"));
    for program in [&b""[..], b".", b"\x80\x02u.", b"\x80\x02(.", b"\x80\x02h\0.", b"\x80\x02X\xff\xff\xff\xffa.", b"\x80\x09N."]
    {
        assert!(run(program).is_err(), "{program:?}");
    }
}

#[test]
fn archives_of_another_kind_are_named() {
    let other = archive(&[("mimetype", b"x")], zip::CompressionMethod::Stored);
    assert!(parse(other).unwrap_err().to_string().contains("data.pkl"));
    let script = archive(&[("a/data.pkl", b"x"), ("a/constants.pkl", b"x")], zip::CompressionMethod::Stored);
    assert!(parse(script).unwrap_err().to_string().contains("TorchScript"));
    assert!(is_legacy(&fixture("stem-legacy.pth")) && !is_zip(&fixture("stem-legacy.pth")));
    let pickled = b"\x80\x02}X\x01\0\0\0aK\x01s.".to_vec();
    assert!(parse(pickled).unwrap_err().to_string().contains("none that `torch.save` wrote"));
}

#[test]
fn the_form_before_version_1_6_holds_the_same() {
    let expected = safetensors::read(Path::new("t"), &fixture("tiny.safetensors")).unwrap();
    let tensors = parse(fixture("stem-legacy.pth")).unwrap();
    assert_eq!(tensors.len(), 6);
    for (name, tensor) in tensors.iter().filter(|(name, _)| !name.ends_with("num_batches_tracked")) {
        let other = expected.get(name).unwrap();
        assert_eq!((tensor.shape(), tensor.to_f32()), (other.shape(), other.to_f32()), "{name}");
    }
    let whole = fixture("stem-legacy.pth");
    for len in 0..whole.len() {
        assert!(parse(whole.slice(0..len).unwrap()).is_err(), "cut to {len}");
    }
    for at in 0..whole.len() {
        for flip in [1u8, 0x80, 0xff] {
            let mut bytes = whole.to_vec();
            bytes[at] ^= flip;
            if let Ok(tensors) = parse(bytes) {
                assert!(tensors.iter().all(|(_, t)| t.to_f32().len() == t.shape().iter().product::<usize>()), "byte {at}");
            }
        }
    }
}

/// As [`one_tensor`], in the form before version 1.6: what a storage is a view of stands behind its length.
fn legacy(view: &[u8], little: u8, key: u8, len: u64, data: &[u8]) -> Vec<u8> {
    let mut out = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.".to_vec();
    out.extend_from_slice(b"\x80\x02}X\x0d\0\0\0little_endian");
    out.extend_from_slice(&[little, b's', b'.']);
    out.extend_from_slice(b"\x80\x02}X\x01\0\0\0wctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nFloatStorage\n");
    out.extend_from_slice(b"X\x01\0\0\x000X\x03\0\0\0cpuK\x06");
    out.extend_from_slice(view);
    out.extend_from_slice(b"tQK\0(K\x02K\x03t(K\x03K\x01t\x89NtRs.\x80\x02](X\x01\0\0\0");
    out.extend_from_slice(&[key, b'e', b'.']);
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(data);
    out
}

#[test]
fn storages_of_the_old_form_are_held_to_what_is_said_of_them() {
    let data = floats(0..6);
    let tensors = parse(legacy(b"N", 0x88, b'0', 6, &data)).unwrap();
    assert_eq!(&*tensors.get("w").unwrap().to_f32(), &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    let said = |bytes: Vec<u8>| parse(bytes).unwrap_err().to_string();
    assert!(said(legacy(b"K\x01", 0x88, b'0', 6, &data)).contains("views of others"));
    assert!(said(legacy(b"N", 0x89, b'0', 6, &data)).contains("big-endian"));
    assert!(said(legacy(b"N", 0x88, b'1', 6, &data)).contains("which no tensor has"));
    for len in [5, 7, u64::MAX] {
        assert!(said(legacy(b"N", 0x88, b'0', len, &data)).contains("another length"));
    }
    assert!(said(legacy(b"N", 0x88, b'0', 6, &data[1..])).contains("cut off"));
    let refused =
        b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}.\x80\x02cposix\nsystem\n.";
    assert!(matches!(parse(refused.to_vec()).unwrap_err(), WeightsError::Refused { global, .. } if global == "posix.system"));
}

#[test]
fn every_truncation_is_an_error() {
    let whole = fixture("tiny.pth");
    for len in 0..whole.len() {
        assert!(parse(whole.slice(0..len).unwrap()).is_err(), "cut to {len}");
    }
}

#[test]
fn every_flipped_byte_is_an_error_or_leaves_tensors_whole() {
    let whole = stored(&one_tensor(6, 0, &[2, 3], &[3, 1]), &floats(0..6));
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << bit;
            // the values themselves carry no meaning that could be checked; names of entries and times can change harmlessly
            if let Ok(tensors) = parse(bytes) {
                for (_, tensor) in tensors.iter() {
                    assert_eq!(tensor.to_f32().len(), 6, "byte {at}");
                }
            }
        }
    }
    let whole = fixture("tiny.pth");
    for at in 0..whole.len() {
        let mut bytes = whole.to_vec();
        bytes[at] ^= 0xff;
        if let Ok(tensors) = parse(bytes) {
            assert!(tensors.iter().all(|(_, t)| t.to_f32().len() == t.shape().iter().product::<usize>()), "byte {at}");
        }
    }
}
