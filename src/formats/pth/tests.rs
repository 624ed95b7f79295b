use std::io::Write;

use zip::write::SimpleFileOptions;

use super::super::safetensors;
use super::super::zip_archive::is_zip;
use super::*;

fn fixture(name: &str) -> Bytes {
    Bytes::map(Path::new(&format!("tests/fixtures/{name}"))).unwrap()
}

fn parse(bytes: impl Into<Bytes>) -> Result<Tensors, WeightsError> {
    read(Path::new("w.pth"), &bytes.into(), None)
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
fn pytorchs_file_matches_the_safetensors_file() {
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
fn a_call_is_an_error_that_names_it() {
    let error = parse(fixture("malicious.pth")).unwrap_err();
    assert!(matches!(&error, WeightsError::Refused { global, .. } if global == "posix.system"), "{error}");
    // also with the name on the stack (protocol 4), and with the old instruction INST
    for program in
        [&b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R."[..], b"\x80\x02(X\x04\0\0\0trueiposix\nsystem\n."]
    {
        let error = parse(stored(program, b"")).unwrap_err();
        assert!(matches!(&error, WeightsError::Refused { global, .. } if global == "posix.system"), "{error}");
    }
}

#[test]
fn strides_are_respected() {
    let data = floats(0..6);
    let values = |shape: &[u8], strides: &[u8], offset| {
        parse(stored(&one_tensor(6, offset, shape, strides), &data)).map(|t| t.get("w").unwrap().to_f32().into_owned())
    };
    assert_eq!(values(&[2, 3], &[3, 1], 0).unwrap(), [0., 1., 2., 3., 4., 5.]);
    assert_eq!(values(&[3, 2], &[1, 3], 0).unwrap(), [0., 3., 1., 4., 2., 5.]);
    assert_eq!(values(&[2], &[2], 1).unwrap(), [1., 3.]);
    assert_eq!(values(&[1, 2], &[77, 1], 4).unwrap(), [4., 5.]);
    assert_eq!(values(&[4], &[0], 5).unwrap(), [5.; 4]);
    // views with more elements than their storage: repeated elements and overlapping windows
    assert_eq!(values(&[9], &[0], 1).unwrap(), [1.; 9]);
    assert_eq!(values(&[2, 6], &[0, 1], 0).unwrap(), [0., 1., 2., 3., 4., 5., 0., 1., 2., 3., 4., 5.]);
    assert_eq!(values(&[3, 4], &[1, 0], 3).unwrap(), [3., 3., 3., 3., 4., 4., 4., 4., 5., 5., 5., 5.]);
    assert_eq!(values(&[3, 4], &[1, 1], 0).unwrap(), [0., 1., 2., 3., 1., 2., 3., 4., 2., 3., 4., 5.]);
    assert!(values(&[3, 5], &[1, 1], 0).is_err());
    assert!(values(&[0, 3], &[3, 1], 6).unwrap().is_empty());
    assert_eq!(values(&[], &[], 2).unwrap(), [2.]);
    for (shape, strides, offset) in
        [(&[7][..], &[1][..], 0), (&[2], &[1], 5), (&[2, 2], &[4, 2], 0), (&[2, 3], &[1], 0), (&[255; 17], &[1; 17], 0)]
    {
        assert!(values(shape, strides, offset).is_err(), "{shape:?} {strides:?} {offset}");
    }
    // 10^12 elements are an error before memory is allocated
    let message = values(&[250; 5], &[0; 5], 0).unwrap_err().to_string();
    assert!(
        message.contains("`w`") && message.contains("over 6 stored elements") && message.contains("contiguous()"),
        "{message}"
    );
    assert!(values(&[250; 12], &[0; 12], 0).unwrap_err().to_string().contains("overflows"));
    // every product overflows
    assert!(values(&[255; 16], &[255; 16], 255).is_err());
}

/// An archive like those of `torch.save`: stored entries followed by their sizes, values aligned to 64 bytes, and always a zip64 end record.
fn as_torch_saves(stem: &str, entries: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    let numbers = |list: &[(u64, usize)]| list.iter().flat_map(|&(n, len)| n.to_le_bytes()[..len].to_vec()).collect::<Vec<u8>>();
    for (name, data) in entries {
        let (name, at) = (format!("{stem}/{name}"), out.len());
        let (crc, len, written) = (u64::from(crc32fast::hash(data)), data.len() as u64, name.len() as u64);
        let pad = 63 - (at + 30 + name.len() + 4 + 63) % 64;
        out.extend(b"PK\x03\x04");
        out.extend(numbers(&[(0, 2), (0x808, 2)]));
        out.extend([0; 18]);
        out.extend(numbers(&[(written, 2), (4 + pad as u64, 2)]));
        out.extend(name.as_bytes());
        out.extend(b"FB");
        out.extend(numbers(&[(pad as u64, 2)]));
        out.extend(vec![b'Z'; pad]);
        out.extend(*data);
        out.extend(b"PK\x07\x08");
        out.extend(numbers(&[(crc, 4), (len, 4), (len, 4)]));
        directory.extend(b"PK\x01\x02");
        directory.extend(numbers(&[(0, 2), (0, 2), (0x808, 2), (0, 2), (0, 4), (crc, 4), (len, 4), (len, 4), (written, 2)]));
        directory.extend([0; 12]);
        directory.extend(numbers(&[(at as u64, 4)]));
        directory.extend(name.as_bytes());
    }
    let (start, len, count) = (out.len() as u64, directory.len() as u64, entries.len() as u64);
    out.extend(directory);
    let end = out.len() as u64;
    out.extend(b"PK\x06\x06");
    out.extend(numbers(&[(44, 8), (798, 2), (45, 2), (0, 4), (0, 4), (count, 8), (count, 8), (len, 8), (start, 8)]));
    out.extend(b"PK\x06\x07");
    out.extend(numbers(&[(0, 4), (end, 8), (1, 4)]));
    out.extend(b"PK\x05\x06");
    out.extend(numbers(&[(0, 2), (0, 2), (count, 2), (count, 2), (len, 4), (start, 4), (0, 2)]));
    out
}

#[test]
fn stems_of_every_length_are_read() {
    // at 21, the first entry of the directory is as long as the zip64 end record with its locator
    for len in 1..=300 {
        let (pickle, data) = (one_tensor(6, 0, &[2, 3], &[3, 1]), floats(0..6));
        let entries: [(&str, &[u8]); 5] =
            [("data.pkl", &pickle), (".format_version", b"1"), ("byteorder", b"little"), ("data/0", &data), ("version", b"3\n")];
        let bytes = as_torch_saves(&"s".repeat(len), &entries);
        let tensors = parse(bytes.clone()).unwrap_or_else(|error| panic!("a stem of {len}: {error}"));
        assert_eq!(*tensors.get("w").unwrap().to_f32(), [0., 1., 2., 3., 4., 5.], "{len}");
        if len == 21 {
            for cut in 0..bytes.len() {
                assert!(parse(bytes[..cut].to_vec()).is_err(), "cut to {cut}");
            }
        }
    }
    // a file written by PyTorch
    assert_eq!(parse(fixture("checkpoint_best_model.pth")).unwrap().len(), 1);
}

/// A pickle of `{"w": tensor, "x": value}`.
fn with_value(value: &[u8]) -> Vec<u8> {
    let mut out = one_tensor(6, 0, &[6], &[1]);
    out.truncate(out.len() - 1);
    out.extend(b"X\x01\0\0\0x");
    out.extend(value);
    out.extend(b"s.");
    out
}

#[test]
fn plain_values_next_to_the_weights_are_ignored() {
    let read = |value: &[u8]| parse(stored(&with_value(value), &floats(0..6)));
    let mut complex = b"c__builtin__\ncomplex\nG".to_vec();
    complex.extend([0; 8]);
    complex.push(b'G');
    complex.extend([0; 8]);
    complex.extend(b"\x86R");
    let values: [&[u8]; 28] = [
        b"ccollections\nCounter\n}K\x1eK\x01s\x85R",
        b"ccollections\nCounter\n)RK\x1eK\x01s",
        b"ccollections\nCounter\n}\x85R(K\x1eK\x01K\x3cK\x02u",
        b"ccollections\ndefaultdict\nc__builtin__\nlist\n\x85RX\x01\0\0\0a]s",
        b"ccollections\ndefaultdict\nc__builtin__\nlong\n\x85R",
        b"ccollections\ndefaultdict\n)R",
        b"ccollections\nOrderedDict\n)R}b",
        b"c__builtin__\nset\n](K\x01K\x02e\x85R",
        b"cbuiltins\nset\n](K\x01K\x02e\x85R",
        b"c__builtin__\nfrozenset\n]\x85R",
        b"\x8f(K\x01K\x02\x90",
        b"(K\x01K\x02\x91",
        b"c_codecs\nencode\nX\x03\0\0\0abcX\x06\0\0\0latin1\x86R",
        b"c__builtin__\nbytes\n)R",
        b"C\x02ab",
        b"c__builtin__\nbytearray\nX\x01\0\0\0aX\x07\0\0\0latin-1\x86R",
        b"\x96\x02\0\0\0\0\0\0\0ab",
        &complex,
        b"ctorch\nfloat32\n",
        b"ctorch\nbfloat16\n",
        b"ctorch\nfloat8_e4m3fn\n",
        b"ctorch\ncomplex64\n",
        b"ctorch\nquint4x2\n",
        b"ctorch\nper_tensor_affine\n",
        b"ctorch.serialization\n_get_layout\nX\x0d\0\0\0torch.strided\x85R",
        b"ctorch\nSize\n(K\x01K\x02t\x85R",
        b"ctorch\ndevice\nX\x03\0\0\0cpu\x85R",
        b"U\x02\xff\xfe",
    ];
    for value in values {
        let tensors = read(value).unwrap_or_else(|error| panic!("{}: {error}", value.escape_ascii()));
        assert_eq!((tensors.len(), tensors.unread().count()), (1, 0), "{}", value.escape_ascii());
    }
    // names that run commands or code are still errors
    for name in ["posix\nsystem", "__builtin__\neval", "builtins\nexec", "subprocess\nPopen", "os.path\nx"] {
        let value = format!("c{name}\n");
        assert!(matches!(read(value.as_bytes()), Err(WeightsError::Refused { .. })), "{name}");
    }
}

#[test]
fn objects_of_unknown_classes_are_placeholders() {
    let read = |value: &[u8]| parse(stored(&with_value(value), &floats(0..6))).map(|tensors| tensors.unread().count());
    let text = |text: &str| [&b"X"[..], &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat();
    // classes and functions, which are no objects
    for name in ["builtins\ngetattr", "torch\nload", "torch\nfloatX", "numpy\nscalar", "a.b\nC"] {
        assert_eq!(read(format!("c{name}\n").as_bytes()).unwrap(), 0, "{name}");
    }
    let attribute = [&b"cbuiltins\ngetattr\ncproject\nOuter\n"[..], &text("Inner"), b"\x86R"].concat();
    for value in [
        &b"cargparse\nNamespace\n)\x81}X\x02\0\0\0lrK\x01sb"[..],
        b"cpathlib\nPosixPath\nX\x01\0\0\0a\x85R",
        b"cnumpy.core.multiarray\nscalar\ncnumpy\ndtype\nX\x02\0\0\0f8\x89\x88\x87RC\x08abcdefgh\x86R",
        b"cproject\nPhase\nK\x01\x85R",
        // with keyword arguments, as protocol 4 writes them
        b"cproject\nPoint\n)}\x92",
        // lists and state of any kind
        b"cproject\nList\n)\x81(K\x01K\x02eNb",
        // the object that a name with arguments of its own would make (a nested enum), and calling its result
        &attribute,
        &[&attribute[..], b"K\x01\x85R"].concat(),
        b"(K\x01iproject\nOld\n",
    ] {
        let count = read(value).unwrap_or_else(|error| panic!("{}: {error}", value.escape_ascii()));
        assert_eq!(count, 1, "{}", value.escape_ascii());
    }
    // dictionaries of other classes are dictionaries
    assert_eq!(read(b"cproject\nBox\n)\x81K\x01K\x02s").unwrap(), 0);
    let wrapped = |class: &[u8]| {
        let mut inner = one_tensor(6, 0, &[6], &[1]).split_off(3);
        inner.pop();
        parse(stored(&[b"\x80\x02", class, &inner, b"."].concat(), &floats(0..6))).map(|tensors| tensors.len())
    };
    assert_eq!(wrapped(b"cproject\nState\n)R").unwrap(), 1);
    assert_eq!(wrapped(b"cproject\nState\n)\x81").unwrap(), 1);
    // one that stands where the network needs a tensor is named
    let tensors = parse(stored(&with_value(b"cproject\nWeight\n)\x81"), &floats(0..6))).unwrap();
    let expected = Unread { contents: "an object of the class `project.Weight`".to_owned(), is_tensor: false };
    assert_eq!(tensors.unread().collect::<Vec<_>>(), [("x", &expected)]);
    // a number cannot be called, even with placeholders around it
    assert!(read(b"K\x01)R").is_err() && read(b"cproject\nA\n)R]\x86R").is_err());
}

#[test]
fn tensors_of_other_kinds_are_listed_and_the_rest_is_read() {
    let unread = |value: &[u8]| {
        let tensors = parse(stored(&with_value(value), &floats(0..6))).unwrap();
        assert_eq!(tensors.len(), 1);
        tensors.unread().map(|(name, unread)| (name.to_owned(), unread.clone())).collect::<Vec<_>>()
    };
    let complex =
        b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nComplexFloatStorage\nX\x01\0\0\x001X\x03\0\0\0cpu\
                    K\x01tQK\0(K\x01t(K\x01t\x89NtR";
    for (value, contents) in [
        (&complex[..], "complex numbers"),
        (b"ctorch._utils\n_rebuild_sparse_tensor\n)R", "a sparse tensor"),
        (b"ctorch._utils\n_rebuild_qtensor\n)R", "quantized values"),
        (b"ctorch._utils\n_rebuild_tensor_v3\n)R", "elements of an unsupported type"),
    ] {
        let expected = Unread { contents: contents.to_owned(), is_tensor: true };
        assert_eq!(unread(value), [("x".to_owned(), expected)]);
    }
}

#[test]
fn views_are_read() {
    let tensors = parse(fixture("views.pth")).unwrap();
    let values = |name: &str| tensors.get(name).unwrap().to_f32().into_owned();
    assert_eq!(values("expanded"), [2.; 4]);
    assert_eq!(values("broadcast"), [0., 0., 0., 0., 1., 1., 1., 1., 2., 2., 2., 2.]);
    assert_eq!(values("transposed"), [0., 3., 1., 4., 2., 5.]);
    assert_eq!(values("sliced"), [8., 9., 10., 14., 15., 16.]);
    assert_eq!(values("strided"), [1., 4., 7.]);
    assert_eq!(values("windows"), [0., 1., 2., 3., 2., 3., 4., 5., 4., 5., 6., 7.]);
    assert_eq!(values("diagonal"), [0., 4., 8.]);
    assert_eq!(values("channels_last"), (0..24).map(|i| i as f32).collect::<Vec<_>>());
    assert_eq!(tensors.len(), 8);
    let unread: Vec<&str> = tensors.unread().map(|(name, _)| name).collect();
    assert_eq!(unread, ["complex", "float8", "negated", "sparse"]);
}

#[test]
fn a_storage_of_the_wrong_length_is_an_error() {
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
    // a dictionary that contains itself under the key of a wrapper
    let cycle = b"\x80\x02}q\0X\x05\0\0\0modelh\0s.";
    assert!(run(cycle).unwrap_err().to_string().contains("no state dict"));
    assert!(run(b"\x80\x02}.").unwrap_err().to_string().contains("empty"));
    // an object whose state is itself, and a module that is its own child
    assert!(run(b"\x80\x02ca\nB\n)\x81q\0h\0b.").unwrap_err().to_string().contains("the class `a.B`"));
    let own = b"\x80\x02ca\nB\n)\x81q\0}X\x08\0\0\0_modules}X\x01\0\0\0ah\0ssb.";
    assert!(run(own).unwrap_err().to_string().contains("has a module of more than"));
    // a module with twice the same child, 60 deep
    let mut tree = b"\x80\x02ca\nB\n)\x81}X\x0b\0\0\0_parameters}sb".to_vec();
    for _ in 0..60 {
        tree.extend(b"q\x01ca\nB\n)\x81}X\x08\0\0\0_modules}(X\x01\0\0\0ah\x01X\x01\0\0\0bh\x01usb");
    }
    tree.push(b'.');
    assert!(run(&tree).unwrap_err().to_string().contains("has a module of more than"));
    // a dictionary that is under two keys of each of 60 dictionaries
    let mut shared = b"\x80\x02}".to_vec();
    for _ in 0..60 {
        shared.extend(b"q\x01}(X\x01\0\0\0ah\x01X\x01\0\0\0bh\x01u");
    }
    shared.push(b'.');
    assert!(run(&shared).unwrap_err().to_string().contains("no state dict"));
    // one list of a thousand pairs, copied again and again
    let mut copies = b"\x80\x02ccollections\nOrderedDict\nq\0]q\x01(".to_vec();
    copies.extend(b"NN\x86".repeat(1000));
    copies.extend(b"e0");
    copies.extend(b"h\0h\x01\x85R0".repeat(5000));
    copies.extend(b"}.");
    assert!(run(&copies).unwrap_err().to_string().contains("copies more than"));
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
    assert!(parse(pickled).unwrap_err().to_string().contains("not one written by `torch.save`"));
}

#[test]
fn the_format_before_version_1_6_is_read() {
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

/// Like [`one_tensor`], in the format before version 1.6, where the view of a storage follows its length.
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
fn storages_of_the_legacy_format_must_match_their_descriptions() {
    let data = floats(0..6);
    let tensors = parse(legacy(b"N", 0x88, b'0', 6, &data)).unwrap();
    assert_eq!(&*tensors.get("w").unwrap().to_f32(), &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    let message = |bytes: Vec<u8>| parse(bytes).unwrap_err().to_string();
    assert!(message(legacy(b"K\x01", 0x88, b'0', 6, &data)).contains("views of others"));
    assert!(message(legacy(b"N", 0x89, b'0', 6, &data)).contains("big-endian"));
    assert!(message(legacy(b"N", 0x88, b'1', 6, &data)).contains("which no tensor uses"));
    for len in [5, 7, u64::MAX] {
        assert!(message(legacy(b"N", 0x88, b'0', len, &data)).contains("does not match its tensors"));
    }
    assert!(message(legacy(b"N", 0x88, b'0', 6, &data[1..])).contains("truncated"));
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
            // values cannot be checked, and names and times of entries may change harmlessly
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
