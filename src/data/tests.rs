//! Datasets of images end to end: found, opened, changed and read in batches.

use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::ir::{Augment, OnBroken, Shape};

/// A PNG whose red is `seed`, green the row, blue the column.
fn png(height: usize, width: usize, seed: u8) -> Vec<u8> {
    let picture = ::image::RgbImage::from_fn(width as u32, height as u32, |x, y| ::image::Rgb([seed, y as u8, x as u8]));
    let mut out = Cursor::new(Vec::new());
    picture.write_to(&mut out, ::image::ImageFormat::Png).unwrap();
    out.into_inner()
}

fn write(root: &Path, name: &str, bytes: &[u8]) {
    let path = root.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

fn folder(files: &[(&str, Vec<u8>)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    files.iter().for_each(|(name, bytes)| write(dir.path(), name, bytes));
    dir
}

/// A tar archive; names that end in `/` are folders.
fn archive(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut out = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_entry_type(if name.ends_with('/') { tar::EntryType::Directory } else { tar::EntryType::Regular });
        header.set_mode(0o644);
        out.append_data(&mut header, name, &bytes[..]).unwrap();
    }
    out.into_inner().unwrap()
}

fn opened(spec: &Path, split: Split) -> Result<Arc<dyn Dataset>, DataError> {
    open_dataset(&spec.display().to_string(), split, &DatasetOptions::default())
}

fn said(spec: &Path) -> String {
    opened(spec, Split::Train).err().map(|e| e.to_string()).unwrap_or_default()
}

fn red(dataset: &dyn Dataset, index: usize) -> u8 {
    let Sample::Pixels(pixels) = dataset.read(index).unwrap() else { panic!("an image") };
    pixels.data[0]
}

fn files() -> [(&'static str, Vec<u8>); 5] {
    [
        ("cat/b.png", png(4, 4, 20)),
        ("cat/a.PNG", png(4, 4, 10)),
        ("ant/x.png", png(4, 4, 30)),
        ("cat/notes.txt", b"no image".to_vec()),
        (".thumbs/cat.png", png(1, 1, 0)),
    ]
}

/// The same samples in the same order, whether in folders or in an archive with leading folders.
#[test]
fn folders_and_archives_are_alike() {
    let dir = folder(&files());
    let prefixed: Vec<(String, Vec<u8>)> = files().iter().rev().map(|(n, b)| (format!("./data/{n}"), b.clone())).collect();
    let prefixed: Vec<(&str, Vec<u8>)> = prefixed.iter().map(|(n, b)| (n.as_str(), b.clone())).collect();
    let all = [&[("data/", vec![]), ("data/cat/", vec![])], &prefixed[..]].concat();
    let beside = folder(&[("pictures.tar", archive(&all))]);
    for spec in [dir.path(), &beside.path().join("pictures.tar")] {
        let data = opened(spec, Split::Train).unwrap();
        assert_eq!((data.len(), data.classes()), (3, &["ant".to_owned(), "cat".to_owned()][..]));
        assert_eq!([0, 1, 2].map(|i| (data.label(i), red(&*data, i))), [(0, 30), (1, 10), (1, 20)]);
        // a second time from memory
        assert_eq!([0, 1, 2].map(|i| red(&*data, i)), [30, 10, 20]);
        assert!(data.name(1).ends_with("cat/a.PNG") && data.read(3).is_err());
        assert!(open_valid_part(&spec.display().to_string(), &DatasetOptions::default()).unwrap().is_none());
    }
}

#[test]
fn parts_are_found() {
    let parts = [("train/cat/1.png", png(2, 2, 1)), ("train/ant/1.png", png(2, 2, 2)), ("val/cat/1.png", png(2, 2, 3))];
    let as_folders = folder(&parts);
    let in_one = folder(&[("all.tar", archive(&parts))]);
    let as_archives = folder(&[("train.tar", archive(&parts[..2])), ("val.tar", archive(&parts[2..]))]);
    let specs = [as_folders.path().to_owned(), in_one.path().join("all.tar"), as_archives.path().to_owned()];
    for spec in specs {
        let text = spec.display().to_string();
        let train = opened(&spec, Split::Train).unwrap();
        assert_eq!((train.len(), red(&*train, 0)), (2, 2), "{text}");
        assert_eq!(red(&*opened(&spec, Split::Test).unwrap(), 0), 3);
        let test = open_valid_part(&text, &DatasetOptions::default()).unwrap().unwrap();
        assert_eq!(test.classes(), ["cat"]);
    }
    // of what was published so, only the part to train on
    let alone = folder(&[("train/cat/1.png", png(2, 2, 1)), ("train/ant/1.png", png(2, 2, 1))]);
    assert_eq!(opened(alone.path(), Split::Train).unwrap().len(), 2);
    let text = alone.path().display().to_string();
    assert!(open_valid_part(&text, &DatasetOptions::default()).unwrap().is_none());
    assert!(opened(alone.path(), Split::Test).err().unwrap().to_string().contains("none to measure on"));
    // a class of that name is no part
    let class = folder(&[("train/1.png", png(2, 2, 1)), ("bus/1.png", png(2, 2, 1))]);
    assert_eq!(opened(class.path(), Split::Train).unwrap().classes(), ["bus", "train"]);
}

#[test]
fn labels_decide_the_numbers_and_the_network_their_range() {
    let dir = folder(&files());
    let spec = dir.path().display().to_string();
    let labels = ["dog", "cat", "ant"].map(str::to_owned);
    let of = |labels, classes| open_dataset(&spec, Split::Train, &DatasetOptions { labels, classes, ..Default::default() });
    let data = of(&labels, Some(3)).unwrap();
    assert_eq!(([0, 1, 2].map(|i| data.label(i)), data.classes()), ([2, 1, 1], &labels[..]));
    assert!(of(&labels, Some(2)).err().unwrap().to_string().contains("label 2, and the network has 2 classes"));
    assert!(of(&[], Some(1)).err().unwrap().to_string().contains("2 class folders, and the network has 1 classes"));
    assert!(of(&labels[..2], None).err().unwrap().to_string().contains("`ant` is none of the labels"));
}

#[test]
fn what_is_no_dataset_is_told() {
    let empty_class = folder(&[("cat/1.png", png(2, 2, 1)), ("dog/notes.txt", vec![])]);
    assert!(said(empty_class.path()).contains("dog` holds no images"));
    assert!(said(folder(&[("notes.txt", vec![])]).path()).contains("has no folders"));
    assert!(said(Path::new("/nowhere")).contains("cannot read `/nowhere`"));
    let files = folder(&[
        ("x.npy", vec![]),
        ("x.csv", vec![]),
        ("x.tar.gz", vec![0x1f, 0x8b, 8]),
        ("empty.tar", archive(&[])),
        ("flat.tar", archive(&[("1.png", png(2, 2, 1))])),
        ("hole.tar", archive(&[("data/cat/1.png", png(2, 2, 1)), ("data/dog/", vec![])])),
        ("x.bin", vec![1; 100]),
    ]);
    let expected = [
        ("x.npy", "X.npy,Y.npy"),
        ("x.csv", "is no dataset that is known"),
        ("x.tar.gz", "decompress it first"),
        ("empty.tar", "holds no images"),
        ("flat.tar", "has no folders"),
        ("hole.tar", "hole.tar/data/dog` holds no images"),
        ("x.bin", "is cut off or no file of CIFAR's"),
        ("x.npy,none.npy", "x.npy"),
    ];
    for (name, words) in expected {
        let message = said(&files.path().join(name));
        assert!(message.contains(words), "{name}: {message}");
    }
}

#[test]
fn an_archive_that_is_cut_anywhere_is_an_error() {
    let whole = archive(&[("cat/1.png", png(2, 2, 1)), ("dog/a-long-name/1.png", png(2, 2, 2))]);
    // an archive ends with two blocks of zeros, of which one is enough
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cut.tar");
    for len in (0..=whole.len() - 1024).step_by(41).chain([512, 1024, 2048, whole.len() - 1024]) {
        std::fs::write(&path, &whole[..len]).unwrap();
        assert!(opened(&path, Split::Train).is_err(), "cut to {len} of {}", whole.len());
    }
    std::fs::write(&path, &whole).unwrap();
    assert_eq!(opened(&path, Split::Train).unwrap().len(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Damaged headers: an error, or samples that can be asked for.
    #[test]
    fn a_damaged_archive_neither_panics_nor_reads_elsewhere(changes in prop::collection::vec((0usize..4608, any::<u8>()), 1..12)) {
        let mut bytes = archive(&[("cat/1.png", png(2, 2, 1)), ("dog/1.png", png(2, 2, 2))]);
        for (at, value) in changes {
            let at = at % bytes.len();
            bytes[at] = value;
            // the header's checksum is made good, so that what it guards is reached
            if let Some(header) = bytes.get_mut(at / 512 * 512..at / 512 * 512 + 512) {
                let sum: u32 = header.iter().enumerate().map(|(i, &b)| if (148..156).contains(&i) { 32 } else { u32::from(b) }).sum();
                if header[257..262] == *b"ustar" && !(148..156).contains(&(at % 512)) {
                    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
                }
            }
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("damaged.tar");
        std::fs::write(&path, bytes).unwrap();
        if let Ok(data) = opened(&path, Split::Train) {
            for index in 0..data.len() {
                let _ = (data.size(index), data.read(index), data.name(index));
            }
        }
    }
}

fn transform(dataset: &dyn Dataset, augment: &[Augment]) -> Result<Transform, DataError> {
    Transform::new(dataset, &Shape::fixed(&[3, 4, 4]), None, augment)
}

/// The "images of wrong size": told before the first step, unless something resizes them.
#[test]
fn a_picture_of_another_size_is_told_before_the_first_step() {
    let mut files = files().to_vec();
    files.push(("cat/c.png", png(4, 5, 1)));
    let dir = folder(&files);
    let data = opened(dir.path(), Split::Train).unwrap();
    let pad = [Augment::PadCrop { pad: 1, crop: [4, 4] }];
    for augment in [&pad[..], &[]] {
        let error = transform(&*data, augment).unwrap().hold(&*data, false, 2).unwrap_err().to_string();
        assert!(error.contains("cat/c.png` is 4 x 5 pixels, and the network reads 4 x 4"), "{error}");
    }
    let draw = [Augment::RandomResizedCrop { size: [4, 4], scale: [0.5, 1.0], ratio: [1.0, 1.0] }];
    assert!(transform(&*data, &draw).unwrap().hold(&*data, false, 2).is_ok());
    write(dir.path(), "cat/c.png", b"not one");
    assert!(transform(&*data, &pad).unwrap().hold(&*data, true, 2).is_ok());
    assert!(
        transform(&*data, &pad).unwrap().hold(&*data, false, 2).unwrap_err().to_string().contains("neither a JPEG nor a PNG")
    );
}

#[test]
fn a_broken_picture_is_named_and_left_out_or_fatal() {
    let mut files = files().to_vec();
    let broken = png(4, 4, 1);
    files.push(("cat/c.png", broken[..broken.len() / 2].to_vec()));
    let dir = folder(&files);
    let data = opened(dir.path(), Split::Train).unwrap();
    let batches = |broken| {
        let options = LoaderOptions { batch: 4, seed: 0, shuffle: false, broken, workers: 1 };
        let mut loader = Loader::new(Arc::clone(&data), transform(&*data, &[]).unwrap(), options);
        loader.start(0, 0);
        loader.collect::<Result<Vec<Samples>, DataError>>()
    };
    let read = batches(OnBroken::Skip).unwrap();
    assert_eq!((read.len(), &read[0].labels[..], read[0].values.len()), (1, &[0, 1, 1][..], 3 * 48));
    assert!(read[0].broken[0].contains("cat/c.png"), "{:?}", read[0].broken);
    assert!(batches(OnBroken::Fatal).unwrap_err().to_string().contains("cat/c.png` is damaged"));
}
