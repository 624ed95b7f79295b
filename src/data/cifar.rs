//! CIFAR-10 and CIFAR-100 in their binary version. A record is a label (CIFAR-100: a coarse and a fine one), then 32 x 32 bytes each of red,
//! green and blue: <https://www.cs.toronto.edu/~kriz/cifar.html>.

use std::path::{Path, PathBuf};

use super::labels::{LabelRange, by_name};
use super::packed::{Packed, PackedFile, RecordLayout};
use super::{DataError, DatasetOptions, Split};
use crate::base::mmap::Bytes;

const SIZE: [usize; 3] = [3, 32, 32];
/// The number of coarse classes of CIFAR-100.
const COARSE: usize = 20;
/// The largest list of class names that is read, in bytes.
const MAX_NAMES: u64 = 1 << 16;

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Ten,
    Hundred,
}

impl Kind {
    /// Bytes of labels before an image.
    fn head(self) -> usize {
        match self {
            Kind::Ten => 1,
            Kind::Hundred => 2,
        }
    }

    fn layout(self) -> RecordLayout {
        RecordLayout { head: self.head(), size: SIZE }
    }
}

/// The files of a split in a folder. Training files are expected up to the highest number found, so that opening names a missing one.
pub(super) fn find(folder: &Path, split: Split) -> Option<(Kind, Vec<PathBuf>)> {
    let batch = |n: usize| folder.join(format!("data_batch_{n}.bin"));
    let (ten, hundred) = match split {
        Split::Train => {
            let last = (1..=9).rev().find(|&n| batch(n).is_file()).unwrap_or(0);
            ((1..=last).map(batch).collect(), folder.join("train.bin"))
        }
        Split::Valid | Split::Test => {
            let one = folder.join("test_batch.bin");
            (if one.is_file() { vec![one] } else { Vec::new() }, folder.join("test.bin"))
        }
    };
    match () {
        () if !ten.is_empty() => Some((Kind::Ten, ten)),
        () if hundred.is_file() => Some((Kind::Hundred, vec![hundred])),
        () => None,
    }
}

/// The kind of a single file, by its length, or by its name if the length fits both.
pub(super) fn kind_of(path: &Path, len: u64) -> Kind {
    let fits = |kind: Kind| len.is_multiple_of(kind.layout().record() as u64);
    let named = path.file_name().is_some_and(|name| name == "train.bin" || name == "test.bin");
    match (fits(Kind::Ten), fits(Kind::Hundred)) {
        (true, false) => Kind::Ten,
        (false, true) => Kind::Hundred,
        _ if named => Kind::Hundred,
        _ => Kind::Ten,
    }
}

/// Opens the files as one dataset. CIFAR-100 uses its fine labels, or the coarse ones if the network has 20 classes.
pub(super) fn open(kind: Kind, paths: &[PathBuf], options: &DatasetOptions<'_>) -> Result<Packed, DataError> {
    let coarse = kind == Kind::Hundred && options.classes == Some(COARSE);
    let (count, list) = match kind {
        Kind::Ten => (10, "batches.meta.txt"),
        Kind::Hundred if coarse => (COARSE, "coarse_label_names.txt"),
        Kind::Hundred => (100, "fine_label_names.txt"),
    };
    let folder = paths.first().and_then(|path| path.parent()).unwrap_or(Path::new(""));
    let mut names = read_names(&folder.join(list), count)?;
    let order = by_name(&names, options.class_names);
    let layout = kind.layout();
    let (mut files, mut labels) = (Vec::new(), Vec::new());
    for path in paths {
        let name = path.display().to_string();
        let invalid = |reason: String| DataError::Invalid { path: name.clone(), reason };
        let records = Bytes::map(path).map_err(|source| DataError::Io { path: path.clone(), source })?;
        if records.is_empty() {
            return Err(DataError::Empty { path: name });
        }
        if records.len() % layout.record() != 0 {
            let (len, record) = (records.len(), layout.record());
            return Err(invalid(format!(
                "is truncated or not a CIFAR file: {len} bytes are not a whole number of {record}-byte records"
            )));
        }
        let mut classes = Vec::with_capacity(records.len() / layout.record());
        for (index, record) in records.chunks_exact(layout.record()).enumerate() {
            let class = record[if coarse { 0 } else { layout.head - 1 }];
            if usize::from(class) >= count {
                return Err(invalid(format!("has label {class} for sample {index}, but there are only {count} classes")));
            }
            let class = order.as_ref().and_then(|order| order.get(usize::from(class)).copied()).unwrap_or(class.into());
            classes.push(i64::from(class));
        }
        labels.extend(LabelRange::of(options.classes).check(&name, classes)?);
        files.push(PackedFile { name, records });
    }
    if order.is_some() {
        names = options.class_names.to_vec();
    }
    Ok(Packed::new(layout, files, labels, names))
}

