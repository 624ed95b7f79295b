//! Image datasets end to end: detected, opened, augmented and read in batches.

use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::ir::{Augment, OnError, Shape};

/// A PNG with `seed` as red, the row as green, and the column as blue.
fn png(height: usize, width: usize, seed: u8) -> Vec<u8> {
    let image = ::image::RgbImage::from_fn(width as u32, height as u32, |x, y| ::image::Rgb([seed, y as u8, x as u8]));
    let mut out = Cursor::new(Vec::new());
    image.write_to(&mut out, ::image::ImageFormat::Png).unwrap();
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

/// A tar archive. Names that end in `/` are folders.
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

fn message(spec: &Path) -> String {
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
        ("cat/notes.txt", b"not an image".to_vec()),
        (".thumbs/cat.png", png(1, 1, 0)),
    ]
}

/// Samples and their order are the same for folders and for an archive with leading folders.
#[test]
fn folders_and_archives_are_alike() {
    let dir = folder(&files());
    let prefixed: Vec<(String, Vec<u8>)> = files().iter().rev().map(|(n, b)| (format!("./data/{n}"), b.clone())).collect();
    let prefixed: Vec<(&str, Vec<u8>)> = prefixed.iter().map(|(n, b)| (n.as_str(), b.clone())).collect();
    let all = [&[("data/", vec![]), ("data/cat/", vec![])], &prefixed[..]].concat();
    let as_archive = folder(&[("images.tar", archive(&all))]);
    for spec in [dir.path(), &as_archive.path().join("images.tar")] {
        let data = opened(spec, Split::Train).unwrap();
        assert_eq!((data.len(), data.classes()), (3, &["ant".to_owned(), "cat".to_owned()][..]));
        assert_eq!([0, 1, 2].map(|i| (data.label(i), red(&*data, i))), [(0, 30), (1, 10), (1, 20)]);
        // again, from the cache
        assert_eq!([0, 1, 2].map(|i| red(&*data, i)), [30, 10, 20]);
        assert!(data.name(1).ends_with("cat/a.PNG") && data.read(3).is_err());
        assert!(open_valid_split(&spec.display().to_string(), &DatasetOptions::default()).unwrap().is_none());
    }
}

#[test]
fn splits_are_found() {
    let splits = [("train/cat/1.png", png(2, 2, 1)), ("train/ant/1.png", png(2, 2, 2)), ("val/cat/1.png", png(2, 2, 3))];
    let as_folders = folder(&splits);
    let in_one = folder(&[("all.tar", archive(&splits))]);
    let as_archives = folder(&[("train.tar", archive(&splits[..2])), ("val.tar", archive(&splits[2..]))]);
    let specs = [as_folders.path().to_owned(), in_one.path().join("all.tar"), as_archives.path().to_owned()];
    for spec in specs {
        let text = spec.display().to_string();
        let train = opened(&spec, Split::Train).unwrap();
        assert_eq!((train.len(), red(&*train, 0)), (2, 2), "{text}");
        assert_eq!(red(&*opened(&spec, Split::Test).unwrap(), 0), 3);
        let part = open_valid_split(&text, &DatasetOptions::default()).unwrap().unwrap();
        assert_eq!(part.dataset.classes(), ["cat"]);
        assert!(part.place.starts_with(&text) && part.place.contains("val"), "{}", part.place);
    }
    // only a training split
    let train_only = folder(&[("train/cat/1.png", png(2, 2, 1)), ("train/ant/1.png", png(2, 2, 1))]);
    assert_eq!(opened(train_only.path(), Split::Train).unwrap().len(), 2);
    let text = train_only.path().display().to_string();
    assert!(open_valid_split(&text, &DatasetOptions::default()).unwrap().is_none());
    assert!(opened(train_only.path(), Split::Test).err().unwrap().to_string().contains("has only a training split"));
    // a class with the name of a split is not a split
    let class = folder(&[("train/1.png", png(2, 2, 1)), ("bus/1.png", png(2, 2, 1))]);
    assert_eq!(opened(class.path(), Split::Train).unwrap().classes(), ["bus", "train"]);
}

#[test]
fn class_names_determine_indices_and_the_network_their_range() {
    let dir = folder(&files());
    let spec = dir.path().display().to_string();
    let class_names = ["dog", "cat", "ant"].map(str::to_owned);
    let of =
        |class_names, classes| open_dataset(&spec, Split::Train, &DatasetOptions { class_names, classes, ..Default::default() });
    let data = of(&class_names, Some(3)).unwrap();
    assert_eq!(([0, 1, 2].map(|i| data.label(i)), data.classes()), ([2, 1, 1], &class_names[..]));
    assert!(of(&class_names, Some(2)).err().unwrap().to_string().contains("label 2, but the network has 2 classes"));
    assert!(of(&[], Some(1)).err().unwrap().to_string().contains("2 class folders, but the network has 1 classes"));
    assert!(of(&class_names[..2], None).err().unwrap().to_string().contains("`ant` is not one of the classes"));
}

