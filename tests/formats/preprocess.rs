//! Decoding, resizing and preprocessing, held against what PIL and torchvision made of small images (`tests/reference/preprocess.py fixtures`,
//! `tests/reference/images.py`).

use std::path::PathBuf;

use resnetc::internal::data::{Pixels, load, prepare, resize};
use resnetc::internal::formats::npy;
use resnetc::internal::ir::{Channels, Preprocess, Resampling, Shape};

fn fixture(name: &str) -> PathBuf {
    PathBuf::from("tests/fixtures/preprocess").join(name)
}

fn picture() -> Pixels {
    load(&fixture("picture.png")).unwrap()
}

/// Reduced and enlarged, to the bit.
#[test]
fn resizing_is_pils() {
    let picture = picture();
    assert_eq!((picture.width, picture.height), (45, 31));
    let ways = [(Resampling::Bilinear, ""), (Resampling::Bicubic, "-bicubic")];
    for (size, (by, how)) in [12, 24, 50].into_iter().flat_map(|size| ways.map(|way| (size, way))) {
        let expected = load(&fixture(&format!("resize-{size}{how}.png"))).unwrap();
        assert_eq!(expected.height, size);
        // the longer side is cut to whole pixels
        assert_eq!(expected.width, size * 45 / 31);
        assert!(resize(&picture, expected.height, expected.width, by) == expected, "{size}{how}");
    }
}

/// The whole way: an odd rest at the crop's sides, no rest, and a crop that is larger than the image.
#[test]
fn inputs_are_torchvisions() {
    let (linear, cubic) = ((Resampling::Bilinear, ""), (Resampling::Bicubic, "-bicubic"));
    for (size, crop, (by, how)) in [(24, 15, linear), (18, 18, linear), (20, 26, linear), (24, 15, cubic)] {
        let expected = npy::read(&fixture(&format!("resize-{size}-crop-{crop}{how}.npy"))).unwrap();
        let how = Preprocess {
            resize: Some(size),
            crop: Some([crop; 2]),
            interpolation: by,
            channels: Channels::Rgb,
            mean: vec![0.485, 0.456, 0.406],
            std: vec![0.229, 0.224, 0.225],
            mean_from: None,
        };
        let (values, shape) = prepare(picture(), &how, &Shape::fixed(&[3, crop, crop])).unwrap();
        assert_eq!(expected.shape(), shape);
        let worst = values.iter().zip(&expected).fold(0.0f32, |worst, (a, b)| worst.max((a - b).abs()));
        // one level of 255 is 0.017
        assert!(worst <= 1e-6, "{size}, {crop}: {worst}");
    }
}

/// What `tests/reference/images.py` made.
fn images(extension: &str) -> Vec<PathBuf> {
    let files = std::fs::read_dir("tests/fixtures/images").unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|e| e == extension)).collect();
    files.sort();
    files
}

/// A scan for each component or some, restarts, chroma as fine as luma or finer, colors that are not YCbCr: as PIL decodes them, within the
/// rounding of smooth images, or refused.
#[test]
fn rare_jpegs_are_right_or_refused() {
    let (mut right, mut refused) = (0, 0);
    for path in images("jpg") {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let pil = path.with_extension("png");
        let decoded = load(&path);
        if !pil.exists() {
            let error = decoded.err().unwrap_or_else(|| panic!("{name} is read")).to_string();
            let why = match name {
                "jpeg_two_components" | "jpeg_two_components_baseline" => {
                    "cannot be decoded: it has 2 components, but only 1, 3 or 4 are supported"
                }
                "jpeg_two_to_four_scans" => "cannot be decoded: its sampling factors are not supported",
                _ => "is damaged: ",
            };
            assert!(error.contains(why), "{error}");
            refused += 1;
            continue;
        }
        let (ours, theirs) = (decoded.unwrap(), load(&pil).unwrap());
        assert_eq!((ours.width, ours.height, ours.channels), (theirs.width, theirs.height, theirs.channels), "{name}");
        let worst = ours.data.iter().zip(&theirs.data).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(worst <= 3, "{name}: {worst}");
        right += 1;
    }
    assert_eq!((right, refused), (25, 4));
}

/// Every type, depth and way that PNG has, to the bit: transparency is dropped, and of 16 bits the upper 8 are kept.
#[test]
fn pngs_are_pils() {
    let text = std::fs::read_to_string("tests/fixtures/images/png.txt").unwrap();
    let mut count = 0;
    for line in text.lines() {
        let (name, hex) = line.split_once(' ').unwrap();
        let ours = load(&PathBuf::from("tests/fixtures/images").join(name)).unwrap().convert(Channels::Rgb);
        let hex_of_ours: String = ours.data.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(hex_of_ours == hex, "{name}:\n{hex_of_ours}\n{hex}");
        count += 1;
    }
    assert_eq!(count, 41);
}

/// 400 pairs of sizes, tall ones and crops among them, and the CRC-32 of what PIL 13 makes of them: the order of its passes depends on the sizes.
#[test]
fn resizing_is_pils_at_any_sizes() {
    let text = std::fs::read_to_string("tests/fixtures/images/resize.txt").unwrap();
    let (mut count, mut down_first) = (0, 0);
    for line in text.lines() {
        let numbers: Vec<usize> = line.split(' ').map(|n| n.parse().unwrap()).collect();
        let [channels, height, width, top, left, h, w, to_height, to_width, crc] = numbers[..] else { panic!("{line}") };
        let mut state = ((height * 65536 + width) * 4 + channels) as u32;
        let noise = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        });
        let data = noise.take(height * width * channels).collect();
        let image = Pixels { width, height, channels, data }.crop(top as i64, left as i64, h, w);
        let resized = resize(&image, to_height, to_width, Resampling::Bilinear);
        assert_eq!(crc32fast::hash(&resized.data), crc as u32, "{line}");
        count += 1;
        down_first += usize::from(h > to_height && h as i64 - to_height as i64 > 2 * (w as i64 - to_width as i64));
    }
    assert!(count == 400 && down_first > 100, "{count}, {down_first}");
}