/// The class names, one per line; empty if there is no such file.
fn read_names(path: &Path, count: usize) -> Result<Vec<String>, DataError> {
    let io = |source| DataError::Io { path: path.to_path_buf(), source };
    let Ok(kind) = std::fs::metadata(path) else { return Ok(Vec::new()) };
    let invalid = |reason: String| DataError::Invalid { path: path.display().to_string(), reason };
    if !kind.is_file() || kind.len() > MAX_NAMES {
        return Err(invalid("is not a list of class names".to_owned()));
    }
    let text = std::fs::read_to_string(path).map_err(io)?;
    let names: Vec<String> = text.lines().map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
    if names.len() != count {
        return Err(invalid(format!("names {} classes, but there are {count}", names.len())));
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Dataset, Sample};

    fn record(labels: &[u8], start: u8) -> Vec<u8> {
        let pixels = (0..3072).map(|i: usize| (i / 1024 * 50 + i % 32) as u8 + start);
        labels.iter().copied().chain(pixels).collect()
    }

    fn folder(files: &[(&str, Vec<u8>)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            std::fs::write(dir.path().join(name), bytes).unwrap();
        }
        dir
    }

    fn open_split(dir: &tempfile::TempDir, split: Split, options: &DatasetOptions<'_>) -> Result<Packed, DataError> {
        let (kind, paths) = find(dir.path(), split).unwrap();
        open(kind, &paths, options)
    }

    #[test]
    fn ten_classes_in_several_files() {
        let dir = folder(&[
            ("data_batch_1.bin", [record(&[3], 0), record(&[9], 1)].concat()),
            ("data_batch_2.bin", record(&[0], 2)),
            ("test_batch.bin", record(&[5], 3)),
        ]);
        let data = open_split(&dir, Split::Train, &DatasetOptions::default()).unwrap();
        assert_eq!((data.len(), [0, 1, 2].map(|i| data.label(i)), data.classes().len()), (3, [3, 9, 0], 0));
        let Sample::Pixels(p) = data.read(2).unwrap() else { panic!("images") };
        assert_eq!((p.channels, p.height, p.width), (3, 32, 32));
        // red, green and blue of the first two pixels
        assert_eq!(p.data[..6], [2, 52, 102, 3, 53, 103]);
        assert!(data.name(2).ends_with("data_batch_2.bin[0]") && data.read(3).is_err());
        assert_eq!(open_split(&dir, Split::Test, &DatasetOptions::default()).unwrap().label(0), 5);
        std::fs::remove_file(dir.path().join("data_batch_1.bin")).unwrap();
        let missing = open_split(&dir, Split::Train, &DatasetOptions::default()).err().unwrap().to_string();
        assert!(missing.contains("data_batch_1.bin"), "{missing}");
    }

    #[test]
    fn a_hundred_fine_or_twenty_coarse_classes() {
        let dir = folder(&[("train.bin", [record(&[4, 30], 0), record(&[19, 99], 0)].concat())]);
        let labels = |classes| {
            let data = open_split(&dir, Split::Train, &DatasetOptions { classes, ..DatasetOptions::default() })?;
            Ok::<_, DataError>([data.label(0), data.label(1)])
        };
        assert_eq!(labels(Some(100)).unwrap(), [30, 99]);
        assert_eq!(labels(Some(20)).unwrap(), [4, 19]);
        assert!(labels(Some(50)).unwrap_err().to_string().contains("sample 1 has label 99, but the network has 50"));
    }

    #[test]
    fn names_are_read_and_matched() {
        let list: String = ["j", "i", "h", "g", "f", "e", "d", "c", "b", "a"].map(|n| format!("{n}\n")).concat() + "\n";
        let dir = folder(&[("test_batch.bin", record(&[2], 0)), ("batches.meta.txt", list.into_bytes())]);
        let data = open_split(&dir, Split::Test, &DatasetOptions::default()).unwrap();
        assert_eq!((data.label(0), data.classes()[2].as_str()), (2, "h"));
        let class_names: Vec<String> = ('a'..='j').map(String::from).collect();
        let data =
            open_split(&dir, Split::Test, &DatasetOptions { class_names: &class_names, ..DatasetOptions::default() }).unwrap();
        assert_eq!((data.label(0), data.classes()[7].as_str()), (7, "h"));
        std::fs::write(dir.path().join("batches.meta.txt"), "one\n").unwrap();
        assert!(open_split(&dir, Split::Test, &DatasetOptions::default()).is_err());
    }

    #[test]
    fn truncated_files_and_invalid_labels_are_errors() {
        let whole = [record(&[1], 0), record(&[2], 0)].concat();
        for len in (0..whole.len()).step_by(97).chain([3072, 3074, 6145]) {
            let dir = folder(&[("test_batch.bin", whole[..len].to_vec())]);
            assert!(open_split(&dir, Split::Test, &DatasetOptions::default()).is_err(), "cut to {len}");
        }
        let dir = folder(&[("test_batch.bin", record(&[10], 0))]);
        let error = open_split(&dir, Split::Test, &DatasetOptions::default()).err().unwrap().to_string();
        assert!(error.contains("label 10 for sample 0"), "{error}");
    }

    #[test]
    fn the_kind_of_a_single_file_is_detected() {
        let kind = |name: &str, len| kind_of(Path::new(name), len);
        assert_eq!([kind("a.bin", 30_730), kind("a.bin", 30_740)], [Kind::Ten, Kind::Hundred]);
        assert_eq!(
            [kind("x/test.bin", 3073 * 3074), kind("a.bin", 3073 * 3074), kind("a.bin", 1)],
            [Kind::Hundred, Kind::Ten, Kind::Ten]
        );
    }
}