#[test]
fn invalid_datasets_are_errors() {
    let empty_class = folder(&[("cat/1.png", png(2, 2, 1)), ("dog/notes.txt", vec![])]);
    assert!(message(empty_class.path()).contains("dog` contains no images"));
    assert!(message(folder(&[("notes.txt", vec![])]).path()).contains("has no folders"));
    assert!(message(Path::new("/nowhere")).contains("cannot read `/nowhere`"));
    let files = folder(&[
        ("x.npy", vec![]),
        ("x.csv", vec![]),
        ("x.tar.gz", vec![0x1f, 0x8b, 8]),
        ("empty.tar", archive(&[])),
        ("flat.tar", archive(&[("1.png", png(2, 2, 1))])),
        ("no_images.tar", archive(&[("data/cat/1.png", png(2, 2, 1)), ("data/dog/", vec![])])),
        ("x.bin", vec![1; 100]),
    ]);
    let expected = [
        ("x.npy", "X.npy,Y.npy"),
        ("x.csv", "is not a known kind of dataset"),
        ("x.tar.gz", "decompress it first"),
        ("empty.tar", "contains no images"),
        ("flat.tar", "has no folders"),
        ("no_images.tar", "no_images.tar/data/dog` contains no images"),
        ("x.bin", "is truncated or not a CIFAR file"),
        ("x.npy,none.npy", "x.npy"),
    ];
    for (name, words) in expected {
        let message = message(&files.path().join(name));
        assert!(message.contains(words), "{name}: {message}");
    }
}

#[test]
fn a_truncated_archive_is_an_error() {
    let whole = archive(&[("cat/1.png", png(2, 2, 1)), ("dog/a-long-name/1.png", png(2, 2, 2))]);
    // an archive ends with two blocks of zeros, but one is enough
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

    /// Damaged headers yield an error, or a dataset whose samples can be read without a panic.
    #[test]
    fn a_damaged_archive_does_not_panic(changes in prop::collection::vec((0usize..4608, any::<u8>()), 1..12)) {
        let mut bytes = archive(&[("cat/1.png", png(2, 2, 1)), ("dog/1.png", png(2, 2, 2))]);
        for (at, value) in changes {
            let at = at % bytes.len();
            bytes[at] = value;
            // fix the checksum of the header, so that the code after its verification is reached
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

/// Unless images are resized, a wrong size is reported before the first step.
#[test]
fn a_wrong_image_size_is_an_error_before_the_first_step() {
    let mut files = files().to_vec();
    files.push(("cat/c.png", png(4, 5, 1)));
    let dir = folder(&files);
    let data = opened(dir.path(), Split::Train).unwrap();
    let pad = [Augment::PadCrop { pad: 1, crop: [4, 4] }];
    for augment in [&pad[..], &[]] {
        let error = transform(&*data, augment).unwrap().check_sizes(&*data, false, 2).unwrap_err().to_string();
        assert!(error.contains("cat/c.png` is 4 x 5 pixels, but the network reads 4 x 4"), "{error}");
    }
    let random_crop = [Augment::RandomResizedCrop { size: [4, 4], scale: [0.5, 1.0], ratio: [1.0, 1.0] }];
    assert!(transform(&*data, &random_crop).unwrap().check_sizes(&*data, false, 2).is_ok());
    write(dir.path(), "cat/c.png", b"not an image");
    assert!(transform(&*data, &pad).unwrap().check_sizes(&*data, true, 2).is_ok());
    assert!(
        transform(&*data, &pad).unwrap().check_sizes(&*data, false, 2).unwrap_err().to_string().contains("no JPEG, PNG, WebP")
    );
}

#[test]
fn an_unreadable_image_is_skipped_with_a_message_or_fatal() {
    let mut files = files().to_vec();
    let damaged = png(4, 4, 1);
    files.push(("cat/c.png", damaged[..damaged.len() / 2].to_vec()));
    let dir = folder(&files);
    let data = opened(dir.path(), Split::Train).unwrap();
    let batches = |on_error| {
        let options = LoaderOptions { batch: 4, seed: 0, shuffle: false, on_error, workers: 1 };
        let mut loader = Loader::new(Arc::clone(&data), transform(&*data, &[]).unwrap(), options);
        loader.start(0, 0);
        loader.collect::<Result<Vec<Samples>, DataError>>()
    };
    let read = batches(OnError::Skip).unwrap();
    assert_eq!((read.len(), &read[0].labels[..], read[0].values.len()), (1, &[0, 1, 1][..], 3 * 48));
    assert!(read[0].skipped[0].contains("cat/c.png"), "{:?}", read[0].skipped);
    assert!(batches(OnError::Fatal).unwrap_err().to_string().contains("cat/c.png` is damaged"));
}
